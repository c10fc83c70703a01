//! The process is killed at any moment, again and again, until all is applied, and then until all is reverted.

use std::{
    cell::Cell,
    path::Path,
    time::{Duration, Instant},
};

use lockgate::failpoint::Failpoint;

use crate::{lane::Lane, tally::Tally};

const UP: &str = "up --no-backup";
const DOWN: &str = "down --to 0 --no-backup";

/// At random moments: SIGKILL.
pub async fn at_random(kills: usize) -> Tally {
    let mut tally = Tally::of("the run is killed at a random moment");
    let left = Cell::new(kills);
    let lanes = [
        Lane::plain("kills_a", 8).await,
        Lane::plain("kills_b", 3).await,
        Lane::mixed("kills_c", 2).await,
        Lane::mixed("kills_d", 0).await,
    ];
    let [a, b, c, d] = &lanes;
    let (a, b, c, d) = tokio::join!(endure(a, &left), endure(b, &left), endure(c, &left), endure(d, &left));
    for lane in [a, b, c, d] {
        tally.join(&lane);
    }
    tally.ended()
}

async fn endure(lane: &Lane, left: &Cell<usize>) -> Tally {
    let mut tally = Tally::of(format!("  {}", lane.scenario.database()));
    while left.get() > 0 {
        for (arguments, applied) in [(UP, true), (DOWN, false)] {
            // How long a run takes that nobody kills is learnt from those that come to their end.
            let mut window = Duration::from_millis(400);
            loop {
                let begin = Instant::now();
                let run = lane.run(arguments).start();
                let outcome = run.killed_after(window.mul_f64(fastrand::f64())).await;
                if outcome.signal == Some(9) {
                    tally.faults += 1;
                    left.set(left.get().saturating_sub(1));
                    tally.add(&lane.look().await);
                    // Or it would never come to its end where the machine is slow.
                    window = window.mul_f64(1.05);
                    continue;
                }
                if outcome.code != Some(0) {
                    tally.unexplained(format!("exit {:?}: {}", outcome.code, outcome.stderr));
                }
                tally.add(&lane.look_at_the_end(applied).await);
                window = begin.elapsed();
                break;
            }
            let _ = window;
        }
    }
    tally
}

/// At every transition, three times each, up and down.
pub async fn at_every_failpoint() -> Tally {
    let mut tally = Tally::of(format!("the run ends at a transition ({} of them, 3 times each)", Failpoint::ALL.len()));
    let lanes = [Lane::mixed("points_a", 2).await, Lane::mixed("points_b", 2).await];
    let (even, odd): (Vec<_>, Vec<_>) = Failpoint::ALL.into_iter().enumerate().partition(|(i, _)| i % 2 == 0);
    let (a, b) = tokio::join!(end_at(&lanes[0], &even), end_at(&lanes[1], &odd));
    tally.join(&a);
    tally.join(&b);
    tally.ended()
}

async fn end_at(lane: &Lane, points: &[(usize, Failpoint)]) -> Tally {
    let mut tally = Tally::of(format!("  {}", lane.scenario.database()));
    for (_, point) in points {
        let mut ended = 0;
        // Later passages of the same point as well; where there are no more, the first again.
        for passed in [0, 1, 2, 0, 0, 0, 0] {
            if ended == 3 {
                break;
            }
            if ended_at(lane, *point, passed, UP).await {
                ended += 1;
                tally.faults += 1;
                tally.add(&lane.look().await);
                continue;
            }
            tally.add(&lane.look_at_the_end(true).await);
            finish(lane, DOWN, false, &mut tally).await;
        }
        if ended < 3 {
            tally.unexplained(format!("{point} was passed {ended} times, not 3"));
        }
        finish(lane, UP, true, &mut tally).await;
        // On the way down some have nothing to do.
        if ended_at(lane, *point, 0, DOWN).await {
            tally.faults += 1;
            tally.add(&lane.look().await);
        }
        finish(lane, DOWN, false, &mut tally).await;
    }
    tally
}

/// Whether a run came to this point.
async fn ended_at(lane: &Lane, point: Failpoint, passed: u32, arguments: &str) -> bool {
    let action = match passed {
        0 => format!("{point}=return"),
        n => format!("{point}={n}*off->return"),
    };
    let this = std::env::current_exe().expect("this program has a path");
    lane.run_program(&this, arguments).env("FAILPOINTS", action).await.signal == Some(9)
}

async fn finish(lane: &Lane, arguments: &str, applied: bool, tally: &mut Tally) {
    let outcome = lane.run(arguments).await;
    if outcome.code != Some(0) {
        tally.unexplained(format!("`{arguments}` exits with {:?}: {}", outcome.code, outcome.stderr));
    }
    tally.add(&lane.look_at_the_end(applied).await);
}

/// Whether so many kills at random moments find out a runner that is known to be wrong, or right, and after how many.
pub async fn catch(order: &str, most: usize) -> Result<usize, usize> {
    let this: &Path = &std::env::current_exe().expect("this program has a path");
    let (mut kills, mut window) = (0, Duration::from_millis(100));
    for round in 0.. {
        let lane = Lane::plain(&format!("planted_{order}_{round}"), 8).await;
        loop {
            let begin = Instant::now();
            let run = lane.run_program(this, "up").env(crate::planted::ORDER, order).start();
            let outcome = run.killed_after(window.mul_f64(fastrand::f64())).await;
            // The server must have noticed, or what it still does would be counted.
            let gone = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'planted' AND datname = current_database()";
            lockgate_tests::eventually("the planted runner is gone", async || lane.scenario.value(gone).await == "0")
                .await;
            if !lane.look_without_journal().await.is_empty() {
                return Ok(kills + 1);
            }
            match outcome.signal {
                Some(_) => {
                    kills += 1;
                    window = window.mul_f64(1.05);
                }
                None if outcome.code == Some(0) => {
                    window = begin.elapsed();
                    break;
                }
                // It stumbles over what it has half done itself.
                None => return Ok(kills),
            }
            if kills >= most {
                return Err(kills);
            }
        }
    }
    unreachable!("rounds have no end")
}
