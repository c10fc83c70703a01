//! A drill shows that the newest backup can be restored, how long that takes, and how much would be lost.

use std::{fs, path::Path, sync::Arc};

use lockgate::throwaway::{Pace, Server};
use lockgate_tests::{Scenario, eventually};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// A database with a backup, and the backup's name.
async fn backed_up(scenario: Scenario) -> (Scenario, String) {
    let scenario = scenario.tables(&["a", "b"]);
    scenario.up().await.succeeds();
    scenario.lines("INSERT INTO a SELECT generate_series(1, 100)").await;
    let id = scenario.run("backup --hashes").await.succeeds().backup_id();
    (scenario, id)
}

async fn databases(scenario: &Scenario) -> Vec<String> {
    let sql = format!("SELECT datname FROM pg_database WHERE datname LIKE '{}\\_%'", scenario.database());
    scenario.superuser_in("postgres").await.lines(&sql).await
}

#[tokio::test]
async fn a_drill_that_meets_its_targets_ends_well_and_is_noted() {
    let (scenario, id) = backed_up(Scenario::new("drill").await).await;
    let before = scenario.state().await;
    scenario
        .run("drill")
        .await
        .succeeds()
        .prints(&format!("backup {id} is proved to level 3: compared"))
        .prints("compared by the number of rows, ")
        .prints("RTO: ")
        .prints(" of 900 s, met")
        .prints(" of 300 s, met (since this backup: the server does not archive its write-ahead log)");
    assert!(databases(&scenario).await.is_empty(), "the scratch database is dropped");
    scenario.is_still(&before).await;
    scenario.run("backup list").await.succeeds().prints("3 compared");
    let entry = "SELECT event, detail FROM schema_migrations_journal ORDER BY id DESC LIMIT 1";
    let noted = scenario.value(entry).await;
    assert!(noted.starts_with(&format!("drilled|backup {id}: restored in ")), "{noted}");
    scenario.run("history --verify").await.succeeds();
}

#[tokio::test]
async fn a_password_file_for_the_one_database_is_told_which_line_it_needs() {
    let (scenario, _) = backed_up(Scenario::new("drill_passfile").await).await;
    let path = scenario.path("passfile");
    let drill = async |database: &str| {
        let password = scenario.password().replace('\\', r"\\").replace(':', r"\:");
        scenario.write("passfile", format!("{}:{}:{database}:*:{password}\n", scenario.host(), scenario.port()));
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        scenario.run("drill").without("DB_PASSWORD").env("PGPASSFILE", &path).await
    };
    let refused = drill(scenario.database()).await.fails_with(8);
    refused
        .says("`postgres`: ")
        .says("`template1`: ")
        .says(&format!("has a line for `{}` only", scenario.database()))
        .says(&format!("`{}:{}:*:", scenario.host(), scenario.port()));
    drill("*").await.succeeds();
}

