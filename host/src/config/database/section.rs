//! `[database]` in `lockgate.toml`.

use std::path::PathBuf;

use serde::Deserialize;

use super::settings::{COUNT, SETTINGS};

#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct DatabaseSection {
    /// The host, or the folder of a socket; several with commas between them.
    #[schemars(extend("default" = "localhost"))]
    host: Option<String>,
    /// The address of each host, where its name is not to be looked up.
    hostaddr: Option<String>,
    /// The port, or one for each host with commas between them.
    #[schemars(extend("default" = 5432))]
    port: Option<Ports>,
    /// The database.
    #[schemars(extend("default" = "auth_service"))]
    name: Option<String>,
    /// The role to log in as.
    #[schemars(extend("default" = "postgres"))]
    user: Option<String>,
    /// A file that holds the password.
    password_file: Option<PathBuf>,
    /// A command that prints the password.
    password_command: Option<String>,
    /// The password file in libpq's form; `~/.pgpass` unless set.
    passfile: Option<PathBuf>,
    /// A role to take on after the login.
    pub(in crate::config) role: Option<String>,
    /// TLS: disable, allow, prefer, require, verify-ca or verify-full.
    #[schemars(extend("default" = "prefer"))]
    ssl_mode: Option<String>,
    /// The certificates to trust, or `system`; `~/.postgresql/root.crt`, if there is one, unless set.
    ssl_root_cert: Option<PathBuf>,
    /// The client's certificate; `~/.postgresql/postgresql.crt`, if there is one, unless set.
    ssl_cert: Option<PathBuf>,
    /// The client's key; `~/.postgresql/postgresql.key`, if there is one, unless set.
    ssl_key: Option<PathBuf>,
    /// The certificates that are revoked; `~/.postgresql/root.crl`, if there is one, unless set.
    ssl_crl: Option<PathBuf>,
    /// How TLS begins: postgres or direct.
    #[schemars(extend("default" = "postgres"))]
    ssl_negotiation: Option<String>,
    /// Whether the login is bound to the TLS connection: disable, prefer or require.
    #[schemars(extend("default" = "prefer"))]
    channel_binding: Option<String>,
    /// Which server will do: any, read-write, read-only, primary, standby or prefer-standby; of several hosts the primary unless set.
    target_session_attrs: Option<String>,
    /// The order in which hosts are tried: disable, as they are written, or random.
    #[schemars(extend("default" = "disable"))]
    load_balance_hosts: Option<String>,
    /// Settings of the session, as `-c name=value`.
    options: Option<String>,
    /// How long a connection may take, in seconds.
    connect_timeout: Option<i64>,
    /// The name of a service in libpq's service file.
    service: Option<String>,
}

/// One port, or one for each host with commas between them.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(untagged, expecting = "a port is a number, or a text such as \"5432,5433\"")]
enum Ports {
    One(u16),
    Several(String),
}

impl DatabaseSection {
    /// The value of each setting.
    pub(super) fn values(&self) -> [Option<String>; COUNT] {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        SETTINGS.map(|setting| match setting.name {
            "host" => self.host.clone(),
            "hostaddr" => self.hostaddr.clone(),
            "port" => self.port.as_ref().map(|ports| match ports {
                Ports::One(port) => port.to_string(),
                Ports::Several(ports) => ports.clone(),
            }),
            "name" => self.name.clone(),
            "user" => self.user.clone(),
            "password_file" => path(&self.password_file),
            "password_command" => self.password_command.clone(),
            "passfile" => path(&self.passfile),
            "ssl_mode" => self.ssl_mode.clone(),
            "ssl_root_cert" => path(&self.ssl_root_cert),
            "ssl_cert" => path(&self.ssl_cert),
            "ssl_key" => path(&self.ssl_key),
            "ssl_crl" => path(&self.ssl_crl),
            "ssl_negotiation" => self.ssl_negotiation.clone(),
            "channel_binding" => self.channel_binding.clone(),
            "target_session_attrs" => self.target_session_attrs.clone(),
            "load_balance_hosts" => self.load_balance_hosts.clone(),
            "options" => self.options.clone(),
            "connect_timeout" => self.connect_timeout.map(|seconds| seconds.to_string()),
            "service" => self.service.clone(),
            // A password is never in the file.
            _ => None,
        })
    }
}
