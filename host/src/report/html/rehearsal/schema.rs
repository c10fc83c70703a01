//! What the migrations do to the schema, as DDL.

use maud::{Markup, html};

use super::{limits, link};
use crate::{
    rehearsal::Rehearsal,
    report::{
        html::{lines, name, soft},
        thousands,
        words::count,
    },
    schema::{Change, Changed},
};

/// One fold a migration.
pub fn body(rehearsal: &Rehearsal) -> Markup {
    let max = limits::changes_each(rehearsal.migrations.len());
    let few = rehearsal.migrations.iter().map(|m| m.changes.len()).sum::<usize>() <= 12;
    html! {
        p { "The schema before and after the way up of each migration. Lines with a minus are gone or changed, lines with a plus are new." }
        @for (i, m) in rehearsal.migrations.iter().enumerate() {
            @if m.changes.is_empty() {
                p.quiet { (name(&m.name)) ": the schema stays as it is." }
            } @else {
                details.fold open[few] {
                    summary {
                        h3 { (soft(&m.name)) }
                        ": " span data-at={ "migrations." (i) } data-count="changes" { (thousands(m.changes.len() as u64)) }
                        (if m.changes.len() == 1 { " change" } else { " changes" })
                    }
                    p { a href=(link(i)) { "Steps and costs of this migration" } }
                    (changes(&m.changes, max))
                }
            }
        }
    }
}

/// Some changes, and how many more there are.
pub fn changes(changes: &[Change], max: usize) -> Markup {
    html! {
        @for one in changes.iter().take(max) { (change(one)) }
        @if changes.len() > max { p.quiet { (count(changes.len() - max, "more change")) " in the JSON." } }
    }
}

/// One change: its name, and its DDL before and after.
pub fn change(change: &Change) -> Markup {
    let how = match change.how {
        Changed::Gone => "gone",
        Changed::New => "new",
        Changed::Altered => "altered",
    };
    html! {
        div.change {
            p { (change.kind) " " code { (name(&change.name)) } ": " (how) }
            @if change.before.is_some() || change.after.is_some() {
                div.ddl {
                    @if let Some(before) = &change.before { del { span.unseen { "before: " } (lines(before)) } }
                    @if let Some(after) = &change.after { ins { span.unseen { "after: " } (lines(after)) } }
                }
            }
        }
    }
}
