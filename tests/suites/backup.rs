//! A backup is whole before the first change, or there is no change.

use std::path::Path;

use lockgate::{
    backup::{Content, Level, Manifest},
    failpoint::Failpoint,
};
use lockgate_tests::{Scenario, eventually, make_old};

/// What `pg_dump --version` says of a version that fits every server.
const NEW: &str = "if [ \"$1\" = --version ]; then exec \"$REAL/pg_dump\" --version; fi\n";

/// What a backup says of itself.
fn manifest_of(scenario: &Scenario, id: &str) -> Manifest {
    let text = std::fs::read(scenario.path(&format!("backups/{id}.json"))).unwrap();
    Manifest::open(id, &text).unwrap()
}

/// `[backup]` in `lockgate.toml`.
fn settings(scenario: &Scenario, lines: &str) {
    scenario.write("lockgate.toml", format!("[backup]\n{lines}\n"));
}

#[tokio::test]
async fn a_backup_is_taken_before_the_first_change_and_read_back() {
    let scenario = Scenario::new("backup").await.tables(&["a"]);
    let id = scenario.run("up").await.succeeds().prints("read back)").backup_id();
    let files = [".dump.zst", ".globals.sql.zst", ".json", ".properties.json.zst"].map(|end| format!("{id}{end}"));
    assert_eq!(scenario.backups("backups"), files);
    assert_eq!(scenario.files("backups").len(), 5, "and what keeps them from being committed");
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
    assert_eq!(scenario.backups("kept/here").len(), 4);
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
    let mut manifest = manifest_of(&scenario, &id);
    manifest.parts[0].bytes = 1 << 60;
    scenario.write(&path, manifest.sealed().1);
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
async fn what_is_beside_the_backups_keeps_nobody_waiting() {
    let scenario = Scenario::new("beside").await.tables(&["a"]);
    let id = scenario.run("backup").await.succeeds().backup_id();
    std::fs::create_dir(scenario.path("backups/lost+found")).unwrap();
    let pipe = |name: &str| nix::unistd::mkfifo(&scenario.path(name), nix::sys::stat::Mode::S_IRWXU).unwrap();
    pipe("backups/note.json");
    let like_ours = "20200101T000000Z_0123abcd";
    pipe(&format!("backups/{like_ours}.json"));
    pipe(&format!("backups/{id}.verified.json"));
    let list = scenario.run("backup list").await.succeeds();
    list.prints(&id).prints(&format!("DAMAGED: the manifest of {like_ours}: it is no regular file"));
    scenario.run("up").await.succeeds();
}

#[tokio::test]
async fn a_backup_folder_that_is_a_link_to_nothing_is_said_to_be_one() {
    let scenario = Scenario::new("dangling").await.tables(&["a"]);
    std::os::unix::fs::symlink("nowhere", scenario.path("link")).unwrap();
    let failed = scenario.run("backup --backup-dir link").await.fails_with(7);
    failed.says("`link` is a link to what is not there");
}

#[tokio::test]
async fn down_takes_a_backup_as_well() {
    let scenario = Scenario::new("down_backup").await.tables(&["a"]);
    scenario.up().await.succeeds();
    scenario.run("down 001").await.succeeds().prints("backed up as ");
    assert_eq!(scenario.backups("backups").len(), 4);
}

#[tokio::test]
async fn pg_dump_gets_the_password_by_a_private_file_only() {
    let scenario = Scenario::new("process_list").await.tables(&["a"]);
    // What `ps` shows of a process are its arguments and, to its owner, its environment.
    let spy = "tr '\\0' '\\n' </proc/$$/cmdline >>seen; tr '\\0' '\\n' </proc/$$/environ | grep -v ^DB_PASSWORD= >>seen
stat -L -c %a \"$PGPASSFILE\" >mode; cp \"$PGPASSFILE\" passfile; echo \"$PGPASSFILE\" >where
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
async fn a_run_that_is_killed_during_the_backup_leaves_no_file_with_the_password() {
    let scenario = Scenario::new("killed_backup").await.tables(&["a"]);
    std::fs::create_dir(scenario.path("tmp")).unwrap();
    let waits = "grep -c hush \"$PGPASSFILE\" >count; echo \"$PGPASSFILE\" >where.new; echo $$ >pid; mv where.new where; exec sleep 60";
    let programs = scenario.made_up_programs(&[("pg_dump", &format!("{NEW}{waits}"))]);
    let run = scenario.run("up").env("LOCKGATE_PG_BIN", &programs).env("TMPDIR", scenario.path("tmp")).start();
    eventually("pg_dump is under way", async || scenario.path("where").exists()).await;
    run.kill();
    let read = |name: &str| std::fs::read_to_string(scenario.path(name)).unwrap();
    let pg_dump = nix::unistd::Pid::from_raw(read("pid").trim().parse().unwrap());
    nix::sys::signal::kill(pg_dump, nix::sys::signal::Signal::SIGKILL).unwrap();
    assert_eq!(run.end().await.signal, Some(9));
    assert_eq!(read("count").trim(), "1", "pg_dump could read it");
    assert!(!std::path::Path::new(read("where").trim()).exists(), "the password is left in {}", read("where"));
    assert_eq!(scenario.files("tmp"), Vec::<String>::new(), "something is left");
}

#[tokio::test]
async fn who_may_not_read_every_row_is_told_of_the_role_that_may() {
    let scenario = Scenario::new("forced_rows").await.tables(&["a"]);
    scenario.up().await.succeeds();
    let scenario = scenario.migration("002_b", "CREATE TABLE b ();", "DROP TABLE b;");
    scenario.lines("ALTER TABLE a ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY").await;
    let failed = scenario.run("rehearse --fresh").await.fails_with(7);
    let cause = failed.stderr.find("cause: ").expect("a cause");
    let real = failed.stderr.find("row-level security policy for table \"a\"").expect("the real cause");
    assert!(real > cause && !failed.stderr[cause..real].contains("snapshot"), "{}", failed.stderr);
    failed.says("--backup-role ROLE").says("BYPASSRLS");
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

#[tokio::test]
async fn the_manifest_tells_what_the_snapshot_held_and_fits_its_schema() {
    let scenario = Scenario::new("manifest").await.tables(&["a"]);
    scenario.up().await.succeeds();
    scenario
        .lines("CREATE TABLE \"Odd.Name\" AS SELECT generate_series(1, 7) AS n; CREATE VIEW v AS SELECT 1; SELECT lo_create(0)")
        .await;
    let database = scenario.database();
    scenario
        .lines(&format!(
            "ALTER DATABASE {database} SET work_mem = '5MB'; COMMENT ON DATABASE {database} IS 'it''s';
                             REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC"
        ))
        .await;
    let id = scenario.run("backup --hashes").await.succeeds().backup_id();
    let manifest = manifest_of(&scenario, &id);
    let table = |name: &str| manifest.contents.tables.iter().find(|table| table.name == name).map(|table| table.rows);
    assert_eq!((table("\"public\".\"Odd.Name\""), table("\"public\".\"v\"")), (Some(7), None));
    assert!(manifest.contents.has_hashes());
    assert_eq!(manifest.contents.large_objects, 1);
    assert_eq!(manifest.applied, ["001"]);
    assert_eq!(manifest.verified, Level::Decoded);
    let contents = [Content::Dump, Content::Properties, Content::Globals];
    assert_eq!(manifest.parts.iter().map(|part| part.content).collect::<Vec<_>>(), contents);
    let text = std::fs::read_to_string(scenario.path(&format!("backups/{id}.json"))).unwrap();
    assert!(!text.contains(scenario.password()));

    let schema = include_str!("../../docs/manifest.schema.json");
    let schema: serde_json::Value = serde_json::from_str(schema).unwrap();
    let errors = |value: &serde_json::Value| undescribed(value, &schema, "manifest");
    let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(errors(&value), Vec::<String>::new());
    value["more"] = 1.into();
    assert_eq!(errors(&value).len(), 1, "the schema refuses what it does not describe");
}

/// Where a value is not as a JSON schema describes it: keys that it does not know, keys that are missing, values that are none of a list.
pub(crate) fn undescribed(value: &serde_json::Value, schema: &serde_json::Value, at: &str) -> Vec<String> {
    use serde_json::Value;
    let mut wrong = Vec::new();
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                match schema["properties"].get(key) {
                    Some(schema) => wrong.extend(undescribed(value, schema, &format!("{at}.{key}"))),
                    None => wrong.push(format!("{at}.{key} is not described")),
                }
            }
            let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            wrong.extend(required.filter(|key| !object.contains_key(*key)).map(|key| format!("{at}.{key} is missing")));
        }
        Value::Array(items) => {
            wrong.extend(items.iter().flat_map(|item| undescribed(item, &schema["items"], at)));
        }
        value => {
            let among = schema["enum"].as_array().is_none_or(|list| list.contains(value));
            if !among || schema.get("const").is_some_and(|only| only != value) {
                wrong.push(format!("{at} is {value}"));
            }
        }
    }
    wrong
}

