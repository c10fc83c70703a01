//! The server's side is killed, or the run is held back while it is.

use std::{fs, time::Duration};

use lockgate_tests::{Running, Scenario, Session, eventually};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{lane::Lane, tally::Tally};

/// The process of a run's session gets SIGKILL, upon which the server ends all others and recovers.
pub async fn backends_killed(times: usize) -> Tally {
    let mut tally = Tally::of("the server's process of the run is killed");
    let lane = Lane::plain("backends", 40).await;
    while tally.faults < times {
        for (arguments, applied) in [("up --no-backup", true), ("down --to 0 --no-backup", false)] {
            let run = lane.run(arguments).start();
            tokio::time::sleep(Duration::from_millis(fastrand::u64(40..250))).await;
            if let Some(pid) = session_of(&lane.scenario).await
                && kill(pid, Signal::SIGKILL).is_ok()
            {
                tally.faults += 1;
            }
            ends_well(&lane, run, applied, &mut tally).await;
        }
    }
    tally.ended()
}

/// The whole server gets SIGKILL, and comes back.
pub async fn killed(times: usize) -> Tally {
    let mut tally = Tally::of("the server is killed and comes back");
    let lane = Lane::plain("server", 40).await;
    while tally.faults < times {
        for (arguments, applied) in [("up --no-backup", true), ("down --to 0 --no-backup", false)] {
            let run = lane.run(arguments).start();
            tokio::time::sleep(Duration::from_millis(fastrand::u64(40..250))).await;
            if let Some(pid) = session_of(&lane.scenario).await
                && kill(postmaster_of(pid), Signal::SIGKILL).is_ok()
            {
                tally.faults += 1;
                answers(&lane.scenario).await;
            }
            ends_well(&lane, run, applied, &mut tally).await;
        }
    }
    tally.ended()
}

/// The run is stopped, its session ended, another run does the work, and then the first goes on.
pub async fn stopped_and_ended(times: usize) -> Tally {
    let mut tally = Tally::of("the run is held while its session ends and another run works");
    let lane = Lane::plain("stopped", 20).await;
    while tally.faults < times {
        for (arguments, applied) in [("up --no-backup", true), ("down --to 0 --no-backup", false)] {
            let run = lane.run(arguments).start();
            tokio::time::sleep(Duration::from_millis(fastrand::u64(40..200))).await;
            run.stop();
            let ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                         WHERE application_name LIKE 'lockgate %' AND datname = current_database()";
            let ended = lane.scenario.superuser().await.lines(ended).await;
            let second = lane.run(arguments).await;
            if second.code != Some(0) {
                tally.unexplained(format!("the second run exits with {:?}: {}", second.code, second.stderr));
            }
            run.go_on();
            let first = run.end().await;
            if !ended.is_empty() {
                tally.faults += 1;
            }
            // Success, or that the other one has done it: nothing else.
            let told = first.stderr.contains("another run has ended") || first.stderr.contains("connection");
            if first.code != Some(0) && !told {
                tally.unexplained(format!("the first run exits with {:?}: {}", first.code, first.stderr));
            }
            tally.add(&lane.look_at_the_end(applied).await);
        }
    }
    tally.ended()
}

/// CREATE and DROP INDEX CONCURRENTLY are cut off in the middle: the run killed, or its session ended.
pub async fn concurrently_killed(times: usize) -> Tally {
    let mut tally = Tally::of("CREATE and DROP INDEX CONCURRENTLY are cut off");
    let lane = Lane::mixed("concurrently", 0).await;
    while tally.faults < times {
        for (arguments, applied) in [("up --no-backup", true), ("down --to 0 --no-backup", false)] {
            // A snapshot that is held keeps both waiting.
            let holder = lane.scenario.session().await;
            holder.lines("BEGIN ISOLATION LEVEL REPEATABLE READ").await;
            holder.lines("SELECT count(*) FROM target").await;
            let run = lane.run(arguments).start();
            at_the_index(&lane.scenario.session().await).await;
            tokio::time::sleep(Duration::from_millis(fastrand::u64(0..50))).await;
            if fastrand::bool() {
                run.kill();
                run.end().await;
                lane.scenario.is_gone().await;
                holder.lines("COMMIT").await;
            } else {
                lane.scenario.end_the_run().await;
                holder.lines("COMMIT").await;
                let outcome = run.end().await;
                if outcome.code != Some(0) {
                    tally.unexplained(format!("exit {:?}: {}", outcome.code, outcome.stderr));
                }
            }
            tally.faults += 1;
            let next = lane.run(arguments).await;
            if next.code != Some(0) {
                tally.unexplained(format!("the next run exits with {:?}: {}", next.code, next.stderr));
            }
            tally.add(&lane.look_at_the_end(applied).await);
        }
    }
    tally.ended()
}

async fn at_the_index(session: &Session) {
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'lockgate %' AND datname = current_database()
                 AND query ~ 'INDEX CONCURRENTLY' AND wait_event_type = 'Lock'";
    eventually("the run comes to the index", async || session.value(waits).await == "1").await;
}

/// The session of a run that works, which is not the one that watches it.
async fn session_of(scenario: &Scenario) -> Option<Pid> {
    let sql = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'lockgate %' AND application_name NOT LIKE '% watch %'
               AND datname = current_database()";
    let pids = scenario.superuser().await.lines(sql).await;
    Some(Pid::from_raw(pids.first()?.parse().expect("a pid")))
}

/// The process that every other of the server comes from.
fn postmaster_of(process: Pid) -> Pid {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("the process is there");
    // The name in brackets may hold spaces; the state and the parent come after it.
    let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)).expect("a parent");
    Pid::from_raw(parent.parse().expect("a pid"))
}

/// Waits until the server answers again.
async fn answers(scenario: &Scenario) {
    eventually("the server is back", async || scenario.can_be_reached().await).await;
}

/// The run goes on by itself, and all is as it should be.
async fn ends_well(lane: &Lane, run: Running, applied: bool, tally: &mut Tally) {
    let outcome = run.end().await;
    answers(&lane.scenario).await;
    if outcome.code != Some(0) {
        tally.unexplained(format!("exit {:?}: {}", outcome.code, outcome.stderr));
        // So that the next round begins where it should.
        lane.run(if applied { "up --no-backup" } else { "down --to 0 --no-backup" }).await;
    }
    tally.add(&lane.look_at_the_end(applied).await);
}
