use std::fmt;

use crate::error::{Error, Result};

/// The description in a migration's file name: `a-z`, `0-9` and `_`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    /// Of 255, the most that a file name may have: room for the version and the ending.
    const LENGTH_MAX: usize = 100;

    /// Reads what people type: capitals become small, and spaces, hyphens and dots become underscores.
    ///
    /// # Errors
    /// When nothing is left, or something that no file name of a migration has.
    pub fn parse(text: &str) -> Result<Self> {
        let refuse = |what: String| {
            Error::configuration(
                what,
                "say what the migration does in a few words, such as `lockgate new \"hash session tokens\"`",
            )
        };
        if let Some(c) = text.chars().find(|c| !c.is_ascii_alphanumeric() && !" -_.".contains(*c)) {
            return Err(refuse(format!(
                "`{}` cannot be part of a migration's name, which has a-z, 0-9 and _ only",
                c.escape_debug()
            )));
        }
        let words = text.split([' ', '-', '_', '.']).filter(|word| !word.is_empty());
        let name = words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("_");
        if name.is_empty() {
            return Err(refuse("a migration needs a name".into()));
        }
        if name.len() > Self::LENGTH_MAX {
            return Err(refuse(format!(
                "the name has {} characters; at most {} are allowed",
                name.len(),
                Self::LENGTH_MAX
            )));
        }
        Ok(Self(name))
    }

    /// `hash_session_tokens`
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `hash-session-tokens`
    pub fn with_hyphens(&self) -> String {
        self.0.replace('_', "-")
    }

    /// `hash session tokens`
    pub fn with_spaces(&self) -> String {
        self.0.replace('_', " ")
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_type_becomes_a_name() {
        for text in ["hash session tokens", "Hash-Session.Tokens", " hash__session -- tokens ", "hash_session_tokens"] {
            let name = Name::parse(text).unwrap();
            assert_eq!(name.as_str(), "hash_session_tokens", "{text}");
        }
        assert_eq!(Name::parse("add 2fa").unwrap().with_hyphens(), "add-2fa");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in ["", " ", "--", "größe", "a/b", "../a", "a\nb", "it's", "💥", &"x".repeat(101)] {
            assert!(Name::parse(text).is_err(), "{text}");
        }
        let error = Name::parse("a/b").unwrap_err().report();
        assert_eq!(error.what, "`/` cannot be part of a migration's name, which has a-z, 0-9 and _ only");
    }
}
