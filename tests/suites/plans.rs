//! Plans say which locks are taken on how large a table; a tryout takes them, and leaves nothing.

use lockgate::locks::{Locks, Mode};
use lockgate_tests::{Running, Scenario, Session, components, eventually};

/// Tables with rows, applied.
async fn tables(name: &str) -> Scenario {
    let up = "CREATE TABLE parents (id int PRIMARY KEY);
              CREATE TABLE kids (id int PRIMARY KEY, parent int, n int);
              INSERT INTO parents SELECT generate_series(1, 10);
              INSERT INTO kids SELECT k, k % 10 + 1, k FROM generate_series(1, 1234) k;
              CREATE INDEX kids_n ON kids (n);";
    let scenario = Scenario::new(name).await.migration("001_tables", up, "DROP TABLE kids, parents;");
    scenario.run("up --no-backup").await.succeeds();
    scenario.lines("ANALYZE").await;
    scenario
}

const KEY: &str = "ALTER TABLE kids ADD CONSTRAINT key FOREIGN KEY (parent) REFERENCES parents (id);";
const NO_KEY: &str = "ALTER TABLE kids DROP CONSTRAINT key;";

#[tokio::test]
async fn a_plan_says_which_locks_are_taken_and_how_large_the_tables_are() {
    let mixed =
        "ALTER TABLE kids ADD COLUMN day date;\nCREATE INDEX CONCURRENTLY kids_day ON kids (day);\nDROP INDEX kids_n;";
    let scenario = tables("plan_locks")
        .await
        .migration("002_key", KEY, NO_KEY)
        .migration(
            "003_mixed",
            mixed,
            "DROP INDEX kids_day; ALTER TABLE kids DROP COLUMN day; CREATE INDEX kids_n ON kids (n);",
        )
        .migration(
            "004_new",
            "CREATE TABLE fresh (); CREATE INDEX ON fresh ((1)); DO $$ BEGIN END $$",
            "DROP TABLE fresh;",
        );
    let before = scenario.state().await;
    let outcome = scenario.run("-vv plan").await.succeeds();
    assert_eq!(outcome.stderr.matches("asking how large the relations are").count(), 1, "{}", outcome.stderr);
    let outcome = outcome
        .prints("up 002_key (sql, one transaction)\n  ALTER TABLE kids ADD CONSTRAINT")
        .prints("\n    SHARE ROW EXCLUSIVE on kids (")
        .prints(
            "about 1,234 rows), while every row is read: nobody can write to it\n    SHARE ROW EXCLUSIVE on parents (",
        )
        .prints("  transaction 1:\n  ALTER TABLE kids ADD COLUMN day date\n    ACCESS EXCLUSIVE on kids (")
        .prints(
            "briefly: nobody can read or write it\n  outside a transaction (PostgreSQL refuses it inside one): CREATE",
        )
        .prints("SHARE UPDATE EXCLUSIVE on kids (")
        .prints("  transaction 2:\n  DROP INDEX kids_n\n    ACCESS EXCLUSIVE on kids (")
        .prints("SHARE on fresh (not there yet)")
        .prints("    locks not known: what the code of a DO block does is not known\n");
    assert_eq!(outcome.stdout.matches("transaction 2:").count(), 1);
    scenario.is_still(&before).await;

    let plan = scenario.run("up --dry-run --output json").await.succeeds().json();
    let steps = &plan["migrations"][0]["steps"];
    assert!(steps[0]["sql"].as_str().unwrap().starts_with("ALTER TABLE kids"));
    assert_eq!(steps[0]["transaction"], 1);
    let (kids, parents) = (&steps[0]["locks"][0], &steps[0]["locks"][1]);
    assert_eq!((&kids["relation"], &kids["mode"]), (&"kids".into(), &"SHARE ROW EXCLUSIVE".into()));
    assert_eq!((&kids["blocks"], &kids["work"]), (&"writes".into(), &"scan".into()));
    assert_eq!((kids["rows"].as_u64(), parents["rows"].as_u64()), (Some(1234), Some(10)));
    let size = scenario.value("SELECT pg_total_relation_size('kids')").await;
    assert_eq!(kids["bytes"].to_string(), size);
    let mixed = &plan["migrations"][1]["steps"];
    let numbers: Vec<Option<u64>> = (0..3).map(|i| mixed[i]["transaction"].as_u64()).collect();
    assert_eq!(numbers, [Some(1), None, Some(2)]);
    assert!(mixed[1]["outside"]["sql"].is_string() && mixed[1]["outside"]["why"].is_string());
    let fresh = &plan["migrations"][2]["steps"];
    assert_eq!(fresh[1]["locks"][0]["exists"], false);
    assert!(fresh[1]["locks"][0]["bytes"].is_null());
    assert!(fresh[2]["locks_unknown"].as_str().unwrap().contains("DO block"));
}

