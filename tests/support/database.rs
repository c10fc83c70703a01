//! One server for all scenarios: a container, or this machine's own programs. It ends with this process, however that ends.

mod container;
mod embedded;

use std::{
    env,
    fmt::Write as _,
    io::PipeWriter,
    os::unix::process::CommandExt,
    process::{Command, Stdio},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

/// The role that owns the databases: no superuser, as it should be in production.
pub(crate) const OWNER: &str = "lockgate_owner";
/// Everybody's password, with what needs escaping in a URL and in a password file.
pub(crate) const PASSWORD: &str = r"hush:h\ush%40'1";
/// The role of the server's operator.
pub(crate) const SUPERUSER: &str = "postgres";

/// A server that accepts connections.
pub(crate) struct Server {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Whether it runs in a container.
    pub(crate) in_container: bool,
    /// When this end of the pipe closes, the reaper at the other end ends the server.
    _life_line: PipeWriter,
}

/// The server, started by the first scenario.
pub(crate) fn server() -> &'static Server {
    static SERVER: OnceLock<Result<Server, String>> = OnceLock::new();
    let started = SERVER.get_or_init(|| {
        // A runtime of its own: the one of the test that comes first ends with that test.
        let start = || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
            runtime.block_on(async {
                let server = match env::var("LOCKGATE_TEST_DATABASE").as_deref() {
                    Err(_) | Ok("container") => container::start().await?,
                    Ok("embedded") => embedded::start()?,
                    Ok(other) => {
                        return Err(format!("LOCKGATE_TEST_DATABASE is `{other}`, neither container nor embedded"));
                    }
                };
                prepare(&server).await?;
                Ok(server)
            })
        };
        thread::spawn(start).join().unwrap_or_else(|_| Err("starting it panicked".to_owned()))
    });
    started.as_ref().unwrap_or_else(|error| panic!("there is no server to test with: {error}"))
}

/// Waits until the server answers, and makes the role that owns the databases.
async fn prepare(server: &Server) -> Result<(), String> {
    let begin = Instant::now();
    let admin = loop {
        match Session::open(server, "postgres", SUPERUSER).await {
            Ok(session) => break session,
            Err(error) if begin.elapsed() > Duration::from_secs(120) => return Err(error.to_string()),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    let sql = format!("CREATE ROLE {OWNER} LOGIN CREATEDB PASSWORD {}", literal(PASSWORD));
    admin.client.batch_execute(&sql).await.map_err(|e| e.to_string())
}

/// Starts a shell script that waits on its standard input for the end of this process, whatever brings it, and then cleans up.
fn reaper(command: &mut Command) -> Result<PipeWriter, String> {
    let (reader, writer) = std::io::pipe().map_err(|e| e.to_string())?;
    // A group of its own: what a terminal sends to this process must not end the reaper.
    command.stdin(reader).stdout(Stdio::null()).process_group(0);
    let mut child = command.spawn().map_err(|e| e.to_string())?;
    // Nobody else would notice its early end.
    thread::spawn(move || child.wait());
    Ok(writer)
}

pub(crate) fn literal(text: &str) -> String {
    // E'' because a backslash in it must be one whatever the server's settings.
    format!("E'{}'", text.replace('\\', r"\\").replace('\'', "''"))
}

/// A connection of the test's own.
pub struct Session {
    client: Client,
}

impl Session {
    pub(crate) async fn open(server: &Server, database: &str, user: &str) -> Result<Self, tokio_postgres::Error> {
        let mut config = tokio_postgres::Config::new();
        config.host(&server.host).port(server.port).dbname(database).user(user).password(PASSWORD);
        config.application_name("the test").connect_timeout(Duration::from_secs(10));
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(Self { client })
    }

    /// Runs statements and returns the rows of all of them, the columns joined by `|`, NULL as nothing.
    pub async fn lines(&self, sql: &str) -> Vec<String> {
        self.try_lines(sql).await.unwrap_or_else(|error| panic!("{error}\nin: {sql}"))
    }

    /// The same; what the server says against it, as `SQLSTATE: message`.
    ///
    /// # Errors
    /// When a statement fails.
    pub async fn try_lines(&self, sql: &str) -> Result<Vec<String>, String> {
        let messages = self.client.simple_query(sql).await.map_err(|error| match error.as_db_error() {
            Some(db) => format!("{}: {}", db.code().code(), db.message()),
            None => error.to_string(),
        })?;
        let line = |message| match message {
            SimpleQueryMessage::Row(row) => {
                let mut line = String::new();
                for i in 0..row.len() {
                    let _ = write!(line, "{}{}", if i == 0 { "" } else { "|" }, row.get(i).unwrap_or(""));
                }
                Some(line)
            }
            _ => None,
        };
        Ok(messages.into_iter().filter_map(line).collect())
    }

    /// The only value of the only row.
    pub async fn value(&self, sql: &str) -> String {
        let mut lines = self.lines(sql).await;
        assert_eq!(lines.len(), 1, "one row from: {sql}");
        lines.remove(0)
    }
}
