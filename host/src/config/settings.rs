//! What every setting is, and who has said so: `lockgate config show`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::{Config, schema};
use crate::error::Result;

/// What stands in the place of a secret.
const HIDDEN: &str = "***";

/// Settings of the file that an option can set as well, by the names of both. The other options have no place in the file.
const OPTIONS: [(&str, &str); 19] = [
    ("dir", "dir"),
    ("layout", "layout"),
    ("unrelated", "unrelated"),
    ("out_of_order", "out_of_order"),
    ("role", "database.role"),
    ("schema", "schema"),
    ("lock_timeout", "lock_timeout_s"),
    ("reconnect_timeout", "reconnect_timeout_s"),
    ("no_backup", "backup.enabled"),
    ("backup_dir", "backup.dir"),
    ("backup_role", "backup.role"),
    ("identity", "backup.identity"),
    ("retries", "statements.retries"),
    ("prometheus_file", "telemetry.prometheus_file"),
    ("otlp_endpoint", "telemetry.otlp_endpoint"),
    ("push_url", "telemetry.push_url"),
    ("require_rehearsal", "rehearsal.require"),
    ("on", "rehearsal.on"),
    ("mask", "rehearsal.mask"),
];

/// An option that stands for a setting.
#[derive(Debug, Clone)]
pub struct Given {
    /// Its name in the program.
    pub id: String,
    /// As it is written: `--dir`.
    pub option: String,
    /// What was given, or what it is without.
    pub value: String,
    /// The option or the variable that it was given by; `None`: by nothing.
    pub source: Option<String>,
}

/// All settings.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Settings {
    /// The configuration file that was read; none where there is none.
    pub file: Option<PathBuf>,
    /// In the order of the file; what can only be an option last.
    pub settings: Vec<Setting>,
}

/// One setting.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Setting {
    /// As in the file, with its section: `backup.dir`. An option that has no place there: `--cache-dir`.
    pub name: String,
    /// Its value; a secret is `***`. None: nothing sets it, and what is done then depends.
    pub value: Option<Value>,
    /// An option (`--dir`), a variable (`LOCKGATE_DIR`, `DATABASE_URL`, `DB_HOST`, …), `lockgate.toml` or `default`.
    pub source: String,
}

impl Settings {
    /// Everything that the program knows, looked up in the order in which it looks.
    ///
    /// # Errors
    /// When the configuration file cannot be read any more.
    pub fn gather(config: &Config, given: &[Given]) -> Result<Self> {
        let (file, text) = super::read_text(config.file.as_deref())?;
        let written = schema::as_json(&text).map_err(|e| super::mistakes::explain(&file, &text, &e))?;
        let mut settings: Vec<Setting> = Vec::new();
        for key in schema::keys() {
            for (name, value) in written_at(&written, &key.path) {
                settings.push(match value {
                    Some(value) => Setting { name, value: Some(value), source: "lockgate.toml".into() },
                    None => Setting { name, value: key.default.clone(), source: "default".into() },
                });
            }
        }
        for (name, value, source) in &config.sources {
            put(&mut settings, format!("database.{name}"), Value::from(value.as_str()), source);
        }
        for given in given.iter().filter(|given| !matches!(given.id.as_str(), "config" | "database_url")) {
            let place = OPTIONS.iter().find(|(id, _)| *id == given.id).map(|(_, name)| (*name).to_owned());
            match (place, &given.source) {
                (Some(name), Some(source)) => put(&mut settings, name.clone(), in_file(&name, &given.value), source),
                (Some(_), None) => {}
                (None, source) => {
                    let value = (!given.value.is_empty()).then(|| Value::from(given.value.as_str()));
                    let source = source.clone().unwrap_or_else(|| "default".into());
                    settings.push(Setting { name: given.option.clone(), value, source });
                }
            }
        }
        for setting in &mut settings {
            hide(setting);
        }
        let file = (!text.is_empty()).then_some(file);
        Ok(Self { file, settings })
    }
}

/// The value of a setting by an option, as it would be written in the file.
fn in_file(name: &str, value: &str) -> Value {
    match name {
        "backup.enabled" => Value::from(value != "true"),
        "unrelated" => value.split(',').map(Value::from).collect(),
        "rehearsal.require" => Value::from(value != "false"),
        _ if name.ends_with("_s") => match value.parse::<jiff::SignedDuration>() {
            Ok(time) => Value::from(time.as_secs()),
            Err(_) => Value::from(value),
        },
        _ => value.parse::<u64>().map_or_else(|_| Value::from(value), Value::from),
    }
}

fn put(settings: &mut Vec<Setting>, name: String, value: Value, source: &str) {
    let setting = Setting { name, value: Some(value), source: source.to_owned() };
    match settings.iter_mut().find(|other| other.name == setting.name) {
        Some(place) => *place = setting,
        None => {
            // Beside the others of its section.
            let section = setting.name.split_once('.').map_or("", |(section, _)| section);
            let after = settings.iter().rposition(|other| other.name.starts_with(&format!("{section}.")));
            settings.insert(after.map_or(settings.len(), |i| i + 1), setting);
        }
    }
}

