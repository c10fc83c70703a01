//! The events, as programs read them.

use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::{
    error::{Error, Finding, Report, blocks},
    migration::{Direction, Version},
};

/// One line.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Line {
    /// The version of this format.
    pub format: u32,
    /// The number of the line in its run, from 1.
    pub sequence: u64,
    /// When it happened, UTC, RFC 3339.
    #[schemars(with = "String")]
    pub at: jiff::Timestamp,
    /// The run: the correlation id of its logs and journal entries.
    #[schemars(with = "String")]
    pub run_id: Uuid,
    /// The time since the beginning of what has ended, in milliseconds; of ends only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u128>,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What happened.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A command begins: the first line.
    RunStarted {
        /// The command, such as `up`.
        command: String,
        /// Database, address and role.
        target: String,
        /// The version of the program.
        lockgate_version: &'static str,
    },
    /// The command has ended: the last line.
    RunFinished {
        /// The exit code of the process.
        exit_code: u8,
        /// What stopped it.
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<Box<Report>>,
    },
    /// There is a session on the server; again after a lost connection.
    Connected {
        /// Database, address and role.
        target: String,
        /// The version of the server.
        server_version: String,
        /// Whether the server is a standby.
        in_recovery: bool,
    },
    /// The run asks for the migration lock.
    LockWaitStarted {},
    /// It has the lock, or gives up.
    LockWaitFinished {
        /// Whether it has the lock.
        acquired: bool,
    },
    /// Checks begin.
    PreflightStarted {
        /// Whose checks.
        checks: Checks,
        /// The migration whose checks these are.
        #[serde(skip_serializing_if = "Option::is_none")]
        migration: Option<String>,
    },
    /// The checks have ended.
    PreflightFinished {
        /// Whose checks.
        checks: Checks,
        /// The migration whose checks these are.
        #[serde(skip_serializing_if = "Option::is_none")]
        migration: Option<String>,
        /// Whether the run may go on.
        passed: bool,
        /// What they found.
        findings: Vec<Finding>,
    },
    /// A backup is begun.
    BackupStarted {
        /// Where it is kept.
        location: String,
    },
    /// How far the backup is, about once a second.
    BackupProgress {
        /// What is being done.
        doing: &'static str,
        /// The bytes that are done.
        done_bytes: u64,
        /// About how many there will be; 0 where nobody knows.
        about_bytes: u64,
    },
    /// The backup is complete and proved, or there is none.
    BackupFinished {
        /// The backup's name, where it is complete.
        #[serde(skip_serializing_if = "Option::is_none")]
        backup: Option<String>,
        /// Its size.
        #[serde(skip_serializing_if = "Option::is_none")]
        bytes: Option<u64>,
    },
    /// An earlier backup is recent enough to serve.
    BackupReused {
        /// The backup's name.
        backup: String,
    },
    /// A migration begins, or goes on where an earlier run left it.
    MigrationStarted {
        /// Version and description.
        migration: String,
        /// Its version.
        version: Version,
        /// What it is made of.
        kind: String,
        /// Which way it runs.
        direction: Direction,
    },
    /// The migration is committed, whole.
    MigrationCommitted {
        /// Version and description.
        migration: String,
        /// Its version.
        version: Version,
        /// The steps' duration over all runs, in milliseconds.
        execution_time_ms: u128,
    },
    /// The migration did not come to its end.
    MigrationFailed {
        /// Version and description.
        migration: String,
        /// Its version.
        version: Version,
        /// Why, and what the database is like now. It is missing where nobody can say.
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<Box<Report>>,
    },
    /// A step begins; once more where its transaction is tried again.
    StepStarted {
        /// Version and description of the migration.
        migration: String,
        /// Its number, from 1.
        step: usize,
        /// How many steps the migration has.
        steps: usize,
        /// Its number, and its name or what it is.
        name: String,
    },
    /// The step has ended.
    StepFinished {
        /// Version and description of the migration.
        migration: String,
        /// Its number, from 1.
        step: usize,
        /// How it ended. What is done counts when its transaction is committed.
        outcome: Ending,
        /// The rows that its statements touched, as the server counts them; of a component's code, and of the batches of this run, those
        /// that they changed.
        #[serde(skip_serializing_if = "Option::is_none")]
        rows: Option<u64>,
    },
    /// A batch of a step is committed.
    BatchProgress {
        /// Version and description of the migration.
        migration: String,
        /// The step's number, from 1.
        step: usize,
        /// The batches that are committed, those of earlier runs as well.
        batches: u64,
        /// The units that they have done.
        done: u64,
        /// The units in all, where the migration knows them.
        #[serde(skip_serializing_if = "Option::is_none")]
        total: Option<u64>,
        /// The rows that this batch changed, as the server counts them.
        rows: u64,
    },
    /// The verification of a migration begins.
    VerifyStarted {
        /// Version and description of the migration.
        migration: String,
    },
    /// The verification has ended.
    VerifyFinished {
        /// Version and description of the migration.
        migration: String,
        /// Whether the migration may be committed.
        passed: bool,
        /// What it found.
        findings: Vec<Finding>,
    },
    /// A transaction of a migration is committed.
    Committed {
        /// Version and description of the migration.
        migration: String,
        /// The steps that are done now.
        steps_done: usize,
        /// How many steps the migration has.
        steps: usize,
    },
    /// A transaction of a migration was rolled back.
    RolledBack {
        /// Version and description of the migration.
        migration: String,
    },
}

/// Whose checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Checks {
    /// The program's own.
    Host,
    /// The rules of `lockgate lint`.
    Lint,
    /// The migration's own.
    Migration,
}

/// How something ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// As it was meant to.
    Done,
    /// It failed, or was stopped.
    Failed,
}

impl Event {
    /// Checks begin.
    pub fn preflight(checks: Checks, migration: Option<&str>) -> Self {
        Self::PreflightStarted { checks, migration: migration.map(str::to_owned) }
    }

    /// Checks have ended, with these findings or with an error.
    pub fn preflighted(checks: Checks, migration: Option<&str>, found: Result<&[Finding], &Error>) -> Self {
        let findings = match found {
            Ok(findings) => findings.to_vec(),
            Err(Error::Checks { findings, .. }) => findings.clone(),
            Err(_) => Vec::new(),
        };
        let passed = found.is_ok_and(|findings| !blocks(findings));
        Self::PreflightFinished { checks, migration: migration.map(str::to_owned), passed, findings }
    }

    /// A verification begins.
    pub fn verify(migration: &str) -> Self {
        Self::VerifyStarted { migration: migration.to_owned() }
    }

    /// A verification has ended.
    pub fn verified(migration: &str, passed: bool, findings: &[Finding]) -> Self {
        Self::VerifyFinished { migration: migration.to_owned(), passed, findings: findings.to_vec() }
    }
}
