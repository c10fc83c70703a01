//! `lockgate plugin`

use std::path::Path;

use clap::Subcommand;

use super::Result;
use crate::{error::ExitCode, plugin::build, source::lockfile};

#[derive(Subcommand)]
pub enum Arguments {
    /// Build a component from a folder in Rust, Python or JavaScript
    Build(super::build::Arguments),
    /// Print the interface that a component implements
    Wit,
    /// Write the digests of all components of the migrations folder into lockgate.lock
    Pin,
}

pub fn run(arguments: &Arguments, dir: &Path) -> Result<ExitCode> {
    match arguments {
        Arguments::Build(arguments) => return super::build::run(arguments, dir),
        Arguments::Wit => print!("{}", build::WIT),
        Arguments::Pin => {
            for (name, digest) in lockfile::pin(dir)? {
                println!("{name} {digest}");
            }
        }
    }
    Ok(ExitCode::Done)
}
