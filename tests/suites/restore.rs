//! The way back: a restore brings the former state, and keeps the present one under another name.

use std::path::Path;

use lockgate::{backup::Manifest, failpoint::Failpoint};
use lockgate_tests::{Scenario, eventually};

/// A program that is the command, and ends at the transition that `FAILPOINTS` names.
const FAILING: &str = env!("CARGO_BIN_EXE_torture");

/// A pair of `age`'s keys that guards nothing.
const PUBLIC_KEY: &str = "age1h0v4w8ufjd8qfas778vq77lqwrlnenupg4smm2lwr5sa0xmafdzsxpgy3l";
const PRIVATE_KEY: &str = "AGE-SECRET-KEY-10RG39W35CE3TDWS8HSSW8XSUFMGKDLG3AG3PCL975LAK5JKLT7LSHVXCLR";

/// Passes a call of `pg_restore` on that only lists.
const LISTS: &str = "case \"$*\" in *--list*) exec \"$REAL/pg_restore\" \"$@\";; esac\n";

/// A database with data, then a migration that spoils it. Returns the backup from between.
async fn spoilt(name: &str) -> (Scenario, lockgate_tests::State, String) {
    let scenario = Scenario::new(name)
        .await
        .migration(
            "001_a",
            "CREATE TABLE a (id int PRIMARY KEY, note text); CREATE SEQUENCE s; COMMENT ON TABLE a IS 'Grüße'; CREATE EXTENSION pgcrypto;",
            "DROP EXTENSION pgcrypto; DROP SEQUENCE s; DROP TABLE a;",
        )
        .migration("002_spoil", "DELETE FROM a; ALTER TABLE a DROP note; DROP SEQUENCE s;", "SELECT 1");
    scenario.run("up --no-backup --to 1").await.succeeds();
    scenario.lines("INSERT INTO a SELECT n, 'note ' || n FROM generate_series(1, 1000) n; SELECT nextval('s') FROM generate_series(1, 41)").await;
    let before = scenario.state().await;
    let id = scenario.run("up").await.succeeds().prints("applied 002_spoil").backup_id();
    (scenario, before, id)
}

async fn kept(scenario: &Scenario) -> Vec<String> {
    let sql = format!("SELECT datname FROM pg_database WHERE datname LIKE '{}\\_%' ORDER BY 1", scenario.database());
    scenario.superuser_in("postgres").await.lines(&sql).await
}

#[tokio::test]
async fn a_restore_brings_the_former_state_back_and_keeps_the_present_one() {
    let (scenario, before, id) = spoilt("restored").await;
    let spoilt = scenario.state().await;
    let outcome = scenario.run(&format!("restore {id}")).await.succeeds();
    outcome
        .prints(&format!("restored `{}` from backup {id}", scenario.database()))
        .prints("the former database is kept as `");
    scenario.is_still(&before).await;
    assert_eq!(scenario.value("SELECT nextval('s')").await, "42");
    assert_eq!(scenario.applied().await, ["001"]);
    assert_eq!(scenario.journal().await.last().unwrap(), "restored");

    let kept = kept(&scenario).await;
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert!(kept[0].starts_with(&format!("{}_before_", scenario.database())), "{kept:?}");
    spoilt.equals(&scenario.state_of(&kept[0]).await);

    scenario.run("up").await.succeeds().prints("applied 002_spoil");
}

#[tokio::test]
async fn latest_is_the_newest_backup() {
    let (scenario, before, _) = spoilt("latest").await;
    scenario.run("restore latest").await.succeeds();
    scenario.is_still(&before).await;
}

#[tokio::test]
async fn a_restore_disconnects_the_clients() {
    let (scenario, before, id) = spoilt("clients").await;
    let client = scenario.session().await;
    client.lines("BEGIN; SELECT count(*) FROM a").await;
    scenario.run(&format!("restore {id}")).await.succeeds();
    assert!(client.try_lines("SELECT 1").await.is_err());
    scenario.is_still(&before).await;
}

#[tokio::test]
async fn a_damaged_backup_is_refused() {
    let (scenario, _, id) = spoilt("damaged").await;
    let before = scenario.state().await;
    let path = format!("backups/{id}.dump.zst");
    let whole = std::fs::read(scenario.path(&path)).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for (bytes, words) in
        [(&flipped[..], "is damaged: its SHA-256 differs"), (&whole[..whole.len() / 2], " bytes, the manifest says ")]
    {
        scenario.write(&path, bytes);
        scenario
            .run(&format!("restore {id}"))
            .await
            .fails_with(7)
            .says(&format!("the restore of backup `{id}` failed"))
            .says(words)
            .says("state: the present database was not touched");
        assert!(kept(&scenario).await.is_empty());
        scenario.is_still(&before).await;
    }
    scenario.write(&path, whole);
    scenario.run(&format!("restore {id}")).await.succeeds();
}

