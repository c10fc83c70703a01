//! `lockgate plugin test`

use std::{io::IsTerminal, path::PathBuf, sync::Arc};

use clap::Args;

use crate::{
    cli::{Context, Result},
    error::{Error, ExitCode},
    testing::{Database, Failure, Plugin, cycle::Cycle},
    throwaway::{Pace, Server},
};

#[derive(Args)]
pub struct Arguments {
    /// A component, or the folder of its sources, which is built first
    plugin: PathBuf,
    /// Apply the project's migrations up to and including this version first
    #[arg(long, value_name = "VERSION")]
    after: Option<String>,
    /// Run this SQL file before the plugin, and after the migrations
    #[arg(long, value_name = "FILE")]
    setup: Option<PathBuf>,
    /// Do not compare the rows of this table after down, such as an audit log that triggers write; may be repeated
    #[arg(long, value_name = "TABLE")]
    ignore_content: Vec<String>,
    /// Keep the database, and print how to reach it, until the command is interrupted
    #[arg(long)]
    keep: bool,
}

/// Runs the life of a migration on a server that is thrown away: whatever the project's database is, it is not touched.
pub async fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    let plugin = load(context, arguments).await.map_err(host_error)?;
    let setup = arguments
        .setup
        .as_ref()
        .map(std::fs::read_to_string)
        .transpose()
        .map_err(|e| Error::configuration(format!("the file of `--setup` cannot be read: {e}"), "mend the path"))?;
    let server = Arc::new(Server::embedded(context.config.pg_bin.as_deref(), Pace::Hasty).await?);
    let database = Database::on(server, "plugin_test").await.map_err(host_error)?;
    if let Some(version) = &arguments.after {
        database.migrate(&context.config, Some(version)).await.map_err(host_error)?;
    }
    if let Some(sql) = setup {
        database.run(&sql).await.map_err(host_error)?;
    }
    let cycle = Cycle::run_ignoring(&plugin, &database, &arguments.ignore_content).await;
    context.print(&cycle, Cycle::text)?;
    if arguments.keep {
        let hint = if std::io::stderr().is_terminal() { " until you press Ctrl-C" } else { "" };
        eprintln!("the database stays{hint}: {}", database.url());
        context.config.stop.requested().await;
    }
    match cycle.failure() {
        None => Ok(ExitCode::Done),
        Some(failure) => {
            eprintln!("{failure}");
            if let Failure::LeftBehind(difference) = failure
                && !difference.contents().is_empty()
            {
                let options: Vec<_> = difference.contents().iter().map(|t| format!("--ignore-content {t}")).collect();
                let options = options.join(" ");
                eprintln!(
                    "next: let down bring the rows back; or, where they are meant to stay, as in an audit log: `{options}`"
                );
            }
            Ok(failure.exit_code())
        }
    }
}

async fn load(context: &Context, arguments: &Arguments) -> Result<Plugin, Failure> {
    let path = &arguments.plugin;
    let plugin = if path.is_dir() { Plugin::build(path).await? } else { Plugin::load(path).await? };
    // What the operator has granted to this very component holds in its test as well.
    let rights = context.config.rights_of(plugin.name(), plugin.digest());
    Ok(plugin.rights(rights.map_err(|problem| Error::Folder(vec![problem]))?))
}

fn host_error(failure: Failure) -> Error {
    match failure {
        Failure::Host(error) => *error,
        left_behind @ Failure::LeftBehind(_) => Error::system("testing the plugin", left_behind),
    }
}
