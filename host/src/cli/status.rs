//! `lockgate status`

use clap::Args;

use super::{Context, Output, Result};
use crate::{
    error::{Error, ExitCode},
    plan::State,
    report, runner,
};

#[derive(Args)]
pub struct Arguments {
    /// Exit with 3 when something is pending, with 10 when a step needs `resolve`, with 5 when something has drifted
    #[arg(long)]
    check: bool,
}

pub async fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    let status = runner::status(&context.config, context.run_id).await?;
    context.print(&status, |status| report::status(status, jiff::Timestamp::now(), context.console.stdout))?;
    if !status.problems.is_empty() {
        // The JSON has said it already, and stays one document.
        return if context.output == Output::Json { Ok(ExitCode::Usage) } else { Err(Error::Folder(status.problems)) };
    }
    let any = |state: State| status.migrations.iter().any(|m| m.state == state);
    let blocked = status.migrations.iter().filter_map(|m| m.progress.as_ref()).any(|progress| progress.blocked);
    Ok(match arguments.check {
        true if any(State::Drifted) => ExitCode::Drift,
        true if blocked => ExitCode::NeedsResolve,
        true if any(State::Pending) || any(State::Started) => ExitCode::Pending,
        _ => ExitCode::Done,
    })
}
