//! A statement that PostgreSQL refuses inside a transaction.

use std::time::{Duration, Instant};

use super::{Passage, Worked};
use crate::{
    error::{Cause, DbError, Error, Finding, ProgramError, Result, Severity},
    failpoint::Failpoint,
    postgres::{
        Broken, Handle, Timeouts,
        journal::{Entry, Event},
        progress::Position,
        quote_ident,
    },
    runner::course::Course,
    sql::{Answer, Breakage, Effect, Origin, Script, Twin, workers_sql},
    step::OutsideStep,
    value::{Rows, Value},
};

/// How long somebody else may go on with what is to be mended.
const WORKERS_MAX: Duration = Duration::from_secs(10);
const WORKERS_POLL: Duration = Duration::from_millis(100);

/// How long the clean-up after a failure may wait for a lock: the failure is to be told soon.
const CLEAN_UP_LOCK: Duration = Duration::from_secs(3);

/// The smaller of two time-outs, of which zero is for ever.
fn at_most(timeout: Duration, most: Duration) -> Duration {
    if timeout.is_zero() { most } else { timeout.min(most) }
}

/// What was noted before the statement was begun.
fn noted(course: &Course) -> Option<&str> {
    let note = course.position.checkpoint.as_deref().filter(|_| course.position.attempted);
    note.and_then(|note| std::str::from_utf8(note).ok())
}

impl Passage<'_, '_> {
    /// A statement that PostgreSQL refuses inside a transaction: its intent is noted first, and its probe tells what came of it.
    pub(super) async fn outside(
        &self,
        course: &Course,
        step: &OutsideStep,
        findings: &mut Vec<Finding>,
    ) -> Result<Worked> {
        let name = course.name_of(course.position.steps_done);
        let begin = Instant::now();
        let (number, told) = (course.position.steps_done, self.step_begins(course, course.position.steps_done));
        let mut rows = None;
        let mut course = course.clone();
        let mut answer = self.ask(&course, &name, step).await?;
        if let Answer::Broken(breakages) = &answer {
            self.alone_with(&course, &name, breakages).await?;
            // Whoever was at it may have ended it well.
            answer = self.ask(&course, &name, step).await?;
        }
        match &answer {
            Answer::Broken(breakages) if course.position.attempted => {
                self.mend(&course, &name, breakages).await?;
                answer = self.ask(&course, &name, step).await?;
            }
            Answer::Broken(breakages) => return Err(self.in_the_way(&course, name, breakages).await),
            Answer::InTheWay(breakage) => {
                return Err(self.in_the_way(&course, name, std::slice::from_ref(breakage)).await);
            }
            // The server would say no more than that something of this name is there; with IF NOT EXISTS, not even that.
            Answer::NotDone(Some(what)) if matches!(step.effect(), Effect::CreateIndex { .. }) => {
                let what = format!("{what}; drop or rename it, or give the index of this step another name");
                let error = ProgramError { at: None, cause: self.item.fault(what) };
                return Err(self.failed(Some(name), error, false, &self.left(Some(&course))).await);
            }
            _ => {}
        }
        let there = match (&answer, course.position.attempted) {
            (Answer::Done, true) => true,
            // Where the author gives a query, it may say that there is nothing to do.
            (Answer::Done, false) => step.probe.is_some(),
            (Answer::Undecidable, true) => return Err(self.blocked(&course, &name).await),
            _ => false,
        };
        if there {
            let how = if course.position.attempted {
                "it had taken effect when the run was cut off"
            } else {
                "it is in effect already"
            };
            tracing::info!(migration = self.item.name, step = name, "{how}");
            if !course.position.attempted {
                let message = format!("step {name} of `{}` was left out: {how}", self.item.name);
                findings.push(Finding::new(Severity::Info, "already-in-effect", message));
            }
        } else {
            // What an earlier attempt was to remove, or found of others', stays what it was.
            let checkpoint =
                if course.position.attempted { course.position.checkpoint.clone() } else { self.note(step).await? };
            let intent = Position { attempted: true, checkpoint, ..course.position.clone() };
            course = self.moved(&course, intent, None).await?;
            Failpoint::IntentCommitted.pass();
            rows = Some(self.execute_outside(&course, &name, step).await?);
            Failpoint::OutsideExecuted.pass();
            self.confirm(&course, &name, step).await?;
            Failpoint::OutsideProbed.pass();
        }
        findings.extend(self.out_of_reach(&course, &step.effect()).await?);
        let took = course.position.took + begin.elapsed();
        let entry = self.entry(Event::StepFinished).took(begin.elapsed()).step(&name);
        course = self.moved(&course, Position { took, ..course.position.after_step() }, Some(&entry)).await?;
        Failpoint::OutsideMoved.pass();
        told.end(self.step_done(number, rows));
        self.told_committed(&course);
        Ok(Worked { course, ended: None })
    }

