//! The settings of a connection: URL, DB_*, PG* and `[database]`, the first that is set wins.

use std::{env, path::PathBuf};

use serde::Deserialize;

use crate::{
    error::{Error, Result},
    postgres::{Secret, Target, TlsMode},
};

#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct DatabaseSection {
    /// The host, or the folder of a socket.
    #[schemars(extend("default" = "localhost"))]
    host: Option<String>,
    /// The port.
    #[schemars(extend("default" = 5432))]
    port: Option<u16>,
    /// The database.
    #[schemars(extend("default" = "auth_service"))]
    name: Option<String>,
    /// The role to log in as.
    #[schemars(extend("default" = "postgres"))]
    user: Option<String>,
    /// A role to take on after the login.
    pub(super) role: Option<String>,
    /// TLS: disable, prefer, require, verify-ca or verify-full.
    #[schemars(extend("default" = "prefer"))]
    ssl_mode: Option<String>,
    /// The certificates to trust; the system's unless set.
    ssl_root_cert: Option<PathBuf>,
}

/// The seven settings of a connection, each with its value and its source.
#[derive(Debug, Default)]
pub(super) struct Database {
    fields: [Option<(String, &'static str)>; 7],
}

const NAMES: [&str; 7] = ["host", "port", "name", "user", "password", "ssl_mode", "ssl_root_cert"];
const PASSWORD: usize = 4;

impl Database {
    /// Fills each setting from the first source that has it.
    ///
    /// # Errors
    /// [`Error::Configuration`], naming the source of a URL that cannot be read.
    pub(super) fn gather(url: Option<&str>, section: &DatabaseSection) -> Result<Self> {
        let mut database = Database::default();
        if let Some(url) = url.filter(|url| !url.is_empty()) {
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
        Ok(database)
    }

    pub(super) fn merge_url(&mut self, url: &str, source: &'static str) -> Result<()> {
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

    pub(super) fn target(&self) -> Result<Target> {
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
            role: None,
            password: value(PASSWORD).map(Secret::new),
            tls,
            root_cert: value(6).map(PathBuf::from),
        })
    }

    pub(super) fn sources(&self) -> Vec<(&'static str, String, &'static str)> {
        let shown = |i: usize, value: &str| if i == PASSWORD { "***".to_owned() } else { value.to_owned() };
        let given = self.fields.iter().enumerate();
        given
            .filter_map(|(i, field)| field.as_ref().map(|(value, source)| (NAMES[i], shown(i, value), *source)))
            .collect()
    }
}

/// An empty variable counts as none, as in the shell's `${DB_HOST:-localhost}`.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
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
}
