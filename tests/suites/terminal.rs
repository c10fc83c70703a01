//! What a person at a terminal is given that a pipeline is not: questions, colours, lines that fit, bars.

use lockgate_tests::{Outcome, Scenario, eventually};

/// What is left of what was seen without colours, as lines.
fn plain(seen: &str) -> String {
    let mut parts = seen.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    let rest = parts.map(|part| part.split_once(|c: char| c.is_ascii_alphabetic()).map_or("", |(_, rest)| rest));
    (first + &rest.collect::<String>()).replace("\r\n", "\n").replace('\r', "")
}

/// Claims that a terminal of so many columns has broken no line but where a word is longer.
#[track_caller]
fn fits(outcome: Outcome, columns: usize) -> Outcome {
    let seen = plain(&outcome.stdout);
    let lines: Vec<&str> = seen.lines().collect();
    for (i, line) in lines.iter().enumerate() {
        // A caret points into it.
        if lines.get(i + 1).is_some_and(|next| next.trim() == "^") {
            continue;
        }
        let words = line.split_whitespace().filter(|word| word.chars().count() > 2).count();
        assert!(
            line.chars().count() <= columns || words <= 1,
            "{} columns: {line:?}\n{}",
            columns,
            plain(&outcome.stdout)
        );
    }
    outcome
}

#[tokio::test]
async fn who_sits_at_a_terminal_is_asked_before_something_is_destroyed() {
    let scenario = Scenario::new("asked").await.tables(&["a", "b"]);
    scenario.run("up").await.succeeds();
    for (arguments, question) in [
        ("down 002 --no-backup", "Revert 002 on "),
        ("down --to 0 --no-backup", "Revert everything above 0 on "),
        ("restore latest", "Its clients are disconnected"),
        ("backup prune", "Remove backups of "),
    ] {
        let outcome = scenario.at_terminal(200, "n", arguments).await.exits_with(2);
        assert!(plain(&outcome.stdout).contains(question), "{arguments}: {outcome:?}");
        outcome.prints("not confirmed");
    }
    scenario.run("status").await.succeeds().prints("2 applied, 0 pending");
    scenario.at_terminal(200, "y", "down 002 --no-backup").await.succeeds().prints("reverted 002_b");
    scenario.at_terminal(200, "", "down 001 --no-backup --yes").await.succeeds().does_not_print("[y/N]");
    scenario.run("status").await.succeeds().prints("0 applied, 2 pending");
}

#[tokio::test]
async fn who_sits_at_a_terminal_is_asked_before_a_history_is_written_by_hand() {
    let scenario = Scenario::new("asked_about_history").await.tables(&["a"]);
    scenario.at_terminal(200, "n", "baseline 001").await.exits_with(2).prints("without running them? [y/N]");
    assert!(!scenario.has_history().await);
    scenario.at_terminal(200, "y", "baseline 001").await.succeeds();
    scenario.write("migrations/001_a.up.sql", "CREATE TABLE a (id int PRIMARY KEY); -- formatted");
    scenario.at_terminal(200, "n", "repair").await.exits_with(2).prints("for what was applied on ");
    scenario.run("status --check").await.exits_with(5);
    scenario.at_terminal(200, "y", "repair").await.succeeds();
    scenario.run("status --check").await.succeeds();
}

#[tokio::test]
async fn a_pipeline_is_not_asked() {
    let scenario = Scenario::new("not_asked").await.tables(&["a", "b"]);
    scenario.up().await.succeeds();
    for arguments in ["backup prune", "down 002 --no-backup", "down 001"] {
        scenario.run(arguments).await.succeeds().never_mentions("[y/N]");
    }
    scenario.run("baseline 001").await.succeeds().never_mentions("[y/N]");
    scenario.write("migrations/001_a.up.sql", "CREATE TABLE a (id int PRIMARY KEY); -- formatted");
    scenario.run("repair").await.succeeds().never_mentions("[y/N]");
    scenario.run("restore latest").await.succeeds().never_mentions("[y/N]");
}

