//! One line of the log, as text for people and as JSON for programs.

use std::fmt::{self, Write as _};

use anstyle::AnsiColor;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracing::{
    Level,
    field::{Field, Visit},
};

use crate::printable::{escaped, is_unfit};

/// How lines are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people: time, level, what it belongs to, the message, further fields.
    #[default]
    Text,
    /// For programs: one object a line.
    Json,
}

/// The keys that say what a line belongs to; they come first in both forms.
pub const CONTEXT: [&str; 3] = ["run_id", "migration", "step"];
/// The keys of a line's JSON that no field of an event may take.
const RESERVED: [&str; 5] = ["timestamp", "level", "target", "span", "message"];

/// What was logged, with what the spans around it say.
#[derive(Debug)]
pub struct Line<'a> {
    /// When.
    pub at: jiff::Timestamp,
    /// How grave.
    pub level: Level,
    /// Which part of the program.
    pub target: &'a str,
    /// The innermost span.
    pub span: Option<&'static str>,
    /// What it belongs to, and its own fields, the message among them.
    pub fields: Fields,
}

impl Line<'_> {
    /// Writes it with a line break at its end, and none in it: whoever reads the log may rely on that each line has its run.
    pub fn written(&self, format: Format, color: bool) -> String {
        match format {
            Format::Text => self.text(color),
            Format::Json => self.json(),
        }
    }

    fn text(&self, color: bool) -> String {
        let style = match self.level {
            _ if !color => anstyle::Style::new(),
            Level::ERROR => AnsiColor::Red.on_default(),
            Level::WARN => AnsiColor::Yellow.on_default(),
            Level::INFO => AnsiColor::Green.on_default(),
            _ => AnsiColor::Blue.on_default(),
        };
        let mut text = format!("{:.3} {style}{:>5}{style:#}", self.at, self.level.as_str());
        for name in CONTEXT {
            if let Some(value) = self.fields.of(name) {
                let _ = write!(text, " {name}={}", shown(value));
            }
        }
        text.push(':');
        if let Some(message) = self.fields.of("message") {
            let message = message.as_str().map_or_else(|| message.to_string(), escaped);
            let _ = write!(text, " {message}");
        }
        for (name, value) in self.fields.beyond_context().filter(|(name, _)| *name != "message") {
            let _ = write!(text, " {name}={}", shown(value));
        }
        text.push('\n');
        text
    }

    fn json(&self) -> String {
        let mut text = format!(r#"{{"timestamp":"{:.3}","level":"{}""#, self.at, self.level);
        let mut put = |name: &str, value: &Value| {
            let _ = write!(text, ",{}:{value}", Value::from(name));
        };
        put("target", &self.target.into());
        for name in CONTEXT {
            if let Some(value) = self.fields.of(name) {
                put(name, value);
            }
        }
        if let Some(span) = self.span {
            put("span", &span.into());
        }
        put("message", self.fields.of("message").unwrap_or(&Value::from("")));
        for (name, value) in self.fields.beyond_context().filter(|(name, _)| *name != "message") {
            match RESERVED.contains(&name) {
                true => put(&format!("{name}_"), value),
                false => put(name, value),
            }
        }
        text.push_str("}\n");
        text
    }
}

/// Plain where nothing can be mistaken, else in quotes.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() || text.contains([' ', '"', '=']) || text.contains(is_unfit) => {
            format!("{text:?}")
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Names and values, each name once; what comes later counts.
#[derive(Debug, Clone, Default)]
pub struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    /// The value of this name.
    pub fn of(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// Gives a name its value.
    pub fn put(&mut self, name: &'static str, value: impl Into<Value>) {
        let value = value.into();
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.0.push((name, value)),
        }
    }

    /// Takes over what says where a line belongs, unless it is known.
    pub fn in_context_of(&mut self, outer: &Self) {
        for name in CONTEXT {
            if let Some(value) = outer.of(name).filter(|_| self.of(name).is_none()) {
                self.put(name, value.clone());
            }
        }
    }

    fn beyond_context(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.0.iter().filter(|(name, _)| !CONTEXT.contains(name)).map(|(name, value)| (*name, value))
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), value);
    }

    // JSON has no numbers of that size; milliseconds, which come as such, never need it.
    fn record_i128(&mut self, field: &Field, value: i128) {
        self.put(field.name(), i64::try_from(value).unwrap_or(i64::MAX));
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.put(field.name(), u64::try_from(value).unwrap_or(u64::MAX));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(fields: &[(&'static str, Value)]) -> Line<'static> {
        let mut all = Fields::default();
        fields.iter().for_each(|(name, value)| all.put(name, value.clone()));
        let at = "2026-01-02T03:04:05.678901Z".parse().unwrap();
        Line { at, level: Level::WARN, target: "lockgate::runner", span: Some("step"), fields: all }
    }

    #[test]
    fn text_tells_first_what_it_belongs_to() {
        let line = line(&[
            ("message", "two\nlines \u{1b}[31m".into()),
            ("rows", 3.into()),
            ("who", "pid 7".into()),
            ("name", "a\u{202e}b".into()),
            ("step", "1 (SQL)".into()),
            ("run_id", "019".into()),
        ]);
        let told = "2026-01-02T03:04:05.678Z  WARN run_id=019 step=\"1 (SQL)\": two\\nlines \\u{1b}[31m rows=3 who=\"pid 7\" name=\"a\\u{202e}b\"\n";
        assert_eq!(line.written(Format::Text, false), told);
        assert!(line.written(Format::Text, true).contains("\u{1b}[33m WARN\u{1b}[0m run_id"));
    }

    #[test]
    fn json_is_one_object_a_line_whatever_fields_are_called() {
        let line = line(&[("message", "a \"b\"\n".into()), ("level", 3.into()), ("migration", "001_a".into())]);
        let text = line.written(Format::Json, true);
        assert_eq!(text.matches('\n').count(), 1);
        let read: Value = serde_json::from_str(&text).unwrap();
        let told = serde_json::json!({
            "timestamp": "2026-01-02T03:04:05.678Z", "level": "WARN", "target": "lockgate::runner", "migration": "001_a",
            "span": "step", "message": "a \"b\"\n", "level_": 3
        });
        assert_eq!(read, told);
    }

    #[test]
    fn the_inner_context_counts() {
        let (mut inner, mut outer) = (Fields::default(), Fields::default());
        inner.put("step", "2");
        outer.put("step", "1");
        outer.put("run_id", "r");
        outer.put("rows", 3);
        inner.in_context_of(&outer);
        assert_eq!(
            (inner.of("step"), inner.of("run_id"), inner.of("rows")),
            (Some(&"2".into()), Some(&"r".into()), None)
        );
    }
}
