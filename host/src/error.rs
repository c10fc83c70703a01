//! Everything that can go wrong, as data, and the exit code of each.
//!
//! Every error answers the same questions: what failed, where, why, what state the database is in, what to do next.

mod exit_code;

use std::fmt::{self, Write as _};

use serde::Serialize;

use crate::{
    backup::WayBack,
    migration::{Direction, Version},
    printable::{is_unfit, printable_lines},
};

pub use exit_code::ExitCode;

/// The result of everything fallible here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A line of a script or of a query, and the character in it that is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Excerpt {
    /// The line, or what of it is near that character; tabs are kept, other control characters have become spaces.
    pub line: String,
    /// How many characters of `line` stand before it.
    pub before: usize,
}

/// So many characters of a line are shown before the one that is meant, and as many from it on.
const EXCERPT_CHARS_MAX: usize = 60;

impl Excerpt {
    /// The line of a text around this byte, which begins a character; nothing where the line is blank.
    pub fn of(text: &str, offset: usize) -> Option<Self> {
        let (before, after) = text.split_at_checked(offset)?;
        let shown = |c: char| if c == '\t' || !is_unfit(c) { c } else { ' ' };
        // No more of the text is looked at than is shown: a line may have millions of characters.
        let mut lead: Vec<char> =
            before.chars().rev().take_while(|c| *c != '\n').take(EXCERPT_CHARS_MAX + 1).map(shown).collect();
        let mut tail: Vec<char> =
            after.chars().take_while(|c| !matches!(c, '\n' | '\r')).take(EXCERPT_CHARS_MAX + 1).map(shown).collect();
        for end in [&mut lead, &mut tail] {
            if end.len() > EXCERPT_CHARS_MAX {
                end[EXCERPT_CHARS_MAX] = '…';
            }
        }
        let line: String = lead.iter().rev().chain(&tail).collect();
        (!line.trim().is_empty()).then_some(Self { line, before: lead.len() })
    }
}

impl fmt::Display for Excerpt {
    /// The line, and below it a caret, which stands right whatever a tab is worth.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let space: String = self.line.chars().take(self.before).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        write!(f, "{}\n{space}^", self.line)
    }
}

/// Something wrong with one file of the migrations folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Problem {
    /// The file, and the line where there is one.
    pub at: String,
    /// What is wrong with it.
    pub what: String,
    /// How to mend it.
    pub next: String,
    /// The line that is meant, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<Excerpt>,
}

impl Problem {
    /// All three are sentences without a capital or a full stop.
    pub fn new(at: impl Into<String>, what: impl Into<String>, next: impl Into<String>) -> Self {
        Self { at: at.into(), what: what.into(), next: next.into(), excerpt: None }
    }
}

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth printing.
    Info,
    /// Worth a look; the run goes on.
    Warn,
    /// The run stops.
    Block,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Block => "block",
        })
    }
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Finding {
    /// How much it weighs.
    pub severity: Severity,
    /// A short word for programs.
    pub code: String,
    /// What was found.
    pub message: String,
    /// What the operator can do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Finding {
    /// A finding without a hint.
    pub fn new(severity: Severity, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity, code: code.into(), message: message.into(), hint: None }
    }

    /// The same with what the operator can do about it.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// True when any of them stops the run.
pub fn blocks(findings: &[Finding]) -> bool {
    findings.iter().any(|f| f.severity == Severity::Block)
}

/// An error that the server reported, or the loss of the connection to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct DbError {
    /// Five characters (PostgreSQL manual, appendix A); `None` when the server did not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sqlstate: Option<String>,
    /// `ERROR`, `FATAL` or `PANIC`.
    pub severity: String,
    /// The primary message.
    pub message: String,
    /// The secondary message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What the server suggests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Counted in characters from 1, in the text that was sent.
    #[serde(skip)]
    pub position: Option<u32>,
    /// The line of the script that the error points to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<Excerpt>,
    /// The query of a function's or a block's own that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub internal_query: Option<String>,
    /// Counted in characters from 1, in that query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub internal_position: Option<u32>,
    /// Where in which function the error happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// The schema concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The table concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// The column concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// The data type concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_type: Option<String>,
    /// The constraint that was violated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub constraint: Option<String>,
    /// The value does not fit: an error of the caller's, found before the statement was sent.
    #[serde(skip)]
    pub bad_value: bool,
    /// The connection is gone.
    pub connection_lost: bool,
}

