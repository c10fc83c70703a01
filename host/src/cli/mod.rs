//! The command line: one file a command; each builds a request, calls the library, and hands the outcome to `report`.

mod adopt;
mod backup;
mod baseline;
mod command;
mod completions;
mod config;
mod console;
mod context;
mod contradictions;
mod doctor;
mod down;
mod drill;
mod examples;
mod global;
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
mod words;

use std::{
    io::{self, IsTerminal, Write},
    path::Path,
};

use clap::{CommandFactory, FromArgMatches, Parser};
use tracing::Instrument as _;
use uuid::Uuid;

use self::{
    command::{Command, dispatch, dry, without_settings},
    console::{ColorWhen, Console},
    context::Context,
    global::{EmbeddedWhen, Global, LogFormat, Output},
    words::{duration, version},
};
use crate::{
    config::{Config, Options},
    embedded::Embedded,
    error::{Error, ExitCode, Result},
    events::{Destination, Event, Events},
    report::json::{self, Failure},
    stop::Stop,
    telemetry::{ended, spans},
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
    if let Err(error) = telemetry::begin(&cli, run_id, console.stderr.color) {
        return fail(&error, &command, console, json);
    }
    let name = matches.subcommand_name().unwrap_or_default();
    let span = spans::run(run_id, name);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&Error::system("starting the runtime", error), &command, console, json),
    };
    let work = async {
        tracing::info!(version = env!("CARGO_PKG_VERSION"), "began");
        let result = run(cli, run_id, name, &command, console).await;
        ended(&result);
        result
    };
    let result = runtime.block_on(work.instrument(span));
    // A compiler or a dump that was abandoned must not keep the process.
    runtime.shutdown_background();
    match result {
        Ok(code) => code as u8,
        Err(error) => fail(&error, &command, console, json),
    }
}

fn fail(error: &Error, command: &str, console: Console, json: bool) -> u8 {
    let failure = Failure { error: error.report() };
    if json && let Ok(body) = json::object(command, &failure) {
        let _ = writeln!(io::stdout(), "{body}");
    }
    console.say(&failure.error.to_string());
    failure.error.exit_code
}

async fn run(cli: Cli, run_id: Uuid, name: &str, command: &str, console: Console) -> Result<ExitCode> {
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
    config.meter = telemetry::meter(global.telemetry, &config, &cli.command, name)?;
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
}
