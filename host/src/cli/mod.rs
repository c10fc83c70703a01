//! The command line: one file a command; each builds a request, calls the library, and hands the outcome to `report`.

mod adopt;
mod answer;
mod backup;
mod baseline;
mod completions;
mod config;
mod console;
mod contradictions;
mod doctor;
mod down;
mod drill;
mod examples;
mod history;
mod lint;
mod man;
mod new;
mod password;
mod pause;
mod plan;
mod plugin;
mod psql;
mod rehearse;
mod rehearsed;
mod repair;
mod resolve;
mod restore;
mod roles;
mod schema;
mod status;
mod telemetry;
mod test;
mod up;

use std::{
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{
    Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser},
};
use schemars::JsonSchema;
use serde::Serialize;
use tracing::Instrument as _;
use uuid::Uuid;

use self::console::{ColorWhen, Console};
use crate::{
    config::{Config, Options},
    embedded::Embedded,
    error::{Error, ExitCode, NOTHING_CHANGED, Result},
    events::{Destination, Event, Events},
    migration::Version,
    plan::OutOfOrder,
    report::json::{self, Failure},
    stop::Stop,
    telemetry::{Telemetry, ended, spans},
};

/// Migrates PostgreSQL: SQL files and sandboxed WebAssembly components, with lock, preflight, backup and verification.
#[derive(Parser)]
#[command(name = "lockgate", version, propagate_version = true, arg_required_else_help = true, after_help = AFTER_HELP)]
struct Cli {
    #[command(flatten)]
    global: Global,
    /// The same as after the command, where the help has it: scripts have it before.
    #[arg(id = "dry_run_before", long = "dry-run", hide = true)]
    dry_run: bool,
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Environment: DB_HOST (localhost), DB_PORT (5432), DB_NAME (auth_service), DB_USER (postgres), DB_PASSWORD, DB_SSL_MODE (prefer);
DATABASE_URL; libpq's PG* and password file; LOCKGATE_* for every option. The first that is set wins: option, LOCKGATE_*,
DATABASE_URL, DB_*, PG*, lockgate.toml, default.

Exit codes: 0 done, 1 a migration failed and was rolled back, 2 usage or configuration, 3 pending (status --check),
4 lock held by another run, 5 drift or a damaged history, 6 preflight or verification said no, 7 backup failed,
8 database unreachable, 9 outcome unknown, 10 needs resolve.";

#[derive(Args)]
#[command(next_help_heading = "Global options")]
struct Global {
    /// Show what the run does; twice: its details
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Show errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Database as postgres://user:password@host:port/name?sslmode=…
    #[arg(long, global = true, value_name = "URL", env = "LOCKGATE_DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
    /// Ask for the password at the terminal
    #[arg(short = 'W', long, global = true)]
    password_prompt: bool,
    /// Folder of migrations [default: migrations]
    #[arg(long, global = true, value_name = "FOLDER", env = "LOCKGATE_DIR")]
    dir: Option<PathBuf>,
    /// Configuration file [default: lockgate.toml, if there is one]
    #[arg(long, global = true, value_name = "FILE", env = "LOCKGATE_CONFIG")]
    config: Option<PathBuf>,
    /// Layout of the folder, by the name of its tool [default: the one that it seems to have]
    #[arg(long, global = true, value_name = "LAYOUT", env = "LOCKGATE_LAYOUT")]
    layout: Option<String>,
    /// Tool whose table in the database is about another folder: a first `up` goes on beside it
    #[arg(long, global = true, value_name = "TOOL", env = "LOCKGATE_UNRELATED", value_delimiter = ',')]
    unrelated: Vec<String>,
    /// What becomes of migrations below the newest applied one: refuse, warn or apply [default: refuse]
    #[arg(long, global = true, value_name = "POLICY", env = "LOCKGATE_OUT_OF_ORDER", value_parser = out_of_order())]
    out_of_order: Option<OutOfOrder>,
    /// Role to take on after logging in, such as the owner of the schema [default: none]
    #[arg(long, global = true, env = "LOCKGATE_ROLE")]
    role: Option<String>,
    /// Schema of schema_migrations and its journal [default: public]
    #[arg(long, global = true, env = "LOCKGATE_SCHEMA")]
    schema: Option<String>,
    /// Take no backup before the first change
    #[arg(long, global = true, env = "LOCKGATE_NO_BACKUP")]
    no_backup: bool,
    /// Where backups are kept: a folder, or s3://bucket/prefix [default: backups]
    #[arg(long, global = true, value_name = "PLACE", env = "LOCKGATE_BACKUP_DIR")]
    backup_dir: Option<String>,
    /// Role that backups are read as [default: the role of the run]
    #[arg(long, global = true, value_name = "ROLE", env = "LOCKGATE_BACKUP_ROLE")]
    backup_role: Option<String>,
    /// File of age's private keys, to read encrypted backups with [default: none]
    #[arg(long, global = true, value_name = "FILE", env = "LOCKGATE_IDENTITY")]
    identity: Option<PathBuf>,
    /// Folder of PostgreSQL's programs (pg_dump …) [default: where they usually are]
    #[arg(long, global = true, value_name = "FOLDER", env = "LOCKGATE_PG_BIN")]
    pg_bin: Option<PathBuf>,
    /// How long to wait for another run, such as 90s or 10m [default: 5m]
    #[arg(long, global = true, value_name = "TIME", env = "LOCKGATE_LOCK_TIMEOUT", value_parser = duration)]
    lock_timeout: Option<Duration>,
    /// How often a transaction is tried again that could not have a lock, collided or lost its connection [default: 5]
    #[arg(long, global = true, value_name = "N", env = "LOCKGATE_RETRIES")]
    retries: Option<u32>,
    /// How long to look for a server that was lost [default: 60s]
    #[arg(long, global = true, value_name = "TIME", env = "LOCKGATE_RECONNECT_TIMEOUT", value_parser = duration)]
    reconnect_timeout: Option<Duration>,
    /// Folder of compiled components [default: ~/.cache/lockgate]
    #[arg(long, global = true, value_name = "FOLDER", env = "LOCKGATE_CACHE_DIR")]
    cache_dir: Option<PathBuf>,
    /// Compile components in every run, and keep nothing
    #[arg(long, global = true, env = "LOCKGATE_NO_CACHE")]
    no_cache: bool,
    /// Use a PostgreSQL of the project's own, under .lockgate/; `auto`: only when no database is configured
    #[arg(long, global = true, value_name = "WHEN", env = "LOCKGATE_EMBEDDED", num_args = 0..=1, require_equals = true,
          default_missing_value = "always")]
    embedded: Option<EmbeddedWhen>,
    /// What is printed on stdout
    #[arg(long, global = true, value_enum, default_value = "text", env = "LOCKGATE_OUTPUT")]
    output: Output,
    /// Append what the run does, as it does it, to FILE: one JSON object a line; `-` is stdout, and the outcome goes to stderr then
    #[arg(long, global = true, value_name = "FILE", env = "LOCKGATE_EVENTS")]
    events: Option<String>,
    /// How the log on stderr is written
    #[arg(long, global = true, value_enum, default_value = "text", env = "LOCKGATE_LOG_FORMAT")]
    log_format: LogFormat,
    #[command(flatten)]
    telemetry: telemetry::Options,
    /// When text is coloured [default: auto, which heeds NO_COLOR, CLICOLOR_FORCE and TERM]
    #[arg(long, global = true, value_name = "WHEN", env = "LOCKGATE_COLOR", value_enum)]
    color: Option<ColorWhen>,
    /// Ask nothing
    #[arg(short, long, global = true, env = "LOCKGATE_YES")]
    yes: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum EmbeddedWhen {
    Always,
    Auto,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
    /// Workflow commands for GitHub Actions; of `lint` only
    Github,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Subcommand)]
