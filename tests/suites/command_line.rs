//! The command line as people and their tools meet it: completions, manual pages, settings, mistakes.

use std::{fs, path::Path, process::Command};

use lockgate::config::schema;
use lockgate_tests::{Scenario, project};
use serde_json::Value;

#[tokio::test]
async fn bash_completes_commands_and_options() {
    let scenario = Scenario::new("completions").await;
    // Neither asks for a configuration: this one would be refused.
    scenario.write("lockgate.toml", "nonsense");
    let script = scenario.run("completions bash").env("DB_PORT", "1").await.succeeds().stdout;
    scenario.write("lockgate.bash", script);
    let complete = "source ./lockgate.bash && COMP_WORDS=($WORDS) && COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) && \
                    _lockgate lockgate \"${COMP_WORDS[$COMP_CWORD]}\" \"${COMP_WORDS[$COMP_CWORD - 1]}\" && printf '%s\\n' \"${COMPREPLY[@]}\"";
    for (words, completed) in [
        ("lockgate sta", "status"),
        ("lockgate backup pru", "prune"),
        ("lockgate up --rollback", "--rollback-after"),
        ("lockgate --out-of-order ref", "refuse"),
        ("lockgate lint --output g", "github"),
        ("lockgate status --output g", ""),
    ] {
        let output = Command::new("bash")
            .args(["--norc", "-c", complete])
            .env("WORDS", words)
            .current_dir(scenario.path("."))
            .output()
            .unwrap();
        let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert!(output.status.success() && stderr.is_empty(), "{words}: {stderr}");
        assert_eq!(stdout.trim(), completed, "{words}");
    }
}

#[tokio::test]
async fn every_shell_has_its_completions() {
    let scenario = Scenario::new("shells").await;
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        scenario.run(&format!("completions {shell}")).await.succeeds().prints("rehearse").prints("lock-timeout");
    }
    scenario.run("completions bahs").await.exits_with(2).says("bash");
}

#[tokio::test]
async fn every_command_has_a_manual_page_that_renders_without_warnings() {
    let scenario = Scenario::new("man").await;
    scenario.write("lockgate.toml", "nonsense");
    scenario.run("man").await.succeeds().prints(".TH lockgate 1");
    scenario.run("man --out pages").await.succeeds();
    let pages = scenario.files("pages");
    for page in
        ["lockgate.1", "lockgate-up.1", "lockgate-backup.1", "lockgate-backup-prune.1", "lockgate-config-show.1"]
    {
        assert!(pages.iter().any(|name| name == page), "{page} is not in {pages:?}");
    }
    if Command::new("groff").arg("--version").output().is_err() {
        eprintln!("there is no groff: the pages are not rendered");
        return;
    }
    for page in pages {
        let path = scenario.path("pages").join(&page);
        let output =
            Command::new("groff").args(["-man", "-Tutf8", "-ww", "-Kutf8", "-P-cbou"]).arg(&path).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && stderr.is_empty(), "{page}: {stderr}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("SYNOPSIS"), "{page}");
    }
}

