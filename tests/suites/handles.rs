//! Cursors, COPY and savepoints of a component do what the interface says, end at their limits, and leave nothing behind.

use lockgate_tests::{Outcome, Scenario, components};

/// The first migration makes the tables, the second is the component, the third runs on the same connection after it.
async fn handles(name: &str, config: &str) -> Scenario {
    let scenario = Scenario::new(name)
        .await
        .config(config)
        .migration(
            "001_tables",
            "CREATE TABLE handles_behaviour (behaviour text);
             INSERT INTO handles_behaviour VALUES ('good');
             CREATE TABLE handles_found (note text, id serial);
             CREATE TABLE handles_source (n int);
             INSERT INTO handles_source SELECT generate_series(1, 1000);
             CREATE TABLE handles_target (n int);
             CREATE TABLE handles_slow (n int);
             CREATE FUNCTION sleep() RETURNS trigger LANGUAGE plpgsql AS 'begin perform pg_sleep(3600); return new; end';
             CREATE TRIGGER sleeps BEFORE INSERT ON handles_slow FOR EACH ROW EXECUTE FUNCTION sleep();",
            "DROP TABLE handles_behaviour, handles_found, handles_source, handles_target, handles_slow; DROP FUNCTION sleep();",
        )
        .component("002_handles", &components::handles())
        .await
        .migration("003_after", "CREATE TABLE after ();", "DROP TABLE after;");
    scenario.run("up --no-backup --to 1").await.succeeds();
    scenario
}

async fn told_to(scenario: &Scenario, behaviour: &str) {
    scenario.lines(&format!("UPDATE handles_behaviour SET behaviour = '{behaviour}'")).await;
}

/// What the component notes, when it and the migration after it succeed.
async fn finds(behaviour: &str, config: &str) -> Vec<String> {
    let scenario = handles("handles", config).await;
    told_to(&scenario, behaviour).await;
    scenario.up().await.succeeds().prints("applied 002_handles").prints("applied 003_after");
    scenario.is_at_rest().await;
    let notes = scenario.lines("SELECT note FROM handles_found ORDER BY id").await;
    told_to(&scenario, "good").await;
    scenario.run("down --to 001 --no-backup").await.succeeds().prints("reverted 002_handles");
    notes
}

/// The component fails with these words, and the database is as it was; a good run follows.
async fn fails(scenario: &Scenario, behaviour: &str, words: &str) -> Outcome {
    told_to(scenario, behaviour).await;
    let before = scenario.state().await;
    let outcome = scenario
        .run("-v up --no-backup")
        .await
        .fails_with(1)
        .says("migration `002_handles` failed in up")
        .says(words)
        .says("; the database is at version 001; the lock is released")
        .never_mentions("applied 002");
    scenario.is_still(&before).await;
    assert_eq!(scenario.journal().await.last().unwrap(), "failed 002", "{behaviour}");
    outcome
}

async fn fail_one_after_the_other(name: &str, config: &str, cases: &[(&str, &str)]) {
    let scenario = handles(name, config).await;
    for (behaviour, words) in cases {
        fails(&scenario, behaviour, words).await;
    }
    told_to(&scenario, "good").await;
    scenario.up().await.succeeds().prints("applied 003_after");
}

#[tokio::test]
async fn rows_of_a_cursor_come_in_batches_and_in_order() {
    assert_eq!(finds("cursor", "").await, ["400 rows", "400 rows", "100 rows", "up to 1000", "then 0"]);
    assert_eq!(finds("cursor-zero", "").await, ["[[1], [2]]"]);
}

#[tokio::test]
async fn an_empty_result_of_a_cursor_has_columns() {
    assert_eq!(finds("cursor-empty", "").await, ["n int4 23", "name text 25", "0 rows"]);
}

#[tokio::test]
async fn a_cursor_sees_what_was_there_when_it_was_opened() {
    assert_eq!(finds("cursor-snapshot", "").await, ["0 rows"]);
}

