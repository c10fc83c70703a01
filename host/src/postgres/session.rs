//! The one connection on which a run holds its lock and does its work.

use std::{future::poll_fn, sync::Arc, time::Duration};

use tokio_postgres::{AsyncMessage, CancelToken, Client, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;
use tracing::Instrument as _;

use super::{
    connect::{CONNECT_TIMEOUT, Target, TlsMode},
    handle::{Handle, db_error},
    lock::LockKey,
    quote_ident,
};
use crate::{
    error::{DbError, Error, ProgramError, Result},
    sql::{Origin, Script},
};

/// What the server said of itself when the session began.
#[derive(Debug, Clone)]
pub struct Server {
    /// `server_version_num`, such as 150018.
    pub version_num: i32,
    /// `server_version`, such as `15.18 (Debian 15.18-0+deb12u1)`.
    pub version: String,
    /// A standby, which cannot be written to.
    pub in_recovery: bool,
    /// `default_transaction_read_only`.
    pub read_only: bool,
    /// The role that logged in.
    pub login: String,
    /// The role that statements run as.
    pub user: String,
    /// Whether that role may do anything.
    pub superuser: bool,
    /// The TLS version, when the connection is encrypted.
    pub tls: Option<String>,
    /// Server clock minus ours, in milliseconds.
    pub clock_skew_ms: i64,
}

impl Server {
    /// 15 for 15.18.
    pub fn major(&self) -> u32 {
        u32::try_from(self.version_num / 10_000).unwrap_or(0)
    }
}

/// How long statements of a migration may wait and run. Zero: for ever.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// `lock_timeout`.
    pub lock: Duration,
    /// `statement_timeout`.
    pub statement: Duration,
}

/// What came of a commit.
#[derive(Debug)]
pub enum Committed {
    /// The server said so.
    Yes,
    /// The server refused and rolled back.
    No(Box<DbError>),
    /// The connection was lost before the answer came.
    Unknown,
}

/// What a migration may not touch, and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Broken {
    /// It ended the transaction: part of it is committed.
    Transaction,
    /// It hid an error of the server, which has given the transaction up.
    Aborted,
    /// It left another role behind.
    Role,
    /// It gave the host's lock away.
    Lock,
    /// The server would not say.
    Unknown(Box<DbError>),
}

impl Broken {
    /// Why the migration cannot be committed.
    pub fn what(&self) -> String {
        match self {
            Self::Transaction => "it ended the transaction that the host owns".into(),
            Self::Aborted => {
                "it hid an error that the server had reported, after which nothing can be committed".into()
            }
            Self::Role => "it left another role than the one that it was given".into(),
            Self::Lock => "it released the lock that the host holds".into(),
            Self::Unknown(error) => error.to_string(),
        }
    }
}

/// A connection, its settings and what is known of the server.
pub struct Session {
    handle: Handle,
    cancel: CancelToken,
    tls: MakeRustlsConnect,
    pub(super) target: Target,
    /// What the server said of itself.
    pub server: Server,
}

