//! Where every setting comes from: option, LOCKGATE_*, DATABASE_URL, DB_*, PG*, `lockgate.toml`, default; the first that is set wins.

mod database;
pub mod masked;
mod mistakes;
pub mod schema;
pub mod settings;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};

use serde::Deserialize;

use self::database::{Database, DatabaseSection};
use crate::{
    adopt,
    backup::{self, store::Location},
    error::{Error, Problem, Result},
    events::Events,
    lint,
    migration::{Checksum, Version},
    plan::{OutOfOrder, Rules, Sameness},
    plugin::{Cache, Engine, Limits, Rights},
    postgres::{Recorder, Target, Timeouts},
    rehearsal,
    runner::SoFar,
    source,
    stop::Stop,
    suggest, telemetry,
};

/// The validated settings of a command.
#[derive(Debug, Clone)]
pub struct Config {
    /// The database.
    pub target: Target,
    /// The migrations folder.
    pub dir: PathBuf,
    /// The layout of that folder; `None`: the one that it seems to have.
    pub layout: Option<String>,
    /// The tools whose tables in the database are about other folders.
    pub unrelated: Vec<String>,
    /// How folder and history are compared.
    pub rules: Rules,
    /// The schema of history and journal.
    pub schema: String,
    /// How backups are taken, kept and proved.
    pub backup: backup::Settings,
    /// Whether the database is thrown away afterwards, as in a test: what would be missed later is then not missed.
    pub throwaway: bool,
    /// Whether to draw on stderr how far something long is.
    pub draw: bool,
    /// Where to look for PostgreSQL's programs; `None`: everywhere they usually are.
    pub pg_bin: Option<PathBuf>,
    /// How long to wait for another run.
    pub lock_timeout: Duration,
    /// How long a migration's statements may wait and run.
    pub timeouts: Timeouts,
    /// Whether `up` applies all that is pending in one transaction.
    pub atomic: bool,
    /// How hard a run tries when somebody is in its way or the connection is lost.
    pub persistence: Persistence,
    /// How much room batches leave to others.
    pub batches: Batches,
    /// What is looked at before migrations run, and what stops them.
    pub lint: lint::Settings,
    /// How migrations are rehearsed, and which rehearsals count.
    pub rehearsal: rehearsal::Settings,
    /// Who measures what the migrations cost: nobody but in a rehearsal.
    pub recorder: Option<Arc<dyn Recorder>>,
    /// What components may use up, unless they have limits of their own.
    pub plugins: Limits,
    /// What single components may do and use up, by their names.
    pub plugin: BTreeMap<String, PluginConfig>,
    /// The folder of compiled components; `None`: none are kept.
    pub cache_dir: Option<PathBuf>,
    /// The engine of this run, once it was needed.
    pub engine: SharedEngine,
    /// What the project's own server does.
    pub embedded: EmbeddedConfig,
    /// Whether the process was asked to stop.
    pub stop: Stop,
    /// What the run has done so far, for its report.
    pub so_far: SoFar,
    /// Who is told what it does, while it does it: nobody unless asked for.
    pub events: Events,
    /// Where log files are kept, if any are.
    pub log_dir: PathBuf,
    /// Where metrics are kept.
    pub telemetry: telemetry::Section,
    /// Takes what the run measures of itself.
    pub meter: telemetry::Meter,
    /// The options that were given and that a later call about the same backups needs as well, as words.
    pub said_again: Vec<String>,
    /// The configuration file that was named; `None`: `lockgate.toml`, if there is one.
    pub file: Option<PathBuf>,
    /// Which database settings were given, and where: name, value without secrets, source.
    pub sources: Vec<(&'static str, String, &'static str)>,
}

/// How hard a run tries when somebody is in its way or the connection is lost.
#[derive(Debug, Clone, Copy)]
pub struct Persistence {
    /// How often a transaction is tried again that could not have a lock (SQLSTATE 55P03), collided with another (40001, 40P01) or
    /// lost its connection. Five unless set.
    pub retries: u32,
    /// How long a lost server is looked for. A minute unless set.
    pub reconnect: Duration,
}

