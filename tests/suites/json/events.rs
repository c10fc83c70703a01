//! `--events`: what a run does, told while it does it.

use std::{fs, time::Duration};

use lockgate_tests::{Scenario, components::planned, eventually};
use serde_json::Value;

use super::described::{are_as_ever, validator};

const FILE: &str = "events.ndjson";

/// The events of one run, each as the schema describes it: numbered, of one run, and every beginning with its end, the inner before the outer.
fn told(text: &str) -> Vec<Value> {
    let schema = validator("event");
    let lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect();
    let mut open: Vec<(String, Value)> = Vec::new();
    for (i, line) in lines.iter().enumerate() {
        let wrong: Vec<String> = schema.iter_errors(line).map(|error| error.to_string()).collect();
        assert!(wrong.is_empty(), "{wrong:?}: {line:#}");
        assert_eq!((&line["sequence"], &line["run_id"]), (&(i + 1).into(), &lines[0]["run_id"]), "{text}");
        let event = line["event"].as_str().unwrap();
        if let Some(what) = event.strip_suffix("_started") {
            open.push((what.to_owned(), line["migration"].clone()));
        }
        let ended = event.strip_suffix("_finished").or(match event {
            "migration_committed" | "migration_failed" => Some("migration"),
            _ => None,
        });
        if let Some(what) = ended {
            assert_eq!(
                open.pop(),
                Some((what.to_owned(), line["migration"].clone())),
                "{event} ends what began last: {text}"
            );
            assert!(line["duration_ms"].is_u64(), "{line}");
        }
    }
    assert_eq!(open, [], "what has begun ends: {text}");
    assert_eq!((&lines[0]["event"], &lines[lines.len() - 1]["event"]), (&"run_started".into(), &"run_finished".into()));
    lines
}

/// The events that the scenario's file holds, of its only run.
fn of(scenario: &Scenario) -> Vec<Value> {
    let text = fs::read_to_string(scenario.path(FILE)).unwrap();
    assert!(!text.contains(scenario.password()), "{text}");
    told(&text)
}

fn names(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["event"].as_str().unwrap()).collect()
}

fn event<'a>(lines: &'a [Value], name: &str) -> &'a Value {
    lines.iter().find(|line| line["event"] == name).unwrap_or_else(|| panic!("no {name} in {lines:#?}"))
}

#[tokio::test]
async fn a_run_is_told_from_its_beginning_to_its_end() {
    let scenario = Scenario::new("events_run").await.migration(
        "001_a",
        "CREATE TABLE a AS SELECT generate_series(1, 7) n;",
        "DROP TABLE a;",
    );
    scenario.run(&format!("up --events {FILE}")).await.succeeds().prints("applied 001_a");
    let lines = of(&scenario);
    let without_progress: Vec<&str> = names(&lines).into_iter().filter(|name| *name != "backup_progress").collect();
    assert_eq!(
        without_progress,
        [
            "run_started",
            "connected",
            "lock_wait_started",
            "lock_wait_finished",
            "preflight_started",
            "preflight_finished",
            "preflight_started",
            "preflight_finished",
            "preflight_started",
            "preflight_finished",
            "backup_started",
            "backup_finished",
            "migration_started",
            "step_started",
            "step_finished",
            "verify_started",
            "verify_finished",
            "committed",
            "migration_committed",
            "run_finished",
        ]
    );
    assert_eq!((&lines[0]["command"], &lines[0]["format"]), (&"up".into(), &1.into()));
    assert!(lines[0]["target"].as_str().unwrap().contains(scenario.database()));
    assert_eq!(event(&lines, "lock_wait_finished")["acquired"], true);
    let backup = event(&lines, "backup_finished");
    assert_eq!(scenario.backups("backups").iter().filter(|name| name.ends_with(".json")).count(), 1);
    assert!(backup["backup"].is_string() && backup["bytes"].as_u64() > Some(0), "{backup}");
    let step = event(&lines, "step_finished");
    assert_eq!((&step["outcome"], &step["rows"], &step["step"]), (&"done".into(), &7.into(), &1.into()));
    assert_eq!(lines[lines.len() - 1]["exit_code"], 0);
}

