//! `lockgate config`

use clap::{Arg, ArgMatches, Args, Subcommand, parser::ValueSource};

use super::{Context, Result, command, console::write};
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
            let by = show.given.iter().find(|given| given.id == "embedded").and_then(|given| given.source.as_deref());
            let own_server = by.filter(|_| context.means_embedded);
            let settings = Settings::gather(&context.config, &show.given, own_server)?;
            context.print(&settings, |settings| report::settings(settings, context.console.stdout))?;
            Ok(ExitCode::Done)
        }
        Arguments::Schema => print_schema(),
    }
}

/// Prints the schema as it is in docs/lockgate.schema.json.
pub fn print_schema() -> Result<ExitCode> {
    let schema = serde_json::to_string_pretty(&schema::of_file()).map_err(|e| Error::system("writing JSON", e))?;
    write(format!("{schema}\n").as_bytes())?;
    Ok(ExitCode::Done)
}

/// The options that stand for a setting: those of every command, and those of single ones that a variable can set as well.
fn options() -> Vec<Arg> {
    let command = command();
    let is_option = |argument: &&Arg| argument.get_long().is_some() && !argument.is_hide_set();
    let global = command.get_arguments().filter(|argument| argument.is_global_set());
    let single = command.get_subcommands().flat_map(clap::Command::get_arguments);
    let single = single.filter(|argument| argument.get_env().is_some());
    let mut options: Vec<Arg> = Vec::new();
    for option in global.chain(single).filter(is_option) {
        if options.iter().all(|other| other.get_id() != option.get_id()) {
            options.push(option.clone());
        }
    }
    options
}

/// What was said by each of them.
fn given(matches: &ArgMatches) -> Vec<Given> {
    let of_option = |option: Arg| {
        let id = option.get_id().as_str();
        let long = format!("--{}", option.get_long().unwrap_or_default());
        let variable = option.get_env().map(|name| name.to_string_lossy().into_owned());
        let (value, source) = if option.is_global_set() {
            let raw = matches.get_raw(id).into_iter().flatten().map(|value| value.to_string_lossy());
            let source = match matches.value_source(id) {
                Some(ValueSource::CommandLine) => Some(long.clone()),
                Some(ValueSource::EnvVariable) => variable,
                _ => None,
            };
            (raw.collect::<Vec<_>>().join(","), source)
        } else {
            // An option of another command than this one, which only its variable can have set.
            let value = variable.as_ref().and_then(|name| std::env::var(name).ok()).filter(|value| !value.is_empty());
            let source = variable.filter(|_| value.is_some());
            (value.unwrap_or_default(), source)
        };
        Given { id: id.to_owned(), option: long, value, source }
    };
    options().into_iter().map(of_option).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Options};

    #[test]
    fn every_option_that_is_a_setting_is_shown_with_what_has_set_it() {
        let config = Config::load(Options::default()).unwrap();
        let all = options();
        assert!(all.len() > 25, "{all:?}");
        for option in all {
            let (id, long) = (option.get_id().to_string(), format!("--{}", option.get_long().unwrap()));
            let given = Given { id, option: long.clone(), value: "true".into(), source: Some("here".into()) };
            let settings = Settings::gather(&config, &[given], None).unwrap();
            let shown = settings.settings.iter().filter(|setting| setting.source == "here").count();
            assert_eq!(shown, 1, "{long} is not shown");
        }
    }
}
