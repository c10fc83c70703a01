//! How far something long is, as a terminal shows it while it lasts; and that nobody else is shown anything.

use lockgate_tests::{Scenario, components::planned, eventually};

/// A table of 30 blocks whose index takes about two seconds, in its second migration.
async fn slow_index(name: &str, how: &str) -> Scenario {
    Scenario::new(name)
        .await
        .migration(
            "001_big",
            "CREATE TABLE big (id int, filler text);
             ALTER TABLE big ALTER filler SET STORAGE PLAIN;
             INSERT INTO big SELECT n, repeat('x', 7000) FROM generate_series(1, 30) n;
             CREATE FUNCTION slow(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
             $$ BEGIN PERFORM pg_sleep(0.07); RETURN n; END $$;",
            "DROP TABLE big; DROP FUNCTION slow;",
        )
        .migration("002_index", &format!("CREATE INDEX {how} big_slow ON big (slow(id));"), "DROP INDEX big_slow;")
}

/// What is left on the screen of what was written to a terminal: bars are drawn over themselves.
fn screen(written: &str) -> Vec<String> {
    let (mut lines, mut row, mut column) = (vec![Vec::<char>::new()], 0, 0);
    let mut rest = written.chars();
    while let Some(c) = rest.next() {
        match c {
            '\r' => column = 0,
            '\n' => {
                (row, column) = (row + 1, 0);
                lines.resize_with(lines.len().max(row + 1), Vec::new);
            }
            '\u{1b}' => {
                assert_eq!(rest.next(), Some('['), "{written:?}");
                let mut parameters = String::new();
                let end = loop {
                    match rest.next().unwrap() {
                        c if c.is_ascii_alphabetic() => break c,
                        c => parameters.push(c),
                    }
                };
                let n = parameters.parse().unwrap_or(1);
                match end {
                    'A' => row -= n,
                    'B' => row += n,
                    'K' if parameters == "2" => lines[row].clear(),
                    'K' => lines[row].truncate(column),
                    'J' => {
                        lines[row].truncate(column);
                        lines.truncate(row + 1);
                    }
                    'm' | 'h' | 'l' => {}
                    other => panic!("{other}: {written:?}"),
                }
                lines.resize_with(lines.len().max(row + 1), Vec::new);
            }
            c => {
                let line = &mut lines[row];
                line.resize(line.len().max(column + 1), ' ');
                line[column] = c;
                column += 1;
            }
        }
    }
    let text = |line: Vec<char>| line.into_iter().collect::<String>().trim_end().to_owned();
    lines.into_iter().map(text).filter(|line| !line.is_empty()).collect()
}

/// The percentages of the bars of something, in the order in which they were drawn.
fn percentages(written: &str, of: &str) -> Vec<u32> {
    let bars = written.split(of).skip(1).filter_map(|rest| rest.split(['\r', '\n', '\u{1b}']).next());
    bars.filter_map(|bar| bar.split_once(" %)")?.0.rsplit_once('(')?.1.parse().ok()).collect()
}

/// Claims that bars were drawn, ever fuller, and that nothing is left of them.
#[track_caller]
fn grew(written: &str, of: &str) {
    let seen = percentages(written, of);
    assert!(seen.len() >= 2 && seen.is_sorted() && seen[0] < seen[seen.len() - 1], "{seen:?}: {written:?}");
    let left = screen(written);
    assert!(!left.iter().any(|line| line.contains("%)") || line.contains("[=")), "{left:#?}");
}

#[tokio::test]
async fn an_index_build_is_drawn_while_it_lasts() {
    let scenario = slow_index("bar_index", "").await;
    let outcome = scenario.at_terminal(100, "", "up --no-backup").await.succeeds();
    let written = &outcome.stdout;
    grew(written, "CREATE INDEX on big [");
    assert!(written.contains(", scanning table") && written.contains(" of 30 blocks ("), "{written:?}");
    let left = screen(written);
    assert!(left.iter().any(|line| line.starts_with("applied 002_index")), "{left:#?}");
    scenario.run("down 002 --no-backup").await.succeeds();
    // Where there is little room there are only the numbers.
    let outcome = scenario.at_terminal(40, "", "up --no-backup").await.succeeds();
    let drawn = outcome.stdout.split(['\r', '\n']).map(|line| line.trim_start_matches("\u{1b}[2K").trim_end());
    let bars: Vec<&str> = drawn.filter(|line| line.contains("blocks")).collect();
    let fits = |bar: &&str| bar.chars().count() < 40 && bar.starts_with("CREATE IN… ") && bar.contains(" %)");
    assert!(!bars.is_empty() && bars.iter().all(fits), "{bars:?}");
}

#[tokio::test]
async fn an_index_that_is_built_beside_writers_is_drawn_as_well() {
    let scenario = slow_index("bar_concurrently", "CONCURRENTLY").await;
    let outcome = scenario.at_terminal(120, "", "up --no-backup").await.succeeds();
    grew(&outcome.stdout, "CREATE INDEX CONCURRENTLY big_slow [");
    let scenario = scenario.migration("003_again", "REINDEX INDEX CONCURRENTLY big_slow;", "SELECT 1;");
    let outcome = scenario.at_terminal(120, "", "up --no-backup").await.succeeds();
    assert!(outcome.stdout.contains("REINDEX CONCURRENTLY big_slow"), "{outcome:?}");
    assert!(!percentages(&outcome.stdout, "REINDEX CONCURRENTLY big_slow").is_empty(), "{outcome:?}");
}

#[tokio::test]
async fn a_bar_goes_when_the_run_is_asked_to_stop() {
    let scenario = slow_index("bar_stop", "").await;
    scenario.run("up --no-backup --to 1").await.succeeds();
    let ctrl_c = "\u{3}";
    let outcome =
        scenario.at_terminal(100, ctrl_c, "up --no-backup").env("ANSWERS_TO", "of 30 blocks").await.exits_with(1);
    let left = screen(&outcome.stdout);
    assert!(left.iter().any(|line| line.starts_with("error: ") && line.contains("SIGINT")), "{left:#?}");
    assert!(!left.iter().any(|line| line.contains("%)")), "{left:#?}");
}

#[tokio::test]
async fn who_did_not_ask_for_bars_gets_none_and_the_server_is_asked_nothing_for_them() {
    let scenario = slow_index("bar_none", "").await;
    scenario.run("up --no-backup --to 1").await.succeeds();
    let superuser = scenario.superuser().await;
    let asked = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                 AND application_name LIKE 'lockgate watch %' AND query LIKE '%pg_stat_progress_%'";
    let building = "SELECT count(*) FROM pg_stat_activity
                    WHERE datname = current_database() AND query LIKE '%CREATE INDEX%' AND state = 'active'
                    AND pid <> pg_backend_pid()";
    for (options, at_terminal, drawn) in
        [("", true, true), ("", false, false), ("-v", true, false), ("-q", true, false), ("--output json", true, false)]
    {
        let arguments = format!("up --no-backup {options}");
        let run =
            if at_terminal { scenario.at_terminal(100, "", &arguments) } else { scenario.run(&arguments) }.start();
        eventually("the index is built", async || superuser.value(building).await == "1").await;
        let mut progress = false;
        while superuser.value(building).await == "1" {
            progress |= superuser.value(asked).await != "0";
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let outcome = run.end().await.succeeds();
        assert_eq!(progress, drawn, "{arguments}: whether the server is asked how far it is");
        let bars = |text: &str| text.contains("%)") || text.contains("scanning table");
        assert_eq!(bars(&outcome.stdout) || bars(&outcome.stderr), drawn, "{outcome:?}");
        scenario.run("down 002 --no-backup").await.succeeds();
    }
}

/// A migration in four batches, each of which takes half a second.
async fn slow_batches(name: &str) -> Scenario {
    let scenario = planned(name, &[("up", "batched", "copy", "")]).await;
    scenario
        .lines(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN PERFORM pg_sleep(0.25); RETURN NEW; END $$;
             CREATE TRIGGER slow BEFORE INSERT ON target FOR EACH ROW EXECUTE FUNCTION slow()",
        )
        .await;
    scenario
}

#[tokio::test]
async fn batches_are_drawn_with_their_rate() {
    let scenario = slow_batches("bar_batches").await;
    let outcome = scenario.at_terminal(100, "", "up --no-backup").await.succeeds();
    grew(&outcome.stdout, "002_steps step 1 (`copy`) [");
    let written = &outcome.stdout;
    assert!(
        written.contains(" 4 of 7 (57 %), ") && written.contains("/s, ") && written.contains(" s left"),
        "{written:?}"
    );
}

#[tokio::test]
async fn a_line_of_the_log_stands_above_the_bar() {
    let scenario = slow_batches("bar_log").await;
    let run = scenario.at_terminal(140, "", "up --no-backup").start();
    let batches = async || scenario.lines("SELECT batches FROM schema_migrations_progress").await.concat();
    eventually("the bar is drawn", async || batches().await == "2").await;
    scenario.run("pause").await.succeeds();
    let waits =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'SELECT paused_by%'";
    let superuser = scenario.superuser().await;
    eventually("the run waits", async || superuser.value(waits).await == "1").await;
    scenario.run("pause --off").await.succeeds();
    let outcome = run.end().await.succeeds();
    grew(&outcome.stdout, "002_steps step 1 (`copy`) [");
    let left = screen(&outcome.stdout);
    let lines: Vec<&String> = left.iter().filter(|line| line.contains("paused until")).collect();
    assert!(matches!(lines.as_slice(), [line] if line.contains("WARN")), "{left:#?}\n{outcome:?}");
}

#[tokio::test]
async fn components_are_named_while_they_are_compiled() {
    let scenario = Scenario::new("bar_compile").await.auth_migrations();
    let outcome = scenario.at_terminal(100, "", "plan --no-cache").await.succeeds();
    let left = screen(&outcome.stdout);
    let drawn = "compiling 003_normalize_phone_numbers";
    assert!(outcome.stdout.contains(drawn) && outcome.stdout.contains(" of 2"), "{outcome:?}");
    assert!(!left.iter().any(|line| line.contains("compiling")), "{left:#?}");
    let outcome = scenario.run("plan --no-cache").await.succeeds();
    outcome.never_mentions("compiling 0");
}