#[tokio::test]
async fn a_relation_that_is_locked_keeps_no_plan_waiting() {
    let scenario = tables("plan_locked").await.migration("002_key", KEY, NO_KEY);
    let other = scenario.session().await;
    other.lines("BEGIN; LOCK TABLE kids").await;
    // The checks before a backup measure the tables as well, and wait longer.
    let outcome = scenario.run("plan --no-backup").await.succeeds();
    outcome
        .prints("SHARE ROW EXCLUSIVE on kids (")
        .says("a relation is locked, so its size is the one of its last VACUUM");
}

#[tokio::test]
async fn the_locks_of_a_components_code_are_said_not_to_be_known() {
    let steps = [("up", "code", "code", ""), ("up", "sql", "LOCK TABLE target IN SHARE MODE", "")];
    let scenario = components::planned("plan_code", &steps).await;
    scenario
        .run("plan")
        .await
        .succeeds()
        .prints("  code: code\n    locks not known: its code decides when it runs\n  LOCK TABLE target IN SHARE MODE\n    SHARE on target (");
}

/// The strongest lock that a session holds on each relation of `there` (number and name), as `name MODE`.
async fn held(session: &Session, there: &[String]) -> Vec<String> {
    let rows: Vec<String> = there.iter().map(|line| format!("({})", line.replace('|', ", '") + "'")).collect();
    let sql = format!(
        "SELECT there.name, string_agg(l.mode, ' ') FROM pg_locks l JOIN (VALUES {}) there (oid, name) ON there.oid = l.relation
         WHERE l.pid = pg_backend_pid() GROUP BY there.name",
        rows.join(", ")
    );
    let lines = session.lines(&sql).await;
    let strongest = |line: String| {
        let (name, modes) = line.split_once('|').unwrap();
        let mode = modes.split(' ').filter_map(Mode::of_pg_locks).max().unwrap();
        (mode > Mode::RowShare).then(|| format!("{name} {mode}"))
    };
    let mut held: Vec<String> = lines.into_iter().filter_map(strongest).collect();
    held.sort();
    held
}

