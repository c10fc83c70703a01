//! What machines are told of runs: the text file of metrics.

use std::{
    fs,
    time::{Duration, Instant},
};

use lockgate_tests::Scenario;
use nix::fcntl::{Flock, FlockArg};

/// The value of a metric of a scenario's database with these further labels, written as Prometheus does; `None`: there is none.
fn value(scenario: &Scenario, metric: &str, labels: &str) -> Option<f64> {
    let text = fs::read_to_string(scenario.path("lockgate.prom")).unwrap();
    let database = format!("database=\"{}\"", scenario.database());
    let of = format!("{metric}{{server=\"{}:{}\",{database}{labels}}} ", scenario.host(), scenario.port());
    text.lines().find_map(|line| line.strip_prefix(&of)).map(|value| value.parse().unwrap())
}

#[tokio::test]
async fn runs_migrations_and_backups_are_measured_and_outlive_the_run() {
    let scenario = Scenario::new("metrics").await.tables(&["a", "b"]).migration("003_c", "SELECT nonsense", "SELECT 1");
    let scenario = scenario.config("[telemetry]\nprometheus_file = \"lockgate.prom\"\n");
    let of = |metric: &str, labels: &str| value(&scenario, metric, labels);
    scenario.write(
        "lockgate.prom",
        "somebody_elses{a=\"b\"} 1\nlockgate_runs_total{server=\"s:1\",database=\"other\"} 7\n",
    );

    scenario.run("up").await.exits_with(1);
    let (up, failed) = (",command=\"up\"", ",command=\"up\",result=\"failure\"");
    assert_eq!(of("lockgate_runs_total", failed), Some(1.0));
    assert_eq!(of("lockgate_run_exit_code", up), Some(1.0));
    assert_eq!(of("lockgate_run_in_progress", up), Some(0.0));
    assert_eq!(of("lockgate_run_last_success_timestamp_seconds", up), None);
    assert_eq!(of("lockgate_migrations_total", ",direction=\"up\",result=\"success\""), Some(2.0));
    assert_eq!(of("lockgate_migrations_total", ",direction=\"up\",result=\"failure\""), Some(1.0));
    assert_eq!(of("lockgate_migrations_pending", ""), Some(1.0));
    assert!(
        of("lockgate_migration_duration_seconds", ",migration=\"001_a\",direction=\"up\"")
            .is_some_and(|s| s > 0.0 && s < 60.0)
    );
    assert_eq!(of("lockgate_migration_start_timestamp_seconds", ",migration=\"003_c\",direction=\"up\""), None);
    assert!(of("lockgate_backup_size_bytes", "").is_some_and(|bytes| bytes > 100.0));
    assert_eq!(of("lockgate_backup_consecutive_failures", ""), Some(0.0));
    assert!(of("lockgate_lock_wait_seconds", "").is_some_and(|s| s < 30.0));

    scenario.run("down 2").await.succeeds();
    assert_eq!(of("lockgate_migrations_pending", ""), Some(2.0));
    assert_eq!(of("lockgate_migrations_total", ",direction=\"down\",result=\"success\""), Some(1.0));
    scenario.remove("migrations/003_c.up.sql");
    scenario.remove("migrations/003_c.down.sql");
    scenario.run("up").await.succeeds();
    assert_eq!(of("lockgate_runs_total", failed), Some(1.0));
    assert_eq!(of("lockgate_runs_total", ",command=\"up\",result=\"success\""), Some(1.0));
    assert_eq!(of("lockgate_migrations_pending", ""), Some(0.0));
    assert_eq!(of("lockgate_backups_total", ",result=\"success\""), Some(3.0));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    for (metric, labels) in
        [("lockgate_run_last_success_timestamp_seconds", up), ("lockgate_backup_last_success_timestamp_seconds", "")]
    {
        assert!(of(metric, labels).is_some_and(|at| (now - 120.0..=now + 1.0).contains(&at)), "{metric}");
    }
    let text = fs::read_to_string(scenario.path("lockgate.prom")).unwrap();
    assert!(
        text.contains("lockgate_runs_total{server=\"s:1\",database=\"other\"} 7\n"),
        "those of other databases stay"
    );
    assert!(!text.contains("somebody_elses"), "{text}");

    // To look changes nothing.
    scenario.run("status").await.succeeds();
    scenario.run("up --dry-run").await.succeeds();
    assert_eq!(fs::read_to_string(scenario.path("lockgate.prom")).unwrap(), text);
}

