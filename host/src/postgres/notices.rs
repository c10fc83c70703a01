//! What the server says beside its answers, in our log: a function may raise a million notices.

use std::time::{Duration, Instant};

use tokio_postgres::error::DbError;

use crate::printable::printable;

/// More than a person reads while they come.
const LINES_MAX: u32 = 50;
const WINDOW: Duration = Duration::from_secs(1);

/// Logs notices, at most [`LINES_MAX`] a second, and says how many it left out.
#[derive(Default)]
pub(super) struct Notices {
    window: Option<Instant>,
    seen: u32,
}

impl Notices {
    /// Whether the next one may be shown.
    pub(super) fn shows_next(&self) -> bool {
        self.seen < LINES_MAX || self.window.is_none_or(|begin| begin.elapsed() >= WINDOW)
    }

    pub(super) fn log(&mut self, notice: &DbError) {
        if let Some(left_out) = self.turn(Instant::now()) {
            tracing::info!(left_out, "server: more notices than are shown");
        }
        if self.seen <= LINES_MAX {
            // Whoever raises a notice chooses its text.
            tracing::info!(severity = notice.severity(), "server: {}", printable(notice.message()));
        }
    }

    /// Counts a notice. When a second is over, returns how many of its notices were left out, if any were.
    fn turn(&mut self, now: Instant) -> Option<u32> {
        if self.window.is_some_and(|begin| now.duration_since(begin) < WINDOW) {
            self.seen = self.seen.saturating_add(1);
            return None;
        }
        let left_out = self.seen.saturating_sub(LINES_MAX);
        (self.window, self.seen) = (Some(now), 1);
        (left_out > 0).then_some(left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_told_once_it_is_over() {
        let (mut notices, begin) = (Notices::default(), Instant::now());
        let told: Vec<u32> = (0..1_000).filter_map(|_| notices.turn(begin)).collect();
        assert_eq!((told, notices.seen), (vec![], 1_000));
        assert_eq!(notices.turn(begin + WINDOW), Some(950));
        assert_eq!(notices.turn(begin + WINDOW * 2), None);
    }
}
