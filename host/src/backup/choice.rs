//! Which backup a command means by a name, or by `latest`.

use uuid::Uuid;

use super::{Backup, Catalog, origin::Present};
use crate::{
    config::Config,
    error::{Error, Result},
};

/// The word for the newest.
const LATEST: &str = "latest";

/// A backup that is to be restored.
#[derive(Debug, Clone)]
pub struct Choice {
    /// The backup.
    pub backup: Backup,
    /// That it is of another server, and of which; `None` for one of this server.
    pub foreign: Option<String>,
}

/// The backup to restore: of that name, whichever server it is of; or the newest of this server for `latest`. Only where this server has lost the
/// database and has no backup of it, `latest` may be one of another server: so comes back what a lost server had.
///
/// # Errors
/// When there is none, its manifest is damaged, or the server cannot be asked.
pub async fn choose(config: &Config, run_id: Uuid, name: &str) -> Result<Choice> {
    let catalog = Catalog::open(&config.backup)?;
    if name != LATEST {
        let backup = catalog.find(&config.target.database, name).await?;
        let foreign = Present::of(config, run_id).await?.foreign(&backup.manifest);
        return Ok(Choice { backup, foreign });
    }
    let present = Present::of(config, run_id).await?;
    let backup = latest(&catalog, &present).await?;
    let foreign = present.foreign(&backup.manifest);
    Ok(Choice { backup, foreign })
}

/// The backup to prove. One that is named can be proved without the server that it is of.
///
/// # Errors
/// As [`choose`].
pub async fn look_up(config: &Config, run_id: Uuid, name: &str) -> Result<Backup> {
    let catalog = Catalog::open(&config.backup)?;
    match name {
        LATEST => latest(&catalog, &Present::of(config, run_id).await?).await,
        name => catalog.find(&config.target.database, name).await,
    }
}

async fn latest(catalog: &Catalog, present: &Present) -> Result<Backup> {
    let (database, location) = (&present.origin.database, catalog.store().location());
    let (own, others): (Vec<Backup>, Vec<Backup>) = (catalog.list().await?.into_iter())
        .filter(|backup| backup.manifest.database == *database)
        .partition(|backup| present.origin.has(&backup.manifest));
    if let Some(newest) = own.into_iter().next_back() {
        return Ok(newest);
    }
    let Some(newest) = others.last() else {
        return Err(Error::Refused {
            what: format!("there is no backup `{LATEST}` of database `{database}` in `{location}`"),
            next: "see `lockgate backup list`".into(),
        });
    };
    let server = newest.manifest.system_identifier;
    if !present.exists && others.iter().all(|backup| backup.manifest.system_identifier == server) {
        return Ok(newest.clone());
    }
    Err(Error::Refused {
        what: format!(
            "there is no backup of database `{database}` of this server ({}, system identifier {}) in `{location}`: those there are of other servers",
            present.server, present.origin.system_identifier
        ),
        next: "name the one that is meant by its id: see `lockgate backup list`".into(),
    })
}