enum Command {
    /// Connect and say what is there; the health check
    Test,
    /// Show which migrations are applied and which are pending
    Status(status::Arguments),
    /// Apply what is pending
    Up(up::Arguments),
    /// Revert an applied migration
    Down(down::Arguments),
    /// Show the journal of all that was tried, or verify that nobody has changed it
    // `--version` is its own option.
    #[command(disable_version_flag = true)]
    History(history::Arguments),
    /// Show what `up` would do, and change nothing
    Plan(plan::Arguments),
    /// Try what is pending on a throwaway copy: up, down and up again; what it costs, and who will wait
    Rehearse(rehearse::Arguments),
    /// Look for what may go wrong with migrations, before they run
    Lint(lint::Arguments),
    /// Keep the migration under way from going on, or let it
    Pause(pause::Arguments),
    /// Say what came of a step that a run was cut off in, where nothing else tells
    Resolve(resolve::Arguments),
    /// Take a file that has changed for what was applied
    Repair(repair::Arguments),
    /// Take over the history that another tool has kept so far
    Adopt(adopt::Arguments),
    /// Take migrations as applied that were never run by Lockgate
    Baseline(baseline::Arguments),
    /// Take a backup, or list those that there are
    Backup(backup::Arguments),
    /// Bring a backup's state back; the present database is kept under another name
    Restore(restore::Arguments),
    /// Restore the newest backup into a scratch database, and hold the time and the loss against the targets
    Drill(drill::Arguments),
    /// Print the SQL that makes roles with few privileges; a superuser runs it
    Roles(roles::Arguments),
    /// Look for what is wrong with the database and its server, and what would help; changes nothing
    Doctor(doctor::Arguments),
    /// Run psql on the configured database
    Psql(psql::Arguments),
    /// Begin a migration: SQL files, or the project of a component
    New(new::Arguments),
    /// Build, inspect, pin and check migration components
    #[command(subcommand)]
    Plugin(plugin::Arguments),
    /// Show the settings and where they come from, or the schema of lockgate.toml
    #[command(subcommand)]
    Config(config::Arguments),
    /// Print the JSON schema of what a command prints with `--output json`
    Schema(schema::Arguments),
    /// Print what a shell needs to complete commands and options
    Completions(completions::Arguments),
    /// Print the manual page, or write the pages of all commands into a folder
    Man(man::Arguments),
}

