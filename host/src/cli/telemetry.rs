//! What the command line says about logs, and which commands keep them.

use std::path::{Path, PathBuf};

use clap::Args;
use uuid::Uuid;

use super::{Cli, Command, LogFormat};
use crate::{
    config::{self, Config},
    error::{Error, Result},
    telemetry::{self, Format, LogLevel, LogSection, Meter, Places, Sections, Telemetry, Wish},
};

#[derive(Args)]
pub struct Options {
    /// Folder of the log files of what changes something [default: logs]
    #[arg(long, global = true, value_name = "FOLDER", env = "LOCKGATE_LOG_DIR")]
    log_dir: Option<PathBuf>,
    /// What goes into the log files: error, warn, info, debug or trace [default: info]
    #[arg(long, global = true, value_name = "LEVEL", env = "LOCKGATE_LOG_LEVEL", value_parser = level)]
    log_level: Option<LogLevel>,
    /// Keep metrics in this file, for node_exporter's textfile collector [default: none]
    #[arg(long, global = true, value_name = "FILE", env = "LOCKGATE_PROMETHEUS_FILE")]
    prometheus_file: Option<PathBuf>,
    /// Send traces and metrics to the OpenTelemetry collector there: OTLP over HTTP [default: none]
    #[arg(long, global = true, value_name = "URL", env = "LOCKGATE_OTLP_ENDPOINT", hide_env_values = true)]
    otlp_endpoint: Option<String>,
    /// Push metrics to the Prometheus Pushgateway there [default: none]
    #[arg(long, global = true, value_name = "URL", env = "LOCKGATE_PUSH_URL", hide_env_values = true)]
    push_url: Option<String>,
    /// Write no log files
    #[arg(long, global = true, env = "LOCKGATE_NO_LOG_FILES")]
    no_log_files: bool,
}

impl Options {
    /// The folder of log files that was asked for.
    pub fn log_dir(&self) -> Option<&Path> {
        self.log_dir.as_deref().filter(|dir| !dir.as_os_str().is_empty())
    }
}

/// Starts telling what the command does.
///
/// # Errors
/// When log files are required and cannot be, or what is to be the endpoint of a collector is none.
pub fn begin(cli: &Cli, run_id: Uuid, color: bool) -> Result<Telemetry> {
    let (global, options) = (&cli.global, &cli.global.telemetry);
    let sections = config::early(global.config.as_deref());
    let works = works_on_a_database(&cli.command);
    telemetry::begin(&Wish {
        run_id,
        verbosity: if global.quiet { -1 } else { i16::from(global.verbose) },
        format: if global.log_format == LogFormat::Json { Format::Json } else { Format::Text },
        color,
        is_traced: works,
        otlp_endpoint: options.otlp_endpoint.clone().filter(|_| works),
        section: sections.as_ref().filter(|_| works).map(|sections| sections.telemetry.clone()).unwrap_or_default(),
        // Where the file is damaged nothing will run, and nobody knows where to.
        files: sections.and_then(|sections| files(options, sections)).filter(|_| changes_something(&cli.command)),
    })
}

/// Where what the command measures goes, if it is to change something and a place is named.
///
/// # Errors
/// When the file would never be read, or what is to be a push gateway is none.
pub fn meter(telemetry: &Telemetry, options: Options, config: &Config, command: &Command, name: &str) -> Result<Meter> {
    let section = &config.telemetry;
    let file = options.prometheus_file.or_else(|| section.prometheus_file.clone());
    let push_url = options.push_url.or_else(|| section.push_url.clone());
    let places = Places {
        file: file.filter(|path| !path.as_os_str().is_empty()),
        push_url: push_url.filter(|url| !url.is_empty()),
    };
    if let Some(path) = places.file.as_ref().filter(|path| path.extension().is_none_or(|ending| ending != "prom")) {
        let what = format!("the file of metrics `{}` does not end in `.prom`", path.display());
        return Err(Error::configuration(what, "node_exporter reads no others: name it so"));
    }
    // A rehearsal's migrations and backups are not those of the database.
    if !changes_something(command) || matches!(command, Command::Rehearse(_)) {
        return Ok(Meter::default());
    }
    let target = &config.target;
    telemetry.meter(places, &target.host().to_string(), &target.database, name)
}

fn files(options: &Options, sections: Sections) -> Option<LogSection> {
    let mut section = sections.log;
    if let Some(dir) = options.log_dir() {
        section.dir = dir.to_owned();
        section.enabled = true;
    }
    section.level = options.log_level.unwrap_or(section.level);
    (section.enabled && !options.no_log_files).then_some(section)
}

/// Whether the command is to change something: what it did may matter later. To look leaves no traces.
fn changes_something(command: &Command) -> bool {
    match command {
        Command::Up(up) => up.changes_something(),
        Command::Down(down) => down.changes_something(),
        Command::Backup(backup) => backup.changes_something(),
        Command::Adopt(adopt) => adopt.changes_something(),
        Command::Baseline(baseline) => baseline.changes_something(),
        Command::Repair(repair) => repair.changes_something(),
        Command::Resolve(resolve) => resolve.changes_something(),
        Command::Restore(_) | Command::Drill(_) | Command::Pause(_) | Command::Rehearse(_) => true,
        Command::Test
        | Command::Status(_)
        | Command::History(_)
        | Command::Plan(_)
        | Command::Lint(_)
        | Command::Roles(_)
        | Command::Doctor(_)
        | Command::Psql(_)
        | Command::New(_)
        | Command::Schema(_)
        | Command::Config(_)
        | Command::Completions(_)
        | Command::Man(_)
        | Command::Plugin(_) => false,
    }
}

/// Whether there may be something to trace.
fn works_on_a_database(command: &Command) -> bool {
    !matches!(
        command,
        Command::Psql(_)
            | Command::New(_)
            | Command::Plugin(_)
            | Command::Roles(_)
            | Command::Schema(_)
            | Command::Config(_)
            | Command::Completions(_)
            | Command::Man(_)
    )
}

fn level(text: &str) -> Result<LogLevel, String> {
    LogLevel::named(text).ok_or_else(|| "it takes error, warn, info, debug or trace".to_owned())
}
