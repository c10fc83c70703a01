//! Running the tools of the three languages.

use std::{
    env,
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::BuildError;

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

/// Runs a command to its end and returns its standard output.
pub(super) fn output(command: &mut Command) -> Result<String, BuildError> {
    let output = command.stdin(Stdio::null()).output().map_err(|source| start_error(command, source))?;
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