impl DbError {
    /// True for one of these SQLSTATEs.
    pub fn is(&self, sqlstate: &str) -> bool {
        self.sqlstate.as_deref() == Some(sqlstate)
    }

    /// The line of the inner query that the error points to.
    pub fn internal_excerpt(&self) -> Option<Excerpt> {
        let query = self.internal_query.as_deref()?;
        let before = (self.internal_position? as usize).saturating_sub(1);
        Excerpt::of(query, query.char_indices().nth(before).map_or(query.len(), |(offset, _)| offset))
    }

    /// What to do about an error that only the script's own head can mend.
    fn advice(&self) -> Option<&'static str> {
        match self.sqlstate.as_deref()? {
            "2D000" => Some(
                "a procedure or a block that commits runs outside a transaction only: write `-- lockgate: no-transaction` above \
                 the first statement, and let it stand in no `BEGIN … COMMIT`",
            ),
            "55P04" => Some(
                "a label must be committed before it is used: add it in a migration of its own, or write `-- lockgate: no-transaction` \
                 above the first statement",
            ),
            _ => None,
        }
    }
}

impl fmt::Display for DbError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(sqlstate) = &self.sqlstate {
            write!(f, " (SQLSTATE {sqlstate})")?;
        }
        for (label, field) in [("detail", &self.detail), ("hint", &self.hint)] {
            if let Some(text) = field {
                write!(f, "\n  {label}: {text}")?;
            }
        }
        if let Some(excerpt) = self.internal_excerpt() {
            write!(f, "\n  query:\n    {}", excerpt.to_string().replace('\n', "\n    "))?;
        }
        match &self.context {
            Some(text) => write!(f, "\n  context: {text}"),
            None => Ok(()),
        }
    }
}

/// Whose fault a failed migration is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The server refused what the migration sent.
    Database(Box<DbError>),
    /// The component returned an error, trapped, or broke a rule or a limit.
    Plugin(String),
    /// A script holds a statement that the host cannot run.
    Script(String),
    /// Something on our side.
    Host(String),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database(error) => error.fmt(f),
            Self::Plugin(text) => write!(f, "the plugin is at fault: {text}"),
            Self::Script(text) => f.write_str(text),
            Self::Host(text) => write!(f, "the host is at fault: {text}"),
        }
    }
}

/// Why a program (a SQL file or a component) could not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramError {
    /// `file:line:column`, where it is known.
    pub at: Option<String>,
    /// Whose fault, and what.
    pub cause: Cause,
}

impl ProgramError {
    /// The component is at fault.
    pub fn plugin(text: impl Into<String>) -> Self {
        Self { at: None, cause: Cause::Plugin(text.into()) }
    }
}

impl Cause {
    /// What the server said, if it was the server.
    pub fn database(&self) -> Option<&DbError> {
        match self {
            Self::Database(error) => Some(error),
            _ => None,
        }
    }

    /// The same in one line without the rows that the server quotes in its details: fit to be kept for ever.
    pub fn without_data(&self) -> String {
        match self {
            Self::Database(error) => match &error.sqlstate {
                Some(sqlstate) => format!("{} (SQLSTATE {sqlstate})", error.message),
                None => error.message.clone(),
            },
            other => other.to_string(),
        }
    }
}

/// One of our own statements failed within the program's transaction: the server's words say why.
impl From<Error> for ProgramError {
    fn from(error: Error) -> Self {
        match error {
            Error::Database { error, .. } => (*error).into(),
            other => Self { at: None, cause: Cause::Host(other.report().what) },
        }
    }
}

impl From<DbError> for ProgramError {
    fn from(error: DbError) -> Self {
        Self { at: None, cause: Cause::Database(Box::new(error)) }
    }
}

