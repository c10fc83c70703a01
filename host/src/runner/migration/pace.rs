//! How large the next batch is, and how far the batches are.

use std::time::{Duration, Instant};

use crate::{
    bar::{self, Bar, Picture},
    events::{Event, Open},
    postgres::progress::Position,
    report,
};

/// How often a batched step says how far it is.
const SAY_AFTER: Duration = Duration::from_secs(1);
/// A batch is at most so many times as large as the one before, and at least so many times smaller: one that happened to be fast says
/// little.
const STEP: f64 = 2.0;

/// The pace of one batched step in one run.
pub(super) struct Pace {
    /// How long a batch should take; zero: as long as it takes.
    target: Duration,
    size: Option<u64>,
    /// Where this run began.
    from: u64,
    /// The rows that its batches have changed.
    rows: u64,
    worked: Duration,
    said: Instant,
    /// Tells of the end of the step.
    told: Option<Open>,
    /// Shows how far the step is, which is called so.
    bar: (Bar, String),
}

impl Pace {
    pub(super) fn new(target: Duration, from: &Position) -> Self {
        let bar = (Bar::new(false), String::new());
        Self {
            target,
            size: None,
            from: from.done,
            rows: 0,
            worked: Duration::ZERO,
            said: Instant::now(),
            told: None,
            bar,
        }
    }

    /// Whoever sits at a terminal sees how far the step is, which is called so.
    pub(super) fn drawn(self, wanted: bool, step: String) -> Self {
        Self { bar: (Bar::new(wanted), step), ..self }
    }

    /// Whoever looks on has been told that the step has begun.
    pub(super) fn told_by(self, told: Open) -> Self {
        Self { told: Some(told), ..self }
    }

    /// The step has ended, well.
    pub(super) fn ended(&mut self, event: Event) {
        if let Some(told) = self.told.take() {
            told.end(event);
        }
    }

    /// A batch is committed, with so many rows that it has changed.
    pub(super) fn changed(&mut self, rows: u64) {
        self.rows += rows;
    }

    /// The rows that the batches of this run have changed.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// How many units the next batch should do; `None`: as many as the program does by itself.
    pub(super) fn size(&self) -> Option<u64> {
        self.size
    }

    /// Learns from a batch: how many units it did in what time, and whether somebody had to wait for it.
    pub(super) fn learn(&mut self, units: u64, took: Duration, in_the_way: bool) {
        self.worked += took;
        if self.target.is_zero() || units == 0 {
            return;
        }
        let fits = self.target.as_secs_f64() / took.as_secs_f64().max(0.000_001);
        let factor = if in_the_way { 1.0 / STEP } else { fits.clamp(1.0 / STEP, STEP) };
        self.size = Some(((units as f64 * factor) as u64).max(1));
    }

    /// How far it is, when it is time to say so.
    pub(super) fn report(&mut self, position: &Position) -> Option<Report> {
        if self.bar.0.is_wanted() {
            let picture = self.so_far(position).picture(&self.bar.1, position);
            self.bar.0.show(&picture);
        }
        if self.said.elapsed() < SAY_AFTER {
            return None;
        }
        self.said = Instant::now();
        Some(self.so_far(position))
    }

    fn so_far(&self, position: &Position) -> Report {
        let per_second = position.done.saturating_sub(self.from) as f64 / self.worked.as_secs_f64().max(0.001);
        let left = position.total.map(|total| total.saturating_sub(position.done));
        Report {
            per_second: per_second as u64,
            left: left.filter(|_| per_second > 0.0).map(|left| Duration::from_secs_f64(left as f64 / per_second)),
        }
    }
}

/// What is said of batches under way.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Report {
    /// Units.
    pub per_second: u64,
    /// An estimate, where the number of all units is known.
    pub left: Option<Duration>,
}

impl Report {
    fn picture(&self, step: &str, position: &Position) -> Picture {
        let Position { done, total, .. } = position;
        let amount = bar::amount(*done, *total, "");
        Picture {
            what: step.to_owned(),
            share: total.map(|total| (*done, total)),
            told: format!("{amount}, {}/s{}", report::thousands(self.per_second), bar::left(self.left)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace() -> Pace {
        Pace::new(Duration::from_millis(500), &Position::default())
    }

    #[test]
    fn the_size_follows_the_target_by_at_most_a_factor_of_two() {
        let mut pace = pace();
        assert_eq!(pace.size(), None, "the first batch is as large as the program makes it");
        for (units, ms, size) in
            [(1000, 400, 1250), (1250, 10, 2500), (2500, 5_000, 1250), (1250, 500, 1250), (1, 9_000, 1)]
        {
            pace.learn(units, Duration::from_millis(ms), false);
            assert_eq!(pace.size(), Some(size), "{units} in {ms} ms");
        }
    }

    #[test]
    fn a_batch_that_somebody_waited_for_is_followed_by_a_smaller_one() {
        let mut pace = pace();
        pace.learn(1000, Duration::from_millis(10), true);
        assert_eq!(pace.size(), Some(500));
    }

    #[test]
    fn nothing_is_learnt_without_a_target_or_from_an_empty_batch() {
        let mut pace = Pace::new(Duration::ZERO, &Position::default());
        pace.learn(1000, Duration::from_millis(10), true);
        assert_eq!(pace.size(), None);
        let mut pace = self::pace();
        pace.learn(0, Duration::from_millis(10), false);
        assert_eq!(pace.size(), None);
    }

    #[test]
    fn the_rate_counts_what_this_run_has_done() {
        let mut pace = Pace::new(Duration::ZERO, &Position { done: 400, ..Position::default() });
        pace.learn(600, Duration::from_secs(2), false);
        let position = Position { done: 1000, total: Some(1900), ..Position::default() };
        assert_eq!(pace.so_far(&position), Report { per_second: 300, left: Some(Duration::from_secs(3)) });
        let picture = pace.so_far(&position).picture("001_a step 1 (`fill`)", &position);
        assert_eq!(picture.told, "1,000 of 1,900 (52 %), 300/s, 3 s left");
        assert_eq!(picture.share, Some((1000, 1900)));
        let unknown = Position { total: None, ..position };
        assert_eq!(pace.so_far(&unknown).left, None);
        let picture = pace.so_far(&unknown).picture("001_a step 1 (`fill`)", &unknown);
        assert_eq!((picture.told.as_str(), picture.share), ("1,000, 300/s", None));
    }
}