/// The table by which the manual's words are held against what the server does.
#[tokio::test]
async fn the_locks_that_are_told_are_those_that_the_server_takes() {
    let scenario = Scenario::new("plan_truth").await;
    let session = scenario.session().await;
    session
        .lines(
            "CREATE TABLE a (id int PRIMARY KEY, n int NOT NULL, m int, t text);
             CREATE TABLE b (id int PRIMARY KEY, a int, CONSTRAINT b_check CHECK (a > 0) NOT VALID);
             CREATE INDEX a_n ON a (n);
             CREATE UNIQUE INDEX a_m ON a (m);
             CREATE TABLE p (k int) PARTITION BY LIST (k);
             CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
             CREATE TABLE p2 (k int);
             CREATE TABLE parent (id int);
             CREATE TABLE child (id int);
             CREATE MATERIALIZED VIEW mv AS SELECT 1 AS one;
             CREATE UNIQUE INDEX ON mv (one);
             CREATE VIEW v AS SELECT 1 AS one;
             CREATE SEQUENCE s;
             CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
             CREATE TRIGGER g AFTER INSERT ON a EXECUTE FUNCTION f();",
        )
        .await;
    // By their numbers, since what is dropped or renamed has no name, or another. What a statement makes is nobody's to wait for.
    let there = "SELECT c.oid, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                 WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p', 'm', 'v', 'S')";
    let there = session.lines(there).await;
    assert_eq!(there.len(), 10);
    for sql in [
        "ALTER TABLE a ADD COLUMN x int",
        "ALTER TABLE a ADD COLUMN x int DEFAULT 5",
        "ALTER TABLE a DROP COLUMN t",
        "ALTER TABLE a ALTER COLUMN n TYPE bigint",
        "ALTER TABLE a ALTER COLUMN n SET DEFAULT 1",
        "ALTER TABLE a ALTER COLUMN n DROP NOT NULL",
        "ALTER TABLE a ALTER COLUMN m SET NOT NULL",
        "ALTER TABLE a ALTER COLUMN n SET STATISTICS 10",
        "ALTER TABLE a ALTER COLUMN n SET (n_distinct = 5)",
        "ALTER TABLE a ALTER COLUMN t SET STORAGE external",
        "ALTER TABLE a ALTER COLUMN n ADD GENERATED ALWAYS AS IDENTITY",
        "ALTER TABLE a ADD CONSTRAINT c CHECK (n > 0)",
        "ALTER TABLE a ADD CONSTRAINT c CHECK (n > 0) NOT VALID",
        "ALTER TABLE a ADD CONSTRAINT c UNIQUE (n)",
        "ALTER TABLE a ADD CONSTRAINT c UNIQUE USING INDEX a_m",
        "ALTER TABLE b ADD CONSTRAINT c FOREIGN KEY (a) REFERENCES a (id)",
        "ALTER TABLE b ADD CONSTRAINT c FOREIGN KEY (a) REFERENCES a (id) NOT VALID",
        "ALTER TABLE b ADD COLUMN x int REFERENCES a",
        "ALTER TABLE b VALIDATE CONSTRAINT b_check",
        "ALTER TABLE b DROP CONSTRAINT b_check",
        "ALTER TABLE b RENAME CONSTRAINT b_check TO other",
        "ALTER TABLE a DISABLE TRIGGER g",
        "ALTER TABLE a ENABLE TRIGGER ALL",
        "ALTER TABLE a ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE a CLUSTER ON a_n",
        "ALTER TABLE a SET WITHOUT CLUSTER",
        "ALTER TABLE a SET (fillfactor = 70)",
        "ALTER TABLE a SET (autovacuum_enabled = false, fillfactor = 80)",
        "ALTER TABLE a RESET (fillfactor)",
        "ALTER TABLE a SET (user_catalog_table = true)",
        "ALTER TABLE a SET UNLOGGED",
        "ALTER TABLE a RENAME COLUMN n TO o",
        "ALTER TABLE a REPLICA IDENTITY FULL",
        "ALTER TABLE child INHERIT parent",
        "ALTER TABLE p ATTACH PARTITION p2 FOR VALUES IN (2)",
        "ALTER TABLE p DETACH PARTITION p1",
        "CREATE TABLE p3 PARTITION OF p FOR VALUES IN (3)",
        "CREATE TABLE new (a int REFERENCES a)",
        "CREATE TABLE new () INHERITS (parent)",
        "CREATE INDEX i ON a (n)",
        "REINDEX TABLE a",
        "CREATE TRIGGER h AFTER INSERT ON a EXECUTE FUNCTION f()",
        "DROP TRIGGER g ON a",
        "ALTER TRIGGER g ON a RENAME TO h",
        "CREATE RULE r AS ON INSERT TO a DO ALSO NOTHING",
        "CREATE POLICY q ON a USING (true)",
        "CREATE STATISTICS st ON n, m FROM a",
        "TRUNCATE a",
        "DROP TABLE b",
        "DROP VIEW v",
        "CREATE OR REPLACE VIEW v AS SELECT 1 AS one, 2 AS two",
        "ALTER VIEW v SET (security_barrier = true)",
        "ALTER VIEW v RENAME TO w",
        "ALTER TABLE a RENAME TO z",
        "DROP MATERIALIZED VIEW mv",
        "REFRESH MATERIALIZED VIEW mv",
        "REFRESH MATERIALIZED VIEW CONCURRENTLY mv",
        "DROP SEQUENCE s",
        "ALTER SEQUENCE s INCREMENT 2",
        "LOCK a IN EXCLUSIVE MODE",
        "CLUSTER a USING a_n",
        "ANALYZE a",
        "COMMENT ON TABLE a IS 'x'",
        "COMMENT ON COLUMN a.n IS 'x'",
        "INSERT INTO a VALUES (1, 1, 1, 'x')",
        "UPDATE a SET n = 1",
        "DELETE FROM a",
        "GRANT SELECT ON a TO PUBLIC",
        "CREATE FUNCTION h() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    ] {
        is_told(&session, &there, sql).await;
    }
    // Of an index, the lock of its table is told where there is one that counts.
    let index = session.lines("SELECT 'a_n'::regclass::oid, 'a_n'").await;
    for sql in ["ALTER INDEX a_n RENAME TO other", "ALTER INDEX a_n SET (fillfactor = 50)"] {
        is_told(&session, &index, sql).await;
    }
    let table = session.lines("SELECT 'a'::regclass::oid, 'a_n'").await;
    for sql in ["DROP INDEX a_n", "REINDEX INDEX a_n"] {
        is_told(&session, &table, sql).await;
    }
}

