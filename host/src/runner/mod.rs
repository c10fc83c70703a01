//! A run, from the lock to the outcome.

mod adopt;
mod atomic;
mod awaiting;
mod baseline;
mod beginning;
mod course;
mod linting;
mod migration;
mod outcome;
mod pause;
mod planning;
mod progressed;
mod recovery;
mod rehearsed;
mod repair;
mod resolve;
mod tryout;
mod work;

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use uuid::Uuid;

use self::{
    beginning::{Beginning, status_of},
    migration::{ALL_ROLLED_BACK, Passage},
    work::{Work, from_history, load},
};
use crate::{
    backup::{self, Catalog, Choice, Drill, Extent, Level, Manifest, Restored, WayBack, origin::Origin},
    config::Config,
    error::{Error, ExitCode, Finding, NOTHING_CHANGED, Problem, ProgramError, Result, Severity, Stage, blocks},
    events::{Checks, Event as Told, Events},
    failpoint::Failpoint,
    migration::{Direction, Kind, Version},
    plan::{self, OutOfOrder, Revert},
    postgres::{
        Handle, Look, Server, Session, Target, Watch,
        history::{Applied, EXTERNAL, History},
        journal::{Entry, Event, Journal, Recorded, Verification, Wanted},
        lock::{self, LockKey},
        preflight::{self, Purpose},
        progress::{Progress, Started},
        tables,
    },
    source::{self, Folder, Migration},
    telemetry::spans,
};

pub use adopt::{Adoption, Order, TakenOver, adopt, plan_adopt};
pub use awaiting::{Awaiting, Pending, await_of};
pub use baseline::{baseline, plan_baseline};
pub use linting::{Linted, lint};
pub use outcome::{
    Done, Health, Outcome, Plan, Planned, PlannedLock, PlannedStatement, PlannedStep, Status, StatusRow, Underway,
};
pub use pause::{Pause, pause};
pub use progressed::{Begun, Passed, Progressed, SoFar};
pub use repair::{Realigned, Repair, plan_repair, repair};
pub use resolve::{Resolution, Verdict, plan_resolve, resolve};
pub use tryout::{Moved, NotReached, NotTried, Taken, TriedAs, TriedMigration, Tryout, try_out};

/// A connected run.
struct Run<'a> {
    config: &'a Config,
    run_id: Uuid,
    session: Session,
    history: History,
    journal: Journal,
    progress: Progress,
    watch: Option<Watch>,
    lock: LockKey,
    started: Instant,
    /// How to go back to before its first change.
    way_back: Option<WayBack>,
    /// Whether a migration has begun.
    begun: bool,
    /// The rehearsal that lets it through, where one must.
    rehearsed: Option<Uuid>,
    /// Who is told of it.
    events: Events,
    /// What was seen in the moment of connecting.
    looked: Option<Look>,
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
    let (folder, beginning) = Beginning::with_a_look(config, run_id).await?;
    if let Some(status) = beginning.status(&folder) {
        return Ok(status);
    }
    let run = beginning.run().await?;
    let applied = run.with_scripts_of_what_changed(&folder, run.applied().await?).await?;
    let started = run.progress.read(&run.session).await?;
    let failures = run.journal.failures(&run.session).await?;
    Ok(status_of(config, &folder, &applied, started.as_ref(), &failures))
}

/// Says what [`up`] would do, and changes nothing.
///
/// # Errors
/// Whatever would stop the run before its first check.
pub async fn plan_up(config: &Config, run_id: Uuid, to: Option<&Version>) -> Result<Plan> {
    let folder = source::of(config)?;
    let run = Run::begin(config, run_id).await?;
    run.refuse_other_histories(&folder).await?;
    let work = run.pending(&folder, to).await?;
    let rehearsed = run.would_be_let_through(&work).await?;
    let mut plan = run.plan(Direction::Up, &folder, &work).await?;
    plan.findings.splice(0..0, rehearsed);
    Ok(plan)
}

/// Says what [`down`] would do, and changes nothing.
///
/// # Errors
/// Whatever would stop the run before its first check.
pub async fn plan_down(config: &Config, run_id: Uuid, revert: &Revert) -> Result<Plan> {
    let folder = source::of(config)?;
    let run = Run::begin(config, run_id).await?;
    let work = run.reverted(&folder, revert).await?;
    run.plan(Direction::Down, &folder, &work).await
}

/// Applies what is pending, up to and including `to`.
///
/// # Errors
/// The first that stops it; what was applied before stays applied.
pub async fn up(config: &Config, run_id: Uuid, to: Option<&Version>) -> Result<Outcome> {
    let (folder, beginning) = Beginning::with_a_glimpse(config, run_id).await?;
    if let Some(outcome) = beginning.nothing_pending(&folder, to) {
        config.meter.migrations_stand(ExitCode::Done);
        return Ok(outcome);
    }
    let mut run = beginning.run().await?;
    let done = run.persistently(async |run| run.up(&folder, to).await).await;
    config.meter.migrations_stand(exit_code(&done));
    done.map_err(|error| run.with_the_way_back(error))
}

/// Reverts applied migrations, the newest first.
///
/// # Errors
/// The first that stops it; what was reverted before stays reverted.
pub async fn down(config: &Config, run_id: Uuid, revert: &Revert) -> Result<Outcome> {
    let (folder, beginning) = Beginning::with_a_look(config, run_id).await?;
    let mut run = beginning.run().await?;
    let done = run.persistently(async |run| run.down(&folder, revert).await).await;
    config.meter.migrations_stand(exit_code(&done));
    done.map_err(|error| run.with_the_way_back(error))
}

