//! What may go wrong with a migration, found before it runs: squawk's rules, and rules of our own that know the database or both
//! scripts of a migration. A rule of ours is one file under `rules/` and one line in `OWN`.

mod defaults;
mod ignores;
mod objects;
mod rule;
mod rules;
mod settings;
mod squawk;
mod subject;
mod whole;

use serde::Serialize;

use self::subject::{Part, PartWalk};
use crate::{
    error::{self, Severity},
    locks::{Locks, Relations},
    parallel,
};

pub use rule::Rule;
pub use settings::{Level, Section, Settings};
pub use subject::{Side, Subject};

/// The oldest version of PostgreSQL that is supported: what holds for it holds for all.
pub const OLDEST_SUPPORTED: u32 = 14;

/// What a rule of ours looks at.
struct View<'a> {
    subject: &'a Subject,
    settings: &'a Settings,
    relations: Option<&'a Relations>,
}

/// What is asked: the rules that are on, and for which version.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Which are on.
    pub settings: &'a Settings,
    /// Of PostgreSQL.
    pub pg_version: PgVersion,
}

/// What a rule of ours found: where, as the offset of a byte in a script, and what to say of it.
struct Found<'a> {
    part: &'a Part,
    offset: usize,
    message: String,
    help: Option<String>,
}

type Check = for<'a> fn(&View<'a>) -> Vec<Found<'a>>;

/// The rules of ours.
const OWN: [(Rule, Check); 6] = [
    (Rule::BlockingLock, rules::blocking_lock::long),
    (Rule::BriefBlockingLock, rules::blocking_lock::brief),
    (Rule::MissingDown, rules::missing_down::check),
    (Rule::DownDropsMore, rules::down_drops_more::check),
    (Rule::DownLeavesBehind, rules::down_leaves_behind::check),
    (Rule::NotUnderstood, rules::not_understood::check),
];

/// A place in a migration at which a rule has something to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[schemars(rename = "LintFinding")]
pub struct Finding {
    /// Which rule.
    pub rule: Rule,
    /// How much it weighs.
    pub level: Level,
    /// The file.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What was found.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl Finding {
    /// The same among the findings of a run: an error stops it.
    pub fn of_a_run(&self) -> error::Finding {
        let severity = if self.level == Level::Error { Severity::Block } else { Severity::Warn };
        let message = format!("{}:{}:{}: {}", self.file, self.line, self.column, self.message);
        let rule = self.rule.to_string();
        let way_out = format!("`-- lockgate: ignore {rule}` above it lets it pass, once you have looked");
        let help = self.help.as_ref().map_or(way_out.clone(), |help| format!("{help}; {way_out}"));
        error::Finding::new(severity, rule, message).hint(help)
    }
}

/// A rule that was not asked, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Skipped {
    /// Which.
    pub rule: Rule,
    /// Why.
    pub why: &'static str,
}

/// For which version the rules were asked, and who says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct PgVersion {
    /// 15 for 15.18.
    pub major: u32,
    /// Where that comes from.
    pub from: VersionSource,
}

/// Who says which version it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum VersionSource {
    /// The connected server.
    Server,
    /// `[lint] pg_version`
    Configuration,
    /// Nobody: it is the oldest that is supported.
    OldestSupported,
}

impl<'a> Asked<'a> {
    /// What is configured, of the server where there is one.
    pub fn of(server: Option<u32>, settings: &'a Settings) -> Self {
        Self { settings, pg_version: PgVersion::of(server, settings) }
    }
}

impl PgVersion {
    /// Of the server, else as it is configured, else the oldest that is supported.
    pub fn of(server: Option<u32>, settings: &Settings) -> Self {
        match (server, settings.pg_version) {
            (Some(major), _) => Self { major, from: VersionSource::Server },
            (None, Some(major)) => Self { major, from: VersionSource::Configuration },
            (None, None) => Self { major: OLDEST_SUPPORTED, from: VersionSource::OldestSupported },
        }
    }
}

/// What all rules have to say.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
#[schemars(rename = "LintReport")]
pub struct Report {
    /// For which version.
    pub pg_version: PgVersion,
    /// How many scripts were looked at.
    pub files: usize,
    /// How many of the findings are errors.
    pub errors: usize,
    /// In order of file and place.
    pub findings: Vec<Finding>,
    /// The rules that were not asked.
    pub skipped: Vec<Skipped>,
}

/// Fewer are looked at sooner than a thread begins.
const SUBJECTS_A_THREAD: usize = 10;

/// The locks of all statements, for [`Relations::read`].
pub fn locks(subjects: &[Subject]) -> impl Iterator<Item = &Locks> {
    subjects.iter().flat_map(Subject::parts).flat_map(|part| part.statements()).map(|statement| &*statement.locks)
}

