//! Values that are told raw and made text here: of many rows that is sooner done than by the server, and a cast to text is more for a session to
//! look up that has just begun.

use std::error::Error as _;

use tokio_postgres::{
    Row,
    types::{FromSql, Type},
};

use crate::error::{Error, Result};

/// A value of a row of the host's own tables. Whoever has altered the table may have left none of this type, or none at all.
///
/// # Errors
/// [`Error::DamagedHistory`], with the column.
pub(super) fn value<'r, T: FromSql<'r>>(row: &'r Row, i: usize) -> Result<T> {
    row.try_get(i).map_err(|error| {
        let column = &row.columns()[i];
        let cause = match error.source() {
            _ if !T::accepts(column.type_()) => format!("its type is `{}`", column.type_().name()),
            Some(cause) => cause.to_string(),
            None => error.to_string(),
        };
        Error::DamagedHistory {
            what: format!("a value of Lockgate's own column `{}` cannot be read: {cause}", column.name()),
            next: "find out who has altered the table, and give the column back its type and its values".into(),
        }
    })
}

/// An instant as RFC 3339, to the millisecond. That of a thousand rows is sooner told here than by the server.
pub(super) struct Instant(pub(super) String);

impl<'a> FromSql<'a> for Instant {
    fn from_sql(_: &Type, raw: &'a [u8]) -> std::result::Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        // Source: PostgreSQL manual, "Date/Time Types": microseconds since 2000, of which the ends mean infinity. What is no year of four digits is that here.
        const UNTIL_2000_S: i64 = 946_684_800;
        let microseconds = i64::from_be_bytes(raw.try_into()?);
        let (s, us) = (microseconds.div_euclid(1_000_000), microseconds.rem_euclid(1_000_000));
        let instant = i32::try_from(us / 1000 * 1_000_000)
            .ok()
            .and_then(|ns| jiff::Timestamp::new(UNTIL_2000_S.checked_add(s)?, ns).ok());
        Ok(Self(match instant {
            Some(instant) => format!("{instant:.3}"),
            None if microseconds < 0 => "-infinity".to_owned(),
            None => "infinity".to_owned(),
        }))
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::TIMESTAMPTZ
    }
}

/// A UUID as text.
pub(super) struct Id(pub(super) String);

impl<'a> FromSql<'a> for Id {
    fn from_sql(_: &Type, raw: &'a [u8]) -> std::result::Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(uuid::Uuid::from_slice(raw)?.to_string()))
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::UUID
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_told_as_the_server_would() {
        let told = |microseconds: i64| Instant::from_sql(&Type::TIMESTAMPTZ, &microseconds.to_be_bytes()).unwrap().0;
        assert_eq!(told(0), "2000-01-01T00:00:00.000Z");
        assert_eq!(told(1_999), "2000-01-01T00:00:00.001Z");
        assert_eq!(told(-1), "1999-12-31T23:59:59.999Z");
        assert_eq!(told(817_521_335_058_123), "2025-11-27T01:15:35.058Z");
        assert_eq!((told(i64::MAX).as_str(), told(i64::MIN).as_str()), ("infinity", "-infinity"));
        assert!(Instant::from_sql(&Type::TIMESTAMPTZ, &[0; 4]).is_err());
    }
}
