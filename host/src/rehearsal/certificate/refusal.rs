//! Why a certificate does not let a run through.

use std::{path::PathBuf, time::Duration};

use crate::{
    error::{Finding, Severity},
    migration::{Checksum, Version},
};

/// One reason. Several can hold at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such file.
    Missing(PathBuf),
    /// The file cannot be read.
    Unreadable(PathBuf, String),
    /// It is no certificate.
    Malformed(String),
    /// It is one of another format.
    OtherFormat(u32),
    /// Nobody has signed it.
    Unsigned,
    /// It names a key that is not trusted.
    UnknownKey(String),
    /// It is not what the key has signed.
    Edited,
    /// The rehearsal failed; the migrations with faults, by name.
    NotPassed(Vec<String>),
    /// These tables were not looked at, and the run says nothing of that.
    Ignored(Vec<String>),
    /// A migration is what was rehearsed, and something else that decides what it does is not.
    OtherCompanions(String),
    /// The copy had no rows.
    WithoutRows,
    /// It is too old.
    Stale {
        /// How old.
        age: Duration,
        /// How old it may be.
        max_age: Duration,
    },
    /// It was issued after now, by this much.
    FromTheFuture(Duration),
    /// It is for another database.
    OtherDatabase {
        /// The one that it is for.
        rehearsed: String,
        /// The one at hand.
        present: String,
    },
    /// The server was of another major version when the rehearsal was done.
    OtherServer {
        /// Its version then.
        rehearsed: String,
        /// Its major version now.
        present: u32,
    },
    /// The copy was on a server of another major version.
    CopyOnOtherServer {
        /// The version there.
        rehearsed: String,
        /// The major version here.
        present: u32,
    },
    /// Another version was the newest.
    OtherBase {
        /// Then.
        rehearsed: Option<Version>,
        /// Now.
        present: Option<Version>,
    },
    /// The schema has changed since.
    OtherSchema {
        /// Its digest then.
        rehearsed: String,
        /// Its digest now.
        present: String,
    },
    /// A pending migration was not rehearsed.
    NotRehearsed(String),
    /// Another migration was rehearsed in its place.
    OtherOrder {
        /// Counted from 1 among the pending ones.
        place: usize,
        /// The one rehearsed there.
        rehearsed: String,
        /// The one pending there.
        present: String,
    },
    /// A migration is another one than was rehearsed.
    Changed {
        /// Its name.
        name: String,
        /// Its digest then.
        rehearsed: Checksum,
        /// Its digest now.
        present: Checksum,
    },
}

const REHEARSE: &str = "run `lockgate rehearse`, then `lockgate up` again";

impl Refusal {
    /// As a finding that stops a run.
    pub fn finding(&self) -> Finding {
        let (code, message, next) = self.told();
        Finding::new(Severity::Block, code, message).hint(next)
    }

