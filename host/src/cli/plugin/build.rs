//! `lockgate plugin build`

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args;

use crate::{
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

pub async fn run(arguments: &Arguments, dir: &Path) -> Result<ExitCode> {
    let folder = &arguments.folder;
    let wasi = if arguments.wasi { Wasi::Imported } else { Wasi::Stubbed };
    // Before the minutes that the build may take.
    let out = match &arguments.out {
        Some(file) => file.clone(),
        None => scaffold::component_file(dir, folder)?,
    };
    let bytes = build::build(folder, wasi)
        .await
        .map_err(|e| Error::configuration(format!("`{}` was not built: {e}", folder.display()), e.next()))?;
    fs::write(&out, &bytes).map_err(|e| Error::system(format!("writing `{}`", out.display()), e))?;
    println!("{}: {}, sha256 {}", out.display(), report::bytes(bytes.len() as u64), Checksum::of_bytes(&bytes));
    Ok(ExitCode::Done)
}
