//! The locks of a way: those that its session holds between two steps, and those that the second connection saw.

use super::{
    super::{model::Known, reading::Reading, sampler::PERIOD},
    Doing, Way,
};
use crate::locks::{Locks, Mode};

/// A lock on a table that was there before.
pub(super) struct Lock {
    pub(super) table: u32,
    pub(super) mode: Mode,
    pub(super) step: usize,
    pub(super) from_ms: f64,
    pub(super) held_ms: f64,
    pub(super) known: Known,
    /// Whether its transaction is still open.
    pub(super) open: bool,
}

/// A lock that was seen from one sample to another.
pub(super) struct Sighting {
    pub(super) table: u32,
    pub(super) mode: Mode,
    /// When was last looked without seeing it: it was taken since.
    pub(super) after_ms: f64,
    pub(super) first_ms: f64,
    pub(super) last_ms: f64,
    pub(super) sample: u64,
}

impl Way {
    /// Of the batches of a step, each of which takes the same lock, the longest counts.
    pub(super) fn keep(&mut self, lock: Lock) {
        let is_it = |other: &&mut Lock| (other.table, other.mode, other.step) == (lock.table, lock.mode, lock.step);
        match self.locks.iter_mut().find(is_it) {
            Some(same) => same.held_ms = same.held_ms.max(lock.held_ms),
            None => self.locks.push(lock),
        }
    }

    /// The second connection saw these locks.
    pub(in super::super) fn sighted(&mut self, locks: &[(u32, Mode)]) {
        let now = self.now();
        let after_ms = std::mem::replace(&mut self.sampled_ms, now);
        self.samples += 1;
        for (oid, mode) in locks {
            let Some(table) = self.table_of(*oid) else { continue };
            let (mode, sample) = (*mode, self.samples);
            let same = |s: &&mut Sighting| s.table == table && s.mode == mode && s.sample + 1 >= sample;
            match self.sightings.iter_mut().rev().find(same) {
                Some(same) => (same.last_ms, same.sample) = (now, sample),
                None => self.sightings.push(Sighting { table, mode, after_ms, first_ms: now, last_ms: now, sample }),
            }
        }
    }

    /// The table that was there before, of itself, an index of it or its TOAST.
    pub(super) fn table_of(&self, oid: u32) -> Option<u32> {
        let mut table = oid;
        // An index of a TOAST table is two steps away.
        for _ in 0..2 {
            table = self.part_of.get(&table).copied().unwrap_or(table);
        }
        self.tables.contains_key(&table).then_some(table)
    }

    /// Those that the session holds and did not hold before the step; not those weaker than one that it held.
    pub(super) fn locks_within(&mut self, step: usize, doing: &Doing<'_>, after: &Reading) {
        let first = self.open.as_ref().map_or(0, |open| open.locks);
        for (oid, mode) in after.locks.iter().rev() {
            let Some(table) = self.table_of(*oid) else { continue };
            if self.locks[first..].iter().any(|lock| lock.table == table && lock.mode >= *mode) {
                continue;
            }
            let seen =
                self.sightings.iter().find(|s| s.table == table && s.mode == *mode && s.first_ms >= doing.began_ms);
            let from_ms = seen.map_or(doing.began_ms, |seen| seen.after_ms.clamp(doing.began_ms, doing.ended_ms));
            let (mode, known) = (*mode, Known::Seen);
            self.locks.push(Lock { table, mode, step, from_ms, held_ms: 0.0, known, open: true });
        }
    }

    /// Those that were seen from beside, and those that follow from the text and were too short for that.
    pub(super) fn locks_outside(&mut self, step: usize, doing: &Doing<'_>) {
        let during = self.sightings.iter().filter(|s| s.last_ms >= doing.began_ms && s.first_ms <= doing.ended_ms);
        let period = PERIOD.as_secs_f64() * 1e3;
        let seen = during.map(|s| Lock {
            table: s.table,
            mode: s.mode,
            step,
            from_ms: s.after_ms.max(doing.began_ms),
            // It came and went somewhere between two looks.
            held_ms: (s.last_ms + period).min(doing.ended_ms) - s.after_ms.max(doing.began_ms),
            known: Known::Seen,
            open: false,
        });
        let mut locks: Vec<Lock> = seen.collect();
        for lock in Locks::of(doing.text).taken {
            let mut fitting = self.named.iter().filter(|(name, _)| name.fits(&lock.relation)).map(|(_, table)| *table);
            let Some(table) = fitting.next() else { continue };
            if locks.iter().any(|seen| seen.table == table && seen.mode >= lock.mode) {
                continue;
            }
            let held_ms = period.min(doing.ended_ms - doing.began_ms);
            let (mode, from_ms, known) = (lock.mode, doing.began_ms, Known::Parsed);
            locks.push(Lock { table, mode, step, from_ms, held_ms, known, open: false });
        }
        locks.into_iter().for_each(|lock| self.keep(lock));
    }
}
