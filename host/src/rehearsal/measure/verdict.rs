//! What a migration means for those who use the database meanwhile.

use std::time::Duration;

use super::{
    hazards::hazards,
    model::{LockHeld, Measured, Step},
};
use crate::{
    locks::{Blocks, Mode},
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
        let changed = changed.map(move |work| (step.number, work.relation.as_str(), work.rows_changed, high_ms));
        changed.chain(locked_rows(measured, step).map(move |(relation, rows)| (step.number, relation, rows, high_ms)))
    })
}

/// The rows that a step locks and leaves as they are, as `SELECT … FOR UPDATE` does; about as many as it returns.
fn locked_rows<'a>(measured: &'a Measured, step: &'a Step) -> impl Iterator<Item = (&'a str, u64)> {
    let sql = step.sql.split_whitespace().collect::<Vec<_>>().join(" ").to_ascii_lowercase();
    let locks =
        step.transaction.is_some() && ["for update", "for no key update"].iter().any(|words| sql.contains(words));
    let of_step = move |lock: &&LockHeld| locks && lock.step == step.number && lock.mode == Mode::RowShare;
    measured.locks.iter().filter(of_step).map(|lock| (lock.relation.as_str(), step.rows.unwrap_or(1).max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        postgres::How,
        rehearsal::{
            HazardCode,
            measure::{Basis, Estimate, Known, TableWork},
        },
    };

    fn for_ms(high_ms: f64) -> Estimate {
        Estimate { low_ms: 0.0, high_ms, basis: Basis::Constant }
    }

    fn lock(relation: &str, mode: Mode, step: usize, high_ms: f64) -> LockHeld {
        LockHeld {
            relation: relation.into(),
            mode,
            blocks: mode.blocks(),
            step,
            from_ms: 0.0,
            held_ms: 1.0,
            estimate: for_ms(high_ms),
            known: Known::Seen,
        }
    }

    fn step(number: usize, sql: &str, tables: Vec<TableWork>) -> Step {
        Step {
            number,
            text: sql.into(),
            sql: sql.into(),
            how: How::Sql,
            transaction: Some(1),
            began_ms: 0.0,
            duration_ms: 1.0,
            rows: None,
            batches: None,
            wal_bytes: None,
            tables,
            estimate: for_ms(2.0),
        }
    }

    fn scan(relation: &str, target_rows: u64) -> TableWork {
        TableWork {
            relation: relation.into(),
            rewritten: false,
            scans: 1,
            rows_read: target_rows,
            rows_written: 0,
            rows_changed: 0,
            indexes_built: 0,
            copy_bytes: 1 << 20,
            target_bytes: Some(1 << 20),
            target_rows: Some(target_rows),
        }
    }

    fn measured(steps: Vec<Step>, locks: Vec<LockHeld>) -> Measured {
        let invalid_indexes = Vec::new();
        let estimate = for_ms(1.0);
        Measured { duration_ms: 1.0, wal_bytes: 0, temp_bytes: None, steps, locks, invalid_indexes, estimate }
    }

    fn verdict_on(mode: Mode, high_ms: f64) -> Verdict {
        verdict(&measured(vec![], vec![lock("t", mode, 1, high_ms)]), &Settings::default()).0
    }

    #[test]
    fn it_counts_who_waits_and_for_how_long() {
        assert_eq!(verdict_on(Mode::RowExclusive, 1e9), Verdict::OnlineSafe);
        assert_eq!(verdict_on(Mode::ShareUpdateExclusive, 1e9), Verdict::OnlineSafe);
        assert_eq!(verdict_on(Mode::AccessExclusive, 1_000.0), Verdict::BriefLock);
        assert_eq!(verdict_on(Mode::AccessExclusive, 1_001.0), Verdict::BlocksReads);
        assert_eq!(verdict_on(Mode::Share, 60_000.0), Verdict::BlocksWrites);
        assert_eq!(verdict_on(Mode::Share, 60_001.0), Verdict::NeedsWindow);
        let nothing = verdict(&measured(vec![], vec![]), &Settings::default());
        assert_eq!(nothing, (Verdict::OnlineSafe, vec![]));
    }

    #[test]
    fn the_worst_of_several_locks_counts() {
        let locks = vec![lock("a", Mode::Share, 1, 5_000.0), lock("b", Mode::AccessExclusive, 1, 2_000.0)];
        assert_eq!(verdict(&measured(vec![], locks), &Settings::default()).0, Verdict::BlocksReads);
    }

    #[test]
    fn rows_that_are_changed_in_one_go_keep_writers_waiting_and_those_changed_in_batches_do_not() {
        let changed = TableWork { rows_changed: 1_000_000, ..scan("t", 1_000_000) };
        let mut update = step(1, "UPDATE t SET a = 1", vec![changed]);
        update.estimate = for_ms(30_000.0);
        let locks = || vec![lock("t", Mode::RowExclusive, 1, 30_000.0)];
        let (is, hazards) = verdict(&measured(vec![update.clone()], locks()), &Settings::default());
        assert_eq!(
            (is, hazards[0].code, hazards[0].blocks),
            (Verdict::BlocksWrites, HazardCode::LongLock, Blocks::Writes)
        );
        let batched = Step { how: How::Batched, batches: Some(100), ..update.clone() };
        assert_eq!(verdict(&measured(vec![batched], locks()), &Settings::default()), (Verdict::OnlineSafe, vec![]));
        update.estimate = for_ms(500.0);
        assert_eq!(verdict(&measured(vec![update], locks()), &Settings::default()), (Verdict::OnlineSafe, vec![]));
    }

    fn codes(measured: &Measured) -> Vec<HazardCode> {
        verdict(measured, &Settings::default()).1.iter().map(|hazard| hazard.code).collect()
    }

    #[test]
    fn a_hazard_needs_a_lock_that_somebody_waits_for_and_a_table_with_rows() {
        let index = |sql: &str, rows: u64, mode: Mode| {
            let built = TableWork { indexes_built: 1, ..scan("t", rows) };
            codes(&measured(vec![step(1, sql, vec![built])], vec![lock("t", mode, 1, 2.0)]))
        };
        let sql = "CREATE INDEX i ON t (a)";
        assert_eq!(index(sql, 5, Mode::Share), [HazardCode::IndexNotConcurrent]);
        assert_eq!(index(sql, 0, Mode::Share), []);
        assert_eq!(index("CREATE INDEX CONCURRENTLY i ON t (a)", 5, Mode::ShareUpdateExclusive), []);
    }

    #[test]
    fn a_lock_is_held_over_what_is_done_elsewhere_but_not_over_what_is_done_in_another_transaction() {
        let alter = || step(1, "ALTER TABLE a ADD COLUMN n int", vec![]);
        let fill = || step(2, "INSERT INTO c SELECT * FROM b", vec![scan("b", 10_000)]);
        let locks = || vec![lock("a", Mode::AccessExclusive, 1, 2.0)];
        assert_eq!(codes(&measured(vec![alter(), fill()], locks())), [HazardCode::LockHeld]);
        let later = Step { transaction: Some(2), ..fill() };
        assert_eq!(codes(&measured(vec![alter(), later], locks())), []);
        let few = step(2, "INSERT INTO c SELECT * FROM b", vec![scan("b", 10)]);
        assert_eq!(codes(&measured(vec![alter(), few], locks())), [], "a few rows take no time");
    }

    #[test]
    fn names_are_in_the_advice() {
        let sql = "ALTER TABLE app.t ADD CONSTRAINT positive CHECK (n > 0)";
        let step = step(1, sql, vec![scan("app.t", 1000)]);
        let hazards =
            verdict(&measured(vec![step], vec![lock("app.t", Mode::AccessExclusive, 1, 2.0)]), &Settings::default()).1;
        assert_eq!(hazards[0].code, HazardCode::CheckScan);
        let advice = &hazards[0].advice;
        assert!(advice.contains("`ALTER TABLE app.t ADD CONSTRAINT positive CHECK (n > 0) NOT VALID`"), "{advice}");
        assert!(advice.contains("`ALTER TABLE app.t VALIDATE CONSTRAINT positive`"), "{advice}");
    }
}
