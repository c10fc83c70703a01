//! The examples in the help of every command, in one place, so that none is forgotten.

use clap::Command;

/// Which command, and calls of it with what they are for.
type Examples = (&'static [&'static str], &'static [(&'static str, &'static str)]);

const EXAMPLES: [Examples; 35] = [
    (
        &[],
        &[
            ("lockgate status", "what is applied, and what is pending"),
            ("lockgate up --dry-run", "what a run would do"),
            ("lockgate up", "the run"),
            ("lockgate down 003", "takes 003 back"),
        ],
    ),
    (
        &["test"],
        &[("lockgate test", "for a probe: exit code 0, or 8"), ("lockgate test --output json", "for a program")],
    ),
    (
        &["status"],
        &[
            ("lockgate status", "a line for each migration, and what to do next"),
            ("lockgate status --check", "for a pipeline: exit code 3 when something is pending"),
        ],
    ),
    (
        &["up"],
        &[
            ("lockgate up", "everything that is pending"),
            ("lockgate up --to 004", "no further than 004"),
            ("lockgate up --dry-run", "the plan; changes nothing"),
            ("lockgate up --rollback-after", "really runs it, and rolls it back"),
            ("lockgate -v --no-backup up", "says what it does, and takes no backup"),
        ],
    ),
    (
        &["down"],
        &[
            ("lockgate down 004", "the newest one"),
            ("lockgate down --to 002", "everything above 002, the newest first"),
            ("lockgate down 004 --dry-run", "the plan; changes nothing"),
            ("lockgate down 004 --yes", "asks nobody"),
        ],
    ),
    (
        &["history"],
        &[
            ("lockgate history --limit 20", "the newest 20 entries"),
            ("lockgate history --version 004", "what was tried with 004"),
            ("lockgate history --run 3f9c01d2", "what one run did; part of its id is enough"),
            ("lockgate history --verify", "whether anybody has changed it"),
        ],
    ),
    (
        &["schema"],
        &[
            ("lockgate schema", "the names of all schemas"),
            ("lockgate schema backup list", "the schema of `lockgate backup list --output json`"),
            ("lockgate schema event", "the schema of a line that `--events` writes"),
            ("lockgate schema --out docs/schemas", "all of them, as files"),
        ],
    ),
    (&["plan"], &[("lockgate plan", "all of it"), ("lockgate plan --to 004 --output json", "for a program")]),
    (
        &["rehearse"],
        &[
            ("lockgate rehearse", "on a copy of the newest backup"),
            ("lockgate rehearse --on embedded --schema-only", "without rows, on a throwaway server"),
            ("lockgate rehearse --fail-on blocks-reads --report report.html", "for a pipeline"),
        ],
    ),
    (
        &["lint"],
        &[
            ("lockgate lint", "all of the migrations folder"),
            ("lockgate lint --offline migrations/005_add_orders.up.sql", "one file, and no database"),
            ("lockgate lint --output github", "comments in a pull request"),
            ("lockgate lint --rules", "the rules, and how much each weighs"),
        ],
    ),
    (&["pause"], &[("lockgate pause", "before the next batch or step"), ("lockgate pause --off", "goes on")]),
    (
        &["resolve"],
        &[
            ("lockgate resolve 2 --applied", "it has taken effect"),
            ("lockgate resolve 2 --not-applied --dry-run", "what would follow"),
        ],
    ),
    (
        &["repair"],
        &[("lockgate repair --dry-run", "what has changed"), ("lockgate repair 003", "takes it as it now is")],
    ),
    (
        &["adopt"],
        &[
            ("lockgate adopt --from flyway --dry-run", "what would be taken over"),
            ("lockgate adopt --from alembic --scripts alembic/versions", "the scripts lie elsewhere"),
        ],
    ),
    (
        &["baseline"],
        &[("lockgate baseline 004 --dry-run", "what would be noted"), ("lockgate baseline 004", "notes it")],
    ),
    (
        &["backup"],
        &[
            ("lockgate backup", "everything"),
            ("lockgate backup --exclude-data audit_logs", "without the rows of a table"),
            ("lockgate backup --backup-dir s3://bucket/prefix", "into a bucket"),
        ],
    ),
    (&["backup", "list"], &[("lockgate backup list", "the oldest first")]),
    (
        &["backup", "verify"],
        &[
            ("lockgate backup verify latest", "that it decodes"),
            ("lockgate backup verify latest --level 3", "restores it, and compares the rows"),
        ],
    ),
    (
        &["backup", "prune"],
        &[("lockgate backup prune --dry-run", "what would go"), ("lockgate backup prune --yes", "for a timer")],
    ),
    (
        &["restore"],
        &[
            ("lockgate restore latest", "in the place of the present database, which is kept"),
            ("lockgate restore latest --into copy", "beside it"),
            ("lockgate restore --clean-up", "after one that was cut off"),
        ],
    ),
    (&["drill"], &[("lockgate drill", "exit code 6 when a target is missed")]),
    (
        &["roles"],
        &[("lockgate roles | psql -d app", "makes them"), ("lockgate roles --prefix app", "app_runner and so on")],
    ),
    (&["psql"], &[("lockgate psql", "a shell"), ("lockgate psql -c 'SELECT count(*) FROM users'", "one query")]),
    (
        &["new"],
        &[("lockgate new add orders", "two SQL files"), ("lockgate new --rust hash tokens", "a plugin and its test")],
    ),
    (&["plugin"], &[("lockgate plugin verify", "all of the folder"), ("lockgate plugin pin", "after a build")]),
    (
        &["plugin", "build"],
        &[
            ("lockgate plugin build plugins/hash-tokens", "into the migrations folder"),
            ("lockgate plugin build plugins/hash-tokens --out 004_hash_tokens.wasm", "into a file"),
        ],
    ),
    (&["plugin", "wit"], &[("lockgate plugin wit > lockgate.wit", "for an author")]),
    (&["plugin", "pin"], &[("lockgate plugin pin", "and shows what changed")]),
    (&["plugin", "inspect"], &[("lockgate plugin inspect migrations/004_hash_tokens.wasm", "what it asks for")]),
    (&["plugin", "warm"], &[("lockgate plugin warm", "all of the migrations folder")]),
    (&["plugin", "verify"], &[("lockgate plugin verify", "exit code 2 when something is wrong")]),
    (
        &["plugin", "test"],
        &[
            ("lockgate plugin test plugins/hash-tokens", "builds it first"),
            ("lockgate plugin test migrations/004_hash_tokens.wasm --after 003", "on the schema of 003"),
        ],
    ),
    (&["config"], &[("lockgate config show", "what holds, and why"), ("lockgate config schema", "for an editor")]),
    (
        &["config", "show"],
        &[
            ("lockgate config show", "every setting, its value, and where it comes from"),
            ("lockgate config show --output json", "for a program"),
        ],
    ),
    (&["config", "schema"], &[("lockgate config schema > lockgate.schema.json", "for an editor")]),
];

