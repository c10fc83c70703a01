//! Every command, when it succeeds and when it fails.

use std::path::Path;

use lockgate_tests::{
    Scenario,
    components::{self, planned},
};
use serde_json::Value;

use super::described::{has_its_shape, is_as_ever, is_described, printed};

/// What the command prints, as a snapshot of the same name.
async fn snapshot(scenario: &Scenario, command: &str, options: &str, code: i32) -> Value {
    named(&command.replace(' ', "-"), scenario, command, options, code).await
}

async fn named(name: &str, scenario: &Scenario, command: &str, options: &str, code: i32) -> Value {
    let document = document(scenario, command, options, code).await;
    is_as_ever(name, scenario, document.clone());
    document
}

/// What the command prints, which its schema describes.
async fn document(scenario: &Scenario, command: &str, options: &str, code: i32) -> Value {
    printed(command, code, scenario.run(&format!("{command} {options}"))).await
}

#[tokio::test]
async fn a_run_and_all_that_tells_of_it() {
    let scenario = Scenario::new("json_run").await.tables(&["a", "b"]).migration(
        "003_c",
        "CREATE INDEX a_id ON a (id);",
        "DROP INDEX a_id;",
    );
    snapshot(&scenario, "test", "", 0).await;
    named("plan", &scenario, "plan", "", 0).await;
    document(&scenario, "up", "--dry-run", 0).await;
    named("up-rollback-after", &scenario, "up", "--rollback-after", 0).await;
    let up = snapshot(&scenario, "up", "--to 2", 0).await;
    assert_eq!(up["result"]["done"].as_array().unwrap().len(), 2);
    document(&scenario, "up", "--to 2", 0).await;
    snapshot(&scenario, "status", "", 0).await;
    document(&scenario, "status", "--check", 3).await;
    snapshot(&scenario, "history", "", 0).await;
    named("history-verify", &scenario, "history", "--verify", 0).await;
    named("down-dry-run", &scenario, "down", "--dry-run 2", 0).await;
    snapshot(&scenario, "down", "--to 0", 0).await;
    // Somebody writes in the journal.
    scenario.superuser().await.lines("ALTER TABLE schema_migrations_journal DISABLE TRIGGER USER").await;
    scenario.superuser().await.lines("UPDATE schema_migrations_journal SET detail = 'made up' WHERE id = 2").await;
    let damaged = document(&scenario, "history", "--verify", 5).await;
    assert!(damaged["result"]["broken"].is_object(), "{damaged:#}");
}

#[tokio::test]
async fn a_failure_of_each_command_is_one_object_as_well() {
    let scenario = Scenario::new("json_failures").await.migration("001_a", "SELECT\n nonsense;", "");
    let error = named("up-failed", &scenario, "up", "--no-backup", 1).await["result"]["error"].take();
    assert_eq!((&error["exit_code"], error["database"]["sqlstate"].as_str()), (&1.into(), Some("42703")));
    named("status-failed", &scenario, "status", "", 0).await;
    document(&scenario, "up", "--rollback-after", 1).await;
    let nowhere = "--database-url postgres://nobody@127.0.0.1:1/none";
    for (command, options) in [
        ("adopt", "--from dbmate"),
        ("backup", ""),
        ("backup prune", ""),
        ("baseline", "1"),
        ("doctor", ""),
        ("down", "1"),
        ("drill", ""),
        ("history", ""),
        ("pause", ""),
        ("plan", ""),
        ("rehearse", ""),
        ("repair", ""),
        ("resolve", "1 --applied"),
        ("status", ""),
        ("test", ""),
        ("up", ""),
    ] {
        let code = if ["drill", "backup"].contains(&command) { None } else { Some(8) };
        let call = scenario.run(&format!("{command} {options} {nowhere}"));
        let outcome = call.arg("--output").arg("json").await;
        let document: Value = serde_json::from_str(&outcome.stdout).unwrap_or_else(|e| panic!("{e}: {outcome:?}"));
        is_described(command, &document);
        let told = document["result"]["error"]["exit_code"].as_i64();
        assert_eq!(told, outcome.code.map(i64::from), "{outcome:?}");
        assert!(code.is_none() || told == code, "{outcome:?}");
    }
    for (command, options, code) in [
        ("backup list", "--backup-dir /nowhere/backups", None),
        ("backup verify", "latest", None),
        ("restore", "latest", None),
        ("new", "!", Some(2)),
        ("plugin inspect", "none.wasm", Some(2)),
        ("plugin build", "none", Some(2)),
        ("plugin test", "none.wasm", Some(2)),
        ("plugin warm", "none.wasm", Some(2)),
        ("lint", "none.sql", Some(2)),
    ] {
        let outcome = scenario.run(&format!("{command} {options}")).arg("--output").arg("json").await;
        let document: Value = serde_json::from_str(&outcome.stdout).unwrap_or_else(|e| panic!("{e}: {outcome:?}"));
        is_described(command, &document);
        assert!(code.is_none() || outcome.code == code, "{outcome:?}");
    }
}

