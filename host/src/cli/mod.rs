//! The command line: one file a command; each builds a request, calls the library, and hands the outcome to `report`.

mod adopt;
mod answer;
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
mod told;
mod up;
mod usage;
mod words;

use std::{
    collections::BTreeSet,
    ffi::OsString,
    io::{self, IsTerminal},
    path::Path,
};

use clap::{CommandFactory, Parser, Subcommand};
use tracing::Instrument as _;
use uuid::Uuid;

use self::{
    command::{Command, dispatch, dry, without_settings},
    console::{ColorWhen, Console},
    context::Context,
    global::{EmbeddedWhen, Global, LogFormat, Output},
    told::Told,
    words::{duration, version},
};
use crate::{
    config::{Config, Options, masked},
    embedded::Embedded,
    error::{Error, ExitCode, Result},
    events::{Destination, Event, Events},
    report::json::{self, Failure},
    stop::Stop,
    telemetry::{Telemetry, ended, spans},
};

/// Migrates PostgreSQL: SQL files and sandboxed WebAssembly components, with lock, preflight, backup and verification.
#[derive(Parser)]
#[command(name = "lockgate", version, propagate_version = true, arg_required_else_help = true, after_help = after_help())]
struct Cli<C: Subcommand = Command> {
    #[command(flatten)]
    global: Global,
    /// The same as after the command, where the help has it: scripts have it before.
    #[arg(id = "dry_run_before", long = "dry-run", hide = true)]
    dry_run: bool,
    #[command(subcommand)]
    command: C,
}

/// What the help ends with.
fn after_help() -> String {
    let codes: String =
        ExitCode::ALL.iter().map(|code| format!("\n  {:>2}  {}", code.number(), code.meaning())).collect();
    format!("{ENVIRONMENT}\n\nExit codes:{codes}")
}

const ENVIRONMENT: &str = "\
Environment: DB_HOST (localhost), DB_PORT (5432), DB_NAME (auth_service), DB_USER (postgres), DB_PASSWORD, DB_SSL_MODE (prefer); \
DATABASE_URL; libpq's PG* and password file; LOCKGATE_* for every option. The first that is set wins: option, LOCKGATE_*, \
DATABASE_URL, DB_*, PG*, lockgate.toml, default. An empty variable is not set.";

/// The whole command line, as it is parsed, completed and documented.
fn command() -> clap::Command {
    // Whose environment it is must not matter to a help, and a secret has no place there.
    fn without_values(command: clap::Command) -> clap::Command {
        command.mut_args(|argument| argument.hide_env_values(true)).mut_subcommands(without_values)
    }
    without_values(examples::added_to(lint::added_to(<Cli>::command())))
}

/// The command line with those commands only that some word of it may mean. All options are copied into each command before one is read: of
/// the time that the whole takes, that is most. What it reads is what the whole would; what it cannot read, or is asked about, it knows too
/// little to tell.
fn command_of(words: &[OsString]) -> clap::Command {
    let all = Command::augment_subcommands(clap::Command::default());
    let meant = all.get_subcommands().filter(|command| {
        command.get_name_and_visible_aliases().iter().any(|name| words.iter().any(|word| word == name))
    });
    lint::added_to(Cli::<()>::command().subcommands(meant.cloned()))
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

/// The variables that options can be set by, in alphabetical order.
pub fn variables() -> Vec<String> {
    fn of(command: &clap::Command, names: &mut BTreeSet<String>) {
        names.extend(
            command.get_arguments().filter_map(clap::Arg::get_env).map(|name| name.to_string_lossy().into_owned()),
        );
        command.get_subcommands().for_each(|below| of(below, names));
    }
    let mut names = BTreeSet::new();
    of(&command(), &mut names);
    names.into_iter().collect()
}

/// Runs the command of this process and returns its exit code.
pub fn main() -> u8 {
    let told = Told::to_this_process();
    let (matches, mut cli) = match usage::parse(ColorWhen::asked(), &told) {
        Ok(parsed) => parsed,
        Err(code) => return code,
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
        Err(error) => return fail(&told.hide_in_error(error), &command, console, json),
    };
    let name = matches.subcommand_name().unwrap_or_default();
    let span = spans::run(run_id, name);
    telemetry.adopt(&span);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&Error::system("starting the runtime", error), &command, console, json),
    };
    let work = async {
        tracing::info!(version = env!("CARGO_PKG_VERSION"), "began");
        let said = Said { by_variable: usage::by_variable(&matches), told: &told };
        let result = run(cli, run_id, name, &command, console, &said, &telemetry).await;
        let result = result.map_err(|error| told.hide_in_error(error));
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
        // The error itself is on stderr in any case, and its code is the one to end with.
        let _ = console::write(format!("{body}\n").as_bytes());
    }
    console.say(&failure.error.to_string());
    failure.error.exit_code
}

/// How the command line came to be what it is.
struct Said<'a> {
    /// The options that a variable has set.
    by_variable: BTreeSet<String>,
    /// What is not to be repeated.
    told: &'a Told,
}

impl Said<'_> {
    /// What whoever has set an option has written: the option, or its variable.
    fn called(&self, id: &str, option: &'static str, variable: &'static str) -> &'static str {
        if self.by_variable.contains(id) { variable } else { option }
    }
}

async fn run(
    cli: Cli,
    run_id: Uuid,
    name: &str,
    command: &str,
    console: Console,
    said: &Said<'_>,
    telemetry: &Telemetry,
) -> Result<ExitCode> {
    if let Some(result) = without_settings(&cli.command) {
        return result;
    }
    let global = cli.global;
    if global.output == Output::Github && !matches!(cli.command, Command::Lint(_)) {
        let output = said.called("output", "--output github", "LOCKGATE_OUTPUT=github");
        let what = format!("`{output}` is for `lint` only");
        return Err(Error::configuration(what, "leave it out, or say `--output json`"));
    }
    let events = global.events.as_deref().filter(|text| !text.is_empty()).map(Destination::parse);
    if events == Some(Destination::Stdout) && global.output != Output::Text {
        let output = said.called("output", "--output", "LOCKGATE_OUTPUT");
        let events = said.called("events", "--events -", "LOCKGATE_EVENTS=-");
        let what = format!("`{events}` and `{output}` both want stdout");
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
        atomic: matches!(&cli.command, Command::Up(up) if up.atomic),
        retries: global.retries,
        reconnect_timeout: global.reconnect_timeout,
        cache_dir: global.cache_dir,
        no_cache: global.no_cache,
        by_variable: said.by_variable.clone(),
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
        tracing::info!(value = %masked::in_text(value), source, "database {name}");
    }
    let means_embedded = match global.embedded {
        Some(EmbeddedWhen::Always) => true,
        Some(EmbeddedWhen::Auto) => config.names_no_database(),
        None => false,
    };
    // A server that nobody asks would only be started and stopped.
    let use_embedded = means_embedded && cli.command.asks_a_database();
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
    if let Some(dir) = global.telemetry.log_dir() {
        config.log_dir = dir.to_owned();
    }
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
        means_embedded,
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
    let result = result.map_err(|error| said.told.hide_in_error(error));
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
        <Cli>::command().debug_assert();
    }

    #[test]
    fn options_work_before_and_after_the_command() {
        for line in ["lockgate -v up", "lockgate up -v", "lockgate --no-backup up -v", "lockgate up --dry-run -v"] {
            assert!(<Cli>::try_parse_from(line.split(' ')).unwrap().global.verbose == 1, "{line}");
        }
    }
}
