//! Logs: on stderr, with UTC time, level and the run's correlation id on every line.

use std::{fmt, io};

use tracing_subscriber::{
    EnvFilter,
    fmt::{format::Writer, time::FormatTime},
};

struct Utc;

impl FormatTime for Utc {
    fn format_time(&self, w: &mut Writer<'_>) -> fmt::Result {
        write!(w, "{:.3}", jiff::Timestamp::now())
    }
}

/// Starts logging. Warnings and errors are always shown; `-v` adds what the run does, `-vv` its details. `LOCKGATE_LOG` sets a filter
/// of its own. Text is for people, coloured where `color` says so; JSON is one object a line.
pub fn init(verbosity: i16, json: bool, color: bool) {
    let level = match verbosity {
        ..0 => "error",
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    // Of the libraries only what goes wrong; at trace level they would print what passes over the wire.
    let default = format!("warn,lockgate={level},plugin={level}");
    let filter = EnvFilter::try_from_env("LOCKGATE_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_timer(Utc);
    // It would say on stderr that stderr cannot be written to, and panic: a log that nobody reads any more must not end a run.
    let builder = builder.log_internal_errors(false);
    if json {
        builder.json().flatten_event(true).with_current_span(true).with_span_list(false).init();
    } else {
        builder.with_ansi(color).with_target(false).init();
    }
}
