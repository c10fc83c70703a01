//! Which backup a command means by a name, or by `latest`.

use uuid::Uuid;

use super::{
    Backup, Catalog,
    catalog::{Damaged, Listing},
    id,
    origin::Present,
};
use crate::{
    config::Config,
    error::{Error, NOTHING_CHANGED, Result},
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

/// Among which the newest is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Among {
    /// Those that leave nothing out, and can take the place of a database.
    Whole,
    /// All.
    All,
}

impl Among {
    fn has(self, backup: &Backup) -> bool {
        self == Self::All || backup.manifest.scope.is_whole()
    }
}

/// The backup to restore: of that name, whichever server it is of; or the newest of this server for `latest`. Only where this server has lost the
/// database and has no backup of it, `latest` may be one of another server: so comes back what a lost server had.
///
/// # Errors
/// When there is none, its manifest is damaged, or the server cannot be asked; for `latest` also when the manifest of what may be newer is damaged.
pub async fn choose(config: &Config, run_id: Uuid, name: &str, among: Among) -> Result<Choice> {
    let catalog = Catalog::open(&config.backup)?;
    if name != LATEST {
        let backup = catalog.find(&config.target.database, name).await?;
        let foreign = Present::of(config, run_id).await?.foreign(&backup.manifest);
        return Ok(Choice { backup, foreign });
    }
    let present = Present::of(config, run_id).await?;
    let listing = catalog.list().await?;
    let backup = match newest(&listing, &present, among)? {
        Some(backup) => backup,
        None => of_a_lost_server(&listing, &present, among, &catalog.store().location())?,
    };
    let foreign = present.foreign(&backup.manifest);
    Ok(Choice { backup, foreign })
}

/// The backup to prove. One that is named can be proved without the server that it is of.
///
/// # Errors
/// As [`choose`].
pub async fn look_up(config: &Config, run_id: Uuid, name: &str) -> Result<Backup> {
    match name {
        LATEST => Ok(choose(config, run_id, name, Among::All).await?.backup),
        name => Catalog::open(&config.backup)?.find(&config.target.database, name).await,
    }
}

/// The newest of this server, if it has any.
///
/// # Errors
/// When the manifest of what may be newer is damaged.
pub(super) fn newest(listing: &Listing, present: &Present, among: Among) -> Result<Option<Backup>> {
    let is_one = |backup: &&Backup| present.origin.has(&backup.manifest) && among.has(backup);
    let newest = listing.backups.iter().rfind(is_one);
    refuse_outdated(&listing.damaged, newest)?;
    Ok(newest.cloned())
}

fn of_a_lost_server(listing: &Listing, present: &Present, among: Among, location: &str) -> Result<Backup> {
    let database = &present.origin.database;
    let of_name: Vec<&Backup> =
        listing.backups.iter().filter(|backup| backup.manifest.database == *database && among.has(backup)).collect();
    let Some(newest) = of_name.last() else {
        let whole = if among == Among::Whole { " that leaves nothing out" } else { "" };
        return Err(Error::Refused {
            what: format!("there is no backup `{LATEST}` of database `{database}` in `{location}`{whole}"),
            next: "see `lockgate backup list`".into(),
        });
    };
    let server = newest.manifest.system_identifier;
    if !present.exists && of_name.iter().all(|backup| backup.manifest.system_identifier == server) {
        refuse_outdated(&listing.damaged, Some(newest))?;
        return Ok((*newest).clone());
    }
    Err(Error::Refused {
        what: format!(
            "there is no backup of database `{database}` of this server ({}, system identifier {}) in `{location}`: those there are of other servers",
            present.server, present.origin.system_identifier
        ),
        next: "name the one that is meant by its id: see `lockgate backup list`".into(),
    })
}

/// A manifest that is damaged does not tell whose it was. Whoever asks for the newest must not get an older one without a word.
fn refuse_outdated(damaged: &[Damaged], newest: Option<&Backup>) -> Result<()> {
    let begun = |id: &str| id::begun(id).to_owned();
    let may_be_newer =
        |damaged: &&Damaged| newest.is_none_or(|newest| begun(&damaged.id) >= begun(&newest.manifest.id));
    let Some(Damaged { id, cause }) = damaged.iter().rfind(may_be_newer) else { return Ok(()) };
    let instead = match newest {
        Some(newest) => format!("name the one from before it: `{}`", newest.manifest.id),
        None => "there is no other of this database".to_owned(),
    };
    Err(Error::Backup {
        what: format!("the manifest of backup `{id}` is damaged, which may be the newest"),
        cause: cause.clone(),
        state: NOTHING_CHANGED.into(),
        next: format!("put a copy of `{id}.json` back; or {instead}; or remove the file, if that backup is not missed"),
    })
}
