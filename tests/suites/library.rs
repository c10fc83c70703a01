//! The library within a program: what the command does, without the command.

use std::time::Duration;

use lockgate::{
    Builder, Lockgate,
    error::{Error, ExitCode},
};
use lockgate_tests::{Scenario, eventually};

/// A builder of runs on the scenario's database; whatever the test's own environment says.
fn builder(scenario: &Scenario) -> Builder {
    let builder = Lockgate::builder()
        .database_url(scenario.url())
        .dir(scenario.path("migrations"))
        .backup_dir(scenario.path("backups").display().to_string())
        .cache_dir(scenario.path("cache"));
    // The programs that fit the server of the tests.
    match std::env::var_os("LOCKGATE_PG_BIN") {
        Some(folder) => builder.pg_bin(folder),
        None => builder,
    }
}

#[tokio::test]
async fn a_program_migrates_there_and_back() {
    let scenario = Scenario::new("library").await.tables(&["a", "b", "c"]);
    let lockgate = builder(&scenario).build().unwrap();
    assert!(!lockgate.status().await.unwrap().is_current());
    assert_eq!(lockgate.plan().await.unwrap().migrations.len(), 3);

    let outcome = lockgate.up_to("002").await.unwrap();
    assert_eq!(outcome.done.iter().map(|done| done.name.as_str()).collect::<Vec<_>>(), ["001_a", "002_b"]);
    assert!(outcome.backup.is_some(), "a backup is taken as the command takes it");
    assert!(!lockgate.status().await.unwrap().is_current());
    assert_eq!(lockgate.up().await.unwrap().done.len(), 1);
    assert!(lockgate.status().await.unwrap().is_current());
    assert!(lockgate.up().await.unwrap().done.is_empty());

    lockgate.down("003").await.unwrap();
    lockgate.down_to("0").await.unwrap();
    assert_eq!(scenario.applied().await, [""; 0]);
    let manifest = lockgate.backup().await.unwrap();
    assert!(scenario.backups("backups").iter().any(|name| name.starts_with(&manifest.id)));
    // The command finds in the journal what the program did.
    scenario.run("history --verify").await.succeeds();
    scenario.run("status").await.succeeds().prints("pending");
}

#[tokio::test]
async fn of_services_that_start_together_one_migrates() {
    let scenario = Scenario::new("library_crowd").await.migration("001_slow", "SELECT pg_sleep(0.5)", "SELECT 1");
    let lockgates: Vec<_> = (0..3).map(|_| builder(&scenario).no_backup().build().unwrap()).collect();
    let runs =
        lockgates.into_iter().map(|lockgate| tokio::spawn(async move { lockgate.up().await.unwrap().done.len() }));
    let mut applied = 0;
    for run in runs.collect::<Vec<_>>() {
        applied += run.await.unwrap();
    }
    assert_eq!(applied, 1);
}

#[tokio::test]
async fn a_service_that_is_to_end_gets_a_clean_end() {
    let scenario = Scenario::new("library_stop").await.migration("001_slow", "SELECT pg_sleep(60)", "SELECT 1");
    let lockgate = builder(&scenario).no_backup().build().unwrap();
    let stopper = lockgate.stopper();
    let run = tokio::spawn(async move {
        let first = lockgate.up().await.unwrap_err();
        (first, lockgate.up().await.unwrap_err())
    });
    let sleeping =
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()";
    eventually("the migration runs", async || scenario.value(sleeping).await != "0").await;
    stopper.stop();
    let (first, second) = tokio::time::timeout(Duration::from_secs(20), run).await.unwrap().unwrap();
    for error in [first, second] {
        assert!(matches!(error, Error::Interrupted { .. }), "{error}");
    }
    assert_eq!(scenario.value(sleeping).await, "0");
    scenario.is_at_rest().await;
}

#[tokio::test]
async fn refusals_are_errors_with_a_report() {
    let scenario = Scenario::new("library_refusals").await.migration("001_bad", "SELECT 1/0", "SELECT 1");
    let lockgate = builder(&scenario).no_backup().lock_timeout(Duration::from_secs(1)).retries(0).build().unwrap();
    let error = lockgate.up().await.unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::MigrationFailed);
    let report = error.report().to_string();
    assert!(report.contains("division by zero") && report.contains("001_bad"), "{report}");
    for wrong in ["", "one", "1..2"] {
        let error = lockgate.up_to(wrong).await.unwrap_err();
        assert!(error.to_string().contains(&format!("`{wrong}` is no version")), "{error}");
    }
    assert!(lockgate.down("001").await.is_err(), "it is not applied");
    let error = Lockgate::builder().database_url("mysql://me:secret@db/auth").build().unwrap_err().report().to_string();
    assert!(error.contains("--database-url") && !error.contains("secret"), "{error}");
    let error = Lockgate::builder().configuration(scenario.path("none.toml")).build().unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::Usage);
}
