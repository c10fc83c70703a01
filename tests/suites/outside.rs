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
        .prints("  outside a transaction (PostgreSQL refuses it inside one): CREATE INDEX CONCURRENTLY i ON t (id)");
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
            // The same run finds the server again.
            scenario.end_the_run().await;
            writer.lines("COMMIT").await;
            run.end().await.succeeds().says("the index \"i\" of t is INVALID").prints("applied 002_b");
        } else {
            run.kill();
            run.end().await;
            scenario.is_gone().await;
            writer.lines("COMMIT").await;
            assert_eq!(scenario.value(INVALID).await, "1");
            scenario.up().await.succeeds().says("the index \"i\" of t is INVALID").prints("applied 002_b");
        }
        assert_eq!(scenario.value(VALID).await, "1");
        assert_eq!(scenario.value(INVALID).await, "0");
        assert_eq!(scenario.value("SELECT count(*) FROM t WHERE id = 0").await, "1");
        scenario.is_at_rest().await;
    }
}

#[tokio::test]
async fn a_run_that_is_asked_to_stop_drops_what_it_has_half_built() {
    // Unless somebody keeps it from that for longer than a failure may take to be told.
    for (name, kept) in [("outside_stopped", false), ("outside_stopped_in_vain", true)] {
        let scenario = with(name, BUILD, UNBUILD).await;
        let (run, writer) = building(&scenario).await;
        run.terminate();
        if kept {
            run.end().await.fails_with(1).says("is still there").says("the next run drops it");
            writer.lines("COMMIT").await;
        } else {
            let superuser = scenario.superuser().await;
            let drops = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'DROP INDEX CONC%'";
            eventually("the run drops the index", async || superuser.value(drops).await == "1").await;
            writer.lines("COMMIT").await;
            run.end().await.fails_with(1).says("is dropped");
        }
        assert_eq!(scenario.value(INVALID).await, if kept { "1" } else { "0" });
        let attempted = scenario.value("SELECT attempted FROM schema_migrations_progress").await;
        assert_eq!(attempted, if kept { "t" } else { "f" });
        scenario.up().await.succeeds();
        assert_eq!(scenario.value(VALID).await, "1");
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
async fn an_invalid_index_that_was_there_before_is_never_dropped() {
    // By another's hand: of other columns, and the very same.
    let theirs = [
        "CREATE UNIQUE INDEX i ON t (n, id); UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'i'::regclass",
        "CREATE INDEX i ON t (id); UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'i'::regclass",
    ];
    for (n, sql) in theirs.iter().enumerate() {
        for (k, up) in
            ["CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (id);", "CREATE INDEX CONCURRENTLY i ON t (id);"]
                .iter()
                .enumerate()
        {
            let scenario = with(&format!("outside_foreign_{n}{k}"), up, "DROP INDEX i;").await;
            scenario.superuser().await.lines(sql).await;
            let theirs = scenario.value("SELECT to_regclass('i')::oid").await;
            for _ in 0..2 {
                scenario
                    .up()
                    .await
                    .fails_with(1)
                    .says("is INVALID")
                    .says("and not by this migration")
                    .says("run `DROP INDEX CONCURRENTLY public.i`");
                assert_eq!(scenario.value("SELECT to_regclass('i')::oid").await, theirs);
            }
            scenario.superuser().await.lines("DROP INDEX i").await;
            scenario.up().await.succeeds();
            assert_eq!(scenario.value(VALID).await, "1");
        }
    }
}

#[tokio::test]
async fn an_index_that_came_in_the_place_of_a_killed_one_is_never_dropped() {
    let scenario =
        with("outside_changed", "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (id);", "DROP INDEX i;").await;
    let (run, writer) = building(&scenario).await;
    run.kill();
    run.end().await;
    scenario.is_gone().await;
    writer.lines("COMMIT").await;
    // An operator drops the leftover and builds another, in vain.
    let session = scenario.session().await;
    session.lines("DROP INDEX i").await;
    assert!(session.try_lines("CREATE UNIQUE INDEX CONCURRENTLY i ON t (n)").await.is_err());
    scenario.up().await.fails_with(1).says("is INVALID").says("and not by this migration");
    assert_eq!(scenario.value(INVALID).await, "1");
    // A whole one is not taken for the migration's either.
    session.lines("DROP INDEX i; CREATE INDEX i ON t (n)").await;
    scenario.up().await.fails_with(1).says("\"i\" is another index: CREATE INDEX i ON public.t USING btree (n)");
    assert_eq!(scenario.value(VALID).await, "1");
    session.lines("DROP INDEX i").await;
    scenario.up().await.succeeds();
    assert_eq!(scenario.value("SELECT pg_get_indexdef('i'::regclass) LIKE '%(id)'").await, "t");
}

/// What the step asks for, what is there instead, and words of that by which it is known.
const DIFFERENT: &[(&str, &str, &str)] = &[
    ("INDEX i ON t (id) WHERE n > 1", "INDEX i ON t (id) WHERE n > 2", "(id) WHERE (n > 2)"),
    ("INDEX i ON t (id) WHERE n > 1", "INDEX i ON t (id)", "(id)"),
    ("INDEX i ON t (lower(w))", "INDEX i ON t (upper(w))", "(upper(w))"),
    ("INDEX i ON t (w text_pattern_ops)", "INDEX i ON t (w)", "(w)"),
    ("INDEX i ON t (w)", "INDEX i ON t (w COLLATE \"C\")", "(w COLLATE \"C\")"),
    ("INDEX i ON t (id)", "INDEX i ON t (id DESC)", "(id DESC)"),
    ("INDEX i ON t (id)", "INDEX i ON t (id NULLS FIRST)", "(id NULLS FIRST)"),
    ("INDEX i ON t (id)", "INDEX i ON t (id) INCLUDE (n)", "(id) INCLUDE (n)"),
    ("INDEX i ON t (id)", "INDEX i ON t USING hash (id)", "USING hash (id)"),
    ("INDEX i ON t (id)", "INDEX i ON t (id) WITH (fillfactor = 70)", "WITH (fillfactor='70')"),
    ("UNIQUE INDEX i ON t (id)", "UNIQUE INDEX i ON t (id) NULLS NOT DISTINCT", "NULLS NOT DISTINCT"),
];

fn concurrently(index: &str, words: &str) -> String {
    format!("CREATE {};", index.replace("INDEX i", &format!("INDEX CONCURRENTLY {words} i")))
}

#[tokio::test]
async fn an_index_that_differs_in_anything_is_another_one() {
    const OID: &str = "SELECT to_regclass('i')::oid";
    let mut scenario = with("outside_differs", "SELECT 1;", "SELECT 1;").await;
    scenario.lines("ALTER TABLE t ADD gone int, ADD w text").await;
    scenario.lines("ALTER TABLE t DROP gone").await;
    for (asked, theirs, words) in DIFFERENT {
        scenario = scenario.migration("002_b", &concurrently(asked, "IF NOT EXISTS"), "SELECT 1;");
        let superuser = scenario.superuser().await;
        scenario.lines(&format!("CREATE {theirs}")).await;
        let oid = scenario.value(OID).await;
        let another = "i\" is another index: CREATE";
        scenario.up().await.fails_with(1).says(another).says(words).says("drop or rename it");
        // Also where a run was cut off in the step, and might have made it.
        scenario.lines("UPDATE schema_migrations_progress SET attempted = true").await;
        scenario.up().await.fails_with(1).says(another).says(words);
        superuser.lines("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'i'::regclass").await;
        scenario
            .up()
            .await
            .fails_with(1)
            .says("is INVALID")
            .says("it is another index: CREATE")
            .says(words)
            .says("and not by this migration");
        assert_eq!(scenario.value(OID).await, oid, "it is never dropped");
        scenario.lines("DROP INDEX i").await;
    }
}

#[tokio::test]
async fn an_index_that_is_written_in_another_way_is_the_same() {
    for (n, (table, asked, theirs)) in [
        (
            "t",
            "INDEX i ON public.t USING btree (id ASC NULLS LAST, lower(t.w)) WITH (fillfactor = 80) WHERE (t.n)>1 -- x",
            "INDEX i ON t (id, lower(w)) WITH (fillfactor=80) WHERE n > 1",
        ),
        ("\"a.b USING (\"", "INDEX i ON \"a.b USING (\" (id)", "INDEX i ON \"a.b USING (\" (id)"),
    ]
    .iter()
    .enumerate()
    {
        let name = format!("outside_same_{n}");
        let scenario =
            with(&name, &format!("SELECT 1;\n{}\n;", concurrently(asked, "").trim_end_matches(';')), "SELECT 1;").await;
        scenario.lines("ALTER TABLE t RENAME TO former; ALTER TABLE former ADD gone int, ADD w text").await;
        scenario
            .lines(&format!("ALTER TABLE former DROP gone; ALTER TABLE former RENAME TO {table}; CREATE TABLE i ()"))
            .await;
        scenario.up().await.fails_with(1).says("is there, and no index");
        scenario.lines(&format!("DROP TABLE i; CREATE {theirs}")).await;
        scenario.lines("UPDATE schema_migrations_progress SET attempted = true").await;
        let oid = scenario.value("SELECT to_regclass('i')::oid").await;
        scenario.up().await.succeeds().prints("applied 002_b");
        assert_eq!(scenario.value("SELECT to_regclass('i')::oid").await, oid);
        assert_eq!(scenario.value("SELECT count(*) FROM pg_class WHERE relname = 'lockgate_twin'").await, "0");
    }
}

#[tokio::test]
async fn a_role_without_temporary_tables_has_its_indexes_compared_by_their_columns() {
    let up = "CREATE INDEX CONCURRENTLY i ON t (id) WHERE n > 1;";
    let scenario = with("outside_no_temp", up, "DROP INDEX i;").await;
    scenario
        .superuser()
        .await
        .lines(&format!("REVOKE TEMPORARY ON DATABASE {} FROM PUBLIC, lockgate_owner", scenario.database()))
        .await;
    scenario
        .up()
        .await
        .succeeds()
        .says("the index is compared by its table, columns and uniqueness only")
        .says("permission denied to create temporary tables");
}

#[tokio::test]
async fn if_not_exists_over_a_killed_build_is_no_success() {
    let up = "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (id);";
    let scenario = with("outside_if_not_exists", up, "DROP INDEX i;").await;
    let (run, writer) = building(&scenario).await;
    run.kill();
    run.end().await;
    scenario.is_gone().await;
    writer.lines("COMMIT").await;
    scenario.up().await.succeeds().says("the index \"i\" of t is INVALID");
    assert_eq!(scenario.value(VALID).await, "1");
    assert_eq!(scenario.value(INVALID).await, "0");
}

#[tokio::test]
async fn an_index_that_somebody_else_builds_is_waited_for() {
    let up = "SELECT 1; CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (id);";
    let scenario = with("outside_beside", up, "DROP INDEX i;").await;
    let (writer, builder) = (scenario.session().await, scenario.session().await);
    writer.lines("BEGIN; UPDATE t SET n = n WHERE id = 1").await;
    let built = tokio::spawn(async move { builder.try_lines("CREATE INDEX CONCURRENTLY i ON t (id)").await });
    let superuser = scenario.superuser().await;
    eventually("somebody builds it", async || superuser.value(INVALID).await == "1").await;
    // In vain, as long as that does not end.
    scenario.up().await.fails_with(1).says("still works on its table").says("is INVALID");
    let run = scenario.run("up -v --no-backup").start();
    let at_it = "SELECT count(*) FROM schema_migrations_journal WHERE event = 'resumed'";
    eventually("the run comes to the index", async || superuser.value(at_it).await == "1").await;
    writer.lines("COMMIT").await;
    run.end().await.succeeds().prints("applied 002_b");
    assert_eq!(built.await.unwrap(), Ok(Vec::new()));
    assert_eq!(scenario.value(VALID).await, "1");
}

#[tokio::test]
async fn the_process_of_a_killed_run_is_outlived() {
    let scenario = with("outside_outlived", BUILD, UNBUILD).await;
    let (run, writer) = building(&scenario).await;
    run.kill();
    run.end().await;
    scenario.is_gone().await;
    writer.lines("COMMIT").await;
    // A session that stands for the one which the intent names.
    let other = scenario.session().await;
    let me =
        "SELECT pid || '|' || extract(epoch FROM backend_start) FROM pg_stat_activity WHERE pid = pg_backend_pid()";
    let worker = other.value(me).await;
    let (pid, start) = worker.split_once('|').unwrap();
    let intent =
        "SELECT attempted AND backend_pid IS NOT NULL AND backend_start IS NOT NULL FROM schema_migrations_progress";
    assert_eq!(scenario.value(intent).await, "t");
    scenario
        .lines(&format!("UPDATE schema_migrations_progress SET backend_pid = {pid}, backend_start = '{start}'"))
        .await;
    scenario.up().await.fails_with(2).says(&format!("pid {pid} still works on a step of a run that was cut off"));
    assert_eq!(scenario.value(INVALID).await, "1");
    drop(other);
    scenario.up().await.succeeds();
    assert_eq!(scenario.value(VALID).await, "1");
}

/// A run that is killed while its statement of these words waits for the returned session, which has run `held` in a transaction.
async fn killed_in(scenario: &Scenario, words: &str, held: &str) -> Session {
    let holder = scenario.session().await;
    holder.lines(&format!("BEGIN; {held}")).await;
    let run = scenario.run("up --no-backup").start();
    let superuser = scenario.superuser().await;
    let waits = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'lockgate %'
         AND query LIKE '%{words}%' AND wait_event_type = 'Lock'"
    );
    eventually("the run waits in its statement", async || superuser.value(&waits).await == "1").await;
    run.kill();
    run.end().await;
    scenario.is_gone().await;
    holder
}

#[tokio::test]
async fn a_drop_that_was_killed_is_ended() {
    let up = "INSERT INTO t VALUES (0, 0);\nDROP INDEX CONCURRENTLY old;\nINSERT INTO t VALUES (0, 0);";
    let scenario = with("outside_drop", up, "CREATE INDEX old ON t (n); DELETE FROM t WHERE id = 0;").await;
    scenario.lines("CREATE INDEX old ON t (n)").await;
    let holder = killed_in(&scenario, "DROP INDEX CONCURRENTLY", "SELECT count(*) FROM t").await;
    holder.lines("COMMIT").await;
    assert_eq!(scenario.value(INVALID).await, "1");
    scenario.up().await.succeeds();
    assert_eq!(scenario.value("SELECT to_regclass('old') IS NULL").await, "t");
    assert_eq!(scenario.value("SELECT count(*) FROM t WHERE id = 0").await, "2");
    scenario.down("002").await.succeeds();
}

#[tokio::test]
async fn what_a_killed_reindex_left_is_dropped_and_nothing_of_others() {
    let scenario = with("outside_reindex", "REINDEX TABLE CONCURRENTLY t;", "SELECT 1;").await;
    scenario.lines("CREATE INDEX i ON t (id); CREATE INDEX theirs_ccnew ON t (n)").await;
    let invalid = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'theirs_ccnew'::regclass";
    scenario.superuser().await.lines(invalid).await;
    let holder = killed_in(&scenario, "REINDEX TABLE", "UPDATE t SET n = n WHERE id = 1").await;
    holder.lines("COMMIT").await;
    assert_eq!(scenario.value(INVALID).await, "2");
    scenario.up().await.succeeds();
    let left = "SELECT string_agg(indexrelid::regclass::text, ' ') FROM pg_index WHERE NOT indisvalid";
    assert_eq!(scenario.value(left).await, "theirs_ccnew");
    assert_eq!(scenario.value(VALID).await, "1");
}

/// A transaction that sees the database as it was: a REINDEX CONCURRENTLY waits for it when its new indexes are built.
const OLD_SNAPSHOT: &str = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class";
const LEFT: &str =
    "SELECT string_agg(regexp_replace(indexrelid::regclass::text, '[0-9]+', 'N'), ' ' ORDER BY indexrelid)
                    FROM pg_index WHERE NOT indisvalid";

#[tokio::test]
async fn what_a_killed_reindex_left_on_partitions_is_dropped() {
    for (name, up, left) in [
        ("outside_reindex_parts", "REINDEX INDEX CONCURRENTLY parent_id;", "one_id_idx_ccnew"),
        ("outside_reindex_parent", "REINDEX TABLE CONCURRENTLY parent;", "one_id_idx_ccnew"),
    ] {
        let scenario = with(name, up, "SELECT 1;").await;
        let made = "CREATE TABLE parent (id int) PARTITION BY LIST (id);
                    CREATE TABLE one PARTITION OF parent FOR VALUES IN (1); CREATE TABLE two PARTITION OF parent FOR VALUES IN (2);
                    CREATE INDEX parent_id ON parent (id)";
        scenario.lines(made).await;
        let holder = killed_in(&scenario, "REINDEX", OLD_SNAPSHOT).await;
        holder.lines("COMMIT").await;
        assert_eq!(scenario.value(LEFT).await, left);
        scenario.up().await.succeeds().says("the INVALID index public.one_id_idx_ccnew of an earlier attempt");
        assert_eq!(scenario.value(INVALID).await, "0");
        assert_eq!(scenario.value("SELECT count(*) FROM pg_partition_tree('parent_id')").await, "3");
    }
}

#[tokio::test]
async fn what_a_killed_reindex_left_of_a_toast_table_is_dropped_or_named() {
    for (name, may) in [("outside_toast", true), ("outside_toast_out_of_reach", false)] {
        let scenario = with(name, "REINDEX TABLE CONCURRENTLY texts;", "SELECT 1;").await;
        scenario.lines("CREATE TABLE texts (id int PRIMARY KEY, t text)").await;
        let superuser = scenario.superuser().await;
        if may {
            superuser.lines("GRANT USAGE ON SCHEMA pg_toast TO lockgate_owner").await;
        }
        let holder = killed_in(&scenario, "REINDEX", OLD_SNAPSHOT).await;
        holder.lines("COMMIT").await;
        assert_eq!(scenario.value(LEFT).await, "texts_pkey_ccnew pg_toast.pg_toast_N_index_ccnew");
        if may {
            scenario.up().await.succeeds().says("the INVALID index pg_toast.pg_toast_").does_not_print("[leftover]");
            assert_eq!(scenario.value(INVALID).await, "0");
            continue;
        }
        let outcome =
            scenario.up().await.succeeds().prints("role \"lockgate_owner\" may not look into its schema [leftover]");
        assert_eq!(scenario.value(LEFT).await, "pg_toast.pg_toast_N_index_ccnew");
        // The statement that it names is the one that helps.
        let (_, after) = outcome.stdout.split_once("next: run `").unwrap();
        let (drop, _) = after.split_once('`').unwrap();
        assert!(drop.starts_with("DROP INDEX CONCURRENTLY pg_toast.pg_toast_"), "{drop}");
        superuser.lines(drop).await;
        assert_eq!(scenario.value(INVALID).await, "0");
    }
}

const PARTED: &str =
    "CREATE TABLE parent (id int) PARTITION BY LIST (id); CREATE TABLE part PARTITION OF parent FOR VALUES IN (1)";
const DETACHED: &str = "SELECT count(*) FROM pg_inherits WHERE inhrelid = 'part'::regclass";

#[tokio::test]
async fn a_detachment_that_was_killed_is_finalized() {
    let up = "ALTER TABLE parent DETACH PARTITION part CONCURRENTLY;";
    let scenario =
        with("outside_half_detached", up, "ALTER TABLE parent ATTACH PARTITION part FOR VALUES IN (1);").await;
    scenario.lines(PARTED).await;
    let holder = killed_in(&scenario, "DETACH PARTITION", "SELECT count(*) FROM parent").await;
    holder.lines("COMMIT").await;
    assert_eq!(scenario.value("SELECT inhdetachpending FROM pg_inherits WHERE inhrelid = 'part'::regclass").await, "t");
    scenario.up().await.succeeds().says("is half detached");
    assert_eq!(scenario.value(DETACHED).await, "0");
    scenario.down("002").await.succeeds();
    assert_eq!(scenario.value(DETACHED).await, "1");
}

#[tokio::test]
async fn a_detachment_of_somebody_elses_is_not_ended_unless_asked() {
    let up = "ALTER TABLE parent DETACH PARTITION part CONCURRENTLY;";
    let scenario = with("outside_their_detachment", up, "SELECT 1;").await;
    scenario.lines(PARTED).await;
    scenario
        .superuser()
        .await
        .lines("UPDATE pg_inherits SET inhdetachpending = true WHERE inhrelid = 'part'::regclass")
        .await;
    scenario.up().await.fails_with(1).says("is half detached from parent, and not by this migration").says("FINALIZE");
    assert_eq!(scenario.value(DETACHED).await, "1");
    let scenario = scenario.migration("002_b", "ALTER TABLE parent DETACH PARTITION part FINALIZE;", "SELECT 1;");
    scenario.up().await.succeeds();
    assert_eq!(scenario.value(DETACHED).await, "0");
}

#[tokio::test]
async fn what_may_run_again_runs_again_and_the_rest_once() {
    let up = "-- lockgate: no-transaction
        INSERT INTO t VALUES (0, 0);
        VACUUM t;
        INSERT INTO t VALUES (0, 0);
        REFRESH MATERIALIZED VIEW CONCURRENTLY seen;
        INSERT INTO t VALUES (0, 0);
        ALTER TYPE mood ADD VALUE 'b';
        ALTER TABLE t VALIDATE CONSTRAINT c;
        INSERT INTO t VALUES (0, 0);";
    let scenario = with("outside_again", up, "DELETE FROM t WHERE id = 0;").await;
    let made = "CREATE TABLE base (n int); CREATE MATERIALIZED VIEW seen AS SELECT n FROM base; CREATE UNIQUE INDEX ON seen (n);
                CREATE TYPE mood AS ENUM ('a'); ALTER TABLE t ADD CONSTRAINT c CHECK (id >= 0) NOT VALID";
    scenario.lines(made).await;
    for (words, held, rows) in [
        ("VACUUM", "LOCK t IN SHARE UPDATE EXCLUSIVE MODE", 1),
        ("REFRESH MATERIALIZED", "LOCK base", 2),
        ("VALIDATE CONSTRAINT", "LOCK t IN SHARE UPDATE EXCLUSIVE MODE", 3),
    ] {
        let holder = killed_in(&scenario, words, held).await;
        assert_eq!(scenario.value("SELECT count(*) FROM t WHERE id = 0").await, rows.to_string(), "{words}");
        holder.lines("COMMIT").await;
    }
    scenario.up().await.succeeds();
    assert_eq!(scenario.value("SELECT count(*) FROM t WHERE id = 0").await, "4");
    assert_eq!(scenario.value("SELECT count(*) FROM pg_enum WHERE enumtypid = 'mood'::regtype").await, "2");
    assert_eq!(scenario.value("SELECT convalidated FROM pg_constraint WHERE conname = 'c'").await, "t");
    scenario.is_at_rest().await;
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

/// A migration that was cut off in its second step, of which nothing tells what came of it.
async fn blocked(name: &str) -> Scenario {
    let up = "CREATE TABLE made ();\nALTER SYSTEM SET work_mem = '5MB';\nINSERT INTO t VALUES (0, 0);";
    let scenario = with(name, up, "DELETE FROM t WHERE id = 0; DROP TABLE made;").await;
    // The owner may not: the server has said no, so that nothing is in doubt.
    for _ in 0..2 {
        scenario.up().await.fails_with(1).says("SQLSTATE 42501");
    }
    scenario.run("resolve 2 --applied").await.refuses_with(2).says("no step is blocked");
    scenario.lines("UPDATE schema_migrations_progress SET attempted = true").await;
    scenario
}

#[tokio::test]
async fn what_nobody_can_tell_blocks_the_migration() {
    let scenario = blocked("outside_blocked").await;
    let before = scenario.state().await;
    for arguments in ["up --no-backup", "down 002 --no-backup", "plan", "up --dry-run"] {
        scenario
            .run(arguments)
            .await
            .refuses_with(10)
            .says("migration `002_b` is blocked at step 2 of 3")
            .says("(ALTER SYSTEM SET work_mem = '5MB')")
            .says("say `lockgate resolve 2 --applied` or `lockgate resolve 2 --not-applied`");
    }
    scenario.run("status").await.succeeds().prints("half applied: blocked at step 2 of 3");
    scenario.run("status --check").await.exits_with(10);
    scenario
        .run("resolve 1 --applied")
        .await
        .refuses_with(2)
        .says("it is step 2 of `002_b` that is blocked, not step 1");
    for arguments in ["resolve 2", "resolve 2 --applied --not-applied", "resolve --applied"] {
        scenario.run(arguments).await.exits_with(2);
    }
    scenario
        .run("resolve 2 --applied --dry-run")
        .await
        .succeeds()
        .prints("step 2 of 3 of 002_b would be taken as applied: ALTER SYSTEM SET work_mem = '5MB'\n")
        .prints("next: `lockgate up` goes on with step 3\nnothing was changed\n");
    scenario.is_still(&before).await;
}

#[tokio::test]
async fn a_run_that_loses_its_connection_where_nobody_can_tell_ends_with_a_code_of_its_own() {
    let scenario = Scenario::new("outside_lost").await.config("[statements]\nlock_timeout_ms = 0\n");
    let other = format!("{}_moved", scenario.database());
    let up = format!("CREATE TABLE made ();\nALTER DATABASE {other} SET TABLESPACE pg_default;");
    let scenario = scenario.migration("001_a", &up, "DROP TABLE made;");
    scenario.lines(&format!("CREATE DATABASE {other}")).await;
    scenario.superuser().await.lines("GRANT CREATE ON TABLESPACE pg_default TO lockgate_owner").await;
    let holder = scenario.session().await;
    holder.lines(&format!("BEGIN; COMMENT ON DATABASE {other} IS 'held'")).await;
    let run = scenario.run("up --no-backup").start();
    let superuser = scenario.superuser().await;
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'lockgate %'
                 AND query LIKE 'ALTER DATABASE%' AND wait_event_type = 'Lock'";
    eventually("the run waits in its statement", async || superuser.value(waits).await == "1").await;
    scenario.end_the_run().await;
    run.end()
        .await
        .fails_with(10)
        .says("migration `001_a` is blocked at step 2 of 2")
        .says("state: stopped at step 2 of 2, what is before it is committed")
        .says("say `lockgate resolve 2 --applied` or `lockgate resolve 2 --not-applied`");
    holder.lines("ROLLBACK").await;
    scenario.run("status --check").await.exits_with(10);
    scenario.run("resolve 2 --not-applied").await.succeeds();
    scenario.run("status --check").await.exits_with(3);
    scenario.up().await.succeeds().prints("applied 001_a");
    scenario.is_at_rest().await;
}

#[tokio::test]
async fn a_second_signal_keeps_no_clean_up_from_its_end() {
    let scenario = with("outside_stopped_twice", BUILD, UNBUILD).await;
    let (run, writer) = building(&scenario).await;
    run.interrupt();
    let superuser = scenario.superuser().await;
    let drops =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'DROP INDEX CONC%'";
    eventually("the run drops the index", async || superuser.value(drops).await == "1").await;
    run.interrupt();
    run.terminate();
    writer.lines("COMMIT").await;
    run.end().await.fails_with(1).says("stopped by SIGINT").says("is dropped");
    assert_eq!(scenario.value(INVALID).await, "0");
    assert_eq!(scenario.value("SELECT attempted FROM schema_migrations_progress").await, "f");
    scenario.is_at_rest().await;
    scenario.up().await.succeeds();
    assert_eq!(scenario.value(VALID).await, "1");
}

#[tokio::test]
async fn a_pause_waits_for_the_statement_that_is_under_way() {
    let scenario = with("outside_paused", BUILD, UNBUILD).await;
    let (run, writer) = building(&scenario).await;
    scenario.run("pause").await.succeeds().prints("002_b is paused before step 2 of 3");
    writer.lines("COMMIT").await;
    eventually("the index is built", async || scenario.value(VALID).await == "1").await;
    let done = "SELECT steps_done FROM schema_migrations_progress";
    eventually("its step is done", async || scenario.value(done).await == "2").await;
    scenario.run("status").await.succeeds().prints("half applied: at step 3 of 3, paused by ");
    assert_eq!(scenario.value("SELECT count(*) FROM t WHERE id = 0").await, "0");
    scenario.run("pause --off").await.succeeds().prints("is no longer paused");
    run.end().await.succeeds().says("paused until `lockgate pause --off`").prints("applied 002_b");
    assert_eq!(scenario.value("SELECT count(*) FROM t WHERE id = 0").await, "1");
    scenario.run("history --verify").await.succeeds();
}

#[tokio::test]
async fn a_step_taken_as_applied_is_not_run_again() {
    let scenario = blocked("outside_taken").await;
    scenario.run("resolve 2 --applied").await.succeeds().prints("is taken as applied").prints("goes on with step 3");
    scenario.run("resolve 2 --applied").await.refuses_with(2).says("no step is blocked");
    scenario.up().await.succeeds().prints("applied 002_b");
    assert_eq!(scenario.value("SELECT count(*) FROM t WHERE id = 0").await, "1");
    let noted =
        "SELECT step || ': ' || detail FROM schema_migrations_journal WHERE event = 'resolved' AND version = '002'";
    assert_eq!(
        scenario.value(noted).await,
        "2 (outside a transaction): taken as applied on the operator's word: ALTER SYSTEM SET work_mem = '5MB'"
    );
    scenario.run("history --verify").await.succeeds();
    scenario.down("002").await.succeeds();
}

#[tokio::test]
async fn a_step_taken_as_not_applied_is_run_again_or_taken_back() {
    let scenario = blocked("outside_not_taken").await;
    scenario.run("resolve 2 --not-applied").await.succeeds().prints("`lockgate up` runs step 2 again");
    scenario.up().await.fails_with(1).says("SQLSTATE 42501");
    scenario.run("status").await.succeeds().prints("half applied: at step 2 of 3");
    scenario.down("002").await.succeeds().prints("reverted 002_b");
    assert_eq!(scenario.value("SELECT to_regclass('made') IS NULL").await, "t");
}

#[tokio::test]
async fn a_file_says_how_long_its_statements_may_wait_and_run() {
    let scenario = with(
        "outside_timeouts",
        "-- lockgate: lock-timeout=200ms\n-- lockgate: statement-timeout=300ms\nALTER TABLE t ADD COLUMN x int;",
        "--lockgate:statement-timeout=200ms\nSELECT pg_sleep(20); ALTER TABLE t DROP COLUMN x;",
    )
    .await;
    let holder = scenario.session().await;
    holder.lines("BEGIN; LOCK t").await;
    // The operator's is 0, for ever.
    let up = async || scenario.run("up --no-backup").env("LOCKGATE_RETRIES", "0").await;
    up().await.fails_with(1).says("SQLSTATE 55P03");
    holder.lines("COMMIT").await;
    up().await.succeeds();
    scenario.run("down 002 --no-backup").await.fails_with(1).says("SQLSTATE 57014");

    // The smaller one wins, also outside a transaction.
    let scenario = scenario.config("[statements]\nlock_timeout_ms = 150\n").migration(
        "003_c",
        "-- lockgate: lock-timeout=1h\nCREATE INDEX CONCURRENTLY i ON t (id);",
        "DROP INDEX i;",
    );
    let holder = scenario.session().await;
    holder.lines("BEGIN; LOCK t").await;
    scenario.run("up --no-backup").env("LOCKGATE_RETRIES", "0").await.fails_with(1).says("SQLSTATE 55P03");
    holder.lines("COMMIT").await;
    scenario.up().await.succeeds();
    assert_eq!(scenario.value(VALID).await, "1");
}

#[tokio::test]
async fn directives_that_nobody_follows_are_refused_with_their_line() {
    let refused = async |name: &str, file: &str, text: &str, words: &[&str]| {
        let scenario = Scenario::new(name)
            .await
            .migration("001_a", "SELECT 1;", "SELECT 1;")
            .file(&format!("001_a.{file}.sql"), text);
        let mut outcome = scenario.up().await.refuses_with(2);
        for words in words {
            outcome = outcome.says(words);
        }
    };
    let known = "next: the directives known are `irreversible`, `no-transaction`, `new-label-unused`, `lock-timeout=TIME`, `statement-timeout=TIME` and `ignore RULE`";
    let unknown = ["001_a.up.sql:2:1: an unknown directive `no-transactions`", known];
    refused("directive_unknown", "up", "-- x\n-- lockgate: no-transactions\nSELECT 1;", &unknown).await;
    let zero = ["001_a.down.sql:1:1: a time-out of `0s`", "for the operator to say"];
    refused("directive_zero", "down", "-- lockgate: lock-timeout=0s\nSELECT 1;", &zero).await;
    let below = ["001_a.up.sql:2:1: the directive `no-transaction` below the first statement"];
    refused("directive_below", "up", "SELECT 1;\n-- lockgate: no-transaction", &below).await;
    let check = ["001_a.verify.sql: it has a directive, which a check does not follow"];
    refused("directive_check", "verify", "-- lockgate: lock-timeout=1s\nSELECT true;", &check).await;
}

const UNDERWAY: &str = "SELECT count(*) FROM schema_migrations_progress";

#[tokio::test]
async fn what_has_done_nothing_has_not_begun_and_takes_nothing_back() {
    let scenario =
        with("outside_not_begun", "CREATE INDEX CONCURRENTLY i ON t (id);", "DROP INDEX CONCURRENTLY i;").await;
    // A colleague's.
    scenario.lines("CREATE INDEX i ON t (id DESC)").await;
    scenario
        .up()
        .await
        .fails_with(1)
        .says("is another index")
        .says("state: rolled back; the database is at version 001");
    assert_eq!(scenario.value(UNDERWAY).await, "0");
    scenario.run("status").await.succeeds().prints("1 applied, 1 pending");
    scenario.down("002").await.refuses_with(2).says("migration `002` is not applied");
    assert_eq!(scenario.value(VALID).await, "1", "the colleague's index");
}

#[tokio::test]
async fn a_slip_in_the_first_step_is_mended_in_the_file() {
    let up = |column: &str| format!("-- lockgate: irreversible\nCREATE INDEX CONCURRENTLY i ON t ({column});");
    let scenario = with("outside_slip", "SELECT 1;", "SELECT 1;").await;
    scenario.remove("migrations/002_b.down.sql");
    scenario.write("migrations/002_b.up.sql", up("nope"));
    scenario.up().await.fails_with(1).says("does not exist").says("mend the cause, then run `lockgate up` again");
    scenario.write("migrations/002_b.up.sql", up("id"));
    scenario.up().await.succeeds().prints("applied 002_b");
    assert_eq!(scenario.value(VALID).await, "1");
}

#[tokio::test]
async fn a_step_that_was_killed_and_left_nothing_is_taken_back_without_the_down_script() {
    let scenario = with("outside_back", "CREATE INDEX CONCURRENTLY i ON t (id);", "DROP INDEX CONCURRENTLY i;").await;
    let (run, writer) = building(&scenario).await;
    run.kill();
    run.end().await;
    writer.lines("ROLLBACK").await;
    scenario.is_gone().await;
    scenario.down("002").await.succeeds().prints("reverted 002_b");
    assert_eq!(scenario.value("SELECT to_regclass('i') IS NULL").await, "t");
    assert_eq!(scenario.value(UNDERWAY).await, "0");
    assert!(scenario.journal().await.contains(&"reverted 002".to_owned()));
    scenario.up().await.succeeds();
    assert_eq!(scenario.value(VALID).await, "1");
}

#[tokio::test]
async fn a_detachment_that_was_killed_is_ended_before_it_is_taken_back() {
    let up = "ALTER TABLE parent DETACH PARTITION part CONCURRENTLY;";
    let down = "ALTER TABLE parent ATTACH PARTITION part FOR VALUES IN (1);";
    let scenario = with("outside_attached_again", up, down).await;
    scenario.lines(PARTED).await;
    let holder = killed_in(&scenario, "DETACH PARTITION", "SELECT count(*) FROM parent").await;
    holder.lines("COMMIT").await;
    scenario.down("002").await.succeeds().prints("reverted 002_b");
    let whole = "SELECT count(*) FROM pg_inherits WHERE inhrelid = 'part'::regclass AND NOT inhdetachpending";
    assert_eq!(scenario.value(whole).await, "1");
    assert_eq!(scenario.value(UNDERWAY).await, "0");
}