impl Default for Persistence {
    fn default() -> Self {
        Self { retries: 5, reconnect: Duration::from_secs(60) }
    }
}

/// `[batches]` in `lockgate.toml`: how much room batches leave to others.
#[derive(Debug, Clone, Copy, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Batches {
    /// How long a batch should take, in milliseconds; the size of the next one follows. 500 unless set. Zero: as long as it takes.
    pub target_ms: u64,
    /// How far a replica may be behind, in seconds, before the next batch waits. 10 unless set. Zero: nobody looks.
    pub replication_lag_max_s: u64,
}

impl Default for Batches {
    fn default() -> Self {
        Self { target_ms: 500, replication_lag_max_s: 10 }
    }
}

/// `[embedded]` in `lockgate.toml`.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EmbeddedConfig {
    /// A SQL file with made-up data, run on the project's own server right after `seed_at` was applied there.
    pub seed: Option<PathBuf>,
    /// The version after which the seed fits.
    pub seed_at: Option<String>,
}

impl EmbeddedConfig {
    /// The seed and its version, when both are given.
    pub fn seeding(&self) -> Option<(&Path, Version)> {
        Some((self.seed.as_deref()?, Version::parse(self.seed_at.as_deref()?)?))
    }
}

/// `[plugin.<name>]` in `lockgate.toml`: the operator's word on one component.
#[derive(Debug, Clone)]
pub struct PluginConfig {
    /// The component that it holds for. `None` only where it grants nothing.
    digest: Option<Checksum>,
    rights: Rights,
}

impl PluginConfig {
    /// Rights of the component with this digest, and of no other.
    pub fn of(digest: Checksum, rights: Rights) -> Self {
        Self { digest: Some(digest), rights }
    }
}

/// The WebAssembly engine of a run, started when the first component needs it and shared by all clones.
#[derive(Clone, Default)]
pub struct SharedEngine(Arc<OnceLock<Engine>>);

impl fmt::Debug for SharedEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.get().is_some() { "started" } else { "not started" })
    }
}

/// What the command line and LOCKGATE_* say.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--database-url`.
    pub database_url: Option<String>,
    /// `--dir`.
    pub dir: Option<PathBuf>,
    /// `--layout`.
    pub layout: Option<String>,
    /// `--unrelated`.
    pub unrelated: Vec<String>,
    /// `--out-of-order`.
    pub out_of_order: Option<OutOfOrder>,
    /// `--role`.
    pub role: Option<String>,
    /// `--schema`.
    pub schema: Option<String>,
    /// `--no-backup`, `--backup-dir` and the like.
    pub backup: backup::Options,
    /// `--pg-bin`.
    pub pg_bin: Option<PathBuf>,
    /// `--lock-timeout`.
    pub lock_timeout: Option<Duration>,
    /// `--atomic`.
    pub atomic: bool,
    /// `--retries`.
    pub retries: Option<u32>,
    /// `--reconnect-timeout`.
    pub reconnect_timeout: Option<Duration>,
    /// `--cache-dir`.
    pub cache_dir: Option<PathBuf>,
    /// `--no-cache`.
    pub no_cache: bool,
    /// Which of them a variable has said, by their names in the program: messages name that.
    pub by_variable: BTreeSet<String>,
}

impl Options {
    /// What whoever has set an option has written.
    fn called(&self, id: &str, option: &'static str, variable: &'static str) -> &'static str {
        if self.by_variable.contains(id) { variable } else { option }
    }
}

/// Five minutes: longer than a usual run, shorter than a pipeline's patience.
const LOCK_TIMEOUT: Duration = Duration::from_secs(300);
/// A statement that waits longer for a table lock makes everybody else queue behind it.
const STATEMENT_LOCK_TIMEOUT_MS: u64 = 3_000;

