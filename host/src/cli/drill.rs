//! `lockgate drill`

use clap::Args;

use super::{Context, Result};
use crate::{error::ExitCode, report, runner};

#[derive(Args)]
pub struct Arguments {}

pub async fn run(context: &Context, _: &Arguments) -> Result<ExitCode> {
    let drill = runner::drill(&context.config, context.run_id).await?;
    context.print(&drill, report::drill)?;
    Ok(if drill.missed().is_empty() { ExitCode::Done } else { ExitCode::CheckFailed })
}