#[tokio::test]
async fn one_backup_follows_another_in_the_order_of_their_numbers() {
    let scenario = Scenario::new("sequence").await.tables(&["a"]);
    let first = scenario.run("backup").await.succeeds().backup_id();
    let second = scenario.run("backup").await.succeeds().backup_id();
    assert_eq!([first, second].map(|id| manifest_of(&scenario, &id).sequence), [1, 2]);
}

#[tokio::test]
async fn an_encrypted_backup_needs_no_private_key_to_be_taken_and_one_to_be_read() {
    let scenario = Scenario::new("encrypted").await.tables(&["a", "b"]);
    scenario.run("up --no-backup --to 1").await.succeeds();
    scenario.lines("CREATE TABLE secrets AS SELECT 'open sesame' AS word").await;
    let before = scenario.state().await;
    let (public, private) = key();
    settings(&scenario, &format!("recipients = [\"{public}\"]"));
    let id = scenario.run("up").await.succeeds().prints("encrypted, read back").backup_id();
    scenario.run("backup list").await.succeeds().prints("(encrypted)");
    for end in ["dump.zst.age", "globals.sql.zst.age", "properties.json.zst.age"] {
        let bytes = std::fs::read(scenario.path(&format!("backups/{id}.{end}"))).unwrap();
        assert!(bytes.starts_with(b"age-encryption.org/v1"), "{end}");
    }

    scenario.run(&format!("backup verify {id} --level 0")).await.succeeds();
    for command in ["backup verify", "restore"] {
        let says = "is encrypted, and no private key is named";
        scenario.run(&format!("{command} {id}")).await.refuses_with(2).says(says).says("--identity FILE");
    }
    private_file(&scenario, "other.key", &key().1);
    scenario.run(&format!("backup verify {id} --identity other.key")).await.fails_with(7).says("cannot be decoded");
    scenario.write("open.key", &private);
    scenario
        .run(&format!("restore {id} --identity open.key"))
        .await
        .refuses_with(2)
        .says("others have access to it (mode 0644)")
        .never_mentions(&private);
    private_file(&scenario, "own.key", &private);
    scenario.run(&format!("backup verify {id} --identity own.key")).await.succeeds().prints("is proved to level 1");
    scenario.run(&format!("restore {id} --identity own.key")).await.succeeds();
    scenario.is_still(&before).await;
}

