//! What a run tells while it is measured, and what is asked of the server then.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use async_trait::async_trait;
use tokio::{sync::Notify, task::JoinHandle};
use tracing::Instrument as _;

use super::{
    Listener, Measured, Sizes,
    reading::{Reading, tell_statistics},
    sampler::sample,
    sizes,
    way::{Beginning, Doing, Ending, Way},
};
use crate::{
    error::{ProgramError, Result},
    migration::{Direction, Version},
    postgres::{Process, Recorder, Session, Target, Told, history, journal, progress, seal},
};

/// Measures each way of each migration of the runs that have it in their configuration. Clones measure into the same.
#[derive(Clone)]
pub struct Gauge(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
    target: Sizes,
    own: [String; 4],
    /// The tables of the copy as they were called before the first migration.
    names: BTreeMap<u32, String>,
}

/// What the gauge and its sampler have in common.
pub(super) struct Shared {
    pub(super) session: Session,
    pub(super) state: Mutex<State>,
    /// A way has begun.
    pub(super) begun: Notify,
}

#[derive(Default)]
pub(super) struct State {
    listener: Option<Arc<dyn Listener>>,
    pub(super) way: Option<Way>,
    done: Vec<(Version, Direction, Measured)>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The process that serves the migration under way.
    pub(super) fn pid(&self) -> Option<i32> {
        self.state().way.as_ref().map(|way| way.pid)
    }
}

impl fmt::Debug for Gauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("measuring")
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Gauge {
    /// Begins to measure what runs on the copy. `schema` is the one of the history there, whose tables are the host's own.
    ///
    /// # Errors
    /// [`Error::Unreachable`](crate::error::Error::Unreachable) when the copy has no room for a second connection.
    pub async fn start(copy: &Target, schema: &str, target: Sizes) -> Result<Self> {
        // As the role that logs in: a migration may take its own role's rights away.
        let login = Target { role: None, ..copy.clone() };
        let session = Session::connect(&login, "lockgate rehearse: locks").await?;
        let own = [history::TABLE, journal::TABLE, progress::TABLE, seal::TABLE];
        let own = own.map(|table| sizes::relation(schema, table).to_string());
        let named = |table: sizes::Table| (table.oid, table.relation.to_string());
        let names = sizes::tables(&session).await?.into_iter().map(named).collect();
        let shared = Arc::new(Shared { session, state: Mutex::default(), begun: Notify::new() });
        let task = tokio::spawn(sample(Arc::clone(&shared)).in_current_span());
        Ok(Self(Arc::new(Inner { shared, task, target, own, names })))
    }

    /// All that was measured since this was asked last, in order; a way that failed as far as it came.
    pub fn take(&self) -> Vec<(Version, Direction, Measured)> {
        std::mem::take(&mut self.0.shared.state().done)
    }

    /// The second connection, which writes nothing.
    pub(in crate::rehearsal) fn session(&self) -> &Session {
        &self.0.shared.session
    }

    /// The process that serves the second connection, which writes nothing.
    pub fn process(&self) -> Process {
        self.0.shared.session.server.process.clone()
    }

    /// Tells this one from now on how far the runs are.
    pub fn listen(&self, listener: Arc<dyn Listener>) {
        self.0.shared.state().listener = Some(listener);
    }

    fn listener(&self) -> Option<Arc<dyn Listener>> {
        self.0.shared.state().listener.clone()
    }

    /// Ends the second connection. The copy can be dropped then.
    pub fn stop(&self) {
        self.0.task.abort();
        self.0.shared.session.hang_up();
    }

    fn way<T>(&self, work: impl FnOnce(&mut Way) -> T) -> Option<T> {
        self.0.shared.state().way.as_mut().map(work)
    }

    async fn looked(&self, session: &Session, within: bool) -> Result<Reading, ProgramError> {
        if within {
            return Ok(Reading::within(session).await?);
        }
        tell_statistics(session).await?;
        let tables = self.way(|way| way.tables()).unwrap_or_default();
        Ok(Reading::beside(&self.0.shared.session, tables.into_iter()).await?)
    }
}

#[async_trait]
impl Recorder for Gauge {
    async fn way_begins(&self, session: &Session, version: &Version, direction: Direction) -> Result<()> {
        let shared = &self.0.shared;
        if let Some(listener) = self.listener() {
            listener.begins(version, direction);
        }
        tell_statistics(session).await?;
        let tables = sizes::tables(&shared.session).await?;
        let indexes = sizes::indexes(&shared.session).await?;
        let (wal, temp) = written(&shared.session).await?;
        let (pid, own) = (session.server.process.pid, &self.0.own[..]);
        let beginning = Beginning { pid, tables: &tables, indexes: &indexes, own, wal, temp };
        let way = Way::begin(version.clone(), direction, &beginning);
        shared.state().way = Some(way);
        shared.begun.notify_one();
        Ok(())
    }

    async fn way_ends(&self, session: &Session) -> Result<()> {
        self.way(Way::stop_the_clock);
        let shared = &self.0.shared;
        if !session.is_closed() {
            tell_statistics(session).await?;
        }
        let (wal, temp) = written(&shared.session).await?;
        let invalid = sizes::indexes(&shared.session).await?;
        let mut state = shared.state();
        let Some(way) = state.way.take() else { return Ok(()) };
        let (version, direction) = (way.version.clone(), way.direction);
        let measured =
            way.measured(&Ending { wal, temp, indexes: &invalid, target: &self.0.target, names: &self.0.names });
        state.done.push((version, direction, measured));
        Ok(())
    }

    async fn transaction_begins(&self, session: &Session) -> Result<()> {
        if self.way(|_| ()).is_none() {
            return Ok(());
        }
        // So that what the server counts of it begins at nothing.
        tell_statistics(session).await?;
        let pid = session.server.process.pid;
        let (wal, _) = written(&self.0.shared.session).await?;
        self.way(|way| way.transaction_begins(pid, wal));
        Ok(())
    }

    fn transaction_ends(&self, committed: bool) {
        self.way(|way| way.transaction_ends(committed));
        if let Some(listener) = self.listener().filter(|_| committed) {
            listener.committed();
        }
    }

    async fn step_begins(&self, session: &Session, _: Told<'_>) -> Result<(), ProgramError> {
        let Some(within) = self.way(|way| way.is_within_a_transaction()) else { return Ok(()) };
        let before = match within {
            true => None,
            false => Some(self.looked(session, within).await?),
        };
        self.way(|way| way.step_begins(before));
        Ok(())
    }

    async fn step_ends(&self, session: &Session, told: Told<'_>, rows: Option<u64>) -> Result<(), ProgramError> {
        let Some((begun, ended_ms)) = self.way(|way| way.step_stops()).flatten() else { return Ok(()) };
        let looking = Instant::now();
        let after = self.looked(session, begun.before.is_none()).await?;
        let doing = Doing { how: told.how, text: told.text, rows, began_ms: begun.began_ms, ended_ms };
        self.way(|way| {
            way.paused += looking.elapsed();
            way.step_ends(doing, begun.before, after);
        });
        Ok(())
    }
}

/// How far the log is written, and what the database has written to temporary files so far.
async fn written(session: &Session) -> Result<(u64, Option<u64>)> {
    let sql = "SELECT pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_insert_lsn(), '0/0'),
                      (SELECT temp_bytes FROM pg_catalog.pg_stat_database WHERE datname = current_database())";
    let row = session.texts("measuring a migration", sql).await?.concat();
    let number = |i: usize| row.get(i).and_then(|text| text.as_ref()?.parse().ok());
    Ok((number(0).unwrap_or_default(), number(1)))
}
