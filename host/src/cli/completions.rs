//! `lockgate completions`

use clap::Args;
use clap_complete::Shell;

use super::{Result, command, console::write};
use crate::error::ExitCode;

const HELP: &str = "\
Examples:
  lockgate completions bash > /etc/bash_completion.d/lockgate
  lockgate completions zsh > ~/.zfunc/_lockgate
  lockgate completions fish > ~/.config/fish/completions/lockgate.fish

Reads no configuration and asks no database.";

#[derive(Args)]
#[command(after_help = HELP)]
pub struct Arguments {
    /// The shell
    #[arg(value_name = "SHELL", value_enum)]
    shell: Shell,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command(), "lockgate", &mut script);
    write(&script)?;
    Ok(ExitCode::Done)
}
