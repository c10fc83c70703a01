//! What others see of a run while it goes on and after it: the log on stderr and in files, each line with the run's id; metrics and traces.

mod bound;
#[cfg(feature = "otlp")]
mod client;
mod complaint;
mod console;
mod files;
mod line;
mod lines;
mod metrics;
#[cfg(feature = "otlp")]
mod otlp;
pub mod spans;

use std::{
    env, io,
    path::PathBuf,
    sync::{Arc, OnceLock},
    thread,
    time::{Duration, Instant},
};

use serde::Deserialize;
use tracing::{Span, level_filters::LevelFilter};
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
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Section {
    /// The text file of metrics, for node_exporter's textfile collector.
    pub prometheus_file: Option<PathBuf>,
    /// The collector that traces and metrics go to by OTLP over HTTP, such as `http://collector:4318`.
    pub otlp_endpoint: Option<String>,
    /// The push gateway of Prometheus that metrics go to, such as `http://pushgateway:9091`.
    pub push_url: Option<String>,
    /// How long is waited at the end for what is still on its way, in milliseconds.
    pub flush_timeout_ms: u64,
}

impl Default for Section {
    fn default() -> Self {
        // Time for a collector that is well, and a run's end that is not worth mentioning where it is not.
        Self { prometheus_file: None, otlp_endpoint: None, push_url: None, flush_timeout_ms: 2_000 }
    }
}

/// What `lockgate.toml` says about it, whatever else is in there.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Sections {
    /// `[log]`
    pub log: LogSection,
    /// `[telemetry]`
    pub telemetry: Section,
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
    /// Whether the command is worth a trace.
    pub is_traced: bool,
    /// The endpoint that an option names, or a variable of Lockgate's.
    pub otlp_endpoint: Option<String>,
    /// What the file says about what is told to others than people.
    pub section: Section,
}

/// Everything that is told of a run, so that it can be ended.
#[derive(Clone)]
pub struct Telemetry(Arc<Told>);

/// Nobody waits longer, whatever is set.
const FLUSH_MAX: Duration = Duration::from_secs(60);

struct Told {
    flush_timeout: Duration,
    #[cfg(feature = "otlp")]
    otlp: Option<otlp::Otlp>,
    meter: OnceLock<Meter>,
}

/// Where metrics go that are asked for, beside OpenTelemetry.
#[derive(Debug, Default)]
pub struct Places {
    /// The text file.
    pub file: Option<PathBuf>,
    /// The push gateway.
    pub push_url: Option<String>,
}

impl Telemetry {
    /// Makes the outermost span part of the trace that whoever has started the run is in.
    #[cfg_attr(not(feature = "otlp"), allow(unused_variables))]
    pub fn adopt(&self, span: &Span) {
        #[cfg(feature = "otlp")]
        if let Some(otlp) = &self.0.otlp {
            otlp.adopt(span);
        }
    }

    /// What takes the measurements of a command on a database. It is asked for once.
    ///
    /// # Errors
    /// [`Error::Configuration`] when a place is none.
    pub fn meter(&self, places: Places, server: &str, database: &str, command: &str) -> Result<Meter> {
        let mut sinks = Vec::new();
        sinks.extend(places.file.and_then(metrics::into_file));
        if let Some(url) = places.push_url {
            #[cfg(feature = "otlp")]
            sinks.extend(metrics::into_gateway(metrics::Gateway::parse(&url, server, database)?));
            #[cfg(not(feature = "otlp"))]
            return Err(without_otlp(&url));
        }
        #[cfg(feature = "otlp")]
        sinks.extend(self.0.otlp.as_ref().and_then(otlp::Otlp::sink));
        let meter = Meter::of(sinks, server, database, command);
        let _ = self.0.meter.set(meter.clone());
        Ok(meter)
    }

