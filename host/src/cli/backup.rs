//! `lockgate backup`, and what can be done with backups.

use clap::{Args, Subcommand};

use super::{Context, Result};
use crate::{
    backup::{Catalog, Extent, Scope},
    error::ExitCode,
    report, runner,
};

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
    /// Leave out all rows
    #[arg(long)]
    schema_only: bool,
    /// Leave out the rows of tables of this name, such as `audit_logs` or `logs.*`; may be given several times
    #[arg(long, value_name = "PATTERN")]
    exclude_data: Vec<String>,
    /// Hash the rows of each table, so that a restored database can be compared row by row
    #[arg(long)]
    hashes: bool,
    /// Dump so many tables at a time, into a folder of files [default: 1]
    #[arg(short, long, value_name = "N")]
    jobs: Option<u32>,
}

#[derive(Subcommand)]
enum Action {
    /// List the complete backups, the oldest first
    List,
}

pub async fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    match &arguments.action {
        Some(Action::List) => {
            let backups = Catalog::open(&context.config.backup)?.list().await?;
            context.print(&backups, |list| report::backups(list, jiff::Timestamp::now()))?;
        }
        None => {
            let extent = extent(context, arguments);
            context.print(&runner::backup(&context.config, context.run_id, extent).await?, report::backup)?;
        }
    }
    Ok(ExitCode::Done)
}

/// What the options say, over what the configuration says.
fn extent(context: &Context, arguments: &Arguments) -> Extent {
    let Extent { scope, hashes, jobs } = context.config.backup.extent();
    let excluded_data = [scope.excluded_data, arguments.exclude_data.clone()].concat();
    Extent {
        scope: Scope { schema_only: arguments.schema_only, excluded_data },
        hashes: hashes || arguments.hashes,
        jobs: arguments.jobs.unwrap_or(jobs),
    }
}
