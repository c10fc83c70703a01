//! `lockgate backup` and `lockgate backup list`

use clap::{Args, Subcommand};

use super::{Context, Result};
use crate::{backup::store, error::ExitCode, report, runner};

#[derive(Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Subcommand)]
enum Action {
    /// List the complete backups, the oldest first
    List,
}

pub async fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    match arguments.action {
        Some(Action::List) => context.print(&store::list(&context.config.backup_dir)?, |list| report::backups(list))?,
        None => context.print(&runner::backup(&context.config, context.run_id).await?, report::backup)?,
    }
    Ok(ExitCode::Done)
}
