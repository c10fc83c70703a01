//! The text of a rehearsal, and what the HTML says in the same words.

use std::fmt::Write as _;

use super::{
    View, bytes, findings,
    layout::{Cell, Column, indented_table},
    seconds, thousands, words,
};
use crate::{
    error::Finding,
    locks::Blocks,
    printable::{printable, printable_in, printable_lines},
    rehearsal::{
        Extent, Fault, Felt, Hazard, Migration, Place, Rehearsal, Reversibility, Verdict, Workload, measure::LockHeld,
    },
    schema::{Change, Changed},
};

/// A line of DDL longer than this does not help on a terminal; nor do more lines of one object than that.
const DDL_LINE_MAX_CHARS: usize = 300;
const DDL_LINES_MAX: usize = 40;
/// So many differences between the copy and the target are shown.
const UNLIKE_MAX: usize = 20;

/// The text of a rehearsal: what is wrong and what to do, then the migrations, what clients felt, what is not claimed, and on what
/// it was found out. The last line tells whether it passed.
pub fn rehearsal(rehearsal: &Rehearsal, view: View) -> String {
    let mut text = findings(&rehearsal.findings.iter().map(fit_for_a_line).collect::<Vec<_>>());
    for migration in &rehearsal.migrations {
        for fault in &migration.faults {
            text += &of_fault(&migration.name, fault);
        }
    }
    for fault in rehearsal.together.iter().flat_map(|together| &together.faults) {
        text += &of_fault("all migrations in one run", fault);
    }
    let hazards = rehearsal.migrations.iter().flat_map(|m| m.hazards.iter().map(move |hazard| (m, hazard)));
    let mut hazards: Vec<(&Migration, &Hazard)> = hazards.collect();
    hazards.sort_by_key(|(_, hazard)| (std::cmp::Reverse(hazard.blocks), hazard.code));
    for (migration, hazard) in hazards {
        text += &of_hazard(migration, hazard);
    }
    for name in &rehearsal.not_reached {
        let _ = writeln!(text, "not reached: {}", printable(name));
    }
    if !rehearsal.migrations.is_empty() {
        text += &migrations(&rehearsal.migrations, view);
    }
    if let Some((migration, lock)) = longest_lock(rehearsal) {
        let LockHeld { relation, mode, blocks, held_ms, estimate, .. } = lock;
        let (relation, of) = (printable(relation), printable(&migration.name));
        let (held, there) = (words::duration(*held_ms), words::estimate(estimate));
        let _ = writeln!(
            text,
            "longest lock: {mode} on {relation} for {held} in {of}, on the target {there}: {}",
            blocks.in_words()
        );
    }
    if let Some(workload) = &rehearsal.workload {
        text += &of_workload(workload, view);
    }
    for global in &rehearsal.globals {
        let _ = writeln!(text, "not claimed: {}", printable(global));
    }
    if !rehearsal.migrations.is_empty() {
        text += &copy(rehearsal);
    }
    if !rehearsal.phases.is_empty() {
        let part = |phase: &crate::rehearsal::Phase| format!("{} {}", phase.name, seconds(phase.duration_ms));
        let parts: Vec<String> = rehearsal.phases.iter().map(part).collect();
        let _ = writeln!(text, "took: {}", parts.join(", "));
    }
    let verdict = if rehearsal.passed { "passed" } else { "not passed" };
    let _ = writeln!(text, "{verdict}: {}", why(rehearsal));
    text
}

/// A finding of a component's, whose words are its own.
fn fit_for_a_line(finding: &Finding) -> Finding {
    let Finding { severity, code, message, hint } = finding;
    let hint = hint.as_deref().map(printable);
    Finding { severity: *severity, code: printable(code), message: printable(message), hint }
}

