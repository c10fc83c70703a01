//! Migrations by stages: what was tried, and what came of it.

use maud::{Markup, html};

use super::{link, overview};
use crate::{
    printable::printable_in,
    rehearsal::{Migration, Rehearsal, StageName, StageOutcome},
    report::html::{numbers, prose, soft, table},
};

const STAGES: [StageName; 5] =
    [StageName::Up, StageName::Down, StageName::CompareDown, StageName::UpAgain, StageName::CompareUp];

/// A message in a cell that is longer than this is cut.
const WHY_MAX_CHARS: usize = 600;

/// All of it.
pub fn body(rehearsal: &Rehearsal) -> Markup {
    let head = [
        ("Migration", "name"),
        ("Up", ""),
        ("Down", ""),
        ("Compare", ""),
        ("Up again", ""),
        ("Compare again", ""),
        ("Can it be taken back?", ""),
    ];
    let rows = html! {
        @for (i, m) in rehearsal.migrations.iter().enumerate() {
            tr data-at={ "migrations." (i) } {
                th.name scope="row" { a href=(link(i)) { (soft(&m.name)) } }
                @for stage in STAGES { td { (cell(i, m, stage)) } }
                td { (overview::reversible(&m.reversibility)) }
            }
        }
    };
    html! {
        p {
            "Each migration went up, down and up again. After the way down the schema and the rows must be what they were before; "
            "after the second way up, what they were after the first. “Resumed” means that it was also cut off once on purpose, and went on."
        }
        (table("Reversibility, one row a migration", "matrix", &head, rows))
    }
}

/// What came of a stage: the last word on it, where it was done several times.
fn cell(migration: usize, m: &Migration, stage: StageName) -> Markup {
    let Some((k, done)) = m.stages.iter().enumerate().rev().find(|(_, done)| done.name == stage) else {
        return html! { span.none { "not come to" } };
    };
    let (tone, word, sign) = match done.outcome {
        StageOutcome::Passed => ("good", "passed", "✓ "),
        StageOutcome::Resumed => ("good", "resumed", "✓ "),
        StageOutcome::Failed => ("bad", "failed", "✗ "),
        StageOutcome::LeftOut => ("calm", "left out", "– "),
    };
    html! {
        div data-at={ "migrations." (migration) ".stages." (k) } {
            span.badge.(tone) { span aria-hidden="true" { (sign) } span data-word="outcome" { (word) } }
            @if done.outcome != StageOutcome::LeftOut { " " span.quiet { (numbers::whole_ms("duration_ms", done.duration_ms)) } }
            @if let Some(why) = &done.why { span.why { (prose(&printable_in(WHY_MAX_CHARS, why))) } }
        }
    }
}