async fn is_told(session: &Session, there: &[String], sql: &str) {
    let taken = Locks::of(sql).taken;
    let mut told: Vec<String> = taken.iter().map(|lock| format!("{} {}", lock.relation, lock.mode)).collect();
    told.sort();
    session.lines("BEGIN").await;
    session.lines(sql).await;
    assert_eq!(held(session, there).await, told, "{sql}");
    session.lines("ROLLBACK").await;
}

/// Claims that a tryout has left nothing: no object, no row, no entry, no backup, no lock.
async fn leaves_nothing(scenario: &Scenario, arguments: &str) -> lockgate_tests::Outcome {
    let (before, dump) = (scenario.state().await, scenario.schema_dump());
    let outcome = scenario.run(arguments).await;
    assert_eq!(scenario.schema_dump(), dump, "the schema is another");
    scenario.is_still(&before).await;
    assert!(!scenario.path("backups").exists());
    outcome
}

#[tokio::test]
async fn a_tryout_runs_everything_and_leaves_nothing() {
    let scenario = Scenario::new("tryout_new")
        .await
        .tables(&["a", "b"])
        .migration("003_fill", "INSERT INTO a VALUES (1); ALTER TABLE b ADD COLUMN n int;", "DELETE FROM a;")
        .file("003_fill.preflight.sql", "SELECT count(*) = 0 AS empty FROM a")
        .file("003_fill.verify.sql", "SELECT count(*) = 1 AS filled FROM a");
    let outcome = leaves_nothing(&scenario, "up --rollback-after").await.succeeds();
    outcome
        .prints("all in one transaction: locks are held until its end\n")
        .prints("tried 001_a (sql, ")
        .prints("tried 003_fill (sql, ")
        .prints("rolled back after ")
        .prints("no backup was taken, nothing is in the history or the journal")
        .does_not_print("not tried")
        .does_not_print("applied 001_a");
    assert!(!scenario.has_history().await);
    scenario.run("up --no-backup --to 2").await.succeeds();
    let journal = scenario.journal().await;
    let json = leaves_nothing(&scenario, "up --rollback-after --output json").await.succeeds().json();
    assert_eq!(scenario.journal().await, journal);
    let tried = &json["migrations"][0];
    assert_eq!((&tried["name"], &tried["outcome"]), (&"003_fill".into(), &"tried".into()));
    let locks = serde_json::json!([
        { "relation": "b", "mode": "ACCESS EXCLUSIVE", "modes": ["ACCESS EXCLUSIVE"] },
        { "relation": "a", "mode": "ROW EXCLUSIVE", "modes": ["ROW EXCLUSIVE"] },
    ]);
    assert_eq!(tried["locks"], locks);
    assert!(tried["execution_time_ms"].is_u64() && json["duration_ms"].is_u64() && json.get("error").is_none());
    scenario.run("up --rollback-after --to 2").await.succeeds().prints("nothing is pending");
    scenario.run("up --rollback-after --dry-run").await.exits_with(2);
    scenario.up().await.succeeds().prints("applied 003_fill");
}

