//! What every setting is, and who has said so: `lockgate config show`.

mod elsewhere;
mod options;

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

pub use self::options::Given;
use self::{
    elsewhere::{OWN_SERVER, VARIABLES, collector_by_variable, in_effect, of_variable, store_by_variables},
    options::{by_option, place},
};
use super::{
    Config,
    masked::{self, HIDDEN},
    schema,
};
use crate::error::Result;

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
    /// As in the file, with its section: `backup.dir`. An option that has no place there: `--cache-dir`. A variable that is neither:
    /// `AWS_ACCESS_KEY_ID`.
    pub name: String,
    /// Its value; a secret is `***`. None: nothing sets it, and what is done then depends.
    pub value: Option<Value>,
    /// An option (`--dir`), a variable (`LOCKGATE_DIR`, `DATABASE_URL`, `DB_HOST`, …), `lockgate.toml` or `default`.
    pub source: String,
}

impl Settings {
    /// Everything that the program knows, looked up in the order in which it looks. `own_server`: what says that the project's own is meant,
    /// where it is.
    ///
    /// # Errors
    /// When the configuration file cannot be read any more.
    pub fn gather(config: &Config, given: &[Given], own_server: Option<&str>) -> Result<Self> {
        let (file, text) = super::read_text(config.file.as_deref(), "--config")?;
        let written = schema::as_json(&text).map_err(|e| super::mistakes::explain(&file, &text, &e))?;
        let keys = schema::keys();
        let mut settings: Vec<Setting> = Vec::new();
        for key in &keys {
            for (name, value) in written_at(&written, &key.path) {
                settings.push(match value {
                    Some(value) => Setting { name, value: Some(value), source: FILE.into() },
                    None => {
                        let value = in_effect(&name, config).or_else(|| key.default.clone());
                        Setting { name, value, source: DEFAULT.into() }
                    }
                });
            }
        }
        for (name, value, source) in &config.sources {
            put(&mut settings, format!("database.{name}"), Value::from(value.as_str()), source);
        }
        if let Some(source) = own_server {
            for (name, value) in OWN_SERVER {
                put(&mut settings, format!("database.{name}"), Value::from(value), source);
            }
        }
        store_by_variables(&mut settings);
        collector_by_variable(&mut settings);
        for given in given {
            by_option(&mut settings, given, place(&given.id, &keys), config);
        }
        settings.extend(VARIABLES.iter().filter_map(|name| of_variable(name)));
        for setting in &mut settings {
            hide(setting);
        }
        let file = (!text.is_empty()).then_some(file);
        Ok(Self { file, settings })
    }
}

/// The configuration file, unless another is named.
pub const FILE: &str = "lockgate.toml";
const DEFAULT: &str = "default";

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
    let telling = ["password", "secret", "token", "header", "credential", "command", "access_key"];
    let lower = last.to_ascii_lowercase();
    let telling = telling.iter().any(|word| lower.contains(word)) && !lower.ends_with("_file");
    match &mut setting.value {
        // Whether to ask for a password is none.
        Some(Value::String(flag)) if !of_a_component && matches!(flag.as_str(), "true" | "false") => {}
        Some(value) if of_a_component || telling => *value = Value::from(HIDDEN),
        Some(Value::String(text)) if name.starts_with("telemetry.") => *text = masked::place(text),
        Some(Value::String(text)) => {
            if let Some(hidden) = masked::url(text) {
                *text = hidden;
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Options;

    pub(super) fn gathered(text: &str, given: &[Given]) -> Settings {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lockgate.toml");
        std::fs::write(&path, text).unwrap();
        let config = Config::load(Options { config: Some(path), ..Options::default() }).unwrap();
        Settings::gather(&config, given, None).unwrap()
    }

    pub(super) fn setting(settings: &Settings, name: &str) -> (Option<Value>, String) {
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
    fn every_key_of_the_file_is_shown() {
        let settings = gathered("", &[]);
        for key in schema::keys().iter().filter(|key| !key.path.iter().any(|part| part == "*")) {
            setting(&settings, &key.name());
        }
        for name in ["database.connect_timeout", "database.target_session_attrs", "database.ssl_mode"] {
            assert!(setting(&settings, name).0.is_some(), "{name} is not told");
        }
        let several = gathered("[database]\nhost = \"a,b\"", &[]);
        assert_eq!(setting(&several, "database.target_session_attrs"), (Some(Value::from("primary")), DEFAULT.into()));
    }

    #[test]
    fn the_projects_own_server_is_shown_where_it_is_meant() {
        let config = Config::load(Options::default()).unwrap();
        let settings = Settings::gather(&config, &[], Some("--embedded")).unwrap();
        assert_eq!(setting(&settings, "database.host"), (Some(Value::from("127.0.0.1")), "--embedded".into()));
        assert_eq!(setting(&settings, "database.user"), (Some(Value::from("lockgate")), "--embedded".into()));
    }
}
