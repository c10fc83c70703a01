//! The backup that the copy is made of: one that is there, or a new one that goes with the rehearsal.

use uuid::Uuid;

use super::{Extent, room, workspace::Workspace};
use crate::{
    backup::{self, Among, Backup, Catalog, Scope, store::Location},
    config::Config,
    error::{Error, Result},
    postgres::{Target, history::Applied},
    runner::Awaiting,
};

/// Which backup a rehearsal begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The newest of the database that leaves nothing out.
    Newest,
    /// The one of this name.
    Named(String),
    /// A new one, which is removed with the copy.
    Fresh,
}

/// A backup, and the configuration with the place where it is.
pub(super) struct Found {
    pub(super) backup: Backup,
    pub(super) config: Config,
}

/// Finds the backup, or takes it.
///
/// # Errors
/// [`Error::Refused`] when there is none, or it is of another state of the database; [`Error::Backup`].
pub(super) async fn find(
    config: &Config,
    run_id: Uuid,
    origin: &Origin,
    extent: Extent,
    awaiting: &Awaiting,
    workspace: &Workspace,
) -> Result<Found> {
    let name = match origin {
        Origin::Newest if extent == Extent::Data => "latest",
        Origin::Named(name) if extent == Extent::Data => name,
        // What a copy without rows is made of is quickly taken, and nobody would keep it.
        _ => return take(config, run_id, extent, awaiting, workspace).await,
    };
    let chosen = backup::choose(config, run_id, name, Among::Whole).await.map_err(|error| match error {
        Error::Refused { what, .. } => Error::Refused { what, next: NEXT.into() },
        other => other,
    })?;
    if let Some(foreign) = chosen.foreign {
        tracing::warn!("{foreign}");
    }
    let manifest = &chosen.backup.manifest;
    if !manifest.scope.is_whole() {
        return Err(Error::Refused {
            what: format!("backup `{}` leaves out {}", manifest.id, manifest.scope.left_out()),
            next: NEXT.into(),
        });
    }
    refuse_other_state(&manifest.id, &manifest.applied, &awaiting.applied)?;
    Ok(Found { backup: chosen.backup, config: config.clone() })
}

const NEXT: &str = "`lockgate backup` takes one that is kept; `--fresh` takes one for this rehearsal alone";

/// The migrations that are pending here must be those that are pending there.
fn refuse_other_state(backup: &str, then: &[String], now: &[Applied]) -> Result<()> {
    if then.iter().map(String::as_str).eq(now.iter().map(|row| row.version.as_str())) {
        return Ok(());
    }
    let newest = |version: Option<&str>| version.map_or("nothing applied".to_owned(), |v| format!("version {v}"));
    Err(Error::Refused {
        what: format!(
            "backup `{backup}` was taken with {}, and the database has {}: what was applied differs",
            newest(then.last().map(String::as_str)),
            newest(now.last().map(|row| row.version.as_str()))
        ),
        next: NEXT.into(),
    })
}

async fn take(
    config: &Config,
    run_id: Uuid,
    extent: Extent,
    awaiting: &Awaiting,
    workspace: &Workspace,
) -> Result<Found> {
    let folder = workspace.folder("backup")?;
    room::check(&folder, room::of_a_dump(awaiting.bytes), "a dump of the database")?;
    let settings = backup::Settings {
        enabled: true,
        location: Location::Folder(folder),
        role: config.backup.role.clone(),
        globals: true,
        ..backup::Settings::none()
    };
    let scope = Scope { schema_only: extent == Extent::SchemaOnly, ..Scope::default() };
    let order = backup::Order {
        run_id: run_id.to_string(),
        applied: awaiting.applied.iter().map(|row| row.version.to_string()).collect(),
        precedes: awaiting.pending.iter().map(|item| item.name.clone()).collect(),
        extent: backup::Extent { scope, hashes: false, jobs: 1 },
        lock_wait_timeout_ms: config.timeouts.lock.as_millis().max(30_000),
        pg_bin: config.pg_bin.clone(),
        draw: config.draw,
        events: crate::events::Events::default(),
    };
    let role = settings.role.clone().or_else(|| config.target.role.clone());
    let target = Target { role, ..config.target.clone() };
    let catalog = Catalog::open(&settings)?;
    let taken = backup::take(&target, &awaiting.server, &catalog, &settings, &order, &config.stop).await;
    let manifest = taken.map_err(|error| match error {
        Error::Backup { what, cause, next, .. } => Error::Backup {
            what,
            cause,
            state: "nothing was rehearsed, and nothing changed".into(),
            next: match next.as_str() {
                backup::READ_ALL => next,
                _ => "mend the cause, or rehearse on a backup that is there already".into(),
            },
        },
        other => other,
    })?;
    let backup = catalog.find(&manifest.database, &manifest.id).await?;
    Ok(Found { backup, config: Config { backup: settings, ..config.clone() } })
}
