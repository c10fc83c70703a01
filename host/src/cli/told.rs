//! What this process was given that may hold a secret: it is not repeated in what is said about it, such as that it is no argument.

use std::{borrow::Cow, env};

use crate::{
    config::masked::{self, HIDDEN},
    error::{Error, Report},
};

/// Arguments and variables with a password in them, each with what is shown in its place.
pub struct Told(Vec<(String, String)>);

impl Told {
    /// Those of this process.
    pub fn to_this_process() -> Self {
        let arguments = env::args_os().skip(1);
        let ours = |name: &str| ["LOCKGATE_", "DB_", "PG", "DATABASE_URL"].iter().any(|begin| name.starts_with(begin));
        let variables = env::vars_os().filter(|(name, _)| ours(&name.to_string_lossy()));
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

    /// The same of what went wrong, and without the password of any URL, wherever that was written.
    pub fn hide_in_error(&self, error: Error) -> Error {
        let report = error.report();
        let hide = |text: &mut String| {
            let shown = masked::in_text(&self.hide_in(text)).into_owned();
            std::mem::replace(text, shown) != *text
        };
        let mut shown = report.clone();
        let Report { what, at, causes, state, next, .. } = &mut shown;
        let texts = [Some(what), at.as_mut(), state.as_mut(), next.as_mut()].into_iter().flatten().chain(causes);
        let hidden = texts.map(hide).filter(|hidden| *hidden).count();
        if hidden == 0 { error } else { Error::Shown { code: error.exit_code(), report: Box::new(shown) } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{ExitCode, Problem};

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
        let error = told.hide_in_error(Error::Drift(vec![Problem::new("a", "postgres://me:hush@h is no file", "x")]));
        assert!(error.to_string().contains("postgres://me:***@h is no file"), "{error}");
        assert_eq!(error.exit_code(), ExitCode::Drift);
    }
}
