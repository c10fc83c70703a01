//! What a migration is called, which way it runs, and how its text is recognised again.

use std::{cmp::Ordering, fmt};

use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

/// The number that orders migrations, together with the way it was written.
///
/// `001` and `1` are the same version; the text is kept because people and history rows use it.
#[derive(Debug, Clone)]
pub struct Version {
    number: u64,
    text: String,
}

impl Version {
    /// Reads decimal digits. `None` for anything else, and for numbers beyond `u64`.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let number = digits.then(|| text.parse().ok())??;
        Some(Self { number, text: text.to_owned() })
    }

    /// The version as it was written, such as `001`.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Version {}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.number.cmp(&other.number)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

/// Which way a migration runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Towards the newer schema.
    Up,
    /// Back to the older one.
    Down,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Up => "up",
            Self::Down => "down",
        })
    }
}

/// What a migration is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// `.up.sql` and its companions.
    Sql,
    /// A WebAssembly component.
    Component,
}

impl Kind {
    /// The word in the history table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sql => "sql",
            Self::Component => "component",
        }
    }
}

/// SHA-256 in lower-case hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Checksum(String);

impl Checksum {
    /// The digest of the bytes as they are.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self(hex(&Sha256::digest(bytes)))
    }

    /// The digest of a script, the same whether a checkout wrote LF or CRLF, with a byte order mark or without.
    pub fn of_script(text: &str) -> Self {
        let mut hasher = Sha256::new();
        for (i, part) in text.trim_start_matches('\u{feff}').split("\r\n").enumerate() {
            if i > 0 {
                hasher.update(b"\n");
            }
            hasher.update(part);
        }
        Self(hex(&hasher.finalize()))
    }

    /// A digest that was recorded earlier.
    pub fn recorded(hex: impl Into<String>) -> Self {
        Self(hex.into())
    }

    /// 64 hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Enough digits for people to compare.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_order_by_number_and_keep_their_text() {
        let (a, b) = (Version::parse("009").unwrap(), Version::parse("10").unwrap());
        assert!(a < b);
        assert_eq!(a, Version::parse("9").unwrap());
        assert_eq!(a.to_string(), "009");
    }

    #[test]
    fn a_version_is_digits_only() {
        for text in ["", "-1", "+1", "1a", "１", "99999999999999999999"] {
            assert!(Version::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn line_endings_and_byte_order_marks_do_not_change_a_script() {
        assert_eq!(Checksum::of_script("a;\nb;\n"), Checksum::of_script("\u{feff}a;\r\nb;\r\n"));
        assert_ne!(Checksum::of_script("a;\nb;\n"), Checksum::of_script("a;\nb; \n"));
    }

    #[test]
    fn the_digest_is_sha256() {
        assert_eq!(
            Checksum::of_bytes(b"abc").as_str(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
