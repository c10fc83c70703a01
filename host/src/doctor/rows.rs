//! Rows of an answer, and the same as typed rows of a finding.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer, ser::SerializeSeq};
use serde_json::{Map, Value};

use super::thresholds::ROWS_MAX;

/// A row as the server sent it.
#[derive(Debug, Clone)]
pub struct Row(pub Vec<Option<String>>);

impl Row {
    /// The text in a column; empty for NULL.
    pub fn text(&self, i: usize) -> &str {
        self.maybe(i).unwrap_or_default()
    }

    /// The text in a column; `None` for NULL.
    pub fn maybe(&self, i: usize) -> Option<&str> {
        self.0.get(i)?.as_deref()
    }

    /// A whole number; zero for NULL. What has a fraction loses it.
    pub fn int(&self, i: usize) -> i64 {
        self.maybe_int(i).unwrap_or(0)
    }

    /// A whole number; `None` for NULL.
    pub fn maybe_int(&self, i: usize) -> Option<i64> {
        let text = self.maybe(i)?;
        text.split('.').next().and_then(|whole| whole.parse().ok())
    }

    /// True where the server says so.
    pub fn is(&self, i: usize) -> bool {
        self.maybe(i) == Some("t")
    }
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A text.
    Text,
    /// The text of a query: shortened, and not shown where it may hold a password.
    Query,
    /// A number that names something.
    Id,
    /// A count.
    Count,
    /// Bytes.
    Bytes,
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
    /// A share of a hundred.
    Percent,
}

/// A column of a finding's rows.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its name, in words.
    pub name: &'static str,
    /// What it holds.
    pub unit: Unit,
}

/// A column of this name and unit.
pub const fn column(name: &'static str, unit: Unit) -> Column {
    Column { name, unit }
}

impl Column {
    /// Its name in JSON, with the unit last: `open_s`.
    pub fn key(&self) -> String {
        let name = self.name.replace([' ', '-'], "_");
        let unit = match self.unit {
            Unit::Text | Unit::Query | Unit::Id | Unit::Count => "",
            Unit::Bytes => "_bytes",
            Unit::Seconds => "_s",
            Unit::Milliseconds => "_ms",
            Unit::Percent => "_percent",
        };
        name + unit
    }

    fn value(&self, text: Option<&str>) -> Value {
        let Some(text) = text else { return Value::Null };
        match self.unit {
            Unit::Text => text.into(),
            Unit::Query => shortened(text).into(),
            _ => match (text.parse::<i64>(), text.parse::<f64>()) {
                (Ok(whole), _) => whole.into(),
                (_, Ok(number)) => number.into(),
                _ => Value::Null,
            },
        }
    }
}

/// Typed rows; in JSON an array of objects.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    /// What the columns are.
    pub columns: Vec<Column>,
    /// The values of each row, in the columns' order.
    pub rows: Vec<Vec<Value>>,
}

impl Rows {
    /// The first columns of the first of these rows.
    pub fn of<'a>(columns: &[Column], rows: impl IntoIterator<Item = &'a Row>) -> Self {
        let row = |row: &Row| columns.iter().enumerate().map(|(i, column)| column.value(row.maybe(i))).collect();
        Self { columns: columns.to_vec(), rows: rows.into_iter().take(ROWS_MAX).map(row).collect() }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl Serialize for Rows {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut sequence = serializer.serialize_seq(Some(self.rows.len()))?;
        for row in &self.rows {
            let object: Map<String, Value> = self.columns.iter().map(Column::key).zip(row.iter().cloned()).collect();
            sequence.serialize_element(&object)?;
        }
        sequence.end()
    }
}

impl JsonSchema for Rows {
    fn schema_name() -> Cow<'static, str> {
        "Rows".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "array",
            "description": "Rows; the names of the columns are those of the check.",
            "items": {
                "type": "object",
                "description": "A row: each column by its name.",
                "additionalProperties": { "type": ["string", "number", "boolean", "null"] },
            },
        })
    }
}

/// How much of a query is told.
const QUERY_MAX_CHARS: usize = 200;

/// A query in one line of printable characters. Some statements spell passwords out; those are not repeated.
pub fn shortened(query: &str) -> String {
    let lower = query.to_lowercase();
    if ["password", "identified by", "secret"].iter().any(|word| lower.contains(word)) {
        return "(not shown: it may hold a password)".to_owned();
    }
    let words: Vec<&str> = query.split_whitespace().collect();
    crate::printable::printable_in(QUERY_MAX_CHARS, &words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_with_a_password_is_not_repeated() {
        assert!(!shortened("ALTER ROLE a\nPASSWORD 'hidden'").contains("hidden"));
        assert_eq!(shortened("SELECT  1,\n\t2"), "SELECT 1, 2");
        assert_eq!(shortened("SELECT '\u{1b}[31m'"), "SELECT ' [31m'");
    }

    #[test]
    fn rows_are_objects_whose_names_end_with_the_unit() {
        let columns = [column("table", Unit::Text), column("dead rows", Unit::Count), column("open", Unit::Seconds)];
        let rows = [Row(vec![Some("t".into()), Some("5".into()), Some("1.5".into()), Some("rest".into())])];
        let json = serde_json::to_value(Rows::of(&columns, &rows)).unwrap();
        assert_eq!(json, serde_json::json!([{ "table": "t", "dead_rows": 5, "open_s": 1.5 }]));
    }
}
