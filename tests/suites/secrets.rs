//! Nothing secret is ever seen: not on stdout or stderr, not in a log file, not in what a backup or a report keeps, whatever is asked for.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use lockgate_tests::{
    Call, S3Server, Scenario, Secrets,
    components::token_settings,
    s3::{ACCESS_KEY, SECRET_KEY},
};

/// With what URLs, JSON and shells quote in it.
const PASSWORD: &str = "Sesame/öffne \"dich\" & 100%+=?";
const SETTING: &str = "pepper-that-only-the-component-knows";

#[test]
fn what_is_planted_is_found_in_each_of_its_forms() {
    let secrets = Secrets::default().and("the password", PASSWORD).and("the other", "unharmed-and-unseen");
    let planted = [
        ("as it is", "x Sesame/öffne \"dich\" & 100%+=? y"),
        ("as Rust or JSON quotes it", r#"{"password":"Sesame/öffne \"dich\" & 100%+=?"}"#),
        ("percent-encoded", "postgres://u:Sesame%2F%C3%B6ffne%20%22dich%22%20%26%20100%25%2B%3D%3F@h/d"),
        ("in hexadecimal", "536573616d652fc3b666666e6520226469636822202620313030252b3d3f"),
    ];
    for (form, text) in planted {
        let found = secrets.found_in(text.as_bytes());
        assert!(found.contains(&format!("the password, {form}")), "{form}: {found:?}");
        assert!(found.iter().all(|found| found.starts_with("the password")), "{found:?}");
    }
    // `echo -n 'Basic u:<password>' | base64` and the like: shifted by what stands before it.
    for text in [
        "U2VzYW1lL8O2ZmZuZSAiZGljaCIgJiAxMDAlKz0/",
        "dTpTZXNhbWUvw7ZmZm5lICJkaWNoIiAmIDEwMCUrPT8=",
        "dTE6U2VzYW1lL8O2ZmZuZSAiZGljaCIgJiAxMDAlKz0/",
    ] {
        let found = secrets.found_in(text.as_bytes());
        assert!(found.iter().any(|found| found.starts_with("the password, in base64")), "{text}: {found:?}");
    }
    assert_eq!(secrets.found_in(b"Sesame opens for nobody"), Vec::<String>::new());
}

/// Who may do anything, and whose password nobody may see.
async fn role(scenario: &Scenario) -> String {
    let role = format!("{}_secret", scenario.database());
    let password = PASSWORD.replace('\'', "''");
    scenario.superuser().await.lines(&format!("CREATE ROLE {role} LOGIN SUPERUSER PASSWORD '{password}'")).await;
    role
}

fn private_file(scenario: &Scenario, name: &str, text: &str) {
    scenario.write(name, text);
    fs::set_permissions(scenario.path(name), fs::Permissions::from_mode(0o600)).unwrap();
}

/// Every file below a folder but these.
fn files(folder: &Path, except: &[&str]) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if except.iter().any(|name| path.ends_with(name)) {
        } else if path.is_dir() && !path.is_symlink() {
            found.extend(files(&path, except));
        } else if path.is_file() {
            found.push(path);
        }
    }
    found
}