#[tokio::test]
async fn a_recipient_that_is_none_is_refused_and_a_private_key_not_shown() {
    let scenario = Scenario::new("recipient").await.tables(&["a"]);
    let (_, private) = key();
    for (wrong, shown) in [("age1nonsense", "age1nonsense"), (private.as_str(), "a private key")] {
        settings(&scenario, &format!("recipients = [\"{wrong}\"]"));
        let refused = scenario.run("up").await.refuses_with(2).says("is no public key of age").says(shown);
        refused.never_mentions(&private);
    }
    assert!(!scenario.has_history().await);
}

#[tokio::test]
async fn the_value_of_a_setting_is_in_nothing_that_can_be_read_without_the_key() {
    let scenario = Scenario::new("secret_setting").await.tables(&["a"]);
    scenario.up().await.succeeds();
    let (database, role) = (scenario.database(), scenario.role("").await);
    let superuser = scenario.superuser_in("postgres").await;
    superuser.lines(&format!("ALTER DATABASE {database} SET app.jwt_secret = 'open sesame'")).await;
    superuser.lines(&format!("ALTER ROLE {role} IN DATABASE {database} SET app.other = 'open barley'")).await;
    let (public, private) = key();
    settings(&scenario, &format!("recipients = [\"{public}\"]\nidentity = \"own.key\""));
    private_file(&scenario, "own.key", &private);
    let hidden = |outcome: lockgate_tests::Outcome| outcome.succeeds().never_mentions("open ");
    let taken = hidden(scenario.run("-vv backup --output json").await).json();
    let id = taken["id"].as_str().unwrap().to_owned();
    hidden(scenario.run("backup list --output json").await);
    for name in scenario.backups("backups") {
        let bytes = std::fs::read(scenario.path(&format!("backups/{name}"))).unwrap();
        assert!(!bytes.windows(5).any(|window| window == b"open "), "{name}");
    }
    // Only a superuser may give settings that the server does not know, or settings to other roles.
    let restored = hidden(scenario.run(&format!("restore {id} --output json")).await);
    let warned = restored.says("not carried over: ALTER ").json()["warnings"].to_string();
    for told in [r#"SET \"app.jwt_secret\" ("#, r#"SET \"app.other\" ("#] {
        assert!(warned.contains(told), "{warned}");
    }
    superuser_drops(&scenario).await;
    hidden(scenario.run_as("postgres", &format!("restore {id}")).await);
    assert_eq!(scenario.value("SHOW app.jwt_secret").await, "open sesame");
}

async fn superuser_drops(scenario: &Scenario) {
    let drop = format!("DROP DATABASE {} WITH (FORCE)", scenario.database());
    scenario.superuser_in("postgres").await.lines(&drop).await;
}

/// A public and a private key.
fn key() -> (String, String) {
    use age::secrecy::ExposeSecret;
    let key = age::x25519::Identity::generate();
    (key.to_public().to_string(), key.to_string().expose_secret().to_owned())
}

