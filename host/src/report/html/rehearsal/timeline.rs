//! Each migration's way up along time: its steps, and below them the relations that it locked.

use maud::{Markup, html};

use super::{badge, limits, link, locks};
use crate::{
    locks::Blocks,
    rehearsal::{Migration, Rehearsal, measure::Measured},
    report::{
        html::{
            chart::{self, Bar, Chart, Fill, Group, ROWS_MAX, Row, Scale},
            name, soft,
        },
        words::{self, count},
    },
};

/// So many bars are drawn in one row.
const BARS_MAX: usize = 20;

/// All of it.
pub fn body(rehearsal: &Rehearsal) -> Markup {
    let drawn = limits::with_timeline(&rehearsal.migrations);
    let measured = rehearsal.migrations.iter().filter(|m| m.up.is_some()).count();
    html! {
        p {
            "The first way up of each migration, as it was measured on the copy. A lock is held until its transaction ends, so a bar of a lock goes on "
            "after the step that took it. Who waits is told by the pattern of the bar and by the words beside it."
        }
        (chart::legend(&[
            (Fill::Work, "a step"),
            (Fill::Free, "a lock that nobody waits for who reads or writes rows"),
            (Fill::Writes, "a lock that writers wait for"),
            (Fill::All, "a lock that readers and writers wait for"),
        ]))
        @if measured > 1 { (in_order(rehearsal).draw()) }
        @if measured > drawn.len() {
            p.quiet { "Only " (count(drawn.len(), "migration")) " of " (crate::report::thousands(measured as u64)) " are drawn: those with the worst verdicts, and among them the longest. The numbers of all are below." }
        }
        @for i in drawn {
            @let migration = &rehearsal.migrations[i];
            @if let Some(up) = &migration.up {
                div data-at={ "migrations." (i) } {
                    h3 { a href=(link(i)) { (soft(&migration.name)) } " " (badge(migration)) }
                    (of_one(i, migration, up, limits::locks_each(rehearsal.migrations.len())))
                }
            }
        }
    }
}

/// All migrations, one after another.
fn in_order(rehearsal: &Rehearsal) -> Chart {
    let (mut rows, mut at) = (Vec::new(), 0.0);
    for (migration, up) in rehearsal.migrations.iter().filter_map(|m| m.up.as_ref().map(|up| (m, up))) {
        let mut bars = vec![Bar { from: at, to: at + up.duration_ms, fill: Fill::Work }];
        if let Some(worst) = up.locks.iter().map(|lock| lock.blocks).max().filter(|blocks| *blocks != Blocks::Neither) {
            bars.extend(covered(up, worst).into_iter().take(BARS_MAX).map(|(from, to)| Bar {
                from: at + from,
                to: at + to,
                fill: Fill::of(worst),
            }));
        }
        let note = format!("{}, {}", words::duration(up.duration_ms), migration.verdict.as_str());
        rows.push(Row { label: migration.name.clone(), bars, note });
        at += up.duration_ms;
    }
    let left_out = rows.len().saturating_sub(ROWS_MAX);
    let cut = if left_out > 0 { format!(" Only the first {ROWS_MAX} are drawn.") } else { String::new() };
    Chart {
        id: "c-all".into(),
        title: format!("All {} one after another", count(rows.len(), "migration")),
        description: format!(
            "Together they took {} on the copy. Over each migration lie the strongest locks that others wait for.{cut} The table of verdicts has the numbers.",
            words::duration(at)
        ),
        groups: vec![Group { title: "Migrations", rows }],
        scale: Scale::Linear,
    }
}

/// The times in which a lock is held that so many wait for; those that overlap are one.
fn covered(up: &Measured, blocks: Blocks) -> Vec<(f64, f64)> {
    let held = up.locks.iter().filter(|lock| lock.blocks == blocks);
    let mut times: Vec<(f64, f64)> = held.map(|lock| (lock.from_ms, lock.from_ms + lock.held_ms)).collect();
    times.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut covered: Vec<(f64, f64)> = Vec::new();
    for (from, to) in times {
        match covered.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => covered.push((from, to)),
        }
    }
    covered
}

fn of_one(index: usize, migration: &Migration, up: &Measured, max: usize) -> Markup {
    let shown = limits::longest(&up.steps, ROWS_MAX / 2);
    let steps: Vec<Row> = shown
        .iter()
        .map(|(_, step)| Row {
            label: format!("{} {}", step.number, step.text),
            bars: vec![Bar { from: step.began_ms, to: step.began_ms + step.duration_ms, fill: Fill::Work }],
            note: words::duration(step.duration_ms),
        })
        .collect();
    let lanes = locks::lanes(&up.locks);
    let rows: Vec<Row> = lanes.iter().take(ROWS_MAX / 2).map(locks::Lane::row).collect();
    let (steps_left, lanes_left) = (up.steps.len() - steps.len(), lanes.len() - rows.len());
    let waited = match lanes.first() {
        Some(lane) if lane.blocks != Blocks::Neither => {
            format!(
                " The strongest lock is on {}: {} for {}.",
                name(lane.relation),
                lane.blocks.in_words(),
                words::duration(lane.held_ms)
            )
        }
        Some(_) => " Of its locks none keeps anybody waiting who reads or writes rows.".to_owned(),
        None => " It locked nothing that was there before.".to_owned(),
    };
    let mut groups = vec![Group { title: "Steps", rows: steps }];
    if !rows.is_empty() {
        groups.push(Group { title: "Locks held", rows });
    }
    let chart = Chart {
        id: format!("c{index}"),
        title: format!("Steps and locks of {}", name(&migration.name)),
        description: format!(
            "{} in {}.{waited} The table below says the same in numbers.",
            count(up.steps.len(), "step"),
            words::duration(up.duration_ms)
        ),
        groups,
        scale: Scale::Linear,
    };
    html! {
        (chart.draw())
        @if steps_left + lanes_left > 0 {
            @let left = [(steps_left, "shorter step"), (lanes_left, "weaker lock")];
            @let left: Vec<String> = left.into_iter().filter(|(n, _)| *n > 0).map(|(n, what)| count(n, what)).collect();
            p.quiet { "Not drawn: " (left.join(" and ")) "." }
        }
        @if !up.locks.is_empty() {
            details {
                summary { "The locks in numbers" }
                (locks::table_of(&format!("migrations.{index}.up.locks"), &up.locks, &migration.name, max))
            }
        }
    }
}