/// The settings of a project. What an option or a variable says goes before it.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct File {
    /// The folder of migrations.
    #[schemars(extend("default" = "migrations"))]
    dir: Option<PathBuf>,
    /// The layout of that folder, by the name of its tool; `auto`: the one that it seems to have.
    #[schemars(extend("default" = "auto"))]
    layout: Option<String>,
    /// Tools whose tables in the database are about other folders: a first `up` goes on beside them.
    unrelated: Vec<String>,
    /// What makes two texts of an applied migration the same.
    #[schemars(extend("default" = "exact"))]
    checksum: Sameness,
    /// What becomes of migrations below the newest applied one.
    #[schemars(extend("default" = "refuse"))]
    out_of_order: OutOfOrder,
    /// The schema of `schema_migrations` and its journal.
    #[schemars(extend("default" = "public"))]
    schema: Option<String>,
    /// How long to wait for another run, in seconds.
    #[schemars(extend("default" = LOCK_TIMEOUT.as_secs()))]
    lock_timeout_s: Option<u64>,
    /// How long to look for a server that was lost, in seconds.
    #[schemars(extend("default" = Persistence::default().reconnect.as_secs()))]
    reconnect_timeout_s: Option<u64>,
    /// The connection. Its password never stands here.
    database: DatabaseSection,
    /// How backups are taken, kept and proved.
    backup: backup::Section,
    /// What `drill` holds a restore against.
    drill: backup::Targets,
    /// How long a migration's statements may wait and run.
    statements: StatementsSection,
    /// How much room batches leave to others.
    batches: Batches,
    /// What is looked at before migrations run, and what stops them.
    lint: lint::Section,
    /// How migrations are rehearsed, and which rehearsals count.
    rehearsal: rehearsal::Section,
    /// What one call of a component may use up.
    plugins: Limits,
    /// What single components may do and use up, by the names of their files without `.wasm`.
    plugin: BTreeMap<String, PluginSection>,
    /// The project's own server.
    embedded: EmbeddedConfig,
    log: telemetry::LogSection,
    telemetry: telemetry::Section,
}

/// The operator's word on one component.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct PluginSection {
    /// The SHA-256 of the component that this is for, in 64 small hexadecimal digits.
    digest: Option<String>,
    /// What it may use that no component may otherwise.
    #[schemars(extend("default" = []))]
    grants: Vec<GrantName>,
    /// What it reads by `config.get`.
    config: BTreeMap<String, ConfigValue>,
    /// Its own limits, over those of [plugins].
    // Read for the sake of its errors; `merged_limits` has the values.
    #[allow(dead_code, reason = "only that it can be read matters")]
    limits: Limits,
}

/// What can be granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
enum GrantName {
    /// The time of day; without it every clock starts at a fixed time.
    Clock,
    /// Random numbers; without it they are the same in every run.
    Randomness,
}

/// A value that a component reads as text.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(untagged, expecting = "a configuration value is a string, an integer or a boolean")]
enum ConfigValue {
    Text(String),
    Integer(i64),
    Boolean(bool),
}

impl ConfigValue {
    fn text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Integer(number) => number.to_string(),
            Self::Boolean(flag) => flag.to_string(),
        }
    }
}

#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct StatementsSection {
    /// How long a statement waits for a table lock, in milliseconds. 0: for ever.
    #[schemars(range(max = 2_147_483_647), extend("default" = STATEMENT_LOCK_TIMEOUT_MS))]
    lock_timeout_ms: Option<u64>,
    /// How long a statement runs, in milliseconds. 0: no limit.
    #[schemars(range(max = 2_147_483_647), extend("default" = 0))]
    timeout_ms: Option<u64>,
    /// How often a transaction is tried again that could not have a lock, collided or lost its connection.
    #[schemars(extend("default" = Persistence::default().retries))]
    retries: Option<u32>,
}

fn said_again(options: &Options) -> Vec<String> {
    let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
    let said = [
        ("--config", path(&options.config)),
        ("--backup-dir", options.backup.dir.clone()),
        ("--identity", path(&options.backup.identity)),
        ("--role", options.role.clone()),
        ("--schema", options.schema.clone()),
        ("--pg-bin", path(&options.pg_bin)),
    ];
    let given = said.into_iter().filter_map(|(option, value)| Some((option, value.filter(|value| !value.is_empty())?)));
    given.flat_map(|(option, value)| [option.to_owned(), value]).collect()
}

