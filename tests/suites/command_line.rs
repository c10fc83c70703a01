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
        "up --dry-run --rollback-after",
        "up --dry-run --report x.html",
        "down 1 --to 0",
        "new x --sql --rust",
        "resolve 1 --applied --not-applied",
        "restore x --clean-up",
        "restore x --into y --clean-up",
        "lint --rules x.sql",
        "history --verify --limit 1",
        "rehearse --fresh --backup x",
        "backup --schema-only --hashes",
    ] {
        scenario.run(arguments).await.exits_with(2).says("cannot be used with");
    }
    scenario.run("--dry-run restore latest").await.exits_with(2).says("`--dry-run` is for commands that");
    // What a variable says gives way to an option, and is no contradiction.
    scenario.run("status --cache-dir x").env("LOCKGATE_NO_CACHE", "true").await.succeeds();
    scenario.run("status").env("LOCKGATE_DATABASE_URL", scenario.url()).env("LOCKGATE_CACHE_DIR", "x").await.succeeds();
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