#[tokio::test]
async fn what_would_fail_fails_and_the_exit_code_says_so() {
    let scenario = tables("tryout_fails")
        .await
        .migration("002_good", "ALTER TABLE kids ADD COLUMN x int;", "ALTER TABLE kids DROP COLUMN x;")
        .migration("003_bad", "UPDATE kids SET x = 1;\nALTER TABLE kids ADD CHECK (x > 1);", "SELECT 1;")
        .migration("004_more", "SELECT 1;", "SELECT 1;");
    leaves_nothing(&scenario, "up --rollback-after")
        .await
        .fails_with(1)
        .prints("tried 002_good")
        .prints("  took ACCESS EXCLUSIVE on kids\n")
        .prints("failed 003_bad")
        .prints("not tried 004_more: it comes after 003_bad")
        .says("migration `003_bad` failed in up, step 1 (SQL)")
        .says("SQLSTATE 23514")
        .says("state: rolled back, as all of it was to be; nothing was changed");
    let json = scenario.run("up --rollback-after --output json").await.exits_with(1).json();
    assert_eq!(json["migrations"][1]["outcome"], "failed");
    assert_eq!(json["error"]["exit_code"], 1);
    let why = "it comes after 003_bad";
    assert_eq!(json["not_reached"], serde_json::json!([{ "name": "004_more", "why": why }]));
    assert_eq!(scenario.applied().await, ["001"]);
}

#[tokio::test]
async fn checks_that_say_no_say_it_in_a_tryout() {
    let scenario = tables("tryout_checks").await.migration("002_a", "DELETE FROM kids;", "SELECT 1;");
    let scenario = scenario.file("002_a.verify.sql", "SELECT count(*) > 0 AS \"rows are left\" FROM kids");
    leaves_nothing(&scenario, "up --rollback-after")
        .await
        .fails_with(6)
        .says("`rows are left` is false")
        .says("verification");
    let scenario = scenario.file("002_a.preflight.sql", "SELECT count(*) = 0 AS \"it is empty\" FROM kids");
    leaves_nothing(&scenario, "up --rollback-after")
        .await
        .fails_with(6)
        .says("`it is empty` is false")
        .says("preflight");
    // What is put off to the commit is not forgotten.
    let up = "ALTER TABLE kids ADD FOREIGN KEY (parent) REFERENCES parents DEFERRABLE INITIALLY DEFERRED;
              INSERT INTO kids VALUES (0, 99, 0);";
    let late = tables("tryout_late").await.migration("002_late", up, "SELECT 1;");
    leaves_nothing(&late, "up --rollback-after").await.fails_with(1).says("SQLSTATE 23503");
}

#[tokio::test]
async fn what_needs_a_commit_first_is_said_not_to_be_tried() {
    let up =
        "ALTER TABLE kids ADD COLUMN day date;\nCREATE INDEX CONCURRENTLY kids_day ON kids (day);\nDROP INDEX kids_n;";
    let scenario = tables("tryout_outside").await.migration("002_mixed", up, "SELECT 1;").migration(
        "003_more",
        "SELECT nonsense;",
        "SELECT 1;",
    );
    leaves_nothing(&scenario, "up --rollback-after")
        .await
        .succeeds()
        .prints("tried in part 002_mixed")
        .prints("  took ACCESS EXCLUSIVE on kids\n")
        .prints("  not tried: step 2 of 3: CREATE INDEX CONCURRENTLY kids_day ON kids (day)\n    it commits by itself")
        .prints("  nor the 1 step after it, and the verification\n")
        .prints("not tried 003_more: it comes after 002_mixed");
    let json = scenario.run("up --rollback-after --output json").await.succeeds().json();
    assert_eq!(json["migrations"][0]["outcome"], "partly");
    assert_eq!(json["migrations"][0]["not_tried"]["step"], 2);
}

