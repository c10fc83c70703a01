//! A component that fails is rolled back, and its words reach the operator. What one can do on purpose is in `hostile`.

use lockgate_tests::{Outcome, Scenario, components};

/// The first migration makes the table by which the second, a component, is told what to do.
async fn hostile(name: &str, config: &str) -> Scenario {
    let scenario = Scenario::new(name)
        .await
        .config(config)
        .migration(
            "001_behaviour",
            "CREATE TABLE hostile_behaviour (behaviour text, statement text);
             INSERT INTO hostile_behaviour VALUES ('good', 'COMMIT');",
            "DROP TABLE hostile_behaviour;",
        )
        .component("002_guest", &components::hostile())
        .await;
    scenario.run("up --no-backup --to 1").await.succeeds();
    scenario
}

async fn told_to(scenario: &Scenario, behaviour: &str) {
    scenario.lines(&format!("UPDATE hostile_behaviour SET behaviour = '{behaviour}'")).await;
}

/// The component fails with these words, and the database is as it was.
async fn fails(scenario: &Scenario, behaviour: &str, words: &str) -> Outcome {
    told_to(scenario, behaviour).await;
    let before = scenario.state().await;
    let outcome = scenario
        .up()
        .await
        .fails_with(1)
        .says("migration `002_guest` failed in up")
        .says(words)
        .says("; the database is at version 001; the lock is released")
        .never_mentions("applied 002");
    scenario.is_still(&before).await;
    assert_eq!(scenario.journal().await.last().unwrap(), "failed 002", "{behaviour}");
    outcome
}

async fn is_at_fault(scenario: &Scenario, behaviour: &str, words: &str) {
    fails(scenario, behaviour, words).await.says("the plugin is at fault");
}

#[tokio::test]
async fn a_good_component_goes_up_and_down_and_leaves_nothing() {
    let scenario = hostile("good", "").await;
    let before = scenario.state().await;
    scenario.run("plan").await.succeeds().prints("up 002_guest (component, one transaction)\n  code: work");
    scenario.run("-v up").await.succeeds().prints("applied 002_guest (component, ").says("1 row has weight");
    assert_eq!(
        scenario.lines("SELECT id, note, weight, tags FROM guest_work ORDER BY id").await,
        ["1|one||", "2||0.5|{a,\"b c\"}", "3|Grüße, 世界||"]
    );
    assert_eq!(scenario.value("SELECT kind FROM schema_migrations WHERE version = '002'").await, "component");
    scenario.down("002").await.succeeds().prints("reverted 002_guest");
    scenario.is_still(&before).await;
}

#[tokio::test]
async fn a_refusal_fails_the_migration_even_if_the_component_goes_on() {
    let scenario = hostile("goes_on", "").await;
    told_to(&scenario, "execute").await;
    let before = scenario.state().await;
    // Having done its work, the guest passes over the refusal and says that all is well.
    scenario
        .run("-v up")
        .await
        .fails_with(1)
        .says("1 row has weight")
        .says("the plugin is at fault: `COMMIT` would end the transaction that the host owns");
    scenario.is_still(&before).await;
}

#[tokio::test]
async fn a_component_that_panics_is_stopped_and_its_last_words_are_kept() {
    let scenario = hostile("guest_panic", "").await;
    is_at_fault(&scenario, "panic-in-verify", "it panicked").await;
    fails(&scenario, "panic-in-verify", "the guest panics in verify as it was told to").await;
}

#[tokio::test]
async fn an_error_of_a_component_is_told_in_its_words() {
    let scenario = hostile("guest_error", "").await;
    is_at_fault(&scenario, "fails-after-work", "the guest gives up").await;
    is_at_fault(&scenario, "fails-after-work", "as-told").await;
}

#[tokio::test]
async fn an_error_in_the_sql_of_a_plan_is_told_with_its_place() {
    let scenario = hostile("guest_sql", "").await;
    fails(&scenario, "sql-fails", "division by zero (SQLSTATE 22012)")
        .await
        .says("step 2 (SQL)")
        .says("state: rolled back");
}

