//! One migration, from where it stands to its end: a transaction of its own for each part of it, and nothing in between.

mod batch;
mod joined;
mod outside;
mod pace;
mod told;
mod tryout;
mod whole;

use std::time::{Duration, Instant};

use tracing::Instrument as _;

use self::pace::Pace;
pub(super) use self::{
    joined::{ALL_ROLLED_BACK, Joined},
    tryout::Tried,
};
use super::{
    ROLLED_BACK, Run,
    course::{Course, Next},
    outcome::Done,
    recovery::{Stand, is_passing, passing, pause},
    work::Work,
};
use crate::{
    backup::Manifest,
    error::{Cause, Error, ExitCode, Finding, ProgramError, Result, Stage, blocks},
    events,
    failpoint::Failpoint,
    migration::{Direction, Kind},
    postgres::{
        Broken, Committed, How, OwnTables, OwnWrites, Timeouts, Transaction, Watch,
        journal::{Entry, Event},
        progress::{Position, Started},
        seal::Seal,
    },
    step::Step,
    telemetry::spans::{self, Failure},
};

/// What a part of a migration left.
struct Worked {
    course: Course,
    /// What the verification found, if the migration has ended.
    ended: Option<Vec<Finding>>,
}

/// Why a part of a migration was not committed.
enum Stopped {
    /// It failed.
    Failed {
        step: Option<String>,
        error: ProgramError,
        /// It ended the transaction itself, so that part of it stays.
        committed: bool,
    },
    /// Checks of its own, or its verification, said no.
    Refused(Stage, Vec<Finding>),
}

impl Failure for Stopped {
    fn kind(&self) -> ExitCode {
        match self {
            Self::Failed { .. } => ExitCode::MigrationFailed,
            Self::Refused(..) => ExitCode::CheckFailed,
        }
    }
}

impl Stopped {
    fn at(step: &str, error: ProgramError) -> Self {
        Self::Failed { step: Some(step.to_owned()), error, committed: false }
    }

    /// One of our own statements failed within the transaction: the server's words say why.
    fn host(doing: &'static str) -> impl FnOnce(Error) -> Self {
        move |error| Self::at(doing, error.into())
    }

    fn broken<'a>(step: &'a str, item: &'a Work) -> impl FnOnce(Broken) -> Self + 'a {
        move |broken| {
            let error = ProgramError { at: None, cause: item.fault(broken.what()) };
            Self::Failed { step: Some(step.to_owned()), error, committed: broken.has_committed() }
        }
    }
}

/// Why a part of a migration did not come to its end.
enum Halt {
    /// It failed, and its transaction was rolled back.
    Failed(Error),
    /// The connection was lost while it was committing this.
    Unknown(Worked),
}

impl Failure for Halt {
    fn kind(&self) -> ExitCode {
        match self {
            Self::Failed(error) => error.exit_code(),
            Self::Unknown(_) => ExitCode::OutcomeUnknown,
        }
    }
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// What was found out of a part that halted.
enum Recovered {
    /// It was committed, and the migration has ended.
    Ended(Worked),
    /// The migration goes on from here.
    At(Option<Course>),
}

/// What one migration needs on its way.
pub(super) struct Passage<'r, 'c> {
    run: &'r mut Run<'c>,
    direction: Direction,
    item: &'r Work,
    backup: Option<&'r Manifest>,
    /// The migration that is run after this.
    next: Option<&'r Work>,
    /// How often the part under way has been tried.
    tries: u32,
}

impl<'r, 'c> Passage<'r, 'c> {
    pub(super) fn of(run: &'r mut Run<'c>, direction: Direction, item: &'r Work, backup: Option<&'r Manifest>) -> Self {
        Self { run, direction, item, backup, next: None, tries: 1 }
    }

    /// Where another one is run after it, at once.
    pub(super) fn before(self, next: Option<&'r Work>) -> Self {
        Self { next, ..self }
    }

    /// Where it is not the first time that it is tried.
    pub(super) fn trying(self, tries: u32) -> Self {
        Self { tries, ..self }
    }