/// Settings that must not end a session that waits for a backup, and that end it when its client is gone. Those that the server
/// does not know are left out. Source: reliability measurements; PostgreSQL manual, "Client Connection Defaults".
const SETTINGS: &[(&str, &str)] = &[
    ("idle_session_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
    ("transaction_timeout", "0"),
    ("client_connection_check_interval", "1000"),
    ("statement_timeout", "0"),
    ("lock_timeout", "30000"),
    ("standard_conforming_strings", "on"),
    ("DateStyle", "ISO, YMD"),
];

impl Session {
    /// Connects and prepares the session: two round trips after the connection's own.
    ///
    /// # Errors
    /// [`Error::Unreachable`] with what to do about it.
    pub async fn connect(target: &Target, application_name: &str) -> Result<Self> {
        // The driver's own limit ends when the port has answered; what answers may be no server at all.
        match tokio::time::timeout(CONNECT_TIMEOUT * 2, Self::open(target, application_name)).await {
            Ok(session) => session,
            Err(_) => Err(Error::Unreachable {
                target: target.to_string(),
                cause: format!("no answer within {} s", (CONNECT_TIMEOUT * 2).as_secs()),
                next: "check that DB_HOST and DB_PORT name a PostgreSQL server".into(),
            }),
        }
    }

    async fn open(target: &Target, application_name: &str) -> Result<Self> {
        let tls = target.tls_connector()?;
        let (client, mut connection) =
            target.config(application_name).connect(tls.clone()).await.map_err(|e| unreachable(target, &e))?;
        let driver = async move {
            while let Some(message) = poll_fn(|cx| connection.poll_message(cx)).await {
                match message {
                    Ok(AsyncMessage::Notice(notice)) => {
                        tracing::info!(severity = notice.severity(), "server: {}", notice.message());
                    }
                    Ok(_) => {}
                    Err(error) => {
                        tracing::debug!(%error, "the connection ended");
                        break;
                    }
                }
            }
        };
        tokio::spawn(driver.in_current_span());
        let server = prepare(&client).await.map_err(|e| unreachable(target, &e))?;
        let cancel = client.cancel_token();
        Ok(Self { handle: Handle { client: Arc::new(client) }, cancel, tls, target: target.clone(), server })
    }

    /// For programs and for the host's own statements with parameters.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The driver's client, for the rest of `postgres/`.
    pub(super) fn client(&self) -> &Client {
        &self.handle.client
    }

    /// Runs the host's own SQL, one or more statements without parameters, in one round trip.
    pub async fn batch(&self, doing: &str, sql: &str) -> Result<()> {
        self.client().batch_execute(sql).await.map_err(|e| Error::database(doing, db_error(&e)))
    }

    /// Runs SQL of one or more statements without parameters, and returns the rows of all of them as text; `None` is NULL.
    pub async fn texts(&self, doing: &str, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
        let messages = self.client().simple_query(sql).await.map_err(|e| Error::database(doing, db_error(&e)))?;
        let texts = |message| match message {
            SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|i| row.get(i).map(str::to_owned)).collect()),
            _ => None,
        };
        Ok(messages.into_iter().filter_map(texts).collect())
    }

    /// Begins a migration's transaction and returns its id, which must be the same at the end.
    pub async fn begin(&self, timeouts: Timeouts) -> Result<String> {
        let sql = format!(
            "BEGIN; SET LOCAL lock_timeout = {}; SET LOCAL statement_timeout = {}; SET LOCAL synchronous_commit = on",
            timeouts.lock.as_millis(),
            timeouts.statement.as_millis(),
        );
        self.batch("beginning a transaction", &sql).await?;
        let row = self.client().query_one("SELECT pg_current_xact_id()::text", &[]).await;
        row.map(|row| row.get(0)).map_err(|e| Error::database("beginning a transaction", db_error(&e)))
    }

    /// Runs something that must not write, in a transaction of its own.
    pub async fn read_only<T>(&self, timeouts: Timeouts, work: impl AsyncFnOnce(&Handle) -> T) -> Result<T> {
        let sql = format!(
            "BEGIN READ ONLY; SET LOCAL lock_timeout = {}; SET LOCAL statement_timeout = {}",
            timeouts.lock.as_millis(),
            timeouts.statement.as_millis()
        );
        self.batch("beginning a read-only transaction", &sql).await?;
        let result = self.guarded(work).await;
        self.abort().await?;
        result
    }

    /// Runs something that must not write within the open transaction; whatever it did is undone, and the transaction can be
    /// written to again.
    ///
    /// The subtransaction is what makes it safe: PostgreSQL refuses to leave read-only mode inside one.
    pub async fn guarded<T>(&self, work: impl AsyncFnOnce(&Handle) -> T) -> Result<T> {
        const DOING: &str = "guarding a check";
        self.batch(DOING, "SAVEPOINT lockgate_guard; SET LOCAL transaction_read_only = on").await?;
        let result = work(&self.handle).await;
        self.undo(DOING, "ROLLBACK TO SAVEPOINT lockgate_guard; RELEASE SAVEPOINT lockgate_guard").await?;
        Ok(result)
    }

    /// Runs a script within the open transaction: a file whole, a component's SQL one statement a message.
    pub async fn run_script(&self, script: &Script) -> Result<(), ProgramError> {
        match script.origin {
            Origin::File(_) | Origin::History(_) => {
                self.client().batch_execute(script.text()).await.map_err(|e| script.error(0, db_error(&e)))
            }
            Origin::Plugin => {
                for (statement, sql) in script.statements() {
                    self.handle.execute(sql, &[]).await.map_err(|error| script.error(statement.start(), error))?;
                }
                Ok(())
            }
        }
    }

    /// Runs what was deferred to the commit, so that it fails now, before the verification, and not after it.
    ///
    /// # Errors
    /// What the server said; the migration is at fault.
    pub async fn settle(&self) -> Result<(), ProgramError> {
        self.client().batch_execute("SET CONSTRAINTS ALL IMMEDIATE").await.map_err(|e| db_error(&e).into())
    }

    /// Looks whether the transaction, the lock and the role are still the ones that the host set up.
    ///
    /// # Errors
    /// What is not as it was: the migration is at fault and must be rolled back.
    pub async fn check_unbroken(&self, transaction_id: &str, lock: LockKey) -> Result<(), Broken> {
        // Every name with its schema: the migration may have changed the search path.
        let sql = "SELECT pg_catalog.pg_current_xact_id_if_assigned()::pg_catalog.text,
                          session_user::pg_catalog.text OPERATOR(pg_catalog.||) ' ' OPERATOR(pg_catalog.||) current_user::pg_catalog.text,
                          EXISTS (SELECT FROM pg_catalog.pg_locks
                                  WHERE locktype OPERATOR(pg_catalog.=) 'advisory' AND classid OPERATOR(pg_catalog.=) $1
                                    AND objid OPERATOR(pg_catalog.=) $2 AND objsubid OPERATOR(pg_catalog.=) 2
                                    AND pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid() AND granted)";
        let row = match self.client().query_one(sql, &[&lock.class(), &lock.object()]).await.map_err(|e| db_error(&e)) {
            Ok(row) => row,
            Err(error) if error.is("25P02") => return Err(Broken::Aborted),
            Err(error) => return Err(Broken::Unknown(Box::new(error))),
        };
        if row.get::<_, Option<&str>>(0) != Some(transaction_id) {
            return Err(Broken::Transaction);
        }
        if row.get::<_, &str>(1) != format!("{} {}", self.server.login, self.server.user) {
            return Err(Broken::Role);
        }
        if row.get::<_, bool>(2) { Ok(()) } else { Err(Broken::Lock) }
    }

    /// Commits, and tells a refusal from a lost answer.
    pub async fn commit(&self) -> Committed {
        match self.client().batch_execute("COMMIT").await {
            Ok(()) => {
                // What one migration has set for the session must not reach the next, nor the journal.
                let sql = format!("RESET ALL; {}", settings_sql());
                if let Err(error) = self.batch("resetting the session", &sql).await {
                    tracing::warn!(%error, "the session could not be reset");
                }
                Committed::Yes
            }
            Err(error) => match db_error(&error) {
                error if error.sqlstate.is_none() || error.connection_lost => Committed::Unknown,
                error => Committed::No(Box::new(error)),
            },
        }
    }

    /// Rolls back, whatever the session is doing.
    pub async fn abort(&self) -> Result<()> {
        self.undo("rolling back", "ROLLBACK").await
    }

    /// Undoes work that may have been cut off: a statement that still runs is cancelled first.
    async fn undo(&self, doing: &str, sql: &str) -> Result<()> {
        let failed = |e: tokio_postgres::Error| Error::database(doing, db_error(&e));
        let undo = self.client().batch_execute(sql);
        let mut undo = std::pin::pin!(undo);
        // Only a statement that was cut off keeps the server busy for so long; an idle server answers at once.
        if let Ok(result) = tokio::time::timeout(Duration::from_millis(100), &mut undo).await {
            return result.map_err(failed);
        }
        if let Err(error) = self.cancel.cancel_query(self.tls.clone()).await {
            tracing::warn!(%error, "could not cancel the statement");
        }
        match undo.await {
            Ok(()) => Ok(()),
            // The cancellation may hit the undoing itself.
            Err(_) if !self.is_closed() => self.batch(doing, sql).await,
            Err(error) => Err(failed(error)),
        }
    }

    /// True once the connection is gone.
    pub fn is_closed(&self) -> bool {
        self.client().is_closed()
    }
}

