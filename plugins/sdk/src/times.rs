//! Newtypes for the cases of [`Value`] that are plain numbers or text underneath.

/// A `date`, in days since 2000-01-01. [`MIN`](i32::MIN) is `-infinity`, [`MAX`](i32::MAX) `infinity`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(pub i32);

/// A `time`, in microseconds since midnight, up to and including 24:00:00.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub i64);

/// A `timestamp`, in microseconds since 2000-01-01 00:00:00, without a time zone. [`MIN`](i64::MIN) is `-infinity`,
/// [`MAX`](i64::MAX) `infinity`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

/// A `timestamptz`, in microseconds since 2000-01-01 00:00:00 UTC. [`MIN`](i64::MIN) is `-infinity`, [`MAX`](i64::MAX)
/// `infinity`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamptz(pub i64);

/// A `numeric`, as PostgreSQL writes it: `-12.50`, `NaN`, `Infinity`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Numeric(pub String);

/// A `json` or `jsonb`, as JSON text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Json(pub String);
