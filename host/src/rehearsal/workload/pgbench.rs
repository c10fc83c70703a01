//! A client that is a `pgbench` of its own, for scripts with variables and transactions.
//!
//! pgbench gives a client up at its first error, and keeps its log to itself until it ends: so each client is one process, begun anew when
//! it has ended, and SIGALRM ends it as the end of its time would. Source: PostgreSQL manual, "pgbench"; `pgbench.c` (`handle_sig_alarm`,
//! `doLog`).

use std::{
    fs,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::{Duration, SystemTime},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
};

use super::{
    GRACE, PAUSE, Shared,
    tally::{End, first_words},
};
use crate::{
    backup::libpq,
    error::{Error, Result},
    files::Nameless,
    postgres::{Session, Target, quote_literal},
    printable::printable_in,
    programs::bin_folders,
};

/// Eleven days: until it is told to end.
const SECONDS_MAX: &str = "1000000";
/// What is kept of a line of its complaints.
const LINE_CHARS_MAX: usize = 500;

/// See the module.
pub(super) struct Pgbench {
    program: PathBuf,
    target: Target,
    file: PathBuf,
    /// What the script has, in the order in which pgbench counts it.
    commands: Vec<String>,
}

impl Pgbench {
    /// Finds the program.
    ///
    /// # Errors
    /// [`Error::Configuration`] when it is not installed.
    pub(super) fn find(target: &Target, file: &Path, commands: Vec<String>, pg_bin: Option<&Path>) -> Result<Self> {
        let mut programs = bin_folders(pg_bin).into_iter().map(|folder| folder.join("pgbench"));
        let program = programs.find(|program| program.is_file()).ok_or_else(|| {
            Error::configuration(
                format!(
                    "the workload `{}` is a script for pgbench (a line begins with a backslash), and `pgbench` was not found",
                    file.display()
                ),
                "install it (Debian: postgresql; Fedora: postgresql-contrib; macOS: brew install postgresql@17), or name its folder \
                 in LOCKGATE_PG_BIN",
            )
        })?;
        Ok(Self { program, target: target.clone(), file: file.to_owned(), commands })
    }

    /// Runs the script once, before there is a migration to blame.
    ///
    /// # Errors
    /// [`Error::Configuration`] with what pgbench says.
    pub(super) async fn check(&self) -> Result<()> {
        let (mut command, _folder) = self.command("lockgate workload")?;
        command.args(["--transactions=1", "--no-vacuum", "--client=1", "--file"]).arg(&self.file);
        let output = command.output().await.map_err(|e| Error::system("running pgbench", e))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let lines = said.lines().filter(|line| line.starts_with("pgbench: ")).map(|line| shown(line).to_owned());
        let first = lines.into_iter().next().unwrap_or_else(|| printable_in(LINE_CHARS_MAX, said.trim()));
        Err(Error::configuration(
            format!("the workload `{}` fails before the first migration: {first}", self.file.display()),
            "mend the script, or the data that it needs; `pgbench -n -t 1 -f` runs it alone",
        ))
    }

    /// Runs one process after the other until the clients are to stop.
    pub(super) async fn run(self: Arc<Self>, number: u32, shared: Arc<Shared>) {
        let name = format!("lockgate client {number} of {}", std::process::id());
        while !shared.is_stopped() {
            if let Err(error) = self.once(&name, &shared).await {
                let mut tally = shared.tally();
                let now = tally.now();
                tally.failed(now, "(pgbench)", &error.report().what);
            }
            shared.pause(PAUSE).await;
        }
    }

