//! A password, and where it comes from: a setting, a file, a command. It is read when the first connection needs it, once.

use std::{
    fmt,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use super::password_command::{self as command, Running};
use crate::{
    error::{Error, Result},
    files::{self, Others},
    postgres::passfile,
};

/// A text that never prints.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// For the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// No password is as long; a whole file may have been named by mistake.
const FILE_MAX_BYTES: u64 = 64 * 1024;
/// A password that may still have to be read. Clones read it together.
#[derive(Debug, Clone)]
pub struct Password {
    origin: Origin,
    /// The setting that names it.
    setting: &'static str,
    read: Arc<OnceLock<Result<Secret>>>,
    /// The command, while it runs.
    running: Arc<Running>,
}

#[derive(Debug, Clone)]
enum Origin {
    Given,
    File(PathBuf),
    Command(String),
}

impl Password {
    /// One that is known.
    pub fn given(secret: Secret) -> Self {
        Self { origin: Origin::Given, setting: "", read: Arc::new(OnceLock::from(Ok(secret))), running: Arc::default() }
    }

    /// The one that is all of a file, without the end of its line.
    pub fn in_file(path: impl Into<PathBuf>, setting: &'static str) -> Self {
        Self { origin: Origin::File(path.into()), setting, read: Arc::default(), running: Arc::default() }
    }

    /// The one that a shell command prints.
    pub fn by_command(command: impl Into<String>, setting: &'static str) -> Self {
        Self { origin: Origin::Command(command.into()), setting, read: Arc::default(), running: Arc::default() }
    }

    /// The one that was given, unless it is in a file or behind a command.
    pub fn as_given(&self) -> Option<&Secret> {
        matches!(self.origin, Origin::Given).then(|| self.read.get()?.as_ref().ok()).flatten()
    }

    /// Reads it, unless that was done. It may take as long as the command.
    ///
    /// # Errors
    /// [`Error::Configuration`], naming the setting.
    pub fn read(&self) -> Result<Secret> {
        self.read
            .get_or_init(|| {
                let (text, next) = match &self.origin {
                    Origin::Given => return Ok(Secret::new("")),
                    Origin::File(path) => (
                        from_file(path, self.setting),
                        "put the password alone into the file, for yourself only (`chmod 600`)",
                    ),
                    Origin::Command(command) => (
                        self.printed_by(command),
                        "run the command by hand: it prints the password, and nothing else, on one line",
                    ),
                };
                text.map(Secret::new).map_err(|why| Error::configuration(format!("{}: {why}", self.setting), next))
            })
            .clone()
    }

    /// The same beside the runtime's own threads, which nothing may keep waiting.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub(super) async fn read_aside(&self) -> Result<Secret> {
        if let Some(read) = self.read.get() {
            return read.clone();
        }
        let password = self.clone();
        // A run that is stopped meanwhile leaves no command behind that still asks for a key.
        let _ends_with_us = EndsWithUs(Arc::clone(&self.running));
        let read = tokio::task::spawn_blocking(move || password.read()).await;
        read.map_err(|e| Error::system("reading the password", e))?
    }
}

impl Password {
    fn printed_by(&self, command: &str) -> Result<String, String> {
        let bytes = command::output(command, command::Limits::default(), &self.running)?;
        one_line(bytes).map_err(|why| format!("what the command printed {why}"))
    }
}

/// Ends the command when nobody waits for it any more.
struct EndsWithUs(Arc<Running>);

impl Drop for EndsWithUs {
    fn drop(&mut self) {
        self.0.end();
    }
}

fn from_file(path: &Path, setting: &'static str) -> Result<String, String> {
    let shown = path.display();
    let bytes = files::read(path, FILE_MAX_BYTES, setting).map_err(|why| format!("`{shown}`: {why}"))?;
    let file = path.metadata().map_err(|e| format!("`{shown}`: {e}"))?;
    match Others::of(&file) {
        Others::Nothing => {}
        // Not refused: Docker and Kubernetes mount secrets so, where nobody else is.
        Others::Read => {
            tracing::warn!(path = %shown, setting, "others may read the password file; `chmod 600` it unless it is a container's own");
        }
        Others::Write => {
            let mode = file.permissions().mode() & 0o7777;
            return Err(format!("`{shown}` is not used: others may write to it (mode {mode:04o})"));
        }
    }
    one_line(bytes).map_err(|why| format!("`{shown}` {why}"))
}

/// The text of the only line.
fn one_line(bytes: Vec<u8>) -> Result<String, &'static str> {
    let text = String::from_utf8(bytes).map_err(|_| "is not UTF-8")?;
    let line = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    if line.is_empty() {
        return Err("is empty");
    }
    passfile::fits(line)?;
    Ok(line.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};

    use super::*;

    #[test]
    fn a_file_is_read_once_and_without_the_end_of_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        fs::write(&path, " hush \r\n").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let password = Password::in_file(&path, "DB_PASSWORD_FILE");
        assert!(password.as_given().is_none());
        assert_eq!(password.read().unwrap().reveal(), " hush ");
        fs::remove_file(&path).unwrap();
        assert_eq!(password.clone().read().unwrap().reveal(), " hush ");
        assert!(!format!("{password:?}").contains("hush"));
    }

    #[test]
    fn a_file_that_others_may_write_to_is_refused_and_one_that_they_may_read_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        fs::write(&path, "hush").unwrap();
        for (mode, refused) in [(0o666, true), (0o620, true), (0o444, false), (0o640, false), (0o400, false)] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let read = Password::in_file(&path, "DB_PASSWORD_FILE").read();
            assert_eq!(read.is_err(), refused, "{mode:o}");
            if let Err(error) = read {
                let text = error.report().to_string();
                assert!(
                    text.contains("DB_PASSWORD_FILE") && text.contains("others may write") && !text.contains("hush"),
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn a_command_prints_it_or_is_told_without_what_it_printed() {
        let read = |command: &str| Password::by_command(command, "password_command").read();
        assert_eq!(read("printf 'hu'; echo sh").unwrap().reveal(), "hush");
        for (command, why) in
            [("echo hush; exit 3", "exit status: 3"), ("true", "is empty"), ("printf 'hush\\nx'", "more than one line")]
        {
            let text = read(command).unwrap_err().report().to_string();
            assert!(text.contains("password_command") && text.contains(why) && !text.contains("hush"), "{text}");
        }
    }
}
