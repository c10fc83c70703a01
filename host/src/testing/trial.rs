//! One plugin on one database: each call does what a run of the host does, and hands out what came of it.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{LazyLock, Mutex, PoisonError},
    time::Duration,
};

use tempfile::TempDir;
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::{Database, Findings, Plugin, Result, State};
use crate::{
    backup,
    config::{Batches, Config, EmbeddedConfig, Persistence, PluginConfig, SharedEngine},
    error::{Error, NOTHING_CHANGED, ProgramError},
    migration::{Direction, Version},
    plan::{Revert, Rules},
    plugin::{Cache, Engine, Limits, pin::pin},
    postgres::{Handle, Session, Target, Timeouts, history::History},
    runner::{self, Outcome},
    step::{PlannedStep, Program},
    stop::Stop,
};

/// How long a trial waits for another run on the same database, and for the locks of others.
const PATIENCE: Duration = Duration::from_secs(10);

/// A plugin on a database. [`up`](Trial::up) and [`down`](Trial::down) are runs of the real runner, with its lock, its history and its
/// journal; the other calls ask the plugin in a READ ONLY transaction, as the runner does, and change nothing.
pub struct Trial<'a> {
    plugin: &'a Plugin,
    database: &'a Database,
    place: OnceCell<Place>,
    before: Mutex<Option<State>>,
}

/// A folder of migrations in which the component is pinned.
struct Place {
    folder: TempDir,
    /// Version and description.
    name: String,
    version: Version,
}

impl<'a> Trial<'a> {
    pub(super) fn new(plugin: &'a Plugin, database: &'a Database) -> Self {
        Self { plugin, database, place: OnceCell::new(), before: Mutex::new(None) }
    }

    /// What the plugin's preflight finds.
    ///
    /// # Errors
    /// When the check itself fails.
    pub async fn preflight(&self) -> Result<Findings> {
        let program = self.plugin.program().await?;
        self.ask(Direction::Up, "preflight", async |db| program.preflight(db).await).await.map(Findings::new)
    }

    /// The steps that the plugin plans now, a line each: `sql: CREATE TABLE …`, `outside: CREATE INDEX CONCURRENTLY …`, `code: fill`,
    /// `batched: hash`. Of SQL a line a statement, with each run of white space as one space.
    ///
    /// # Errors
    /// When it cannot plan.
    pub async fn plan(&self, direction: Direction) -> Result<Vec<String>> {
        let program = self.plugin.program().await?;
        let steps = self.ask(direction, "plan", async |db| program.plan(direction, db).await).await?;
        Ok(steps.iter().flat_map(PlannedStep::whole).map(|step| step.to_string()).collect())
    }

    /// Applies it: everything that `lockgate up --no-backup` does.
    ///
    /// # Errors
    /// As the command's. The database is then as it was, unless a part of the plugin that runs outside of the one transaction had
    /// been committed.
    pub async fn up(&self) -> Result<Outcome> {
        let place = self.place().await?;
        let before = self.database.state().await?;
        *self.before.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        Ok(runner::up(&self.config(place), Uuid::now_v7(), Some(&place.version)).await?)
    }

    /// What the plugin's verification finds now. A run has verified before its commit already.
    ///
    /// # Errors
    /// When the check itself fails.
    pub async fn verify(&self, direction: Direction) -> Result<Findings> {
        let program = self.plugin.program().await?;
        self.ask(direction, "verify", async |db| program.verify(direction, db).await).await.map(Findings::new)
    }

    /// Reverts it: everything that `lockgate down VERSION --no-backup` does.
    ///
    /// # Errors
    /// As the command's.
    pub async fn down(&self) -> Result<Outcome> {
        let place = self.place().await?;
        let revert = Revert::Only(place.version.clone());
        Ok(runner::down(&self.config(place), Uuid::now_v7(), &revert).await?)
    }

    /// Claims that schema, data, settings and history are what they were before the last [`up`](Trial::up). Without one, there is
    /// nothing to have left, and so the claim holds.
    ///
    /// # Errors
    /// [`Failure::LeftBehind`](super::Failure::LeftBehind) with all that came and all that went.
    pub async fn left_nothing_behind(&self) -> Result<()> {
        self.left_nothing_behind_but_in(&[]).await
    }

    /// The same, whatever the rows of some tables are: those of an audit log that triggers write, for one.
    ///
    /// # Errors
    /// As [`left_nothing_behind`](Trial::left_nothing_behind).
    pub async fn left_nothing_behind_but_in(&self, tables: &[String]) -> Result<()> {
        let before = self.before.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(before) = before else { return Ok(()) };
        let now = self.database.state().await?.without_content_of(tables);
        match before.without_content_of(tables).until(&now) {
            Some(difference) => Err(super::Failure::LeftBehind(difference)),
            None => Ok(()),
        }
    }

    /// The version under which it runs, once it has.
    pub fn version(&self) -> Option<&Version> {
        self.place.get().map(|place| &place.version)
    }