#[tokio::test]
async fn of_a_batched_step_the_first_batch_is_tried() {
    let steps = [
        ("up", "sql", "CREATE TABLE made ()", ""),
        ("up", "batched", "copy", ""),
        ("up", "sql", "CREATE TABLE more ()", ""),
    ];
    let scenario = components::planned("tryout_batches", &steps).await;
    leaves_nothing(&scenario, "up --rollback-after")
        .await
        .succeeds()
        .prints("tried in part 002_steps (component, ")
        .prints("  not tried: step 2 of 3: copy\n    its first batch was tried (")
        .prints("took ROW EXCLUSIVE on target");
    let steps = [("up", "batched", "copy", ""), ("up", "code", "code", "")];
    let all = components::planned("tryout_one_batch", &steps).await;
    all.lines("DELETE FROM source").await;
    leaves_nothing(&all, "up --rollback-after").await.succeeds().prints("tried 002_steps (component, ");
}

#[tokio::test]
async fn a_label_that_an_earlier_migration_adds_is_no_failure_of_a_later_one() {
    let scenario = Scenario::new("tryout_enum")
        .await
        .migration("001_type", "CREATE TYPE mood AS ENUM ('a');", "DROP TYPE mood;")
        .migration("002_add", "ALTER TYPE mood ADD VALUE 'b';", "SELECT 1;")
        .migration("003_use", "CREATE TABLE t AS SELECT 'b'::mood AS m;", "DROP TABLE t;");
    scenario.run("up --no-backup --to 1").await.succeeds();
    leaves_nothing(&scenario, "up --rollback-after")
        .await
        .succeeds()
        .prints("tried 002_add")
        .prints("tried in part 003_use")
        .prints("it uses a label of an enum that a step before it adds, which only its commit makes usable");
    scenario.up().await.succeeds().prints("applied 003_use");
}

#[tokio::test]
async fn what_one_migration_sets_does_not_reach_the_next() {
    let first = "CREATE SCHEMA other; SET search_path = other; CREATE TEMP TABLE leftover (); SET CONSTRAINTS ALL IMMEDIATE;
                 CREATE TABLE public.later (id int PRIMARY KEY, up int REFERENCES public.later DEFERRABLE INITIALLY DEFERRED);";
    let second = "CREATE TABLE here (); CREATE TEMP TABLE leftover (); INSERT INTO later VALUES (1, 2); INSERT INTO later VALUES (2, 1);";
    let scenario = Scenario::new("tryout_settings")
        .await
        .migration("001_first", first, "DROP TABLE later; DROP SCHEMA other;")
        .migration("002_second", second, "DROP TABLE here;")
        .file("002_second.verify.sql", "SELECT to_regclass('public.here') IS NOT NULL AS \"it is in public\"");
    leaves_nothing(&scenario, "up --rollback-after").await.succeeds().prints("tried 002_second");
    scenario.up().await.succeeds();
}

#[tokio::test]
async fn components_are_sealed_in_a_tryout_as_in_a_run() {
    let scenario = Scenario::new("tryout_sealed")
        .await
        .migration(
            "001_behaviour",
            "CREATE TABLE hostile_behaviour (behaviour text, statement text);
             INSERT INTO hostile_behaviour VALUES ('good', 'COMMIT');",
            "DROP TABLE hostile_behaviour;",
        )
        .component("002_guest", &components::hostile())
        .await
        .migration("003_after", "CREATE TABLE after_it (); SET CONSTRAINTS ALL IMMEDIATE;", "DROP TABLE after_it;");
    leaves_nothing(&scenario, "up --rollback-after")
        .await
        .succeeds()
        .prints("tried 002_guest")
        .prints("tried 003_after");
    scenario.run("up --no-backup --to 1").await.succeeds();
    for (statement, words) in [
        ("DELETE FROM public.schema_migrations", "it changed the tables in which the host keeps what is applied"),
        ("DELETE FROM public.schema_migrations_seal", "it changed the tables in which the host keeps what is applied"),
        ("SET synchronous_commit = off", "would change the session that the host owns"),
        ("COMMIT", "`COMMIT` would end the transaction"),
    ] {
        let told = format!("UPDATE hostile_behaviour SET behaviour = 'execute', statement = '{statement}'");
        scenario.lines(&told).await;
        leaves_nothing(&scenario, "up --rollback-after").await.fails_with(1).says(words).does_not_print("\ntried 003");
    }
}