#[tokio::test]
async fn a_preflight_that_says_no_stops_before_the_backup() {
    let scenario = hostile("guest_preflight", "").await;
    told_to(&scenario, "preflight-says-no").await;
    let before = scenario.state().await;
    scenario
        .run("up")
        .await
        .fails_with(6)
        .says("the preflight of migration `002` says no")
        .says("preflight says no [no]")
        .says("state: it was not run; the database is at version 001")
        .says("next: choose another behaviour");
    assert!(scenario.files("backups").is_empty());
    scenario.is_still(&before).await;
}

#[tokio::test]
async fn a_verify_that_says_no_leaves_no_trace_of_its_up() {
    let scenario = hostile("guest_verify", "").await;
    told_to(&scenario, "verify-says-no").await;
    let before = scenario.state().await;
    scenario
        .up()
        .await
        .fails_with(6)
        .says("the verification of migration `002` (up) says no")
        .says("verify says no [no]")
        .says("next: choose another behaviour")
        .says("state: rolled back; the database is at version 001");
    scenario.is_still(&before).await;
}

#[tokio::test]
async fn doubts_are_printed_and_stop_nothing() {
    for (behaviour, words) in
        [("preflight-warns", "warn: preflight has doubts [hm]"), ("verify-warns", "warn: verify has doubts [hm]")]
    {
        let scenario = hostile("guest_warns", "").await;
        told_to(&scenario, behaviour).await;
        scenario.up().await.succeeds().prints(words).prints("applied 002_guest");
    }
}

#[tokio::test]
async fn a_down_of_a_component_that_fails_changes_nothing() {
    let scenario = hostile("guest_down", "").await;
    scenario.up().await.succeeds();
    for (behaviour, words) in [("fails-after-work", "the guest gives up"), ("panic-in-verify", "it panicked")] {
        told_to(&scenario, behaviour).await;
        let before = scenario.state().await;
        scenario
            .down("002")
            .await
            .fails_with(1)
            .says("migration `002_guest` failed in down")
            .says(&format!("the plugin is at fault: {words}"))
            .says("state: rolled back; the database is at version 002");
        scenario.is_still(&before).await;
    }
    told_to(&scenario, "verify-says-no").await;
    let before = scenario.state().await;
    scenario.down("002").await.fails_with(6).says("the verification of migration `002` (down) says no");
    scenario.is_still(&before).await;
}

#[tokio::test]
async fn a_component_that_is_gone_cannot_go_down() {
    let scenario = hostile("guest_gone", "").await;
    scenario.up().await.succeeds();
    let before = scenario.state().await;
    scenario.remove("migrations/002_guest.wasm");
    scenario.remove("migrations/lockgate.lock");
    scenario.down("002").await.refuses_with(2).says("`002_guest.wasm` is gone").says(&format!(
        "next: put the file back whose SHA-256 is {}; it may have another name",
        scenario.value("SELECT checksum FROM schema_migrations WHERE version = '002'").await
    ));
    scenario.is_still(&before).await;
}

#[tokio::test]
async fn a_component_that_was_renamed_goes_down_by_its_digest() {
    let scenario = hostile("guest_renamed", "").await;
    scenario.up().await.succeeds();
    std::fs::rename(scenario.path("migrations/002_guest.wasm"), scenario.path("migrations/007_other.wasm")).unwrap();
    let before = scenario.state().await;
    scenario.down("002").await.refuses_with(2).says("`007_other.wasm` is not pinned");
    scenario.is_still(&before).await;
    scenario.run("plugin pin").await.succeeds();
    scenario.run("down 002 --dry-run").await.succeeds().prints("down 002_guest (component");
    scenario.down("002").await.succeeds().prints("reverted 002_guest");
    assert_eq!(scenario.applied().await, ["001"]);
}
