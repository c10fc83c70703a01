//! `lockgate repair`

use clap::Args;

use super::{Context, Result, version};
use crate::{error::ExitCode, migration::Version, report, runner};

const HELP: &str = "\
An applied migration whose file has changed stops every run: nobody knows any more what the database has been given. Where the change is
known to be harmless (a comment, a formatter, a corrected name), this takes the file as it now is for what was applied: its digest, its
scripts and its name go into the history. It runs nothing, and the journal tells who did it and which digest there was before. Without a
version it does so for all that have changed. When the change does matter, put the file back instead, and make it a new migration.";

#[derive(Args)]
#[command(after_help = HELP)]
pub struct Arguments {
    /// The versions to repair [default: all that have drifted]
    #[arg(value_name = "VERSION", value_parser = version)]
    versions: Vec<Version>,
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
    let (config, versions) = (&context.config, arguments.versions.as_slice());
    let plan = runner::plan_repair(config, context.run_id, versions).await?;
    if arguments.dry_run || plan.migrations.is_empty() {
        context.print(&plan, |plan| report::repair(plan, true))?;
        return Ok(ExitCode::Done);
    }
    let names: Vec<&str> = plan.migrations.iter().map(|migration| migration.name.as_str()).collect();
    context
        .confirm(&format!("Take {} as they now are for what was applied on {}?", names.join(", "), config.target))
        .await?;
    let repaired = runner::repair(config, context.run_id, versions).await?;
    context.print(&repaired, |repaired| report::repair(repaired, false))?;
    Ok(ExitCode::Done)
}
