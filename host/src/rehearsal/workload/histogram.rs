//! Durations in bounded memory: how many there were of about each length.
//!
//! Each bucket is 2^(1/16) times as wide as the one before, so that what is read from it is at most 4.5 % more than it was.

use std::time::Duration;

/// Buckets to one doubling.
const STEPS: f64 = 16.0;
/// Up to 2^40 microseconds, which is twelve days; what is longer counts as that long.
const BUCKETS: usize = 40 * 16 + 1;

/// How many durations there were of about each length. The longest is known as it was.
#[derive(Debug, Clone, Default)]
pub(super) struct Histogram {
    /// As many as were needed so far.
    counts: Vec<u64>,
    total: u64,
    max: Duration,
}

impl Histogram {
    /// Counts a duration.
    pub(super) fn record(&mut self, duration: Duration) {
        let bucket = bucket(duration);
        if self.counts.len() <= bucket {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] += 1;
        self.total += 1;
        self.max = self.max.max(duration);
    }

    /// Notes a duration that is only to be among the longest.
    pub(super) fn stretch(&mut self, duration: Duration) {
        self.max = self.max.max(duration);
    }

    /// How long so many of a hundred took at most, in milliseconds; 0 where there was none.
    pub(super) fn percentile_ms(&self, percent: f64) -> f64 {
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "of counts"
        )]
        let wanted = ((self.total as f64 * percent / 100.0).ceil() as u64).max(1);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return upper_ms(bucket).min(self.max_ms());
            }
        }
        0.0
    }

    /// How long the longest took, in milliseconds.
    pub(super) fn max_ms(&self) -> f64 {
        self.max.as_secs_f64() * 1_000.0
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is between 0 and 640")]
fn bucket(duration: Duration) -> usize {
    let micros = (duration.as_secs_f64() * 1e6).max(1.0);
    ((micros.log2() * STEPS).ceil() as usize).min(BUCKETS - 1)
}

#[allow(clippy::cast_precision_loss, reason = "it is at most 640")]
fn upper_ms(bucket: usize) -> f64 {
    (bucket as f64 / STEPS).exp2() / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(millis: impl IntoIterator<Item = f64>) -> Histogram {
        let mut histogram = Histogram::default();
        millis.into_iter().for_each(|ms| histogram.record(Duration::from_secs_f64(ms / 1_000.0)));
        histogram
    }

    #[test]
    fn percentiles_are_off_by_less_than_five_percent_and_never_below() {
        let histogram = of((1..=10_000).map(|n| f64::from(n) / 10.0));
        for (percent, exact) in [(1.0, 10.0), (50.0, 500.0), (95.0, 950.0), (99.9, 999.0)] {
            let told = histogram.percentile_ms(percent);
            assert!(told >= exact - 1e-6 && told < exact * 1.045, "p{percent}: {told}");
        }
        assert!((histogram.percentile_ms(100.0) - 1_000.0).abs() < 1e-6, "no more than the longest");
        assert!((histogram.max_ms() - 1_000.0).abs() < 1e-6);
    }

    #[test]
    fn half_of_two_is_the_shorter_and_nothing_takes_no_time() {
        assert!(of([1.0, 100.0]).percentile_ms(50.0) < 1.05);
        assert!(of([1.0, 100.0]).percentile_ms(51.0) > 99.0);
        assert!(of([]).percentile_ms(50.0) == 0.0 && of([]).max_ms() == 0.0);
    }

    #[test]
    fn the_shortest_and_the_longest_fit_in_bounded_memory() {
        let mut histogram = of([0.0]);
        histogram.record(Duration::from_secs(100 * 86_400));
        assert!(histogram.counts.len() <= BUCKETS);
        assert!(histogram.percentile_ms(50.0) <= 0.001);
        assert!((histogram.max_ms() - 100.0 * 86_400e3).abs() < 1.0);
    }
}
