//! What a migration is called, which way it runs, and how its text is recognised again.

use std::{
    borrow::Cow,
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    io,
};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::{Digest, Sha256};

/// What orders migrations, together with the way it was written: a number of any width, several of them with dots between (`1.2.10`), or
/// the name of a repeatable migration (`R__views`), which comes after all numbers.
///
/// `001` and `1` are the same version, and so are `1.0` and `1`; the text is kept because people and history rows use it.
#[derive(Debug, Clone)]
pub struct Version {
    order: Order,
    text: String,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Order {
    /// Without zeros at the end.
    Numbers(Vec<Number>),
    Repeatable(String),
}

/// Without zeros at the front: of two numbers the longer one is the greater.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Number {
    width: usize,
    digits: String,
}

impl Version {
    /// What the versions of repeatable migrations begin with.
    const REPEATABLE: &str = "R__";

    /// Reads decimal digits, with single dots between them or without, or the version of a repeatable migration. `None` for anything
    /// else.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(name) = text.strip_prefix(Self::REPEATABLE) {
            return Self::repeatable(name);
        }
        let mut numbers = text.split('.').map(Number::parse).collect::<Option<Vec<_>>>()?;
        while numbers.last().is_some_and(|number| number.width == 0) {
            numbers.pop();
        }
        Some(Self { order: Order::Numbers(numbers), text: text.to_owned() })
    }

    /// The version of a repeatable migration of this name; `None` without one.
    pub fn repeatable(name: &str) -> Option<Self> {
        let order = Order::Repeatable(name.to_owned());
        (!name.is_empty()).then_some(Self { order, text: format!("{}{name}", Self::REPEATABLE) })
    }

    /// Whether it is a repeatable migration's, which is applied again whenever it has changed.
    pub fn is_repeatable(&self) -> bool {
        matches!(self.order, Order::Repeatable(_))
    }

    /// The version as it was written, such as `001`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// An SQL expression that is the same for all ways to write one version. Every name with its schema: a migration may have changed the
    /// search path.
    pub(crate) fn key_sql(text: &str) -> String {
        format!(
            "CASE WHEN {text} OPERATOR(pg_catalog.~) '^[0-9]'
                  THEN pg_catalog.regexp_replace(pg_catalog.regexp_replace({text}, '(^|[.])0+', '\\1', 'g'), '[.]+$', '')
                  ELSE {text} END"
        )
    }
}

impl Number {
    fn parse(text: &str) -> Option<Self> {
        let all_digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let digits = text.trim_start_matches('0').to_owned();
        all_digits.then_some(Self { width: digits.len(), digits })
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Version {}

impl Hash for Version {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.order.hash(state);
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order.cmp(&other.order)
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

impl JsonSchema for Version {
    fn schema_name() -> Cow<'static, str> {
        "Version".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "A version as it is written in the name of its file, such as `001`." })
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom(format!("`{text}` is no version")))
    }
}

/// Which way a migration runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Checksum(String);

/// So much of a file is read at a time: no more than stays in the processor's cache.
const PIECE_BYTES: usize = 128 * 1024;

impl Checksum {
    /// The digest of the bytes as they are.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self(hex(&Sha256::digest(bytes)))
    }

    /// The digest of all that is read, and how many bytes that is.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of_reader(mut reader: impl io::Read) -> io::Result<(Self, u64)> {
        let (mut hasher, mut length) = (Sha256::new(), 0);
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            match reader.read(&mut piece) {
                Ok(0) => return Ok((Self(hex(&hasher.finalize())), length)),
                Ok(read) => {
                    hasher.update(&piece[..read]);
                    length += read as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// One digest of several named texts, each as by [`of_script`](Self::of_script).
    pub fn of_parts(parts: impl IntoIterator<Item = (String, impl AsRef<str>)>) -> Self {
        let mut hasher = Sha256::new();
        for (name, text) in parts {
            for part in [name, Self::of_script(text.as_ref()).0] {
                // With its length, so that no two lists are the same text.
                hasher.update((part.len() as u64).to_be_bytes());
                hasher.update(part);
            }
        }
        Self(hex(&hasher.finalize()))
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
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut hex = String::with_capacity(bytes.len() * 2);
    for digit in bytes.iter().flat_map(|b| [b >> 4, b & 15]) {
        hex.push(char::from(DIGITS[usize::from(digit)]));
    }
    hex
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
    fn numbers_have_any_width_and_any_number_of_parts() {
        let sorted = ["0", "0.5", "1", "1.2", "1.10", "2", "20260101000000", "99999999999999999999", "R__a", "R__b"];
        let versions: Vec<_> = sorted.iter().map(|text| Version::parse(text).unwrap()).collect();
        assert!(versions.is_sorted_by(|a, b| a < b), "{versions:?}");
        for (text, other) in [("1.0", "1"), ("01.002", "1.2"), ("0.0", "0"), ("10.0.0", "10")] {
            assert_eq!(Version::parse(text), Version::parse(other), "{text}");
        }
        assert_ne!(Version::parse("1.10"), Version::parse("1.1"));
        assert!(Version::parse("R__a").unwrap().is_repeatable());
    }

    #[test]
    fn a_version_is_digits_only() {
        for text in ["", "-1", "+1", "1a", "１", ".1", "1.", "1..2", "R__", "r__a"] {
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