    /// What earlier attempts have left, and only somebody else can remove.
    async fn out_of_reach(&self, course: &Course, effect: &Effect) -> Result<Vec<Finding>> {
        let Some(sql) = effect.out_of_reach_sql(noted(course)) else { return Ok(Vec::new()) };
        let user = quote_ident(&self.run.session.server.user);
        let rows = self.run.session.texts("looking for what earlier attempts have left", &sql).await?;
        let finding = |row: Vec<Option<String>>| {
            let [Some(index), Some(drop)] = row.as_slice() else { return None };
            let message = format!(
                "the INVALID index {index}, which an earlier attempt of `{}` has left, is still there: role {user} may not look into its schema",
                self.item.name
            );
            tracing::warn!(migration = self.item.name, index, "an INVALID index of an earlier attempt is out of reach");
            let hint = format!(
                "run `{drop}` as a superuser; it does no harm until then but for the work of keeping it up to date"
            );
            Some(Finding::new(Severity::Warn, "leftover", message).hint(hint))
        };
        Ok(rows.into_iter().filter_map(finding).collect())
    }

    /// Mends what `up` was cut off in, before it is taken back: an index that is INVALID is no part of the former state. Returns whether nothing of
    /// the migration is in effect then.
    pub(super) async fn mend_what_up_left(&self) -> Result<bool> {
        let Some(started) = self.item.started.as_ref().filter(|_| self.item.half_applied) else { return Ok(false) };
        let course = Course::under_way(started);
        let Some(step) = course.attempted() else { return Ok(course.position.is_untouched()) };
        let name = course.name_of(course.position.steps_done);
        let effect = step.effect();
        let mut answer = self.surely_derived(&course, &name, &effect).await?;
        if let Some(Answer::Broken(breakages)) = &answer {
            self.alone_with(&course, &name, breakages).await?;
            // Whoever was at it may have ended it well.
            answer = self.surely_derived(&course, &name, &effect).await?;
        }
        let is_gone = match &answer {
            Some(Answer::Broken(breakages)) => {
                self.mend(&course, &name, breakages).await?;
                effect.repair_undoes()
            }
            Some(Answer::NotDone(_) | Answer::InTheWay(_)) => true,
            _ => false,
        };
        Ok(is_gone && course.position.not_attempted().is_untouched())
    }

    async fn surely_derived(&self, course: &Course, name: &str, effect: &Effect) -> Result<Option<Answer>> {
        match self.derived(course, effect).await? {
            Ok(answer) => Ok(answer),
            Err(error) => Err(self.unanswered(course, name, error).await),
        }
    }

    /// Returns the rows that it touched.
    async fn execute_outside(&self, course: &Course, name: &str, step: &OutsideStep) -> Result<u64> {
        let run = &*self.run;
        let own = run.session.own_state(&run.own_tables()).await?;
        let executed = self.within_patience(run.session.outside(self.timeouts(), &step.statement));
        let executed = run.config.stop.race(executed).await;
        let result = match executed {
            Ok(result) => result,
            Err(signal) => {
                self.roll_back().await;
                let left = self.cleaned_up(course, step, false).await;
                return Err(self.interrupted(signal, &left).await);
            }
        };
        let failed = Some(name.to_owned());
        let rows = match result {
            Ok(rows) => rows,
            Err(error) => {
                // What the author of a component gave up may still run.
                if !run.session.is_closed() {
                    self.roll_back().await;
                }
                let left = match &error.cause {
                    // What has its name was there before it.
                    Cause::Database(error) if error.is("42P07") => self.taken_back(course).await,
                    cause => self.cleaned_up(course, step, matches!(cause, Cause::Database(_))).await,
                };
                return Err(self.failed(failed, error, false, &left).await);
            }
        };
        let broken = match run.session.check_session(run.lock).await {
            Err(broken) => broken,
            Ok(()) if run.session.own_state(&run.own_tables()).await? != own => Broken::Own,
            Ok(()) => return Ok(rows),
        };
        let error = ProgramError { at: None, cause: self.item.fault(broken.what()) };
        Err(self.failed(failed, error, true, "").await)
    }