/// What every command gets.
struct Context {
    config: Config,
    run_id: Uuid,
    output: Output,
    /// Its name, such as `backup list`.
    command: String,
    /// Whether stdout is for events alone.
    events_on_stdout: bool,
    yes: bool,
    embedded: bool,
    console: Console,
}

impl Context {
    /// Prints an outcome: text for people, JSON for programs.
    fn print<T: Serialize + JsonSchema>(&self, outcome: &T, text: impl FnOnce(&T) -> String) -> Result<()> {
        match self.output {
            Output::Text | Output::Github if self.events_on_stdout => {
                self.console.say(text(outcome).trim_end_matches('\n'))
            }
            Output::Text | Output::Github => self.console.print(&text(outcome)),
            // A reader that went away is no failure of the run.
            Output::Json => drop(writeln!(io::stdout(), "{}", json::object(&self.command, outcome)?)),
        }
        Ok(())
    }

    /// Asks before something that is hard to take back; only people at a terminal are asked.
    fn confirm(&self, question: &str) -> Result<()> {
        if self.yes || !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return Ok(());
        }
        // Where it cannot be shown there is nobody who could answer.
        let _ = write!(io::stderr(), "{question} [y/N] ");
        let answer = answer::typed(&self.config.stop)?;
        if matches!(answer.trim(), "y" | "Y" | "yes") {
            return Ok(());
        }
        if !answer.ends_with('\n') {
            // The terminal has ended no line where the input ended.
            let _ = writeln!(io::stderr());
        }
        Err(Error::Refused { what: "not confirmed".into(), next: "answer y, or say `--yes`".into() })
    }
}

/// The whole command line, as it is parsed, completed and documented.
fn command() -> clap::Command {
    examples::added_to(Cli::command())
}

