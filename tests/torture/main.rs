//! The fault harness: whatever happens to a run, each migration takes effect exactly once, and history, journal and schema agree.
//!
//! `torture [FACTOR]` does everything as often as CI does, times the factor. It needs PostgreSQL's server programs, because it kills
//! the server as well, and `pgbouncer`. It ends with 1 if anything was lost, doubled or not to be explained, or if it did not find
//! out the two runners that are wrong on purpose.

#![allow(clippy::unwrap_used)]

mod adoptions;
mod commits;
mod crowd;
mod kills;
mod lane;
mod planted;
mod server;
mod surroundings;
mod tally;

use std::{env, process::ExitCode};

use tally::Tally;

fn main() -> ExitCode {
    // Both are this program in another role: what it starts.
    if env::var_os("FAILPOINTS").is_some() {
        let _scenario = lockgate::failpoint::listen();
        return ExitCode::from(lockgate::cli::main());
    }
    if let Ok(order) = env::var(planted::ORDER) {
        return planted::main(&order);
    }
    let factor: usize = match env::args().nth(1).map(|n| n.parse()) {
        None => 1,
        Some(Ok(n @ 1..)) => n,
        Some(_) => {
            eprintln!("error: `torture [FACTOR]`: how many times as much as CI does");
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(torture(factor))
}

async fn torture(factor: usize) -> ExitCode {
    let only = env::var("TORTURE_ONLY").ok();
    let wanted = |name: &str| only.as_deref().is_none_or(|only| only == name);
    let mut tallies: Vec<Tally> = Vec::new();
    if wanted("kills") {
        tallies.push(kills::at_random(1000 * factor).await);
    }
    if wanted("failpoints") {
        tallies.push(kills::at_every_failpoint().await);
    }
    if wanted("adoptions") {
        tallies.push(adoptions::at_every_failpoint().await);
    }
    if wanted("commits") {
        tallies.push(commits::harmed(300 * factor).await);
    }
    if wanted("server") {
        tallies.push(server::backends_killed(20 * factor).await);
        tallies.push(server::killed(10 * factor).await);
        tallies.push(server::stopped_and_ended(20 * factor).await);
    }
    if wanted("concurrently") {
        tallies.push(server::concurrently_killed(40 * factor).await);
    }
    if wanted("crowd") {
        tallies.push(crowd::of_runners(50, 20 * factor).await);
    }
    if wanted("surroundings") {
        tallies.push(surroundings::poolers().await);
        tallies.push(surroundings::full_disk(5 * factor).await);
    }
    let mut caught = Vec::new();
    if wanted("planted") {
        for (order, most) in [("before", 500), ("after", 500), ("within", 100)] {
            caught.push((order, kills::catch(order, most).await));
        }
    }

    println!("{}", Tally::HEAD);
    for tally in &tallies {
        println!("{}", tally.line());
    }
    for (order, caught) in &caught {
        match caught {
            Ok(kills) => {
                println!(
                    "a runner that writes the history {order} the migration's transaction was found out after {kills} kills"
                )
            }
            Err(kills) => {
                println!(
                    "a runner that writes the history {order} the migration's transaction was not found out in {kills} kills"
                )
            }
        }
    }
    let sum = |of: fn(&Tally) -> usize| tallies.iter().map(of).sum::<usize>();
    println!(
        "{} faults: {} lost, {} doubled, {} unexplained",
        sum(|t| t.faults),
        sum(|t| t.lost),
        sum(|t| t.doubled),
        sum(|t| t.unexplained)
    );
    let clean = tallies.iter().all(Tally::is_clean)
        && caught.iter().all(|(order, caught)| caught.is_ok() == (*order != "within"));
    if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
