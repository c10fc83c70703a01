//! `up --atomic`: all that is pending in one transaction.

use std::{fs, time::Duration};

use lockgate_tests::{Harm, Meant, Proxy, Scenario, components};

async fn three(name: &str) -> Scenario {
    Scenario::new(name).await.tables(&["a", "b", "c"])
}

const ATOMIC: &str = "up --atomic --no-backup";

/// How many transactions wrote the rows of the history.
async fn transactions(scenario: &Scenario) -> String {
    scenario.value("SELECT count(DISTINCT xmin::text) FROM schema_migrations").await
}

#[tokio::test]
async fn everything_is_applied_in_one_transaction() {
    let scenario = three("atomic").await;
    // What a migration sets, defers or leaves open is nothing to the next.
    scenario.write(
        "migrations/002_b.up.sql",
        "SET search_path = pg_catalog; SET TimeZone = 'Asia/Tokyo'; SET DateStyle = German; CREATE TABLE public.b (id int);
         CREATE TEMP TABLE x (i int); DECLARE c CURSOR FOR SELECT 1; -- the end",
    );
    scenario.write("migrations/003_c.up.sql", "CREATE TABLE c (id int); CREATE TEMP TABLE x (i int)");
    let outcome = scenario.run(&format!("{ATOMIC} --events events.jsonl")).await.succeeds();
    outcome.prints("applied 001_a").prints("applied 002_b").prints("applied 003_c").prints("at version 003");
    assert_eq!(transactions(&scenario).await, "1");
    let told = fs::read_to_string(scenario.path("events.jsonl")).unwrap();
    let told: Vec<&str> =
        told.lines().filter_map(|line| line.split("\"event\":\"").nth(1)?.split('"').next()).collect();
    let first_end = told.iter().position(|event| *event == "migration_committed").unwrap();
    assert_eq!(told[..first_end].iter().filter(|event| **event == "migration_started").count(), 3, "{told:?}");
    assert_eq!(told.iter().filter(|event| **event == "migration_committed").count(), 3, "{told:?}");
    let journal = scenario.journal().await;
    assert!(
        journal.ends_with(&["applied 001", "applied 002", "applied 003", "run_finished"].map(str::to_owned)),
        "{journal:?}"
    );
    scenario.run("history --verify").await.succeeds();
    scenario.run(ATOMIC).await.succeeds().prints("nothing is pending");
    scenario.run("down 003 --no-backup").await.succeeds();
    scenario.is_at_rest().await;
}

#[tokio::test]
async fn what_a_script_sets_is_nothing_to_the_rows_that_are_compared() {
    let scenario = three("atomic_settings").await;
    for (file, text) in [
        ("002_b.up.sql", "SET TimeZone = 'Asia/Tokyo'; SET DateStyle = German; CREATE TABLE b (id int);"),
        // Step by step.
        ("002_b.verify.sql", "SELECT true;"),
        ("003_c.up.sql", "SET TimeZone = 'Asia/Tokyo'; SET DateStyle = German; CREATE TABLE c (id int);"),
    ] {
        scenario.write(&format!("migrations/{file}"), text);
    }
    scenario.run(ATOMIC).await.succeeds();
    assert_eq!(transactions(&scenario).await, "1");
}

#[tokio::test]
async fn what_a_database_has_set_is_nothing_to_any_of_them() {
    let scenario = three("atomic_database").await;
    for (name, value) in [
        ("standard_conforming_strings", "off"),
        ("idle_in_transaction_session_timeout", "'20ms'"),
        ("DateStyle", "German"),
        ("TimeZone", "'Asia/Tokyo'"),
    ] {
        scenario.lines(&format!("ALTER DATABASE {} SET {name} = {value}", scenario.database())).await;
    }
    for (file, table) in [("001_a", "a"), ("002_b", "b"), ("003_c", "c")] {
        let up = format!(
            r"CREATE TABLE {table} AS SELECT 'C:\new' AS path, '\' AS x, '; COMMIT; BEGIN; SELECT 1; --' AS y;"
        );
        scenario.write(&format!("migrations/{file}.up.sql"), up);
    }
    scenario.write("migrations/002_b.verify.sql", "SELECT pg_sleep(0.1) IS NOT NULL;");
    scenario.run(ATOMIC).await.succeeds();
    assert_eq!(transactions(&scenario).await, "1");
    for table in ["a", "b", "c"] {
        assert_eq!(
            scenario.value(&format!("SELECT length(path) || ' ' || length(x) FROM {table}")).await,
            "6 1",
            "{table}"
        );
    }
    scenario.run("history --verify").await.succeeds();
}

