//! A run, from the lock to the outcome.

use std::time::{Duration, Instant};

use serde::Serialize;
use uuid::Uuid;

use crate::{
    backup::{self, Dump, Manifest, Restored},
    config::Config,
    error::{Cause, Error, Finding, NOTHING_CHANGED, Problem, ProgramError, Result, Stage, blocks},
    migration::{Checksum, Direction, Kind, Version},
    plan::{self, Revert, State},
    postgres::{
        Broken, Committed, Handle, Server, Session, Timeouts,
        history::{Applied, History, Record},
        journal::{self, Entry, Event, Journal},
        lock::{self, LockKey},
        preflight,
    },
    source::{self, Content, Folder, Migration},
    sql::SqlProgram,
    step::{Program, Step},
};

/// What a run did.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// The correlation id of its logs and journal entries.
    pub run_id: Uuid,
    /// Which way it went.
    pub direction: Direction,
    /// The migrations that it applied or reverted, in order, each committed.
    pub done: Vec<Done>,
    /// The backup that it took before the first change.
    pub backup: Option<Manifest>,
    /// What the checks found that did not stop it.
    pub findings: Vec<Finding>,
    /// The newest applied version after it.
    pub version: Option<Version>,
    /// How long it took, in milliseconds.
    pub duration_ms: u128,
}

/// A migration that a run applied or reverted.
#[derive(Debug, Clone, Serialize)]
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

/// What a run would do.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// Which way.
    pub direction: Direction,
    /// The migrations, in order.
    pub migrations: Vec<Planned>,
    /// Whether a backup would be taken first.
    pub backup: bool,
    /// What the host's own checks and those of the first migration say now.
    pub findings: Vec<Finding>,
}

/// A migration in a plan. Each is one transaction.
#[derive(Debug, Clone, Serialize)]
pub struct Planned {
    /// Its version.
    pub version: Version,
    /// Version and description.
    pub name: String,
    /// What it is made of.
    pub kind: String,
    /// Its steps; `None` where they can only be known when the migrations before it have run.
    pub steps: Option<Vec<PlannedStep>>,
}

/// A step in a plan.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PlannedStep {
    /// A statement, in its first words.
    Sql(String),
    /// A step of the component's own.
    Code(String),
}

/// One line of the status.
#[derive(Debug, Clone, Serialize)]
pub struct StatusRow {
    /// The version.
    pub version: Version,
    /// The words of its name.
    pub description: String,
    /// What it is made of.
    pub kind: String,
    /// Applied, pending, drifted or missing.
    pub state: State,
    /// When, by whom, how long; of applied ones.
    pub applied: Option<Applied>,
}

/// The state of every migration.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// The database.
    pub database: String,
    /// All versions, in order.
    pub migrations: Vec<StatusRow>,
    /// What is wrong with the folder.
    pub problems: Vec<Problem>,
}

/// What the health check found.
#[derive(Debug, Clone, Serialize)]
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

/// A migration about to run, ready to.
struct Work {
    version: Version,
    name: String,
    filename: String,
    description: String,
    kind: String,
    checksum: Checksum,
    down_script: Option<String>,
    program: Box<dyn Program>,
}

/// A connected run.
struct Run<'a> {
    config: &'a Config,
    run_id: Uuid,
    session: Session,
    history: History,
    journal: Journal,
    lock: LockKey,
    started: Instant,
}

/// Connects and tells what the server is.
///
/// # Errors
/// [`Error::Unreachable`].
pub async fn test(config: &Config, run_id: Uuid) -> Result<Health> {
    let run = Run::begin(config, run_id).await?;
    let begin = Instant::now();
    run.session.batch("measuring the latency", "SELECT 1").await?;
    let latency_us = begin.elapsed().as_micros();
    let Server { version, tls, user, superuser, in_recovery, clock_skew_ms, .. } = run.session.server.clone();
    Ok(Health {
        target: config.target.to_string(),
        server_version: version,
        tls,
        role: user,
        superuser,
        in_recovery,
        clock_skew_ms,
        latency_us,
    })
}

