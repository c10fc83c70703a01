//! Locks: a lane for each relation, and all of them in numbers.

use maud::{Markup, html};

use crate::{
    locks::{Blocks, Mode},
    rehearsal::measure::{Known, LockHeld},
    report::{
        html::{
            chart::{Bar, Fill, Row},
            name, numbers, soft, table,
        },
        thousands,
        words::{self, count},
    },
};

/// So many locks on one relation are drawn in one row.
const BARS_MAX: usize = 20;

/// The locks on one relation.
pub struct Lane<'a> {
    /// The relation.
    pub relation: &'a str,
    /// Who waits for the strongest of them.
    pub blocks: Blocks,
    /// How long one that is that strong is held, the longest.
    pub held_ms: f64,
    mode: Mode,
    locks: Vec<&'a LockHeld>,
}

/// A lane for each relation, those with the strongest locks first, and among them those that are held longest.
pub fn lanes(locks: &[LockHeld]) -> Vec<Lane<'_>> {
    let mut of_relation = std::collections::BTreeMap::<&str, Vec<&LockHeld>>::new();
    for lock in locks {
        of_relation.entry(&lock.relation).or_default().push(lock);
    }
    let mut lanes: Vec<Lane> = of_relation
        .into_iter()
        .map(|(relation, mut locks)| {
            // The strongest is drawn last, and so is seen.
            locks.sort_by(|a, b| a.mode.cmp(&b.mode).then(a.from_ms.total_cmp(&b.from_ms)));
            let blocks = locks.iter().map(|lock| lock.blocks).max().unwrap_or(Blocks::Neither);
            let strongest = locks.iter().filter(|lock| lock.blocks == blocks);
            let held_ms = strongest.map(|lock| lock.held_ms).fold(0.0, f64::max);
            let mode = locks.last().map_or(Mode::AccessShare, |lock| lock.mode);
            Lane { relation, blocks, held_ms, mode, locks }
        })
        .collect();
    lanes.sort_by(|a, b| b.blocks.cmp(&a.blocks).then(b.held_ms.total_cmp(&a.held_ms)));
    lanes
}

impl Lane<'_> {
    /// As a picture shows it.
    pub fn row(&self) -> Row {
        let bars = self.locks.iter().rev().take(BARS_MAX).rev().map(|lock| Bar {
            from: lock.from_ms,
            to: lock.from_ms + lock.held_ms,
            fill: Fill::of(lock.blocks),
        });
        let waits = match self.blocks {
            Blocks::Neither => "no one waits",
            Blocks::Writes => "writers wait",
            Blocks::ReadsAndWrites => "all wait",
        };
        let held = words::duration(self.held_ms);
        Row {
            label: self.relation.to_owned(),
            bars: bars.collect(),
            note: format!("{held}, {waits}: {}", initials(self.mode)),
        }
    }
}

/// `ACCESS EXCLUSIVE`, and the longest name in the room of others: `SHARE UPD. EXCL.`
fn initials(mode: Mode) -> &'static str {
    match mode {
        Mode::ShareUpdateExclusive => "SHARE UPD. EXCL.",
        Mode::ShareRowExclusive => "SHARE ROW EXCL.",
        Mode::AccessExclusive => "ACCESS EXCL.",
        other => other.as_str(),
    }
}

/// At most so many locks in numbers; `at` is the path of them in the JSON.
pub fn table_of(at: &str, locks: &[LockHeld], of: &str, max: usize) -> Markup {
    let head = [
        ("Relation", "name"),
        ("Mode", ""),
        ("Who waits", ""),
        ("Step", "r"),
        ("From", "r"),
        ("Held here", "r"),
        ("Estimate on the target", "r"),
        ("Known", ""),
    ];
    let mut shown: Vec<(usize, &LockHeld)> = locks.iter().enumerate().collect();
    if shown.len() > max {
        shown.sort_by(|(_, a), (_, b)| b.blocks.cmp(&a.blocks).then(b.held_ms.total_cmp(&a.held_ms)));
        shown.truncate(max);
        shown.sort_by_key(|(place, _)| *place);
    }
    let rows = html! {
        @for (k, lock) in &shown {
            tr data-at={ (at) "." (k) } {
                th.name scope="row" { (soft(&lock.relation)) }
                td { span data-word="mode" { (lock.mode.as_str()) } }
                td { (lock.blocks.in_words()) }
                td.r { (numbers::n("step", lock.step as u64)) }
                td.r { (numbers::ms("from_ms", lock.from_ms)) }
                td.r { (numbers::ms("held_ms", lock.held_ms)) }
                td.r { span.num data-range="estimate" { (words::estimate(&lock.estimate)) } }
                td { (known(lock.known)) }
            }
        }
    };
    html! {
        (table(&format!("Locks of {}", name(of)), "locks", &head, rows))
        @if locks.len() > shown.len() {
            p.quiet { (count(locks.len() - shown.len(), "weaker or shorter lock")) " of " (thousands(locks.len() as u64)) " in the JSON." }
        }
    }
}

fn known(known: Known) -> &'static str {
    match known {
        Known::Seen => "seen in pg_locks",
        Known::Parsed => "from the statement; too short to be seen",
    }
}
