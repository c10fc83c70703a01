//! Clients beside a rehearsal: they go on with what the old application does while the migrations run, and tell what they feel of them.

mod client;
mod file;
mod histogram;
mod pgbench;
mod phase;
mod tally;

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, task::JoinHandle};

use self::{
    client::Client,
    file::{Weighted, Work},
    pgbench::Pgbench,
    tally::{BEFORE, Tally},
};
use super::Workload;
use crate::{
    error::{Error, Problem, Result},
    postgres::{Session, Target},
};

/// How long a client pauses between two statements: a busy application, and a machine that has something left for the migration.
pub const PAUSE: Duration = Duration::from_millis(10);
/// How long clients run at least before the first migration, so that there is something to compare with.
pub const BEFORE_MIN: Duration = Duration::from_secs(1);
/// How long clients run at least after the last migration, so that it shows whether the old application can go on.
pub const AFTER_MIN: Duration = Duration::from_secs(1);
/// How long a new phase has begun before its migration may: what was sent in the phase before is to come to its end in peace, or the wait for
/// the migration would be counted there. Most statements of an application take less.
const SETTLE: Duration = Duration::from_millis(100);
/// How long a statement that is under way when the clients are stopped may take to its end.
const GRACE: Duration = Duration::from_secs(1);

/// The name of the phase after the last migration.
const AFTER: &str = "after";

/// Clients at work. Dropped, they send nothing more.
pub struct Clients {
    file: String,
    count: u32,
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

/// What all clients know of.
struct Shared {
    tally: Mutex<Tally>,
    stop: watch::Sender<bool>,
}

impl Shared {
    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the clients are to stop.
    async fn stopped(&self) {
        // The sender lives as long as this.
        let _ = self.stop.subscribe().wait_for(|stop| *stop).await;
    }

    fn is_stopped(&self) -> bool {
        *self.stop.borrow()
    }

    /// Waits for a while, or until the clients are to stop.
    async fn pause(&self, time: Duration) {
        let _ = tokio::time::timeout(time, self.stopped()).await;
    }
}

impl Clients {
    /// Starts so many clients on a database, and with them the phase `before`. They send the statements of a file by their weights, or run
    /// it by pgbench, which is looked for in `pg_bin` or where it usually is.
    ///
    /// # Errors
    /// [`Error::Configuration`] when the file cannot be read, has something that cannot be run, or something that the database as it is
    /// refuses: that is named, with its line.
    pub async fn start(target: &Target, file: &Path, clients: u32, pg_bin: Option<&Path>) -> Result<Self> {
        let (stop, pause) = (watch::channel(false).0, PAUSE);
        let shared = |statements: &[&str]| Shared { tally: Mutex::new(Tally::new(statements, pause)), stop };
        let numbers = 1..=clients;
        let (shared, tasks) = match Work::read(file)? {
            Work::Statements(statements) => {
                check(target, file, &statements).await?;
                let connect = numbers.map(|number| Client::connect(target, number));
                let sessions = futures_util::future::try_join_all(connect).await?;
                let texts: Vec<&str> = statements.iter().map(|statement| statement.sql.as_str()).collect();
                let (shared, statements) = (Arc::new(shared(&texts)), Arc::from(statements.as_slice()));
                let client = |(number, session)| {
                    let client = Client::new(number, target, &statements, &shared);
                    tokio::spawn(client.run(session))
                };
                let tasks = (1..).zip(sessions).map(client).collect();
                (shared, tasks)
            }
            Work::Pgbench(commands) => {
                let pgbench = Pgbench::find(target, file, commands, pg_bin)?;
                pgbench.check().await?;
                let (shared, pgbench) = (Arc::new(shared(&["the script"])), Arc::new(pgbench));
                let run = |number| tokio::spawn(Arc::clone(&pgbench).run(number, Arc::clone(&shared)));
                let tasks = numbers.map(run).collect();
                (shared, tasks)
            }
        };
        Ok(Self { file: file.display().to_string(), count: clients, shared, tasks })
    }