/// Takes a backup without running anything.
///
/// # Errors
/// [`Error::Checks`] or [`Error::Backup`].
pub async fn backup(config: &Config, run_id: Uuid, extent: Extent) -> Result<Manifest> {
    let taken = async {
        config.backup.check(&extent)?;
        let mut run = Run::begin(config, run_id).await?;
        run.locked(async |run, _| {
            run.preflight(&[], run.config.backup.enabled).await?;
            let manifest = run.take_backup(&[], extent).await?;
            // Whatever comes of noting it, there is a backup.
            let noted = run.note_backup(&manifest).await;
            Ok((manifest, noted))
        })
        .await
    };
    let (manifest, noted) = counted(config, taken.await)?;
    noted.map(|()| manifest)
}

/// Brings a backup's state back; the present database is kept under another name.
///
/// # Errors
/// As [`backup::restore`]; until the names are swapped nothing has changed.
pub async fn restore(config: &Config, run_id: Uuid, choice: &Choice, order: &backup::RestoreOrder) -> Result<Restored> {
    let Choice { backup, foreign } = choice;
    if let Some(foreign) = foreign {
        tracing::warn!("{foreign}");
    }
    let span = spans::restore(&backup.manifest.id);
    let mut restored = spans::within(span, Box::pin(backup::restore(config, run_id, backup, order))).await?;
    restored.warnings.extend(foreign.clone());
    if order.into.is_none() {
        config.meter.migrations_stand(ExitCode::Done);
    }
    Ok(restored)
}

/// Restores the newest backup into a scratch database, and notes in the journal what came of it.
///
/// # Errors
/// As [`backup::drill`].
pub async fn drill(config: &Config, run_id: Uuid) -> Result<Drill> {
    let drilled = spans::within(spans::drill(), Box::pin(backup::drill(config, run_id))).await;
    let detail = match &drilled {
        Ok(drill) => {
            let missed = drill.missed();
            let missed = if missed.is_empty() { String::new() } else { format!("; missed: {}", missed.join(", ")) };
            format!("backup {}: restored in {} ms{missed}", drill.proof.backup, drill.rto.measured_ms)
        }
        Err(Error::Backup { what, cause, .. }) => format!("{what}: {cause}"),
        // Nothing was tried.
        Err(_) => return drilled,
    };
    // The drill is done, whatever comes of noting it.
    if let Err(error) = note_drill(config, run_id, &detail).await {
        tracing::warn!(%error, "the drill could not be noted in the journal");
    }
    drilled
}

async fn note_drill(config: &Config, run_id: Uuid, detail: &str) -> Result<()> {
    let run = Run::begin(config, run_id).await?;
    if run.history.is_there(&run.session).await? {
        run.journal.append(&run.session, &Entry::of(Event::Drilled).detail(detail)).await?;
    }
    Ok(())
}

/// Reads the last entries of the journal, the newest last; of one run where a part of its id is given.
///
/// # Errors
/// When it cannot be read, or the part of an id stands for none or for several.
pub async fn history(
    config: &Config,
    run_id: Uuid,
    limit: Option<u32>,
    version: Option<&Version>,
    of_run: Option<&str>,
) -> Result<Vec<Recorded>> {
    let run = Run::begin(config, run_id).await?;
    let of_run = match of_run {
        Some(part) => Some(run.the_run_like(part).await?),
        None => None,
    };
    run.journal.last(&run.session, Wanted { limit, version, run: of_run.as_deref() }).await
}

/// Verifies the chain of the journal's entries, that it and the history tell the same, and whether a head that was noted elsewhere is part of it.
///
/// # Errors
/// When it cannot be read. What is wrong with it is in [`Verification`].
pub async fn verify_history(config: &Config, run_id: Uuid, head: Option<&str>) -> Result<Verification> {
    let run = Run::begin(config, run_id).await?;
    let disagreements = run.journal.disagreements(&run.session, &run.history).await?;
    Ok(Verification { disagreements, ..run.journal.verify(&run.session, head).await? })
}

/// So many runs are named where more than one may be meant.
const RUNS_NAMED_MAX: usize = 5;

impl<'a> Run<'a> {
    /// The id of the run that a part of an id stands for.
    async fn the_run_like(&self, part: &str) -> Result<String> {
        let refused = |what: String, next: String| Err(Error::Refused { what, next });
        match self.journal.runs_like(&self.session, part).await?.as_slice() {
            [only] => Ok(only.clone()),
            [] => refused(
                format!("the journal knows no run whose id begins or ends with `{part}`"),
                "`lockgate history` lists them, each with the end of its id".into(),
            ),
            several => {
                let named =
                    several.iter().take(RUNS_NAMED_MAX).map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ");
                let more = if several.len() > RUNS_NAMED_MAX { " and others" } else { "" };
                refused(
                    format!("the ids of {} runs begin or end with `{part}`", several.len()),
                    format!("say more of it: {named}{more}"),
                )
            }
        }
    }

    async fn begin(config: &'a Config, run_id: Uuid) -> Result<Self> {
        let started = Instant::now();
        let session = Session::connect(&config.target, &beginning::name(run_id)).await?;
        Ok(Self::of(config, run_id, session, started))
    }

