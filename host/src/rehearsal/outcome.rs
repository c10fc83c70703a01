//! What a rehearsal found out, for people and programs to read. The reports and the certificate are made of nothing else.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::measure::Measured;
use crate::{
    error::Finding,
    locks::Blocks,
    migration::{Checksum, Version},
    schema::Change,
};

/// The number of the format of a [`Rehearsal`] in JSON.
pub const FORMAT: u32 = 1;

/// A rehearsal from its beginning to its end.
#[derive(Debug, Clone, Serialize)]
pub struct Rehearsal {
    /// [`FORMAT`].
    pub format: u32,
    /// The correlation id of its logs.
    pub run_id: Uuid,
    /// The version of Lockgate that rehearsed.
    pub lockgate: &'static str,
    /// When it began, UTC.
    pub started_at: jiff::Timestamp,
    /// How long all of it took, in milliseconds.
    pub duration_ms: u64,
    /// Whether production can go on with these migrations: no fault anywhere, and no verdict that the configuration calls a failure.
    pub passed: bool,
    /// The database that the migrations are for.
    pub target: Target,
    /// The database that they were rehearsed on.
    pub copy: Copy,
    /// The migrations in order. The first with a fault that keeps the next from being tried is the last.
    pub migrations: Vec<Migration>,
    /// Those that were not come to, by their names.
    pub not_reached: Vec<String>,
    /// All of them in one run from the base; `None` where one of them failed by itself, or there is none.
    pub together: Option<Together>,
    /// What the clients felt that ran beside it.
    pub workload: Option<Workload>,
    /// What was changed that belongs to the server and not to the database, such as roles: it is named, and not claimed to be tried.
    pub globals: Vec<String>,
    /// What else is worth knowing.
    pub findings: Vec<Finding>,
    /// How long each phase took.
    pub phases: Vec<Phase>,
}

/// The database that the migrations are for.
#[derive(Debug, Clone, Serialize)]
pub struct Target {
    /// Its name.
    pub database: String,
    /// The version of its server, such as `15.18`.
    pub server_version: String,
    /// The digest of its schema ([`crate::schema::Schema::fingerprint`]) when the rehearsal began.
    pub schema_fingerprint: String,
    /// The newest version that is applied there.
    pub version: Option<Version>,
}

/// The database that was rehearsed on.
#[derive(Debug, Clone, Serialize)]
pub struct Copy {
    /// Where.
    pub on: Place,
    /// Its name there.
    pub database: String,
    /// The version of its server.
    pub server_version: String,
    /// The backup that it was made of.
    pub backup: String,
    /// When that was taken, UTC.
    pub taken_at: jiff::Timestamp,
    /// Whether it has rows.
    pub extent: Extent,
    /// The file that masked personal data in it.
    pub masked: Option<String>,
    /// The tables whose rows a way down need not bring back.
    pub ignored: Vec<String>,
    /// How large it was before the first migration, in bytes.
    pub bytes: u64,
    /// How the schema of the target differs from it, where the target has gone on since the backup, or the copy could not be made whole.
    pub unlike_target: Vec<Change>,
}

/// Where a copy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// A database of its own on the target's server.
    Scratch,
    /// A throwaway server from this machine's PostgreSQL programs.
    Embedded,
    /// A throwaway server in a container.
    Container,
    /// A database of its own on a server that was named.
    Server,
}

/// What a copy has of the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Extent {
    /// The schema and all rows.
    Data,
    /// The schema alone.
    SchemaOnly,
}

/// One migration.
#[derive(Debug, Clone, Serialize)]
pub struct Migration {
    /// Its version.
    pub version: Version,
    /// Version and description.
    pub name: String,
    /// Its file.
    pub filename: String,
    /// What it is made of: `sql` or `component`.
    pub kind: String,
    /// The digest that the history will have of it.
    pub checksum: Checksum,
    /// The digest of what else decides what it does: of SQL files the way down and the checks, of a component what the operator grants it
    /// and sets for it.
    pub companions: Checksum,
    /// What was done with it, in order.
    pub stages: Vec<Stage>,
    /// Whether it can be taken back.
    pub reversibility: Reversibility,
    /// What it will cost the target's users.
    pub verdict: Verdict,
    /// What is wrong with it.
    pub faults: Vec<Fault>,
    /// What about it takes long, or keeps others waiting.
    pub hazards: Vec<Hazard>,
    /// What its first way up took, step by step.
    pub up: Option<Measured>,
    /// What its way down took.
    pub down: Option<Measured>,
    /// What its way up does to the schema.
    pub changes: Vec<Change>,
}

/// One thing that was done with a migration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stage {
    /// What.
    pub name: StageName,
    /// How it went.
    pub outcome: StageOutcome,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// Why it was left out, or in what it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// The stages of a migration, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StageName {
    /// Its own checks, its steps, its verification and its commit.
    Up,
    /// The way back.
    Down,
    /// Whether the way back has brought everything back.
    CompareDown,
    /// The way up once more; where it has several transactions, cut off once and taken up again.
    UpAgain,
    /// Whether it has brought about the same as the first time.
    CompareUp,
}

impl StageName {
    /// `up again`
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::CompareDown => "compare",
            Self::UpAgain => "up again",
            Self::CompareUp => "compare again",
        }
    }
}

/// How a stage went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StageOutcome {
    /// As it should.
    Passed,
    /// As it should, and it was cut off once on purpose and taken up again.
    Resumed,
    /// It failed, or found something wrong.
    Failed,
    /// It was not done.
    LeftOut,
}