/// What is put off until the end might put back what it has changed before, around what the host writes; and an entry of the journal might be
/// written anew by a later migration.
#[tokio::test]
async fn nobody_writes_in_the_name_of_the_host_among_others() {
    let scenario = three("atomic_name").await;
    let superuser = scenario.superuser().await;
    let other = format!("other_{}", scenario.database());
    let swap = format!(
        "CREATE ROLE {other} SUPERUSER; CREATE TABLE b (i int);
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             IF NEW.i = 1 THEN
                 SET CONSTRAINTS ALL DEFERRED; INSERT INTO b VALUES (2); SET SESSION AUTHORIZATION {other};
             ELSE
                 RESET SESSION AUTHORIZATION;
             END IF;
             RETURN NULL;
         END $$;
         CREATE CONSTRAINT TRIGGER x AFTER INSERT ON b DEFERRABLE FOR EACH ROW EXECUTE FUNCTION f();
         SET CONSTRAINTS ALL DEFERRED; INSERT INTO b VALUES (1);"
    );
    let anew = "SET session_replication_role = replica; SET track_counts = off;
         UPDATE schema_migrations_journal SET detail = 'forged' WHERE event = 'applied' AND version = '001';
         RESET track_counts; RESET session_replication_role;";
    for (up, says) in [(swap.as_str(), "it left another role"), (anew, "one of them did what it must not")] {
        scenario.write("migrations/002_b.up.sql", up);
        for verified in [false, true] {
            if verified {
                scenario.write("migrations/002_b.verify.sql", "SELECT true;");
            }
            scenario.run(ATOMIC).env("DB_USER", "postgres").await.fails_with(1).says(says);
            assert_eq!(superuser.lines("SELECT count(*) FROM schema_migrations").await, ["0"]);
        }
        fs::remove_file(scenario.path("migrations/002_b.verify.sql")).unwrap();
    }
}

#[tokio::test]
async fn what_cannot_be_done_in_one_message_is_done_step_by_step() {
    let scenario = three("atomic_unfit").await;
    for unfit in ["RESET ALL;", "DEALLOCATE ALL;", "SET lockgate.transaction = '1';"] {
        scenario.write("migrations/002_b.up.sql", format!("CREATE TABLE b (id int); {unfit}"));
        let ran = scenario.run(&format!("{ATOMIC} -vv --events events.jsonl")).await.succeeds();
        ran.says("all of it is done once more, step by step");
        // 001 in one message, then all three step by step; that of 002 was not verified in one message.
        let told = fs::read_to_string(scenario.path("events.jsonl")).unwrap();
        assert_eq!(told.matches("\"verify_finished\"").count(), 4, "{told}");
        scenario.remove("events.jsonl");
        assert_eq!(transactions(&scenario).await, "1");
        assert_eq!(scenario.applied().await, ["001", "002", "003"]);
        scenario.run("history --verify").await.succeeds();
        scenario.run("down --to 0 --no-backup --yes").await.succeeds();
    }
}

#[tokio::test]
async fn data_among_others_go_step_by_step_at_once() {
    let scenario = three("atomic_data").await;
    scenario.write("migrations/002_b.up.sql", "CREATE TABLE b (id int); COPY b FROM stdin;\n1\n2\n\\.\n");
    let ran = scenario.run(&format!("{ATOMIC} -vv")).await.succeeds();
    ran.never_mentions("once more");
    assert_eq!(transactions(&scenario).await, "1");
    assert_eq!(scenario.value("SELECT count(*) FROM b").await, "2");
}

