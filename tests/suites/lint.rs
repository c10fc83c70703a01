//! What is looked for before migrations run, and what stops them.

use lockgate_tests::{Outcome, Scenario};

/// A folder of which the second migration drops a column, in its second line.
async fn dropping(name: &str) -> Scenario {
    Scenario::new(name).await.migration("001_t", "CREATE TABLE t (id int, a int);", "DROP TABLE t;").migration(
        "002_drop",
        "-- é\n  ALTER TABLE t DROP COLUMN a;",
        "ALTER TABLE t ADD COLUMN a int;",
    )
}

/// A call without any setting of a database.
async fn unconnected(scenario: &Scenario, arguments: &str) -> Outcome {
    let mut call = scenario.run(arguments);
    for name in ["DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DB_PASSWORD"] {
        call = call.without(name);
    }
    call.await
}

#[tokio::test]
async fn a_finding_has_its_place_and_an_error_its_exit_code() {
    let scenario = dropping("lint_place").await;
    let line = "migrations/002_drop.up.sql:2:17: warn: ";
    scenario
        .run("lint")
        .await
        .succeeds()
        .prints(line)
        .prints("[ban-drop-column]")
        .prints("1 finding, 0 errors in 4 scripts");
    let scenario = scenario.config("[lint]\nrules = { ban-drop-column = \"error\" }\n");
    scenario.run("lint").await.exits_with(6).prints("002_drop.up.sql:2:17: error: ").prints("1 finding, 1 error");
    let scenario = scenario.config("[lint]\nrules = { ban-drop-column = \"off\" }\n");
    scenario.run("lint").await.succeeds().prints("0 findings").does_not_print("ban-drop-column");
    assert!(!scenario.has_history().await, "nothing is changed by looking");
}

#[tokio::test]
async fn json_and_github_have_the_same_findings() {
    let scenario = dropping("lint_output").await.config("[lint]\nrules = { ban-drop-column = \"error\" }\n");
    let lint = scenario.run("lint --output json").await.exits_with(6).json();
    assert_eq!((lint["files"].as_u64(), lint["errors"].as_u64()), (Some(4), Some(1)));
    assert_eq!(lint["pg_version"]["from"], "server");
    let finding = &lint["findings"][0];
    assert_eq!(finding["rule"], "ban-drop-column");
    assert_eq!(finding["level"], "error");
    assert_eq!(finding["file"], "migrations/002_drop.up.sql");
    assert_eq!((finding["line"].as_u64(), finding["column"].as_u64()), (Some(2), Some(17)));
    assert!(finding["message"].as_str().unwrap().contains("column"));
    assert_eq!((&lint["skipped"], &lint["problems"]), (&serde_json::json!([]), &serde_json::json!([])));

    let github = scenario.run("lint --output github").await.exits_with(6);
    let line = "::error file=migrations/002_drop.up.sql,line=2,col=17,title=ban-drop-column::";
    assert!(github.stdout.starts_with(line), "{}", github.stdout);
    assert_eq!(github.stdout.lines().count(), 1, "{}", github.stdout);
    scenario.run("status --output github").await.refuses_with(2).says("for `lint` only");
}

#[tokio::test]
async fn what_is_no_rule_is_refused_with_what_comes_close() {
    let scenario = dropping("lint_unknown").await.config("[lint]\nrules = { ban-drop-colum = \"error\" }\n");
    for arguments in ["lint", "lint --offline", "up", "plan"] {
        scenario
            .run(arguments)
            .await
            .refuses_with(2)
            .says("no rule `ban-drop-colum`")
            .says("did you mean `ban-drop-column`");
    }
    let scenario = scenario.config("[lint]\nrules = { require-lock-timeout = \"error\" }\n");
    scenario.run("lint").await.refuses_with(2).says("has nothing to say here: Lockgate sets both time-outs itself");
    let scenario = scenario.config("[lint]\nrules = { ban-drop-column = \"fatal\" }\n");
    scenario.run("lint").await.refuses_with(2).says("line 2").says("unknown value `fatal`");
    let scenario = scenario.config("");
    scenario
        .run("lint --rules")
        .await
        .succeeds()
        .prints("warn  blocking-lock\n")
        .prints("off   prefer-text-field\n")
        .does_not_print("require-lock-timeout");
}

