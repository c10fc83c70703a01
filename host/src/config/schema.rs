//! The JSON schema of `lockgate.toml`, made from the structs that read it: what it knows is what can be written.

use schemars::{Schema, generate::SchemaSettings, transform::transform_subschemas};
use serde_json::{Map, Value, json};

use super::File;

/// The schema, JSON Schema 2020-12. docs/lockgate.schema.json is what it was at the last release.
pub fn of_file() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.with_transform(written_in_toml).into_generator().into_root_schema_for::<File>();
    // What a component's own limits leave open is as [plugins] says, not as the program does.
    let limits = "/properties/plugin/additionalProperties/properties/limits/properties";
    if let Some(Value::Object(limits)) = schema.pointer_mut(limits) {
        for limit in limits.values_mut().filter_map(Value::as_object_mut) {
            limit.remove("default");
        }
    }
    schema.insert("title".into(), json!("lockgate.toml"));
    schema.to_value()
}

/// TOML has no null: what is not set is left out. It knows one kind of integer, and a section that is not written has no default.
fn written_in_toml(schema: &mut Schema) {
    transform_subschemas(&mut written_in_toml, schema);
    let Some(object) = schema.as_object_mut() else { return };
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".into(), only);
        }
    }
    if object.get("type").is_some_and(|name| name == "integer") {
        object.remove("format");
    }
    if object.get("default").is_some_and(|default| default.is_null() || default.is_object()) {
        object.remove("default");
    }
    if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
        choices.retain(|choice| choice["type"] != "null");
        if let [Value::Object(only)] = choices.as_slice() {
            let only = only.clone();
            object.remove("anyOf");
            // A field's own description is more to the point than that of its type.
            for (key, value) in only {
                object.entry(key).or_insert(value);
            }
        }
    }
}

/// What a configuration file says, as a schema looks at it.
///
/// # Errors
/// Where it is no TOML.
pub fn as_json(text: &str) -> Result<Value, toml::de::Error> {
    let table: toml::Table = toml::from_str(text)?;
    table.try_into()
}

/// A key that can be written.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// Its way from the top of the file, such as `backup`, `retention`, `last`. `*` is any name.
    pub path: Vec<String>,
    /// What it is unless it is set.
    pub default: Option<Value>,
}

impl Key {
    /// As it is written with its section: `backup.retention.last`.
    pub fn name(&self) -> String {
        self.path.join(".")
    }
}

/// All keys that hold a value, in the order of the schema.
pub fn keys() -> Vec<Key> {
    let mut keys = Vec::new();
    collect(&of_file(), &mut Vec::new(), &mut keys);
    keys
}

fn collect(schema: &Value, path: &mut Vec<String>, keys: &mut Vec<Key>) {
    let none = Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&none);
    let any = schema.get("additionalProperties").filter(|any| any.is_object());
    if properties.is_empty() && any.is_none() {
        keys.push(Key { path: path.clone(), default: schema.get("default").cloned() });
        return;
    }
    let any = any.map(|any| ("*", any));
    for (name, below) in properties.iter().map(|(name, below)| (name.as_str(), below)).chain(any) {
        path.push(name.to_owned());
        collect(below, path, keys);
        path.pop();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{super::Options, *};
    use crate::config::Config;

    fn load(text: &str) -> crate::error::Result<Config> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lockgate.toml");
        std::fs::write(&path, text).unwrap();
        Config::load(Options { config: Some(path), ..Options::default() })
    }

    /// All objects of the schema with the names of their keys; a name in place of `*`.
    fn sections(schema: &Value, path: &str, found: &mut Vec<(String, BTreeSet<String>)>) {
        let any = schema.get("additionalProperties").filter(|any| any.is_object());
        if let Some(any) = any {
            sections(any, &format!("{path}.\"x\""), found);
        }
        let Some(properties) = schema["properties"].as_object() else { return };
        found.push((path.to_owned(), properties.keys().cloned().collect()));
        for (name, below) in properties {
            sections(below, &format!("{path}.{name}"), found);
        }
    }

    #[test]
    fn the_schema_knows_the_keys_that_the_file_may_have_and_no_others() {
        let mut found = Vec::new();
        sections(&of_file(), "", &mut found);
        assert!(found.len() > 10, "{found:?}");
        for (path, keys) in found {
            let header = if path.is_empty() { String::new() } else { format!("[{}]\n", &path[1..]) };
            let refused = toml::from_str::<File>(&format!("{header}there_is_no_such_key = 1\n")).unwrap_err();
            let (_, expected) = refused.message().split_once("expected").unwrap();
            let expected: BTreeSet<String> = expected.split('`').skip(1).step_by(2).map(str::to_owned).collect();
            assert_eq!(keys, expected, "under [{path}]");
        }
    }

    #[test]
    fn the_defaults_that_it_states_are_those_of_the_program() {
        let mut file = toml::Table::new();
        for Key { path, default } in keys() {
            let Some(default) = default else { continue };
            // A store fills in what is not set when it is opened; a name that stands for any is none of a component.
            if path.iter().any(|part| part == "s3" || part == "*") {
                continue;
            }
            let (last, sections) = path.split_last().unwrap();
            let mut table = &mut file;
            for section in sections {
                let entry = table.entry(section.clone()).or_insert_with(|| toml::Table::new().into());
                table = entry.as_table_mut().unwrap();
            }
            table.insert(last.clone(), toml::Value::try_from(default).unwrap());
        }
        assert!(file["plugins"].as_table().unwrap().len() > 10 && file["dir"].as_str() == Some("migrations"), "{file}");
        let shown = |text: &str| {
            let c = load(text).unwrap();
            let first = (&c.target, &c.dir, &c.layout, &c.unrelated, &c.rules, &c.schema, &c.backup, &c.lock_timeout);
            let rest = (&c.timeouts, &c.persistence, &c.batches, &c.lint, &c.rehearsal, &c.plugins, &c.embedded);
            format!("{first:?} {rest:?}")
        };
        assert_eq!(shown(&file.to_string()), shown(""));
    }

    #[test]
    fn every_key_says_what_it_is() {
        fn look(schema: &Value, path: &str) {
            for (name, below) in schema["properties"].as_object().into_iter().flatten() {
                let path = format!("{path}.{name}");
                assert!(below["description"].is_string(), "`{path}` has no description: {below}");
                look(below, &path);
            }
            if schema["type"] == "object" && schema.get("properties").is_some() {
                assert_eq!(schema["additionalProperties"], false, "{path}");
            }
        }
        look(&of_file(), "");
    }

    #[test]
    fn the_committed_schema_is_that_of_the_program() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/lockgate.schema.json");
        let committed: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert_eq!(committed, of_file(), "stale: run `lockgate config schema > docs/lockgate.schema.json`");
    }
}
