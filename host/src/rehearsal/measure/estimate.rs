//! How long a step, and a lock, will take on the target.
//!
//! An estimate is a range. Its lower end takes the target to be a machine like the copy's with the table in its memory; its upper end one
//! that is busy and reads the table from its disk. What was measured counts for more than any rate: rates are used only where the copy has
//! no rows to measure with.

use super::model::{Basis, Estimate, LockHeld, Step, TableWork};
use crate::postgres::How;

/// So many times as long something takes where others are at work as well: on half of the machine.
const LOAD: f64 = 2.0;
/// So many times as long it takes where a table is read from a disk and not from memory: a scan of what is in memory goes at about 1 GB/s
/// (see [`Rate`]), a disk in the network that was given some throughput at 250 MB/s. The least that Amazon EBS gives, "gp3", is 125 MB/s.
const COLD: f64 = 4.0;
/// A step takes about as long without any rows: to send, parse and plan it, and to lock and write the catalog, in milliseconds.
const OVERHEAD_MS: f64 = 1.0;
/// Tables that differ by no more than this are as large as one another: a vacuum makes as much of a difference.
const SAME: f64 = 1.25;
/// With less than this of a table nothing is measured but the overhead, in bytes.
const TOO_LITTLE: u64 = 1 << 20;
/// So few rows take no longer than the step's overhead.
pub(super) const FEW_ROWS: u64 = 100;

/// How fast a table is worked through, in bytes of it a second, indexes included: the slowest and the fastest.
///
/// Measured on PostgreSQL 15 with 1 million rows of 76 MB and a primary key in memory, on one core of a busy cloud machine: to scan them 1
/// GB/s; an index of integers 220 MB/s, one of texts 30 MB/s; to write the table anew 70 MB/s, with two more indexes 33 MB/s; to update
/// every row 19 MB/s, with two more indexes 8 MB/s. The fastest are those for an idle machine, about twice as fast; the slowest are those with the
/// indexes on a disk that does no more than 125 MB/s, about a third, or for a scan what that disk gives.
struct Rate {
    slowest: f64,
    fastest: f64,
}

const SCAN: Rate = Rate { slowest: 100e6, fastest: 1e9 };
const INDEX: Rate = Rate { slowest: 10e6, fastest: 200e6 };
const REWRITE: Rate = Rate { slowest: 10e6, fastest: 150e6 };
const UPDATE: Rate = Rate { slowest: 2.5e6, fastest: 40e6 };

/// Whether what was done takes the longer, the larger the table is. Rows that come from elsewhere, such as from the statement itself, do
/// not.
pub(super) fn grows(work: &TableWork) -> bool {
    work.rewritten || work.indexes_built > 0 || work.scans > 0 || work.rows_changed >= FEW_ROWS
}

/// How long a step will take.
pub(super) fn step(step: &Step) -> Estimate {
    let measured = step.duration_ms;
    let grown: Vec<(&TableWork, u64)> =
        step.tables.iter().filter(|work| grows(work)).filter_map(|work| Some((work, work.target_bytes?))).collect();
    let most = grown.iter().max_by_key(|(_, target)| *target);
    let Some((most, most_bytes)) = most else {
        return Estimate { low_ms: measured, high_ms: measured * LOAD, basis: Basis::Constant };
    };
    let copy: u64 = grown.iter().map(|(work, _)| work.copy_bytes).sum();
    let target: u64 = grown.iter().map(|(_, target)| target).sum();
    let factor = target as f64 / (copy.max(1)) as f64;
    let relation = most.relation.clone();
    if (1.0 / SAME..=SAME).contains(&factor) {
        return Estimate { low_ms: measured / SAME, high_ms: measured * SAME * LOAD, basis: Basis::SameSize };
    }
    if copy < TOO_LITTLE && factor > 1.0 {
        let at = |rate: fn(&Rate) -> f64| -> f64 {
            grown.iter().map(|(work, target)| *target as f64 / rate(of(work)) * 1e3).sum()
        };
        return Estimate {
            low_ms: measured + at(|rate| rate.fastest),
            high_ms: measured * LOAD + at(|rate| rate.slowest),
            basis: Basis::Assumed { relation, target_bytes: *most_bytes },
        };
    }
    let basis = Basis::Scaled { relation, factor };
    if factor < 1.0 {
        // What does not depend on the table is not less there.
        return Estimate { low_ms: measured * factor, high_ms: measured * LOAD, basis };
    }
    // To sort n rows takes n log n; the rest grows as the table does.
    let sorts = grown.iter().any(|(work, _)| work.rewritten || work.indexes_built > 0);
    let sorting = if sorts { (target as f64).ln() / (copy as f64).ln() } else { 1.0 };
    let growing = (measured - OVERHEAD_MS).max(measured / 2.0);
    Estimate { low_ms: growing * factor, high_ms: measured * factor * sorting * COLD, basis }
}

