use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use crate::{Error, Value};

/// A `uuid`. Orders as PostgreSQL orders it, prints as PostgreSQL prints it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid(pub u128);

impl Uuid {
    pub(crate) fn from_halves((upper, lower): (u64, u64)) -> Self {
        Self(u128::from(upper) << 64 | u128::from(lower))
    }

    #[expect(clippy::cast_possible_truncation, reason = "each half is 64 bits")]
    pub(crate) fn halves(self) -> (u64, u64) {
        ((self.0 >> 64) as u64, self.0 as u64)
    }
}

impl Display for Uuid {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        let digits = format!("{:032x}", self.0);
        let (a, b) = (&digits[..8], &digits[8..12]);
        let (c, d, e) = (&digits[12..16], &digits[16..20], &digits[20..]);
        write!(f, "{a}-{b}-{c}-{d}-{e}")
    }
}

impl FromStr for Uuid {
    type Err = Error;

    /// Reads 32 hexadecimal digits, with or without hyphens.
    fn from_str(text: &str) -> Result<Self, Error> {
        let digits: String = text.chars().filter(|&c| c != '-').collect();
        let all_hex = digits.len() == 32 && digits.chars().all(|c| c.is_ascii_hexdigit());
        match u128::from_str_radix(&digits, 16) {
            Ok(number) if all_hex => Ok(Self(number)),
            _ => Err(Error::BadValue(format!("`{text}` is not a uuid"))),
        }
    }
}

impl From<Uuid> for Value {
    fn from(uuid: Uuid) -> Self {
        Self::Uuid(uuid.halves())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "018f4e2a-0000-7000-8000-00000000000f";

    #[test]
    fn text_survives_a_round_trip() {
        assert_eq!(TEXT.parse::<Uuid>().map(|uuid| uuid.to_string()), Ok(TEXT.into()));
        assert_eq!(Uuid::default().to_string(), "00000000-0000-0000-0000-000000000000");
    }

    #[test]
    fn halves_survive_a_round_trip() {
        let uuid = Uuid(u128::MAX - 5);
        assert_eq!(Uuid::from_halves(uuid.halves()), uuid);
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "018f", "+18f4e2a-0000-7000-8000-00000000000f", "é"] {
            assert!(text.parse::<Uuid>().is_err(), "{text}");
        }
    }
}
