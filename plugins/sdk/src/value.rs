use std::convert::identity;

use crate::{Date, Interval, Json, Numeric, RawValue, Time, Timestamp, Timestamptz, Uuid, Value};

/// Turns anything that is a [`Value`] into the parameters of a statement.
///
/// ```
/// use lockgate_plugin::{Result, Transaction, Uuid, params};
///
/// fn rename(tx: &Transaction, id: Uuid, name: Option<&str>) -> Result<u64> {
///     tx.execute("UPDATE users SET name = $2 WHERE id = $1", params![id, name])
/// }
///
/// // A vector is an array, so that one statement changes a whole batch.
/// fn rename_all(tx: &Transaction, ids: Vec<Uuid>, names: Vec<Option<String>>) -> Result<u64> {
///     tx.execute(
///         "UPDATE users SET name = new.name FROM unnest($1::uuid[], $2::text[]) AS new (id, name) WHERE users.id = new.id",
///         params![ids, names],
///     )
/// }
/// ```
#[macro_export]
macro_rules! params {
    ($($value:expr),* $(,)?) => {
        &[$($crate::Value::from($value)),*] as &[$crate::Value]
    };
}

/// A Rust type that a [`Value`] can be read as, without loss.
///
/// | PostgreSQL | Rust |
/// |---|---|
/// | `boolean` | `bool` |
/// | `smallint`, `integer`, `bigint` | `i16`, `i32`, `i64`; the smaller ones read as the larger, too |
/// | `real`, `double precision` | `f32`, `f64`; `real` reads as `f64`, too |
/// | `text`, `varchar`, `char`, `name`, enum types | `&str`, `String` |
/// | `numeric` | [`Numeric`], `&str`, `String` |
/// | `json`, `jsonb` | [`Json`], `&str`, `String` |
/// | `bytea` | `&[u8]`, `Vec<u8>` |
/// | `uuid` | [`Uuid`] |
/// | `date`, `time` | [`Date`], [`Time`] |
/// | `timestamp`, `timestamptz` | [`Timestamp`], [`Timestamptz`] |
/// | `interval` | [`Interval`] |
/// | arrays of these | `Vec<Option<T>>`, and `Vec<T>` where no element is NULL |
/// | any other type | [`RawValue`] |
///
/// NULL reads as an [`Option`] only, and anything as [`Value`].
pub trait FromValue<'a>: Sized {
    /// The value, or nothing when it does not fit.
    fn from_value(value: &'a Value) -> Option<Self>;
}

impl<'a, T: FromValue<'a>> FromValue<'a> for Option<T> {
    fn from_value(value: &'a Value) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            value => T::from_value(value).map(Some),
        }
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl<'a> FromValue<'a> for &'a Value {
    fn from_value(value: &'a Value) -> Option<Self> {
        Some(value)
    }
}

impl FromValue<'_> for Value {
    fn from_value(value: &Value) -> Option<Self> {
        Some(value.clone())
    }
}

/// `reads!(Type<'a> { pattern => expression, … })`: the cases that fit a type.
macro_rules! reads {
    ($($type:ty { $($pattern:pat => $value:expr),+ $(,)? })+) => {$(
        impl<'a> FromValue<'a> for $type {
            fn from_value(value: &'a Value) -> Option<Self> {
                match value {
                    $($pattern => Some($value),)+
                    _ => None,
                }
            }
        }
    )+};
}

