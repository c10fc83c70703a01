//! What the runner runs: programs, and the steps that they plan.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use serde::Serialize;

use crate::{
    error::{Finding, ProgramError},
    migration::Direction,
    postgres::Handle,
    printable::{printable, printable_in},
    sql::{Effect, Origin, Place, Script},
};

/// One unit of work of a migration. Neighbouring SQL and code steps share one transaction.
#[derive(Debug, Clone)]
pub enum Step {
    /// SQL that the host runs.
    Sql(Script),
    /// SQL that the host runs in a transaction that it shares with no other step.
    Alone(Script),
    /// One statement that PostgreSQL refuses inside a transaction.
    OutsideTransaction(OutsideStep),
    /// A step of the program's own, run by [`Program::run`].
    Code(String),
    /// A step of the program's own, run by [`Program::run_batch`] again and again, each time in a transaction of its own.
    Batched(String),
}

/// A statement that commits by itself, and how to find out whether it has.
#[derive(Debug, Clone)]
pub struct OutsideStep {
    /// One statement.
    pub statement: Script,
    /// A query of one boolean: whether the statement has taken effect. Without one, the statement itself says where to look.
    pub probe: Option<String>,
}

impl OutsideStep {
    /// What the statement brings about.
    pub fn effect(&self) -> Effect {
        self.statement.statements().next().map_or(Effect::Unknown, |(_, sql)| Effect::of(sql))
    }

    /// Why it is not run inside a transaction.
    fn why(&self) -> &'static str {
        let refused = |sql: &str| Place::of(sql) == Place::Outside;
        match &self.statement.origin {
            _ if self.statement.statements().any(|(_, sql)| refused(sql)) => "PostgreSQL refuses it inside one",
            Origin::Plugin => "its author asks for that",
            Origin::File(_) | Origin::History(_) => "`no-transaction`",
        }
    }

    /// Whether nobody could tell, after a run was cut off in it, what came of it.
    pub fn is_undecidable(&self) -> bool {
        self.probe.is_none() && matches!(self.effect(), Effect::Unknown | Effect::CreateIndex { index: None, .. })
    }
}

/// A step as people read it: on one line, and without the characters with which a migration could write over the lines of others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PlannedStep {
    /// A statement.
    Sql(String),
    /// A statement in a transaction of its own; several where the script begins and commits it.
    Alone(String),
    /// A statement outside a transaction.
    Outside {
        /// The statement.
        sql: String,
        /// Why it is not in one.
        why: &'static str,
    },
    /// The name of a step of the component's own.
    Code(String),
    /// The name of a step of the component's own in many transactions.
    Batched(String),
}

impl PlannedStep {
    /// Each statement of a step by itself, in its first words.
    pub(crate) fn of(step: &Step) -> Vec<Self> {
        const MAX_CHARS: usize = 100;
        Self::within(MAX_CHARS, step)
    }

    /// Each statement of a step by itself.
    pub(crate) fn whole(step: &Step) -> Vec<Self> {
        Self::within(usize::MAX, step)
    }

    fn within(max_chars: usize, step: &Step) -> Vec<Self> {
        let line = |sql: &str| printable_in(max_chars, &sql.split_whitespace().collect::<Vec<_>>().join(" "));
        match step {
            Step::Sql(script) => script.statements().map(|(_, sql)| Self::Sql(line(sql))).collect(),
            Step::Alone(script) => vec![Self::Alone(line(&together(script)))],
            Step::OutsideTransaction(step) => {
                vec![Self::Outside { sql: line(&together(&step.statement)), why: step.why() }]
            }
            Step::Code(name) => vec![Self::Code(printable(name))],
            Step::Batched(name) => vec![Self::Batched(printable(name))],
        }
    }
}

/// The statements of a script without what stands between them, such as the rows of a COPY.
fn together(script: &Script) -> String {
    script.statements().map(|(_, sql)| sql).collect::<Vec<_>>().join("; ")
}

impl PlannedStep {
    /// The statement, or the name.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Sql(text) | Self::Alone(text) | Self::Code(text) | Self::Batched(text) => text,
            Self::Outside { sql, .. } => sql,
        }
    }
}

impl fmt::Display for PlannedStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sql(sql) => write!(f, "sql: {sql}"),
            Self::Alone(sql) => write!(f, "alone: {sql}"),
            Self::Outside { sql, .. } => write!(f, "outside: {sql}"),
            Self::Code(name) => write!(f, "code: {name}"),
            Self::Batched(name) => write!(f, "batched: {name}"),
        }
    }
}

/// What a call of [`Program::run_batch`] leaves to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Batch {
    /// Call again with this checkpoint.
    More {
        /// Where the next batch begins, in the program's own encoding.
        checkpoint: Vec<u8>,
        /// Units done so far, in all batches.
        done: u64,
        /// Units in all, where that is known.
        total: Option<u64>,
    },
    /// The step is done.
    Finished,
}

/// Something that only the operator can give a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// The time of day.
    Clock,
    /// Random numbers.
    Randomness,
    /// The value of a configuration key.
    Config(String),
    /// Something that this host does not know.
    Other(String),
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clock => f.write_str("clock"),
            Self::Randomness => f.write_str("randomness"),
            Self::Config(key) => write!(f, "config:{key}"),
            Self::Other(what) => write!(f, "other:{what}"),
        }
    }
}