    fn of(config: &'a Config, run_id: Uuid, session: Session, started: Instant) -> Self {
        let session = session.recorded_by(config.recorder.clone());
        // What is done to copies is nothing that happens to the database.
        let events = if config.throwaway { Events::default() } else { config.events.clone() };
        events.tell(connected(config, &session));
        Failpoint::Connected.pass();
        let history = History::in_schema(&config.schema);
        let (journal, progress) = (Journal::new(&history, run_id), Progress::new(&history));
        Self {
            config,
            run_id,
            session,
            history,
            journal,
            progress,
            watch: None,
            lock: LockKey,
            started,
            way_back: None,
            begun: false,
            rehearsed: None,
            events,
            looked: None,
        }
    }

    /// What is applied, and whether anything is under way: as it was seen when the session began, where that has not been used yet.
    async fn first_look(&mut self) -> Result<(Vec<Applied>, bool)> {
        match self.looked.take() {
            Some(look) => Ok((look.applied, look.is_under_way)),
            None => Ok((self.applied().await?, self.progress.read(&self.session).await?.is_some())),
        }
    }

    /// The history, with the scripts of then where a file is another one now: only they tell how.
    async fn with_scripts_of_what_changed(&self, folder: &Folder, applied: Vec<Applied>) -> Result<Vec<Applied>> {
        if plan::Rows::of(&applied).any_other_than(&folder.migrations) {
            return self.applied_with_scripts().await;
        }
        Ok(applied)
    }

    fn events(&self) -> &Events {
        &self.events
    }

    async fn up(&mut self, folder: &Folder, to: Option<&Version>) -> Result<Outcome> {
        let (applied, is_under_way) = self.first_look().await?;
        let applied = self.with_scripts_of_what_changed(folder, applied).await?;
        if !self.config.throwaway {
            for row in plan::missing(folder, &applied) {
                tracing::warn!(migration = row.filename, "applied, but no longer in the folder");
            }
        }
        self.count_pending(folder, &applied);
        let pending = plan::up(&folder.migrations, &applied, to, self.config.rules);
        let nothing_pending = pending.is_ok_and(|pending| pending.is_empty());
        if !is_under_way && standing(folder, &applied).is_empty() && nothing_pending {
            let (version, head) = (plan::newest(&applied).cloned(), self.journal_head().await);
            return Ok(Outcome::of_nothing(self.run_id, Direction::Up, version, head, self.started));
        }
        // Another run may have done it while this one waited for the lock.
        self.locked(async |run, waited| {
            run.refuse_other_histories(folder).await?;
            let work = run.pending(folder, to).await?;
            if work.is_empty() {
                run.nothing_to_do(Direction::Up).await
            } else {
                run.rehearsed = run.require_rehearsal(&work).await?;
                run.execute(Direction::Up, folder, &work, waited).await
            }
        })
        .await
    }

    async fn down(&mut self, folder: &Folder, revert: &Revert) -> Result<Outcome> {
        let (applied, is_under_way) = self.first_look().await?;
        let (revertible, _) = self.revertible(folder, applied, is_under_way).await?;
        if plan::down(&folder.migrations, &revertible, revert, self.config.rules)?.is_empty() {
            return self.nothing_to_do(Direction::Down).await;
        }
        self.locked(async |run, waited| {
            let work = run.reverted(folder, revert).await?;
            if work.is_empty() {
                run.nothing_to_do(Direction::Down).await
            } else {
                run.execute(Direction::Down, folder, &work, waited).await
            }
        })
        .await
    }

    fn count_pending(&self, folder: &Folder, applied: &[Applied]) {
        let rows = plan::Rows::of(applied);
        let pending = folder.migrations.iter().filter(|m| plan::is_pending(m, &rows, self.config.rules));
        self.config.meter.pending(pending.count());
    }

    async fn applied(&self) -> Result<Vec<Applied>> {
        Ok(self.history.read(&self.session).await?.unwrap_or_default())
    }

    async fn applied_with_scripts(&self) -> Result<Vec<Applied>> {
        Ok(self.history.read_with_scripts(&self.session).await?.unwrap_or_default())
    }

    /// Runs work under the lock, telling it how long that took to get, and gives the lock back whatever came of the work.
    async fn locked<T>(&mut self, work: impl AsyncFnOnce(&mut Self, Duration) -> Result<T>) -> Result<T> {
        let told = self.events.begin(Told::LockWaitStarted {}, Told::LockWaitFinished { acquired: false });
        let waited = lock::acquire(&self.session, self.lock, self.config.lock_timeout);
        let span = spans::lock();
        let waited = spans::within(span.clone(), async { self.stoppable(waited).await? }).await?;
        span.record("waited_ms", waited.as_millis());
        drop(span);
        self.config.meter.lock_waited(waited);
        told.end(Told::LockWaitFinished { acquired: true });
        tracing::debug!(waited_ms = waited.as_millis(), "the lock is ours");
        Failpoint::Locked.pass();
        self.watch().await?;
        Failpoint::Watched.pass();
        let result = work(self, waited).await;
        if !self.session.is_closed()
            && let Err(error) = lock::release(&self.session, self.lock).await
        {
            // The end of the session releases it all the same.
            tracing::warn!(%error, "the lock could not be released");
        }
        Failpoint::Unlocked.pass();
        result
    }

