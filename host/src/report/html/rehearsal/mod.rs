//! The report of a rehearsal.

mod about;
mod advice;
mod costs;
mod limits;
mod locks;
mod overview;
mod reversibility;
mod schema;
mod timeline;
mod workload;

use maud::html;

#[cfg(test)]
pub use limits::TIMELINES_MAX;

use super::page::{Conclusion, Page, Part};
use crate::{
    printable::printable,
    rehearsal::{Migration, Rehearsal, Verdict},
    report::rehearsal::{self as told},
};

/// All of it.
pub fn page(rehearsal: &Rehearsal) -> String {
    let database = printable(&rehearsal.target.database);
    let mut parts = vec![Part::new("todo", "What to do", advice::body(rehearsal))];
    if !rehearsal.migrations.is_empty() {
        parts.push(Part::new("verdicts", "Verdicts", overview::verdicts(rehearsal)));
        parts.push(Part::new("timeline", "Timeline of steps and locks", timeline::body(rehearsal)));
        parts.push(Part::new("reversibility", "Reversibility", reversibility::body(rehearsal)));
        parts.push(Part::new("schema", "Schema difference", schema::body(rehearsal)));
        parts.push(Part::new("costs", "What each step costs", costs::body(rehearsal)));
    }
    if let Some(workload) = &rehearsal.workload {
        parts.push(Part::new("workload", "What clients felt", workload::body(workload)));
    }
    parts.push(Part::new("copy", "The copy, and what is not claimed", about::copy(rehearsal)));
    parts.push(Part::new("itself", "The rehearsal itself", about::itself(rehearsal)));
    parts.push(Part::new("reading", "How to read this report", about::reading()));
    Page {
        title: format!("Rehearsal of {database}: {}", if rehearsal.passed { "passed" } else { "not passed" }),
        kind: "Rehearsal",
        subject: match rehearsal.migrations.as_slice() {
            [] => format!("Nothing was rehearsed for {database}"),
            [one] if rehearsal.not_reached.is_empty() => format!("{} on a copy of {database}", super::name(&one.name)),
            all => format!("{} on a copy of {database}", crate::report::words::count(all.len(), "migration")),
        },
        conclusion: Conclusion {
            good: rehearsal.passed,
            word: if rehearsal.passed { "Passed:" } else { "Not passed:" },
            sentence: told::why(rehearsal) + ".",
        },
        facts: overview::facts(rehearsal),
        parts,
        colophon: html! {
            "Made by Lockgate " (rehearsal.lockgate) " for run " code { (rehearsal.run_id) }
            ". The same in numbers: " code { "lockgate rehearse --output json" } ", format " (rehearsal.format) "."
        },
    }
    .into_html()
}

/// The link to a migration's costs.
fn link(index: usize) -> String {
    format!("#m{index}")
}

/// How a verdict is coloured; its word says the same.
fn tone(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::OnlineSafe => "good",
        Verdict::BriefLock => "calm",
        Verdict::BlocksWrites => "warn",
        Verdict::BlocksReads | Verdict::NeedsWindow => "bad",
    }
}

/// The verdict as a word in a frame, marked with where the JSON has it.
fn badge(migration: &Migration) -> maud::Markup {
    html! { span.badge.(tone(migration.verdict)) data-word="verdict" { (migration.verdict.as_str()) } }
}
