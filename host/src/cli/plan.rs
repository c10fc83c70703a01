//! `lockgate plan`

use clap::Args;

use super::{Context, Result, rehearsed, version};
use crate::{
    error::{ExitCode, blocks},
    migration::Version,
    report, runner,
};

#[derive(Args)]
pub struct Arguments {
    /// Up to and including this version
    #[arg(long, value_name = "VERSION", value_parser = version)]
    to: Option<Version>,
    #[command(flatten)]
    pub(super) rehearsed: rehearsed::RequireRehearsal,
}

pub async fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    show(context, arguments.to.as_ref()).await
}

/// Prints the plan of `up`. What would stop the run stops this with the same exit code.
pub async fn show(context: &Context, to: Option<&Version>) -> Result<ExitCode> {
    let plan = runner::plan_up(&context.config, context.run_id, to).await?;
    context.print(&plan, report::plan)?;
    let lint_says_no = plan.lint.as_ref().is_some_and(|lint| lint.errors > 0);
    Ok(if blocks(&plan.findings) || lint_says_no { ExitCode::CheckFailed } else { ExitCode::Done })
}
