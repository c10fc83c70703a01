//! The connection comes to harm before, during and after a COMMIT. What the run says of it must be true.

use std::{cell::Cell, time::Duration};

use futures_util::future::join_all;
use lockgate_tests::{Harm, Meant, Proxy};

use crate::{lane::Lane, tally::Tally};

/// So many connections come to harm.
pub async fn harmed(times: usize) -> Tally {
    let mut tally = Tally::of("the connection comes to harm around a COMMIT");
    let left = Cell::new(times);
    // Most of the time they wait.
    let mut lanes = Vec::new();
    for i in 0..8 {
        let name = format!("commits_{i}");
        lanes.push(if i < 6 { Lane::plain(&name, 3).await } else { Lane::mixed(&name, 1).await });
    }
    for lane in join_all(lanes.iter().map(|lane| harm(lane, &left))).await {
        tally.join(&lane);
    }
    tally.ended()
}

async fn harm(lane: &Lane, left: &Cell<usize>) -> Tally {
    let mut tally = Tally::of(format!("  {}", lane.scenario.database()));
    while left.get() > 0 {
        for (arguments, applied) in [("up --no-backup", true), ("down --to 0 --no-backup", false)] {
            if harmed_once(lane, arguments, &mut tally).await {
                tally.faults += 1;
                left.set(left.get().saturating_sub(1));
            }
            let next = lane.run(arguments).await;
            if next.code != Some(0) {
                tally.unexplained(format!("the next run exits with {:?}: {}", next.code, next.stderr));
            }
            tally.add(&lane.look_at_the_end(applied).await);
        }
    }
    tally
}

/// One run by way of a proxy. Whether that did harm.
async fn harmed_once(lane: &Lane, arguments: &str, tally: &mut Tally) -> bool {
    let meant = match fastrand::u32(0..4) {
        0 => Meant::Anything(fastrand::usize(20..100)),
        _ => Meant::Commit(fastrand::usize(0..3)),
    };
    let harm = match fastrand::u32(0..100) {
        // Before there is a second session, nobody notices that.
        92.. if matches!(meant, Meant::Anything(_)) => Harm::Lost,
        0..25 => Harm::Lost,
        25..50 => Harm::AnswerLost,
        50..70 => Harm::ToldOfTheEnd,
        70..92 => Harm::Delayed(Duration::from_millis(fastrand::u64(0..400))),
        // These take some seconds to be noticed.
        92..96 => Harm::Swallowed,
        _ => Harm::AnswerSwallowed,
    };
    let shuts = fastrand::u32(0..3) == 0;
    let patience = if shuts { "--reconnect-timeout 1s" } else { "--reconnect-timeout 20s" };
    let retries = fastrand::u32(0..2) * 5;
    let proxy = Proxy::before(lane.scenario.host(), lane.scenario.port(), meant, harm, shuts).await;
    let outcome = lane.scenario.run_through(&proxy, &format!("{arguments} {patience} --retries {retries}")).await;
    if shuts && proxy.has_harmed() {
        // What the run could not end, the server may still be working on.
        lane.scenario.is_gone().await;
    }
    tally.add(&lane.look().await);

    // What it says is in effect is so, and what it does not say is not, unless it says that it does not know.
    let done = |line: &&str| line.starts_with("applied ") || line.starts_with("reverted ");
    let said = outcome.stdout.lines().filter(done).count();
    let context =
        || format!("{meant:?} {harm:?} shuts {shuts} retries {retries}: {}{}", outcome.stdout, outcome.stderr);
    let in_history = if lane.scenario.has_history().await { lane.scenario.applied().await.len() } else { 0 };
    let in_effect = if arguments.starts_with("up") { in_history } else { lane.migrations() - in_history };
    match outcome.code {
        Some(0) if said == in_effect && in_effect == lane.migrations() => {}
        Some(0) => tally.unexplained(format!("it says {said} of {in_effect}: {}", context())),
        Some(9) if !proxy.has_harmed() || !shuts => {
            tally.unexplained(format!("the outcome could be known: {}", context()))
        }
        Some(_) if !proxy.has_harmed() => tally.unexplained(format!("it fails without harm: {}", context())),
        Some(_) => {}
        None => tally.unexplained(format!("a signal ended it: {}", context())),
    }
    proxy.has_harmed()
}
