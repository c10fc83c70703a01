//! The way through one migration: its steps, parted into the transactions that they need, and how far it is.

use std::ops::Range;

use crate::{
    error::Error,
    postgres::progress::{Position, Started},
    step::{OutsideStep, PlannedStep, Step},
};

/// The steps of a migration and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Course {
    pub(super) steps: Vec<Step>,
    pub(super) position: Position,
    /// Whether the database knows that the migration has begun.
    pub(super) stored: bool,
    /// Whether it was paused when the database was asked last.
    pub(super) paused: bool,
}

/// What comes next.
#[derive(Debug, Clone)]
pub(super) enum Next {
    /// These steps, in one transaction. Where they are the last, or there is none left, the migration ends in it.
    Transaction(Range<usize>),
    /// A statement outside a transaction.
    Outside(Box<OutsideStep>),
    /// A batch of the step of this name.
    Batch(String),
}

impl Course {
    /// Of a migration that has begun.
    pub(super) fn under_way(started: &Started) -> Self {
        let (steps, position) = (started.steps.clone(), started.position.clone());
        Self { steps, position, stored: true, paused: started.paused.is_some() }
    }

    /// At the beginning of a plan.
    pub(super) fn of(steps: Vec<Step>) -> Self {
        Self { steps, position: Position::default(), stored: false, paused: false }
    }

    pub(super) fn next(&self) -> Next {
        let first = self.position.steps_done;
        match self.steps.get(first) {
            Some(Step::OutsideTransaction(step)) => Next::Outside(Box::new(step.clone())),
            Some(Step::Batched(name)) => Next::Batch(name.clone()),
            Some(Step::Alone(_)) => Next::Transaction(first..first + 1),
            _ => Next::Transaction(first..self.end_of_transaction(first)),
        }
    }

    /// The first step after `first` that cannot share its transaction.
    fn end_of_transaction(&self, first: usize) -> usize {
        let alone = |step: &Step| matches!(step, Step::Alone(_) | Step::OutsideTransaction(_) | Step::Batched(_));
        self.steps[first..].iter().position(alone).map_or(self.steps.len(), |n| first + n)
    }

    /// Whether all steps share one transaction.
    pub(super) fn is_atomic(&self) -> bool {
        self.end_of_transaction(0) == self.steps.len()
    }

    /// Whether the transaction in which these steps were done is the last: after one that stands alone there is one more.
    pub(super) fn ends_after(&self, steps: &Range<usize>) -> bool {
        self.is_at_end() && !steps.clone().any(|i| matches!(self.steps[i], Step::Alone(_)))
    }

    /// Whether an earlier run was cut off in the next step, and nobody can tell what came of it.
    pub(super) fn is_blocked(&self) -> bool {
        self.attempted().is_some_and(OutsideStep::is_undecidable)
    }

    /// The step outside a transaction in which an earlier run was cut off.
    pub(super) fn attempted(&self) -> Option<&OutsideStep> {
        match self.steps.get(self.position.steps_done) {
            Some(Step::OutsideTransaction(step)) if self.position.attempted => Some(step),
            _ => None,
        }
    }

    /// What to say where it [is blocked](Self::is_blocked), and what the database is like then.
    pub(super) fn blocked(&self, migration: &str, state: String) -> Error {
        Error::Blocked {
            name: migration.to_owned(),
            step_of: self.step_of(),
            step: self.position.steps_done + 1,
            statement: self.statement(),
            state,
        }
    }

    /// The first words of the next step.
    pub(super) fn statement(&self) -> String {
        let steps = self.steps.get(self.position.steps_done).map(PlannedStep::of).unwrap_or_default();
        steps.iter().map(PlannedStep::text).collect::<Vec<_>>().join("; ")
    }

    /// Whether every step is done.
    pub(super) fn is_at_end(&self) -> bool {
        self.position.steps_done >= self.steps.len()
    }

    /// `2 of 5`: the step that comes next, counted from 1.
    pub(super) fn step_of(&self) -> String {
        format!("{} of {}", (self.position.steps_done + 1).min(self.steps.len()), self.steps.len())
    }

    /// What a step is, in a word.
    pub(super) fn kind_of(&self, i: usize) -> &'static str {
        match &self.steps[i] {
            Step::Sql(_) | Step::Alone(_) => "sql",
            Step::OutsideTransaction(_) => "outside",
            Step::Code(_) => "code",
            Step::Batched(_) => "batched",
        }
    }

    /// How a step is called in messages.
    pub(super) fn name_of(&self, i: usize) -> String {
        match &self.steps[i] {
            Step::Sql(_) | Step::Alone(_) => format!("{} (SQL)", i + 1),
            Step::OutsideTransaction(_) => format!("{} (outside a transaction)", i + 1),
            Step::Code(name) | Step::Batched(name) => format!("{} (`{name}`)", i + 1),
        }
    }
}

impl Position {
    /// Whether nothing is done: what a migration has at its beginning.
    pub(super) fn is_untouched(&self) -> bool {
        self.steps_done == 0 && self.batches == 0 && self.checkpoint.is_none() && !self.attempted
    }

    /// The same with nothing under way.
    pub(super) fn not_attempted(&self) -> Self {
        Self { attempted: false, checkpoint: None, ..self.clone() }
    }

    /// The position after the next step.
    pub(super) fn after_step(&self) -> Self {
        Self { steps_done: self.steps_done + 1, took: self.took, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{Origin, Script};

    fn course(kinds: &str) -> Course {
        let script = || Script::parse("SELECT 1", Origin::Plugin).unwrap();
        let step = |kind: char| match kind {
            's' => Step::Sql(script()),
            'c' => Step::Code("c".into()),
            'a' => Step::Alone(script()),
            'b' => Step::Batched("b".into()),
            _ => Step::OutsideTransaction(OutsideStep { statement: script(), probe: Some("SELECT true".into()) }),
        };
        Course::of(kinds.chars().map(step).collect())
    }

    /// The stages of a whole migration, in order.
    fn stages(kinds: &str) -> Vec<String> {
        let mut course = course(kinds);
        let mut stages = Vec::new();
        loop {
            let stage = match course.next() {
                Next::Transaction(steps) => {
                    stages.push(format!("{steps:?}"));
                    course.position.steps_done = steps.end;
                    if course.ends_after(&steps) {
                        return stages;
                    }
                    continue;
                }
                Next::Outside(_) => "outside".to_owned(),
                Next::Batch(name) => name,
            };
            stages.push(stage);
            course.position = course.position.after_step();
        }
    }

    #[test]
    fn neighbouring_steps_share_a_transaction() {
        assert_eq!(stages("scs"), ["0..3"]);
        assert!(course("scs").is_atomic() && !course("sb").is_atomic());
    }

    #[test]
    fn what_stands_alone_parts_them_and_the_end_is_a_transaction() {
        assert_eq!(stages("scbos"), ["0..2", "b", "outside", "4..5"]);
        assert_eq!(stages("b"), ["b", "1..1"]);
        assert_eq!(stages("aa"), ["0..1", "1..2", "2..2"]);
        assert_eq!(stages("sas"), ["0..1", "1..2", "2..3"]);
        assert_eq!(stages("ob"), ["outside", "b", "2..2"]);
    }
}