fn private_file(scenario: &Scenario, name: &str, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    scenario.write(name, text);
    std::fs::set_permissions(scenario.path(name), std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[tokio::test]
async fn two_hundred_bit_flips_and_sixty_truncations_are_refused_with_the_part_that_they_are_in() {
    let scenario = Scenario::new("flips").await.tables(&["a"]);
    scenario.up().await.succeeds();
    scenario.lines("CREATE TABLE big AS SELECT gen_random_uuid() FROM generate_series(1, 3000)").await;
    let (public, private) = key();
    private_file(&scenario, "own.key", &private);
    let open = scenario.run("backup").await.succeeds().backup_id();
    settings(&scenario, &format!("recipients = [\"{public}\"]\nidentity = \"own.key\""));
    let encrypted = scenario.run("backup").await.succeeds().backup_id();
    let (mut flips, mut cuts) = (0, 0);
    for (id, end, part) in [
        (&open, "dump.zst", "the dump"),
        (&open, "globals.sql.zst", "the globals"),
        (&open, "json", "the manifest"),
        (&encrypted, "dump.zst.age", "the dump"),
        (&encrypted, "json", "the manifest"),
    ] {
        let name = format!("{id}.{end}");
        let path = scenario.path(&format!("backups/{name}"));
        let good = std::fs::read(&path).unwrap();
        let refused = async |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            let outcome = scenario.run(&format!("backup verify {id}")).await.fails_with(7);
            outcome.says(&format!("{part} `{name}`")).says("is damaged");
        };
        for _ in 0..40 {
            let mut bad = good.clone();
            let at = fastrand::usize(..bad.len());
            bad[at] ^= 1 << fastrand::u32(..8);
            refused(&bad).await;
            flips += 1;
        }
        for _ in 0..12 {
            refused(&good[..fastrand::usize(..good.len())]).await;
            cuts += 1;
        }
        std::fs::write(&path, &good).unwrap();
        scenario.run(&format!("backup verify {id}")).await.succeeds();
    }
    assert_eq!((flips, cuts), (200, 60));
}

#[tokio::test]
async fn a_damaged_backup_is_not_restored_and_nothing_is_touched() {
    let scenario = Scenario::new("damaged_globals").await.tables(&["a"]);
    scenario.up().await.succeeds();
    let id = scenario.run("backup").await.succeeds().backup_id();
    let before = scenario.state().await;
    for end in ["globals.sql.zst", "json"] {
        let path = scenario.path(&format!("backups/{id}.{end}"));
        let good = std::fs::read(&path).unwrap();
        let mut bad = good.clone();
        bad[good.len() / 2] ^= 1;
        std::fs::write(&path, bad).unwrap();
        scenario.run(&format!("restore {id}")).await.fails_with(7).says("is damaged");
        std::fs::remove_file(&path).unwrap();
        let gone = scenario.run(&format!("restore {id}")).await;
        if end == "json" {
            gone.refuses_with(2).says("there is no backup")
        } else {
            gone.fails_with(7).says("cannot be opened")
        };
        std::fs::write(&path, good).unwrap();
        scenario.is_still(&before).await;
    }
}

#[tokio::test]
async fn a_backup_may_leave_rows_out_and_says_so() {
    let scenario = Scenario::new("scope").await.tables(&["a"]);
    scenario.up().await.succeeds();
    scenario.lines("CREATE TABLE logs_1 AS SELECT 1 AS n; CREATE TABLE kept AS SELECT 1 AS n").await;
    let id = scenario.run("backup --exclude-data logs_*").await.succeeds().backup_id();
    scenario.run("backup list").await.succeeds().prints("(without some rows)");
    let names =
        |id: &str| manifest_of(&scenario, id).contents.tables.into_iter().map(|table| table.name).collect::<Vec<_>>();
    assert!(
        names(&id).contains(&"\"public\".\"kept\"".to_owned())
            && !names(&id).contains(&"\"public\".\"logs_1\"".to_owned())
    );
    let id = scenario.run("backup --schema-only").await.succeeds().backup_id();
    scenario.run("backup list").await.succeeds().prints("(schema only)");
    assert!(names(&id).is_empty());
    scenario.run("backup --exclude-data x;y").await.refuses_with(2).says("`x;y` is no pattern of tables");
}

#[tokio::test]
async fn the_rows_of_partitions_and_children_are_left_out_with_their_table() {
    let scenario = Scenario::new("scope_partitions").await.tables(&["a"]);
    scenario.up().await.succeeds();
    scenario
        .lines(
            "CREATE TABLE audit (at date, n int) PARTITION BY RANGE (at);
             CREATE TABLE y2025 PARTITION OF audit FOR VALUES FROM ('2025-01-01') TO ('2026-01-01') PARTITION BY LIST (n);
             CREATE TABLE \"Odd \"\"na.me$\" PARTITION OF y2025 DEFAULT; INSERT INTO audit VALUES ('2025-02-03', 1);
             CREATE TABLE parent (a int); CREATE TABLE child () INHERITS (parent); INSERT INTO child VALUES (1);
             CREATE TABLE kept AS SELECT 1 AS n",
        )
        .await;
    for (jobs, aside) in [("1", "one"), ("2", "two")] {
        let excluded = format!("backup --exclude-data audit --exclude-data parent --jobs {jobs}");
        let id = scenario.run(&excluded).await.succeeds().backup_id();
        let names =
            ["Odd \"\"na.me$", "audit", "child", "parent", "y2025"].map(|name| format!("\"public\".\"{name}\""));
        assert_eq!(manifest_of(&scenario, &id).scope.excluded_tables, names);
        let aside = format!("{}_{aside}", scenario.database());
        scenario.run(&format!("restore {id} --into {aside}")).await.succeeds();
        let rows = "SELECT (SELECT count(*) FROM audit), (SELECT count(*) FROM parent), (SELECT count(*) FROM kept)";
        assert_eq!(scenario.superuser_in(&aside).await.value(rows).await, "0|0|1");
    }
}

#[tokio::test]
async fn a_pattern_that_names_no_table_is_refused_unless_a_migration_may_make_it() {
    let scenario = Scenario::new("scope_typo").await.tables(&["a"]);
    let refused = scenario.run("backup --exclude-data nosuch_tabel").await.refuses_with(2);
    refused.says("no table is named by `nosuch_tabel`").says("`--exclude-data`");
    settings(&scenario, "exclude_data = [\"a\"]");
    scenario.run("backup").await.refuses_with(2).says("no table is named by `a`");
    assert_eq!(scenario.backups("backups"), Vec::<String>::new());
    let id = scenario.run("up").await.succeeds().says("no table is named by `a`").backup_id();
    assert!(manifest_of(&scenario, &id).scope.is_whole(), "nothing is left out of it");
    let id = scenario.run("backup").await.succeeds().backup_id();
    assert!(!manifest_of(&scenario, &id).scope.is_whole());
}

#[tokio::test]
async fn a_backup_that_could_never_be_restored_is_refused() {
    let scenario = Scenario::new("scope_keys").await.tables(&["a"]);
    scenario.up().await.succeeds();
    scenario.lines("CREATE TABLE refers AS SELECT 1 AS id; INSERT INTO a VALUES (1); ALTER TABLE refers ADD FOREIGN KEY (id) REFERENCES a").await;
    let refused = scenario.run("backup --exclude-data a").await.refuses_with(2);
    refused.says("without the rows of `a` a backup could never be restored: a foreign key of `refers` refers to them");
    let id = scenario.run("backup --exclude-data a --exclude-data refers").await.succeeds().backup_id();
    scenario.run(&format!("backup verify {id} --level 3")).await.succeeds();
    let id = scenario.run("backup --exclude-data refers").await.succeeds().backup_id();
    scenario.run(&format!("backup verify {id} --level 3")).await.succeeds();
    // What was never validated is not checked when it is restored.
    scenario
        .lines("ALTER TABLE refers DROP CONSTRAINT refers_id_fkey, ADD FOREIGN KEY (id) REFERENCES a NOT VALID")
        .await;
    let id = scenario.run("backup --exclude-data a").await.succeeds().backup_id();
    scenario.run(&format!("backup verify {id} --level 3")).await.succeeds();
}

#[tokio::test]
async fn several_tables_are_dumped_at_a_time_into_a_folder_of_files() {
    let scenario = Scenario::new("jobs").await.tables(&["a"]);
    scenario.up().await.succeeds();
    scenario
        .lines("CREATE TABLE x AS SELECT generate_series(1, 1000); CREATE TABLE y AS SELECT generate_series(1, 1000)")
        .await;
    let id = scenario.run("backup --jobs 2").await.succeeds().backup_id();
    let files = scenario.files(&format!("backups/{id}.dump"));
    assert!(files.contains(&"toc.dat".to_owned()) && files.len() > 2, "{files:?}");
    scenario.run(&format!("backup verify {id}")).await.succeeds();
    let path = scenario.path(&format!("backups/{id}.dump/{}", files[0]));
    let whole = std::fs::read(&path).unwrap();
    let (mut bytes, middle) = (whole.clone(), whole.len() / 2);
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    scenario
        .run(&format!("backup verify {id}"))
        .await
        .fails_with(7)
        .says(&format!("`{id}.dump/{}` is damaged", files[0]));
    std::fs::write(&path, whole).unwrap();

    let mut cut = manifest_of(&scenario, &id);
    let part = cut.parts.iter_mut().find(|part| part.file.ends_with(".gz") || part.file.ends_with(".zst")).unwrap();
    let bytes = &std::fs::read(scenario.path(&format!("backups/{}", part.file))).unwrap()[..20];
    scenario.write(&format!("backups/{}", part.file), bytes);
    (part.bytes, part.sha256) = (20, lockgate::migration::Checksum::of_bytes(bytes).to_string());
    scenario.write(&format!("backups/{id}.json"), cut.sealed().1);
    scenario.run(&format!("backup verify {id} --level 0")).await.succeeds();
    scenario.run(&format!("backup verify {id}")).await.fails_with(7).says("the dump cannot be decoded");

    scenario.run("backup --jobs 0").await.refuses_with(2).says("at least one is needed");
    settings(&scenario, &format!("recipients = [\"{}\"]", key().0));
    scenario.run("backup --jobs 2").await.refuses_with(2).says("cannot encrypt");
}

#[tokio::test]
async fn a_dump_of_several_jobs_that_cannot_be_decoded_is_no_backup() {
    let scenario = Scenario::new("jobs_cut").await.tables(&["a"]);
    scenario.up().await.succeeds();
    scenario.lines("CREATE TABLE x AS SELECT generate_series(1, 1000)").await;
    let cut = "\"$REAL/pg_dump\" \"$@\" || exit
for folder; do :; done
for file in \"$folder\"/*.dat.*; do truncate --size \"<$SIZE\" \"$file\"; done";
    let programs = scenario.made_up_programs(&[("pg_dump", &format!("{NEW}{cut}"))]);
    for size in ["40", "1", "0"] {
        let backup = scenario.run("backup --jobs 2").env("LOCKGATE_PG_BIN", &programs).env("SIZE", size).await;
        backup.fails_with(7).says("what was just written cannot be read back: the dump cannot be decoded");
        assert_eq!(scenario.backups("backups"), Vec::<String>::new(), "{size}");
    }
}

#[tokio::test]
async fn a_recent_backup_serves_only_while_nothing_has_changed() {
    let scenario = Scenario::new("max_age").await.tables(&["a", "b", "c"]);
    settings(&scenario, "max_age_s = 3600");
    scenario.run("up --to 1").await.succeeds().prints("backed up as ");
    // A migration has been applied since.
    let id = scenario.run("up --to 2").await.succeeds().prints("backed up as ").backup_id();
    scenario.run("restore latest").await.succeeds();
    let id_now = scenario.run("backup").await.succeeds().backup_id();
    assert_ne!(id, id_now);
    scenario
        .run("up --to 2")
        .await
        .succeeds()
        .prints(&format!("backup {id_now} of "))
        .prints(" serves\n")
        .prints(&format!("lockgate restore {id_now}"));
    assert!(scenario.journal().await.contains(&"backup_reused".to_owned()));

    let third = scenario.run("backup").await.succeeds().backup_id();
    let path = scenario.path(&format!("backups/{third}.dump.zst"));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    scenario.run("up").await.succeeds().says("the last backup is damaged").prints("backed up as ");
}

#[tokio::test]
async fn a_backup_for_another_key_does_not_serve() {
    let scenario = Scenario::new("other_key").await.tables(&["a", "b"]);
    scenario.run("up --no-backup --to 1").await.succeeds();
    let (old, new) = (key().0, key().0);
    let configured = |keys: &str| settings(&scenario, &format!("max_age_s = 3600\nrecipients = [{keys}]"));
    configured(&format!("\"{old}\", \"{new}\""));
    let id = scenario.run("backup").await.succeeds().backup_id();
    configured(&format!("\"{new}\", \"{old}\""));
    scenario.run("up").await.succeeds().prints(&format!("backup {id} of "));
    scenario.run("backup").await.succeeds();
    configured(&format!("\"{new}\""));
    scenario.run("down 2").await.succeeds().prints("backed up as ");
}

#[tokio::test]
async fn a_database_whose_name_looks_like_settings_is_backed_up() {
    let scenario = Scenario::new("odd_name").await.tables(&["a"]);
    let (name, superuser) = (format!("{} x=y 'z'", scenario.database()), scenario.superuser_in("postgres").await);
    superuser.lines(&format!("CREATE DATABASE \"{name}\"")).await;
    let id = scenario.run_as("postgres", "backup").env("DB_NAME", &name).await.succeeds().backup_id();
    assert!(manifest_of(&scenario, &id).parts.iter().any(|part| part.content == Content::Globals));
    scenario.run_as("postgres", &format!("restore {id}")).env("DB_NAME", &name).await.succeeds();
}

#[tokio::test]
async fn what_keeps_the_rows_from_being_counted_is_told_beside_what_pg_dump_says() {
    let scenario = Scenario::new("both_fail").await.tables(&["a", "b"]);
    scenario.run("up --no-backup --to 1").await.succeeds();
    let gone = "\"$REAL/psql\" -X -q -c \"SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE application_name LIKE 'lockgate backup%' AND datname = current_database() AND pid <> pg_backend_pid()\" >/dev/null
echo 'pg_dump: error: it follows from that' >&2
exit 1";
    let programs = scenario.made_up_programs(&[("pg_dump", &format!("{NEW}{gone}"))]);
    // Counting is not done before the connection is gone.
    scenario.lines("CREATE TABLE many AS SELECT generate_series(1, 3000000)").await;
    let failed = scenario.run("backup --hashes").env("LOCKGATE_PG_BIN", &programs).await.fails_with(7);
    failed.says("pg_dump: error: it follows from that").says("the server failed while counting the rows of the tables");
}

#[tokio::test]
async fn a_backup_that_is_too_old_or_leaves_something_out_does_not_serve() {
    let scenario = Scenario::new("too_old").await.tables(&["a", "b"]);
    scenario.run("up --no-backup --to 1").await.succeeds();
    let id = scenario.run("backup").await.succeeds().backup_id();
    let mut manifest = manifest_of(&scenario, &id);
    manifest.created_at = jiff::Timestamp::now() - std::time::Duration::from_secs(3_601);
    scenario.write(&format!("backups/{id}.json"), manifest.sealed().1);
    settings(&scenario, "max_age_s = 3600");
    scenario.run("up --dry-run").await.succeeds();
    scenario.run("backup --schema-only").await.succeeds();
    scenario.run("up").await.succeeds().prints("backed up as ");
}

#[tokio::test]
async fn a_failed_migration_names_the_backup_and_the_command_that_brings_it_back() {
    let scenario = Scenario::new("way_back").await.migration("001_a", "SELECT 1/0", "SELECT 1");
    let failed = scenario.run("up").await.fails_with(1);
    let id = scenario.backups("backups")[0].split('.').next().unwrap().to_owned();
    failed.says(&format!("to go back to before this run: `lockgate restore {id}"));
    let json = scenario.run("up --output json").await.fails_with(1);
    json.prints("to go back to before this run: `lockgate restore ");
}

/// The command that an error or an outcome names, for a shell in which `$LOCKGATE` is the program.
fn way_back(outcome: &lockgate_tests::Outcome) -> String {
    let text = format!("{}{}", outcome.stdout, outcome.stderr);
    let said = text.split("to go back to before this run: `").nth(1).and_then(|rest| rest.split('`').next());
    let printed = text.split("to take it all back: ").nth(1).and_then(|rest| rest.split(['\n', '(']).next());
    let command = said.or(printed).unwrap_or_else(|| panic!("it names no command: {text}"));
    command.replacen("lockgate", "\"$LOCKGATE\"", 1)
}

/// A table with a row, which the next migration removes before it fails.
async fn regretted(name: &str) -> Scenario {
    let scenario = Scenario::new(name).await.tables(&["users"]).migration("002_b", "DELETE FROM users", "SELECT 1");
    scenario.run("up --no-backup --to 1").await.succeeds();
    scenario.lines("INSERT INTO users VALUES (1)").await;
    scenario.migration("003_c", "SELECT 1/0", "SELECT 1")
}

#[tokio::test]
async fn the_command_that_is_printed_as_the_way_back_works_as_it_is() {
    let scenario = regretted("way_back_options").await;
    scenario.write("other settings.toml", "");
    let run = scenario.run("up --backup-dir").arg("kept/it's here").arg("--config").arg("other settings.toml");
    let failed = run.await.fails_with(1);
    assert_eq!(scenario.value("SELECT count(*) FROM users").await, "0");
    scenario.shell(&way_back(&failed)).await.succeeds();
    assert_eq!(scenario.value("SELECT count(*) FROM users").await, "1");
    let done = scenario.run("up --to 2 --backup-dir").arg("kept/it's here").await.succeeds();
    scenario.shell(&way_back(&done)).await.succeeds();
    assert_eq!(scenario.value("SELECT count(*) FROM users").await, "1");
}

#[tokio::test]
async fn the_way_back_from_an_encrypted_backup_asks_for_the_key() {
    let scenario = regretted("way_back_key").await;
    let (public, private) = key();
    private_file(&scenario, "own key", &private);
    settings(&scenario, &format!("recipients = [\"{public}\"]"));
    let failed = scenario.run("up").await.fails_with(1).says(" --identity FILE` (FILE has the private key)");
    scenario.shell(&way_back(&failed).replace("FILE", "'own key'")).await.succeeds();
    assert_eq!(scenario.value("SELECT count(*) FROM users").await, "1");
    let failed = scenario.run("up --identity").arg("own key").await.fails_with(1);
    scenario.shell(&way_back(&failed)).await.succeeds();
    assert_eq!(scenario.value("SELECT count(*) FROM users").await, "1");
}

#[tokio::test]
async fn the_way_back_from_a_backup_that_leaves_something_out_leads_beside_the_database() {
    let scenario = regretted("way_back_scope").await;
    scenario.lines("CREATE TABLE kept AS SELECT 7 AS n").await;
    settings(&scenario, "exclude_data = [\"users\"]");
    let failed = scenario.run("up").await.fails_with(1);
    let failed = failed.says("the backup of this run leaves out the rows of users: it cannot take the place");
    let failed =
        failed.says(" --into NAME` (the backup leaves out the rows of users, so it is restored beside the database");
    let aside = format!("{}_aside", scenario.database());
    scenario.shell(&way_back(&failed).replace("NAME", &aside)).await.succeeds();
    assert_eq!(scenario.superuser_in(&aside).await.value("SELECT n FROM kept").await, "7");
}

#[tokio::test]
async fn a_run_names_a_restore_point_where_its_role_may() {
    let scenario = Scenario::new("restore_point").await.tables(&["a", "b"]);
    scenario.run("up --to 1 --no-backup").await.succeeds();
    assert!(!scenario.journal().await.contains(&"restore_point".to_owned()), "the role may not");
    let grant = "GRANT EXECUTE ON FUNCTION pg_create_restore_point(text) TO public";
    scenario.superuser().await.lines(grant).await;
    scenario.run("up --no-backup").await.succeeds();
    let told = "SELECT detail ~ ('^lockgate_' || run_id || ' at [0-9A-F]+/[0-9A-F]+$') FROM schema_migrations_journal WHERE event = 'restore_point'";
    assert_eq!(scenario.lines(told).await, ["t"]);
}

#[tokio::test]
async fn prune_keeps_what_the_rules_keep_and_removes_leftovers_of_its_own_only() {
    let scenario = Scenario::new("prune").await.tables(&["a"]);
    scenario.write("lockgate.toml", "[backup.retention]\nlast = 2\ndaily = 0\nweekly = 0\nmonthly = 0\n");
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(scenario.run("backup").await.succeeds().backup_id());
    }
    let left = "20200101T000000Z_0123abcd";
    scenario.write(&format!("backups/{left}.dump.zst.partial"), "half");
    scenario.write(&format!("backups/{left}.globals.sql.zst"), "fresh, of a backup that may be under way");
    scenario.write("backups/notes.txt", "mine");
    let before = scenario.backups("backups");
    let planned = scenario.run("backup prune --dry-run").await.succeeds();
    planned
        .prints(&format!("remove {}", ids[0]))
        .prints(&format!("keep   {} (last, newest)", ids[3]))
        .prints("nothing was removed");
    assert_eq!(scenario.backups("backups"), before);

    scenario.run("backup prune").await.succeeds().prints(&format!("remove {left}.dump.zst.partial")).prints(" freed");
    let after = scenario.backups("backups");
    assert_eq!(after.len(), 2 * 4 + 2, "{after:?}");
    assert!(after.contains(&"notes.txt".to_owned()) && after.contains(&format!("{left}.globals.sql.zst")));
    scenario
        .run("backup prune --leftovers-after 0s")
        .await
        .succeeds()
        .prints(&format!("remove {left}.globals.sql.zst"));
    scenario.run("backup prune").await.succeeds().prints("nothing to remove");
    for id in &ids[2..] {
        scenario.run(&format!("backup verify {id}")).await.succeeds();
    }
}

