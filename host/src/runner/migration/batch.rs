//! A step in batches: each in a transaction of its own, with its checkpoint.

use std::time::{Duration, Instant};

use super::{Halt, Passage, Stopped, Worked, pace::Pace};
use crate::{
    error::{ProgramError, Result},
    events::Event as Told,
    failpoint::Failpoint,
    postgres::{How, OwnWrites, Transaction, Watch, journal::Event, progress::Position},
    runner::course::Course,
    step::Batch,
};

/// How often is looked whether a pause is over, or a replica has caught up.
const LOOK_EVERY: Duration = Duration::from_millis(500);

impl Passage<'_, '_> {
    /// One batch and its checkpoint, in a transaction of their own.
    pub(super) async fn batch(&self, course: &Course, name: &str, pace: &mut Option<Pace>) -> Result<Worked, Halt> {
        let target = Duration::from_millis(self.run.config.batches.target_ms);
        let i = course.position.steps_done;
        let pace = pace.get_or_insert_with(|| {
            let shown = format!("{} step {}", self.item.name, course.name_of(i));
            let pace = Pace::new(target, &course.position).told_by(self.step_begins(course, i));
            pace.drawn(self.run.config.draw, shown)
        });
        self.wait_for_replicas(course).await?;
        let (size, begin) = (pace.size(), Instant::now());
        let step = course.name_of(course.position.steps_done);
        let changed_before = self.run.session.handle().changed();
        let work = async |transaction: &Transaction| {
            let begin = Instant::now();
            let (from, mut course) = (course.position.clone(), course.clone());
            let handle = self.run.session.handle();
            let checkpoint = from.checkpoint.as_deref();
            let batch = self.item.program.run_batch(self.direction, name, checkpoint, size, handle);
            let batch = self.run.session.recorded(How::Batched, name, batch).await;
            let batch = batch.map_err(|error| Stopped::at(&step, error))?;
            Failpoint::BatchDone.pass();
            self.settle(transaction).await?;
            self.check(&step, transaction, &OwnWrites::default()).await?;
            let took = from.took + begin.elapsed();
            let ended = batch == Batch::Finished;
            course.position = match batch {
                Batch::More { checkpoint, done, total } => {
                    if from.checkpoint.as_deref() == Some(checkpoint.as_slice()) && from.done == done {
                        let what =
                            "it returned the same checkpoint twice and did nothing in between: it would never end";
                        return Err(Stopped::at(&step, ProgramError::plugin(what)));
                    }
                    Position {
                        checkpoint: Some(checkpoint),
                        done,
                        total,
                        batches: from.batches + 1,
                        took,
                        ..from.clone()
                    }
                }
                Batch::Finished => Position { took, ..from.after_step() },
            };
            let progress = &self.run.progress;
            let advanced =
                progress.advance(&self.run.session, &self.item.version, &from, &course.position, self.run.run_id);
            course.paused = advanced.await.map_err(Stopped::host("checkpoint"))?;
            Failpoint::CheckpointSaved.pass();
            let mut writes = OwnWrites::of_progress(0, 1, 0);
            if ended {
                let detail = format!("{} batches, {} done before the last", from.batches + 1, from.done);
                self.note_step(&step, &detail, took).await?;
                writes.journal = 1;
            }
            self.check(&step, transaction, &writes).await?;
            Ok(Worked { course, ended: None })
        };
        let worked = self.committed(Some(course), work).await?;
        let Position { done, total, batches, .. } = worked.course.position;
        let ended = worked.course.position.steps_done > course.position.steps_done;
        let rows = self.run.session.handle().changed() - changed_before;
        pace.changed(rows);
        let in_the_way = self.run.watch.as_ref().is_some_and(Watch::was_in_the_way);
        self.run.config.meter.batch(done.saturating_sub(course.position.done), begin.elapsed());
        pace.learn(done.saturating_sub(course.position.done), begin.elapsed(), in_the_way);
        if ended {
            pace.ended(self.step_done(i, Some(pace.rows())));
        } else {
            let migration = self.item.name.clone();
            self.run.events().tell(Told::BatchProgress { migration, step: i + 1, batches, done, total, rows });
        }
        if ended {
            tracing::info!(
                migration = self.item.name,
                step,
                batches = course.position.batches + 1,
                "batched step finished"
            );
        } else if let Some(report) = pace.report(&worked.course.position) {
            let (per_second, left_s) = (report.per_second, report.left.map(|left| left.as_secs()));
            tracing::info!(
                migration = self.item.name,
                step,
                done,
                total,
                batches,
                per_second,
                left_s,
                "batch committed"
            );
        } else {
            tracing::debug!(migration = self.item.name, step, done, total, batches, "batch committed");
        }
        Ok(worked)
    }

    /// Waits as long as an operator has paused the migration. The lock is kept: nobody else may go on with it, either.
    pub(super) async fn wait_while_paused(&self, course: &Course) -> Result<()> {
        if !course.paused {
            return Ok(());
        }
        let (run, item) = (&*self.run, self.item);
        let mut told = false;
        while let Some(paused) = run.progress.paused(&run.session, &item.version).await? {
            if !told {
                let (by, since) = (paused.by, paused.at);
                tracing::warn!(migration = item.name, by, since, "paused until `lockgate pause --off`");
                told = true;
            }
            if let Err(signal) = run.config.stop.race(tokio::time::sleep(LOOK_EVERY)).await {
                return Err(self.interrupted(signal, &self.left(Some(course))).await);
            }
        }
        if told {
            tracing::warn!(migration = item.name, "the pause is over: going on");
        }
        Ok(())
    }

    /// Waits as long as a replica is too far behind: the next batch would only add to that.
    async fn wait_for_replicas(&self, course: &Course) -> Result<()> {
        let most = Duration::from_secs(self.run.config.batches.replication_lag_max_s);
        let lag =
            || self.run.watch.as_ref().and_then(Watch::replication_lag).filter(|lag| !most.is_zero() && *lag > most);
        let Some(first) = lag() else { return Ok(()) };
        tracing::warn!(migration = self.item.name, lag_s = first.as_secs(), "waiting for a replica that is behind");
        while lag().is_some() {
            if let Err(signal) = self.run.config.stop.race(tokio::time::sleep(LOOK_EVERY)).await {
                return Err(self.interrupted(signal, &self.left(Some(course))).await);
            }
        }
        Ok(())
    }

    pub(super) async fn note_step(&self, step: &str, detail: &str, took: Duration) -> Result<(), Stopped> {
        let entry = self.entry(Event::StepFinished).step(step).took(took).detail(detail);
        self.run.journal.append(&self.run.session, &entry).await.map_err(Stopped::host("journal"))
    }
}
