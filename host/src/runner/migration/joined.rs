//! One migration as a part of the transaction that a run shares among all of them: `up --atomic`.

use std::time::Instant;

use super::{Passage, Stopped};
use crate::{
    error::{Cause, Finding, ProgramError, Result},
    events::{Event, Events, Open},
    failpoint::Failpoint,
    postgres::{OwnWrites, WrittenRows},
    runner::{Done, course::Course},
    step::OwnChecks,
    telemetry::spans,
};

/// What is left where one of several in a transaction is stopped.
pub(in crate::runner) const ALL_ROLLED_BACK: &str = "rolled back, with every other migration of this run";

/// A migration that is done, recorded and verified in a transaction which is still open.
pub(in crate::runner) struct Joined {
    /// What it will have been when that is committed.
    done: Done,
    steps: usize,
    /// What the host has written of it.
    written: WrittenRows,
    told: Open,
}

impl Passage<'_, '_> {
    /// Checks, runs, records and verifies the migration within the open transaction. `None` where all of that is to be done again, step by step;
    /// where `step_by_step` says so it is.
    ///
    /// # Errors
    /// What stopped it; the whole transaction is rolled back then.
    pub(in crate::runner) async fn join(
        &self,
        is_first: bool,
        step_by_step: bool,
        findings: &mut Vec<Finding>,
    ) -> Result<Option<Joined>> {
        let (run, item) = (&*self.run, self.item);
        let mut told = self.migration_begins();
        let span = spans::migration(&item.name, self.direction, &item.kind);
        let is_checked = item.program.checks(self.direction) != OwnChecks { before: false, after: false };
        let script = self.one_script().filter(|script| !step_by_step && !is_checked && script.is_one_message());
        let part = async {
            match script {
                Some(script) => Box::pin(self.whole_part(script, !is_first)).await,
                None => Box::pin(self.part_of_all(is_first, findings)).await.map(Some),
            }
        };
        let joined = async {
            match run.config.stop.race(part).await {
                Ok(Ok(Some(ended))) => Ok(Some(ended)),
                Ok(Ok(None)) => {
                    let what = "it cannot be done in one message; all of it is done once more, step by step";
                    tracing::warn!(migration = item.name, "{what}");
                    self.roll_back().await;
                    Ok(None)
                }
                Ok(Err(stopped)) => Err(self.given_up(stopped, ALL_ROLLED_BACK).await),
                Err(signal) => {
                    self.roll_back().await;
                    Err(self.interrupted(signal, ALL_ROLLED_BACK).await)
                }
            }
        };
        let joined = spans::within(span, Box::pin(joined)).await;
        match joined {
            Ok(Some((course, written))) => {
                Ok(Some(Joined { done: self.done(&course), steps: course.steps.len(), written, told }))
            }
            Ok(None) => Ok(None),
            Err(error) => {
                told.otherwise(self.migration_ended(&Err(error.clone())));
                Err(error)
            }
        }
    }

    /// Returns its course, and what the host has written of it.
    async fn part_of_all(&self, is_first: bool, findings: &mut Vec<Finding>) -> Result<(Course, WrittenRows), Stopped> {
        let session = &self.run.session;
        session.as_at_the_beginning(self.timeouts()).await.map_err(Stopped::host("begin"))?;
        findings.extend(self.asked_before().await?);
        let begin = Instant::now();
        let transaction = self.part_begins(!is_first).await?;
        let mut course = self.planned().await?;
        Failpoint::Planned.pass();
        if !course.is_atomic() {
            let what = "one of its steps cannot share a transaction with others; run `lockgate up` without `--atomic`";
            return Err(Stopped::at("plan", ProgramError { at: None, cause: Cause::Host(what.into()) }));
        }
        for i in 0..course.steps.len() {
            let span = spans::step(&course.name_of(i), course.kind_of(i));
            spans::within(span, Box::pin(self.step(&course, i, &transaction))).await?;
            Failpoint::StepDone.pass();
            course.position = course.position.after_step();
        }
        self.settle(&transaction).await?;
        // Nothing of the migration's is to run when the host writes.
        self.check("end", &transaction, &OwnWrites::default()).await?;
        course.position.took = begin.elapsed();
        let writes = self.record(&course).await?;
        Failpoint::Recorded.pass();
        findings.extend(self.verified().await?);
        Failpoint::Verified.pass();
        // What is put off until now may put back what it has changed before.
        self.check("end", &transaction, &writes).await?;
        session.settle_for_good(&transaction).await.map_err(|error| Stopped::at("commit", error))?;
        self.check_recorded().await?;
        self.check("end", &transaction, &writes).await?;
        session.end_part(&transaction).await.map_err(|error| Stopped::at("commit", error))?;
        let (history, journal) = (&self.run.history, &self.run.journal);
        let written = session.written(history, journal, &self.item.version).await.map_err(Stopped::host("history"))?;
        Ok((course, written))
    }
}

impl Joined {
    /// What the host has written of it, as it was then.
    pub(in crate::runner) fn written(&self) -> &WrittenRows {
        &self.written
    }

    /// The transaction is committed: the migration is in effect.
    pub(in crate::runner) fn committed(self, events: &Events) -> Done {
        let Self { done, steps, told, .. } = self;
        events.tell(Event::Committed { migration: done.name.clone(), steps_done: steps, steps });
        let (migration, version) = (done.name.clone(), done.version.clone());
        told.end(Event::MigrationCommitted { migration, version, execution_time_ms: done.execution_time_ms });
        done
    }

    /// The transaction is rolled back, or lost.
    pub(in crate::runner) fn undone(self, events: &Events) {
        events.tell(Event::RolledBack { migration: self.done.name });
    }
}
