//! `lockgate resolve`

use clap::Args;

use super::{Context, Result};
use crate::{
    error::ExitCode,
    report,
    runner::{self, Verdict},
};

const HELP: &str = "\
Some statements leave no trace of whether they took effect. When a run is cut off in one, its migration is blocked: nothing is applied or
reverted until somebody has looked, and says here what came of it. The answer is noted in the journal, with who gave it. It runs nothing:
the next `up` or `down` goes on with the step after it (--applied) or runs it once more (--not-applied). It is refused when nothing is
blocked.";

#[derive(Args)]
#[command(after_help = HELP)]
pub struct Arguments {
    /// Number of the blocked step, as `status` shows it
    #[arg(value_name = "STEP")]
    step: usize,
    #[command(flatten)]
    verdict: Word,
    /// Show what would be done, and change nothing
    #[arg(long)]
    pub(super) dry_run: bool,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct Word {
    /// It has taken effect: it is not run again
    #[arg(long)]
    applied: bool,
    /// It has not taken effect: it is run again
    #[arg(long)]
    not_applied: bool,
}

impl Arguments {
    /// Whether it is to do more than look.
    pub(super) fn changes_something(&self) -> bool {
        !self.dry_run
    }
}

pub async fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    let verdict = if arguments.verdict.applied { Verdict::Applied } else { Verdict::NotApplied };
    let (config, step) = (&context.config, arguments.step);
    let plan = runner::plan_resolve(config, context.run_id, step, verdict).await?;
    if arguments.dry_run {
        context.print(&plan, |plan| report::resolution(plan, true))?;
        return Ok(ExitCode::Done);
    }
    let (step_of, migration, next) = (&plan.step, &plan.migration, &plan.next);
    context
        .confirm(&format!("Take step {step_of} of {migration} as {verdict} on {}? Then {next}.", config.target))
        .await?;
    let resolution = runner::resolve(config, context.run_id, step, verdict).await?;
    context.print(&resolution, |resolution| report::resolution(resolution, false))?;
    Ok(ExitCode::Done)
}