/// A grant that a program asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedGrant {
    /// What it asks for.
    pub grant: Grant,
    /// Whether it cannot do without.
    pub required: bool,
    /// What it is for, in its author's words.
    pub why: String,
}

/// A limit on the time of one step.
#[derive(Debug, Clone)]
pub struct Patience {
    /// How long it may take.
    pub wall_clock: Duration,
    /// What to say when it took longer.
    pub exceeded: String,
}

/// What a program says of itself.
#[derive(Debug, Clone, Default)]
pub struct Description {
    /// In the author's words; `None` for SQL files, whose name says it.
    pub title: Option<String>,
    /// Who wrote it.
    pub author: Option<String>,
    /// Why `down` cannot bring the former state back; `None` when it can.
    pub irreversible: Option<String>,
    /// What it asks for beyond the database and the log.
    pub grants: Vec<WantedGrant>,
    /// How long its own SQL may take, if there is a limit beside the statements' time-out.
    pub patience: Option<Patience>,
    /// The time-outs of its statements on the way up, where the author asks for others than the operator's.
    pub up: TimeoutsAsked,
    /// The same on the way down.
    pub down: TimeoutsAsked,
}

impl Description {
    /// The time-outs that it asks for on this way.
    pub fn timeouts(&self, direction: Direction) -> TimeoutsAsked {
        match direction {
            Direction::Up => self.up,
            Direction::Down => self.down,
        }
    }
}

/// The time-outs that an author asks for, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimeoutsAsked {
    /// How long a statement may wait for a lock.
    pub lock_ms: Option<u32>,
    /// How long a statement may run.
    pub statement_ms: Option<u32>,
}

/// The checks that a migration has of its own, or may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnChecks {
    /// [`Program::preflight`].
    pub before: bool,
    /// [`Program::verify`].
    pub after: bool,
}

/// A migration's behaviour, whatever it is made of. The runner never learns which kind it holds.
#[async_trait]
pub trait Program: Send + Sync {
    /// What it is. Known since it was loaded.
    fn describe(&self) -> &Description;

    /// The script that it is, where that is all that it does: run in one transaction.
    fn one_script(&self, _: Direction) -> Option<&Script> {
        None
    }

    /// Which checks of its own it has.
    fn checks(&self, _: Direction) -> OwnChecks {
        OwnChecks { before: true, after: true }
    }

    /// Looks before anything is changed. The handle's transaction is READ ONLY.
    ///
    /// # Errors
    /// When the check itself could not be made.
    async fn preflight(&self, db: &Handle) -> Result<Vec<Finding>, ProgramError>;

    /// The steps, in order. The handle's transaction is READ ONLY.
    ///
    /// # Errors
    /// When the program cannot plan.
    async fn plan(&self, direction: Direction, db: &Handle) -> Result<Vec<Step>, ProgramError>;

    /// Does a [`Step::Code`].
    ///
    /// # Errors
    /// When the step failed; the transaction must then be rolled back.
    async fn run(&self, direction: Direction, step: &str, db: &Handle) -> Result<(), ProgramError>;

    /// Does the next part of a [`Step::Batched`]. The checkpoint is the last batch's; `None` before the first. `size` is how many units
    /// it should do; `None`: as many as it likes.
    ///
    /// # Errors
    /// When the batch failed; its transaction must then be rolled back.
    async fn run_batch(
        &self,
        direction: Direction,
        step: &str,
        checkpoint: Option<&[u8]>,
        size: Option<u64>,
        db: &Handle,
    ) -> Result<Batch, ProgramError>;

    /// Looks at what was done, before it is committed. The handle's transaction is READ ONLY for as long as this runs.
    ///
    /// # Errors
    /// When the check itself could not be made.
    async fn verify(&self, direction: Direction, db: &Handle) -> Result<Vec<Finding>, ProgramError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(step: &Step) -> Vec<String> {
        PlannedStep::whole(step).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn steps_are_lines_and_sql_is_a_line_a_statement() {
        let sql = |text: &str| Script::parse(text, Origin::Plugin).unwrap();
        let outside = OutsideStep { statement: sql("VACUUM\n  a"), probe: Some("SELECT true".into()) };
        assert_eq!(
            lines(&Step::Sql(sql("CREATE TABLE a (\n  id int\n); DROP TABLE b"))),
            ["sql: CREATE TABLE a ( id int )", "sql: DROP TABLE b"]
        );
        assert_eq!(lines(&Step::OutsideTransaction(outside)), ["outside: VACUUM a"]);
        assert_eq!(lines(&Step::Code("fill".into())), ["code: fill"]);
        assert_eq!(lines(&Step::Batched("hash".into())), ["batched: hash"]);
    }

    #[test]
    fn a_plan_has_the_first_words_of_a_statement_and_nothing_that_moves_the_cursor() {
        let sql = format!("SELECT '\u{1b}[2J\u{202e}{}'", "é".repeat(200));
        let step = Step::Sql(Script::parse(&sql, Origin::Plugin).unwrap());
        assert_eq!(PlannedStep::of(&step), [PlannedStep::Sql(format!("SELECT ' [2J {}…", "é".repeat(87)))]);
        assert_eq!(lines(&Step::Code("a\u{1b}[31m".into())), ["code: a [31m"]);
    }
}
