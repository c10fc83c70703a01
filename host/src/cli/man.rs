//! `lockgate man`

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use clap::Args;
use clap_mangen::Man;

use super::Result;
use crate::error::{Error, ExitCode};

const HELP: &str = "\
Examples:
  lockgate man | man -l -                         read the page
  lockgate man --out /usr/local/share/man/man1    write it, and one for each command: lockgate-up.1, lockgate-backup-list.1 and so on

Reads no configuration and asks no database.";

#[derive(Args)]
#[command(after_help = HELP)]
pub struct Arguments {
    /// Write the page of every command into this folder, which is made [default: print the page of `lockgate` itself]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let mut command = super::command().disable_help_subcommand(true);
    command.build();
    match &arguments.out {
        Some(folder) => {
            fs::create_dir_all(folder).map_err(|e| Error::system(format!("making `{}`", folder.display()), e))?;
            write_pages(&command, folder)?;
        }
        // A reader that went away is no failure.
        None => drop(io::stdout().write_all(&page(&command)?)),
    }
    Ok(ExitCode::Done)
}

/// Writes the page of a command, and those of all below it, each as `lockgate-backup-list.1`.
fn write_pages(command: &clap::Command, folder: &Path) -> Result<()> {
    let path = folder.join(Man::new(command.clone()).get_filename());
    fs::write(&path, page(command)?).map_err(|e| Error::system(format!("writing `{}`", path.display()), e))?;
    command.get_subcommands().filter(|below| !below.is_hide_set()).try_for_each(|below| write_pages(below, folder))
}

fn page(command: &clap::Command) -> Result<Vec<u8>> {
    let mut page = Vec::new();
    let man = Man::new(command.clone()).manual("Lockgate").source(concat!("lockgate ", env!("CARGO_PKG_VERSION")));
    man.render(&mut page).map_err(|e| Error::system("writing a manual page", e))?;
    Ok(page)
}
