//! `[lint]` in `lockgate.toml`.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::{
    OLDEST_SUPPORTED,
    defaults::SQUAWK,
    rule::{NoRule, Rule},
};
use crate::error::{Error, Result};

/// How much a finding of a rule weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nobody asks it.
    Off,
    /// It is told.
    Warn,
    /// It is told, `lint` ends with exit code 6, and `up` stops before its backup.
    Error,
}

impl Level {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// The section as it is written.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Section {
    /// The major version of PostgreSQL to go by where no server is connected; 14 unless set.
    pg_version: Option<u32>,
    /// From how many MB on a table is large.
    #[schemars(extend("default" = 100))]
    large_table_mb: Option<u64>,
    /// From how many rows on a table is large.
    #[schemars(extend("default" = 1_000_000))]
    large_table_rows: Option<u64>,
    /// How much each rule weighs, by its name; `lockgate lint --rules` lists them.
    rules: BTreeMap<String, Level>,
}

/// What rules are asked, and what they go by.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The major version to go by where no server is connected.
    pub pg_version: Option<u32>,
    /// From how many bytes on a table is large. 100 MB unless set.
    pub large_bytes: u64,
    /// From how many rows on a table is large. A million unless set.
    pub large_rows: u64,
    levels: HashMap<Rule, Level>,
}

const MB: u64 = 1_000_000;

impl Default for Settings {
    fn default() -> Self {
        Self { pg_version: None, large_bytes: 100 * MB, large_rows: 1_000_000, levels: HashMap::new() }
    }
}

impl Settings {
    /// Checks the section.
    ///
    /// # Errors
    /// [`Error::Configuration`], naming a rule that there is not with those that come close, or why one has nothing to say.
    pub fn new(section: Section) -> Result<Self> {
        let wrong = |what: String, next: &str| Error::configuration(format!("[lint] in lockgate.toml: {what}"), next);
        let defaults = Self::default();
        if let Some(major) = section.pg_version.filter(|major| *major < OLDEST_SUPPORTED) {
            let what = format!("`pg_version = {major}` is older than what is supported");
            return Err(wrong(what, &format!("write the major version, {OLDEST_SUPPORTED} or later")));
        }
        let mut levels = HashMap::new();
        for (name, level) in section.rules {
            let rule = match Rule::named(&name) {
                Ok(rule) => rule,
                // To have it off is what it is.
                Err(NoRule::NotHere(_)) if level == Level::Off => continue,
                Err(NoRule::NotHere(why)) => {
                    let what = format!("the rule `{name}` has nothing to say here: {why}");
                    return Err(wrong(what, "leave it out"));
                }
                Err(NoRule::Unknown(close)) => {
                    let close: Vec<String> = close.iter().map(|name| format!("`{name}`")).collect();
                    let next = match close.as_slice() {
                        [] => "`lockgate lint --rules` lists them".to_owned(),
                        close => format!("did you mean {}? `lockgate lint --rules` lists them all", close.join(" or ")),
                    };
                    return Err(wrong(format!("there is no rule `{name}`"), &next));
                }
            };
            if levels.insert(rule, level).is_some() {
                return Err(wrong(format!("the rule `{rule}` is there twice, by two names"), "keep one of them"));
            }
        }
        Ok(Self {
            pg_version: section.pg_version,
            large_bytes: section.large_table_mb.map_or(defaults.large_bytes, |mb| mb.saturating_mul(MB)),
            large_rows: section.large_table_rows.unwrap_or(defaults.large_rows),
            levels,
        })
    }

    /// How much a rule weighs.
    pub fn level(&self, rule: Rule) -> Level {
        self.levels.get(&rule).copied().unwrap_or_else(|| default_of(rule))
    }

    /// Every rule that can be asked, in order of name, with its level.
    pub fn all(&self) -> Vec<(Rule, Level)> {
        const OWN: [Rule; 7] = [
            Rule::BlockingLock,
            Rule::BriefBlockingLock,
            Rule::MissingDown,
            Rule::DownDropsMore,
            Rule::DownLeavesBehind,
            Rule::NotUnderstood,
            Rule::UnusedIgnore,
        ];
        let rules = OWN.into_iter().chain(SQUAWK.iter().map(|(rule, ..)| Rule::Squawk(*rule)));
        let mut all: Vec<(Rule, Level)> = rules.map(|rule| (rule, self.level(rule))).collect();
        all.sort_by_key(|(rule, _)| rule.to_string());
        all
    }

    #[cfg(test)]
    pub(crate) fn for_tests(rules: &[(&str, Level)]) -> Self {
        let rules = rules.iter().map(|(name, level)| ((*name).to_owned(), *level)).collect();
        Self::new(Section { rules, ..Section::default() }).unwrap()
    }
}

fn default_of(rule: Rule) -> Level {
    match rule {
        Rule::Squawk(rule) => {
            SQUAWK.iter().find(|(known, ..)| *known == rule).map_or(Level::Off, |(_, level, _)| *level)
        }
        _ => Level::Warn,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Settings, String> {
        let section = toml::from_str(text).map_err(|error: toml::de::Error| error.message().to_owned())?;
        Settings::new(section).map_err(|error| error.to_string())
    }

    #[test]
    fn a_rule_weighs_what_is_set_else_what_it_weighs_by_itself() {
        let settings = read("rules = { ban-drop-column = \"error\", \"blocking-lock\" = \"off\" }").unwrap();
        let level = |name: &str| settings.level(Rule::named(name).unwrap());
        assert_eq!(level("ban-drop-column"), Level::Error);
        assert_eq!(level("blocking-lock"), Level::Off);
        assert_eq!(level("ban-drop-table"), Level::Warn);
        assert_eq!(level("prefer-text-field"), Level::Off);
        assert!(settings.all().contains(&(Rule::BlockingLock, Level::Off)));
    }

    #[test]
    fn sizes_and_the_version_are_read() {
        let settings = read("pg_version = 16\nlarge_table_mb = 1\nlarge_table_rows = 10").unwrap();
        assert_eq!((settings.pg_version, settings.large_bytes, settings.large_rows), (Some(16), 1_000_000, 10));
        let defaults = read("").unwrap();
        assert_eq!((defaults.large_bytes, defaults.large_rows), (100_000_000, 1_000_000));
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for (text, words) in [
            ("rules = { ban-drop-colum = \"warn\" }", "did you mean `ban-drop-column`"),
            ("rules = { frobnicate = \"warn\" }", "`lockgate lint --rules` lists them"),
            ("rules = { require-lock-timeout = \"error\" }", "has nothing to say here: Lockgate sets both"),
            ("rules = { transaction-nesting = \"warn\" }", "the transactions are Lockgate's"),
            ("rules = { prefer-timestamptz = \"warn\", prefer-timestamp-tz = \"error\" }", "is there twice"),
            ("rules = { ban-drop-column = \"deny\" }", "unknown variant `deny`"),
            ("pg_version = 9", "older than what is supported"),
            ("large_table = 3", "unknown field `large_table`"),
        ] {
            let refused = read(text).unwrap_err();
            assert!(refused.contains(words), "{text}: {refused}");
        }
        assert!(read("rules = { require-lock-timeout = \"off\" }").is_ok());
    }
}
