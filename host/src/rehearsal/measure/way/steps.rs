//! The steps of a way, and what each did to tables that were there before.

use super::{
    super::{
        forms::{Form, Statement},
        model::{Basis, Estimate, Step, TableWork},
        reading::{Counts, Reading},
    },
    Doing, Way,
};
use crate::{
    locks::{PARSED_MAX_BYTES, holds_data},
    postgres::How,
    printable::printable_in,
};

/// What is shown of a statement.
const TEXT_MAX_CHARS: usize = 100;
/// What is kept of one that holds rows.
const HEAD_BYTES: usize = 5 * 1_024;

impl Way {
    /// A step has ended well. `before`: of one outside a transaction, what was before it.
    pub(in super::super) fn step_ends(&mut self, doing: Doing<'_>, before: Option<Reading>, after: Reading) {
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
