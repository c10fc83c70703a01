//! Preflight and verify scripts: every statement returns only true, or nothing runs, or nothing stays.

use lockgate_tests::Scenario;

/// Every way not to say yes, and what is said of it.
const NOES: [(&str, &str); 7] = [
    ("SELECT false AS ready;", "`ready` is false, at migrations/002_b."),
    ("SELECT true AS fine;\n SELECT true, NULL::bool AS ready;", "`ready` is null, not true, at migrations/002_b."),
    ("SELECT true AS ready FROM a;", "the statement returned nothing, which proves nothing"),
    ("SELECT 1 AS ready;", "`ready` is of type int4, not a boolean"),
    ("VALUES (true), (false);", "`column1` is false"),
    ("DO $$ BEGIN END $$;", "the statement returned nothing"),
    ("SELECT;", "the statement returned nothing"),
];

#[tokio::test]
async fn a_preflight_that_says_no_stops_before_the_backup() {
    let scenario = Scenario::new("preflight_no").await.tables(&["a", "b", "c"]);
    scenario.run("up --no-backup --to 1").await.succeeds();
    let before = scenario.state().await;
    for (script, words) in NOES {
        scenario.write("migrations/002_b.preflight.sql", script);
        scenario
            .run("up")
            .await
            .fails_with(6)
            .says("the preflight of migration `002` says no")
            .says(words)
            .never_mentions("applied");
        scenario.is_still(&before).await;
    }
    assert!(scenario.files("backups").is_empty());
    assert_eq!(scenario.journal().await.last().unwrap(), "refused 002");
}

#[tokio::test]
async fn a_preflight_that_says_no_before_the_first_run_leaves_no_table() {
    let scenario =
        Scenario::new("preflight_first").await.tables(&["a"]).file("001_a.preflight.sql", "SELECT false AS ready;");
    let before = scenario.state().await;
    let outcome = scenario.run("up").await.fails_with(6).says("migrations/001_a.preflight.sql:1:1");
    outcome.says("state: it was not run; no migration is applied");
    assert!(!scenario.has_history().await);
    scenario.is_still(&before).await;
}

#[tokio::test]
async fn a_preflight_that_says_yes_lets_the_migration_run() {
    let scenario = Scenario::new("preflight_yes")
        .await
        .tables(&["a", "b"])
        .file("001_a.preflight.sql", "SELECT to_regclass('a') IS NULL AS \"a is not there\";\nSELECT true, true;")
        .file("002_b.preflight.sql", "SELECT to_regclass('a') IS NOT NULL AS \"the one before has run\";");
    scenario.up().await.succeeds().prints("applied 002_b");
}

#[tokio::test]
async fn a_later_preflight_that_says_no_keeps_what_was_before_it() {
    let scenario = Scenario::new("preflight_later")
        .await
        .tables(&["a", "b"])
        .file("002_b.preflight.sql", "SELECT to_regclass('a') IS NULL;");
    scenario
        .up()
        .await
        .fails_with(6)
        .says("the preflight of migration `002` says no")
        .says("the database is at version 001");
    assert_eq!(scenario.applied().await, ["001"]);
    scenario.is_at_rest().await;
}

#[tokio::test]
async fn a_verify_that_says_no_leaves_no_trace_of_its_up() {
    let scenario = Scenario::new("verify_no").await.tables(&["a", "b"]);
    scenario.run("up --no-backup --to 1").await.succeeds();
    let before = scenario.state().await;
    for (script, words) in NOES {
        scenario.write("migrations/002_b.verify.sql", script);
        scenario
            .up()
            .await
            .fails_with(6)
            .says("the verification of migration `002` (up) says no")
            .says(words)
            .says("state: rolled back; the database is at version 001; the lock is released")
            .never_mentions("applied 002");
        scenario.is_still(&before).await;
    }
    assert_eq!(scenario.journal().await.last().unwrap(), "refused 002");
}

#[tokio::test]
async fn a_verify_sees_what_up_did_and_lets_it_commit() {
    let scenario = Scenario::new("verify_yes").await.tables(&["a"]).file(
        "001_a.verify.sql",
        "SELECT to_regclass('a') IS NOT NULL; SELECT current_setting('enable_seqscan')::bool;",
    );
    scenario.up().await.succeeds().prints("applied 001_a");
    // Verification is of up: what it claims is not so after down.
    scenario.down("001").await.succeeds().prints("reverted 001_a");
}

#[tokio::test]
async fn a_companion_that_fails_is_located() {
    for (companion, step) in [("preflight", "preflight"), ("verify", "verify")] {
        let scenario = Scenario::new("companion_error").await.tables(&["a"]);
        let scenario = scenario.file(&format!("001_a.{companion}.sql"), "SELECT true;\n\nSELECT nonsense;");
        let before = scenario.state().await;
        scenario
            .up()
            .await
            .fails_with(1)
            .says(&format!("migration `001_a` failed in up, step {step}"))
            .says(&format!("at migrations/001_a.{companion}.sql:3:8"))
            .says("column \"nonsense\" does not exist");
        scenario.is_still(&before).await;
    }
}

#[tokio::test]
async fn a_companion_cannot_write() {
    let writes = [
        "CREATE TABLE trace ();",
        "WITH new AS (INSERT INTO notes VALUES (1) RETURNING true AS ok) SELECT ok FROM new;",
        "SELECT writes() AS ok;",
        "SET TRANSACTION READ WRITE; INSERT INTO notes VALUES (1) RETURNING true;",
        "SELECT set_config('transaction_read_only', 'off', true) = 'off';\nINSERT INTO notes VALUES (1) RETURNING true;",
    ];
    let scenario = Scenario::new("companion_writes").await.migration(
        "001_a",
        "CREATE TABLE notes (id int);
         CREATE FUNCTION writes() RETURNS bool LANGUAGE sql AS 'INSERT INTO notes VALUES (1) RETURNING true';",
        "DROP FUNCTION writes(); DROP TABLE notes;",
    );
    scenario.up().await.succeeds();
    let scenario = scenario.migration("002_b", "CREATE TABLE b ();", "DROP TABLE b;");
    let before = scenario.state().await;
    for script in writes {
        for companion in ["preflight", "verify"] {
            let path = format!("migrations/002_b.{companion}.sql");
            scenario.write(&path, script);
            let outcome = scenario.up().await;
            assert!(matches!(outcome.code, Some(1 | 2)), "{script} as {companion}: {outcome:?}");
            scenario.is_still(&before).await;
            scenario.remove(&path);
        }
    }
    scenario.up().await.succeeds().prints("applied 002_b");
}
