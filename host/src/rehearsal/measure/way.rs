//! One way of one migration while it is measured.

mod locks;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use self::locks::{Lock, Sighting};
use super::{
    Sizes, estimate,
    forms::{Form, Statement},
    model::{Basis, Estimate, LockHeld, Measured, Step, TableWork},
    reading::{Counts, Reading},
    sizes::{Index, Size, Table},
};
use crate::{
    locks::{Blocks, Mode, PARSED_MAX_BYTES, RelationName, holds_data},
    migration::{Direction, Version},
    postgres::How,
    printable::printable_in,
};

/// What is shown of a statement.
const TEXT_MAX_CHARS: usize = 100;
/// What is kept of one that holds rows.
const HEAD_BYTES: usize = 5 * 1_024;

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

    /// A step has ended well. `before`: of one outside a transaction, what was before it.
    pub(super) fn step_ends(&mut self, doing: Doing<'_>, before: Option<Reading>, after: Reading) {
        let sql = if matches!(doing.how, How::Sql | How::Outside) { kept(doing.text) } else { String::new() };
        let statement = Statement::of(&sql);
        let empties = statement.forms.contains(&Form::Truncate);
        let outside = before.is_some();
        let wal_before = before.as_ref().map_or(self.wal_seen, |before| before.wal);
        if let Some(before) = before {
            self.counts.extend(before.tables);
        }
        let tables = self.work(&after, empties);
        let line = doing.text.split_whitespace().collect::<Vec<_>>().join(" ");
        let step = Step {
            number: self.steps.len() + 1,
            text: printable_in(TEXT_MAX_CHARS, &line),
            sql,
            how: doing.how,
            transaction: (!outside).then_some(self.transactions),
            began_ms: doing.began_ms,
            duration_ms: doing.ended_ms - doing.began_ms,
            rows: doing.rows.filter(|rows| *rows > 0 || tells_rows(&line)),
            batches: (doing.how == How::Batched).then_some(1),
            wal_bytes: Some(after.wal.saturating_sub(wal_before)),
            tables,
            estimate: Estimate { low_ms: 0.0, high_ms: 0.0, basis: Basis::Constant },
        };
        let number = self.add(step);
        self.wal_seen = after.wal;
        if outside {
            self.locks_outside(number, &doing);
        } else {
            self.locks_within(number, &doing, &after);
        }
        if outside {
            self.committed_ms = self.now();
        }
        self.counts.extend(after.tables);
    }

    /// Adds a step, or a batch to its step, and returns its number.
    fn add(&mut self, step: Step) -> usize {
        match self.steps.last_mut() {
            Some(last) if last.how == How::Batched && step.how == How::Batched && last.text == step.text => {
                last.duration_ms = step.began_ms + step.duration_ms - last.began_ms;
                last.batches = Some(last.batches.unwrap_or(1) + 1);
                last.transaction = step.transaction;
                last.wal_bytes = last.wal_bytes.zip(step.wal_bytes).map(|(all, one)| all + one);
                for work in step.tables {
                    match last.tables.iter_mut().find(|table| table.relation == work.relation) {
                        Some(table) => add(table, &work),
                        None => last.tables.push(work),
                    }
                }
                last.number
            }
            _ => {
                let number = step.number;
                self.steps.push(step);
                number
            }
        }
    }

    /// What was done since the last look to tables that were there before.
    fn work(&self, after: &Reading, empties: bool) -> Vec<TableWork> {
        let nothing = Counts::default();
        let of = |(oid, now): (&u32, &Counts)| {
            let table = self.tables.get(oid)?;
            let then = self.counts.get(oid).unwrap_or(&nothing);
            let emptied = empties || (now.empty && !then.empty);
            let rewritten = now.file != then.file && !emptied && !then.file.is_empty();
            let indexes = if emptied { 0 } else { now.indexes.difference(&then.indexes).count() };
            let work = TableWork {
                relation: table.relation.clone(),
                rewritten,
                scans: now.scans.saturating_sub(then.scans),
                rows_read: now.rows_read.saturating_sub(then.rows_read),
                rows_written: (now.inserted + now.changed).saturating_sub(then.inserted + then.changed),
                rows_changed: now.changed.saturating_sub(then.changed),
                indexes_built: indexes as u64,
                copy_bytes: table.size.bytes,
                target_bytes: None,
                target_rows: None,
            };
            let some = work.rewritten || work.scans + work.rows_read + work.rows_written + work.indexes_built > 0;
            some.then_some(work)
        };
        after.tables.iter().filter_map(of).collect()
    }

    /// All of it, with what it will take on the target.
    pub(super) fn measured(mut self, end: &Ending<'_>) -> Measured {
        let zero = self.steps.first().map_or(0.0, |step| step.began_ms);
        let mut steps = std::mem::take(&mut self.steps);
        for step in &mut steps {
            step.began_ms -= zero;
            for work in &mut step.tables {
                let target = self.on_target(&work.relation, end);
                work.target_bytes = target.map(|target| target.bytes);
                work.target_rows = target.and_then(|target| target.rows);
            }
            step.estimate = estimate::step(step);
        }
        let stopped = self.stopped.unwrap_or_else(|| self.now());
        let duration_ms = if self.committed_ms > 0.0 { self.committed_ms - zero } else { stopped - zero };
        let mut locks = Vec::new();
        for lock in self.locks.iter().filter(|lock| !lock.open) {
            let Some(table) = self.tables.get(&lock.table) else { continue };
            let mut held = LockHeld {
                relation: table.relation.clone(),
                mode: lock.mode,
                // Nobody writes into a view of what is elsewhere but to refresh it.
                blocks: if table.view && lock.mode < Mode::AccessExclusive {
                    Blocks::Neither
                } else {
                    lock.mode.blocks()
                },
                step: lock.step,
                from_ms: (lock.from_ms - zero).max(0.0),
                held_ms: lock.held_ms,
                estimate: Estimate { low_ms: 0.0, high_ms: 0.0, basis: Basis::Constant },
                known: lock.known,
            };
            held.estimate = estimate::lock(&held, &steps);
            locks.push(held);
        }
        locks.sort_by(|a, b| a.from_ms.total_cmp(&b.from_ms));
        let invalid = end.indexes.iter().filter(|index| !index.valid && !self.invalid.contains(&index.oid));
        Measured {
            duration_ms: duration_ms.max(0.0),
            wal_bytes: end.wal.saturating_sub(self.wal),
            temp_bytes: self.temp.zip(end.temp).map(|(before, after)| after.saturating_sub(before)),
            steps,
            locks,
            invalid_indexes: invalid.map(|index| index.relation.to_string()).collect(),
        }
    }

    /// The size on the target of a table that may have had another name there, before a migration that was rehearsed earlier.
    fn on_target(&self, relation: &str, end: &Ending<'_>) -> Option<Size> {
        let (oid, _) = self.tables.iter().find(|(_, table)| table.relation == relation)?;
        end.target.get(end.names.get(oid).map_or(relation, String::as_str))
    }
}

fn add(table: &mut TableWork, work: &TableWork) {
    table.rewritten |= work.rewritten;
    table.scans += work.scans;
    table.rows_read += work.rows_read;
    table.rows_written += work.rows_written;
    table.rows_changed += work.rows_changed;
    table.indexes_built += work.indexes_built;
}

/// A statement as far as it is parsed.
fn kept(sql: &str) -> String {
    match sql.len() {
        ..=HEAD_BYTES => sql.to_owned(),
        ..=PARSED_MAX_BYTES if !holds_data(sql) => sql.to_owned(),
        _ => sql[..sql.floor_char_boundary(HEAD_BYTES)].to_owned(),
    }
}

/// Whether the server says of such a statement how many rows it was, even where that is none.
fn tells_rows(line: &str) -> bool {
    let word = line.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    ["insert", "update", "delete", "merge", "copy", "select", "with"].iter().any(|one| word.eq_ignore_ascii_case(one))
}