/// What the file has at a key, and under which name: of `*` all names that are there.
fn written_at(written: &Value, path: &[String]) -> Vec<(String, Option<Value>)> {
    let mut found = vec![(String::new(), Some(written.clone()))];
    for part in path {
        found = found
            .into_iter()
            .flat_map(|(name, value)| {
                let below = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
                match (part.as_str(), value) {
                    ("*", Some(Value::Object(all))) => {
                        all.into_iter().map(|(key, value)| (below(&key), Some(value))).collect()
                    }
                    ("*", _) => Vec::new(),
                    (key, Some(value)) => vec![(below(key), value.get(key).cloned())],
                    (key, None) => vec![(below(key), None)],
                }
            })
            .collect();
    }
    // A component's own limits that are not written are as [plugins] says, and what nobody grants is none.
    found.retain(|(name, value)| value.is_some() || !name.starts_with("plugin."));
    found
}

/// Hides what may be a secret: values that a component was given, passwords, headers and tokens, commands that tell a password, and the
/// password of a URL.
fn hide(setting: &mut Setting) {
    let name = setting.name.as_str();
    let last = name.rsplit('.').next().unwrap_or(name);
    let of_a_component = name.starts_with("plugin.") && name.split('.').any(|part| part == "config");
    let telling = ["password", "secret", "token", "header", "credential", "command"];
    let telling = telling.iter().any(|word| last.contains(word)) && !last.ends_with("_file");
    match &mut setting.value {
        Some(value) if of_a_component || telling => *value = Value::from(HIDDEN),
        Some(Value::String(text)) => {
            if let Some(hidden) = without_password(text) {
                *text = hidden;
            }
        }
        _ => {}
    }
}

/// The URL with `***` for its password; nothing where there is none.
fn without_password(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let mut hidden = rest.to_owned();
    // The last `@`: some write one into a password.
    if let Some((user, _)) = authority.rsplit_once('@')
        && let Some((name, _)) = user.split_once(':')
    {
        hidden = format!("{name}:{HIDDEN}{}", &rest[user.len()..]);
    }
    if let Some((before, parameters)) = hidden.split_once('?') {
        let parameters: Vec<String> = parameters
            .split('&')
            .map(|pair| match pair.split_once('=') {
                Some((key, _)) if key.to_ascii_lowercase().contains("password") => format!("{key}={HIDDEN}"),
                _ => pair.to_owned(),
            })
            .collect();
        hidden = format!("{before}?{}", parameters.join("&"));
    }
    Some(format!("{scheme}://{hidden}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Options;

    fn gathered(text: &str, given: &[Given]) -> Settings {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lockgate.toml");
        std::fs::write(&path, text).unwrap();
        let config = Config::load(Options { config: Some(path), ..Options::default() }).unwrap();
        Settings::gather(&config, given).unwrap()
    }

    fn setting(settings: &Settings, name: &str) -> (Option<Value>, String) {
        let setting = settings.settings.iter().find(|setting| setting.name == name);
        let setting = setting.unwrap_or_else(|| panic!("no `{name}` in {settings:?}"));
        (setting.value.clone(), setting.source.clone())
    }

    #[test]
    fn each_setting_has_its_value_and_its_source() {
        let given = |id: &str, value: &str, source: &str| Given {
            id: id.into(),
            option: format!("--{id}"),
            value: value.into(),
            source: (!source.is_empty()).then(|| source.to_owned()),
        };
        let settings = gathered(
            "schema = \"audit\"\nlock_timeout_s = 7\n[backup]\ndir = \"there\"\n[backup.retention]\nlast = 3\n",
            &[
                given("lock_timeout", "10m", "LOCKGATE_LOCK_TIMEOUT"),
                given("no_backup", "true", "--no-backup"),
                given("dir", "", ""),
                given("cache_dir", "/c", "--cache-dir"),
            ],
        );
        for (name, value, source) in [
            ("dir", Value::from("migrations"), "default"),
            ("schema", Value::from("audit"), "lockgate.toml"),
            ("lock_timeout_s", Value::from(600), "LOCKGATE_LOCK_TIMEOUT"),
            ("backup.enabled", Value::from(false), "--no-backup"),
            ("backup.dir", Value::from("there"), "lockgate.toml"),
            ("backup.retention.last", Value::from(3), "lockgate.toml"),
            ("backup.retention.daily", Value::from(7), "default"),
            ("plugins.cursors_max", Value::from(64), "default"),
            ("--cache_dir", Value::from("/c"), "--cache-dir"),
        ] {
            assert_eq!(setting(&settings, name), (Some(value), source.to_owned()), "{name}");
        }
    }

    #[test]
    fn no_secret_is_shown() {
        let digest = "0".repeat(64);
        let settings = gathered(
            &format!(
                "[rehearsal]\non = \"postgres://me:hush@db/x?sslmode=require&password=hush\"\n\
                 [plugin.004_a]\ndigest = \"{digest}\"\n[plugin.004_a.config]\nkey = \"hush\"\n"
            ),
            &[],
        );
        let shown = serde_json::to_string(&settings).unwrap();
        assert!(!shown.contains("hush") && shown.contains("postgres://me:***@db/x?sslmode=require"), "{shown}");
        assert_eq!(setting(&settings, "plugin.004_a.config.key").0, Some(Value::from(HIDDEN)));
        assert_eq!(setting(&settings, "plugin.004_a.digest").0, Some(Value::from(digest)));
    }

    #[test]
    fn options_stand_for_keys_that_there_are() {
        let keys: Vec<String> = schema::keys().into_iter().map(|key| key.path.join(".")).collect();
        for (_, name) in OPTIONS {
            assert!(keys.iter().any(|key| key == name), "{name} is no key of {keys:?}");
        }
    }
}
