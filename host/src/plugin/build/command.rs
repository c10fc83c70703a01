//! Running the tools of the three languages.

use std::{
    env,
    ffi::OsStr,
    io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{Mutex, PoisonError},
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

use super::BuildError;
use crate::programs;

/// The tools of one build, which run one after the other and end with it.
#[derive(Debug, Default)]
pub(super) struct Tools(Mutex<Running>);

#[derive(Debug, Default)]
struct Running {
    /// The process group of the tool: a compiler starts others.
    group: Option<Pid>,
    stopped: bool,
}

/// A cargo that finds the crate's own toolchain file and configuration.
pub(super) fn cargo(crate_dir: &Path) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(crate_dir);
    // Set when lockgate itself runs under cargo, as in its tests: they would override the choice made here.
    for name in ["CARGO_BUILD_TARGET", "RUSTC", "RUSTFLAGS"] {
        cargo.env_remove(name);
    }
    cargo
}

impl Tools {
    /// Runs a command to its end and returns its standard output.
    pub(super) fn output(&self, command: &mut Command) -> Result<String, BuildError> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        programs::without_settings(command);
        let child = {
            let mut running = self.running();
            if running.stopped {
                return Err(BuildError::Stopped);
            }
            let child = command.spawn().map_err(|source| start_error(command, source))?;
            running.group = i32::try_from(child.id()).ok().map(Pid::from_raw);
            child
        };
        let output = child.wait_with_output();
        self.running().group = None;
        finished(command, output.map_err(|source| start_error(command, source))?)
    }

    /// Ends the tool that runs, with all that it has started; no other begins.
    pub(super) fn stop(&self) {
        let mut running = self.running();
        running.stopped = true;
        if let Some(group) = running.group {
            // Fails only when it has just ended by itself.
            let _ = killpg(group, Signal::SIGTERM);
        }
    }

    fn running(&self) -> std::sync::MutexGuard<'_, Running> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn finished(command: &Command, output: Output) -> Result<String, BuildError> {
    if !output.status.success() {
        return Err(BuildError::Command {
            command: command_line(command),
            status: output.status,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn start_error(command: &Command, source: io::Error) -> BuildError {
    let program = command.get_program().to_string_lossy().into_owned();
    match (program.as_str(), source.kind()) {
        ("cargo", io::ErrorKind::NotFound) => BuildError::NoCargo,
        ("node", io::ErrorKind::NotFound) => BuildError::NoNode,
        _ => BuildError::Start { program, source },
    }
}

fn command_line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    // A script in an argument is of no help to whoever reads the line.
    let shown = |word: &OsStr| word.to_string_lossy().lines().next().unwrap_or_default().to_owned();
    words.map(shown).collect::<Vec<_>>().join(" ")
}

/// A program on PATH.
pub(super) fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, thread, time::Instant};

    use super::*;

    #[test]
    fn a_tool_that_is_stopped_ends_with_what_it_has_started() {
        let (tools, begin) = (Arc::new(Tools::default()), Instant::now());
        let of_thread = Arc::clone(&tools);
        // The inner shell holds the pipe: reading it ends with the last of them.
        let work = thread::spawn(move || of_thread.output(Command::new("sh").args(["-c", "sh -c 'sleep 600; :'; :"])));
        while tools.running().group.is_none() {
            thread::yield_now();
        }
        tools.stop();
        assert!(work.join().unwrap().is_err());
        assert!(begin.elapsed().as_secs() < 60);
        assert!(matches!(tools.output(&mut Command::new("true")), Err(BuildError::Stopped)));
    }
}