#[tokio::test]
async fn a_restore_that_fails_half_way_leaves_the_present_database_and_nothing_else() {
    let (scenario, _, id) = spoilt("half_restore").await;
    let before = scenario.state().await;
    let fails = format!("{LISTS}head -c 1000 >/dev/null\necho 'pg_restore: error: it went wrong' >&2\nexit 1");
    let programs = scenario.made_up_programs(&[("pg_restore", &fails)]);
    scenario
        .run(&format!("restore {id}"))
        .env("LOCKGATE_PG_BIN", &programs)
        .await
        .fails_with(7)
        .says("pg_restore: error: it went wrong")
        .says("state: the present database was not touched");
    assert!(kept(&scenario).await.is_empty());
    scenario.is_still(&before).await;
}

#[tokio::test]
async fn a_backup_that_is_not_there_is_refused() {
    let scenario = Scenario::new("no_such_backup").await.tables(&["a"]);
    scenario
        .run("restore latest")
        .await
        .refuses_with(2)
        .says("there is no backup `latest` of database")
        .says("next: see `lockgate backup list`");
    let id = scenario.run("up").await.succeeds().backup_id();
    // A backup without its manifest is none.
    scenario.remove(&format!("backups/{id}.json"));
    scenario.run(&format!("restore {id}")).await.refuses_with(2).says(&format!("there is no backup `{id}`"));
}

#[tokio::test]
async fn a_role_that_may_not_create_databases_is_told_what_it_needs() {
    let scenario = Scenario::new("no_createdb").await.tables(&["a", "b"]);
    let superuser = scenario.superuser_in("postgres").await;
    let role = scenario.role("").await;
    superuser.lines(&format!("ALTER DATABASE {} OWNER TO {role}", scenario.database())).await;
    scenario.run_as(&role, "up --no-backup --to 1").await.succeeds();
    let former = scenario.state().await;
    let restore = format!("restore {}", scenario.run_as(&role, "up").await.succeeds().backup_id());
    let before = scenario.state().await;
    let alter = format!("ALTER ROLE \"{role}\" CREATEDB");
    scenario
        .run_as(&role, &restore)
        .await
        .refuses_with(7)
        .says(&format!("role \"{role}\" may not create databases"))
        .says(&format!("next: run `{alter}` as a superuser, then try again"));
    assert!(kept(&scenario).await.is_empty());
    scenario.is_still(&before).await;
    superuser.lines(&alter).await;
    scenario.run_as(&role, &restore).await.succeeds();
    scenario.is_still(&former).await;
}

#[tokio::test]
async fn a_role_that_does_not_own_the_database_is_told_what_it_needs() {
    let (scenario, _, id) = spoilt("no_owner").await;
    let role = scenario.role("CREATEDB").await;
    let before = scenario.state().await;
    scenario
        .run_as(&role, &format!("restore {id}"))
        .await
        .refuses_with(7)
        .says(&format!("role \"{role}\" does not own the database"))
        .says(&format!("next: run `ALTER DATABASE \"{}\" OWNER TO \"{role}\"` as a superuser", scenario.database()));
    assert!(kept(&scenario).await.is_empty());
    scenario.is_still(&before).await;
}

#[tokio::test]
async fn a_damaged_manifest_is_told_by_name() {
    let (scenario, _, id) = spoilt("manifest").await;
    let before = scenario.state().await;
    scenario.write(&format!("backups/{id}.json"), "{");
    scenario.run(&format!("restore {id}")).await.fails_with(7).says(&format!("the manifest `{id}.json`"));
    scenario.is_still(&before).await;
}

#[tokio::test]
async fn latest_is_not_an_older_one_where_the_manifest_of_the_newest_is_damaged() {
    let (scenario, before, older) = spoilt("newest_damaged").await;
    let present = scenario.state().await;
    let newest = scenario.run("backup").await.succeeds().backup_id();
    let path = format!("backups/{newest}.json");
    let text = std::fs::read(scenario.path(&path)).unwrap();
    scenario.write(&path, &text[..100]);
    for command in ["restore latest", "-q restore latest --into aside", "-q drill", "backup verify latest"] {
        let refused = scenario.run(command).await.refuses_with(7);
        refused
            .says(&format!("the manifest of backup `{newest}` is damaged, which may be the newest"))
            .says(&format!("name the one from before it: `{older}`"));
    }
    assert!(kept(&scenario).await.is_empty());
    scenario.is_still(&present).await;
    scenario.run("backup list").await.succeeds().prints(&older).prints(&format!("DAMAGED: the manifest of {newest}: "));
    let list = scenario.run("backup list --output json").await.succeeds().json();
    assert_eq!(
        (&list["backups"][0]["id"], &list["damaged"][0]["id"]),
        (&older.as_str().into(), &newest.as_str().into())
    );
    // It must not stop a run.
    let third = scenario.run("backup").await.succeeds().backup_id();
    scenario.remove(&path);
    scenario.run("drill").await.succeeds().prints(&third);
    scenario.run(&format!("restore {older}")).await.succeeds();
    scenario.is_still(&before).await;
}