/// Where in a run a check said no.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// The host's own checks, before anything else.
    HostPreflight,
    /// The rules for what is pending, before anything else is done about it.
    Lint,
    /// The certificate of a rehearsal, before anything else is done about what is pending.
    Rehearsal,
    /// A migration's checks before it runs.
    Preflight(Version),
    /// A migration's checks before its transaction commits.
    Verify(Version, Direction),
}

/// What failed. See [`Error::exit_code`] for the code of each, [`Error::report`] for the text.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Error {
    /// The command line or the configuration.
    Configuration {
        /// What is wrong.
        what: String,
        /// How to mend it.
        next: String,
    },
    /// Files of the migrations folder, all at once.
    Folder(Vec<Problem>),
    /// Applied migrations that are no longer what was applied, all at once.
    Drift(Vec<Problem>),
    /// What another tool has noted does not fit what is here, all at once.
    Adoption {
        /// The tool.
        tool: String,
        /// Its table.
        table: String,
        /// What keeps it from being taken over.
        problems: Vec<Problem>,
    },
    /// The tables of the history are not as this program made them.
    DamagedHistory {
        /// What was found.
        what: String,
        /// How to mend it.
        next: String,
    },
    /// A request that the state of the history forbids.
    Refused {
        /// What was asked and why it cannot be done.
        what: String,
        /// What can be done instead.
        next: String,
    },
    /// A run was cut off in a step, and nothing tells whether it took effect.
    Blocked {
        /// Version and description.
        name: String,
        /// `2 of 5`
        step_of: String,
        /// The number of the step, as `lockgate resolve` takes it.
        step: usize,
        /// The statement.
        statement: String,
        /// What the database is like now.
        state: String,
    },
    /// The same in the middle of a run, which may have committed something before.
    RefusedMidway {
        /// What cannot be done and why.
        what: String,
        /// What can be done instead.
        next: String,
    },
    /// A migration failed.
    Migration {
        /// Version and description.
        name: String,
        /// Which way it ran.
        direction: Direction,
        /// The step, where there was one.
        step: Option<String>,
        /// Whose fault, what and where.
        error: Box<ProgramError>,
        /// What the database is like now.
        state: String,
    },
    /// A check said no.
    Checks {
        /// Whose check.
        stage: Stage,
        /// What it found; at least one blocks.
        findings: Vec<Finding>,
        /// What the database is like now.
        state: String,
    },
    /// Another run holds the lock.
    LockHeld {
        /// Who holds it, as far as the server tells.
        holder: String,
        /// How long this run waited, in seconds.
        waited_s: u64,
    },
    /// Another restore makes a database of the same name.
    RestoreUnderWay {
        /// The name.
        database: String,
        /// Who is at it, as far as the server tells.
        holder: String,
    },
    /// A backup or a restore failed.
    Backup {
        /// What was being done.
        what: String,
        /// Why it failed.
        cause: String,
        /// What the database and the backups are like now.
        state: String,
        /// What to do.
        next: String,
    },
    /// No connection.
    Unreachable {
        /// Host, port, database and role; no password.
        target: String,
        /// Why.
        cause: String,
        /// What to do.
        next: String,
    },
    /// The server failed a statement of the host's own.
    Database {
        /// What the host was doing.
        doing: String,
        /// What the server said.
        error: Box<DbError>,
    },
    /// The connection was lost after COMMIT was sent and before it was answered.
    OutcomeUnknown {
        /// Version and description.
        name: String,
        /// The run that the history row would carry.
        run_id: String,
    },
    /// The same while a history was taken over.
    AdoptionUnknown {
        /// The run that the history rows would carry.
        run_id: String,
    },
    /// A run failed that had taken a backup.
    AfterBackup {
        /// What it failed with.
        error: Box<Error>,
        /// The command that brings back what was before it.
        way_back: WayBack,
    },
    /// A rehearsal could not be finished. Nothing that it did was done to the database.
    Rehearsal {
        /// Why.
        error: Box<Error>,
    },
    /// The process was asked to stop while a command ran.
    Interrupted {
        /// SIGINT or SIGTERM.
        signal: &'static str,
        /// What the database is like now.
        state: String,
    },
    /// The machine: a file, a process.
    System {
        /// What was being done.
        doing: String,
        /// Why it failed.
        cause: String,
    },
    /// What the command had to say could not be written. What it did is done.
    Output {
        /// Why not.
        cause: String,
    },
    /// Another error, with less in it: what may be a secret is hidden.
    Shown {
        /// How the process ends.
        code: ExitCode,
        /// What is shown.
        report: Box<Report>,
    },
}