/// Why a rehearsal passed or did not, as the end of a sentence.
pub fn why(rehearsal: &Rehearsal) -> String {
    let Some(worst) = worst(rehearsal) else {
        return if rehearsal.passed { "nothing is pending" } else { "no migration could be rehearsed" }.to_owned();
    };
    let with_faults = rehearsal.migrations.iter().filter(|m| !m.faults.is_empty()).count();
    let faults: usize = rehearsal.migrations.iter().map(|m| m.faults.len()).sum();
    let together = rehearsal.together.as_ref().map_or(0, |together| together.faults.len());
    let rehearsed = words::count(rehearsal.migrations.len(), "migration");
    let was = if rehearsal.migrations.len() == 1 { "was" } else { "were" };
    if rehearsal.passed {
        return format!("{rehearsed} {was} rehearsed; the worst verdict is {}", quoted(worst));
    }
    let mut reasons = Vec::new();
    if faults > 0 {
        reasons.push(format!("{} in {}", words::count(faults, "fault"), words::count(with_faults, "migration")));
    }
    if together > 0 {
        reasons.push(format!("{} in the run of all together", words::count(together, "fault")));
    }
    match rehearsal.not_reached.len() {
        0 => {}
        n => reasons.push(format!("{} not reached", words::count(n, "migration"))),
    }
    match rehearsal.copy.unlike_target.len() {
        0 => {}
        n => reasons.push(format!("the copy differs from the target in {}", words::count(n, "object"))),
    }
    if reasons.is_empty() {
        reasons.push(format!("the worst verdict is {}, which the configuration does not let pass", quoted(worst)));
    }
    reasons.join("; ")
}

fn quoted(verdict: Verdict) -> String {
    format!("“{}”", verdict.as_str())
}

/// The worst verdict; nothing where there is no migration.
pub fn worst(rehearsal: &Rehearsal) -> Option<Verdict> {
    rehearsal.migrations.iter().map(|m| m.verdict).max()
}

/// The lock that somebody waits for who reads or writes rows, and that was held longest on a way up.
pub fn longest_lock(rehearsal: &Rehearsal) -> Option<(&Migration, &LockHeld)> {
    let up = rehearsal.migrations.iter().filter_map(|m| m.up.as_ref().map(|up| (m, up)));
    up.flat_map(|(m, up)| up.locks.iter().map(move |lock| (m, lock)))
        .filter(|(_, lock)| lock.blocks != Blocks::Neither)
        .max_by(|(_, a), (_, b)| a.held_ms.total_cmp(&b.held_ms))
}

/// How long the way up of a migration will take on the target: at least and at most, in milliseconds.
pub fn estimate_of(migration: &Migration) -> Option<(f64, f64)> {
    let estimate = &migration.up.as_ref()?.estimate;
    Some((estimate.low_ms, estimate.high_ms))
}

/// The same of all migrations.
pub fn estimate(rehearsal: &Rehearsal) -> (f64, f64) {
    let each = rehearsal.migrations.iter().filter_map(estimate_of);
    each.fold((0.0, 0.0), |(low, high), (l, h)| (low + l, high + h))
}

/// Where a copy is, in words.
pub fn place(place: Place) -> &'static str {
    match place {
        Place::Scratch => "a database of its own on the target’s server",
        Place::Embedded => "a throwaway server of this machine’s PostgreSQL",
        Place::Container => "a throwaway server in a container",
        Place::Server => "a database of its own on another server",
    }
}

/// What a copy has, in words.
pub fn extent(extent: Extent) -> &'static str {
    match extent {
        Extent::Data => "the schema and all rows",
        Extent::SchemaOnly => "the schema alone",
    }
}

fn of_fault(of: &str, fault: &Fault) -> String {
    let mut text = format!("fault in {}: {} [{}]\n", printable(of), printable(&fault.what), fault.code.as_str());
    if let Some(change) = &fault.change {
        text += &of_change(change);
    }
    text + &format!("  next: {}\n", printable(&fault.advice))
}

