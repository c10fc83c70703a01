//! Options that contradict each other only where both were written on the command line: what a variable says gives way instead, which
//! clap's own `conflicts_with` does not know.

use clap::{ArgMatches, Command, error::ErrorKind, parser::ValueSource};

/// Pairs of options, by their names in the program and as they are written.
const PAIRS: [[(&str, &str); 2]; 3] = [
    [("embedded", "--embedded"), ("database_url", "--database-url")],
    [("no_cache", "--no-cache"), ("cache_dir", "--cache-dir")],
    [("no_log_files", "--no-log-files"), ("log_dir", "--log-dir")],
];

/// Refuses the first pair that was written.
///
/// # Errors
/// As clap says it.
pub fn check(command: &Command, matches: &ArgMatches) -> Result<(), clap::Error> {
    let written = |id: &str| came(matches, id, ValueSource::CommandLine);
    for [(first, shown), (second, other)] in PAIRS {
        if written(first) && written(second) && !waits(matches, first) {
            let message = format!("the argument '{shown}' cannot be used with '{other}'\n");
            return Err(clap::Error::raw(ErrorKind::ArgumentConflict, message).with_cmd(command));
        }
    }
    Ok(())
}

/// The options that a variable has set and that contradict one that was written.
pub fn giving_way(matches: &ArgMatches) -> Vec<&'static str> {
    let both = PAIRS.into_iter().flat_map(|[(first, _), (second, _)]| [(first, second), (second, first)]);
    let gives_way = |(id, other): &(&str, &str)| {
        came(matches, id, ValueSource::EnvVariable) && came(matches, other, ValueSource::CommandLine)
    };
    both.filter(gives_way).filter(|(_, other)| !waits(matches, other)).map(|(id, _)| id).collect()
}

fn came(matches: &ArgMatches, id: &str, source: ValueSource) -> bool {
    matches.value_source(id) == Some(source)
}

/// `--embedded=auto` asks whether a database is named.
fn waits(matches: &ArgMatches, id: &str) -> bool {
    id == "embedded" && matches.get_raw(id).into_iter().flatten().any(|value| value.eq_ignore_ascii_case("auto"))
}