#[tokio::test]
async fn backups_that_fail_are_counted_until_one_does_not() {
    let scenario = Scenario::new("metrics_backup").await.tables(&["a"]);
    let file = "--prometheus-file lockgate.prom";
    let failures = || value(&scenario, "lockgate_backup_consecutive_failures", "");
    let broken = scenario.made_up_programs(&[(
        "pg_dump",
        "case \"$*\" in *--version*) exec \"$REAL/pg_dump\" \"$@\";; esac; echo 'no room' >&2; exit 1",
    )]);
    for expected in [1.0, 2.0] {
        scenario.run(&format!("backup {file}")).env("LOCKGATE_PG_BIN", &broken).await.exits_with(7);
        assert_eq!(failures(), Some(expected));
    }
    assert_eq!(value(&scenario, "lockgate_backup_last_success_timestamp_seconds", ""), None);
    assert!(value(&scenario, "lockgate_backup_last_failure_timestamp_seconds", "").is_some());
    scenario.run(&format!("backup {file}")).await.succeeds();
    assert_eq!(failures(), Some(0.0));
    assert_eq!(value(&scenario, "lockgate_backups_total", ",result=\"failure\""), Some(2.0));
}

/// Wherever a backup comes to an end, there is none.
#[tokio::test]
async fn every_backup_that_was_begun_and_came_to_nothing_is_counted_once() {
    let scenario = Scenario::new("metrics_no_backup").await.tables(&["a"]);
    let file = "--prometheus-file lockgate.prom";
    let failures = || value(&scenario, "lockgate_backup_consecutive_failures", "");
    let no_programs = scenario.made_up_programs(&[]);
    std::fs::remove_file(no_programs.join("pg_dump")).unwrap();
    scenario.write("taken", "a file where the folder should be");
    let wrong = scenario.run(&format!("backup {file}")).env("DB_PASSWORD", "not-the-password");
    wrong.await.refuses_with(8);
    assert_eq!(failures(), Some(1.0), "a wrong password");
    scenario.run(&format!("backup {file}")).env("LOCKGATE_PG_BIN", &no_programs).await.refuses_with(6);
    assert_eq!(failures(), Some(2.0), "no pg_dump");
    scenario.run(&format!("backup {file} --backup-dir taken/backups")).await.refuses_with(6);
    assert_eq!(failures(), Some(3.0), "no place");
    scenario.run(&format!("backup {file} --schema-only --hashes")).await.exits_with(2);
    assert_eq!(failures(), Some(3.0), "what is no command begins nothing");
    scenario.run(&format!("backup {file} --exclude-data nowhere")).await.refuses_with(2);
    assert_eq!(failures(), Some(4.0), "nothing of that name to leave out");
    // Those before a run.
    scenario.run(&format!("up {file}")).env("LOCKGATE_PG_BIN", &no_programs).await.refuses_with(6);
    assert_eq!(failures(), Some(5.0), "no pg_dump before a run");
    scenario.run(&format!("up {file} --backup-dir taken/backups")).await.refuses_with(6);
    assert_eq!(failures(), Some(6.0), "no place before a run");
    scenario.run(&format!("up {file} --backup-role nobody_of_this_name")).await.refuses_with(6);
    assert_eq!(failures(), Some(7.0), "no role to read it");
    let wrong = scenario.run(&format!("up {file}")).env("DB_PASSWORD", "not-the-password");
    wrong.await.refuses_with(8);
    scenario.run(&format!("up {file} --no-backup --dry-run")).await.succeeds();
    assert_eq!(failures(), Some(7.0), "a run that did not come to its backup has begun none");
    scenario.run(&format!("up {file}")).await.succeeds();
    assert_eq!(failures(), Some(0.0));
    assert_eq!(value(&scenario, "lockgate_backups_total", ",result=\"failure\""), Some(7.0));
}

