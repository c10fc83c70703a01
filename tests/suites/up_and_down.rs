//! The usual way: up, up again, down, down of everything.

use lockgate_tests::Scenario;

#[tokio::test]
async fn up_applies_what_is_pending_in_order() {
    let scenario = Scenario::new("up").await.tables(&["a", "b"]);
    scenario
        .run("up")
        .await
        .succeeds()
        .prints("backed up as ")
        .prints("applied 001_a (sql, ")
        .prints("applied 002_b (sql, ");
    assert_eq!(scenario.applied().await, ["001", "002"]);
    assert_eq!(scenario.lines("SELECT 'a'::regclass, 'b'::regclass").await, ["a|b"]);
    scenario.is_at_rest().await;
}

#[tokio::test]
async fn versions_are_numbers() {
    let scenario = Scenario::new("numbers")
        .await
        .migration("9_first", "CREATE TABLE first ();", "DROP TABLE first;")
        .migration("10_second", "ALTER TABLE first ADD id int;", "ALTER TABLE first DROP id;");
    scenario.up().await.succeeds().prints("the database is at version 10");
    assert_eq!(scenario.applied().await, ["9", "10"]);
}

#[tokio::test]
async fn a_second_up_finds_nothing_pending_and_takes_no_backup() {
    let scenario = Scenario::new("up_twice").await.tables(&["a"]);
    scenario.run("up").await.succeeds();
    let (before, backups, journal) = (scenario.state().await, scenario.backups("backups"), scenario.journal().await);
    assert_eq!(backups.len(), 4, "the dump, the properties, the globals and the manifest: {backups:?}");
    scenario.run("up").await.succeeds().prints("nothing is pending; the database is at version 001");
    assert_eq!(scenario.backups("backups"), backups);
    assert_eq!(scenario.journal().await, journal);
    scenario.is_still(&before).await;
}

#[tokio::test]
async fn an_empty_folder_has_nothing_pending() {
    let scenario = Scenario::new("empty").await;
    scenario.run("up").await.succeeds().prints("nothing is pending; no migration is applied");
    assert!(!scenario.has_history().await);
}

#[tokio::test]
async fn up_to_a_version_stops_there() {
    let scenario = Scenario::new("up_to").await.tables(&["a", "b", "c"]);
    scenario.run("up --no-backup --to 2").await.succeeds().prints("applied 002_b").does_not_print("003_c");
    assert_eq!(scenario.applied().await, ["001", "002"]);
    scenario.run("up --no-backup --to 001").await.succeeds().prints("nothing is pending");
    scenario.run("up --no-backup --to 9").await.refuses_with(2).says("there is no migration `9` in the folder");
}

#[tokio::test]
async fn a_late_arrival_is_refused() {
    let scenario = Scenario::new("late").await.migration("001_a", "SELECT 1", "").migration("003_c", "SELECT 1", "");
    scenario.up().await.succeeds();
    let scenario = scenario.migration("002_b", "CREATE TABLE b ();", "DROP TABLE b;");
    let before = scenario.state().await;
    scenario
        .up()
        .await
        .refuses_with(2)
        .says("`002_b` came late: version 003 is already applied")
        .says("next: give it a version above 003");
    scenario.is_still(&before).await;
}

#[tokio::test]
async fn down_reverts_the_newest() {
    let scenario = Scenario::new("down").await.tables(&["a", "b"]);
    scenario.up().await.succeeds();
    scenario
        .run("down 002")
        .await
        .succeeds()
        .prints("backed up as ")
        .prints("reverted 002_b")
        .prints("the database is at version 001");
    assert_eq!(scenario.applied().await, ["001"]);
    assert_eq!(scenario.lines("SELECT to_regclass('a'), to_regclass('b')").await, ["a|"]);
    assert!(scenario.journal().await.contains(&"reverted 002".to_owned()));
    scenario.up().await.succeeds().prints("applied 002_b");
}

