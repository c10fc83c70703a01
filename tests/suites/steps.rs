//! A migration of several transactions: every part is applied once, and a run that was cut off goes on where it stopped.

use lockgate_tests::{
    Running, Scenario, Session,
    components::{self, Steps, plan, planned},
    eventually,
};

const INDEX: &str = "CREATE INDEX CONCURRENTLY target_idx ON target (id DESC)";
const INDEX_IS_THERE: &str =
    "SELECT EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass('target_idx') AND indisvalid)";
const NO_INDEX: &str = "SELECT to_regclass('target_idx') IS NULL";

/// One of each kind, and a way back.
const EVERY_KIND: Steps<'static> = &[
    ("up", "sql", "CREATE TABLE made (); INSERT INTO trace VALUES ('sql')", ""),
    ("up", "batched", "copy", ""),
    ("up", "outside", INDEX, INDEX_IS_THERE),
    ("up", "code", "code", ""),
    ("down", "outside", "DROP INDEX CONCURRENTLY target_idx", NO_INDEX),
    ("down", "batched", "empty", ""),
    ("down", "sql", "DROP TABLE made; TRUNCATE trace", ""),
];

async fn events(scenario: &Scenario) -> Vec<String> {
    let mut events = scenario.journal().await;
    events.retain(|event| event.ends_with("002"));
    events
}

#[tokio::test]
async fn nothing_in_a_plan_moves_the_cursor_of_a_terminal() {
    let scenario = planned("escapes", &[("up", "sql", "SELECT '\u{1b}[2J\u{202e}text'", "")]).await;
    for arguments in ["plan", "up --dry-run"] {
        let outcome = scenario.run(arguments).await.succeeds().prints("  SELECT ' [2J text'\n");
        outcome.never_mentions("\u{1b}").never_mentions("\u{202e}");
    }
    plan(&scenario, &[("up", "code", "a\u{202e}b", "")]).await;
    scenario.run("plan").await.fails_with(1).says("its name has more than 200 characters, or control characters");
}

#[tokio::test]
async fn the_four_kinds_of_step_go_up_and_down_and_leave_nothing() {
    let scenario = planned("four_kinds", EVERY_KIND).await;
    let before = scenario.state().await;
    scenario.run("plan").await.succeeds().prints(
        "up 002_steps (component, several transactions)\n  transaction 1:\n  CREATE TABLE made ()\n  INSERT INTO trace VALUES ('sql')\n",
    ).prints(
        "  in batches: copy\n    locks not known: its code decides when it runs\n  outside a transaction (PostgreSQL refuses it inside \
         one): CREATE INDEX CONCURRENTLY target_idx ON target (id DESC)\n    SHARE UPDATE EXCLUSIVE on target (",
    ).prints("  transaction 2:\n  code: code\n");
    scenario.is_still(&before).await;
    scenario.up().await.succeeds().prints("applied 002_steps (component, ");
    assert_eq!(scenario.value("SELECT string_agg(name, ' ') FROM trace").await, "sql code");
    assert_eq!(scenario.value("SELECT array_agg(id ORDER BY id) FROM target").await, "{1,2,3,4,5,6,7}");
    assert_eq!(scenario.value(INDEX_IS_THERE).await, "t");
    assert_eq!(scenario.applied().await, ["001", "002"]);
    assert_eq!(events(&scenario).await, ["started 002", "step_finished 002", "step_finished 002", "applied 002"]);
    let detail = "SELECT step || ': ' || detail FROM schema_migrations_journal WHERE event = 'step_finished' ORDER BY id LIMIT 1";
    assert_eq!(scenario.value(detail).await, "2 (`copy`): 5 batches, 7 done before the last");
    assert_eq!(scenario.value("SELECT count(*) FROM schema_migrations_progress").await, "0");

    scenario.down("002").await.succeeds().prints("reverted 002_steps");
    scenario.is_still(&before).await;
}

/// A run whose third batch waits for the gate; two batches are committed.
async fn at_the_gate(scenario: &Scenario, gate: &Session) -> Running {
    gate.lines("SELECT pg_advisory_lock(7)").await;
    let run = scenario.run("up --no-backup").start();
    let waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = 7
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    eventually("the run comes to the gate", async || gate.value(waits).await == "1").await;
    run
}