    /// Runs the migration from where it stands to its end.
    pub(super) async fn run(&mut self, findings: &mut Vec<Finding>) -> Result<Done> {
        self.run.session.way_begins(&self.item.version, self.direction).await?;
        let mut told = self.migration_begins();
        let span = spans::migration(&self.item.name, self.direction, &self.item.kind);
        let done = spans::within(span, Box::pin(self.run_whole(findings))).await;
        told.otherwise(self.migration_ended(&done));
        drop(told);
        // What it came to is not to be lost over what it cost.
        if let Err(error) = self.run.session.way_ends().await {
            tracing::warn!(migration = self.item.name, %error, "what it cost could not be measured");
        }
        done
    }

    async fn run_whole(&mut self, findings: &mut Vec<Finding>) -> Result<Done> {
        let (item, direction) = (self.item, self.direction);
        tracing::info!(migration = item.name, %direction, "running");
        let begin = Instant::now();
        // What is one script has no place at which it could have stopped.
        let whole = self.one_script().is_some();
        let mut course = if whole { None } else { self.resumed().await? };
        if course.is_none() && !whole && self.mend_what_up_left().await? {
            // Nothing of it is in effect: to take it back is to forget it.
            course = Some(Course::of(Vec::new()));
        }
        let mut pace = None;
        loop {
            let worked = match self.part(course.as_ref(), &mut pace, findings).await {
                Ok(worked) => {
                    self.tries = 1;
                    worked
                }
                Err(halt) => match self.recovered(halt).await {
                    Ok(Recovered::Ended(worked)) => worked,
                    Ok(Recovered::At(stand)) => {
                        course = stand;
                        continue;
                    }
                    Err(error) => {
                        self.forget_if_untouched().await;
                        return Err(error);
                    }
                },
            };
            if let Some(verified) = worked.ended {
                // What was sent ahead had begun before.
                let duration_ms = begin.elapsed().max(worked.course.position.took).as_millis();
                tracing::info!(migration = item.name, %direction, duration_ms, "committed");
                findings.extend(verified);
                return Ok(self.done(&worked.course));
            }
            course = Some(worked.course);
        }
    }

    /// What it is when it has ended.
    fn done(&self, course: &Course) -> Done {
        let item = self.item;
        let (version, name, kind) = (item.version.clone(), item.name.clone(), item.kind.clone());
        Done { version, name, kind, execution_time_ms: course.position.took.as_millis() }
    }

    /// A migration that has done nothing has not begun: it can be mended, or left out, as if it had never been tried.
    async fn forget_if_untouched(&self) {
        let (run, version) = (&*self.run, &self.item.version);
        if run.session.is_closed() || self.item.half_applied {
            return;
        }
        let forgotten = async {
            let started = run.progress.read(&run.session).await?;
            let is_it = |started: &Started| started.version == *version && started.direction == self.direction;
            if started.is_some_and(|started| is_it(&started) && started.position.is_untouched()) {
                run.session.durably(async || run.progress.end(&run.session, version).await).await?;
            }
            Ok::<_, Error>(())
        };
        if let Err(error) = forgotten.await {
            tracing::warn!(%error, "that the migration has done nothing could not be noted");
        }
    }

    /// The next part.
    async fn part(
        &self,
        course: Option<&Course>,
        pace: &mut Option<Pace>,
        findings: &mut Vec<Finding>,
    ) -> Result<Worked, Halt> {
        if course.is_none()
            && let Some(script) = self.one_script()
            && let Some(worked) = Box::pin(self.whole(script)).await?
        {
            return Ok(worked);
        }
        let stored = course.filter(|course| course.stored);
        if let Some(course) = stored {
            self.wait_while_paused(course).await?;
        }
        match stored.map(|course| (course, course.next())) {
            Some((course, Next::Batch(name))) => {
                let step = course.name_of(course.position.steps_done);
                let span = spans::batch(&step, course.position.batches + 1);
                spans::within(span, Box::pin(self.batch(course, &name, pace))).await
            }
            other => {
                // Every batched step has its own.
                *pace = None;
                match other {
                    Some((course, Next::Outside(step))) => {
                        let span = spans::step(&course.name_of(course.position.steps_done), "outside");
                        Ok(spans::within(span, Box::pin(self.outside(course, &step, findings))).await?)
                    }
                    // Also where nothing is known yet: the plan is made in the first transaction.
                    _ => self.transaction(course).await,
                }
            }
        }
    }

