//! What is pending, loaded and checked, for a rehearsal elsewhere or a certificate of one.

use uuid::Uuid;

use super::{Run, work::Work};
use crate::{
    config::Config,
    error::{Error, Result},
    migration::{Checksum, Version},
    plan,
    postgres::{Server, history::Applied},
    source::{self, Folder},
};

/// What a database awaits of a folder.
pub struct Awaiting {
    /// The server.
    pub server: Server,
    /// The folder.
    pub folder: Folder,
    /// What is applied, in the order of the history.
    pub applied: Vec<Applied>,
    /// How large the database is, in bytes.
    pub bytes: u64,
    /// What is to be applied, in order.
    pub pending: Vec<Pending>,
}

/// A migration that is to be applied.
#[derive(Debug, Clone)]
pub struct Pending {
    /// Its version.
    pub version: Version,
    /// Version and description.
    pub name: String,
    /// Its file.
    pub filename: String,
    /// What it is made of.
    pub kind: String,
    /// The digest that the history will have of it.
    pub checksum: Checksum,
    /// The digest of what else decides what it does: of SQL files the way down and the checks, of a component what the operator grants it
    /// and sets for it.
    pub companions: Checksum,
    /// Why it cannot be taken back; `None` when it can.
    pub irreversible: Option<String>,
}

impl Pending {
    pub(super) fn of(item: &Work) -> Self {
        Self {
            version: item.version.clone(),
            name: item.name.clone(),
            filename: item.filename.clone(),
            kind: item.kind.clone(),
            checksum: item.checksum.clone(),
            companions: item.companions.clone(),
            irreversible: item.program.describe().irreversible.clone(),
        }
    }
}

impl Awaiting {
    /// The newest version that is applied.
    pub fn version(&self) -> Option<&Version> {
        plan::newest(&self.applied)
    }
}

/// Looks what is pending, up to and including `to`, and changes nothing.
///
/// # Errors
/// Whatever would stop a run before its first check; and where a migration is half applied.
pub async fn await_of(config: &Config, run_id: Uuid, to: Option<&Version>) -> Result<Awaiting> {
    let folder = source::of(config)?;
    let run = Run::begin(config, run_id).await?;
    run.refuse_other_histories(&folder).await?;
    let work = run.pending(&folder, to).await?;
    if let Some(item) = work.iter().find(|item| item.started.is_some()) {
        return Err(Error::Refused {
            what: format!(
                "migration `{}` is half applied: what is left of it cannot be rehearsed by itself",
                item.name
            ),
            next: format!("`lockgate up` finishes it, `lockgate down {}` takes it back", item.version),
        });
    }
    let applied = run.applied().await?;
    let size = "SELECT pg_database_size(current_database())";
    let size = run.session.texts("measuring the database", size).await?.into_iter().flatten().flatten().next();
    let bytes = size.and_then(|text| text.parse().ok()).unwrap_or_default();
    let (server, pending) = (run.session.server.clone(), work.iter().map(Pending::of).collect());
    Ok(Awaiting { server, folder, applied, bytes, pending })
}
