//! `lockgate lint`

use std::{collections::BTreeMap, io::Write as _, path::PathBuf};

use clap::Args;

use super::{Context, Output, Result};
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
        Output::Github => {
            // A reader that went away is no failure.
            let _ = std::io::stdout().write_all(report::lint_for_github(&linted.report).as_bytes());
        }
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