    /// Removes what a statement that failed has left, and says what the database is like now. `refused`: the server said no, so that
    /// nothing of it can come any more.
    async fn cleaned_up(&self, course: &Course, step: &OutsideStep, refused: bool) -> String {
        let (run, effect) = (&*self.run, step.effect());
        if run.session.is_closed() {
            return self.left(Some(course));
        }
        let derived = self.derived(course, &effect).await;
        // Where nobody can say what is left, the next run looks again.
        let mut clean = refused && matches!(derived, Ok(Ok(_)));
        let mut told = String::new();
        if let Ok(Ok(Some(Answer::Broken(breakages)))) = derived {
            clean = false;
            let others = run.session.texts("asking who works on it", &workers_sql(&breakages)).await;
            if !others.is_ok_and(|others| others.is_empty()) {
                // It may be somebody else's, who is still at it.
                told = format!(
                    "; {}, and somebody else works on its table, so the next run looks again",
                    breakages[0].what
                );
            } else if effect.repair_undoes() {
                let mut timeouts = self.timeouts();
                timeouts.lock = at_most(timeouts.lock, CLEAN_UP_LOCK);
                clean = true;
                for breakage in &breakages {
                    match self.repair(timeouts, breakage).await {
                        Ok(()) => told += &format!("; what it left, {}, is dropped", breakage.what),
                        Err(error) => {
                            clean = false;
                            let why = error.cause.without_data();
                            told += &format!("; {}; it is still there ({why}), the next run drops it", breakage.what);
                        }
                    }
                }
            } else {
                for breakage in &breakages {
                    told += &format!("; {}, the next run finishes that", breakage.what);
                }
            }
        }
        let left = if clean { self.taken_back(course).await } else { self.left(Some(course)) };
        left + &told
    }

    /// Notes that nothing of the attempt is left, and says where the migration stands.
    async fn taken_back(&self, course: &Course) -> String {
        match self.moved(course, course.position.not_attempted(), None).await {
            Ok(course) => self.left(Some(&course)),
            Err(error) => {
                tracing::warn!(%error, "the attempt could not be taken back; the next run looks again");
                self.left(Some(course))
            }
        }
    }

    /// Asks whether the statement did what it is for.
    async fn confirm(&self, course: &Course, name: &str, step: &OutsideStep) -> Result<()> {
        let error = match self.ask(course, name, step).await? {
            Answer::Done | Answer::Repeatable | Answer::Undecidable => return Ok(()),
            // What it found broken of others' is none of its own.
            Answer::Broken(_) if matches!(step.effect(), Effect::Reindex(_)) => return Ok(()),
            Answer::Broken(breakages) => {
                self.item.fault(format!("its statement was carried out, but {}", breakages[0].what))
            }
            Answer::InTheWay(breakage) => {
                self.item.fault(format!("its statement was carried out, but {}", breakage.what))
            }
            Answer::NotDone(Some(what)) => self.item.fault(format!("its statement was carried out, but {what}")),
            Answer::NotDone(None) if step.probe.is_some() => {
                let what = "its statement was carried out, but its probe says that it has not taken effect";
                return Err(self
                    .failed(Some(name.to_owned()), ProgramError::plugin(what), false, &self.left(Some(course)))
                    .await);
            }
            Answer::NotDone(None) => {
                self.item.fault("its statement was carried out, but the catalog shows nothing of it".into())
            }
        };
        let course = self.moved(course, course.position.not_attempted(), None).await?;
        let error = ProgramError { at: None, cause: error };
        Err(self.failed(Some(name.to_owned()), error, false, &self.left(Some(&course))).await)
    }

    /// The run lost its connection in the step and has found it again: what came of it is for the operator to say.
    async fn blocked(&self, course: &Course, name: &str) -> Error {
        let entry =
            self.entry(Event::Failed).step(name).detail("nothing tells whether it took effect: `lockgate resolve`");
        let state = self.run.state_after(&entry, &self.left(Some(course))).await;
        course.blocked(&self.item.name, state)
    }

