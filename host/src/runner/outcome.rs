//! What commands return, for people and programs to read.

use std::time::{Duration, Instant};

use serde::Serialize;
use uuid::Uuid;

use super::course::Course;
use crate::{
    backup::{Manifest, WayBack},
    error::{Finding, Problem},
    lint,
    locks::{Blocks, Mode, Work},
    migration::{Direction, Version},
    plan::State,
    postgres::{
        history::Applied,
        journal::FailedAttempt,
        progress::{Paused, Started},
    },
};

pub use crate::step::PlannedStep;

/// What a run did.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct Outcome {
    /// The correlation id of its logs and journal entries.
    #[schemars(with = "String")]
    pub run_id: Uuid,
    /// Which way it went.
    pub direction: Direction,
    /// The migrations that it applied or reverted, in order, each committed.
    pub done: Vec<Done>,
    /// The backup that it took before the first change.
    pub backup: Option<Manifest>,
    /// How to take back all that it did, where there is a backup.
    pub way_back: Option<WayBack>,
    /// What the checks found that did not stop it.
    pub findings: Vec<Finding>,
    /// The newest applied version after it.
    pub version: Option<Version>,
    /// The hash of the journal's last entry: kept elsewhere, it proves later that nothing before it was changed.
    pub journal_head: Option<String>,
    /// How long it took, in milliseconds.
    pub duration_ms: u128,
}

impl Outcome {
    /// Of a run that found nothing to do.
    pub(super) fn of_nothing(
        run_id: Uuid,
        direction: Direction,
        version: Option<Version>,
        journal_head: Option<String>,
        started: Instant,
    ) -> Self {
        if let Some(head) = &journal_head {
            tracing::info!(head, "the journal's head");
        }
        let duration_ms = started.elapsed().as_millis();
        let (done, backup, way_back, findings) = (Vec::new(), None, None, Vec::new());
        Self { run_id, direction, done, backup, way_back, findings, version, journal_head, duration_ms }
    }
}

/// A migration that a run applied or reverted.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct Done {
    /// Its version.
    pub version: Version,
    /// Version and description.
    pub name: String,
    /// What it is made of.
    pub kind: String,
    /// The steps' duration, in milliseconds.
    pub execution_time_ms: u128,
}

impl Done {
    /// How long the steps took.
    pub(super) fn took(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.execution_time_ms).unwrap_or(u64::MAX))
    }
}

/// What a run would do.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct Plan {
    /// Which way.
    pub direction: Direction,
    /// The migrations, in order.
    pub migrations: Vec<Planned>,
    /// Whether a backup would be taken first.
    pub backup: bool,
    /// What the host's own checks and those of the first migration say now.
    pub findings: Vec<Finding>,
    /// What the rules say of what is to be applied; of the way up only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lint: Option<lint::Report>,
}

/// A migration in a plan.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct Planned {
    /// Its version.
    pub version: Version,
    /// Version and description.
    pub name: String,
    /// What it is made of.
    pub kind: String,
    /// Whether it is one transaction, applied whole or not at all.
    pub atomic: bool,
    /// `2 of 5`: the step at which it goes on, where an earlier run has begun it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub goes_on_at: Option<String>,
    /// Its steps; `None` where they can only be known when the migrations before it have run.
    pub steps: Option<Vec<PlannedStatement>>,
}

/// A statement, or a step of a component's own, in a plan.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct PlannedStatement {
    /// What it is.
    #[serde(flatten)]
    pub step: PlannedStep,
    /// Statements of the same number share a transaction, from 1; `None` where it is in none, or in many.
    pub transaction: Option<usize>,
    /// The locks that it takes on relations.
    pub locks: Vec<PlannedLock>,
    /// Why there may be more, or others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locks_unknown: Option<&'static str>,
}

/// A lock in a plan, and how large the relation is in the connected database.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct PlannedLock {
    /// The relation.
    pub relation: String,
    /// How strong.
    pub mode: Mode,
    /// Who has to wait.
    pub blocks: Blocks,
    /// What is done while it is held; it is held until the transaction ends.
    pub work: Work,
    /// Whether the relation is there now.
    pub exists: bool,
    /// With indexes, partitions and TOAST.
    pub bytes: Option<u64>,
    /// An estimate.
    pub rows: Option<u64>,
}

/// One line of the status.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct StatusRow {
    /// The version.
    pub version: Version,
    /// The words of its name.
    pub description: String,
    /// What it is made of.
    pub kind: String,
    /// Applied, pending, started, drifted or missing.
    pub state: State,
    /// How far it is, where it has begun and not ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<Underway>,
    /// How the last attempt failed, where one has and the migration is not applied since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailedAttempt>,
    /// When, by whom, how long; of applied ones.
    pub applied: Option<Applied>,
}

/// How far a migration of several transactions is.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct Underway {
    /// Which way it runs.
    pub direction: Direction,
    /// `2 of 5`: the step that comes next.
    pub step: String,
    /// Whether the operator must say what came of that step (`lockgate resolve`).
    pub blocked: bool,
    /// Who wants nothing more of it to be done for now (`lockgate pause`), and since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<Paused>,
    /// The units that the batches of that step have done.
    pub done: u64,
    /// The units in all, where the migration knows them.
    pub total: Option<u64>,
    /// The share that is done, in whole per cent, where the units in all are known: 100 only when all are done.
    pub done_percent: Option<u64>,
    /// When it began, RFC 3339.
    pub started_at: String,
    /// The run that took it so far.
    pub run_id: String,
}

impl Underway {
    pub(super) fn of(started: &Started) -> Self {
        let course = Course::under_way(started);
        Self {
            direction: started.direction,
            step: course.step_of(),
            blocked: course.is_blocked(),
            paused: started.paused.clone(),
            done: started.position.done,
            total: started.position.total,
            done_percent: started.position.total.and_then(|total| percent(started.position.done, total)),
            started_at: started.started_at.clone(),
            run_id: started.run_id.clone(),
        }
    }
}

/// Rounded down; `None` where there is nothing to do a share of.
fn percent(done: u64, total: u64) -> Option<u64> {
    let hundredfold = u128::from(done.min(total)) * 100;
    hundredfold.checked_div(total.into()).and_then(|percent| percent.try_into().ok())
}

/// The state of every migration.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct Status {
    /// The database.
    pub database: String,
    /// All versions, in order.
    pub migrations: Vec<StatusRow>,
    /// What is wrong with the folder.
    pub problems: Vec<Problem>,
}

impl Status {
    /// Whether every migration of the folder is applied as it is, and nothing is wrong with it.
    pub fn is_current(&self) -> bool {
        self.problems.is_empty() && self.migrations.iter().all(|row| row.state == State::Applied)
    }
}

/// What the health check found.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct Health {
    /// Database, address and role.
    pub target: String,
    /// The server's version.
    pub server_version: String,
    /// The TLS version; `None` on a plain connection.
    pub tls: Option<String>,
    /// The role, and whether it is a superuser.
    pub role: String,
    /// See [`Health::role`].
    pub superuser: bool,
    /// Whether the server is a standby.
    pub in_recovery: bool,
    /// Server clock minus ours, in milliseconds.
    pub clock_skew_ms: i64,
    /// One round trip, in microseconds.
    pub latency_us: u128,
}
