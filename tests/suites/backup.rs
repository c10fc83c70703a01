//! A backup is whole before the first change, or there is no change.

use lockgate_tests::{Scenario, eventually};

/// What `pg_dump --version` says of a version that fits every server.
const NEW: &str = "if [ \"$1\" = --version ]; then exec \"$REAL/pg_dump\" --version; fi\n";

#[tokio::test]
async fn a_backup_is_taken_before_the_first_change_and_read_back() {
    let scenario = Scenario::new("backup").await.tables(&["a"]);
    let id = scenario.run("up").await.succeeds().prints("read back)").backup_id();
    assert_eq!(scenario.backups("backups"), [format!("{id}.dump.zst"), format!("{id}.json")]);
    assert_eq!(scenario.files("backups").len(), 3, "and what keeps them from being committed");
    scenario.run("backup list").await.succeeds().prints(&id).prints("none").prints("001_a").prints(scenario.database());
    let second = scenario.run("backup").await.succeeds().backup_id();
    scenario.run("backup list").await.succeeds().prints(&id).prints(&second);
    assert_eq!(scenario.journal().await.last().unwrap(), "backed_up");
}

#[tokio::test]
async fn a_backup_can_be_read_by_nobody_else() {
    use std::os::unix::fs::PermissionsExt;
    let scenario = Scenario::new("private").await.tables(&["a"]);
    let id = scenario.run("up").await.succeeds().backup_id();
    let mode = scenario.path(&format!("backups/{id}.dump.zst")).metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "{mode:o}");
}

#[tokio::test]
async fn no_backup_means_none() {
    let scenario = Scenario::new("no_backup").await.tables(&["a", "b"]);
    scenario
        .run("up --no-backup --to 1")
        .await
        .succeeds()
        .prints("no backup was taken")
        .says("no backup is taken: `--no-backup`");
    scenario.run("up").env("LOCKGATE_NO_BACKUP", "true").await.succeeds().prints("no backup was taken");
    assert!(scenario.files("backups").is_empty());
    assert!(scenario.journal().await.contains(&"backup_skipped".to_owned()));
}

#[tokio::test]
async fn the_backup_folder_may_be_elsewhere() {
    let scenario = Scenario::new("elsewhere").await.tables(&["a"]);
    scenario.run("up --backup-dir kept/here").await.succeeds();
    assert_eq!(scenario.backups("kept/here").len(), 2);
    scenario.run("backup list --backup-dir kept/here").await.succeeds().prints("001_a");
    scenario.run("backup list").await.succeeds().prints("no backups");
}

#[tokio::test]
async fn a_missing_pg_dump_stops_the_run() {
    let scenario = Scenario::new("no_pg_dump").await.tables(&["a"]);
    let before = scenario.state().await;
    std::fs::create_dir(scenario.path("empty")).unwrap();
    for arguments in ["up", "backup"] {
        scenario
            .run(arguments)
            .env("LOCKGATE_PG_BIN", scenario.path("empty"))
            .await
            .refuses_with(6)
            .says("`pg_dump` and `pg_restore` were not found")
            .says("client programs (Debian: `apt-get install postgresql-client-");
    }
    assert!(!scenario.has_history().await);
    scenario.is_still(&before).await;
    // Without a backup it is not needed.
    scenario
        .run("up --no-backup")
        .env("LOCKGATE_PG_BIN", scenario.path("empty"))
        .await
        .succeeds()
        .prints("applied 001_a");
}

#[tokio::test]
async fn a_pg_dump_that_is_too_old_stops_the_run() {
    let scenario = Scenario::new("old_pg_dump").await.tables(&["a"]);
    let before = scenario.state().await;
    let programs = scenario.made_up_programs(&[("pg_dump", "echo 'pg_dump (PostgreSQL) 9.6.24'")]);
    scenario
        .run("up")
        .env("LOCKGATE_PG_BIN", &programs)
        .await
        .refuses_with(6)
        .says(&format!("`{}/pg_dump` is of version 9, the server of ", programs.display()))
        .says("next: install PostgreSQL ");
    assert!(!scenario.has_history().await);
    scenario.is_still(&before).await;
}

#[tokio::test]
async fn a_pg_dump_that_fails_half_way_stops_the_run_and_leaves_no_file() {
    let scenario = Scenario::new("half_dump").await.tables(&["a", "b"]);
    scenario.run("up --no-backup --to 1").await.succeeds();
    let before = scenario.state().await;
    let half = "\"$REAL/pg_dump\" \"$@\" | head -c 200\necho 'pg_dump: error: it went wrong' >&2\nexit 1";
    let programs = scenario.made_up_programs(&[("pg_dump", &format!("{NEW}{half}"))]);
    scenario
        .run("up")
        .env("LOCKGATE_PG_BIN", &programs)
        .await
        .fails_with(7)
        .says("the backup failed")
        .says("pg_dump: error: it went wrong")
        .says("state: no migration was run")
        .says("`--no-backup`");
    assert_eq!(scenario.backups("backups"), Vec::<String>::new());
    assert_eq!(scenario.journal().await.last().unwrap(), "backup_failed");
    scenario.is_still(&before).await;
}