reads! {
    bool { Value::Boolean(value) => *value }
    i16 { Value::Int2(value) => *value }
    i32 { Value::Int2(value) => (*value).into(), Value::Int4(value) => *value }
    i64 {
        Value::Int2(value) => (*value).into(),
        Value::Int4(value) => (*value).into(),
        Value::Int8(value) => *value,
    }
    f32 { Value::Float4(value) => *value }
    f64 { Value::Float4(value) => (*value).into(), Value::Float8(value) => *value }
    &'a str { Value::Text(text) | Value::Numeric(text) | Value::Json(text) => text }
    String { Value::Text(text) | Value::Numeric(text) | Value::Json(text) => text.clone() }
    &'a [u8] { Value::Bytea(bytes) => bytes }
    Vec<u8> { Value::Bytea(bytes) => bytes.clone() }
    Uuid { Value::Uuid(halves) => Uuid::from_halves(*halves) }
    Interval { Value::Interval(interval) => *interval }
    Date { Value::Date(days) => Self(*days) }
    Time { Value::Time(microseconds) => Self(*microseconds) }
    Timestamp { Value::Timestamp(microseconds) => Self(*microseconds) }
    Timestamptz { Value::Timestamptz(microseconds) => Self(*microseconds) }
    Numeric { Value::Numeric(text) => Self(text.clone()) }
    Json { Value::Json(text) => Self(text.clone()) }
    RawValue { Value::Raw(raw) => raw.clone() }
    &'a RawValue { Value::Raw(raw) => raw }
}

/// `converts!(Type => Case, …)`: the case that a type becomes.
macro_rules! converts {
    ($($type:ty => $case:ident),+ $(,)?) => {$(
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::$case(value.into())
            }
        }
    )+};
}

converts! {
    bool => Boolean,
    i16 => Int2,
    i32 => Int4,
    i64 => Int8,
    f32 => Float4,
    f64 => Float8,
    &str => Text,
    &String => Text,
    String => Text,
    &[u8] => Bytea,
    Vec<u8> => Bytea,
    Interval => Interval,
    RawValue => Raw,
}

/// `newtypes!(Type => Case, …)`: the case that holds what is inside.
macro_rules! newtypes {
    ($($type:ty => $case:ident),+ $(,)?) => {$(
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::$case(value.0)
            }
        }
    )+};
}

newtypes! {
    Date => Date,
    Time => Time,
    Timestamp => Timestamp,
    Timestamptz => Timestamptz,
    Numeric => Numeric,
    Json => Json,
}

/// `arrays!(Type => Case by into, from; …)`: one-dimensional arrays, with and without NULLs, and how an element becomes
/// what the case holds and comes back. Only an array without any NULL reads as one of plain elements.
macro_rules! arrays {
    ($($type:ty => $case:ident by $into:expr, $from:expr;)+) => {$(
        impl From<Vec<Option<$type>>> for Value {
            fn from(elements: Vec<Option<$type>>) -> Self {
                Self::$case(elements.into_iter().map(|element| element.map($into)).collect())
            }
        }

        impl From<Vec<$type>> for Value {
            fn from(elements: Vec<$type>) -> Self {
                Self::$case(elements.into_iter().map($into).map(Some).collect())
            }
        }

        impl FromValue<'_> for Vec<Option<$type>> {
            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    Value::$case(elements) => {
                        Some(elements.iter().map(|element| element.clone().map($from)).collect())
                    }
                    _ => None,
                }
            }
        }

        impl FromValue<'_> for Vec<$type> {
            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    Value::$case(elements) => elements.iter().map(|element| element.clone().map($from)).collect(),
                    _ => None,
                }
            }
        }
    )+};
}

arrays! {
    bool => BooleanArray by identity, identity;
    i16 => Int2Array by identity, identity;
    i32 => Int4Array by identity, identity;
    i64 => Int8Array by identity, identity;
    f32 => Float4Array by identity, identity;
    f64 => Float8Array by identity, identity;
    Numeric => NumericArray by |numeric| numeric.0, Numeric;
    String => TextArray by identity, identity;
    Vec<u8> => ByteaArray by identity, identity;
    Json => JsonArray by |json| json.0, Json;
    Uuid => UuidArray by Uuid::halves, Uuid::from_halves;
    Date => DateArray by |date| date.0, Date;
    Timestamp => TimestampArray by |timestamp| timestamp.0, Timestamp;
    Timestamptz => TimestamptzArray by |timestamp| timestamp.0, Timestamptz;
    Time => TimeArray by |time| time.0, Time;
    Interval => IntervalArray by identity, identity;
}

impl From<Vec<&str>> for Value {
    fn from(elements: Vec<&str>) -> Self {
        Self::TextArray(elements.into_iter().map(|text| Some(text.to_owned())).collect())
    }
}

