//! What this process was given that may hold a secret: it is not repeated in what is said about it, such as that it is no argument.

use std::{borrow::Cow, env};

use crate::{
    config::masked::{self, HIDDEN},
    error::Error,
};

/// Arguments and variables with a password in them, each with what is shown in its place.
pub struct Told(Vec<(String, String)>);

impl Told {
    /// Those of this process.
    pub fn to_this_process() -> Self {
        let arguments = env::args_os().skip(1);
        let variables = env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("LOCKGATE_"));
        let all = arguments.chain(variables.map(|(_, value)| value));
        Self::of(all.map(|text| text.to_string_lossy().into_owned()))
    }

    fn of(all: impl Iterator<Item = String>) -> Self {
        let mut pairs = Vec::new();
        for text in all {
            let Some(masked) = masked::argument(&text) else { continue };
            // An option's value is shown without the option, and an unknown option without its value.
            for part in text.split_once('=').into_iter().flat_map(|(option, value)| [option, value]) {
                if let Some(masked) = masked::argument(part) {
                    pairs.push((part.to_owned(), masked));
                }
            }
            // Of a list each item is read by itself.
            if text.contains(',') {
                pairs.extend(
                    text.split(',').filter(|item| !item.is_empty()).map(|item| (item.to_owned(), HIDDEN.to_owned())),
                );
            }
            pairs.push((text, masked));
        }
        // The whole before its parts.
        pairs.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
        Self(pairs)
    }

    /// The text without the secrets.
    pub fn hide_in(&self, text: &str) -> String {
        let shown = self.0.iter().fold(Cow::Borrowed(text), |text, (given, masked)| {
            if text.contains(given.as_str()) { Cow::Owned(text.replace(given.as_str(), masked)) } else { text }
        });
        shown.into_owned()
    }

    /// The same of what went wrong: the errors that may repeat an argument.
    pub fn hide_in_error(&self, error: Error) -> Error {
        let hide = |text: String| self.hide_in(&text);
        match error {
            Error::Configuration { what, next } => Error::Configuration { what: hide(what), next: hide(next) },
            Error::Refused { what, next } => Error::Refused { what: hide(what), next: hide(next) },
            Error::System { doing, cause } => Error::System { doing: hide(doing), cause: hide(cause) },
            Error::Backup { what, cause, state, next } => {
                Error::Backup { what: hide(what), cause: hide(cause), state, next: hide(next) }
            }
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_is_not_repeated() {
        let given = ["--layout=postgres://me:hush@db/x", "up", "postgres://u:hu,sh@db/x", "password=hu sh"];
        let told = Told::of(given.iter().map(|text| (*text).to_owned()));
        for (text, shown) in [
            ("there is no layout `postgres://me:hush@db/x`", "there is no layout `postgres://me:***@db/x`"),
            ("'postgres://u:hu,sh@db/x' is unexpected", "'postgres://u:***@db/x' is unexpected"),
            ("no tool `sh@db/x`", "no tool `***`"),
            ("'password=hu sh'", "'password=***'"),
            ("up", "up"),
        ] {
            assert_eq!(told.hide_in(text), shown);
        }
        let error = told.hide_in_error(Error::configuration("no `password=hu sh`", "up"));
        assert!(error.to_string().contains("no `password=***`"), "{error}");
    }
}
