//! Between the guest's types, generated from the WIT, and our own.

use super::bindings::{exports::lockgate::migration::program, lockgate::migration::types as wit};
use crate::{
    error::{Cause, DbError, Finding, ProgramError, Severity},
    migration::Direction,
    printable::{printable, printable_in},
    step::{Batch, Grant, TimeoutsAsked, WantedGrant},
    value::{Column, Interval, Raw, Rows, Value},
};

/// Writes both directions from one list, so that they cannot differ.
macro_rules! same_cases {
    ($($ours:ident = $theirs:ident),* $(,)?) => {
        pub(super) fn from_guest(value: wit::Value) -> Value {
            match value {
                wit::Value::Null => Value::Null,
                wit::Value::Interval(interval) => Value::Interval(interval_from_guest(interval)),
                wit::Value::IntervalArray(items) => {
                    Value::IntervalArray(items.into_iter().map(|item| item.map(interval_from_guest)).collect())
                }
                wit::Value::Raw(r) => Value::Raw(Raw { type_name: r.type_name, binary: r.binary, bytes: r.bytes }),
                $(wit::Value::$theirs(inner) => Value::$ours(inner),)*
            }
        }

        fn to_guest(value: Value) -> wit::Value {
            match value {
                Value::Null => wit::Value::Null,
                Value::Interval(interval) => wit::Value::Interval(interval_to_guest(interval)),
                Value::IntervalArray(items) => {
                    wit::Value::IntervalArray(items.into_iter().map(|item| item.map(interval_to_guest)).collect())
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
    TimestampArray = TimestampArray, TimestamptzArray = TimestamptzArray, TimeArray = TimeArray,
}

fn interval_from_guest(interval: wit::Interval) -> Interval {
    Interval { months: interval.months, days: interval.days, microseconds: interval.microseconds }
}

fn interval_to_guest(interval: Interval) -> wit::Interval {
    wit::Interval { months: interval.months, days: interval.days, microseconds: interval.microseconds }
}

pub(super) fn rows_to_guest(rows: Rows) -> wit::Rows {
    wit::Rows { columns: columns_to_guest(rows.columns), rows: cells_to_guest(rows.rows) }
}

pub(super) fn columns_to_guest(columns: Vec<Column>) -> Vec<wit::Column> {
    let column = |Column { name, type_name, type_oid }| wit::Column { name, type_name, type_oid };
    columns.into_iter().map(column).collect()
}

pub(super) fn cells_to_guest(rows: Vec<Vec<Value>>) -> Vec<Vec<wit::Value>> {
    rows.into_iter().map(|row| row.into_iter().map(to_guest).collect()).collect()
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
        context: error.context,
        schema: error.schema,
        table: error.table,
        column: error.column,
        data_type: error.data_type,
        constraint: error.constraint,
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
                    context: printable(db.context),
                    schema: printable(db.schema),
                    table: printable(db.table),
                    column: printable(db.column),
                    data_type: printable(db.data_type),
                    constraint: printable(db.constraint),
                    ..DbError::default()
                })),
            };
        }
        wit::Error::Denied(text) | wit::Error::Limit(text) | wit::Error::BadValue(text) => printable(&text),
        wit::Error::Cancelled => "it stopped, being cancelled".to_owned(),
        wit::Error::Other(other) => format!("{} [{}]", printable(&other.text), words(&other.code)),
    };
    ProgramError::plugin(text)
}

const FINDINGS_MAX: usize = 100;
const GRANTS_MAX: usize = 100;

/// A short word for programs, a name, a title: whatever has its place in a line of its own.
const WORDS_MAX_CHARS: usize = 200;

fn words(text: &str) -> String {
    printable_in(WORDS_MAX_CHARS, text)
}

pub(super) fn findings_from_guest(findings: Vec<wit::Finding>) -> Vec<Finding> {
    let convert = |finding: wit::Finding| Finding {
        severity: match finding.severity {
            wit::Severity::Info => Severity::Info,
            wit::Severity::Warn => Severity::Warn,
            wit::Severity::Block => Severity::Block,
        },
        code: words(&finding.code),
        message: printable(&finding.message),
        hint: finding.hint.as_deref().map(printable),
    };
    // More than a person reads; the rest would fill the journal.
    findings.into_iter().take(FINDINGS_MAX).map(convert).collect()
}

pub(super) fn description_from_guest(description: program::Description) -> crate::step::Description {
    let timeouts =
        TimeoutsAsked { lock_ms: description.lock_timeout_ms, statement_ms: description.statement_timeout_ms };
    crate::step::Description {
        title: Some(words(&description.title)),
        author: Some(words(&description.author)),
        patience: None,
        grants: description.grants.into_iter().take(GRANTS_MAX).map(wanted_grant_from_guest).collect(),
        irreversible: (!description.reversible).then(|| "its author says that it cannot be reverted".to_owned()),
        up: timeouts,
        down: timeouts,
    }
}

fn wanted_grant_from_guest(wanted: program::WantedGrant) -> WantedGrant {
    WantedGrant {
        grant: match wanted.grant {
            program::Grant::Clock => Grant::Clock,
            program::Grant::Randomness => Grant::Randomness,
            program::Grant::Config(key) => Grant::Config(words(&key)),
            program::Grant::Other(what) => Grant::Other(words(&what)),
        },
        required: wanted.required,
        why: printable(&wanted.why),
    }
}

pub(super) fn batch_from_guest(batch: program::Batch) -> Batch {
    match batch {
        program::Batch::More(more) => Batch::More { checkpoint: more.checkpoint, done: more.done, total: more.total },
        program::Batch::Finished => Batch::Finished,
    }
}