    /// Finds out what became of a part that halted, and whether it is worth another try.
    ///
    /// # Errors
    /// The one that halted it, where it is not, or where nothing can be found out.
    async fn recovered(&mut self, halt: Halt) -> Result<Recovered> {
        let name = self.item.name.clone();
        let (error, unknown) = match halt {
            Halt::Failed(error) => (error, None),
            Halt::Unknown(worked) => {
                (Error::OutcomeUnknown { name: name.clone(), run_id: self.run.run_id.to_string() }, Some(worked))
            }
        };
        let config = self.run.config;
        let lost = unknown.is_some() || self.run.is_lost(&error);
        // The connection was given up for what the server said, which it would say again.
        let said =
            |error: &ProgramError| error.cause.database().is_some_and(|e| e.sqlstate.is_some() && !e.connection_lost);
        if lost && unknown.is_none() && matches!(&error, Error::Migration { error, .. } if said(error)) {
            if let Err(cause) = self.run.reconnect().await {
                tracing::warn!(%cause, "the server was not found again");
            }
            return Err(error);
        }
        let again = self.tries <= config.persistence.retries && config.stop.asked().is_none();
        // Whether the COMMIT took place is found out even if nothing is tried again.
        if !(lost && (again || unknown.is_some())) && !(again && passing(&error)) {
            return Err(error);
        }
        if lost {
            tracing::warn!(migration = name, "the connection is lost; looking for the server");
            if let Err(cause) = self.run.reconnect().await {
                tracing::error!(%cause, "the server was not found again");
                return Err(error);
            }
        } else {
            let pause = pause(self.tries);
            tracing::warn!(
                migration = name,
                tries = self.tries,
                pause_ms = pause.as_millis(),
                "trying again after a pause"
            );
            if let Err(signal) = config.stop.race(tokio::time::sleep(pause)).await {
                return Err(self.interrupted(signal, ROLLED_BACK).await);
            }
        }
        let (item, direction) = (self.item, self.direction);
        let stand = self.run.surely(async |run| run.stand(&item.version, direction).await).await?;
        let what = match &stand {
            Stand::Ended => "the connection was lost during its COMMIT, which took place",
            Stand::EndedByAnother => "the connection was lost; another run has ended it meanwhile",
            Stand::At(_) if unknown.is_some() => {
                "the connection was lost during a COMMIT; the history tells where it stands"
            }
            Stand::At(Some(course)) if course.attempted().is_some() => {
                "the connection was lost in a step outside a transaction; what came of it is looked up"
            }
            Stand::At(_) => "the connection was lost; what was under way is rolled back",
        };
        if lost {
            tracing::warn!(migration = name, "{what}");
            let resolved = Entry::of(Event::Resolved).migration(&item.version, direction).detail(what);
            self.run.surely(async |run| run.journal.append(&run.session, &resolved).await).await?;
        }
        match (stand, unknown) {
            (Stand::Ended, Some(worked)) => Ok(Recovered::Ended(worked)),
            (Stand::EndedByAnother, _) => Err(Error::RefusedMidway {
                what: format!("another run has ended `{name}` while this one had lost its connection"),
                next: "run `lockgate status`, then the same command again".into(),
            }),
            (Stand::Ended, None) => Err(error),
            (Stand::At(_), None) if !again => Err(error),
            (Stand::At(course), Some(_)) if !again => {
                let cause = Cause::Host("the connection was lost during its COMMIT, which did not take place".into());
                let left = self.left(course.as_ref());
                Err(self.failed(Some("commit".into()), ProgramError { at: None, cause }, false, &left).await)
            }
            (Stand::At(course), _) => {
                self.tries += 1;
                Ok(Recovered::At(course))
            }
        }
    }

