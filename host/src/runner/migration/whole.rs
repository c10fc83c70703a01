//! A migration of one script, which goes to the server in one message and is committed in a second one, or shares a transaction with others. What its
//! author has checked before the COMMIT is asked in between.

use std::time::Duration;

use tracing::Instrument as _;

use super::{Halt, Passage, Stopped, Worked};
use crate::{
    error::{Cause, ExitCode, Finding, ProgramError},
    events,
    failpoint::Failpoint,
    migration::Direction,
    postgres::{
        OwnTables, OwnWrites, Transaction, WrittenRows,
        journal::{Entry, Event},
        whole::{self, Message, Migration, Ran, Whole},
    },
    runner::{Run, course::Course, work::Work},
    sql::Script,
    telemetry::spans,
};

impl Run<'_> {
    /// What is the same in all messages, of the host's own tables by these names.
    pub(in crate::runner) fn in_one_message<'w>(&'w self, own: &'w OwnTables, direction: Direction) -> Whole<'w> {
        Whole { history: &self.history, journal: &self.journal, own, lock: self.lock, direction, run_id: self.run_id }
    }
}

impl Passage<'_, '_> {
    /// The script, where the migration is that and no more, and is run for the first time. What is measured, or tried again after something
    /// went wrong, goes step by step.
    pub(super) fn one_script(&self) -> Option<&Script> {
        self.one_script_of(self.item).filter(|_| self.tries == 1)
    }

