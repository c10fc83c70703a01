//! What the head of a script asks of the host: comments `-- lockgate: …` before its first statement.

use std::time::Duration;

use crate::step::TimeoutsAsked;

/// What a script asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Directives {
    /// `irreversible`: it has no down script, on purpose.
    pub irreversible: bool,
    /// `no-transaction`: each of its statements commits by itself.
    pub no_transaction: bool,
    /// `new-label-unused`: a string below an `ALTER TYPE … ADD VALUE` that looks like the new label is none.
    pub new_label_unused: bool,
    /// `lock-timeout=5s`, `statement-timeout=10min`.
    pub timeouts: TimeoutsAsked,
}

/// Why a directive cannot be followed, and what to write instead.
pub(super) struct Refused {
    pub(super) what: String,
    pub(super) next: &'static str,
}

impl Refused {
    fn new(what: impl Into<String>, next: &'static str) -> Self {
        Self { what: what.into(), next }
    }
}

const KNOWN: &str = "the directives known are `irreversible`, `no-transaction`, `new-label-unused`, `lock-timeout=TIME`, `statement-timeout=TIME` and `ignore RULE`";

impl Directives {
    /// The same with what another source asks for; where both give a time, this one's holds.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            irreversible: self.irreversible || other.irreversible,
            no_transaction: self.no_transaction || other.no_transaction,
            new_label_unused: self.new_label_unused || other.new_label_unused,
            timeouts: TimeoutsAsked {
                lock_ms: self.timeouts.lock_ms.or(other.timeouts.lock_ms),
                statement_ms: self.timeouts.statement_ms.or(other.timeouts.statement_ms),
            },
        }
    }

    /// The directive in a line comment, if it is one.
    pub(super) fn in_comment(comment: &str) -> Option<&str> {
        comment.trim_start_matches('-').trim_start().strip_prefix("lockgate:").map(str::trim)
    }

    /// Takes a directive over. `in_head`: no statement has begun before it.
    ///
    /// # Errors
    /// When there is none like it, it was there before, or a statement stands above it.
    pub(super) fn take(&mut self, directive: &str, in_head: bool) -> Result<(), Refused> {
        // What a rule of `lint` lets pass stands where that is.
        if let Some(rules) = directive.strip_prefix("ignore").filter(|rest| rest.is_empty() || rest.starts_with(' ')) {
            let names_one = rules.split("--").next().is_some_and(|rules| !rules.trim().is_empty());
            return match names_one {
                true => Ok(()),
                false => Err(Refused::new(
                    "the directive `ignore` without a rule",
                    "write `ignore RULE`, as `lint` calls it",
                )),
            };
        }
        let (name, value) = match directive.split_once('=') {
            Some((name, value)) => (name.trim(), Some(value.trim())),
            None => (directive, None),
        };
        let new = match (name, value) {
            ("irreversible", None) => !std::mem::replace(&mut self.irreversible, true),
            ("no-transaction", None) => !std::mem::replace(&mut self.no_transaction, true),
            ("new-label-unused", None) => !std::mem::replace(&mut self.new_label_unused, true),
            ("lock-timeout", Some(value)) => self.timeouts.lock_ms.replace(milliseconds(value)?).is_none(),
            ("statement-timeout", Some(value)) => self.timeouts.statement_ms.replace(milliseconds(value)?).is_none(),
            _ => return Err(Refused::new(format!("an unknown directive `{directive}`"), KNOWN)),
        };
        if !new {
            return Err(Refused::new(format!("the directive `{name}` for the second time"), "keep one of them"));
        }
        if !in_head {
            let what = format!("the directive `{name}` below the first statement, where it would be overlooked");
            return Err(Refused::new(what, "move it to the top of the file"));
        }
        Ok(())
    }
}

fn milliseconds(text: &str) -> Result<u32, Refused> {
    let read = text.parse::<jiff::SignedDuration>().ok().and_then(|time| Duration::try_from(time).ok());
    let Some(time) = read else {
        return Err(Refused::new(format!("`{text}` is no time"), "write it as `5s`, `10min` or `500ms`"));
    };
    // The server keeps its time-outs in a signed number of milliseconds.
    match i32::try_from(time.as_millis()).map(i32::unsigned_abs) {
        Ok(0) => Err(Refused::new(
            format!("a time-out of `{text}`: to wait for ever is for the operator to say"),
            "write a time of at least a millisecond, or set it to 0 in `lockgate.toml`",
        )),
        Ok(ms) => Ok(ms),
        Err(_) => Err(Refused::new(format!("`{text}` is longer than the server can wait"), "write a shorter time")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(directives: &[&str]) -> Result<Directives, String> {
        let mut read = Directives::default();
        for directive in directives {
            read.take(directive, true).map_err(|refused| refused.what)?;
        }
        Ok(read)
    }

    #[test]
    fn a_comment_is_a_directive_whatever_its_spaces() {
        for comment in ["-- lockgate: x", "--lockgate:x", "--   lockgate:  x "] {
            assert_eq!(Directives::in_comment(comment), Some("x"), "{comment}");
        }
        for comment in ["-- see lockgate: x", "-- lockgate is", "--"] {
            assert_eq!(Directives::in_comment(comment), None, "{comment}");
        }
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        let read = read(&["no-transaction", "lock-timeout=5s", "statement-timeout = 10min"]).unwrap();
        assert_eq!(read.timeouts, TimeoutsAsked { lock_ms: Some(5_000), statement_ms: Some(600_000) });
        assert!(read.no_transaction && !read.irreversible);
    }

    #[test]
    fn what_two_sources_ask_for_holds_together() {
        let text = read(&["lock-timeout=5s", "new-label-unused"]).unwrap();
        let layout = read(&["no-transaction", "lock-timeout=1s", "statement-timeout=2s"]).unwrap();
        let both = text.or(layout);
        assert!(both.no_transaction && both.new_label_unused && !both.irreversible);
        assert_eq!(both.timeouts, TimeoutsAsked { lock_ms: Some(5_000), statement_ms: Some(2_000) });
    }

    #[test]
    fn what_cannot_be_followed_is_refused() {
        for (directives, words) in [
            (&["no-transactions"][..], "an unknown directive `no-transactions`"),
            (&["no-transaction=yes"], "an unknown directive"),
            (&["lock-timeout"], "an unknown directive"),
            (&["lock-timeout=soon"], "`soon` is no time"),
            (&["lock-timeout=-1s"], "`-1s` is no time"),
            (&["lock-timeout=5"], "`5` is no time"),
            (&["lock-timeout=0s"], "for the operator to say"),
            (&["statement-timeout=600h"], "longer than the server can wait"),
            (&["lock-timeout=1s", "lock-timeout=2s"], "for the second time"),
        ] {
            let refused = read(directives).unwrap_err();
            assert!(refused.contains(words), "{directives:?}: {refused}");
        }
        assert!(read(&["ignore"]).unwrap_err().contains("without a rule"));
        assert!(read(&["ignore -- later"]).is_err() && read(&["ignored x"]).is_err());
        assert!(Directives::default().take("no-transaction", false).is_err_and(|r| r.what.contains("below")));
    }

    #[test]
    fn what_lint_is_to_ignore_may_stand_anywhere_and_asks_nothing_of_the_host() {
        let mut directives = Directives::default();
        for in_head in [true, false, false] {
            assert!(directives.take("ignore ban-drop-table, blocking-lock -- at night", in_head).is_ok());
        }
        assert_eq!(directives, Directives::default());
    }
}