    /// Lends the plugin a handle in a READ ONLY transaction.
    async fn ask<T>(
        &self,
        direction: Direction,
        what: &str,
        ask: impl AsyncFnOnce(&Handle) -> Result<T, ProgramError>,
    ) -> Result<T> {
        self.plugin.check_rights().await?;
        let session = Session::connect(&self.database.target(), "lockgate trial").await?;
        let timeouts = Timeouts { lock: PATIENCE, statement: Duration::ZERO };
        let answer = session.read_only(timeouts, ask).await?;
        Ok(answer.map_err(|error| Error::Migration {
            name: self.plugin.name().to_owned(),
            direction,
            step: Some(what.to_owned()),
            error: Box::new(error),
            state: NOTHING_CHANGED.into(),
        })?)
    }

    async fn place(&self) -> Result<&Place> {
        let make = async || -> Result<Place> {
            let session = Session::connect(&self.database.target(), "the test").await?;
            let applied = History::in_schema(SCHEMA).read(&session).await?.unwrap_or_default();
            let newest = applied.iter().map(|row| &row.version).max();
            let name = file_name(self.plugin.name(), newest);
            let doing = |e: std::io::Error| Error::system("putting the plugin into a folder of migrations", e);
            let folder = tempfile::Builder::new().prefix("lockgate-trial-").tempdir().map_err(doing)?;
            fs::write(folder.path().join(format!("{name}.wasm")), self.plugin.bytes()).map_err(doing)?;
            pin(&config(self.database.target(), folder.path())).await?;
            let digits = name.split('_').next().unwrap_or_default();
            let version = Version::parse(digits)
                .ok_or_else(|| Error::system("naming the plugin", format!("`{name}` has no version")))?;
            Ok(Place { folder, name, version })
        };
        self.place.get_or_try_init(make).await
    }

    fn config(&self, place: &Place) -> Config {
        let mut config = config(self.database.target(), place.folder.path());
        let rights = PluginConfig::of(self.plugin.digest().clone(), self.plugin.its_rights().clone());
        config.plugin.insert(place.name.clone(), rights);
        config
    }
}

/// The schema of the history.
pub(super) const SCHEMA: &str = "public";

/// One engine serves the runs of all trials of a process.
static ENGINE: LazyLock<SharedEngine> = LazyLock::new(SharedEngine::default);

/// The engine in which plugins are asked, with the cache of compiled components where there can be one.
pub(super) fn engine() -> Result<Engine> {
    static ENGINE: LazyLock<Result<Engine>> = LazyLock::new(|| {
        let cache = Cache::default_folder().and_then(|folder| Cache::open(&folder).ok());
        Ok(Engine::with_cache(cache)?)
    });
    ENGINE.clone()
}

/// The settings of a run that takes no backup. Nothing of them comes from the environment or from a file.
pub(super) fn config(target: Target, dir: &Path) -> Config {
    Config {
        target,
        dir: dir.to_owned(),
        layout: None,
        unrelated: Vec::new(),
        rules: Rules::default(),
        schema: SCHEMA.into(),
        backup: backup::Settings::none(),
        throwaway: true,
        draw: false,
        pg_bin: None,
        lock_timeout: PATIENCE,
        timeouts: Timeouts { lock: PATIENCE, statement: Duration::ZERO },
        atomic: false,
        persistence: Persistence::default(),
        batches: Batches::default(),
        lint: crate::lint::Settings::default(),
        rehearsal: crate::rehearsal::Settings::default(),
        recorder: None,
        plugins: Limits::default(),
        plugin: BTreeMap::new(),
        // A component of some languages takes seconds to compile; the cache knows it by its digest.
        cache_dir: Cache::default_folder(),
        engine: ENGINE.clone(),
        embedded: EmbeddedConfig::default(),
        stop: Stop::never(),
        so_far: crate::runner::SoFar::default(),
        events: crate::events::Events::default(),
        log_dir: crate::telemetry::LogSection::default().dir,
        telemetry: crate::telemetry::Section::default(),
        meter: crate::telemetry::Meter::default(),
        said_again: Vec::new(),
        file: None,
        sources: Vec::new(),
    }
}

/// The plugin's own name where it is one of a migration above those that are applied; else made into one.
fn file_name(name: &str, newest: Option<&Version>) -> String {
    let (digits, words) = name.split_once('_').unwrap_or(("", name));
    let (own, words) = match Version::parse(digits) {
        Some(version) => (Some(version), words),
        None => (None, name),
    };
    let word = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    let words: String = words.chars().map(word).collect();
    match own.filter(|own| newest.is_none_or(|newest| own > newest)) {
        Some(own) => format!("{own}_{words}"),
        None => {
            let number: u64 = newest.and_then(|newest| newest.as_str().parse().ok()).unwrap_or(0);
            format!("{:03}_{words}", number + 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_is_named_as_a_migration_above_those_that_are_applied() {
        let newest = Version::parse("007");
        assert_eq!(file_name("003_fill", None), "003_fill");
        assert_eq!(file_name("fill-Names", None), "001_fill_names");
        assert_eq!(file_name("010_fill", newest.as_ref()), "010_fill");
        assert_eq!(file_name("003_fill", newest.as_ref()), "008_fill");
        assert_eq!(file_name("fill_names", newest.as_ref()), "008_fill_names");
    }
}