    /// Something of that kind that was there before the first attempt belongs to somebody else.
    async fn in_the_way(&self, course: &Course, name: String, breakages: &[Breakage]) -> Error {
        let list: Vec<String> = breakages
            .iter()
            .map(|b| format!("{}, and not by this migration; look into it, then run `{}`", b.what, b.repair))
            .collect();
        let error = ProgramError { at: None, cause: self.item.fault(list.join("; ")) };
        self.failed(Some(name), error, false, &self.left(Some(course))).await
    }

    /// Waits until nobody else works on what is broken: it may be half done and no more.
    async fn alone_with(&self, course: &Course, name: &str, breakages: &[Breakage]) -> Result<()> {
        let (run, begin) = (&*self.run, Instant::now());
        let sql = workers_sql(breakages);
        let mut told = false;
        loop {
            let rows = run.session.texts("asking who works on it", &sql).await?;
            let who: Vec<String> = rows.into_iter().filter_map(|mut row| row.pop().flatten()).collect();
            if who.is_empty() {
                return Ok(());
            }
            let who = who.join(", ");
            if begin.elapsed() >= WORKERS_MAX {
                let what = format!("{} still works on its table; {}", who, breakages[0].what);
                let error = ProgramError { at: None, cause: self.item.fault(what) };
                return Err(self.failed(Some(name.to_owned()), error, false, &self.left(Some(course))).await);
            }
            if !told {
                tracing::warn!(who, "somebody else works on the table: waiting");
                told = true;
            }
            if let Err(signal) = run.config.stop.race(tokio::time::sleep(WORKERS_POLL)).await {
                return Err(self.interrupted(signal, &self.left(Some(course))).await);
            }
        }
    }

