//! The usual way: up, up again, down, down of everything.

use lockgate_tests::Scenario;

#[tokio::test]
async fn up_applies_what_is_pending_in_order() {
    let scenario = Scenario::new("up").await.tables(&["a", "b"]);
    scenario.run("up").await.succeeds().prints("backed up as ").prints("applied 001_a (sql, ").prints("applied 002_b (sql, ");
    assert_eq!(scenario.applied().await, ["001", "002"]);
    assert_eq!(scenario.lines("SELECT 'a'::regclass, 'b'::regclass").await, ["a|b"]);
    scenario.is_at_rest().await;
}

#[tokio::test]
async fn a_second_up_finds_nothing_pending_and_takes_no_backup() {
    let scenario = Scenario::new("up_twice").await.tables(&["a"]);
    scenario.run("up").await.succeeds();
    let (before, backups) = (scenario.state().await, scenario.files("backups"));
    assert_eq!(backups.len(), 2, "the dump and its manifest: {backups:?}");
    scenario.run("up").await.succeeds().prints("nothing is pending; the database is at version 001");
    assert_eq!(scenario.files("backups"), backups);
    scenario.is_still(&before).await;
}
