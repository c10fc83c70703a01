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
    let ways: [(&str, &dyn Fn(Call) -> Call); 4] = [
        ("DB_PASSWORD", &|call| call.env("DB_PASSWORD", PASSWORD)),
        ("DATABASE_URL", &|call| call.without("DB_PASSWORD").env("DATABASE_URL", &url)),
        ("--database-url", &|call| call.without("DB_PASSWORD").arg("--database-url").arg(&url)),
        ("the password file", &|call| call.without("DB_PASSWORD").env("PGPASSFILE", "passfile")),
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
        if code == 0 {
            assert!(outcome.stderr.contains("run_id"), "{what} logs nothing");
        }
    }
    // A password that is wrong is one nevertheless.
    let wrong = with(scenario.run("-vv up")).env("DB_PASSWORD", format!("{PASSWORD}{SETTING}")).await;
    secrets.are_not_in("a refused login", format!("{}{}", wrong.stdout, wrong.stderr).as_bytes());

    let kept = files(&scenario.path("."), &["own.key", "passfile", "lockgate.toml", "migrations"]);
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