    /// Mends what an earlier attempt left.
    async fn mend(&self, course: &Course, name: &str, breakages: &[Breakage]) -> Result<()> {
        let run = &*self.run;
        for breakage in breakages {
            match run.config.stop.race(self.repair(self.timeouts(), breakage)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    let step = Some(format!("{name}, its repair"));
                    return Err(self.failed(step, error, false, &self.left(Some(course))).await);
                }
                Err(signal) => {
                    self.roll_back().await;
                    return Err(self.interrupted(signal, &self.left(Some(course))).await);
                }
            }
        }
        Ok(())
    }

    async fn repair(&self, timeouts: Timeouts, breakage: &Breakage) -> Result<(), ProgramError> {
        tracing::warn!(migration = self.item.name, repair = breakage.repair, "{}", breakage.what);
        let Ok(script) = Script::parse(&breakage.repair, Origin::Plugin) else {
            return Err(ProgramError { at: None, cause: self.item.fault(format!("no repair: {}", breakage.repair)) });
        };
        self.run.session.outside(timeouts, &script).await.map(drop)
    }

    /// Where the step stands: what its author's query says, unless the catalog knows that it is not so.
    async fn ask(&self, course: &Course, name: &str, step: &OutsideStep) -> Result<Answer> {
        let derived = match self.derived(course, &step.effect()).await? {
            Ok(Some(answer)) => answer,
            Ok(None) => Answer::Undecidable,
            Err(error) => return Err(self.unanswered(course, name, error).await),
        };
        let Some(probe) = &step.probe else { return Ok(derived) };
        let says = self.took_effect(course, name, probe).await?;
        Ok(match (says, derived) {
            (_, Answer::Broken(breakages))
                if !matches!(step.effect(), Effect::Reindex(_)) || course.position.attempted =>
            {
                Answer::Broken(breakages)
            }
            (_, Answer::InTheWay(breakage)) => Answer::InTheWay(breakage),
            // Before the first attempt its author may say that there is nothing to do, whatever the reason.
            (true, Answer::NotDone(what)) if course.position.attempted => Answer::NotDone(what),
            (true, _) => Answer::Done,
            (false, _) => Answer::NotDone(None),
        })
    }

    /// What the catalog says of a statement.
    async fn derived(&self, course: &Course, effect: &Effect) -> Result<Result<Option<Answer>, ProgramError>> {
        let run = &*self.run;
        let Some(sql) = effect.probe_sql(noted(course)) else { return Ok(Ok(Answer::of(effect, None))) };
        let asked = run.session.read_only(self.timeouts(), async |db: &Handle| db.query(&sql, &[]).await).await?;
        let mut answer = asked.map(|rows| Answer::of(effect, Some(&rows))).map_err(ProgramError::from);
        if let (Ok(Some(found @ (Answer::Done | Answer::Broken(_)))), Some(twin)) = (&answer, effect.twin()) {
            match self.is_another(&twin).await? {
                Ok(None) => {}
                Ok(Some(definition)) => answer = Ok(Some(twin.is_another(found.clone(), &definition))),
                Err(error) => return Ok(Err(error.into())),
            }
        }
        // An index of another's that a REINDEX left is not in the way of this one.
        Ok(answer.map(|answer| match (answer, effect) {
            (Some(Answer::Broken(_)), Effect::Reindex(_)) if !course.position.attempted => Some(Answer::Repeatable),
            (answer, _) => answer,
        }))
    }

    /// The definition of an index that is there and is another one than the statement would make, though it looks like that; where this
    /// cannot be found out, that is said, and what it looks like counts.
    ///
    /// # Errors
    /// What may pass: somebody was in the way, or the connection is lost.
    async fn is_another(&self, twin: &Twin) -> Result<Result<Option<String>, DbError>> {
        let mut timeouts = self.timeouts();
        // A copy of the table needs no more than to look at it: whoever keeps it from that must not keep the run for ever.
        timeouts.lock = at_most(timeouts.lock, CLEAN_UP_LOCK);
        let compared = self.run.session.undone(timeouts, async |db: &Handle| {
            let found = db.query(&twin.find, &[]).await?;
            let Some([Value::Text(oid), Value::Text(table), Value::Text(definition)]) =
                found.rows.first().map(Vec::as_slice)
            else {
                return Ok(None);
            };
            for statement in twin.build(table) {
                db.execute(&statement, &[]).await?;
            }
            let same = db.query(&twin.compare_sql(oid), &[]).await?;
            Ok(match same.rows.first().map(Vec::as_slice) {
                Some([Value::Bool(true)]) => None,
                Some([Value::Bool(false)]) => Some(definition.clone()),
                _ => return Err(DbError { message: "its definition is not understood".into(), ..DbError::default() }),
            })
        });
        Ok(match compared.await? {
            Err(error)
                if !error.connection_lost && !["55P03", "40P01", "57014"].iter().any(|state| error.is(state)) =>
            {
                tracing::warn!(migration = self.item.name, %error, "the index is compared by its table, columns and uniqueness only");
                Ok(None)
            }
            compared => compared,
        })
    }

    /// What tells afterwards what is the statement's own.
    async fn note(&self, step: &OutsideStep) -> Result<Option<Vec<u8>>> {
        let Some(sql) = step.effect().note_sql() else { return Ok(None) };
        let rows = self.run.session.texts("looking for what is to be removed", &sql).await?;
        let oid = rows.into_iter().next().and_then(|mut row| row.pop().flatten());
        Ok(oid.filter(|oid| !oid.is_empty()).map(String::into_bytes))
    }

    /// What the author's probe of a step says.
    async fn took_effect(&self, course: &Course, name: &str, probe: &str) -> Result<bool> {
        let run = &*self.run;
        let ask = async |db: &Handle| run.config.stop.race(db.query(probe, &[])).await;
        let rows: Rows = match run.session.read_only(self.timeouts(), ask).await? {
            Ok(Ok(rows)) => rows,
            Ok(Err(error)) => return Err(self.unanswered(course, name, error.into()).await),
            Err(signal) => return Err(self.interrupted(signal, &self.left(Some(course))).await),
        };
        match rows.rows.as_slice() {
            [row] if let [Value::Bool(answer)] = row.as_slice() => Ok(*answer),
            _ => {
                let error = ProgramError::plugin("its probe must return one boolean");
                Err(self.unanswered(course, name, error).await)
            }
        }
    }

    async fn unanswered(&self, course: &Course, name: &str, error: ProgramError) -> Error {
        self.failed(Some(format!("{name}, its probe")), error, false, &self.left(Some(course))).await
    }

    /// Moves the migration on in a transaction of its own.
    async fn moved(&self, course: &Course, to: Position, entry: Option<&Entry<'_>>) -> Result<Course> {
        let run = &*self.run;
        let write = async || {
            let (version, from) = (&self.item.version, &course.position);
            let paused = run.progress.advance(&run.session, version, from, &to, run.run_id).await?;
            if let Some(entry) = entry {
                run.journal.append(&run.session, entry).await?;
            }
            Ok(paused)
        };
        let paused = run.session.durably(write).await?;
        Ok(Course { position: to, paused, ..course.clone() })
    }
}