    /// Waits for something that changes nothing, unless the process is asked to stop.
    async fn stoppable<T>(&self, work: impl Future<Output = T>) -> Result<T> {
        let stopped = |signal| Error::Interrupted { signal, state: NOTHING_CHANGED.into() };
        self.config.stop.race(work).await.map_err(stopped)
    }

    /// Everything that is to be applied, loaded and checked.
    async fn pending(&self, folder: &Folder, to: Option<&Version>) -> Result<Vec<Work>> {
        let applied = self.with_scripts_of_what_changed(folder, self.applied().await?).await?;
        let rules = self.config.rules;
        let planned = plan::up(&folder.migrations, &applied, to, rules);
        // Whatever else is wrong, those not yet applied are tried as well, so that everything is reported at once.
        let candidates = match &planned {
            Ok(pending) => pending.clone(),
            Err(_) => {
                let rows = plan::Rows::of(&applied);
                folder.migrations.iter().filter(|m| plan::is_pending(m, &rows, rules)).collect()
            }
        };
        if rules.out_of_order == OutOfOrder::Warn {
            for migration in plan::late(&candidates, &applied) {
                tracing::warn!(migration = migration.name(), "it came late: newer ones are already applied");
            }
        }
        let (work, unfit) = self.stoppable(load(self.config, &candidates)).await??;
        let mut problems = standing(folder, &applied);
        problems.extend(unfit);
        match planned {
            Ok(_) if problems.is_empty() => self.underway(folder, work).await,
            Err(Error::Drift(drifted)) if !problems.is_empty() => {
                problems.extend(drifted);
                Err(Error::Folder(problems))
            }
            Err(error) if problems.is_empty() => Err(error),
            _ => Err(Error::Folder(problems)),
        }
    }

    /// Tells the migration that an earlier run has begun how far that came.
    async fn underway(&self, folder: &Folder, mut work: Vec<Work>) -> Result<Vec<Work>> {
        let Some(started) = self.progress.read(&self.session).await? else { return Ok(work) };
        let (version, name) = (&started.version, started.name());
        if started.direction == Direction::Down {
            return Err(Error::Refused {
                what: format!("migration `{name}` is half reverted"),
                next: format!("`lockgate down {version}` finishes that"),
            });
        }
        if !folder.migrations.iter().any(|m| m.version == *version) {
            return Err(Error::Refused {
                what: format!("migration `{name}` is half applied, and `{}` is gone", started.filename),
                next: "put the file back".into(),
            });
        }
        if let Some(item) = work.iter_mut().find(|item| item.version == *version) {
            item.goes_on(started)?;
        }
        Ok(work)
    }

    /// What can be reverted: what is applied, and what is half applied; and that by itself.
    async fn revertible(
        &self,
        folder: &Folder,
        applied: Vec<Applied>,
        is_under_way: bool,
    ) -> Result<(Vec<Applied>, Option<Started>)> {
        let mut revertible = self.with_scripts_of_what_changed(folder, applied).await?;
        let started = if is_under_way { self.progress.read(&self.session).await? } else { None };
        if let Some(started) = started.as_ref().filter(|s| !revertible.iter().any(|a| a.version == s.version)) {
            revertible.push(started.as_applied());
        }
        Ok((revertible, started))
    }

    /// Everything that is to be reverted, loaded and checked.
    async fn reverted(&self, folder: &Folder, revert: &Revert) -> Result<Vec<Work>> {
        if !folder.problems.is_empty() {
            return Err(Error::Folder(folder.problems.clone()));
        }
        let applied = self.applied().await?;
        self.count_pending(folder, &applied);
        let recorded: HashSet<Version> = applied.iter().map(|row| row.version.clone()).collect();
        let (revertible, started) = self.revertible(folder, applied, true).await?;
        let chosen = plan::down(&folder.migrations, &revertible, revert, self.config.rules)?;
        if let Some(row) = chosen.iter().find(|row| row.kind == EXTERNAL) {
            return Err(Error::Refused {
                what: format!(
                    "migration `{}` cannot be reverted: another tool applied it, and Lockgate does not run its script `{}`",
                    source::name(&row.version, &row.description),
                    row.filename
                ),
                next: "write a new migration that takes it back, or `lockgate restore` a backup from before it".into(),
            });
        }
        let versions: Vec<&Version> = chosen.iter().map(|row| &row.version).collect();
        let mut stored = self.history.down_scripts(&self.session, &versions).await?;
        let of_folder: HashMap<&Version, &Migration> = folder.migrations.iter().map(|m| (&m.version, m)).collect();
        let found: Vec<&Migration> = versions.iter().filter_map(|version| of_folder.get(version).copied()).collect();
        let (loaded, problems) = self.stoppable(load(self.config, &found)).await??;
        if !problems.is_empty() {
            return Err(Error::Folder(problems));
        }
        let (mut loaded, mut work) = (loaded.into_iter(), Vec::new());
        for row in chosen {
            let stored = stored.remove(&row.version);
            let of_file = of_folder.get(&row.version).and_then(|migration| Some((migration, loaded.next()?)));
            let mut item = match of_file {
                Some((migration, item)) => {
                    if let (Some(files), Some(stored)) = (migration.scripts(), stored)
                        && files.down.as_ref().is_none_or(|script| *script.to_keep() != *stored)
                    {
                        let name = migration.name();
                        tracing::warn!(migration = name, "its down script is another one now than when it was applied");
                    }
                    item
                }
                None => {
                    let row = Applied { down_script: stored, ..row.clone() };
                    self.stoppable(from_history(self.config, folder, &row)).await??
                }
            };
            if let Some(reason) = &item.program.describe().irreversible {
                return Err(Error::Refused {
                    what: format!("migration `{}` cannot be reverted: {reason}", item.name),
                    next: "write a new migration, or `lockgate restore` a backup from before it".into(),
                });
            }
            item.half_applied = !recorded.contains(&item.version);
            if let Some(started) = started.as_ref().filter(|started| started.version == item.version) {
                item.goes_on(started.clone())?;
            }
            work.push(item);
        }
        Ok(work)
    }

