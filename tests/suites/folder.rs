//! What is wrong with the folder of migrations is said before anything runs, all of it at once.

use lockgate_tests::Scenario;

#[tokio::test]
async fn a_misnamed_file_is_refused() {
    let scenario = Scenario::new("misnamed").await.tables(&["a"]).file("2-add-b.sql", "SELECT 1");
    let before = scenario.state().await;
    scenario
        .run("up")
        .await
        .refuses_with(2)
        .says("migrations/2-add-b.sql: the name is not one of a migration")
        .says("next: name it `<version>_<description>`");
    assert!(!scenario.has_history().await);
    scenario.is_still(&before).await;
}
