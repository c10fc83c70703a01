//! What others see of a run while it goes on and after it: the log on stderr and in files, each line with the run's id.

mod bound;
mod console;
mod files;
mod line;
mod lines;
mod metrics;
pub mod spans;

use std::{env, io, path::PathBuf};

use serde::Deserialize;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _};
use uuid::Uuid;

use self::{
    bound::Bound,
    console::Console,
    files::Files,
    lines::{Lines, Sink},
};
pub use self::{
    files::{LogLevel, LogSection},
    line::Format,
    metrics::Meter,
};
use crate::error::{Error, ExitCode, Result};

/// The target of the event that a command ends with.
pub(crate) const ENDED: &str = "lockgate::ended";

/// `[telemetry]` in `lockgate.toml`: what is told to others than people.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Section {
    /// The text file of metrics, for node_exporter's textfile collector.
    pub prometheus_file: Option<PathBuf>,
}

/// What `lockgate.toml` says about it, whatever else is in there.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Sections {
    /// `[log]`
    pub log: LogSection,
}

/// What is asked for.
#[derive(Debug, Default)]
pub struct Wish {
    /// The correlation id.
    pub run_id: Uuid,
    /// How much the console shows: what `-v` adds and `-q` takes away.
    pub verbosity: i16,
    /// How it is written there.
    pub format: Format,
    /// Whether colours are wanted there.
    pub color: bool,
    /// The files, where the command writes any.
    pub files: Option<LogSection>,
}

/// Starts telling. Warnings and errors are always shown; `-v` adds what the run does, `-vv` its details. `LOCKGATE_LOG` sets a filter of
/// its own.
///
/// # Errors
/// When there can be no files, and no run is to be without.
pub fn begin(wish: &Wish) -> Result<()> {
    let (shown, wrong) = shown(wish.verbosity);
    let mut sinks: Vec<Box<dyn Sink>> = vec![Box::new(Console::new(shown.clone(), wish.format, wish.color))];
    let opened = wish.files.as_ref().map(|section| (section, Files::open(section, shown, jiff::Timestamp::now())));
    let mut missing: Option<(&LogSection, io::Error)> = None;
    match opened {
        Some((_, Ok(files))) => sinks.push(Box::new(files)),
        Some((section, Err(error))) => missing = Some((section, error)),
        None => {}
    }
    let filter = Lines::wanted(&sinks);
    let lines = Lines::of(wish.run_id, sinks).with_filter(filter);
    // Whoever has set up a log of its own keeps it.
    let _ = tracing_subscriber::registry().with(lines).try_init();
    if let Some(cause) = wrong {
        tracing::warn!(
            cause,
            "LOCKGATE_LOG is no filter, and is ignored; one is `debug`, or `lockgate::postgres=trace`"
        );
    }
    let Some((section, error)) = missing else { return Ok(()) };
    let folder = section.dir.display();
    if section.required {
        return Err(Error::configuration(
            format!("the log cannot be written to `{folder}`, and [log] in lockgate.toml says `required`: {error}"),
            "make the folder writable, or name another by `--log-dir`",
        ));
    }
    tracing::warn!(%folder, cause = %error, "the log cannot be written to files; the run goes on (`--log-dir` names another folder)");
    Ok(())
}

/// What the console shows, and what is wrong with what was asked for.
fn shown(verbosity: i16) -> (Bound, Option<String>) {
    let level = match verbosity {
        ..0 => LevelFilter::ERROR,
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        _ => LevelFilter::DEBUG,
    };
    match env::var("LOCKGATE_LOG").ok().filter(|text| !text.is_empty()).map(|text| Bound::parse(&text)) {
        Some(Ok(bound)) => (bound, None),
        Some(Err(cause)) => (Bound::at(level), Some(cause)),
        None => (Bound::at(level), None),
    }
}

/// Tells what a command came to: into the files, where it would else be missing.
pub fn ended(result: &Result<ExitCode>) {
    match result {
        Ok(code) => {
            let exit_code = *code as u8;
            tracing::Span::current().record("exit_code", exit_code);
            tracing::info!(target: ENDED, exit_code, "ended");
        }
        Err(error) => {
            let report = error.report();
            let exit_code = report.exit_code;
            tracing::Span::current().record("exit_code", exit_code);
            let cause = report.causes.join("; ");
            // Without the line of the script: it may hold anything.
            tracing::error!(target: ENDED, exit_code, at = report.at, cause, state = report.state, next = report.next, "{}", report.what);
        }
    }
}