#[tokio::test]
async fn settings_are_shown_with_their_sources_and_without_secrets() {
    let scenario = Scenario::new("settings").await.config("schema = \"audit\"\n[backup.retention]\nlast = 3\n");
    let shown = scenario
        .run("config show --output json --no-backup --lock-timeout 10m --role keeper")
        .env("LOCKGATE_BACKUP_DIR", "elsewhere")
        .env("DATABASE_URL", "postgres://somebody:hush%20hush@example.invalid:6543/app")
        .env("LOCKGATE_REHEARSE_ON", "postgres://me:hush@db/x")
        .await
        .succeeds()
        .never_mentions("hush")
        .never_mentions(scenario.password())
        .json();
    assert_eq!(shown["file"], "lockgate.toml");
    let of = |name: &str| {
        let all = shown["settings"].as_array().unwrap();
        let setting =
            all.iter().find(|setting| setting["name"] == name).unwrap_or_else(|| panic!("no {name}: {shown}"));
        (setting["value"].clone(), setting["source"].as_str().unwrap().to_owned())
    };
    for (name, value, source) in [
        ("dir", Value::from("migrations"), "default"),
        ("schema", "audit".into(), "lockgate.toml"),
        ("backup.retention.last", 3.into(), "lockgate.toml"),
        ("backup.retention.weekly", 4.into(), "default"),
        ("backup.enabled", false.into(), "--no-backup"),
        ("backup.dir", "elsewhere".into(), "LOCKGATE_BACKUP_DIR"),
        ("lock_timeout_s", 600.into(), "--lock-timeout"),
        ("database.host", "example.invalid".into(), "DATABASE_URL"),
        ("database.name", "app".into(), "DATABASE_URL"),
        ("database.password", "***".into(), "DATABASE_URL"),
        ("database.ssl_mode", "prefer".into(), "default"),
        ("database.role", "keeper".into(), "--role"),
        ("rehearsal.on", "postgres://me:***@db/x".into(), "LOCKGATE_REHEARSE_ON"),
    ] {
        assert_eq!(of(name), (value, source.to_owned()), "{name}");
    }
    scenario
        .run("config show")
        .await
        .succeeds()
        .prints("backup.retention.last")
        .prints("lockgate.toml")
        .prints("configuration file: lockgate.toml")
        .never_mentions(scenario.password());
}

#[tokio::test]
async fn the_schema_is_printed_without_a_configuration() {
    let scenario = Scenario::new("schema_of_settings").await;
    scenario.write("lockgate.toml", "nonsense");
    let printed = scenario.run("config schema").await.succeeds().stdout;
    let committed = fs::read_to_string(project().join("docs/lockgate.schema.json")).unwrap();
    assert!(printed == committed, "stale: run `lockgate config schema > docs/lockgate.schema.json`");
}

/// The blocks of TOML in a page, each with the page's name.
fn blocks(page: &Path) -> Vec<(String, String)> {
    let text = fs::read_to_string(page).unwrap();
    let name = page.file_name().unwrap().to_string_lossy().into_owned();
    let blocks = text.split("```toml\n").skip(1).filter_map(|rest| rest.split_once("\n```"));
    // What goes into a crate's Cargo.toml is no setting of ours.
    let ours = blocks.filter(|(block, _)| !block.contains("dependencies]"));
    ours.map(|(block, _)| (name.clone(), block.to_owned())).collect()
}

#[test]
fn what_the_docs_write_into_lockgate_toml_fits_the_schema() {
    let validator = jsonschema::validator_for(&schema::of_file()).unwrap();
    let own = fs::read_to_string(project().join("lockgate.toml")).unwrap();
    let mut texts = vec![("lockgate.toml of this project".to_owned(), own)];
    for entry in fs::read_dir(project().join("docs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "md") {
            texts.extend(blocks(&path));
        }
    }
    assert!(texts.len() > 5, "{texts:?}");
    for (name, text) in texts {
        let written = schema::as_json(&text).unwrap_or_else(|e| panic!("{name}: {e}\n{text}"));
        let problems: Vec<String> =
            validator.iter_errors(&written).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(problems.is_empty(), "{name}: {problems:?}\n{text}");
    }
    let wrong = schema::as_json("[backup]\ndri = \"x\"").unwrap();
    assert!(!validator.is_valid(&wrong), "an unknown key is refused");
}

#[tokio::test]
async fn mistakes_in_the_file_are_met_with_what_was_meant() {
    let scenario = Scenario::new("mistakes").await;
    for (text, words) in [
        (
            "[backup]\ndri = \"x\"\n",
            &["`lockgate.toml`, line 2, column 1: unknown key `dri` under [backup]", "did you mean `dir`?"][..],
        ),
        ("[log]\nkeep_days = \"x\"\n", &["line 2, column 13: `keep_days` takes a whole number from 0 to 4294967295"]),
        ("layout = \"goos\"\n", &["there is no layout `goos`", "did you mean `goose`?"]),
        ("unrelated = [\"flywya\"]\n", &["did you mean `flyway`?"]),
        ("[lint.rules]\nban-drop-colum = \"warn\"\n", &["did you mean `ban-drop-column`"]),
    ] {
        scenario.write("lockgate.toml", text);
        let mut outcome = scenario.run("status").await.refuses_with(2);
        for words in words {
            outcome = outcome.says(words);
        }
    }
}

