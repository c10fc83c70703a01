//! What one kind of fault came to.

use std::time::{Duration, Instant};

use crate::lane::Wrong;

/// See the module.
pub struct Tally {
    pub what: String,
    pub faults: usize,
    pub lost: usize,
    pub doubled: usize,
    pub unexplained: usize,
    began: Instant,
    took: Duration,
}

impl Tally {
    pub fn of(what: impl Into<String>) -> Self {
        let what = what.into();
        eprintln!("{what} …");
        Self { what, faults: 0, lost: 0, doubled: 0, unexplained: 0, began: Instant::now(), took: Duration::ZERO }
    }

    /// Counts what is wrong, and says it at once.
    pub fn add(&mut self, wrong: &[Wrong]) {
        for wrong in wrong {
            eprintln!("  {}: {wrong:?}", self.what);
            match wrong {
                Wrong::Lost(_) => self.lost += 1,
                Wrong::Doubled(_) => self.doubled += 1,
                Wrong::Unexplained(_) => self.unexplained += 1,
            }
        }
    }

    pub fn unexplained(&mut self, what: impl Into<String>) {
        self.add(&[Wrong::Unexplained(what.into())]);
    }

    /// Adds what another lane found.
    pub fn join(&mut self, other: &Self) {
        self.faults += other.faults;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.unexplained += other.unexplained;
    }

    pub fn ended(mut self) -> Self {
        self.took = self.began.elapsed();
        self
    }

    pub fn is_clean(&self) -> bool {
        self.lost + self.doubled + self.unexplained == 0
    }

    pub fn line(&self) -> String {
        let Self { what, faults, lost, doubled, unexplained, took, .. } = self;
        format!("{what:<62} {faults:>6} {lost:>5} {doubled:>8} {unexplained:>12} {:>7.1} s", took.as_secs_f64())
    }

    pub const HEAD: &str =
        "                                                               faults  lost  doubled  unexplained";
}
