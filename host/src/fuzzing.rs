//! What the fuzz targets of tests/fuzz call, each with bytes of which nothing is known. A broken promise is a panic.
//!
//! Not for use: the feature `fuzzing` exists for those targets alone. The tests below feed the same functions the seeds.

use std::sync::OnceLock;

use bytes::BytesMut;
use tokio::runtime::Runtime;
use tokio_postgres::types::{Format, FromSql, IsNull, Kind, ToSql, Type};

use crate::{
    migration::Checksum,
    plugin::{ComponentProgram, Engine, Limits, Rights},
    postgres::values::{Cell, Param},
    sql::{Origin, Script, check_copy_in, check_query, check_statement},
    value::{Raw, Value},
};

/// Loads a component and asks it what it is. Returns whether it fits.
///
/// # Panics
/// When that takes the host along.
pub fn component(bytes: &[u8]) -> bool {
    static HOST: OnceLock<(Runtime, Engine)> = OnceLock::new();
    let (runtime, engine) = HOST.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        (runtime.expect("a runtime"), Engine::new().expect("an engine"))
    });
    let limits = Limits { memory_max_bytes: 16 << 20, cpu_max_s: 1, wall_clock_max_s: 2, ..Limits::default() };
    let rights = Rights { limits, ..Rights::default() };
    match runtime.block_on(ComponentProgram::load(engine, bytes.to_vec(), &Checksum::of_bytes(bytes), rights)) {
        Ok(_) => true,
        Err(text) => {
            assert!(!text.is_empty(), "refused without a word");
            false
        }
    }
}

/// Types of every kind that the conversion tells apart.
const TYPES: [Type; 47] = [
    Type::BOOL,
    Type::INT2,
    Type::INT4,
    Type::INT8,
    Type::FLOAT4,
    Type::FLOAT8,
    Type::NUMERIC,
    Type::TEXT,
    Type::VARCHAR,
    Type::BPCHAR,
    Type::NAME,
    Type::CHAR,
    Type::BYTEA,
    Type::JSON,
    Type::JSONB,
    Type::UUID,
    Type::DATE,
    Type::TIME,
    Type::TIMESTAMP,
    Type::TIMESTAMPTZ,
    Type::INTERVAL,
    Type::OID,
    Type::INET,
    Type::TIMETZ,
    Type::RECORD,
    Type::UNKNOWN,
    Type::INT2_VECTOR,
    Type::OID_VECTOR,
    Type::BOOL_ARRAY,
    Type::INT2_ARRAY,
    Type::INT4_ARRAY,
    Type::INT8_ARRAY,
    Type::FLOAT4_ARRAY,
    Type::FLOAT8_ARRAY,
    Type::NUMERIC_ARRAY,
    Type::TEXT_ARRAY,
    Type::BYTEA_ARRAY,
    Type::JSON_ARRAY,
    Type::JSONB_ARRAY,
    Type::UUID_ARRAY,
    Type::DATE_ARRAY,
    Type::TIME_ARRAY,
    Type::TIMESTAMP_ARRAY,
    Type::TIMESTAMPTZ_ARRAY,
    Type::INTERVAL_ARRAY,
    Type::INET_ARRAY,
    Type::NUM_RANGE,
];

/// The text of the longest `numeric`, which takes ten bytes on the wire: 131,072 digits before the point, 16,383 after it.
const NUMERIC_MAX_BYTES: usize = 150_000;

/// The type that a byte stands for: one of those above, an enum, or a domain.
fn type_of(byte: u8) -> Type {
    let own = |kind| Type::new("own".into(), 70_000, kind, "public".into());
    match TYPES.get(usize::from(byte)) {
        Some(ty) => ty.clone(),
        None if byte == 255 => own(Kind::Enum(vec!["good".into(), "bad".into()])),
        None => own(Kind::Domain(TYPES[usize::from(byte) % TYPES.len()].clone())),
    }
}

/// Reads a cell of a result: the first byte chooses its type, the rest is what the server sent. What was read is written again,
/// and read from that.
///
/// # Panics
/// When the two values differ, or when a value takes much more memory than the bytes that it was read from.
pub fn cell(bytes: &[u8]) {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    let ty = type_of(*choice);
    let Ok(Cell(value)) = Cell::from_sql(&ty, bytes) else { return };
    // Also where it is the base of a domain.
    let numerics = if format!("{ty:?}").contains("Numeric") { 1 + bytes.len() / 8 } else { 0 };
    let most = 1_024 + 64 * bytes.len() + numerics * NUMERIC_MAX_BYTES;
    assert!(value.size_bytes() <= most, "{} bytes became {}", bytes.len(), value.size_bytes());
    if let Some(again) = through(&value, &ty) {
        assert_eq!(shown(&again), shown(&value), "as {ty}");
    }
}

