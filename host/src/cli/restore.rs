//! `lockgate restore`

use clap::Args;

use super::{Context, Result};
use crate::{error::ExitCode, report, runner};

#[derive(Args)]
pub struct Arguments {
    /// The backup's name, as `backup list` shows it; `latest` for the newest
    #[arg(value_name = "BACKUP")]
    id: String,
}

pub async fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    let target = &context.config.target;
    context.confirm(&format!("Swap {target} for the backup `{}`? Its clients are disconnected.", arguments.id))?;
    let restored = runner::restore(&context.config, context.run_id, &arguments.id).await?;
    context.print(&restored, report::restored)?;
    Ok(ExitCode::Done)
}