#[tokio::test]
async fn without_a_database_what_needs_one_is_said_not_to_be_asked() {
    let scenario = dropping("lint_offline").await;
    let outcome = unconnected(&scenario, "lint").await.succeeds();
    outcome
        .prints("not asked: blocking-lock (no database)\n")
        .prints("[ban-drop-column]")
        .prints("(PostgreSQL 14, the oldest supported)");
    let scenario = scenario.config("[lint]\npg_version = 17\n");
    scenario.run("lint --offline").await.succeeds().prints("not asked").prints("(PostgreSQL 17, lockgate.toml)");
    let skipped = scenario.run("lint --offline --output json").await.succeeds().json()["skipped"].take();
    assert_eq!(skipped[0], serde_json::json!({ "rule": "blocking-lock", "why": "no database" }));
    scenario.run("lint").await.succeeds().does_not_print("not asked").prints(", the connected server)");
    // A database that was named and is not there is no reason to look less closely.
    scenario.run("lint").env("DB_PORT", "1").await.refuses_with(8).says("`--offline` does without");
}

#[tokio::test]
async fn files_can_be_named() {
    let scenario = dropping("lint_files").await.migration("003_more", "DROP TABLE t;", "CREATE TABLE t ();");
    let one = scenario.run("lint migrations/002_drop.up.sql").await.succeeds();
    one.prints("[ban-drop-column]").does_not_print("003_more").prints("in 1 script ");
    std::fs::create_dir(scenario.path("elsewhere")).unwrap();
    scenario.write("elsewhere/1_a.up.sql", "CREATE TABLE a ();");
    scenario
        .run("lint elsewhere/1_a.up.sql")
        .await
        .succeeds()
        .prints("elsewhere/1_a.up.sql:1:1: warn: there is no way down");
    scenario.write("elsewhere/1_a.down.sql", "DROP TABLE b;");
    scenario
        .run("lint elsewhere/1_a.up.sql elsewhere/1_a.down.sql")
        .await
        .succeeds()
        .prints("elsewhere/1_a.down.sql:1:1: warn: it drops the relation `b`, which the way up does not make")
        .prints("elsewhere/1_a.up.sql:1:1: warn: it makes the relation `a`, which the way down does not remove")
        .does_not_print("missing-down");
    // One script by itself says nothing of the other.
    scenario.run("lint elsewhere/1_a.down.sql").await.succeeds().prints("down-drops-more").does_not_print("leaves");
    scenario.write("notes.sql", "DROP TABLE t");
    scenario
        .run("--dir nowhere lint notes.sql")
        .await
        .succeeds()
        .prints("notes.sql:1:1: warn")
        .does_not_print("missing-down");
}

#[tokio::test]
async fn what_cannot_be_read_is_refused() {
    let scenario = dropping("lint_unreadable").await;
    scenario.write("binary.sql", b"\xff\xfe\x00");
    scenario.write("open.sql", "SELECT 'x");
    scenario
        .run("lint nowhere.sql binary.sql open.sql")
        .await
        .refuses_with(2)
        .says("nowhere.sql: it cannot be read")
        .says("binary.sql: it cannot be read")
        .says("open.sql:1:8: a string that never ends");
    scenario.run("--dir nowhere lint").await.refuses_with(2).says("`nowhere` cannot be read");
    // What is wrong with the folder hides nothing of the rest, and the other way about.
    scenario.write("migrations/003_x.up.sql", "SELECT 1");
    scenario.run("lint").await.refuses_with(2).says("`003_x.down.sql` is missing").prints("[ban-drop-column]");
    let lint = scenario.run("lint --output json").await.exits_with(2).json();
    assert_eq!(lint["findings"].as_array().unwrap().len(), 1);
    assert!(lint["problems"][0]["what"].as_str().unwrap().contains("003_x.down.sql"));
}

/// A table of 2,000 rows is applied, and an index on it is pending. `large` is what a large table has, in rows.
async fn large(name: &str, large: u64, rules: &str) -> Scenario {
    let rows =
        "CREATE TABLE big (id int PRIMARY KEY, n int); INSERT INTO big SELECT k, k FROM generate_series(1, 2000) k;";
    let scenario = Scenario::new(name)
        .await
        .config(&format!("[lint]\nlarge_table_rows = {large}\nrules = {{ {rules} }}\n"))
        .migration("001_big", rows, "DROP TABLE big;")
        .migration("002_index", "CREATE INDEX big_n ON big (n);", "DROP INDEX big_n;");
    scenario.run("up --no-backup --to 1").await.succeeds();
    scenario.lines("ANALYZE big").await;
    scenario
}