#[tokio::test]
async fn the_configuration_fails_in_json_before_any_command() {
    let scenario = Scenario::new("json_config").await.config("nonsense = 1\n");
    let error = document(&scenario, "status", "", 2).await["result"]["error"].take();
    assert!(error["what"].as_str().unwrap().contains("lockgate.toml"), "{error:#}");
}

#[tokio::test]
async fn a_component_in_several_transactions_that_stops_half_way() {
    let scenario = planned(
        "json_steps",
        &[
            ("up", "sql", "INSERT INTO trace VALUES ('sql')", ""),
            ("up", "batched", "copy", ""),
            (
                "up",
                "outside",
                "CREATE INDEX CONCURRENTLY target_idx ON target (id DESC)",
                "SELECT to_regclass('target_idx') IS NOT NULL",
            ),
            ("up", "sql", "SELECT nonsense", ""),
        ],
    )
    .await;
    named("plan-component", &scenario, "plan", "", 0).await;
    document(&scenario, "up", "--no-backup --rollback-after", 0).await;
    document(&scenario, "up", "--no-backup", 1).await;
    let status = named("status-started", &scenario, "status", "", 0).await;
    assert_eq!(status["result"]["migrations"][1]["state"], "started");
    snapshot(&scenario, "pause", "", 0).await;
    document(&scenario, "status", "", 0).await;
    document(&scenario, "pause", "--off", 0).await;
    document(&scenario, "plan", "", 0).await;
}

#[tokio::test]
async fn a_step_that_somebody_must_judge() {
    let up = "CREATE TABLE made ();\nALTER SYSTEM SET work_mem = '5MB';\nSELECT 1;";
    let scenario = Scenario::new("json_blocked").await.migration("001_a", up, "DROP TABLE made;");
    document(&scenario, "up", "--no-backup", 1).await;
    scenario.lines("UPDATE schema_migrations_progress SET attempted = true").await;
    document(&scenario, "up", "--no-backup", 10).await;
    named("resolve-dry-run", &scenario, "resolve", "2 --applied --dry-run", 0).await;
    snapshot(&scenario, "resolve", "2 --applied", 0).await;
}

#[tokio::test]
async fn files_that_have_changed_and_files_that_cannot_be() {
    let scenario = Scenario::new("json_drift").await.tables(&["a", "b"]);
    scenario.up().await.succeeds();
    scenario.write("migrations/001_a.up.sql", "CREATE TABLE a (id int PRIMARY KEY); -- the key\n");
    document(&scenario, "status", "--check", 5).await;
    let error = named("up-drifted", &scenario, "up", "", 5).await["result"]["error"].take();
    assert_eq!(error["exit_code"], 5);
    document(&scenario, "repair", "--dry-run", 0).await;
    snapshot(&scenario, "repair", "", 0).await;
    scenario.write("migrations/003_x.sql", "SELECT 1");
    scenario.write("migrations/004_y.up.sql", "SELECT 'unclosed");
    let status = document(&scenario, "status", "", 2).await;
    assert!(!status["result"]["problems"].as_array().unwrap().is_empty(), "{status:#}");
    let lint = document(&scenario, "lint", "", 2).await;
    assert!(!lint["result"]["problems"].as_array().unwrap().is_empty(), "{lint:#}");
}

