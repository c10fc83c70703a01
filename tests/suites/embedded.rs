//! The project's own server: made at first use, stopped after each command, its data kept.

use lockgate_tests::Scenario;

#[tokio::test]
async fn the_projects_own_server_keeps_its_data_and_stops_with_the_command() {
    let scenario = Scenario::new("embedded").await.tables(&["a"]);
    scenario.run("up --embedded").await.succeeds().prints("backed up as ").prints("applied 001_a");
    let stopped = || !scenario.path(".lockgate/postgres/data/postmaster.pid").exists();
    assert!(scenario.path(".lockgate/postgres/data/PG_VERSION").exists() && stopped());
    scenario.run("up --embedded").await.succeeds().prints("nothing is pending; the database is at version 001");
    scenario.run("down 001 --embedded").await.succeeds().prints("reverted 001_a");
    assert!(stopped());
    assert!(!scenario.has_history().await, "the configured database was not touched");
}

#[tokio::test]
async fn embedded_auto_prefers_a_database_that_is_configured() {
    let scenario = Scenario::new("embedded_auto").await.tables(&["a"]);
    scenario.run("up --no-backup --embedded=auto").await.succeeds().prints("applied 001_a");
    assert_eq!(scenario.applied().await, ["001"]);
    assert!(!scenario.path(".lockgate").exists());
}

#[tokio::test]
async fn commands_at_the_same_time_share_the_server() {
    let scenario = Scenario::new("embedded_shared").await.tables(&["a", "b"]);
    let runs: Vec<_> = (0..3).map(|_| scenario.run("up --no-backup --embedded").start()).collect();
    let mut workers = 0;
    for run in runs {
        workers += usize::from(run.end().await.succeeds().stdout.contains("applied 001_a"));
    }
    assert_eq!(workers, 1);
    assert!(!scenario.path(".lockgate/postgres/data/postmaster.pid").exists());
}
