//! Reports as one HTML file each, which needs nothing else: no network, no script, no second file.
//!
//! Everything in it that others chose (names, SQL, messages of servers) is escaped by `maud` and made printable first. Numbers that
//! the JSON has as well carry their path in it (`data-at` of a row or section, and the field in `data-ms`, `data-n`, `data-bytes` or
//! `data-word`), so that a test, or a person in a hurry, can hold one against the other.

mod chart;
mod file;
mod numbers;
mod page;
mod rehearsal;
mod run;
#[cfg(test)]
pub(super) mod samples;

use maud::{Markup, html};

pub use self::{
    file::{Place, write},
    run::Told,
};
use crate::{
    error::Finding,
    printable::{printable, printable_in, printable_lines},
    rehearsal::Rehearsal,
};

/// More of one DDL statement, message or error than this helps nobody.
const BLOCK_MAX_CHARS: usize = 8_000;
/// A name in a heading or a cell.
const NAME_MAX_CHARS: usize = 300;

/// The report of a rehearsal.
pub fn rehearsal(rehearsal: &Rehearsal) -> String {
    rehearsal::page(rehearsal)
}

/// The report of a run, whether it came to its end or not.
pub fn run(told: &Told) -> String {
    run::page(told)
}

/// A name that others chose.
fn name(text: &str) -> String {
    printable_in(NAME_MAX_CHARS, text)
}

/// The same, which may be broken after an underscore as well.
fn soft(text: &str) -> Markup {
    html! { @for part in name(text).split_inclusive('_') { (part) wbr; } }
}

/// A sentence of ours or of others, in which what stands between backquotes is code.
fn prose(text: &str) -> Markup {
    let text = printable(text);
    let parts: Vec<&str> = text.split('`').collect();
    // A single one that is left over is a sign like any other.
    if parts.len().is_multiple_of(2) {
        return html! { (text) };
    }
    html! { @for (i, part) in parts.iter().enumerate() { @if i % 2 == 1 { code { (part) } } @else { (part) } } }
}

/// `2026-03-14 09:26:53 UTC`
fn when(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// Lines that others chose, as they are broken.
fn lines(text: &str) -> String {
    let mut cut: String = text.chars().take(BLOCK_MAX_CHARS).collect();
    if cut.len() < text.len() {
        cut += "\n… (the rest is in the JSON)";
    }
    printable_lines(&cut)
}

/// What checks found that did not stop the work.
fn findings(findings: &[Finding]) -> Markup {
    html! {
        ul.plain {
            @for finding in findings {
                li {
                    span.badge.(finding.severity.to_string()) { (finding.severity) }
                    " " (prose(&finding.message)) " " code { (name(&finding.code)) }
                    @if let Some(hint) = &finding.hint { p.next { b { "Next: " } (prose(hint)) } }
                }
            }
        }
    }
}

/// A table in a box of its own, which scrolls where it is too wide, also by keyboard.
fn table(caption: &str, class: &str, head: &[(&str, &str)], body: Markup) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label=(caption) {
            table class=(class) {
                caption { (caption) }
                thead { tr { @for (word, class) in head { th scope="col" class=(class) { (word) } } } }
                tbody { (body) }
            }
        }
    }
}

#[cfg(test)]
mod tests;