#[tokio::test]
async fn a_whole_life_at_trace_level_shows_no_secret() {
    use age::secrecy::ExposeSecret as _;
    let (server, key) = (S3Server::start(), age::x25519::Identity::generate());
    let private = key.to_string().expose_secret().to_owned();
    let settings = token_settings(&format!("keep_originals = true\nbatch_rows = 1000\npepper = \"{SETTING}\""));
    let backups = format!("[backup]\ndir = \"s3://backups/auth\"\nrecipients = [\"{}\"]\n", key.to_public());
    let log = "[log]\nlevel = \"trace\"\n";
    let scenario = Scenario::new("secrets").await.auth_migrations();
    let scenario = scenario.config(&format!("{log}{backups}{}{settings}", server.config()));
    let role = role(&scenario).await;
    private_file(&scenario, "own.key", &format!("{private}\n"));
    let in_file = PASSWORD.replace('\\', "\\\\").replace(':', "\\:");
    private_file(&scenario, "passfile", &format!("*:*:*:*:{in_file}\n"));
    private_file(&scenario, "password", &format!("{PASSWORD}\n"));
    private_file(&scenario, "services", &format!("[here]\npassword={PASSWORD}\n"));
    let percent: String = PASSWORD.bytes().map(|b| format!("%{b:02X}")).collect();
    let url = format!("postgres://{role}:{percent}@{}:{}/{}", scenario.host(), scenario.port(), scenario.database());

    let secrets = Secrets::default()
        .and("the password", PASSWORD)
        .and("the private key", private)
        .and("the setting of a component", SETTING)
        .and("the key of the store", SECRET_KEY);
    let with = |call: Call| {
        let call = call.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        call.env("LOCKGATE_LOG", "trace").env("LOCKGATE_IDENTITY", "own.key").env("DB_USER", &role)
    };
    let ways: [(&str, &dyn Fn(Call) -> Call); 7] = [
        ("DB_PASSWORD", &|call| call.env("DB_PASSWORD", PASSWORD)),
        ("DATABASE_URL", &|call| call.without("DB_PASSWORD").env("DATABASE_URL", &url)),
        ("--database-url", &|call| call.without("DB_PASSWORD").arg("--database-url").arg(&url)),
        ("the password file", &|call| call.without("DB_PASSWORD").env("PGPASSFILE", "passfile")),
        ("DB_PASSWORD_FILE", &|call| call.without("DB_PASSWORD").env("DB_PASSWORD_FILE", "password")),
        ("a command", &|call| call.without("DB_PASSWORD").env("DB_PASSWORD_COMMAND", "cat password; echo said >&2")),
        ("a service", &|call| call.without("DB_PASSWORD").env("PGSERVICE", "here").env("PGSERVICEFILE", "services")),
    ];
    let calls = [
        ("test", 0),
        ("plan", 0),
        ("up", 0),
        ("status --output json --log-format json", 0),
        ("history --output json", 0),
        ("down 4 --yes --log-format json", 0),
        ("backup --output json --log-format json", 0),
        ("backup verify latest", 0),
        ("restore latest --yes --output json --log-format json", 0),
        ("drill", 0),
        ("up --report run.html --log-format json --output json", 0),
        ("backup list", 0),
        ("doctor --queries --log-format json --output json", 0),
        ("config show", 0),
        ("config show --output json", 0),
    ];
    for (i, (arguments, code)) in calls.into_iter().enumerate() {
        let (way, given) = ways[i % ways.len()];
        let outcome = given(with(scenario.run(arguments))).await;
        let what = format!("`{arguments}` with {way}");
        // A drill may miss its targets, and a doctor find something.
        let may = [Some(code), Some(6).filter(|_| ["drill", "doctor"].iter().any(|c| arguments.starts_with(c)))];
        assert!(may.contains(&outcome.code), "{what} ends with {:?}\n{}", outcome.code, outcome.stderr);
        secrets.are_not_in(&format!("stdout of {what}"), outcome.stdout.as_bytes());
        secrets.are_not_in(&format!("stderr of {what}"), outcome.stderr.as_bytes());
        if code == 0 && !arguments.starts_with("config") {
            assert!(outcome.stderr.contains("run_id"), "{what} logs nothing");
        }
    }
    // A password that is wrong is one nevertheless.
    let wrong = with(scenario.run("-vv up")).env("DB_PASSWORD", format!("{PASSWORD}{SETTING}")).await;
    secrets.are_not_in("a refused login", format!("{}{}", wrong.stdout, wrong.stderr).as_bytes());

    let kept =
        files(&scenario.path("."), &["own.key", "passfile", "password", "services", "lockgate.toml", "migrations"]);
    let logs = kept.iter().filter(|path| path.extension().is_some_and(|ending| ending == "log")).count();
    assert!(logs >= 7 && kept.iter().any(|path| path.ends_with("run.html")), "{kept:?}");
    for path in kept {
        secrets.are_not_in(&path.display().to_string(), &fs::read(&path).unwrap());
    }
    for stored in server.keys() {
        secrets.are_not_in(&stored, &fs::read(server.path(&stored)).unwrap());
    }
    let told = "SELECT string_agg(j::text, chr(10)) FROM schema_migrations_journal j";
    secrets.are_not_in("the journal", scenario.superuser().await.value(told).await.as_bytes());
}

