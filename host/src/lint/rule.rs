//! The names of rules.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

use super::defaults::{NOT_HERE, SQUAWK};
use crate::suggest;

/// A rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// One of squawk's.
    Squawk(squawk_linter::Rule),
    /// A lock on a large table keeps others from it for as long as the table is large.
    BlockingLock,
    /// The same, as briefly as the catalog takes.
    BriefBlockingLock,
    /// There is no way down.
    MissingDown,
    /// The way down drops what the way up did not make.
    DownDropsMore,
    /// The way down leaves what the way up made.
    DownLeavesBehind,
    /// A statement could not be read, so that nothing is known of it.
    NotUnderstood,
    /// A comment ignores what is not there.
    UnusedIgnore,
}

const OWN: [(Rule, &str); 7] = [
    (Rule::BlockingLock, "blocking-lock"),
    (Rule::BriefBlockingLock, "brief-blocking-lock"),
    (Rule::MissingDown, "missing-down"),
    (Rule::DownDropsMore, "down-drops-more"),
    (Rule::DownLeavesBehind, "down-leaves-behind"),
    (Rule::NotUnderstood, "not-understood"),
    (Rule::UnusedIgnore, "unused-ignore"),
];

/// What a name is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoRule {
    /// A rule of squawk's that has nothing to say here, and why.
    NotHere(&'static str),
    /// Any rule; these come close.
    Unknown(Vec<String>),
}

impl Rule {
    /// The rule of that name.
    ///
    /// # Errors
    /// What there is instead.
    pub(super) fn named(name: &str) -> Result<Self, NoRule> {
        if let Some((rule, _)) = OWN.iter().find(|(_, own)| *own == name) {
            return Ok(*rule);
        }
        match name.parse::<squawk_linter::Rule>() {
            Ok(rule) => match NOT_HERE.iter().find(|(not, _)| *not == rule) {
                Some((_, why)) => Err(NoRule::NotHere(why)),
                None => Ok(Self::Squawk(rule)),
            },
            Err(_) => Err(NoRule::Unknown(similar(name))),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Squawk(rule) => rule.fmt(f),
            own => f.write_str(OWN.iter().find(|(rule, _)| rule == own).map_or("", |(_, name)| name)),
        }
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Rule {
    fn schema_name() -> Cow<'static, str> {
        "Rule".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "The name of a rule, as `lockgate lint --rules` lists them." })
    }
}

/// The names that come close to one that there is not, the closest first.
fn similar(name: &str) -> Vec<String> {
    const MOST: usize = 3;
    let names = OWN.iter().map(|(_, name)| (*name).to_owned()).chain(SQUAWK.iter().map(|(rule, ..)| rule.to_string()));
    let names: Vec<String> = names.collect();
    suggest::close(name, names.iter().map(String::as_str), MOST).into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_found_by_its_name() {
        for (rule, name) in OWN {
            assert_eq!((Rule::named(name), rule.to_string().as_str()), (Ok(rule), name));
        }
        for (rule, ..) in SQUAWK {
            assert_eq!(Rule::named(&rule.to_string()), Ok(Rule::Squawk(rule)));
        }
    }

    #[test]
    fn a_name_that_there_is_not_is_met_with_those_that_come_close() {
        let close = |name: &str| match Rule::named(name) {
            Err(NoRule::Unknown(close)) => close,
            other => panic!("{other:?}"),
        };
        assert_eq!(close("ban-drop-colunm")[0], "ban-drop-column");
        assert_eq!(close("blocking-locks")[0], "blocking-lock");
        assert_eq!(close("drop-table"), ["ban-drop-table"]);
        assert!(close("frobnicate").is_empty() && close("").is_empty());
        assert!(matches!(Rule::named("require-lock-timeout"), Err(NoRule::NotHere(_))));
    }
}