#[tokio::test]
async fn a_lock_on_a_table_that_is_large_here_is_told_with_its_size() {
    let scenario = large("lint_large", 2_000, "").await;
    let words = "002_index.up.sql:1:1: warn: SHARE on `big` (";
    scenario
        .run("lint")
        .await
        .succeeds()
        .prints(words)
        .prints("about 2,000 rows): nobody can write to it while it, or an index, is written anew [blocking-lock]");
    scenario.run("plan").await.succeeds().prints(words);
    // It is told, and stops nothing.
    scenario.up().await.succeeds().prints("SHARE on `big`").prints("[blocking-lock]").prints("applied 002_index");
    let small = large("lint_small", 2_001, "").await;
    small.run("lint").await.succeeds().does_not_print("[blocking-lock]");
}

/// For each migration that holds one of these statements, whether `lint` tells of a long lock, and on what.
async fn long_locks(name: &str, statements: &[&str]) -> Vec<String> {
    let tables = "CREATE SCHEMA app; CREATE DOMAIN positive AS int CHECK (VALUE > 0); CREATE DOMAIN plain AS int;
        CREATE FUNCTION roll() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 1'; CREATE SEQUENCE sq;
        CREATE TABLE big (id int PRIMARY KEY, n int CHECK (n IS NOT NULL), m int, v varchar(50), w varchar(50) UNIQUE);
        CREATE TABLE app.tbig (id int);
        CREATE TABLE part (id int) PARTITION BY LIST (id); CREATE TABLE part_rest PARTITION OF part DEFAULT;
        CREATE TABLE part_8 (id int);
        CREATE TABLE inh (id int); CREATE TABLE inh_child () INHERITS (inh);
        INSERT INTO big SELECT k, k, k, k, k FROM generate_series(1, 2000) k; INSERT INTO app.tbig SELECT id FROM big;
        INSERT INTO part SELECT id FROM big; INSERT INTO inh_child SELECT id FROM big;";
    let drop = "DROP TABLE inh_child, inh, part_8, part, app.tbig, big; DROP SEQUENCE sq; DROP FUNCTION roll(); DROP DOMAIN positive, plain;
        DROP SCHEMA app;";
    let mut scenario =
        Scenario::new(name).await.config("[lint]\nlarge_table_rows = 2000\n").migration("001_tables", tables, drop);
    scenario.run("up --no-backup").await.succeeds();
    scenario.lines("ANALYZE").await;
    for (i, statement) in statements.iter().enumerate() {
        scenario = scenario.migration(&format!("{:03}_case", i + 2), statement, "SELECT 1;");
    }
    let lint = scenario.run("lint --output json").await.succeeds().json();
    let of_file = |i: usize| {
        let long = lint["findings"].as_array().unwrap().iter().filter(|finding| finding["rule"] == "blocking-lock");
        let of_file = long.filter(|finding| finding["file"].as_str().unwrap().contains(&format!("{:03}_case", i + 2)));
        let table = |finding: &serde_json::Value| {
            finding["message"].as_str().unwrap().split('`').nth(1).unwrap_or_default().to_owned()
        };
        of_file.map(table).collect::<Vec<_>>().join(" ")
    };
    (0..statements.len()).map(of_file).collect()
}

#[tokio::test]
async fn long_locks_that_only_the_database_knows_of_are_told() {
    let cases = [
        ("ALTER TABLE big ADD COLUMN s bigserial;", "big"),
        ("ALTER TABLE big ADD COLUMN s positive;", "big"),
        ("ALTER TABLE big ADD COLUMN s int DEFAULT roll();", "big"),
        ("CREATE TABLE part_9 PARTITION OF part FOR VALUES IN (-9);", "part_rest"),
        ("ALTER TABLE part ATTACH PARTITION part_8 FOR VALUES IN (-8);", "part_rest"),
        ("ALTER TABLE inh ALTER id TYPE bigint;", "inh_child"),
        ("SET search_path = app; ALTER TABLE tbig ALTER id TYPE bigint;", "app.tbig"),
        ("ALTER TABLE big RENAME TO big2; ALTER TABLE big2 ALTER m TYPE bigint;", "big big"),
        ("ALTER TABLE big ADD COLUMN a int; CREATE TABLE copied AS SELECT m FROM app.tbig, big;", "big"),
        ("ALTER TABLE big ALTER m SET NOT NULL;", "big"),
        ("ALTER TABLE big ALTER v TYPE varchar(20);", "big"),
        ("ALTER TABLE big ALTER w TYPE varchar(100);", "big"),
    ];
    let told = long_locks("lint_long", &cases.map(|(sql, _)| sql)).await;
    for ((sql, tables), told) in cases.iter().zip(told) {
        assert_eq!(told, *tables, "{sql}");
    }
}