/// The names of all commands that can be called, such as `backup list`, in the order of the help.
pub fn commands() -> Vec<String> {
    fn below(command: &clap::Command, path: &str, names: &mut Vec<String>) {
        for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
            let name = format!("{path}{}", sub.get_name());
            if !sub.is_subcommand_required_set() {
                names.push(name.clone());
            }
            below(sub, &format!("{name} "), names);
        }
    }
    let mut names = Vec::new();
    below(&command(), "", &mut names);
    names
}

/// Runs the command of this process and returns its exit code.
pub fn main() -> u8 {
    let color = ColorWhen::asked();
    let mut command = command().color(color.for_clap());
    let parsed = command.try_get_matches_from_mut(std::env::args_os());
    let parsed = parsed.and_then(|matches| contradictions::check(&command, &matches).map(|()| matches));
    let matches = match parsed {
        Ok(matches) => matches,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::Usage as u8 } else { ExitCode::Done as u8 };
        }
    };
    let mut cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    if let Command::Config(arguments) = &mut cli.command {
        arguments.settle(&matches);
    }
    let console = Console::new(cli.global.color.unwrap_or_default());
    let json = cli.global.output == Output::Json;
    let command = schema::called(&matches);
    let run_id = Uuid::now_v7();
    if cli.dry_run && !dry(&mut cli.command) {
        let what = "`--dry-run` is for commands that would change something and can tell what";
        let error = Error::configuration(what, "leave it out; `lockgate --help` has the commands");
        return fail(&error, &command, console, json);
    }
    let telemetry = match telemetry::begin(&cli, run_id, console.stderr.color) {
        Ok(telemetry) => telemetry,
        Err(error) => return fail(&error, &command, console, json),
    };
    let name = matches.subcommand_name().unwrap_or_default();
    let span = spans::run(run_id, name);
    telemetry.adopt(&span);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&Error::system("starting the runtime", error), &command, console, json),
    };
    let work = async {
        tracing::info!(version = env!("CARGO_PKG_VERSION"), "began");
        let result = run(cli, run_id, name, &command, console, &telemetry).await;
        ended(&result);
        result
    };
    let result = runtime.block_on(work.instrument(span));
    // A compiler or a dump that was abandoned must not keep the process.
    runtime.shutdown_background();
    let code = match result {
        Ok(code) => code as u8,
        Err(error) => fail(&error, &command, console, json),
    };
    // Whoever reads knows all by now, and need not wait for it.
    telemetry.end();
    code
}

fn fail(error: &Error, command: &str, console: Console, json: bool) -> u8 {
    let failure = Failure { error: error.report() };
    if json && let Ok(body) = json::object(command, &failure) {
        let _ = writeln!(io::stdout(), "{body}");
    }
    console.say(&failure.error.to_string());
    failure.error.exit_code
}

