//! Which database is meant, and what is said when it cannot be reached.

use lockgate_tests::Scenario;

#[tokio::test]
async fn an_unreachable_server_is_told() {
    let scenario = Scenario::new("unreachable").await.tables(&["a"]);
    // Port 1 is reserved for a service that nobody runs.
    for arguments in ["up", "status", "test", "plan", "down 001", "backup"] {
        scenario
            .run(arguments)
            .env("DB_HOST", "127.0.0.1")
            .env("DB_PORT", "1")
            .await
            .refuses_with(8)
            .says(" at 127.0.0.1:1 as `")
            .says("Connection refused")
            .says("next: check DB_HOST and DB_PORT, and that the server runs")
            .never_mentions(scenario.password());
    }
}

#[tokio::test]
async fn a_wrong_password_is_told_and_not_shown() {
    let scenario = Scenario::new("wrong_password").await.tables(&["a"]);
    scenario
        .run("-vv up")
        .env("DB_PASSWORD", "not-the-password")
        .await
        .refuses_with(8)
        .says("password authentication failed")
        .says("28P01")
        .says("next: check DB_USER and DB_PASSWORD")
        .never_mentions("not-the-password");
}

#[tokio::test]
async fn a_missing_password_is_told() {
    let scenario = Scenario::new("no_password").await.tables(&["a"]);
    scenario.run("up").without("DB_PASSWORD").await.refuses_with(8).says("next: set DB_PASSWORD");
}

#[tokio::test]
async fn a_database_that_does_not_exist_is_told() {
    let scenario = Scenario::new("no_database").await.tables(&["a"]);
    scenario
        .run("up")
        .env("DB_NAME", "nowhere")
        .await
        .refuses_with(8)
        .says("database \"nowhere\" does not exist")
        .says("next: create it (`CREATE DATABASE`), or check DB_NAME");
}

#[tokio::test]
async fn tls_that_is_required_and_not_offered_is_told() {
    let scenario = Scenario::new("no_tls").await;
    scenario.run("test").env("DB_SSL_MODE", "prefer").await.succeeds();
    scenario.run("test").env("DB_SSL_MODE", "disable").await.succeeds();
    for mode in ["require", "verify-ca", "verify-full"] {
        scenario.run("test").env("DB_SSL_MODE", mode).await.refuses_with(8).says("next: check DB_SSL_MODE");
    }
}

#[tokio::test]
async fn the_defaults_are_those_of_the_old_script() {
    let scenario = Scenario::new("defaults").await;
    let bare = |call: lockgate_tests::Call| {
        ["DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DB_PASSWORD"].iter().fold(call, |call, name| call.without(name))
    };
    // Nothing may listen there, so that the message names what would have been reached.
    let host = bare(scenario.run("test")).env("DB_PORT", "1").await;
    host.refuses_with(8).says("cannot connect to `auth_service` at localhost:1 as `postgres`");
    let port = bare(scenario.run("test")).env("DB_HOST", "host.invalid").await;
    port.refuses_with(8).says("cannot connect to `auth_service` at host.invalid:5432 as `postgres`");
    // And no password: the server asks for one in vain.
    let server = scenario.port().to_string();
    let password = bare(scenario.run("test")).env("DB_HOST", "127.0.0.1").env("DB_PORT", server).await;
    password.refuses_with(8).says("next: set DB_PASSWORD");
}

#[tokio::test]
async fn the_first_source_that_is_set_wins() {
    let scenario = Scenario::new("sources").await;
    let url = scenario.url();
    let wrong = "postgres://nobody@127.0.0.1:1/nothing";
    scenario
        .run("test --database-url")
        .arg(&url)
        .env("LOCKGATE_DATABASE_URL", wrong)
        .env("DATABASE_URL", wrong)
        .await
        .succeeds();
    scenario.run("test").env("LOCKGATE_DATABASE_URL", &url).env("DATABASE_URL", wrong).await.succeeds();
    scenario
        .run("test")
        .env("DATABASE_URL", &url)
        .env("DB_HOST", "host.invalid")
        .env("DB_USER", "nobody")
        .await
        .succeeds();
    scenario.run("test").env("PGHOST", "host.invalid").env("PGPORT", "1").env("PGPASSWORD", "wrong").await.succeeds();
    let from_pg = scenario.run("test").without("DB_NAME").env("PGDATABASE", scenario.database()).await;
    from_pg.succeeds().prints(&format!("connected to `{}`", scenario.database()));
    scenario
        .write("lockgate.toml", format!("[database]\nname = \"{}\"\nhost = \"host.invalid\"\n", scenario.database()));
    scenario.run("test").without("DB_NAME").await.succeeds().prints(&format!("connected to `{}`", scenario.database()));
}

