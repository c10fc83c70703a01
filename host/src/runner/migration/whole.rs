//! A migration of one script, which goes to the server in one message and is committed in a second one.

use std::time::Duration;

use tracing::Instrument as _;

use super::{Halt, Passage, Worked};
use crate::{
    error::{Cause, ExitCode, ProgramError},
    events,
    failpoint::Failpoint,
    migration::Direction,
    postgres::{
        OwnTables, Transaction,
        journal::{Entry, Event},
        whole::{Message, Migration, Ran, Stopped, Whole},
    },
    runner::{course::Course, work::Work},
    sql::Script,
    telemetry::spans,
};

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

    /// What is the same in all messages, of the host's own tables by these names.
    fn in_one_message<'w>(&'w self, own: &'w OwnTables) -> Whole<'w> {
        let run = &*self.run;
        Whole {
            history: &run.history,
            journal: &run.journal,
            own,
            lock: run.lock,
            direction: self.direction,
            run_id: run.run_id,
        }
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
        }
    }

    /// The message of the migration that comes next, if it has one, to be sent behind the COMMIT of this. Nothing is begun any more where the
    /// run is to stop.
    pub(super) fn next_message(&self, former: &Transaction) -> Option<Message> {
        let item = self.next.filter(|_| self.run.config.stop.asked().is_none())?;
        let migration = self.as_one_script(item, self.one_script_of(item)?);
        self.in_one_message(&self.run.own_tables()).behind(&self.run.session, former, &migration)
    }

    /// Runs it; `None` where it could not be begun so, and nothing of it was.
    pub(super) async fn whole(&self, script: &Script) -> Result<Option<Worked>, Halt> {
        let (run, item) = (&*self.run, self.item);
        let mut course = Course::of(script.steps());
        let name = course.name_of(0);
        let told = self.step_begins(&course, 0);
        let own = run.own_tables();
        let (whole, migration) = (self.in_one_message(&own), self.as_one_script(item, script));
        let span = spans::step(&name, course.kind_of(0));
        let asked = whole.run(&run.session, &migration).instrument(span.clone());
        let left = self.left(None);
        let Ran { rows, took_ms, transaction } = match run.config.stop.race(asked).await {
            Ok(Ok(ran)) => ran,
            Ok(Err(stopped)) => {
                spans::fails(&span, ExitCode::MigrationFailed);
                drop(told);
                self.roll_back().await;
                let (step, error, committed) = match stopped {
                    Stopped::Unfit => return Ok(None),
                    Stopped::Script(error) => (name, error, false),
                    Stopped::PutOff(error) => ("deferred constraints".to_owned(), error, false),
                    Stopped::Record(step, error) => (step.to_owned(), error.into(), false),
                    Stopped::Broken(broken) => {
                        let committed = broken.has_committed();
                        (name, ProgramError { at: None, cause: item.fault(broken.what()) }, committed)
                    }
                    Stopped::TooSoon => {
                        let what =
                            "it was sent behind a COMMIT that has not taken place, though the server has said so"
                                .into();
                        ("begin".to_owned(), ProgramError { at: None, cause: Cause::Host(what) }, false)
                    }
                    Stopped::Unrecorded => {
                        let what = "it changed what the host had written into the history".into();
                        ("end".to_owned(), ProgramError { at: None, cause: Cause::Script(what) }, false)
                    }
                };
                return Err(self.failed(Some(step), error, committed, &left).await.into());
            }
            Err(signal) => {
                drop(told);
                self.roll_back().await;
                return Err(self.interrupted(signal, &left).await.into());
            }
        };
        drop(span);
        told.end(self.step_done(0, Some(rows)));
        course.position = course.position.after_step();
        course.position.took = Duration::from_millis(took_ms);
        // Of a script without companions nothing is asked but what the host itself has, above.
        let told =
            run.events().begin(events::Event::verify(&item.name), events::Event::verified(&item.name, false, &[]));
        told.end(events::Event::verified(&item.name, true, &[]));
        Failpoint::Checked.pass();
        self.commit(&transaction, Worked { course, ended: Some(Vec::new()) }, &left).await.map(Some)
    }
}