    async fn nothing_to_do(&self, direction: Direction) -> Result<Outcome> {
        let version = plan::newest(&self.applied().await?).cloned();
        Ok(Outcome::of_nothing(self.run_id, direction, version, self.journal_head().await, self.started))
    }

    /// The hash of the journal's last entry, to be noted elsewhere.
    async fn journal_head(&self) -> Option<String> {
        let head = self.journal.head(&self.session).await;
        // What was done is done, and is to be told.
        head.unwrap_or_else(|error| {
            tracing::warn!(%error, "the head of the journal could not be read");
            None
        })
    }

    async fn outcome(
        &self,
        direction: Direction,
        done: Vec<Done>,
        backup: Option<Manifest>,
        findings: Vec<Finding>,
    ) -> Result<Outcome> {
        let applied = self.applied().await?;
        let rows = plan::Rows::of(&applied);
        // Each was looked at before its COMMIT. Whoever was able to deceive all of that is found out here at last.
        if let Some(done) = done.iter().find(|done| rows.hold(&done.version) != (direction == Direction::Up)) {
            return Err(Error::DamagedHistory {
                what: format!("the history does not say that `{}` has gone {direction}, though it has", done.name),
                next: "find out what that migration does to the tables of Lockgate; `lockgate history --verify` looks at the journal".into(),
            });
        }
        let version = plan::newest(&applied).cloned();
        Ok(self.outcome_at(version, self.journal_head().await, direction, done, backup, findings))
    }

    fn outcome_at(
        &self,
        version: Option<Version>,
        journal_head: Option<String>,
        direction: Direction,
        done: Vec<Done>,
        backup: Option<Manifest>,
        findings: Vec<Finding>,
    ) -> Outcome {
        let way_back = self.way_back.clone();
        let nothing = Outcome::of_nothing(self.run_id, direction, version, journal_head, self.started);
        Outcome { done, backup, way_back, findings, ..nothing }
    }

    /// Under the lock: checks, backup, then one migration after the other.
    async fn execute(
        &mut self,
        direction: Direction,
        folder: &Folder,
        work: &[Work],
        waited: Duration,
    ) -> Result<Outcome> {
        self.refuse_paused(work.iter().find_map(|item| item.started.as_ref()))?;
        let mut findings = self.preflight(work, self.config.backup.enabled).await?;
        if direction == Direction::Up {
            findings.extend(self.told(Checks::Lint, None, self.lint(folder, work)).await?);
        }
        // What has begun was let through then.
        if direction == Direction::Up && work[0].started.is_none() {
            findings.extend(self.migration_preflight(&work[0]).await?);
        }
        if self.config.atomic && direction == Direction::Up {
            self.refuse_what_stands_alone(work).await?;
        }
        let so_far = &self.config.so_far;
        so_far.found(&findings);
        let from_ms = so_far.elapsed_ms();
        let (backup, noted) = self.backup_before(work).await?;
        if let Some(manifest) = &backup {
            so_far.backed_up(manifest, from_ms);
        }
        self.way_back = backup.as_ref().map(|manifest| WayBack::of(self.config, manifest));
        Failpoint::BackedUp.pass();
        tables::ensure(&self.session, &self.history).await?;
        Failpoint::TablesEnsured.pass();
        findings.extend(self.resolve_former().await?);
        let mut waited = format!("waited {} ms for the lock", waited.as_millis());
        if let Some(rehearsal) = self.rehearsed {
            waited += &format!("; let through by rehearsal {rehearsal}");
        }
        self.journal.append(&self.session, &Entry::of(Event::RunStarted).detail(&waited)).await?;
        let entry = backup.as_ref().map_or(Entry::of(noted), |manifest| Entry::of(noted).detail(&manifest.id));
        self.journal.append(&self.session, &entry).await?;
        self.name_restore_point().await?;
        Failpoint::RunStarted.pass();

        self.begun = true;
        let done = match direction {
            Direction::Up if self.config.atomic => self.all_or_nothing(work, backup.as_ref(), &mut findings).await?,
            _ => self.one_after_the_other(direction, work, backup.as_ref(), &mut findings).await?,
        };
        let finished = Entry::of(Event::RunFinished).took(self.started.elapsed());
        self.surely(async |run| run.journal.append(&run.session, &finished).await).await?;
        Failpoint::RunFinished.pass();
        let outcome = async |run: &Self| run.outcome(direction, done.clone(), backup.clone(), findings.clone()).await;
        self.surely(outcome).await
    }

