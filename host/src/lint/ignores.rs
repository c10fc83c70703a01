//! Comments that let a finding pass: squawk's, which hold for a line, and our own, which hold for a statement.
//!
//! `-- squawk-ignore RULE, RULE` holds for what begins on its line or the next one, `-- squawk-ignore-file [RULES]` for the file.
//! `-- lockgate: ignore RULE, RULE` holds as the first does, and for the whole of the statement that it stands above, in or behind.
//! Whatever follows a second `--` is the reason.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{
    Found, Level, Rule, Settings,
    rule::NoRule,
    subject::{Part, line_of},
};

/// The comments of a script that let something pass.
#[derive(Debug, Default)]
pub(super) struct Ignores(Vec<Ignore>);

#[derive(Debug)]
struct Ignore {
    /// The byte at which the comment begins.
    offset: usize,
    /// From 1.
    line: usize,
    holds_for: HoldsFor,
    rules: Vec<Rule>,
    /// Names that no rule has, and what there is instead.
    unknown: Vec<(String, NoRule)>,
    /// Whether it has let something pass.
    used: AtomicBool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HoldsFor {
    /// The next line, or its own.
    Line,
    /// The same, and its statement.
    Statement,
    /// Everything.
    File,
}

impl Ignores {
    /// Takes a comment over, if it is one of these.
    pub(super) fn take(&mut self, text: &str, offset: usize, comment: &str) {
        let body = comment
            .strip_prefix("--")
            .or_else(|| comment.strip_prefix("/*").map(|inner| inner.strip_suffix("*/").unwrap_or(inner)))
            .unwrap_or_default()
            .trim_start_matches('-')
            .trim();
        let own = body.strip_prefix("lockgate:").map(str::trim_start).and_then(|rest| after_word(rest, "ignore"));
        let (holds_for, names) = match own {
            Some(names) => (HoldsFor::Statement, names),
            None => match after_word(body, "squawk-ignore-file") {
                Some(names) => (HoldsFor::File, names),
                None => match after_word(body, "squawk-ignore") {
                    Some(names) => (HoldsFor::Line, names),
                    None => return,
                },
            },
        };
        let names = names.split("--").next().unwrap_or_default();
        let (mut rules, mut unknown) = (Vec::new(), Vec::new());
        for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            match Rule::named(name) {
                Ok(rule) => rules.push(rule),
                Err(no_rule) => unknown.push((name.to_owned(), no_rule)),
            }
        }
        let line = line_of(text, offset);
        self.0.push(Ignore { offset, line, holds_for, rules, unknown, used: AtomicBool::new(false) });
    }

    /// Whether one of them lets a finding pass.
    pub(super) fn cover(&self, rule: Rule, part: &Part, offset: usize) -> bool {
        let mut covered = false;
        for ignore in self.0.iter().filter(|ignore| ignore.holds(rule, part, offset)) {
            ignore.used.store(true, Ordering::Relaxed);
            covered = true;
        }
        covered
    }

    /// Those that name what is no rule, or have let nothing pass.
    pub(super) fn unused<'a>(&'a self, part: &'a Part, settings: &'a Settings) -> impl Iterator<Item = Found<'a>> {
        self.0.iter().flat_map(move |ignore| {
            let found = |message: String, help: Option<String>| Found { part, offset: ignore.offset, message, help };
            let mut all: Vec<Found<'_>> = Vec::new();
            for (name, no_rule) in &ignore.unknown {
                // squawk's rules about transactions: a file may be used with squawk itself as well.
                if let NoRule::Unknown(close) = no_rule {
                    let help = close.first().map(|close| format!("did you mean `{close}`?"));
                    all.push(found(format!("there is no rule `{name}`"), help));
                }
            }
            let names_nothing = ignore.rules.is_empty() && ignore.unknown.is_empty();
            if names_nothing && ignore.holds_for != HoldsFor::File {
                all.push(found("it names no rule, and lets nothing pass".to_owned(), None));
            }
            // What is off finds nothing, and what needs a database may find nothing here.
            let could = |rule: &&Rule| {
                settings.level(**rule) != Level::Off && !matches!(rule, Rule::BlockingLock | Rule::BriefBlockingLock)
            };
            let rules: Vec<String> = ignore.rules.iter().filter(could).map(|rule| format!("`{rule}`")).collect();
            if !ignore.used.load(Ordering::Relaxed) && !rules.is_empty() && rules.len() == ignore.rules.len() {
                let message = format!("nothing of {} is there to be ignored", rules.join(", "));
                all.push(found(message, Some("remove the comment".to_owned())));
            }
            all
        })
    }
}