#[tokio::test]
async fn prune_leaves_other_databases_alone() {
    let scenario = Scenario::new("prune_mine").await.tables(&["a"]);
    scenario.write("lockgate.toml", "[backup.retention]\nlast = 0\ndaily = 0\nweekly = 0\nmonthly = 0\n");
    scenario.run("backup").await.succeeds();
    let id = scenario.run("backup").await.succeeds().backup_id();
    let (mut other, name) = (manifest_of(&scenario, &id), "20200101T000000Z_0123abcd");
    (other.database, other.id, other.parts) = ("other".into(), name.into(), vec![]);
    scenario.write(&format!("backups/{name}.json"), other.sealed().1);
    scenario.run("backup prune").await.succeeds();
    let left = scenario.backups("backups");
    assert!(left.contains(&format!("{name}.json")) && left.contains(&format!("{id}.json")), "{left:?}");
    assert_eq!(left.len(), 5);
}

#[tokio::test]
async fn prune_leaves_the_backups_of_other_servers_alone() {
    let scenario = Scenario::new("prune_server").await.tables(&["a"]);
    scenario.write("lockgate.toml", "[backup.retention]\nlast = 1\ndaily = 0\nweekly = 0\nmonthly = 0\n");
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(scenario.run("backup").await.succeeds().backup_id());
    }
    // The newest two are another server's, whose database has the same name.
    for id in &ids[2..] {
        let mut manifest = manifest_of(&scenario, id);
        manifest.system_identifier = 42;
        scenario.write(&format!("backups/{id}.json"), manifest.sealed().1);
    }
    let left = || {
        let names = scenario.backups("backups");
        names.iter().filter_map(|name| name.strip_suffix(".json").map(str::to_owned)).collect::<Vec<_>>()
    };
    let pruned = scenario.run("backup prune").await.succeeds();
    pruned.prints(&format!("keep   {} (last, newest)", ids[1])).prints("2 backups of other servers are left alone");
    let sorted = |ids: &[&String]| {
        let mut ids: Vec<String> = ids.iter().map(|id| (*id).clone()).collect();
        ids.sort();
        ids
    };
    assert_eq!(left(), sorted(&[&ids[1], &ids[2], &ids[3]]));
    let gone = scenario.run("backup prune").env("DB_HOST", "127.0.0.1").env("DB_PORT", "1");
    gone.await.refuses_with(8).says("`--of-server ID`");
    let gone = scenario.run("backup prune --of-server 42").env("DB_HOST", "127.0.0.1").env("DB_PORT", "1");
    gone.await.succeeds().prints(&format!("remove {}", ids[2])).prints(&format!("keep   {}", ids[3]));
    assert_eq!(left(), sorted(&[&ids[1], &ids[3]]));
}