    /// Each migration by itself: what is done stays, whatever comes of the next.
    async fn one_after_the_other(
        &mut self,
        direction: Direction,
        work: &[Work],
        backup: Option<&Manifest>,
        findings: &mut Vec<Finding>,
    ) -> Result<Vec<Done>> {
        let mut done = Vec::new();
        for (i, item) in work.iter().enumerate() {
            // A later migration may look at what an earlier one makes, so it is asked only now.
            if direction == Direction::Up && i > 0 {
                findings.extend(self.surely(async |run| run.migration_preflight(item).await).await?);
            }
            let Config { so_far, meter, .. } = self.config;
            so_far.found(findings);
            let (begin, from_ms) = (Instant::now(), so_far.begun(&item.name, &item.kind));
            meter.migration_began(&item.name, direction);
            let passed = Passage::of(self, direction, item, backup).before(work.get(i + 1)).run(findings).await;
            // What was sent ahead had begun before.
            let took = begin.elapsed().max(passed.as_ref().map(Done::took).unwrap_or_default());
            meter.migration_ended(&item.name, direction, took, passed.is_ok());
            let passed = passed?;
            so_far.passed(&passed, from_ms);
            done.push(passed);
        }
        Ok(done)
    }

    /// Says what became of a run that could not say it itself: what the history has of it is committed, the rest was rolled back.
    async fn resolve_former(&self) -> Result<Option<Finding>> {
        let Some((run_id, committed)) = self.journal.unended(&self.session).await? else { return Ok(None) };
        let committed = if committed.is_empty() { "nothing".to_owned() } else { committed.join(", ") };
        let what = format!(
            "run {run_id} was cut off; it has committed: {committed}; what else it began was rolled back or goes on from here"
        );
        self.journal.append(&self.session, &Entry::of(Event::Resolved).detail(&what)).await?;
        Ok(Some(Finding::new(Severity::Info, "run-resolved", what)))
    }

    /// The host's checks, with those of a backup or without.
    async fn preflight(&self, work: &[Work], backup: bool) -> Result<Vec<Finding>> {
        let found = self.told(Checks::Host, None, self.host_findings(work, backup));
        let span = spans::preflight();
        let findings = spans::within(span.clone(), Box::pin(found)).await?;
        if blocks(&findings) {
            spans::fails(&span, ExitCode::CheckFailed);
            let state = NOTHING_CHANGED.into();
            return Err(Error::Checks { stage: Stage::HostPreflight, findings, state });
        }
        Ok(findings)
    }

    /// What the host's checks find; those of a backup are asked where one will be taken.
    async fn host_findings(&self, work: &[Work], backup: bool) -> Result<Vec<Finding>> {
        let purpose = if work.is_empty() { Purpose::BackUp } else { Purpose::Migrate };
        let catalog = backup.then(|| Catalog::open(&self.config.backup)).transpose();
        let context = preflight::Context {
            purpose,
            session: &self.session,
            history: &self.history,
            backups: self.counted_before(work, catalog)?,
            backup_role: self.config.backup.role.as_deref().unwrap_or(&self.session.server.user),
            pg_bin: self.config.pg_bin.as_deref(),
            components: work.iter().any(|w| w.kind == Kind::Component.as_str()),
        };
        let mut findings = self.stoppable(preflight::check(&context)).await??;
        let found = self.stoppable(preflight::of_backup(&context)).await.flatten();
        let found = self.counted_before(work, found)?;
        if !work.is_empty() && blocks(&found) {
            self.config.meter.backup_failed();
        }
        findings.extend(found);
        Ok(findings)
    }

    /// Counts a backup before migrations that comes to nothing already when it is prepared. That of `backup` is counted as a whole.
    fn counted_before<T>(&self, work: &[Work], prepared: Result<T>) -> Result<T> {
        if work.is_empty() { prepared } else { counted(self.config, prepared) }
    }

    /// Tells whoever looks on that checks are made, and what they found.
    async fn told(
        &self,
        checks: Checks,
        migration: Option<&str>,
        work: impl Future<Output = Result<Vec<Finding>>>,
    ) -> Result<Vec<Finding>> {
        let failed = Told::PreflightFinished {
            checks,
            migration: migration.map(str::to_owned),
            passed: false,
            findings: Vec::new(),
        };
        let open = self.events.begin(Told::preflight(checks, migration), failed);
        let found = work.await;
        open.end(Told::preflighted(checks, migration, found.as_deref()));
        found
    }

    async fn migration_preflight(&self, item: &Work) -> Result<Vec<Finding>> {
        let found = self.told(Checks::Migration, Some(&item.name), self.own_preflight(item));
        spans::within(spans::preflight_of(&item.name), Box::pin(found)).await
    }

    /// A migration's own checks.
    async fn own_preflight(&self, item: &Work) -> Result<Vec<Finding>> {
        if !item.program.checks(Direction::Up).before {
            return Ok(Vec::new());
        }
        let ask = async |db: &Handle| self.config.stop.race(item.program.preflight(db)).await;
        let asked = match self.session.read_only(self.timeouts(item, Direction::Up), ask).await? {
            Ok(asked) => asked,
            Err(signal) => {
                let entry = Entry::of(Event::Interrupted).migration(&item.version, Direction::Up);
                return Err(self.interrupted(entry, signal, NOT_RUN).await);
            }
        };
        if let Err(broken) = self.session.check_session(self.lock).await {
            let error = ProgramError { at: None, cause: item.fault(broken.what()) };
            return Err(self.failed(item, Direction::Up, Some("preflight".into()), error, NOT_RUN).await);
        }
        let findings = match asked {
            Ok(findings) => findings,
            Err(error) => return Err(self.failed(item, Direction::Up, Some("preflight".into()), error, NOT_RUN).await),
        };
        if blocks(&findings) {
            let stage = Stage::Preflight(item.version.clone());
            let entry = Entry::of(Event::Refused).migration(&item.version, Direction::Up);
            return Err(self.refused(entry, stage, findings, NOT_RUN).await);
        }
        Ok(findings)
    }