#[tokio::test]
async fn the_events_of_a_run_are_as_ever() {
    let scenario = Scenario::new("events_as_ever").await.migration(
        "001_a",
        "CREATE TABLE a AS SELECT generate_series(1, 7) n;",
        "DROP TABLE a;",
    );
    let told = async |options: &str, code: i32| {
        scenario.run(&format!("{options} --events {FILE}")).await.exits_with(code);
        let lines = of(&scenario);
        scenario.remove(FILE);
        // How often that is told depends on the machine.
        lines.into_iter().filter(|line| line["event"] != "backup_progress").collect::<Vec<_>>()
    };
    let up = told("up", 0).await;
    let position = |lines: &[Value]| lines.iter().map(|line| line["sequence"].as_u64().unwrap()).collect::<Vec<_>>();
    assert!(position(&up).is_sorted());
    are_as_ever("events-up", &scenario, renumbered(up));
    scenario.write("migrations/002_b.up.sql", "CREATE TABLE b ();\nSELECT nonsense;");
    scenario.write("migrations/002_b.down.sql", "DROP TABLE b;");
    are_as_ever("events-up-failed", &scenario, renumbered(told("up --no-backup", 1).await));
    are_as_ever("events-down", &scenario, renumbered(told("down 001 --no-backup", 0).await));
}

/// With their numbers as if nothing had been left out.
fn renumbered(mut lines: Vec<Value>) -> Vec<Value> {
    lines.iter_mut().zip(1..).for_each(|(line, n)| line["sequence"] = n.into());
    lines
}

#[test]
fn an_undocumented_field_of_an_event_is_rejected_whatever_the_event_and_however_deep() {
    let schema = validator("event");
    let line = |event: &str| {
        let mut line: Value = serde_json::from_str(event).unwrap();
        for (key, value) in [
            ("format", Value::from(1)),
            ("sequence", 1.into()),
            ("at", "2026-11-26T13:00:00Z".into()),
            ("run_id", "019ac054-6a3f-7c2e-9c59-4d2f8f1d3f10".into()),
        ] {
            line[key] = value;
        }
        line
    };
    for event in [
        r#"{"event":"lock_wait_started"}"#,
        r#"{"event":"run_finished","exit_code":0}"#,
        r#"{"event":"step_started","migration":"001_a","step":1,"steps":1,"name":"1 (SQL)"}"#,
        r#"{"event":"batch_progress","migration":"001_a","step":1,"batches":2,"done":7,"rows":7}"#,
    ] {
        let good = line(event);
        let wrong: Vec<String> = schema.iter_errors(&good).map(|error| error.to_string()).collect();
        assert_eq!(wrong, Vec::<String>::new(), "{event}");
        let mut extra = good.clone();
        extra["more"] = 1.into();
        assert!(!schema.is_valid(&extra), "{event} with a field that nobody described");
    }
    let finding = |more: &str| {
        let mut event = line(
            r#"{"event":"verify_finished","migration":"001_a","passed":false,"findings":[{"severity":"block","code":"c","message":"m"}]}"#,
        );
        if !more.is_empty() {
            event["findings"][0][more] = 1.into();
        }
        event
    };
    assert!(schema.is_valid(&finding("")) && !schema.is_valid(&finding("more")));
}

#[tokio::test]
async fn batches_and_transactions_are_told_one_by_one() {
    let steps = [
        ("up", "sql", "INSERT INTO trace VALUES ('sql')", ""),
        ("up", "batched", "copy", ""),
        (
            "up",
            "outside",
            "CREATE INDEX CONCURRENTLY target_idx ON target (id DESC)",
            "SELECT to_regclass('target_idx') IS NOT NULL",
        ),
        ("up", "code", "code", ""),
    ];
    let scenario = planned("events_batches", &steps).await;
    scenario.run("up --no-backup").env("LOCKGATE_EVENTS", FILE).await.succeeds();
    let lines = of(&scenario);
    let batches: Vec<u64> = lines.iter().filter_map(|line| line["batches"].as_u64()).collect();
    assert_eq!(batches, (1..=batches.len() as u64).collect::<Vec<_>>());
    assert!(batches.len() >= 2, "{lines:#?}");
    let rows = |event: &str| -> Vec<u64> {
        lines.iter().filter(|line| line["event"] == event).filter_map(|line| line["rows"].as_u64()).collect()
    };
    // Seven rows, two at a time. The rest of the plan: one by SQL, none by the index, one by code.
    assert_eq!(rows("batch_progress"), [2, 2, 2, 1]);
    assert_eq!(rows("step_finished"), [1, 7, 0, 1]);
    let committed: Vec<&Value> = lines.iter().filter(|line| line["event"] == "committed").collect();
    assert_eq!((&committed[0]["steps_done"], &committed[0]["steps"]), (&1.into(), &4.into()));
    assert_eq!(committed[committed.len() - 1]["steps_done"], 4);
    let steps: Vec<&Value> =
        lines.iter().filter(|line| line["event"] == "step_finished").map(|line| &line["step"]).collect();
    assert_eq!(steps, [1, 2, 3, 4]);
}