impl Ignore {
    fn holds(&self, rule: Rule, part: &Part, offset: usize) -> bool {
        let every = self.holds_for == HoldsFor::File && self.rules.is_empty() && self.unknown.is_empty();
        if !every && !self.rules.contains(&rule) {
            return false;
        }
        let line = line_of(part.text(), offset);
        let near = self.line == line || self.line + 1 == line;
        match self.holds_for {
            HoldsFor::File => true,
            HoldsFor::Line => near,
            HoldsFor::Statement => near || part.is_at_statement(self.offset, offset),
        }
    }
}

/// What follows a word, when it stands alone.
fn after_word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let rest = text.strip_prefix(word)?;
    (rest.is_empty() || rest.starts_with(char::is_whitespace)).then_some(rest.trim())
}

#[cfg(test)]
mod tests {
    use super::super::{Asked, Subject, check};
    use super::*;

    /// `rule line` of what is found in a way up.
    fn found(up: &str) -> Vec<String> {
        let settings = Settings::default();
        let asked = Asked::of(None, &settings);
        let subject = Subject::for_tests(&format!("-- lockgate: irreversible\n{up}"), None, asked);
        let report = check(&[subject], asked, None);
        report.findings.iter().map(|finding| format!("{} {}", finding.rule, finding.line - 1)).collect()
    }

    #[test]
    fn squawks_comment_holds_for_a_line() {
        assert_eq!(found("DROP TABLE t;"), ["ban-drop-table 1"]);
        assert!(found("-- squawk-ignore ban-drop-table\nDROP TABLE t;").is_empty());
        assert!(found("DROP TABLE t; -- squawk-ignore ban-drop-table -- nobody reads it").is_empty());
        assert!(found("/* squawk-ignore ban-drop-column, ban-drop-table */\nDROP TABLE t;").is_empty());
        let below = "-- squawk-ignore ban-drop-column\nALTER TABLE t\n  DROP COLUMN a,\n  DROP COLUMN b;";
        assert_eq!(found(below), ["unused-ignore 1", "ban-drop-column 3", "ban-drop-column 4"]);
        assert!(found("-- squawk-ignore-file\nDROP TABLE t;\n\n\nDROP TABLE u;").is_empty());
        assert_eq!(found("-- squawk-ignore-file ban-drop-table\nDROP TABLE t;\n\nDROP VIEW u;"), ["ban-drop-view 4"]);
    }

    #[test]
    fn our_comment_holds_for_a_statement_and_no_other() {
        let above = "-- lockgate: ignore ban-drop-column -- since 2.0\n-- and more\nALTER TABLE t\n  DROP COLUMN a,\n  DROP COLUMN b;";
        assert!(found(above).is_empty());
        let inside = "ALTER TABLE t\n  DROP COLUMN a,\n\n\n  DROP COLUMN b -- lockgate: ignore ban-drop-column\n;";
        assert!(found(inside).is_empty());
        let other = "DROP TABLE s; -- lockgate: ignore ban-drop-table\n\nDROP TABLE t;";
        assert_eq!(found(other), ["ban-drop-table 3"]);
    }

    #[test]
    fn a_comment_that_ignores_nothing_is_told() {
        assert_eq!(found("-- squawk-ignore ban-drop-table\nSELECT 1;"), ["unused-ignore 1"]);
        assert_eq!(found("-- lockgate: ignore ban-drop-tabel\nDROP TABLE t;"), ["unused-ignore 1", "ban-drop-table 2"]);
        assert_eq!(found("-- squawk-ignore\nDROP TABLE t;"), ["unused-ignore 1", "ban-drop-table 2"]);
        // Off, for squawk's own eyes, or not to be told without a database.
        assert!(found("-- squawk-ignore prefer-text-field\nSELECT 1;").is_empty());
        assert!(found("-- squawk-ignore transaction-nesting\nSELECT 1;").is_empty());
        assert!(found("-- lockgate: ignore blocking-lock\nSELECT 1;").is_empty());
    }
}