#[tokio::test]
async fn down_with_later_ones_applied_is_refused_and_names_them() {
    let scenario = Scenario::new("down_later").await.tables(&["a", "b", "c"]);
    scenario.up().await.succeeds();
    let before = scenario.state().await;
    scenario
        .down("001")
        .await
        .refuses_with(2)
        .says("migration `001` cannot be reverted before `003`, `002`, applied after it")
        .says("`lockgate down --to 0`");
    scenario.down("004").await.refuses_with(2).says("migration `004` is not applied");
    scenario.is_still(&before).await;
}

#[tokio::test]
async fn down_to_a_version_reverts_what_is_above_it() {
    let scenario = Scenario::new("down_to").await.tables(&["a", "b", "c"]);
    scenario.up().await.succeeds();
    scenario.down("--to 1").await.succeeds().prints("2 migrations reverted");
    assert_eq!(scenario.applied().await, ["001"]);
    scenario.down("--to 1").await.succeeds().prints("nothing to revert; the database is at version 001");
}

#[tokio::test]
async fn down_of_everything_leaves_the_empty_database() {
    let scenario = Scenario::new("all_down")
        .await
        .migration(
            "001_a",
            "CREATE TYPE mood AS ENUM ('ok'); CREATE TABLE a (id serial PRIMARY KEY, mood mood); COMMENT ON TABLE a IS 'x';",
            "DROP TABLE a; DROP TYPE mood;",
        )
        .migration("002_b", "CREATE VIEW b AS SELECT * FROM a; GRANT SELECT ON b TO PUBLIC;", "DROP VIEW b;");
    let empty = scenario.schema_dump();
    scenario.up().await.succeeds();
    assert_ne!(scenario.schema_dump(), empty);
    scenario
        .down("--to 0")
        .await
        .succeeds()
        .prints("reverted 002_b")
        .prints("reverted 001_a")
        .prints("no migration is applied");
    scenario.drop_own_tables().await;
    assert_eq!(scenario.schema_dump(), empty);
}

#[tokio::test]
async fn down_works_from_the_history_when_the_files_are_gone() {
    let scenario = Scenario::new("files_gone").await.tables(&["a", "b"]);
    scenario.up().await.succeeds();
    scenario.remove("migrations/002_b.up.sql");
    scenario.remove("migrations/002_b.down.sql");
    scenario.run("status").await.succeeds().prints("missing: the file is gone").prints("1 missing");
    scenario.down("002").await.succeeds().prints("reverted 002_b");
    assert_eq!(scenario.applied().await, ["001"]);
    assert_eq!(scenario.value("SELECT to_regclass('b') IS NULL").await, "t");
}

#[tokio::test]
async fn an_error_in_a_down_from_the_history_is_located() {
    let scenario =
        Scenario::new("history_error").await.migration("001_a", "CREATE TABLE a ();", "DROP TABLE a;\nDROP TABLE z;");
    scenario.up().await.succeeds();
    scenario.remove("migrations/001_a.up.sql");
    scenario.remove("migrations/001_a.down.sql");
    let before = scenario.state().await;
    scenario
        .down("001")
        .await
        .fails_with(1)
        .says("migration `001_a` failed in down")
        .says("table \"z\" does not exist");
    scenario.is_still(&before).await;
}

#[tokio::test]
async fn nothing_of_a_script_moves_the_cursor_of_a_terminal() {
    let raise = "DO $$ BEGIN RAISE EXCEPTION E'one\\n\u{1b}[2Jtwo' USING DETAIL = '\u{202e}three'; END $$;";
    let scenario = Scenario::new("escapes").await.migration("001_a", raise, "SELECT 1;");
    for arguments in ["plan", "up --dry-run"] {
        let outcome = scenario.run(arguments).await.succeeds().prints(r"RAISE EXCEPTION E'one\n [2Jtwo'");
        outcome.never_mentions("\u{1b}").never_mentions("\u{202e}");
    }
    let outcome = scenario.up().await.fails_with(1).says("cause: one\n   [2Jtwo (SQLSTATE P0001)\n    detail:  three");
    outcome.never_mentions("\u{1b}").never_mentions("\u{202e}");
    let scenario = scenario.file("001_a.preflight.sql", "SELECT false AS \"\u{1b}[31mred\";");
    scenario.run("plan").await.exits_with(6).prints("` [31mred` is false").never_mentions("\u{1b}");
}