fn of_hazard(migration: &Migration, hazard: &Hazard) -> String {
    let Hazard { code, step, relation, what, advice, .. } = hazard;
    format!(
        "hazard in {}, step {step}, {}: {} [{}]\n  next: {}\n",
        printable(&migration.name),
        printable(relation),
        printable(what),
        code.as_str(),
        printable(advice)
    )
}

/// `  index users_email: new`, and its DDL below.
fn of_change(change: &Change) -> String {
    let how = match change.how {
        Changed::Gone => "gone",
        Changed::New => "new",
        Changed::Altered => "altered",
    };
    let mut text = format!("  {} {}: {how}\n", change.kind, printable(&change.name));
    for (sign, ddl) in [('-', &change.before), ('+', &change.after)] {
        let Some(ddl) = ddl else { continue };
        let ddl = printable_lines(ddl);
        for line in ddl.lines().take(DDL_LINES_MAX) {
            let _ = writeln!(text, "    {sign} {}", printable_in(DDL_LINE_MAX_CHARS, line));
        }
        if ddl.lines().nth(DDL_LINES_MAX).is_some() {
            let _ = writeln!(text, "    {sign} …");
        }
    }
    text
}

fn migrations(migrations: &[Migration], view: View) -> String {
    const COLUMNS: [Column; 7] = [
        Column::new("migration"),
        Column::new("verdict"),
        Column::new("taken back"),
        Column::new("faults").right(),
        Column::new("hazards").right(),
        Column::new("took").right().spare(1),
        Column::new("on the target").right(),
    ];
    let mut rows = Vec::new();
    for migration in migrations {
        let reversible = match &migration.reversibility {
            Reversibility::Reversible => "reversible",
            Reversibility::Irreversible(_) => "irreversible",
            Reversibility::Faulty => "faulty",
            Reversibility::NotTried => "not tried",
        };
        let took = migration.up.as_ref().map(|up| words::duration(up.duration_ms));
        let estimate = estimate_of(migration).map(|(low, high)| words::range(low, high));
        let cells = [
            printable(&migration.name),
            migration.verdict.as_str().to_owned(),
            reversible.to_owned(),
            migration.faults.len().to_string(),
            migration.hazards.len().to_string(),
            took.unwrap_or_else(|| "–".into()),
            estimate.unwrap_or_else(|| "–".into()),
        ];
        rows.push(cells.map(Cell::from).to_vec());
    }
    indented_table(" ", &COLUMNS, &rows, 2, view)
}

fn of_workload(workload: &Workload, view: View) -> String {
    let clients = words::count(workload.clients as usize, "client");
    let mut text = format!("{clients} ran {}:\n", printable(&workload.file));
    const COLUMNS: [Column; 6] = [
        Column::new("phase"),
        Column::new("done").right(),
        Column::new("failed").right(),
        Column::new("half within").right(),
        Column::new("95 % within").right(),
        Column::new("longest").right(),
    ];
    let cells = |felt: &Felt| {
        let cells = [
            printable(&felt.phase),
            thousands(felt.done),
            thousands(felt.failed),
            words::duration(felt.p50_ms),
            words::duration(felt.p95_ms),
            words::duration(felt.max_ms),
        ];
        cells.map(Cell::from).to_vec()
    };
    let rows: Vec<Vec<Cell>> = workload.phases.iter().map(cells).collect();
    text += &indented_table("   ", &COLUMNS, &rows, 1, view);
    for felt in &workload.phases {
        // The most frequent comes first.
        if let Some(error) = felt.errors.first() {
            let (phase, message, statement) =
                (printable(&felt.phase), printable(&error.message), printable(&error.statement));
            let _ = writeln!(text, "  {phase}: {} times: {message} ({statement})", thousands(error.times));
        }
    }
    text
}

