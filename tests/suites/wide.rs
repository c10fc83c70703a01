//! Names of letters that take two columns, or none: what is printed fits the terminal all the same, and nothing of a name is lost.

use lockgate_tests::Scenario;

const NAME: &str = "注文と顧客を追加する🚀";

/// So many columns a text takes: in these tests every letter outside of ASCII is wide but for the marks of punctuation that Lockgate uses.
fn columns(text: &str) -> usize {
    text.chars().map(|c| if c.is_ascii() || "…—│─└├".contains(c) { 1 } else { 2 }).sum()
}

#[tokio::test]
async fn wide_names_fit_and_are_whole() {
    let scenario = Scenario::new("wide")
        .await
        .migration(&format!("001_{NAME}"), "CREATE TABLE \"注文\" (id int PRIMARY KEY);", "DROP TABLE \"注文\";")
        .migration("002_fails", "SELECT \"合計\" FROM \"注文\";", "");
    for (arguments, code) in [("plan", 0), ("up --no-backup", 1), ("status", 0), ("history", 0)] {
        if arguments.starts_with("up") {
            scenario.run(arguments).await.exits_with(code);
            continue;
        }
        for width in [40, 24] {
            let outcome = scenario.at_terminal(width, "", &format!("{arguments} --color never")).await.exits_with(code);
            for line in outcome.stdout.lines() {
                // A word stays whole, so that it can be copied.
                let words = line.split_whitespace().count();
                assert!(
                    columns(line.trim_end()) <= usize::from(width) || words <= 1,
                    "{arguments} at {width} columns: {line:?}\n{}",
                    outcome.stdout
                );
            }
            if arguments != "history" {
                assert!(outcome.stdout.contains(NAME), "{arguments} at {width} columns: {outcome:?}");
            }
        }
    }
    // In a table the columns stand below one another whatever the letters.
    let outcome = scenario.run("status").await.succeeds();
    let [titles, first, second] = [0, 1, 2].map(|n| outcome.stdout.lines().nth(n).unwrap().to_owned());
    let at = |line: &str, word: &str| columns(&line[..line.find(word).unwrap()]);
    let state = at(&titles, "state");
    assert_eq!((at(&first, "applied"), at(&second, "pending")), (state, state), "{outcome:?}");
}