#[tokio::test]
async fn a_failed_migration_stands_until_one_ends_well_whatever_else_is_refused_meanwhile() {
    let scenario =
        Scenario::new("metrics_stand").await.tables(&["a"]).migration("002_b", "SELECT nonsense", "SELECT 1");
    let file = "--no-backup --prometheus-file lockgate.prom";
    let stands = || value(&scenario, "lockgate_migrations_exit_code", "");
    scenario.run(&format!("up {file}")).env("DB_PORT", "1").await.refuses_with(8);
    scenario.run(&format!("down 7 {file}")).await.refuses_with(2);
    scenario.run(&format!("up --to 1 {file}")).await.succeeds();
    assert_eq!(stands(), Some(0.0));
    scenario.run(&format!("up {file}")).await.exits_with(1);
    assert_eq!(stands(), Some(1.0));
    scenario.run(&format!("down 7 {file}")).await.refuses_with(2);
    scenario.run(&format!("up {file}")).env("DB_PASSWORD", "wrong").await.refuses_with(8);
    assert_eq!(stands(), Some(1.0));
    scenario.run(&format!("down 1 {file}")).await.succeeds();
    assert_eq!(stands(), Some(0.0));
}

/// After a failover the series go on.
#[tokio::test]
async fn the_server_of_the_metrics_is_the_first_that_is_configured() {
    let scenario = Scenario::new("metrics_hosts").await.tables(&["a"]);
    let call = scenario.run("up --no-backup --prometheus-file lockgate.prom");
    let call = call.env("DB_HOST", format!("127.0.0.1,{}", scenario.host()));
    call.env("DB_PORT", format!("1,{}", scenario.port())).await.succeeds();
    let text = fs::read_to_string(scenario.path("lockgate.prom")).unwrap();
    assert!(text.contains("lockgate_runs_total{server=\"127.0.0.1:1\","), "{text}");
    assert!(!text.contains(&format!(":{}\"", scenario.port())), "{text}");
}

#[tokio::test]
async fn metrics_that_cannot_be_written_stop_no_run() {
    let scenario = Scenario::new("metrics_place").await.tables(&["a"]);
    let outcome = scenario.run("up --no-backup --prometheus-file nowhere/lockgate.prom").await.succeeds();
    assert_eq!(outcome.stderr.matches("metrics cannot be written").count(), 1, "{}", outcome.stderr);
    assert_eq!(scenario.applied().await, ["001"]);
    scenario.run("down 1 --prometheus-file metrics.txt").await.refuses_with(2).says("does not end in `.prom`");
    scenario.write("lockgate.toml", "[telemetry]\nprometheus = \"x.prom\"\n");
    scenario.run("up").await.refuses_with(2).says("line 2, column 1: unknown key `prometheus` under [telemetry]");
}

#[tokio::test]
async fn a_file_of_metrics_that_somebody_holds_slows_no_run() {
    let names: Vec<String> = (0..40).map(|i| format!("t{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let scenario = Scenario::new("metrics_held").await.tables(&names);
    let scenario = scenario.config("[telemetry]\nprometheus_file = \"lockgate.prom\"\nflush_timeout_ms = 300\n");
    let lock = fs::File::create(scenario.path("lockgate.prom.lock")).unwrap();
    let held = Flock::lock(lock, FlockArg::LockExclusive).unwrap();
    let begin = Instant::now();
    let outcome = scenario.run("up --no-backup").await.succeeds();
    // Were each of the 80 changes to wait for half a second, this would not be enough.
    assert!(begin.elapsed() < Duration::from_secs(35), "{:?}", begin.elapsed());
    assert_eq!(outcome.stderr.matches("metrics cannot be written").count(), 1, "{}", outcome.stderr);
    assert!(!scenario.path("lockgate.prom").exists());
    drop(held);
    scenario.run("down --to 1 --no-backup").await.succeeds();
    assert_eq!(value(&scenario, "lockgate_migrations_total", ",direction=\"down\",result=\"success\""), Some(39.0));
}
