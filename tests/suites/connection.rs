//! Which database is meant, and what is said when it cannot be reached.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
};

use lockgate_tests::{Harm, Meant, Proxy, Scenario, SecureServer, Standby, eventually};

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
    for mode in ["require", "verify-full"] {
        scenario.run("test").env("DB_SSL_MODE", mode).await.refuses_with(8).says("next: check DB_SSL_MODE");
    }
    let without = scenario.run("test").env("DB_SSL_MODE", "verify-ca");
    without.await.refuses_with(2).says("sslmode `verify-ca` has no certificates to check with");
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

/// A server on Windows, and one before version 15 that is not on Linux, refuses that setting, with the SQLSTATE with which any refuses a bad value.
#[tokio::test]
async fn a_server_that_cannot_notice_a_lost_client_is_one_to_work_with() {
    let show = |setting: &str| format!("current_setting('{setting}')");
    let up = format!(
        "CREATE TABLE a AS SELECT {} AS checks, {} AS waits, {} AS idles;",
        show("client_connection_check_interval"),
        show("lock_timeout"),
        show("idle_session_timeout")
    );
    let scenario = Scenario::new("does_not_notice").await.migration("001_a", &up, "DROP TABLE a;");
    let scenario = scenario.migration("002_b", "CREATE TABLE b ();", "DROP TABLE b;");
    let reworded = Harm::Reworded("client_connection_check_interval = 1000", "client_connection_check_interval = -100");
    let proxy = Proxy::before(scenario.host(), scenario.port(), Meant::Anything(usize::MAX), reworded, false).await;
    let through = async |command: &str| scenario.run_through(&proxy, command).await.succeeds();
    through("up --no-backup -vv")
        .await
        .says("the server cannot notice in the midst of a query that its client is gone");
    assert_eq!(scenario.value("SELECT concat_ws(' ', checks, waits, idles) FROM a").await, "0 3s 0");
    through("up").await.prints("nothing is pending");
    through("status").await;
    through("down --to 0 --no-backup").await;
    through("up --atomic").await;
    scenario.is_at_rest().await;
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
        .says("DB_SSL_MODE: `maybe` is none of disable, allow, prefer");
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

#[tokio::test]
async fn a_socket_is_reached_and_has_no_tls() {
    let mut server = SecureServer::make();
    server.serve(Some("good"), "local all all scram-sha-256").await;
    server.write("migrations/001_a.up.sql", "CREATE TABLE a (id int);");
    server.write("migrations/001_a.down.sql", "DROP TABLE a;");
    let socket = server.socket().display().to_string();
    for mode in ["disable", "allow", "prefer", "require", "verify-full"] {
        server.lockgate("test").env("PGHOST", &socket).env("DB_SSL_MODE", mode).await.succeeds();
    }
    server.lockgate("up").env("PGHOST", &socket).await.succeeds().prints("backed up as");
    let url = format!("postgres://postgres@{}:{}/postgres", socket.replace('/', "%2F"), server.port());
    server.lockgate("test").env("DATABASE_URL", url).await.succeeds();
    // Port and host are of one source.
    let url = format!("postgres:///postgres?host={socket}&port={}", server.port());
    server.lockgate("test").env("DATABASE_URL", url).await.succeeds();
    let lost = server.lockgate("test").env("PGHOST", "/nowhere").await;
    lost.refuses_with(8).says(&format!("at /nowhere:{}", server.port())).says("check DB_HOST");
}

#[tokio::test]
async fn of_several_hosts_the_primary_is_migrated_and_backed_up() {
    let standby = Standby::start().await;
    let (primary, other) = standby.ports();
    let scenario = Scenario::new("several").await.tables(&["a"]);
    let target = standby.target();
    let url = |hosts: &str, parameters: &str| {
        let password =
            target.given_password().unwrap().reveal().replace('%', "%25").replace('@', "%40").replace('/', "%2F");
        format!("postgres://{}:{password}@{hosts}/{}?{parameters}", target.user, target.database)
    };
    // The first is nobody, the second the standby.
    let hosts = format!("127.0.0.1:1,127.0.0.1:{other},127.0.0.1:{primary}");
    let called =
        |arguments: &str, parameters: &str| scenario.run(arguments).env("DATABASE_URL", url(&hosts, parameters));
    called("-v up", "").await.succeeds().prints("backed up as");
    eventually("the standby has it", async || {
        let tables = called("psql -- -XAtqc", "target_session_attrs=standby").arg("SELECT count(*) FROM a").await;
        tables.code == Some(0)
    })
    .await;
    let port = "SELECT current_setting('port')";
    for (attributes, expected) in [
        ("any", other),
        ("primary", primary),
        ("read-write", primary),
        ("read-only", other),
        ("standby", other),
        ("prefer-standby", other),
    ] {
        let parameters = format!("target_session_attrs={attributes}");
        let ours = called("test --output json", &parameters).await.succeeds().json();
        assert_eq!(ours["in_recovery"], expected == other, "{attributes}: {ours}");
        let childs = called("psql -- -XAtqc", &parameters).arg(port).await.succeeds();
        assert_eq!(childs.stdout.trim(), expected.to_string(), "{attributes}");
    }
    let none = format!("127.0.0.1:1,127.0.0.1:{other}");
    let refused = scenario.run("up").env("DATABASE_URL", url(&none, "")).await;
    refused.refuses_with(8).says("127.0.0.1:1: ").says(&format!("127.0.0.1:{other}: it is a standby"));
    // Whoever insists on a standby is told before anything is done.
    scenario.write("migrations/002_b.up.sql", "CREATE TABLE b ();");
    scenario.write("migrations/002_b.down.sql", "DROP TABLE b;");
    called("up", "target_session_attrs=standby").await.exits_with(6).says("the server is a standby");
    // A backup is of the server that was migrated, though the standby comes first in the list.
    called("backup", "").await.succeeds();
    let manifests: Vec<String> = fs::read_dir(scenario.path("backups"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    assert_eq!(manifests.len(), 2, "of `up` and of `backup`");
    assert!(manifests.iter().all(|text| text.contains(&format!("127.0.0.1:{primary}"))), "{manifests:?}");
}

#[tokio::test]
async fn lists_that_do_not_fit_are_refused() {
    let scenario = Scenario::new("lists").await;
    let call = scenario.run("test").env("DB_HOST", "a,b").env("DB_PORT", "1,2,3");
    call.await.refuses_with(2).says("there are 3 ports (DB_PORT) for 2 hosts (DB_HOST)").says("next: name one port");
    let call = scenario.run("test").env("DB_HOST", "a:5432");
    call.await.refuses_with(2).says("DB_HOST=`a:5432` is neither a host nor an IPv6 address");
    let call = scenario.run("test").env("DB_TARGET_SESSION_ATTRS", "master");
    call.await.refuses_with(2).says("DB_TARGET_SESSION_ATTRS: `master` is none of any, read-write");
}

#[tokio::test]
async fn an_ipv6_address_is_written_as_everywhere() {
    let scenario = Scenario::new("ipv6").await;
    let url = "postgres://me@[::1]:1/x".to_owned();
    for call in [
        scenario.run("test").env("DB_HOST", "::1").env("DB_PORT", "1"),
        scenario.run("test").env("DB_HOST", "[::1]").env("DB_PORT", "1"),
        scenario.run("test").env("DATABASE_URL", url),
    ] {
        call.await.refuses_with(8).says(" at [::1]:1 as `");
    }
}

#[tokio::test]
async fn a_service_stands_for_settings() {
    let scenario = Scenario::new("service").await;
    let (host, port) = (scenario.host(), scenario.port());
    let bare = |call: lockgate_tests::Call| {
        ["DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DB_PASSWORD"].iter().fold(call, |call, name| call.without(name))
    };
    let (name, user, password) = (scenario.database(), &scenario.target().user, scenario.password());
    let service = format!("[here]\nhost={host}\nport={port}\ndbname={name}\nuser={user}\npassword={password}\n");
    scenario.write(".pg_service.conf", &service);
    bare(scenario.run("test")).env("PGSERVICE", "here").await.succeeds();
    bare(scenario.run("test")).env("DB_SERVICE", "here").await.succeeds();
    bare(scenario.run("test")).env("DATABASE_URL", "postgres://?service=here").await.succeeds();
    // It comes before PG*, and behind DB_*.
    bare(scenario.run("test")).env("PGSERVICE", "here").env("PGPORT", "1").await.succeeds();
    let later = bare(scenario.run("test")).env("PGSERVICE", "here").env("DB_PORT", "1").await;
    later.refuses_with(8).says(":1 as `").never_mentions(password);
    scenario.write("elsewhere/pg_service.conf", &service);
    fs::remove_file(scenario.path(".pg_service.conf")).unwrap();
    let folder = scenario.path("elsewhere");
    bare(scenario.run("test")).env("PGSERVICE", "here").env("PGSYSCONFDIR", &folder).await.succeeds();
    let file = folder.join("pg_service.conf");
    let shown = bare(scenario.run("-v test")).env("PGSERVICE", "here").env("PGSERVICEFILE", &file).await;
    shown.succeeds().says("service file").never_mentions(password);
    // Its children are told what it stands for.
    let child = bare(scenario.run("psql -- -XAtqc")).arg("SELECT current_database()");
    child.env("PGSERVICE", "here").env("PGSERVICEFILE", &file).await.succeeds().prints(name);
    let unknown = bare(scenario.run("test")).env("PGSERVICE", "nowhere").env("PGSERVICEFILE", &file).await;
    unknown.refuses_with(2).says("the service `nowhere` is not defined").never_mentions(password);
}

#[tokio::test]
async fn host_and_port_are_of_one_source() {
    let scenario = Scenario::new("host_and_port").await;
    let service = scenario.path("services");
    scenario.write("services", "[here]\nhost=service.invalid\nport=1111\n");
    let bare = || ["DB_HOST", "DB_PORT"].iter().fold(scenario.run("test"), |call, name| call.without(name));
    let with_service = || bare().env("PGSERVICE", "here").env("PGSERVICEFILE", &service);
    for (call, reached) in [
        (bare().env("DATABASE_URL", "postgres://url.invalid/x").env("DB_PORT", "2222"), "url.invalid:5432"),
        (
            bare()
                .env("LOCKGATE_DATABASE_URL", "postgres://url.invalid/x")
                .env("DATABASE_URL", "postgres://other.invalid:3/x"),
            "url.invalid:5432",
        ),
        (bare().env("DB_HOST", "db.invalid").env("PGPORT", "2222"), "db.invalid:5432"),
        (with_service().env("DB_HOST", "db.invalid"), "db.invalid:5432"),
        (with_service(), "service.invalid:1111"),
        // A port alone is for whichever host there will be.
        (with_service().env("DB_PORT", "2222"), "service.invalid:2222"),
        (bare().env("DB_PORT", "2222").env("PGHOST", "pg.invalid").env("PGPORT", "3"), "pg.invalid:2222"),
    ] {
        call.await.refuses_with(8).says(&format!(" at {reached} as `"));
    }
}

#[tokio::test]
async fn a_password_of_several_lines_is_refused_before_anything_is_done() {
    let scenario = Scenario::new("password_lines").await.tables(&["a"]);
    let lines = "hush\nhush-again";
    scenario.write("lines", lines);
    fs::set_permissions(scenario.path("lines"), Permissions::from_mode(0o600)).unwrap();
    let bare = || scenario.run("up").without("DB_PASSWORD");
    for (call, source) in [
        (bare().env("DB_PASSWORD", lines), "DB_PASSWORD"),
        (bare().env("PGPASSWORD", lines), "PGPASSWORD"),
        (bare().env("DATABASE_URL", "postgres://me:hush%0Ahush-again@127.0.0.1:1/x"), "DATABASE_URL"),
        (bare().env("DB_PASSWORD_FILE", "lines"), "DB_PASSWORD_FILE"),
        (bare().env("DB_PASSWORD_COMMAND", "cat lines"), "DB_PASSWORD_COMMAND"),
    ] {
        call.await.refuses_with(2).says(source).says("has more than one line").never_mentions("hush-again");
    }
    assert!(!scenario.has_history().await);
}

#[tokio::test]
async fn a_password_command_ends_with_the_run_that_waits_for_it() {
    let scenario = Scenario::new("password_interrupted").await;
    let command = "echo $$ >asking; sleep 600; :";
    let run = scenario.run("test").without("DB_PASSWORD").env("DB_PASSWORD_COMMAND", command).start();
    let asking = scenario.path("asking");
    let number = || fs::read_to_string(&asking).unwrap_or_default().trim().to_owned();
    eventually("the command runs", async || !number().is_empty()).await;
    run.terminate();
    assert_eq!(run.end().await.code, Some(1));
    let process = format!("/proc/{}", number());
    eventually("the command is gone", async || !std::path::Path::new(&process).exists()).await;
}

#[tokio::test]
async fn options_reach_the_server_and_its_children_before_the_role() {
    let scenario = Scenario::new("options").await;
    let other = scenario.role("").await;
    scenario.superuser().await.lines(&format!("GRANT {other} TO {}", scenario.target().user)).await;
    let asked = "SELECT current_setting('work_mem'), current_user";
    let scenario = scenario.migration("001_a", &format!("CREATE TABLE a AS {asked};"), "DROP TABLE a;");
    let set = |call: lockgate_tests::Call| call.env("PGOPTIONS", "-c work_mem=5MB");
    let child = set(scenario.run("psql --role").arg(&other).arg("--").arg("-XAtqc").arg(asked)).await;
    child.succeeds().prints(&format!("5MB|{other}"));
    set(scenario.run("up --no-backup")).await.succeeds();
    assert_eq!(scenario.lines("SELECT current_setting FROM a").await, ["5MB"]);
    let url = format!("{}?options=-c%20work_mem%3D6MB", scenario.url());
    let child = scenario.run("psql --database-url").arg(url).arg("--").arg("-XAtqc").arg(asked).await;
    child.succeeds().prints("6MB|");
    let wrong = scenario.run("test").env("DB_OPTIONS", "-c no_such=1").await;
    wrong.refuses_with(8).says("no_such");
}

#[tokio::test]
async fn a_server_that_is_silent_is_waited_for_as_long_as_was_said() {
    let scenario = Scenario::new("silent").await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let call = scenario.run("test").env("DB_HOST", "127.0.0.1").env("DB_PORT", &port).env("DB_CONNECT_TIMEOUT", "1");
    call.await.refuses_with(8).says("no answer within 2 s").says("name a PostgreSQL server");
    let call = scenario.run("test").env("DB_CONNECT_TIMEOUT", "soon");
    call.await.refuses_with(2).says("DB_CONNECT_TIMEOUT=`soon` is no number of seconds");
}

#[tokio::test]
async fn every_session_of_a_run_has_its_number() {
    let scenario = Scenario::new("named").await;
    let names = "SELECT DISTINCT application_name FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'lockgate%'";
    let scenario = scenario.migration("001_a", &format!("CREATE TABLE a AS {names};"), "DROP TABLE a;");
    scenario.up().await.succeeds();
    let names = scenario.lines("SELECT * FROM a ORDER BY 1").await;
    let run = scenario.value("SELECT right(replace(run_id::text, '-', ''), 8) FROM schema_migrations").await;
    assert!(!names.is_empty() && names.iter().all(|name| name.ends_with(&run)), "{names:?} of {run}");
    let child = scenario.run("psql -- -XAtqc").arg("SHOW application_name").await.succeeds();
    let name = child.stdout.trim().to_owned();
    assert!(name.starts_with("lockgate psql ") && name.len() == "lockgate psql ".len() + 8, "{name}");
}

#[tokio::test]
async fn the_password_is_in_a_file_or_behind_a_command() {
    let scenario = Scenario::new("password").await.tables(&["a"]);
    let password = scenario.password();
    scenario.write("secret", format!("{password}\n"));
    let path = scenario.path("secret");
    let mode = |mode: u32| fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    let by_file = |arguments: &str| scenario.run(arguments).without("DB_PASSWORD").env("DB_PASSWORD_FILE", &path);
    mode(0o600);
    by_file("-vv up").await.succeeds().says("password_file").never_mentions(password);
    mode(0o444);
    by_file("test").await.succeeds().says("others may read the password file");
    mode(0o666);
    by_file("test")
        .await
        .refuses_with(2)
        .says("DB_PASSWORD_FILE: ")
        .says("others may write to it")
        .never_mentions(password);
    mode(0o600);
    let both = scenario.run("test").env("DB_PASSWORD_FILE", &path).await;
    both.refuses_with(2)
        .says("both DB_PASSWORD and DB_PASSWORD_FILE say what the password is")
        .never_mentions(password);
    let command = "printf x >>asked; cat secret";
    let by_command =
        |arguments: &str| scenario.run(arguments).without("DB_PASSWORD").env("DB_PASSWORD_COMMAND", command);
    by_command("-vv backup").await.succeeds().never_mentions(password);
    assert_eq!(fs::read_to_string(scenario.path("asked")).unwrap(), "x", "the command is run once");
    by_command("psql -- -XAtqc").arg("SELECT 1").await.succeeds();
    scenario.write("lockgate.toml", "[database]\npassword_command = \"cat secret; exit 3\"\n");
    let failed = scenario.run("test").without("DB_PASSWORD").await;
    failed.refuses_with(2).says("password_command: the command ended with exit status: 3").never_mentions(password);
    // Any other source comes first.
    scenario.run("test").await.succeeds();
    // What asks no database asks for no password.
    scenario.run("plugin verify").without("DB_PASSWORD").await.succeeds();
}

#[tokio::test]
async fn the_password_is_asked_for_at_a_terminal_only() {
    let scenario = Scenario::new("prompt").await;
    let without = scenario.shell("setsid \"$LOCKGATE\" test -W </dev/null").without("DB_PASSWORD").await;
    without.refuses_with(2).says("--password-prompt: there is no terminal to ask at");
    // `script` is a terminal; what is typed there comes from a pipe, when the question is seen.
    scenario.write("typed", format!("{}\n", scenario.password()));
    let typed = scenario.shell("(sleep 1; cat typed) | script -qec '\"$LOCKGATE\" test --password-prompt' /dev/null");
    let typed = typed.without("DB_PASSWORD").await;
    typed.succeeds().prints("Password of `").prints("connected to `").never_mentions(scenario.password());
}

#[tokio::test]
async fn each_of_several_hosts_has_its_line_in_the_password_file() {
    let scenario = Scenario::new("passfile_hosts").await;
    let escaped = scenario.password().replace('\\', r"\\").replace(':', r"\:");
    let port = scenario.port();
    scenario.write("passfile", format!("127.0.0.1:1:*:*:wrong\n127.0.0.1:{port}:*:*:{escaped}\n"));
    let path = scenario.path("passfile");
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    let call = |arguments: &str| {
        let call = scenario.run(arguments).without("DB_PASSWORD").env("DB_PASSFILE", &path);
        call.env("DB_HOST", "127.0.0.1,127.0.0.1").env("DB_PORT", format!("1,{port}"))
    };
    call("test").await.succeeds();
    call("backup").await.succeeds();
    call("psql -- -XAtqc").arg("SELECT 1").await.succeeds();
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    call("test").await.refuses_with(8).says("the password file is ignored: others may read it").says("set DB_PASSWORD");
}
