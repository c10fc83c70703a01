//! What each step takes, here and on the target, and why.

use maud::{Markup, html};

use super::{badge, limits, locks};
use crate::{
    postgres::How,
    printable::printable,
    rehearsal::{
        Migration, Rehearsal,
        measure::{Measured, Step, TableWork},
    },
    report::{
        html::{name, numbers, soft, table},
        thousands,
        words::{self, count},
    },
};

/// As much of a statement as a cell has room for.
const TEXT_MAX_CHARS: usize = 160;
/// So many tables of one step are told of.
const TABLES_MAX: usize = 6;

/// One fold a migration, and the target of all links to it.
pub fn body(rehearsal: &Rehearsal) -> Markup {
    let max = limits::steps_each(rehearsal.migrations.len());
    let few = rehearsal.migrations.len() <= 4;
    let drawn = limits::with_timeline(&rehearsal.migrations);
    html! {
        p { "What each statement, or step of a component, took on the copy, and how long it will take on the target by the sizes of the tables there." }
        @for (i, m) in rehearsal.migrations.iter().enumerate() {
            details.fold #{ "m" (i) } open[few] data-at={ "migrations." (i) } {
                summary { h3 { (soft(&m.name)) } " " (badge(m)) }
                (of_one(i, m, max))
                @if let Some(up) = m.up.as_ref().filter(|up| !up.locks.is_empty() && drawn.binary_search(&i).is_err()) {
                    (locks::table_of(&format!("migrations.{i}.up.locks"), &up.locks, &m.name, limits::locks_each(rehearsal.migrations.len())))
                }
            }
        }
    }
}

fn of_one(index: usize, m: &Migration, max: usize) -> Markup {
    html! {
        p.quiet { "File " code { (name(&m.filename)) } ", SHA-256 " code { (m.checksum.short()) "…" } }
        @for (way, title, measured) in [("up", "Way up", &m.up), ("down", "Way down", &m.down)] {
            @if let Some(measured) = measured {
                h4 { (title) ": " (numbers::ms(&format!("{way}.duration_ms"), measured.duration_ms)) }
                (of_way(&format!("migrations.{index}.{way}"), title, &m.name, measured, max))
            }
        }
        @if m.up.is_none() { p { "Its way up did not come to its end: there is nothing to measure." } }
    }
}

fn of_way(at: &str, title: &str, of: &str, measured: &Measured, max: usize) -> Markup {
    let head = [
        ("Step", "r"),
        ("What", "text"),
        ("Took here", "r"),
        ("Rows", "r"),
        ("Write-ahead log", "r"),
        ("Tables that were there before", ""),
        ("Estimate on the target", ""),
    ];
    let shown = limits::longest(&measured.steps, max);
    // Where there is one transaction alone, its number says nothing.
    let several = measured.steps.iter().any(|step| step.transaction.is_some_and(|number| number > 1));
    let rows = html! { @for (k, step) in &shown { (row(&format!("{at}.steps.{k}"), step, several)) } };
    let rest = measured.steps.len() - shown.len();
    let caption = format!("{title} of {}, one row a step", name(of));
    html! {
        div data-at=(at) {
            p.quiet {
                "In all " (numbers::size("wal_bytes", measured.wal_bytes)) " of write-ahead log"
                @if let Some(temp) = measured.temp_bytes { ", " (numbers::size("temp_bytes", temp)) " of temporary files" }
                ", " span data-count="steps" { (thousands(measured.steps.len() as u64)) } (if measured.steps.len() == 1 { " step." } else { " steps." })
            }
            @if !measured.invalid_indexes.is_empty() {
                p { b { "Left invalid: " } @for index in measured.invalid_indexes.iter().take(20) { code { (name(index)) } " " } }
            }
            @if !shown.is_empty() { (table(&caption, "costs", &head, rows)) }
            @if rest > 0 { p.quiet { (count(rest, "shorter step")) " in the JSON." } }
        }
    }
}

fn row(at: &str, step: &Step, several_transactions: bool) -> Markup {
    let how = match step.how {
        How::Sql => "in a transaction",
        How::Outside => "outside a transaction",
        How::Code => "a component’s code",
        How::Batched => "in batches",
    };
    html! {
        tr data-at=(at) {
            td.r { (numbers::n("number", step.number as u64)) }
            td.text {
                code { (crate::printable::printable_in(TEXT_MAX_CHARS, &step.text)) }
                span.why {
                    (how)
                    @if let Some(number) = step.transaction.filter(|_| several_transactions && step.batches.is_none()) {
                        ", " @if step.how == How::Sql { "number " } @else { "transaction " } (numbers::n("transaction", number as u64))
                    }
                    @if let Some(batches) = step.batches { ", " (numbers::n("batches", batches)) " of them" }
                }
            }
            td.r { (numbers::ms("duration_ms", step.duration_ms)) }
            td.r { (numbers::known(step.rows, |rows| numbers::n("rows", rows))) }
            td.r { (numbers::known(step.wal_bytes, |n| numbers::size("wal_bytes", n))) }
            td {
                @for (k, work) in step.tables.iter().take(TABLES_MAX).enumerate() { (of_table(&format!("{at}.tables.{k}"), work)) }
                @if step.tables.len() > TABLES_MAX { span.why { (count(step.tables.len() - TABLES_MAX, "more table")) " in the JSON" } }
                @if step.tables.is_empty() { span.none { "none" } }
            }
            td { span.num data-range="estimate" { (words::estimate(&step.estimate)) } span.why { (printable(&words::basis(&step.estimate.basis))) } }
        }
    }
}

fn of_table(at: &str, work: &TableWork) -> Markup {
    html! {
        div data-at=(at) {
            code { (name(&work.relation)) }
            @if work.rewritten { " " span.badge.warn { "rewritten" } }
            span.why {
                @if work.scans > 0 { "read whole " (numbers::n("scans", work.scans)) (if work.scans == 1 { " time, " } else { " times, " }) (numbers::n("rows_read", work.rows_read)) " rows; " }
                @if work.rows_written > 0 { (numbers::n("rows_written", work.rows_written)) " rows written"
                    @if work.rows_changed > 0 { ", " (numbers::n("rows_changed", work.rows_changed)) " of which were there before" }
                    "; "
                }
                @if work.indexes_built > 0 { (numbers::n("indexes_built", work.indexes_built)) (if work.indexes_built == 1 { " index built; " } else { " indexes built; " }) }
                (numbers::size("copy_bytes", work.copy_bytes)) " here, "
                @match work.target_bytes {
                    Some(target) => {
                        (numbers::size("target_bytes", target)) " on the target"
                        @if let Some(rows) = work.target_rows { ", about " (numbers::n("target_rows", rows)) " rows" }
                    },
                    None => "not on the target",
                }
            }
        }
    }
}
