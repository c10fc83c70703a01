//! What one way of a migration took, step by step. Times are milliseconds since the first step began.

use serde::Serialize;

use crate::{
    locks::{Blocks, Mode},
    postgres::How,
};

/// One way of one migration.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Measured {
    /// From the first step to the last commit.
    pub duration_ms: f64,
    /// What the server wrote to its log meanwhile, in bytes; on a server with other clients, theirs as well.
    pub wal_bytes: u64,
    /// What the database wrote to temporary files meanwhile, in bytes; `None` where the server does not tell.
    pub temp_bytes: Option<u64>,
    /// The steps, each statement by itself.
    pub steps: Vec<Step>,
    /// The locks on relations that were there before, in the order in which they were taken.
    pub locks: Vec<LockHeld>,
    /// The indexes that are invalid since.
    pub invalid_indexes: Vec<String>,
    /// How long all of it will take on the target, the migration's own checks and the commit included.
    pub estimate: Estimate,
}

/// A statement, or a step of a component's own.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Step {
    /// Counted from 1.
    pub number: usize,
    /// The first words of the statement, or the name.
    pub text: String,
    /// The statement, of one that holds rows no more than its head; what it is judged by. Empty for a component's code.
    #[serde(skip)]
    pub sql: String,
    /// How it was run.
    pub how: How,
    /// In which of the migration's transactions, counted from 1; of a step in batches the last; `None` outside of one.
    pub transaction: Option<usize>,
    /// When it began.
    pub began_ms: f64,
    /// How long it took.
    pub duration_ms: f64,
    /// The rows that the statement says it touched.
    pub rows: Option<u64>,
    /// How many transactions a step in batches took.
    pub batches: Option<u64>,
    /// What the server wrote to its log meanwhile, in bytes.
    pub wal_bytes: Option<u64>,
    /// What was done to tables that were there before.
    pub tables: Vec<TableWork>,
    /// How long it will take on the target.
    pub estimate: Estimate,
}

/// What a step did to a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct TableWork {
    /// The table.
    pub relation: String,
    /// Whether it was written anew, whole.
    pub rewritten: bool,
    /// How often all of it was read.
    pub scans: u64,
    /// The rows that were read so.
    pub rows_read: u64,
    /// The rows that were inserted, updated or deleted.
    pub rows_written: u64,
    /// Those of them that were there before: nobody else can change them until the commit.
    pub rows_changed: u64,
    /// How many of its indexes were made, or made anew.
    pub indexes_built: u64,
    /// How large it is on the copy, with its indexes, in bytes.
    pub copy_bytes: u64,
    /// How large it is on the target; `None` where it is not there.
    pub target_bytes: Option<u64>,
    /// About how many rows it has on the target.
    pub target_rows: Option<u64>,
}

/// A lock while it was held.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct LockHeld {
    /// The relation.
    pub relation: String,
    /// How strong.
    pub mode: Mode,
    /// Who waits meanwhile.
    pub blocks: Blocks,
    /// The step that took it, from 1.
    pub step: usize,
    /// When it was taken, at the earliest: when was last looked without seeing it.
    pub from_ms: f64,
    /// How long it was held.
    pub held_ms: f64,
    /// How long it is likely to be held on the target.
    pub estimate: Estimate,
    /// How it is known.
    pub known: Known,
}

/// How a lock is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Known {
    /// It was seen in `pg_locks`.
    Seen,
    /// It follows from the statement, and was too short to be seen.
    Parsed,
}

/// How long something will take on the target.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Estimate {
    /// At least, in milliseconds.
    pub low_ms: f64,
    /// At most, in milliseconds.
    pub high_ms: f64,
    /// What the estimate rests on.
    pub basis: Basis,
}

/// What an estimate rests on.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Basis {
    /// It does not depend on the size of a table.
    Constant,
    /// It was measured on tables as large as the target's.
    SameSize,
    /// It was measured on smaller tables, and grows with them.
    Scaled {
        /// The table that the target has most of.
        relation: String,
        /// So many times as large it is there.
        factor: f64,
    },
    /// The copy has no rows: the size on the target, and rates that are usual.
    Assumed {
        /// The table.
        relation: String,
        /// Its size on the target, in bytes.
        target_bytes: u64,
    },
}