#[tokio::test]
async fn the_guards_of_a_run_hold_for_scripts_as_well() {
    let up = "CREATE TABLE here (); SET synchronous_commit = off;";
    let scenario = Scenario::new("tryout_guards").await.tables(&["a"]).migration("002_set", up, "DROP TABLE here;");
    leaves_nothing(&scenario, "up --rollback-after").await.fails_with(1).says("on which the host depends");
    let up = "INSERT INTO schema_migrations (version, filename) SELECT '9', 'x';";
    let forger = Scenario::new("tryout_forger").await.tables(&["a"]).migration("002_forge", up, "SELECT 1;");
    forger.run("up --no-backup --to 1").await.succeeds();
    forger.run("up --rollback-after").await.exits_with(1);
    assert_eq!(forger.applied().await, ["001"]);
}

#[tokio::test]
async fn who_is_in_the_way_of_a_tryout_is_named_after_as_many_tries_as_a_run_makes() {
    let scenario = tables("tryout_blocked")
        .await
        .config("[statements]\nlock_timeout_ms = 700\nretries = 1\n")
        .migration("002_a", "ALTER TABLE kids ADD COLUMN x int;", "ALTER TABLE kids DROP COLUMN x;");
    let other = scenario.session().await;
    other.lines("BEGIN; SELECT FROM kids").await;
    let outcome = scenario.run("up --rollback-after").await.fails_with(1);
    outcome
        .says("SQLSTATE 55P03")
        .says("the lock is held by pid ")
        .says("trying all of it again")
        .says("nothing was changed");
    other.lines("ROLLBACK").await;
    leaves_nothing(&scenario, "up --rollback-after").await.succeeds().prints("  took ACCESS EXCLUSIVE on kids\n");
}

#[tokio::test]
async fn a_tryout_that_loses_its_connection_begins_anew() {
    let (scenario, gate, run) = at_the_gate("tryout_lost").await;
    scenario.end_the_run().await;
    let superuser = scenario.superuser().await;
    let begun = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory' AND datname = current_database()";
    eventually("it comes to the gate again", async || superuser.value(begun).await == "1").await;
    gate.lines("SELECT pg_advisory_unlock(7)").await;
    run.end().await.succeeds().says("the connection is lost before a migration has begun").prints("tried 002_b");
    scenario.is_at_rest().await;
    assert!(!scenario.has_history().await);
}

#[tokio::test]
async fn what_a_transaction_sets_for_itself_keeps_what_comes_after_it_from_being_tried() {
    let tried = async |name: &str, set: &str| {
        let up = format!(
            "-- lockgate: no-transaction\nBEGIN;\n{set};\nCREATE TABLE t (id int);\nCOMMIT;\nINSERT INTO t VALUES (1);"
        );
        let scenario = Scenario::new(name).await.migration("001_t", &up, "DROP TABLE t;");
        scenario.run("up --rollback-after").await.succeeds()
    };
    for (name, set) in [
        ("tryout_set_local", "SET LOCAL statement_timeout = 0"),
        ("tryout_set_config", "SELECT set_config('statement_timeout', '0', true)"),
    ] {
        tried(name, set)
            .await
            .prints("tried in part 001_t")
            .prints("INSERT INTO t VALUES (1)")
            .prints("sets something for its own transaction only");
    }
    tried("tryout_sets_nothing", "SELECT 1").await.does_not_print("tried in part");
}