#[tokio::test]
async fn a_mistake_on_the_command_line_is_told_without_the_password_in_it() {
    const PLAIN: &str = "hush-hush-never-tell";
    let scenario = Scenario::new("secrets_of_usage").await.tables(&["a"]);
    let percent: String = PASSWORD.bytes().map(|b| format!("%{b:02X}")).collect();
    let secrets = Secrets::default().and("the password", PASSWORD).and("the plain password", PLAIN);
    let texts = [
        format!("postgres://me:{PLAIN}@db.invalid/auth"),
        format!("postgres://me:{percent}@db.invalid/auth"),
        format!("postgres://me:{PASSWORD}@db.invalid/auth"),
        format!("postgres://me:{PLAIN}"),
        format!("postgres://db.invalid/auth?sslmode=prefer&password={PLAIN}"),
        format!("host=db.invalid user=me password={PLAIN}"),
        format!("host=db.invalid password='{PASSWORD}' user=me"),
        format!("me:{PLAIN}@db.invalid"),
    ];
    for text in &texts {
        for (before, after) in [
            ("", ""),
            ("status", ""),
            ("--color always status", ""),
            ("--retries", "status"),
            ("--lock-timeout", "status"),
            ("--color", "status"),
            ("--layout", "status"),
            ("--unrelated", "status"),
            ("--output", "status"),
            ("up --to", ""),
            ("down", ""),
            ("restore", "--yes"),
            ("history --run", ""),
            ("schema", ""),
            ("completions", ""),
        ] {
            let call = scenario.run(before).arg(text);
            let outcome = if after.is_empty() { call.await } else { call.arg(after).await };
            let what = format!("`{before} … {after}`");
            assert_ne!(outcome.code, Some(0), "{what}");
            secrets.are_not_in(&what, format!("{}{}", outcome.stdout, outcome.stderr).as_bytes());
        }
        for option in ["--database-ulr", "--no-such-option", "--no-backup", "-x"] {
            let outcome = scenario.run("status").arg(format!("{option}={text}")).await.exits_with(2);
            secrets.are_not_in(option, format!("{}{}", outcome.stdout, outcome.stderr).as_bytes());
        }
        for variable in
            ["LOCKGATE_RETRIES", "LOCKGATE_COLOR", "LOCKGATE_LAYOUT", "LOCKGATE_OUTPUT", "LOCKGATE_NO_BACKUP"]
        {
            let outcome = scenario.run("status").env(variable, text).await.exits_with(2).says(variable);
            secrets.are_not_in(variable, format!("{}{}", outcome.stdout, outcome.stderr).as_bytes());
        }
        let help =
            scenario.run("up --help").env("LOCKGATE_DIR", text).env("LOCKGATE_DATABASE_URL", text).await.succeeds();
        secrets.are_not_in("a help", help.stdout.as_bytes());
    }
    // What is hidden is seen to be.
    scenario.run("status").arg(&texts[0]).await.exits_with(2).says("postgres://me:***@db.invalid/auth");
    scenario
        .run("status --layout")
        .arg(&texts[0])
        .await
        .exits_with(2)
        .says("`--layout`: there is no layout `postgres://me:***@");
}

#[tokio::test]
async fn a_mistake_in_the_file_is_told_without_the_value() {
    let scenario = Scenario::new("secrets_of_toml").await;
    let secret = "hush-hush-never-tell";
    for text in [
        format!("[database]\npassword = \"{secret}\"\n"),
        format!("[database]\npassword = \"{secret}\n"),
        format!("[database]\nport = \"{secret}\"\n"),
        format!("[database]\nhost = [\"{secret}\"]\n"),
        format!("database_url = \"postgres://me:{secret}@db/auth\"\n"),
        format!("[backup]\nhashes = \"{secret}\"\n"),
        format!("{secret}\n"),
    ] {
        scenario.write("lockgate.toml", &text);
        for arguments in ["status", "config show", "-vv status --output json", "--log-format json -vv up"] {
            // A port that is none would be refused for that, were the one of the environment not the first.
            let call = scenario.run(arguments).without("DB_PORT").without("DB_HOST");
            call.await.refuses_with(2).never_mentions(secret);
        }
    }
}

#[tokio::test]
async fn a_url_in_the_wrong_place_is_told_without_its_password() {
    let scenario = Scenario::new("secrets_of_a_url").await.tables(&["a"]);
    let secret = "hush-hush-never-tell";
    let url = format!("postgres://me:{secret}@db.invalid/x");
    for variable in
        ["DB_HOST", "DB_PORT", "DB_USER", "DB_NAME", "DB_SSL_MODE", "PGHOST", "PGSERVICE", "PGTARGETSESSIONATTRS"]
    {
        for arguments in ["up --no-backup", "status --output json", "config show"] {
            let call = scenario.run(arguments).without("DB_HOST").without("DB_PORT");
            call.env(variable, &url).env("DB_CONNECT_TIMEOUT", "2").await.never_mentions(secret);
        }
    }
    for key in ["host", "user", "name", "ssl_mode", "service"] {
        scenario.write("lockgate.toml", format!("[database]\n{key} = \"{url}\"\n"));
        let call = scenario.run("status").without("DB_HOST").without("DB_PORT").without("DB_USER").without("DB_NAME");
        call.env("DB_CONNECT_TIMEOUT", "2").await.never_mentions(secret);
    }
    scenario.remove("lockgate.toml");
    scenario.run("up --no-backup --schema").arg(&url).await.never_mentions(secret);
    scenario.run("lint").arg(&url).await.never_mentions(secret);
    for (name, value) in [("LOCKGATE_OTLP_ENDPOINT", "c?sig=SECRET"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "c?sig=SECRET")] {
        scenario.run("up --no-backup").env(name, value.replace("SECRET", secret)).await.never_mentions(secret);
    }
    let shown = scenario.run("config show").env("LOCKGATE_PUSH_URL", format!("http://{secret}@gateway?sig={secret}"));
    shown.await.succeeds().prints("http://***@gateway?***").never_mentions(secret);
    for file in scenario.files("logs") {
        assert!(!std::fs::read_to_string(scenario.path(&format!("logs/{file}"))).unwrap().contains(secret), "{file}");
    }
}