async fn run(
    cli: Cli,
    run_id: Uuid,
    name: &str,
    command: &str,
    console: Console,
    telemetry: &Telemetry,
) -> Result<ExitCode> {
    if let Some(result) = without_settings(&cli.command) {
        return result;
    }
    let global = cli.global;
    if global.output == Output::Github && !matches!(cli.command, Command::Lint(_)) {
        let what = "`--output github` is for `lint` only";
        return Err(Error::configuration(what, "leave it out, or say `--output json`"));
    }
    let events = global.events.as_deref().filter(|text| !text.is_empty()).map(Destination::parse);
    if events == Some(Destination::Stdout) && global.output != Output::Text {
        let what = "`--events -` and `--output` both want stdout";
        return Err(Error::configuration(what, "name a file for the events, such as `--events /dev/fd/3`"));
    }
    let told = events.as_ref().map(|destination| Events::to(destination, run_id)).transpose()?.unwrap_or_default();
    let mut config = Config::load(Options {
        config: global.config,
        database_url: global.database_url,
        dir: global.dir,
        layout: global.layout,
        unrelated: global.unrelated,
        out_of_order: global.out_of_order,
        role: global.role,
        schema: global.schema,
        backup: crate::backup::Options {
            none: global.no_backup,
            dir: global.backup_dir,
            role: global.backup_role,
            identity: global.identity,
        },
        pg_bin: global.pg_bin,
        lock_timeout: global.lock_timeout,
        retries: global.retries,
        reconnect_timeout: global.reconnect_timeout,
        cache_dir: global.cache_dir,
        no_cache: global.no_cache,
    })?;
    if global.password_prompt {
        // Before signals are handled, so that Ctrl-C ends it.
        password::ask(&mut config)?;
    }
    match &cli.command {
        Command::Up(up) => up.rehearsed.settle(&mut config.rehearsal),
        Command::Plan(plan) => plan.rehearsed.settle(&mut config.rehearsal),
        _ => {}
    }
    for (name, value, source) in &config.sources {
        tracing::info!(%value, source, "database {name}");
    }
    let use_embedded = match global.embedded {
        // A server that nobody asks would only be started and stopped.
        _ if matches!(&cli.command, Command::Plugin(arguments) if !arguments.asks_a_database()) => false,
        _ if matches!(&cli.command, Command::Roles(_) | Command::Schema(_) | Command::Config(_)) => false,
        _ if matches!(&cli.command, Command::Lint(arguments) if !arguments.asks_a_database()) => false,
        Some(EmbeddedWhen::Always) => true,
        Some(EmbeddedWhen::Auto) => config.names_no_database(),
        None => false,
    };
    config.draw = io::stderr().is_terminal() && global.output == Output::Text && global.verbose == 0 && !global.quiet;
    config.stop = Stop::on_signals().map_err(|e| Error::system("handling signals", e))?;
    let embedded = if use_embedded {
        let server = Embedded::start(Path::new("."), &config.target.database, config.pg_bin.as_deref()).await?;
        config.target = server.target.clone();
        config.said_again.push("--embedded".to_owned());
        Some(server)
    } else {
        None
    };
    config.target.tag = Some(run_id.simple().to_string().split_off(24));
    config.meter = telemetry::meter(telemetry, global.telemetry, &config, &cli.command, name)?;
    config.meter.run_began();
    config.events = told;
    let told = config.events.begin(
        Event::RunStarted {
            command: command.to_owned(),
            target: config.target.to_string(),
            lockgate_version: env!("CARGO_PKG_VERSION"),
        },
        Event::RunFinished { exit_code: ExitCode::MigrationFailed as u8, error: None },
    );
    let context = Context {
        config,
        run_id,
        output: global.output,
        command: command.to_owned(),
        events_on_stdout: events == Some(Destination::Stdout),
        yes: global.yes,
        embedded: use_embedded,
        console,
    };
    let result = dispatch(&context, cli.command).await.map_err(|error| match error {
        Error::Unreachable { target, cause, next } if !use_embedded && context.config.names_no_database() => {
            let next = format!(
                "{next}; no setting names a database: `--embedded` uses one of the project's own, under .lockgate/"
            );
            Error::Unreachable { target, cause, next }
        }
        error => error,
    });
    context.config.meter.run_ended(result.as_ref().map_or_else(Error::exit_code, |code| *code));
    if let Some(server) = embedded
        && let Err(error) = server.stop()
    {
        tracing::warn!(%error, "the embedded server did not stop");
    }
    told.end(match &result {
        Ok(code) => Event::RunFinished { exit_code: *code as u8, error: None },
        Err(error) => {
            let report = error.report();
            Event::RunFinished { exit_code: report.exit_code, error: Some(Box::new(report)) }
        }
    });
    context.config.events.close();
    result
}

/// Makes a command one that changes nothing; false where it does change something and has no dry run.
fn dry(command: &mut Command) -> bool {
    match command {
        Command::Up(up) if up.rollback_after => return false,
        Command::Up(up) => up.dry_run = true,
        Command::Down(down) => down.dry_run = true,
        Command::Adopt(adopt) => adopt.dry_run = true,
        Command::Baseline(baseline) => baseline.dry_run = true,
        Command::Repair(repair) => repair.dry_run = true,
        Command::Resolve(resolve) => resolve.dry_run = true,
        Command::Backup(backup) => return backup.dry(),
        Command::Test
        | Command::Status(_)
        | Command::History(_)
        | Command::Plan(_)
        | Command::Lint(_)
        | Command::Doctor(_) => {}
        _ => return false,
    }
    true
}

