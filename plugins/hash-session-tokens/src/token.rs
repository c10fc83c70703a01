//! From tokens to digests. Pure: no database here.

use std::fmt::Write;

use sha2::{Digest, Sha256};

/// What a stored digest begins with.
pub const PREFIX: &str = "sha256:";

/// A stored digest, as PostgreSQL matches it.
pub const PATTERN: &str = "^sha256:[0-9a-f]{64}$";

/// What is stored of a token.
pub fn digest(token: &str) -> String {
    Sha256::digest(token).iter().fold(String::from(PREFIX), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Whether a stored text is a digest.
pub fn is_digest(text: &str) -> bool {
    text.strip_prefix(PREFIX).is_some_and(|hex| {
        hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    })
}

/// The digest, of what is none yet.
pub fn digested(text: &str) -> String {
    if is_digest(text) { text.to_owned() } else { digest(text) }
}

/// What a stored token becomes on the way down.
#[derive(Debug, PartialEq, Eq)]
pub enum Former {
    /// The plain token.
    Plain(String),
    /// Nobody knows: it was written since.
    Lost,
}

/// Of a stored token and the one that was kept for its row.
pub fn former(stored: &str, kept: Option<&str>) -> Former {
    match kept {
        _ if !is_digest(stored) => Former::Plain(stored.to_owned()),
        Some(kept) if digest(kept) == stored => Former::Plain(kept.to_owned()),
        _ => Former::Lost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // FIPS 180-2, appendix B.1.
    const ABC: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn digests_are_those_of_the_standard() {
        assert_eq!(digest("abc"), ABC);
        assert_eq!(digest(""), "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }

    #[test]
    fn no_token_is_hashed_twice() {
        assert_eq!(digested("abc"), ABC);
        assert_eq!(digested(&digested("abc")), ABC);
    }

    #[test]
    fn a_token_that_looks_like_a_bare_digest_is_none() {
        let bare = &ABC[PREFIX.len()..];
        assert!(is_digest(ABC) && !is_digest(bare));
        for text in ["", PREFIX, &ABC[..70], &ABC.to_uppercase(), &format!("{ABC}0"), &format!("{PREFIX}{:x>64}", "")] {
            assert!(!is_digest(text), "{text}");
        }
    }

    #[test]
    fn only_the_token_behind_the_digest_comes_back() {
        assert_eq!(former(ABC, Some("abc")), Former::Plain("abc".into()));
        assert_eq!(former(ABC, Some("abd")), Former::Lost);
        assert_eq!(former(ABC, None), Former::Lost);
        assert_eq!(former("written meanwhile", Some("abc")), Former::Plain("written meanwhile".into()));
    }
}
