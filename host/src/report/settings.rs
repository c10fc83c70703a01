//! The settings as people read them.

use std::fmt::Write as _;

use serde_json::Value;

use super::{
    View,
    layout::{Cell, Column, FAINT, table},
};
use crate::{config::settings::Settings, printable::printable};

/// The text of the settings, with the sources of the values.
pub fn settings(settings: &Settings, view: View) -> String {
    let columns = ["setting", "value", "source"].map(Column::new);
    let rows: Vec<Vec<Cell>> = settings
        .settings
        .iter()
        .map(|setting| {
            let value = setting.value.as_ref().map_or_else(|| "-".into(), in_words);
            let source = match setting.source.as_str() {
                "default" => Cell::styled("default", FAINT),
                source => source.into(),
            };
            vec![printable(&setting.name).into(), printable(&value).into(), source]
        })
        .collect();
    let mut text = table(&columns, &rows, 1, view);
    let _ = match &settings.file {
        Some(file) => writeln!(text, "configuration file: {}", file.display()),
        None => writeln!(text, "no configuration file: there is no lockgate.toml here, and `--config` names none"),
    };
    text
}

/// Strings as they are, and the rest as it would be written.
fn in_words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) if values.is_empty() => "-".into(),
        Value::Array(values) => values.iter().map(in_words).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}
