//! Migrations made ready to run.

use std::{sync::Arc, time::Duration};

use super::course::Course;
use crate::{
    backup::Manifest,
    config::Config,
    error::{Cause, Error, NOTHING_CHANGED, Problem, Result},
    migration::{Checksum, Kind, Version},
    parallel,
    plugin::Compiling,
    postgres::{
        history::{Applied, Record},
        progress::Started,
    },
    source::{self, Folder, Migration},
    sql::{Script, SqlProgram},
    step::Program,
};

/// Fewer scripts are understood before another thread has begun.
const SCRIPTS_A_THREAD: usize = 20;

/// A migration about to run, ready to.
pub(super) struct Work {
    pub(super) version: Version,
    pub(super) name: String,
    pub(super) filename: String,
    pub(super) description: String,
    pub(super) kind: String,
    pub(super) checksum: Checksum,
    /// The digest of what else decides what it does: of SQL files the way down and the checks, of a component what the operator grants it
    /// and sets for it.
    pub(super) companions: Checksum,
    pub(super) up_script: Option<Arc<str>>,
    pub(super) down_script: Option<Arc<str>>,
    pub(super) program: Box<dyn Program>,
    /// How far an earlier run came with it.
    pub(super) started: Option<Started>,
    /// Whether an earlier run began to apply it and it is not in the history: `down` then takes back what was done.
    pub(super) half_applied: bool,
}

impl Work {
    /// Takes it up where an earlier run left it.
    ///
    /// # Errors
    /// [`Error::Drift`] when that run had another file.
    pub(super) fn goes_on(&mut self, started: Started) -> Result<()> {
        if started.checksum != self.checksum {
            let what = format!(
                "it has changed since it was begun on {}: its digest is {}…, it was {}…",
                started.started_at,
                self.checksum.short(),
                started.checksum.short()
            );
            let next = "put the file back with which it was begun, then finish it or take it back";
            return Err(Error::Drift(vec![Problem::new(&self.filename, what, next)]));
        }
        let course = Course::under_way(&started);
        if course.is_blocked() {
            return Err(course.blocked(&self.name, NOTHING_CHANGED.into()));
        }
        self.started = Some(started);
        Ok(())
    }

    /// The row that the history has of it.
    pub(super) fn record<'w>(&'w self, took: Duration, backup: Option<&'w Manifest>) -> Record<'w> {
        Record {
            version: &self.version,
            filename: &self.filename,
            description: &self.description,
            kind: &self.kind,
            checksum: &self.checksum,
            up_script: self.up_script.as_deref(),
            down_script: self.down_script.as_deref(),
            execution_time_ms: i64::try_from(took.as_millis()).unwrap_or(i64::MAX),
            backup_id: backup.map(|b| b.id.as_str()),
        }
    }

    /// Whose fault it is when the migration breaks a rule of the host's.
    pub(super) fn fault(&self, what: String) -> Cause {
        if self.kind == Kind::Component.as_str() { Cause::Plugin(what) } else { Cause::Script(what) }
    }
}

fn companions(migration: &Migration, config: &Config) -> Checksum {
    let of_a_component = || {
        let rights = config.rights_of(&migration.name(), &migration.checksum).unwrap_or_default();
        let grants = [("clock", rights.clock), ("randomness", rights.randomness)];
        let grants = grants.into_iter().map(|(name, granted)| (name.to_owned(), granted.to_string()));
        let settings = rights.config.into_iter().map(|(key, value)| (format!("config {key}"), value));
        Checksum::of_parts(grants.chain(settings))
    };
    migration.companions().unwrap_or_else(of_a_component)
}

/// Makes migrations ready to run; components compile beside one another.
pub(super) async fn load(config: &Config, migrations: &[&Migration]) -> Result<(Vec<Work>, Vec<Problem>)> {
    // Each keeps what it has understood of its files.
    parallel::map(migrations, SCRIPTS_A_THREAD, |migration| migration.problems().len());
    let components = migrations.iter().filter(|m| m.kind == Kind::Component);
    let components: Vec<_> = components.map(|m| (m.checksum.clone(), m.name())).collect();
    // Without a component there is no engine to start, and nothing to draw.
    let draw = config.draw && !components.is_empty();
    let engine = if components.is_empty() { None } else { Some(config.engine()?) };
    let compiling = Compiling::of(components);
    let engine = engine.map(|engine| engine.telling(&compiling));
    let programs = migrations.iter().map(|m| m.program(engine.as_ref(), config));
    let programs = compiling.drawn(draw, futures_util::future::join_all(programs)).await;
    let (mut work, mut problems) = (Vec::new(), Vec::new());
    for (migration, program) in migrations.iter().zip(programs) {
        match program {
            Ok(program) => work.push(Work {
                version: migration.version.clone(),
                name: migration.name(),
                filename: migration.filename.clone(),
                description: migration.description.clone(),
                kind: migration.kind.as_str().to_owned(),
                checksum: migration.checksum.clone(),
                companions: companions(migration, config),
                up_script: migration.scripts().and_then(|files| files.up.as_ref()).map(|up| Arc::clone(up.text())),
                down_script: migration.scripts().and_then(|files| files.down.as_ref()).map(Script::to_keep),
                program,
                started: None,
                half_applied: false,
            }),
            Err(found) => problems.extend(found),
        }
    }
    Ok((work, problems))
}

/// A migration whose files are gone can still go down: by the script that was stored when it was applied, or by a component with the
/// digest that was stored then, under whatever name it now is in the folder.
pub(super) async fn from_history(config: &Config, folder: &Folder, row: &Applied) -> Result<Work> {
    let name = source::name(&row.version, &row.description);
    let is_it = |m: &&Migration| m.kind == Kind::Component && m.checksum == row.checksum;
    if let Some(renamed) = folder.migrations.iter().find(is_it) {
        let (mut loaded, problems) = load(config, &[renamed]).await?;
        let Some(work) = loaded.pop() else { return Err(Error::Folder(problems)) };
        tracing::info!(migration = name, "its file is now `{}`", renamed.filename);
        return Ok(Work {
            version: row.version.clone(),
            name,
            filename: row.filename.clone(),
            description: row.description.clone(),
            ..work
        });
    }
    let Some(script) = &row.down_script else {
        return Err(Error::Refused {
            what: format!(
                "migration `{name}` cannot be reverted: `{}` is gone, and the history holds no down script",
                row.filename
            ),
            next: format!("put the file back whose SHA-256 is {}; it may have another name", row.checksum),
        });
    };
    let program = SqlProgram::from_history(row.version.as_str(), script).map_err(Error::Folder)?;
    Ok(Work {
        version: row.version.clone(),
        name,
        filename: row.filename.clone(),
        description: row.description.clone(),
        kind: row.kind.clone(),
        checksum: row.checksum.clone(),
        // It goes down, which nobody compares.
        companions: row.checksum.clone(),
        up_script: None,
        down_script: None,
        program: Box::new(program),
        started: None,
        half_applied: false,
    })
}