#[tokio::test]
async fn sequences_that_have_moved_are_told() {
    let up = "CREATE TABLE numbered (id int DEFAULT nextval('numbers')); INSERT INTO numbered SELECT FROM generate_series(1, 5);";
    let scenario = Scenario::new("tryout_sequence")
        .await
        .migration("001_s", "CREATE SEQUENCE numbers;", "DROP SEQUENCE numbers;")
        .migration("002_use", up, "DROP TABLE numbered;");
    scenario.run("up --no-backup --to 1").await.succeeds();
    scenario
        .run("up --rollback-after")
        .await
        .succeeds()
        .prints("not undone: the sequence public.numbers was at not used yet, now at 5\n");
    assert_eq!(scenario.value("SELECT last_value FROM numbers").await, "5");
}

#[tokio::test]
async fn replication_slots_that_stay_are_told() {
    let slot = "lockgate_tryout_slot";
    let scenario = Scenario::new("tryout_slot").await.migration("001_slot", "SELECT make_slot();", "SELECT 1;");
    let superuser = scenario.superuser().await;
    let make = format!(
        "CREATE FUNCTION make_slot() RETURNS text SECURITY DEFINER LANGUAGE sql
         AS $$ SELECT slot_name::text FROM pg_create_physical_replication_slot('{slot}') $$"
    );
    superuser.lines(&make).await;
    let outcome = scenario.run("up --rollback-after").await;
    // It belongs to the server, not to the database of this test.
    superuser.lines(&format!("SELECT pg_drop_replication_slot('{slot}')")).await;
    outcome.succeeds().prints(&format!("not undone: the replication slot {slot} is there now"));
}

/// A tryout that waits in its second migration.
async fn at_the_gate(name: &str) -> (Scenario, Session, Running) {
    let gate = "CREATE TABLE b (); SET LOCAL lock_timeout = 0; SELECT pg_advisory_xact_lock(7);";
    let scenario = Scenario::new(name).await.tables(&["a"]).migration("002_b", gate, "DROP TABLE b;");
    let session = scenario.session().await;
    session.lines("SELECT pg_advisory_lock(7)").await;
    let run = scenario.run("up --rollback-after").start();
    let waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = 7
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    eventually("the tryout comes to the gate", async || session.value(waits).await == "1").await;
    (scenario, session, run)
}

#[tokio::test]
async fn a_tryout_that_is_cut_off_leaves_nothing() {
    for (name, killed) in [("tryout_killed", true), ("tryout_stopped", false)] {
        let (scenario, gate, run) = at_the_gate(name).await;
        if killed {
            run.kill();
            assert_eq!(run.end().await.signal, Some(9));
        } else {
            run.terminate();
            run.end().await.fails_with(1).says("stopped by SIGTERM").says("nothing was changed");
        }
        scenario.is_gone().await;
        gate.lines("SELECT pg_advisory_unlock(7)").await;
        scenario.is_at_rest().await;
        assert!(!scenario.has_history().await);
        assert!(!scenario.schema_dump().contains("CREATE TABLE"), "{}", scenario.schema_dump());
        scenario.up().await.succeeds().prints("applied 002_b");
    }
}

#[tokio::test]
async fn a_tryout_holds_the_lock_of_a_run() {
    let (scenario, gate, run) = at_the_gate("tryout_lock").await;
    scenario.run("up --no-backup --lock-timeout 0s").await.refuses_with(4).says("another run holds the migration lock");
    gate.lines("SELECT pg_advisory_unlock(7)").await;
    run.end().await.succeeds().prints("tried 002_b");
    scenario.is_at_rest().await;
}

#[tokio::test]
async fn what_is_half_applied_is_not_tried() {
    let up = "CREATE TABLE made ();\nCREATE INDEX CONCURRENTLY i ON missing (id);";
    let scenario = Scenario::new("tryout_half").await.tables(&["a"]).migration("002_b", up, "DROP TABLE made;");
    scenario.up().await.fails_with(1).says("stopped at step 2 of 2");
    leaves_nothing(&scenario, "up --rollback-after").await.succeeds().prints("not tried 002_b: it is half applied");
}