/// Compares the folder with the history.
///
/// # Errors
/// When either cannot be read.
pub async fn status(config: &Config, run_id: Uuid) -> Result<Status> {
    let folder = source::read(&config.dir)?;
    let run = Run::begin(config, run_id).await?;
    let applied = run.applied().await?;
    let rows = plan::states(&folder.migrations, &applied).into_iter().filter_map(|(state, migration, row)| {
        let (version, description, kind) = match (migration, row) {
            (_, Some(row)) => (row.version.clone(), row.description.clone(), row.kind.clone()),
            (Some(m), None) => (m.version.clone(), m.description.clone(), m.kind().as_str().to_owned()),
            (None, None) => return None,
        };
        Some(StatusRow { version, description, kind, state, applied: row.cloned() })
    });
    Ok(Status { database: config.target.database.clone(), migrations: rows.collect(), problems: folder.problems })
}

/// Says what [`up`] would do, and changes nothing.
///
/// # Errors
/// Whatever would stop the run before its first check.
pub async fn plan_up(config: &Config, run_id: Uuid, to: Option<&Version>) -> Result<Plan> {
    let folder = source::read(&config.dir)?;
    let run = Run::begin(config, run_id).await?;
    let work = run.pending(&folder, to).await?;
    run.plan(Direction::Up, &work).await
}

/// Says what [`down`] would do, and changes nothing.
///
/// # Errors
/// Whatever would stop the run before its first check.
pub async fn plan_down(config: &Config, run_id: Uuid, revert: &Revert) -> Result<Plan> {
    let folder = source::read(&config.dir)?;
    let run = Run::begin(config, run_id).await?;
    let work = run.reverted(&folder, revert).await?;
    run.plan(Direction::Down, &work).await
}

/// Applies what is pending, up to and including `to`.
///
/// # Errors
/// The first that stops it; what was applied before stays applied.
pub async fn up(config: &Config, run_id: Uuid, to: Option<&Version>) -> Result<Outcome> {
    let folder = source::read(&config.dir)?;
    let run = Run::begin(config, run_id).await?;
    let applied = run.applied().await?;
    for row in plan::missing(&folder.migrations, &applied) {
        tracing::warn!(migration = row.filename, "applied, but no longer in the folder");
    }
    if folder.problems.is_empty() && plan::up(&folder.migrations, &applied, to).is_ok_and(|pending| pending.is_empty())
    {
        return run.nothing_to_do(Direction::Up).await;
    }
    // Another run may have done it while this one waited for the lock.
    run.locked(async |waited| {
        let work = run.pending(&folder, to).await?;
        if work.is_empty() {
            run.nothing_to_do(Direction::Up).await
        } else {
            run.execute(Direction::Up, &work, waited).await
        }
    })
    .await
}

/// Reverts applied migrations, the newest first.
///
/// # Errors
/// The first that stops it; what was reverted before stays reverted.
pub async fn down(config: &Config, run_id: Uuid, revert: &Revert) -> Result<Outcome> {
    let folder = source::read(&config.dir)?;
    let run = Run::begin(config, run_id).await?;
    if plan::down(&folder.migrations, &run.applied().await?, revert)?.is_empty() {
        return run.nothing_to_do(Direction::Down).await;
    }
    run.locked(async |waited| {
        let work = run.reverted(&folder, revert).await?;
        if work.is_empty() {
            run.nothing_to_do(Direction::Down).await
        } else {
            run.execute(Direction::Down, &work, waited).await
        }
    })
    .await
}

/// Takes a backup without running anything.
///
/// # Errors
/// [`Error::Checks`] or [`Error::Backup`].
pub async fn backup(config: &Config, run_id: Uuid) -> Result<Manifest> {
    let run = Run::begin(config, run_id).await?;
    run.locked(async |_| {
        run.preflight(&[]).await?;
        let manifest = run.take_backup(&[]).await?;
        if run.history.read(&run.session).await?.is_some() {
            run.journal.append(&run.session, &Entry::of(Event::BackedUp).detail(&manifest.id)).await?;
        }
        Ok(manifest)
    })
    .await
}