/// Whether a migration can be taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is", content = "why")]
pub enum Reversibility {
    /// Its way down brought everything back, and its way up could be gone again.
    Reversible,
    /// Its author says that it cannot, or it has no way down.
    Irreversible(String),
    /// It has a way down that does not do what it should.
    Faulty,
    /// It was not tried so far.
    NotTried,
}

/// What a migration will cost those who use the database meanwhile. The later, the worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nobody waits who only reads or writes rows.
    OnlineSafe,
    /// Some wait, for no longer than `brief_ms`.
    BriefLock,
    /// Who writes waits for longer.
    BlocksWrites,
    /// Everybody waits for longer.
    BlocksReads,
    /// Somebody waits for longer than `window_s`.
    NeedsWindow,
}

impl Verdict {
    /// `online-safe`
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OnlineSafe => "online-safe",
            Self::BriefLock => "brief lock",
            Self::BlocksWrites => "blocks writes",
            Self::BlocksReads => "blocks reads",
            Self::NeedsWindow => "needs a window",
        }
    }
}

/// Something wrong with a migration: it does not do what its author must have meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// A short word for programs.
    pub code: FaultCode,
    /// What is wrong, in one sentence.
    pub what: String,
    /// The difference in the schema, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<Change>,
    /// The table whose rows differ, where that is the difference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relation: Option<String>,
    /// What to do about it.
    pub advice: String,
}

/// What may be wrong with a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultCode {
    /// Its way up fails, or its checks say no.
    UpFailed,
    /// Its way down fails.
    DownFailed,
    /// Its way down leaves something that its way up made.
    LeftBehind,
    /// Its way down drops what was there before.
    DropsTooMuch,
    /// Its way down brings something back as another than it was.
    NotRestored,
    /// Its way down does not bring rows back.
    DataNotRestored,
    /// Its way up fails after its way down.
    UpNotRepeatable,
    /// Its way up brings about something else the second time.
    UpDiffers,
    /// It does not come to its end after it was cut off, or to another.
    NotResumable,
    /// It plans other steps each time.
    Unsteady,
}

impl FaultCode {
    /// `left-behind`
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UpFailed => "up-failed",
            Self::DownFailed => "down-failed",
            Self::LeftBehind => "left-behind",
            Self::DropsTooMuch => "drops-too-much",
            Self::NotRestored => "not-restored",
            Self::DataNotRestored => "data-not-restored",
            Self::UpNotRepeatable => "up-not-repeatable",
            Self::UpDiffers => "up-differs",
            Self::NotResumable => "not-resumable",
            Self::Unsteady => "unsteady",
        }
    }
}

/// Something about a migration that keeps others waiting, or takes the longer the larger a table is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hazard {
    /// A short word for programs.
    pub code: HazardCode,
    /// The step, from 1.
    pub step: usize,
    /// The table.
    pub relation: String,
    /// Who waits meanwhile.
    pub blocks: Blocks,
    /// What happens, in one sentence.
    pub what: String,
    /// What to do instead.
    pub advice: String,
}

/// What may keep others waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HazardCode {
    /// A table is written anew.
    Rewrite,
    /// Every row is looked at for a NOT NULL.
    NotNullScan,
    /// Every row is looked at for a CHECK.
    CheckScan,
    /// Every row is looked at for a foreign key.
    ForeignKeyScan,
    /// An index is built without CONCURRENTLY.
    IndexNotConcurrent,
    /// A lock is held while something else takes long.
    LockHeld,
    /// An index is left invalid.
    InvalidIndex,
    /// Something else that takes the longer, the larger the table is, while others wait.
    LongLock,
}

impl HazardCode {
    /// `not-null-scan`
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rewrite => "rewrite",
            Self::NotNullScan => "not-null-scan",
            Self::CheckScan => "check-scan",
            Self::ForeignKeyScan => "foreign-key-scan",
            Self::IndexNotConcurrent => "index-not-concurrent",
            Self::LockHeld => "lock-held",
            Self::InvalidIndex => "invalid-index",
            Self::LongLock => "long-lock",
        }
    }
}

/// All migrations in one run from the base.
#[derive(Debug, Clone, Serialize)]
pub struct Together {
    /// How long that took, in milliseconds.
    pub duration_ms: u64,
    /// What is wrong with it.
    pub faults: Vec<Fault>,
}

/// What clients felt that ran the old application's statements beside the migrations.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Workload {
    /// The file.
    pub file: String,
    /// How many clients.
    pub clients: u32,
    /// What they felt before, during each migration, and after; in this order.
    pub phases: Vec<Felt>,
}

/// What clients felt in one phase.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Felt {
    /// `before`, the name of a migration, or `after`.
    pub phase: String,
    /// How long it was, in milliseconds.
    pub duration_ms: u64,
    /// How many statements (or transactions of a pgbench script) ended well.
    pub done: u64,
    /// How many ended in an error.
    pub failed: u64,
    /// How long half of them took at most, in milliseconds.
    pub p50_ms: f64,
    /// How long 95 of 100 of them took at most, in milliseconds.
    pub p95_ms: f64,
    /// How long the longest took, in milliseconds.
    pub max_ms: f64,
    /// The errors, each with how often it came, the most frequent first.
    pub errors: Vec<FeltError>,
}

/// An error that clients met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FeltError {
    /// What the server said.
    pub message: String,
    /// The statement, in its first words.
    pub statement: String,
    /// How often.
    pub times: u64,
}

/// A phase of a rehearsal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Phase {
    /// Its name.
    pub name: &'static str,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
}
