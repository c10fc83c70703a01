//! What is said elsewhere than by options and in the file: by variables that other programs read as well, and by the program itself.

use std::{env, path::PathBuf};

use serde_json::Value;

use super::{DEFAULT, Setting};
use crate::{
    config::{Config, masked::HIDDEN},
    postgres::passfile_path,
};

/// The connection to the project's own server, which is not started to be shown.
pub(super) const OWN_SERVER: [(&str, &str); 5] = [
    ("host", "127.0.0.1"),
    ("port", "one that is free when it starts"),
    ("user", "lockgate"),
    ("password", HIDDEN),
    ("ssl_mode", "disable"),
];

/// Variables that are read and stand for no option and no key.
pub(super) const VARIABLES: [&str; 5] =
    ["LOCKGATE_LOG", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"];

/// What holds where nothing is said, if that depends on the rest.
pub(super) fn in_effect(name: &str, config: &Config) -> Option<Value> {
    let target = &config.target;
    let path = |path: &Option<PathBuf>| path.as_ref().map(|path| Value::from(path.display().to_string()));
    match name {
        "database.connect_timeout" => Some(Value::from(target.connect_timeout.as_secs())),
        "database.target_session_attrs" => Some(Value::from(target.attributes.as_str())),
        "database.ssl_mode" => Some(Value::from(target.tls.mode.as_str())),
        "database.passfile" => path(&passfile_path(target)),
        _ => None,
    }
}

/// What the environment says about the place of backups, as every program for such places reads it.
pub(super) fn store_by_variables(settings: &mut [Setting]) {
    for (name, variables) in [
        ("backup.s3.endpoint", ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]),
        ("backup.s3.region", ["AWS_REGION", "AWS_DEFAULT_REGION"]),
    ] {
        let place = settings.iter_mut().find(|setting| setting.name == name && setting.source == DEFAULT);
        if let (Some(place), Some(found)) = (place, variables.iter().find_map(|name| of_variable(name))) {
            (place.value, place.source) = (found.value, found.source);
        }
    }
}

/// What the environment says about the collector, as every program with OpenTelemetry reads it: after an option, before the file.
pub(super) fn collector_by_variable(settings: &mut [Setting]) {
    const VARIABLE: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
    let place = settings.iter_mut().find(|setting| setting.name == "telemetry.otlp_endpoint");
    let by_lockgate = |source: &str| source.starts_with("--") || source.starts_with("LOCKGATE_");
    if let (Some(place), Some(found)) = (place.filter(|place| !by_lockgate(&place.source)), of_variable(VARIABLE)) {
        (place.value, place.source) = (found.value, found.source);
    }
}

pub(super) fn of_variable(name: &str) -> Option<Setting> {
    let value = env::var(name).ok().filter(|value| !value.is_empty())?;
    Some(Setting { name: name.to_owned(), value: Some(Value::from(value)), source: name.to_owned() })
}