/// Brings a backup's state back; the present database is kept under another name.
///
/// # Errors
/// [`Error::Backup`]; until the names are swapped nothing has changed.
pub async fn restore(config: &Config, run_id: Uuid, id: &str) -> Result<Restored> {
    let manifest = backup::store::find(&config.backup_dir, &config.target.database, id)?;
    let run = Run::begin(config, run_id).await?;
    // Not given back: the session that holds it ends with the swap.
    lock::acquire(&run.session, run.lock, config.lock_timeout).await?;
    let restored = backup::restore(config, &manifest, &short(run_id)).await?;
    // The restore is done, whatever comes of noting it.
    if let Err(error) = note_restore(config, run_id, &restored).await {
        tracing::error!(%error, "the restore could not be noted in the journal");
    }
    Ok(restored)
}

async fn note_restore(config: &Config, run_id: Uuid, restored: &Restored) -> Result<()> {
    let run = Run::begin(config, run_id).await?;
    run.locked(async |_| {
        journal::ensure_tables(&run.session, &run.history).await?;
        let detail = format!("from backup {}; the former database is kept as {}", restored.backup, restored.kept_as);
        run.journal.append(&run.session, &Entry::of(Event::Restored).detail(&detail)).await
    })
    .await
}

impl<'a> Run<'a> {
    async fn begin(config: &'a Config, run_id: Uuid) -> Result<Self> {
        let started = Instant::now();
        let session = Session::connect(&config.target, &format!("lockgate {}", short(run_id))).await?;
        let history = History::in_schema(&config.schema);
        let journal = Journal::new(&history, run_id);
        Ok(Self { config, run_id, session, history, journal, lock: LockKey, started })
    }

    async fn applied(&self) -> Result<Vec<Applied>> {
        Ok(self.history.read(&self.session).await?.unwrap_or_default())
    }

    /// Runs work under the lock, telling it how long that took to get, and gives the lock back whatever came of the work.
    async fn locked<T>(&self, work: impl AsyncFnOnce(Duration) -> Result<T>) -> Result<T> {
        let waited = lock::acquire(&self.session, self.lock, self.config.lock_timeout);
        let waited = self
            .config
            .stop
            .race(waited)
            .await
            .map_err(|signal| Error::Interrupted { signal, state: NOTHING_CHANGED.into() })??;
        tracing::debug!(waited_ms = waited.as_millis(), "the lock is ours");
        let result = work(waited).await;
        if !self.session.is_closed()
            && let Err(error) = lock::release(&self.session, self.lock).await
        {
            // The end of the session releases it all the same.
            tracing::warn!(%error, "the lock could not be released");
        }
        result
    }

    /// Everything that is to be applied, loaded and checked.
    async fn pending(&self, folder: &Folder, to: Option<&Version>) -> Result<Vec<Work>> {
        let applied = self.applied().await?;
        let planned = plan::up(&folder.migrations, &applied, to);
        // Whatever else is wrong, those not yet applied are tried as well, so that everything is reported at once.
        let candidates = match &planned {
            Ok(pending) => pending.clone(),
            Err(_) => folder.migrations.iter().filter(|m| !applied.iter().any(|a| a.version == m.version)).collect(),
        };
        let (work, unfit) = load(self.config, &candidates).await?;
        let mut problems = folder.problems.clone();
        problems.extend(unfit);
        match planned {
            Ok(_) if problems.is_empty() => Ok(work),
            Err(Error::Drift(drifted)) if !problems.is_empty() => {
                problems.extend(drifted);
                Err(Error::Folder(problems))
            }
            Err(error) if problems.is_empty() => Err(error),
            _ => Err(Error::Folder(problems)),
        }
    }

