//! What of telemetry does not work is told once a run, and never more than told.

use std::sync::atomic::{AtomicBool, Ordering};

/// Why something is not there in the end.
pub const LATE: &str = "it took longer than a run waits at its end (`flush_timeout_ms` under [telemetry])";

/// A warning that is given once.
#[derive(Debug)]
pub struct Complaint {
    what: &'static str,
    place: String,
    told: AtomicBool,
}

impl Complaint {
    /// One that begins with this, about that place, which holds no secret.
    pub fn of(what: &'static str, place: impl Into<String>) -> Self {
        Self { what, place: place.into(), told: AtomicBool::new(false) }
    }

    /// Tells why, unless it was told already.
    pub fn once(&self, cause: &str) {
        if !self.told.swap(true, Ordering::Relaxed) {
            tracing::warn!(place = self.place, cause, "{}; the run goes on", self.what);
        }
    }

    /// Whether nothing was told yet.
    #[cfg(test)]
    pub fn is_fresh(&self) -> bool {
        !self.told.load(Ordering::Relaxed)
    }
}
