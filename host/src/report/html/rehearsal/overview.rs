//! The numbers that are read first, and the table of verdicts.

use maud::{Markup, html};

use super::{badge, link};
use crate::{
    rehearsal::{Rehearsal, Reversibility, Verdict},
    report::{
        html::{name, numbers, prose, soft, table, when},
        rehearsal::{estimate, estimate_of, longest_lock, worst},
        thousands, words,
    },
};

/// What, how much, when, of what.
pub fn facts(rehearsal: &Rehearsal) -> Vec<(&'static str, Markup)> {
    let verdict = worst(rehearsal).map_or("–", Verdict::as_str);
    let (low, high) = estimate(rehearsal);
    let target = &rehearsal.target;
    let lock = match longest_lock(rehearsal) {
        Some((migration, lock)) => html! {
            span data-key="longest-lock" { (words::duration(lock.held_ms)) " on " (name(&lock.relation)) }
            span.why { (lock.mode.as_str()) " in " (name(&migration.name)) "; on the target " (words::estimate(&lock.estimate)) }
        },
        None => html! { span data-key="longest-lock" { "none" } span.why { "nobody waits who reads or writes rows" } },
    };
    vec![
        (
            "Migrations",
            html! {
                span data-key="migrations" { (thousands(rehearsal.migrations.len() as u64)) }
                @if !rehearsal.not_reached.is_empty() { span.why { (thousands(rehearsal.not_reached.len() as u64)) " not reached" } }
            },
        ),
        ("Worst verdict", html! { span data-key="worst-verdict" { (verdict) } }),
        ("Longest lock that others wait for", lock),
        (
            "Estimated time on the target",
            html! {
                span data-key="estimate" { (words::range(low, high)) }
                span.why { "all migrations, one after another" }
            },
        ),
        ("When", html! { (when(rehearsal.started_at)) span.why { "took " (words::whole(rehearsal.duration_ms)) } }),
        (
            "Target",
            html! {
                (name(&target.database))
                span.why { "PostgreSQL " (name(&target.server_version)) "; " @if let Some(version) = &target.version { "at version " (name(version.as_str())) } @else { "no migration is applied" } }
            },
        ),
        ("Run", html! { code { (rehearsal.run_id) } }),
    ]
}

/// One row a migration.
pub fn verdicts(rehearsal: &Rehearsal) -> Markup {
    let head = [
        ("Migration", "name"),
        ("Kind", ""),
        ("Verdict", ""),
        ("Can it be taken back?", ""),
        ("Faults", "r"),
        ("Hazards", "r"),
        ("Took here", "r"),
        ("Estimate on the target", "r"),
    ];
    let rows = html! {
        @for (i, m) in rehearsal.migrations.iter().enumerate() {
            tr data-at={ "migrations." (i) } {
                th.name scope="row" { a href=(link(i)) { (soft(&m.name)) } }
                td { (name(&m.kind)) }
                td { (badge(m)) }
                td { (reversible(&m.reversibility)) }
                td.r { span.num data-count="faults" { (thousands(m.faults.len() as u64)) } }
                td.r { span.num data-count="hazards" { (thousands(m.hazards.len() as u64)) } }
                td.r { (numbers::known(m.up.as_ref(), |up| numbers::ms("up.duration_ms", up.duration_ms))) }
                td.r { (numbers::known(estimate_of(m), |(low, high)| html! { span.num data-range="up.estimate" { (words::range(low, high)) } })) }
            }
        }
    };
    html! {
        p {
            "What each migration costs those who use the database while it runs. What it took here is from its first step to its commit, with its own checks, "
            "and so is the estimate. The words are explained under " a href="#reading" { "How to read this report" } "."
        }
        (table("Verdicts, one row a migration", "verdicts", &head, rows))
        @if let Some(together) = &rehearsal.together {
            p data-at="together" {
                "All of them in one run from the base took " (numbers::whole_ms("duration_ms", together.duration_ms))
                @if together.faults.is_empty() { ", and nothing was wrong with that." }
                @else { ", and " (words::count(together.faults.len(), "fault")) " came of it." }
            }
        }
    }
}

/// Whether a migration can be taken back, and why not.
pub fn reversible(reversibility: &Reversibility) -> Markup {
    let (tone, word) = match reversibility {
        Reversibility::Reversible => ("good", "reversible"),
        Reversibility::Irreversible(_) => ("warn", "irreversible"),
        Reversibility::Faulty => ("bad", "faulty"),
        Reversibility::NotTried => ("calm", "not tried"),
    };
    html! {
        span.badge.(tone) data-word="reversibility.is" { (word) }
        @if let Reversibility::Irreversible(why) = reversibility { span.why { (prose(why)) } }
    }
}
