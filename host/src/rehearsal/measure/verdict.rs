//! What a migration means for those who use the database meanwhile.

use std::time::Duration;

use super::{hazards::hazards, model::Measured};
use crate::{
    locks::Blocks,
    rehearsal::{Hazard, Settings, Verdict},
};

/// Judges one way of a migration by how long others may have to wait on the target, and names what makes them.
///
/// The upper end of each estimate counts: who is told that a lock is brief relies on it.
pub fn verdict(measured: &Measured, settings: &Settings) -> (Verdict, Vec<Hazard>) {
    let held = measured.locks.iter().map(|lock| (lock.blocks, lock.estimate.high_ms));
    let rows = changed_rows(measured).filter(|(.., high_ms)| *high_ms > ms(settings.brief));
    let waits = held.chain(rows.map(|(.., high_ms)| (Blocks::Writes, high_ms)));
    let verdict = waits.map(|(blocks, high_ms)| of(blocks, high_ms, settings)).max();
    (verdict.unwrap_or(Verdict::OnlineSafe), hazards(measured, settings))
}

fn of(blocks: Blocks, high_ms: f64, settings: &Settings) -> Verdict {
    match blocks {
        Blocks::Neither => Verdict::OnlineSafe,
        _ if high_ms <= ms(settings.brief) => Verdict::BriefLock,
        _ if high_ms > ms(settings.window) => Verdict::NeedsWindow,
        Blocks::Writes => Verdict::BlocksWrites,
        Blocks::ReadsAndWrites => Verdict::BlocksReads,
    }
}

pub(super) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// The rows that are changed in one go, which nobody else can change until the commit: the number of the step, the table, how many, and
/// how long that is. Batches keep theirs for as long as the operator wants a batch to take.
pub(super) fn changed_rows(measured: &Measured) -> impl Iterator<Item = (usize, &str, u64, f64)> {
    measured.steps.iter().flat_map(move |step| {
        let until_commit = measured.steps[step.number - 1..].iter().filter(move |later| {
            later.transaction.is_some() && later.transaction == step.transaction && step.batches.is_none()
        });
        let high_ms: f64 = until_commit.map(|step| step.estimate.high_ms).sum();
        let changed = step.tables.iter().filter(|work| work.rows_changed > 0);
        changed.map(move |work| (step.number, work.relation.as_str(), work.rows_changed, high_ms))
    })
}
