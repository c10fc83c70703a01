//! A document held against its schema, and what of it is the same in every run.

use std::{fs, path::PathBuf};

use jsonschema::Validator;
use lockgate_tests::{Call, Scenario};
use serde_json::Value;

/// The schema of that name, as it is committed.
pub fn schema(name: &str) -> Value {
    let file = format!("../docs/schemas/{}.schema.json", name.replace(' ', "-"));
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap()
}

/// What checks documents against it.
pub fn validator(name: &str) -> Validator {
    jsonschema::validator_for(&schema(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Claims that the document is as the schema of that name says.
#[track_caller]
pub fn is_described(name: &str, document: &Value) {
    let wrong: Vec<String> = validator(name).iter_errors(document).map(|error| error.to_string()).collect();
    assert!(wrong.is_empty(), "`{name}` prints what its schema does not describe: {wrong:#?}\n{document:#}");
}

/// What the command prints, held against its schema.
pub async fn printed(command: &str, code: i32, call: Call) -> Value {
    let outcome = call.arg("--output").arg("json").await.exits_with(code);
    let document: Value = serde_json::from_str(&outcome.stdout).unwrap_or_else(|e| panic!("{e}: {outcome:?}"));
    assert_eq!(document["command"], command);
    is_described(command, &document);
    document
}

/// Claims that the document is as the snapshot of that name, but for what is another in every run.
pub fn is_as_ever(name: &str, scenario: &Scenario, mut document: Value) {
    let port = scenario.port().to_string();
    redact(&mut document, "", &[(scenario.database(), "DATABASE"), (scenario.host(), "HOST"), (port.as_str(), "PORT")]);
    is_snapshot(name, &document);
}

/// Claims that the events of a run are as the snapshot of that name, but for what is another in every run: a line of it for each.
pub fn are_as_ever(name: &str, scenario: &Scenario, mut events: Vec<Value>) {
    let port = scenario.port().to_string();
    let known = [(scenario.database(), "DATABASE"), (scenario.host(), "HOST"), (port.as_str(), "PORT")];
    events.iter_mut().for_each(|event| redact(event, "", &known));
    let mut settings = insta::Settings::clone_current();
    settings.set_omit_expression(true);
    settings.set_prepend_module_to_snapshot(false);
    let lines: Vec<String> = events.iter().map(Value::to_string).collect();
    settings.bind(|| insta::assert_snapshot!(name, lines.join("\n")));
}

/// Claims that the document has the fields that the snapshot of that name has, whatever they say.
pub fn has_its_shape(name: &str, document: &Value) {
    is_snapshot(name, &shape(document));
}

fn is_snapshot(name: &str, document: &Value) {
    let mut settings = insta::Settings::clone_current();
    settings.set_omit_expression(true);
    settings.set_prepend_module_to_snapshot(false);
    settings.bind(|| insta::assert_snapshot!(name, format!("{document:#}")));
}

/// Keys whose values are never the same twice, or depend on the server.
const VOLATILE: [&str; 18] = [
    "run_id",
    "kept_as",
    "major",
    "application",
    "by",
    "client_address",
    "backup_id",
    "system_identifier",
    "server_version",
    "lockgate_version",
    "lsn",
    "sha256",
    "hash",
    "pg_dump_major",
    "os_user",
    "pid",
    "about_bytes",
    "clock_skew_ms",
];

/// What a number or a time of that key says is true of one run only.
fn is_measured(key: &str) -> bool {
    ["_ms", "_us", "_at", "_bytes", "_s"].iter().any(|end| key.ends_with(end))
        || ["ms", "at", "bytes", "head", "journal_head", "host"].contains(&key)
}

fn redact(value: &mut Value, key: &str, known: &[(&str, &str)]) {
    match value {
        Value::Object(object) => object.iter_mut().for_each(|(key, value)| redact(value, key, known)),
        Value::Array(array) => array.iter_mut().for_each(|value| redact(value, key, known)),
        Value::Null | Value::Bool(_) => {}
        other if VOLATILE.contains(&key) || is_measured(key) => *other = format!("[{key}]").into(),
        Value::String(text) => {
            for (from, to) in known {
                *text = text.replace(from, &format!("[{to}]"));
            }
            // Where the programs are is the machine's affair.
            if let Some((command, options)) = text.split_once(" --pg-bin ") {
                *text = format!(
                    "{command}{}",
                    options.split_once(' ').map(|(_, rest)| format!(" {rest}")).unwrap_or_default()
                );
            }
            *text = without_digests(text);
        }
        Value::Number(_) => {}
    }
}

/// Dates, digests and ids, and the numbers that words like `3 ms` tell, are other ones in every run.
fn without_digests(text: &str) -> String {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let mut out = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c| !word(c)).unwrap_or(rest.len());
        let (token, after) = rest.split_at(end);
        // The rest of a time of day: `2026-01-01T00` is followed by `:00:00.000Z`.
        let after = match after.strip_prefix(':') {
            Some(_) if token.starts_with("20") && token.contains('T') => {
                after.trim_start_matches([':', '.', 'Z', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
            }
            _ => after,
        };
        let bare = token.trim_start_matches('_');
        let hexadecimal = bare.len() >= 12 && bare.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
        let digest = bare.len() == 64 && hexadecimal;
        let dated = !digest
            && bare.len() >= 10
            && bare.starts_with("20")
            && bare.bytes().filter(u8::is_ascii_digit).count() >= 8;
        let number = !token.is_empty() && token.bytes().all(|b| b.is_ascii_digit());
        let measured = number && [" ms", " s", " bytes", " KiB"].iter().any(|unit| after.starts_with(unit));
        out += match token {
            _ if dated => "[TIME]",
            _ if hexadecimal => "[ID]",
            _ if measured => "[N]",
            token => token,
        };
        let next = after.find(word).unwrap_or(after.len());
        out += &after[..next];
        rest = &after[next..];
    }
    out
}

/// The document with each value as what it is, and of each list the first: for what is measured from end to end.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(object) => object.iter().map(|(key, value)| (key.clone(), shape(value))).collect(),
        Value::Array(array) => array.first().map(shape).into_iter().collect(),
        Value::Number(_) => "a number".into(),
        Value::String(_) => "a text".into(),
        Value::Bool(_) => "true or false".into(),
        Value::Null => "nothing".into(),
    }
}

#[test]
fn an_undocumented_and_a_missing_field_are_rejected_wherever_they_are() {
    let good = serde_json::json!({
        "format": 1, "command": "status",
        "result": {
            "database": "d", "problems": [],
            "migrations": [{ "version": "001", "description": "a", "kind": "sql", "state": "pending", "applied": null }],
        },
    });
    let status = validator("status");
    assert!(status.is_valid(&good));
    let mut extra = good.clone();
    extra["more"] = 1.into();
    assert!(!status.is_valid(&extra));
    let mut inner = good.clone();
    inner["result"]["migrations"][0]["more"] = 1.into();
    assert!(!status.is_valid(&inner));
    let mut missing = good.clone();
    missing["result"].as_object_mut().unwrap().remove("problems");
    assert!(!status.is_valid(&missing));
    let mut other = good;
    other["command"] = "up".into();
    assert!(!status.is_valid(&other));
}

#[test]
fn what_is_flattened_into_an_object_is_closed_as_well() {
    let listing = |more: &str| {
        let mut step = serde_json::json!({ "sql": "SELECT 1", "transaction": 1, "locks": [] });
        if !more.is_empty() {
            step[more] = 1.into();
        }
        let migration =
            serde_json::json!({ "version": "001", "name": "001_a", "kind": "sql", "atomic": true, "steps": [step] });
        let plan = serde_json::json!({ "direction": "up", "migrations": [migration], "backup": true, "findings": [] });
        serde_json::json!({ "format": 1, "command": "plan", "result": plan })
    };
    let plan = validator("plan");
    let errors: Vec<String> = plan.iter_errors(&listing("")).map(|error| error.to_string()).collect();
    assert_eq!(errors, Vec::<String>::new());
    assert!(!plan.is_valid(&listing("more")));
}