/// The command with the examples in its help, and in that of every command below it: before what their help ends with already.
pub fn added_to(command: Command) -> Command {
    below(command, &mut Vec::new())
}

fn below(command: Command, path: &mut Vec<String>) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|below| below.get_name().to_owned()).collect();
    let mut command = match EXAMPLES.iter().find(|(of, _)| of.iter().eq(path.iter())) {
        Some((_, examples)) => {
            let rest = command.get_after_help().map(|rest| format!("\n\n{rest}")).unwrap_or_default();
            command.after_help(text(examples) + &rest)
        }
        None => command,
    };
    for name in names {
        command = command.mut_subcommand(&name, |sub| {
            path.push(name.clone());
            let sub = below(sub, path);
            path.pop();
            sub
        });
    }
    command
}

fn text(examples: &[(&str, &str)]) -> String {
    let width = examples.iter().map(|(call, _)| call.chars().count()).max().unwrap_or_default();
    let lines: Vec<String> = examples.iter().map(|(call, what)| format!("  {call:<width$}  {what}")).collect();
    format!("Examples:\n{}", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::super::{Cli, command, command_of, schema::called};

    /// All commands, each with the words that call it.
    fn all(command: &clap::Command, path: &str, found: &mut Vec<(String, clap::Command)>) {
        found.push((path.to_owned(), command.clone()));
        for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
            all(below, &format!("{path} {}", below.get_name()), found);
        }
    }

    /// Words as a shell makes them, up to a pipe or a redirection.
    fn words(call: &str) -> Vec<String> {
        let mut words = vec![String::new()];
        let mut quoted = false;
        for c in call.chars() {
            match c {
                '\'' => quoted = !quoted,
                ' ' if !quoted => words.push(String::new()),
                c => words.last_mut().unwrap().push(c),
            }
        }
        words.into_iter().take_while(|word| !matches!(word.as_str(), "|" | ">")).collect()
    }

    #[test]
    fn every_command_has_an_example_and_every_example_parses() {
        use clap::FromArgMatches as _;
        let mut found = Vec::new();
        all(&command(), "lockgate", &mut found);
        assert!(found.len() > 30);
        for (path, one) in found {
            let help = one.get_after_help().map(ToString::to_string).unwrap_or_default();
            let calls: Vec<&str> = help.lines().filter_map(|line| line.strip_prefix("  lockgate ")).collect();
            assert!(!calls.is_empty() && help.contains("Example"), "`{path}` has no example in its help");
            for call in calls {
                let call = call.split_once("  ").map_or(call, |(call, _)| call);
                let words: Vec<OsString> =
                    [vec!["lockgate".to_owned()], words(call)].concat().into_iter().map(OsString::from).collect();
                let parsed = [command(), command_of(&words)].map(|command| {
                    let matches = command.try_get_matches_from(&words)?;
                    <Cli>::from_arg_matches(&matches).map(|_| called(&matches))
                });
                let [whole, meant] = parsed.map(|parsed| parsed.unwrap_or_else(|e| panic!("`lockgate {call}`: {e}")));
                assert_eq!(whole, meant, "`lockgate {call}`");
            }
        }
    }

    #[test]
    fn what_a_command_does_is_said_in_a_short_line() {
        let mut found = Vec::new();
        all(&command(), "lockgate", &mut found);
        for (path, one) in found {
            let about = one.get_about().map(ToString::to_string).unwrap_or_default();
            assert!((10..=115).contains(&about.chars().count()), "`{path}`: {about}");
            assert!(one.get_long_about().is_none(), "`{path}`");
        }
    }
}
