//! `lockgate psql`

use std::{
    ffi::OsString,
    path::Path,
    process::{Command, ExitStatus},
};

use clap::Args;

use super::{Context, Result};
use crate::{
    backup::libpq,
    config::Config,
    error::{Error, ExitCode},
    programs::bin_folders,
};

#[derive(Args)]
pub struct Arguments {
    /// Passed on to psql
    #[arg(value_name = "ARGS", trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

pub async fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    let status = psql(&context.config, &arguments.arguments).await?;
    Ok(if status.success() { ExitCode::Done } else { ExitCode::MigrationFailed })
}

/// Runs a SQL file in one transaction.
pub async fn run_file(config: &Config, file: &Path) -> Result<()> {
    let arguments = ["-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null", "-f"].map(OsString::from);
    let status = psql(config, &[&arguments[..], &[file.into()]].concat()).await?;
    if status.success() { Ok(()) } else { Err(Error::system(format!("running `{}`", file.display()), status)) }
}

async fn psql(config: &Config, arguments: &[OsString]) -> Result<ExitStatus> {
    let program =
        bin_folders(config.pg_bin.as_deref()).into_iter().map(|folder| folder.join("psql")).find(|p| p.is_file());
    let program = program.ok_or_else(|| {
        Error::configuration(
            "`psql` was not found",
            "install PostgreSQL's client programs, or name their folder in LOCKGATE_PG_BIN",
        )
    })?;
    let mut command = Command::new(program);
    let _passfile = libpq(&mut command, &config.target, "lockgate psql")?;
    command.args(arguments);
    let mut child = tokio::process::Command::from(command).spawn().map_err(|e| Error::system("running psql", e))?;
    tokio::select! {
        status = child.wait() => return status.map_err(|e| Error::system("running psql", e)),
        signal = config.stop.requested() => {
            // Ctrl-C at a terminal has reached psql, too, which takes it for a query to cancel.
            if signal == "SIGTERM" {
                let _ = child.start_kill();
            }
        }
    }
    child.wait().await.map_err(|e| Error::system("running psql", e))
}