/// An error, taken apart for printing.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
#[schemars(rename = "Error")]
pub struct Report {
    /// What failed.
    pub what: String,
    /// Where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// The line of the script that is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<Excerpt>,
    /// Why; several where several things are wrong.
    pub causes: Vec<String>,
    /// What the server said, in its fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<Box<DbError>>,
    /// What the database is like now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The process's exit code.
    pub exit_code: u8,
}

/// The state after a refusal that came before the first change.
pub const NOTHING_CHANGED: &str = "nothing was changed";

impl Error {
    /// A system call, file or process failed.
    pub fn system(doing: impl Into<String>, cause: impl fmt::Display) -> Self {
        Self::System { doing: doing.into(), cause: cause.to_string() }
    }

    /// A wrong option or setting.
    pub fn configuration(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self::Configuration { what: what.into(), next: next.into() }
    }

    /// One of our own statements failed.
    pub fn database(doing: impl Into<String>, error: DbError) -> Self {
        Self::Database { doing: doing.into(), error: Box::new(error) }
    }

    /// The code that the process ends with.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Configuration { .. } | Self::Folder(_) | Self::Refused { .. } | Self::RefusedMidway { .. } => {
                ExitCode::Usage
            }
            Self::Drift(_) | Self::Adoption { .. } | Self::DamagedHistory { .. } => ExitCode::Drift,
            Self::Checks { .. } => ExitCode::CheckFailed,
            Self::LockHeld { .. } | Self::RestoreUnderWay { .. } => ExitCode::LockHeld,
            Self::Backup { .. } => ExitCode::BackupFailed,
            Self::Unreachable { .. } => ExitCode::Unreachable,
            Self::Database { error, .. } if error.connection_lost => ExitCode::Unreachable,
            Self::OutcomeUnknown { .. } | Self::AdoptionUnknown { .. } => ExitCode::OutcomeUnknown,
            Self::AfterBackup { error, .. } | Self::Rehearsal { error } => error.exit_code(),
            Self::Blocked { .. } => ExitCode::NeedsResolve,
            Self::Migration { .. }
            | Self::Database { .. }
            | Self::Interrupted { .. }
            | Self::System { .. }
            | Self::Output { .. } => ExitCode::MigrationFailed,
            Self::Shown { code, .. } => *code,
        }
    }

    /// The error, taken apart for printing.
    pub fn report(&self) -> Report {
        let exit_code = self.exit_code() as u8;
        let plain = |what: String, causes: Vec<String>, state: Option<String>, next: Option<String>| Report {
            what,
            at: None,
            excerpt: None,
            causes,
            database: None,
            state,
            next,
            exit_code,
        };
        let nothing = || Some(NOTHING_CHANGED.to_owned());
        let midway = || Some("what was reported as applied is committed, nothing else".to_owned());
        match self {
            Self::Configuration { what, next } | Self::Refused { what, next } => {
                plain(what.clone(), vec![], nothing(), Some(next.clone()))
            }
            Self::RefusedMidway { what, next } => plain(what.clone(), vec![], midway(), Some(next.clone())),
            Self::DamagedHistory { what, next } => plain(what.clone(), vec![], nothing(), Some(next.clone())),
            Self::Folder(problems) => {
                plain(count(problems.len(), "the migrations folder has", "problem"), list(problems), nothing(), None)
            }
            Self::Drift(problems) => plain(
                count(problems.len(), "the history and the migrations folder disagree in", "place"),
                list(problems),
                nothing(),
                None,
            ),
            Self::Adoption { tool, table, problems } => plain(
                count(problems.len(), &format!("what {tool} noted in `{table}` cannot be taken over:"), "problem"),
                list(problems),
                nothing(),
                None,
            ),
            Self::Blocked { name, step_of, step, statement, state } => plain(
                format!("migration `{name}` is blocked at step {step_of}"),
                vec![format!("a run was cut off in it, and nothing tells whether it took effect ({statement})")],
                Some(state.clone()),
                Some(format!(
                    "look, then say `lockgate resolve {step} --applied` or `lockgate resolve {step} --not-applied`"
                )),
            ),
            Self::Migration { name, direction, step, error, state } => Report {
                what: match step {
                    Some(step) => format!("migration `{name}` failed in {direction}, step {step}"),
                    None => format!("migration `{name}` failed in {direction}"),
                },
                at: error.at.clone(),
                excerpt: error.cause.database().and_then(|error| error.excerpt.clone()),
                causes: vec![error.cause.to_string()],
                database: error.cause.database().cloned().map(Box::new),
                state: Some(state.clone()),
                next: Some(match &error.cause {
                    Cause::Database(error) if error.advice().is_some() => {
                        format!("{}; then run `lockgate {direction}` again", error.advice().unwrap_or_default())
                    }
                    Cause::Host(_) => "report this as a defect of lockgate, with the log at `-vv`".into(),
                    _ => format!("mend the cause, then run `lockgate {direction}` again"),
                }),
                exit_code,
            },
            Self::Checks { stage, findings, state } => plain(
                match stage {
                    Stage::HostPreflight => "preflight says no".into(),
                    Stage::Lint => "lint says no".into(),
                    Stage::Rehearsal => "no certificate of a rehearsal lets this run through".into(),
                    Stage::Preflight(version) => format!("the preflight of migration `{version}` says no"),
                    Stage::Verify(version, direction) => {
                        format!("the verification of migration `{version}` ({direction}) says no")
                    }
                },
                findings
                    .iter()
                    .filter(|f| f.severity == Severity::Block)
                    .map(|f| match &f.hint {
                        Some(hint) => format!("{} [{}]\n  next: {hint}", f.message, f.code),
                        None => format!("{} [{}]\n  next: mend it, then run the same command again", f.message, f.code),
                    })
                    .collect(),
                Some(state.clone()),
                None,
            ),
            Self::LockHeld { holder, waited_s } => plain(
                format!("another run holds the migration lock (waited {waited_s} s)"),
                vec![format!("held by {holder}")],
                nothing(),
                Some("wait for it to end, or raise `--lock-timeout`".into()),
            ),
            Self::RestoreUnderWay { database, holder } => plain(
                format!("another restore into `{database}` is under way"),
                vec![format!("it is {holder}")],
                nothing(),
                Some(
                    "wait for it to end; if nobody is at it any more, end that session with `pg_terminate_backend`"
                        .into(),
                ),
            ),
            Self::Backup { what, cause, state, next } => {
                plain(what.clone(), vec![cause.clone()], Some(state.clone()), Some(next.clone()))
            }
            Self::Unreachable { target, cause, next } => {
                plain(format!("cannot connect to {target}"), vec![cause.clone()], nothing(), Some(next.clone()))
            }
            Self::Database { doing, error } => Report {
                database: Some(error.clone()),
                ..plain(
                    format!("the server failed while {doing}"),
                    vec![error.to_string()],
                    Some("what was reported as applied is committed, nothing else; the lock is released".into()),
                    Some("mend the cause, then run `lockgate status`".into()),
                )
            },
            Self::OutcomeUnknown { name, run_id } => plain(
                format!("the connection was lost while migration `{name}` was committing"),
                vec!["the server's answer to COMMIT did not arrive".into()],
                Some(format!("unknown: the migration is either applied whole, by run {run_id}, or not at all")),
                Some("run `lockgate status` once the server answers; the next `lockgate up` goes on from there".into()),
            ),
            Self::AdoptionUnknown { run_id } => plain(
                "the connection was lost while the history was committing".into(),
                vec!["the server's answer to COMMIT did not arrive".into()],
                Some(format!("unknown: either all of it was taken over, by run {run_id}, or nothing")),
                Some("run the same command again once the server answers: it adds what is missing".into()),
            ),
            Self::AfterBackup { error, way_back } => {
                let report = error.report();
                let way_back = format!("to go back to before this run: {way_back}");
                let next = report.next.map_or(way_back.clone(), |next| format!("{next}; {way_back}"));
                Report { next: Some(next), ..report }
            }
            Self::Rehearsal { error } => {
                let next = match error.as_ref() {
                    Self::Interrupted { .. } => "rehearse again",
                    _ => "mend the cause, then rehearse again",
                };
                let state = "nothing of the database was changed; if a copy is left, the next rehearsal drops it";
                Report { state: Some(state.into()), next: Some(next.into()), ..error.report() }
            }
            Self::Interrupted { signal, state } => plain(
                format!("stopped by {signal}"),
                vec![],
                Some(state.clone()),
                Some("run `lockgate status`, then go on".into()),
            ),
            Self::Shown { report, .. } => Report::clone(report),
            Self::Output { cause } => plain(
                "what the command had to say cannot be written to stdout".into(),
                vec![cause.clone()],
                Some("the command has done what it was to do; only its words are lost".into()),
                Some("make room, or send the output elsewhere; `lockgate status` shows what is applied".into()),
            ),
            Self::System { doing, cause } => plain(
                format!("{doing} failed"),
                vec![cause.clone()],
                midway(),
                Some("mend the cause, then run the same command again".into()),
            ),
        }
    }
}

