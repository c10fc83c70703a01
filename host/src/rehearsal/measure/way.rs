//! One way of one migration while it is measured.

mod ended;
mod locks;
mod steps;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use self::locks::{Lock, Sighting};
use super::{
    Sizes,
    model::Step,
    reading::{Counts, Reading},
    sizes::{Index, Size, Table},
};
use crate::{
    locks::RelationName,
    migration::{Direction, Version},
    postgres::How,
};

/// A way under way. Times are milliseconds since it began, without those in which it was looked at.
pub(super) struct Way {
    pub(super) version: Version,
    pub(super) direction: Direction,
    /// The process that serves it.
    pub(super) pid: i32,
    /// How long was looked so far.
    pub(super) paused: Duration,
    began: Instant,
    stopped: Option<f64>,
    /// The tables that were there before, by their numbers.
    tables: BTreeMap<u32, Before>,
    /// The tables of indexes and of TOAST.
    part_of: BTreeMap<u32, u32>,
    /// By name, for what is known from the text alone.
    named: Vec<(RelationName, u32)>,
    invalid: BTreeSet<u32>,
    /// The tables as they were when they were last looked at.
    counts: BTreeMap<u32, Counts>,
    wal: u64,
    /// The log when it was last looked at.
    wal_seen: u64,
    temp: Option<u64>,
    steps: Vec<Step>,
    locks: Vec<Lock>,
    sightings: Vec<Sighting>,
    samples: u64,
    sampled_ms: f64,
    open: Option<Open>,
    begun: Option<Begun>,
    transactions: usize,
    committed_ms: f64,
}

/// A table before.
struct Before {
    relation: String,
    view: bool,
    size: Size,
}

/// A transaction under way, and what was before it.
struct Open {
    steps: usize,
    last: Option<Step>,
    locks: usize,
    counts: BTreeMap<u32, Counts>,
}

/// A step under way. One that failed is forgotten when the next begins.
pub(super) struct Begun {
    /// Of one outside a transaction, what was before it.
    pub(super) before: Option<Reading>,
    pub(super) began_ms: f64,
}

/// A step that has ended.
pub(super) struct Doing<'a> {
    pub(super) how: How,
    pub(super) text: &'a str,
    pub(super) rows: Option<u64>,
    pub(super) began_ms: f64,
    pub(super) ended_ms: f64,
}

/// What is known at the end.
pub(super) struct Ending<'a> {
    pub(super) wal: u64,
    pub(super) temp: Option<u64>,
    pub(super) indexes: &'a [Index],
    pub(super) target: &'a Sizes,
    /// The tables of the copy as they were called before the first migration.
    pub(super) names: &'a BTreeMap<u32, String>,
}

/// What a way begins with.
pub(super) struct Beginning<'a> {
    pub(super) pid: i32,
    pub(super) tables: &'a [Table],
    pub(super) indexes: &'a [Index],
    /// The host's own tables.
    pub(super) own: &'a [String],
    pub(super) wal: u64,
    pub(super) temp: Option<u64>,
}

impl Way {
    pub(super) fn begin(version: Version, direction: Direction, with: &Beginning<'_>) -> Self {
        let is_own = |table: &&Table| with.own.contains(&table.relation.to_string());
        let known: Vec<&Table> = with.tables.iter().filter(|table| !is_own(table)).collect();
        let files =
            |table: &Table| with.indexes.iter().filter(|i| i.table == table.oid).map(|i| i.file.clone()).collect();
        let counts = |table: &&Table| {
            let (file, empty) = (table.file.clone(), table.size.rows == Some(0));
            (table.oid, Counts { file, empty, indexes: files(table), ..Counts::default() })
        };
        let before = |table: &&Table| {
            let (relation, view, size) = (table.relation.to_string(), table.view, table.size);
            (table.oid, Before { relation, view, size })
        };
        let toast: BTreeMap<u32, u32> = known.iter().map(|table| (table.toast, table.oid)).collect();
        let indexes = with.indexes.iter().map(|index| (index.oid, index.table));
        let named = known.iter().map(|table| (table.relation.clone(), table.oid));
        Self {
            version,
            direction,
            pid: with.pid,
            paused: Duration::ZERO,
            began: Instant::now(),
            stopped: None,
            tables: known.iter().map(before).collect(),
            part_of: toast.into_iter().chain(indexes.clone()).collect(),
            named: named.chain(with.indexes.iter().map(|index| (index.relation.clone(), index.table))).collect(),
            invalid: with.indexes.iter().filter(|index| !index.valid).map(|index| index.oid).collect(),
            counts: known.iter().map(counts).collect(),
            wal: with.wal,
            wal_seen: with.wal,
            temp: with.temp,
            steps: Vec::new(),
            locks: Vec::new(),
            sightings: Vec::new(),
            samples: 0,
            sampled_ms: 0.0,
            open: None,
            begun: None,
            transactions: 0,
            committed_ms: 0.0,
        }
    }

    pub(super) fn now(&self) -> f64 {
        (self.began.elapsed().saturating_sub(self.paused)).as_secs_f64() * 1e3
    }

    pub(super) fn is_within_a_transaction(&self) -> bool {
        self.open.is_some()
    }

    /// The numbers of the tables that are looked at.
    pub(super) fn tables(&self) -> Vec<u32> {
        self.tables.keys().copied().collect()
    }

    pub(super) fn stop_the_clock(&mut self) {
        self.stopped = Some(self.now());
    }

    pub(super) fn transaction_begins(&mut self, pid: i32, wal: u64) {
        self.pid = pid;
        self.transactions += 1;
        self.count_from_nothing();
        self.open = Some(Open {
            steps: self.steps.len(),
            last: self.steps.last().cloned(),
            locks: self.locks.len(),
            counts: self.counts.clone(),
        });
        // What is written between transactions is the host's.
        self.wal_seen = wal;
    }

    fn count_from_nothing(&mut self) {
        for counts in self.counts.values_mut() {
            (counts.scans, counts.rows_read, counts.inserted, counts.changed) = (0, 0, 0, 0);
        }
    }

    pub(super) fn transaction_ends(&mut self, committed: bool) {
        let Some(open) = self.open.take() else { return };
        if !committed {
            self.steps.truncate(open.steps);
            if let (Some(last), Some(before)) = (self.steps.last_mut(), open.last) {
                *last = before;
            }
            self.locks.truncate(open.locks);
            self.counts = open.counts;
            return;
        }
        let now = self.now();
        self.committed_ms = now;
        for mut lock in self.locks.split_off(open.locks) {
            (lock.held_ms, lock.open) = (now - lock.from_ms, false);
            self.keep(lock);
        }
    }

    pub(super) fn step_begins(&mut self, before: Option<Reading>) {
        self.begun = Some(Begun { before, began_ms: self.now() });
    }

    /// The step under way, if there is one, and the time.
    pub(super) fn step_stops(&mut self) -> Option<(Begun, f64)> {
        let now = self.now();
        self.begun.take().map(|begun| (begun, now))
    }
}
