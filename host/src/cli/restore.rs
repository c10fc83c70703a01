//! `lockgate restore`

use std::path::PathBuf;

use clap::Args;

use super::{Context, Result};
use crate::{
    backup::{self, Among, RestoreOrder, Way},
    error::ExitCode,
    report, runner,
};

#[derive(Args)]
pub struct Arguments {
    /// The backup's name, as `backup list` shows it; `latest` for the newest of this server
    #[arg(value_name = "BACKUP", required_unless_present = "clean_up")]
    id: Option<String>,
    /// Restore into a new database of this name, and leave the present one alone
    #[arg(long, value_name = "NAME")]
    into: Option<String>,
    /// Fill so many tables at a time [default: the number of processors, at most 4, for large dumps]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    jobs: Option<u32>,
    /// Where the dump is decoded to for more than one job [default: TMPDIR, or /tmp]
    #[arg(long, value_name = "FOLDER")]
    temp_dir: Option<PathBuf>,
    /// Put everything into the usual tablespace of the server, whatever the backup says
    #[arg(long)]
    no_tablespaces: bool,
    /// Only remove what restores and drills that were cut off have left, and open the database if one of them left it closed
    #[arg(long, conflicts_with_all = ["id", "into", "jobs", "temp_dir"])]
    clean_up: bool,
}

pub async fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    let Some(id) = &arguments.id else {
        let done = backup::clean_up(&context.config, context.run_id).await?;
        context.print(&done, |done| report::cleaned_up(done))?;
        return Ok(ExitCode::Done);
    };
    let target = &context.config.target;
    // What leaves something out takes nobody's place.
    let among = if arguments.into.is_some() { Among::All } else { Among::Whole };
    let choice = backup::choose(&context.config, context.run_id, id, among).await?;
    if arguments.into.is_none() {
        let whose = choice.foreign.iter().map(|foreign| format!("Mind: {foreign}.\n")).collect::<String>();
        let id = &choice.backup.manifest.id;
        context.confirm(&format!("{whose}Swap {target} for the backup `{id}`? Its clients are disconnected.")).await?;
    }
    let order = RestoreOrder {
        into: arguments.into.clone(),
        way: Way {
            jobs: arguments.jobs,
            temp_dir: arguments.temp_dir.clone(),
            no_tablespaces: arguments.no_tablespaces,
        },
    };
    let restored = runner::restore(&context.config, context.run_id, &choice, &order).await?;
    context.print(&restored, report::restored)?;
    Ok(ExitCode::Done)
}