#[tokio::test]
async fn a_dry_run_says_what_would_run_and_changes_nothing() {
    let scenario = Scenario::new("dry_run").await.tables(&["a", "b"]);
    let before = scenario.state().await;
    for arguments in ["up --dry-run", "plan"] {
        scenario
            .run(arguments)
            .await
            .succeeds()
            .prints("backup: pg_dump")
            .prints("up 001_a (sql, one transaction)\n  CREATE TABLE a")
            .prints("up 002_b")
            .prints("nothing was changed");
    }
    scenario.run("plan --to 1").await.succeeds().prints("001_a").does_not_print("002_b");
    assert!(!scenario.has_history().await);
    assert!(!scenario.path("backups").exists());
    scenario.is_still(&before).await;

    scenario.up().await.succeeds();
    let before = scenario.state().await;
    let journal = scenario.journal().await;
    scenario
        .run("down 002 --dry-run")
        .await
        .succeeds()
        .prints("down 002_b")
        .prints("  DROP TABLE b")
        .prints("nothing was changed");
    assert_eq!(scenario.journal().await, journal);
    assert!(scenario.files("backups").is_empty());
    scenario.is_still(&before).await;
}

#[tokio::test]
async fn a_dry_run_ends_as_the_run_would() {
    let scenario =
        Scenario::new("dry_run_no").await.tables(&["a"]).file("001_a.preflight.sql", "SELECT false AS ready");
    scenario.run("up --dry-run").await.exits_with(6).prints("`ready` is false");
    scenario.run("up").await.fails_with(6).says("`ready` is false");
}

#[tokio::test]
async fn the_history_may_live_in_another_schema() {
    let scenario = Scenario::new("schema").await.tables(&["a"]);
    scenario.run("up --no-backup --schema lock_gate").await.succeeds().prints("applied 001_a");
    assert_eq!(scenario.lines("SELECT version FROM lock_gate.schema_migrations").await, ["001"]);
    assert!(!scenario.has_history().await);
    scenario.run("status --check --schema lock_gate").await.succeeds();
}

#[tokio::test]
async fn another_tools_table_is_left_alone() {
    let scenario = Scenario::new("other_tool").await.tables(&["a"]);
    scenario
        .lines("CREATE TABLE schema_migrations (version bigint PRIMARY KEY); INSERT INTO schema_migrations VALUES (1)")
        .await;
    let before = scenario.state().await;
    scenario.run("up").await.refuses_with(5).says("is as dbmate makes it, not Lockgate's").says("--schema lockgate");
    before.equals(&scenario.state().await);
}

#[tokio::test]
async fn a_migration_whose_file_writes_its_version_otherwise_goes_down() {
    let scenario = Scenario::new("renamed").await.tables(&["a"]);
    scenario.up().await.succeeds();
    for part in ["up", "down"] {
        let text = std::fs::read(scenario.path(&format!("migrations/001_a.{part}.sql"))).unwrap();
        scenario.write(&format!("migrations/1_a.{part}.sql"), text);
        scenario.remove(&format!("migrations/001_a.{part}.sql"));
    }
    scenario.down("1").await.succeeds().prints("reverted 1_a");
    assert_eq!(scenario.applied().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_down_of_several_is_refused_whole_when_one_cannot_be_reverted() {
    let scenario =
        Scenario::new("down_whole").await.file("001_a.up.sql", "-- lockgate: irreversible\nCREATE TABLE a ();");
    let scenario = scenario.migration("002_b", "CREATE TABLE b ();", "DROP TABLE b;");
    scenario.up().await.succeeds();
    let before = scenario.state().await;
    for arguments in ["down --to 0 --no-backup", "down --to 0 --dry-run"] {
        scenario.run(arguments).await.refuses_with(2).says("`001_a` cannot be reverted: it has no down script");
    }
    // The same where the file is gone, and with it the word of its author.
    scenario.remove("migrations/001_a.up.sql");
    scenario.run("down --to 0 --no-backup").await.refuses_with(2).says("the history holds no down script");
    scenario.is_still(&before).await;
    scenario.run("down --to 1 --no-backup").await.succeeds().prints("reverted 002_b");
}
