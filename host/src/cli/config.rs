//! `lockgate config`

use std::io::{self, Write as _};

use clap::{ArgMatches, Args, Subcommand, parser::ValueSource};

use super::{Context, Result, command};
use crate::{
    config::schema,
    config::settings::{Given, Settings},
    error::{Error, ExitCode},
    report,
};

const SHOW: &str = "\
Passwords are not shown, neither is what [plugin.<name>.config] holds: a component may be given a key there.";

const SCHEMA: &str = "\
An editor that knows TOML takes it from the first line of lockgate.toml: `#:schema ./lockgate.schema.json`.
Reads no configuration and asks no database.";

#[derive(Subcommand)]
pub enum Arguments {
    /// Show every setting with its value and its source; no secrets
    #[command(after_help = SHOW)]
    Show(Show),
    /// Print the JSON schema of lockgate.toml
    #[command(after_help = SCHEMA)]
    Schema,
}

#[derive(Args)]
pub struct Show {
    /// What the command line and the environment say; see [`Arguments::settle`].
    #[arg(skip)]
    given: Vec<Given>,
}

impl Arguments {
    /// Notes which options were given, and how: once they are parsed, only clap knows.
    pub fn settle(&mut self, matches: &ArgMatches) {
        if let Self::Show(show) = self {
            show.given = given(matches);
        }
    }
}

pub fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    match arguments {
        Arguments::Show(show) => {
            let settings = Settings::gather(&context.config, &show.given)?;
            context.print(&settings, |settings| report::settings(settings, context.console.stdout))?;
            Ok(ExitCode::Done)
        }
        Arguments::Schema => print_schema(),
    }
}

/// Prints the schema as it is in docs/lockgate.schema.json.
pub fn print_schema() -> Result<ExitCode> {
    let schema = serde_json::to_string_pretty(&schema::of_file()).map_err(|e| Error::system("writing JSON", e))?;
    // A reader that went away is no failure.
    let _ = writeln!(io::stdout(), "{schema}");
    Ok(ExitCode::Done)
}

/// All options that stand for a setting: the global ones, and those of single commands that a variable can set as well.
fn given(matches: &ArgMatches) -> Vec<Given> {
    let command = command();
    let mut all = Vec::new();
    for argument in command.get_arguments().filter(|argument| argument.is_global_set()) {
        let id = argument.get_id().as_str();
        let Some(option) = argument.get_long().map(|long| format!("--{long}")) else { continue };
        let variable = argument.get_env().map(|name| name.to_string_lossy().into_owned());
        let values: Vec<String> =
            matches.get_raw(id).into_iter().flatten().map(|v| v.to_string_lossy().into()).collect();
        // The flags that are no settings of a run have no variable either, such as `-v`.
        let Some(variable) = variable else { continue };
        let source = match matches.value_source(id) {
            Some(ValueSource::CommandLine) => Some(option.clone()),
            Some(ValueSource::EnvVariable) => Some(variable),
            _ => None,
        };
        all.push(Given { id: id.to_owned(), option, value: values.join(","), source });
    }
    let others = command.get_subcommands().flat_map(|command| command.get_arguments());
    for argument in others.filter(|argument| !argument.is_global_set()) {
        let variable = argument.get_env().map(|name| name.to_string_lossy().into_owned());
        let (Some(long), Some(variable)) = (argument.get_long(), variable) else { continue };
        if all.iter().any(|given| given.id == argument.get_id().as_str()) {
            continue;
        }
        let value = std::env::var(&variable).ok().filter(|value| !value.is_empty());
        all.push(Given {
            id: argument.get_id().to_string(),
            option: format!("--{long}"),
            source: value.is_some().then_some(variable),
            value: value.unwrap_or_default(),
        });
    }
    all
}