/// Reading pg_settings by name leaves out what this server's version does not have.
fn settings_sql() -> String {
    let values: Vec<String> = SETTINGS.iter().map(|(name, value)| format!("('{name}', '{value}')")).collect();
    format!(
        "SELECT pg_catalog.set_config(s.name, v.value, false) FROM (VALUES {}) AS v (name, value)
         JOIN pg_catalog.pg_settings s ON s.name OPERATOR(pg_catalog.=) v.name",
        values.join(", ")
    )
}

async fn prepare(client: &Client) -> Result<Server, tokio_postgres::Error> {
    client.batch_execute(&settings_sql()).await?;
    let sent = jiff::Timestamp::now();
    let row = client
        .query_one(
            "SELECT current_setting('server_version_num')::int4, current_setting('server_version'), pg_is_in_recovery(),
                    current_setting('default_transaction_read_only')::bool, current_user::text,
                    (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user), session_user::text,
                    (SELECT version FROM pg_catalog.pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl),
                    (extract(epoch FROM clock_timestamp()) * 1000)::int8",
            &[],
        )
        .await?;
    // The server read its clock about halfway between the question and the answer.
    let midway_ms = i64::midpoint(sent.as_millisecond(), jiff::Timestamp::now().as_millisecond());
    Ok(Server {
        version_num: row.get(0),
        version: row.get(1),
        in_recovery: row.get(2),
        read_only: row.get(3),
        user: row.get(4),
        superuser: row.get(5),
        login: row.get(6),
        tls: row.get(7),
        clock_skew_ms: row.get::<_, i64>(8) - midway_ms,
    })
}