fn of(work: &TableWork) -> &'static Rate {
    if work.rewritten {
        &REWRITE
    } else if work.indexes_built > 0 {
        &INDEX
    } else if work.rows_changed > 0 {
        &UPDATE
    } else {
        &SCAN
    }
}

/// How long a lock will be held: in a transaction for all of the steps from its own to the last, and until the commit.
/// All of a way that took so long: its steps, and what is beside them: the checks and the commit.
pub(super) fn way(duration_ms: f64, steps: &[Step]) -> Estimate {
    let rest = (duration_ms - steps.iter().map(|step| step.duration_ms).sum::<f64>()).max(0.0);
    let longest = steps.iter().max_by(|a, b| a.estimate.high_ms.total_cmp(&b.estimate.high_ms));
    Estimate {
        low_ms: steps.iter().map(|step| step.estimate.low_ms).sum::<f64>() + rest,
        high_ms: steps.iter().map(|step| step.estimate.high_ms).sum::<f64>() + rest * LOAD,
        basis: longest.map_or(Basis::Constant, |step| step.estimate.basis.clone()),
    }
}

pub(super) fn lock(held: &LockHeld, steps: &[Step]) -> Estimate {
    let constant = Estimate { low_ms: held.held_ms, high_ms: held.held_ms * LOAD, basis: Basis::Constant };
    let Some(own) = held.step.checked_sub(1).and_then(|i| steps.get(i)) else { return constant };
    match (own.how, own.transaction) {
        // Batches are made as long as the operator wants them, however large the table is.
        (How::Batched, _) => constant,
        (_, None) => {
            let share = held.held_ms / own.duration_ms.max(0.001);
            // What is held for a moment of a long statement is held for one there as well, such as to detach a partition.
            if share < 0.5 {
                return constant;
            }
            let Estimate { low_ms, high_ms, basis } = own.estimate.clone();
            Estimate { low_ms: low_ms * share.min(1.0), high_ms: high_ms * share.min(1.0), basis }
        }
        (_, Some(transaction)) => {
            let during = || steps[held.step - 1..].iter().filter(|step| step.transaction == Some(transaction));
            let within: f64 = during().map(|step| step.duration_ms).sum();
            // The constraints that were put off, the checks, and the commit.
            let rest = (held.held_ms - within).max(0.0);
            let longest = during().max_by(|a, b| a.estimate.high_ms.total_cmp(&b.estimate.high_ms));
            Estimate {
                low_ms: during().map(|step| step.estimate.low_ms).sum::<f64>() + rest,
                high_ms: during().map(|step| step.estimate.high_ms).sum::<f64>() + rest * LOAD,
                basis: longest.map_or(Basis::Constant, |step| step.estimate.basis.clone()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        locks::{Blocks, Mode},
        rehearsal::measure::model::Known,
    };

    const MIB: u64 = 1 << 20;

    fn work(copy_bytes: u64, target_bytes: Option<u64>) -> TableWork {
        TableWork {
            relation: "t".into(),
            rewritten: false,
            scans: 1,
            rows_read: 1000,
            rows_written: 0,
            rows_changed: 0,
            indexes_built: 0,
            copy_bytes,
            target_bytes,
            target_rows: None,
        }
    }

    fn a_step(number: usize, duration_ms: f64, tables: Vec<TableWork>) -> Step {
        let constant = Estimate { low_ms: duration_ms, high_ms: duration_ms * LOAD, basis: Basis::Constant };
        let mut one = Step {
            number,
            text: String::new(),
            sql: String::new(),
            how: How::Sql,
            transaction: Some(1),
            began_ms: 0.0,
            duration_ms,
            rows: None,
            batches: None,
            wal_bytes: None,
            tables,
            estimate: constant,
        };
        one.estimate = step(&one);
        one
    }

    fn a_lock(step: usize, held_ms: f64) -> LockHeld {
        LockHeld {
            relation: "t".into(),
            mode: Mode::AccessExclusive,
            blocks: Blocks::ReadsAndWrites,
            step,
            from_ms: 0.0,
            held_ms,
            estimate: Estimate { low_ms: 0.0, high_ms: 0.0, basis: Basis::Constant },
            known: Known::Seen,
        }
    }

    #[test]
    fn what_does_not_grow_is_not_scaled() {
        let rows = TableWork { scans: 0, rows_written: 5000, ..work(MIB, Some(1000 * MIB)) };
        for tables in [vec![], vec![rows], vec![work(MIB, None)]] {
            let estimate = a_step(1, 5.0, tables).estimate;
            assert_eq!((estimate.low_ms, estimate.high_ms, estimate.basis), (5.0, 10.0, Basis::Constant));
        }
    }

    #[test]
    fn tables_of_about_the_same_size_take_about_as_long() {
        let estimate = a_step(1, 100.0, vec![work(100 * MIB, Some(110 * MIB))]).estimate;
        assert_eq!(estimate.basis, Basis::SameSize);
        assert!(estimate.low_ms < 100.0 && estimate.high_ms > 100.0 && estimate.high_ms < 300.0, "{estimate:?}");
    }

    #[test]
    fn a_larger_table_takes_longer_by_as_much_as_it_is_larger_and_more_where_it_is_sorted() {
        let scanned = a_step(1, 100.0, vec![work(10 * MIB, Some(1000 * MIB))]).estimate;
        let Basis::Scaled { relation, factor } = &scanned.basis else { panic!("{scanned:?}") };
        assert_eq!((relation.as_str(), *factor), ("t", 100.0));
        assert!((9_000.0..=10_000.0).contains(&scanned.low_ms), "{scanned:?}");
        assert_eq!(scanned.high_ms, 40_000.0);
        let built = TableWork { indexes_built: 1, ..work(10 * MIB, Some(1000 * MIB)) };
        assert!(a_step(1, 100.0, vec![built]).estimate.high_ms > scanned.high_ms);
    }

    #[test]
    fn a_smaller_table_takes_no_longer() {
        let estimate = a_step(1, 100.0, vec![work(100 * MIB, Some(10 * MIB))]).estimate;
        assert_eq!((estimate.low_ms, estimate.high_ms), (10.0, 200.0));
    }

    #[test]
    fn a_copy_without_rows_is_judged_by_usual_rates() {
        let estimate = |work| a_step(1, 1.0, vec![work]).estimate;
        let read = estimate(work(16 * 1024, Some(10_000 * MIB)));
        assert_eq!(read.basis, Basis::Assumed { relation: "t".into(), target_bytes: 10_000 * MIB });
        assert!(read.low_ms > 5_000.0 && read.high_ms > 100_000.0, "{read:?}");
        let rewritten = estimate(TableWork { rewritten: true, ..work(16 * 1024, Some(10_000 * MIB)) });
        assert!(rewritten.low_ms > read.low_ms && rewritten.high_ms > read.high_ms, "{rewritten:?}");
    }

    #[test]
    fn a_lock_is_held_for_its_step_and_all_after_it_in_its_transaction() {
        let mut steps = vec![
            a_step(1, 50.0, vec![work(10 * MIB, Some(1000 * MIB))]),
            a_step(2, 1.0, vec![]),
            a_step(3, 100.0, vec![work(10 * MIB, Some(1000 * MIB))]),
            a_step(4, 100.0, vec![work(10 * MIB, Some(1000 * MIB))]),
        ];
        steps[3].transaction = Some(2);
        let held = lock(&a_lock(2, 103.0), &steps);
        let (low, high) = (1.0 + steps[2].estimate.low_ms + 2.0, 2.0 + steps[2].estimate.high_ms + 4.0);
        assert_eq!((held.low_ms, held.high_ms), (low, high), "neither the first step nor the other transaction");
        assert_eq!(held.basis, steps[2].estimate.basis);
    }

    #[test]
    fn a_lock_outside_a_transaction_is_held_for_its_share_of_the_statement() {
        let mut step = a_step(1, 100.0, vec![work(10 * MIB, Some(1000 * MIB))]);
        (step.how, step.transaction) = (How::Outside, None);
        let steps = [step];
        assert_eq!(lock(&a_lock(1, 100.0), &steps), steps[0].estimate);
        assert_eq!(lock(&a_lock(1, 5.0), &steps).basis, Basis::Constant, "a moment stays one");
    }

    #[test]
    fn the_lock_of_a_batch_is_as_short_on_the_target() {
        let mut step = a_step(1, 900.0, vec![work(10 * MIB, Some(1000 * MIB))]);
        (step.how, step.batches) = (How::Batched, Some(9));
        assert_eq!(lock(&a_lock(1, 100.0), &[step]).high_ms, 200.0);
    }
}
