//! The commands, and what runs each.

use clap::Subcommand;

use super::{
    Context, adopt, backup, baseline, completions, config, doctor, down, drill, history, lint, man, new, pause, plan,
    plugin, psql, rehearse, repair, resolve, restore, roles, schema, status, test, up,
};
use crate::error::{Error, ExitCode, NOTHING_CHANGED, Result};

#[derive(Subcommand)]
pub enum Command {
    /// Connect and say what is there; the health check
    Test,
    /// Show which migrations are applied and which are pending
    Status(status::Arguments),
    /// Apply what is pending
    Up(up::Arguments),
    /// Revert an applied migration
    Down(down::Arguments),
    /// Show the journal of all that was tried, or verify that nobody has changed it
    // `--version` is its own option.
    #[command(disable_version_flag = true)]
    History(history::Arguments),
    /// Show what `up` would do, and change nothing
    Plan(plan::Arguments),
    /// Try what is pending on a throwaway copy: up, down and up again; what it costs, and who will wait
    Rehearse(rehearse::Arguments),
    /// Look for what may go wrong with migrations, before they run
    Lint(lint::Arguments),
    /// Keep the migration under way from going on, or let it
    Pause(pause::Arguments),
    /// Say what came of a step that a run was cut off in, where nothing else tells
    Resolve(resolve::Arguments),
    /// Take a file that has changed for what was applied
    Repair(repair::Arguments),
    /// Take over the history that another tool has kept so far
    Adopt(adopt::Arguments),
    /// Take migrations as applied that were never run by Lockgate
    Baseline(baseline::Arguments),
    /// Take a backup, or list those that there are
    Backup(backup::Arguments),
    /// Bring a backup's state back; the present database is kept under another name
    Restore(restore::Arguments),
    /// Restore the newest backup into a scratch database, and hold the time and the loss against the targets
    Drill(drill::Arguments),
    /// Print the SQL that makes roles with few privileges; a superuser runs it
    Roles(roles::Arguments),
    /// Look for what is wrong with the database and its server, and what would help; changes nothing
    Doctor(doctor::Arguments),
    /// Run psql on the configured database
    Psql(psql::Arguments),
    /// Begin a migration: SQL files, or the project of a component
    New(new::Arguments),
    /// Build, inspect, pin and check migration components
    #[command(subcommand)]
    Plugin(plugin::Arguments),
    /// Show the settings and where they come from, or the schema of lockgate.toml
    #[command(subcommand)]
    Config(config::Arguments),
    /// Print the JSON schema of what a command prints with `--output json`
    Schema(schema::Arguments),
    /// Print what a shell needs to complete commands and options
    Completions(completions::Arguments),
    /// Print the manual page, or write the pages of all commands into a folder
    Man(man::Arguments),
}

impl Command {
    /// Whether a server is needed for it.
    pub fn asks_a_database(&self) -> bool {
        match self {
            Self::Plugin(arguments) => arguments.asks_a_database(),
            Self::Lint(arguments) => arguments.asks_a_database(),
            Self::Roles(_) | Self::Schema(_) | Self::Config(_) => false,
            _ => true,
        }
    }
}

/// Makes a command one that changes nothing; false where it does change something and has no dry run.
pub fn dry(command: &mut Command) -> bool {
    match command {
        Command::Up(up) if up.rollback_after => return false,
        Command::Up(up) => up.dry_run = true,
        Command::Down(down) => down.dry_run = true,
        Command::Adopt(adopt) => adopt.dry_run = true,
        Command::Baseline(baseline) => baseline.dry_run = true,
        Command::Repair(repair) => repair.dry_run = true,
        Command::Resolve(resolve) => resolve.dry_run = true,
        Command::Backup(backup) => return backup.dry(),
        Command::Test
        | Command::Status(_)
        | Command::History(_)
        | Command::Plan(_)
        | Command::Lint(_)
        | Command::Doctor(_) => {}
        _ => return false,
    }
    true
}

/// Runs what is about the command itself. No configuration is read for it: it works where that is wrong, and in an image without one.
pub fn without_settings(command: &Command) -> Option<Result<ExitCode>> {
    match command {
        Command::Completions(arguments) => Some(completions::run(arguments)),
        Command::Man(arguments) => Some(man::run(arguments)),
        Command::Config(config::Arguments::Schema) => Some(config::print_schema()),
        _ => None,
    }
}

pub async fn dispatch(context: &Context, command: Command) -> Result<ExitCode> {
    match command {
        // These stop by themselves, where they can do so cleanly.
        Command::Up(arguments) => up::run(context, &arguments).await,
        Command::Down(arguments) => down::run(context, &arguments).await,
        Command::Adopt(arguments) => adopt::run(context, &arguments).await,
        Command::Baseline(arguments) => baseline::run(context, &arguments).await,
        Command::Backup(arguments) => backup::run(context, &arguments).await,
        Command::Restore(arguments) => restore::run(context, &arguments).await,
        Command::Drill(arguments) => drill::run(context, &arguments).await,
        Command::Resolve(arguments) => resolve::run(context, &arguments).await,
        Command::Repair(arguments) => repair::run(context, &arguments).await,
        Command::Pause(arguments) => pause::run(context, &arguments).await,
        Command::Psql(arguments) => psql::run(context, &arguments).await,
        Command::New(arguments) => new::run(context, &arguments),
        Command::Roles(arguments) => roles::run(context, &arguments),
        Command::Schema(arguments) => schema::run(&arguments),
        Command::Config(arguments) => config::run(context, &arguments),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Man(arguments) => man::run(&arguments),
        // These change nothing and stop anywhere.
        Command::Plugin(arguments) => interruptible(context, plugin::run(context, &arguments)).await,
        Command::Test => interruptible(context, test::run(context)).await,
        Command::Doctor(arguments) => interruptible(context, doctor::run(context, &arguments)).await,
        Command::Status(arguments) => interruptible(context, status::run(context, &arguments)).await,
        Command::History(arguments) => interruptible(context, history::run(context, &arguments)).await,
        Command::Plan(arguments) => interruptible(context, plan::run(context, &arguments)).await,
        // It drops its copies before it ends.
        Command::Rehearse(arguments) => rehearse::run(context, &arguments).await,
        Command::Lint(arguments) => interruptible(context, lint::run(context, &arguments)).await,
    }
}

async fn interruptible(context: &Context, work: impl Future<Output = Result<ExitCode>>) -> Result<ExitCode> {
    match context.config.stop.race(work).await {
        Ok(result) => result,
        Err(signal) => Err(Error::Interrupted { signal, state: NOTHING_CHANGED.into() }),
    }
}