#[tokio::test]
async fn latest_is_the_newest_that_can_take_the_place_of_the_database() {
    let (scenario, before, whole) = spoilt("newest_whole").await;
    let bare = scenario.run("backup --schema-only").await.succeeds().backup_id();
    let aside = format!("{}_aside", scenario.database());
    scenario.run(&format!("restore latest --into {aside}")).await.succeeds().prints(&bare);
    scenario.run("restore latest").await.succeeds().prints(&format!("from backup {whole}"));
    scenario.is_still(&before).await;
}

#[tokio::test]
async fn a_backup_of_another_database_is_refused() {
    let scenario = Scenario::new("whose_backup").await.tables(&["a"]);
    scenario.up().await.succeeds();
    let other = Scenario::new("whose_other").await.tables(&["a"]);
    let id = other.run("up").await.succeeds().backup_id();
    let theirs = other.path("backups");
    let before = scenario.state().await;
    let whose = format!("is one of database `{}`", other.database());
    let restore = |id: &str| scenario.run(&format!("restore {id} --backup-dir")).arg(&theirs);
    restore(&id).await.refuses_with(2).says(&whose);
    restore("latest").await.refuses_with(2).says("there is no backup `latest` of database");
    scenario.is_still(&before).await;
}

#[tokio::test]
async fn a_restored_database_keeps_its_privileges_and_settings() {
    let scenario = Scenario::new("properties").await.tables(&["a"]);
    let database = scenario.database().to_owned();
    let sql = format!(
        "REVOKE CONNECT ON DATABASE {database} FROM PUBLIC; COMMENT ON DATABASE {database} IS 'it''s ours';
         ALTER DATABASE {database} SET search_path = public, pg_temp; ALTER DATABASE {database} SET work_mem = '12MB';
         ALTER DATABASE {database} CONNECTION LIMIT 50"
    );
    for statement in sql.split(';') {
        scenario.lines(statement).await;
    }
    let properties = format!(
        "SELECT (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(datacl) AS a)::text, datconnlimit, shobj_description(d.oid, 'pg_database'), setconfig::text
         FROM pg_database d LEFT JOIN pg_db_role_setting s ON s.setdatabase = d.oid WHERE datname = '{database}'"
    );
    let before = scenario.lines(&properties).await;
    assert!(before[0].contains("search_path"), "{before:?}");
    let id = scenario.run("backup").await.succeeds().backup_id();
    scenario.run(&format!("restore {id}")).await.succeeds();
    assert_eq!(scenario.lines(&properties).await, before);
}

#[tokio::test]
async fn a_comment_stays_a_comment() {
    let (scenario, _, id) = spoilt("comment").await;
    let comment = format!(
        "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = '{}'",
        scenario.database()
    );
    scenario.run(&format!("restore {id}")).await.succeeds();
    assert_eq!(scenario.value(&comment).await, "", "the mark of a restore is gone");
}

#[tokio::test]
async fn what_was_noted_since_the_backup_is_carried_over_and_the_chain_goes_on() {
    let (scenario, _, id) = spoilt("carried").await;
    let entries = "SELECT j::text FROM schema_migrations_journal j ORDER BY id";
    let before = scenario.lines(entries).await;
    let outcome = scenario.run(&format!("restore {id}")).await.succeeds();
    outcome.prints("4 entries of the journal since the backup were carried over");
    let mut after = scenario.lines(entries).await;
    let last = after.pop().unwrap();
    assert_eq!(after, before, "unchanged and in order");
    assert!(last.contains("restored") && last.contains(&id), "{last}");
    scenario.run("history --verify").await.succeeds().prints(&format!("{} entries are as they were", before.len() + 1));
    scenario
        .run("history")
        .await
        .succeeds()
        .prints("applied         002 up")
        .prints(&format!("from backup {id}; the former database"));
    scenario.run("status").await.succeeds().prints("1 applied, 1 pending");
    scenario.run("up").await.succeeds().prints("applied 002_spoil");
    scenario.run("history --verify").await.succeeds();
}