#[tokio::test]
async fn a_failure_is_told_with_what_is_left() {
    let scenario = Scenario::new("events_failed").await.tables(&["a"]).migration(
        "002_b",
        "CREATE TABLE b (); SELECT nonsense;",
        "",
    );
    let outcome = scenario.run(&format!("up --no-backup --events {FILE} --output json")).await.exits_with(1);
    let lines = of(&scenario);
    let end = names(&lines).split_off(lines.len() - 4);
    assert_eq!(end, ["step_finished", "rolled_back", "migration_failed", "run_finished"]);
    assert_eq!(lines[lines.len() - 4]["outcome"], "failed");
    let (failed, finished) = (event(&lines, "migration_failed"), event(&lines, "run_finished"));
    assert_eq!((&failed["migration"], &failed["error"]["database"]["sqlstate"]), (&"002_b".into(), &"42703".into()));
    assert_eq!(finished["exit_code"], 1);
    assert_eq!(finished["error"], outcome.json()["error"], "it is the same error");
    assert_eq!(event(&lines, "migration_committed")["migration"], "001_a");
}

#[tokio::test]
async fn a_verification_that_says_no_is_told_before_the_rollback() {
    let scenario = Scenario::new("events_verify").await.tables(&["a"]).file("001_a.verify.sql", "SELECT false;");
    scenario.run(&format!("up --no-backup --events {FILE}")).await.exits_with(6);
    let lines = of(&scenario);
    let end = names(&lines).split_off(lines.len() - 5);
    assert_eq!(end, ["verify_started", "verify_finished", "rolled_back", "migration_failed", "run_finished"]);
    let verify = event(&lines, "verify_finished");
    assert_eq!((&verify["passed"], &verify["findings"][0]["code"]), (&false.into(), &"not-true".into()));
}

#[tokio::test]
async fn checks_that_say_no_end_the_run_before_its_backup() {
    let scenario = Scenario::new("events_refused").await.tables(&["a"]).file("001_a.preflight.sql", "SELECT false;");
    scenario.run(&format!("up --events {FILE}")).await.exits_with(6);
    let lines = of(&scenario);
    let last = lines.iter().rev().find(|line| line["event"] == "preflight_finished").unwrap();
    assert_eq!(
        (&last["passed"], &last["checks"], &last["migration"]),
        (&false.into(), &"migration".into(), &"001_a".into())
    );
    assert_eq!(last["findings"][0]["severity"], "block");
    assert!(!names(&lines).contains(&"backup_started"));
}

#[tokio::test]
async fn a_run_that_is_asked_to_stop_ends_all_that_it_has_begun() {
    let scenario = Scenario::new("events_stop").await.migration("001_a", "SELECT pg_sleep(60);", "");
    let run = scenario.run(&format!("up --no-backup --events {FILE}")).start();
    let begun = |what: &str| fs::read_to_string(scenario.path(FILE)).unwrap_or_default().contains(what);
    // The line is there while the step runs.
    eventually("the step has begun", async || begun("step_started")).await;
    run.interrupt();
    let code = run.end().await.code;
    let lines = of(&scenario);
    assert_eq!(lines[lines.len() - 1]["exit_code"], code.unwrap(), "{lines:#?}");
    assert_eq!(event(&lines, "step_finished")["outcome"], "failed");
    assert!(names(&lines).contains(&"rolled_back"));
    scenario.is_at_rest().await;

    // The same while it waits for the lock.
    scenario.remove(FILE);
    let other = scenario.run("up --no-backup").start();
    let superuser = scenario.superuser().await;
    let sleeping = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()";
    eventually("the other sleeps", async || superuser.value(sleeping).await == "1").await;
    let run = scenario.run(&format!("up --no-backup --events {FILE}")).start();
    eventually("it waits", async || begun("lock_wait_started")).await;
    run.interrupt();
    run.end().await;
    let lines = of(&scenario);
    assert_eq!(event(&lines, "lock_wait_finished")["acquired"], false);
    other.interrupt();
    other.end().await;
}

