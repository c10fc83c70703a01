//! The journal tells everything that was tried, and cannot be made to forget.

use lockgate_tests::Scenario;

#[tokio::test]
async fn the_journal_is_append_only() {
    let scenario = Scenario::new("append_only").await.tables(&["a"]);
    scenario.up().await.succeeds();
    let before = scenario.journal().await;
    for session in [scenario.session().await, scenario.superuser().await] {
        for sql in [
            "UPDATE schema_migrations_journal SET detail = 'x'",
            "UPDATE schema_migrations_journal SET detail = 'x' WHERE false",
            "DELETE FROM schema_migrations_journal",
            "TRUNCATE schema_migrations_journal",
        ] {
            let refusal = session.try_lines(sql).await.unwrap_err();
            assert_eq!(refusal, "23001: the journal of migrations is append-only", "{sql}");
        }
    }
    assert_eq!(scenario.journal().await, before);
}

#[tokio::test]
async fn the_journal_says_who_where_and_when() {
    let scenario = Scenario::new("who").await.tables(&["a"]);
    let result = scenario.run("up --no-backup --output json").await.succeeds().json();
    let run = result["run_id"].as_str().unwrap();
    let sql = format!(
        "SELECT count(*), count(DISTINCT run_id) FROM schema_migrations_journal
         WHERE run_id = '{run}' AND db_user = 'lockgate_owner' AND os_user <> '' AND host <> '' AND application LIKE 'lockgate %'
           AND client_address IS NOT NULL AND at BETWEEN now() - interval '1 minute' AND now()"
    );
    assert_eq!(scenario.value(&sql).await, "4|1");
    assert_eq!(scenario.journal().await, ["run_started", "backup_skipped", "applied 001", "run_finished"]);
    let sql = format!(
        "SELECT run_id = '{run}' AND applied_by = 'lockgate_owner' AND execution_time_ms >= 0 FROM schema_migrations"
    );
    assert_eq!(scenario.value(&sql).await, "t");
}

#[tokio::test]
async fn a_backup_is_journalled_and_named_in_the_history() {
    let scenario = Scenario::new("journal_backup").await.tables(&["a"]);
    let id = scenario.run("up").await.succeeds().backup_id();
    assert_eq!(scenario.value("SELECT detail FROM schema_migrations_journal WHERE event = 'backed_up'").await, id);
    assert_eq!(scenario.value("SELECT backup_id FROM schema_migrations").await, id);
}