#[tokio::test]
async fn what_the_database_knows_to_be_brief_is_not_told_as_long() {
    let cases = [
        "ALTER TABLE big ALTER n SET NOT NULL;",
        "ALTER TABLE big ALTER v TYPE varchar(100);",
        "ALTER TABLE big ADD COLUMN s plain;",
        "ALTER TABLE big ADD COLUMN s timestamptz DEFAULT now();",
        "CREATE INDEX part_id ON ONLY part (id);",
        "ALTER TABLE big ADD COLUMN q int; SELECT setval('sq', 5);",
        "CREATE INDEX inh_id ON inh (id);",
        "ALTER TABLE big RENAME TO old; CREATE TABLE big (id int); ALTER TABLE big ALTER id TYPE bigint;",
    ];
    let told = long_locks("lint_brief", &cases).await;
    for (sql, told) in cases.iter().zip(told) {
        assert_eq!(told, "", "{sql}");
    }
}

#[tokio::test]
async fn an_error_stops_a_run_before_its_backup() {
    let scenario = large("lint_stops", 100, "blocking-lock = \"error\"").await;
    let before = scenario.state().await;
    let journal = scenario.journal().await;
    for arguments in ["up", "up --no-backup", "up --rollback-after"] {
        scenario
            .run(arguments)
            .await
            .refuses_with(6)
            .says("error: lint says no")
            .says("migrations/002_index.up.sql:1:1: SHARE on `big`")
            .says("`-- lockgate: ignore blocking-lock` above it");
        scenario.is_still(&before).await;
    }
    assert_eq!(scenario.journal().await, journal);
    assert!(!scenario.path("backups").exists(), "no backup was begun");
    for arguments in ["plan", "up --dry-run"] {
        scenario.run(arguments).await.exits_with(6).prints("error: SHARE on `big`").prints("up 002_index");
    }
    let plan = scenario.run("plan --output json").await.exits_with(6).json();
    let errors = plan["lint"]["findings"].as_array().unwrap().iter().filter(|finding| finding["level"] == "error");
    let rules: Vec<&str> = errors.map(|finding| finding["rule"].as_str().unwrap()).collect();
    assert_eq!(rules, ["blocking-lock"]);

    let ignored = "-- lockgate: ignore blocking-lock -- nobody writes at night\nCREATE INDEX big_n ON big (n);";
    scenario.write("migrations/002_index.up.sql", ignored);
    scenario.run("lint").await.succeeds().does_not_print("[blocking-lock]");
    scenario.up().await.succeeds().prints("applied 002_index");
}

#[tokio::test]
async fn what_is_applied_is_no_longer_held_against_anybody() {
    let scenario = dropping("lint_applied").await;
    scenario
        .up()
        .await
        .succeeds()
        .prints("there is one warning about what is pending [lint]")
        .prints("applied 002_drop");
    let scenario = scenario.config("[lint]\nrules = { ban-drop-column = \"error\" }\n").migration(
        "003_more",
        "ALTER TABLE t ADD COLUMN b int;",
        "ALTER TABLE t DROP COLUMN b;",
    );
    scenario.run("lint").await.exits_with(6).prints("002_drop");
    scenario.run("plan").await.succeeds().does_not_print("ban-drop-column");
    scenario.up().await.succeeds().prints("applied 003_more");
    // The way down drops columns, which is what it is for.
    scenario.down("003").await.succeeds();
}

#[tokio::test]
async fn the_ways_of_the_auth_service_are_sound() {
    let scenario = Scenario::new("lint_auth").await.auth_migrations();
    let outcome = scenario.run("lint").await.succeeds();
    for rule in ["down-drops-more", "down-leaves-behind", "missing-down", "not-understood"] {
        assert!(!outcome.stdout.contains(rule), "{}", outcome.stdout);
    }
}

#[tokio::test]
async fn what_a_script_includes_has_its_place_in_that_file() {
    let scenario = Scenario::new("lint_included").await;
    std::fs::create_dir(scenario.path("migrations/parts")).unwrap();
    scenario.write("migrations/parts/drop.sql", "-- gone\n  DROP TABLE t;\n");
    let scenario = scenario.migration("001_t", "SELECT 1;\n\\i parts/drop.sql\nDROP VIEW v;", "SELECT 1;");
    let outcome = scenario.run("lint").await;
    outcome.prints("parts/drop.sql:2:3: warn: ").prints("001_t.up.sql:3:1: warn: ");
}