    /// Everything that is to be reverted, loaded and checked.
    async fn reverted(&self, folder: &Folder, revert: &Revert) -> Result<Vec<Work>> {
        if !folder.problems.is_empty() {
            return Err(Error::Folder(folder.problems.clone()));
        }
        let applied = self.applied().await?;
        let mut work = Vec::new();
        for row in plan::down(&folder.migrations, &applied, revert)? {
            let item = match folder.migrations.iter().find(|m| m.version == row.version) {
                Some(migration) => {
                    let (mut loaded, problems) = load(self.config, &[migration]).await?;
                    if !problems.is_empty() {
                        return Err(Error::Folder(problems));
                    }
                    loaded.remove(0)
                }
                None => from_history(row)?,
            };
            if let Some(reason) = &item.program.describe().irreversible {
                return Err(Error::Refused {
                    what: format!("migration `{}` cannot be reverted: {reason}", item.name),
                    next: "write a new migration, or `lockgate restore` a backup from before it".into(),
                });
            }
            work.push(item);
        }
        Ok(work)
    }

    async fn nothing_to_do(&self, direction: Direction) -> Result<Outcome> {
        self.outcome(direction, Vec::new(), None, Vec::new()).await
    }

    async fn outcome(
        &self,
        direction: Direction,
        done: Vec<Done>,
        backup: Option<Manifest>,
        findings: Vec<Finding>,
    ) -> Result<Outcome> {
        let version = self.applied().await?.pop().map(|a| a.version);
        let duration_ms = self.started.elapsed().as_millis();
        Ok(Outcome { run_id: self.run_id, direction, done, backup, findings, version, duration_ms })
    }

    /// Under the lock: checks, backup, then one migration after the other.
    async fn execute(&self, direction: Direction, work: &[Work], waited: Duration) -> Result<Outcome> {
        let mut findings = self.preflight(work).await?;
        if direction == Direction::Up {
            findings.extend(self.migration_preflight(&work[0]).await?);
        }
        let backup = if self.config.backup {
            Some(self.take_backup(work).await?)
        } else {
            tracing::warn!("no backup is taken: `--no-backup`");
            None
        };
        journal::ensure_tables(&self.session, &self.history).await?;
        let waited = format!("waited {} ms for the lock", waited.as_millis());
        self.journal.append(&self.session, &Entry::of(Event::RunStarted).detail(&waited)).await?;
        let entry = match &backup {
            Some(manifest) => Entry::of(Event::BackedUp).detail(&manifest.id),
            None => Entry::of(Event::BackupSkipped),
        };
        self.journal.append(&self.session, &entry).await?;

        let mut done = Vec::new();
        for (i, item) in work.iter().enumerate() {
            // A later migration may look at what an earlier one makes, so it is asked only now.
            if direction == Direction::Up && i > 0 {
                findings.extend(self.migration_preflight(item).await?);
            }
            done.push(self.run_one(direction, item, backup.as_ref(), &mut findings).await?);
        }
        self.journal.append(&self.session, &Entry::of(Event::RunFinished).took(self.started.elapsed())).await?;
        self.outcome(direction, done, backup, findings).await
    }

    /// The host's checks.
    async fn preflight(&self, work: &[Work]) -> Result<Vec<Finding>> {
        let findings = self.host_findings(work).await?;
        if blocks(&findings) {
            let state = NOTHING_CHANGED.into();
            return Err(Error::Checks { stage: Stage::HostPreflight, findings, state });
        }
        Ok(findings)
    }

    async fn host_findings(&self, work: &[Work]) -> Result<Vec<Finding>> {
        let context = preflight::Context {
            session: &self.session,
            history: &self.history,
            backup_folder: self.config.backup.then_some(self.config.backup_dir.as_path()),
            pg_bin: self.config.pg_bin.as_deref(),
            components: work.iter().any(|w| w.kind == Kind::Component.as_str()),
        };
        preflight::check(&context).await
    }

