//! `lockgate lint`

use std::{collections::BTreeMap, path::PathBuf};

use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};

use super::{Context, Output, Result, console::write};
use crate::{
    error::{Error, ExitCode},
    lint::{Level, Settings},
    report,
    runner::{self, Linted},
};

#[derive(Args)]
pub struct Arguments {
    /// Files to look at [default: all of the migrations folder]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Ask no database, even where one is configured
    #[arg(long)]
    offline: bool,
    /// List the rules and how much each weighs
    #[arg(long, conflicts_with_all = ["files", "offline"])]
    rules: bool,
}

/// `--output` as `lint` takes it: with workflow commands as well, which the global option knows and does not offer.
pub fn added_to(command: clap::Command) -> clap::Command {
    let values = PossibleValuesParser::new(["text", "json", "github"]).map(|text| match text.as_str() {
        "json" => Output::Json,
        "github" => Output::Github,
        _ => Output::Text,
    });
    let global = command.get_arguments().find(|argument| argument.get_id() == "output").cloned();
    let own = global.map(|output| output.value_parser(values));
    // Not `mut_subcommand`, which puts it behind all others.
    command.mut_subcommands(|below| if below.get_name() == "lint" { below.args(own.clone()) } else { below })
}

impl Arguments {
    /// Whether a server is needed for it.
    pub fn asks_a_database(&self) -> bool {
        !self.offline && !self.rules
    }
}

pub async fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    if arguments.rules {
        return list(context, &context.config.lint);
    }
    let online = !arguments.offline && (context.embedded || !context.config.names_no_database());
    let linted =
        runner::lint(&context.config, context.run_id, &arguments.files, online).await.map_err(|error| match error {
            Error::Unreachable { target, cause, next } => {
                let next = format!("{next}; `--offline` does without what only a database can tell");
                Error::Unreachable { target, cause, next }
            }
            error => error,
        })?;
    match context.output {
        Output::Github => write(report::lint_for_github(&linted.report).as_bytes())?,
        Output::Text | Output::Json => context.print(&linted, |linted| report::lint(&linted.report))?,
    }
    let Linted { report, problems } = linted;
    if !problems.is_empty() {
        // The JSON has said it already, and stays one document.
        return if context.output == Output::Json { Ok(ExitCode::Usage) } else { Err(Error::Folder(problems)) };
    }
    Ok(if report.errors > 0 { ExitCode::CheckFailed } else { ExitCode::Done })
}

fn list(context: &Context, settings: &Settings) -> Result<ExitCode> {
    let rules = settings.all();
    let by_name: BTreeMap<String, Level> = rules.iter().map(|(rule, level)| (rule.to_string(), *level)).collect();
    context.print(&by_name, |_| report::rules(&rules))?;
    Ok(ExitCode::Done)
}
