//! Proving a backup by restoring it into a scratch database, which is dropped afterwards: levels 2 and 3.

use std::time::Instant;

use uuid::Uuid;

use super::{
    Backup, Catalog, Level, Phase, Way, kept,
    restore::{Fresh, Proved, leftovers, maintenance, roles},
    verify,
};
use crate::{
    config::Config,
    error::{Error, NOTHING_CHANGED, Result},
};

/// How far a backup was proved, and how long that took.
#[derive(Debug, Clone, serde::Serialize, schemars::JsonSchema)]
pub struct Proof {
    /// The backup.
    pub backup: String,
    /// The level that it has reached.
    pub level: Level,
    /// How many tables were compared by the number of their rows.
    pub tables_counted: usize,
    /// How many of them were compared by the hashes of their rows as well.
    pub tables_hashed: usize,
    /// How long each part took.
    pub phases: Vec<Phase>,
}

/// The part that a real restore does without.
const DROP: &str = "drop";

impl Proof {
    /// How long a real restore takes up to the swap, in milliseconds.
    pub fn restore_ms(&self) -> u64 {
        self.phases.iter().filter(|phase| phase.name != DROP).map(|phase| phase.ms).sum()
    }
}

/// Proves a backup of the configured database up to this level, and notes it beside the backup.
///
/// # Errors
/// [`Error::Backup`], with what is wrong with it; or why that cannot be tried.
pub async fn prove(config: &Config, backup: &Backup, level: Level, run_id: Uuid) -> Result<Proof> {
    let begin = Instant::now();
    let catalog = Catalog::open(&config.backup)?;
    // Again: what is told below must hold for what is there now.
    let backup = &catalog.find(&backup.manifest.database, &backup.manifest.id).await?;
    let found = Phase::since("find", begin);
    let mut proof = match level {
        Level::Digest | Level::Decoded => read(config, &catalog, backup, level).await?,
        Level::Restored | Level::Compared => restored(config, backup, level, run_id).await?,
    };
    proof.phases.insert(0, found);
    catalog.note_proof(backup, proof.level).await?;
    Ok(proof)
}

fn failed(backup: &Backup, cause: String) -> Error {
    Error::Backup {
        what: format!("backup `{}` cannot be relied on", backup.manifest.id),
        cause,
        state: NOTHING_CHANGED.into(),
        next: "take another one: `lockgate backup`".into(),
    }
}

async fn read(config: &Config, catalog: &Catalog, backup: &Backup, level: Level) -> Result<Proof> {
    let begin = Instant::now();
    verify::prove(catalog, config, &backup.manifest, level).await?;
    let phases = vec![Phase::since(if level == Level::Digest { "digests" } else { "decode" }, begin)];
    Ok(Proof { backup: backup.manifest.id.clone(), level, tables_counted: 0, tables_hashed: 0, phases })
}

async fn restored(config: &Config, backup: &Backup, level: Level, run_id: Uuid) -> Result<Proof> {
    let manifest = &backup.manifest;
    let admin = maintenance(&config.target, run_id).await?;
    leftovers::clean_up(&admin, &config.target.database).await?;
    let mut fresh = Fresh::of(config, &admin, run_id, backup, "scratch", &Way::default()).await?;
    // It belongs to whoever makes it: nobody else will ever use it.
    let owner = admin.server.user.clone();
    roles::may_make(&admin, &fresh.name, &owner, false).await?;
    let failed = |cause| match config.stop.asked() {
        Some(signal) => Error::Interrupted { signal, state: NOTHING_CHANGED.into() },
        None => failed(backup, cause),
    };
    fresh.check_files().await.map_err(failed)?;
    let properties = kept::properties(config, backup).await?;
    fresh.check_roles(&properties, &owner).await?;
    let filled = async {
        fresh.create(&properties, &owner).await?;
        fresh.fill().await?;
        if level == Level::Restored {
            return Ok(Proved { counted: 0, hashed: 0 });
        }
        fresh.analyze().await?;
        fresh.compare().await
    };
    let proved = match filled.await {
        Ok(proved) => proved,
        Err(cause) => {
            fresh.discard().await;
            return Err(failed(cause));
        }
    };
    // A proof that leaves a copy of the database behind would fill the server's disk in time.
    fresh.discarded().await.map_err(|cause| Error::Backup {
        what: format!("backup `{}` was proved, but a copy of the database is left", manifest.id),
        cause,
        state: NOTHING_CHANGED.into(),
        next: "mend the cause, then run `lockgate restore --clean-up`".into(),
    })?;
    // Without rows there was nothing to compare.
    let reached = if manifest.scope.schema_only { Level::Restored } else { level };
    Ok(Proof {
        backup: manifest.id.clone(),
        level: reached,
        tables_counted: proved.counted,
        tables_hashed: proved.hashed,
        phases: fresh.phases,
    })
}
