//! How much of a rehearsal is shown, so that a browser opens the file however many migrations and steps there are. The rest is counted.

use crate::rehearsal::{Migration, measure::Step};

/// So many steps in all of the file.
const STEPS_MAX: usize = 4_000;
/// So many changes of the schema.
const CHANGES_MAX: usize = 2_000;
/// So many locks in numbers.
const LOCKS_MAX: usize = 4_000;
/// Of one migration never fewer than this, however many there are.
const AT_LEAST: usize = 5;
/// So many migrations have a timeline.
pub const TIMELINES_MAX: usize = 60;
/// So many faults and hazards are told with their advice.
pub const ADVICE_MAX: usize = 300;

/// How many steps of each migration are shown.
pub fn steps_each(migrations: usize) -> usize {
    (STEPS_MAX / migrations.max(1)).clamp(AT_LEAST, 500)
}

/// How many changes of each migration are shown.
pub fn changes_each(migrations: usize) -> usize {
    (CHANGES_MAX / migrations.max(1)).clamp(AT_LEAST, 300)
}

/// How many locks of each migration are told in numbers.
pub fn locks_each(migrations: usize) -> usize {
    (LOCKS_MAX / migrations.max(1)).clamp(AT_LEAST, 60)
}

/// The steps that take longest, here or on the target, in their order, each with its place.
pub fn longest(steps: &[Step], max: usize) -> Vec<(usize, &Step)> {
    let mut all: Vec<(usize, &Step)> = steps.iter().enumerate().collect();
    if all.len() > max {
        let weight = |step: &Step| step.duration_ms.max(step.estimate.high_ms);
        all.sort_by(|(_, a), (_, b)| weight(b).total_cmp(&weight(a)));
        all.truncate(max);
        all.sort_by_key(|(place, _)| *place);
    }
    all
}

/// The places of the migrations that have a timeline: those with the worst verdicts first, and among them those that take longest.
pub fn with_timeline(migrations: &[Migration]) -> Vec<usize> {
    let mut places: Vec<usize> = (0..migrations.len()).filter(|i| migrations[*i].up.is_some()).collect();
    if places.len() > TIMELINES_MAX {
        let duration = |i: usize| migrations[i].up.as_ref().map_or(0.0, |up| up.duration_ms);
        places.sort_by(|a, b| {
            migrations[*b].verdict.cmp(&migrations[*a].verdict).then(duration(*b).total_cmp(&duration(*a)))
        });
        places.truncate(TIMELINES_MAX);
        places.sort_unstable();
    }
    places
}