#[tokio::test]
async fn a_journal_that_went_another_way_stays_in_the_kept_database() {
    let (scenario, before, id) = spoilt("parted").await;
    scenario.drop_own_tables().await;
    scenario.run("up --no-backup").await.exits_with(1);
    let outcome = scenario.run(&format!("restore {id}")).await.succeeds();
    let kept = kept(&scenario).await;
    outcome.prints(&format!("does not go on from it and is in the kept database `{}`", kept[0]));
    scenario.is_still(&before).await;
    assert_eq!(scenario.journal().await.last().unwrap(), "restored");
    scenario.run("history --verify").await.succeeds();
}

#[tokio::test]
async fn the_state_from_before_the_first_run_comes_back_with_the_whole_journal() {
    let scenario = Scenario::new("first_run").await.tables(&["a"]);
    let before = scenario.state().await;
    let id = scenario.run("up").await.succeeds().backup_id();
    let noted = scenario.journal().await.len();
    scenario
        .run(&format!("restore {id}"))
        .await
        .succeeds()
        .prints(&format!("{noted} entries of the journal since the backup were carried over"));
    scenario.run("status").await.succeeds().prints("0 applied, 1 pending");
    scenario.run("history --verify").await.succeeds().prints(&format!("{} entries", noted + 1));
    assert!(before.until(&scenario.state().await).is_none());
}

#[tokio::test]
async fn a_database_that_was_lost_comes_back() {
    let (scenario, before, id) = spoilt("lost").await;
    let database = scenario.database();
    let superuser = scenario.superuser_in("postgres").await;
    superuser.lines(&format!("DROP DATABASE {database} WITH (FORCE)")).await;
    let outcome = scenario.run(&format!("restore {id}")).await.succeeds();
    outcome.prints(&format!("restored `{database}` from backup {id}")).does_not_print("kept");
    assert!(kept(&scenario).await.is_empty());
    scenario.is_still(&before).await;
    assert_eq!(scenario.journal().await.last().unwrap(), "restored");
    scenario.run("up").await.succeeds().prints("applied 002_spoil");
    scenario.run("history --verify").await.succeeds();
}

#[tokio::test]
async fn a_lost_database_comes_back_with_the_privileges_and_settings_of_the_backup() {
    let scenario = Scenario::new("lost_properties").await.tables(&["a"]);
    let database = scenario.database().to_owned();
    let (other, superuser) = (scenario.role("").await, scenario.superuser_in("postgres").await);
    for statement in [
        format!("REVOKE CONNECT ON DATABASE {database} FROM PUBLIC"),
        format!("GRANT CONNECT ON DATABASE {database} TO {other} WITH GRANT OPTION"),
        format!("ALTER DATABASE {database} SET search_path = public, \"it's\", pg_temp"),
        format!("ALTER ROLE {other} IN DATABASE {database} SET work_mem = '12MB'"),
        format!("ALTER DATABASE {database} CONNECTION LIMIT 4"),
        format!("COMMENT ON DATABASE {database} IS 'it''s ours'"),
    ] {
        superuser.lines(&statement).await;
    }
    let properties = format!(
        "SELECT pg_get_userbyid(datdba), encoding, datcollate, datctype, datconnlimit, shobj_description(d.oid, 'pg_database'),
                (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(datacl) AS a),
                (SELECT array_agg(setrole::regrole || setconfig::text ORDER BY setrole) FROM pg_db_role_setting WHERE setdatabase = d.oid)
         FROM pg_database d WHERE datname = '{database}'"
    );
    let before = superuser.lines(&properties).await;
    let id = scenario.run_as("postgres", "backup").await.succeeds().backup_id();
    superuser.lines(&format!("DROP DATABASE {database} WITH (FORCE)")).await;
    // Only a superuser may give settings to other roles.
    scenario.run_as("postgres", &format!("restore {id}")).await.succeeds();
    assert_eq!(superuser.lines(&properties).await, before);
}

#[tokio::test]
async fn a_database_that_is_read_only_by_now_is_restored_and_stays_so() {
    let (scenario, before, id) = spoilt("read_only").await;
    scenario.lines(&format!("ALTER DATABASE {} SET default_transaction_read_only = on", scenario.database())).await;
    scenario.run(&format!("restore {id}")).await.succeeds().prints("entries of the journal since");
    assert_eq!(scenario.value("SHOW default_transaction_read_only").await, "on");
    let reset = format!("ALTER DATABASE {} RESET default_transaction_read_only", scenario.database());
    scenario.superuser_in("postgres").await.lines(&reset).await;
    scenario.is_still(&before).await;
}