impl Config {
    /// Gathers the settings of a command.
    ///
    /// # Errors
    /// [`Error::Configuration`], naming the setting and its source.
    pub fn load(options: Options) -> Result<Self> {
        let named_role = options.called("role", "--role", "LOCKGATE_ROLE");
        let named_layout = options.called("layout", "`--layout`", "`LOCKGATE_LAYOUT`");
        let named_unrelated = options.called("unrelated", "`--unrelated`", "`LOCKGATE_UNRELATED`");
        let named_by = options.called("config", "--config", "LOCKGATE_CONFIG");
        let (file, text) = read_file(options.config.as_deref(), named_by)?;
        let said_again = said_again(&options);
        let source = options.called("database_url", "--database-url", "LOCKGATE_DATABASE_URL");
        let database = Database::gather(options.database_url.as_deref().map(|url| (url, source)), &file.database)?;
        if file.embedded.seed.is_some() != file.embedded.seed_at.is_some() {
            return Err(Error::configuration(
                "[embedded] in lockgate.toml has only one of `seed` and `seed_at`",
                "give both",
            ));
        }
        if let Some(seed_at) = &file.embedded.seed_at
            && Version::parse(seed_at).is_none()
        {
            return Err(Error::configuration(
                format!("`seed_at = \"{seed_at}\"` in lockgate.toml is no version"),
                "write digits",
            ));
        }
        let statement = &file.statements;
        for (key, value) in [("lock_timeout_ms", statement.lock_timeout_ms), ("timeout_ms", statement.timeout_ms)] {
            if value.is_some_and(|ms| i32::try_from(ms).is_err()) {
                let what = format!("`{key}` under [statements] in lockgate.toml is more than PostgreSQL takes");
                return Err(Error::configuration(what, "at most 2147483647 ms, or 0 for no limit"));
            }
        }
        let persistence = Persistence::default();
        let plugin = plugin_configs(file.plugin, &text)?;
        let dir = options.dir.or(file.dir).unwrap_or_else(|| "migrations".into());
        warn_of_strangers(&plugin, &dir);
        let cache_dir = if options.no_cache { None } else { options.cache_dir.or_else(Cache::default_folder) };
        let mut sources = database.sources();
        let given = options.role.map(|role| (role, named_role));
        let role =
            given.or(file.database.role.map(|role| (role, "lockgate.toml"))).filter(|(role, _)| !role.is_empty());
        sources.extend(role.iter().map(|(role, source)| ("role", role.clone(), *source)));
        Ok(Self {
            target: Target { role: role.map(|(role, _)| role), ..database.target()? },
            dir,
            layout: match &options.layout {
                Some(name) => layout(name, named_layout)?,
                None => file.layout.map(|name| layout(&name, "`layout` in lockgate.toml")).transpose()?.flatten(),
            },
            unrelated: [
                unrelated(&options.unrelated, named_unrelated)?,
                unrelated(&file.unrelated, "`unrelated` in lockgate.toml")?,
            ]
            .concat(),
            rules: Rules { sameness: file.checksum, out_of_order: options.out_of_order.unwrap_or(file.out_of_order) },
            schema: options.schema.filter(|s| !s.is_empty()).or(file.schema).unwrap_or_else(|| "public".into()),
            backup: backup::Settings::new(file.backup, file.drill, options.backup)?,
            throwaway: false,
            draw: false,
            pg_bin: options.pg_bin,
            lock_timeout: options.lock_timeout.or(file.lock_timeout_s.map(Duration::from_secs)).unwrap_or(LOCK_TIMEOUT),
            timeouts: Timeouts {
                lock: Duration::from_millis(statement.lock_timeout_ms.unwrap_or(STATEMENT_LOCK_TIMEOUT_MS)),
                statement: Duration::from_millis(statement.timeout_ms.unwrap_or(0)),
            },
            atomic: options.atomic,
            persistence: Persistence {
                retries: options.retries.or(statement.retries).unwrap_or(persistence.retries),
                reconnect: options
                    .reconnect_timeout
                    .or(file.reconnect_timeout_s.map(Duration::from_secs))
                    .unwrap_or(persistence.reconnect),
            },
            batches: file.batches,
            lint: lint::Settings::new(file.lint)?,
            rehearsal: file.rehearsal.into(),
            recorder: None,
            plugins: file.plugins,
            plugin,
            cache_dir,
            engine: SharedEngine::default(),
            embedded: file.embedded,
            stop: Stop::never(),
            so_far: SoFar::default(),
            events: Events::default(),
            log_dir: file.log.dir,
            telemetry: file.telemetry,
            meter: telemetry::Meter::default(),
            said_again,
            file: options.config,
            sources,
        })
    }

