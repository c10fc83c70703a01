//! Clients beside a migration feel what the old application will: locks as long as they are held, and what is no longer there.

use std::{path::PathBuf, time::Duration};

use lockgate::{
    rehearsal::{Felt, Workload, workload::Clients},
    testing::{Connection, Database},
};
use lockgate_tests::eventually;
use tempfile::TempDir;

/// A database with a table, and a file of statements.
struct Bench {
    database: Database,
    folder: TempDir,
}

impl Bench {
    async fn new(name: &str, workload: &str) -> Self {
        let database = Database::named(name).await.unwrap();
        database.run("CREATE TABLE t AS SELECT n AS id, n AS v FROM generate_series(1, 100) n").await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("work.sql"), workload).unwrap();
        Self { database, folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("work.sql")
    }

    async fn try_start(&self, clients: u32) -> lockgate::error::Result<Clients> {
        let pg_bin = std::env::var_os("LOCKGATE_PG_BIN").map(PathBuf::from);
        Clients::start(&self.database.target(), &self.file(), clients, pg_bin.as_deref()).await
    }

    async fn start(&self, clients: u32) -> Clients {
        self.try_start(clients).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Waits until so many sessions wait for a lock.
    async fn waiting(&self, sessions: u32) {
        let sql =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let superuser = self.database.connect_as_superuser().await.unwrap();
        let expected = sessions.to_string();
        eventually("sessions wait", async || superuser.rows(sql).await.unwrap()[0][0] == expected).await;
    }

    /// Why it does not start.
    async fn refusal(&self) -> String {
        match self.try_start(1).await {
            Ok(_) => panic!("it starts"),
            Err(error) => {
                assert_eq!(error.exit_code() as u8, 2, "{error}");
                error.to_string()
            }
        }
    }
}

fn felt<'a>(workload: &'a Workload, phase: &str) -> &'a Felt {
    workload.phases.iter().find(|felt| felt.phase == phase).unwrap_or_else(|| panic!("no `{phase}` in {workload:?}"))
}

/// Holds a table for that long so that nobody can even read it.
async fn hold(session: &Connection, table: &str, time: Duration) {
    session.run(&format!("BEGIN; LOCK {table} IN ACCESS EXCLUSIVE MODE")).await.unwrap();
    tokio::time::sleep(time).await;
    session.run("COMMIT").await.unwrap();
}

/// Long beside all that a busy machine may let a statement wait for.
const HELD: Duration = Duration::from_millis(1_500);

/// Whether the named pgbench is there; printed where it is not.
fn has_pgbench() -> bool {
    let folder =
        std::env::var_os("LOCKGATE_PG_BIN").map_or_else(|| PathBuf::from("/usr/lib/postgresql/15/bin"), PathBuf::from);
    let there = folder.join("pgbench").is_file();
    if !there {
        eprintln!("left out: there is no pgbench in {}", folder.display());
    }
    there
}

#[tokio::test]
async fn a_lock_is_felt_in_its_phase_and_not_before() {
    let bench = Bench::new("felt_lock", "-- weight: 3\nSELECT v FROM t WHERE id = 7;\nSELECT count(*) FROM t;").await;
    let session = bench.database.connect().await.unwrap();
    let clients = bench.start(2).await;
    clients.phase("001_lock").await.unwrap();
    hold(&session, "t", HELD).await;
    clients.phase("002_quiet").await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let workload = clients.stop().await;
    let names: Vec<&str> = workload.phases.iter().map(|felt| felt.phase.as_str()).collect();
    assert_eq!(names, ["before", "001_lock", "002_quiet", "after"]);
    assert_eq!((workload.clients, workload.file.ends_with("work.sql")), (2, true));
    let (before, lock) = (felt(&workload, "before"), felt(&workload, "001_lock"));
    assert!(before.done > 0 && before.duration_ms >= 1_000, "{before:?}");
    assert!(lock.max_ms >= 750.0 && lock.done >= 2, "{lock:?}");
    // Both clients hung for the whole of it: whoever had come meanwhile would have waited, too.
    assert!(lock.p95_ms > 400.0 && lock.p50_ms > 150.0, "{lock:?}");
    assert!(before.p95_ms < lock.p95_ms && before.p50_ms < lock.p50_ms, "{before:?}");
    assert!(felt(&workload, "after").done > 0, "{workload:?}");
    assert!(workload.phases.iter().all(|felt| felt.failed == 0 && felt.errors.is_empty()), "{workload:?}");
}