#[tokio::test]
async fn typos_on_the_command_line_are_met_with_what_was_meant() {
    let scenario = Scenario::new("typos").await.tables(&["a", "b"]);
    for (arguments, meant) in [
        ("statsu", "status"),
        ("up --rollback-afer", "--rollback-after"),
        ("adopt --from flywya", "flyway"),
        ("doctor --check lokcs", "locks"),
        ("--layout goos status", "did you mean `goose`?"),
    ] {
        scenario.run(arguments).await.exits_with(2).says(meant);
    }
    scenario.up().await.succeeds();
    scenario.run("down 020").await.refuses_with(2).says("did you mean `002`?");
    scenario.run("up --to 020").await.refuses_with(2).says("did you mean `002`?");
    // The zeros in front make no other version.
    scenario.run("down 02 --no-backup").await.succeeds().prints("reverted 002_b");
}

#[tokio::test]
async fn contradictory_options_are_refused() {
    let scenario = Scenario::new("contradictory").await.tables(&["a"]);
    for arguments in [
        "-q -v status",
        "--embedded --database-url postgres://localhost/x status",
        "--no-cache --cache-dir x status",
        "--no-log-files --log-dir x status",
        "up --dry-run --rollback-after",
        "up --dry-run --report x.html",
        "down 1 --to 0",
        "new x --sql --rust",
        "resolve 1 --applied --not-applied",
        "restore x --clean-up",
        "restore x --into y --clean-up",
        "lint --rules x.sql",
        "history --verify --limit 1",
        "history --verify --run 1234",
        "rehearse --fresh --backup x",
        "backup --schema-only --hashes",
    ] {
        scenario.run(arguments).await.exits_with(2).says("cannot be used with");
    }
    scenario.run("--dry-run restore latest").await.exits_with(2).says("`--dry-run` is for commands that");
    // What a variable says gives way to an option, and is no contradiction.
    scenario.run("status --cache-dir x").env("LOCKGATE_NO_CACHE", "true").await.succeeds();
    scenario.run("status").env("LOCKGATE_DATABASE_URL", scenario.url()).env("LOCKGATE_CACHE_DIR", "x").await.succeeds();
    for (written, variable, value, name, holds) in [
        ("--cache-dir=x", "LOCKGATE_NO_CACHE", "true", "--no-cache", "false"),
        ("--no-log-files", "LOCKGATE_LOG_DIR", "x", "log.dir", "logs"),
        ("--log-dir=x", "LOCKGATE_NO_LOG_FILES", "true", "log.dir", "x"),
        ("--database-url=postgres://h.invalid/x", "LOCKGATE_EMBEDDED", "always", "database.host", "h.invalid"),
        ("--embedded", "LOCKGATE_DATABASE_URL", "postgres://h.invalid/x", "database.host", "127.0.0.1"),
        ("--embedded=auto", "LOCKGATE_DATABASE_URL", "postgres://h.invalid/x", "database.host", "h.invalid"),
    ] {
        let shown = scenario.run("config show --output json").arg(written).env(variable, value).await.succeeds().json();
        let setting = shown["settings"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap();
        assert_eq!(setting["value"], holds, "{written} with {variable}: {setting}");
    }
    assert!(!scenario.has_history().await);
}

#[test]
fn the_reference_lists_the_commands_that_there_are() {
    let page = fs::read_to_string(project().join("docs/cli.md")).unwrap();
    let (_, rest) = page.split_once("## Commands").unwrap();
    let (table, _) = rest.split_once("\n## ").unwrap();
    let is_word = |word: &&str| word.chars().all(|c| c.is_ascii_lowercase());
    let listed: Vec<String> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(call, _)| call.split(' ').take_while(is_word).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(listed, lockgate::cli::commands());
}

/// A value for each variable of the command line that says something else than the default, and where `config show` has it.
const SAMPLES: &[(&str, &str, &str)] = &[
    ("LOCKGATE_BACKUP_DIR", "elsewhere", "backup.dir"),
    ("LOCKGATE_BACKUP_ROLE", "keeper", "backup.role"),
    ("LOCKGATE_CACHE_DIR", "cache", "--cache-dir"),
    ("LOCKGATE_COLOR", "never", "--color"),
    ("LOCKGATE_CONFIG", "other.toml", "--config"),
    ("LOCKGATE_DATABASE_URL", "postgres://somebody@db.invalid/app", "database.host"),
    ("LOCKGATE_DIR", "elsewhere", "dir"),
    ("LOCKGATE_EMBEDDED", "always", "database.port"),
    ("LOCKGATE_EVENTS", "events.ndjson", "--events"),
    ("LOCKGATE_IDENTITY", "key", "backup.identity"),
    ("LOCKGATE_LAYOUT", "goose", "layout"),
    ("LOCKGATE_LOCK_TIMEOUT", "7s", "lock_timeout_s"),
    ("LOCKGATE_LOG_DIR", "elsewhere", "log.dir"),
    ("LOCKGATE_LOG_FORMAT", "json", "--log-format"),
    ("LOCKGATE_LOG_LEVEL", "debug", "log.level"),
    ("LOCKGATE_MASK", "mask.sql", "rehearsal.mask"),
    ("LOCKGATE_NO_BACKUP", "true", "backup.enabled"),
    ("LOCKGATE_NO_CACHE", "true", "--no-cache"),
    ("LOCKGATE_NO_LOG_FILES", "true", "log.enabled"),
    ("LOCKGATE_OTLP_ENDPOINT", "http://collector.invalid:4318", "telemetry.otlp_endpoint"),
    ("LOCKGATE_OUTPUT", "json", "--output"),
    ("LOCKGATE_OUT_OF_ORDER", "warn", "out_of_order"),
    ("LOCKGATE_PG_BIN", "programs", "--pg-bin"),
    ("LOCKGATE_PROMETHEUS_FILE", "metrics.prom", "telemetry.prometheus_file"),
    ("LOCKGATE_PUSH_URL", "http://gateway.invalid:9091", "telemetry.push_url"),
    ("LOCKGATE_RECONNECT_TIMEOUT", "7s", "reconnect_timeout_s"),
    ("LOCKGATE_REHEARSE_ON", "embedded", "rehearsal.on"),
    ("LOCKGATE_REQUIRE_REHEARSAL", "certificate.json", "rehearsal.certificate"),
    ("LOCKGATE_RETRIES", "7", "statements.retries"),
    ("LOCKGATE_ROLE", "keeper", "database.role"),
    ("LOCKGATE_SCHEMA", "audit", "schema"),
    ("LOCKGATE_UNRELATED", "flyway", "unrelated"),
    ("LOCKGATE_YES", "true", "--yes"),
];

#[tokio::test]
async fn what_a_variable_says_is_shown_with_the_variable() {
    let scenario = Scenario::new("variables").await;
    scenario.write("other.toml", "");
    let sampled: Vec<&str> = SAMPLES.iter().map(|(variable, ..)| *variable).collect();
    let missing: Vec<String> =
        lockgate::cli::variables().into_iter().filter(|name| !sampled.contains(&name.as_str())).collect();
    assert!(missing.is_empty(), "give each of {missing:?} a line in SAMPLES");
    for (variable, value, name) in SAMPLES {
        let call = scenario.run("config show --output json").env(variable, value);
        let shown =
            if *variable == "LOCKGATE_OUTPUT" { scenario.run("config show").env(variable, value) } else { call };
        let shown = shown.await.succeeds().json();
        let of = |all: &Value| all["settings"].as_array().unwrap().iter().find(|one| one["name"] == *name).cloned();
        let setting = of(&shown).unwrap_or_else(|| panic!("{variable}: no {name} in {shown}"));
        assert_eq!(setting["source"], *variable, "{variable}: {setting}");
        assert_ne!(setting["value"], Value::Null, "{variable}: {setting}");
    }
}

#[tokio::test]
async fn what_holds_beside_options_and_the_file_is_shown() {
    let scenario = Scenario::new("in_effect").await.config("[backup]\ndir = \"s3://bucket/x\"\n");
    let shown = async |call: lockgate_tests::Call, name: &str| {
        let shown = call.await.succeeds().never_mentions("hush").json();
        let all = shown["settings"].as_array().unwrap().clone();
        let setting = all.into_iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("no {name}: {shown}"));
        (setting["value"].clone(), setting["source"].as_str().unwrap().to_owned())
    };
    let call = || scenario.run("config show --output json");
    for (call, name, value, source) in [
        (call(), "database.connect_timeout", Value::from(10), "default"),
        (call(), "database.target_session_attrs", "any".into(), "default"),
        (
            call().env("DB_HOST", "a,b").env("DB_PORT", "1"),
            "database.target_session_attrs",
            "primary".into(),
            "default",
        ),
        (call().env("AWS_REGION", "eu-central-1"), "backup.s3.region", "eu-central-1".into(), "AWS_REGION"),
        (
            call().env("AWS_ENDPOINT_URL", "https://s3.invalid"),
            "backup.s3.endpoint",
            "https://s3.invalid".into(),
            "AWS_ENDPOINT_URL",
        ),
        (call().env("AWS_SECRET_ACCESS_KEY", "hush"), "AWS_SECRET_ACCESS_KEY", "***".into(), "AWS_SECRET_ACCESS_KEY"),
        (call().arg("--embedded"), "database.user", "lockgate".into(), "--embedded"),
        (
            call().arg("--database-url=postgres://me:hush@h/d"),
            "--database-url",
            "postgres://me:***@h/d".into(),
            "--database-url",
        ),
        (call().arg("--log-dir=elsewhere"), "log.dir", "elsewhere".into(), "--log-dir"),
        (
            call().env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"),
            "telemetry.otlp_endpoint",
            "http://c:4318".into(),
            "OTEL_EXPORTER_OTLP_ENDPOINT",
        ),
        (
            call().env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318").arg("--otlp-endpoint=http://d:4318"),
            "telemetry.otlp_endpoint",
            "http://d:4318".into(),
            "--otlp-endpoint",
        ),
    ] {
        assert_eq!(shown(call, name).await, (value, source.to_owned()), "{name}");
    }
    assert!(!scenario.path(".lockgate").exists(), "nothing was started to be shown");
}

