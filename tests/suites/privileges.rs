//! A role that may not do what a run does is told so before the run, with the GRANT that it needs.

use lockgate::postgres::Secret;
use lockgate_tests::{Scenario, Standby};

#[tokio::test]
async fn a_role_that_may_not_create_the_history_is_told_the_grant() {
    let scenario = Scenario::new("no_create").await.tables(&["a"]);
    let role = scenario.role("").await;
    let grant = format!("GRANT CREATE ON SCHEMA \"public\" TO \"{role}\"");
    scenario.superuser().await.lines("REVOKE CREATE ON SCHEMA public FROM PUBLIC").await;
    scenario
        .run_as(&role, "up --no-backup")
        .await
        .refuses_with(6)
        .says("preflight says no")
        .says(&format!("role \"{role}\" may not create tables in schema `public`"))
        .says(&format!("next: run `{grant}`"));
    assert!(!scenario.has_history().await);
    scenario.superuser().await.lines(&grant).await;
    scenario.run_as(&role, "up --no-backup").await.succeeds().prints("applied 001_a");
}

#[tokio::test]
async fn a_role_that_may_not_create_the_schema_of_the_history_is_told_the_grant() {
    let scenario = Scenario::new("no_schema").await.tables(&[]);
    let scenario = scenario.migration("001_a", "SELECT 1", "SELECT 1");
    let role = scenario.role("").await;
    let grant = format!("GRANT CREATE ON DATABASE \"{}\" TO \"{role}\"", scenario.database());
    scenario.run_as(&role, "up --no-backup --schema elsewhere").await.refuses_with(6).says(&grant);
    scenario.superuser().await.lines(&grant).await;
    scenario.run_as(&role, "up --no-backup --schema elsewhere").await.succeeds();
    assert_eq!(scenario.superuser().await.lines("SELECT version FROM elsewhere.schema_migrations").await, ["001"]);
}

#[tokio::test]
async fn a_role_that_may_not_write_the_history_is_told_the_grant() {
    let scenario = Scenario::new("no_insert").await.tables(&["a"]);
    scenario.up().await.succeeds();
    let scenario = scenario.migration("002_b", "SELECT 1", "SELECT 1");
    let role = scenario.role("").await;
    let superuser = scenario.superuser().await;
    let grant = format!("GRANT SELECT ON schema_migrations, schema_migrations_progress TO {role}");
    superuser.lines(&grant).await;
    let before = scenario.state().await;
    scenario
        .run_as(&role, "up --no-backup")
        .await
        .refuses_with(6)
        .says(&format!("GRANT INSERT ON \"public\".\"schema_migrations\" TO \"{role}\""))
        .says(&format!("GRANT DELETE ON \"public\".\"schema_migrations\" TO \"{role}\""))
        .says(&format!("GRANT SELECT ON \"public\".\"schema_migrations_journal\" TO \"{role}\""))
        .says(&format!("GRANT INSERT ON \"public\".\"schema_migrations_journal\" TO \"{role}\""));
    scenario.is_still(&before).await;
    superuser
        .lines(&format!(
            "GRANT INSERT, DELETE ON schema_migrations TO {role}; GRANT SELECT, INSERT ON schema_migrations_journal TO {role};
             GRANT SELECT, INSERT, UPDATE, DELETE ON schema_migrations_progress, schema_migrations_seal TO {role}"
        ))
        .await;
    scenario.run_as(&role, "up --no-backup").await.succeeds().prints("applied 002_b");
}

#[tokio::test]
async fn a_role_that_may_not_read_everything_is_told_before_the_backup() {
    let scenario = Scenario::new("no_select").await.migration("001_a", "SELECT 1", "SELECT 1");
    let role = scenario.role("").await;
    let superuser = scenario.superuser().await;
    superuser.lines(&format!("CREATE TABLE private (); GRANT CREATE ON SCHEMA public TO {role}")).await;
    let before = scenario.state().await;
    scenario
        .run_as(&role, "up")
        .await
        .refuses_with(6)
        .says(&format!("role \"{role}\" may not read public.private, so it cannot take a backup"))
        .says(&format!("GRANT pg_read_all_data TO \"{role}\""));
    assert!(scenario.files("backups").is_empty());
    scenario.is_still(&before).await;
    superuser.lines(&format!("GRANT pg_read_all_data TO {role}")).await;
    scenario.run_as(&role, "up").await.succeeds().prints("backed up as ");
}