#[tokio::test]
async fn settings_of_a_session_are_logged_without_values_that_may_be_secret() {
    let scenario = Scenario::new("secrets_of_options").await;
    let secret = "hush-hush-never-tell";
    let options = format!("-c work_mem=5MB -c app.key={secret}");
    for arguments in ["-v test", "-vv test --log-format json", "config show", "config show --output json"] {
        let outcome = scenario.run(arguments).env("DB_OPTIONS", &options).await.succeeds();
        let seen = format!("{}{}", outcome.stdout, outcome.stderr);
        assert!(seen.contains("work_mem=5MB") && seen.contains("app.key=***") && !seen.contains(secret), "{seen}");
    }
    // The server is told the whole.
    let shown = scenario.run("psql -- -XAtqc").arg("SHOW app.key").env("DB_OPTIONS", &options).await.succeeds();
    assert_eq!(shown.stdout.trim(), secret);
}

#[tokio::test]
async fn other_programs_are_not_given_what_they_do_not_need() {
    let scenario = Scenario::new("secrets_of_children").await.tables(&["a"]);
    let password = scenario.password().to_owned();
    let note = |name: &str| format!("env >>seen-by-{name}\nexec \"$REAL/{name}\" \"$@\"\n");
    let programs = scenario.made_up_programs(&[
        ("pg_dump", &note("pg_dump")),
        ("pg_restore", &note("pg_restore")),
        ("psql", &note("psql")),
    ]);
    fs::create_dir_all(scenario.path("tools")).unwrap();
    scenario.write("tools/rustc", "#!/bin/sh\nenv >>\"$SEEN/seen-by-rustc\"\nexit 1\n");
    fs::set_permissions(scenario.path("tools/rustc"), fs::Permissions::from_mode(0o755)).unwrap();
    scenario.write("plugin/Cargo.toml", "[package]\nname = \"x\"\nversion = \"0.1.0\"\n");
    scenario.write("plugin/src/lib.rs", "");
    let planted = "hush-hush-never-tell";
    let given = |call: Call| {
        let call = ["AWS_SECRET_ACCESS_KEY", "LOCKGATE_REHEARSE_ON"]
            .into_iter()
            .fold(call, |call, name| call.env(name, planted));
        let path = format!("{}:{}", scenario.path("tools").display(), std::env::var("PATH").unwrap());
        let url = format!("postgres://x:{planted}@127.0.0.1:1/x");
        call.env("PATH", path)
            .env("SEEN", scenario.path("."))
            .env("LOCKGATE_PG_BIN", &programs)
            .env("PGPASSWORD", planted)
            .env("CI_JOB_TOKEN", planted)
            .env("UNRELATED", "and harmless")
            .env("OTEL_EXPORTER_OTLP_HEADERS", planted)
            .env("LOCKGATE_DATABASE_URL", "")
            .env("SOME_URL", url)
    };
    let by_command = |call: Call| {
        call.without("DB_PASSWORD")
            .env("DB_PASSWORD_COMMAND", "env >>seen-by-command; cat secret")
            .env("DATABASE_URL", "")
    };
    private_file(&scenario, "secret", &password);
    given(scenario.run("up")).await.succeeds();
    given(scenario.run("restore latest --yes")).await.succeeds();
    given(scenario.run("psql -- -c")).arg("SELECT 1").await.succeeds();
    by_command(given(scenario.run("test"))).await.succeeds();
    assert_ne!(given(scenario.run("plugin build plugin")).await.code, Some(0));
    for (program, own) in
        [("pg_dump", true), ("pg_restore", true), ("psql", true), ("rustc", false), ("command", false)]
    {
        let seen = fs::read_to_string(scenario.path(&format!("seen-by-{program}")))
            .unwrap_or_else(|e| panic!("{program}: {e}"));
        assert!(seen.contains("UNRELATED=and harmless") && seen.contains("PATH="), "{program}: {seen}");
        assert!(!seen.contains(&password) && !seen.contains("DB_PASSWORD="), "{program}: {seen}");
        assert!(!seen.contains("PGPASSWORD") && !seen.contains("LOCKGATE_REHEARSE_ON"), "{program}: {seen}");
        if program != "command" {
            assert!(
                !seen.contains("AWS_SECRET") && !seen.contains("DB_HOST") && !seen.contains("OTEL_"),
                "{program}: {seen}"
            );
        }
        // A compiler's registry and a password's vault may want a token of their own.
        assert_eq!(seen.contains(planted), !own, "{program}: {seen}");
    }
}