#[tokio::test]
async fn a_drill_tells_each_part_to_programs() {
    let (scenario, id) = backed_up(Scenario::new("drill_json").await).await;
    let drill = scenario.run("drill --output json").await.succeeds().json();
    assert_eq!(drill["backup"], id);
    assert_eq!((&drill["level"], &drill["rto"]["met"]), (&3.into(), &true.into()));
    assert_eq!(drill["rpo"]["since"], "backup");
    assert!(drill["tables_hashed"].as_u64() >= Some(2), "{drill}");
    let phases = drill["phases"].as_array().unwrap();
    let names: Vec<&str> = phases.iter().map(|phase| phase["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["find", "digests", "decode", "create", "restore", "analyze", "compare", "drop"]);
    let needed: u64 = phases.iter().filter(|p| p["name"] != "drop").map(|p| p["ms"].as_u64().unwrap()).sum();
    assert_eq!(drill["rto"]["measured_ms"], needed);
}

#[tokio::test]
async fn a_target_that_is_missed_has_an_exit_code_and_a_name() {
    let (scenario, _) = backed_up(Scenario::new("drill_missed").await).await;
    for (config, missed, met) in [
        ("[drill]\nrto_s = 0", " of 0 s, MISSED\nRPO: ", " of 300 s, met"),
        ("[drill]\nrpo_s = 0", " of 0 s, MISSED (since this backup", " of 900 s, met"),
    ] {
        scenario.write("lockgate.toml", config);
        scenario.run("drill").await.exits_with(6).prints(missed).prints(met);
    }
    let entries = "SELECT detail ~ 'missed: (RTO|RPO)$' FROM schema_migrations_journal WHERE event = 'drilled'";
    assert_eq!(scenario.lines(entries).await, ["t", "t"]);
}

#[tokio::test]
async fn a_backup_that_cannot_be_restored_fails_the_drill() {
    let (scenario, id) = backed_up(Scenario::new("drill_damaged").await).await;
    let path = format!("backups/{id}.dump.zst");
    let whole = fs::read(scenario.path(&path)).unwrap();
    scenario.write(&path, &whole[..whole.len() - 1]);
    scenario
        .run("drill")
        .await
        .fails_with(7)
        .says(&format!("backup `{id}` cannot be relied on"))
        .says(" bytes, the manifest says ");
    scenario.write(&path, whole);
    let fails = "case \"$*\" in *--list*) exec \"$REAL/pg_restore\" \"$@\";; esac
                 cat >/dev/null; echo 'it went wrong' >&2; exit 1";
    let programs = scenario.made_up_programs(&[("pg_restore", fails)]);
    scenario.run("drill").env("LOCKGATE_PG_BIN", &programs).await.fails_with(7).says("it went wrong");
    assert!(databases(&scenario).await.is_empty());
    let entries = "SELECT detail ~ 'cannot be relied on' FROM schema_migrations_journal WHERE event = 'drilled'";
    assert_eq!(scenario.lines(entries).await, ["t", "t"]);
    scenario.run("backup list").await.succeeds().prints("1 decoded");
}

#[tokio::test]
async fn without_a_whole_backup_there_is_no_drill() {
    let scenario = Scenario::new("drill_none").await.tables(&["a"]);
    scenario.run("backup --schema-only").await.succeeds();
    let outcome = scenario.run("drill").await.refuses_with(2);
    outcome.says("that leaves nothing out").says("next: take one: `lockgate backup`");
}

#[tokio::test]
async fn a_drill_removes_what_one_that_was_killed_has_left() {
    let (scenario, _) = backed_up(Scenario::new("drill_killed").await).await;
    let failing = Path::new(env!("CARGO_BIN_EXE_torture"));
    for point in ["DatabaseMade", "DatabaseFilled"] {
        let killed = scenario.run_program(failing, "drill").env("FAILPOINTS", format!("{point}=return")).await;
        assert_eq!(killed.signal, Some(9), "{}", killed.stderr);
        assert_eq!(databases(&scenario).await.len(), 1);
        scenario.run("drill").await.succeeds();
        assert!(databases(&scenario).await.is_empty());
    }
}

#[tokio::test]
async fn an_archive_of_the_write_ahead_log_counts() {
    let pg_bin = std::env::var_os("LOCKGATE_PG_BIN").map(std::path::PathBuf::from);
    let server = Arc::new(Server::embedded(pg_bin.as_deref(), Pace::Hasty).await.unwrap());
    let (scenario, _) = backed_up(Scenario::on(server, "drill_archive").await).await;
    let superuser = scenario.superuser_in("postgres").await;
    let folder = superuser.value("SHOW data_directory").await;
    superuser.lines("ALTER SYSTEM SET archive_mode = 'on'").await;
    superuser.lines("ALTER SYSTEM SET archive_command = 'true'").await;
    // Such a setting needs a new start, which a server that was killed gets.
    let pid = fs::read_to_string(format!("{folder}/postmaster.pid")).unwrap();
    kill(Pid::from_raw(pid.lines().next().unwrap().parse().unwrap()), Signal::SIGKILL).unwrap();
    eventually("the server is gone", async || superuser.try_lines("SELECT 1").await.is_err()).await;
    eventually("the server is back", async || scenario.can_be_reached().await).await;
    let superuser = scenario.superuser_in("postgres").await;
    scenario.run("drill").await.succeeds().prints("(since this backup: the server has not archived anything yet)");
    superuser.lines("SELECT pg_switch_wal()").await;
    let archived = "SELECT last_archived_time IS NOT NULL FROM pg_stat_archiver";
    eventually("a segment is archived", async || superuser.value(archived).await == "t").await;
    scenario.run("drill").await.succeeds().prints("(since the last segment of the write-ahead log was archived");
    superuser.lines("ALTER SYSTEM SET archive_command = 'false'").await;
    superuser.lines("SELECT pg_reload_conf()").await;
    let failed = "SELECT last_failed_time > last_archived_time FROM pg_stat_archiver";
    eventually("archiving fails", async || {
        // The archiver may not have heard of the new setting yet, and be content with this one.
        superuser.lines("SELECT pg_create_restore_point('x'), pg_switch_wal()").await;
        superuser.value(failed).await == "t"
    })
    .await;
    let fails = "(since this backup: the server fails to archive its write-ahead log)";
    scenario.run("drill").await.succeeds().prints(fails);
}