const GATED: Steps<'static> = &[
    ("up", "sql", "CREATE TABLE made ()", ""),
    ("up", "batched", "gated", ""),
    ("up", "code", "after", ""),
    ("down", "batched", "empty", ""),
    ("down", "sql", "DROP TABLE IF EXISTS made; TRUNCATE trace", ""),
];

#[tokio::test]
async fn after_sigkill_between_batches_the_next_run_goes_on_at_the_checkpoint() {
    let scenario = planned("batch_sigkill", GATED).await;
    let gate = scenario.session().await;
    let run = at_the_gate(&scenario, &gate).await;
    run.kill();
    run.end().await;
    scenario.is_gone().await;
    assert_eq!(scenario.value("SELECT count(*) FROM target").await, "4");
    assert_eq!(scenario.applied().await, ["001"]);
    scenario
        .run("status")
        .await
        .succeeds()
        .prints("half applied: at step 2 of 3, 4 of 7 done (57 %)")
        .prints("1 applied, 0 pending, 1 started");
    scenario.run("status --check").await.exits_with(3);
    scenario.run("plan").await.succeeds().prints("up 002_steps (component, goes on at step 2 of 3)");

    // The plan is the one that was stored: what the component would plan now does not count.
    plan(&scenario, &[("up", "sql", "SELECT 1/0", "")]).await;
    gate.lines("SELECT pg_advisory_unlock(7)").await;
    scenario.up().await.succeeds().prints("applied 002_steps");
    assert_eq!(scenario.value("SELECT array_agg(id ORDER BY id) FROM target").await, "{1,2,3,4,5,6,7}");
    assert_eq!(scenario.value("SELECT string_agg(name, ' ') FROM trace").await, "after");
    assert_eq!(events(&scenario).await, ["started 002", "resumed 002", "step_finished 002", "applied 002"]);
    scenario.is_at_rest().await;
}

#[tokio::test]
async fn a_run_that_is_asked_to_stop_keeps_its_batches_and_says_how_to_go_on() {
    let scenario = planned("batch_sigterm", GATED).await;
    let gate = scenario.session().await;
    let run = at_the_gate(&scenario, &gate).await;
    run.terminate();
    run.end().await.fails_with(1).says("stopped by SIGTERM").says(
        "state: stopped at step 2 of 3, after 2 batches, what is before it is committed (`lockgate up` goes on there, \
         `lockgate down 002` takes it back); the database is at version 001",
    );
    gate.lines("SELECT pg_advisory_unlock(7)").await;
    scenario.up().await.succeeds();
    assert_eq!(scenario.value("SELECT count(*) FROM target").await, "7");
}

#[tokio::test]
async fn a_second_signal_does_no_more_than_the_first() {
    let scenario = planned("batch_sigint_twice", GATED).await;
    let gate = scenario.session().await;
    let run = at_the_gate(&scenario, &gate).await;
    run.interrupt();
    run.interrupt();
    run.end().await.fails_with(1).says("stopped by SIGINT").says("stopped at step 2 of 3, after 2 batches");
    scenario.is_gone().await;
    gate.lines("SELECT pg_advisory_unlock(7)").await;
    scenario.is_at_rest().await;
    assert_eq!(scenario.value("SELECT count(*) FROM target").await, "4");
    let noted = "SELECT concat_ws(' ', event, attempt, detail) FROM schema_migrations_journal ORDER BY id DESC LIMIT 1";
    assert_eq!(scenario.value(noted).await, "interrupted 1 SIGINT");
    scenario.up().await.succeeds();
}

/// Waits until a run has found that its migration is paused.
async fn waits_for_the_end_of_its_pause(gate: &Session) {
    let asks =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'SELECT paused_by%'";
    eventually("the run asks whether it is still paused", async || gate.value(asks).await == "1").await;
}