    /// Where an earlier run left the migration, if one has begun it in this direction.
    async fn resumed(&mut self) -> Result<Option<Course>> {
        let (item, direction) = (self.item, self.direction);
        // Mostly there is none, which is told sooner.
        if !self.run.surely(async |run| run.progress.is_under_way(&run.session).await).await? {
            return Ok(None);
        }
        let begun = self.run.surely(async |run| run.begun(&item.version, direction).await).await?;
        let Some(course) = begun else { return Ok(None) };
        tracing::info!(migration = item.name, step = course.step_of(), "going on where an earlier run stopped");
        let at = format!("at step {}", course.step_of());
        let resumed = Entry::of(Event::Resumed).migration(&item.version, direction).detail(&at);
        self.run.surely(async |run| run.journal.append(&run.session, &resumed).await).await?;
        Ok(Some(course))
    }

    /// Steps that share a transaction; the first of a migration makes its plan, the last ends it.
    async fn transaction(&self, course: Option<&Course>) -> Result<Worked, Halt> {
        let work = async |transaction: &Transaction| {
            let begin = Instant::now();
            let mut course = match course {
                Some(course) => course.clone(),
                None => self.planned().await?,
            };
            Failpoint::Planned.pass();
            let from = course.position.clone();
            let steps = match course.next() {
                Next::Transaction(steps) => steps,
                // The next step stands alone: this transaction only notes that the migration has begun.
                _ => from.steps_done..from.steps_done,
            };
            for i in steps.clone() {
                let span = spans::step(&course.name_of(i), course.kind_of(i));
                spans::within(span, Box::pin(self.step(&course, i, transaction))).await?;
                Failpoint::StepDone.pass();
                course.position = course.position.after_step();
            }
            // Deferred triggers and constraints belong to what is verified.
            self.settle(transaction).await?;
            // Nothing of the migration's is to run when the host writes.
            self.check("end", transaction, &OwnWrites::default()).await?;
            course.position.took = from.took + begin.elapsed();
            if !course.ends_after(&steps) {
                let writes = self.save(&mut course, &from).await?;
                Failpoint::Saved.pass();
                self.check("end", transaction, &writes).await?;
                return Ok(Worked { course, ended: None });
            }
            let writes = self.record(&course).await?;
            Failpoint::Recorded.pass();
            let findings = self.verified().await?;
            Failpoint::Verified.pass();
            self.check_recorded().await?;
            self.check("end", transaction, &writes).await?;
            Ok(Worked { course, ended: Some(findings) })
        };
        self.committed(course, work).await
    }

    /// Begins a transaction, works in it, commits it; or nothing of it at all.
    async fn committed(
        &self,
        course: Option<&Course>,
        work: impl AsyncFnOnce(&Transaction) -> Result<Worked, Stopped>,
    ) -> Result<Worked, Halt> {
        let run = &*self.run;
        let transaction = run.session.begin(self.timeouts(), &run.own_tables(), self.seal()).await?;
        Failpoint::Begun.pass();
        let left = self.left(course);
        let worked = match run.config.stop.race(work(&transaction)).await {
            Ok(Ok(worked)) => worked,
            Ok(Err(stopped)) => return Err(self.given_up(stopped, &left).await.into()),
            Err(signal) => {
                self.roll_back().await;
                return Err(self.interrupted(signal, &left).await.into());
            }
        };
        Failpoint::Checked.pass();
        self.commit(&transaction, worked, &left).await
    }

    /// Rolls back what was stopped, and says why.
    async fn given_up(&self, stopped: Stopped, left: &str) -> Error {
        self.roll_back().await;
        match stopped {
            Stopped::Failed { step, error, committed } => self.failed(step, error, committed, left).await,
            Stopped::Refused(stage, findings) => {
                self.run.refused(self.entry(Event::Refused), stage, findings, left).await
            }
        }
    }