#[tokio::test]
async fn too_little_space_is_found_before_the_backup() {
    let scenario = Scenario::new("no_space").await.tables(&["a", "b"]);
    let id = scenario.run("up --to 1").await.succeeds().backup_id();
    let before = scenario.state().await;
    // The last backup tells how large the next will be: make it larger than any disk.
    let path = format!("backups/{id}.json");
    let mut manifest: serde_json::Value =
        serde_json::from_slice(&std::fs::read(scenario.path(&path)).unwrap()).unwrap();
    manifest["payload"]["bytes"] = (1_u64 << 60).into();
    scenario.write(&path, manifest.to_string());
    scenario
        .run("up")
        .await
        .refuses_with(6)
        .says("the backup needs about ")
        .says(" are free [disk-space]")
        .says("next: free some, or name another folder with `--backup-dir`");
    scenario.is_still(&before).await;
}

#[tokio::test]
async fn a_disk_that_fills_up_during_the_backup_stops_the_run_and_leaves_no_file() {
    let scenario = Scenario::new("disk_full").await.tables(&["a", "b"]);
    scenario.run("up --no-backup --to 1").await.succeeds();
    scenario.lines("CREATE TABLE big AS SELECT gen_random_uuid() FROM generate_series(1, 10000)").await;
    let before = scenario.state().await;
    // A limit of the file's size fails the write as a full disk does.
    scenario
        .shell("trap '' XFSZ; ulimit -f 64; exec \"$LOCKGATE\" up")
        .await
        .fails_with(7)
        .says("the backup failed")
        .says("File too large")
        .says("state: no migration was run");
    assert_eq!(scenario.backups("backups"), Vec::<String>::new());
    scenario.is_still(&before).await;
}

#[tokio::test]
async fn a_backup_folder_that_cannot_be_made_stops_the_run() {
    let scenario = Scenario::new("no_folder_for_it").await.tables(&["a"]);
    scenario.write("file", "");
    scenario
        .run("up --backup-dir file/backups")
        .await
        .refuses_with(6)
        .says("the backup folder `file/backups` cannot be made")
        .says("next: mend the permissions, or name another with `--backup-dir`");
    assert!(!scenario.has_history().await);
}

#[tokio::test]
async fn down_takes_a_backup_as_well() {
    let scenario = Scenario::new("down_backup").await.tables(&["a"]);
    scenario.up().await.succeeds();
    scenario.run("down 001").await.succeeds().prints("backed up as ");
    assert_eq!(scenario.backups("backups").len(), 2);
}

#[tokio::test]
async fn pg_dump_gets_the_password_by_a_private_file_only() {
    let scenario = Scenario::new("process_list").await.tables(&["a"]);
    // What `ps` shows of a process are its arguments and, to its owner, its environment.
    let spy = "tr '\\0' '\\n' </proc/$$/cmdline >>seen; tr '\\0' '\\n' </proc/$$/environ | grep -v ^DB_PASSWORD= >>seen
stat -c %a \"$PGPASSFILE\" >mode; cp \"$PGPASSFILE\" passfile; echo \"$PGPASSFILE\" >where
exec \"$REAL/pg_dump\" \"$@\"";
    let programs = scenario.made_up_programs(&[("pg_dump", &format!("{NEW}{spy}"))]);
    scenario.run("-vv up").env("LOCKGATE_PG_BIN", &programs).await.succeeds().never_mentions(scenario.password());
    let read = |name: &str| std::fs::read_to_string(scenario.path(name)).unwrap();
    assert!(read("seen").contains("--format=custom"), "{}", read("seen"));
    assert!(!read("seen").contains("hush"), "{}", read("seen"));
    assert!(read("passfile").contains("hush"), "the spy can see a password where there is one");
    assert_eq!(read("mode").trim(), "600");
    assert!(!std::path::Path::new(read("where").trim()).exists(), "the file is gone");
}

#[tokio::test]
async fn a_run_that_is_stopped_during_the_backup_leaves_no_file_and_no_password() {
    let scenario = Scenario::new("stopped_backup").await.tables(&["a"]);
    let before = scenario.state().await;
    let waits = "echo \"$PGPASSFILE\" >where.new; echo $$ >pid; mv where.new where; exec sleep 60";
    let programs = scenario.made_up_programs(&[("pg_dump", &format!("{NEW}{waits}"))]);
    let run = scenario.run("up").env("LOCKGATE_PG_BIN", &programs).start();
    eventually("pg_dump is under way", async || scenario.path("where").exists()).await;
    run.terminate();
    run.end().await.fails_with(1).says("stopped by SIGTERM").says("state: no migration was run");
    let passfile = std::fs::read_to_string(scenario.path("where")).unwrap();
    assert!(!std::path::Path::new(passfile.trim()).exists(), "the password is left in {passfile}");
    assert_eq!(scenario.backups("backups"), Vec::<String>::new());
    let pid = std::fs::read_to_string(scenario.path("pid")).unwrap();
    let process = std::path::PathBuf::from(format!("/proc/{}", pid.trim()));
    eventually("pg_dump has ended", async || !process.exists()).await;
    scenario.is_still(&before).await;
}
