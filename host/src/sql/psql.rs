//! The commands of psql that scripts hold: what is done about each, and what to write instead of the others.

/// What is done about a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    /// It speaks to psql alone (`\restrict`, which guards psql from a hostile dump) and is left out.
    LeftOut,
    /// `\i`, `\ir`: the text of this file stands in its place.
    Include(String),
    /// It is refused.
    Refused {
        /// Its name, with the backslash.
        name: String,
        /// What to write instead.
        next: &'static str,
    },
}

const INCLUDE_FORM: &str = "write one file's name behind it, in single quotes where it holds spaces";
const PARAMETERS: &str = "write the value itself; a script has no variables, and a component may have settings";
const SENDS: &str = "end the statement with a semicolon";
const SHOWS: &str = "remove it: a script shows nothing, the run's report does";
const LOOKS: &str = "remove it; what a migration relies on belongs into its `.preflight.sql`, as a query";
const FILES: &str = "write `COPY … FROM STDIN` with the rows inline; a script reads and writes no files";
const DECIDES: &str = "decide in a `DO` block, or make two migrations";

/// What to write instead, by name. Source: PostgreSQL manual, "psql", section "Meta-Commands".
const ADVICE: &[(&[&str], &str)] = &[
    (&["copy"], "write `COPY … FROM STDIN;` and the rows on the lines below it, ended by a line `\\.`"),
    (&["set", "unset", "prompt", "getenv", "setenv"], PARAMETERS),
    (&["c", "connect"], "remove it: the run is connected to the one database that it migrates"),
    (&["echo", "qecho", "warn"], "remove it, or `RAISE NOTICE` in a `DO` block: `-v` shows notices"),
    (&["if", "elif", "else", "endif"], DECIDES),
    (&["gexec"], "run what is made in a `DO` block, with `EXECUTE`"),
    (&["gset"], "keep the value in a variable of a `DO` block"),
    (&["gdesc", "gx", "watch", "crosstabview"], "end the query with a semicolon, or remove it: nobody sees its rows"),
    (&["g"], SENDS),
    (&["parse", "bind", "bind_named", "close_prepared", "sendpipeline", "startpipeline", "endpipeline"], SENDS),
    (&["timing", "pset", "x", "a", "C", "f", "H", "t", "T", "o", "out", "errverbose", "html"], SHOWS),
    (&["d", "dt", "dn", "df", "di", "dv", "du", "dx", "l", "list", "sf", "sv", "z", "conninfo"], LOOKS),
    (&["q", "quit"], "remove it, and what stands behind it"),
    (&["!", "cd", "e", "edit", "ef", "ev", "w", "write", "s", "p", "print", "r", "reset"], "remove it"),
    (&["encoding"], "remove it, and save the file as UTF-8"),
    (&["password"], "`ALTER ROLE` sets a password; better, let the operator do it"),
    (&["lo_import", "lo_export", "lo_unlink", "lo_list"], "call `lo_from_bytea` with the data, or `lo_unlink`"),
    (&["gp"], FILES),
    (&[";", ":"], "write it without the backslash"),
];

const OTHERS: &str = "write it as SQL";

/// Understands a command, from its backslash to the end of its line.
pub(super) fn understand(command: &str) -> Command {
    let after = command.strip_prefix('\\').unwrap_or(command);
    let end = match after.chars().next() {
        Some(first) if !first.is_alphanumeric() => first.len_utf8(),
        _ => after.find(|c: char| c.is_whitespace() || c == '\\').unwrap_or(after.len()),
    };
    let (name, arguments) = after.split_at(end);
    match name {
        "restrict" | "unrestrict" => Command::LeftOut,
        "i" | "ir" | "include" | "include_relative" => match file(arguments) {
            Some(file) => Command::Include(file),
            None => Command::Refused { name: format!("\\{name}"), next: INCLUDE_FORM },
        },
        _ => {
            let bare = name.trim_end_matches(['+', 'S']);
            let next = ADVICE.iter().find(|(names, _)| names.contains(&name) || names.contains(&bare));
            Command::Refused { name: format!("\\{name}"), next: next.map_or(OTHERS, |(_, next)| next) }
        }
    }
}

/// The one file that is named, in single quotes or bare.
fn file(arguments: &str) -> Option<String> {
    let arguments = arguments.trim();
    let Some(quoted) = arguments.strip_prefix('\'') else {
        let one = !arguments.is_empty()
            && !arguments.contains(|c: char| c.is_whitespace() || matches!(c, '\'' | '"' | '\\' | '`'));
        return (one && !arguments.starts_with([':', '|'])).then(|| arguments.to_owned());
    };
    let name = quoted.strip_suffix('\'')?.replace("''", "\u{0}");
    (!name.is_empty() && !name.contains(['\'', '\\'])).then(|| name.replace('\u{0}', "'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(command: &str) -> (String, &'static str) {
        match understand(command) {
            Command::Refused { name, next } => (name, next),
            other => panic!("{command} is {other:?}"),
        }
    }

    #[test]
    fn what_speaks_to_psql_alone_is_left_out() {
        assert_eq!(understand("\\restrict aB3"), Command::LeftOut);
        assert_eq!(understand("\\unrestrict aB3"), Command::LeftOut);
    }

    #[test]
    fn one_file_is_included() {
        for (command, name) in
            [("\\i a/b.sql", "a/b.sql"), ("\\ir 'it''s a.sql'  ", "it's a.sql"), ("\\include x", "x")]
        {
            assert_eq!(understand(command), Command::Include(name.into()), "{command}");
        }
        for command in ["\\i", "\\i a b", "\\i ''", "\\i 'a", "\\i :name", "\\i |cat", "\\ir a\\b"] {
            assert_eq!(next(command).1, INCLUDE_FORM, "{command}");
        }
    }

    #[test]
    fn every_other_command_is_named_with_advice() {
        for (command, name, advice) in [
            ("\\copy t from 'x.csv' csv", "\\copy", "COPY … FROM STDIN"),
            ("\\set x 1", "\\set", "no variables"),
            ("\\c other", "\\c", "connected"),
            ("\\echo 'x'", "\\echo", "RAISE NOTICE"),
            ("\\if :x", "\\if", "DO"),
            ("\\gexec", "\\gexec", "EXECUTE"),
            ("\\timing on", "\\timing", "shows nothing"),
            ("\\pset format", "\\pset", "shows nothing"),
            ("\\dt+ public.*", "\\dt+", ".preflight.sql"),
            ("\\! rm", "\\!", "remove it"),
            ("\\; select", "\\;", "without the backslash"),
            ("\\frobnicate", "\\frobnicate", OTHERS),
            ("\\", "\\", OTHERS),
        ] {
            let (said, next) = next(command);
            assert!(said == name && next.contains(advice), "{command}: {said}, {next}");
        }
    }
}