    /// Commits what was worked and checked.
    async fn commit(&self, transaction: &Transaction, worked: Worked, left: &str) -> Result<Worked, Halt> {
        let span = spans::commit();
        let next = worked.ended.as_ref().and_then(|_| self.next_message(transaction));
        let committed = self.run.session.commit(transaction.seal(), next).instrument(span.clone()).await;
        match &committed {
            Committed::Yes => {}
            Committed::No(_) => spans::fails(&span, ExitCode::MigrationFailed),
            Committed::Unknown => spans::fails(&span, ExitCode::OutcomeUnknown),
        }
        drop(span);
        match committed {
            Committed::Yes => {
                Failpoint::Committed.pass();
                self.told_committed(&worked.course);
                Ok(worked)
            }
            Committed::No(error) => {
                self.roll_back().await;
                Err(self.failed(Some("commit".into()), (*error).into(), false, left).await.into())
            }
            Committed::Unknown => Err(Halt::Unknown(worked)),
        }
    }

    /// The plan, made in the migration's first transaction.
    async fn planned(&self) -> Result<Course, Stopped> {
        let run = &*self.run;
        // Even if the lock had failed, nothing would run twice.
        let (version, checksum) = (&self.item.version, &self.item.checksum);
        let holds = match version.is_repeatable() {
            true => run.history.holds_text(&run.session, version, checksum).await,
            false => run.history.holds(&run.session, version).await,
        };
        let holds = holds.map_err(Stopped::host("history"))?;
        let expected = self.direction == Direction::Down && !self.item.half_applied;
        if holds != expected {
            let cause = Cause::Host(format!("the history changed under the lock: `{version}`"));
            return Err(Stopped::at("history", ProgramError { at: None, cause }));
        }
        let program = &self.item.program;
        let planned = run.session.guarded(async |db| program.plan(self.direction, db).await).await;
        let steps = planned.map_err(Stopped::host("plan"))?.map_err(|error| Stopped::at("plan", error))?;
        Ok(Course::of(steps))
    }

    async fn step(&self, course: &Course, i: usize, transaction: &Transaction) -> Result<(), Stopped> {
        let (session, name) = (&self.run.session, course.name_of(i));
        let told = self.step_begins(course, i);
        let result = match &course.steps[i] {
            Step::Sql(script) | Step::Alone(script) => self.within_patience(session.run_script(script)).await.map(Some),
            Step::Code(code) => {
                let before = session.handle().changed();
                let ran = self.item.program.run(self.direction, code, session.handle());
                session.recorded(How::Code, code, ran).await.map(|()| Some(session.handle().changed() - before))
            }
            Step::OutsideTransaction(_) | Step::Batched(_) => return Ok(()),
        };
        let rows = result.map_err(|error| Stopped::at(&name, error))?;
        // At once: what the host writes next must not land outside the transaction.
        self.check(&name, transaction, &OwnWrites::default()).await?;
        told.end(self.step_done(i, rows));
        Ok(())
    }

    pub(super) fn timeouts(&self) -> Timeouts {
        self.run.timeouts(self.item, self.direction)
    }

    /// Runs what the migration has put off: all that is its own is done then, and nothing of the host's.
    async fn settle(&self, transaction: &Transaction) -> Result<(), Stopped> {
        const STEP: &str = "deferred constraints";
        let own = self.run.own_tables();
        let settled = self.within_patience(self.run.session.settle(transaction, &own)).await;
        let written = settled.map_err(|error| Stopped::at(STEP, error))?;
        if written { Err(Stopped::broken("end", self.item)(Broken::Own)) } else { Ok(()) }
    }

    /// What the component itself must keep to holds for its SQL as well.
    async fn within_patience<T>(&self, work: impl Future<Output = Result<T, ProgramError>>) -> Result<T, ProgramError> {
        let Some(patience) = &self.item.program.describe().patience else { return work.await };
        let result = tokio::time::timeout(patience.wall_clock, work).await;
        result.unwrap_or_else(|_| Err(ProgramError::plugin(patience.exceeded.clone())))
    }

    /// A component's transactions are sealed. A script is the team's own, and may set constraints as it likes.
    fn seal(&self) -> Option<Seal> {
        (self.item.kind == Kind::Component.as_str()).then(|| Seal::new(&self.run.history))
    }

