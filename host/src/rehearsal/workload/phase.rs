//! One phase of a workload.

use std::{collections::HashMap, time::Duration};

use super::histogram::Histogram;
use crate::{
    printable::printable_in,
    rehearsal::{Felt, FeltError},
};

/// How many different errors of a phase are kept apart; a message may have a number in it that is another one each time.
pub(super) const ERRORS_MAX: usize = 100;
/// What is told of a message.
const MESSAGE_CHARS_MAX: usize = 300;

/// See the module.
pub(super) struct Phase {
    /// Its name.
    pub(super) name: String,
    /// When it began, since the first one did.
    pub(super) began: Duration,
    /// What ended well.
    pub(super) done: u64,
    /// What did not.
    failed: u64,
    /// How long it took.
    pub(super) latencies: Histogram,
    /// Message and statement, each with how often.
    pub(super) errors: HashMap<(String, String), u64>,
}

impl Phase {
    /// One that begins then, with nothing in it.
    pub(super) fn new(name: &str, began: Duration) -> Self {
        let (latencies, errors) = (Histogram::default(), HashMap::new());
        Self { name: name.to_owned(), began, done: 0, failed: 0, latencies, errors }
    }

    /// Counts an error of a statement.
    pub(super) fn fail(&mut self, message: &str, statement: &str) {
        self.failed += 1;
        let error = (printable_in(MESSAGE_CHARS_MAX, message), statement.to_owned());
        let known = self.errors.len() < ERRORS_MAX || self.errors.contains_key(&error);
        let error = if known { error } else { ("other errors".to_owned(), String::new()) };
        *self.errors.entry(error).or_default() += 1;
    }

    /// What was felt in it, if it ended then.
    pub(super) fn felt(&self, end: Duration) -> Felt {
        let mut errors: Vec<FeltError> = self
            .errors
            .iter()
            .map(|((message, statement), times)| FeltError {
                message: message.clone(),
                statement: statement.clone(),
                times: *times,
            })
            .collect();
        errors.sort_by(|a, b| (b.times, &a.message, &a.statement).cmp(&(a.times, &b.message, &b.statement)));
        Felt {
            phase: self.name.clone(),
            duration_ms: u64::try_from(end.saturating_sub(self.began).as_millis()).unwrap_or(u64::MAX),
            done: self.done,
            failed: self.failed,
            p50_ms: self.latencies.percentile_ms(50.0),
            p95_ms: self.latencies.percentile_ms(95.0),
            max_ms: self.latencies.max_ms(),
            errors,
        }
    }
}
