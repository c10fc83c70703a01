//! The test kit itself: what it claims is so, and each claim can fail.

use lockgate::{
    error::Error,
    migration::Direction,
    testing::{Database, Failure, Plugin, Result, cycle::Cycle},
};
use lockgate_tests::components;

/// A database in which the component `hostile` is told what to do.
async fn told_to(behaviour: &str) -> Result<Database> {
    let database = Database::named("kit").await?;
    let sql =
        "CREATE TABLE hostile_behaviour AS SELECT '{}'::text AS behaviour, 'CREATE TABLE made ()'::text AS statement";
    database.run(&sql.replace("{}", behaviour)).await?;
    Ok(database)
}

async fn plugin() -> Result<Plugin> {
    Plugin::from_bytes("007_guest", components::hostile()).await
}

#[tokio::test]
async fn a_trial_goes_through_the_runner_and_leaves_nothing() -> Result<()> {
    let (database, plugin) = (told_to("good").await?, plugin().await?);
    let trial = plugin.on(&database);
    trial.preflight().await?.is_clean();
    assert_eq!(trial.plan(Direction::Up).await?, ["code: work"]);
    let outcome = trial.up().await?;
    assert_eq!(outcome.done[0].name, "007_guest");
    trial.verify(Direction::Up).await?.is_clean();
    assert_eq!(database.rows("SELECT version FROM schema_migrations").await?, [["007"]]);
    assert_eq!(database.rows("SELECT id, weight FROM guest_work WHERE id = 1").await?, [["1", "NULL"]]);
    trial.down().await?;
    trial.left_nothing_behind().await
}

#[tokio::test]
async fn a_table_that_is_left_is_told() -> Result<()> {
    let (database, plugin) = (told_to("good").await?, plugin().await?);
    let trial = plugin.on(&database);
    trial.up().await?;
    let failure = trial.left_nothing_behind().await.expect_err("it is still up");
    assert!(matches!(failure, Failure::LeftBehind(_)) && failure.to_string().contains("guest_work"), "{failure}");
    trial.down().await?;
    trial.left_nothing_behind().await?;
    database.run("INSERT INTO hostile_behaviour VALUES ('other')").await?;
    let failure = trial.left_nothing_behind().await.expect_err("a row is new");
    assert!(failure.to_string().contains("content hostile_behaviour"), "{failure}");
    Ok(())
}

#[tokio::test]
async fn findings_stop_a_trial_as_they_stop_a_run() -> Result<()> {
    let (database, plugin) = (told_to("preflight-says-no").await?, plugin().await?);
    let trial = plugin.on(&database);
    trial.preflight().await?.blocks("no").says("choose another behaviour");
    let failure = trial.up().await.expect_err("its preflight blocks");
    assert!(matches!(failure.error(), Some(Error::Checks { .. })), "{failure}");
    Ok(())
}

#[tokio::test]
async fn a_check_that_writes_is_refused_and_its_failure_is_told() -> Result<()> {
    let (database, plugin) = (told_to("preflight").await?, plugin().await?);
    let failure = plugin.on(&database).preflight().await.expect_err("the transaction is read-only");
    assert!(failure.to_string().contains("read-only transaction"), "{failure}");
    Ok(())
}

#[tokio::test]
async fn a_cycle_tells_where_it_ended() -> Result<()> {
    let (database, plugin) = (told_to("good").await?, plugin().await?);
    let cycle = Cycle::run(&plugin, &database).await;
    assert!(cycle.passed, "{}", cycle.text());
    let names: Vec<&str> = cycle.stages.iter().map(|stage| stage.name).collect();
    assert_eq!(
        names,
        ["preflight", "plan up", "up", "verify up", "plan down", "down", "compare", "up again"],
        "{}",
        cycle.text()
    );

    let (database, plugin) = (told_to("fails-after-work").await?, self::plugin().await?);
    let cycle = Cycle::run(&plugin, &database).await;
    assert!(!cycle.passed && cycle.text().contains("FAIL  up ("), "{}", cycle.text());
    assert!(cycle.failure().is_some_and(|failure| failure.to_string().contains("the guest gives up")));
    Ok(())
}

#[tokio::test]
async fn what_is_no_component_is_refused_at_once() {
    let Err(failure) = Plugin::from_bytes("guest", b"SELECT 1".to_vec()).await else { panic!("it was accepted") };
    assert!(failure.to_string().contains("the plugin `guest` cannot run here: it is no WebAssembly"), "{failure}");
}