    /// The folders that Lockgate itself writes to, which are no migrations where they lie among them.
    pub fn own_folders(&self) -> Vec<PathBuf> {
        let backups = match &self.backup.location {
            Location::Folder(folder) => Some(folder.clone()),
            Location::S3 { .. } => None,
        };
        backups.into_iter().chain([self.log_dir.clone()]).collect()
    }

    /// The rights of a component, by its name and digest.
    ///
    /// # Errors
    /// When `lockgate.toml` has rights for another component of that name.
    pub fn rights_of(&self, name: &str, digest: &Checksum) -> Result<Rights, Problem> {
        let Some(plugin) = self.plugin.get(name) else {
            return Ok(Rights { limits: self.plugins.clone(), ..Rights::default() });
        };
        match &plugin.digest {
            Some(granted) if granted != digest => Err(Problem::new(
                format!("{name}.wasm"),
                format!("[plugin.{name}] in lockgate.toml is for the component {granted}, but this one is {digest}"),
                "review what has changed, then put the new digest there",
            )),
            _ => Ok(plugin.rights.clone()),
        }
    }

    /// What a component may use up, whichever it is.
    pub fn limits_of(&self, name: &str) -> &Limits {
        self.plugin.get(name).map_or(&self.plugins, |plugin| &plugin.rights.limits)
    }

    /// The WebAssembly engine of this run, with its cache of compiled components. A cache that cannot be used is done without.
    ///
    /// # Errors
    /// When the machine cannot run wasmtime.
    pub fn engine(&self) -> Result<Engine> {
        if let Some(engine) = self.engine.0.get() {
            return Ok(engine.clone());
        }
        let cache = self.cache_dir.as_deref().and_then(|folder| match Cache::open(folder) {
            Ok(cache) => Some(cache),
            Err(reason) => {
                let folder = folder.display().to_string();
                tracing::warn!(folder, reason, "the code cache cannot be used; components are compiled in every run");
                None
            }
        });
        let engine = Engine::with_cache(cache)?;
        Ok(self.engine.0.get_or_init(|| engine).clone())
    }

    /// The database that a URL names, with what it leaves open as usual.
    ///
    /// # Errors
    /// [`Error::Configuration`], naming the setting that it stands in.
    pub fn target_of(url: &str, source: &'static str) -> Result<Target> {
        let mut database = Database::default();
        database.merge_url(url, source)?;
        database.target()
    }

    /// True when nothing anywhere says which database to use.
    pub fn names_no_database(&self) -> bool {
        self.sources.iter().all(|(name, _, _)| *name == "role")
    }
}

/// The tools that were named in one place.
fn unrelated<'a>(names: &'a [String], source: &str) -> Result<&'a [String]> {
    match names.iter().find(|name| !adopt::names().any(|known| known == name.as_str())) {
        None => Ok(names),
        Some(unknown) => Err(Error::configuration(
            format!("{source} names `{unknown}`, which is no tool that is known"),
            format!(
                "{}it takes {}",
                suggest::did_you_mean(unknown, adopt::names()),
                adopt::names().collect::<Vec<_>>().join(", ")
            ),
        )),
    }
}

