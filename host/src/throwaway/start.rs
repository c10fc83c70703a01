//! What every start of a server needs, wherever it runs.

use std::{
    io::PipeWriter,
    os::unix::process::CommandExt,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use uuid::Uuid;

use super::{DOING, OWNER, Pace, Server};
use crate::{
    error::{Error, Result},
    postgres::{Session, quote_ident, quote_literal},
    programs,
};

/// A first start initialises the data, and the machine may be busy.
const START_MAX: Duration = Duration::from_secs(120);

impl Pace {
    /// The server's settings, as words of its command line.
    pub(super) fn settings(self) -> &'static [&'static str] {
        match self {
            Self::Hasty => &["-c", "fsync=off", "-c", "full_page_writes=off"],
            Self::Real => &[],
        }
    }
}

impl Server {
    /// Waits until it answers, and makes the role that owns the databases. `failure` tells why it never will.
    pub(super) async fn prepare(self, failure: impl Fn() -> Option<String>) -> Result<Self> {
        let begin = Instant::now();
        let target = self.as_superuser("postgres");
        let admin = loop {
            match Session::connect(&target, "the test").await {
                Ok(session) => break session,
                Err(error) if begin.elapsed() > START_MAX => return Err(error),
                Err(_) => {}
            }
            if let Some(why) = failure() {
                return Err(Error::system(DOING, why));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let (owner, password) = (quote_ident(OWNER), quote_literal(&self.password));
        admin.batch(DOING, &format!("CREATE ROLE {owner} LOGIN CREATEDB PASSWORD {password}")).await?;
        Ok(self)
    }
}

/// Other users of the machine can reach the server, so it is not to be guessed. It holds what needs escaping in a URL, in SQL and
/// in a password file, so that every test is one of that, too.
pub(super) fn password() -> String {
    format!(r"hush:h\ush%40'{}", Uuid::now_v7().simple())
}

/// Starts a shell script that waits on its standard input for the end of this process, whatever brings it, and then cleans up.
pub(super) fn reaper(command: &mut Command) -> Result<PipeWriter> {
    let system = |e: std::io::Error| Error::system(DOING, e);
    let (reader, writer) = std::io::pipe().map_err(system)?;
    // A group of its own: what a terminal sends to this process must not end the reaper. It outlives this process, and whoever waits for the
    // end of what this one prints must not have to wait for it.
    command.stdin(reader).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    let mut child = programs::without_settings(command).spawn().map_err(system)?;
    // Nobody else would notice its early end.
    thread::spawn(move || child.wait());
    Ok(writer)
}