    /// Waits until everything is where it belongs, everywhere at a time and for `flush_timeout_ms` at most.
    pub fn end(&self) {
        let until = Instant::now() + self.0.flush_timeout;
        thread::scope(|scope| {
            if let Some(meter) = self.0.meter.get().filter(|meter| meter.is_kept()) {
                let end = move || meter.end(until);
                if thread::Builder::new().spawn_scoped(scope, end).is_err() {
                    end();
                }
            }
            #[cfg(feature = "otlp")]
            if let Some(otlp) = &self.0.otlp {
                otlp.end(until);
            }
        });
    }
}

/// What was asked for that this program cannot do.
#[cfg(not(feature = "otlp"))]
fn without_otlp(place: &str) -> Error {
    Error::configuration(
        format!("`{place}`: this program was built without telemetry over HTTP"),
        "leave it out, or build it with the feature `otlp`",
    )
}

/// Starts telling. Warnings and errors are always shown; `-v` adds what the run does, `-vv` its details. `LOCKGATE_LOG` sets a filter of
/// its own.
///
/// # Errors
/// When there can be no files, and no run is to be without; when what is named as an endpoint is none.
pub fn begin(wish: &Wish) -> Result<Telemetry> {
    let (named, in_file) = (wish.otlp_endpoint.as_deref(), wish.section.otlp_endpoint.as_deref());
    let (named, in_file) = (named.filter(|text| !text.is_empty()), in_file.filter(|text| !text.is_empty()));
    #[cfg(not(feature = "otlp"))]
    if let Some(endpoint) = named.or(in_file) {
        return Err(without_otlp(endpoint));
    }
    #[cfg(feature = "otlp")]
    let (otlp, ignored) = {
        let mut endpoints = otlp::Endpoints::of(named, &|name| env::var(name).ok(), in_file)?;
        let ignored = std::mem::take(&mut endpoints.ignored);
        (otlp::Otlp::of(wish.run_id, endpoints, wish.is_traced), ignored)
    };
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
    let lines = tracing_subscriber::registry().with(Lines::of(wish.run_id, sinks).with_filter(filter));
    // Whoever has set up a log of its own keeps it.
    #[cfg(not(feature = "otlp"))]
    let _ = lines.try_init();
    #[cfg(feature = "otlp")]
    let _ = match otlp.as_ref().and_then(otlp::Otlp::layer) {
        Some(traces) => lines.with(traces).try_init(),
        None => lines.try_init(),
    };
    let telemetry = Telemetry(Arc::new(Told {
        flush_timeout: Duration::from_millis(wish.section.flush_timeout_ms).min(FLUSH_MAX),
        #[cfg(feature = "otlp")]
        otlp,
        meter: OnceLock::new(),
    }));
    if let Some(cause) = wrong {
        tracing::warn!(
            cause,
            "LOCKGATE_LOG is no filter, and is ignored; one is `debug`, or `lockgate::postgres=trace`"
        );
    }
    #[cfg(feature = "otlp")]
    for ignored in ignored {
        tracing::warn!("{ignored}");
    }
    let Some((section, error)) = missing else { return Ok(telemetry) };
    let folder = section.dir.display();
    if section.required {
        return Err(Error::configuration(
            format!("the log cannot be written to `{folder}`, and [log] in lockgate.toml says `required`: {error}"),
            "make the folder writable, or name another by `--log-dir`",
        ));
    }
    tracing::warn!(%folder, cause = %error, "the log cannot be written to files; the run goes on (`--log-dir` names another folder)");
    Ok(telemetry)
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
            Span::current().record("exit_code", exit_code);
            // That something is pending is an answer.
            if !matches!(code, ExitCode::Done | ExitCode::Pending) {
                spans::fails(&Span::current(), *code);
            }
            tracing::info!(target: ENDED, exit_code, "ended");
        }
        Err(error) => {
            let report = error.report();
            let exit_code = report.exit_code;
            Span::current().record("exit_code", exit_code);
            spans::fails(&Span::current(), error.exit_code());
            let cause = report.causes.join("; ");
            // Without the line of the script: it may hold anything.
            tracing::error!(target: ENDED, exit_code, at = report.at, cause, state = report.state, next = report.next, "{}", report.what);
        }
    }
}