#[tokio::test]
async fn events_on_stdout_are_alone_there() {
    let scenario = Scenario::new("events_stdout").await.tables(&["a"]);
    let outcome = scenario.run("up --no-backup --events -").await.succeeds().says("applied 001_a");
    assert_eq!(told(&outcome.stdout)[0]["command"], "up");
    let outcome = scenario.run("status --events -").await.succeeds().says("1 applied");
    assert_eq!(names(&told(&outcome.stdout)), ["run_started", "connected", "run_finished"]);
}

#[tokio::test]
async fn where_events_cannot_go_nothing_runs() {
    let scenario = Scenario::new("events_nowhere").await.tables(&["a"]);
    let before = scenario.state().await;
    scenario
        .run("up --no-backup --events none/events")
        .await
        .fails_with(2)
        .says("the events cannot be written to `none/events`");
    scenario
        .run("up --no-backup --events migrations")
        .await
        .fails_with(2)
        .says("the events cannot be written to `migrations`");
    let both = scenario.run("up --no-backup --events - --output json").await.exits_with(2);
    assert!(both.says("both want stdout").json()["error"].is_object());
    scenario.is_still(&before).await;
}

/// To open a pipe for writing waits for its reader, for ever if there is none.
#[tokio::test]
async fn a_pipe_without_a_reader_is_refused_and_one_that_gets_one_is_waited_for() {
    let scenario = Scenario::new("events_pipe").await.tables(&["a", "b"]);
    let before = scenario.state().await;
    let script = r#"mkfifo events; timeout 60 "$LOCKGATE" up --no-backup --events events"#;
    let refused = scenario.shell(script).await.fails_with(2);
    refused.says("the events cannot be written to `events`: it is a pipe that nobody reads");
    scenario.is_still(&before).await;
    let script = r#"{ sleep 0.3; cat events; } & timeout 60 "$LOCKGATE" up --no-backup --events events 2>log; code=$?; wait; exit $code"#;
    let outcome = scenario.shell(script).await.succeeds();
    let lines: Vec<&str> = outcome.stdout.lines().filter(|line| line.starts_with('{')).collect();
    assert_eq!(told(&lines.join("\n")).last().unwrap()["exit_code"], 0);
}

/// It opens the pipe and takes nothing: what does not fit must not hold up the migration, and its end only for a moment.
#[tokio::test]
async fn a_reader_that_does_not_read_holds_up_nothing() {
    let scenario = Scenario::new("events_stuck").await.tables(&["a"]);
    // More than the 64 KiB that a pipe holds.
    let many: String = (0..400).map(|i| format!("SELECT {i};\n")).collect();
    let scenario = scenario.migration("002_b", &format!("-- lockgate: no-transaction\n{many}"), "SELECT 1;");
    let script = r#"mkfifo events; sleep 120 <>events & reader=$!
        timeout 90 "$LOCKGATE" up --no-backup --events events; code=$?; kill $reader; exit $code"#;
    let begin = std::time::Instant::now();
    let outcome = scenario.shell(script).await.succeeds();
    outcome.says("nobody reads the events: the last of them are lost");
    assert_eq!(scenario.applied().await, ["001", "002"]);
    assert!(begin.elapsed() < Duration::from_secs(60), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_reader_that_goes_away_does_not_fail_the_run() {
    let scenario = Scenario::new("events_reader").await.tables(&["a", "b"]);
    let script = r#"{ "$LOCKGATE" up --no-backup --events -; echo $? >code; } | head -n 1"#;
    let outcome = scenario.shell(script).await.succeeds();
    assert_eq!(outcome.stdout.lines().count(), 1);
    eventually("it has ended", async || scenario.path("code").exists()).await;
    tokio::time::timeout(Duration::from_secs(10), async {
        while fs::read_to_string(scenario.path("code")).unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    assert_eq!(fs::read_to_string(scenario.path("code")).unwrap().trim(), "0");
    assert_eq!(scenario.applied().await, ["001", "002"]);
}

#[tokio::test]
async fn what_happens_to_a_copy_is_not_told_of_the_database() {
    let scenario = Scenario::new("events_copy").await.tables(&["a"]);
    scenario.up().await.succeeds();
    scenario.write("migrations/002_b.up.sql", "CREATE TABLE b ();");
    scenario.write("migrations/002_b.down.sql", "DROP TABLE b;");
    scenario.run(&format!("rehearse --schema-only --events {FILE}")).await.succeeds();
    assert!(!names(&of(&scenario)).contains(&"migration_started"));
}
