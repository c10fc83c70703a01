use crate::{Description, Direction, Error, Finding, Reader, Result, Step, Transaction};

/// One migration, as the host calls it: `describe`, `preflight`, `plan`, then per step `run`, at last `verify`.
///
/// The functions take no `self`, because nothing in memory outlives a call.
pub trait Migration {
    /// What the migration is, before any database is at hand.
    fn describe() -> Description;

    /// Looks before anything is changed. A [`Finding::block`] stops the run.
    ///
    /// # Errors
    /// Whatever kept it from looking; the run stops.
    fn preflight(db: &Reader) -> Result<Vec<Finding>> {
        let _ = db;
        Ok(Vec::new())
    }

    /// The steps, in order: SQL that the host runs, and names that it passes to [`run`](Self::run). By default
    /// the single code step `run`. All steps share one transaction.
    ///
    /// # Errors
    /// Whatever kept it from planning; the run stops.
    fn plan(direction: Direction, db: &Reader) -> Result<Vec<Step>> {
        let _ = (direction, db);
        Ok(vec![Step::code("run")])
    }

    /// Does the code step of that name.
    ///
    /// # Errors
    /// Any error rolls the migration back. By default every step is unknown.
    fn run(direction: Direction, step: &str, tx: &Transaction) -> Result<()> {
        let _ = (direction, tx);
        Err(Error::unknown_step(step))
    }

    /// Looks at what was done, in its transaction, before it is committed. A [`Finding::block`] rolls it back.
    ///
    /// # Errors
    /// Any error rolls the migration back as well.
    fn verify(direction: Direction, db: &Reader) -> Result<Vec<Finding>> {
        let _ = (direction, db);
        Ok(Vec::new())
    }
}