    async fn check(&self, step: &str, transaction: &Transaction, writes: &OwnWrites) -> Result<(), Stopped> {
        let run = &*self.run;
        let checked = run.session.check_unbroken(transaction, &run.own_tables(), writes).await;
        checked.map_err(Stopped::broken(step, self.item))
    }

    /// Saves how far the migration is, in the open transaction.
    async fn save(&self, course: &mut Course, from: &Position) -> Result<OwnWrites, Stopped> {
        let (run, item) = (&*self.run, self.item);
        if course.stored {
            let advanced = run.progress.advance(&run.session, &item.version, from, &course.position, run.run_id).await;
            course.paused = advanced.map_err(Stopped::host("progress"))?;
            return Ok(OwnWrites::of_progress(0, 1, 0));
        }
        // A migration that is taken back half-way changes direction here.
        if item.half_applied {
            run.progress.end(&run.session, &item.version).await.map_err(Stopped::host("progress"))?;
        }
        let started = Started {
            version: item.version.clone(),
            filename: item.filename.clone(),
            description: item.description.clone(),
            kind: item.kind.clone(),
            checksum: item.checksum.clone(),
            direction: self.direction,
            steps: course.steps.clone(),
            position: course.position.clone(),
            run_id: String::new(),
            started_at: String::new(),
            worker: None,
            paused: None,
        };
        run.progress.begin(&run.session, &started, run.run_id).await.map_err(Stopped::host("progress"))?;
        course.stored = true;
        let detail = format!("{} of {} steps committed", course.position.steps_done, course.steps.len());
        let entry = self.entry(Event::Started).detail(&detail);
        run.journal.append(&run.session, &entry).await.map_err(Stopped::host("journal"))?;
        Ok(OwnWrites { journal: 1, ..OwnWrites::of_progress(1, 0, u8::from(item.half_applied)) })
    }

    /// Writes the migration's end into history and journal, in the open transaction.
    async fn record(&self, course: &Course) -> Result<OwnWrites, Stopped> {
        let (run, item, took) = (&*self.run, self.item, course.position.took);
        let mut writes = OwnWrites { journal: 1, ..OwnWrites::default() };
        let event = match self.direction {
            Direction::Up => {
                let recorded = run.history.record(&run.session, run.run_id, &item.record(took, self.backup)).await;
                writes.history_deleted = recorded.map_err(Stopped::host("history"))?;
                writes.history_inserted = 1;
                Event::Applied
            }
            Direction::Down if item.half_applied => Event::Reverted,
            Direction::Down => {
                run.history.forget(&run.session, &item.version).await.map_err(Stopped::host("history"))?;
                writes.history_deleted = 1;
                Event::Reverted
            }
        };
        if course.stored || item.half_applied {
            run.progress.end(&run.session, &item.version).await.map_err(Stopped::host("progress"))?;
            writes.progress[2] = 1;
        }
        let entry = self.entry(event).took(took);
        run.journal.append(&run.session, &entry).await.map_err(Stopped::host("journal"))?;
        Ok(writes)
    }

    async fn verified(&self) -> Result<Vec<Finding>, Stopped> {
        let (program, name) = (&self.item.program, &self.item.name);
        let told = self.run.events().begin(events::Event::verify(name), events::Event::verified(name, false, &[]));
        let verify = self.run.session.guarded(async |db| program.verify(self.direction, db).await);
        let verified = async {
            let asked = verify.await.map_err(Stopped::host("verify"))?;
            let findings = asked.map_err(|error| Stopped::at("verify", error))?;
            told.end(events::Event::verified(name, !blocks(&findings), &findings));
            let stage = || Stage::Verify(self.item.version.clone(), self.direction);
            if blocks(&findings) { Err(Stopped::Refused(stage(), findings)) } else { Ok(findings) }
        };
        spans::within(spans::verify(), verified).await
    }