#[tokio::test]
async fn prune_leaves_a_backup_that_is_under_way_alone() {
    let scenario = Scenario::new("prune_under_way").await.tables(&["a"]);
    scenario.up().await.succeeds();
    let waits =
        "\"$REAL/pg_dump\" \"$@\" || exit; touch \"$HOME/waiting\"; until [ -e \"$HOME/go\" ]; do sleep 0.05; done";
    let programs = scenario.made_up_programs(&[("pg_dump", &format!("{NEW}{waits}"))]);
    let backup = scenario.run("backup --jobs 2").env("LOCKGATE_PG_BIN", &programs).start();
    eventually("the dump is written", async || scenario.path("waiting").exists()).await;
    let under_way = scenario.backups("backups");
    let folder = under_way.iter().find(|name| name.ends_with(".dump.partial")).unwrap();
    make_old(&scenario.path(&format!("backups/{folder}")));
    scenario.run("backup prune").await.succeeds().prints("nothing to remove");
    scenario.run("backup prune --leftovers-after 0s").await.succeeds().prints("nothing to remove");
    assert_eq!(scenario.backups("backups"), under_way);
    scenario.write("go", "");
    let id = backup.end().await.succeeds().backup_id();
    scenario.run(&format!("backup verify {id}")).await.succeeds();
    assert!(!scenario.backups("backups").iter().any(|name| name.ends_with(".lease")));
}

