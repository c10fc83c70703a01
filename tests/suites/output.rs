//! What is printed, for people and for programs.

use lockgate_tests::Scenario;

#[tokio::test]
async fn help_names_every_command_and_every_exit_code() {
    let scenario = Scenario::new("help").await;
    for arguments in ["--help", "help"] {
        let mut outcome = scenario.run(arguments).await.succeeds();
        // Lines are wrapped to the width of the terminal.
        outcome.stdout = outcome.stdout.split_whitespace().flat_map(|word| [word, " "]).collect();
        for word in [
            "test",
            "status",
            "up",
            "down",
            "backup",
            "restore",
            "plan",
            "--no-backup",
            "--verbose",
            "DB_HOST",
            "auth_service",
        ] {
            outcome = outcome.prints(word);
        }
        for code in [
            "0 done",
            "1 a migration failed",
            "2 command line",
            "3 `status --check`: something is pending",
            "4 another run holds the lock",
            "5 an applied migration has changed",
            "6 a preflight check",
            "7 the backup",
            "8 the database cannot be reached",
            "9 the connection was lost during a commit",
            "10 a step was cut off",
        ] {
            outcome = outcome.prints(code);
        }
    }
    for command in ["up", "down", "plan", "status", "test", "backup", "restore"] {
        scenario.run(&format!("{command} --help")).await.succeeds().prints("Usage: lockgate").prints("--no-backup");
    }
    scenario.run("--version").await.succeeds().prints("lockgate 0.");
}

#[tokio::test]
async fn a_wrong_call_is_refused_with_usage() {
    let scenario = Scenario::new("usage").await.tables(&["a"]);
    for arguments in [
        "",
        "sideways",
        "down",
        "down 001 --to 0",
        "down first",
        "up --to first",
        "up --lock-timeout soon",
        "restore",
        "-v -q up",
    ] {
        let outcome = scenario.run(arguments).await.exits_with(2);
        assert!(outcome.stderr.contains("Usage: lockgate") || outcome.stderr.contains("error: "), "{outcome:?}");
    }
    assert!(!scenario.has_history().await);
}

#[tokio::test]
async fn global_options_work_before_and_after_the_command() {
    let scenario = Scenario::new("anywhere").await.tables(&["a", "b"]);
    scenario.run("-v --no-backup up --to 1").await.succeeds().says("committed").prints("applied 001_a");
    scenario.run("up -v --no-backup").await.succeeds().says("committed").prints("applied 002_b");
}

#[tokio::test]
async fn test_says_what_is_there() {
    let scenario = Scenario::new("health").await;
    let outcome = scenario.run("test").await.succeeds();
    outcome
        .prints(&format!("connected to `{}` at ", scenario.database()))
        .prints("server   PostgreSQL ")
        .prints("TLS      none")
        .prints("role     lockgate_owner\n")
        .prints("clock    ")
        .prints("latency  ");
    assert!(!scenario.has_history().await);
}

#[tokio::test]
async fn status_shows_what_is_applied_and_what_is_pending() {
    let scenario = Scenario::new("status").await.tables(&["a", "b"]);
    scenario.run("status").await.succeeds().prints("0 applied, 2 pending");
    scenario.run("status --check").await.exits_with(3);
    scenario.run("up --no-backup --to 1").await.succeeds();
    let outcome = scenario.run("status").await.succeeds();
    let line =
        |version: &str| outcome.stdout.lines().find(|line| line.trim_start().starts_with(version)).unwrap().to_owned();
    assert!(line("001").contains("applied") && line("001").contains("lockgate_owner"), "{}", line("001"));
    assert!(line("002").contains("pending"), "{}", line("002"));
    outcome.prints(&format!("{}: 1 applied, 1 pending", scenario.database()));
    scenario.up().await.succeeds();
    scenario.run("status --check").await.succeeds().prints("2 applied, 0 pending");
}

