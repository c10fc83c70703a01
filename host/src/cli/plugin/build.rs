//! `lockgate plugin build`

use std::{fs, path::PathBuf};

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    cli::Context,
    error::{Error, ExitCode, Result},
    migration::Checksum,
    plugin::build::{self, Wasi},
    report, scaffold,
};

#[derive(Args)]
pub struct Arguments {
    /// The plugin's folder: a Rust crate, a Python or a JavaScript project
    folder: PathBuf,
    /// The file to write [default: the one of that name in the migrations folder, else the next version there]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Let a Python or JavaScript component import WASI: a clock and random numbers that are granted come that way
    #[arg(long)]
    wasi: bool,
}

/// A component that was built.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Built {
    /// The file that was written.
    file: PathBuf,
    /// Its size.
    bytes: u64,
    /// Its SHA-256, as `lockgate plugin pin` would write it into lockgate.lock.
    digest: Checksum,
}

pub async fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    let folder = &arguments.folder;
    let wasi = if arguments.wasi { Wasi::Imported } else { Wasi::Stubbed };
    // Before the minutes that the build may take.
    let out = match &arguments.out {
        Some(file) => file.clone(),
        None => scaffold::component_file(&context.config.dir, folder)?,
    };
    let bytes = build::build(folder, wasi)
        .await
        .map_err(|e| Error::configuration(format!("`{}` was not built: {e}", folder.display()), e.next()))?;
    fs::write(&out, &bytes).map_err(|e| Error::system(format!("writing `{}`", out.display()), e))?;
    let built = Built { file: out, bytes: bytes.len() as u64, digest: Checksum::of_bytes(&bytes) };
    context.print(&built, |Built { file, bytes, digest }| {
        format!("{}: {}, sha256 {digest}\n", file.display(), report::bytes(*bytes))
    })?;
    Ok(ExitCode::Done)
}