#[tokio::test]
async fn between_a_pause_and_its_end_no_batch_is_committed() {
    let scenario = planned("batch_paused", GATED).await;
    let gate = scenario.session().await;
    let run = at_the_gate(&scenario, &gate).await;
    let paused = scenario.run("pause").await.succeeds();
    paused.prints("002_steps is paused before step 2 of 3, or its next batch").prints("`lockgate pause --off`");
    scenario.run("pause").await.refuses_with(2).says("`002_steps` is paused already, by ");
    gate.lines("SELECT pg_advisory_unlock(7)").await;
    waits_for_the_end_of_its_pause(&gate).await;
    // The batch that was under way is committed, and none after it.
    for _ in 0..3 {
        assert_eq!(scenario.value("SELECT count(*) FROM target").await, "6");
        scenario.run("status").await.succeeds().prints("half applied: at step 2 of 3, 6 of 7 done (85 %), paused by ");
        scenario.run("up --no-backup --lock-timeout 0s").await.refuses_with(4);
    }
    let status = scenario.run("status --output json").await.succeeds().json();
    let progress = &status["migrations"][1]["progress"];
    assert_eq!(progress["done_percent"], 85);
    assert!(progress["paused"]["by"].as_str().is_some_and(|by| by.contains(" on ")), "{progress}");
    scenario.run("pause --off").await.succeeds().prints("002_steps is no longer paused");
    run.end()
        .await
        .succeeds()
        .says("paused until `lockgate pause --off`")
        .says("the pause is over: going on")
        .prints("applied 002_steps");
    assert_eq!(scenario.value("SELECT count(*) FROM target").await, "7");
    assert_eq!(
        events(&scenario).await,
        ["started 002", "paused 002", "unpaused 002", "step_finished 002", "applied 002"]
    );
    scenario.run("history --verify").await.succeeds();
    scenario.is_at_rest().await;
}

#[tokio::test]
async fn a_run_that_is_paused_can_be_stopped_and_stays_paused() {
    let scenario = planned("batch_paused_sigterm", GATED).await;
    let gate = scenario.session().await;
    let run = at_the_gate(&scenario, &gate).await;
    scenario.run("pause").await.succeeds();
    gate.lines("SELECT pg_advisory_unlock(7)").await;
    waits_for_the_end_of_its_pause(&gate).await;
    run.terminate();
    run.end().await.fails_with(1).says("stopped by SIGTERM").says("stopped at step 2 of 3, after 3 batches");
    scenario.is_at_rest().await;
    let before = scenario.state().await;
    for arguments in ["up --no-backup", "down 002 --no-backup"] {
        let refused = scenario.run(arguments).await.refuses_with(2);
        refused.says("migration `002_steps` is paused, by ").says("next: `lockgate pause --off`");
    }
    scenario.run("plan").await.succeeds().prints("goes on at step 2 of 3");
    scenario.is_still(&before).await;
    scenario.run("pause --off").await.succeeds();
    scenario.up().await.succeeds();
    assert_eq!(scenario.value("SELECT count(*) FROM target").await, "7");
}

#[tokio::test]
async fn a_run_that_is_paused_goes_on_after_a_lost_connection() {
    let scenario = planned("batch_paused_lost", GATED).await;
    let gate = scenario.session().await;
    let run = at_the_gate(&scenario, &gate).await;
    scenario.run("pause").await.succeeds();
    gate.lines("SELECT pg_advisory_unlock(7)").await;
    waits_for_the_end_of_its_pause(&gate).await;
    scenario.end_the_run().await;
    waits_for_the_end_of_its_pause(&gate).await;
    assert_eq!(scenario.value("SELECT count(*) FROM target").await, "6");
    scenario.run("pause --off").await.succeeds();
    run.end().await.succeeds().prints("applied 002_steps");
    assert_eq!(scenario.value("SELECT count(*) FROM target").await, "7");
}

#[tokio::test]
async fn a_pause_of_nothing_is_refused() {
    let scenario = planned("batch_not_paused", GATED).await;
    let before = scenario.state().await;
    for arguments in ["pause", "pause --off"] {
        let refused = scenario.run(arguments).await.refuses_with(2);
        refused.says("no migration of several transactions is under way");
    }
    scenario.is_still(&before).await;
    let gate = scenario.session().await;
    let run = at_the_gate(&scenario, &gate).await;
    scenario.run("pause --off").await.refuses_with(2).says("`002_steps` is not paused");
    run.kill();
    run.end().await;
    scenario.is_gone().await;
    gate.lines("SELECT pg_advisory_unlock(7)").await;
    // As an older version had made the table.
    scenario.lines("ALTER TABLE schema_migrations_progress DROP COLUMN paused_at, DROP COLUMN paused_by").await;
    scenario.run("pause").await.refuses_with(2).says("was begun by an older version");
    scenario.run("status").await.succeeds().prints("half applied: at step 2 of 3");
    scenario.up().await.succeeds();
    assert_eq!(scenario.value("SELECT count(*) FROM target").await, "7");
}