/// Asks every rule that is not off about every migration. Without a database, what depends on one is left out, and that is told.
pub fn check(subjects: &[Subject], asked: Asked<'_>, relations: Option<&Relations>) -> Report {
    let Asked { settings, pg_version } = asked;
    let found = parallel::map(subjects, SUBJECTS_A_THREAD, |subject| check_one(subject, settings, relations));
    let mut findings = found.concat();
    findings.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    let skipped = match relations {
        Some(_) => Vec::new(),
        None => [Rule::BlockingLock, Rule::BriefBlockingLock]
            .into_iter()
            .filter(|rule| settings.level(*rule) != Level::Off)
            .map(|rule| Skipped { rule, why: "no database" })
            .collect(),
    };
    Report {
        pg_version,
        files: subjects.iter().map(|s| s.parts().filter(|part| s.is_asked_for(part.file())).count()).sum(),
        errors: findings.iter().filter(|finding| finding.level == Level::Error).count(),
        findings,
        skipped,
    }
}

/// The same for one migration: in order of place within each file.
fn check_one(subject: &Subject, settings: &Settings, relations: Option<&Relations>) -> Vec<Finding> {
    let mut found: Vec<(Rule, Found<'_>)> = Vec::new();
    for part in subject.parts() {
        found.extend(part.squawk().iter().map(|said| {
            let (message, help) = (said.message.clone(), said.help.clone());
            (said.rule, Found { part, offset: said.offset, message, help })
        }));
    }
    let view = View { subject, settings, relations };
    for (rule, check) in OWN.iter().filter(|(rule, _)| settings.level(*rule) != Level::Off) {
        found.extend(check(&view).into_iter().map(|one| (*rule, one)));
    }
    found.retain(|(rule, one)| !one.part.ignores().cover(*rule, one.part, one.offset));
    found.retain(|(_, one)| subject.is_asked_for(one.part.file()));
    // What is ignored in vain is known only now.
    if settings.level(Rule::UnusedIgnore) != Level::Off {
        let asked = subject.parts().filter(|part| subject.is_asked_for(part.file()));
        let unused = asked.flat_map(|part| part.ignores().unused(part, settings));
        found.extend(unused.map(|one| (Rule::UnusedIgnore, one)));
    }
    found.sort_by_key(|(_, one)| one.offset);
    let mut findings = Vec::new();
    for part in subject.parts() {
        let mut walk = part.walk();
        let of_part = found.iter().filter(|(_, one)| std::ptr::eq(one.part, part));
        findings.extend(of_part.map(|(rule, one)| one.finding(*rule, settings.level(*rule), &mut walk)));
    }
    findings
}

impl Found<'_> {
    fn finding(&self, rule: Rule, level: Level, walk: &mut PartWalk<'_>) -> Finding {
        let (file, line, column) = walk.to(self.offset);
        let (message, help) = (self.message.clone(), self.help.clone());
        Finding { rule, level, file, line, column, message, help }
    }
}

#[cfg(test)]
mod tests_of {
    use super::{Asked, Relations, Settings, Subject, check};

    /// `line:column` of what one rule finds.
    pub(super) fn found(rule: &str, up: &str, down: Option<&str>, relations: Option<&Relations>) -> Vec<String> {
        let settings = Settings::default();
        let asked = Asked::of(None, &settings);
        let report = check(&[Subject::for_tests(up, down, asked)], asked, relations);
        let of_rule = report.findings.iter().filter(|finding| finding.rule.to_string() == rule);
        of_rule.map(|finding| format!("{}:{}", finding.line, finding.column)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(up: &str, settings: &Settings) -> Report {
        let asked = Asked::of(None, settings);
        check(&[Subject::for_tests(up, None, asked)], asked, None)
    }

    #[test]
    fn what_depends_on_a_database_is_said_to_be_left_out_without_one() {
        let report = checked("-- lockgate: irreversible\nSELECT 1", &Settings::default());
        assert_eq!(
            report.skipped.iter().map(|s| s.rule).collect::<Vec<_>>(),
            [Rule::BlockingLock, Rule::BriefBlockingLock]
        );
        let off = Settings::for_tests(&[("blocking-lock", Level::Off), ("brief-blocking-lock", Level::Off)]);
        assert!(checked("SELECT 1", &off).skipped.is_empty());
    }

    #[test]
    fn the_version_is_the_servers_then_the_configured_one_then_the_oldest() {
        let mut configured = Settings::default();
        configured.pg_version = Some(16);
        let of = |server, settings: &Settings| {
            let PgVersion { major, from } = PgVersion::of(server, settings);
            (major, from)
        };
        assert_eq!(of(Some(18), &configured), (18, VersionSource::Server));
        assert_eq!(of(None, &configured), (16, VersionSource::Configuration));
        assert_eq!(of(None, &Settings::default()), (OLDEST_SUPPORTED, VersionSource::OldestSupported));
    }

    #[test]
    fn an_error_stops_a_run_and_a_warning_does_not() {
        let up = "-- lockgate: irreversible\nDROP TABLE t;";
        let warned = checked(up, &Settings::default());
        let (first, errors) = (&warned.findings[0], warned.errors);
        assert_eq!((first.rule.to_string().as_str(), first.line, first.column, errors), ("ban-drop-table", 2, 1, 0));
        assert_eq!(first.of_a_run().severity, Severity::Warn);
        let strict = checked(up, &Settings::for_tests(&[("ban-drop-table", Level::Error)]));
        assert_eq!((strict.errors, strict.findings[0].of_a_run().severity), (1, Severity::Block));
    }
}
