use crate::{Interval, Uuid, Value};

/// A Rust type that a [`Value`] can be read as, without loss.
///
/// Integers and floats widen (`int4` reads as `i64`), `numeric` and `json` read as text, and anything reads as
/// [`Value`]. Times are the numbers that [`Value`] describes: read `timestamptz` by matching on `Value`.
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
    String => Text,
    &[u8] => Bytea,
    Vec<u8> => Bytea,
    Interval => Interval,
}

/// `arrays!(Type => Case, …)`: one-dimensional arrays, with and without NULLs. Only an array without any reads
/// as one of plain elements.
macro_rules! arrays {
    ($($type:ty => $case:ident),+ $(,)?) => {$(
        impl From<Vec<Option<$type>>> for Value {
            fn from(elements: Vec<Option<$type>>) -> Self {
                Self::$case(elements)
            }
        }

        impl From<Vec<$type>> for Value {
            fn from(elements: Vec<$type>) -> Self {
                Self::$case(elements.into_iter().map(Some).collect())
            }
        }

        impl FromValue<'_> for Vec<Option<$type>> {
            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    Value::$case(elements) => Some(elements.clone()),
                    _ => None,
                }
            }
        }

        impl FromValue<'_> for Vec<$type> {
            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    Value::$case(elements) => elements.iter().cloned().collect(),
                    _ => None,
                }
            }
        }
    )+};
}

arrays! {
    bool => BooleanArray,
    i16 => Int2Array,
    i32 => Int4Array,
    i64 => Int8Array,
    f32 => Float4Array,
    f64 => Float8Array,
    String => TextArray,
    Vec<u8> => ByteaArray,
}

impl From<Vec<Uuid>> for Value {
    fn from(elements: Vec<Uuid>) -> Self {
        Self::UuidArray(elements.into_iter().map(|uuid| Some(uuid.halves())).collect())
    }
}

impl From<Vec<Option<Uuid>>> for Value {
    fn from(elements: Vec<Option<Uuid>>) -> Self {
        Self::UuidArray(elements.into_iter().map(|uuid| Some(uuid?.halves())).collect())
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
