//! `[database]` in `lockgate.toml`.

use std::path::PathBuf;

use serde::Deserialize;

use super::settings::{COUNT, SETTINGS};

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct DatabaseSection {
    host: Option<String>,
    hostaddr: Option<String>,
    port: Option<Ports>,
    name: Option<String>,
    user: Option<String>,
    password_file: Option<PathBuf>,
    password_command: Option<String>,
    passfile: Option<PathBuf>,
    pub(in crate::config) role: Option<String>,
    ssl_mode: Option<String>,
    ssl_root_cert: Option<PathBuf>,
    ssl_cert: Option<PathBuf>,
    ssl_key: Option<PathBuf>,
    ssl_crl: Option<PathBuf>,
    ssl_negotiation: Option<String>,
    channel_binding: Option<String>,
    target_session_attrs: Option<String>,
    load_balance_hosts: Option<String>,
    options: Option<String>,
    connect_timeout: Option<i64>,
    service: Option<String>,
}

/// One port, or one for each host with commas between them.
#[derive(Debug, Clone, Deserialize)]
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
