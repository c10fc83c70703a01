//! Whatever ends a run, the next one applies what is missing, once.

use lockgate_tests::{Running, Scenario, Session, eventually};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

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
    run.end().await.fails_with(1).says("stopped by SIGTERM").says("state: rolled back; the database is at version 001");
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

/// What the run's connection loses.
#[derive(Clone, Copy, PartialEq)]
enum Lost {
    Commit,
    Answer,
}

/// Stands between the run and the server until the run sends COMMIT, then cuts. Returns its port.
async fn cutter(scenario: &Scenario, lost: Lost) -> u16 {
    // Of a migration: the host's tables are made in a transaction as well.
    const COMMIT: &[u8] = b"SET LOCAL transaction_read_only = on; COMMIT\0";
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = (scenario.host().to_owned(), scenario.port());
    tokio::spawn(async move {
        let (client, _) = listener.accept().await.unwrap();
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = TcpStream::connect(server).await.unwrap().into_split();
        let answers =
            tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await.map(|_| from_server) });
        let mut buffer = vec![0; 1 << 16];
        loop {
            let n = from_client.read(&mut buffer).await.unwrap();
            if buffer[..n].ends_with(COMMIT) {
                answers.abort();
                if lost == Lost::Answer {
                    to_server.write_all(&buffer[..n]).await.unwrap();
                    // The server ends the session when it has done what was sent.
                    to_server.shutdown().await.unwrap();
                }
                return;
            }
            to_server.write_all(&buffer[..n]).await.unwrap();
        }
    });
    port
}

async fn loses_its_connection_in_commit(name: &str, lost: Lost) -> Scenario {
    let scenario = Scenario::new(name).await.tables(&["a"]);
    let port = cutter(&scenario, lost).await;
    let through = scenario.run("up --no-backup").env("DB_HOST", "127.0.0.1").env("DB_PORT", port.to_string());
    through
        .env("DB_SSL_MODE", "disable")
        .await
        .fails_with(9)
        .says("the connection was lost while migration `001_a` was committing")
        .says("either applied whole, by run ")
        .says("next: run `lockgate status`")
        .does_not_print("applied 001_a");
    scenario.is_gone().await;
    scenario
}

#[tokio::test]
async fn a_lost_commit_is_applied_by_the_next_run() {
    let scenario = loses_its_connection_in_commit("lost_commit", Lost::Commit).await;
    scenario.up().await.succeeds().prints("applied 001_a");
    assert_eq!(scenario.applied().await, ["001"]);
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_not_applied_again() {
    let scenario = loses_its_connection_in_commit("lost_answer", Lost::Answer).await;
    assert_eq!(scenario.applied().await, ["001"]);
    scenario.up().await.succeeds().prints("nothing is pending");
}

#[tokio::test]
async fn a_second_signal_does_not_end_the_run_in_the_middle() {
    let (scenario, gate) = gated("twice").await;
    let run = run_to_the_gate(&scenario, &gate).await;
    run.terminate();
    run.terminate();
    run.end().await.fails_with(1).says("stopped by SIGTERM").says("state: rolled back");
    scenario.is_gone().await;
    the_next_run_finishes(&scenario, &gate).await;
}
