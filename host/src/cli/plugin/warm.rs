//! `lockgate plugin warm`

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use clap::Args;
use futures_util::future::join_all;
use serde::Serialize;

use crate::{
    cli::Context,
    error::{Error, ExitCode, Problem, Result},
    files,
    migration::Checksum,
    plugin::{Cache, Code, Compiling, Engine},
    source,
};

#[derive(Args)]
pub struct Arguments {
    /// The components [default: all of the migrations folder]
    files: Vec<PathBuf>,
}

/// A component that lies in the cache now.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct Warmed {
    /// The file.
    file: String,
    /// Whether it was there already.
    cached_already: bool,
    /// How long it took to compile it, where that was needed.
    compiled_in_ms: Option<u128>,
}

pub async fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    let config = &context.config;
    let unusable =
        |why: String| Error::configuration(format!("there is no code cache to warm: {why}"), "see `--cache-dir`");
    let folder =
        config.cache_dir.as_deref().ok_or_else(|| unusable("none is wanted, or there is no home for it".into()))?;
    // A run does without a cache that is of no use; here it is all that is asked for.
    Cache::open(folder).map_err(|why| unusable(format!("`{}`: {why}", folder.display())))?;
    let files = if arguments.files.is_empty() {
        source::components(&config.dir)?.into_iter().map(|(_, path)| path).collect()
    } else {
        arguments.files.clone()
    };
    let read: Vec<_> = files.iter().map(|file| (file, component(context, file))).collect();
    let named = read.iter().filter_map(|(file, read)| Some((read.as_ref().ok()?.1.clone(), stem(file))));
    let compiling = Compiling::of(named.collect());
    let engine = config.engine()?.telling(&compiling);
    let warmed = join_all(read.into_iter().map(|(file, read)| warm(context, &engine, file, read)));
    let results = compiling.drawn(config.draw, warmed).await;
    let (mut warmed, mut problems) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(one) => warmed.push(one),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() {
        context.print(&warmed, |list| text(list))?;
        return Ok(ExitCode::Done);
    }
    if arguments.files.is_empty() {
        return Err(Error::Folder(problems));
    }
    let causes: Vec<String> = problems.iter().map(|Problem { at, what, .. }| format!("`{at}`: {what}")).collect();
    Err(Error::configuration(format!("not compiled: {}", causes.join("; ")), problems.remove(0).next))
}

fn stem(file: &Path) -> String {
    file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

/// A component and its digest.
type Component = (Code, Checksum);

fn component(context: &Context, file: &Path) -> Result<Component, Problem> {
    let limits = context.config.limits_of(&stem(file));
    let hashed = files::regular(file, limits.component_max_bytes, "component_max_bytes")
        .and_then(|open| Code::of(file, open).map_err(|e| format!("it cannot be read: {e}")));
    hashed.map_err(|why| Problem::new(file.display().to_string(), why, "name a component"))
}

async fn warm(
    context: &Context,
    engine: &Engine,
    file: &Path,
    read: Result<Component, Problem>,
) -> Result<Warmed, Problem> {
    let at = file.display().to_string();
    let (code, digest) = read?;
    let limits = context.config.limits_of(&stem(file));
    match engine.warm(code, &digest, limits).await {
        Ok(compiled) if compiled.kept => Ok(Warmed {
            file: at,
            cached_already: compiled.from_cache,
            compiled_in_ms: (!compiled.from_cache).then_some(compiled.took.as_millis()),
        }),
        Ok(_) => Err(Problem::new(at, "it was compiled, but the cache could not be written", "see the log")),
        Err(what) => Err(Problem::new(at, what, "build it again with `lockgate plugin build`")),
    }
}

fn text(list: &[Warmed]) -> String {
    let mut text = String::new();
    for Warmed { file, compiled_in_ms, .. } in list {
        let _ = match compiled_in_ms {
            Some(ms) => writeln!(text, "{file}: compiled in {ms} ms"),
            None => writeln!(text, "{file}: cached already"),
        };
    }
    if list.is_empty() { "no component is there to compile\n".to_owned() } else { text }
}
