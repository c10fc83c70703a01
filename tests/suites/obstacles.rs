//! What is in the way of a restore is said before the present database is touched, and nobody gets into a copy who would not into it.

use lockgate_tests::{Scenario, eventually};

/// Passes a call of `pg_restore` on that only lists.
const LISTS: &str = "case \"$*\" in *--list*) exec \"$REAL/pg_restore\" \"$@\";; esac\n";

/// A database with a table of 100 rows, and a backup of it.
async fn backed_up(name: &str) -> (Scenario, String) {
    let scenario = Scenario::new(name).await.tables(&["a"]);
    scenario.up().await.succeeds();
    scenario.lines("INSERT INTO a SELECT generate_series(1, 100)").await;
    let id = scenario.run("backup").await.succeeds().backup_id();
    (scenario, id)
}

/// The other databases of the server whose names begin with that of the scenario's.
async fn copies(scenario: &Scenario) -> Vec<String> {
    let sql = format!("SELECT datname FROM pg_database WHERE datname LIKE '{}\\_%' ORDER BY 1", scenario.database());
    scenario.superuser_in("postgres").await.lines(&sql).await
}

#[tokio::test]
async fn a_database_with_nothing_but_an_extension_comes_back() {
    let scenario = Scenario::new("only_extension").await.tables(&["a"]);
    scenario.lines("CREATE EXTENSION pgcrypto").await;
    let id = scenario.run("up").await.succeeds().backup_id();
    scenario.run("drill").await.succeeds();
    scenario.run(&format!("restore {id}")).await.succeeds();
    assert_eq!(scenario.value("SELECT count(*) FROM pg_extension WHERE extname = 'pgcrypto'").await, "1");
    assert_eq!(scenario.value("SELECT to_regclass('a') IS NULL").await, "t");
}

#[tokio::test]
async fn a_subscription_is_told_of_and_never_copied() {
    let scenario = Scenario::new("subscribed").await.tables(&["a"]);
    scenario.up().await.succeeds();
    let superuser = scenario.superuser().await;
    superuser
        .lines("CREATE SUBSCRIPTION obstacle_s CONNECTION 'host=/nonexistent dbname=x' PUBLICATION p WITH (connect = false)")
        .await;
    let id = scenario.run("backup").await.succeeds().backup_id();
    scenario.run("drill").await.succeeds();
    scenario.run("backup verify latest --level 3").await.succeeds();
    assert_eq!(copies(&scenario).await, Vec::<String>::new(), "a copy is left");

    superuser.lines("ALTER SUBSCRIPTION obstacle_s ENABLE").await;
    let before = scenario.state().await;
    scenario
        .run(&format!("restore {id}"))
        .await
        .refuses_with(2)
        .says("the subscription `obstacle_s` would go on filling the database that is kept")
        .says("`ALTER SUBSCRIPTION \"obstacle_s\" DISABLE`");
    before.equals(&scenario.state().await);
    superuser.lines("ALTER SUBSCRIPTION obstacle_s DISABLE").await;
    drop(superuser);

    let restored = scenario.run(&format!("restore {id} --output json")).await.succeeds().json();
    let warnings = restored["warnings"].to_string();
    assert!(warnings.contains("`obstacle_s` stays with the kept database"), "{warnings}");
    assert_eq!(scenario.value("SELECT count(*) FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())").await, "0");
    // The server refuses to drop a database that has one.
    let kept = copies(&scenario).await.pop().unwrap();
    scenario
        .superuser_in(&kept)
        .await
        .lines("ALTER SUBSCRIPTION obstacle_s SET (slot_name = NONE); DROP SUBSCRIPTION obstacle_s")
        .await;
}

#[tokio::test]
async fn sessions_that_cannot_be_ended_are_named_before_anything_is_closed() {
    let (scenario, id) = backed_up("unended").await;
    let mut superuser = scenario.superuser().await;
    let before = scenario.state().await;
    scenario
        .run(&format!("restore {id}"))
        .await
        .refuses_with(2)
        .says("may not end the sessions of")
        .says("GRANT pg_signal_backend TO");
    assert_eq!(superuser.value("SELECT datallowconn FROM pg_database WHERE datname = current_database()").await, "t");
    assert_eq!(copies(&scenario).await, Vec::<String>::new());
    before.equals(&scenario.state().await);
    superuser = scenario.superuser_in("postgres").await;
    scenario.run(&format!("restore {id}")).await.succeeds();
    drop(superuser);
}

