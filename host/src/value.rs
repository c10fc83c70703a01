//! SQL values as programs see them. The meaning and the units of each case are those of `wit/lockgate.wit`.

/// One SQL value.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "each case is documented in wit/lockgate.wit")]
pub enum Value {
    Null,
    Bool(bool),
    Int2(i16),
    Int4(i32),
    Int8(i64),
    Float4(f32),
    Float8(f64),
    Numeric(String),
    Text(String),
    Bytea(Vec<u8>),
    Json(String),
    Uuid((u64, u64)),
    Date(i32),
    Time(i64),
    Timestamp(i64),
    Timestamptz(i64),
    Interval(Interval),
    BoolArray(Vec<Option<bool>>),
    Int2Array(Vec<Option<i16>>),
    Int4Array(Vec<Option<i32>>),
    Int8Array(Vec<Option<i64>>),
    Float4Array(Vec<Option<f32>>),
    Float8Array(Vec<Option<f64>>),
    NumericArray(Vec<Option<String>>),
    TextArray(Vec<Option<String>>),
    ByteaArray(Vec<Option<Vec<u8>>>),
    JsonArray(Vec<Option<String>>),
    UuidArray(Vec<Option<(u64, u64)>>),
    DateArray(Vec<Option<i32>>),
    TimestampArray(Vec<Option<i64>>),
    TimestamptzArray(Vec<Option<i64>>),
    TimeArray(Vec<Option<i64>>),
    IntervalArray(Vec<Option<Interval>>),
    Raw(Raw),
}

impl Value {
    /// What it takes in memory.
    pub fn size_bytes(&self) -> usize {
        fn of<T>(items: &[Option<T>], heap: impl Fn(&T) -> usize) -> usize {
            size_of_val(items) + items.iter().flatten().map(heap).sum::<usize>()
        }
        fn flat<T>(items: &[Option<T>]) -> usize {
            size_of_val(items)
        }
        let heap = match self {
            Self::Numeric(text) | Self::Text(text) | Self::Json(text) => text.len(),
            Self::Bytea(bytes) => bytes.len(),
            Self::Raw(raw) => raw.type_name.len() + raw.bytes.len(),
            Self::BoolArray(items) => flat(items),
            Self::Int2Array(items) => flat(items),
            Self::Int4Array(items) | Self::DateArray(items) => flat(items),
            Self::Int8Array(items)
            | Self::TimeArray(items)
            | Self::TimestampArray(items)
            | Self::TimestamptzArray(items) => flat(items),
            Self::IntervalArray(items) => flat(items),
            Self::Float4Array(items) => flat(items),
            Self::Float8Array(items) => flat(items),
            Self::UuidArray(items) => flat(items),
            Self::NumericArray(items) | Self::TextArray(items) | Self::JsonArray(items) => of(items, String::len),
            Self::ByteaArray(items) => of(items, Vec::len),
            _ => 0,
        };
        size_of::<Self>() + heap
    }
}

/// Months, days and microseconds, which PostgreSQL keeps apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each field is documented in wit/lockgate.wit")]
pub struct Interval {
    pub months: i32,
    pub days: i32,
    pub microseconds: i64,
}

/// A value of a type that has no case of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raw {
    /// The name in `pg_type`.
    pub type_name: String,
    /// The binary send/receive format rather than the text format.
    pub binary: bool,
    /// The value in that format.
    pub bytes: Vec<u8>,
}

/// A column of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name or alias.
    pub name: String,
    /// The name of its type in `pg_type`.
    pub type_name: String,
    /// The type's number in `pg_type`.
    pub type_oid: u32,
}

/// A whole result.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rows {
    /// Known even if there is no row.
    pub columns: Vec<Column>,
    /// One vector a row, in the order of the columns.
    pub rows: Vec<Vec<Value>>,
}