/// Writes parameters made of these bytes as every type: the text, the numbers, and lists of them.
///
/// # Panics
/// When what was written cannot be read, or means something else when it is written again.
pub fn param(bytes: &[u8]) {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    let ty = type_of(*choice);
    let text = String::from_utf8_lossy(bytes).into_owned();
    let mut eight = [0; 8];
    eight.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    let (whole, real) = (i64::from_be_bytes(eight), f64::from_be_bytes(eight));
    for value in [
        Value::Null,
        Value::Numeric(text.clone()),
        Value::Text(text.clone()),
        Value::Json(text.clone()),
        Value::Bytea(bytes.to_vec()),
        Value::Int8(whole),
        Value::Int2(whole as i16),
        Value::Float8(real),
        Value::Float4(real as f32),
        Value::Date(whole as i32),
        Value::Time(whole),
        Value::Timestamptz(whole),
        Value::Raw(Raw { type_name: text.clone(), binary: whole & 1 == 0, bytes: bytes.to_vec() }),
        Value::NumericArray(vec![Some(text.clone()), None]),
        Value::TextArray(vec![Some(text.clone()), None, Some(text)]),
        Value::ByteaArray(vec![None, Some(bytes.to_vec())]),
        Value::Int8Array(vec![Some(whole), None]),
        Value::Float8Array(vec![Some(real)]),
    ] {
        // A raw value is the guest's own business: nobody says that it can be read.
        if matches!(value, Value::Raw(_)) {
            let _ = Param(&value).to_sql_checked(&ty, &mut BytesMut::new());
            continue;
        }
        let Some(read) = through(&value, &ty) else { continue };
        let again = through(&read, &ty).expect("what was read can be written");
        assert_eq!(shown(&again), shown(&read), "{value:?} as {ty}");
    }
}

/// Writes a value and reads it; nothing where it does not fit, is null, or goes in its text format.
fn through(value: &Value, ty: &Type) -> Option<Value> {
    let mut sent = BytesMut::new();
    match Param(value).to_sql_checked(ty, &mut sent) {
        Ok(IsNull::No) if matches!(Param(value).encode_format(ty), Format::Binary) => {
            Some(Cell::from_sql(ty, &sent).expect("what was written can be read").0)
        }
        _ => None,
    }
}

/// With every NaN the same as itself.
fn shown(value: &Value) -> String {
    format!("{value:?}")
}

/// Cuts a text into statements and lets the guard look at it, whole and in pieces.
///
/// # Panics
/// When a statement passes that would end the transaction, going by a scan that shares nothing with the guard.
pub fn guard(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for refused in [check_statement(&text).is_err(), check_query(&text).is_err(), check_copy_in(&text).is_err()] {
        assert!(refused || !ends_the_transaction(&text), "`{text}` passes");
    }
    for origin in [Origin::Plugin, Origin::History("1".into())] {
        let Ok(script) = Script::parse(&text, origin) else { continue };
        // There a transaction may be the script's own, with savepoints in it.
        if script.directives().no_transaction {
            continue;
        }
        for (_, statement) in script.statements() {
            assert!(!statement.is_empty());
            assert!(!ends_the_transaction(statement), "`{statement}` passes as part of a script");
        }
    }
}

/// Whether PostgreSQL would take the first keyword for one that begins, ends or divides a transaction. Source: `scan.l`.
fn ends_the_transaction(sql: &str) -> bool {
    let Some((first, rest)) = keyword(sql.as_bytes()) else { return false };
    match &*first {
        "BEGIN" | "START" | "COMMIT" | "END" | "ROLLBACK" | "ABORT" | "SAVEPOINT" | "RELEASE" => true,
        "PREPARE" => keyword(rest).is_some_and(|(second, _)| second == "TRANSACTION"),
        _ => false,
    }
}

/// The word that comes first, in upper case, and what follows it; nothing where something else comes first.
fn keyword(mut sql: &[u8]) -> Option<(String, &[u8])> {
    loop {
        sql = match sql {
            [b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c | b';', rest @ ..] => rest,
            [b'-', b'-', ..] => &sql[sql.iter().position(|b| matches!(b, b'\n' | b'\r')).unwrap_or(sql.len())..],
            [b'/', b'*', ..] => &sql[comment(sql)?..],
            _ => break,
        };
    }
    let is_word = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'$' | 0x80..);
    let end = sql.iter().position(|b| !is_word(b)).unwrap_or(sql.len());
    (end > 0).then(|| (String::from_utf8_lossy(&sql[..end]).to_ascii_uppercase(), &sql[end..]))
}

/// The length of the comment at the beginning, with those inside it; nothing where it never ends.
fn comment(sql: &[u8]) -> Option<usize> {
    let (mut depth, mut i) = (0_usize, 0);
    while i < sql.len() {
        match &sql[i..] {
            [b'/', b'*', ..] => (depth, i) = (depth + 1, i + 2),
            [b'*', b'/', ..] => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            return Some(i);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    fn seeds(target: &str) -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/seeds").join(target);
        let seeds: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
        assert!(!seeds.is_empty());
        seeds
    }

    #[test]
    fn the_seeds_of_components_break_nothing() {
        let fitting = seeds("component_bytes").iter().filter(|seed| component(seed)).count();
        assert_eq!(fitting, 0, "each is broken somewhere, the one named `migration` in its `describe` only");
        assert!(component(include_bytes!("../../tests/fixtures/guests/steps.wasm")), "what fits is let through");
    }

    #[test]
    fn the_seeds_of_values_break_nothing() {
        for seed in seeds("values") {
            cell(&seed);
            param(&seed);
        }
    }

    #[test]
    fn the_seeds_of_statements_break_nothing() {
        seeds("statement_guard").iter().for_each(|seed| guard(seed));
    }

    #[test]
    fn the_scan_beside_the_guard_sees_what_postgresql_sees() {
        for sql in ["; /* a /* b */ */ -- c\rCOMMIT", "end", "Prepare/**/Transaction 'x'", "\u{c}ABORT"] {
            assert!(ends_the_transaction(sql), "{sql}");
        }
        for sql in ["", "-- COMMIT", "/* COMMIT", "prepare x as select 1", "\"commit\"", "commit_it", "commité"] {
            assert!(!ends_the_transaction(sql), "{sql}");
        }
    }
}