#[tokio::test]
async fn an_empty_variable_is_not_set() {
    let scenario = Scenario::new("empty_variables").await.tables(&["a"]);
    let emptied = |arguments: &str| {
        let variables =
            lockgate::cli::variables().into_iter().chain(["LOCKGATE_LOG".to_owned(), "DATABASE_URL".to_owned()]);
        // Where the programs are only the environment of the tests knows.
        let emptied = variables.filter(|name| name != "LOCKGATE_PG_BIN");
        emptied.fold(scenario.run(arguments), |call, name| call.env(&name, ""))
    };
    for arguments in
        ["test", "status", "plan", "up", "history", "rehearse --schema-only", "lint", "down 001", "config show"]
    {
        emptied(arguments).await.succeeds();
    }
    for variable in lockgate::cli::variables() {
        let shown = scenario.run("config show --output json").env(&variable, "").await.succeeds();
        assert!(!shown.stdout.contains(&format!("\"{variable}\"")), "{variable}: {}", shown.stdout);
    }
}

#[tokio::test]
async fn a_wrong_value_is_called_by_what_has_said_it() {
    let scenario = Scenario::new("called").await;
    for (variable, option, value) in [
        ("LOCKGATE_RETRIES", "--retries", "many"),
        ("LOCKGATE_LOCK_TIMEOUT", "--lock-timeout", "soon"),
        ("LOCKGATE_COLOR", "--color", "purple"),
        ("LOCKGATE_OUT_OF_ORDER", "--out-of-order", "perhaps"),
        ("LOCKGATE_LOG_LEVEL", "--log-level", "loud"),
        ("LOCKGATE_LAYOUT", "--layout", "goos"),
        ("LOCKGATE_UNRELATED", "--unrelated", "flywya"),
        ("LOCKGATE_CONFIG", "--config", "nowhere.toml"),
        ("LOCKGATE_DATABASE_URL", "--database-url", "mysql://x"),
    ] {
        let by_variable = scenario.run("status").env(variable, value).await.exits_with(2).says(variable);
        assert!(!by_variable.stderr.contains(option), "{variable}: {}", by_variable.stderr);
        let by_option =
            scenario.run("status").arg(option).arg(value).env(variable, value).await.exits_with(2).says(option);
        assert!(!by_option.stderr.contains(variable), "{option}: {}", by_option.stderr);
    }
    scenario.run("plan").env("LOCKGATE_OUTPUT", "github").await.refuses_with(2).says("`LOCKGATE_OUTPUT=github` is for");
    scenario.run("plan").env("LOCKGATE_NO_BACKUP", "perhaps").await.exits_with(2).says("for 'LOCKGATE_NO_BACKUP'");
}

