//! What a rehearsal hears of the runs on its copy: which migration begins, and that a transaction of it is committed.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU32, Ordering},
};

use super::measure::Listener;
use crate::{
    migration::{Direction, Version},
    stop::Hand,
};

type Begun = Box<dyn Fn(&Version) + Send>;

/// See the module.
#[derive(Default)]
pub(super) struct Ears {
    commits: AtomicU32,
    /// Is asked to stop the run after its next commit.
    cut: Mutex<Option<Hand>>,
    /// Is told which migration begins.
    begun: Mutex<Option<Begun>>,
}

/// The name in which a run is cut off on purpose.
const ON_PURPOSE: &str = "the rehearsal, on purpose";

impl Ears {
    /// How many transactions were committed since this was asked last.
    pub(super) fn commits(&self) -> u32 {
        self.commits.swap(0, Ordering::Relaxed)
    }

    /// Cuts the run off after its next commit.
    pub(super) fn cut_with(&self, hand: Hand) {
        *self.cut.lock().unwrap_or_else(PoisonError::into_inner) = Some(hand);
    }

    /// Whether a run was cut off since; from now on none is.
    pub(super) fn has_cut(&self) -> bool {
        self.cut.lock().unwrap_or_else(PoisonError::into_inner).take().is_none()
    }

    /// Tells from now on which migration begins.
    pub(super) fn tell(&self, begun: Option<Begun>) {
        *self.begun.lock().unwrap_or_else(PoisonError::into_inner) = begun;
    }
}

impl Listener for Ears {
    fn begins(&self, version: &Version, _: Direction) {
        if let Some(begun) = &*self.begun.lock().unwrap_or_else(PoisonError::into_inner) {
            begun(version);
        }
    }

    fn committed(&self) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        if let Some(hand) = self.cut.lock().unwrap_or_else(PoisonError::into_inner).take() {
            hand.stop(ON_PURPOSE);
        }
    }
}