#[tokio::test]
async fn backups_and_what_becomes_of_them() {
    let scenario = Scenario::new("json_backups").await.tables(&["a", "b"]);
    scenario.up().await.succeeds();
    scenario.lines("INSERT INTO a SELECT generate_series(1, 100)").await;
    document(&scenario, "backup", "--schema-only", 0).await;
    let backup = snapshot(&scenario, "backup", "--hashes --exclude-data b", 0).await;
    assert_eq!(backup["result"]["scope"]["excluded_tables"].as_array().unwrap().len(), 1);
    document(&scenario, "backup", "--hashes", 0).await;
    snapshot(&scenario, "backup verify", "latest --level 1", 0).await;
    document(&scenario, "backup verify", "latest --level 3", 0).await;
    scenario.write(&format!("backups/{}_20200101T000000Z_0.json", scenario.database()), "nonsense");
    let list = snapshot(&scenario, "backup list", "", 0).await;
    assert_eq!(list["result"]["backups"].as_array().unwrap().len(), 3, "{list:#}");
    snapshot(&scenario, "backup prune", "--dry-run", 0).await;
    let into = format!("restore latest --into {}_copy", scenario.database());
    printed("restore", 0, scenario.run(&into)).await;
    snapshot(&scenario, "drill", "", 0).await;
    named("restore-clean-up", &scenario, "restore", "--clean-up", 0).await;
    snapshot(&scenario, "restore", "latest", 0).await;
    document(&scenario, "backup prune", "--leftovers-after 0s", 0).await;
}

#[tokio::test]
async fn a_rehearsal_with_rows_and_clients() {
    let scenario = Scenario::new("json_rehearse").await.tables(&["a"]);
    scenario.up().await.succeeds();
    scenario.lines("INSERT INTO a SELECT generate_series(1, 1000)").await;
    // How many rows and bytes it has does not depend then on whether the server has looked by itself meanwhile.
    scenario.lines("VACUUM ANALYZE a").await;
    scenario.write("app.sql", "SELECT count(*) FROM a;\nUPDATE a SET id = id WHERE id = 1;\n");
    scenario.write(
        "migrations/002_b.up.sql",
        "ALTER TABLE a ALTER COLUMN id TYPE bigint;\nCREATE TABLE left_behind ();\nUPDATE a SET id = id;",
    );
    scenario.write("migrations/002_b.down.sql", "ALTER TABLE a ALTER COLUMN id TYPE int;");
    let failed = document(&scenario, "rehearse", "--fresh --workload app.sql", 6).await;
    assert_eq!(failed["result"]["passed"], false);
    scenario.write("migrations/002_b.down.sql", "ALTER TABLE a ALTER COLUMN id TYPE int; DROP TABLE left_behind;");
    let mut passed = document(&scenario, "rehearse", "--fresh", 0).await;
    assert_eq!(passed["result"]["passed"], true);
    // What others do on the server meanwhile is told there as well.
    passed["result"]["globals"] = Value::Array(Vec::new());
    // So few pages are more or less of them than the target's by chance, and an estimate says what it is based on.
    without_numbers_of_estimates(&mut passed);
    has_its_shape("rehearse", &passed);
    document(&scenario, "rehearse", "--schema-only", 0).await;
}

fn without_numbers_of_estimates(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::Object(basis)) = fields.get_mut("basis") {
                basis.retain(|field, _| field == "is");
            }
            fields.values_mut().for_each(without_numbers_of_estimates);
        }
        Value::Array(items) => items.iter_mut().for_each(without_numbers_of_estimates),
        _ => {}
    }
}

#[tokio::test]
async fn a_lint_with_findings_and_the_rules() {
    let up = "CREATE INDEX a_n ON a (n);\nALTER TABLE a ALTER COLUMN n TYPE bigint;";
    let scenario = Scenario::new("json_lint")
        .await
        .migration("001_a", "CREATE TABLE a (n int);", "DROP TABLE a;")
        .migration("002_b", up, "");
    let lint = snapshot(&scenario, "lint", "--offline", 0).await;
    assert!(!lint["result"]["findings"].as_array().unwrap().is_empty(), "{lint:#}");
    document(&scenario, "lint", "", 0).await;
    named("lint-rules", &scenario, "lint", "--rules", 0).await;
    let strict = scenario.config("[lint.rules]\n\"require-concurrent-index-creation\" = \"error\"\n");
    document(&strict, "lint", "--offline", 6).await;
}

#[tokio::test]
async fn an_examination_of_one_who_waits_for_another() {
    let scenario = Scenario::new("json_doctor").await.tables(&["a"]);
    scenario.up().await.succeeds();
    document(&scenario, "doctor", "", 0).await;
    let holder = scenario.session().await;
    holder.lines("BEGIN").await;
    holder.lines("LOCK TABLE a").await;
    let waiter = scenario.session().await;
    let waiting = tokio::spawn(async move { waiter.lines("SELECT count(*) FROM a").await });
    let superuser = scenario.superuser().await;
    lockgate_tests::eventually("somebody waits", async || {
        superuser.value("SELECT count(*) FROM pg_locks WHERE NOT granted").await != "0"
    })
    .await;
    let found = printed("doctor", 6, scenario.run("doctor --check locks --long 0s")).await;
    let finding = &found["result"]["checks"][0]["findings"][0];
    assert!(finding["tree"][0]["waiting"].is_array(), "{found:#}");
    has_its_shape("doctor", &found);
    holder.lines("ROLLBACK").await;
    waiting.await.unwrap();
}