#[tokio::test]
async fn json_is_one_documented_object() {
    let scenario = Scenario::new("json").await.tables(&["a", "b"]);
    let database = scenario.database();

    let health = scenario.run("test --output json").await.succeeds().json();
    assert!(health["target"].as_str().unwrap().contains(database));
    assert_eq!(health["role"], "lockgate_owner");
    assert_eq!(health["superuser"], false);
    assert_eq!(health["in_recovery"], false);

    let plan = scenario.run("plan --output json").await.succeeds().json();
    assert_eq!(plan["direction"], "up");
    assert_eq!(plan["backup"], true);
    assert_eq!(plan["migrations"][1]["name"], "002_b");
    assert!(plan["migrations"][0]["steps"][0]["sql"].as_str().unwrap().starts_with("CREATE TABLE a"));

    let up = scenario.run("up --output json").await.succeeds().json();
    assert_eq!(up["direction"], "up");
    assert_eq!(up["version"], "002");
    assert_eq!(up["done"][0]["version"], "001");
    assert_eq!(up["done"][0]["kind"], "sql");
    assert!(up["done"][0]["execution_time_ms"].is_u64() && up["duration_ms"].is_u64() && up["findings"].is_array());
    let backup = up["backup"]["id"].as_str().unwrap();

    let list = scenario.run("backup list --output json").await.succeeds().json();
    assert_eq!(list["backups"][0]["id"], backup);
    assert_eq!(list["backups"][0]["precedes"], serde_json::json!(["001_a", "002_b"]));
    assert_eq!(list["damaged"], serde_json::json!([]));

    let status = scenario.run("status --output json").await.succeeds().json();
    assert_eq!(status["database"], database);
    assert_eq!(status["migrations"][0]["state"], "applied");
    assert_eq!(status["migrations"][0]["applied"]["backup_id"], backup);
    assert_eq!(status["problems"], serde_json::json!([]));

    let down = scenario.run("down 002 --output json").await.succeeds().json();
    assert_eq!((&down["direction"], &down["done"][0]["name"]), (&"down".into(), &"002_b".into()));
}

#[tokio::test]
async fn a_failure_is_json_as_well() {
    let scenario = Scenario::new("json_error").await.migration("001_a", "SELECT\n nonsense;", "");
    let error = scenario.run("up --no-backup --output json").await.exits_with(1).json()["error"].take();
    assert_eq!(error["exit_code"], 1);
    assert_eq!(error["what"], "migration `001_a` failed in up, step 1 (SQL)");
    assert_eq!(error["at"], "migrations/001_a.up.sql:2:2");
    assert!(error["causes"][0].as_str().unwrap().contains("nonsense"));
    assert!(error["state"].as_str().unwrap().starts_with("rolled back"));
    assert!(error["next"].is_string());
}

#[tokio::test]
async fn the_log_can_be_json_and_carries_the_run_id() {
    let scenario = Scenario::new("json_log").await.tables(&["a"]);
    let outcome = scenario.run("-v up --no-backup --log-format json --output json").await.succeeds();
    let log = outcome.stderr.clone();
    let run = outcome.json()["run_id"].as_str().unwrap().to_owned();
    assert!(log.lines().count() > 2, "{log}");
    for line in log.lines() {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(entry["timestamp"].is_string() && entry["level"].is_string(), "{line}");
        assert!(line.contains(&run), "{line}");
    }
}

#[tokio::test]
async fn output_that_is_no_terminal_is_plain() {
    let scenario = Scenario::new("plain").await.tables(&["a"]).migration("002_b", "SELECT nonsense", "");
    scenario.run("-vv up").await.exits_with(1).never_mentions("\u{1b}");
    scenario.run("status").await.succeeds().never_mentions("\u{1b}");
    scenario.run("--help").await.never_mentions("\u{1b}");
}

#[tokio::test]
async fn quiet_says_errors_only() {
    let scenario = Scenario::new("quiet").await.tables(&["a"]);
    let outcome = scenario.run("-q up --no-backup").await.succeeds();
    assert_eq!(outcome.stderr, "");
    scenario.run("-q down 9").await.refuses_with(2);
}

