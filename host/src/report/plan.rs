//! What a run would do, and what a tryout did.

use std::fmt::Write as _;

use super::{bytes, findings, plural, thousands};
use crate::{
    printable::printable,
    runner::{Moved, NotReached, Plan, Planned, PlannedLock, PlannedStep, TriedAs, TriedMigration, Tryout},
};

/// The text of a plan.
pub fn plan(plan: &Plan) -> String {
    if plan.migrations.is_empty() {
        return "nothing to do\n".into();
    }
    let mut text = findings(&plan.findings);
    if let Some(lint) = &plan.lint {
        text += &super::lint::findings(&lint.findings);
    }
    if plan.backup {
        text += "backup: pg_dump, zstd, read back and compared\n";
    } else {
        text += "no backup\n";
    }
    for migration in &plan.migrations {
        let extent = match (&migration.goes_on_at, migration.atomic) {
            (Some(step), _) => format!("goes on at step {step}"),
            (None, true) => "one transaction".to_owned(),
            (None, false) => "several transactions".to_owned(),
        };
        let _ = writeln!(text, "{} {} ({}, {extent})", plan.direction, migration.name, migration.kind);
        text += &steps(migration);
    }
    text + "nothing was changed\n"
}

fn steps(migration: &Planned) -> String {
    let Some(steps) = &migration.steps else {
        return "  steps: known when the migrations before it have run\n".into();
    };
    let (mut text, mut transaction) = (String::new(), None);
    for planned in steps {
        if !migration.atomic && planned.transaction.is_some() && planned.transaction != transaction {
            let _ = writeln!(text, "  transaction {}:", planned.transaction.unwrap_or_default());
        }
        transaction = planned.transaction;
        let _ = match &planned.step {
            PlannedStep::Sql(summary) => writeln!(text, "  {summary}"),
            PlannedStep::Alone(summary) => writeln!(text, "  in a transaction of its own: {summary}"),
            PlannedStep::Outside { sql, why } => writeln!(text, "  outside a transaction ({why}): {sql}"),
            PlannedStep::Code(name) => writeln!(text, "  code: {name}"),
            PlannedStep::Batched(name) => writeln!(text, "  in batches: {name}"),
        };
        for lock in &planned.locks {
            let _ = writeln!(text, "    {}", of_lock(lock));
        }
        if let Some(why) = planned.locks_unknown {
            let _ = writeln!(text, "    locks not known: {why}");
        }
    }
    text
}

/// `ACCESS EXCLUSIVE on users (1.2 GiB, about 8,000,000 rows), briefly: nobody can read or write it`
fn of_lock(lock: &PlannedLock) -> String {
    let PlannedLock { relation, mode, blocks, work, bytes: size, rows, .. } = lock;
    let Some(size) = size else { return format!("{mode} on {relation} (not there yet)") };
    let rows = rows.map(|rows| format!(", about {} rows", thousands(rows))).unwrap_or_default();
    format!("{mode} on {relation} ({}{rows}), {}: {}", bytes(*size), work.in_words(), blocks.in_words())
}

/// The text of a tryout.
pub fn tryout(tryout: &Tryout) -> String {
    if tryout.migrations.is_empty() && tryout.not_reached.is_empty() && tryout.failed.is_none() {
        return "nothing is pending\n".into();
    }
    let mut text = findings(&tryout.findings);
    text += "all in one transaction: locks are held until its end\n";
    for migration in &tryout.migrations {
        text += &tried_migration(migration);
    }
    for NotReached { name, why } in &tryout.not_reached {
        let _ = writeln!(text, "not tried {name}: {why}");
    }
    for Moved { sequence, from, to } in &tryout.sequences {
        let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "not used yet".into());
        let sequence = printable(sequence);
        let _ = writeln!(text, "not undone: the sequence {sequence} was at {}, now at {}", shown(from), shown(to));
    }
    for slot in &tryout.replication_slots {
        let slot = printable(slot);
        let _ =
            writeln!(text, "not undone: the replication slot {slot} is there now; `pg_drop_replication_slot` drops it");
    }
    text += "a rollback undoes neither sequences nor what reaches beyond the database (other servers, files, logs)\n";
    let _ = writeln!(
        text,
        "rolled back after {} ms; no backup was taken, nothing is in the history or the journal",
        tryout.duration_ms
    );
    text
}

fn tried_migration(migration: &TriedMigration) -> String {
    let TriedMigration { name, kind, outcome, steps, not_tried, execution_time_ms, locks, .. } = migration;
    let how = match outcome {
        TriedAs::Tried => "tried",
        TriedAs::Partly => "tried in part",
        TriedAs::Failed => "failed",
    };
    let mut text = format!("{how} {name} ({kind}, {execution_time_ms} ms)\n");
    for taken in locks {
        let _ = writeln!(text, "  took {} on {}", taken.mode, taken.relation);
    }
    if let Some(not_tried) = not_tried {
        let of = steps.map(|steps| format!(" of {steps}")).unwrap_or_default();
        let _ = writeln!(text, "  not tried: step {}{of}: {}", not_tried.step, not_tried.what);
        let _ = writeln!(text, "    {}", not_tried.why);
        let after = steps.map_or(0, |steps| steps.saturating_sub(not_tried.step));
        let rest = match after {
            0 => String::new(),
            n => format!("the {n} step{} after it, and ", plural(n)),
        };
        let _ = writeln!(text, "  nor {rest}the verification");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::locks::{Blocks, Mode, Work};

    #[test]
    fn a_lock_says_on_what_for_how_long_and_who_waits() {
        let mut lock = PlannedLock {
            relation: "users".into(),
            mode: Mode::Share,
            blocks: Blocks::Writes,
            work: Work::Rewrite,
            exists: true,
            bytes: Some(1_536),
            rows: Some(8_000_000),
        };
        assert_eq!(
            of_lock(&lock),
            "SHARE on users (1.5 KiB, about 8,000,000 rows), while it, or an index, is written anew: nobody can write to it"
        );
        lock.bytes = None;
        assert_eq!(of_lock(&lock), "SHARE on users (not there yet)");
    }
}