fn count(n: usize, lead: &str, noun: &str) -> String {
    format!("{lead} {n} {noun}{}", if n == 1 { "" } else { "s" })
}

fn list(problems: &[Problem]) -> Vec<String> {
    let line = |p: &Problem| {
        let excerpt =
            p.excerpt.as_ref().map_or(String::new(), |e| format!("\n    {}", e.to_string().replace('\n', "\n    ")));
        format!("{}: {}{excerpt}\n  next: {}", p.at, p.what, p.next)
    };
    problems.iter().map(line).collect()
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.report().fmt(f)
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = format!("error: {}", self.what);
        if let Some(at) = &self.at {
            let _ = write!(text, "\n  at {at}");
        }
        if let Some(excerpt) = &self.excerpt {
            let _ = write!(text, "\n    {}", excerpt.to_string().replace('\n', "\n    "));
        }
        for cause in &self.causes {
            let _ = write!(text, "\n  cause: {}", cause.replace('\n', "\n  "));
        }
        if let Some(state) = &self.state {
            let _ = write!(text, "\n  state: {state}");
        }
        if let Some(next) = &self.next {
            let _ = write!(text, "\n  next: {next}");
        }
        // A migration chooses the messages of the errors that it raises in the server.
        f.write_str(&printable_lines(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_the_line_and_a_caret_under_the_character() {
        let shown = |text: &str, offset| Excerpt::of(text, offset).map(|excerpt| excerpt.to_string());
        assert_eq!(shown("a\n\té x\r\nb", 5).as_deref(), Some("\té x\n\t ^"));
        assert_eq!(shown("select", 6).as_deref(), Some("select\n      ^"));
        assert_eq!(shown("a\u{1b}[2J\u{202e}b", 0).as_deref(), Some("a [2J b\n^"));
        assert_eq!(shown("a\n \nb", 3), None);
    }

    #[test]
    fn a_long_line_is_cut_around_the_character() {
        let excerpt = Excerpt::of(&format!("{}x{}", "a".repeat(500), "b".repeat(500)), 500).unwrap();
        assert_eq!(excerpt.line, format!("…{}x{}…", "a".repeat(60), "b".repeat(59)));
        assert_eq!(excerpt.line.chars().nth(excerpt.before), Some('x'));
    }

    #[test]
    fn an_inner_query_is_shown_where_it_failed() {
        let error = DbError {
            message: "no".into(),
            internal_query: Some("SELECT 1,\n  nope".into()),
            internal_position: Some(13),
            context: Some("PL/pgSQL function f() line 2".into()),
            ..DbError::default()
        };
        let expected = "no\n  query:\n      nope\n      ^\n  context: PL/pgSQL function f() line 2";
        assert_eq!(error.to_string(), expected);
    }
}