    /// Begins another phase: that of a migration, by its name. The first one begins when `before` has lasted for [`BEFORE_MIN`].
    /// Returns when the migration may begin, a tenth of a second later.
    ///
    /// # Errors
    /// [`Error::Configuration`] when something has never worked in `before`: it is no migration that breaks it.
    pub async fn phase(&self, name: &str) -> Result<()> {
        self.last(BEFORE, BEFORE_MIN).await;
        self.begin(name)?;
        tokio::time::sleep(SETTLE).await;
        Ok(())
    }

    fn begin(&self, name: &str) -> Result<()> {
        let mut tally = self.shared.tally();
        if tally.present().0 == BEFORE
            && let Some((statement, message)) = tally.never_worked()
        {
            return Err(Error::configuration(
                format!("the workload `{}` fails before the first migration: `{statement}`: {message}", self.file),
                "mend the workload, or the data that it needs",
            ));
        }
        tally.phase(name);
        Ok(())
    }

    /// Begins another phase at once, unless it is the present one.
    pub fn begins(&self, name: &str) {
        let mut tally = self.shared.tally();
        if tally.present().0 != name {
            tally.phase(name);
        }
    }

    /// Waits until a phase, if it is the present one, has lasted for so long.
    async fn last(&self, phase: &str, at_least: Duration) {
        let rest = match self.shared.tally().present() {
            (present, lasted) if present == phase => at_least.saturating_sub(lasted),
            _ => Duration::ZERO,
        };
        tokio::time::sleep(rest).await;
    }

    /// Begins the phase `after` unless it has begun, lets it last for [`AFTER_MIN`], ends the clients and tells what they felt.
    pub async fn stop(mut self) -> Workload {
        self.last(BEFORE, BEFORE_MIN).await;
        {
            let mut tally = self.shared.tally();
            if tally.present().0 != AFTER {
                tally.phase(AFTER);
            }
        }
        self.last(AFTER, AFTER_MIN).await;
        // What is still waited for after this does not make the phase longer.
        self.shared.tally().end();
        self.shared.stop.send_replace(true);
        for task in std::mem::take(&mut self.tasks) {
            // A client that has panicked has told nothing of its last statement.
            let _ = task.await;
        }
        let phases = self.shared.tally().felt();
        Workload { file: self.file.clone(), clients: self.count, phases }
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Reads the file of a workload, so that nothing is copied for one that cannot be run.
///
/// # Errors
/// As [`Clients::start`], as far as it can be known without a database.
pub(super) fn read(target: &Target, file: &Path, pg_bin: Option<&Path>) -> Result<()> {
    match Work::read(file)? {
        Work::Statements(_) => Ok(()),
        Work::Pgbench(commands) => Pgbench::find(target, file, commands, pg_bin).map(drop),
    }
}

/// Whether what was tried of a workload can have changed the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// It cannot: the server was only asked.
    Nothing,
    /// The script was run.
    Rows,
}

/// Tries a workload on a database before anything else is done with it: a rehearsal of hours is not begun beside one that cannot be run.
///
/// # Errors
/// As [`Clients::start`].
pub(super) async fn try_out(target: &Target, file: &Path, pg_bin: Option<&Path>) -> Result<Left> {
    match Work::read(file)? {
        Work::Statements(statements) => check(target, file, &statements).await.map(|()| Left::Nothing),
        Work::Pgbench(commands) => Pgbench::find(target, file, commands, pg_bin)?.check().await.map(|()| Left::Rows),
    }
}

/// Asks the server whether it would take each of the statements, before there is a migration to blame.
async fn check(target: &Target, file: &Path, statements: &[Weighted]) -> Result<()> {
    let session = Session::connect(target, "lockgate workload").await?;
    let mut problems = Vec::new();
    for statement in statements {
        if let Err(error) = session.handle().prepare(&statement.sql).await {
            if error.connection_lost {
                return Err(Error::database("looking at the workload's statements", error));
            }
            let next = "mend the statement: it must work before the first migration";
            problems.push(Problem::new(&statement.at, error.message, next));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(unfit(file, &problems)) }
}

/// A file that cannot be run, with everything that is wrong with it.
fn unfit(file: &Path, problems: &[Problem]) -> Error {
    let line = |problem: &Problem| format!("\n  {}: {}: {}", problem.at, problem.what, problem.next);
    let lines: String = problems.iter().map(line).collect();
    Error::configuration(format!("the workload `{}` cannot be run{lines}", file.display()), "mend the file")
}
