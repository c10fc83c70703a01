use crate::{Batch, Checkpoint, Description, Direction, Error, Finding, Reader, Result, Step, Transaction};

/// One migration, as the host calls it: `describe`, `preflight`, `plan`, then per step `run` or `run_batch`, at last `verify`.
///
/// The functions take no `self`, because nothing in memory outlives a call.
///
/// A plan of SQL needs no code:
///
/// ```
/// use lockgate_plugin::{Description, Direction, Migration, Reader, Result, Step};
///
/// struct Greetings;
///
/// impl Migration for Greetings {
///     fn describe() -> Description {
///         Description::new("greetings", "Ada Lovelace")
///     }
///
///     fn plan(direction: Direction, _: &Reader) -> Result<Vec<Step>> {
///         Ok(vec![Step::sql(match direction {
///             Direction::Up => "CREATE TABLE greetings (line text NOT NULL);",
///             Direction::Down => "DROP TABLE greetings;",
///         })])
///     }
/// }
///
/// lockgate_plugin::export!(Greetings);
/// ```
pub trait Migration {
    /// What the migration is, before any database is at hand.
    fn describe() -> Description;

    /// Looks before anything is changed, on the way up only. A [`Finding::block`] stops the run.
    ///
    /// # Errors
    /// Whatever kept it from looking; the run stops.
    fn preflight(db: &Reader) -> Result<Vec<Finding>> {
        let _ = db;
        Ok(Vec::new())
    }

    /// The steps, in order; see [`Step`] for the four kinds. By default the single code step `run`. Neighbouring SQL and code
    /// steps share one transaction, and a migration made only of these is applied whole or not at all.
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

    /// Does the next part of the batched step of that name, after the checkpoint that the part before returned. Each part is a
    /// transaction of its own, in which the checkpoint is saved, so that a run that was cut off goes on where it was.
    ///
    /// ```
    /// use lockgate_plugin::{Batch, Checkpoint, Description, Direction, Migration, Reader, Result, Step, Transaction, params};
    ///
    /// struct LowerCaseEmails;
    ///
    /// impl Migration for LowerCaseEmails {
    ///     fn describe() -> Description {
    ///         Description::new("lower-case e-mail addresses", "Ada Lovelace").irreversible()
    ///     }
    ///
    ///     fn plan(_: Direction, _: &Reader) -> Result<Vec<Step>> {
    ///         Ok(vec![Step::batched("fold")])
    ///     }
    ///
    ///     fn run_batch(_: Direction, _step: &str, tx: &Transaction, checkpoint: &Checkpoint) -> Result<Batch> {
    ///         let (after, done): (i64, u64) = checkpoint.read()?.unwrap_or_default();
    ///         let page = tx.query("SELECT id, email FROM users WHERE id > $1 ORDER BY id LIMIT 5000", params![after])?;
    ///         let Some(last) = page.last() else { return Ok(Batch::Finished) };
    ///         let (mut ids, mut emails) = (Vec::new(), Vec::new());
    ///         for row in &page {
    ///             let (id, email): (i64, String) = row.read()?;
    ///             ids.push(id);
    ///             emails.push(email.to_lowercase());
    ///         }
    ///         tx.execute(
    ///             "UPDATE users SET email = new.email FROM unnest($1::bigint[], $2::text[]) AS new (id, email)
    ///              WHERE users.id = new.id",
    ///             params![ids, emails],
    ///         )?;
    ///         let done = done + page.len() as u64;
    ///         Ok(Batch::more((last.get::<i64>("id")?, done), done, None))
    ///     }
    /// }
    ///
    /// lockgate_plugin::export!(LowerCaseEmails);
    /// ```
    ///
    /// # Errors
    /// Any error rolls this part back; those before it stay. By default every step is unknown.
    fn run_batch(direction: Direction, step: &str, tx: &Transaction, checkpoint: &Checkpoint) -> Result<Batch> {
        let _ = (direction, tx, checkpoint);
        Err(Error::unknown_step(step))
    }

    /// Looks at what was done, before the last transaction is committed. A [`Finding::block`] rolls that back.
    ///
    /// # Errors
    /// Any error rolls the migration back as well.
    fn verify(direction: Direction, db: &Reader) -> Result<Vec<Finding>> {
        let _ = (direction, db);
        Ok(Vec::new())
    }
}
