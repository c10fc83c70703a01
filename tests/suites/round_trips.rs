//! How often a command waits for the server. Each wait is as long as the network is slow, so that every one of them is counted.

use std::sync::Arc;

use lockgate_tests::{Counter, Scenario, Trips};

async fn counted(scenario: &Scenario) -> Arc<Counter> {
    Counter::before(scenario.host(), scenario.port()).await
}

/// The round trips of a command after those in which it connects. It must open so many sessions, each with a password.
async fn of(scenario: &Scenario, arguments: &str, connections: usize) -> usize {
    let counter = counted(scenario).await;
    scenario.run_by_way_of(counter.port(), arguments).await.succeeds();
    let Trips { connections: opened, to_connect, round_trips } = counter.take();
    assert_eq!(opened, connections, "{arguments}");
    // The start, and the two that prove the password.
    assert_eq!(to_connect, 3 * connections, "{arguments}");
    round_trips
}

fn tables(scenario: Scenario, from: usize, to: usize) -> Scenario {
    (from..=to).fold(scenario, |scenario, n| {
        scenario.migration(&format!("{n:03}_t{n}"), &format!("CREATE TABLE t{n} (id int)"), &format!("DROP TABLE t{n}"))
    })
}

#[tokio::test]
async fn looking_takes_one() {
    let scenario = tables(Scenario::new("trips_of_a_look").await, 1, 10);
    scenario.up().await.succeeds();
    for command in ["up", "status"] {
        assert_eq!(of(&scenario, command, 1).await, 1, "{command}");
    }
}

#[tokio::test]
async fn a_migration_more_takes() {
    let scenario = tables(Scenario::new("trips_of_an_up").await, 1, 1);
    scenario.up().await.succeeds();
    let mut trips = Vec::new();
    for last in [2, 4, 14] {
        let scenario = tables(Scenario::new("trips_of_an_up").await, 1, 1);
        scenario.up().await.succeeds();
        let scenario = tables(scenario, 2, last);
        trips.push(of(&scenario, "up --no-backup", 2).await);
    }
    eprintln!("{trips:?}");
    assert_eq!((trips[2] - trips[1]) / 10, 1);
}