    /// A migration's own checks.
    async fn migration_preflight(&self, item: &Work) -> Result<Vec<Finding>> {
        let ask = async |db: &Handle| self.config.stop.race(item.program.preflight(db)).await;
        let asked = match self.session.read_only(self.timeouts(item), ask).await? {
            Ok(asked) => asked,
            Err(signal) => return Err(self.interrupted(item, Direction::Up, signal, NOT_RUN).await),
        };
        let findings = match asked {
            Ok(findings) => findings,
            Err(error) => return Err(self.failed(item, Direction::Up, Some(PREFLIGHT.into()), error, false).await),
        };
        if blocks(&findings) {
            let stage = Stage::Preflight(item.version.clone());
            return Err(self.refused(item, Direction::Up, stage, findings).await);
        }
        Ok(findings)
    }

    async fn take_backup(&self, work: &[Work]) -> Result<Manifest> {
        let begin = Instant::now();
        let dump = Dump {
            folder: self.config.backup_dir.clone(),
            pg_bin: self.config.pg_bin.clone(),
            run_id: self.run_id.to_string(),
            applied: self.applied().await?.iter().map(|a| a.version.to_string()).collect(),
            precedes: work.iter().map(|w| w.name.clone()).collect(),
            lock_wait_timeout_ms: self.config.timeouts.lock.as_millis().max(30_000),
        };
        tracing::info!(folder = %self.config.backup_dir.display(), "backing up");
        match backup::take(&self.config.target, &self.session.server, dump, &self.config.stop).await {
            Ok(manifest) => {
                tracing::info!(
                    backup = manifest.id,
                    bytes = manifest.payload.bytes,
                    duration_ms = begin.elapsed().as_millis(),
                    "backed up and read back"
                );
                Ok(manifest)
            }
            Err(error) => {
                if self.history.read(&self.session).await?.is_some() {
                    let detail = error.to_string();
                    self.note(&Entry::of(Event::BackupFailed).detail(&detail)).await;
                }
                if let Some(signal) = self.config.stop.asked() {
                    return Err(Error::Interrupted { signal, state: "no migration was run".into() });
                }
                Err(error)
            }
        }
    }

    /// One migration: begin, steps, record, verify, commit; or nothing of it at all.
    async fn run_one(
        &self,
        direction: Direction,
        item: &Work,
        backup: Option<&Manifest>,
        findings: &mut Vec<Finding>,
    ) -> Result<Done> {
        tracing::info!(migration = item.name, %direction, "running");
        let begin = Instant::now();
        let transaction = self.session.begin(self.timeouts(item)).await?;
        let work = self.config.stop.race(self.in_transaction(direction, item, backup, &transaction)).await;
        let verified = match work {
            Ok(Ok(verified)) => verified,
            Ok(Err(Stopped { step, error, committed })) => {
                self.roll_back().await;
                return Err(self.failed(item, direction, step, error, committed).await);
            }
            Err(signal) => {
                self.roll_back().await;
                return Err(self.interrupted(item, direction, signal, ROLLED_BACK).await);
            }
        };
        if blocks(&verified.findings) {
            self.roll_back().await;
            let stage = Stage::Verify(item.version.clone(), direction);
            return Err(self.refused(item, direction, stage, verified.findings).await);
        }
        match self.session.commit().await {
            Committed::Yes => {}
            Committed::No(error) => {
                self.roll_back().await;
                return Err(self.failed(item, direction, Some("commit".into()), (*error).into(), false).await);
            }
            Committed::Unknown => {
                return Err(Error::OutcomeUnknown { name: item.name.clone(), run_id: self.run_id.to_string() });
            }
        }
        let duration_ms = begin.elapsed().as_millis();
        tracing::info!(migration = item.name, %direction, duration_ms, "committed");
        findings.extend(verified.findings);
        Ok(Done {
            version: item.version.clone(),
            name: item.name.clone(),
            kind: item.kind.clone(),
            execution_time_ms: verified.steps_took.as_millis(),
        })
    }

