//! A component that misbehaves is stopped, rolled back, and named as at fault.

use lockgate_tests::{Outcome, Scenario, components};

/// The first migration makes the table by which the second, a component, is told what to do.
async fn hostile(name: &str, config: &str) -> Scenario {
    let scenario = Scenario::new(name)
        .await
        .config(config)
        .migration(
            "001_behaviour",
            "CREATE TABLE hostile_behaviour (behaviour text); INSERT INTO hostile_behaviour VALUES ('good');",
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
async fn a_component_cannot_end_the_transaction() {
    let scenario = hostile("guest_commit", "").await;
    for behaviour in ["commit", "commit-in-comment", "commit-after-work", "rollback", "savepoint", "sql-commit"] {
        is_at_fault(&scenario, behaviour, "would end the transaction that the host owns").await;
    }
}

#[tokio::test]
async fn a_component_cannot_change_the_session() {
    let scenario = hostile("guest_role", "").await;
    is_at_fault(&scenario, "set-role", "`SET ROLE` would change the session that the host owns").await;
}

#[tokio::test]
async fn a_refusal_fails_the_migration_even_if_the_component_goes_on() {
    let scenario = hostile("everything_forbidden", "").await;
    told_to(&scenario, "everything-forbidden").await;
    let before = scenario.state().await;
    // The guest does its work, and logs that it has, only if each of its attempts was denied.
    scenario
        .run("-v up")
        .await
        .fails_with(1)
        .says("1 row has weight")
        .says("the plugin is at fault: `BEGIN` would end the transaction that the host owns");
    scenario.is_still(&before).await;
}

#[tokio::test]
async fn a_component_that_loops_is_stopped() {
    let scenario = hostile("guest_loop", "[plugins]\ncpu_max_s = 1\n").await;
    for behaviour in ["loop", "loop-in-plan", "loop-in-preflight", "loop-in-verify"] {
        is_at_fault(
            &scenario,
            behaviour,
            "it reached its limit of processor time, 1 s (raise it with `cpu_max_s` under [plugins]",
        )
        .await;
    }
}

#[tokio::test]
async fn a_component_that_waits_too_long_is_stopped_and_its_statement_cancelled() {
    let scenario = hostile("guest_sleep", "[plugins]\nwall_clock_max_s = 1\n").await;
    for behaviour in ["sleep", "sleep-in-preflight", "sleep-in-plan", "sleep-in-verify"] {
        is_at_fault(&scenario, behaviour, "it reached its limit of time in all, 1 s (raise it with `wall_clock_max_s`")
            .await;
    }
}

#[tokio::test]
async fn waiting_for_the_database_is_no_processor_time() {
    let scenario = hostile("guest_waits", "[plugins]\ncpu_max_s = 1\nwall_clock_max_s = 3\n").await;
    is_at_fault(&scenario, "sleep", "it reached its limit of time in all, 3 s").await;
}

#[tokio::test]
async fn a_component_that_eats_memory_is_stopped() {
    let scenario = hostile("guest_memory", "[plugins]\nmemory_max_bytes = 33554432\n").await;
    is_at_fault(
        &scenario,
        "memory",
        "it reached its limit of memory, 33554432 bytes (raise it with `memory_max_bytes`",
    )
    .await;
}

#[tokio::test]
async fn a_component_that_recurses_without_end_is_stopped() {
    let scenario = hostile("guest_recursion", "").await;
    is_at_fault(&scenario, "deep-recursion", "it ran out of stack").await;
}

#[tokio::test]
async fn a_component_that_panics_is_stopped_and_its_last_words_are_kept() {
    let scenario = hostile("guest_panic", "").await;
    is_at_fault(&scenario, "panic", "it panicked").await;
    is_at_fault(&scenario, "panic-in-verify", "it panicked").await;
    fails(&scenario, "panic", "the guest panics as it was told to").await;
}

#[tokio::test]
async fn a_component_that_wants_too_much_of_the_database_is_stopped() {
    let scenario = hostile("guest_results", "[plugins]\nquery_max_rows = 1000\nquery_max_bytes = 10000000\n").await;
    is_at_fault(
        &scenario,
        "many-rows",
        "it reached its limit of rows of a result, 1000 rows (raise it with `query_max_rows`",
    )
    .await;
    is_at_fault(
        &scenario,
        "many-bytes",
        "it reached its limit of bytes of a result, 10000000 bytes (raise it with `query_max_bytes`",
    )
    .await;
}

#[tokio::test]
async fn a_component_that_floods_the_log_is_stopped() {
    let scenario = hostile("guest_log", "[plugins]\nlog_max_lines = 100\n").await;
    is_at_fault(&scenario, "log-flood", "it reached its limit of log lines, 100 lines (raise it with `log_max_lines`")
        .await;
}

#[tokio::test]
async fn an_error_of_a_component_is_told_in_its_words() {
    let scenario = hostile("guest_error", "").await;
    is_at_fault(&scenario, "fails-after-work", "the guest gives up").await;
    is_at_fault(&scenario, "fails-after-work", "as-told").await;
    is_at_fault(&scenario, "unknown-step", "nothing-of-the-kind").await;
    is_at_fault(&scenario, "empty-plan", "its plan has no steps").await;
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
async fn an_error_that_a_component_hides_rolls_back_all_the_same() {
    let scenario = hostile("guest_hides", "").await;
    fails(&scenario, "swallows-an-error", "it hid an error that the server had reported").await;
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
async fn a_check_of_a_component_cannot_write() {
    let scenario = hostile("guest_writes", "").await;
    fails(&scenario, "preflight-writes", "read-only transaction").await;
    fails(&scenario, "verify-writes", "read-only transaction").await;
    is_at_fault(&scenario, "verify-writes-twice", "`SET TRANSACTION` would end the transaction").await;
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
    scenario.down("002").await.refuses_with(2).says("`002_guest.wasm` is gone").says("next: put the file back");
    scenario.is_still(&before).await;
}