    /// The backup before the first change, and what the journal is to say of it.
    async fn backup_before(&self, work: &[Work]) -> Result<(Option<Manifest>, Event)> {
        let settings = &self.config.backup;
        if !settings.enabled {
            if !self.config.throwaway {
                tracing::warn!("no backup is taken: `--no-backup`");
            }
            return Ok((None, Event::BackupSkipped));
        }
        if let Some(manifest) = counted(self.config, self.fresh_backup().await)? {
            self.events.tell(Told::BackupReused { backup: manifest.id.clone() });
            return Ok((Some(manifest), Event::BackupReused));
        }
        let manifest = counted(self.config, self.take_backup(work, settings.extent()).await)?;
        if !manifest.scope.is_whole() {
            let left_out = manifest.scope.left_out();
            tracing::warn!("the backup of this run leaves out {left_out}: it cannot take the place of the database");
        }
        Ok((Some(manifest), Event::BackedUp))
    }

    /// A backup that is recent enough to serve in the stead of a new one: of this very database, with nothing left out, after which no
    /// migration was begun, and still as it was written.
    async fn fresh_backup(&self) -> Result<Option<Manifest>> {
        let settings = &self.config.backup;
        if settings.max_age.is_zero() || self.progress.read(&self.session).await?.is_some() {
            return Ok(None);
        }
        let catalog = Catalog::open(settings)?;
        let Some(backup) = catalog.newest(&Origin::of(&self.session)).await? else { return Ok(None) };
        let (manifest, applied) = (&backup.manifest, self.applied().await?);
        let age = jiff::Timestamp::now().duration_since(manifest.created_at);
        let recent = Duration::try_from(age).is_ok_and(|age| age <= settings.max_age);
        let same = manifest.scope.is_whole()
            && sorted(&manifest.recipients) == sorted(&settings.recipients)
            && manifest.applied.iter().eq(applied.iter().map(|applied| applied.version.as_str()));
        if !recent || !same || !self.journal.is_quiet_since(&self.session, &manifest.id).await? {
            return Ok(None);
        }
        if let Err(damage) = backup::verify::again(&catalog, self.config, manifest).await? {
            tracing::warn!(backup = manifest.id, damage, "the last backup is damaged; a new one is taken");
            return Ok(None);
        }
        tracing::info!(backup = manifest.id, age_s = age.as_secs(), "a backup from before is recent enough");
        Ok(Some(backup.manifest))
    }

    /// Gives the server's write-ahead log a name at this point, where the role may: tools that restore to a point in time find it by that.
    async fn name_restore_point(&self) -> Result<()> {
        let name = format!("lockgate_{}", self.run_id);
        match self.session.restore_point(&name).await {
            Ok(None) => Ok(()),
            Ok(Some(lsn)) => {
                let detail = format!("{name} at {lsn}");
                self.journal.append(&self.session, &Entry::of(Event::RestorePoint).detail(&detail)).await
            }
            Err(error) if self.session.is_closed() => Err(error),
            Err(error) => {
                tracing::warn!(%error, "no restore point was made");
                Ok(())
            }
        }
    }

    /// A failed run that has changed something, or may have, tells how to undo all of it.
    fn with_the_way_back(&self, error: Error) -> Error {
        match &self.way_back {
            Some(way_back) if self.begun => Error::AfterBackup { error: Box::new(error), way_back: way_back.clone() },
            _ => error,
        }
    }

    async fn note_backup(&self, manifest: &Manifest) -> Result<()> {
        if self.history.is_there(&self.session).await? {
            self.journal.append(&self.session, &Entry::of(Event::BackedUp).detail(&manifest.id)).await?;
        }
        Ok(())
    }

    async fn take_backup(&self, work: &[Work], extent: Extent) -> Result<Manifest> {
        let span = spans::backup();
        let manifest = spans::within(span.clone(), Box::pin(self.backed_up(work, extent))).await?;
        span.record("backup", &manifest.id).record("bytes", manifest.bytes());
        Ok(manifest)
    }