    /// Runs one process to its end, and counts what it did.
    async fn once(&self, name: &str, shared: &Shared) -> Result<()> {
        let (mut command, _passfile) = self.command(name)?;
        let folder = TempDir::with_prefix("lockgate-").map_err(|e| Error::system("making a private folder", e))?;
        // Where many wait, nobody waits longer because the schedule has run ahead: that is taken off again.
        let rate = format!("--rate={}", 1_000 / PAUSE.as_millis().max(1));
        command
            .args(["--no-vacuum", "--client=1", "--jobs=1", "--time", SECONDS_MAX, &rate, "--log", "--log-prefix"])
            .arg(folder.path().join("log"))
            .arg("--file")
            .arg(&self.file);
        let mut child = command.spawn().map_err(|e| Error::system("starting pgbench", e))?;
        let complaints = child.stderr.take();
        let listen = async {
            match complaints {
                Some(complaints) => self.listen(complaints, shared).await,
                None => false,
            }
        };
        let (status, told) = tokio::join!(self.end(&mut child, name, shared), listen);
        let status = status.map_err(|e| Error::system("waiting for pgbench", e))?;
        count(folder.path(), shared);
        if !status.success() && !told && !shared.is_stopped() {
            return Err(Error::system("pgbench", status));
        }
        Ok(())
    }

    /// The program with the way to the database in its environment. The password file must live as long as it runs.
    fn command(&self, name: &str) -> Result<(Command, Option<Nameless>)> {
        let mut command = std::process::Command::new(&self.program);
        let passfile = libpq(&mut command, &self.target, name)?;
        command.env("LC_ALL", "C").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut command = Command::from(command);
        command.kill_on_drop(true);
        Ok((command, passfile))
    }

    /// Waits for the end of a process, and brings it about when the clients are to stop.
    async fn end(&self, child: &mut Child, name: &str, shared: &Shared) -> std::io::Result<ExitStatus> {
        tokio::select! {
            status = child.wait() => return status,
            () = shared.stopped() => {}
        }
        if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGALRM);
        }
        if let Ok(status) = tokio::time::timeout(GRACE, child.wait()).await {
            return status;
        }
        // Its statement hangs. Ended by the server, it writes its log at least.
        if let Err(error) = self.give_up(name, shared).await {
            tracing::debug!(%error, "nobody could tell what a client was waiting for");
        }
        if let Ok(status) = tokio::time::timeout(GRACE, child.wait()).await {
            return status;
        }
        child.start_kill()?;
        child.wait().await
    }

    /// Counts what a client has not finished, and ends it.
    async fn give_up(&self, name: &str, shared: &Shared) -> Result<()> {
        // Only the role that logged in sees what its own sessions do.
        let login = Target { role: None, ..self.target.clone() };
        let session = Session::connect(&login, "lockgate workload").await?;
        let sql = format!(
            "SELECT (extract(epoch FROM clock_timestamp() - coalesce(xact_start, query_start)) * 1000)::int8, pg_terminate_backend(pid)
             FROM pg_stat_activity WHERE application_name = {} AND datname = current_database() AND state <> 'idle'",
            quote_literal(&self.target.session_name(name))
        );
        // The answer may be long on its way: what it told of began no later than if it had been told at once.
        let asked = shared.tally().now();
        for row in session.texts("ending a client", &sql).await? {
            let took =
                row.first().and_then(|ms| ms.as_deref()?.parse().ok()).map_or(Duration::ZERO, Duration::from_millis);
            shared.tally().ended(0, asked.saturating_sub(took), took, End::Unfinished);
        }
        Ok(())
    }

    /// Counts the errors that pgbench complains of when they come; tells whether there was one.
    async fn listen(&self, complaints: impl AsyncRead + Unpin, shared: &Shared) -> bool {
        let mut lines = BufReader::new(complaints).lines();
        let mut told = false;
        while let Ok(Some(line)) = lines.next_line().await {
            let Some((command, message)) = complaint(&line) else { continue };
            // What ends a client that was given up is ours.
            if !shared.is_stopped() {
                let statement = match command {
                    Some(command) => self.commands.get(command).map_or_else(String::new, |sql| first_words(sql)),
                    None => "(connecting)".to_owned(),
                };
                let mut tally = shared.tally();
                let now = tally.now();
                tally.failed(now, &statement, &message);
            }
            told = true;
        }
        told
    }
}