#[tokio::test]
async fn a_run_may_ask_for_a_backup_that_was_restored_once() {
    let scenario = Scenario::new("verify_level").await.tables(&["a"]);
    settings(&scenario, "verify_level = 3");
    scenario.run("up").await.succeeds().prints("applied 001_a");
    scenario.run("backup list").await.succeeds().prints("3 compared");
}

#[tokio::test]
async fn a_backup_that_is_killed_at_any_transition_leaves_nothing_that_looks_complete_and_is_not() {
    let scenario = Scenario::new("killed_backup").await.tables(&["a"]);
    let before = scenario.state().await;
    let program = Path::new(env!("CARGO_BIN_EXE_torture"));
    for jobs in ["", "[backup]\njobs = 2\n"] {
        scenario.write("lockgate.toml", jobs);
        for point in Failpoint::OF_A_BACKUP {
            let killed = scenario.run_program(program, "up").env("FAILPOINTS", format!("{point}=return")).await;
            assert_eq!(killed.signal, Some(9), "{point}: {}", killed.stderr);
            scenario.is_still(&before).await;
            // A manifest is there only where everything that it tells of is.
            let manifests: Vec<String> = scenario
                .backups("backups")
                .iter()
                .filter_map(|name| name.strip_suffix(".json").map(Into::into))
                .collect();
            assert_eq!(manifests.len(), usize::from(point == Failpoint::ManifestWritten), "{point}: {manifests:?}");
            for id in &manifests {
                scenario.run(&format!("backup verify {id}")).await.succeeds();
                scenario.remove(&format!("backups/{id}.json"));
            }
            scenario.run("backup prune --leftovers-after 0s").await.succeeds();
            assert_eq!(scenario.backups("backups"), Vec::<String>::new(), "{point}");
        }
    }
    scenario.run("up").await.succeeds().prints("applied 001_a");
}