#[tokio::test]
async fn colours_are_for_terminals_and_for_those_who_ask() {
    let scenario = Scenario::new("colours").await.tables(&["a"]);
    scenario.run("up --no-backup").await.succeeds();
    let colour = "\u{1b}[32mapplied\u{1b}[0m";
    scenario.at_terminal(160, "", "status").await.succeeds().prints(colour);
    scenario.at_terminal(160, "", "status").env("NO_COLOR", "1").await.succeeds().does_not_print("\u{1b}[");
    scenario.at_terminal(160, "", "status").env("TERM", "dumb").await.succeeds().does_not_print("\u{1b}[");
    scenario.at_terminal(160, "", "status --color never").await.succeeds().does_not_print("\u{1b}[");
    scenario.at_terminal(160, "", "--color=never --help").await.succeeds().does_not_print("\u{1b}[");
    // A second may pass between the two, and with it the age of what is applied.
    eventually("it is the same but for the colours", async || {
        let bare = scenario.run("status").await.succeeds().never_mentions("\u{1b}[").stdout;
        let asked = scenario.run("status").env("CLICOLOR_FORCE", "1").await.succeeds().prints(colour).stdout;
        plain(&asked) == bare
    })
    .await;
    scenario.run("--color always down 9").await.exits_with(2).says("\u{1b}[1m\u{1b}[31merror:\u{1b}[0m");
    scenario.run("down 9").await.exits_with(2).never_mentions("\u{1b}[");
    // Each stream by itself.
    let outcome = scenario.at_terminal(160, "", "down 9 --yes").await.exits_with(2).prints("error:");
    assert!(outcome.stdout.contains("\u{1b}[31merror:"), "{outcome:?}");
    let script = "\"$LOCKGATE\" status 2>&1 | cat";
    scenario.shell(script).await.succeeds().never_mentions("\u{1b}[");
}

#[tokio::test]
async fn forty_columns_are_enough() {
    let scenario = Scenario::new("narrow")
        .await
        .tables(&["customers_and_their_addresses", "orders"])
        .migration(
            "003_index_the_orders_of_customers",
            "CREATE INDEX orders_by_number ON orders (id);",
            "DROP INDEX orders_by_number;",
        )
        .migration("004_fails", "SELECT\n  nonsense_that_is_nowhere FROM orders;", "SELECT 1;");
    scenario.at_terminal(40, "", "plan").await.succeeds().prints("001_customers");
    scenario.run("up --to 3").await.succeeds();
    fits(scenario.at_terminal(40, "", "up").await.exits_with(1), 40);
    scenario.write("migrations/002_orders.up.sql", "CREATE TABLE orders (id int PRIMARY KEY); -- changed");
    for arguments in ["status", "history", "doctor", "config show", "backup list", "test"] {
        let outcome = scenario.at_terminal(40, "", arguments).await;
        assert!(outcome.code.is_some_and(|code| code == 0 || code == 6) && outcome.stdout.len() > 50, "{outcome:?}");
        fits(outcome, 40);
    }
    scenario.write("migrations/002_orders.up.sql", "CREATE TABLE orders (id int PRIMARY KEY);");
    scenario.remove("migrations/004_fails.up.sql");
    scenario.remove("migrations/004_fails.down.sql");
    let scenario = scenario.migration("004_more", "CREATE TABLE more (id int PRIMARY KEY);", "DROP TABLE more;");
    for arguments in ["plan", "rehearse --schema-only", "lint", "up", "down 004 --yes"] {
        fits(scenario.at_terminal(40, "", arguments).await.succeeds(), 40);
    }
}

