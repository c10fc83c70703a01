//! Every documented call of the script that Lockgate has replaced, `migrate.sh`, with `lockgate` and with `just migrate` in its place.

use std::{env, path::PathBuf};

use lockgate_tests::{Call, Outcome, Scenario, project};

/// How a call is made.
#[derive(Clone, Copy, Debug, PartialEq)]
enum By {
    Lockgate,
    Just,
}

/// `just`, where it is installed; CI always has it.
fn just() -> Option<PathBuf> {
    let found = env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join("just")).find(|path| path.is_file());
    if found.is_none() {
        eprintln!("there is no just: its calls are not tried");
    }
    found
}

fn ways() -> Vec<By> {
    [By::Lockgate].into_iter().chain(just().map(|_| By::Just)).collect()
}

/// The call with these words. `just` works in the project's folder, so it is told where the migrations and the backups of the test are.
fn call(scenario: &Scenario, by: By, words: &str) -> Call {
    match by {
        By::Lockgate => scenario.run(words),
        By::Just => {
            let just = just().unwrap();
            let justfile = project().join("justfile");
            let words = format!("--justfile {} migrate {words}", justfile.display());
            let bin = scenario.binary();
            scenario
                .run_program(&just, &words)
                .env("LOCKGATE_BIN", bin)
                .env("LOCKGATE_DIR", scenario.path("migrations"))
                .env("LOCKGATE_BACKUP_DIR", scenario.path("backups"))
                .env("LOCKGATE_CACHE_DIR", scenario.path("cache"))
        }
    }
}

fn has_backup(scenario: &Scenario) -> bool {
    !scenario.backups("backups").is_empty()
}

async fn fresh(name: &str) -> Scenario {
    Scenario::new(name).await.tables(&["a", "b"])
}

/// What is claimed of a call, on a fresh database or after `up`.
struct Case {
    words: &'static str,
    applied_before: bool,
    prints: &'static str,
    applied_after: &'static str,
    backup: bool,
}

const fn case(words: &'static str, before: bool, prints: &'static str, after: &'static str, backup: bool) -> Case {
    Case { words, applied_before: before, prints, applied_after: after, backup }
}

const CASES: [Case; 31] = [
    case("test", false, "connected to ", "0 applied, 2 pending", false),
    case("-v test", false, "connected to ", "0 applied, 2 pending", false),
    case("test --verbose", false, "connected to ", "0 applied, 2 pending", false),
    case("status", false, "0 applied, 2 pending", "0 applied, 2 pending", false),
    case("-v status", true, "2 applied, 0 pending", "2 applied, 0 pending", false),
    case("status -v", true, "2 applied, 0 pending", "2 applied, 0 pending", false),
    case("--no-backup status", true, "2 applied, 0 pending", "2 applied, 0 pending", false),
    case("up", false, "applied 002_b", "2 applied, 0 pending", true),
    case("-v up", false, "applied 002_b", "2 applied, 0 pending", true),
    case("up -v", false, "applied 002_b", "2 applied, 0 pending", true),
    case("--verbose up", false, "applied 002_b", "2 applied, 0 pending", true),
    case("up --verbose", false, "applied 002_b", "2 applied, 0 pending", true),
    case("up --dry-run", false, "nothing was changed", "0 applied, 2 pending", false),
    case("--dry-run up", false, "nothing was changed", "0 applied, 2 pending", false),
    case("-v --dry-run up", false, "nothing was changed", "0 applied, 2 pending", false),
    case("--no-backup up", false, "applied 002_b", "2 applied, 0 pending", false),
    case("up --no-backup", false, "applied 002_b", "2 applied, 0 pending", false),
    case("-v --no-backup up", false, "applied 002_b", "2 applied, 0 pending", false),
    case("--no-backup up -v", false, "applied 002_b", "2 applied, 0 pending", false),
    case("down 002", true, "reverted 002_b", "1 applied, 1 pending", true),
    case("-v down 002", true, "reverted 002_b", "1 applied, 1 pending", true),
    case("down 002 -v", true, "reverted 002_b", "1 applied, 1 pending", true),
    case("down -v 002", true, "reverted 002_b", "1 applied, 1 pending", true),
    case("--no-backup down 002", true, "reverted 002_b", "1 applied, 1 pending", false),
    case("down 002 --no-backup", true, "reverted 002_b", "1 applied, 1 pending", false),
    case("--dry-run down 002", true, "nothing was changed", "2 applied, 0 pending", false),
    case("down 002 --dry-run", true, "nothing was changed", "2 applied, 0 pending", false),
    case("down --dry-run 002", true, "nothing was changed", "2 applied, 0 pending", false),
    case("backup", true, "backed up as ", "2 applied, 0 pending", true),
    case("-v backup", true, "backed up as ", "2 applied, 0 pending", true),
    case("backup --verbose", true, "backed up as ", "2 applied, 0 pending", true),
];

