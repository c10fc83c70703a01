//! `lockgate plugin verify`

use futures_util::future::join_all;
use serde::Serialize;

use crate::{
    cli::Context,
    error::{Error, ExitCode, Result},
    migration::{Checksum, Kind},
    source,
};

/// A component that would run.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct Fit {
    /// The file's name.
    file: String,
    /// Its SHA-256, which lockgate.lock has as well.
    digest: Checksum,
}

pub async fn run(context: &Context) -> Result<ExitCode> {
    let config = &context.config;
    let mut folder = source::of(config)?;
    let components: Vec<_> = folder.migrations.iter().filter(|m| m.kind == Kind::Component).collect();
    let engine = if components.is_empty() { None } else { Some(config.engine()?) };
    let programs = join_all(components.iter().map(|m| m.program(engine.as_ref(), config))).await;
    folder.problems.extend(programs.into_iter().filter_map(Result::err).flatten());
    if !folder.problems.is_empty() {
        return Err(Error::Folder(folder.problems));
    }
    let fit: Vec<Fit> =
        components.iter().map(|m| Fit { file: m.filename.clone(), digest: m.checksum.clone() }).collect();
    context.print(&fit, |list| text(list))?;
    Ok(ExitCode::Done)
}

fn text(list: &[Fit]) -> String {
    if list.is_empty() {
        return "no component is there to verify\n".to_owned();
    }
    list.iter().map(|Fit { file, digest }| format!("{file}: pinned, and fits this host ({digest})\n")).collect()
}
