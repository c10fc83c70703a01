//! The operator's word that a file, as it now is, stands for what was applied.

use serde::Serialize;
use uuid::Uuid;

use super::Run;
use crate::{
    config::Config,
    error::{Error, Result},
    migration::{Checksum, Version},
    plan,
    postgres::{
        history::Record,
        journal::{Entry, Event},
        tables,
    },
    source::{self, Folder, Migration},
    sql::Script,
};

/// What a repair does, or would do.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct Repair {
    /// The migrations whose rows in the history are made to fit their files, in order.
    pub migrations: Vec<Realigned>,
}

/// A row of the history that is made to fit its file.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct Realigned {
    /// Its version.
    pub version: Version,
    /// Version and description, as the file has it.
    pub name: String,
    /// The digest of what was applied.
    pub applied: Checksum,
    /// The digest of the file as it now is.
    pub file: Checksum,
    /// Where they differ, if the script that was applied is stored.
    pub changes: Option<String>,
}

/// Says what [`repair`] would do, and changes nothing.
///
/// # Errors
/// As [`repair`].
pub async fn plan_repair(config: &Config, run_id: Uuid, versions: &[Version]) -> Result<Repair> {
    let folder = source::of(config)?;
    let run = Run::begin(config, run_id).await?;
    Ok(run.realignable(&folder, versions).await?.1)
}

/// Takes files as they now are for what was applied, of these versions or of all that have drifted, and notes each in the journal. Runs
/// nothing.
///
/// # Errors
/// [`Error::Refused`] for a version that has not drifted.
pub async fn repair(config: &Config, run_id: Uuid, versions: &[Version]) -> Result<Repair> {
    let folder = source::of(config)?;
    let mut run = Run::begin(config, run_id).await?;
    run.locked(async |run, _| {
        let (drifted, repair) = run.realignable(&folder, versions).await?;
        if drifted.is_empty() {
            return Ok(repair);
        }
        tables::ensure(&run.session, &run.history).await?;
        run.session.durably(async || run.realign(&drifted, &repair).await).await?;
        Ok(repair)
    })
    .await
}

impl Run<'_> {
    /// Those of the versions that have drifted; all that have, where none is named.
    async fn realignable<'a>(&self, folder: &'a Folder, versions: &[Version]) -> Result<(Vec<&'a Migration>, Repair)> {
        let applied = self.applied_with_scripts().await?;
        let drifted = plan::drifted(&folder.migrations, &applied, self.config.rules);
        let drifted: Vec<&Migration> = drifted.into_iter().map(|(migration, _)| migration).collect();
        let is_drifted = |version: &&Version| drifted.iter().any(|migration| migration.version == **version);
        if let Some(other) = versions.iter().find(|version| !is_drifted(version)) {
            return Err(Error::Refused {
                what: format!("migration `{other}` has not changed since it was applied"),
                next: "see `lockgate status` for those that have".into(),
            });
        }
        let chosen: Vec<&Migration> =
            drifted.into_iter().filter(|m| versions.is_empty() || versions.contains(&m.version)).collect();
        let row = |migration: &&Migration| applied.iter().find(|row| row.version == migration.version);
        let realigned = chosen.iter().filter_map(|migration| {
            let row = row(migration)?;
            Some(Realigned {
                version: row.version.clone(),
                name: migration.name(),
                applied: row.checksum.clone(),
                file: migration.checksum.clone(),
                changes: plan::changes(migration, row),
            })
        });
        let repair = Repair { migrations: realigned.collect() };
        Ok((chosen, repair))
    }

    async fn realign(&self, drifted: &[&Migration], repair: &Repair) -> Result<()> {
        for (migration, Realigned { applied, file, .. }) in drifted.iter().zip(&repair.migrations) {
            let scripts = migration.scripts();
            let up = scripts.and_then(|files| files.up.as_ref()).map(Script::text);
            let down = scripts.and_then(|files| files.down.as_ref()).map(Script::to_keep);
            let record = Record {
                version: &migration.version,
                filename: &migration.filename,
                description: &migration.description,
                kind: migration.kind.as_str(),
                checksum: &migration.checksum,
                up_script: up.map(|text| &**text),
                down_script: down.as_deref(),
                execution_time_ms: 0,
                backup_id: None,
            };
            self.history.realign(&self.session, &record).await?;
            let detail = format!("the file {file} is taken for what was applied, {applied}");
            let entry = Entry::of(Event::Repaired).of_version(&migration.version).detail(&detail);
            self.journal.append(&self.session, &entry).await?;
        }
        Ok(())
    }
}
