//! Where every setting comes from: option, LOCKGATE_*, DATABASE_URL, DB_*, PG*, `lockgate.toml`, default; the first that is set wins.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;

use crate::{
    error::{Error, Result},
    migration::Version,
    plugin::{Limits, Rights},
    postgres::{Secret, Target, Timeouts, TlsMode},
    stop::Stop,
};

/// The validated settings of a command.
#[derive(Debug, Clone)]
pub struct Config {
    /// The database.
    pub target: Target,
    /// The migrations folder.
    pub dir: PathBuf,
    /// The schema of history and journal.
    pub schema: String,
    /// Whether a run takes a backup before its first change.
    pub backup: bool,
    /// The folder of backups.
    pub backup_dir: PathBuf,
    /// Where to look for PostgreSQL's programs; `None`: everywhere they usually are.
    pub pg_bin: Option<PathBuf>,
    /// How long to wait for another run.
    pub lock_timeout: Duration,
    /// How long a migration's statements may wait and run.
    pub timeouts: Timeouts,
    /// What components may use up.
    pub plugins: Limits,
    /// What the project's own server does.
    pub embedded: EmbeddedConfig,
    /// Whether the process was asked to stop.
    pub stop: Stop,
    /// Which database settings were given, and where: name, value without secrets, source.
    pub sources: Vec<(&'static str, String, &'static str)>,
}

/// `[embedded]` in `lockgate.toml`.
#[derive(Debug, Clone, Default, Deserialize)]
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

/// What the command line and LOCKGATE_* say.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--database-url`.
    pub database_url: Option<String>,
    /// `--dir`.
    pub dir: Option<PathBuf>,
    /// `--schema`.
    pub schema: Option<String>,
    /// `--no-backup`.
    pub no_backup: bool,
    /// `--backup-dir`.
    pub backup_dir: Option<PathBuf>,
    /// `--pg-bin`.
    pub pg_bin: Option<PathBuf>,
    /// `--lock-timeout`.
    pub lock_timeout: Option<Duration>,
}

/// Five minutes: longer than a usual run, shorter than a pipeline's patience.
const LOCK_TIMEOUT: Duration = Duration::from_secs(300);
/// A statement that waits longer for a table lock makes everybody else queue behind it.
const STATEMENT_LOCK_TIMEOUT_MS: u64 = 3_000;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    dir: Option<PathBuf>,
    schema: Option<String>,
    lock_timeout_s: Option<u64>,
    database: DatabaseSection,
    backup: BackupSection,
    statements: StatementsSection,
    plugins: Limits,
    embedded: EmbeddedConfig,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct DatabaseSection {
    host: Option<String>,
    port: Option<u16>,
    name: Option<String>,
    user: Option<String>,
    ssl_mode: Option<String>,
    ssl_root_cert: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct BackupSection {
    enabled: Option<bool>,
    dir: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct StatementsSection {
    lock_timeout_ms: Option<u64>,
    timeout_ms: Option<u64>,
}

impl Config {
    /// Gathers the settings of a command.
    ///
    /// # Errors
    /// [`Error::Configuration`], naming the setting and its source.
    pub fn load(options: Options) -> Result<Self> {
        let file = read_file(options.config.as_deref())?;
        let mut database = Database::default();
        if let Some(url) = options.database_url.as_ref().filter(|url| !url.is_empty()) {
            database.merge_url(url, "--database-url")?;
        }
        if let Some(url) = variable("DATABASE_URL") {
            database.merge_url(&url, "DATABASE_URL")?;
        }
        for names in [
            ["DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DB_PASSWORD", "DB_SSL_MODE", "DB_SSL_ROOT_CERT"],
            ["PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGPASSWORD", "PGSSLMODE", "PGSSLROOTCERT"],
        ] {
            database.merge(names.map(|name| variable(name).map(|value| (value, name))));
        }
        let section = &file.database;
        let from_file = [
            section.host.clone(),
            section.port.map(|p| p.to_string()),
            section.name.clone(),
            section.user.clone(),
            None,
            section.ssl_mode.clone(),
            section.ssl_root_cert.as_ref().map(|p| p.display().to_string()),
        ];
        database.merge(from_file.map(|value| value.map(|value| (value, "lockgate.toml"))));
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
        Ok(Self {
            target: database.target()?,
            dir: options.dir.or(file.dir).unwrap_or_else(|| "migrations".into()),
            schema: options.schema.filter(|s| !s.is_empty()).or(file.schema).unwrap_or_else(|| "public".into()),
            backup: !options.no_backup && file.backup.enabled.unwrap_or(true),
            backup_dir: options.backup_dir.or(file.backup.dir).unwrap_or_else(|| "backups".into()),
            pg_bin: options.pg_bin,
            lock_timeout: options.lock_timeout.or(file.lock_timeout_s.map(Duration::from_secs)).unwrap_or(LOCK_TIMEOUT),
            timeouts: Timeouts {
                lock: Duration::from_millis(statement.lock_timeout_ms.unwrap_or(STATEMENT_LOCK_TIMEOUT_MS)),
                statement: Duration::from_millis(statement.timeout_ms.unwrap_or(0)),
            },
            plugins: file.plugins,
            embedded: file.embedded,
            stop: Stop::never(),
            sources: database.sources(),
        })
    }

    /// The rights of every component.
    pub fn rights(&self) -> Rights {
        Rights { limits: self.plugins.clone(), ..Rights::default() }
    }

    /// True when nothing anywhere says which database to use.
    pub fn names_no_database(&self) -> bool {
        self.sources.is_empty()
    }
}

/// An empty variable counts as none, as in the shell's `${DB_HOST:-localhost}`.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn read_file(path: Option<&Path>) -> Result<File> {
    let named = path.is_some();
    let path = path.unwrap_or(Path::new("lockgate.toml"));
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound && !named => return Ok(File::default()),
        Err(e) => {
            return Err(Error::configuration(format!("`{}` cannot be read: {e}", path.display()), "check `--config`"));
        }
    };
    toml::from_str(&text).map_err(|e| {
        let line = e.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        Error::configuration(format!("`{}`, line {line}: {}", path.display(), e.message()), "see docs/configuration.md")
    })
}

