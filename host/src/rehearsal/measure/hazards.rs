//! What makes others wait, found in what was measured, named after what was written, with what to write instead.

mod written;

use self::written::named;
use super::{
    estimate::{FEW_ROWS, grows},
    forms::{Form, Statement},
    model::{LockHeld, Measured, Step, TableWork},
    verdict::{changed_rows, ms},
};
use crate::{
    locks::{Blocks, RelationName},
    postgres::How,
    rehearsal::{Hazard, HazardCode, Settings},
};

/// So small a table is read whole where a larger one is looked up in an index: eight pages, with those of an index.
const FEW_PAGES_BYTES: u64 = 64 * 1024;

/// All hazards of a way, in the order of its steps. They are told whenever others wait for work that grows with a table, however small
/// that is today; how large it is on the target is said with each, and the verdict says whether it matters there.
pub(super) fn hazards(measured: &Measured, settings: &Settings) -> Vec<Hazard> {
    let mut found: Vec<Hazard> = measured.steps.iter().flat_map(|step| of_step(measured, step)).collect();
    found.extend(held_over(measured, settings, &found));
    found.extend(rows_held(measured, settings, &found));
    found.extend(measured.invalid_indexes.iter().map(|index| invalid(measured, index)));
    found.sort_by_key(|hazard| hazard.step);
    found
}

/// The strongest lock on a table while a step ran, among those that somebody waits for.
fn blocking<'a>(measured: &'a Measured, step: &Step, relation: &str) -> Option<&'a LockHeld> {
    let on_it = measured.locks.iter().filter(|lock| lock.relation == relation && lock.blocks > Blocks::Neither);
    on_it.filter(|lock| covers(measured, lock, step)).max_by_key(|lock| lock.mode)
}

/// Whether a lock is held while a step runs.
fn covers(measured: &Measured, lock: &LockHeld, step: &Step) -> bool {
    let taken = measured.steps.get(lock.step.wrapping_sub(1));
    lock.step == step.number
        || (lock.step < step.number
            && step.transaction.is_some()
            && taken.is_some_and(|taken| taken.transaction == step.transaction && taken.how != How::Batched))
}

/// Whether there is anything in the table that work could grow with.
fn has_rows(work: &TableWork) -> bool {
    match (work.target_rows, work.target_bytes) {
        (Some(rows), _) => rows > 0,
        (None, Some(bytes)) => bytes > 0,
        (None, None) => work.rows_read + work.rows_changed > 0,
    }
}

/// What a step does to a table while it keeps others from it by itself.
fn of_step(measured: &Measured, step: &Step) -> Vec<Hazard> {
    // The locks of a batch are as short as the operator wants them.
    if step.how == How::Batched {
        return Vec::new();
    }
    let statement = Statement::of(&step.sql);
    let mut found: Vec<Hazard> = Vec::new();
    let mut works: Vec<&TableWork> = step.tables.iter().filter(|work| grows(work) && has_rows(work)).collect();
    works.sort_by_key(|work| std::cmp::Reverse(work.target_bytes.unwrap_or(work.copy_bytes)));
    for work in works {
        let Some(lock) = blocking(measured, step, &work.relation) else { continue };
        let told = named(&statement, work).or_else(|| {
            let by_itself = lock.step == step.number && (work.scans > 0 || work.rows_changed >= FEW_ROWS);
            by_itself.then(|| long_lock(step, work))
        });
        let Some((code, what, advice)) = told.filter(|_| !is_other_end(&statement, &work.relation)) else { continue };
        // Of partitions and the like, the largest stands for the others.
        if found.iter().any(|largest| largest.code == code) {
            continue;
        }
        let (blocks, relation) = (lock.blocks, work.relation.clone());
        let what = format!("{what}, {}: {}", size(work), blocks.in_words());
        found.push(Hazard { code, step: step.number, relation, blocks, what, advice });
    }
    found
}

/// Whether a table is no more than what a new foreign key points at: it is told with the table that has the key.
fn is_other_end(statement: &Statement, relation: &str) -> bool {
    let is_pointed_at =
        |form: &Form| matches!(form, Form::AddForeignKey { references: Some(table), .. } if is_named(table, relation));
    let is_altered = statement.table.as_ref().is_some_and(|table| is_named(table, relation));
    !is_altered && statement.forms.iter().any(is_pointed_at)
}

/// Whether a name, as it is written, may be that of a relation.
fn is_named(table: &RelationName, relation: &str) -> bool {
    let bare = RelationName::bare(table.name.clone()).to_string();
    relation == table.to_string() || relation.rsplit('.').next() == Some(bare.as_str())
}

fn long_lock(step: &Step, work: &TableWork) -> (HazardCode, String, String) {
    let (what, advice) = match work.rows_changed {
        0 => ("is read to its end", "read it before the lock is taken, in a migration of its own"),
        _ => ("has its rows changed", "change the rows in batches, in a migration of its own"),
    };
    (
        HazardCode::LongLock,
        format!("`{}` {what} while step {} (`{}`) has it locked", work.relation, step.number, step.text),
        advice.to_owned(),
    )
}