#[tokio::test]
async fn what_is_gone_is_an_error_from_then_on() {
    let bench = Bench::new("felt_drop", "SELECT v FROM t WHERE id = 7;\nUPDATE t SET id = id WHERE id = 1").await;
    let clients = bench.start(2).await;
    // What was sent before has come to its end by then, however busy the machine is.
    clients.phase("001_quiet").await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    clients.phase("002_rename").await.unwrap();
    bench.database.run("ALTER TABLE t DROP COLUMN v").await.unwrap();
    let workload = clients.stop().await;
    assert!(felt(&workload, "before").errors.is_empty(), "{workload:?}");
    let after = felt(&workload, "after");
    assert_eq!(after.errors.len(), 1, "{after:?}");
    let error = &after.errors[0];
    assert_eq!(
        (error.message.as_str(), error.statement.as_str()),
        ("column \"v\" does not exist", "SELECT v FROM t WHERE id = 7")
    );
    assert!(error.times == after.failed && after.failed > 0 && after.done > 0, "the other goes on: {after:?}");
}

#[tokio::test]
async fn a_client_that_hangs_until_the_end_is_told_and_let_go() {
    let bench = Bench::new("felt_hang", "SELECT v FROM t WHERE id = 7").await;
    let session = bench.database.connect().await.unwrap();
    let clients = bench.start(1).await;
    clients.phase("001_hang").await.unwrap();
    session.run("BEGIN; LOCK t IN ACCESS EXCLUSIVE MODE").await.unwrap();
    bench.waiting(1).await;
    let workload = clients.stop().await;
    let hang = felt(&workload, "001_hang");
    assert!(hang.failed == 1 && hang.max_ms > 1_900.0, "a second of `after`, and one of grace: {hang:?}");
    assert!(hang.errors[0].message.contains("not finished"), "{hang:?}");
    assert!(felt(&workload, "after").p50_ms > 300.0, "who had come then would have waited as well: {workload:?}");
    // It is not in the queue any longer, though the lock is still held.
    bench.waiting(0).await;
}

#[tokio::test]
async fn a_client_whose_connection_ends_is_back_with_a_new_one() {
    let bench = Bench::new("felt_lost", "SELECT v FROM t WHERE id = 7").await;
    let clients = bench.start(2).await;
    clients.phase("001_kill").await.unwrap();
    let superuser = bench.database.connect_as_superuser().await.unwrap();
    let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
               WHERE datname = current_database() AND application_name LIKE 'lockgate client %'";
    assert_eq!(superuser.rows(sql).await.unwrap()[0][0], "2");
    let back = "SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND application_name LIKE 'lockgate client %'";
    eventually("both are back", async || superuser.rows(back).await.unwrap()[0][0] == "2").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let workload = clients.stop().await;
    let kill = felt(&workload, "001_kill");
    assert!(kill.done > 0, "{kill:?}");
    let after = felt(&workload, "after");
    assert!(after.done > 0 && after.failed == 0, "{after:?}");
}

#[tokio::test]
async fn clients_that_are_dropped_are_gone() {
    for workload in ["SELECT v FROM t WHERE id = 7", SCRIPT] {
        if workload == SCRIPT && !has_pgbench() {
            continue;
        }
        let bench = Bench::new("felt_dropped", workload).await;
        let superuser = bench.database.connect_as_superuser().await.unwrap();
        let sql = "SELECT count(*) FROM pg_stat_activity
                   WHERE datname = current_database() AND application_name LIKE 'lockgate client %'";
        let sessions = async || superuser.rows(sql).await.unwrap()[0][0].clone();
        let clients = bench.start(2).await;
        eventually("both are there", async || sessions().await == "2").await;
        drop(clients);
        eventually("both are gone", async || sessions().await == "0").await;
    }
}

#[tokio::test]
async fn a_statement_that_does_not_work_before_the_first_migration_is_named() {
    let bench = Bench::new("felt_bad", "SELECT v FROM t;\n\nSELECT nothing FROM t;\nSELECT 1 FROM nowhere").await;
    let said = bench.refusal().await;
    for part in ["work.sql:3: column \"nothing\" does not exist", "work.sql:4: relation \"nowhere\" does not exist"] {
        assert!(said.contains(part), "{part} not in: {said}");
    }
    let bench = Bench::new("felt_begin", "SELECT 1;\nBEGIN").await;
    assert!(bench.refusal().await.contains("work.sql:2: it controls a transaction"));
    // What can be prepared, and fails whenever it runs.
    let bench = Bench::new("felt_fails", "SELECT v FROM t;\nSELECT 1 / (v - v) FROM t").await;
    let clients = bench.start(1).await;
    let said = clients.phase("001").await.unwrap_err().to_string();
    assert!(said.contains("`SELECT 1 / (v - v) FROM t`: division by zero") && said.contains("before"), "{said}");
    assert!(!said.contains("`SELECT v FROM t`"), "{said}");
}

