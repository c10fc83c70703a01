//! docs/json.md: its examples are what the schemas describe, and its table is whole.

use std::{fs, path::PathBuf};

use serde_json::Value;

use super::described::{is_described, validator};

fn docs(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs").join(path)
}

/// The fenced blocks of that language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn the_examples_are_valid() {
    let text = fs::read_to_string(docs("json.md")).unwrap();
    let examples = blocks(&text, "json");
    assert_eq!(examples.len(), 3);
    for example in examples {
        let document: Value = serde_json::from_str(&example).unwrap();
        is_described(document["command"].as_str().unwrap(), &document);
    }
    let lines = blocks(&text, "ndjson").concat();
    assert_eq!(lines.lines().count(), 3);
    for line in lines.lines() {
        let event = serde_json::from_str(line).unwrap();
        let wrong: Vec<String> = validator("event").iter_errors(&event).map(|error| error.to_string()).collect();
        assert_eq!(wrong, Vec::<String>::new(), "{line}");
    }
}

#[test]
fn every_schema_and_every_event_is_in_the_tables_and_every_link_leads_somewhere() {
    let text = fs::read_to_string(docs("json.md")).unwrap();
    for entry in fs::read_dir(docs("schemas")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(text.contains(&format!("(schemas/{name})")), "{name} is not in docs/json.md");
    }
    for link in text.split("](").skip(1) {
        let target = link.split(')').next().unwrap();
        assert!(docs(target).exists(), "docs/json.md links to {target}, which is not there");
    }
    let schema = super::described::schema("event");
    let kinds = schema["oneOf"].as_array().unwrap();
    assert!(kinds.len() > 15);
    for kind in kinds {
        let name = kind["properties"]["event"]["const"].as_str().unwrap();
        assert!(text.contains(&format!("`{name}`")), "the event {name} is not in docs/json.md");
    }
}
