//! `lockgate plugin`

mod build;
mod inspect;
mod pin;
mod test;
mod verify;
mod warm;

use clap::Subcommand;

pub use build::Built;
pub use verify::Fit;
pub use warm::Warmed;

use super::{Context, Result};
use crate::error::ExitCode;

#[derive(Subcommand)]
pub enum Arguments {
    /// Build a component from a folder in Rust, Python or JavaScript
    Build(build::Arguments),
    /// Print the interface that a component implements
    Wit,
    /// Write digest, SDK and wanted grants of all components into lockgate.lock, and tell what changed
    Pin,
    /// Show what a component is, what it asks for, and what this host makes of it
    Inspect(inspect::Arguments),
    /// Compile components into the code cache, as for a container image; needs no database
    Warm(warm::Arguments),
    /// Check all components against lockgate.lock, lockgate.toml and this host; needs no database
    Verify,
    /// Run a component from preflight to down on a throwaway server, and look whether it leaves anything behind
    Test(test::Arguments),
}

impl Arguments {
    /// Whether a database is of any use to it.
    pub fn asks_a_database(&self) -> bool {
        matches!(self, Self::Inspect(_))
    }
}

pub async fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    match arguments {
        Arguments::Build(arguments) => build::run(context, arguments).await,
        Arguments::Wit => {
            context.print(&crate::plugin::build::WIT.to_owned(), String::clone)?;
            Ok(ExitCode::Done)
        }
        Arguments::Pin => pin::run(context).await,
        Arguments::Inspect(arguments) => inspect::run(context, arguments).await,
        Arguments::Warm(arguments) => warm::run(context, arguments).await,
        Arguments::Verify => verify::run(context).await,
        Arguments::Test(arguments) => test::run(context, arguments).await,
    }
}
