//! The copy, what is not claimed, the rehearsal itself, and how to read all of it.

use maud::{Markup, html};

use super::schema;
use crate::{
    printable::printable,
    rehearsal::{Rehearsal, Verdict},
    report::{
        html::{findings, name, numbers, table, when},
        rehearsal::{extent, place},
        words::count,
    },
};

/// So many globals are named.
const GLOBALS_MAX: usize = 100;
/// So many differences between copy and target are shown.
const UNLIKE_MAX: usize = 100;

/// The database that was rehearsed on, how it differs from the target, and what is not claimed.
pub fn copy(rehearsal: &Rehearsal) -> Markup {
    let copy = &rehearsal.copy;
    html! {
        dl.pairs data-at="copy" {
            div { dt { "Where" } dd { (place(copy.on)) ", database " code { (name(&copy.database)) } } }
            div { dt { "Server" } dd { "PostgreSQL " (name(&copy.server_version)) } }
            div { dt { "Made of the backup" } dd { code { (name(&copy.backup)) } span.why { "taken " (when(copy.taken_at)) } } }
            div { dt { "Has" } dd { (extent(copy.extent)) ", " (numbers::size("bytes", copy.bytes)) } }
            div { dt { "Personal data" } dd { @match &copy.masked { Some(file) => { "masked by " code { (name(file)) } }, None => "as in the backup: nothing masked it" } } }
            div { dt { "Schema of the target" } dd { code { (name(&rehearsal.target.schema_fingerprint)) } } }
        }
        @if copy.unlike_target.is_empty() {
            p { "Its schema was that of the target when the rehearsal began." }
        } @else {
            h3 { "How the target differs from it" }
            p { "What was found out on the copy holds for the target as far as these do not matter. Before is the copy, after is the target." }
            details open[copy.unlike_target.len() <= 5] {
                summary { span data-at="copy" data-count="unlike_target" { (crate::report::thousands(copy.unlike_target.len() as u64)) } (if copy.unlike_target.len() == 1 { " difference" } else { " differences" }) }
                (schema::changes(&copy.unlike_target, UNLIKE_MAX))
            }
        }
        h3 { "Not claimed" }
        @if rehearsal.globals.is_empty() {
            p { "The migrations change nothing that belongs to the server and not to the database, such as roles." }
        } @else {
            p { "These belong to the server and not to the database. A rehearsal on a copy says nothing about them: look at them by eye." }
            ul { @for global in rehearsal.globals.iter().take(GLOBALS_MAX) { li { (printable(global)) } } }
            @if rehearsal.globals.len() > GLOBALS_MAX { p.quiet { (count(rehearsal.globals.len() - GLOBALS_MAX, "more")) " in the JSON." } }
        }
    }
}

/// What checks found, and how long each phase took.
pub fn itself(rehearsal: &Rehearsal) -> Markup {
    let rows = html! {
        @for (k, phase) in rehearsal.phases.iter().enumerate() {
            tr data-at={ "phases." (k) } {
                th scope="row" { (phase.name) }
                td.r { (numbers::whole_ms("duration_ms", phase.duration_ms)) }
            }
        }
    };
    html! {
        @if !rehearsal.findings.is_empty() { h3 { "Findings" } (findings(&rehearsal.findings)) }
        p data-at="" { "All of it took " (numbers::whole_ms("duration_ms", rehearsal.duration_ms)) "." }
        @if !rehearsal.phases.is_empty() { (table("Phases of the rehearsal", "phases", &[("Phase", ""), ("Took", "r")], rows)) }
    }
}

/// What the words mean.
pub fn reading() -> Markup {
    let verdicts = [
        (Verdict::OnlineSafe, "Nobody waits who only reads or writes rows."),
        (Verdict::BriefLock, "Some wait, but for no longer than the setting brief_ms says (a second unless set)."),
        (Verdict::BlocksWrites, "Who writes to a table waits for longer than that. Reads go on."),
        (Verdict::BlocksReads, "Who reads or writes a table waits for longer than that."),
        (Verdict::NeedsWindow, "Somebody waits for longer than the setting window_s says (a minute unless set)."),
    ];
    html! {
        h3 { "Verdicts, the mildest first" }
        dl.pairs { @for (verdict, meaning) in verdicts { div { dt { span.badge.(super::tone(verdict)) { (verdict.as_str()) } } dd { (meaning) } } } }
        h3 { "Faults and hazards" }
        p { "A fault is something wrong with a migration: it fails, or its way back does not bring everything back. A fault always fails the rehearsal." }
        p { "A hazard is something that takes long while others wait, or will on tables as large as the target’s. It fails the rehearsal where the setting fail_on says so." }
        h3 { "Estimates" }
        p {
            "An estimate is a range. What was read or written whole grows with the table; everything else takes as long as here. "
            "The lower end holds for a server that is idle and has the table in memory, the upper end for one that is busy and reads from the disk. Each says what it rests on."
        }
        h3 { "Locks" }
        p { "Seen locks were found in pg_locks by a second connection. Locks too short to be seen follow from the statement. A lock that has to wait behind a long transaction lets everybody else wait behind it; that cannot be rehearsed." }
    }
}