fn unreachable(target: &Target, error: &tokio_postgres::Error) -> Error {
    let error = db_error(error);
    let next = match error.sqlstate.as_deref() {
        Some("28P01") if target.effective_password().is_none() => "set DB_PASSWORD".to_owned(),
        Some("28P01") => "check DB_USER and DB_PASSWORD".to_owned(),
        Some("28000") => "check DB_USER, and the server's `pg_hba.conf`".to_owned(),
        Some("3D000") => format!("create it (`CREATE DATABASE`), or check DB_NAME, now `{}`", target.database),
        Some("55000") if error.message.contains("not currently accepting connections") => {
            format!(
                "run `ALTER DATABASE {} ALLOW_CONNECTIONS true` from another database",
                quote_ident(&target.database)
            )
        }
        Some("53300") => "raise `max_connections`, or end idle sessions".to_owned(),
        _ if error.message.contains("password missing") => "set DB_PASSWORD".to_owned(),
        _ if error.message.contains("TLS") && target.tls != TlsMode::Disable => {
            "check DB_SSL_MODE: `prefer` also takes a server without TLS".to_owned()
        }
        _ => "check DB_HOST and DB_PORT, and that the server runs".to_owned(),
    };
    Error::Unreachable { target: target.to_string(), cause: error.to_string(), next }
}
