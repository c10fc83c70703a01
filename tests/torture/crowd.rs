//! Many runners at once on one database.

use crate::{lane::Lane, tally::Tally};

/// So many runners, so many rounds, of which each begins with nothing applied.
pub async fn of_runners(runners: usize, rounds: usize) -> Tally {
    let mut tally = Tally::of(format!("{runners} runners at once, {rounds} rounds"));
    let lane = Lane::plain("crowd", 3).await;
    for _ in 0..rounds {
        let running: Vec<_> = (0..runners).map(|_| lane.run("up --no-backup").start()).collect();
        let mut applied = 0;
        for run in running {
            let outcome = run.end().await;
            tally.faults += 1;
            applied += outcome.stdout.lines().filter(|line| line.starts_with("applied ")).count();
            if outcome.code != Some(0) {
                tally.unexplained(format!("exit {:?}: {}", outcome.code, outcome.stderr));
            }
        }
        if applied != lane.migrations() {
            tally.unexplained(format!("all runs together say that they applied {applied} of {}", lane.migrations()));
        }
        tally.add(&lane.look_at_the_end(true).await);
        let down = lane.run("down --to 0 --no-backup").await;
        if down.code != Some(0) {
            tally.unexplained(format!("down exits with {:?}: {}", down.code, down.stderr));
        }
    }
    tally.ended()
}