#[tokio::test]
async fn the_sources_are_shown_without_the_password() {
    let scenario = Scenario::new("shown").await;
    scenario
        .run("-v test")
        .await
        .succeeds()
        .says("DB_PASSWORD")
        .says("***")
        .says("DB_HOST")
        .never_mentions(scenario.password());
}

#[tokio::test]
async fn a_migration_has_the_settings_on_which_its_outcome_depends() {
    let seen = "SELECT name || ' ' || setting FROM pg_settings
                WHERE name IN ('synchronous_commit', 'idle_session_timeout', 'idle_in_transaction_session_timeout')
                   OR name IN ('client_connection_check_interval', 'tcp_user_timeout') OR name LIKE 'tcp_keepalives_%'";
    let up = format!("CREATE TABLE a AS {seen};");
    let alone = format!("-- lockgate: no-transaction\nCREATE TABLE b AS {seen};\nSELECT 1;");
    let scenario = Scenario::new("settings").await;
    let scenario = scenario.migration("001_a", &up, "DROP TABLE a;").migration("002_b", &alone, "DROP TABLE b;");
    let database = scenario.database();
    for setting in
        ["synchronous_commit = off", "idle_in_transaction_session_timeout = '50ms'", "idle_session_timeout = '50ms'"]
    {
        scenario.lines(&format!("ALTER DATABASE {database} SET {setting}")).await;
    }
    scenario.up().await.succeeds();
    for table in ["a", "b"] {
        let session = scenario.superuser().await;
        assert_eq!(
            session.lines(&format!("SELECT * FROM {table} ORDER BY 1")).await,
            [
                "client_connection_check_interval 1000",
                "idle_in_transaction_session_timeout 0",
                "idle_session_timeout 0",
                "synchronous_commit on",
                "tcp_keepalives_count 3",
                "tcp_keepalives_idle 30",
                "tcp_keepalives_interval 10",
                "tcp_user_timeout 60000",
            ]
        );
    }
}

#[tokio::test]
async fn the_password_file_is_asked_when_no_password_is_set() {
    let scenario = Scenario::new("passfile").await;
    let line =
        format!("*:*:{}:*:{}\n", scenario.database(), scenario.password().replace('\\', r"\\").replace(':', r"\:"));
    scenario.write("passfile", line);
    let path = scenario.path("passfile");
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    scenario.run("test").without("DB_PASSWORD").env("PGPASSFILE", &path).await.succeeds();
    scenario.run("backup").without("DB_PASSWORD").env("PGPASSFILE", &path).await.succeeds();
}

#[tokio::test]
async fn settings_that_make_no_sense_are_refused_by_name() {
    let scenario = Scenario::new("nonsense").await;
    scenario.run("test").env("DB_PORT", "http").await.refuses_with(2).says("DB_PORT=`http` is no port");
    scenario
        .run("test")
        .env("DB_SSL_MODE", "maybe")
        .await
        .refuses_with(2)
        .says("DB_SSL_MODE: `maybe` is none of disable, prefer");
    scenario
        .run("test")
        .env("DATABASE_URL", "mysql://me:hush@x/y")
        .await
        .refuses_with(2)
        .says("DATABASE_URL")
        .never_mentions("hush");
    scenario.write("lockgate.toml", "[backup]\nfolder = \"x\"\n");
    scenario.run("test").await.refuses_with(2).says("`lockgate.toml`, line 2").says("folder");
}