    /// A short word for programs, what is wrong, and what to do.
    fn told(&self) -> (&'static str, String, String) {
        let again = || REHEARSE.to_owned();
        let upgraded = "run `lockgate rehearse` with a copy on a server of the same major version";
        match self {
            Self::Missing(path) => (
                "rehearsal-missing",
                format!("there is no certificate `{}`", path.display()),
                format!("{REHEARSE}; or name its file: `--require-rehearsal=FILE`"),
            ),
            Self::Unreadable(path, why) => (
                "rehearsal-unreadable",
                format!("the certificate `{}`: {why}", path.display()),
                "let it be read, or run `lockgate rehearse` for a new one".into(),
            ),
            Self::Malformed(why) => ("rehearsal-malformed", format!("the file is no certificate: {why}"), again()),
            Self::OtherFormat(format) => (
                "rehearsal-format",
                format!("the certificate has format {format}, this program reads {}", super::FORMAT),
                "rehearse and run with the same version of lockgate".into(),
            ),
            Self::Unsigned => (
                "rehearsal-unsigned",
                "the certificate has no signature".into(),
                "set `signing_key` under [rehearsal] where you rehearse, then run `lockgate rehearse`".into(),
            ),
            Self::UnknownKey(key) => (
                "rehearsal-unknown-key",
                format!("the certificate is signed with the key {}, which is not trusted", short(key, 44)),
                "if it should be, add the file of its public key to `trusted_keys` under [rehearsal]; else run `lockgate rehearse`"
                    .into(),
            ),
            Self::Edited => (
                "rehearsal-edited",
                "the certificate is not what its key has signed: it was changed afterwards".into(),
                again(),
            ),
            Self::NotPassed(faulty) => (
                "rehearsal-failed",
                match faulty.as_slice() {
                    [] => "the rehearsal did not pass".into(),
                    names => format!("the rehearsal did not pass: {}", names.join(", ")),
                },
                "mend what its report names, then run `lockgate rehearse` and `lockgate up` again".into(),
            ),
            Self::Ignored(tables) => (
                "rehearsal-ignored",
                format!("the rehearsal did not look whether the rows of {} came back", tables.join(", ")),
                "run `lockgate rehearse` without `--ignore-content`; or name these tables in `ignore_content` under [rehearsal] \
                 where you migrate"
                    .into(),
            ),
            Self::OtherCompanions(name) => (
                "rehearsal-companions",
                format!(
                    "`{name}` is what was rehearsed, and something else that decides what it does is not: its way down, its checks, \
                     or what is granted to it and set for it in lockgate.toml"
                ),
                again(),
            ),
            Self::WithoutRows => (
                "rehearsal-without-rows",
                "the rehearsal was done on a copy without rows: it cannot tell whether the rows fit".into(),
                "run `lockgate rehearse` without `--schema-only`; or, where that is enough, set `extent = \"schema-only\"` under \
                 [rehearsal] where you migrate"
                    .into(),
            ),
            Self::Stale { age, max_age } => (
                "rehearsal-stale",
                format!("the certificate is {} old, {} are allowed (`max_age_s`)", span(*age), span(*max_age)),
                again(),
            ),
            Self::FromTheFuture(by) => (
                "rehearsal-from-the-future",
                format!("the certificate was issued {} from now", span(*by)),
                "set the clocks of both machines, then run `lockgate rehearse`".into(),
            ),
            Self::OtherDatabase { rehearsed, present } => (
                "rehearsal-database",
                format!("the rehearsal was for the database `{rehearsed}`, this is `{present}`"),
                again(),
            ),
            Self::OtherServer { rehearsed, present } => (
                "rehearsal-server",
                format!("the rehearsal was for a server of version {rehearsed}, this one has {present}"),
                again(),
            ),
            Self::CopyOnOtherServer { rehearsed, present } => (
                "rehearsal-server",
                format!("the rehearsal was done on a server of version {rehearsed}, this one has {present}"),
                upgraded.into(),
            ),
            Self::OtherBase { rehearsed, present } => (
                "rehearsal-base",
                format!("the rehearsal began at {}, the database is at {}", at(rehearsed), at(present)),
                again(),
            ),
            Self::OtherSchema { rehearsed, present } => (
                "rehearsal-schema",
                format!(
                    "the schema has changed since the rehearsal: its digest is {}, it was {}",
                    short(present, 12),
                    short(rehearsed, 12)
                ),
                again(),
            ),
            Self::NotRehearsed(name) => {
                ("rehearsal-migrations", format!("migration `{name}` was not rehearsed"), again())
            }
            Self::OtherOrder { place, rehearsed, present } => (
                "rehearsal-migrations",
                format!("at place {place}, migration `{rehearsed}` was rehearsed, and `{present}` is pending"),
                again(),
            ),
            Self::Changed { name, rehearsed, present } => (
                "rehearsal-migrations",
                format!(
                    "migration `{name}` has changed since the rehearsal: its digest is {}…, it was {}…",
                    present.short(),
                    rehearsed.short()
                ),
                again(),
            ),
        }
    }
}

fn at(version: &Option<Version>) -> String {
    version.as_ref().map_or("no version".to_owned(), |version| format!("version {version}"))
}

/// The beginning of a text that a stranger may have written.
fn short(text: &str, chars: usize) -> String {
    crate::printable::printable_in(chars, text)
}

/// `90 s`, `25 min`, `3 h`: enough to compare by.
fn span(duration: Duration) -> String {
    match duration.as_secs() {
        s @ 0..=299 => format!("{s} s"),
        s @ 300..=17_999 => format!("{} min", s / 60),
        s => format!("{} h", s / 3_600),
    }
}
