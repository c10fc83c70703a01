//! Taking migrations as applied on the operator's word.

use uuid::Uuid;

use super::{
    Run,
    adopt::{Adoption, TakenOver, count, newest},
};
use crate::{
    adopt::{File, Found, Taken},
    config::Config,
    error::{Error, Result},
    migration::Version,
    plan,
    postgres::{history::Applied, journal::Event},
    source::{self, Folder},
};

/// Says what [`baseline`] would do, and changes nothing.
///
/// # Errors
/// Whatever would keep it from being done.
pub async fn plan_baseline(config: &Config, run_id: Uuid, version: &Version) -> Result<Adoption> {
    let folder = source::of(config)?;
    let run = Run::begin(config, run_id).await?;
    let applied = run.not_half_way().await?;
    let taken = run.below(&folder, version, &applied)?;
    Ok(Adoption { version: newest(&applied, &taken), ..run.baselined(&taken, Vec::new(), applied.len()) })
}

/// Records every migration up to and including a version as applied, without running any: all of them, or nothing.
///
/// # Errors
/// [`Error::Refused`] when there is no such migration, or the history has others.
pub async fn baseline(config: &Config, run_id: Uuid, version: &Version) -> Result<Adoption> {
    let folder = source::of(config)?;
    let mut run = Run::begin(config, run_id).await?;
    run.refuse_standby()?;
    run.persistently(async |run| run.locked(async |run, _| run.baseline(&folder, version).await).await).await
}

impl Run<'_> {
    async fn baseline(&self, folder: &Folder, version: &Version) -> Result<Adoption> {
        let (taken, applied) = self
            .in_one_transaction(async || {
                let applied = self.not_half_way().await?;
                let taken = self.below(folder, version, &applied)?;
                if !taken.is_empty() {
                    let started = format!("baseline {version}: {}", count(taken.len()));
                    self.take_over(&taken, Event::Baselined, &started, "not run").await?;
                }
                Ok((taken, applied))
            })
            .await?;
        // What this very run has written before it lost its connection is what it did.
        let run_id = self.run_id.to_string();
        let (written, others): (Vec<_>, Vec<_>) = applied.into_iter().partition(|row| row.run_id == run_id);
        let journal_head = self.journal.head(&self.session).await?;
        let now = plan::newest(&self.applied().await?).cloned();
        Ok(Adoption { version: now, journal_head, ..self.baselined(&taken, written, others.len()) })
    }

    /// The migrations that are to be recorded; none when they are in the history already.
    fn below(&self, folder: &Folder, version: &Version, applied: &[Applied]) -> Result<Vec<Taken>> {
        if !folder.problems.is_empty() {
            return Err(Error::Folder(folder.problems.clone()));
        }
        if version.is_repeatable() {
            return Err(Error::Refused {
                what: format!("`{version}` is repeatable, and has no place in the order: nothing is below it"),
                next: "name the newest versioned migration that is applied; repeatable ones are left to the next `up`"
                    .into(),
            });
        }
        if !folder.migrations.iter().any(|migration| migration.version == *version) {
            let known = folder.migrations.iter().map(|migration| migration.version.as_str());
            let meant = crate::suggest::did_you_mean(version.as_str(), known);
            return Err(Error::Refused {
                what: format!("there is no migration `{version}` in the folder"),
                next: format!("{meant}see `lockgate status` for those that there are"),
            });
        }
        let found = Found::in_folder(folder, &self.config.dir)?;
        let below: Vec<File> =
            found.files.into_iter().filter(|file| file.version <= *version && !file.version.is_repeatable()).collect();
        let is_there =
            |file: &File| applied.iter().any(|row| row.version == file.version && row.checksum == file.checksum);
        if below.iter().all(is_there) {
            return Ok(Vec::new());
        }
        if !applied.is_empty() {
            let newest =
                plan::newest(applied).map_or(String::new(), |newest| format!(", the newest of version {newest}"));
            return Err(Error::Refused {
                what: format!("a baseline begins a history, and the history holds {}{newest}", count(applied.len())),
                next: "`lockgate status` shows what is applied; `lockgate up` goes on from there".into(),
            });
        }
        Ok(below.into_iter().map(|file| Taken { file, applied_at: None, duration_ms: 0, note: None }).collect())
    }

    fn baselined(&self, taken: &[Taken], written: Vec<Applied>, present: usize) -> Adoption {
        let written = written.into_iter().map(|row| TakenOver {
            name: source::name(&row.version, &row.description),
            version: row.version,
            filename: row.filename,
            kind: row.kind,
            applied_at: None,
            note: None,
        });
        Adoption {
            run_id: self.run_id,
            tool: None,
            table: None,
            renamed_to: None,
            migrations: written.chain(taken.iter().map(TakenOver::of)).collect(),
            present,
            findings: Vec::new(),
            version: None,
            journal_head: None,
            next: "`lockgate status` shows them, `lockgate up` applies what is pending".into(),
        }
    }
}