    async fn in_transaction(
        &self,
        direction: Direction,
        item: &Work,
        backup: Option<&Manifest>,
        transaction: &str,
    ) -> Result<Verified, Stopped> {
        let host = |doing: &'static str| move |error: Error| Stopped::at(doing, host_cause(error));
        // Even if the lock had failed, nothing would run twice.
        let holds = self.history.holds(&self.session, &item.version).await.map_err(host("history"))?;
        if holds == (direction == Direction::Up) {
            let cause = Cause::Host(format!("the history changed under the lock: `{}`", item.version));
            return Err(Stopped::at("history", ProgramError { at: None, cause }));
        }
        let planned =
            self.session.guarded(async |db| item.program.plan(direction, db).await).await.map_err(host("plan"))?;
        let steps = planned.map_err(|error| Stopped::at("plan", error))?;

        let begin = Instant::now();
        for (i, step) in steps.iter().enumerate() {
            let (name, result) = match step {
                Step::Sql(script) => (format!("{} (SQL)", i + 1), self.session.run_script(script).await),
                Step::Code(name) => {
                    (format!("{} (`{name}`)", i + 1), item.program.run(direction, name, self.session.handle()).await)
                }
                Step::OutsideTransaction(_) | Step::Batched(_) => {
                    (format!("{}", i + 1), Err(ProgramError::plugin("not yet")))
                }
            };
            result.map_err(|error| Stopped { step: Some(name.clone()), error, committed: false })?;
            // At once: what the host writes next must not land outside the transaction.
            self.session
                .check_unbroken(transaction, self.lock)
                .await
                .map_err(|broken| Stopped::broken(&name, item, &broken))?;
        }
        // Deferred triggers and constraints belong to what is verified.
        self.session.settle().await.map_err(|error| Stopped::at("deferred constraints", error))?;
        let steps_took = begin.elapsed();

        let event = match direction {
            Direction::Up => {
                let record = Record {
                    version: &item.version,
                    filename: &item.filename,
                    description: &item.description,
                    kind: &item.kind,
                    checksum: &item.checksum,
                    down_script: item.down_script.as_deref(),
                    execution_time_ms: i64::try_from(steps_took.as_millis()).unwrap_or(i64::MAX),
                    backup_id: backup.map(|b| b.id.as_str()),
                };
                self.history.record(&self.session, self.run_id, &record).await.map_err(host("history"))?;
                Event::Applied
            }
            Direction::Down => {
                self.history.forget(&self.session, &item.version).await.map_err(host("history"))?;
                Event::Reverted
            }
        };
        let entry = Entry::of(event).migration(&item.version, direction).took(steps_took);
        self.journal.append(&self.session, &entry).await.map_err(host("journal"))?;

        let asked =
            self.session.guarded(async |db| item.program.verify(direction, db).await).await.map_err(host("verify"))?;
        let findings = asked.map_err(|error| Stopped::at("verify", error))?;
        self.session.settle().await.map_err(|error| Stopped::at("deferred constraints", error))?;
        self.session
            .check_unbroken(transaction, self.lock)
            .await
            .map_err(|broken| Stopped::broken("end", item, &broken))?;
        let recorded =
            self.history.holds_of_run(&self.session, &item.version, self.run_id).await.map_err(host("history"))?;
        if recorded != (direction == Direction::Up) {
            let cause = Cause::Script("it changed what the host had written into the history".into());
            return Err(Stopped::at("end", ProgramError { at: None, cause }));
        }
        Ok(Verified { findings, steps_took })
    }

    fn timeouts(&self, item: &Work) -> Timeouts {
        let asked = item.program.describe();
        // Zero is "for ever", which only the operator may choose.
        let or = |asked: Option<u32>, set: Duration| match asked
            .filter(|ms| *ms > 0)
            .map(|ms| Duration::from_millis(ms.into()))
        {
            Some(asked) if set.is_zero() => asked,
            Some(asked) => asked.min(set),
            None => set,
        };
        Timeouts {
            lock: or(asked.lock_timeout_ms, self.config.timeouts.lock),
            statement: or(asked.statement_timeout_ms, self.config.timeouts.statement),
        }
    }