#[tokio::test]
async fn a_privilege_that_a_migration_lacks_rolls_it_back() {
    let scenario = Scenario::new("denied").await.tables(&["a"]).migration(
        "002_b",
        "CREATE TABLE b ();\nCREATE ROLE nobody_may;",
        "DROP TABLE b;",
    );
    scenario
        .up()
        .await
        .fails_with(1)
        .says("migration `002_b` failed in up")
        .says("permission denied")
        .says("SQLSTATE 42501")
        .says("state: rolled back; the database is at version 001");
    assert_eq!(scenario.applied().await, ["001"]);
    assert_eq!(scenario.value("SELECT to_regclass('b') IS NULL").await, "t");
}

#[tokio::test]
async fn a_role_that_is_read_only_is_refused() {
    let scenario = Scenario::new("read_only").await.tables(&["a"]);
    let superuser = scenario.superuser().await;
    superuser.lines(&format!("ALTER DATABASE {} SET default_transaction_read_only = on", scenario.database())).await;
    let before = scenario.state().await;
    scenario
        .run("up")
        .await
        .refuses_with(6)
        .says("`default_transaction_read_only` is on")
        .says(&format!("`ALTER DATABASE \"{}\" RESET default_transaction_read_only`", scenario.database()));
    scenario.run("status").await.succeeds().prints("0 applied, 1 pending");
    assert!(!scenario.has_history().await);
    scenario.is_still(&before).await;
}

#[tokio::test]
async fn a_database_without_triggers_is_refused() {
    let scenario = Scenario::new("without_triggers").await.tables(&["a"]);
    let superuser = scenario.superuser().await;
    let set = format!("ALTER DATABASE {} SET session_replication_role", scenario.database());
    superuser.lines(&format!("{set} = replica")).await;
    let before = scenario.state().await;
    scenario
        .run("up")
        .await
        .refuses_with(6)
        .says("no trigger and no foreign key does anything, not even those of the journal")
        .says("`SELECT source FROM pg_settings WHERE name = 'session_replication_role'`");
    scenario.run("doctor").await.exits_with(6).prints("triggers-off");
    for command in ["baseline 001", "backup"] {
        scenario
            .run(command)
            .await
            .refuses_with(if command == "backup" { 6 } else { 2 })
            .says("not even those of the journal");
    }
    assert!(!scenario.has_history().await);
    scenario.is_still(&before).await;
    superuser.lines(&format!("{set} = local")).await;
    scenario.run("up").await.succeeds();
    superuser.lines(&format!("{set} = replica")).await;
    scenario.run("down 001").await.refuses_with(6).says("not even those of the journal");
    scenario.write("migrations/001_a.up.sql", "CREATE TABLE a (); -- changed");
    scenario.run("repair").await.refuses_with(2).says("not even those of the journal");
    scenario.run("history --verify").await.succeeds();
    assert_eq!(scenario.applied().await, ["001"]);
}

#[tokio::test]
async fn a_standby_is_refused() {
    let (scenario, standby) = (Scenario::new("standby").await.tables(&["a"]), Standby::start().await);
    let target = standby.target();
    let run = |arguments: &str| {
        let call =
            scenario.run(arguments).env("DB_HOST", target.host().name).env("DB_PORT", target.host().port.to_string());
        let password = target.given_password().map(Secret::reveal).unwrap();
        call.env("DB_NAME", &target.database).env("DB_USER", &target.user).env("DB_PASSWORD", password)
    };
    run("test").await.succeeds().prints(", a standby");
    for arguments in ["up", "up --no-backup", "backup"] {
        run(arguments)
            .await
            .refuses_with(6)
            .says("the server is a standby, which cannot be written to")
            .says("next: connect to the primary server");
    }
    run("status").await.succeeds().prints("0 applied, 1 pending");
    assert!(scenario.backups("backups").is_empty());
    let made = "SELECT count(*) FROM pg_class WHERE relname LIKE 'schema_migrations%'";
    assert_eq!(standby.primary().await.value(made).await, "0");
}

#[tokio::test]
async fn a_superuser_is_warned_about_plugins() {
    let scenario = Scenario::new("superuser").await.migration(
        "001_b",
        "CREATE TABLE hostile_behaviour AS SELECT 'good'::text AS behaviour",
        "DROP TABLE hostile_behaviour",
    );
    let scenario = scenario.component("002_guest", &lockgate_tests::components::hostile()).await;
    scenario
        .run("up --no-backup")
        .env("DB_USER", "postgres")
        .await
        .succeeds()
        .prints("plugins will run as `postgres`, a superuser");
}
