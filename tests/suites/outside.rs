//! SQL files with statements that PostgreSQL refuses inside a transaction: whatever cuts a run off, the next one mends what is left.

use lockgate_tests::{Running, Scenario, Session, eventually};

const INVALID: &str = "SELECT count(*) FROM pg_index WHERE NOT indisvalid";
const VALID: &str = "SELECT count(*) FROM pg_index WHERE indexrelid = to_regclass('i') AND indisvalid AND indisready";

/// A table with rows, and a second migration.
async fn with(name: &str, up: &str, down: &str) -> Scenario {
    let table = "CREATE TABLE t (id int, n int); INSERT INTO t SELECT k, k % 5 FROM generate_series(1, 50) k;";
    let scenario = Scenario::new(name)
        .await
        .config("[statements]\nlock_timeout_ms = 0\n")
        .migration("001_t", table, "DROP TABLE t;")
        .migration("002_b", up, down);
    scenario.run("up --no-backup --to 1").await.succeeds();
    scenario
}

const BUILD: &str = "CREATE TABLE made ();\nCREATE INDEX CONCURRENTLY i ON t (id);\nINSERT INTO t VALUES (0, 0);";
const UNBUILD: &str = "DELETE FROM t WHERE id = 0; DROP INDEX CONCURRENTLY IF EXISTS i; DROP TABLE IF EXISTS made;";

/// A run that builds the index and waits for a transaction of the returned session, which has written to the table.
async fn building(scenario: &Scenario) -> (Running, Session) {
    let writer = scenario.session().await;
    writer.lines("BEGIN; UPDATE t SET n = n WHERE id = 1").await;
    let run = scenario.run("up --no-backup").start();
    let superuser = scenario.superuser().await;
    eventually("the index is being built", async || superuser.value(INVALID).await == "1").await;
    (run, writer)
}

#[tokio::test]
async fn a_mixed_file_goes_up_and_down_and_its_plan_says_how() {
    let scenario = with("outside_mixed", BUILD, UNBUILD).await;
    scenario
        .run("plan")
        .await
        .succeeds()
        .prints("up 002_b (sql, several transactions)")
        .prints("  outside a transaction: CREATE INDEX CONCURRENTLY i ON t (id)");
    scenario.up().await.succeeds().prints("applied 002_b");
    assert_eq!(scenario.value(VALID).await, "1");
    assert_eq!(scenario.value("SELECT count(*) FROM schema_migrations_progress").await, "0");
    scenario.down("002").await.succeeds();
    assert_eq!(scenario.value("SELECT to_regclass('i') IS NULL AND to_regclass('made') IS NULL").await, "t");
    scenario.is_at_rest().await;
}

#[tokio::test]
async fn an_index_whose_build_was_killed_is_dropped_and_built_again() {
    for (name, by_the_server) in [("outside_killed", false), ("outside_terminated", true)] {
        let scenario = with(name, BUILD, UNBUILD).await;
        let (run, writer) = building(&scenario).await;
        if by_the_server {
            scenario.end_the_run().await;
        } else {
            run.kill();
        }
        run.end().await;
        scenario.is_gone().await;
        writer.lines("COMMIT").await;
        assert_eq!(scenario.value(INVALID).await, "1");
        scenario.up().await.succeeds().prints("applied 002_b");
        assert_eq!(scenario.value(VALID).await, "1");
        assert_eq!(scenario.value(INVALID).await, "0");
        assert_eq!(scenario.value("SELECT count(*) FROM t WHERE id = 0").await, "1");
        scenario.is_at_rest().await;
    }
}

#[tokio::test]
async fn what_was_killed_half_way_can_be_taken_back() {
    let scenario = with("outside_back", BUILD, UNBUILD).await;
    let (run, writer) = building(&scenario).await;
    run.kill();
    run.end().await;
    scenario.is_gone().await;
    writer.lines("COMMIT").await;
    scenario.down("002").await.succeeds().prints("reverted 002_b");
    assert_eq!(scenario.value(INVALID).await, "0");
    assert_eq!(scenario.value("SELECT to_regclass('i') IS NULL AND to_regclass('made') IS NULL").await, "t");
    assert_eq!(scenario.applied().await, ["001"]);
}

