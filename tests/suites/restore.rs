//! The way back: a restore brings the former state, and keeps the present one under another name.

use lockgate_tests::Scenario;

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
    let fails = "head -c 1000 >/dev/null\necho 'pg_restore: error: it went wrong' >&2\nexit 1";
    let programs = scenario.made_up_programs(&[("pg_restore", fails)]);
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
        .says(&format!("next: run `{alter}` as a superuser, then restore again"));
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
    scenario.run(&format!("restore {id}")).await.fails_with(7).says(&format!("backups/{id}.json"));
    scenario.is_still(&before).await;
}

#[tokio::test]
async fn a_backup_of_another_database_is_refused() {
    let scenario = Scenario::new("whose_backup").await.tables(&["a"]);
    scenario.up().await.succeeds();
    let id = scenario.run("backup").await.succeeds().backup_id();
    let path = format!("backups/{id}.json");
    let manifest = std::fs::read_to_string(scenario.path(&path)).unwrap();
    scenario.write(&path, manifest.replace(scenario.database(), "staging"));
    let before = scenario.state().await;
    scenario.run(&format!("restore {id}")).await.refuses_with(2).says("is one of database `staging`");
    scenario.run("restore latest").await.refuses_with(2).says("there is no backup `latest` of database");
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
