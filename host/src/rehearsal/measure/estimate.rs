//! How long a step, and a lock, will take on the target.
//!
//! An estimate is a range. Its lower end takes the target to be a machine like the copy's with the table in its memory; its upper end one
//! that is busy and reads the table from its disk. What was measured counts for more than any rate: rates are used only where the copy has
//! no rows to measure with.

use super::model::{Basis, Estimate, How, LockHeld, Step, TableWork};

/// So many times as long something takes where others are at work as well: on half of the machine.
const LOAD: f64 = 2.0;
/// So many times as long it takes where a table is read from a disk and not from memory. Measured here, a scan of what is in memory goes
/// at about 1 GB/s; a network disk of the usual kind gives 250 MB/s, and at least 125 MB/s (Amazon EBS, "gp3 volumes").
const COLD: f64 = 4.0;
/// A step takes about as long without any rows: to send, parse and plan it, and to lock and write the catalog, in milliseconds.
const OVERHEAD_MS: f64 = 1.0;
/// Tables that differ by no more than this are as large as one another: a vacuum makes as much of a difference.
const SAME: f64 = 1.25;
/// With less than this of a table nothing is measured but the overhead, in bytes.
const TOO_LITTLE: u64 = 1 << 20;
/// So few rows take no longer than the step's overhead.
pub(super) const FEW_ROWS: u64 = 100;

/// How fast the rows of a table are worked through, in bytes of the table a second, indexes included: the slowest and the fastest.
///
/// Where they come from: the fastest were measured on PostgreSQL 15 with a table of 1 million rows in memory, on one core of a cloud
/// machine, and rounded; the slowest are what a disk of 125 MB/s leaves of them that has to read the table, write it, and write the log
/// of that as well.
struct Rate {
    slowest: f64,
    fastest: f64,
}

const SCAN: Rate = Rate { slowest: 100e6, fastest: 1e9 };
const REWRITE: Rate = Rate { slowest: 20e6, fastest: 150e6 };
const INDEX: Rate = Rate { slowest: 20e6, fastest: 200e6 };
const UPDATE: Rate = Rate { slowest: 5e6, fastest: 60e6 };

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
