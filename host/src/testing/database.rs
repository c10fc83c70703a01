//! A fresh database for one test.

use std::{
    env,
    fs::File,
    io::Write,
    path::Path,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
};

use uuid::Uuid;

use super::{Connection, Result, Server, State, trial};
use crate::{
    backup,
    config::Config,
    error::Error,
    migration::Version,
    postgres::{Secret, Session, Target, quote_ident},
    runner::{self, Outcome},
};

/// A file that gets a line for every database made in a container, so that a pipeline can tell that some were.
const RECORD: &str = "LOCKGATE_TEST_RECORD";

/// An empty database of a throwaway server, owned by a role that is no superuser. It is dropped with the value.
#[derive(Debug)]
pub struct Database {
    server: Arc<Server>,
    name: String,
}

impl Database {
    /// A database of this process's server, which the first call starts: see [`Server::shared`].
    ///
    /// # Errors
    /// When there is no server, or it makes no database.
    pub async fn start() -> Result<Self> {
        Self::named("trial").await
    }

    /// The same with a name by which it is known in the server's log; a number is added to it.
    ///
    /// # Errors
    /// As [`Database::start`].
    pub async fn named(name: &str) -> Result<Self> {
        Self::on(Server::shared()?, name).await
    }

    /// The same on a server of the caller's choice.
    ///
    /// # Errors
    /// When the server makes no database.
    pub async fn on(server: Arc<Server>, name: &str) -> Result<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let database =
            Self { name: format!("{name}_{}", COUNT.fetch_add(1, Ordering::Relaxed)), server: Arc::clone(&server) };
        let admin = Session::connect(&server.as_superuser("postgres"), "the test").await?;
        let (quoted, owner) = (quote_ident(&database.name), quote_ident(crate::throwaway::OWNER));
        admin.batch("making a database to test with", &format!("CREATE DATABASE {quoted} OWNER {owner}")).await?;
        if let Some(record) = env::var_os(RECORD).filter(|_| server.in_container()) {
            File::options()
                .create(true)
                .append(true)
                .open(record)
                .and_then(|mut file| file.write_all(format!("{name}\n").as_bytes()))
                .map_err(|e| Error::system(format!("writing {RECORD}"), e))?;
        }
        Ok(database)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The server that it is on.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// How its owner reaches it.
    pub fn target(&self) -> Target {
        self.server.as_owner(&self.name)
    }

    /// How its owner reaches it, as a URL with the password in it.
    pub fn url(&self) -> String {
        let target = self.target();
        let Target { database, user, .. } = &target;
        let host = target.host();
        let password = target.given_password().map_or("", Secret::reveal);
        let password: String = password.bytes().map(|byte| format!("%{byte:02X}")).collect();
        format!("postgres://{user}:{password}@{host}/{database}")
    }

    /// A connection as its owner.
    ///
    /// # Errors
    /// When the server refuses it.
    pub async fn connect(&self) -> Result<Connection> {
        Connection::open(&self.target()).await
    }

    /// A connection as a superuser.
    ///
    /// # Errors
    /// When the server refuses it.
    pub async fn connect_as_superuser(&self) -> Result<Connection> {
        Connection::open(&self.server.as_superuser(&self.name)).await
    }

    /// Runs statements as the owner, in one transaction unless they hold their own.
    ///
    /// # Errors
    /// What the server said.
    pub async fn run(&self, sql: &str) -> Result<()> {
        self.connect().await?.run(sql).await
    }

    /// The rows of all the statements, read as the owner; each value as text, NULL as `NULL`.
    ///
    /// # Errors
    /// What the server said.
    pub async fn rows(&self, sql: &str) -> Result<Vec<Vec<String>>> {
        self.connect().await?.rows(sql).await
    }

    /// Applies the migrations of a folder, up to and including a version, as `lockgate up --no-backup` does.
    ///
    /// # Errors
    /// The first that stops the run.
    pub async fn migrate_from(&self, folder: impl AsRef<Path>, to: Option<&str>) -> Result<Outcome> {
        self.migrate(&trial::config(self.target(), folder.as_ref()), to).await
    }

    /// The same with a project's settings, of which only the database and its backups are left out.
    ///
    /// # Errors
    /// The first that stops the run.
    pub async fn migrate(&self, project: &Config, to: Option<&str>) -> Result<Outcome> {
        let to = to.map(|text| {
            Version::parse(text).ok_or_else(|| {
                Error::configuration(format!("`{text}` is no version"), "a version is digits only, such as 001")
            })
        });
        let config = Config {
            target: self.target(),
            schema: trial::SCHEMA.into(),
            backup: backup::Settings::none(),
            throwaway: true,
            ..project.clone()
        };
        Ok(runner::up(&config, Uuid::now_v7(), to.transpose()?.as_ref()).await?)
    }

    /// Everything in it: objects, rows, settings, history.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn state(&self) -> Result<State> {
        State::read(&self.connect_as_superuser().await?).await
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        janitor(Arc::clone(&self.server), self.name.clone());
    }
}

/// Drops databases, one after the other, without keeping anybody waiting. What is left at the end of the process goes with the
/// server.
fn janitor(server: Arc<Server>, database: String) {
    static JANITOR: OnceLock<mpsc::Sender<(Arc<Server>, String)>> = OnceLock::new();
    let janitor = JANITOR.get_or_init(|| {
        let (sender, receiver) = mpsc::channel::<(Arc<Server>, String)>();
        thread::spawn(move || {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
            for (server, database) in receiver {
                let drop_it = async {
                    let admin = Session::connect(&server.as_superuser("postgres"), "the test").await?;
                    let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quote_ident(&database));
                    admin.batch("dropping a database", &sql).await
                };
                if let Err(error) = runtime.block_on(drop_it) {
                    tracing::debug!(%error, "a database of a test was not dropped");
                }
            }
        });
        sender
    });
    // Without a janitor it goes with the server.
    let _ = janitor.send((server, database));
}