    fn one_script_of<'w>(&self, item: &'w Work) -> Option<&'w Script> {
        let new = item.started.is_none() && !item.half_applied;
        let plain = new && !item.version.is_repeatable() && !self.run.session.is_recorded();
        item.program.one_script(self.direction).filter(|_| plain)
    }

    fn as_one_script<'w>(&self, item: &'w Work, script: &'w Script) -> Migration<'w>
    where
        Self: 'w,
    {
        let event = if self.direction == Direction::Up { Event::Applied } else { Event::Reverted };
        Migration {
            timeouts: self.run.timeouts(item, self.direction),
            script,
            record: item.record(Duration::ZERO, self.backup),
            entry: Entry::of(event).migration(&item.version, self.direction).attempt(1),
            is_verified: item.program.checks(self.direction).after,
        }
    }

    /// The message of the migration that comes next, if it has one, to be sent behind the COMMIT of this. Nothing is begun any more where the
    /// run is to stop.
    pub(super) fn next_message(&self, former: &Transaction) -> Option<Message> {
        let item = self.next.filter(|_| self.run.config.stop.asked().is_none())?;
        // Its own preflight comes before it.
        if item.program.checks(self.direction).before {
            return None;
        }
        let migration = self.as_one_script(item, self.one_script_of(item)?);
        self.run.in_one_message(&self.run.own_tables(), self.direction).behind(&self.run.session, former, &migration)
    }

    /// Runs it, and then what checks of its own it has; `None` where it could not be begun so, and nothing of it was.
    pub(super) async fn whole(&self, script: &Script) -> Result<Option<Worked>, Halt> {
        let run = &*self.run;
        let own = run.own_tables();
        let (whole, migration) = (run.in_one_message(&own, self.direction), self.as_one_script(self.item, script));
        if !whole.get_ready(&run.session).await? {
            return Ok(None);
        }
        let work = async {
            let ran = self.told_whole(script, whole.run(&run.session, &migration)).await?;
            let Some((course, Ran { transaction, .. })) = ran else { return Ok(None) };
            Failpoint::Recorded.pass();
            let findings = if migration.is_verified {
                self.verified_whole(&transaction, &whole.writes()).await?
            } else {
                self.has_no_verification();
                Vec::new()
            };
            Failpoint::Verified.pass();
            Ok(Some((transaction, Worked { course, ended: Some(findings) })))
        };
        let left = self.left(None);
        match run.config.stop.race(work).await {
            Ok(Ok(Some((transaction, worked)))) => {
                Failpoint::Checked.pass();
                self.commit(&transaction, worked, &left).await.map(Some)
            }
            Ok(Ok(None)) => {
                self.roll_back().await;
                Ok(None)
            }
            Ok(Err(stopped)) => Err(self.given_up(stopped, &left).await.into()),
            Err(signal) => {
                self.roll_back().await;
                Err(self.interrupted(signal, &left).await.into())
            }
        }
    }

    /// Runs it within the open transaction, which it shares with others: `written` says whether another was recorded in it. Returns its course, and
    /// what the host has written of it; `None` where the transaction is to be done again, step by step.
    pub(super) async fn whole_part(
        &self,
        script: &Script,
        written: bool,
    ) -> Result<Option<(Course, WrittenRows)>, Stopped> {
        let run = &*self.run;
        let own = run.own_tables();
        let (whole, migration) = (run.in_one_message(&own, self.direction), self.as_one_script(self.item, script));
        let ran = self.told_whole(script, whole.join(&run.session, &migration, written)).await?;
        let Some((course, ran)) = ran else { return Ok(None) };
        self.has_no_verification();
        Ok(ran.written.map(|written| (course, written)))
    }

    /// Verifies it in the transaction in which it was run and recorded, as it was found; what is undone has not changed that.
    async fn verified_whole(&self, transaction: &Transaction, writes: &OwnWrites) -> Result<Vec<Finding>, Stopped> {
        let findings = self.verified().await?;
        self.check("end", transaction, writes).await?;
        Ok(findings)
    }

    /// Nothing is asked of it but what the host itself has.
    fn has_no_verification(&self) {
        let (events, name) = (self.run.events(), &self.item.name);
        let told = events.begin(events::Event::verify(name), events::Event::verified(name, false, &[]));
        told.end(events::Event::verified(name, true, &[]));
    }

    /// Has it run, and tells of its step. `None` where it could not be begun so.
    async fn told_whole(
        &self,
        script: &Script,
        asked: impl Future<Output = Result<Ran, whole::Stopped>>,
    ) -> Result<Option<(Course, Ran)>, Stopped> {
        let mut course = Course::of(script.steps());
        let name = course.name_of(0);
        let told = self.step_begins(&course, 0);
        let span = spans::step(&name, course.kind_of(0));
        let ran = match asked.instrument(span.clone()).await {
            Ok(ran) => ran,
            Err(stopped) => {
                spans::fails(&span, ExitCode::MigrationFailed);
                drop(told);
                return self.why(stopped, &name).map_or(Ok(None), Err);
            }
        };
        drop(span);
        told.end(self.step_done(0, Some(ran.rows)));
        course.position = course.position.after_step();
        course.position.took = Duration::from_millis(ran.took_ms);
        Ok(Some((course, ran)))
    }

    /// Why it has come to nothing; `None` where it is to be done step by step.
    fn why(&self, stopped: whole::Stopped, name: &str) -> Option<Stopped> {
        use whole::Stopped as W;
        let script = |what: &str| ProgramError { at: None, cause: Cause::Script(what.into()) };
        Some(match stopped {
            W::Unfit => return None,
            W::Script(error) => Stopped::at(name, error),
            W::PutOff(error) => Stopped::at("deferred constraints", error),
            W::AtCommit(error) => Stopped::at("commit", error),
            W::Begin(error) => Stopped::at("begin", error.into()),
            W::Record(step, error) => Stopped::at(step, error.into()),
            W::Broken(broken) => Stopped::broken(name, self.item)(broken),
            W::TooSoon => {
                let what = "it was sent behind a COMMIT that has not taken place, though the server has said so".into();
                Stopped::at("begin", ProgramError { at: None, cause: Cause::Host(what) })
            }
            W::Unrecorded => Stopped::at("end", script("it changed what the host had written into the history")),
        })
    }
}
