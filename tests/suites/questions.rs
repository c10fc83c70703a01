//! What is asked of somebody at a terminal before something that is hard to take back: yes does it; no, an end of input and Ctrl-C leave
//! everything as it was.

use lockgate_tests::Scenario;

/// What is no yes, and what the command ends with then.
const NO: [(&str, i32, &str); 5] = [
    ("n", 2, "not confirmed"),
    ("\n", 2, "not confirmed"),
    ("yes, please", 2, "not confirmed"),
    (END_OF_INPUT, 2, "not confirmed"),
    (CTRL_C, 1, "SIGINT"),
];

const END_OF_INPUT: &str = "\u{4}";
const CTRL_C: &str = "\u{3}";

/// Claims that none of the answers that are no yes changes anything, then that yes does it.
async fn asks(scenario: &Scenario, arguments: &str, question: &str, done: &str) {
    let before = scenario.state().await;
    for (answer, code, says) in NO {
        let outcome = scenario.at_terminal(200, answer, arguments).await.exits_with(code);
        let outcome = outcome.prints(question).prints("[y/N] ").prints(says).does_not_print(done);
        let error =
            outcome.stdout.lines().find(|line| line.contains("error:")).unwrap_or_else(|| panic!("{outcome:?}"));
        assert!(!error.contains("[y/N]"), "the error begins a line of its own: {outcome:?}");
        scenario.is_still(&before).await;
    }
    scenario.at_terminal(200, "y", arguments).await.succeeds().prints(question).prints(done);
}

#[tokio::test]
async fn down_asks_before_it_reverts() {
    let scenario = Scenario::new("asks_down").await.tables(&["a", "b"]);
    scenario.up().await.succeeds();
    asks(&scenario, "down 002 --no-backup", "Revert 002 on ", "reverted 002_b").await;
    assert_eq!(scenario.applied().await, ["001"]);
    asks(&scenario, "down --to 0 --no-backup", "Revert everything above 0 on ", "reverted 001_a").await;
    assert!(scenario.applied().await.is_empty());
}

#[tokio::test]
async fn restore_asks_before_it_swaps_the_database() {
    let scenario = Scenario::new("asks_restore").await.tables(&["a", "b"]);
    scenario.run("up --to 1 --no-backup").await.succeeds();
    scenario.run("up").await.succeeds();
    asks(&scenario, "restore latest", "Its clients are disconnected.", "restored `").await;
    assert_eq!(scenario.applied().await, ["001"], "the state of before the second");
}

#[tokio::test]
async fn resolve_asks_before_it_takes_somebodys_word() {
    let up = "CREATE TABLE made ();\nALTER SYSTEM SET work_mem = '5MB';\nCREATE TABLE more ();";
    let scenario = Scenario::new("asks_resolve").await.migration("001_a", up, "DROP TABLE more, made;");
    // The owner may not: the server says no, and nothing is in doubt until somebody says so.
    scenario.up().await.fails_with(1);
    scenario.lines("UPDATE schema_migrations_progress SET attempted = true").await;
    let question = "Take step 2 of 3 of 001_a as applied on ";
    asks(&scenario, "resolve 2 --applied", question, "step 2 of 3 of 001_a is taken as applied").await;
    scenario.up().await.succeeds();
    assert_eq!(scenario.applied().await, ["001"]);
}

#[tokio::test]
async fn adopt_asks_before_it_writes_a_history() {
    let scenario = Scenario::new("asks_adopt").await.tables(&["a", "b"]);
    // As golang-migrate leaves it.
    scenario
        .lines(
            "CREATE TABLE a (id int PRIMARY KEY);
             CREATE TABLE migrate_versions (version bigint PRIMARY KEY, dirty boolean NOT NULL);
             INSERT INTO migrate_versions VALUES (1, false)",
        )
        .await;
    let arguments = "adopt --from golang-migrate --table migrate_versions";
    asks(&scenario, arguments, "Take over 1 migrations of golang-migrate on ", "1 migration taken over").await;
    assert_eq!(scenario.applied().await, ["001"]);
    // There is nothing left to ask about.
    scenario.at_terminal(200, "n", arguments).await.succeeds().does_not_print("[y/N]");
}
