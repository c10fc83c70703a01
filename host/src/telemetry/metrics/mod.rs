//! What a run measures of itself: durations, results, sizes, for whoever watches over many.

mod edits;
mod file;
#[cfg(feature = "otlp")]
mod push;
mod series;
mod sink;

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

pub use self::{edits::Edits, sink::Sink};
use self::{file::MetricsFile, series::Labels, sink::Porter};
#[cfg(feature = "otlp")]
pub use self::{
    push::Gateway,
    series::{FAMILIES, Kind, Series},
};
use super::complaint::Complaint;
use crate::{error::ExitCode, migration::Direction};

/// Takes what is measured where it is wanted. Clones share it; one that was not set up keeps nothing.
#[derive(Clone, Default)]
pub struct Meter(Option<Arc<Inner>>);

struct Inner {
    sinks: Vec<Box<dyn Sink>>,
    /// The database, as labels.
    of: Labels,
    command: String,
    begin: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    batches: Batches,
}

#[derive(Default)]
struct Batches {
    rows: u64,
    count: u64,
    took: Duration,
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "on" } else { "off" })
    }
}

impl Meter {
    /// One for a command on a database; it keeps nothing where there is no sink.
    pub fn of(sinks: Vec<Box<dyn Sink>>, server: &str, database: &str, command: &str) -> Self {
        if sinks.is_empty() {
            return Self::default();
        }
        let of = vec![("server".to_owned(), server.to_owned()), ("database".to_owned(), database.to_owned())];
        Self(Some(Arc::new(Inner {
            sinks,
            of,
            command: command.to_owned(),
            begin: Instant::now(),
            state: Mutex::default(),
        })))
    }

    /// Whether anybody takes what is measured.
    pub fn is_kept(&self) -> bool {
        self.0.is_some()
    }

    /// Waits until all that was measured is where it belongs, and no longer than until then; all sinks at a time.
    pub fn end(&self, until: Instant) {
        let Some(inner) = &self.0 else { return };
        thread::scope(|scope| {
            for sink in &inner.sinks {
                let end = move || sink.end(until);
                if thread::Builder::new().spawn_scoped(scope, end).is_err() {
                    end();
                }
            }
        });
    }

    /// The command begins.
    pub fn run_began(&self) {
        self.change(|inner, _, series| {
            let of = inner.labels(&[("command", &inner.command)]);
            series.remove("lockgate_info", &inner.of);
            series.set("lockgate_info", inner.labels(&[("version", env!("CARGO_PKG_VERSION"))]), 1.0);
            series.set("lockgate_run_in_progress", of.clone(), 1.0);
            series.set("lockgate_run_start_timestamp_seconds", of, now());
        });
    }

    /// The command has ended.
    pub fn run_ended(&self, code: ExitCode) {
        self.change(|inner, _, series| {
            let of = inner.labels(&[("command", &inner.command)]);
            let result = [("command", inner.command.as_str()), ("result", result(code == ExitCode::Done))];
            series.add("lockgate_runs_total", inner.labels(&result), 1.0);
            series.set("lockgate_run_in_progress", of.clone(), 0.0);
            series.set("lockgate_run_end_timestamp_seconds", of.clone(), now());
            series.set("lockgate_run_duration_seconds", of.clone(), inner.begin.elapsed().as_secs_f64());
            series.set("lockgate_run_exit_code", of.clone(), f64::from(code as u8));
            if code == ExitCode::Done {
                series.set("lockgate_run_last_success_timestamp_seconds", of, now());
            }
        });
    }

    /// A command that migrates ended so. What ended before it came to the migrations (as by a mistake in the settings, or another run's
    /// lock) tells nothing of them: what was known stays.
    pub fn migrations_stand(&self, code: ExitCode) {
        use ExitCode::{CheckFailed, Done, MigrationFailed, NeedsResolve, OutcomeUnknown};
        if matches!(code, Done | MigrationFailed | CheckFailed | OutcomeUnknown | NeedsResolve) {
            let code = f64::from(code as u8);
            self.change(|inner, _, series| series.set("lockgate_migrations_exit_code", inner.of.clone(), code));
        }
    }

    /// The lock is there.
    pub fn lock_waited(&self, waited: Duration) {
        self.change(|inner, _, series| {
            series.set("lockgate_lock_wait_seconds", inner.of.clone(), waited.as_secs_f64());
            // Whoever had it before has ended, and may not have been able to say so.
            series.remove("lockgate_migration_start_timestamp_seconds", &inner.of);
        });
    }

    /// So many migrations of the folder are not applied.
    pub fn pending(&self, count: usize) {
        self.change(|inner, _, series| series.set("lockgate_migrations_pending", inner.of.clone(), count as f64));
    }