#[tokio::test]
async fn a_server_without_the_roles_is_told_where_they_are() {
    let scenario = Scenario::new("no_roles").await.tables(&["a"]);
    scenario.up().await.succeeds();
    let (role, database) = (scenario.role("").await, scenario.database());
    let superuser = scenario.superuser_in("postgres").await;
    scenario.superuser().await.lines(&format!("CREATE TABLE theirs (); ALTER TABLE theirs OWNER TO {role}")).await;
    superuser.lines(&format!("GRANT CONNECT ON DATABASE {database} TO {role}")).await;
    let run = |arguments: &str| scenario.run_as("postgres", arguments);
    let id = run("backup").await.succeeds().backup_id();
    superuser.lines(&format!("DROP DATABASE {database} WITH (FORCE)")).await;
    superuser.lines(&format!("DROP ROLE {role}")).await;
    run(&format!("restore {id}"))
        .await
        .refuses_with(2)
        .says(&format!("this server has no role \"{role}\", who owns what backup `{id}` holds"))
        .says(&format!("`zstd -dc backups/{id}.globals.sql.zst | psql -d postgres`, then restore again"));
    superuser.lines(&format!("CREATE ROLE {role}")).await;
    run(&format!("restore {id}")).await.succeeds();
    assert_eq!(
        scenario.superuser().await.value("SELECT tableowner FROM pg_tables WHERE tablename = 'theirs'").await,
        role
    );
}

#[tokio::test]
async fn a_role_that_was_only_given_something_is_missed_with_a_warning() {
    let (scenario, before, id) = {
        let scenario = Scenario::new("no_grantee").await.tables(&["a"]);
        scenario.up().await.succeeds();
        let role = scenario.role("").await;
        scenario.lines(&format!("GRANT CONNECT ON DATABASE {} TO {role}", scenario.database())).await;
        let (before, id) = (scenario.state().await, scenario.run("backup").await.succeeds().backup_id());
        (scenario, before, id)
    };
    let (database, role) = (scenario.database(), format!("{}_other", scenario.database()));
    let superuser = scenario.superuser_in("postgres").await;
    superuser.lines(&format!("DROP DATABASE {database} WITH (FORCE)")).await;
    superuser.lines(&format!("DROP ROLE {role}")).await;
    scenario
        .run(&format!("restore {id}"))
        .await
        .succeeds()
        .says(&format!("this server has no role \"{role}\", to whom the database gave privileges or settings"));
    scenario.is_still(&before).await;
}

#[tokio::test]
async fn a_restore_into_a_new_database_leaves_the_present_one_alone() {
    let (scenario, before, id) = spoilt("into").await;
    let (present, aside) = (scenario.state().await, format!("{}_aside", scenario.database()));
    scenario
        .run(&format!("restore {id} --into {aside}"))
        .await
        .succeeds()
        .prints(&format!("restored `{aside}` from backup {id}"))
        .does_not_print("kept as");
    scenario.is_still(&present).await;
    before.equals(&scenario.state_of(&aside).await);
    assert_eq!(kept(&scenario).await, [aside.as_str()]);
    for (name, words) in [(aside.as_str(), "already"), (&"x".repeat(64), "at most 63 bytes")] {
        scenario.run(&format!("restore {id} --into {name}")).await.refuses_with(2).says(words);
    }
    assert_eq!(scenario.journal().await.last().unwrap(), "run_finished", "it is none of the present one's business");
}

#[tokio::test]
async fn a_backup_that_leaves_something_out_takes_nobody_s_place() {
    let (scenario, _, _) = spoilt("partial").await;
    let present = scenario.state().await;
    for (options, what, rows) in [("--exclude-data a", "the rows of a", "0"), ("--schema-only", "all rows", "0")] {
        let id = scenario.run(&format!("backup {options}")).await.succeeds().backup_id();
        scenario
            .run(&format!("restore {id}"))
            .await
            .refuses_with(2)
            .says(&format!("backup `{id}` leaves out {what}, and cannot take the place of the database"))
            .says("`--into NAME`");
        let aside = format!("{}_{}", scenario.database(), id.to_ascii_lowercase());
        scenario.run(&format!("restore {id} --into {aside}")).await.succeeds();
        assert_eq!(scenario.superuser_in(&aside).await.value("SELECT count(*) FROM a").await, rows);
    }
    scenario.is_still(&present).await;
}

