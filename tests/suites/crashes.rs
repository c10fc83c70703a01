//! Whatever ends a run, the next one applies what is missing, once.

use std::time::Duration;

use lockgate_tests::{Harm, Meant, Outcome, Proxy, Running, Scenario, Session, eventually};

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
    is_at_the_gate(gate).await;
    run
}

async fn is_at_the_gate(gate: &Session) {
    let waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = 7
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    eventually("the run comes to the gate", async || gate.value(waits).await == "1").await;
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
async fn sigterm_during_a_commit_ends_the_run_behind_it() {
    let up = format!(
        "CREATE TABLE b (i int);
         CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $f$
         BEGIN
             IF NEW.i = 1 THEN SET CONSTRAINTS ALL DEFERRED; INSERT INTO b VALUES (2); ELSE {}; END IF;
             RETURN NULL;
         END $f$;
         CREATE CONSTRAINT TRIGGER wait AFTER INSERT ON b DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait();
         INSERT INTO b VALUES (1);",
        GATE.replace("SELECT", "PERFORM").trim_end_matches(';')
    );
    let (scenario, gate) = gated("sigterm_commit").await;
    scenario.write("migrations/002_b.up.sql", up);
    scenario.write("migrations/002_b.down.sql", "DROP TABLE b; DROP FUNCTION wait;");
    // Long enough to be stopped.
    scenario.write("migrations/003_c.up.sql", "CREATE TABLE c (); SELECT pg_sleep(20);");
    let run = run_to_the_gate(&scenario, &gate).await;
    run.terminate();
    gate.lines("SELECT pg_advisory_unlock(7)").await;
    run.end().await.fails_with(1).says("stopped by SIGTERM").says("state: rolled back; the database is at version 002");
    assert_eq!(scenario.applied().await, ["001", "002"]);
    scenario.write("migrations/003_c.up.sql", "CREATE TABLE c ();");
    scenario.up().await.succeeds().prints("applied 003_c");
    scenario.is_at_rest().await;
}

#[tokio::test]
async fn a_closed_terminal_rolls_back_unless_it_is_to_be_outlived() {
    let (scenario, gate) = gated("sighup").await;
    // Whoever runs the tests may outlive a terminal, and so would all of theirs.
    let by =
        |signal: &str| scenario.shell(&format!("exec env --{signal}-signal=HUP \"$LOCKGATE\" up --no-backup")).start();
    let run = by("default");
    is_at_the_gate(&gate).await;
    run.hang_up();
    run.end().await.fails_with(1).says("stopped by SIGHUP").says("state: rolled back; the database is at version 001");
    assert_eq!(scenario.applied().await, ["001"]);

    let run = by("ignore");
    is_at_the_gate(&gate).await;
    run.hang_up();
    gate.lines("SELECT pg_advisory_unlock(7)").await;
    run.end().await.succeeds();
    scenario.is_at_rest().await;
}

#[tokio::test]
async fn a_lost_connection_is_taken_up_again() {
    let (scenario, gate) = gated("lost").await;
    let run = run_to_the_gate(&scenario, &gate).await;
    scenario.end_the_run().await;
    gate.lines("SELECT pg_advisory_unlock(7)").await;
    run.end()
        .await
        .succeeds()
        .says("the connection is lost; looking for the server")
        .says("the connection was lost; what was under way is rolled back")
        .prints("applied 002_b")
        .prints("applied 003_c");
    assert_eq!(scenario.applied().await, ["001", "002", "003"]);
    assert!(scenario.journal().await.contains(&"resolved 002".to_owned()));
    scenario.is_at_rest().await;
}

#[tokio::test]
async fn without_retries_a_lost_connection_is_told_and_rolled_back() {
    let (scenario, gate) = gated("lost_once").await;
    let run = scenario.run("up --no-backup --retries 0").start();
    is_at_the_gate(&gate).await;
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

/// Two migrations, of which the first one's COMMIT comes to harm; afterwards the server can be reached.
async fn survives(name: &str, harm: Harm) -> Outcome {
    survives_at(name, 0, harm).await
}

/// The same of the COMMIT with this number, counted from 0: behind the last one, nothing was sent.
async fn survives_at(name: &str, nth: usize, harm: Harm) -> Outcome {
    let scenario = Scenario::new(name).await.tables(&["a", "b"]);
    let proxy = Proxy::before(scenario.host(), scenario.port(), Meant::Commit(nth), harm, false).await;
    let outcome = scenario.run_through(&proxy, "up --no-backup").await.succeeds();
    assert!(proxy.has_harmed());
    assert_eq!(scenario.applied().await, ["001", "002"]);
    let journal = scenario.journal().await;
    let count = |event: &str| journal.iter().filter(|noted| *noted == event).count();
    assert_eq!(
        [count("applied 001"), count("applied 002"), count(&format!("resolved 00{}", nth + 1))],
        [1; 3],
        "{journal:?}"
    );
    scenario.is_at_rest().await;
    outcome.prints("applied 001_a").prints("applied 002_b")
}

#[tokio::test]
async fn a_lost_commit_is_sent_again() {
    survives("lost_commit", Harm::Lost).await.says("the history tells where it stands");
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_not_applied_again() {
    // Whether the server has carried it out before the run is back is the server's affair: either is right.
    survives("lost_answer", Harm::AnswerLost).await;
}

#[tokio::test]
async fn a_commit_that_comes_late_is_not_carried_out_beside_another() {
    survives("late_commit", Harm::Delayed(Duration::from_secs(2))).await.says("the history tells where it stands");
}

#[tokio::test]
async fn a_commit_that_is_swallowed_is_noticed() {
    for nth in [0, 1] {
        survives_at(&format!("swallowed_commit_{nth}"), nth, Harm::Swallowed)
            .await
            .says("the server waits for the client, and the client for the server")
            .says("the history tells where it stands");
    }
}

#[tokio::test]
async fn an_answer_that_is_swallowed_is_noticed() {
    for nth in [0, 1] {
        survives_at(&format!("swallowed_answer_{nth}"), nth, Harm::AnswerSwallowed)
            .await
            .says("the connection was lost during its COMMIT, which took place");
    }
}

#[tokio::test]
async fn a_script_that_takes_long_to_reach_the_server_is_waited_for() {
    // It is on its way for five seconds; an answer that never comes is noticed after three.
    let up = format!("CREATE TABLE a (id int); -- {}", "x".repeat(2_500_000));
    let scenario = Scenario::new("slow_way").await.migration("001_a", &up, "DROP TABLE a;");
    let (meant, harm) = (Meant::Anything(usize::MAX), Harm::Slowed(500_000));
    let proxy = Proxy::before(scenario.host(), scenario.port(), meant, harm, false).await;
    let outcome = scenario.run_through(&proxy, "up --no-backup").await;
    outcome.succeeds().prints("applied 001_a").never_mentions("given up");
    scenario.is_at_rest().await;
}

#[tokio::test]
async fn a_server_that_says_that_it_ends_is_looked_for_to_the_last_message() {
    let scenario = Scenario::new("told_of_the_end").await.tables(&["a"]);
    let by_way = async |nth: usize| {
        let meant = Meant::Anything(nth);
        let proxy = Proxy::before(scenario.host(), scenario.port(), meant, Harm::ToldOfTheEnd, false).await;
        let outcome = scenario.run_through(&proxy, "up --no-backup").await;
        (proxy.seen(), proxy.has_harmed(), outcome.succeeds())
    };
    let (messages, ..) = by_way(usize::MAX).await;
    for nth in messages - 20..messages {
        scenario.run("down --to 0 --no-backup").await.succeeds();
        let (_, harmed, outcome) = by_way(nth).await;
        outcome.prints("applied 001_a");
        assert!(harmed || nth + 2 >= messages, "{nth} of {messages} has not come by");
        assert_eq!(scenario.applied().await, ["001"], "{nth} of {messages}");
    }
    scenario.is_at_rest().await;
}

#[tokio::test]
async fn an_outcome_that_cannot_be_known_is_told_and_known_by_the_next_run() {
    for (name, harm, committed) in [("unknown_lost", Harm::Lost, false), ("unknown_answer", Harm::AnswerLost, true)] {
        let scenario = Scenario::new(name).await.tables(&["a"]);
        let proxy = Proxy::before(scenario.host(), scenario.port(), Meant::Commit(0), harm, true).await;
        scenario
            .run_through(&proxy, "up --no-backup --reconnect-timeout 1s")
            .await
            .fails_with(9)
            .says("the connection was lost while migration `001_a` was committing")
            .says("either applied whole, by run ")
            .says("next: run `lockgate status`")
            .does_not_print("applied 001_a");
        scenario.is_gone().await;
        let next = scenario.up().await.succeeds();
        if committed {
            next.prints("nothing is pending");
        } else {
            next.prints("was cut off; it has committed: nothing").prints("applied 001_a");
        }
        assert_eq!(scenario.applied().await, ["001"]);
    }
}

/// A table, a migration that changes it, and a session that is in the way.
async fn in_the_way(name: &str) -> (Scenario, Session, String) {
    let scenario = Scenario::new(name).await.config("[statements]\nlock_timeout_ms = 700\nretries = 2");
    let blocker = scenario.session().await;
    blocker.lines("CREATE TABLE t (); SET application_name = 'report'").await;
    blocker.lines("BEGIN").await;
    blocker.lines("LOCK TABLE t").await;
    let pid = blocker.value("SELECT pg_backend_pid()").await;
    (scenario.migration("001_t", "ALTER TABLE t ADD c int;", "ALTER TABLE t DROP c;"), blocker, pid)
}

#[tokio::test]
async fn a_lock_that_is_not_had_is_tried_again_and_its_holder_named() {
    let (scenario, blocker, pid) = in_the_way("blocked").await;
    let run = scenario.run("up --no-backup --retries 30").start();
    eventually("the run has tried twice", async || {
        // Before the first run there is no journal.
        scenario.has_history().await
            && scenario.journal().await.iter().filter(|event| *event == "retried 001").count() >= 2
    })
    .await;
    blocker.lines("COMMIT").await;
    run.end()
        .await
        .succeeds()
        .says(&format!("pid {pid} (report, role"))
        .says("trying again after a pause")
        .prints("applied 001_t");
    scenario.is_at_rest().await;
}

#[tokio::test]
async fn a_lock_that_is_never_had_ends_the_run_after_its_tries() {
    let (scenario, blocker, pid) = in_the_way("blocked_for_good").await;
    scenario
        .up()
        .await
        .fails_with(1)
        .says("55P03")
        .says("the lock is held by pid ")
        .says(&pid)
        .says("state: rolled back, after 3 tries");
    let journal = scenario.journal().await;
    assert_eq!(journal[2..], ["retried 001", "retried 001", "failed 001"]);
    blocker.lines("COMMIT").await;
    scenario.up().await.succeeds();
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

#[tokio::test]
async fn a_process_of_the_server_that_does_not_react_is_given_up() {
    let scenario = Scenario::new("stuck_backend").await.migration(
        "001_a",
        "CREATE TABLE a (); SELECT pg_sleep(60);",
        "DROP TABLE a;",
    );
    if scenario.value("SELECT inet_server_addr() IS NULL OR host(inet_server_addr()) = '127.0.0.1'").await != "t" {
        // In a container it is not ours to stop.
        return;
    }
    let run = scenario.run("up --no-backup --reconnect-timeout 2s").start();
    let sleeping = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
    eventually("it sleeps", async || !scenario.lines(sleeping).await.is_empty()).await;
    let pid = nix::unistd::Pid::from_raw(scenario.value(sleeping).await.parse().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGSTOP).unwrap();
    run.terminate();
    run.terminate();
    let outcome = run.end().await;
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGCONT).unwrap();
    outcome.fails_with(1).says("stopped by SIGTERM").says("waiting for it").says("the connection is lost");
    scenario.is_gone().await;
    assert_eq!(scenario.value("SELECT to_regclass('a') IS NULL").await, "t");
}