#[tokio::test]
async fn one_that_fails_takes_all_of_them_with_it() {
    let scenario = three("atomic_fails").await;
    for (file, text, code, says) in [
        ("003_c.up.sql", "SELECT nonsense", 1, "migration `003_c` failed in up, step 1 (SQL)"),
        ("003_c.verify.sql", "SELECT false", 6, "003_c.verify.sql"),
        ("003_c.preflight.sql", "SELECT false", 6, "003_c.preflight.sql"),
        (
            "003_c.up.sql",
            "DELETE FROM schema_migrations",
            1,
            "it changed the tables in which the host keeps what is applied",
        ),
        (
            "003_c.up.sql",
            "CREATE TABLE c (id int PRIMARY KEY); CREATE TABLE d (id int REFERENCES c DEFERRABLE INITIALLY DEFERRED); INSERT INTO d VALUES (1)",
            1,
            "deferred constraints",
        ),
    ] {
        let path = format!("migrations/{file}");
        let before = scenario.path(&path).exists().then(|| fs::read_to_string(scenario.path(&path)).unwrap());
        scenario.write(&path, text);
        let outcome = scenario.run(ATOMIC).await.exits_with(code).says(says).does_not_print("applied");
        outcome
            .says("rolled back, with every other migration of this run; no migration is applied; the lock is released");
        assert_eq!(
            scenario.value("SELECT to_regclass('a') IS NULL AND to_regclass('b') IS NULL").await,
            "t",
            "{file}: {text}"
        );
        match before {
            Some(text) => scenario.write(&path, &text),
            None => scenario.remove(&path),
        }
        scenario.is_at_rest().await;
    }
    scenario.run(ATOMIC).await.succeeds().prints("applied 003_c");
}

#[tokio::test]
async fn what_cannot_share_a_transaction_is_refused_before_anything_is_done() {
    let scenario = three("atomic_apart").await;
    scenario.write("migrations/002_b.up.sql", "CREATE TABLE b (id int); CREATE INDEX CONCURRENTLY b_id ON b (id)");
    let refused = scenario.run("up --atomic").await.exits_with(2);
    refused
        .says("`--atomic`: migration `002_b` has steps that cannot share a transaction with others")
        .says("`lockgate up --to 002` without `--atomic`, then the rest with it");
    assert!(!scenario.has_history().await && !scenario.path("backups").exists());
    scenario.run("up --no-backup --to 002").await.succeeds();
    scenario.run(ATOMIC).await.succeeds().prints("applied 003_c");
    scenario.run("up --atomic --dry-run").await.exits_with(2).says("--dry-run");
}

#[tokio::test]
async fn a_lost_connection_does_all_of_it_again_or_finds_that_it_is_done() {
    let scenario = three("atomic_undisturbed").await;
    let (host, port) = (scenario.host(), scenario.port());
    let proxy = Proxy::before(host, port, Meant::Anything(usize::MAX), Harm::Lost, false).await;
    scenario.run_through(&proxy, ATOMIC).await.succeeds();
    // Behind the migrations come the last look, the COMMIT, and what ends the run.
    let within = proxy.seen() - 16;
    for (name, meant, harm) in [
        ("atomic_lost", Meant::Commit(0), Harm::Lost),
        ("atomic_answer", Meant::Commit(0), Harm::AnswerLost),
        ("atomic_late", Meant::Commit(0), Harm::Delayed(Duration::from_secs(1))),
        ("atomic_told", Meant::Commit(0), Harm::ToldOfTheEnd),
        ("atomic_within", Meant::Anything(within), Harm::ToldOfTheEnd),
    ] {
        let scenario = three(name).await;
        let proxy = Proxy::before(scenario.host(), scenario.port(), meant, harm, false).await;
        let outcome = scenario.run_through(&proxy, ATOMIC).await.succeeds();
        assert!(proxy.has_harmed(), "{name}");
        outcome.prints("applied 001_a").prints("applied 003_c").says("the connection was lost");
        assert_eq!(scenario.applied().await, ["001", "002", "003"], "{name}");
        assert_eq!(transactions(&scenario).await, "1", "{name}");
        let journal = scenario.journal().await;
        let count = |event: &str| journal.iter().filter(|noted| *noted == event).count();
        assert_eq!([count("applied 001"), count("applied 003"), count("resolved")], [1; 3], "{name}: {journal:?}");
        scenario.is_at_rest().await;
    }
    let scenario = three("atomic_unknown").await;
    let proxy = Proxy::before(scenario.host(), scenario.port(), Meant::Commit(0), Harm::Lost, true).await;
    scenario
        .run_through(&proxy, &format!("{ATOMIC} --reconnect-timeout 1s"))
        .await
        .fails_with(9)
        .says("while migration `001_a to 003_c` was committing");
}

