//! Settings of this migration that the operator made in `lockgate.toml`. Ask for each key with
//! [`Description::wants`](crate::Description::wants) or [`requires`](crate::Description::requires).
//!
//! ```
//! use lockgate_plugin::{Result, config};
//!
//! fn batch_rows() -> Result<i64> {
//!     Ok(config::parse("batch_rows")?.unwrap_or(5_000))
//! }
//! # assert_eq!(batch_rows(), Ok(5_000));
//! ```

use std::fmt::Display;
use std::str::FromStr;

use crate::bindings::lockgate::migration::config;
use crate::{Error, Result};

/// The value of a key; none if the operator set none. Outside a component, as in an author's unit tests, none is set.
#[must_use]
pub fn get(key: &str) -> Option<String> {
    if cfg!(target_family = "wasm") { config::get(key) } else { None }
}

/// How many units the host would have the next batch do, so that it takes as long as the operator wants a batch to take
/// (`[batches] target_ms` in `lockgate.toml`, half a second unless set). None in the first batch of a run: make that as large as
/// seems right. It needs no grant, and no batch need follow it.
#[must_use]
pub fn batch_size() -> Option<u32> {
    get("lockgate.batch-size")?.parse().ok()
}

/// The value of a key as a number, `true` or `false`, or whatever else is read from text.
///
/// # Errors
/// [`Error::Other`] with the code `bad-config` when it does not read as `T`.
pub fn parse<T>(key: &str) -> Result<Option<T>>
where
    T: FromStr<Err: Display>,
{
    get(key).map(|text| parsed(key, &text)).transpose()
}

fn parsed<T>(key: &str, text: &str) -> Result<T>
where
    T: FromStr<Err: Display>,
{
    text.trim().parse().map_err(|error| Error::new("bad-config", format!("the setting {key} is `{text}`: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_from_text() {
        assert_eq!(parsed("batch_rows", " 5000 "), Ok(5_000_u32));
        assert_eq!(parsed("keep_originals", "true"), Ok(true));
        let error = parsed::<u32>("batch_rows", "many").unwrap_err();
        assert_eq!(error.to_string(), "the setting batch_rows is `many`: invalid digit found in string (bad-config)");
    }

    #[test]
    fn outside_a_component_nothing_is_set() {
        assert_eq!(get("batch_rows"), None);
    }
}
