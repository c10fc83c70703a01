//! A throwaway server: a container, or this machine's own programs. It ends with this process, however that ends.

#[cfg(feature = "containers")]
mod container;
#[cfg(feature = "embedded")]
mod embedded;
#[cfg(any(feature = "containers", feature = "embedded"))]
mod start;

use std::{
    env,
    io::PipeWriter,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    thread,
};

use crate::{
    error::{Error, Result},
    postgres::{Secret, Target},
};

/// Where it runs, when set: `container` or `embedded`.
pub const CHOICE: &str = "LOCKGATE_TEST_DATABASE";

/// The image of tests, when `LOCKGATE_TEST_IMAGE` names no other.
const IMAGE: &str = "postgres:17";

/// The role that owns the databases: no superuser, as it should be in production.
pub const OWNER: &str = "lockgate_owner";
/// The role of the server's operator.
pub const SUPERUSER: &str = "postgres";

/// What is done, in errors.
const DOING: &str = "starting a throwaway server";

/// How a server treats its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Nothing of it outlives its use, so nothing need reach the disk.
    Hasty,
    /// As a server that is to be relied on: what is measured on it is what such a server takes.
    Real,
}

/// A server that accepts connections.
#[derive(Debug)]
pub struct Server {
    host: String,
    port: u16,
    password: String,
    in_container: bool,
    /// When this end of the pipe closes, the reaper at the other end ends the server.
    _life_line: PipeWriter,
}

impl Server {
    /// The one of this process, started by the first who asks. `LOCKGATE_TEST_DATABASE` says where it runs; without it, in a
    /// container if Docker answers, else from this machine's PostgreSQL programs.
    ///
    /// # Errors
    /// Why there is none; the same for everybody who asks.
    pub fn shared() -> Result<Arc<Self>> {
        static SERVER: OnceLock<Result<Arc<Server>>> = OnceLock::new();
        SERVER.get_or_init(|| on_its_own_runtime(Self::choose).map(Arc::new)).clone()
    }

    /// One of the caller's own from this machine's PostgreSQL programs, which are looked for in `pg_bin` only, if given.
    ///
    /// # Errors
    /// When the programs are missing or do not work.
    #[cfg(feature = "embedded")]
    pub async fn embedded(pg_bin: Option<&Path>, pace: Pace) -> Result<Self> {
        let (server, failed) = embedded::start(pg_bin, start::password(), pace)?;
        server.prepare(|| embedded::failure(&failed)).await
    }

    /// None in this build.
    ///
    /// # Errors
    /// Always.
    #[cfg(not(feature = "embedded"))]
    #[allow(clippy::unused_async)]
    pub async fn embedded(_: Option<&Path>, _: Pace) -> Result<Self> {
        Err(Error::configuration(
            "this build of lockgate cannot start servers of its own",
            "build it with the feature `embedded`, or name a server",
        ))
    }

    /// True for a container, false for this machine's own programs.
    pub fn in_container(&self) -> bool {
        self.in_container
    }

    /// A database of it, as a superuser.
    pub fn as_superuser(&self, database: &str) -> Target {
        self.target(database, SUPERUSER)
    }

    /// A database of it, as the role that owns the databases: it may log in and make databases, and is no superuser.
    pub fn as_owner(&self, database: &str) -> Target {
        self.target(database, OWNER)
    }

    fn target(&self, database: &str, user: &str) -> Target {
        Target::of_ours(&self.host, self.port, database, user, Secret::new(&self.password))
    }

    async fn choose() -> Result<Self> {
        let pg_bin = env::var_os("LOCKGATE_PG_BIN").map(PathBuf::from);
        match env::var(CHOICE).as_deref() {
            Ok("container") => Self::container(Pace::Hasty, IMAGE).await,
            Ok("embedded") => Self::embedded(pg_bin.as_deref(), Pace::Hasty).await,
            Ok(other) => Err(Error::configuration(
                format!("{CHOICE} is `{other}`, neither container nor embedded"),
                "set it to one of them, or unset it",
            )),
            Err(_) if docker_answers().await => Self::container(Pace::Hasty, IMAGE).await,
            Err(_) => Self::embedded(pg_bin.as_deref(), Pace::Hasty).await,
        }
    }

    /// One of the caller's own in a container: of the image that `LOCKGATE_TEST_IMAGE` names, else of this one.
    ///
    /// # Errors
    /// When Docker does not answer, or the image cannot be had.
    #[cfg(feature = "containers")]
    pub async fn container(pace: Pace, image: &str) -> Result<Self> {
        container::start(start::password(), pace, image).await?.prepare(|| None).await
    }

    /// None in this build.
    ///
    /// # Errors
    /// Always.
    #[cfg(not(feature = "containers"))]
    #[allow(clippy::unused_async)]
    pub async fn container(_: Pace, _: &str) -> Result<Self> {
        Err(Error::configuration(
            "this build of lockgate cannot start containers",
            "build it with the feature `containers`, or use an embedded server",
        ))
    }
}

#[cfg(feature = "containers")]
async fn docker_answers() -> bool {
    container::docker_answers().await
}

#[cfg(not(feature = "containers"))]
#[allow(clippy::unused_async)]
async fn docker_answers() -> bool {
    false
}

/// A runtime of its own: the one of the test that comes first ends with that test.
fn on_its_own_runtime<T: Send, F: Future<Output = Result<T>>>(work: impl FnOnce() -> F + Send) -> Result<T> {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|e| Error::system(DOING, e))?.block_on(work())
    };
    thread::scope(|scope| scope.spawn(run).join()).unwrap_or_else(|_| Err(Error::system(DOING, "it panicked")))
}