#[tokio::test]
async fn a_pg_dump_that_is_killed_stops_the_run_and_leaves_no_file() {
    let scenario = Scenario::new("dump_killed").await.tables(&["a", "b"]);
    scenario.run("up --no-backup --to 1").await.succeeds();
    let before = scenario.state().await;
    let killed = "\"$REAL/pg_dump\" \"$@\" | head -c 300\nkill -9 $$";
    let programs = scenario.made_up_programs(&[("pg_dump", &format!("{NEW}{killed}"))]);
    for jobs in ["jobs = 1", "jobs = 2"] {
        settings(&scenario, jobs);
        let run = scenario.run("up").env("LOCKGATE_PG_BIN", &programs).await;
        run.fails_with(7).says("pg_dump ended with signal: 9").says("state: no migration was run");
        assert_eq!(scenario.backups("backups"), Vec::<String>::new(), "{jobs}");
        assert_eq!(scenario.journal().await.last().unwrap(), "backup_failed");
        scenario.is_still(&before).await;
    }
}

#[tokio::test]
async fn a_server_that_is_gone_during_the_backup_stops_the_run_and_leaves_no_file() {
    let scenario = Scenario::new("server_gone").await.tables(&["a", "b"]);
    scenario.run("up --no-backup --to 1").await.succeeds();
    let before = scenario.state().await;
    // What ends with the server: the sessions of the run, of the snapshot and of pg_dump.
    let gone = "\"$REAL/psql\" -X -q -c \"SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE application_name LIKE 'lockgate%' AND datname = current_database() AND pid <> pg_backend_pid()\" >/dev/null
echo 'pg_dump: error: server closed the connection unexpectedly' >&2
exit 1";
    let programs = scenario.made_up_programs(&[("pg_dump", &format!("{NEW}{gone}"))]);
    let run = scenario.run("up --retries 0").env("LOCKGATE_PG_BIN", &programs).await;
    run.fails_with(7).says("server closed the connection unexpectedly").says("state: no migration was run");
    assert_eq!(scenario.backups("backups"), Vec::<String>::new());
    assert_eq!(scenario.applied().await, ["001"]);
    scenario.is_still(&before).await;
}

#[tokio::test]
async fn a_backup_stops_before_a_small_disk_is_full() {
    if !nix::unistd::Uid::effective().is_root() {
        eprintln!("left out: only root can mount a small disk");
        return;
    }
    let scenario = Scenario::new("small_disk").await.tables(&["a", "b"]);
    scenario.run("up --no-backup --to 1").await.succeeds();
    // Nothing compresses it, and 0.4 of its size would fit.
    scenario.lines("CREATE TABLE noise AS SELECT gen_random_uuid() AS a, gen_random_uuid() AS b FROM generate_series(1, 500000)").await;
    let before = scenario.state().await;
    std::fs::create_dir(scenario.path("disk")).unwrap();
    let disk = Mounted::megabytes(16, scenario.path("disk"));
    // What pg_dump writes itself is only watched, and a disk as small as this one may be full between two looks.
    for (jobs, words) in
        [("jobs = 1", vec!["is nearly full"]), ("jobs = 2", vec!["is nearly full", "No space left on device"])]
    {
        settings(&scenario, jobs);
        let run = scenario.run("up --backup-dir disk").await.fails_with(7).says("state: no migration was run");
        assert!(words.iter().any(|words| run.stderr.contains(words)), "{jobs}: {}", run.stderr);
        assert_eq!(scenario.backups("disk"), Vec::<String>::new(), "{jobs}");
        scenario.is_still(&before).await;
    }
    drop(disk);
}

/// A file system in memory, for as long as the value lives.
struct Mounted(std::path::PathBuf);

impl Mounted {
    fn megabytes(size: usize, folder: std::path::PathBuf) -> Self {
        let options = format!("size={size}m,mode=0700");
        let mount =
            std::process::Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&folder).status();
        assert!(mount.unwrap().success(), "a small disk is mounted at `{}`", folder.display());
        Self(folder)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}