/// The layout that was asked for; `auto` and nothing are the same.
fn layout(name: &str, source: &str) -> Result<Option<String>> {
    if name == "auto" {
        return Ok(None);
    }
    let known = source::layouts();
    if known.contains(&name) {
        return Ok(Some(name.to_owned()));
    }
    Err(Error::configuration(
        format!("{source}: there is no layout `{name}`"),
        format!(
            "{}those that there are: auto, {}",
            suggest::did_you_mean(name, known.iter().copied()),
            known.join(", ")
        ),
    ))
}

/// Checks the sections of single components and gives each its whole set of rights.
fn plugin_configs(sections: BTreeMap<String, PluginSection>, text: &str) -> Result<BTreeMap<String, PluginConfig>> {
    let wrong = |what: String, next: &str| Error::configuration(format!("lockgate.toml: {what}"), next);
    let mut configs = BTreeMap::new();
    for (name, section) in sections {
        if name.ends_with(".wasm") {
            let what = format!("[plugin.\"{name}\"] has the ending of the file");
            return Err(wrong(what, "leave `.wasm` out, as in [plugin.004_hash_session_tokens]"));
        }
        let is_digest =
            |text: &String| text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if section.digest.as_ref().is_some_and(|digest| !is_digest(digest)) {
            let what = format!("`digest` under [plugin.{name}] is no SHA-256 in 64 small hexadecimal digits");
            return Err(wrong(what, "copy it from `lockgate plugin inspect` or lockgate.lock"));
        }
        if section.digest.is_none() && !(section.grants.is_empty() && section.config.is_empty()) {
            let what = format!("[plugin.{name}] grants something to whatever has that name");
            return Err(wrong(what, "say to which component by `digest`; `lockgate plugin inspect` prints it"));
        }
        let rights = Rights {
            limits: merged_limits(&name, text)?,
            clock: section.grants.contains(&GrantName::Clock),
            randomness: section.grants.contains(&GrantName::Randomness),
            config: section.config.into_iter().map(|(key, value)| (key, value.text())).collect(),
        };
        configs.insert(name, PluginConfig { digest: section.digest.map(Checksum::recorded), rights });
    }
    Ok(configs)
}

/// A component's own limits over those of all. A key that is not written must not fall back to its default, so this reads tables.
fn merged_limits(name: &str, text: &str) -> Result<Limits> {
    let damaged = |e: toml::de::Error| Error::configuration(format!("lockgate.toml: {}", e.message()), "mend it");
    let file: toml::Table = toml::from_str(text).map_err(damaged)?;
    let table = |value: Option<&toml::Value>| value.and_then(toml::Value::as_table).cloned().unwrap_or_default();
    let mut limits = table(file.get("plugins"));
    let own = file.get("plugin").and_then(|all| all.get(name)).and_then(|plugin| plugin.get("limits"));
    limits.extend(table(own));
    limits.try_into().map_err(damaged)
}

/// A section for a component that is not there may be a slip of the pen, or the folder another one by `--dir`.
fn warn_of_strangers(plugin: &BTreeMap<String, PluginConfig>, dir: &Path) {
    if !dir.is_dir() {
        return;
    }
    for name in plugin.keys().filter(|name| !dir.join(format!("{name}.wasm")).exists()) {
        let folder = dir.display().to_string();
        tracing::warn!(folder, "[plugin.{name}] in lockgate.toml is for no component of the migrations folder");
    }
}

/// What is needed before anything can be told, also of what is wrong with the rest: `None` where it cannot be read, of which
/// [`Config::load`] tells.
pub fn early(path: Option<&Path>) -> Option<telemetry::Sections> {
    match fs::read_to_string(path.unwrap_or(Path::new("lockgate.toml"))) {
        Ok(text) => toml::from_str(&text).ok(),
        Err(e) if e.kind() == io::ErrorKind::NotFound && path.is_none() => Some(telemetry::Sections::default()),
        Err(_) => None,
    }
}

fn read_file(path: Option<&Path>, named_by: &str) -> Result<(File, String)> {
    let (path, text) = read_text(path, named_by)?;
    match toml::from_str(&text) {
        Ok(file) => Ok((file, text)),
        Err(e) => Err(mistakes::explain(&path, &text, &e)),
    }
}