#[tokio::test]
async fn what_is_half_applied_can_be_taken_back() {
    let scenario = planned("half_back", GATED).await;
    let gate = scenario.session().await;
    let before = scenario.state().await;
    let run = at_the_gate(&scenario, &gate).await;
    run.kill();
    run.end().await;
    scenario.is_gone().await;
    gate.lines("SELECT pg_advisory_unlock(7)").await;
    scenario.down("001").await.refuses_with(2).says("migration `001` cannot be reverted before `002`");
    scenario.down("002").await.succeeds().prints("reverted 002_steps");
    assert_eq!(scenario.applied().await, ["001"]);
    assert_eq!(events(&scenario).await, ["started 002", "started 002", "step_finished 002", "reverted 002"]);
    scenario.is_still(&before).await;
}

#[tokio::test]
async fn a_component_that_changed_half_way_is_refused() {
    let scenario = planned("half_changed", GATED).await;
    let gate = scenario.session().await;
    let run = at_the_gate(&scenario, &gate).await;
    run.kill();
    run.end().await;
    scenario.is_gone().await;
    gate.lines("SELECT pg_advisory_unlock(7)").await;
    let scenario = scenario.component("002_steps", &components::hostile()).await;
    let state = scenario.state().await;
    for arguments in ["up --no-backup", "down 002 --no-backup", "plan"] {
        scenario.run(arguments).await.refuses_with(5).says("002_steps.wasm: it has changed since it was ");
    }
    scenario.is_still(&state).await;
}

#[tokio::test]
async fn a_batch_that_fails_is_rolled_back_alone() {
    let scenario = planned("batch_fails", &[("up", "batched", "fails-in-the-third", "")]).await;
    for _ in 0..2 {
        scenario
            .up()
            .await
            .fails_with(1)
            .says("step 1 (`fails-in-the-third`)")
            .says("the batch fails as it was told to")
            .says("stopped at step 1 of 1, after 2 batches, what is before it is committed");
        assert_eq!(scenario.value("SELECT count(*) FROM target").await, "4");
    }
    assert_eq!(scenario.applied().await, ["001"]);
}

#[tokio::test]
async fn a_batched_step_that_does_not_move_is_stopped() {
    let scenario = planned("batch_stuck", &[("up", "batched", "stuck", "")]).await;
    scenario
        .up()
        .await
        .fails_with(1)
        .says("the plugin is at fault: it returned the same checkpoint twice and did nothing in between");
}

#[tokio::test]
async fn a_verification_that_says_no_leaves_the_migration_half_applied() {
    let scenario = planned("half_verified", GATED).await;
    scenario.lines("INSERT INTO objections DEFAULT VALUES").await;
    scenario.up().await.fails_with(6).says("there is an objection").says("stopped at step 3 of 3");
    assert_eq!(scenario.applied().await, ["001"]);
    assert_eq!(scenario.value("SELECT count(*) FROM trace").await, "0", "the last transaction is rolled back");
    assert_eq!(scenario.value("SELECT count(*) FROM target").await, "7");
    scenario.lines("TRUNCATE objections").await;
    scenario.up().await.succeeds().prints("applied 002_steps");
    assert_eq!(scenario.value("SELECT count(*) FROM target").await, "7");
}

#[tokio::test]
async fn what_is_in_effect_already_is_left_out() {
    let scenario = planned("outside_there", &[("up", "outside", INDEX, INDEX_IS_THERE)]).await;
    scenario.lines(INDEX).await;
    scenario.up().await.succeeds().prints("it is in effect already [already-in-effect]");
    assert_eq!(scenario.applied().await, ["001", "002"]);
}

