//! What is wrong with the folder of migrations is said before anything runs, all of it at once.

use lockgate_tests::{Scenario, components};

/// `up` refuses the folder with these words, and has not so much as made its tables.
async fn is_refused(scenario: &Scenario, words: &[&str]) {
    let before = scenario.state().await;
    let outcome = scenario.run("up").await.refuses_with(2);
    words.iter().fold(outcome, |outcome, words| outcome.says(words)).does_not_print("applied");
    assert!(!scenario.has_history().await);
    assert!(scenario.files("backups").is_empty());
    scenario.is_still(&before).await;
}

#[tokio::test]
async fn a_misnamed_file_is_refused() {
    let scenario = Scenario::new("misnamed").await.tables(&["a"]).file("2-add-b.sql", "SELECT 1");
    is_refused(
        &scenario,
        &["migrations/2-add-b.sql: the name is not one of a migration", "next: name it `<version>_<description>`"],
    )
    .await;
}

#[tokio::test]
async fn two_files_with_one_version_are_refused() {
    let scenario =
        Scenario::new("one_version").await.migration("1_a", "SELECT 1", "").migration("001_b", "SELECT 1", "");
    is_refused(
        &scenario,
        &["is used by several migrations: 001_b.up.sql, 1_a.up.sql", "next: give each migration a version of its own"],
    )
    .await;
}

#[tokio::test]
async fn a_missing_down_is_refused() {
    let scenario = Scenario::new("no_down").await.file("001_a.up.sql", "SELECT 1");
    is_refused(
        &scenario,
        &["migrations/001_a.up.sql: `001_a.down.sql` is missing", "next: write it, or say `-- lockgate: irreversible`"],
    )
    .await;
}

#[tokio::test]
async fn a_down_that_is_missing_on_purpose_is_accepted() {
    let scenario =
        Scenario::new("irreversible").await.file("001_a.up.sql", "-- lockgate: irreversible\nCREATE TABLE a ();");
    scenario.up().await.succeeds().prints("applied 001_a");
    let before = scenario.state().await;
    scenario.down("001").await.refuses_with(2).says("`001_a` cannot be reverted: it has no down script");
    scenario.is_still(&before).await;
}

#[tokio::test]
async fn a_missing_up_is_refused() {
    let scenario = Scenario::new("no_up").await.file("001_a.down.sql", "SELECT 1");
    is_refused(&scenario, &["`001_a.up.sql` is missing, though 001_a.down.sql is there"]).await;
}

#[tokio::test]
async fn a_script_that_would_end_the_transaction_is_refused_with_its_line() {
    let up = "CREATE TABLE a ();\n\n  COMMIT;\nCREATE TABLE b ();";
    let scenario = Scenario::new("commit").await.migration("001_a", up, "/* */ rollback;");
    is_refused(
        &scenario,
        &[
            "migrations/001_a.up.sql:3:3: `COMMIT` would end the transaction that the host owns",
            "migrations/001_a.down.sql:1:7: `ROLLBACK` would end the transaction",
            "    COMMIT;\n        ^",
            "next: the host begins and commits: remove it, or let the file begin with `BEGIN` and end with `COMMIT`",
        ],
    )
    .await;
}

#[tokio::test]
async fn a_script_that_never_ends_a_string_is_refused_with_its_place() {
    let scenario = Scenario::new("open_string").await.migration("001_a", "SELECT 1;\nSELECT 'é, x;", "");
    is_refused(&scenario, &["migrations/001_a.up.sql:2:8: a string that never ends"]).await;
}

#[tokio::test]
async fn a_psql_command_and_rows_for_the_client_are_refused() {
    let scenario = Scenario::new("psql").await.migration("001_a", "SELECT 1;\n\\set x 1\n", "COPY t TO STDOUT;");
    is_refused(
        &scenario,
        &[
            "migrations/001_a.up.sql:2:1: `\\set` is a psql command",
            "next: write the value itself",
            "001_a.down.sql:1:1: `COPY` would send rows to the client",
        ],
    )
    .await;
}

#[tokio::test]
async fn a_folder_among_the_migrations_is_refused() {
    let scenario = Scenario::new("subfolder").await.tables(&["a"]);
    std::fs::create_dir(scenario.path("migrations/old")).unwrap();
    is_refused(&scenario, &["migrations/old: a folder among the migrations"]).await;
}