/// The locks that a step took and that are held while a later one works.
fn held_over(measured: &Measured, settings: &Settings, own: &[Hazard]) -> Vec<Hazard> {
    let mut found: Vec<Hazard> = Vec::new();
    for lock in measured.locks.iter().filter(|lock| lock.blocks > Blocks::Neither) {
        let is_told = |step: &Step| {
            own.iter().any(|h| h.step == step.number && h.relation == lock.relation && h.blocks >= lock.blocks)
        };
        let later = measured.steps.iter().filter(|step| {
            step.number > lock.step && covers(measured, lock, step) && takes_long(step, settings) && !is_told(step)
        });
        let Some(longest) = later.max_by(|a, b| a.estimate.high_ms.total_cmp(&b.estimate.high_ms)) else { continue };
        let Some(taken) = measured.steps.get(lock.step.wrapping_sub(1)) else { continue };
        // Of several locks on a table, the strongest was said with its own step.
        if found.iter().any(|h| h.relation == lock.relation && h.blocks >= lock.blocks) {
            continue;
        }
        let works_on = longest.tables.iter().filter(|work| grows(work)).max_by_key(|work| work.target_bytes);
        let on = works_on.map_or(String::new(), |work| format!(" works on `{}`, {}", work.relation, size(work)));
        let on = if on.is_empty() { " takes long".to_owned() } else { on };
        found.push(Hazard {
            code: HazardCode::LockHeld,
            step: lock.step,
            relation: lock.relation.clone(),
            blocks: lock.blocks,
            what: format!(
                "the lock on `{}` that step {} (`{}`) takes is held while step {} (`{}`){on}: {}",
                lock.relation,
                lock.step,
                taken.text,
                longest.number,
                longest.text,
                lock.blocks.in_words()
            ),
            advice: format!(
                "put step {} into a migration of its own, so that the lock of step {} ends before it{}",
                longest.number,
                lock.step,
                if longest.tables.iter().any(|work| work.rows_changed > 0) { "; in batches, best" } else { "" }
            ),
        });
    }
    found
}

/// Whether a step takes the longer the larger a table is, and does so to more than a few rows; or takes long in any case.
fn takes_long(step: &Step, settings: &Settings) -> bool {
    let is_long = |work: &TableWork| {
        let on_target = work.target_rows.is_none_or(|rows| rows >= FEW_ROWS);
        // A table of a few pages is read whole to find one row of it; a larger one would not be.
        let is_read = work.rows_read == 0 || (work.rows_read >= FEW_ROWS && work.copy_bytes > FEW_PAGES_BYTES);
        let is_worked = work.rewritten || work.indexes_built > 0 || work.rows_changed >= FEW_ROWS || is_read;
        grows(work) && has_rows(work) && on_target && is_worked
    };
    step.tables.iter().any(is_long) || step.estimate.high_ms > ms(settings.brief)
}

/// Rows that nobody else can change for long. Only where that is more than brief: most migrations change a few rows.
fn rows_held(measured: &Measured, settings: &Settings, found: &[Hazard]) -> Vec<Hazard> {
    let long = changed_rows(measured).filter(|(step, relation, _, high_ms)| {
        let is_told = found.iter().any(|h| h.step <= *step && h.relation == *relation);
        *high_ms > ms(settings.brief) && !is_told
    });
    let told = |(step, relation, rows, _): (usize, &str, u64, f64)| Hazard {
        code: HazardCode::LongLock,
        step,
        relation: relation.to_owned(),
        blocks: Blocks::Writes,
        what: format!(
            "{rows} rows of `{relation}` (on the copy) are changed in one transaction, and nobody else can change them until it ends"
        ),
        advice: "change them in batches: a `batched` step of a component commits after each".to_owned(),
    };
    long.map(told).collect()
}

fn invalid(measured: &Measured, index: &str) -> Hazard {
    let step = measured.steps.iter().rfind(|step| step.how == How::Outside).or(measured.steps.last());
    Hazard {
        code: HazardCode::InvalidIndex,
        step: step.map_or(1, |step| step.number),
        relation: index.to_owned(),
        blocks: Blocks::Neither,
        what: format!("the index `{index}` is left INVALID: no query uses it, and every write keeps it up to date"),
        advice: format!(
            "find out why it could not be built, then `DROP INDEX CONCURRENTLY {index}` or `REINDEX INDEX CONCURRENTLY {index}`"
        ),
    }
}

/// `about 1200000 rows, 340 MiB on the target`
fn size(work: &TableWork) -> String {
    let bytes = |bytes: u64| match bytes {
        0..0x10_0000 => format!("{} KiB", bytes.div_ceil(1024)),
        0x10_0000..0x4000_0000 => format!("{} MiB", bytes >> 20),
        _ => format!("{:.1} GiB", bytes as f64 / 1_073_741_824.0),
    };
    match (work.target_rows, work.target_bytes) {
        (Some(rows), Some(size)) => format!("about {rows} rows, {} on the target", bytes(size)),
        (None, Some(size)) => format!("{} on the target", bytes(size)),
        _ => format!("{} on the copy", bytes(work.copy_bytes)),
    }
}