#[tokio::test]
async fn a_history_that_is_taken_over() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/adopt/flyway");
    let scenario = Scenario::new("json_adopt").await.fixtures("adopt/flyway/migrations");
    scenario.lines(&std::fs::read_to_string(fixture.join("table.sql")).unwrap()).await;
    named("adopt-dry-run", &scenario, "adopt", "--from flyway --dry-run", 0).await;
    snapshot(&scenario, "adopt", "--from flyway", 0).await;
    document(&scenario, "status", "", 0).await;
    document(&scenario, "plan", "", 0).await;
    let scenario = Scenario::new("json_baseline").await.tables(&["a", "b"]);
    document(&scenario, "baseline", "1 --dry-run", 0).await;
    snapshot(&scenario, "baseline", "1", 0).await;
}

#[tokio::test]
async fn components_before_they_run() {
    let scenario = Scenario::new("json_plugins").await.unpinned("001_guest", &components::hostile());
    document(&scenario, "plugin inspect", "migrations/001_guest.wasm", 0).await;
    document(&scenario, "plugin verify", "", 2).await;
    snapshot(&scenario, "plugin pin", "", 0).await;
    document(&scenario, "plugin pin", "", 0).await;
    snapshot(&scenario, "plugin verify", "", 0).await;
    snapshot(&scenario, "plugin warm", "", 0).await;
    document(&scenario, "plugin warm", "", 0).await;
    let inspected = document(&scenario, "plugin inspect", "migrations/001_guest.wasm", 0).await;
    has_its_shape("plugin-inspect", &inspected);
    let wit = document(&scenario, "plugin wit", "", 0).await;
    assert!(
        wit["result"].as_str().unwrap().starts_with("//")
            || wit["result"].as_str().unwrap().contains("package lockgate:migration")
    );
    scenario.write(
        "setup.sql",
        "CREATE TABLE hostile_behaviour AS SELECT 'good'::text AS behaviour, ''::text AS statement",
    );
    let tested =
        printed("plugin test", 0, scenario.run("plugin test migrations/001_guest.wasm --setup setup.sql")).await;
    is_as_ever("plugin-test", &scenario, tested);
    scenario.write(
        "setup.sql",
        "CREATE TABLE hostile_behaviour AS SELECT 'sql-fails'::text AS behaviour, ''::text AS statement",
    );
    printed("plugin test", 1, scenario.run("plugin test migrations/001_guest.wasm --setup setup.sql")).await;
    scenario.remove("migrations/001_guest.wasm");
    let removed = document(&scenario, "plugin pin", "", 0).await;
    assert_eq!(removed["result"][0]["change"], "removed");
}

#[tokio::test]
async fn what_is_written_for_a_beginning() {
    let scenario = Scenario::new("json_new").await;
    let new = snapshot(&scenario, "new", "add a table", 0).await;
    assert_eq!(new["result"]["files"].as_array().unwrap().len(), 3);
    let roles = document(&scenario, "roles", "", 0).await;
    assert!(roles["result"].as_str().unwrap().contains("CREATE ROLE"));
    let shown = document(&scenario, "config show", "", 0).await;
    let settings = shown["result"]["settings"].as_array().unwrap();
    let schema = settings.iter().find(|setting| setting["name"] == "schema").unwrap();
    assert_eq!((&schema["value"], &schema["source"]), (&"public".into(), &"default".into()));
}

#[tokio::test]
async fn a_schema_is_told_by_the_program_itself() {
    let scenario = Scenario::new("json_schema").await;
    let names = scenario.run("schema").await.succeeds().stdout;
    for name in names.lines() {
        let told: Value =
            serde_json::from_str(&scenario.run(&format!("schema {name}")).await.succeeds().stdout).unwrap();
        assert_eq!(told, super::described::schema(name), "{name}");
    }
    scenario.run("schema nonsense").await.exits_with(2).says("there is no schema `nonsense`");
    scenario.run("schema --out here").await.succeeds();
    assert_eq!(scenario.files("here").len(), names.lines().count());
}
