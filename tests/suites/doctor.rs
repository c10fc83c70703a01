//! `lockgate doctor`: each trouble is made for real, found, and told with what helps; nothing is changed, and nobody waits.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use lockgate::throwaway::{Pace, Server};
use lockgate_tests::{Outcome, Scenario, Session, Standby, eventually};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

/// What one check says, in JSON; the exit code is the one that belongs to the verdict.
async fn check(scenario: &Scenario, name: &str, more: &str) -> Value {
    checked(scenario.run(&format!("doctor --output json --check {name} {more}")).await)
}

fn checked(outcome: Outcome) -> Value {
    let critical = outcome.stdout.contains("\"verdict\": \"critical\"");
    let mut found = outcome.exits_with(if critical { 6 } else { 0 }).json();
    assert_eq!(found["checks"].as_array().unwrap().len(), 1, "one check was asked for");
    found["checks"][0].take()
}

/// The finding of that code; the test ends where there is none.
fn finding<'a>(checked: &'a Value, code: &str) -> &'a Value {
    let findings = checked["findings"].as_array().unwrap();
    let found = findings.iter().find(|finding| finding["code"] == code);
    let found = found.unwrap_or_else(|| panic!("no finding `{code}` in {checked:#}"));
    assert!(!found["advice"].as_str().unwrap().is_empty(), "it says what to do: {found:#}");
    found
}

fn codes(checked: &Value) -> Vec<&str> {
    checked["findings"].as_array().unwrap().iter().map(|finding| finding["code"].as_str().unwrap()).collect()
}

fn statements(finding: &Value) -> Vec<&str> {
    finding["statements"].as_array().into_iter().flatten().map(|statement| statement.as_str().unwrap()).collect()
}

fn row<'a>(finding: &'a Value, column: &str, value: &str) -> &'a Value {
    let found = finding["rows"].as_array().unwrap().iter().find(|row| row[column] == value);
    found.unwrap_or_else(|| panic!("no row with {column} {value} in {finding:#}"))
}

async fn pid(session: &Session) -> i32 {
    session.value("SELECT pg_backend_pid()").await.parse().unwrap()
}

