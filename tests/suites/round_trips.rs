//! How often a command waits for the server. Each wait is as long as the network is slow, so that every one of them is counted.

use lockgate_tests::{Counter, Scenario};

/// The round trips of the session that a command works in, after those in which it connects; it opens so many sessions.
async fn of(scenario: &Scenario, arguments: &str, sessions: usize) -> usize {
    let counter = Counter::before(scenario.host(), scenario.port()).await;
    scenario.run_by_way_of(counter.port(), arguments).await.succeeds();
    let counted = counter.take();
    assert_eq!(counted.len(), sessions, "{arguments}: {counted:?}");
    // The start, and the two that prove the password.
    assert!(counted.iter().all(|trips| trips.to_connect == 3), "{arguments}: {counted:?}");
    counted[0].round_trips
}

fn tables(scenario: Scenario, numbers: std::ops::RangeInclusive<usize>) -> Scenario {
    numbers.fold(scenario, |scenario, n| {
        scenario.migration(&format!("{n:03}_t{n}"), &format!("CREATE TABLE t{n} (id int)"), &format!("DROP TABLE t{n}"))
    })
}

#[tokio::test]
async fn looking_takes_one() {
    let scenario = tables(Scenario::new("trips_of_a_look").await, 1..=10);
    scenario.up().await.succeeds();
    assert_eq!(of(&scenario, "up", 1).await, 1);
    assert_eq!(of(&scenario, "status", 1).await, 1);
}

#[tokio::test]
async fn a_script_takes_one_up_and_one_down() {
    let mut ups = Vec::new();
    let mut downs = Vec::new();
    for more in [1, 11] {
        let scenario = tables(Scenario::new("trips_of_a_script").await, 1..=1);
        scenario.up().await.succeeds();
        let scenario = tables(scenario, 2..=1 + more);
        ups.push(of(&scenario, "up --no-backup", 2).await);
        downs.push(of(&scenario, "down --to 1 --no-backup --yes", 2).await);
    }
    // The COMMIT of the one before and the script; only the last COMMIT goes alone.
    assert_eq!([ups[1] - ups[0], downs[1] - downs[0]], [10, 10], "{ups:?} {downs:?}");
}

#[tokio::test]
async fn a_script_with_checks_of_its_own_takes_more() {
    let mut trips = Vec::new();
    for companions in [&[][..], &["verify"], &["preflight"], &["preflight", "verify"]] {
        let mut ups = Vec::new();
        for more in [1, 11] {
            let scenario = tables(Scenario::new("trips_of_checks").await, 1..=1);
            scenario.up().await.succeeds();
            let scenario = tables(scenario, 2..=1 + more);
            for (n, companion) in (2..=1 + more).flat_map(|n| companions.iter().map(move |companion| (n, companion))) {
                scenario.write(&format!("migrations/{n:03}_t{n}.{companion}.sql"), "SELECT true;");
            }
            ups.push(of(&scenario, "up --no-backup", 2).await);
        }
        trips.push((ups[1] - ups[0]) / 10);
    }
    assert_eq!(trips, [1, 6, 7, 12]);
}

#[tokio::test]
async fn a_script_among_others_takes_two() {
    let mut ups = Vec::new();
    for more in [1, 11] {
        let scenario = tables(Scenario::new("trips_of_one_among_others").await, 1..=1);
        scenario.up().await.succeeds();
        ups.push(of(&tables(scenario, 2..=1 + more), "up --atomic --no-backup", 2).await);
    }
    assert_eq!(ups[1] - ups[0], 20, "{ups:?}");
}

#[tokio::test]
async fn a_large_script_waits_for_the_commit_before_it() {
    let scenario = tables(Scenario::new("trips_of_a_large_one").await, 1..=3);
    scenario.up().await.succeeds();
    let mut trips = Vec::new();
    for large in [false, true] {
        for revert in ["down --to 1", "down 001"] {
            scenario.run(&format!("{revert} --no-backup --yes")).await.succeeds();
        }
        if large {
            let script = format!("CREATE TABLE t3 (id int); -- {}", "-".repeat(64 * 1024));
            scenario.write("migrations/003_t3.up.sql", script);
        }
        trips.push(of(&scenario, "up --no-backup", 2).await);
    }
    assert_eq!(trips[1], trips[0] + 1, "{trips:?}");
}
