//! `lockgate test`

use super::{Context, Result};
use crate::{error::ExitCode, report, runner};

pub async fn run(context: &Context) -> Result<ExitCode> {
    let health = runner::test(&context.config, context.run_id).await?;
    context.print(&health, report::health)?;
    Ok(ExitCode::Done)
}
