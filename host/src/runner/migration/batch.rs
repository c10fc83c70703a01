//! A step in batches: each in a transaction of its own, with its checkpoint.

use std::time::{Duration, Instant};

use super::{Halt, Passage, Stopped, Worked};
use crate::{
    error::{ProgramError, Result},
    failpoint::Failpoint,
    postgres::{OwnWrites, Transaction, journal::Event, progress::Position},
    runner::course::Course,
    step::Batch,
};

/// How often a batched step says how far it is.
const SAY_AFTER: Duration = Duration::from_secs(1);

impl Passage<'_, '_> {
    /// One batch and its checkpoint, in a transaction of their own.
    pub(super) async fn batch(&self, course: &Course, name: &str, said: &mut Instant) -> Result<Worked, Halt> {
        let step = course.name_of(course.position.steps_done);
        let work = async |transaction: &Transaction| {
            let begin = Instant::now();
            let (from, mut course) = (course.position.clone(), course.clone());
            let handle = self.run.session.handle();
            let checkpoint = from.checkpoint.as_deref();
            let batch = self.item.program.run_batch(self.direction, name, checkpoint, handle).await;
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
            advanced.await.map_err(Stopped::host("checkpoint"))?;
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
        if ended {
            tracing::info!(
                migration = self.item.name,
                step,
                batches = course.position.batches + 1,
                "batched step finished"
            );
        } else if said.elapsed() >= SAY_AFTER {
            tracing::info!(migration = self.item.name, step, done, total, batches, "batch committed");
            *said = Instant::now();
        } else {
            tracing::debug!(migration = self.item.name, step, done, total, batches, "batch committed");
        }
        Ok(worked)
    }

    pub(super) async fn note_step(&self, step: &str, detail: &str, took: Duration) -> Result<(), Stopped> {
        let entry = self.entry(Event::StepFinished).step(step).took(took).detail(detail);
        self.run.journal.append(&self.run.session, &entry).await.map_err(Stopped::host("journal"))
    }
}