const SCRIPT: &str =
    "\\set id random(1, 100)\nBEGIN;\nSELECT v FROM t WHERE id = :id;\nUPDATE t SET v = v + 1 WHERE id = :id;\nEND;\n";

#[tokio::test]
async fn a_script_for_pgbench_feels_locks_and_errors_in_their_phases() {
    if !has_pgbench() {
        return;
    }
    let bench = Bench::new("felt_pgbench", SCRIPT).await;
    let session = bench.database.connect().await.unwrap();
    let clients = bench.start(2).await;
    clients.phase("001_lock").await.unwrap();
    hold(&session, "t", HELD).await;
    clients.phase("002_drop").await.unwrap();
    session.run("ALTER TABLE t RENAME COLUMN v TO w").await.unwrap();
    let workload = clients.stop().await;
    let names: Vec<&str> = workload.phases.iter().map(|felt| felt.phase.as_str()).collect();
    assert_eq!(names, ["before", "001_lock", "002_drop", "after"]);
    let (before, lock) = (felt(&workload, "before"), felt(&workload, "001_lock"));
    // A transaction that a slow machine has under way for longer than it takes to settle meets the lock as well.
    assert!(before.done > 0 && before.failed == 0 && before.p50_ms < lock.p50_ms, "{before:?}");
    assert!(lock.max_ms >= 750.0 && lock.failed == 0, "{lock:?}");
    assert!(lock.p95_ms > 400.0, "{lock:?}");
    let after = felt(&workload, "after");
    assert!(after.done == 0 && after.failed > 0, "{after:?}");
    assert_eq!(after.errors.len(), 1, "{after:?}");
    let error = &after.errors[0];
    assert_eq!((error.message.as_str(), error.times), ("column \"v\" does not exist", after.failed));
    assert_eq!(error.statement, "SELECT v FROM t WHERE id = :id");
}

#[tokio::test]
async fn a_script_that_hangs_until_the_end_is_told_with_all_that_it_did_before() {
    if !has_pgbench() {
        return;
    }
    let bench = Bench::new("felt_pgbench_hang", SCRIPT).await;
    let session = bench.database.connect().await.unwrap();
    let clients = bench.start(1).await;
    clients.phase("001_hang").await.unwrap();
    session.run("BEGIN; LOCK t IN ACCESS EXCLUSIVE MODE").await.unwrap();
    bench.waiting(1).await;
    let workload = clients.stop().await;
    assert!(felt(&workload, "before").done > 0, "its log is not lost: {workload:?}");
    let hang = felt(&workload, "001_hang");
    assert!(hang.failed == 1 && hang.max_ms > 1_900.0, "{workload:?}");
    assert!(hang.errors[0].message.contains("not finished"), "{hang:?}");
    assert_eq!(felt(&workload, "after").failed, 0, "{workload:?}");
}

#[tokio::test]
async fn a_script_that_pgbench_cannot_run_is_refused_with_its_words() {
    if !has_pgbench() {
        return;
    }
    let bench = Bench::new("felt_pgbench_bad", "\\nothing at all\nSELECT 1;\n").await;
    let said = bench.refusal().await;
    assert!(said.contains("work.sql") && said.contains("invalid command"), "{said}");
    let bench = Bench::new("felt_pgbench_sql", "\\set a 1\nSELECT x FROM t WHERE id = :a;\n").await;
    let said = bench.refusal().await;
    assert!(said.contains("column \"x\" does not exist") && said.contains("before the first migration"), "{said}");
    let password = bench.database.target().given_password().map(|p| p.reveal().to_owned()).unwrap();
    assert!(!said.contains(&password));
}

#[tokio::test]
async fn without_pgbench_its_scripts_are_refused_with_what_to_install() {
    let bench = Bench::new("felt_no_pgbench", SCRIPT).await;
    let started = Clients::start(&bench.database.target(), &bench.file(), 1, Some(bench.folder.path())).await;
    let said = started.err().unwrap().to_string();
    assert!(said.contains("`pgbench` was not found") && said.contains("next: install it"), "{said}");
}
