//! What a way has come to, and what it will take on the target.

use super::{
    super::{
        estimate,
        model::{Basis, Estimate, LockHeld, Measured},
        sizes::Size,
    },
    Ending, Way,
};
use crate::locks::{Blocks, Mode};

impl Way {
    /// All of it, with what it will take on the target.
    pub(in super::super) fn measured(mut self, end: &Ending<'_>) -> Measured {
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
        let duration_ms = duration_ms.max(0.0);
        Measured {
            estimate: estimate::way(duration_ms, &steps),
            duration_ms,
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