/// On what it was found out, and how that differs from the target.
fn copy(rehearsal: &Rehearsal) -> String {
    let copy = &rehearsal.copy;
    let masked = copy.masked.as_ref().map_or(String::new(), |file| format!(", masked by {}", printable(file)));
    let mut text = format!(
        "copy: {}, PostgreSQL {}; of backup {} of {:.0}; {}, {}{masked}\n",
        place(copy.on),
        printable(&copy.server_version),
        printable(&copy.backup),
        copy.taken_at,
        extent(copy.extent),
        bytes(copy.bytes),
    );
    if !copy.unlike_target.is_empty() {
        text += "the target differs from it (- copy, + target):\n";
    }
    for change in copy.unlike_target.iter().take(UNLIKE_MAX) {
        text += &of_change(change);
    }
    match copy.unlike_target.len().saturating_sub(UNLIKE_MAX) {
        0 => {}
        n => {
            text += &format!("the target differs from it in {} more (all: --output json)\n", words::count(n, "object"))
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::html::samples;

    #[test]
    fn a_copy_that_is_unlike_the_target_is_a_reason_of_its_own() {
        let mut told = Rehearsal { passed: false, ..samples::passing() };
        told.copy.unlike_target = samples::rich().copy.unlike_target;
        assert_eq!(why(&told), "the copy differs from the target in 1 object");
        told.copy.unlike_target.clear();
        assert!(why(&told).contains("which the configuration does not let pass"), "{}", why(&told));
    }

    #[test]
    fn what_is_wrong_comes_first_and_whether_it_passed_last() {
        let text = rehearsal(&samples::rich(), View::default());
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("warn: "), "{text}");
        assert!(lines[2].starts_with("fault in 004_add_invoices: "), "{text}");
        let last = lines.last().copied().unwrap_or_default();
        assert_eq!(
            last,
            "not passed: 2 faults in 1 migration; 1 migration not reached; the copy differs from the target in 1 object",
            "{text}"
        );
        let at = |start: &str| {
            lines
                .iter()
                .position(|line| line.trim_start().starts_with(start))
                .unwrap_or_else(|| panic!("{start}: {text}"))
        };
        let order = [
            "fault in",
            "hazard in",
            "not reached: ",
            "migration ",
            "longest lock: ",
            "8 clients ran",
            "not claimed: ",
            "copy: ",
            "took: ",
        ];
        assert!(order.windows(2).all(|pair| at(pair[0]) < at(pair[1])), "{text}");
        assert!(text.contains("    + CREATE INDEX invoices_customer_idx"), "{text}");
    }

    #[test]
    fn a_rehearsal_passes_or_fails_for_a_reason() {
        let mut rehearsal = samples::passing();
        assert_eq!(why(&rehearsal), "2 migrations were rehearsed; the worst verdict is “brief lock”");
        rehearsal.passed = false;
        let reason = "the worst verdict is “brief lock”, which the configuration does not let pass";
        assert_eq!(why(&rehearsal), reason);
        rehearsal.copy.unlike_target = samples::rich().copy.unlike_target;
        assert_eq!(why(&rehearsal), "the copy differs from the target in 1 object");
        rehearsal.migrations.clear();
        rehearsal.passed = true;
        assert_eq!(why(&rehearsal), "nothing is pending");
    }

    #[test]
    fn nobody_forges_a_line_of_the_text() {
        let text = rehearsal(&samples::hostile(), View::default());
        assert!(!text.contains(['\u{1b}', '\u{202e}', '\r']), "{text}");
        assert!(!text.lines().any(|line| line == "passed: all is well"), "{text}");
    }

    #[test]
    fn the_longest_lock_is_one_that_somebody_waits_for() {
        let rich = samples::rich();
        let (migration, lock) = longest_lock(&rich).unwrap();
        assert_eq!((migration.name.as_str(), lock.relation.as_str()), ("003_amounts_in_cents", "orders"));
        let mut quiet = samples::passing();
        for lock in quiet.migrations.iter_mut().filter_map(|m| m.up.as_mut()).flat_map(|up| &mut up.locks) {
            lock.blocks = Blocks::Neither;
        }
        assert!(longest_lock(&quiet).is_none());
    }
}
