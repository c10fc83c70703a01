//! What a run has done so far, for whoever tells of it when it has ended, also badly: an error tells only of itself.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use super::outcome::Done;
use crate::{backup::Manifest, error::Finding};

/// What a run has done so far. Clones share it.
#[derive(Debug, Clone)]
pub struct SoFar(Arc<Mutex<(Instant, Progressed)>>);

/// The same at a moment. Times are milliseconds since its beginning.
#[derive(Debug, Clone, Default)]
pub struct Progressed {
    /// The backup that was taken, or that serves.
    pub backup: Option<Manifest>,
    /// From when to when that took.
    pub backup_ms: Option<(f64, f64)>,
    /// What it applied or reverted, in order, each committed.
    pub done: Vec<Passed>,
    /// What it had begun, and not brought to an end.
    pub underway: Option<Begun>,
    /// What the checks found that did not stop it.
    pub findings: Vec<Finding>,
    /// When this was looked at.
    pub ended_ms: f64,
}

/// A migration that was applied or reverted.
#[derive(Debug, Clone)]
pub struct Passed {
    /// What it is.
    pub done: Done,
    /// When it began.
    pub from_ms: f64,
    /// When it was committed.
    pub to_ms: f64,
}

/// A migration that has begun.
#[derive(Debug, Clone)]
pub struct Begun {
    /// Version and description.
    pub name: String,
    /// What it is made of.
    pub kind: String,
    /// When it began.
    pub from_ms: f64,
}

impl Default for SoFar {
    fn default() -> Self {
        Self(Arc::new(Mutex::new((Instant::now(), Progressed::default()))))
    }
}

impl SoFar {
    /// Counts time from now.
    pub fn begin(&self) {
        *self.lock() = (Instant::now(), Progressed::default());
    }

    /// All of it, now.
    pub fn now(&self) -> Progressed {
        let now = self.elapsed_ms();
        Progressed { ended_ms: now, ..self.lock().1.clone() }
    }

    /// The time since it began, in milliseconds.
    pub(super) fn elapsed_ms(&self) -> f64 {
        self.lock().0.elapsed().as_secs_f64() * 1_000.0
    }

    /// There is a backup, which was begun then.
    pub(super) fn backed_up(&self, manifest: &Manifest, from_ms: f64) {
        let to_ms = self.elapsed_ms();
        let progressed = &mut self.lock().1;
        progressed.backup = Some(manifest.clone());
        progressed.backup_ms = Some((from_ms, to_ms));
    }

    /// A migration begins. Returns when that is.
    pub(super) fn begun(&self, name: &str, kind: &str) -> f64 {
        let from_ms = self.elapsed_ms();
        self.lock().1.underway = Some(Begun { name: name.to_owned(), kind: kind.to_owned(), from_ms });
        from_ms
    }

    /// A migration that had begun then is committed.
    pub(super) fn passed(&self, done: &Done, from_ms: f64) {
        let to_ms = self.elapsed_ms();
        let progressed = &mut self.lock().1;
        progressed.underway = None;
        progressed.done.push(Passed { done: done.clone(), from_ms, to_ms });
    }

    /// These were found, so far.
    pub(super) fn found(&self, findings: &[Finding]) {
        self.lock().1.findings = findings.to_vec();
    }

    fn lock(&self) -> MutexGuard<'_, (Instant, Progressed)> {
        // Nothing in here panics half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migration::Version;

    #[test]
    fn what_has_begun_and_was_not_committed_is_under_way() {
        let so_far = SoFar::default();
        let of = |name: &str| Done {
            version: Version::parse("001").unwrap(),
            name: name.into(),
            kind: "sql".into(),
            execution_time_ms: 3,
        };
        let from_ms = so_far.begun("001_a", "sql");
        so_far.clone().passed(&of("001_a"), from_ms);
        so_far.begun("002_b", "component");
        let now = so_far.now();
        assert_eq!(now.done.iter().map(|passed| passed.done.name.as_str()).collect::<Vec<_>>(), ["001_a"]);
        assert_eq!(now.underway.unwrap().name, "002_b");
        assert!(now.done[0].from_ms <= now.done[0].to_ms && now.done[0].to_ms <= now.ended_ms);
        so_far.begin();
        assert!(so_far.now().done.is_empty() && so_far.now().underway.is_none());
    }
}