    async fn backed_up(&self, work: &[Work], extent: Extent) -> Result<Manifest> {
        let begin = Instant::now();
        let settings = &self.config.backup;
        let order = backup::Order {
            run_id: self.run_id.to_string(),
            applied: self.applied().await?.iter().map(|a| a.version.to_string()).collect(),
            precedes: work.iter().map(|w| w.name.clone()).collect(),
            extent,
            lock_wait_timeout_ms: self.config.timeouts.lock.as_millis().max(30_000),
            pg_bin: self.config.pg_bin.clone(),
            draw: self.config.draw,
            events: self.events.clone(),
        };
        let location = settings.location.to_string();
        let told =
            self.events.begin(Told::BackupStarted { location }, Told::BackupFinished { backup: None, bytes: None });
        tracing::info!(location = %settings.location, "backing up");
        let role = settings.role.clone().or_else(|| self.config.target.role.clone());
        let target = Target { role, ..self.config.target.clone() };
        let catalog = Catalog::open(settings)?;
        let taken = async {
            let manifest =
                backup::take(&target, &self.session.server, &catalog, settings, &order, &self.config.stop).await?;
            // Up to level 1 it is proved already, or there would be none.
            if settings.verify_level >= Level::Restored {
                let backup = catalog.find(&manifest.database, &manifest.id).await?;
                backup::prove(self.config, &backup, settings.verify_level, self.run_id).await?;
            }
            Ok::<_, Error>(manifest)
        };
        match taken.await {
            Ok(manifest) => {
                self.config.meter.backed_up(begin.elapsed(), manifest.bytes());
                tracing::info!(
                    backup = manifest.id,
                    bytes = manifest.bytes(),
                    duration_ms = begin.elapsed().as_millis(),
                    "backed up and read back"
                );
                told.end(Told::BackupFinished { backup: Some(manifest.id.clone()), bytes: Some(manifest.bytes()) });
                Ok(manifest)
            }
            Err(error) => {
                // The session may be gone as well; why the backup failed must not be lost over that.
                if matches!(self.history.is_there(&self.session).await, Ok(true)) {
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

    async fn failed(
        &self,
        item: &Work,
        direction: Direction,
        step: Option<String>,
        error: ProgramError,
        left: &str,
    ) -> Error {
        self.failed_as(Entry::of(Event::Failed), item, direction, step, error, left).await
    }

    async fn failed_as(
        &self,
        entry: Entry<'_>,
        item: &Work,
        direction: Direction,
        step: Option<String>,
        error: ProgramError,
        left: &str,
    ) -> Error {
        let detail = error.cause.without_data();
        let entry = Entry { step: step.as_deref(), ..entry };
        let entry = entry.migration(&item.version, direction).detail(&detail);
        let state = self.state_after(&entry, left).await;
        Error::Migration { name: item.name.clone(), direction, step, error: Box::new(error), state }
    }

    async fn interrupted(&self, entry: Entry<'_>, signal: &'static str, left: &str) -> Error {
        let state = self.state_after(&entry.detail(signal), left).await;
        Error::Interrupted { signal, state }
    }

    async fn refused(&self, entry: Entry<'_>, stage: Stage, findings: Vec<Finding>, left: &str) -> Error {
        let detail: Vec<&str> = findings.iter().map(|f| f.message.as_str()).collect();
        let detail = detail.join("; ");
        let state = self.state_after(&Entry { detail: Some(&detail), ..entry }, left).await;
        Error::Checks { stage, findings, state }
    }

    /// Notes a failure in the journal and says what the database is like now.
    async fn state_after(&self, entry: &Entry<'_>, what: &str) -> String {
        let lost = || match what {
            NOT_RUN | ROLLED_BACK | ALL_ROLLED_BACK => {
                "the connection is lost; the server rolls the migration back and releases the lock".to_owned()
            }
            what => format!("the connection is lost and the lock with it; {what}"),
        };
        if self.session.is_closed() {
            return lost();
        }
        match self.history.read(&self.session).await {
            Ok(applied) => {
                // Before the first run there is no journal, and a refused preflight must not make one.
                if applied.is_some() {
                    self.note(entry).await;
                }
                match plan::newest(&applied.unwrap_or_default()) {
                    Some(newest) => {
                        format!("{what}; the database is at version {newest}; the lock is released")
                    }
                    None => format!("{what}; no migration is applied; the lock is released"),
                }
            }
            // It may have been given up only now.
            Err(_) if self.session.is_closed() => lost(),
            Err(_) => what.to_owned(),
        }
    }

    /// The journal must not hide the failure that it is to tell of.
    async fn note(&self, entry: &Entry<'_>) {
        if let Err(error) = self.journal.append(&self.session, entry).await {
            tracing::error!(%error, "the journal could not be written");
        }
    }
}

/// Counts a backup that was begun, wherever it came to an end, and of which nothing is left. One that was stopped has not failed.
fn counted<T>(config: &Config, taken: Result<T>) -> Result<T> {
    if taken.is_err() && config.stop.asked().is_none() {
        config.meter.backup_failed();
    }
    taken
}

fn exit_code<T>(done: &Result<T>) -> ExitCode {
    done.as_ref().map_or_else(Error::exit_code, |_| ExitCode::Done)
}

/// The order of keys means nothing.
fn sorted(keys: &[String]) -> Vec<&str> {
    let mut keys: Vec<&str> = keys.iter().map(|key| key.trim()).collect();
    keys.sort_unstable();
    keys
}

fn connected(config: &Config, session: &Session) -> Told {
    let Server { version, in_recovery, .. } = &session.server;
    Told::Connected { target: config.target.to_string(), server_version: version.clone(), in_recovery: *in_recovery }
}

/// What is wrong with a folder, given what is applied.
fn standing(folder: &Folder, applied: &[Applied]) -> Vec<Problem> {
    let rows = plan::Rows::of(applied);
    folder.problems_beside(|version| rows.hold(version))
}

const NOT_RUN: &str = "it was not run";
const ROLLED_BACK: &str = "rolled back";

fn not_planned(item: &Work, direction: Direction, error: ProgramError) -> Error {
    let state = NOTHING_CHANGED.into();
    Error::Migration { name: item.name.clone(), direction, step: Some("plan".into()), error: Box::new(error), state }
}

/// Enough of a run id to tell runs apart where names are short. The end: a version 7 id begins with the time.
fn short(run_id: Uuid) -> String {
    run_id.simple().to_string().split_off(24)
}