/// The number of the command that a complaint is about, if it is about one, and what the server said.
fn complaint(line: &str) -> Option<(Option<usize>, String)> {
    if let Some((_, rest)) = line.split_once(" aborted in command ") {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        // `4 query 0: ERROR:  column …`, `4 (SQL) of script 0; perhaps the backend died while processing`
        let said =
            rest[digits..].split_once(":  ").or_else(|| rest[digits..].split_once("; ")).map_or(rest, |(_, said)| said);
        return Some((rest[..digits].parse().ok(), printable_in(LINE_CHARS_MAX, said)));
    }
    let said = line.strip_prefix("pgbench: error: connection to server ")?;
    let said = said.split_once(":  ").or_else(|| said.split_once("failed: ")).map_or(said, |(_, said)| said);
    Some((None, printable_in(LINE_CHARS_MAX, said)))
}

/// A line without the name of the program.
fn shown(line: &str) -> &str {
    let line = line.strip_prefix("pgbench: ").unwrap_or(line);
    line.strip_prefix("error: ").or_else(|| line.strip_prefix("fatal: ")).unwrap_or(line)
}

/// Counts the transactions of the logs in a folder.
fn count(folder: &Path, shared: &Shared) {
    let logs = fs::read_dir(folder).into_iter().flatten().flatten();
    let logs = logs.filter(|entry| entry.file_name().to_string_lossy().starts_with("log."));
    for log in logs.filter_map(|entry| fs::read_to_string(entry.path()).ok()) {
        for line in log.lines() {
            let Some((took, ended)) = logged(line) else { continue };
            let mut tally = shared.tally();
            let began = tally.at(ended).saturating_sub(took);
            tally.ended(0, began, took, End::Done);
        }
    }
}

/// How long a transaction of the log took, and when it ended. The log counts what it was late by its schedule as well: client,
/// transaction, microseconds, script, seconds and microseconds of the clock, microseconds late.
fn logged(line: &str) -> Option<(Duration, SystemTime)> {
    let fields: Vec<&str> = line.split(' ').collect();
    let [_, _, took, _, seconds, micros, rest @ ..] = fields.as_slice() else { return None };
    let late = rest.first().and_then(|late| late.parse().ok()).unwrap_or(0_u64);
    let took = Duration::from_micros(took.parse::<u64>().ok()?.saturating_sub(late));
    let clock = Duration::from_secs(seconds.parse().ok()?) + Duration::from_micros(micros.parse().ok()?);
    Some((took, SystemTime::UNIX_EPOCH + clock))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_log_tells_how_long_and_when() {
        let (took, ended) = logged("0 81 4621 0 1412881037 912698 3005").unwrap();
        assert_eq!(took, Duration::from_micros(1_616), "without the schedule");
        assert_eq!(ended.duration_since(SystemTime::UNIX_EPOCH).unwrap(), Duration::from_micros(1_412_881_037_912_698));
        assert_eq!(logged("0 81 4621 0 1412881037 912698").unwrap().0, Duration::from_micros(4_621));
        assert!(logged("0 81 skipped 0 1412881037 912698").is_none() && logged("").is_none());
    }

    #[test]
    fn a_complaint_tells_the_command_and_the_message() {
        for (line, command, message) in [
            (
                "pgbench: error: client 0 script 0 aborted in command 4 query 0: ERROR:  column \"a\" does not exist",
                Some(4),
                "column \"a\" does not exist",
            ),
            (
                "pgbench: error: client 0 aborted in command 1 (SQL) of script 0; perhaps the backend died while processing",
                Some(1),
                "perhaps the backend died while processing",
            ),
            (
                "pgbench: error: connection to server at \"db\" (::1), port 5432 failed: FATAL:  the database system is shutting down",
                None,
                "the database system is shutting down",
            ),
            (
                "pgbench: error: connection to server at \"db\" (::1), port 5432 failed: Connection refused",
                None,
                "Connection refused",
            ),
        ] {
            assert_eq!(complaint(line), Some((command, message.to_owned())), "{line}");
        }
        for line in ["LINE 1: SELECT a FROM t", "pgbench: error: Run was aborted; the above results are incomplete."] {
            assert_eq!(complaint(line), None);
        }
    }
}