#[tokio::test]
async fn duplicates_are_told_and_leave_no_invalid_index() {
    let scenario = with("outside_twice", "CREATE UNIQUE INDEX CONCURRENTLY i ON t (n);", "DROP INDEX i;").await;
    scenario.up().await.fails_with(1).says("SQLSTATE 23505").says("is INVALID").says("is dropped");
    assert_eq!(scenario.value(INVALID).await, "0");
    scenario.lines("UPDATE t SET n = id").await;
    scenario.up().await.succeeds();
    assert_eq!(scenario.value(VALID).await, "1");
}

#[tokio::test]
async fn an_invalid_index_of_somebody_elses_is_not_dropped() {
    let up = "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (id);";
    let scenario = with("outside_foreign", up, "DROP INDEX i;").await;
    let failed = scenario.session().await.try_lines("CREATE UNIQUE INDEX CONCURRENTLY i ON t (n)").await;
    assert!(failed.is_err());
    for _ in 0..2 {
        scenario
            .up()
            .await
            .fails_with(1)
            .says("is INVALID")
            .says("and not by this migration")
            .says("run `DROP INDEX CONCURRENTLY public.i`");
        assert_eq!(scenario.value(INVALID).await, "1");
    }
    scenario.lines("DROP INDEX i").await;
    scenario.up().await.succeeds();
    assert_eq!(scenario.value(VALID).await, "1");
}

#[tokio::test]
async fn statements_that_commit_by_themselves_see_one_another() {
    let up = "-- lockgate: no-transaction
        CREATE TYPE mood AS ENUM ('a');
        ALTER TYPE mood ADD VALUE 'b';
        CREATE TABLE felt AS SELECT 'b'::mood AS mood;
        ALTER TABLE t ADD CONSTRAINT c CHECK (id >= 0) NOT VALID;
        ALTER TABLE t VALIDATE CONSTRAINT c;
        REINDEX TABLE CONCURRENTLY t;
        VACUUM (ANALYZE) t;";
    let down = "ALTER TABLE t DROP CONSTRAINT c; DROP TABLE felt; DROP TYPE mood;";
    let scenario = with("outside_alone", up, down).await;
    scenario.run("plan").await.succeeds().prints("  in a transaction of its own: ALTER TYPE mood ADD VALUE 'b'");
    scenario.up().await.succeeds();
    assert_eq!(scenario.value("SELECT mood FROM felt").await, "b");
    assert_eq!(scenario.value("SELECT convalidated FROM pg_constraint WHERE conname = 'c'").await, "t");
    scenario.down("002").await.succeeds();
}

#[tokio::test]
async fn a_partition_is_detached_concurrently() {
    let scenario = with(
        "outside_detach",
        "CREATE TABLE parent (id int) PARTITION BY LIST (id); CREATE TABLE part PARTITION OF parent FOR VALUES IN (1);
         ALTER TABLE parent DETACH PARTITION part CONCURRENTLY;",
        "DROP TABLE part, parent;",
    )
    .await;
    scenario.up().await.succeeds();
    assert_eq!(scenario.value("SELECT count(*) FROM pg_inherits WHERE inhrelid = 'part'::regclass").await, "0");
}

#[tokio::test]
async fn what_would_not_last_or_not_be_found_again_is_refused() {
    for (i, (up, words)) in [
        ("CREATE INDEX CONCURRENTLY ON t (id);", "an index without a name"),
        ("SET search_path = x; VACUUM;", "a setting for the session, which would not last"),
        ("CREATE TEMP TABLE x (); VACUUM;", "a temporary table, which would not last"),
    ]
    .iter()
    .enumerate()
    {
        let scenario = Scenario::new(&format!("outside_unfit_{i}")).await.migration("001_a", up, "");
        scenario.up().await.refuses_with(2).says(words);
    }
}

#[tokio::test]
async fn what_nobody_can_tell_blocks_the_migration() {
    let scenario = with("outside_blocked", "CREATE TABLE made (); ALTER SYSTEM SET work_mem = '5MB';", "").await;
    // The owner may not: the server has said no, so that nothing is in doubt.
    for _ in 0..2 {
        scenario.up().await.fails_with(1).says("SQLSTATE 42501");
    }
    scenario.lines("UPDATE schema_migrations_progress SET attempted = true").await;
    for arguments in ["up --no-backup", "down 002 --no-backup", "plan"] {
        scenario.run(arguments).await.refuses_with(2).says("migration `002_b` is blocked at step 2 of 2");
    }
}
