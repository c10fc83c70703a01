//! Values to and from PostgreSQL's wire formats.
//!
//! Source of the binary formats: the `*_send` and `*_recv` functions of PostgreSQL 18, above all `numeric.c`,
//! `arrayfuncs.c` and `jsonb.c`.

use std::{
    error::Error,
    fmt::{self, Debug, Display, Formatter},
    num::IntErrorKind,
    str,
};

use bytes::{BufMut, BytesMut};
use tokio_postgres::types::{Format, FromSql, IsNull, Kind, ToSql, Type, to_sql_checked};

use crate::value::{Interval, Raw, Value};

/// A parameter: a value, which meets the type that the server expects when it is sent.
///
/// Integers go into every type that holds them exactly, text into every type, in its text format. All else goes only into
/// its own type. A value that does not fit is a [`BadValue`].
pub struct Param<'a>(pub &'a Value);

/// A cell of a result. Every type can be read: what [`Value`] has no case for, and text that is not UTF-8, is `Raw`.
#[derive(Debug)]
pub struct Cell(pub Value);

/// At least as many bytes as the [`Cell`] takes in memory, known without making it.
#[derive(Debug)]
pub struct CellSize(pub usize);

/// Why a parameter was not sent.
#[derive(Debug)]
pub struct BadValue {
    kind: &'static str,
    ty: String,
    misfit: Misfit,
}

#[derive(Debug)]
enum Misfit {
    Kind,
    Range(String),
    Syntax(String),
    Nul,
    Length,
}

/// Why bytes did not become a value.
#[derive(Debug)]
enum Unread {
    /// They are a value, but none that `Value` has a case for.
    Opaque,
    Malformed,
}

