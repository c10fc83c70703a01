//! One call of the command, in an environment that is empty of settings.

use std::{
    env,
    ffi::OsStr,
    future::{Future, IntoFuture},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    pin::Pin,
    process::Stdio,
    sync::OnceLock,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::process::{Child, Command};

use crate::Outcome;

/// A call that is still being written down. Awaiting it runs it.
pub struct Call {
    command: Command,
    shown: String,
}

impl Call {
    /// `lockgate` with these arguments, as words, in this folder.
    pub(crate) fn new(folder: &Path, arguments: &str) -> Self {
        let mut command = Command::new(binary());
        command.args(arguments.split_whitespace());
        Self::prepared(command, folder, format!("lockgate {arguments}"))
    }

    /// The command under test.
    pub(crate) fn command() -> &'static Path {
        binary()
    }

    /// Another program that is used in the same way.
    pub(crate) fn of_program(program: &Path, folder: &Path, arguments: &str) -> Self {
        let mut command = Command::new(program);
        command.args(arguments.split_whitespace());
        Self::prepared(command, folder, format!("{} {arguments}", program.display()))
    }

    /// A shell script that runs `lockgate`, which it knows as `$LOCKGATE`.
    pub(crate) fn by_shell(folder: &Path, script: &str) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Self::prepared(command, folder, script.to_owned()).env("LOCKGATE", binary())
    }

    /// `lockgate` at a terminal of so many columns, where somebody gives this answer to what is asked. What is seen there is its stdout.
    pub(crate) fn at_terminal(folder: &Path, columns: u16, answer: &str, arguments: &str) -> Self {
        let mut command = Command::new("python3");
        command.args(["-c", include_str!("terminal.py"), &columns.to_string(), answer]).arg(binary());
        command.args(arguments.split_whitespace());
        let call = Self::prepared(command, folder, format!("lockgate {arguments} (at a terminal)"));
        call.env("TERM", "xterm").without("COLUMNS")
    }

    fn prepared(mut command: Command, folder: &Path, shown: String) -> Self {
        let is_setting = |name: &str| {
            ["DB_", "PG", "LOCKGATE_", "RUST_", "AWS_", "OTEL_"].iter().any(|prefix| name.starts_with(prefix))
                || ["DATABASE_URL", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "TRACEPARENT", "TRACESTATE"]
                    .contains(&name)
        };
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_setting)) {
            command.env_remove(name);
        }
        // No password file of this user's may answer in the test's stead.
        command.env("HOME", folder).current_dir(folder).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { command, shown }
    }

    /// The same with a variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// The same without a variable.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// The same with an argument that may hold spaces.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Starts it and does not wait for its end.
    pub fn start(mut self) -> Running {
        let child = self.command.spawn().unwrap_or_else(|e| panic!("`{}` cannot be started: {e}", self.shown));
        Running { child, shown: self.shown }
    }
}

impl IntoFuture for Call {
    type Output = Outcome;
    type IntoFuture = Pin<Box<dyn Future<Output = Outcome>>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.start().end())
    }
}

/// A call under way.
pub struct Running {
    child: Child,
    shown: String,
}

impl Running {
    /// Ends it without a chance to clean up: SIGKILL.
    pub fn kill(&self) {
        self.signal(Signal::SIGKILL);
    }

    /// Asks it to stop: SIGTERM.
    pub fn terminate(&self) {
        self.signal(Signal::SIGTERM);
    }

    /// Asks it to stop as a terminal does: SIGINT.
    pub fn interrupt(&self) {
        self.signal(Signal::SIGINT);
    }

    /// Asks it to stop as a terminal does that is closed: SIGHUP.
    pub fn hang_up(&self) {
        self.signal(Signal::SIGHUP);
    }

    /// Stops it where it is, until it goes on: SIGSTOP.
    pub fn stop(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets it go on: SIGCONT.
    pub fn go_on(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = self.child.id().unwrap_or_else(|| panic!("`{}` has ended already", self.shown));
        kill(Pid::from_raw(pid.try_into().unwrap()), signal).unwrap();
    }

    /// Ends it with SIGKILL after this time, unless it has ended by then.
    pub async fn killed_after(mut self, time: Duration) -> Outcome {
        if tokio::time::timeout(time, self.child.wait()).await.is_err() {
            self.kill();
        }
        self.end().await
    }

    /// Waits for its end.
    pub async fn end(self) -> Outcome {
        let output = self.child.wait_with_output().await.unwrap();
        Outcome {
            call: self.shown,
            code: output.status.code(),
            signal: output.status.signal(),
            stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
        }
    }
}

/// The command under test: `LOCKGATE_BIN`, else the one that cargo builds into the folder where this test runs.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(path) = env::var_os("LOCKGATE_BIN") {
            let path = PathBuf::from(path);
            assert!(path.is_file(), "LOCKGATE_BIN is `{}`, which is no file", path.display());
            return path.canonicalize().unwrap();
        }
        let this = env::current_exe().unwrap();
        let profile = this.ancestors().nth(2).unwrap();
        // A test depends on no other crate's command, so one that is out of date is built here: as `just` does, with the features of the
        // workspace, or all that it depends on would be built once more.
        if let Some(cargo) = env::var_os("CARGO") {
            let mut build = std::process::Command::new(cargo);
            build
                .args(["build", "--quiet", "--locked", "--workspace", "--bin", "lockgate"])
                .current_dir(env!("CARGO_MANIFEST_DIR"));
            if profile.ends_with("release") {
                build.arg("--release");
            }
            // Without what cargo tells a test of its package: a build script that asks for such a thing, as ring's does, would be run anew, and
            // all that depends on it be built once more, here and by whoever builds next.
            let of_package = |name: &str| ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|of| name.starts_with(of));
            for (name, _) in env::vars_os().filter(|(name, _)| name.to_str().is_some_and(of_package)) {
                build.env_remove(name);
            }
            assert!(
                build.status().unwrap().success(),
                "`lockgate` does not build; the suites need it, or its path in LOCKGATE_BIN"
            );
        }
        let path = profile.join("lockgate");
        assert!(
            path.is_file(),
            "`{}` is missing: run `cargo build --workspace --bin lockgate`, or name one in LOCKGATE_BIN",
            path.display()
        );
        path
    })
}