#[tokio::test]
async fn workflow_commands_are_offered_by_lint_alone() {
    let scenario = Scenario::new("workflow_commands").await.tables(&["a"]);
    for call in ["lint --offline --output github", "--output github lint --offline"] {
        scenario.run(call).await.succeeds();
    }
    scenario.run("lint --help").await.succeeds().prints("github");
    for call in ["--help", "status --help", "up --help"] {
        let offered = scenario.run(call).await.succeeds().stdout;
        assert!(!offered.contains("github"), "{call}: {offered}");
    }
    scenario.run("status --output github").await.exits_with(2).says("`--output github` is for `lint` only");
    scenario.run("--output gihtub status").await.exits_with(2).says("possible values: text, json]");
}

#[tokio::test]
async fn one_run_of_the_journal_is_told_by_a_part_of_its_id() {
    let scenario = Scenario::new("one_run").await.tables(&["a", "b"]);
    scenario
        .run("history --run 1234abcd")
        .await
        .refuses_with(2)
        .says("the journal knows no run whose id begins or ends with `1234abcd`");
    scenario.run("up --to 1 --no-backup").await.succeeds();
    scenario.run("up --no-backup").await.succeeds();
    let runs = scenario.lines("SELECT run_id::text FROM schema_migrations_journal GROUP BY 1 ORDER BY min(id)").await;
    let [first, second] = runs.as_slice() else { panic!("{runs:?}") };
    let all = scenario
        .lines(&format!("SELECT id::text FROM schema_migrations_journal WHERE run_id = '{second}' ORDER BY id"))
        .await;
    let (_, end) = second.rsplit_once('-').unwrap();
    for part in [second.as_str(), end, &second.to_uppercase(), &second.replace('-', "")] {
        let entries = scenario.run("history --output json --run").arg(part).await.succeeds().json();
        let ids: Vec<String> = entries.as_array().unwrap().iter().map(|entry| entry["id"].to_string()).collect();
        assert_eq!(ids, all, "{part}");
        assert!(entries.as_array().unwrap().iter().all(|entry| entry["run_id"] == *second), "{entries}");
    }
    let text = scenario.run("history --run").arg(end).await.succeeds().prints("002").stdout;
    assert!(!text.contains(first.rsplit_once('-').unwrap().1), "{text}");
    let limited = scenario.run("history --limit 1 --output json --run").arg(end).await.succeeds().json();
    assert_eq!(limited.as_array().unwrap().len(), 1);
    // Both began within the same minute or two: their ids begin alike.
    scenario
        .run("history --run")
        .arg(&first[..4])
        .await
        .refuses_with(2)
        .says("the ids of 2 runs")
        .says(first)
        .says(second);
    for wrong in ["12", "xyzw", "latest"] {
        scenario.run("history --run").arg(wrong).await.exits_with(2).says("32 hexadecimal digits");
    }
}