    /// A migration begins.
    pub fn migration_began(&self, migration: &str, direction: Direction) {
        self.change(|inner, state, series| {
            *state = State::default();
            let of = inner.migration(migration, direction);
            series.set("lockgate_migration_start_timestamp_seconds", of, now());
        });
    }

    /// A batch of it is committed.
    pub fn batch(&self, rows: u64, took: Duration) {
        // The file is written when the migration has ended: batches follow one another too closely.
        if let Some(inner) = &self.0 {
            let batches = &mut inner.state().batches;
            *batches = Batches { rows: batches.rows + rows, count: batches.count + 1, took: batches.took + took };
        }
    }

    /// The migration has ended.
    pub fn migration_ended(&self, migration: &str, direction: Direction, took: Duration, well: bool) {
        self.change(|inner, state, series| {
            let of = inner.migration(migration, direction);
            series.remove("lockgate_migration_start_timestamp_seconds", &of);
            series.set("lockgate_migration_duration_seconds", of.clone(), took.as_secs_f64());
            series.set("lockgate_migration_end_timestamp_seconds", of, now());
            let counted = inner.labels(&[("direction", &direction.to_string()), ("result", result(well))]);
            series.add("lockgate_migrations_total", counted, 1.0);
            if well {
                let more = if direction == Direction::Up { -1.0 } else { 1.0 };
                series.add("lockgate_migrations_pending", inner.of.clone(), more);
            }
            let Batches { rows, count, took } = std::mem::take(&mut state.batches);
            if count > 0 {
                series.add("lockgate_backfill_rows_total", inner.of.clone(), rows as f64);
                series.add("lockgate_backfill_batches_total", inner.of.clone(), count as f64);
                let rate = rows as f64 / took.as_secs_f64().max(0.001);
                series.set("lockgate_backfill_rows_per_second", inner.of.clone(), rate);
            }
        });
    }

    /// A backup is complete.
    pub fn backed_up(&self, took: Duration, bytes: u64) {
        self.change(|inner, _, series| {
            let of = || inner.of.clone();
            series.add("lockgate_backups_total", inner.labels(&[("result", result(true))]), 1.0);
            series.set("lockgate_backup_consecutive_failures", of(), 0.0);
            series.set("lockgate_backup_duration_seconds", of(), took.as_secs_f64());
            series.set("lockgate_backup_size_bytes", of(), bytes as f64);
            series.set("lockgate_backup_last_success_timestamp_seconds", of(), now());
        });
    }

    /// A backup has failed.
    pub fn backup_failed(&self) {
        self.change(|inner, _, series| {
            series.add("lockgate_backups_total", inner.labels(&[("result", result(false))]), 1.0);
            series.add("lockgate_backup_consecutive_failures", inner.of.clone(), 1.0);
            series.set("lockgate_backup_last_failure_timestamp_seconds", inner.of.clone(), now());
        });
    }

    /// Nothing is waited for: what becomes of it is the sinks' affair.
    fn change(&self, change: impl FnOnce(&Inner, &mut State, &mut Edits)) {
        let Some(inner) = &self.0 else { return };
        let (mut state, mut edits) = (inner.state(), Edits::default());
        change(inner, &mut state, &mut edits);
        // Still under the lock of the state, so that changes reach each sink in their order.
        for sink in &inner.sinks {
            sink.take(&edits);
        }
    }
}

/// The text file, as a sink. None, with a warning, where the system gives no thread for it.
pub fn into_file(path: PathBuf) -> Option<Box<dyn Sink>> {
    let complaint = Complaint::of("metrics cannot be written", path.display().to_string());
    sink_or_warning(Porter::to(MetricsFile::at(path), complaint))
}

/// The push gateway, as a sink.
#[cfg(feature = "otlp")]
pub fn into_gateway(gateway: Gateway) -> Option<Box<dyn Sink>> {
    let complaint = Complaint::of("metrics cannot be pushed", gateway.to_string());
    sink_or_warning(Porter::to(gateway, complaint))
}

fn sink_or_warning(porter: std::io::Result<Porter>) -> Option<Box<dyn Sink>> {
    match porter {
        Ok(porter) => Some(Box::new(porter)),
        Err(error) => {
            tracing::warn!(%error, "there is no thread for metrics; the run goes on without");
            None
        }
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn labels(&self, more: &[(&str, &str)]) -> Labels {
        let more = more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.of.iter().cloned().chain(more).collect()
    }

    fn migration(&self, migration: &str, direction: Direction) -> Labels {
        self.labels(&[("migration", migration), ("direction", &direction.to_string())])
    }
}

fn result(well: bool) -> &'static str {
    if well { "success" } else { "failure" }
}

/// Seconds since 1970.
fn now() -> f64 {
    jiff::Timestamp::now().as_millisecond() as f64 / 1_000.0
}