#[tokio::test]
async fn a_step_whose_probe_is_content_is_left_out_but_not_over_an_invalid_index() {
    let content = "SELECT to_regclass('target_idx') IS NOT NULL";
    let scenario = planned("outside_content", &[("up", "outside", INDEX, "SELECT true")]).await;
    scenario.up().await.succeeds().prints("was left out: it is in effect already");
    assert_eq!(scenario.value(INDEX_IS_THERE).await, "f");

    let scenario = planned("outside_too_content", &[("up", "outside", INDEX, content)]).await;
    let invalid = format!(
        "{}; UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'target_idx'::regclass",
        INDEX.replace("CONCURRENTLY ", "")
    );
    scenario.superuser().await.lines(&invalid).await;
    scenario.up().await.fails_with(1).says("is INVALID").says("and not by this migration");
    assert_eq!(scenario.value(&format!("{content} AND NOT ({INDEX_IS_THERE})")).await, "t");
}

#[tokio::test]
async fn a_probe_that_disagrees_or_is_none_stops_the_migration() {
    let scenario = planned("outside_probe", &[("up", "outside", INDEX, "SELECT false")]).await;
    scenario
        .up()
        .await
        .fails_with(1)
        .says("its probe says that it has not taken effect")
        .says("stopped at step 1 of 1");
    for (i, probe) in
        ["SELECT 1", "SELECT NULL::boolean", "SELECT true WHERE false", "SELECT true, true"].iter().enumerate()
    {
        let scenario = planned(&format!("outside_probe_{i}"), &[("up", "outside", INDEX, probe)]).await;
        scenario.up().await.fails_with(1).says("its probe must return one boolean");
        assert_eq!(scenario.value("SELECT to_regclass('target_idx') IS NULL").await, "t", "it was not run");
    }
}

#[tokio::test]
async fn a_statement_outside_that_fails_says_so_and_can_be_tried_again() {
    let scenario = planned("outside_fails", &[("up", "outside", INDEX, INDEX_IS_THERE)]).await;
    scenario.lines("CREATE TABLE target_idx ()").await;
    scenario
        .up()
        .await
        .fails_with(1)
        .says("relation \"target_idx\" already exists (SQLSTATE 42P07)")
        .says("state: rolled back");
    scenario.lines("DROP TABLE target_idx").await;
    scenario.up().await.succeeds();
    assert_eq!(scenario.value(INDEX_IS_THERE).await, "t");
}

#[tokio::test]
async fn up_does_not_pass_over_what_is_half_reverted() {
    let steps: Steps<'_> = &[
        ("up", "sql", "CREATE TABLE made ()", ""),
        ("down", "batched", "empty", ""),
        ("down", "sql", "SELECT 1 / count(*) FROM trace; TRUNCATE trace; DROP TABLE made", ""),
    ];
    let scenario = planned("half_reverted", steps).await;
    scenario.up().await.succeeds();
    scenario.down("002").await.fails_with(1).says("division by zero");
    scenario.up().await.fails_with(2).says("`002_steps` is half reverted").says("`lockgate down 002` finishes that");
    scenario.lines("INSERT INTO trace VALUES ('mended')").await;
    scenario.down("002").await.succeeds().prints("reverted 002_steps");
    assert_eq!(scenario.applied().await, ["001"]);
}

#[tokio::test]
async fn a_search_path_of_the_migrations_own_changes_no_row_but_its_own() {
    let evil = "CREATE SCHEMA evil;
        CREATE FUNCTION evil.no(numeric, numeric) RETURNS boolean LANGUAGE sql AS 'SELECT $1 OPERATOR(pg_catalog.=) 1';
        CREATE OPERATOR evil.= (LEFTARG = numeric, RIGHTARG = numeric, FUNCTION = evil.no);
        CREATE FUNCTION evil.no(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
        CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.no);
        SET LOCAL search_path = evil, pg_catalog, public";
    let steps: Steps<'_> =
        &[("up", "sql", "SELECT 1", ""), ("down", "sql", evil, ""), ("down", "batched", "empty", "")];
    let scenario = planned("search_path", steps).await;
    scenario.up().await.succeeds();
    scenario.down("002").await.succeeds();
    assert_eq!(scenario.applied().await, ["001"]);
}

#[tokio::test]
async fn a_seal_that_does_not_seal_is_found() {
    let scenario = planned("no_seal", &[("up", "sql", "SELECT 1", "")]).await;
    scenario.run("up --to 001").await.succeeds();
    scenario.lines("ALTER TABLE schema_migrations_seal DROP CONSTRAINT schema_migrations_seal_fkey").await;
    scenario.up().await.fails_with(5).says("has lost the foreign key");
    assert_eq!(scenario.applied().await, ["001"]);
}