#[tokio::test]
async fn the_password_is_never_seen() {
    let scenario = Scenario::new("secret").await.tables(&["a"]).migration("002_b", "SELECT nonsense", "");
    for arguments in [
        "-vv test",
        "-vv status",
        "-vv plan",
        "-vv up",
        "-vv --log-format json up",
        "-vv --output json backup",
        "-vv down 1",
        "-vv restore latest",
    ] {
        scenario.run(arguments).env("LOCKGATE_LOG", "trace").await.never_mentions(scenario.password());
        let url = scenario.url();
        let encoded = url.split([':', '@']).nth(2).unwrap().to_owned();
        scenario
            .run(arguments)
            .env("DATABASE_URL", url)
            .await
            .never_mentions(scenario.password())
            .never_mentions(&encoded);
    }
    for name in scenario.files("backups").iter().filter(|name| name.ends_with(".json")) {
        let manifest = std::fs::read_to_string(scenario.path("backups").join(name)).unwrap();
        assert!(!manifest.contains("hush"), "{manifest}");
    }
    let journal = scenario.lines("SELECT j FROM schema_migrations_journal j").await.join("\n");
    assert!(!journal.contains("hush"), "{journal}");
}

#[tokio::test]
async fn status_tells_of_a_failed_attempt_until_the_migration_is_applied() {
    let scenario = Scenario::new("status_attempts").await.tables(&["a"]).migration(
        "002_b",
        "CREATE TABLE b (id int PRIMARY KEY);\nSELECT nonsense;",
        "DROP TABLE b;",
    );
    scenario.run("status").await.succeeds().does_not_print("failed");
    scenario.up().await.exits_with(1);
    let told = scenario.run("status").await.succeeds();
    let told =
        told.prints("002      b            pending, failed  sql").prints("\nfailed: 002 b in up, step 1 (SQL), ");
    let told = told.prints("\n  cause: column \"nonsense\" does not exist (SQLSTATE 42703)\n");
    told.prints(
        "\nnext: mend 002 b, then `lockgate up` tries it again; `lockgate history --version 002` shows every attempt\n",
    );
    scenario.run("status --check").await.exits_with(3);
    let migrations = scenario.run("status --output json").await.succeeds().json()["migrations"].take();
    assert!(migrations[0].get("failure").is_none(), "{migrations:#}");
    let failure = &migrations[1]["failure"];
    assert_eq!((&failure["event"], &failure["step"]), (&"failed".into(), &"1 (SQL)".into()));
    assert_eq!(failure["run_id"], scenario.value("SELECT max(run_id::text) FROM schema_migrations_journal").await);

    // Who may see the history only sees that.
    let role = scenario.role("").await;
    let grant = format!("GRANT SELECT ON schema_migrations, schema_migrations_progress TO {role}");
    scenario.lines(&grant).await;
    scenario.run_as(&role, "status").await.succeeds().prints("1 applied, 1 pending").does_not_print("failed");

    // The last attempt is the one that counts.
    scenario.write("migrations/002_b.up.sql", "CREATE TABLE b (id int PRIMARY KEY);");
    scenario.write("migrations/002_b.verify.sql", "SELECT false;");
    scenario.up().await.exits_with(6);
    let told = scenario.run("status").await.succeeds().does_not_print("failed:");
    told.prints("\nrefused: 002 b in up, ").prints("\nnext: see to what the checks of 002 b found, then `lockgate up`");
    scenario.remove("migrations/002_b.verify.sql");
    scenario.up().await.succeeds();
    scenario.run("status").await.succeeds().prints("2 applied, 0 pending").does_not_print("refused");

    // What is applied has not failed, whatever became of an attempt to revert it.
    scenario.lines("CREATE VIEW on_b AS SELECT * FROM b").await;
    scenario.down("002").await.exits_with(1);
    scenario.run("status").await.succeeds().prints("2 applied, 0 pending").does_not_print("failed");
    scenario.lines("DROP VIEW on_b").await;
    scenario.down("002").await.succeeds();
    scenario.run("status").await.succeeds().prints("1 applied, 1 pending").does_not_print("failed");
}
