//! The options of every command, and what they may be set to.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};

use super::{
    console::ColorWhen,
    telemetry,
    words::{duration, out_of_order},
};
use crate::plan::OutOfOrder;

#[derive(Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Show what the run does; twice: its details
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Show errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Database as postgres://user:password@host:port/name?sslmode=…
    #[arg(long, global = true, value_name = "URL", env = "LOCKGATE_DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// Ask for the password at the terminal
    #[arg(short = 'W', long, global = true)]
    pub password_prompt: bool,
    /// Folder of migrations [default: migrations]
    #[arg(long, global = true, value_name = "FOLDER", env = "LOCKGATE_DIR")]
    pub dir: Option<PathBuf>,
    /// Configuration file [default: lockgate.toml, if there is one]
    #[arg(long, global = true, value_name = "FILE", env = "LOCKGATE_CONFIG")]
    pub config: Option<PathBuf>,
    /// Layout of the folder, by the name of its tool [default: the one that it seems to have]
    #[arg(long, global = true, value_name = "LAYOUT", env = "LOCKGATE_LAYOUT")]
    pub layout: Option<String>,
    /// Tool whose table in the database is about another folder: a first `up` goes on beside it
    #[arg(long, global = true, value_name = "TOOL", env = "LOCKGATE_UNRELATED", value_delimiter = ',')]
    pub unrelated: Vec<String>,
    /// What becomes of migrations below the newest applied one: refuse, warn or apply [default: refuse]
    #[arg(long, global = true, value_name = "POLICY", env = "LOCKGATE_OUT_OF_ORDER", value_parser = out_of_order())]
    pub out_of_order: Option<OutOfOrder>,
    /// Role to take on after logging in, such as the owner of the schema [default: none]
    #[arg(long, global = true, env = "LOCKGATE_ROLE")]
    pub role: Option<String>,
    /// Schema of schema_migrations and its journal [default: public]
    #[arg(long, global = true, env = "LOCKGATE_SCHEMA")]
    pub schema: Option<String>,
    /// Take no backup before the first change
    #[arg(long, global = true, env = "LOCKGATE_NO_BACKUP")]
    pub no_backup: bool,
    /// Where backups are kept: a folder, or s3://bucket/prefix [default: backups]
    #[arg(long, global = true, value_name = "PLACE", env = "LOCKGATE_BACKUP_DIR")]
    pub backup_dir: Option<String>,
    /// Role that backups are read as [default: the role of the run]
    #[arg(long, global = true, value_name = "ROLE", env = "LOCKGATE_BACKUP_ROLE")]
    pub backup_role: Option<String>,
    /// File of age's private keys, to read encrypted backups with [default: none]
    #[arg(long, global = true, value_name = "FILE", env = "LOCKGATE_IDENTITY")]
    pub identity: Option<PathBuf>,
    /// Folder of PostgreSQL's programs (pg_dump …) [default: where they usually are]
    #[arg(long, global = true, value_name = "FOLDER", env = "LOCKGATE_PG_BIN")]
    pub pg_bin: Option<PathBuf>,
    /// How long to wait for another run, such as 90s or 10m [default: 5m]
    #[arg(long, global = true, value_name = "TIME", env = "LOCKGATE_LOCK_TIMEOUT", value_parser = duration)]
    pub lock_timeout: Option<Duration>,
    /// How often a transaction is tried again that could not have a lock, collided or lost its connection [default: 5]
    #[arg(long, global = true, value_name = "N", env = "LOCKGATE_RETRIES")]
    pub retries: Option<u32>,
    /// How long to look for a server that was lost [default: 60s]
    #[arg(long, global = true, value_name = "TIME", env = "LOCKGATE_RECONNECT_TIMEOUT", value_parser = duration)]
    pub reconnect_timeout: Option<Duration>,
    /// Folder of compiled components [default: ~/.cache/lockgate]
    #[arg(long, global = true, value_name = "FOLDER", env = "LOCKGATE_CACHE_DIR")]
    pub cache_dir: Option<PathBuf>,
    /// Compile components in every run, and keep nothing
    #[arg(long, global = true, env = "LOCKGATE_NO_CACHE")]
    pub no_cache: bool,
    /// Use a PostgreSQL of the project's own, under .lockgate/; `auto`: only when no database is configured
    #[arg(long, global = true, value_name = "WHEN", env = "LOCKGATE_EMBEDDED", num_args = 0..=1, require_equals = true,
          default_missing_value = "always")]
    pub embedded: Option<EmbeddedWhen>,
    /// What is printed on stdout
    #[arg(long, global = true, value_enum, default_value = "text", env = "LOCKGATE_OUTPUT")]
    pub output: Output,
    /// Append what the run does, as it does it, to FILE: one JSON object a line; `-` is stdout, and the outcome goes to stderr then
    #[arg(long, global = true, value_name = "FILE", env = "LOCKGATE_EVENTS")]
    pub events: Option<String>,
    /// How the log on stderr is written
    #[arg(long, global = true, value_enum, default_value = "text", env = "LOCKGATE_LOG_FORMAT")]
    pub log_format: LogFormat,
    #[command(flatten)]
    pub telemetry: telemetry::Options,
    /// When text is coloured [default: auto, which heeds NO_COLOR, CLICOLOR_FORCE and TERM]
    #[arg(long, global = true, value_name = "WHEN", env = "LOCKGATE_COLOR", value_enum)]
    pub color: Option<ColorWhen>,
    /// Ask nothing
    #[arg(short, long, global = true, env = "LOCKGATE_YES")]
    pub yes: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EmbeddedWhen {
    Always,
    Auto,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    Text,
    Json,
    /// Workflow commands for GitHub Actions; of `lint` only, whose help alone offers it
    #[value(hide = true)]
    Github,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}