impl From<Vec<Option<&str>>> for Value {
    fn from(elements: Vec<Option<&str>>) -> Self {
        Self::TextArray(elements.into_iter().map(|text| text.map(str::to_owned)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: for<'a> FromValue<'a>>(value: impl Into<Value>) -> Option<T> {
        T::from_value(&value.into())
    }

    #[test]
    fn scalars_survive_a_round_trip() {
        assert_eq!(read(true), Some(true));
        assert_eq!(read(i16::MIN), Some(i16::MIN));
        assert_eq!(read(i64::MAX), Some(i64::MAX));
        assert_eq!(read(1.5_f32), Some(1.5_f32));
        assert_eq!(read("é"), Some(String::from("é")));
        assert_eq!(read(vec![0_u8, 255]), Some(vec![0_u8, 255]));
        assert_eq!(read(Uuid(9)), Some(Uuid(9)));
    }

    #[test]
    fn none_is_null() {
        assert_eq!(Value::from(None::<i32>), Value::Null);
        assert_eq!(Value::from(Some(1_i32)), Value::Int4(1));
        assert_eq!(read::<i32>(Value::Null), None);
        assert_eq!(read::<Option<i32>>(Value::Null), Some(None));
    }

    #[test]
    fn arrays_with_nulls_read_only_as_such() {
        let value = vec![Some(1_i64), None];
        assert_eq!(read(value.clone()), Some(value.clone()));
        assert_eq!(read::<Vec<i64>>(value), None);
        assert_eq!(read(vec![1_i64, 2]), Some(vec![1_i64, 2]));
        assert_eq!(read(vec![String::from("a")]), Some(vec![String::from("a")]));
    }

    #[track_caller]
    fn survives<T>(element: T)
    where
        T: Clone + std::fmt::Debug + PartialEq + Into<Value> + for<'a> FromValue<'a>,
        Vec<Option<T>>: Into<Value> + for<'a> FromValue<'a>,
        Vec<T>: Into<Value> + for<'a> FromValue<'a>,
    {
        assert_eq!(read(element.clone()), Some(element.clone()));
        let plain = vec![element.clone(), element.clone()];
        assert_eq!(read(plain.clone()), Some(plain));
        let with_null = vec![Some(element), None];
        assert_eq!(read(with_null.clone()), Some(with_null));
    }

    #[test]
    fn every_case_survives_a_round_trip_alone_and_in_an_array() {
        survives(true);
        survives(i16::MIN);
        survives(i32::MIN);
        survives(i64::MIN);
        survives(-0.5_f32);
        survives(f64::MAX);
        survives(Numeric("-12.50".into()));
        survives(String::from("é"));
        survives(vec![0_u8, 255]);
        survives(Json("{}".into()));
        survives(Uuid(u128::MAX - 1));
        survives(Date(-1));
        survives(Time(86_400_000_000));
        survives(Timestamp(i64::MIN));
        survives(Timestamptz(i64::MAX));
        survives(Interval { months: 1, days: -2, microseconds: 3 });
    }

    #[test]
    fn any_other_type_is_raw() {
        let raw = RawValue { type_name: "inet".into(), binary: true, bytes: vec![2, 32, 0, 4, 127, 0, 0, 1] };
        assert_eq!(read(raw.clone()), Some(raw));
    }

    #[test]
    fn parameters_become_values() {
        let name = String::from("Ada");
        let params = params![7_i64, None::<bool>, &name, vec!["a"]];
        let texts = Value::TextArray(vec![Some("a".into())]);
        assert_eq!(params, [Value::Int8(7), Value::Null, Value::Text("Ada".into()), texts]);
        assert_eq!(params![], []);
    }

    #[test]
    fn a_uuid_array_keeps_its_nulls() {
        assert_eq!(Value::from(vec![Some(Uuid(1)), None]), Value::UuidArray(vec![Some((0, 1)), None]));
    }

    #[test]
    fn text_is_not_a_number() {
        assert_eq!(read::<i32>("7"), None);
        assert_eq!(read::<f32>(1.5_f64), None);
    }
}