#[tokio::test]
async fn nobody_gets_into_a_copy_who_would_not_into_the_database() {
    let (scenario, id) = backed_up("closed_copy").await;
    let other = scenario.role("").await;
    scenario.lines(&format!("REVOKE CONNECT ON DATABASE {} FROM PUBLIC", scenario.database())).await;
    let waits = format!(
        "{LISTS}touch \"$HOME/waiting\"\nuntil [ -e \"$HOME/go\" ]; do sleep 0.05; done\nexec \"$REAL/pg_restore\" \"$@\""
    );
    let programs = scenario.made_up_programs(&[("pg_restore", &waits)]);
    for command in ["drill".to_owned(), format!("restore {id}")] {
        let running = scenario.run(&command).env("LOCKGATE_PG_BIN", &programs).start();
        eventually("it is at work", async || scenario.path("waiting").exists()).await;
        let copy = copies(&scenario).await.pop().unwrap();
        let may = format!("SELECT has_database_privilege('{other}', '{copy}', 'CONNECT')");
        assert_eq!(scenario.superuser_in("postgres").await.value(&may).await, "f", "{command}: {copy}");
        scenario.write("go", "");
        running.end().await.succeeds();
        scenario.remove("go");
        scenario.remove("waiting");
    }
    let database = scenario.database();
    let may = |role: &str| format!("SELECT has_database_privilege('{role}', '{database}', 'CONNECT')");
    assert_eq!(scenario.value(&may(&other)).await, "f");
    scenario.lines(&format!("GRANT CONNECT ON DATABASE {database} TO PUBLIC")).await;
    let id = scenario.run("backup").await.succeeds().backup_id();
    scenario.run(&format!("restore {id}")).await.succeeds();
    assert_eq!(scenario.value(&may(&other)).await, "t", "what everybody had, everybody has");
}

#[tokio::test]
async fn a_present_database_that_lets_nobody_in_is_replaced_all_the_same() {
    let (scenario, id) = backed_up("let_nobody_in").await;
    let before = scenario.state().await;
    let admin = scenario.superuser_in("postgres").await;
    admin.lines(&format!("ALTER DATABASE {} ALLOW_CONNECTIONS false", scenario.database())).await;
    let restored = scenario.run(&format!("restore {id} --output json")).await.succeeds().json();
    assert!(restored["warnings"].to_string().contains("lets nobody in"), "{restored}");
    let journal = ["schema_migrations_journal".to_owned()];
    let after = scenario.state().await.without_content_of(&journal);
    before.without_content_of(&journal).equals(&after);
}

#[tokio::test]
async fn the_encoding_is_that_of_the_backup_whatever_the_present_one_is() {
    let scenario = Scenario::new("encodings").await.tables(&["a"]);
    let database = scenario.database().to_owned();
    let remake = async |encoding: &str| {
        let owner = scenario.value("SELECT current_user").await;
        let admin = scenario.superuser_in("postgres").await;
        admin.lines(&format!("DROP DATABASE {database} WITH (FORCE)")).await;
        admin
            .lines(&format!(
                "CREATE DATABASE {database} TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' OWNER {owner}"
            ))
            .await;
        scenario.superuser().await.lines(&format!("ALTER SCHEMA public OWNER TO {owner}")).await;
    };
    remake("LATIN1").await;
    scenario.up().await.succeeds();
    scenario.lines("CREATE TABLE words AS SELECT 'Grüße' AS word").await;
    let id = scenario.run("backup --hashes").await.succeeds().backup_id();
    remake("UTF8").await;
    scenario.run(&format!("restore {id}")).await.succeeds();
    assert_eq!(scenario.value("SHOW server_encoding").await, "LATIN1");
    assert_eq!(scenario.value("SELECT word FROM words").await, "Grüße");
    scenario.run(&format!("restore {id} --into {database}_beside")).await.succeeds();
}

#[tokio::test]
async fn what_cannot_be_removed_is_no_success() {
    let (scenario, _) = backed_up("undroppable").await;
    let database = scenario.database();
    let admin = scenario.superuser_in("postgres").await;
    let left = format!("{database}_scratch_0123abcd");
    let owner = scenario.value("SELECT current_user").await;
    admin.lines(&format!("CREATE DATABASE {left} OWNER {owner} ALLOW_CONNECTIONS false IS_TEMPLATE true")).await;
    scenario
        .run("restore --clean-up")
        .await
        .fails_with(7)
        .says("what restores have left could not all be removed")
        .says(&format!("`{left}` could not be dropped"));
    // It keeps nobody from restoring.
    scenario.run("restore latest").await.succeeds();
    admin.lines(&format!("ALTER DATABASE {left} IS_TEMPLATE false")).await;
    scenario.run("restore --clean-up").await.succeeds().prints(&format!("dropped `{left}`"));
}
