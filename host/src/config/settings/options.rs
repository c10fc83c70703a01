//! Which settings the options of the command line stand for.

use serde_json::Value;

use super::{DEFAULT, Setting, put};
use crate::config::{Config, schema::Key};

/// Settings of the file that an option of another name can set as well, by the names of both.
const OTHERWISE_CALLED: [(&str, &str); 8] = [
    ("role", "database.role"),
    ("lock_timeout", "lock_timeout_s"),
    ("reconnect_timeout", "reconnect_timeout_s"),
    ("no_backup", "backup.enabled"),
    ("no_log_files", "log.enabled"),
    ("require_rehearsal", "rehearsal.require"),
    ("log_dir", "log.dir"),
    ("log_level", "log.level"),
];

/// Options that have no place in the file, though a key there has such a name: this one is about the log on stderr.
const ONLY_OPTIONS: [&str; 1] = ["log_format"];

/// The setting of the file that an option sets as well, by its name in the program; nothing where there is none.
pub(super) fn place(id: &str, keys: &[Key]) -> Option<String> {
    if ONLY_OPTIONS.contains(&id) {
        return None;
    }
    let otherwise = OTHERWISE_CALLED.iter().find(|(option, _)| *option == id).map(|(_, name)| (*name).to_owned());
    let own = || keys.iter().filter(|key| !key.path.iter().any(|part| part == "*"));
    let exact = || own().find(|key| key.path.join("_") == id).map(Key::name);
    // `--prometheus-file` is `[telemetry] prometheus_file`.
    let in_a_section = || match own().filter(|key| key.path[1..].join("_") == id).collect::<Vec<_>>().as_slice() {
        [only] => Some(only.name()),
        _ => None,
    };
    otherwise.or_else(exact).or_else(in_a_section)
}

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

/// What an option, or its variable, says: at the place of the file that it stands for, or at the end.
pub(super) fn by_option(settings: &mut Vec<Setting>, given: &Given, place: Option<String>, config: &Config) {
    let (place, source) = match (place, &given.source) {
        (Some(place), Some(source)) => (place, source.as_str()),
        (Some(_), None) => return,
        (None, source) => {
            let value = (!given.value.is_empty()).then(|| Value::from(given.value.as_str()));
            let value = value.or_else(|| match given.id.as_str() {
                "cache_dir" => config.cache_dir.as_ref().map(|folder| Value::from(folder.display().to_string())),
                _ => None,
            });
            let source = source.clone().unwrap_or_else(|| DEFAULT.into());
            settings.push(Setting { name: given.option.clone(), value, source });
            return;
        }
    };
    match (given.id.as_str(), given.value.as_str()) {
        // A flag that a variable denies leaves it to the file.
        (id, value) if id.starts_with("no_") => {
            if value == "true" {
                put(settings, place, Value::from(false), source);
            }
        }
        ("require_rehearsal", "true" | "") => put(settings, place, Value::from(true), source),
        ("require_rehearsal", "false") => put(settings, place, Value::from(false), source),
        ("require_rehearsal", file) => {
            put(settings, place, Value::from(true), source);
            put(settings, "rehearsal.certificate".into(), Value::from(file), source);
        }
        (_, value) => {
            let value = in_file(&place, value);
            put(settings, place, value, source);
        }
    }
}

/// The value of a setting by an option, as it would be written in the file.
fn in_file(name: &str, value: &str) -> Value {
    match name {
        "unrelated" => value.split(',').map(Value::from).collect(),
        _ if name.ends_with("_s") => match value.parse::<jiff::SignedDuration>() {
            Ok(time) => Value::from(time.as_secs()),
            Err(_) => Value::from(value),
        },
        _ => value.parse::<u64>().map_or_else(|_| Value::from(value), Value::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{
        schema,
        settings::tests::{gathered, setting},
    };

    #[test]
    fn options_stand_for_keys_that_there_are() {
        let keys = schema::keys();
        for (id, name) in OTHERWISE_CALLED {
            assert!(keys.iter().any(|key| key.name() == name), "{name} is no key of {keys:?}");
            assert_eq!(place(id, &keys).as_deref(), Some(name));
        }
        for (id, name) in [
            ("dir", Some("dir")),
            ("backup_dir", Some("backup.dir")),
            ("prometheus_file", Some("telemetry.prometheus_file")),
            ("retries", Some("statements.retries")),
            ("mask", Some("rehearsal.mask")),
            ("log_format", None),
            ("cache_dir", None),
            ("config", None),
        ] {
            assert_eq!(place(id, &keys).as_deref(), name, "{id}");
        }
    }

    #[test]
    fn a_rehearsal_may_be_required_by_the_name_of_its_certificate() {
        let required = |value: &str| {
            let source = Some("LOCKGATE_REQUIRE_REHEARSAL".to_owned());
            let option = "--require-rehearsal".to_owned();
            let settings =
                gathered("", &[Given { id: "require_rehearsal".into(), option, value: value.into(), source }]);
            (setting(&settings, "rehearsal.require").0, setting(&settings, "rehearsal.certificate").1)
        };
        assert_eq!(required("a.json"), (Some(Value::from(true)), "LOCKGATE_REQUIRE_REHEARSAL".into()));
        assert_eq!(required("true"), (Some(Value::from(true)), DEFAULT.into()));
        assert_eq!(required("false"), (Some(Value::from(false)), DEFAULT.into()));
    }
}
