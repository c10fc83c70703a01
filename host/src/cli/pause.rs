//! `lockgate pause`

use clap::Args;

use super::{Context, Result};
use crate::{error::ExitCode, report, runner};

const HELP: &str = "\
A run that works on a migration of several transactions finishes the batch or the step that it is at, and waits before the next one, with
the lock, until `lockgate pause --off`. A run that begins while the migration is paused is refused. Both are noted in the journal, with who
did it. A run that waits can be stopped (Ctrl-C, SIGTERM); the migration stays paused then.";

#[derive(Args)]
#[command(after_help = HELP)]
pub struct Arguments {
    /// Let the migration go on
    #[arg(long)]
    off: bool,
}

pub async fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    let pause = runner::pause(&context.config, context.run_id, !arguments.off).await?;
    context.print(&pause, report::pause)?;
    Ok(ExitCode::Done)
}