#[tokio::test]
async fn whoever_is_in_the_way_is_waited_for() {
    let scenario = three("atomic_in_the_way").await;
    scenario.run("up --no-backup --to 001").await.succeeds();
    scenario.write("migrations/003_c.up.sql", "ALTER TABLE a ADD x int; CREATE TABLE c (id int)");
    let holder = scenario.session().await;
    holder.lines("BEGIN; LOCK a IN ACCESS EXCLUSIVE MODE").await;
    scenario.write("lockgate.toml", "[statements]\nlock_timeout_ms = 200\n");
    let run = scenario.run(ATOMIC).start();
    let tried = "SELECT count(*) FROM schema_migrations_journal WHERE event = 'retried'";
    let look = scenario.session().await;
    lockgate_tests::eventually("it is tried again", async || look.value(tried).await != "0").await;
    holder.lines("COMMIT").await;
    run.end().await.succeeds().says("trying all of it again after a pause").prints("applied 003_c");
    assert_eq!(scenario.applied().await, ["001", "002", "003"]);
}

#[tokio::test]
async fn constraints_that_cannot_be_set_back_are_let_be() {
    let temporary = "CREATE TEMP TABLE t (i int CONSTRAINT u1 UNIQUE DEFERRABLE); CREATE TABLE a (i int CONSTRAINT c UNIQUE DEFERRABLE);
                     CREATE TABLE b (i int);
                     ALTER TABLE b ADD CONSTRAINT c CHECK (true);";
    let scenario = Scenario::new("atomic_constraints").await.migration("001_a", temporary, "DROP TABLE a, b;");
    let scenario = scenario.migration("002_b", "CREATE TABLE later ();", "DROP TABLE later;");
    let hidden = "CREATE SCHEMA hidden; REVOKE ALL ON SCHEMA hidden FROM PUBLIC; CREATE TABLE hidden.x (i int UNIQUE DEFERRABLE)";
    scenario.superuser().await.lines(hidden).await;
    scenario.run("up --atomic --no-backup").await.succeeds();
    assert_eq!(scenario.applied().await, ["001", "002"]);
}

#[tokio::test]
async fn components_are_sealed_among_others() {
    let scenario = Scenario::new("atomic_sealed").await.migration(
        "001_behaviour",
        "CREATE TABLE hostile_behaviour (behaviour text, statement text);
         INSERT INTO hostile_behaviour VALUES ('good', 'COMMIT');",
        "DROP TABLE hostile_behaviour;",
    );
    let scenario = scenario.component("002_guest", &components::hostile()).await.migration(
        "003_after",
        "CREATE TABLE after_it (i int PRIMARY KEY, j int REFERENCES after_it DEFERRABLE INITIALLY DEFERRED);
         INSERT INTO after_it VALUES (1, 2), (2, 1); SET CONSTRAINTS ALL IMMEDIATE;",
        "DROP TABLE after_it;",
    );
    scenario.run(ATOMIC).await.succeeds().prints("applied 002_guest").prints("applied 003_after");
    assert_eq!(transactions(&scenario).await, "1");
    scenario.run("history --verify").await.succeeds();
    scenario.is_at_rest().await;
}