/// A value that is neither null, raw nor an array, or an element of an array.
enum Scalar<'a> {
    Bool(bool),
    Int(i64),
    Float4(f32),
    Float8(f64),
    Numeric(&'a str),
    Text(&'a str),
    Bytea(&'a [u8]),
    Json(&'a str),
    Uuid((u64, u64)),
    Date(i32),
    Time(i64),
    Timestamp(i64),
    Timestamptz(i64),
    Interval(Interval),
}

enum Shape<'a> {
    Null,
    Scalar(Scalar<'a>),
    Array(Vec<Option<Scalar<'a>>>),
    Raw(&'a Raw),
}

/// The number of digits that PostgreSQL keeps after the decimal point, `NUMERIC_DSCALE_MAX`.
const NUMERIC_SCALE_MAX: u16 = 0x3fff;
const NUMERIC_POSITIVE: u16 = 0x0000;
const NUMERIC_NEGATIVE: u16 = 0x4000;
const NUMERIC_NAN: u16 = 0xc000;
const NUMERIC_INFINITY: u16 = 0xd000;
const NUMERIC_NEGATIVE_INFINITY: u16 = 0xf000;

/// `jsonb_send` puts it before the text.
const JSONB_VERSION: u8 = 1;

/// No message repeats more characters of a value than this.
const SHOWN_MAX: usize = 40;

/// Shows what kind of value it is, not the value: tokio-postgres logs parameters, which may be personal data.
impl Debug for Param<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "Param({})", shape(self.0).0)
    }
}

impl ToSql for Param<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let (kind, shape) = shape(self.0);
        let base = base_of(ty);
        let sent = match (shape, element_of(base)) {
            (Shape::Null, _) => return Ok(IsNull::Yes),
            (Shape::Raw(raw), _) => {
                out.put_slice(&raw.bytes);
                Ok(())
            }
            (Shape::Scalar(scalar), _) => scalar.write(base, out),
            (Shape::Array(items), Some(element)) if matches!(self.encode_format(ty), Format::Text) => {
                write_array_literal(&items, base_of(element), out)
            }
            (Shape::Array(items), Some(element)) => write_array(&items, element, out),
            (Shape::Array(_), None) => Err(Misfit::Kind),
        };
        sent.map_err(|misfit| BadValue { kind, ty: sql_name(ty), misfit })?;
        Ok(IsNull::No)
    }

    fn encode_format(&self, ty: &Type) -> Format {
        let base = base_of(ty);
        let as_text = match self.0 {
            // For a binary parameter the server looks up the type's receive function, null or not, and some types have none.
            Value::Null => true,
            Value::Text(_) => !is_text(base),
            Value::TextArray(_) => element_of(base).is_some_and(|element| !is_text(base_of(element))),
            Value::Raw(raw) => !raw.binary,
            _ => false,
        };
        if as_text { Format::Text } else { Format::Binary }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Cell {
    fn from_sql(ty: &Type, bytes: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        let base = base_of(ty);
        let value = match element_of(base) {
            Some(element) => read_array(element, bytes),
            None => read_scalar(base, bytes),
        };
        match value {
            Ok(value) => Ok(Self(value)),
            Err(Unread::Opaque) => {
                Ok(Self(Value::Raw(Raw { type_name: ty.name().into(), binary: true, bytes: bytes.into() })))
            }
            Err(Unread::Malformed) => Err(format!("the server sent a malformed value of type {}", sql_name(ty)).into()),
        }
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(Value::Null))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

impl<'a> FromSql<'a> for CellSize {
    fn from_sql(ty: &Type, bytes: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        let base = base_of(ty);
        let heap = match element_of(base) {
            Some(element) => array_bytes(base_of(element), bytes).unwrap_or(bytes.len()),
            None if *base == Type::NUMERIC => numeric_bytes(bytes),
            None => bytes.len(),
        };
        // `raw` has the name of its type, too.
        Ok(Self(size_of::<Value>() + ty.name().len() + heap))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(size_of::<Value>()))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// What the elements of an array take in memory: each its place, and what it holds.
fn array_bytes(element: &Type, bytes: &[u8]) -> Option<usize> {
    // The length follows the number of dimensions, the flags and the type; it is 0 where there are no dimensions.
    let length = bytes.get(12..16).map_or(0, |b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
    let place = match *element {
        Type::BOOL => size_of::<Option<bool>>(),
        Type::INT2 => size_of::<Option<i16>>(),
        Type::INT4 | Type::FLOAT4 | Type::DATE => size_of::<Option<i32>>(),
        Type::INT8 | Type::OID | Type::FLOAT8 | Type::TIME | Type::TIMESTAMP | Type::TIMESTAMPTZ => {
            size_of::<Option<i64>>()
        }
        _ => size_of::<Option<(u64, u64)>>().max(size_of::<Option<String>>()),
    };
    let places = usize::try_from(length).ok()?.checked_mul(place)?;
    let held = if *element == Type::NUMERIC {
        let items = read_items(element, bytes).ok()?;
        items.iter().flatten().fold(0_usize, |sum, item| sum.saturating_add(numeric_bytes(item)))
    } else {
        bytes.len()
    };
    Some(places.saturating_add(held))
}

/// The digits that a number is written with.
fn numeric_bytes(bytes: &[u8]) -> usize {
    let field = |at: usize| bytes.get(at..at + 2).map_or(0, |b| u16::from_be_bytes([b[0], b[1]]));
    let (weight, scale) = (field(2).cast_signed(), field(6));
    // Four digits a group before the point, the digits after it, the sign, a zero and the point.
    (usize::try_from(weight).unwrap_or(0) + 1) * 4 + usize::from(scale) + 3
}

/// At least as many bytes as a parameter takes in a message.
pub fn sent_bytes_max(value: &Value) -> usize {
    // The head of an array, or the length of anything else.
    const HEAD: usize = 24;
    HEAD + match value {
        // Each with its length, which is longer than the element and its place in memory.
        Value::BoolArray(items) => items.len().saturating_mul(5),
        Value::Int2Array(items) => items.len().saturating_mul(6),
        // As a literal, with quotes and every character escaped, at worst.
        Value::TextArray(_) => value.size_bytes().saturating_mul(2),
        _ => value.size_bytes(),
    }
}

impl Display for BadValue {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { kind, ty, misfit } = self;
        let article = if kind.starts_with('i') { "an" } else { "a" };
        match misfit {
            Misfit::Kind => write!(f, "cannot send {article} {kind} value as {ty}"),
            Misfit::Range(value) => write!(f, "the value {value} does not fit {ty}"),
            Misfit::Syntax(value) => write!(f, "`{value}` is not a number, and cannot be sent as {ty}"),
            Misfit::Nul => write!(f, "{article} {kind} value has a NUL character, which PostgreSQL cannot store"),
            Misfit::Length => write!(f, "{article} {kind} value is too long to be sent"),
        }
    }
}

impl Error for BadValue {}

/// The name of a value's kind, and the value taken apart.
fn shape(value: &Value) -> (&'static str, Shape<'_>) {
    let one = Shape::Scalar;
    match value {
        Value::Null => ("null", Shape::Null),
        Value::Bool(v) => ("boolean", one(Scalar::Bool(*v))),
        Value::Int2(v) => ("smallint", one(Scalar::Int((*v).into()))),
        Value::Int4(v) => ("integer", one(Scalar::Int((*v).into()))),
        Value::Int8(v) => ("bigint", one(Scalar::Int(*v))),
        Value::Float4(v) => ("real", one(Scalar::Float4(*v))),
        Value::Float8(v) => ("double precision", one(Scalar::Float8(*v))),
        Value::Numeric(v) => ("numeric", one(Scalar::Numeric(v))),
        Value::Text(v) => ("text", one(Scalar::Text(v))),
        Value::Bytea(v) => ("bytea", one(Scalar::Bytea(v))),
        Value::Json(v) => ("json", one(Scalar::Json(v))),
        Value::Uuid(v) => ("uuid", one(Scalar::Uuid(*v))),
        Value::Date(v) => ("date", one(Scalar::Date(*v))),
        Value::Time(v) => ("time", one(Scalar::Time(*v))),
        Value::Timestamp(v) => ("timestamp", one(Scalar::Timestamp(*v))),
        Value::Timestamptz(v) => ("timestamptz", one(Scalar::Timestamptz(*v))),
        Value::Interval(v) => ("interval", one(Scalar::Interval(*v))),
        Value::BoolArray(v) => ("boolean[]", many(v, |v| Scalar::Bool(*v))),
        Value::Int2Array(v) => ("smallint[]", many(v, |v| Scalar::Int((*v).into()))),
        Value::Int4Array(v) => ("integer[]", many(v, |v| Scalar::Int((*v).into()))),
        Value::Int8Array(v) => ("bigint[]", many(v, |v| Scalar::Int(*v))),
        Value::Float4Array(v) => ("real[]", many(v, |v| Scalar::Float4(*v))),
        Value::Float8Array(v) => ("double precision[]", many(v, |v| Scalar::Float8(*v))),
        Value::NumericArray(v) => ("numeric[]", many(v, |v| Scalar::Numeric(v))),
        Value::TextArray(v) => ("text[]", many(v, |v| Scalar::Text(v))),
        Value::ByteaArray(v) => ("bytea[]", many(v, |v| Scalar::Bytea(v))),
        Value::JsonArray(v) => ("json[]", many(v, |v| Scalar::Json(v))),
        Value::UuidArray(v) => ("uuid[]", many(v, |v| Scalar::Uuid(*v))),
        Value::DateArray(v) => ("date[]", many(v, |v| Scalar::Date(*v))),
        Value::TimestampArray(v) => ("timestamp[]", many(v, |v| Scalar::Timestamp(*v))),
        Value::TimestamptzArray(v) => ("timestamptz[]", many(v, |v| Scalar::Timestamptz(*v))),
        Value::TimeArray(v) => ("time[]", many(v, |v| Scalar::Time(*v))),
        Value::IntervalArray(v) => ("interval[]", many(v, |v| Scalar::Interval(*v))),
        Value::Raw(v) => ("raw", Shape::Raw(v)),
    }
}

fn many<'a, T>(items: &'a [Option<T>], scalar: impl Fn(&'a T) -> Scalar<'a>) -> Shape<'a> {
    Shape::Array(items.iter().map(|item| item.as_ref().map(&scalar)).collect())
}

/// What a domain is made of; every other type is its own base.
fn base_of(mut ty: &Type) -> &Type {
    while let Kind::Domain(base) = ty.kind() {
        ty = base;
    }
    ty
}

/// The type of the elements of an array. Neither vector counts: their lower bound is 0 and their text has no braces.
fn element_of(ty: &Type) -> Option<&Type> {
    match ty.kind() {
        Kind::Array(element) if *ty != Type::INT2_VECTOR && *ty != Type::OID_VECTOR => Some(element),
        _ => None,
    }
}

/// Types whose binary format is the text itself.
fn is_text(ty: &Type) -> bool {
    matches!(*ty, Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN)
        || matches!(ty.kind(), Kind::Enum(_))
        || (ty.name() == "citext" && *ty.kind() == Kind::Simple)
}

/// A type's name as SQL writes it.
fn sql_name(ty: &Type) -> String {
    if let Some(element) = element_of(ty) {
        return format!("{}[]", sql_name(element));
    }
    match *ty {
        Type::BOOL => "boolean",
        Type::INT2 => "smallint",
        Type::INT4 => "integer",
        Type::INT8 => "bigint",
        Type::FLOAT4 => "real",
        Type::FLOAT8 => "double precision",
        Type::BPCHAR => "character",
        _ => ty.name(),
    }
    .into()
}

impl Scalar<'_> {
    fn write(&self, ty: &Type, out: &mut BytesMut) -> Result<(), Misfit> {
        match (self, ty) {
            (&Self::Int(v), _) => write_int(v, ty, out)?,
            // In the text format when `ty` is no text type: `encode_format` says so.
            (Self::Text(v), _) => out.put_slice(without_nul(v)?.as_bytes()),
            (Self::Json(v), &Type::JSONB) => {
                out.put_u8(JSONB_VERSION);
                out.put_slice(without_nul(v)?.as_bytes());
            }
            (Self::Json(v), _) if *ty == Type::JSON || is_text(ty) => out.put_slice(without_nul(v)?.as_bytes()),
            (&Self::Bool(v), &Type::BOOL) => out.put_u8(v.into()),
            (&Self::Float4(v), &Type::FLOAT4) => out.put_f32(v),
            (&Self::Float4(v), &Type::FLOAT8) => out.put_f64(v.into()),
            (&Self::Float8(v), &Type::FLOAT4) => {
                let narrow = v as f32;
                if f64::from(narrow) != v && !v.is_nan() {
                    return Err(Misfit::Range(format!("{v:?}")));
                }
                out.put_f32(narrow);
            }
            (&Self::Float8(v), &Type::FLOAT8) => out.put_f64(v),
            (Self::Numeric(v), &Type::NUMERIC) => write_numeric(v, out)?,
            (Self::Bytea(v), &Type::BYTEA) => out.put_slice(v),
            (&Self::Uuid((upper, lower)), &Type::UUID) => {
                out.put_u64(upper);
                out.put_u64(lower);
            }
            (&Self::Date(v), &Type::DATE) => out.put_i32(v),
            (&Self::Time(v), &Type::TIME)
            | (&Self::Timestamp(v), &Type::TIMESTAMP)
            | (&Self::Timestamptz(v), &Type::TIMESTAMPTZ) => out.put_i64(v),
            (Self::Interval(v), &Type::INTERVAL) => {
                out.put_i64(v.microseconds);
                out.put_i32(v.days);
                out.put_i32(v.months);
            }
            _ => return Err(Misfit::Kind),
        }
        Ok(())
    }
}

fn without_nul(text: &str) -> Result<&str, Misfit> {
    if text.contains('\0') { Err(Misfit::Nul) } else { Ok(text) }
}

fn write_int(v: i64, ty: &Type, out: &mut BytesMut) -> Result<(), Misfit> {
    let range = || Misfit::Range(v.to_string());
    match *ty {
        Type::INT2 => out.put_i16(v.try_into().map_err(|_| range())?),
        Type::INT4 => out.put_i32(v.try_into().map_err(|_| range())?),
        Type::INT8 => out.put_i64(v),
        Type::OID => out.put_u32(v.try_into().map_err(|_| range())?),
        Type::NUMERIC => write_numeric(&v.to_string(), out)?,
        // Through i128, because 2^63 as a float would saturate to the largest i64 and seem equal to it.
        Type::FLOAT4 if (v as f32) as i128 == i128::from(v) => out.put_f32(v as f32),
        Type::FLOAT8 if (v as f64) as i128 == i128::from(v) => out.put_f64(v as f64),
        Type::FLOAT4 | Type::FLOAT8 => return Err(range()),
        _ => return Err(Misfit::Kind),
    }
    Ok(())
}

/// Writes a decimal number in groups of four digits, aligned to the decimal point: the number of groups, the power of 10000
/// of the first, the sign, the number of decimal places to show, the groups.
fn write_numeric(text: &str, out: &mut BytesMut) -> Result<(), Misfit> {
    let shown = || {
        let more = if text.chars().nth(SHOWN_MAX).is_some() { "…" } else { "" };
        format!("{}{more}", text.chars().take(SHOWN_MAX).flat_map(char::escape_debug).collect::<String>())
    };
    let syntax = || Misfit::Syntax(shown());
    let range = || Misfit::Range(shown());
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (NUMERIC_NEGATIVE, rest),
        None => (NUMERIC_POSITIVE, text.strip_prefix('+').unwrap_or(text)),
    };
    let special = match (sign, unsigned) {
        (NUMERIC_POSITIVE, "Infinity") => Some(NUMERIC_INFINITY),
        (NUMERIC_NEGATIVE, "Infinity") => Some(NUMERIC_NEGATIVE_INFINITY),
        _ => (text == "NaN").then_some(NUMERIC_NAN),
    };
    if let Some(special) = special {
        put_numeric_header(0, 0, special, 0, out);
        return Ok(());
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (
            mantissa,
            exponent.parse::<i32>().map_err(|e| match e.kind() {
                IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => range(),
                _ => syntax(),
            })?,
        ),
        None => (unsigned, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(syntax());
    }
    let scale = (fraction.len() as i64 - i64::from(exponent)).max(0);
    let scale = u16::try_from(scale).ok().filter(|scale| *scale <= NUMERIC_SCALE_MAX).ok_or_else(range)?;
    let leading = digits.trim_start_matches('0');
    let significant = leading.trim_end_matches('0');
    if significant.is_empty() {
        put_numeric_header(0, 0, NUMERIC_POSITIVE, scale, out);
        return Ok(());
    }
    // Where the decimal point lies, counted from the first significant digit.
    let point = (whole.len() + leading.len()) as i64 - digits.len() as i64 + i64::from(exponent);
    let groups_before_point = (point + 3).div_euclid(4);
    let weight = i16::try_from(groups_before_point - 1).map_err(|_| range())?;
    let padding = (groups_before_point * 4 - point) as usize;
    let padded = format!("{:0<padding$}{significant}", "");
    let groups = padded.as_bytes().chunks(4);
    put_numeric_header(u16::try_from(groups.len()).map_err(|_| range())?, weight, sign, scale, out);
    for group in groups {
        let digits = group.iter().chain(b"000").take(4);
        out.put_u16(digits.fold(0, |number, digit| number * 10 + u16::from(digit - b'0')));
    }
    Ok(())
}

fn put_numeric_header(groups: u16, weight: i16, sign: u16, scale: u16, out: &mut BytesMut) {
    out.put_u16(groups);
    out.put_i16(weight);
    out.put_u16(sign);
    out.put_u16(scale);
}

/// Writes the number of dimensions, whether there are nulls, the element type, the length, the lower bound, the elements.
/// The server compares the element type, and does not look through a domain.
fn write_array(items: &[Option<Scalar<'_>>], element: &Type, out: &mut BytesMut) -> Result<(), Misfit> {
    let length = i32::try_from(items.len()).map_err(|_| Misfit::Length)?;
    out.put_i32(if items.is_empty() { 0 } else { 1 });
    out.put_i32(items.iter().any(Option::is_none).into());
    out.put_u32(element.oid());
    if items.is_empty() {
        return Ok(());
    }
    out.put_i32(length);
    out.put_i32(1);
    for item in items {
        let Some(scalar) = item else {
            out.put_i32(-1);
            continue;
        };
        out.put_i32(0);
        let start = out.len();
        scalar.write(base_of(element), out)?;
        let length = i32::try_from(out.len() - start).map_err(|_| Misfit::Length)?;
        out[start - 4..start].copy_from_slice(&length.to_be_bytes());
    }
    Ok(())
}

/// Writes `{"first","second",NULL}`. `encode_format` chose it, so every element is text.
fn write_array_literal(items: &[Option<Scalar<'_>>], element: &Type, out: &mut BytesMut) -> Result<(), Misfit> {
    // `typdelim` of `pg_type`, which the driver does not tell: a comma for every other type of PostgreSQL and of PostGIS.
    let delimiter = match element.name() {
        "box" => b';',
        "geometry" | "geography" => b':',
        _ => b',',
    };
    out.put_u8(b'{');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.put_u8(delimiter);
        }
        match item {
            None => out.put_slice(b"NULL"),
            Some(Scalar::Text(text)) => {
                let escaped = without_nul(text)?.replace('\\', r"\\").replace('"', r#"\""#);
                out.put_u8(b'"');
                out.put_slice(escaped.as_bytes());
                out.put_u8(b'"');
            }
            Some(_) => return Err(Misfit::Kind),
        }
    }
    out.put_u8(b'}');
    Ok(())
}

fn read_scalar(ty: &Type, bytes: &[u8]) -> Result<Value, Unread> {
    Ok(match *ty {
        Type::BOOL => Value::Bool(read_bool(bytes)?),
        Type::INT2 => Value::Int2(i16::from_be_bytes(whole(bytes)?)),
        Type::INT4 => Value::Int4(i32::from_be_bytes(whole(bytes)?)),
        Type::INT8 => Value::Int8(i64::from_be_bytes(whole(bytes)?)),
        Type::OID => Value::Int8(read_oid(bytes)?),
        Type::FLOAT4 => Value::Float4(f32::from_be_bytes(whole(bytes)?)),
        Type::FLOAT8 => Value::Float8(f64::from_be_bytes(whole(bytes)?)),
        Type::NUMERIC => Value::Numeric(read_numeric(bytes)?),
        Type::BYTEA => Value::Bytea(bytes.into()),
        Type::JSON => Value::Json(read_text(bytes)?),
        Type::JSONB => Value::Json(read_jsonb(bytes)?),
        Type::UUID => Value::Uuid(read_uuid(bytes)?),
        Type::DATE => Value::Date(i32::from_be_bytes(whole(bytes)?)),
        Type::TIME => Value::Time(i64::from_be_bytes(whole(bytes)?)),
        Type::TIMESTAMP => Value::Timestamp(i64::from_be_bytes(whole(bytes)?)),
        Type::TIMESTAMPTZ => Value::Timestamptz(i64::from_be_bytes(whole(bytes)?)),
        Type::INTERVAL => Value::Interval(read_interval(bytes)?),
        _ if is_text(ty) => Value::Text(read_text(bytes)?),
        _ => return Err(Unread::Opaque),
    })
}

fn read_array(element: &Type, bytes: &[u8]) -> Result<Value, Unread> {
    let items = read_items(element, bytes)?;
    let element = base_of(element);
    Ok(match *element {
        Type::BOOL => Value::BoolArray(each(&items, read_bool)?),
        Type::INT2 => Value::Int2Array(each(&items, |b| whole(b).map(i16::from_be_bytes))?),
        Type::INT4 => Value::Int4Array(each(&items, |b| whole(b).map(i32::from_be_bytes))?),
        Type::INT8 => Value::Int8Array(each(&items, |b| whole(b).map(i64::from_be_bytes))?),
        Type::OID => Value::Int8Array(each(&items, read_oid)?),
        Type::FLOAT4 => Value::Float4Array(each(&items, |b| whole(b).map(f32::from_be_bytes))?),
        Type::FLOAT8 => Value::Float8Array(each(&items, |b| whole(b).map(f64::from_be_bytes))?),
        Type::NUMERIC => Value::NumericArray(each(&items, read_numeric)?),
        Type::BYTEA => Value::ByteaArray(each(&items, |b| Ok(b.into()))?),
        Type::JSON => Value::JsonArray(each(&items, read_text)?),
        Type::JSONB => Value::JsonArray(each(&items, read_jsonb)?),
        Type::UUID => Value::UuidArray(each(&items, read_uuid)?),
        Type::DATE => Value::DateArray(each(&items, |b| whole(b).map(i32::from_be_bytes))?),
        Type::TIMESTAMP => Value::TimestampArray(each(&items, |b| whole(b).map(i64::from_be_bytes))?),
        Type::TIMESTAMPTZ => Value::TimestamptzArray(each(&items, |b| whole(b).map(i64::from_be_bytes))?),
        Type::TIME => Value::TimeArray(each(&items, |b| whole(b).map(i64::from_be_bytes))?),
        Type::INTERVAL => Value::IntervalArray(each(&items, read_interval)?),
        _ if is_text(element) => Value::TextArray(each(&items, read_text)?),
        _ => return Err(Unread::Opaque),
    })
}

/// The elements of an array of at most one dimension that counts from 1.
fn read_items<'a>(element: &Type, mut bytes: &'a [u8]) -> Result<Vec<Option<&'a [u8]>>, Unread> {
    let dimensions = i32::from_be_bytes(take(&mut bytes)?);
    let _has_null: [u8; 4] = take(&mut bytes)?;
    // A type with `typelem` that is no array, such as a fixed-length one of an extension, sends something else here.
    if u32::from_be_bytes(take(&mut bytes)?) != element.oid() {
        return Err(Unread::Opaque);
    }
    let length = match dimensions {
        0 => 0,
        1 => {
            let length = i32::from_be_bytes(take(&mut bytes)?);
            if i32::from_be_bytes(take(&mut bytes)?) != 1 {
                return Err(Unread::Opaque);
            }
            length
        }
        2.. => return Err(Unread::Opaque),
        _ => return Err(Unread::Malformed),
    };
    let mut items = Vec::new();
    for _ in 0..length {
        items.push(match i32::from_be_bytes(take(&mut bytes)?) {
            -1 => None,
            size => {
                let size = usize::try_from(size).map_err(|_| Unread::Malformed)?;
                let (item, rest) = bytes.split_at_checked(size).ok_or(Unread::Malformed)?;
                bytes = rest;
                Some(item)
            }
        });
    }
    if bytes.is_empty() && length >= 0 { Ok(items) } else { Err(Unread::Malformed) }
}

fn each<T>(items: &[Option<&[u8]>], read: impl Fn(&[u8]) -> Result<T, Unread>) -> Result<Vec<Option<T>>, Unread> {
    items.iter().map(|item| item.map(&read).transpose()).collect()
}

fn whole<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Unread> {
    bytes.try_into().map_err(|_| Unread::Malformed)
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], Unread> {
    let (head, rest) = bytes.split_first_chunk().ok_or(Unread::Malformed)?;
    *bytes = rest;
    Ok(*head)
}

fn read_bool(bytes: &[u8]) -> Result<bool, Unread> {
    whole(bytes).map(|[byte]| byte != 0)
}

fn read_oid(bytes: &[u8]) -> Result<i64, Unread> {
    Ok(u32::from_be_bytes(whole(bytes)?).into())
}

fn read_text(bytes: &[u8]) -> Result<String, Unread> {
    // With `client_encoding` set to SQL_ASCII, the server sends whatever bytes it was given.
    str::from_utf8(bytes).map(Into::into).map_err(|_| Unread::Opaque)
}

fn read_jsonb(bytes: &[u8]) -> Result<String, Unread> {
    match bytes {
        [JSONB_VERSION, text @ ..] => read_text(text),
        _ => Err(Unread::Malformed),
    }
}

fn read_uuid(mut bytes: &[u8]) -> Result<(u64, u64), Unread> {
    let upper = u64::from_be_bytes(take(&mut bytes)?);
    Ok((upper, u64::from_be_bytes(whole(bytes)?)))
}

fn read_interval(mut bytes: &[u8]) -> Result<Interval, Unread> {
    let microseconds = i64::from_be_bytes(take(&mut bytes)?);
    let days = i32::from_be_bytes(take(&mut bytes)?);
    Ok(Interval { months: i32::from_be_bytes(whole(bytes)?), days, microseconds })
}

/// Reads what `write_numeric` writes. The infinities come with a meaningless scale.
fn read_numeric(mut bytes: &[u8]) -> Result<String, Unread> {
    let count = u16::from_be_bytes(take(&mut bytes)?);
    let weight = i32::from(i16::from_be_bytes(take(&mut bytes)?));
    let sign = u16::from_be_bytes(take(&mut bytes)?);
    let scale = u16::from_be_bytes(take(&mut bytes)?);
    let (groups, rest) = bytes.as_chunks::<2>();
    let groups: Vec<u16> = groups.iter().map(|group| u16::from_be_bytes(*group)).collect();
    if groups.len() != usize::from(count) || !rest.is_empty() || groups.iter().any(|group| *group > 9999) {
        return Err(Unread::Malformed);
    }
    let minus = match sign {
        NUMERIC_NAN => return Ok("NaN".into()),
        NUMERIC_INFINITY => return Ok("Infinity".into()),
        NUMERIC_NEGATIVE_INFINITY => return Ok("-Infinity".into()),
        NUMERIC_POSITIVE if scale <= NUMERIC_SCALE_MAX => "",
        NUMERIC_NEGATIVE if scale <= NUMERIC_SCALE_MAX => "-",
        _ => return Err(Unread::Malformed),
    };
    // Zeros at either end are not sent.
    let group = |index| usize::try_from(index).ok().and_then(|index| groups.get(index)).copied().unwrap_or(0);
    let padded: String = (0..=weight).map(|index| format!("{:04}", group(index))).collect();
    let whole = match padded.trim_start_matches('0') {
        "" => "0",
        digits => digits,
    };
    let groups_after_point = i32::from(scale.div_ceil(4));
    let mut fraction: String = (1..=groups_after_point).map(|index| format!("{:04}", group(weight + index))).collect();
    fraction.truncate(scale.into());
    let digits = if scale == 0 { whole.to_owned() } else { format!("{whole}.{fraction}") };
    // PostgreSQL knows no negative zero.
    let is_zero = digits.bytes().all(|b| matches!(b, b'0' | b'.'));
    Ok(if is_zero { digits } else { format!("{minus}{digits}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What would be sent: the format and, unless it is null, the bytes.
    fn sent(value: &Value, ty: &Type) -> Result<(bool, Option<Vec<u8>>), String> {
        let param = Param(value);
        let as_text = matches!(param.encode_format(ty), Format::Text);
        let mut out = BytesMut::new();
        match param.to_sql_checked(ty, &mut out).map_err(|e| e.to_string())? {
            IsNull::Yes => Ok((as_text, None)),
            IsNull::No => Ok((as_text, Some(out.to_vec()))),
        }
    }

    fn binary(value: &Value, ty: &Type) -> Vec<u8> {
        match sent(value, ty) {
            Ok((false, Some(bytes))) => bytes,
            other => panic!("{value:?} as {ty} is {other:?}"),
        }
    }

    fn text(value: &Value, ty: &Type) -> String {
        match sent(value, ty) {
            Ok((true, Some(bytes))) => String::from_utf8(bytes).unwrap(),
            other => panic!("{value:?} as {ty} is {other:?}"),
        }
    }

    fn read(ty: &Type, bytes: &[u8]) -> Value {
        Cell::from_sql(ty, bytes).unwrap().0
    }

    fn raw(type_name: &str, bytes: Vec<u8>) -> Value {
        Value::Raw(Raw { type_name: type_name.into(), binary: true, bytes })
    }

    fn made(name: &str, kind: Kind) -> Type {
        Type::new(name.into(), 70_000, kind, "public".into())
    }

    fn mood() -> Type {
        made("mood", Kind::Enum(vec!["sad".into(), "ok".into()]))
    }

    fn numeric(text: &str) -> Value {
        Value::Numeric(text.into())
    }

    /// Each case with every type that it goes into and comes out of unchanged.
    fn direct() -> Vec<(Value, Vec<Type>)> {
        let s = |text: &str| Some(text.to_owned());
        let interval = Interval { months: -1, days: i32::MAX, microseconds: i64::MIN };
        let domain = |base: Type| made("domain", Kind::Domain(made("inner", Kind::Domain(base))));
        vec![
            (Value::Bool(true), vec![Type::BOOL, domain(Type::BOOL)]),
            (Value::Int2(i16::MIN), vec![Type::INT2]),
            (Value::Int4(i32::MIN), vec![Type::INT4]),
            (Value::Int8(i64::MIN), vec![Type::INT8, domain(Type::INT8)]),
            (Value::Int8(u32::MAX.into()), vec![Type::OID]),
            (Value::Float4(f32::NAN), vec![Type::FLOAT4]),
            (Value::Float8(-0.0), vec![Type::FLOAT8]),
            (numeric("-12.50"), vec![Type::NUMERIC, domain(Type::NUMERIC)]),
            (
                Value::Text("ü\"\\,{}".into()),
                vec![Type::TEXT, Type::VARCHAR, Type::BPCHAR, Type::NAME, Type::UNKNOWN, made("citext", Kind::Simple)],
            ),
            (Value::Text("ok".into()), vec![mood(), domain(mood())]),
            (Value::Bytea(vec![0, 255]), vec![Type::BYTEA]),
            (Value::Json("{\"a\": 1}".into()), vec![Type::JSON, Type::JSONB]),
            (Value::Uuid((1, u64::MAX)), vec![Type::UUID]),
            (Value::Date(i32::MAX), vec![Type::DATE]),
            (Value::Time(86_400_000_000), vec![Type::TIME]),
            (Value::Timestamp(i64::MIN), vec![Type::TIMESTAMP]),
            (Value::Timestamptz(i64::MAX), vec![Type::TIMESTAMPTZ]),
            (Value::Interval(interval), vec![Type::INTERVAL]),
            (Value::BoolArray(vec![Some(true), None]), vec![Type::BOOL_ARRAY]),
            (Value::Int2Array(vec![Some(1), None]), vec![Type::INT2_ARRAY]),
            (Value::Int4Array(vec![]), vec![Type::INT4_ARRAY, domain(Type::INT4_ARRAY)]),
            (Value::Int8Array(vec![Some(1), None]), vec![Type::INT8_ARRAY, Type::OID_ARRAY]),
            (Value::Float4Array(vec![None, Some(1.5)]), vec![Type::FLOAT4_ARRAY]),
            (Value::Float8Array(vec![Some(f64::INFINITY)]), vec![Type::FLOAT8_ARRAY]),
            (Value::NumericArray(vec![s("0.00"), None]), vec![Type::NUMERIC_ARRAY]),
            (
                Value::TextArray(vec![s("sad"), None, s("")]),
                vec![Type::TEXT_ARRAY, Type::NAME_ARRAY, made("_mood", Kind::Array(domain(mood())))],
            ),
            (Value::ByteaArray(vec![Some(vec![]), None]), vec![Type::BYTEA_ARRAY]),
            (Value::JsonArray(vec![s("null"), None]), vec![Type::JSON_ARRAY, Type::JSONB_ARRAY]),
            (Value::UuidArray(vec![Some((1, 2))]), vec![Type::UUID_ARRAY]),
            (Value::DateArray(vec![Some(0), None]), vec![Type::DATE_ARRAY]),
            (Value::TimestampArray(vec![Some(-1)]), vec![Type::TIMESTAMP_ARRAY]),
            (Value::TimestamptzArray(vec![Some(-1)]), vec![Type::TIMESTAMPTZ_ARRAY]),
            (Value::TimeArray(vec![Some(86_400_000_000), None]), vec![Type::TIME_ARRAY]),
            (Value::IntervalArray(vec![Some(interval), None]), vec![Type::INTERVAL_ARRAY]),
            (raw("inet", vec![2, 32, 0, 4, 127, 0, 0, 1]), vec![Type::INET]),
        ]
    }

    #[test]
    fn every_case_comes_back_as_it_went() {
        for (value, types) in direct() {
            for ty in types {
                // As text, because NaN is not equal to itself.
                assert_eq!(format!("{:?}", read(&ty, &binary(&value, &ty))), format!("{value:?}"), "{ty}");
            }
        }
    }

    #[test]
    fn null_is_null_of_every_type() {
        for ty in [Type::INT4, Type::TEXT_ARRAY, Type::ACLITEM, mood()] {
            assert_eq!(sent(&Value::Null, &ty), Ok((true, None)));
            assert_eq!(Cell::from_sql_null(&ty).unwrap().0, Value::Null);
        }
    }

    #[test]
    fn numerics_are_written_as_postgres_writes_them() {
        let (whole_max, scale_max) = (format!("1{}", "0".repeat(131_071)), format!("0.{}1", "0".repeat(16_382)));
        let full = format!("{}.{}", "9".repeat(131_072), "9".repeat(16_383));
        for (given, written) in [
            ("0", "0"),
            ("-0", "0"),
            ("0.00", "0.00"),
            ("-0.001", "-0.001"),
            ("1e-20", "0.00000000000000000001"),
            ("12345678901234567890.000100", "12345678901234567890.000100"),
            ("10000", "10000"),
            ("9999.9999", "9999.9999"),
            ("+0012.50", "12.50"),
            (".5", "0.5"),
            ("5.", "5"),
            ("1.50E+1", "15.0"),
            ("1.25e1", "12.5"),
            ("0.0001e4", "1"),
            ("0e999999", "0"),
            ("NaN", "NaN"),
            ("Infinity", "Infinity"),
            ("-Infinity", "-Infinity"),
            ("1e131071", &whole_max),
            ("1e-16383", &scale_max),
            (&full, &full),
        ] {
            assert_eq!(read(&Type::NUMERIC, &binary(&numeric(given), &Type::NUMERIC)), numeric(written));
        }
    }

    #[test]
    fn what_is_no_numeric_is_refused() {
        for text in [
            "", " 1", "1 ", "-", ".", "1e", "1e+", "1e 2", "1e1.5", "1.2.3", "--1", "+-1", "0x10", "1_000", "nan",
            "-NaN", "inf", "١",
        ] {
            let message = sent(&numeric(text), &Type::NUMERIC).unwrap_err();
            assert_eq!(message, format!("`{text}` is not a number, and cannot be sent as numeric"));
        }
        for text in ["1e131072", "-1e131072", "1e-16384", "0e-16384", "1e2147483647", "1e-2147483648", "1e99999999999"]
        {
            let message = sent(&numeric(text), &Type::NUMERIC).unwrap_err();
            assert_eq!(message, format!("the value {text} does not fit numeric"));
        }
        assert!(sent(&numeric(&"9".repeat(200_000)), &Type::NUMERIC).unwrap_err().len() < 100);
        assert!(sent(&numeric("\u{1b}[2J"), &Type::NUMERIC).unwrap_err().starts_with("`\\u{1b}[2J` is not"));
    }

    #[test]
    fn numbers_go_where_they_fit_exactly() {
        for (value, ty, stored) in [
            (Value::Int8(-32_768), Type::INT2, Value::Int2(-32_768)),
            (Value::Int2(7), Type::INT8, Value::Int8(7)),
            (Value::Int4(7), Type::OID, Value::Int8(7)),
            (Value::Int8(i64::MIN), Type::NUMERIC, numeric("-9223372036854775808")),
            (Value::Int8(i64::MIN), Type::FLOAT8, Value::Float8(-9_223_372_036_854_775_808.0)),
            (Value::Int4(1 << 24), Type::FLOAT4, Value::Float4(16_777_216.0)),
            (Value::Float4(0.1), Type::FLOAT8, Value::Float8(0.1_f32.into())),
            (Value::Float8(0.5), Type::FLOAT4, Value::Float4(0.5)),
            (Value::Float8(f64::NEG_INFINITY), Type::FLOAT4, Value::Float4(f32::NEG_INFINITY)),
            (Value::Int8Array(vec![Some(1), None]), Type::INT2_ARRAY, Value::Int2Array(vec![Some(1), None])),
            (Value::Int2Array(vec![Some(1)]), Type::NUMERIC_ARRAY, Value::NumericArray(vec![Some("1".into())])),
        ] {
            assert_eq!(read(&ty, &binary(&value, &ty)), stored);
        }
        assert!(
            matches!(read(&Type::FLOAT4, &binary(&Value::Float8(f64::NAN), &Type::FLOAT4)), Value::Float4(v) if v.is_nan())
        );
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let pair = |text: &str| Value::TextArray(vec![Some(text.into())]);
        for (value, ty, message) in [
            (Value::Int4(70_000), Type::INT2, "the value 70000 does not fit smallint"),
            (Value::Int8(1 << 31), Type::INT4, "the value 2147483648 does not fit integer"),
            (Value::Int4(-1), Type::OID, "the value -1 does not fit oid"),
            (Value::Int8(i64::MAX), Type::FLOAT8, "the value 9223372036854775807 does not fit double precision"),
            (Value::Int4((1 << 24) + 1), Type::FLOAT4, "the value 16777217 does not fit real"),
            (Value::Float8(0.1), Type::FLOAT4, "the value 0.1 does not fit real"),
            (Value::Float8(1e300), Type::FLOAT4, "the value 1e300 does not fit real"),
            (Value::Int4(1), Type::BOOL, "cannot send an integer value as boolean"),
            (Value::Bool(true), Type::INT4, "cannot send a boolean value as integer"),
            (Value::Float8(1.0), Type::NUMERIC, "cannot send a double precision value as numeric"),
            (numeric("1"), Type::TEXT, "cannot send a numeric value as text"),
            (Value::Timestamp(0), Type::TIMESTAMPTZ, "cannot send a timestamp value as timestamptz"),
            (Value::Int4(1), Type::INT4_ARRAY, "cannot send an integer value as integer[]"),
            (Value::Int4Array(vec![]), Type::INT4, "cannot send an integer[] value as integer"),
            (Value::BoolArray(vec![Some(true)]), Type::INT4_ARRAY, "cannot send a boolean[] value as integer[]"),
            (Value::Int8Array(vec![Some(70_000)]), Type::INT2_ARRAY, "the value 70000 does not fit smallint[]"),
            (pair("1"), Type::INT2_VECTOR, "cannot send a text[] value as int2vector"),
            (Value::Text("a\0".into()), Type::TEXT, "a text value has a NUL character, which PostgreSQL cannot store"),
            (Value::Text("a\0".into()), Type::INET, "a text value has a NUL character, which PostgreSQL cannot store"),
            (pair("\0"), Type::INET_ARRAY, "a text[] value has a NUL character, which PostgreSQL cannot store"),
            (Value::Json("\0".into()), Type::JSONB, "a json value has a NUL character, which PostgreSQL cannot store"),
        ] {
            assert_eq!(sent(&value, &ty), Err(message.to_owned()));
        }
    }

    #[test]
    fn text_goes_into_any_type_in_its_text_format() {
        let domain = made("domain", Kind::Domain(Type::INET));
        for ty in [Type::INET, Type::INT4, Type::JSONB, Type::INT4_ARRAY, domain] {
            assert_eq!(text(&Value::Text("1".into()), &ty), "1");
        }
        let items = Value::TextArray(vec![Some(r#"a"\,"#.into()), None, Some("NULL".into()), Some(String::new())]);
        assert_eq!(text(&items, &Type::JSON_ARRAY), r#"{"a\"\\,",NULL,"NULL",""}"#);
        assert_eq!(text(&items, &Type::BOX_ARRAY), r#"{"a\"\\,";NULL;"NULL";""}"#);
        assert_eq!(text(&Value::TextArray(vec![]), &Type::INET_ARRAY), "{}");
        let as_text = Raw { type_name: String::new(), binary: false, bytes: b"::1".into() };
        assert_eq!(text(&Value::Raw(as_text), &Type::INET), "::1");
    }

    #[test]
    fn what_has_no_case_is_raw() {
        for ty in [Type::TIMETZ, Type::INET, Type::CHAR, Type::INT4_RANGE, Type::RECORD, Type::MONEY, Type::OID_VECTOR]
        {
            assert_eq!(read(&ty, &[1, 2]), raw(ty.name(), vec![1, 2]));
        }
        for ty in [Type::TEXT, Type::JSON, mood()] {
            assert_eq!(read(&ty, b"\xff"), raw(ty.name(), vec![255]));
        }
        let text_array = Value::TextArray(vec![Some("ü".into())]);
        let not_utf8 = [&binary(&text_array, &Type::TEXT_ARRAY)[..24], &[255; 2]].concat();
        assert_eq!(read(&Type::TEXT_ARRAY, &not_utf8), raw("_text", not_utf8));
        let one = binary(&Value::Int4Array(vec![Some(1)]), &Type::INT4_ARRAY);
        for (at, byte) in [(3, 2), (11, 24), (19, 0)] {
            let mut other = one.clone();
            other[at] = byte;
            assert_eq!(read(&Type::INT4_ARRAY, &other), raw("_int4", other), "dimensions, element type, lower bound");
        }
    }

    #[test]
    fn malformed_input_is_an_error_and_never_a_panic() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for (value, types) in direct() {
            for ty in types {
                let bytes = binary(&value, &ty);
                let any_length = matches!(value, Value::Text(_) | Value::Bytea(_) | Value::Json(_) | Value::Raw(_));
                for end in 0..bytes.len() {
                    let cut = Cell::from_sql(&ty, &bytes[..end]);
                    assert!(any_length || cut.is_err(), "{ty}: {end} of {} bytes are {cut:?}", bytes.len());
                }
                assert!(any_length || Cell::from_sql(&ty, &[&bytes[..], b"x"].concat()).is_err(), "{ty}");
                for _ in 0..2000 {
                    let mut changed = bytes.clone();
                    for _ in 0..=random() % 3 {
                        let length = changed.len().max(1) as u64;
                        if let Some(byte) = changed.get_mut((random() % length) as usize) {
                            *byte = random() as u8;
                        }
                    }
                    let _ = Cell::from_sql(&ty, &changed);
                    let noise: Vec<u8> = (0..random() % 40).map(|_| random() as u8).collect();
                    let _ = Cell::from_sql(&ty, &noise);
                }
            }
        }
    }

    #[test]
    fn the_size_of_a_cell_is_known_before_it_is_made() {
        for (value, types) in direct() {
            for ty in types {
                let bytes = binary(&value, &ty);
                let CellSize(size) = CellSize::from_sql(&ty, &bytes).unwrap();
                let made = read(&ty, &bytes).size_bytes();
                assert!(size >= made, "{ty}: {made} bytes were taken for {size}");
                assert!(size <= made * 4 + 100, "{ty}: {made} bytes were taken for {size}");
            }
        }
        // A few bytes on the wire, 131,072 digits when written out.
        let bytes = binary(&Value::Numeric("1e131000".into()), &Type::NUMERIC);
        assert!(bytes.len() < 20);
        assert!(CellSize::from_sql(&Type::NUMERIC, &bytes).unwrap().0 > 131_000);
        let many = Value::NumericArray(vec![Some("1e131000".into()); 1_000]);
        let bytes = binary(&many, &Type::NUMERIC_ARRAY);
        assert!(CellSize::from_sql(&Type::NUMERIC_ARRAY, &bytes).unwrap().0 > 131_000_000);
        for bytes in [&[][..], &[0], &[0xff; 19], &[0x7f; 40]] {
            for ty in [Type::NUMERIC, Type::NUMERIC_ARRAY, Type::INT4_ARRAY, Type::TEXT] {
                CellSize::from_sql(&ty, bytes).unwrap();
            }
        }
    }

    #[test]
    fn no_parameter_takes_more_of_a_message_than_was_counted() {
        for (value, types) in direct() {
            for ty in types {
                assert!(binary(&value, &ty).len() <= sent_bytes_max(&value), "{ty}: {value:?}");
            }
        }
        for value in [
            Value::BoolArray(vec![Some(true); 1_000]),
            Value::Int2Array(vec![Some(1); 1_000]),
            Value::Int4Array(vec![Some(1); 1_000]),
            Value::Float4Array(vec![None; 1_000]),
            Value::IntervalArray(vec![Some(Interval { months: 1, days: 1, microseconds: 1 }); 1_000]),
            Value::NumericArray(vec![Some("1".into()); 1_000]),
            Value::UuidArray(vec![Some((1, 1)); 1_000]),
        ] {
            let (_, shape) = shape(&value);
            let Shape::Array(items) = shape else { panic!("{value:?} is no array") };
            let element = match value {
                Value::BoolArray(_) => Type::BOOL,
                Value::Int2Array(_) => Type::INT2,
                Value::Int4Array(_) => Type::INT4,
                Value::Float4Array(_) => Type::FLOAT4,
                Value::IntervalArray(_) => Type::INTERVAL,
                Value::NumericArray(_) => Type::NUMERIC,
                _ => Type::UUID,
            };
            let mut out = BytesMut::new();
            write_array(&items, &element, &mut out).unwrap();
            assert!(out.len() <= sent_bytes_max(&value), "{element}: {} bytes", out.len());
        }
        let literal = Value::TextArray(vec![Some("\"\\".repeat(100)); 100]);
        assert!(text(&literal, &Type::INT4_ARRAY).len() <= sent_bytes_max(&literal));
    }

    #[test]
    fn debug_output_hides_the_value() {
        assert_eq!(format!("{:?}", Param(&Value::Text("secret".into()))), "Param(text)");
    }
}
