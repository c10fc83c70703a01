//! What the runner runs: programs, and the steps that they plan.

use async_trait::async_trait;

use crate::{
    error::{Finding, ProgramError},
    migration::Direction,
    postgres::Handle,
    sql::Script,
};

/// One unit of work of a migration. The steps of a migration share one transaction.
#[derive(Debug, Clone)]
pub enum Step {
    /// SQL that the host runs.
    Sql(Script),
    /// A step of the program's own, run by [`Program::run`].
    Code(String),
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
    /// How long a statement may wait for a lock, in milliseconds, if the author asks for another value than the operator's.
    pub lock_timeout_ms: Option<u32>,
    /// How long a statement may run, in milliseconds, if the author asks for another value than the operator's.
    pub statement_timeout_ms: Option<u32>,
}

/// A migration's behaviour, whatever it is made of. The runner never learns which kind it holds.
#[async_trait]
pub trait Program: Send + Sync {
    /// What it is. Known since it was loaded.
    fn describe(&self) -> &Description;

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

    /// Looks at what was done, before it is committed. The handle's transaction is READ ONLY for as long as this runs.
    ///
    /// # Errors
    /// When the check itself could not be made.
    async fn verify(&self, direction: Direction, db: &Handle) -> Result<Vec<Finding>, ProgramError>;
}