/// The seven settings of a connection, each with its value and its source.
#[derive(Debug, Default)]
struct Database {
    fields: [Option<(String, &'static str)>; 7],
}

const NAMES: [&str; 7] = ["host", "port", "name", "user", "password", "ssl_mode", "ssl_root_cert"];
const PASSWORD: usize = 4;

impl Database {
    fn merge_url(&mut self, url: &str, source: &'static str) -> Result<()> {
        let parts = crate::postgres::parse_url(url).map_err(|e| {
            Error::configuration(
                format!("{source} is no database URL: {e}"),
                "write it as `postgres://user:password@host:port/database?sslmode=prefer`",
            )
        })?;
        self.merge(parts.map(|value| value.map(|value| (value, source))));
        Ok(())
    }

    /// Fills what no earlier source has set.
    fn merge(&mut self, layer: [Option<(String, &'static str)>; 7]) {
        for (field, value) in self.fields.iter_mut().zip(layer) {
            *field = field.take().or(value);
        }
    }

    fn target(&self) -> Result<Target> {
        let value = |i: usize| self.fields[i].as_ref().map(|(value, _)| value.clone());
        let source = |i: usize| self.fields[i].as_ref().map_or("default", |(_, source)| *source);
        let port = match value(1) {
            Some(text) => text.parse().ok().filter(|port| *port != 0).ok_or_else(|| {
                Error::configuration(format!("{}=`{text}` is no port", source(1)), "use a number from 1 to 65535")
            })?,
            None => 5432,
        };
        let tls = match value(5) {
            Some(text) => text
                .parse::<TlsMode>()
                .map_err(|e| Error::configuration(format!("{}: {e}", source(5)), "the default is prefer"))?,
            None => TlsMode::Prefer,
        };
        Ok(Target {
            host: value(0).unwrap_or_else(|| "localhost".into()),
            port,
            database: value(2).unwrap_or_else(|| "auth_service".into()),
            user: value(3).unwrap_or_else(|| "postgres".into()),
            password: value(PASSWORD).map(Secret::new),
            tls,
            root_cert: value(6).map(PathBuf::from),
        })
    }

    fn sources(&self) -> Vec<(&'static str, String, &'static str)> {
        let shown = |i: usize, value: &str| if i == PASSWORD { "***".to_owned() } else { value.to_owned() };
        let given = self.fields.iter().enumerate();
        given
            .filter_map(|(i, field)| field.as_ref().map(|(value, source)| (NAMES[i], shown(i, value), *source)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(url: &str) -> Result<Target> {
        let mut database = Database::default();
        database.merge_url(url, "DATABASE_URL")?;
        database.target()
    }

    #[test]
    fn the_defaults_are_those_of_the_old_script() {
        let target = Database::default().target().unwrap();
        assert_eq!(target.to_string(), "`auth_service` at localhost:5432 as `postgres`");
        assert_eq!((target.password, target.tls), (None, TlsMode::Prefer));
    }

    #[test]
    fn a_url_sets_everything() {
        let target = url("postgres://me:p%40ss@db:5433/auth?sslmode=verify-full&sslrootcert=/ca.pem").unwrap();
        assert_eq!(target.to_string(), "`auth` at db:5433 as `me`");
        assert_eq!(target.password.as_ref().unwrap().reveal(), "p@ss");
        assert_eq!((target.tls, target.root_cert), (TlsMode::VerifyFull, Some("/ca.pem".into())));
    }

    #[test]
    fn a_bad_setting_names_its_source_and_no_secret() {
        for bad in [
            "mysql://me:secret@db/auth",
            "postgres://me:secret@db:x/auth",
            "postgres://me:secret@db/auth?sslmode=maybe",
            "postgres://me:secret@db/a?x=1",
        ] {
            let text = url(bad).unwrap_err().to_string();
            assert!(text.contains("DATABASE_URL") && !text.contains("secret"), "{text}");
        }
    }

    #[test]
    fn sources_show_no_password() {
        let mut database = Database::default();
        database.merge_url("postgres://me:secret@db/auth", "DATABASE_URL").unwrap();
        let shown = format!("{:?} {:?}", database.sources(), database.target().unwrap());
        assert!(shown.contains("***") && !shown.contains("secret"), "{shown}");
    }

    #[test]
    fn unknown_keys_of_the_file_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lockgate.toml");
        fs::write(&path, "dir = \"m\"\n[backup]\ndri = \"x\"\n").unwrap();
        let text = read_file(Some(&path)).unwrap_err().to_string();
        assert!(text.contains("line 3") && text.contains("dri"), "{text}");
    }
}
