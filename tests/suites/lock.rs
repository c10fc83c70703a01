//! One writer: who comes second waits, and then finds nothing left to do.

use lockgate_tests::{Scenario, Session, eventually};

/// Takes or gives back the database's lock, as a run does.
fn call(function: &str) -> String {
    format!("SET application_name = 'another run'; SELECT {function}({}, {})", 0x4C4F_434B, 0x4741_5445)
}

async fn holder(scenario: &Scenario) -> Session {
    let holder = scenario.session().await;
    holder.lines(&call("pg_advisory_lock")).await;
    holder
}

/// Waits until a run is waiting.
async fn asked_for_the_lock(holder: &Session) {
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'lockgate %'
                   AND query LIKE 'SELECT pg_try_advisory_lock%'";
    eventually("the run asks for the lock", async || holder.value(waiting).await == "1").await;
}

#[tokio::test]
async fn a_lock_that_is_held_is_told_with_its_holder() {
    let scenario = Scenario::new("held").await.tables(&["a"]);
    let holder = holder(&scenario).await;
    let pid = holder.value("SELECT pg_backend_pid()").await;
    for arguments in ["up --lock-timeout 0s", "backup --lock-timeout 0s"] {
        scenario
            .run(arguments)
            .await
            .refuses_with(4)
            .says("another run holds the migration lock")
            .says(&format!("held by pid {pid} (another run, role lockgate_owner, from "))
            .says("next: wait for it to end, or raise `--lock-timeout`");
    }
    assert!(!scenario.has_history().await);
    assert!(scenario.files("backups").is_empty());
}

#[tokio::test]
async fn a_run_waits_for_the_lock_and_then_goes_on() {
    let scenario = Scenario::new("waits").await.tables(&["a"]);
    let holder = holder(&scenario).await;
    let run = scenario.run("up --no-backup").start();
    asked_for_the_lock(&holder).await;
    // A waiter that holds a snapshot would stop the holder's CREATE INDEX CONCURRENTLY.
    let snapshots =
        "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'lockgate %' AND backend_xmin IS NOT NULL
                     AND state <> 'active' AND datname = current_database()";
    assert_eq!(holder.value(snapshots).await, "0");
    assert!(!scenario.has_history().await);
    holder.lines(&call("pg_advisory_unlock")).await;
    run.end().await.succeeds().says("waiting for another run").prints("applied 001_a");
}

#[tokio::test]
async fn another_history_in_the_same_database_has_the_same_lock() {
    let scenario = Scenario::new("other_schema").await.tables(&["a"]);
    let _holder = holder(&scenario).await;
    scenario.run("up --no-backup --schema elsewhere --lock-timeout 0s").await.refuses_with(4);
}

#[tokio::test]
async fn looking_takes_no_lock() {
    let scenario = Scenario::new("looking").await.tables(&["a"]);
    let _holder = holder(&scenario).await;
    scenario.run("status --lock-timeout 0s").await.succeeds();
    scenario.run("plan --lock-timeout 0s").await.succeeds();
    scenario.run("up --dry-run --lock-timeout 0s").await.succeeds();
    scenario.run("test --lock-timeout 0s").await.succeeds();
}

#[tokio::test]
async fn nothing_pending_takes_no_lock() {
    let scenario = Scenario::new("nothing_pending").await.tables(&["a"]);
    scenario.up().await.succeeds();
    let _holder = holder(&scenario).await;
    scenario.run("up --lock-timeout 0s").await.succeeds().prints("nothing is pending");
}

#[tokio::test]
async fn ten_runs_at_once_apply_every_migration_once() {
    let scenario = Scenario::new("ten").await.tables(&["a", "b", "c", "d"]);
    let runs: Vec<_> = (0..10).map(|_| scenario.run("up --no-backup").start()).collect();
    let mut workers = 0;
    for run in runs {
        let outcome = run.end().await.succeeds();
        if outcome.stdout.contains("applied 001_a") {
            workers += 1;
            outcome.prints("4 migrations applied");
        } else {
            outcome.prints("nothing is pending; the database is at version 004");
        }
    }
    assert_eq!(workers, 1);
    assert_eq!(scenario.applied().await, ["001", "002", "003", "004"]);
    let events: Vec<String> = scenario.journal().await;
    assert_eq!(
        events,
        ["run_started", "backup_skipped", "applied 001", "applied 002", "applied 003", "applied 004", "run_finished"]
    );
    scenario.is_at_rest().await;
}

#[tokio::test]
async fn a_run_that_waited_through_a_restore_does_not_migrate_the_old_database() {
    let scenario = Scenario::new("replaced").await.tables(&["a"]);
    let holder = holder(&scenario).await;
    let run = scenario.run("up --no-backup").start();
    asked_for_the_lock(&holder).await;
    // As a restore does before it ends the sessions and renames the database.
    let admin = scenario.superuser_in("postgres").await;
    let database = scenario.database();
    admin.lines(&format!("ALTER DATABASE {database} ALLOW_CONNECTIONS false")).await;
    holder.lines(&call("pg_advisory_unlock")).await;
    run.end().await.refuses_with(2).says("was replaced by a restore while this run waited");
    admin.lines(&format!("ALTER DATABASE {database} ALLOW_CONNECTIONS true")).await;
    assert!(!scenario.has_history().await);
}
