//! `lockgate down`

use clap::Args;

use super::{Context, Result, version};
use crate::{
    error::{ExitCode, blocks},
    migration::Version,
    plan::Revert,
    report, runner,
};

#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct Target {
    /// The newest applied version, which is reverted
    #[arg(value_name = "VERSION", value_parser = version)]
    only: Option<Version>,
    /// Revert everything above this version, the newest first; 0 reverts everything
    #[arg(long, value_name = "VERSION", value_parser = version)]
    to: Option<Version>,
}

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    target: Target,
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
    let revert = match (&arguments.target.only, &arguments.target.to) {
        (Some(version), _) => Revert::Only(version.clone()),
        (None, Some(version)) => Revert::Above(version.clone()),
        (None, None) => return Ok(ExitCode::Usage),
    };
    if arguments.dry_run {
        let plan = runner::plan_down(&context.config, context.run_id, &revert).await?;
        context.print(&plan, report::plan)?;
        return Ok(if blocks(&plan.findings) { ExitCode::CheckFailed } else { ExitCode::Done });
    }
    let what = match &revert {
        Revert::Only(version) => format!("Revert {version} on {}?", context.config.target),
        Revert::Above(version) => format!("Revert everything above {version} on {}?", context.config.target),
    };
    context.confirm(&what).await?;
    let outcome = runner::down(&context.config, context.run_id, &revert).await?;
    context.print(&outcome, report::outcome)?;
    Ok(ExitCode::Done)
}
