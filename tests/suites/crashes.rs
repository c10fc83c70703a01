//! Whatever ends a run, the next one applies what is missing, once.

use lockgate_tests::{Running, Scenario, Session, eventually};

const GATE: &str = "SET LOCAL lock_timeout = 0; SELECT pg_advisory_xact_lock(7);";

/// Three migrations, of which the second cannot go on while the gate is closed.
async fn gated(name: &str) -> (Scenario, Session) {
    let scenario = Scenario::new(name)
        .await
        .migration("001_a", "CREATE TABLE a ();", "DROP TABLE a;")
        .migration("002_b", &format!("CREATE TABLE b (); {GATE}"), "DROP TABLE b;")
        .migration("003_c", "CREATE TABLE c ();", "DROP TABLE c;");
    let gate = scenario.session().await;
    gate.lines("SELECT pg_advisory_lock(7)").await;
    (scenario, gate)
}

/// A run that has come to the gate.
async fn run_to_the_gate(scenario: &Scenario, gate: &Session) -> Running {
    let run = scenario.run("up --no-backup").start();
    let waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = 7
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    eventually("the run comes to the gate", async || gate.value(waits).await == "1").await;
    run
}

/// What is missing is applied by one more run, and nothing twice.
async fn the_next_run_finishes(scenario: &Scenario, gate: &Session) {
    gate.lines("SELECT pg_advisory_unlock(7)").await;
    scenario.up().await.succeeds().does_not_print("applied 001_a").prints("applied 002_b").prints("applied 003_c");
    assert_eq!(scenario.applied().await, ["001", "002", "003"]);
    let mut applied = scenario.journal().await;
    applied.retain(|event| event.starts_with("applied"));
    assert_eq!(applied, ["applied 001", "applied 002", "applied 003"]);
    scenario.is_at_rest().await;
}

#[tokio::test]
async fn after_sigkill_the_next_run_applies_what_is_missing_once() {
    let (scenario, gate) = gated("sigkill").await;
    let run = run_to_the_gate(&scenario, &gate).await;
    run.kill();
    assert_eq!(run.end().await.signal, Some(9));
    assert_eq!(scenario.applied().await, ["001"]);
    the_next_run_finishes(&scenario, &gate).await;
}

#[tokio::test]
async fn after_sigkill_the_server_notices_even_while_a_statement_waits() {
    let (scenario, gate) = gated("noticed").await;
    let run = run_to_the_gate(&scenario, &gate).await;
    run.kill();
    run.end().await;
    // The gate stays closed: nothing but the server's own look at the connection ends the session.
    scenario.is_gone().await;
    the_next_run_finishes(&scenario, &gate).await;
}

#[tokio::test]
async fn sigterm_rolls_back_and_says_so() {
    let (scenario, gate) = gated("sigterm").await;
    let run = run_to_the_gate(&scenario, &gate).await;
    run.terminate();
    run.end().await.fails_with(1).says("stopped by SIGTERM").says("state: the migration under way is rolled back");
    assert_eq!(scenario.applied().await, ["001"]);
    the_next_run_finishes(&scenario, &gate).await;
}

#[tokio::test]
async fn a_lost_connection_is_told_and_rolled_back() {
    let (scenario, gate) = gated("lost").await;
    let run = run_to_the_gate(&scenario, &gate).await;
    scenario.end_the_run().await;
    run.end()
        .await
        .fails_with(1)
        .says("migration `002_b` failed in up")
        .says("terminating connection due to administrator command")
        .says("state: the connection is lost; the server rolls the migration back and releases the lock");
    assert_eq!(scenario.applied().await, ["001"]);
    the_next_run_finishes(&scenario, &gate).await;
}

#[tokio::test]
async fn a_connection_lost_during_commit_has_an_unknown_outcome() {
    let deferred = format!(
        "CREATE TABLE b (id int);
         CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {} RETURN NULL; END $$;
         CREATE CONSTRAINT TRIGGER wait AFTER INSERT ON b DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait();
         INSERT INTO b VALUES (1);",
        GATE.replace("SELECT", "PERFORM")
    );
    let scenario = Scenario::new("unknown").await.tables(&["a"]).migration(
        "002_b",
        &deferred,
        "DROP TABLE b; DROP FUNCTION wait();",
    );
    let gate = scenario.session().await;
    gate.lines("SELECT pg_advisory_lock(7)").await;
    let run = run_to_the_gate(&scenario, &gate).await;
    scenario.end_the_run().await;
    run.end()
        .await
        .fails_with(9)
        .says("the connection was lost while migration `002_b` was committing")
        .says("either applied whole, by run ")
        .says("next: run `lockgate status`")
        .never_mentions("applied 002_b");
    gate.lines("SELECT pg_advisory_unlock(7)").await;
    scenario.up().await.succeeds().prints("applied 002_b");
    assert_eq!(scenario.applied().await, ["001", "002"]);
}
