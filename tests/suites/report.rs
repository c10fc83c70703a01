//! `up --report`: one HTML file that tells what a run did, however it ended.

use std::future::IntoFuture as _;

use lockgate_tests::{Scenario, eventually};

fn read(scenario: &Scenario, file: &str) -> String {
    std::fs::read_to_string(scenario.path(file)).unwrap()
}

#[tokio::test]
async fn a_run_leaves_a_report_of_what_it_applied() {
    let scenario = Scenario::new("report").await.tables(&["a", "b"]);
    scenario.run("up --report run.html").await.succeeds().prints("applied 002_b");
    let html = read(&scenario, "run.html");
    for said in [
        "<!DOCTYPE html>",
        "001_a",
        "002_b",
        "2 migrations applied",
        "The database is at version 002",
        "lockgate restore ",
    ] {
        assert!(html.contains(said), "{said}\n{html}");
    }
    assert!(!html.contains("<script") && !html.contains("What failed"), "{html}");
    assert!(!html.contains(scenario.password()), "a secret");
    // A later run replaces it, and the JSON on stdout stays one document.
    let outcome = scenario.run("up --report run.html --output json").await.succeeds();
    serde_json::from_str::<serde_json::Value>(&outcome.stdout).unwrap();
    assert!(read(&scenario, "run.html").contains("Nothing was pending"));
}

#[tokio::test]
async fn a_failed_run_leaves_a_report_with_the_error_as_people_read_it() {
    let scenario = Scenario::new("report_failed").await.tables(&["a"]).migration(
        "002_b",
        "CREATE TABLE b ();\nSELECT '<b>' || nope;",
        "DROP TABLE b;",
    );
    let outcome = scenario.run("up --report run.html").await.exits_with(1);
    let html = read(&scenario, "run.html");
    for said in [
        "Failed.",
        "001_a",
        "002_b.up.sql:2:",
        "column &quot;nope&quot; does not exist",
        "1 migration applied",
        "lockgate restore ",
    ] {
        assert!(html.contains(said), "{said}\n{html}");
    }
    assert!(outcome.stderr.contains("002_b.up.sql:2:"), "{}", outcome.stderr);
    assert_eq!(scenario.applied().await, ["001"]);
}

#[tokio::test]
async fn a_place_that_takes_no_report_is_refused_before_anything_is_done() {
    let scenario = Scenario::new("report_refused").await.tables(&["a"]);
    let before = scenario.state().await;
    for place in ["none/run.html", "migrations", "/dev/full"] {
        scenario
            .run(&format!("up --report {place}"))
            .await
            .refuses_with(2)
            .says(&format!("the report cannot be written to `{place}`"));
    }
    scenario.run("up --dry-run --report run.html").await.exits_with(2).says("cannot be used with");
    scenario.is_still(&before).await;
    assert!(!scenario.path("run.html").exists());
}

#[tokio::test]
async fn a_report_that_cannot_be_written_any_more_does_not_fail_the_run() {
    let scenario = Scenario::new("report_late").await.migration(
        "001_a",
        "CREATE TABLE a ();\nSELECT count(*) FROM held;",
        "DROP TABLE a;",
    );
    scenario.lines("CREATE TABLE held ()").await;
    let holder = scenario.session().await;
    holder.lines("BEGIN; LOCK TABLE held").await;
    std::fs::create_dir(scenario.path("reports")).unwrap();
    let run = scenario.run("up --no-backup --report reports/run.html").into_future();
    // The folder goes while the run is at work.
    let gone = async {
        eventually("the run is at work", async || {
            scenario.value("SELECT count(*) FROM pg_locks WHERE relation = 'held'::regclass AND NOT granted").await
                == "1"
        })
        .await;
        std::fs::remove_dir(scenario.path("reports")).unwrap();
        holder.lines("COMMIT").await;
    };
    let (outcome, ()) = tokio::join!(run, gone);
    outcome.succeeds().prints("applied 001_a").says("the report could not be written");
}