#[tokio::test]
async fn a_closed_pipe_ends_it_quietly_with_the_code_of_the_run() {
    let scenario = Scenario::new("closed_pipe").await.tables(&["a"]);
    for (arguments, code) in [
        ("status", "0"),
        ("status --check", "3"),
        ("status --output json", "0"),
        ("plan", "0"),
        ("doctor", "0"),
        ("history", "0"),
        ("lint --offline", "0"),
        ("lint --output github --offline", "0"),
        ("config show", "0"),
        ("config schema", "0"),
        ("completions bash", "0"),
        ("man", "0"),
        ("plugin wit", "0"),
        ("--help", "0"),
        ("up --no-backup", "0"),
        ("down 9", "2"),
    ] {
        // The reader is gone before the first byte is written.
        let script = format!("{{ sleep 0.3; \"$LOCKGATE\" {arguments}; echo \"code $?\" >&2; }} | true");
        let outcome = scenario.shell(&script).await;
        assert!(outcome.stderr.contains(&format!("code {code}\n")), "{arguments}: {outcome:?}");
        assert!(!outcome.stderr.contains("panicked"), "{arguments}: {outcome:?}");
    }
    scenario.run("status").await.prints("1 applied");
    // Nor does a stderr that nobody reads any more stop a run.
    let script = "{ sleep 0.3; \"$LOCKGATE\" -vv down 001 --no-backup 2>&1 >/dev/null; echo $? >code; } | true";
    scenario.shell(script).await.succeeds();
    assert_eq!(std::fs::read_to_string(scenario.path("code")).unwrap(), "0\n");
}

#[tokio::test]
async fn twenty_columns_are_wrapped_and_a_pipe_is_not() {
    let scenario = Scenario::new("twenty").await.tables(&["a"]);
    scenario.up().await.succeeds();
    let wrapped = scenario.at_terminal(20, "", "test").await.succeeds();
    let lines = plain(&wrapped.stdout);
    let long = lines.lines().filter(|line| line.chars().count() > 20 && line.split_whitespace().count() > 1);
    assert_eq!(long.collect::<Vec<_>>(), Vec::<&str>::new(), "{lines}");
    // A bad index, of which much is to be said.
    scenario.lines("CREATE TABLE t (id int); INSERT INTO t VALUES (1), (1)").await;
    let session = scenario.session().await;
    let _ = session.try_lines("CREATE UNIQUE INDEX CONCURRENTLY bad ON t (id)").await;
    let piped = scenario.run("doctor").await.stdout;
    let longest = piped.lines().map(|line| line.chars().count()).max().unwrap_or_default();
    assert!(longest > 80, "a program reads lines, which are not to be put together again: {piped}");
    let told = scenario.run("doctor --output json").await.json();
    let findings = told["checks"].as_array().unwrap().iter().flat_map(|check| check["findings"].as_array().unwrap());
    let advice: Vec<&str> = findings.map(|finding| finding["advice"].as_str().unwrap()).collect();
    assert!(!advice.is_empty(), "{told}");
    for text in advice {
        assert!(piped.lines().any(|line| line.trim() == format!("next: {text}")), "`{text}` in one line of\n{piped}");
    }
}

#[tokio::test]
async fn what_cannot_be_written_is_no_success() {
    let scenario = Scenario::new("full_disk").await.tables(&["a"]);
    for arguments in [
        "status",
        "status --output json",
        "plan",
        "doctor",
        "history",
        "lint --offline",
        "lint --output github --offline",
        "config show",
        "config schema",
        "schema",
        "completions bash",
        "man",
        "plugin wit",
        "--help",
        "up --help",
        "--version",
        "up --no-backup",
    ] {
        let outcome = scenario.shell(&format!("\"$LOCKGATE\" {arguments} >/dev/full")).await;
        outcome.exits_with(1).says("cannot be written to stdout").says("No space left on device");
    }
    // What the run did, it has done.
    scenario.run("status").await.prints("1 applied");
    // The error that it failed with is the more important one.
    let outcome = scenario.shell("\"$LOCKGATE\" down 9 --output json >/dev/full").await;
    outcome.exits_with(2).says("9");
}