/// The path of the configuration file, and its text; none where no file was named and there is none.
fn read_text(named: Option<&Path>, named_by: &str) -> Result<(PathBuf, String)> {
    let path = named.unwrap_or(Path::new("lockgate.toml")).to_owned();
    match fs::read_to_string(&path) {
        Ok(text) => Ok((path, text)),
        Err(e) if e.kind() == io::ErrorKind::NotFound && named.is_none() => Ok((path, String::new())),
        Err(e) => Err(Error::configuration(
            format!("`{}` cannot be read: {e}", path.display()),
            format!("check `{named_by}`"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_of_the_file_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lockgate.toml");
        fs::write(&path, "dir = \"m\"\n[backup]\ndri = \"x\"\n").unwrap();
        let text = read_file(Some(&path), "--config").unwrap_err().to_string();
        assert!(text.contains("line 3") && text.contains("dri"), "{text}");
    }

    fn with_file(text: &str) -> Result<Config> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lockgate.toml");
        fs::write(&path, text).unwrap();
        Config::load(Options { config: Some(path), ..Options::default() })
    }

    #[test]
    fn rights_hold_for_one_component_only() {
        let (digest, other) = (Checksum::of_bytes(b"a"), Checksum::of_bytes(b"b"));
        let config = with_file(&format!(
            "[plugins]\ncpu_max_s = 7\nlog_max_lines = 8\n[plugin.004_a]\ndigest = \"{digest}\"\ngrants = [\"clock\"]\n\
             [plugin.004_a.config]\nkeep = true\nrows = 10\nname = \"x\"\n[plugin.004_a.limits]\ncpu_max_s = 600\n"
        ))
        .unwrap();
        let rights = config.rights_of("004_a", &digest).unwrap();
        assert!(rights.clock && !rights.randomness);
        let values: Vec<&str> = rights.config.values().map(String::as_str).collect();
        assert_eq!(values, ["true", "x", "10"]);
        let limits = |limits: &Limits| (limits.cpu_max_s, limits.log_max_lines, limits.wall_clock_max_s);
        assert_eq!(limits(&rights.limits), (600, 8, 3_600));
        assert_eq!(limits(config.limits_of("004_a")), (600, 8, 3_600));
        let problem = config.rights_of("004_a", &other).unwrap_err();
        assert!(problem.what.contains(digest.as_str()) && problem.what.contains(other.as_str()), "{problem:?}");
        let others = config.rights_of("005_b", &other).unwrap();
        assert!(!others.clock && others.config.is_empty());
        assert_eq!(limits(&others.limits), (7, 8, 3_600));
    }

    #[test]
    fn rights_without_a_digest_or_that_do_not_exist_are_refused() {
        let digest = "0".repeat(64);
        for (section, words) in [
            ("[plugin.004_a]\ngrants = [\"clock\"]".to_owned(), "to whatever has that name"),
            ("[plugin.004_a.config]\na = 1".to_owned(), "to whatever has that name"),
            ("[plugin.004_a]\ndigest = \"ABC\"".to_owned(), "is no SHA-256"),
            (
                format!("[plugin.004_a]\ndigest = \"{digest}\"\ngrants = [\"files\"]"),
                "line 3, column 11: unknown value `files` of `grants`",
            ),
            (
                format!("[plugin.004_a]\ndigest = \"{digest}\"\n[plugin.004_a.config]\na = 1.5"),
                "a string, an integer or a boolean",
            ),
            ("[plugin.004_a.limits]\ncpu = 1".to_owned(), "line 2, column 1: unknown key `cpu`"),
            ("[plugin.004_a]\ngrant = []".to_owned(), "did you mean `grants`?"),
            ("[plugin.\"004_a.wasm\".limits]\ncpu_max_s = 1".to_owned(), "leave `.wasm` out"),
        ] {
            let text = with_file(&section).unwrap_err().report().to_string();
            assert!(text.contains(words), "{words} not in {text}");
        }
        assert!(with_file("[plugin.004_a.limits]\ncpu_max_s = 1").is_ok());
    }
}