/// A scenario whose run outside a transaction was killed in its statement, which a lock of the returned session holds up.
async fn cut_off_outside(name: &str) -> (Scenario, Session) {
    let populated = "SELECT relispopulated FROM pg_class WHERE oid = 'seen'::regclass";
    let scenario = planned(name, &[("up", "outside", "REFRESH MATERIALIZED VIEW seen", populated)]).await;
    let scenario = scenario.config("[statements]\nlock_timeout_ms = 0\n");
    scenario.lines("CREATE MATERIALIZED VIEW seen AS SELECT FROM pg_advisory_xact_lock(7) WITH NO DATA").await;
    let gate = scenario.session().await;
    let run = at_the_gate(&scenario, &gate).await;
    run.kill();
    run.end().await;
    scenario.is_gone().await;
    gate.lines("SELECT pg_advisory_unlock(7)").await;
    assert_eq!(scenario.value("SELECT attempted FROM schema_migrations_progress").await, "t");
    (scenario, gate)
}

#[tokio::test]
async fn a_statement_outside_that_was_cut_off_is_run_once() {
    let (scenario, _gate) = cut_off_outside("outside_cut").await;
    scenario.up().await.succeeds();
    assert_eq!(scenario.value("SELECT count(*) FROM seen").await, "1");

    // And where it had taken effect before the run was cut off, it is not run again.
    let (scenario, _gate) = cut_off_outside("outside_done").await;
    scenario.lines("REFRESH MATERIALIZED VIEW seen").await;
    let file = "SELECT relfilenode FROM pg_class WHERE oid = 'seen'::regclass";
    let before = scenario.value(file).await;
    scenario.up().await.succeeds();
    assert_eq!(scenario.value(file).await, before);
}

#[tokio::test]
async fn the_hosts_own_tables_are_not_the_migrations() {
    for (i, statement) in [
        "DELETE FROM schema_migrations",
        "UPDATE schema_migrations SET checksum = 'x'",
        "INSERT INTO schema_migrations SELECT '009', filename, applied_at, 0, description, kind, checksum, NULL, NULL, run_id,
             applied_by, lockgate_version, NULL FROM schema_migrations",
        "TRUNCATE schema_migrations",
        "ALTER TABLE schema_migrations_journal DISABLE TRIGGER ALL",
        "INSERT INTO schema_migrations_journal (run_id, event, os_user, host, application)
             SELECT run_id, 'applied', '', '', '' FROM schema_migrations",
        "ALTER TABLE schema_migrations RENAME TO other; CREATE TABLE schema_migrations (LIKE other INCLUDING ALL);
             INSERT INTO schema_migrations SELECT * FROM other",
        "CREATE TRIGGER t BEFORE INSERT ON schema_migrations EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    ]
    .iter()
    .enumerate()
    {
        let scenario = planned(&format!("own_tables_{i}"), &[("up", "sql", statement, "")]).await;
        let before = scenario.state().await;
        scenario
            .up()
            .await
            .fails_with(1)
            .says("the plugin is at fault: it changed the tables in which the host keeps what is applied");
        scenario.is_still(&before).await;
    }
}

#[tokio::test]
async fn the_size_of_a_batch_follows_the_time_that_batches_take() {
    let up: Steps = &[("up", "batched", "sized", ""), ("down", "sql", "TRUNCATE target", "")];
    let scenario = planned("sized", up).await;
    scenario.lines("INSERT INTO source SELECT generate_series(8, 100)").await;
    scenario.up().await.succeeds().prints("applied 002_steps");
    assert_eq!(scenario.value("SELECT count(*) FROM target").await, "100");
    // 2, 4, 8, 16, 32, the rest, and one that finds nothing: each far quicker than it may be.
    let detail = "SELECT detail FROM schema_migrations_journal WHERE event = 'step_finished' AND version = '002'";
    assert_eq!(scenario.value(detail).await, "7 batches, 100 done before the last");

    scenario.run("down 002 --no-backup").await.succeeds();
    scenario.write("lockgate.toml", "[batches]\ntarget_ms = 0");
    scenario.up().await.succeeds();
    let last = format!("{detail} ORDER BY id DESC LIMIT 1");
    assert_eq!(scenario.value(&last).await, "51 batches, 100 done before the last");
}