/// What was printed, without the ends of lines that depend on the width, and without the lines of trees.
fn flowing(outcome: &Outcome) -> String {
    outcome.stdout.replace(['│', '├', '└', '─'], " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Waits until that session waits for a lock.
async fn waits(scenario: &Scenario, pid: i32) {
    let superuser = scenario.superuser().await;
    let sql = format!("SELECT count(*) FROM pg_locks WHERE pid = {pid} AND NOT granted");
    eventually("the session waits for a lock", async || superuser.value(&sql).await != "0").await;
}

#[tokio::test]
async fn a_database_that_is_well_is_told_in_a_line_each() {
    let scenario = Scenario::new("well").await.auth_migrations();
    scenario.run("up").await.succeeds();
    let before = scenario.state().await;
    let outcome = scenario.run("doctor").await.succeeds();
    let well =
        ["locks", "connections", "invalid", "duplicate-indexes", "sequences", "wraparound", "vacuum", "privileges"];
    for name in well {
        let line = outcome.stdout.lines().find(|line| line.starts_with(&format!("  {name} ")));
        assert!(line.is_some(), "a line about {name} in\n{}", outcome.stdout);
    }
    let seen = scenario.at_terminal(80, "", "doctor --color never").await.succeeds().stdout;
    assert!(seen.lines().all(|line| line.chars().count() <= 80), "no line is longer than 80:\n{seen}");
    for line in ["nobody waits for a lock", "4 migrations applied", "the journal is whole"] {
        assert!(flowing(&outcome).contains(line), "`{line}` in\n{}", outcome.stdout);
    }
    outcome.does_not_print("CRITICAL").does_not_print("pg_blocking_pids").never_mentions(scenario.password());
    scenario.run("doctor --queries --check locks").await.succeeds().prints("pg_blocking_pids(l.pid)");
    scenario.is_still(&before).await;
}

#[tokio::test]
async fn every_check_says_what_it_asked_and_its_queries_run_again() {
    let scenario = Scenario::new("queries").await.tables(&["a"]);
    scenario.up().await.succeeds();
    let some = scenario.run("doctor --output json --check locks,server --check disk").await.exits_with(0).json();
    let names: Vec<&Value> = some["checks"].as_array().unwrap().iter().map(|check| &check["check"]).collect();
    assert_eq!(names, ["locks", "disk", "server"]);
    let found = scenario.run("doctor --output json").env("DB_USER", "postgres").await.exits_with(0).json();
    let superuser = scenario.superuser().await;
    let checks = found["checks"].as_array().unwrap();
    assert_eq!(checks.len(), 15);
    for check in checks {
        let (name, queries) = (&check["check"], check["queries"].as_array().unwrap());
        assert!(!queries.is_empty(), "{name} says what it asked");
        for query in queries {
            superuser.lines(&format!("SET search_path = pg_catalog; {}", query.as_str().unwrap())).await;
        }
    }
    let missed = |name: &str| checks.iter().find(|check| check["check"] == name).unwrap()["verdict"].clone();
    // Every check but this one has looked, and a superuser sees everything.
    assert_eq!(missed("statements"), "not_looked_at");
    let unseen: Vec<&Value> = checks.iter().filter(|check| check["verdict"] == "not_looked_at").collect();
    assert_eq!(unseen.len(), 1, "{unseen:#?}");
    assert!(unseen[0]["not_looked_at"][0].as_str().unwrap().contains("CREATE EXTENSION pg_stat_statements"));
}

#[tokio::test]
async fn who_waits_for_whom_is_a_tree_and_nobody_waits_for_the_doctor() {
    let scenario = Scenario::new("blocked").await.tables(&["a"]);
    scenario.up().await.succeeds();
    let before = scenario.state().await;
    let [first, second, third] = [scenario.session().await, scenario.session().await, scenario.session().await];
    let pids = [pid(&first).await, pid(&second).await, pid(&third).await];
    first.lines("BEGIN; SELECT * FROM a").await;
    let alter = tokio::spawn(async move { second.try_lines("ALTER TABLE a ADD COLUMN b int").await });
    waits(&scenario, pids[1]).await;
    let read = tokio::spawn(async move { third.try_lines("SELECT * FROM a").await });
    waits(&scenario, pids[2]).await;

    let found = check(&scenario, "locks", "").await;
    assert_eq!(found["verdict"], "warn");
    let blocked = finding(&found, "blocked");
    let root = &blocked["tree"][0];
    let path = [&root["pid"], &root["waiting"][0]["pid"], &root["waiting"][0]["waiting"][0]["pid"]];
    assert_eq!(path.map(|pid| pid.as_i64().unwrap()), pids.map(i64::from), "{blocked:#}");
    assert_eq!(root["state"], "idle in transaction");
    assert_eq!(root["waiting"][0]["mode"], "ACCESS EXCLUSIVE");
    assert_eq!(root["waiting"][0]["on"], "public.a");
    assert_eq!(statements(blocked), [format!("SELECT pg_terminate_backend({})", pids[0])]);
    // From nought seconds on, every wait is a long one.
    check(&scenario, "locks", "--long 0s").await["verdict"]
        .as_str()
        .map(|verdict| assert_eq!(verdict, "critical"))
        .unwrap();
    let outcome = scenario.run("doctor --check locks --long 0s").await.exits_with(6);
    let text = flowing(&outcome);
    assert!(text.contains("CRITICAL locks: 2 sessions wait for locks"), "{text}");
    assert!(text.contains(" s for ACCESS EXCLUSIVE on public.a: ALTER TABLE a ADD COLUMN b int"), "{text}");
    let place = |pid: i32| outcome.stdout.lines().find_map(|line| line.find(&format!("pid {pid} "))).unwrap();
    assert!(place(pids[0]) < place(pids[1]) && place(pids[1]) < place(pids[2]), "each stands below the other");

    // All checks, while the table cannot even be read: none waits, and the queue is as it was.
    let begin = Instant::now();
    scenario.run("doctor").await.exits_with(0).prints("2 sessions wait for locks");
    assert!(begin.elapsed() < Duration::from_secs(20));
    let superuser = scenario.superuser().await;
    assert_eq!(
        superuser.value(&format!("SELECT array_to_string(pg_blocking_pids({}), ' ')", pids[2])).await,
        pids[1].to_string()
    );
    // What it told to do helps.
    superuser.lines(statements(blocked)[0]).await;
    alter.await.unwrap().unwrap();
    read.await.unwrap().unwrap();
    scenario.lines("ALTER TABLE a DROP COLUMN b").await;
    scenario.is_still(&before).await;
    assert_eq!(check(&scenario, "locks", "").await["verdict"], "well");
}

#[tokio::test]
async fn it_looks_past_a_table_that_is_locked() {
    let scenario = Scenario::new("locked").await;
    let owner = scenario.session().await;
    owner
        .lines(
            "CREATE TABLE t (id serial PRIMARY KEY, a int CHECK (a > 0)); CREATE INDEX one ON t (a) WHERE a > 5; CREATE INDEX  two  ON t (a)  WHERE a > 5;
             INSERT INTO t (a) SELECT 1 FROM generate_series(1, 100); ANALYZE t",
        )
        .await;
    owner.lines("BEGIN; LOCK TABLE t; ALTER SEQUENCE t_id_seq INCREMENT 1; ALTER TABLE t ADD COLUMN b int").await;
    let begin = Instant::now();
    let found = scenario.run("doctor --output json --no-backup").await.exits_with(0).json();
    assert!(begin.elapsed() < Duration::from_secs(20));
    for check in found["checks"].as_array().unwrap().iter().filter(|check| check["check"] != "statements") {
        assert_ne!(check["verdict"], "not_looked_at", "{check:#}");
    }
    let of = |name: &str| found["checks"].as_array().unwrap().iter().find(|check| check["check"] == name).unwrap();
    finding(of("duplicate-indexes"), "duplicate-index");
    assert_eq!(of("sequences")["not_looked_at"][0], "1 sequence that somebody has locked");
    owner.lines("ROLLBACK").await;
}

#[tokio::test]
async fn the_holder_of_the_migration_lock_is_told() {
    let scenario = Scenario::new("own_lock").await.tables(&["a"]);
    let holder = scenario.session().await;
    let lock = format!("SET application_name = 'a run'; SELECT pg_advisory_lock({}, {})", 0x4C4F_434B, 0x4741_5445);
    holder.lines(&lock).await;
    let found = check(&scenario, "locks", "").await;
    let pid = pid(&holder).await;
    assert_eq!(
        (found["facts"][0]["pid"].as_i64(), &found["facts"][0]["application"]),
        (Some(i64::from(pid)), &"a run".into())
    );
    assert!(
        found["summary"].as_str().unwrap().contains(&format!("pid {pid} (a run, role lockgate_owner)")),
        "{found:#}"
    );
}

#[tokio::test]
async fn what_is_open_for_long_is_told_with_what_ends_it() {
    let scenario = Scenario::new("long").await;
    let (idle, busy) = (scenario.session().await, scenario.session().await);
    let pids = [pid(&idle).await, pid(&busy).await];
    idle.lines("BEGIN; SELECT 1 AS the_last_one").await;
    let sleep = tokio::spawn(async move { busy.try_lines("SELECT pg_sleep(600) -- PASSWORD 'hidden'").await });
    let superuser = scenario.superuser().await;
    let sleeps =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'SELECT pg_sleep%'";
    eventually("the query runs", async || superuser.value(sleeps).await == "1").await;

    let usual = check(&scenario, "transactions", "").await;
    assert_eq!((&usual["verdict"], codes(&usual)), (&Value::from("well"), vec![]), "nothing is open for five minutes");
    let outcome = scenario.run("doctor --output json --check transactions --long 0s").await.never_mentions("hidden");
    let found = checked(outcome);
    let query = finding(&found, "long-query");
    assert_eq!(statements(query), [format!("SELECT pg_cancel_backend({})", pids[1])]);
    assert_eq!(query["rows"][0]["query"], "(not shown: it may hold a password)");
    let open = finding(&found, "idle-in-transaction");
    assert_eq!(statements(open), [format!("SELECT pg_terminate_backend({})", pids[0])]);
    assert_eq!(open["rows"][0]["query"], "BEGIN; SELECT 1 AS the_last_one");
    // What a role may not see, it is told that it does not.
    let role = scenario.role("").await;
    let hidden = checked(scenario.run_as(&role, "doctor --output json --check transactions --long 0s").await);
    assert!(
        hidden["not_looked_at"][0].as_str().unwrap().contains(&format!("GRANT pg_read_all_stats TO \"{role}\"")),
        "{hidden:#}"
    );
    superuser.lines(&format!("GRANT pg_read_all_stats TO {role}")).await;
    let seen = checked(scenario.run_as(&role, "doctor --output json --check transactions --long 0s").await);
    assert_eq!((codes(&seen), &seen["not_looked_at"]), (codes(&found), &Value::Null));

    superuser.lines(statements(query)[0]).await;
    superuser.lines(statements(open)[0]).await;
    assert!(sleep.await.unwrap().unwrap_err().starts_with("57014"));
    assert_eq!(check(&scenario, "transactions", "--long 0s").await["verdict"], "well");
}

#[tokio::test]
async fn connections_near_their_limit_are_told() {
    let scenario = Scenario::new("connections").await;
    let database = scenario.database().to_owned();
    assert_eq!(check(&scenario, "connections", "").await["verdict"], "well");
    let superuser = scenario.superuser().await;
    superuser.lines(&format!("ALTER DATABASE {database} CONNECTION LIMIT 5")).await;
    // The superuser, two others and the doctor.
    let (_first, _second) = (scenario.session().await, scenario.session().await);
    let found = check(&scenario, "connections", "").await;
    let near = finding(&found, "connections");
    assert_eq!(
        (&near["severity"], near["message"].as_str().unwrap().ends_with("(80 %)")),
        (&"warn".into(), true),
        "{near:#}"
    );
    assert_eq!(statements(near), [format!("ALTER DATABASE \"{database}\" CONNECTION LIMIT 10")]);
    let _third = scenario.session().await;
    let found = check(&scenario, "connections", "").await;
    assert_eq!(
        (&found["verdict"], &finding(&found, "connections")["severity"]),
        (&"critical".into(), &"critical".into())
    );
    superuser.lines(statements(near)[0]).await;
    assert_eq!(check(&scenario, "connections", "").await["verdict"], "well");
}

#[tokio::test]
async fn an_index_that_is_invalid_is_told_with_what_mends_it() {
    let scenario = Scenario::new("invalid").await;
    let owner = scenario.session().await;
    owner
        .lines(
            "CREATE TABLE t (a int, b int); INSERT INTO t VALUES (1, 1), (1, 2); CREATE TABLE p (id int PRIMARY KEY)",
        )
        .await;
    owner.try_lines("CREATE UNIQUE INDEX CONCURRENTLY t_a ON t (a)").await.unwrap_err();
    owner.lines("ALTER TABLE t ADD CONSTRAINT small CHECK (b < 2) NOT VALID; ALTER TABLE t ADD CONSTRAINT \"To P\" FOREIGN KEY (a) REFERENCES p NOT VALID").await;
    let before = scenario.state().await;
    let found = check(&scenario, "invalid", "").await;
    let index = finding(&found, "invalid-index");
    assert_eq!(row(index, "index", "public.t_a")["unique"], "yes");
    assert_eq!(statements(index), ["REINDEX INDEX CONCURRENTLY public.t_a"]);
    let constraints = finding(&found, "not-valid-constraint");
    assert_eq!(
        statements(constraints),
        ["ALTER TABLE public.t VALIDATE CONSTRAINT \"To P\"", "ALTER TABLE public.t VALIDATE CONSTRAINT small"]
    );
    scenario.run("doctor --check invalid").await.succeeds().prints("    REINDEX INDEX CONCURRENTLY public.t_a;\n");
    scenario.is_still(&before).await;
    owner.lines("DELETE FROM t; INSERT INTO p VALUES (1)").await;
    for statement in statements(index).iter().chain(&statements(constraints)) {
        owner.lines(statement).await;
    }
    let mended = check(&scenario, "invalid", "").await;
    assert_eq!(mended["verdict"], "well", "{mended:#}");
}

#[tokio::test]
async fn what_a_reindex_has_left_is_to_be_dropped() {
    let scenario = Scenario::new("left").await;
    let owner = scenario.session().await;
    owner.lines("CREATE TABLE t (a int); INSERT INTO t VALUES (1), (1)").await;
    owner.try_lines("CREATE UNIQUE INDEX CONCURRENTLY t_a_ccnew ON t (a)").await.unwrap_err();
    let found = check(&scenario, "invalid", "").await;
    assert_eq!(statements(finding(&found, "invalid-index")), ["DROP INDEX CONCURRENTLY public.t_a_ccnew"]);
    owner.lines("DROP INDEX CONCURRENTLY public.t_a_ccnew").await;
    assert_eq!(check(&scenario, "invalid", "").await["verdict"], "well");
}

#[tokio::test]
async fn of_indexes_that_are_alike_the_one_that_does_less_is_superfluous() {
    let scenario = Scenario::new("duplicates").await;
    let owner = scenario.session().await;
    owner
        .lines(
            "CREATE TABLE t (id int PRIMARY KEY, a text, b text);
             CREATE INDEX plain ON t (id); CREATE INDEX first ON t (lower(a)) WHERE b > 'x'; CREATE INDEX second ON t  ( lower(a) )  WHERE  (b > 'x');
             CREATE INDEX other_class ON t (a text_pattern_ops); CREATE INDEX a ON t (a); CREATE INDEX other_order ON t (a DESC);
             CREATE INDEX other_collation ON t (a COLLATE \"C\"); CREATE INDEX other_predicate ON t (lower(a)) WHERE b > 'y';
             CREATE INDEX hash ON t USING hash (a); CREATE INDEX wider ON t (a, b); CREATE INDEX covering ON t (a) INCLUDE (b)",
        )
        .await;
    let found = check(&scenario, "duplicate-indexes", "").await;
    let duplicates = finding(&found, "duplicate-index");
    assert_eq!(row(duplicates, "index", "public.plain")["same_as"], "public.t_pkey");
    assert_eq!(row(duplicates, "index", "public.second")["same_as"], "public.first");
    let mut drops = statements(duplicates);
    drops.sort_unstable();
    assert_eq!(drops, ["DROP INDEX CONCURRENTLY public.plain", "DROP INDEX CONCURRENTLY public.second"]);
    for statement in drops {
        owner.lines(statement).await;
    }
    assert_eq!(check(&scenario, "duplicate-indexes", "").await["verdict"], "well");
}

#[tokio::test]
async fn an_index_that_nobody_used_is_told_with_since_when() {
    let scenario = Scenario::new("unused").await;
    let owner = scenario.session().await;
    owner.lines("CREATE TABLE t (id int PRIMARY KEY, a int, b int UNIQUE); CREATE INDEX t_a ON t (a); CREATE INDEX t_used ON t (a, b)").await;
    owner.lines("INSERT INTO t SELECT n, n, n FROM generate_series(1, 1000) n; ANALYZE t").await;
    owner.lines("SET enable_seqscan = off; SELECT count(b) FROM t WHERE a = 5 AND b = 5 AND a + 0 = 5").await;
    let superuser = scenario.superuser().await;
    let unused = async || {
        let rows = "SELECT string_agg(indexrelname, ' ' ORDER BY indexrelname) FROM pg_stat_user_indexes WHERE idx_scan = 0 AND indexrelname IN ('t_a', 't_used')";
        superuser.value(rows).await
    };
    eventually("the scan is counted", async || ["t_a", "t_used"].contains(&unused().await.as_str())).await;
    let unused = unused().await;
    let found = check(&scenario, "unused-indexes", "").await;
    let told = finding(&found, "unused-index");
    assert_eq!(told["severity"], "info");
    assert_eq!(statements(told), [format!("DROP INDEX CONCURRENTLY public.{unused}")]);
    assert!(told["message"].as_str().unwrap().contains("1 index was not used since 20"), "{told:#}");
    assert!(told["advice"].as_str().unwrap().starts_with("the statistics are only "), "{told:#}");
}

#[tokio::test]
async fn a_sequence_near_the_end_of_its_column_is_told() {
    let scenario = Scenario::new("sequences").await;
    let owner = scenario.session().await;
    owner
        .lines(
            "CREATE TABLE t (id serial PRIMARY KEY, other bigserial); CREATE SEQUENCE round MAXVALUE 10 CYCLE; CREATE SEQUENCE fresh;
             SELECT setval('t_id_seq', 1700000000), setval('round', 10), setval('t_other_seq', 1700000000)",
        )
        .await;
    let found = check(&scenario, "sequences", "").await;
    let near = finding(&found, "sequence-ends");
    assert_eq!((&near["severity"], near["rows"].as_array().unwrap().len()), (&"warn".into(), 1), "{near:#}");
    let told = row(near, "sequence", "public.t_id_seq");
    assert_eq!((told["used_percent"].as_i64(), told["ends_at"].as_i64()), (Some(79), Some(2_147_483_647)));
    owner.lines("SELECT setval('t_id_seq', 2000000000)").await;
    let found = check(&scenario, "sequences", "").await;
    assert_eq!(found["verdict"], "critical");
    for statement in statements(finding(&found, "sequence-ends")) {
        owner.lines(statement).await;
    }
    assert_eq!(check(&scenario, "sequences", "").await["verdict"], "well");
}

#[tokio::test]
async fn dead_rows_and_empty_tables_are_told() {
    let scenario = Scenario::new("dead").await;
    let owner = scenario.session().await;
    owner
        .lines(
            "CREATE TABLE t (id int, filling text) WITH (autovacuum_enabled = off);
             INSERT INTO t SELECT n, repeat('x', 200) FROM generate_series(1, 100000) n",
        )
        .await;
    assert_eq!(check(&scenario, "vacuum", "").await["verdict"], "well");
    owner.lines("DELETE FROM t WHERE id <= 90000").await;
    let counted = "SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 't'";
    eventually("the dead rows are counted", async || scenario.value(counted).await == "90000").await;
    let found = check(&scenario, "vacuum", "").await;
    let dead = finding(&found, "dead-rows");
    assert_eq!(
        (dead["rows"][0]["dead_rows"].as_i64(), dead["rows"][0]["dead_percent"].as_i64()),
        (Some(90_000), Some(90))
    );
    assert_eq!(statements(dead), ["VACUUM (ANALYZE) public.t"]);
    owner.lines(statements(dead)[0]).await;
    // Now its rows are few, and its pages as many as before.
    let found = check(&scenario, "vacuum", "").await;
    assert_eq!(codes(&found), ["bloat-guess"], "{found:#}");
    let guess = finding(&found, "bloat-guess");
    assert!(guess["message"].as_str().unwrap().starts_with("a guess: 1 table seems"), "{guess:#}");
    let share = guess["rows"][0]["share_percent"].as_i64().unwrap();
    assert!((80..=95).contains(&share), "nine tenths are empty, and {share} % are guessed");
    owner.lines("VACUUM FULL ANALYZE t").await;
    assert_eq!(check(&scenario, "vacuum", "").await["verdict"], "well");
}

#[tokio::test]
async fn a_role_without_rights_is_told_the_grants_and_nothing_else_fails() {
    let scenario = Scenario::new("no_rights").await.tables(&["a"]);
    scenario.up().await.succeeds();
    let role = scenario.role("").await;
    let outcome = scenario.run_as(&role, "doctor").await.exits_with(6);
    outcome
        .prints("CRITICAL privileges: role \"")
        .prints(&format!("GRANT USAGE ON SCHEMA \"public\" TO \"{role}\""))
        .prints("\nnot looked at\n")
        .prints("  locks ")
        .prints("nobody waits for a lock");
    let grants = checked(scenario.run_as(&role, "doctor --output json --no-backup --check privileges").await);
    assert_eq!(grants["verdict"], "critical");
    let lockgate = checked(scenario.run_as(&role, "doctor --output json --no-backup --check lockgate").await);
    assert_eq!(lockgate["verdict"], "not_looked_at", "{lockgate:#}");
    assert!(lockgate["not_looked_at"].to_string().contains("may not read the history"), "{lockgate:#}");
    // What it says helps.
    let superuser = scenario.superuser().await;
    let grants = finding(&grants, "missing-privilege").clone();
    for statement in statements(&grants) {
        superuser.lines(statement).await;
    }
    let after = checked(scenario.run_as(&role, "doctor --output json --no-backup --check privileges").await);
    assert_ne!(after["findings"], Value::Array(vec![grants]), "{after:#}");
}

#[tokio::test]
async fn lockgate_itself_is_looked_at() {
    let scenario = Scenario::new("itself").await.migration("001_a", "SELECT 1", "SELECT 1");
    let found = check(&scenario, "lockgate", "").await;
    assert_eq!(codes(&found), ["no-backup", "no-history"]);
    assert!(!scenario.has_history().await);
    scenario.run("up").await.succeeds();
    let found = check(&scenario, "lockgate", "").await;
    assert_eq!(codes(&found), ["no-drill"]);
    scenario.run("drill").await;
    let found = check(&scenario, "lockgate", "").await;
    assert_eq!(found["verdict"], "well", "{found:#}");
    // A step that was cut off.
    let scenario =
        scenario.migration("002_b", "-- lockgate: no-transaction\nCREATE TABLE b ();\nSELECT 1 / 0;", "DROP TABLE b");
    scenario.up().await.fails_with(1);
    let found = check(&scenario, "lockgate", "").await;
    let half = finding(&found, "half-applied");
    assert!(half["message"].as_str().unwrap().contains("`002_b` is half applied (up): at step 2 of 2"), "{half:#}");
    assert_eq!(statements(half), ["lockgate status", "lockgate up", "lockgate down 002"]);
    // An entry that somebody has changed.
    let superuser = scenario.superuser().await;
    superuser
        .lines("SET session_replication_role = replica; UPDATE schema_migrations_journal SET detail = 'forged' WHERE id = 1")
        .await;
    let found = check(&scenario, "lockgate", "").await;
    assert_eq!(found["verdict"], "critical");
    assert!(finding(&found, "journal")["message"].as_str().unwrap().contains("entry 1 was changed"));
    superuser.lines("DROP TABLE schema_migrations CASCADE; CREATE TABLE schema_migrations (version text)").await;
    let found = check(&scenario, "lockgate", "").await;
    finding(&found, "damaged-history");
}

#[tokio::test]
async fn a_slot_that_nobody_uses_is_told() {
    let server = Scenario::new("slots").await;
    let superuser = server.superuser().await;
    superuser.lines("SELECT pg_create_physical_replication_slot('unused', true)").await;
    let found = check(&server, "replication", "").await;
    let slot = finding(&found, "slot-inactive");
    assert_eq!(row(slot, "slot", "unused")["active"], "no");
    assert!(statements(slot).contains(&"SELECT pg_drop_replication_slot('unused')"));
    superuser.lines("SELECT pg_drop_replication_slot('unused')").await;
    assert!(!check(&server, "replication", "").await.to_string().contains("unused"));
}

#[tokio::test]
async fn ids_that_run_out_are_told() {
    let pg_bin = std::env::var_os("LOCKGATE_PG_BIN").map(std::path::PathBuf::from);
    let server = Arc::new(Server::embedded(pg_bin.as_deref(), Pace::Hasty).await.unwrap());
    let scenario = Scenario::on(server, "wraparound").await;
    scenario.lines("CREATE TABLE t (a int)").await;
    let superuser = scenario.superuser().await;
    // Autovacuum would mend at once what is made up here.
    superuser.lines("ALTER SYSTEM SET autovacuum_naptime = '1d'").await;
    superuser.lines("SELECT pg_reload_conf()").await;
    let naptime = "SELECT setting FROM pg_settings WHERE name = 'autovacuum_naptime'";
    eventually("autovacuum naps", async || scenario.value(naptime).await == "86400").await;
    assert_eq!(check(&scenario, "wraparound", "").await["verdict"], "well");
    for (age, verdict) in [(1_200_000_000_u32, "warn"), (1_800_000_000, "critical")] {
        let xid = 1_000_u32.wrapping_sub(age);
        superuser
            .lines(&format!("UPDATE pg_database SET datfrozenxid = '{xid}' WHERE datname = current_database()"))
            .await;
        let found = check(&scenario, "wraparound", "").await;
        assert_eq!(found["verdict"], verdict, "{found:#}");
        let told = finding(&found, "wraparound");
        assert_eq!(told["rows"][0]["database"], scenario.database());
        assert!(statements(told).iter().all(|statement| statement.starts_with("VACUUM (VERBOSE) ")), "{told:#}");
        assert!(statements(told).len() > 1);
    }
}

#[tokio::test]
async fn slow_statements_prepared_transactions_and_an_archive_that_fails_are_told() {
    let pg_bin = std::env::var_os("LOCKGATE_PG_BIN").map(std::path::PathBuf::from);
    let server = Arc::new(Server::embedded(pg_bin.as_deref(), Pace::Hasty).await.unwrap());
    let scenario = Scenario::on(server, "started_anew").await;
    let superuser = scenario.superuser().await;
    // Not every build of PostgreSQL has it.
    let counts =
        superuser.value("SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_stat_statements'").await == "1";
    for setting in ["archive_mode = 'on'", "archive_command = 'false'", "max_prepared_transactions = 5"] {
        superuser.lines(&format!("ALTER SYSTEM SET {setting}")).await;
    }
    if counts {
        superuser.lines("ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'").await;
        superuser.lines("CREATE EXTENSION pg_stat_statements").await;
        let found = check(&scenario, "statements", "").await;
        assert_eq!(found["verdict"], "not_looked_at", "{found:#}");
        assert!(found["not_looked_at"][0].as_str().unwrap().contains("shared_preload_libraries"), "{found:#}");
    }
    superuser.lines("SELECT pg_reload_conf()").await;
    let pending = "SELECT string_agg(name, ', ' ORDER BY name) FROM pg_settings WHERE pending_restart";
    eventually("the settings wait for a restart", async || {
        superuser.value(pending).await.contains("max_prepared_transactions")
    })
    .await;
    let found = check(&scenario, "server", "").await;
    let waits = finding(&found, "pending-restart");
    assert!(waits["message"].as_str().unwrap().contains("max_prepared_transactions"), "{waits:#}");
    // A server that was killed is started anew.
    let folder = superuser.value("SHOW data_directory").await;
    let pid = std::fs::read_to_string(format!("{folder}/postmaster.pid")).unwrap();
    kill(Pid::from_raw(pid.lines().next().unwrap().parse().unwrap()), Signal::SIGKILL).unwrap();
    eventually("the server is gone", async || superuser.try_lines("SELECT 1").await.is_err()).await;
    eventually("the server is back", async || scenario.can_be_reached().await).await;

    let (owner, superuser) = (scenario.session().await, scenario.superuser().await);
    owner.lines("BEGIN; CREATE TABLE t (a int); PREPARE TRANSACTION 'it''s left'").await;
    let found = check(&scenario, "transactions", "--long 0s").await;
    let prepared = finding(&found, "prepared-transaction");
    assert_eq!(statements(prepared), ["ROLLBACK PREPARED 'it''s left'"]);
    owner.lines(statements(prepared)[0]).await;
    assert_eq!(check(&scenario, "transactions", "--long 0s").await["verdict"], "well");

    superuser.lines("SELECT pg_switch_wal()").await;
    let failed = "SELECT failed_count > 0 FROM pg_stat_archiver";
    eventually("archiving fails", async || {
        superuser.lines("SELECT pg_create_restore_point('x'), pg_switch_wal()").await;
        superuser.value(failed).await == "t"
    })
    .await;
    let found = check(&scenario, "replication", "").await;
    assert_eq!((&found["verdict"], codes(&found)), (&"critical".into(), vec!["archive-failing"]), "{found:#}");

    if counts {
        owner.lines("SELECT pg_sleep(1.1)").await;
        let found = check(&scenario, "statements", "").await;
        let slow = finding(&found, "slow-statement");
        assert_eq!(slow["rows"][0]["statement"], "SELECT pg_sleep($1)");
        superuser.lines(statements(slow)[0]).await;
        assert_eq!(check(&scenario, "statements", "").await["verdict"], "well");
    }
}

#[tokio::test]
async fn a_standby_and_its_primary_are_looked_at() {
    let (scenario, standby) = (Scenario::new("standby").await, Standby::start().await);
    let target = standby.target();
    let password = target.given_password().map(lockgate::postgres::Secret::reveal).unwrap();
    let run = |arguments: &str| {
        let call =
            scenario.run(arguments).env("DB_HOST", target.host().name).env("DB_PORT", target.host().port.to_string());
        call.env("DB_NAME", &target.database).env("DB_USER", &target.user).env("DB_PASSWORD", password)
    };
    let found = run("doctor --output json --no-backup").await.exits_with(0).json();
    for check in found["checks"].as_array().unwrap().iter().filter(|check| check["check"] != "statements") {
        assert_ne!(check["verdict"], "not_looked_at", "{check:#}");
    }
    let of = |name: &str| found["checks"].as_array().unwrap().iter().find(|check| check["check"] == name).unwrap();
    assert!(of("replication")["summary"].as_str().unwrap().starts_with("a standby, "));
    assert!(of("server")["summary"].as_str().unwrap().contains(", a standby, "));
}

#[tokio::test]
async fn what_is_misspelt_or_out_of_reach_is_refused() {
    let scenario = Scenario::new("refused").await;
    scenario.run("doctor --check lock").await.exits_with(2).says("invalid value 'lock'").says("locks");
    scenario.run("doctor").env("DB_PORT", "1").await.refuses_with(8);
}
