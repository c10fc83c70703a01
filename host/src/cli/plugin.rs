//! `lockgate plugin`

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Subcommand;

use super::Result;
use crate::{
    error::{Error, ExitCode},
    migration::Checksum,
    plugin::build,
    source::lockfile,
};

#[derive(Subcommand)]
pub enum Arguments {
    /// Build a component from a Rust crate
    Build {
        /// The crate's folder
        crate_dir: PathBuf,
        /// The file to write
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Write the digests of all components of the migrations folder into lockgate.lock
    Pin,
}

pub fn run(arguments: &Arguments, dir: &Path) -> Result<ExitCode> {
    match arguments {
        Arguments::Build { crate_dir, out } => {
            let bytes = build::build(crate_dir).map_err(|e| {
                Error::configuration(format!("`{}` was not built: {e}", crate_dir.display()), "mend it and build again")
            })?;
            fs::write(out, &bytes).map_err(|e| Error::system(format!("writing `{}`", out.display()), e))?;
            println!(
                "{}: {}, sha256 {}",
                out.display(),
                crate::report::bytes(bytes.len() as u64),
                Checksum::of_bytes(&bytes)
            );
        }
        Arguments::Pin => {
            for (name, digest) in lockfile::pin(dir)? {
                println!("{name} {digest}");
            }
        }
    }
    Ok(ExitCode::Done)
}
