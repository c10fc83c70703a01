//! `lockgate backup`, and what can be done with backups.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::{Context, Result};
use crate::{
    backup::{
        Catalog, Extent, Level, Scope, look_up,
        origin::{Origin, Present},
        prove, retention,
    },
    error::{Error, ExitCode},
    report, runner,
};

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
    /// Leave out all rows
    #[arg(long, conflicts_with_all = ["exclude_data", "hashes"])]
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
    /// Prove that a backup is what it should be, by its bytes or by a restore
    Verify {
        /// The backup's name, as `backup list` shows it; `latest` for the newest of this server
        #[arg(value_name = "BACKUP")]
        id: String,
        /// How far: 0 by its digests, 1 that it decodes to what was dumped, 2 by restoring it into a scratch database, 3 by comparing the
        /// rows there
        #[arg(long, default_value = "1", value_parser = clap::value_parser!(u8).range(0..=3))]
        level: u8,
    },
    /// Remove the backups of this database that no rule of [backup.retention] keeps, and what unfinished ones left
    Prune {
        /// Say what would be removed, and remove nothing
        #[arg(long)]
        dry_run: bool,
        /// How old a file without a manifest must be, where the store cannot tell whether it is still being written
        #[arg(long, value_name = "TIME", default_value = "1h", value_parser = super::duration)]
        leftovers_after: Duration,
        /// Of the server with this system identifier, as `backup list --output json` tells it, in the stead of the one that is connected to
        #[arg(long, value_name = "ID", allow_negative_numbers = true)]
        of_server: Option<i64>,
    },
}

impl Arguments {
    /// Whether it is to do more than look.
    pub(super) fn changes_something(&self) -> bool {
        matches!(&self.action, None | Some(Action::Prune { dry_run: false, .. }))
    }

    /// Makes a clean-up one that removes nothing; false of what has no dry run.
    pub fn dry(&mut self) -> bool {
        match &mut self.action {
            Some(Action::Prune { dry_run, .. }) => *dry_run = true,
            Some(Action::List | Action::Verify { .. }) => {}
            None => return false,
        }
        true
    }
}

pub async fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    let config = &context.config;
    match &arguments.action {
        Some(Action::List) => {
            let listing = Catalog::open(&config.backup)?.list().await?;
            context.print(&listing, |list| report::backups(list, jiff::Timestamp::now(), context.console.stdout))?;
        }
        Some(Action::Verify { id, level }) => {
            let backup = look_up(config, context.run_id, id).await?;
            let level = Level::of(*level).unwrap_or(Level::Decoded);
            context.print(&prove(config, &backup, level, context.run_id).await?, report::proof)?;
        }
        Some(Action::Prune { dry_run, leftovers_after, of_server }) => {
            let catalog = Catalog::open(&config.backup)?;
            let origin = whose(context, *of_server).await?;
            let Origin { database, system_identifier } = &origin;
            if !dry_run {
                context.confirm(&format!(
                    "Remove backups of `{database}` of the server with system identifier {system_identifier} from {}?",
                    config.backup.location
                )).await?;
            }
            let retention = &config.backup.retention;
            let pruned = retention::prune(&catalog, &origin, retention, *leftovers_after, *dry_run).await?;
            context.print(&pruned, |pruned| report::pruned(pruned, *dry_run))?;
        }
        None => {
            let extent = extent(context, arguments);
            context.print(&runner::backup(config, context.run_id, extent).await?, report::backup)?;
        }
    }
    Ok(ExitCode::Done)
}

/// Whose backups are cleaned up: names of databases repeat from server to server.
async fn whose(context: &Context, of_server: Option<i64>) -> Result<Origin> {
    let config = &context.config;
    if let Some(system_identifier) = of_server {
        return Ok(Origin { database: config.target.database.clone(), system_identifier });
    }
    match Present::of(config, context.run_id).await {
        Ok(present) => Ok(present.origin),
        Err(Error::Unreachable { target, cause, next }) => {
            let next = format!(
                "{next}; or say whose backups are meant: `--of-server ID`, which `lockgate backup list --output json` tells"
            );
            Err(Error::Unreachable { target, cause, next })
        }
        Err(error) => Err(error),
    }
}

/// What the options say, over what the configuration says.
fn extent(context: &Context, arguments: &Arguments) -> Extent {
    let Extent { scope, hashes, jobs } = context.config.backup.extent();
    let excluded_data = [scope.excluded_data.as_slice(), &arguments.exclude_data].concat();
    Extent {
        scope: Scope { schema_only: arguments.schema_only, excluded_data, ..scope },
        hashes: hashes || arguments.hashes,
        jobs: arguments.jobs.unwrap_or(jobs),
    }
}