#[tokio::test]
async fn several_jobs_restore_the_same_and_leave_no_file() {
    let (scenario, before, id) = spoilt("jobs").await;
    std::fs::create_dir(scenario.path("temp")).unwrap();
    scenario.run(&format!("restore {id} --jobs 2 --temp-dir temp")).await.succeeds();
    scenario.is_still(&before).await;
    assert!(scenario.files("temp").is_empty());
    scenario.run(&format!("restore {id} --jobs 2 --temp-dir nowhere")).await.refuses_with(2).says("`--temp-dir`");
    // A folder of files, as several jobs have written it.
    let id = scenario.run("backup --jobs 2").await.succeeds().backup_id();
    scenario.lines("DELETE FROM a").await;
    scenario.run(&format!("restore {id}")).await.succeeds();
    scenario.is_still(&before).await;
}

#[tokio::test]
async fn a_database_that_is_not_what_was_backed_up_never_gets_the_name() {
    let scenario = Scenario::new("different").await.tables(&["a", "b"]);
    scenario.up().await.succeeds();
    scenario.lines("INSERT INTO a SELECT generate_series(1, 10)").await;
    let id = scenario.run("backup --hashes").await.succeeds().backup_id();
    let before = scenario.state().await;
    let after = format!("{LISTS}\"$REAL/pg_restore\" \"$@\" && \"$REAL/psql\" -X -q -c \"$SPOIL\"");
    let programs = scenario.made_up_programs(&[("pg_restore", &after)]);
    for (spoil, words) in [
        ("DELETE FROM a WHERE id = 1", "\"public\".\"a\" has 9 rows, not 10"),
        ("UPDATE a SET id = 11 WHERE id = 1", "\"public\".\"a\" has other rows than it had, though as many"),
        ("DROP TABLE a", "\"public\".\"a\" is missing"),
    ] {
        scenario
            .run(&format!("restore {id}"))
            .env("LOCKGATE_PG_BIN", &programs)
            .env("SPOIL", spoil)
            .await
            .fails_with(7)
            .says(words)
            .says("state: the present database was not touched");
        assert!(kept(&scenario).await.is_empty());
        scenario.is_still(&before).await;
    }
}

#[tokio::test]
async fn two_restores_of_a_database_never_overlap() {
    let (scenario, before, id) = spoilt("overlap").await;
    let waits = format!(
        "{LISTS}touch \"$HOME/waiting\"\nuntil [ -e \"$HOME/go\" ]; do sleep 0.05; done\nexec \"$REAL/pg_restore\" \"$@\""
    );
    let programs = scenario.made_up_programs(&[("pg_restore", &waits)]);
    let first = scenario.run(&format!("restore {id}")).env("LOCKGATE_PG_BIN", &programs).start();
    eventually("the first is at work", async || scenario.path("waiting").exists()).await;
    scenario
        .run(&format!("restore {id}"))
        .await
        .refuses_with(4)
        .says(&format!("another restore into `{}` is under way", scenario.database()))
        .says("cause: it is pid ")
        .says("(lockgate restore ");
    assert_eq!(kept(&scenario).await.len(), 1, "what the first has made is left alone");
    scenario.run("restore --clean-up").await.succeeds().prints("nothing was left");
    scenario.write("go", "");
    first.end().await.succeeds();
    scenario.is_still(&before).await;
}

#[tokio::test]
async fn a_restore_that_is_asked_to_stop_leaves_nothing() {
    let (scenario, _, id) = spoilt("stopped_restore").await;
    let before = scenario.state().await;
    let waits = format!("{LISTS}touch \"$HOME/waiting\"\nexec sleep 60");
    let programs = scenario.made_up_programs(&[("pg_restore", &waits)]);
    let running = scenario.run(&format!("restore {id}")).env("LOCKGATE_PG_BIN", &programs).start();
    eventually("it is at work", async || scenario.path("waiting").exists()).await;
    running.terminate();
    running.end().await.fails_with(7).says("stopped by SIGTERM").says("was not touched");
    assert!(kept(&scenario).await.is_empty());
    scenario.is_still(&before).await;
}