#[tokio::test]
async fn a_fetch_brings_no_more_rows_than_the_limit() {
    assert_eq!(finds("cursor-many-rows", "[plugins]\nquery_max_rows = 100\n").await, ["100 rows"]);
}

#[tokio::test]
async fn a_cursor_that_is_left_open_hinders_nothing() {
    assert_eq!(finds("cursor-leaked", "").await, ["10 rows"]);
}

#[tokio::test]
async fn a_cursor_from_after_a_savepoint_is_gone_once_that_is_returned_to() {
    assert_eq!(
        finds("cursor-gone", "").await,
        ["the cursor is gone: a savepoint from before it was opened was returned to"]
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_cursor_is_told() {
    fail_one_after_the_other(
        "handles_cursor",
        "",
        &[
            // In the component's own statement: `; /* é */ SELECT n,⏎ missing …`.
            ("cursor-misspelt", "column \"missing\" does not exist at Some(22)"),
            ("cursor-divides-by-zero", "division by zero (SQLSTATE 22012)"),
            ("cursor-wrong-params", "the statement has 1 parameters, 0 were given"),
            ("cursor-update", "the plugin is at fault: `UPDATE` is no query, and only a query has a cursor"),
            ("cursor-too-many", "it reached its limit of open cursors, 64 cursors (raise it with `cursors_max`"),
            (
                "cursor-many-bytes",
                "it reached its limit of bytes of a result, 67108864 bytes (raise it with `query_max_bytes`",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_copy_of_a_hundred_thousand_rows_arrives() {
    let scenario = handles("handles_copy", "").await;
    told_to(&scenario, "copy").await;
    scenario.up().await.succeeds();
    assert_eq!(scenario.value("SELECT note FROM handles_found").await, "100000 rows");
    assert_eq!(scenario.lines("SELECT count(*), sum(n) FROM handles_target").await, ["100000|5000050000"]);
    assert_eq!(finds("copy-binary", "").await, ["1 rows"]);
}

#[tokio::test]
async fn a_copy_that_fails_can_be_undone() {
    assert_eq!(finds("copy-dropped-and-undone", "").await, ["went on"]);
    assert_eq!(finds("copy-bad-data-undone", "").await, ["22P02"]);
}

#[tokio::test]
async fn what_is_dropped_during_a_copy_is_closed_after_it() {
    assert_eq!(finds("copy-and-cursor-dropped", "").await, ["1 rows"]);
}

#[tokio::test]
async fn a_copy_that_is_not_finished_undoes_the_migration() {
    fail_one_after_the_other(
        "handles_unfinished",
        "[plugins]\ncpu_max_s = 1\n",
        &[
            ("copy-dropped", "it dropped a COPY before it was finished, which aborted the transaction"),
            ("copy-leaked", "it returned with a COPY under way"),
            ("copy-panic", "it panicked"),
            ("copy-loop", "it reached its limit of processor time, 1 s"),
            ("copy-bad-data", "invalid input syntax for type integer: \"no number\" (SQLSTATE 22P02)"),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_copy_that_the_server_does_not_take_is_cut_off() {
    fail_one_after_the_other(
        "handles_slow",
        "[plugins]\nwall_clock_max_s = 1\n",
        &[("copy-slow", "it reached its limit of time in all, 1 s (raise it with `wall_clock_max_s`")],
    )
    .await;
}

#[tokio::test]
async fn a_copy_has_its_own_way_and_no_other() {
    fail_one_after_the_other(
        "handles_copy_only",
        "",
        &[
            ("copy-busy", "a COPY is under way: finish or drop its sink before anything else"),
            ("copy-busy", "each was denied"),
            ("copy-program", "`COPY` is no `COPY … FROM STDIN`, which is all that `copy-in` takes"),
            ("copy-file", "`COPY` is no `COPY … FROM STDIN`"),
            ("copy-as-statement", "`COPY` moves data past the host: only `copy-in` takes it, from STDIN"),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_savepoint_undoes_what_came_after_it_errors_included() {
    assert_eq!(finds("savepoint", "").await, ["kept after all"]);
    assert_eq!(finds("savepoint-nested", "").await, ["a", "c", "d", "e"]);
    assert_eq!(finds("savepoint-often", "").await, ["often"]);
    assert_eq!(finds("savepoint-leaked", "").await, ["leaked"]);
}

#[tokio::test]
async fn a_savepoint_that_is_gone_is_refused_and_nothing_is_lost() {
    let gone = "the savepoint is gone: one made before it was returned to or released";
    assert_eq!(finds("savepoint-outer-first", "").await, [gone, gone, gone]);
}

#[tokio::test]
async fn savepoints_are_limited_and_hide_no_error() {
    fail_one_after_the_other(
        "handles_savepoints",
        "",
        &[
            ("savepoint-too-many", "it reached its limit of open savepoints, 64 savepoints (which the interface sets"),
            ("savepoint-dropped-after-an-error", "it hid an error that the server had reported"),
        ],
    )
    .await;
}

#[tokio::test]
async fn what_is_too_much_is_refused_by_the_limit_that_it_reached() {
    let call = "it reached its limit of bytes passed in one call, 67108864 bytes (raise it with `call_max_bytes`";
    let bytes = "it reached its limit of bytes of a result, 67108864 bytes (raise it with `query_max_bytes`";
    fail_one_after_the_other(
        "handles_limits",
        // So that the guest can make what the host is not to take.
        "[plugins]\nmemory_max_bytes = 1073741824\n",
        &[
            ("long-parameter", call),
            ("long-array", call),
            ("long-statement", call),
            ("large-cell", bytes),
            ("numeric-bomb", bytes),
            ("log-bytes", "it reached its limit of log bytes, 1048576 bytes (raise it with `log_max_bytes`"),
            ("plan-many", "it reached its limit of steps of a plan, 10000 steps (raise it with `plan_max_steps`"),
            ("plan-large", "it reached its limit of bytes of a plan, 16777216 bytes (raise it with `plan_max_bytes`"),
            ("plan-huge", "it reached its limit of bytes of a plan, 16777216 bytes (raise it with `plan_max_bytes`"),
            ("nul-in-statement", "the statement has a NUL character, which PostgreSQL does not take"),
            ("nul-in-text", "a text value has a NUL character, which PostgreSQL cannot store"),
            ("goes-on-after-a-limit", "it reached its limit of rows of a result, 100000 rows"),
        ],
    )
    .await;
}

#[tokio::test]
async fn progress_and_notices_do_not_flood_the_log() {
    for (behaviour, words) in [("progress", "progress done="), ("notices", "server: flood")] {
        let scenario = handles("handles_flood", "").await;
        told_to(&scenario, behaviour).await;
        let outcome = scenario.run("-v up --no-backup").await.succeeds().says(words);
        let lines = outcome.stderr.lines().filter(|line| line.contains(words)).count();
        assert!(lines <= 200, "{lines} lines of `{words}`");
        assert!(!outcome.stderr.lines().any(|line| line.starts_with("1 ERROR")), "a notice forged a line");
    }
}

#[tokio::test]
async fn a_checkpoint_of_a_hundred_megabytes_is_refused() {
    let scenario = handles("handles_checkpoint", "[plugins]\nmemory_max_bytes = 1073741824\n").await;
    told_to(&scenario, "checkpoint").await;
    let limit = "it reached its limit of bytes of a checkpoint, 65536 bytes (raise it with `checkpoint_max_bytes`";
    scenario.up().await.fails_with(1).says(limit).says("state: rolled back");
    assert_eq!(scenario.value("SELECT count(*) FROM schema_migrations_progress").await, "0", "nothing of it is kept");
}
