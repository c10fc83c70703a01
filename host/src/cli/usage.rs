//! Reading the command line, and what is said where it cannot be read.

use std::{
    collections::BTreeSet,
    env,
    ffi::{OsStr, OsString},
    io::{self, IsTerminal, Write},
};

use clap::{
    Arg, ArgMatches, Args as _, Command, FromArgMatches as _,
    builder::Resettable,
    error::{ContextKind, ContextValue, ErrorKind},
    parser::ValueSource,
};

use super::{
    Cli, command, command_of,
    console::{ColorWhen, write},
    contradictions,
    global::Global,
    told::Told,
};
use crate::error::ExitCode;

/// What was called, or the exit code where nothing is left to do: a help was printed, or a mistake.
///
/// # Errors
/// That code.
pub fn parse(color: ColorWhen, told: &Told) -> Result<(ArgMatches, Cli), u8> {
    let words: Vec<OsString> = env::args_os().collect();
    match read(&mut heeding_what_is_set(command_of(&words)), &words) {
        Ok(read) if contradictions::giving_way(&read.0).is_empty() => return Ok(read),
        Err(version) if version.kind() == ErrorKind::DisplayVersion => return Err(say(&version, color, told)),
        _ => {}
    }
    let mut command = heeding_what_is_set(command());
    let mut parsed = command.try_get_matches_from_mut(&words);
    let giving_way = parsed.as_ref().map(contradictions::giving_way).unwrap_or_default();
    if !giving_way.is_empty() {
        command = heeding_what_is_set(super::command());
        for id in giving_way {
            command = command.mut_arg(id, |option| option.env(Resettable::Reset));
        }
        parsed = command.try_get_matches_from_mut(&words);
    }
    let parsed = parsed.and_then(|matches| understood(&command, matches));
    parsed.map_err(|error| say(&by_its_source(error, &command), color, told))
}

fn read(command: &mut Command, words: &[OsString]) -> Result<(ArgMatches, Cli), clap::Error> {
    let matches = command.try_get_matches_from_mut(words)?;
    understood(command, matches)
}

fn understood(command: &Command, matches: ArgMatches) -> Result<(ArgMatches, Cli), clap::Error> {
    contradictions::check(command, &matches)?;
    let cli = Cli::from_arg_matches(&matches)?;
    Ok((matches, cli))
}

/// The options of every command, by their names in the program, that a variable has set.
pub fn by_variable(matches: &ArgMatches) -> BTreeSet<String> {
    let command = Global::augment_args(Command::default());
    let ids = command.get_arguments().map(|argument| argument.get_id().as_str());
    ids.filter(|id| matches.value_source(id) == Some(ValueSource::EnvVariable)).map(str::to_owned).collect()
}

/// An empty variable counts as none, as in the shell's `${LOCKGATE_DIR:-migrations}`: files of settings for containers write what is not
/// set so.
fn heeding_what_is_set(command: Command) -> Command {
    heeding(command, |value| !value.is_empty())
}

/// The command that heeds those variables only whose values are fit.
fn heeding(command: Command, fit: fn(&OsStr) -> bool) -> Command {
    let heed = |argument: Arg| {
        let unfit = argument.get_env().and_then(env::var_os).is_some_and(|value| !fit(&value));
        if unfit { argument.env(Resettable::Reset) } else { argument }
    };
    command.mut_args(heed).mut_subcommands(|below| heeding(below, fit))
}

/// The same error, in which a value that a variable has is called by that variable: nobody has written the option.
fn by_its_source(mut error: clap::Error, command: &Command) -> clap::Error {
    let of_a_value =
        [ErrorKind::InvalidValue, ErrorKind::ValueValidation, ErrorKind::NoEquals, ErrorKind::WrongNumberOfValues];
    let called = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(called)) if of_a_value.contains(&error.kind()) => called.clone(),
        _ => return error,
    };
    let Some(variable) = variable_of(command, &called).filter(|variable| env::var_os(variable).is_some()) else {
        return error;
    };
    // What is wrong without any variable is wrong on the command line.
    let without = heeding(super::command(), |_| false).try_get_matches_from(env::args_os());
    let the_same = |other: &clap::Error| {
        other.kind() == error.kind() && other.get(ContextKind::InvalidArg) == error.get(ContextKind::InvalidArg)
    };
    if !without.is_err_and(|other| the_same(&other)) {
        error.insert(ContextKind::InvalidArg, ContextValue::String(variable));
    }
    error
}

/// The variable of the option that is called so in messages, as in `--retries <N>`.
fn variable_of(command: &Command, called: &str) -> Option<String> {
    let (name, _) = called.strip_prefix("--")?.split_once([' ', '=', '[']).unwrap_or((&called[2..], ""));
    let own = command.get_arguments().find(|argument| argument.get_long() == Some(name));
    let variable = own.and_then(Arg::get_env).map(|variable| variable.to_string_lossy().into_owned());
    variable.or_else(|| command.get_subcommands().find_map(|below| variable_of(below, called)))
}

/// Prints a help or a mistake, and returns the exit code.
fn say(error: &clap::Error, color: ColorWhen, told: &Told) -> u8 {
    let is_terminal = if error.use_stderr() { io::stderr().is_terminal() } else { io::stdout().is_terminal() };
    let rendered = error.render();
    let text = if color.colors(is_terminal) { rendered.ansi().to_string() } else { rendered.to_string() };
    let text = told.hide_in(&text);
    if error.use_stderr() {
        // Where it cannot be shown there is nobody to be told.
        let _ = io::stderr().write_all(text.as_bytes());
        return ExitCode::Usage.number();
    }
    match write(text.as_bytes()) {
        Ok(()) => ExitCode::Done.number(),
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            error.exit_code().number()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_is_known_by_what_messages_call_it() {
        for (called, variable) in [
            ("--retries <N>", Some("LOCKGATE_RETRIES")),
            ("--no-backup", Some("LOCKGATE_NO_BACKUP")),
            ("--embedded[=<WHEN>]", Some("LOCKGATE_EMBEDDED")),
            ("--on <PLACE>", Some("LOCKGATE_REHEARSE_ON")),
            ("--run <ID>", None),
            ("<BACKUP>", None),
        ] {
            assert_eq!(variable_of(&command(), called).as_deref(), variable, "{called}");
        }
    }
}