    /// The first failure counts, so this one is only logged.
    async fn roll_back(&self) {
        if let Err(error) = self.session.abort().await {
            tracing::error!(%error, "the rollback failed; the server rolls back when it notices that the session is gone");
        }
    }

    async fn failed(
        &self,
        item: &Work,
        direction: Direction,
        step: Option<String>,
        error: ProgramError,
        committed: bool,
    ) -> Error {
        let detail = error.cause.without_data();
        let entry = Entry::of(Event::Failed).migration(&item.version, direction).detail(&detail);
        let what = match step.as_deref() {
            Some(PREFLIGHT) => NOT_RUN,
            _ if committed => "part of it was committed by the migration itself, and is not in the history",
            _ => ROLLED_BACK,
        };
        let state = self.state_after(&entry, what).await;
        Error::Migration { name: item.name.clone(), direction, step, error: Box::new(error), state }
    }

    async fn interrupted(&self, item: &Work, direction: Direction, signal: &'static str, what: &str) -> Error {
        let entry = Entry::of(Event::Interrupted).migration(&item.version, direction).detail(signal);
        let state = self.state_after(&entry, what).await;
        Error::Interrupted { signal, state }
    }

    async fn refused(&self, item: &Work, direction: Direction, stage: Stage, findings: Vec<Finding>) -> Error {
        let detail: Vec<&str> = findings.iter().map(|f| f.message.as_str()).collect();
        let detail = detail.join("; ");
        let entry = Entry::of(Event::Refused).migration(&item.version, direction).detail(&detail);
        let what = if matches!(stage, Stage::Preflight(_)) { NOT_RUN } else { ROLLED_BACK };
        let state = self.state_after(&entry, what).await;
        Error::Checks { stage, findings, state }
    }

    /// Notes a failure in the journal and says what the database is like now.
    async fn state_after(&self, entry: &Entry<'_>, what: &str) -> String {
        if self.session.is_closed() {
            return "the connection is lost; the server rolls the migration back and releases the lock".into();
        }
        match self.applied().await {
            Ok(applied) => {
                // Before the first run there is no journal, and a refused preflight must not make one.
                if matches!(self.history.read(&self.session).await, Ok(Some(_))) {
                    self.note(entry).await;
                }
                match applied.last() {
                    Some(last) => {
                        format!("{what}; the database is at version {}; the lock is released", last.version)
                    }
                    None => format!("{what}; no migration is applied; the lock is released"),
                }
            }
            Err(_) => what.to_owned(),
        }
    }

    /// The journal must not hide the failure that it is to tell of.
    async fn note(&self, entry: &Entry<'_>) {
        if let Err(error) = self.journal.append(&self.session, entry).await {
            tracing::error!(%error, "the journal could not be written");
        }
    }

    async fn plan(&self, direction: Direction, work: &[Work]) -> Result<Plan> {
        let mut findings = if work.is_empty() { Vec::new() } else { self.host_findings(work).await? };
        let mut migrations = Vec::new();
        for (i, item) in work.iter().enumerate() {
            let timeouts = self.timeouts(item);
            if i == 0 && direction == Direction::Up {
                let asked = self.session.read_only(timeouts, async |db| item.program.preflight(db).await).await?;
                findings.extend(asked.map_err(|error| not_planned(item, direction, error))?);
            }
            let steps =
                match self.session.read_only(timeouts, async |db| item.program.plan(direction, db).await).await? {
                    Ok(steps) => Some(steps.iter().flat_map(planned).collect()),
                    Err(_) if i > 0 => None,
                    Err(error) => return Err(not_planned(item, direction, error)),
                };
            migrations.push(Planned {
                version: item.version.clone(),
                name: item.name.clone(),
                kind: item.kind.clone(),
                steps,
            });
        }
        Ok(Plan { direction, migrations, backup: self.config.backup, findings })
    }
}

const PREFLIGHT: &str = "preflight";
const NOT_RUN: &str = "it was not run";
const ROLLED_BACK: &str = "rolled back";

/// What verification found, and how long the steps took.
struct Verified {
    findings: Vec<Finding>,
    steps_took: Duration,
}