#[tokio::test]
async fn a_restore_that_is_killed_anywhere_loses_nothing_and_the_next_one_succeeds() {
    let (scenario, before, id) = spoilt("killed").await;
    let database = scenario.database();
    let superuser = scenario.superuser_in("postgres").await;
    let restore = format!("restore {id} --jobs 2 --temp-dir temp");
    std::fs::create_dir(scenario.path("temp")).unwrap();
    for (i, point) in Failpoint::OF_A_RESTORE.into_iter().enumerate() {
        let spoilt = scenario.state().await;
        let killed = scenario.run_program(Path::new(FAILING), &restore).env("FAILPOINTS", format!("{point}=return"));
        let killed = killed.await;
        assert_eq!(killed.signal, Some(9), "{point}: {}", killed.stderr);
        let is_closed = format!("SELECT NOT datallowconn FROM pg_database WHERE datname = '{database}'");
        if superuser.value(&is_closed).await == "t" {
            assert!(matches!(point, Failpoint::DatabaseClosed | Failpoint::SessionsEnded), "{point}");
            scenario.run("status").await.refuses_with(8).says("`lockgate restore --clean-up`");
        } else if point == Failpoint::DatabasesSwapped {
            before.equals(&scenario.state().await);
        } else {
            spoilt.equals(&scenario.state().await);
        }
        // The next restore cleans up as well as the command that does only that.
        if i % 2 == 0 {
            scenario.run("restore --clean-up").await.succeeds();
            let expected = if point == Failpoint::DatabasesSwapped { &before } else { &spoilt };
            expected.equals(&scenario.state().await);
        }
        scenario.run(&restore).await.succeeds();
        before.equals(&scenario.state().await);
        scenario.run("history --verify").await.succeeds();
        assert!(scenario.files("temp").is_empty(), "{point}");
        for name in kept(&scenario).await {
            assert!(name.starts_with(&format!("{database}_before_")), "{point} has left {name}");
            superuser.lines(&format!("DROP DATABASE {name} WITH (FORCE)")).await;
        }
        scenario.run("up --no-backup").await.succeeds();
        assert_eq!(scenario.backups("backups").len(), 4, "{point}");
    }
}

#[tokio::test]
async fn twenty_clients_are_out_for_a_moment() {
    let (scenario, before, id) = spoilt("outage").await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        let client = scenario.session().await;
        client.lines("BEGIN; SELECT count(*) FROM a").await;
        clients.push(client);
    }
    let restored = scenario.run(&format!("restore {id} --output json")).await.succeeds().json();
    let outage_ms = restored["outage_ms"].as_u64().unwrap();
    // Half a second on a quiet machine.
    assert!(outage_ms < 3_000, "{outage_ms} ms");
    println!("nobody could connect for {outage_ms} ms");
    scenario.is_still(&before).await;
}

#[tokio::test]
async fn rows_behind_a_policy_and_large_objects_are_compared_too() {
    let scenario = Scenario::new("policy").await.tables(&["a"]);
    scenario.up().await.succeeds();
    scenario
        .lines(
            "INSERT INTO a SELECT generate_series(1, 10); ALTER TABLE a ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
             CREATE POLICY none ON a USING (false); SELECT lo_from_bytea(0, 'large')",
        )
        .await;
    let before = scenario.state().await;
    // The owner itself may not read them.
    let id = scenario.run_as("postgres", "backup --hashes").await.succeeds().backup_id();
    scenario.run(&format!("restore {id}")).await.succeeds().prints("by the number of rows");
    scenario.is_still(&before).await;
    let forced = "SELECT relforcerowsecurity FROM pg_class WHERE oid = 'a'::regclass";
    assert_eq!(scenario.value(forced).await, "t");
    assert_eq!(
        scenario.superuser().await.value("SELECT convert_from(lo_get(oid), 'UTF8') FROM pg_largeobject_metadata").await,
        "large"
    );
}

#[tokio::test]
async fn a_materialized_view_that_was_behind_is_no_difference() {
    let scenario = Scenario::new("behind").await.tables(&["a"]);
    scenario.up().await.succeeds();
    scenario
        .lines(
            "CREATE MATERIALIZED VIEW seen AS SELECT * FROM a; CREATE MATERIALIZED VIEW never AS SELECT * FROM a WITH NO DATA;
             INSERT INTO a VALUES (1); CREATE TABLE p (b int, c int); CREATE TABLE q (d int) INHERITS (p); ALTER TABLE p ADD a int;
             INSERT INTO q VALUES (1, 2, 3, 4)",
        )
        .await;
    let id = scenario.run("backup --hashes").await.succeeds().backup_id();
    scenario.run(&format!("restore {id}")).await.succeeds();
    assert_eq!(scenario.value("SELECT (SELECT count(*) FROM seen), (SELECT a FROM q)").await, "1|4");
}

