//! Options that contradict each other only where both were written on the command line: what a variable says gives way instead, which
//! clap's own `conflicts_with` does not know.

use clap::{ArgMatches, Command, error::ErrorKind, parser::ValueSource};

/// Pairs of options, by their names in the program and as they are written.
const PAIRS: [[(&str, &str); 2]; 2] = [
    [("embedded", "--embedded"), ("database_url", "--database-url")],
    [("no_cache", "--no-cache"), ("cache_dir", "--cache-dir")],
];

/// Refuses the first pair that was written.
///
/// # Errors
/// As clap says it.
pub fn check(command: &Command, matches: &ArgMatches) -> Result<(), clap::Error> {
    let written = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
    // It asks whether a database is named.
    let waits = |id: &str| {
        id == "embedded" && matches.get_raw(id).into_iter().flatten().any(|value| value.eq_ignore_ascii_case("auto"))
    };
    for [(first, shown), (second, other)] in PAIRS {
        if written(first) && written(second) && !waits(first) {
            let message = format!("the argument '{shown}' cannot be used with '{other}'\n");
            return Err(clap::Error::raw(ErrorKind::ArgumentConflict, message).with_cmd(command));
        }
    }
    Ok(())
}