/// Runs what is about the command itself. No configuration is read for it: it works where that is wrong, and in an image without one.
fn without_settings(command: &Command) -> Option<Result<ExitCode>> {
    match command {
        Command::Completions(arguments) => Some(completions::run(arguments)),
        Command::Man(arguments) => Some(man::run(arguments)),
        Command::Config(config::Arguments::Schema) => Some(config::print_schema()),
        _ => None,
    }
}

async fn dispatch(context: &Context, command: Command) -> Result<ExitCode> {
    match command {
        // These stop by themselves, where they can do so cleanly.
        Command::Up(arguments) => up::run(context, &arguments).await,
        Command::Down(arguments) => down::run(context, &arguments).await,
        Command::Adopt(arguments) => adopt::run(context, &arguments).await,
        Command::Baseline(arguments) => baseline::run(context, &arguments).await,
        Command::Backup(arguments) => backup::run(context, &arguments).await,
        Command::Restore(arguments) => restore::run(context, &arguments).await,
        Command::Drill(arguments) => drill::run(context, &arguments).await,
        Command::Resolve(arguments) => resolve::run(context, &arguments).await,
        Command::Repair(arguments) => repair::run(context, &arguments).await,
        Command::Pause(arguments) => pause::run(context, &arguments).await,
        Command::Psql(arguments) => psql::run(context, &arguments).await,
        Command::New(arguments) => new::run(context, &arguments),
        Command::Roles(arguments) => roles::run(context, &arguments),
        Command::Schema(arguments) => schema::run(&arguments),
        Command::Config(arguments) => config::run(context, &arguments),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Man(arguments) => man::run(&arguments),
        // These change nothing and stop anywhere.
        Command::Plugin(arguments) => interruptible(context, plugin::run(context, &arguments)).await,
        Command::Test => interruptible(context, test::run(context)).await,
        Command::Doctor(arguments) => interruptible(context, doctor::run(context, &arguments)).await,
        Command::Status(arguments) => interruptible(context, status::run(context, &arguments)).await,
        Command::History(arguments) => interruptible(context, history::run(context, &arguments)).await,
        Command::Plan(arguments) => interruptible(context, plan::run(context, &arguments)).await,
        // It drops its copies before it ends.
        Command::Rehearse(arguments) => rehearse::run(context, &arguments).await,
        Command::Lint(arguments) => interruptible(context, lint::run(context, &arguments)).await,
    }
}

async fn interruptible(context: &Context, work: impl Future<Output = Result<ExitCode>>) -> Result<ExitCode> {
    match context.config.stop.race(work).await {
        Ok(result) => result,
        Err(signal) => Err(Error::Interrupted { signal, state: NOTHING_CHANGED.into() }),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let signed: jiff::SignedDuration = text.parse().map_err(|_| "write it as `90s` or `10m`".to_owned())?;
    signed.try_into().map_err(|_| "it cannot be negative".to_owned())
}

fn version(text: &str) -> Result<Version, String> {
    Version::parse(text).ok_or_else(|| {
        "a version is digits, such as 001, or the name of a repeatable migration, such as R__views".to_owned()
    })
}

fn out_of_order() -> impl TypedValueParser<Value = OutOfOrder> {
    PossibleValuesParser::new(["refuse", "warn", "apply"]).map(|text| match text.as_str() {
        "apply" => OutOfOrder::Apply,
        "warn" => OutOfOrder::Warn,
        _ => OutOfOrder::Refuse,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_work_before_and_after_the_command() {
        for line in ["lockgate -v up", "lockgate up -v", "lockgate --no-backup up -v", "lockgate up --dry-run -v"] {
            assert!(Cli::try_parse_from(line.split(' ')).unwrap().global.verbose == 1, "{line}");
        }
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("10m"), Ok(Duration::from_secs(600)));
        assert!(duration("soon").is_err() && duration("-1s").is_err());
    }
}