    /// Whether the history says what the host wrote: a trigger of somebody's may have changed it.
    async fn check_recorded(&self) -> Result<(), Stopped> {
        let (run, version) = (&*self.run, &self.item.version);
        let right = match self.direction {
            Direction::Up => run.history.holds_of_run(&run.session, version, run.run_id).await,
            Direction::Down => run.history.holds(&run.session, version).await.map(|holds| !holds),
        };
        if right.map_err(Stopped::host("history"))? {
            return Ok(());
        }
        let cause = Cause::Script("it changed what the host had written into the history".into());
        Err(Stopped::at("end", ProgramError { at: None, cause }))
    }

    fn entry(&self, event: Event) -> Entry<'_> {
        Entry::of(event).migration(&self.item.version, self.direction).attempt(self.tries)
    }

    /// What the database is like when the part under way is rolled back.
    fn left(&self, course: Option<&Course>) -> String {
        match course.filter(|course| course.stored) {
            None => ROLLED_BACK.to_owned(),
            Some(course) if course.position.is_untouched() && !self.item.half_applied => ROLLED_BACK.to_owned(),
            Some(course) => {
                let (version, way_back) = (&self.item.version, Course::step_of(course));
                let on = match self.direction {
                    Direction::Up => format!("`lockgate up` goes on there, `lockgate down {version}` takes it back"),
                    Direction::Down => format!("`lockgate down {version}` goes on there"),
                };
                let batches = match course.position.batches {
                    0 => String::new(),
                    n => format!(", after {n} batches"),
                };
                format!("stopped at step {way_back}{batches}, what is before it is committed ({on})")
            }
        }
    }

    async fn failed(&self, step: Option<String>, mut error: ProgramError, committed: bool, left: &str) -> Error {
        let left = if committed { COMMITTED_ITSELF.to_owned() } else { self.after_tries(left) };
        if let Cause::Database(error) = &mut error.cause
            && error.is("55P03")
            && let Some(blocker) = self.run.watch.as_ref().and_then(Watch::blocker)
        {
            error.message = format!("{}: the lock is held by {blocker}", error.message);
        }
        let again = !committed && self.tries <= self.run.config.persistence.retries && is_passing(&error);
        let event = if again { Event::Retried } else { Event::Failed };
        let entry = Entry::of(event).attempt(self.tries);
        self.run.failed_as(entry, self.item, self.direction, step, error, &left).await
    }

    /// What is left, and after how many tries, if there was more than one.
    fn after_tries(&self, left: &str) -> String {
        if self.tries == 1 { left.to_owned() } else { format!("{left}, after {} tries", self.tries) }
    }

    async fn interrupted(&self, signal: &'static str, left: &str) -> Error {
        self.run.interrupted(self.entry(Event::Interrupted), signal, left).await
    }

    /// The first failure counts, so this one is only logged.
    async fn roll_back(&self) {
        self.run.events().tell(events::Event::RolledBack { migration: self.item.name.clone() });
        if let Err(error) = self.run.session.abort().await {
            tracing::error!(%error, "the rollback failed; the server rolls back when it notices that the session is gone");
        }
    }
}

const COMMITTED_ITSELF: &str = "part of it was committed by the migration itself, and is not in the history";

impl Run<'_> {
    pub(super) fn own_tables(&self) -> OwnTables {
        OwnTables {
            history: self.history.table().to_owned(),
            journal: self.journal.table().to_owned(),
            progress: self.progress.table().to_owned(),
            seal: Seal::new(&self.history).table().to_owned(),
        }
    }

    /// How long the statements of a migration may wait and run: what its author asks for, where that is less than what the operator allows.
    pub(super) fn timeouts(&self, item: &Work, direction: Direction) -> Timeouts {
        let (asked, set) = (item.program.describe().timeouts(direction), self.config.timeouts);
        // Zero is "for ever", which only the operator may choose.
        let or = |asked: Option<u32>, set: Duration| match asked
            .filter(|ms| *ms > 0)
            .map(|ms| Duration::from_millis(ms.into()))
        {
            Some(asked) if set.is_zero() => asked,
            Some(asked) => asked.min(set),
            None => set,
        };
        Timeouts { lock: or(asked.lock_ms, set.lock), statement: or(asked.statement_ms, set.statement) }
    }
}