#[tokio::test]
async fn the_host_s_own_folders_and_its_settings_may_lie_among_the_migrations() {
    let scenario = Scenario::new("own_folders").await.tables(&["a", "b"]).file("lockgate.toml", "");
    let own = "--log-dir migrations/logs";
    for (command, prints) in [
        ("up --to 1 --backup-dir migrations/backups", "applied 001_a"),
        ("up --backup-dir migrations/backups", "applied 002_b"),
        ("plan --backup-dir migrations/backups", "nothing"),
    ] {
        scenario.run(&format!("{own} {command}")).await.succeeds().prints(prints);
    }
    assert!(!scenario.files("migrations/logs").is_empty() && !scenario.files("migrations/backups").is_empty());
    scenario.run("up").await.refuses_with(2).says("logs: a folder among the migrations");
    scenario.write("migrations/logs/003_c.up.sql", "SELECT 1");
    scenario.run(&format!("{own} plan")).await.refuses_with(2).says("logs: a folder among the migrations");
}

#[tokio::test]
async fn a_link_out_of_the_folder_is_refused() {
    let scenario = Scenario::new("link").await.file("001_a.down.sql", "");
    scenario.write("secret.sql", "SELECT 1");
    std::os::unix::fs::symlink(scenario.path("secret.sql"), scenario.path("migrations/001_a.up.sql")).unwrap();
    is_refused(&scenario, &["migrations/001_a.up.sql: a link that leads out of the migrations folder"]).await;
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_refused() {
    let scenario = Scenario::new("no_folder").await;
    scenario
        .run("up --dir elsewhere")
        .await
        .refuses_with(2)
        .says("`elsewhere` cannot be read")
        .says("next: name it with `--dir`");
}

#[tokio::test]
async fn a_file_that_changed_after_it_was_applied_is_refused_by_up_and_down() {
    let scenario = Scenario::new("drift").await.tables(&["a"]);
    scenario.up().await.succeeds();
    scenario.write("migrations/001_a.up.sql", "CREATE TABLE a (id bigint PRIMARY KEY);");
    let before = scenario.state().await;
    for arguments in ["up", "up --dry-run", "plan", "down 001"] {
        scenario
            .run(arguments)
            .await
            .refuses_with(5)
            .says("001_a.up.sql: it has changed since it was applied on 20")
            .says("next: put the applied file back, and make the change a new migration");
    }
    scenario.run("status").await.succeeds().prints("drifted: the file has changed");
    scenario.run("status --check").await.exits_with(5);
    scenario.is_still(&before).await;
}

#[tokio::test]
async fn line_endings_are_no_change() {
    let scenario = Scenario::new("crlf").await.migration("001_a", "CREATE TABLE a ();\nSELECT 1;\n", "DROP TABLE a;");
    scenario.up().await.succeeds();
    scenario.write("migrations/001_a.up.sql", "CREATE TABLE a ();\r\nSELECT 1;\r\n");
    scenario.up().await.succeeds().prints("nothing is pending");
}

#[tokio::test]
async fn all_faults_are_reported_at_once() {
    let scenario = Scenario::new("all_at_once").await.tables(&["applied"]);
    scenario.up().await.succeeds();
    let before = scenario.state().await;
    scenario.write("migrations/001_applied.up.sql", "SELECT 'changed'");
    let scenario = scenario
        .file("Readme.txt", "")
        .file("002_no_down.up.sql", "SELECT 1")
        .migration("003_twice", "SELECT 1", "")
        .migration("3_again", "SELECT 1", "")
        .migration("004_commits", "COMMIT", "")
        .unpinned("005_unpinned", b"")
        .file("006_no_component.wasm", "SELECT 1")
        .file("007_no_export.wasm", components::of_no_migration());
    scenario.run("plugin pin").await.succeeds();
    scenario.write("migrations/005_unpinned.wasm", "changed");
    scenario
        .run("up")
        .await
        .refuses_with(2)
        .says("the migrations folder has 8 problems")
        .says("001_applied.up.sql: it has changed since it was applied")
        .says("Readme.txt: the name is not one of a migration")
        .says("`002_no_down.down.sql` is missing")
        .says("version 003 is used by several migrations")
        .says("004_commits.up.sql:1:1: `COMMIT` would end the transaction")
        .says("`005_unpinned.wasm` is not the one that was pinned")
        .says("006_no_component.wasm: it is no WebAssembly component")
        .says("007_no_export.wasm: it does not export `lockgate:migration/program@0.1.0`");
    scenario.is_still(&before).await;
}
