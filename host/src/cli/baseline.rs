//! `lockgate baseline`

use clap::Args;

use super::{Context, Result, version};
use crate::{error::ExitCode, migration::Version, report, runner};

const HELP: &str = "\
For a database that was made without a tool, or by one that `lockgate adopt` does not know: its tables are as the migrations up to VERSION would make
them. Nothing looks whether that is so. The journal keeps these apart from those that were run. It is refused when the history has begun.";

#[derive(Args)]
#[command(after_help = HELP)]
pub struct Arguments {
    /// The newest migration whose work is there already
    #[arg(value_name = "VERSION", value_parser = version)]
    up_to: Version,
    /// Show what would be done, and change nothing
    #[arg(long)]
    pub(super) dry_run: bool,
}

impl Arguments {
    /// Whether it is to do more than look.
    pub(super) fn changes_something(&self) -> bool {
        !self.dry_run
    }
}

pub async fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    let (config, version) = (&context.config, &arguments.up_to);
    let plan = runner::plan_baseline(config, context.run_id, version).await?;
    if arguments.dry_run || plan.migrations.is_empty() {
        context.print(&plan, |plan| report::adoption(plan, arguments.dry_run))?;
        return Ok(ExitCode::Done);
    }
    context
        .confirm(&format!(
            "Take {} migrations as applied on {}, without running them?",
            plan.migrations.len(),
            config.target
        ))
        .await?;
    let adoption = runner::baseline(config, context.run_id, version).await?;
    context.print(&adoption, |adoption| report::adoption(adoption, false))?;
    Ok(ExitCode::Done)
}