#[tokio::test]
async fn every_call_of_the_old_script_does_what_it_did() {
    for by in ways() {
        for case in &CASES {
            let scenario = fresh("old_script").await;
            if case.applied_before {
                scenario.run("up --no-backup").await.succeeds();
            }
            let outcome = call(&scenario, by, case.words).await.succeeds().prints(case.prints);
            let said = outcome.stderr.contains("INFO");
            let asked = case.words.contains("-v");
            assert_eq!(said, asked, "{by:?} {}: {outcome:?}", case.words);
            scenario.run("status").await.succeeds().prints(case.applied_after);
            assert_eq!(has_backup(&scenario), case.backup, "{by:?} {}: a backup", case.words);
        }
    }
}

#[tokio::test]
async fn the_first_migration_is_taken_back_without_a_question() {
    for by in ways() {
        let scenario = Scenario::new("old_down").await.tables(&["a"]);
        scenario.run("up --no-backup").await.succeeds();
        call(&scenario, by, "down 001").await.succeeds().prints("reverted 001_a").never_mentions("[y/N]");
        assert!(has_backup(&scenario), "{by:?}");
    }
}

#[tokio::test]
async fn help_is_there_in_each_position() {
    let scenario = fresh("old_help").await;
    for by in ways() {
        for words in ["-h", "--help", "up -h", "up --help", "-h up", "--help status", "down 001 -h", "-v --help"] {
            call(&scenario, by, words).await.succeeds().prints("Usage: lockgate").prints("--no-backup");
        }
        call(&scenario, by, "--help").await.succeeds().prints("DB_SSL_MODE (prefer)");
    }
    assert!(!scenario.has_history().await);
}

/// What `config show` says of a database setting.
fn setting(outcome: Outcome, name: &str) -> (String, String) {
    let shown = outcome.succeeds().json();
    let all = shown["settings"].as_array().unwrap();
    let one = all.iter().find(|setting| setting["name"] == format!("database.{name}")).unwrap();
    let text = |key: &str| one[key].as_str().map_or_else(|| one[key].to_string(), str::to_owned);
    (text("value"), text("source"))
}

#[tokio::test]
async fn the_variables_of_the_old_script_count_and_have_its_defaults() {
    const VARIABLES: [(&str, &str, &str, &str); 5] = [
        ("DB_HOST", "host", "localhost", "db.example"),
        ("DB_PORT", "port", "5432", "6543"),
        ("DB_NAME", "name", "auth_service", "other"),
        ("DB_USER", "user", "postgres", "somebody"),
        ("DB_SSL_MODE", "ssl_mode", "prefer", "require"),
    ];
    let scenario = fresh("old_variables").await;
    let bare = |by: By, words: &str| {
        let variables = ["DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DB_PASSWORD", "DB_SSL_MODE"];
        variables.into_iter().fold(call(&scenario, by, words), Call::without)
    };
    let show = "config show --output json";
    for by in ways() {
        for (variable, name, default, other) in VARIABLES {
            // Where nothing at all is set, `just migrate` means the project's own server, and says so.
            let set = if variable == "DB_NAME" { "DB_USER" } else { "DB_NAME" };
            let unset = setting(bare(by, show).env(set, "x").await, name);
            assert_eq!(unset, (default.to_owned(), "default".to_owned()), "{by:?}");
            let given = setting(bare(by, show).env(variable, other).await, name);
            assert_eq!(given, (other.to_owned(), variable.to_owned()), "{by:?}");
        }
        let password = setting(bare(by, show).env("DB_PASSWORD", "hush").await, "password");
        assert_eq!(password, ("***".to_owned(), "DB_PASSWORD".to_owned()), "{by:?}");
        // And they count: a wrong password, a port where nobody listens, a mode that there is not.
        call(&scenario, by, "test").env("DB_PASSWORD", "wrong").await.exits_with(8).says("28P01");
        call(&scenario, by, "test").env("DB_PORT", "1").await.exits_with(8).says(":1 as ");
        call(&scenario, by, "test").env("DB_SSL_MODE", "maybe").await.exits_with(2).says("DB_SSL_MODE");
        call(&scenario, by, "test").env("DB_SSL_MODE", "disable").await.succeeds().prints("TLS      none");
    }
}