/// Why a migration's transaction must be rolled back.
struct Stopped {
    step: Option<String>,
    error: ProgramError,
    /// The migration ended the transaction itself, so that part of it stays.
    committed: bool,
}

impl Stopped {
    fn at(step: &str, error: ProgramError) -> Self {
        Self { step: Some(step.to_owned()), error, committed: false }
    }

    fn broken(step: &str, item: &Work, broken: &Broken) -> Self {
        let what = broken.what();
        let cause = if item.kind == Kind::Component.as_str() { Cause::Plugin(what) } else { Cause::Script(what) };
        let error = ProgramError { at: None, cause };
        Self { step: Some(step.to_owned()), error, committed: *broken == Broken::Transaction }
    }
}

/// One of our own statements failed within a migration's transaction: the server's words say why.
fn host_cause(error: Error) -> ProgramError {
    match error {
        Error::Database { error, .. } => (*error).into(),
        other => ProgramError { at: None, cause: Cause::Host(other.to_string()) },
    }
}

fn not_planned(item: &Work, direction: Direction, error: ProgramError) -> Error {
    let state = NOTHING_CHANGED.into();
    Error::Migration { name: item.name.clone(), direction, step: Some("plan".into()), error: Box::new(error), state }
}

fn planned(step: &Step) -> Vec<PlannedStep> {
    match step {
        Step::Sql(script) => script.statements().map(|(_, sql)| PlannedStep::Sql(in_short(sql))).collect(),
        Step::Code(name) | Step::Batched(name) => vec![PlannedStep::Code(name.clone())],
        Step::OutsideTransaction(step) => vec![PlannedStep::Sql(in_short(step.statement.text()))],
    }
}

/// The beginning of a statement, on one line.
fn in_short(sql: &str) -> String {
    const MAX_CHARS: usize = 100;
    let line = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// Makes migrations ready to run; components compile beside one another.
async fn load(config: &Config, migrations: &[&Migration]) -> Result<(Vec<Work>, Vec<Problem>)> {
    // Without a component there is no engine to start.
    let engine = match migrations.iter().any(|m| m.kind() == Kind::Component) {
        true => Some(config.engine()?),
        false => None,
    };
    let programs = migrations.iter().map(|m| m.program(engine.as_ref(), config));
    let (mut work, mut problems) = (Vec::new(), Vec::new());
    for (migration, program) in migrations.iter().zip(futures_util::future::join_all(programs).await) {
        match program {
            Ok(program) => work.push(Work {
                version: migration.version.clone(),
                name: migration.name(),
                filename: migration.filename.clone(),
                description: migration.description.clone(),
                kind: migration.kind().as_str().to_owned(),
                checksum: migration.checksum.clone(),
                down_script: match &migration.content {
                    Content::Sql(files) => files.down.as_ref().map(|script| script.text().to_owned()),
                    Content::Component(_) => None,
                },
                program,
            }),
            Err(problem) => problems.push(problem),
        }
    }
    Ok((work, problems))
}

/// A migration whose files are gone can still go down by the script that was stored when it was applied.
fn from_history(row: &Applied) -> Result<Work> {
    let name = format!("{}_{}", row.version, row.description);
    let Some(script) = &row.down_script else {
        return Err(Error::Refused {
            what: format!(
                "migration `{name}` cannot be reverted: `{}` is gone, and the history holds no down script",
                row.filename
            ),
            next: "put the file back".into(),
        });
    };
    let program = SqlProgram::from_history(row.version.as_str(), script).map_err(Error::Folder)?;
    Ok(Work {
        version: row.version.clone(),
        name,
        filename: row.filename.clone(),
        description: row.description.clone(),
        kind: row.kind.clone(),
        checksum: row.checksum.clone(),
        down_script: None,
        program: Box::new(program),
    })
}

/// Enough of a run id to tell runs apart where names are short. The end: a version 7 id begins with the time.
fn short(run_id: Uuid) -> String {
    run_id.simple().to_string().split_off(24)
}