#[tokio::test]
async fn an_encrypted_backup_is_restored_by_whoever_has_the_key() {
    use std::os::unix::fs::PermissionsExt;
    let scenario = Scenario::new("encrypted").await.tables(&["a"]);
    let scenario = scenario.config(&format!("[backup]\nrecipients = [\"{PUBLIC_KEY}\"]\n"));
    scenario.up().await.succeeds();
    let before = scenario.state().await;
    let id = scenario.run("backup").await.succeeds().prints(", encrypted").backup_id();
    scenario.lines("DROP TABLE a").await;
    scenario.run(&format!("restore {id}")).await.refuses_with(2).says("no private key is named");
    assert!(kept(&scenario).await.is_empty());
    scenario.write("key", format!("{PRIVATE_KEY}\n"));
    std::fs::set_permissions(scenario.path("key"), std::fs::Permissions::from_mode(0o600)).unwrap();
    for way in ["--jobs 1", "--jobs 2"] {
        scenario.run(&format!("restore {id} --identity key {way}")).await.succeeds().never_mentions(PRIVATE_KEY);
        scenario.is_still(&before).await;
    }
    scenario.run("drill --identity key").await.succeeds();
    let path = format!("backups/{id}.dump.zst.age");
    let whole = std::fs::read(scenario.path(&path)).unwrap();
    scenario.write(&path, &whole[..whole.len() - 20]);
    scenario.run(&format!("restore {id} --identity key")).await.fails_with(7).says(" bytes, the manifest says ");
}

#[tokio::test]
async fn a_journal_from_before_the_chain_is_carried_over_as_well() {
    let scenario = Scenario::new("unchained").await.tables(&["a", "b"]);
    scenario.run("up --no-backup --to 1").await.succeeds();
    scenario
        .lines(
            "DROP TRIGGER schema_migrations_journal_chain ON schema_migrations_journal;
             ALTER TABLE schema_migrations_journal DROP previous, DROP hash, DROP attempt",
        )
        .await;
    let id = scenario.run("up").await.succeeds().prints("applied 002_b").backup_id();
    let noted = scenario.journal().await;
    scenario
        .run(&format!("restore {id}"))
        .await
        .succeeds()
        .prints("4 entries of the journal since the backup were carried over");
    assert_eq!(scenario.journal().await, [noted, vec!["restored".to_owned()]].concat());
    scenario.run("history --verify").await.succeeds().prints("4 entries are from before the chain");
}

/// Makes a backup one of another server.
fn of_another_server(scenario: &Scenario, id: &str) {
    let path = format!("backups/{id}.json");
    let mut manifest = Manifest::open(id, &std::fs::read(scenario.path(&path)).unwrap()).unwrap();
    (manifest.system_identifier, manifest.server) = (42, "staging:5432".into());
    scenario.write(&path, manifest.sealed().1);
}

#[tokio::test]
async fn latest_is_never_one_of_another_server_that_has_a_database_of_the_same_name() {
    let (scenario, before, own) = spoilt("whose_server").await;
    let theirs = scenario.run("backup").await.succeeds().backup_id();
    of_another_server(&scenario, &theirs);
    scenario.run("drill").await.succeeds().prints(&format!("backup {own} is proved to level 3"));
    scenario.run("backup verify latest").await.succeeds().prints(&own);
    scenario.run("restore latest").await.succeeds().prints(&format!("from backup {own}"));
    scenario.is_still(&before).await;
    scenario.run("backup list").await.succeeds().prints("at staging:5432 (42)");
    // Numbered after its own, not after theirs.
    let next = scenario.run("backup").await.succeeds().backup_id();
    let text = std::fs::read(scenario.path(&format!("backups/{next}.json"))).unwrap();
    assert_eq!(Manifest::open(&next, &text).unwrap().sequence, 2);
}

#[tokio::test]
async fn a_backup_of_another_server_is_restored_when_it_is_named_or_all_that_is_left_and_that_is_said() {
    let (scenario, before, id) = spoilt("lost_server").await;
    let present = scenario.state().await;
    of_another_server(&scenario, &id);
    let refused = scenario.run("restore latest").await.refuses_with(2);
    refused
        .says("there is no backup of database")
        .says("of this server (")
        .says("name the one that is meant by its id");
    let refused = scenario.run("restore latest --into aside").await.refuses_with(2);
    refused.says("those there are of other servers");
    scenario.run("drill").await.refuses_with(2).says("of this server (");
    scenario.is_still(&present).await;

    let says = format!(
        "backup `{id}` is of another server: it was taken at staging:5432 (system identifier 42), and this is "
    );
    let named = scenario.run(&format!("restore {id} --output json")).await.succeeds().says(&says).json();
    let warnings = named["warnings"].as_array().unwrap();
    assert!(warnings.iter().any(|warning| warning.as_str().unwrap().starts_with(&says)), "{warnings:?}");
    scenario.is_still(&before).await;

    let drop = format!("DROP DATABASE {} WITH (FORCE)", scenario.database());
    scenario.superuser_in("postgres").await.lines(&drop).await;
    scenario.run("restore latest").await.succeeds().prints(&format!("from backup {id}")).says(&says);
    scenario.is_still(&before).await;
}
