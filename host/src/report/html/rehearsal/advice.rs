//! What to do: what is wrong first, then what keeps others waiting, the worst first.

use maud::{Markup, html};

use super::{limits::ADVICE_MAX, link, schema};
use crate::{
    locks::Blocks,
    rehearsal::{Fault, Hazard, Rehearsal},
    report::{
        html::{name, prose},
        words::count,
    },
};

/// All of it.
pub fn body(rehearsal: &Rehearsal) -> Markup {
    let faults = || {
        rehearsal
            .migrations
            .iter()
            .enumerate()
            .flat_map(|(i, m)| m.faults.iter().enumerate().map(move |(k, fault)| (i, k, m, fault)))
    };
    let together = rehearsal.together.iter().flat_map(|together| together.faults.iter().enumerate());
    let mut hazards: Vec<_> = rehearsal
        .migrations
        .iter()
        .enumerate()
        .flat_map(|(i, m)| m.hazards.iter().enumerate().map(move |(k, hazard)| (i, k, m, hazard)))
        .collect();
    hazards.sort_by_key(|(i, _, _, hazard)| (std::cmp::Reverse(hazard.blocks), hazard.code, *i));
    let together_faults = together.clone().count();
    let in_all = faults().count() + together_faults;
    let room = ADVICE_MAX.saturating_sub(in_all);
    html! {
        @if in_all + hazards.len() == 0 {
            @if rehearsal.migrations.is_empty() { p { "Nothing: no migration was rehearsed." } }
            @else if rehearsal.passed { p { "Nothing: no fault was found, and nothing that keeps others waiting for long." } }
            @else { p { "No fault was found in the migrations themselves. The sentence at the top says why the rehearsal is not passed." } }
        }
        @if in_all > 0 {
            h3 { "Faults: mend these first" }
            ol.todo {
                @for (i, k, m, fault) in faults().take(ADVICE_MAX) {
                    (of_fault(fault, &format!("migrations.{i}.faults.{k}"), html! { a href=(link(i)) { (name(&m.name)) } }))
                }
                @for (k, fault) in together.take(ADVICE_MAX) {
                    (of_fault(fault, &format!("together.faults.{k}"), html! { "all migrations in one run" }))
                }
            }
        }
        @if !hazards.is_empty() {
            h3 { "Hazards: what keeps others waiting" }
            ol.todo {
                @for (i, k, m, hazard) in hazards.iter().take(room) {
                    (of_hazard(hazard, &format!("migrations.{i}.hazards.{k}"), html! { a href=(link(*i)) { (name(&m.name)) } }))
                }
            }
        }
        @let left_out = faults().count().saturating_sub(ADVICE_MAX) + together_faults.saturating_sub(ADVICE_MAX) + hazards.len().saturating_sub(room);
        @if left_out > 0 { p.quiet { (count(left_out, "more")) " in the JSON." } }
        @if !rehearsal.not_reached.is_empty() {
            h3 { "Not reached" }
            p { "These come after a migration that failed, and say nothing before it is mended:" }
            ul { @for name_of in rehearsal.not_reached.iter().take(ADVICE_MAX) { li { (name(name_of)) } } }
            @if rehearsal.not_reached.len() > ADVICE_MAX { p.quiet { (count(rehearsal.not_reached.len() - ADVICE_MAX, "more")) " in the JSON." } }
        }
    }
}

fn of_fault(fault: &Fault, at: &str, of: Markup) -> Markup {
    html! {
        li.bad data-at=(at) {
            span.badge.bad data-word="code" { (fault.code.as_str()) } " in " (of)
            p.what { (prose(&fault.what)) }
            @if let Some(change) = &fault.change { (schema::change(change)) }
            p.next { b { "Next: " } (prose(&fault.advice)) }
        }
    }
}

fn of_hazard(hazard: &Hazard, at: &str, of: Markup) -> Markup {
    let tone = if hazard.blocks == Blocks::Neither { "calm" } else { "warn" };
    html! {
        li.(tone) data-at=(at) {
            span.badge.(tone) data-word="code" { (hazard.code.as_str()) }
            " in " (of) ", step " span data-n="step" { (crate::report::thousands(hazard.step as u64)) } ": "
            code { (name(&hazard.relation)) }
            p.what { (prose(&hazard.what)) "." }
            p.next { b { "Next: " } (prose(&hazard.advice)) }
        }
    }
}
