//! Between the guest's types, generated from the WIT, and our own.

use super::{
    bindings::{exports::lockgate::migration::program, lockgate::migration::types as wit},
    host::printable,
};
use crate::{
    error::{Cause, DbError, Finding, ProgramError, Severity},
    migration::Direction,
    value::{Column, Interval, Raw, Rows, Value},
};

/// Writes both directions from one list, so that they cannot differ.
macro_rules! same_cases {
    ($($ours:ident = $theirs:ident),* $(,)?) => {
        pub(super) fn from_guest(value: wit::Value) -> Value {
            match value {
                wit::Value::Null => Value::Null,
                wit::Value::Interval(i) => {
                    Value::Interval(Interval { months: i.months, days: i.days, microseconds: i.microseconds })
                }
                wit::Value::Raw(r) => Value::Raw(Raw { type_name: r.type_name, binary: r.binary, bytes: r.bytes }),
                $(wit::Value::$theirs(inner) => Value::$ours(inner),)*
            }
        }

        fn to_guest(value: Value) -> wit::Value {
            match value {
                Value::Null => wit::Value::Null,
                Value::Interval(i) => {
                    wit::Value::Interval(wit::Interval { months: i.months, days: i.days, microseconds: i.microseconds })
                }
                Value::Raw(r) => wit::Value::Raw(wit::RawValue { type_name: r.type_name, binary: r.binary, bytes: r.bytes }),
                $(Value::$ours(inner) => wit::Value::$theirs(inner),)*
            }
        }
    };
}

same_cases! {
    Bool = Boolean, Int2 = Int2, Int4 = Int4, Int8 = Int8, Float4 = Float4, Float8 = Float8, Numeric = Numeric, Text = Text,
    Bytea = Bytea, Json = Json, Uuid = Uuid, Date = Date, Time = Time, Timestamp = Timestamp, Timestamptz = Timestamptz,
    BoolArray = BooleanArray, Int2Array = Int2Array, Int4Array = Int4Array, Int8Array = Int8Array,
    Float4Array = Float4Array, Float8Array = Float8Array, NumericArray = NumericArray, TextArray = TextArray,
    ByteaArray = ByteaArray, JsonArray = JsonArray, UuidArray = UuidArray, DateArray = DateArray,
    TimestampArray = TimestampArray, TimestamptzArray = TimestamptzArray,
}

pub(super) fn rows_to_guest(rows: Rows) -> wit::Rows {
    wit::Rows {
        columns: rows.columns.into_iter().map(|Column { name, type_name }| wit::Column { name, type_name }).collect(),
        rows: rows.rows.into_iter().map(|row| row.into_iter().map(to_guest).collect()).collect(),
    }
}

pub(super) fn direction_to_guest(direction: Direction) -> wit::Direction {
    match direction {
        Direction::Up => wit::Direction::Up,
        Direction::Down => wit::Direction::Down,
    }
}

pub(super) fn error_to_guest(error: DbError) -> wit::Error {
    if error.bad_value {
        return wit::Error::BadValue(error.message);
    }
    let Some(sqlstate) = error.sqlstate else {
        let code = if error.connection_lost { "connection-lost" } else { "driver" };
        return wit::Error::Other(wit::OtherError { code: code.into(), text: error.message });
    };
    wit::Error::Db(wit::DbError {
        sqlstate,
        severity: error.severity,
        message: error.message,
        detail: error.detail,
        hint: error.hint,
        position: error.position,
        constraint: error.constraint,
        table: error.table,
        column: error.column,
    })
}

/// What a guest returned as its failure. Its texts reach a terminal, so they are made printable.
pub(super) fn error_from_guest(error: wit::Error) -> ProgramError {
    let text = match error {
        wit::Error::Db(db) => {
            let printable = |text: Option<String>| text.map(|t| printable(&t));
            return ProgramError {
                at: None,
                cause: Cause::Database(Box::new(DbError {
                    sqlstate: Some(self::printable(&db.sqlstate)),
                    severity: self::printable(&db.severity),
                    message: self::printable(&db.message),
                    detail: printable(db.detail),
                    hint: printable(db.hint),
                    // A position in a statement that only the guest knows.
                    position: None,
                    constraint: printable(db.constraint),
                    table: printable(db.table),
                    column: printable(db.column),
                    ..DbError::default()
                })),
            };
        }
        wit::Error::Denied(text) | wit::Error::Limit(text) | wit::Error::BadValue(text) => printable(&text),
        wit::Error::Cancelled => "it stopped, being cancelled".to_owned(),
        wit::Error::Other(other) => format!("{} [{}]", printable(&other.text), printable(&other.code)),
    };
    ProgramError::plugin(text)
}

const FINDINGS_MAX: usize = 100;

pub(super) fn findings_from_guest(findings: Vec<wit::Finding>) -> Vec<Finding> {
    let convert = |finding: wit::Finding| Finding {
        severity: match finding.severity {
            wit::Severity::Info => Severity::Info,
            wit::Severity::Warn => Severity::Warn,
            wit::Severity::Block => Severity::Block,
        },
        code: printable(&finding.code),
        message: printable(&finding.message),
        hint: finding.hint.as_deref().map(printable),
    };
    // More than a person reads; the rest would fill the journal.
    findings.into_iter().take(FINDINGS_MAX).map(convert).collect()
}

pub(super) fn description_from_guest(description: program::Description) -> crate::step::Description {
    crate::step::Description {
        title: Some(printable(&description.title)),
        author: Some(printable(&description.author)),
        irreversible: (!description.reversible).then(|| "its author says that it cannot be reverted".to_owned()),
        lock_timeout_ms: description.lock_timeout_ms,
        statement_timeout_ms: description.statement_timeout_ms,
    }
}
