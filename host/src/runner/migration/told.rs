//! What is told of a migration while it runs.

use super::{Passage, Result};
use crate::{
    events::{Ending, Event, Open},
    runner::{course::Course, outcome::Done},
};

impl Passage<'_, '_> {
    /// The migration begins, or goes on.
    pub(super) fn migration_begins(&self) -> Open {
        let item = self.item;
        let (migration, version) = (item.name.clone(), item.version.clone());
        let otherwise = Event::MigrationFailed { migration: migration.clone(), version: version.clone(), error: None };
        let (kind, direction) = (item.kind.clone(), self.direction);
        self.run.events().begin(Event::MigrationStarted { migration, version, kind, direction }, otherwise)
    }

    /// What has become of it.
    pub(super) fn migration_ended(&self, done: &Result<Done>) -> Event {
        let (migration, version) = (self.item.name.clone(), self.item.version.clone());
        match done {
            Ok(Done { execution_time_ms, .. }) => {
                Event::MigrationCommitted { migration, version, execution_time_ms: *execution_time_ms }
            }
            Err(error) => Event::MigrationFailed { migration, version, error: Some(Box::new(error.report())) },
        }
    }

    /// A step begins. Unless [`step_done`](Self::step_done) is said of it, it has failed.
    pub(super) fn step_begins(&self, course: &Course, i: usize) -> Open {
        let migration = self.item.name.clone();
        let started = Event::StepStarted {
            migration: migration.clone(),
            step: i + 1,
            steps: course.steps.len(),
            name: course.name_of(i),
        };
        let otherwise = Event::StepFinished { migration, step: i + 1, outcome: Ending::Failed, rows: None };
        self.run.events().begin(started, otherwise)
    }

    pub(super) fn step_done(&self, i: usize, rows: Option<u64>) -> Event {
        Event::StepFinished { migration: self.item.name.clone(), step: i + 1, outcome: Ending::Done, rows }
    }

    /// A transaction was committed, after which the migration stands there.
    pub(super) fn told_committed(&self, course: &Course) {
        let (migration, steps) = (self.item.name.clone(), course.steps.len());
        self.run.events().tell(Event::Committed { migration, steps_done: course.position.steps_done, steps });
    }
}
