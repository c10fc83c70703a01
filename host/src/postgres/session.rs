//! The one connection on which a run holds its lock and does its work.

use std::{future::poll_fn, sync::Arc, time::Duration};

use tokio_postgres::{AsyncMessage, CancelToken, Client};
use tokio_postgres_rustls::MakeRustlsConnect;
use tracing::Instrument as _;

use super::{
    connect::{Target, TlsMode},
    handle::{Handle, db_error},
    lock::LockKey,
};
use crate::{
    error::{Cause, DbError, Error, ProgramError, Result},
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
    /// The role that statements run as.
    pub user: String,
    /// Whether that role may do anything.
    pub superuser: bool,
    /// The process that serves the session.
    pub backend_pid: i32,
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

/// A connection, its settings and what is known of the server.
pub struct Session {
    handle: Handle,
    cancel: CancelToken,
    tls: MakeRustlsConnect,
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
    ("standard_conforming_strings", "on"),
    ("DateStyle", "ISO, YMD"),
];

impl Session {
    /// Connects and prepares the session: two round trips after the connection's own.
    ///
    /// # Errors
    /// [`Error::Unreachable`] with what to do about it.
    pub async fn connect(target: &Target, application_name: &str) -> Result<Self> {
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
        Ok(Self { handle: Handle { client: Arc::new(client) }, cancel, tls, server })
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
        let sql = format!("BEGIN READ ONLY; SET LOCAL statement_timeout = {}", timeouts.statement.as_millis());
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
        self.batch(DOING, "ROLLBACK TO SAVEPOINT lockgate_guard; RELEASE SAVEPOINT lockgate_guard").await?;
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

    /// Looks whether the transaction, the lock and the role are still the ones that the host set up.
    ///
    /// # Errors
    /// What is not as it was: the migration is at fault and must be rolled back.
    pub async fn check_unbroken(&self, transaction_id: &str, lock: LockKey) -> Result<(), ProgramError> {
        let sql = "SELECT pg_current_xact_id_if_assigned()::text, current_user::text, EXISTS (
                       SELECT FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND classid = $1 AND objid = $2
                       AND objsubid = 2 AND pid = pg_backend_pid() AND granted)";
        let row = self.client().query_one(sql, &[&lock.class(), &lock.object()]).await;
        let row = row.map_err(|e| ProgramError::from(db_error(&e)))?;
        let broken = |text: String| Err(ProgramError { at: None, cause: Cause::Script(text) });
        if row.get::<_, Option<&str>>(0) != Some(transaction_id) {
            return broken("the migration ended the transaction that the host began".into());
        }
        if row.get::<_, &str>(1) != self.server.user {
            return broken(format!("the migration left the role as `{}`", row.get::<_, &str>(1)));
        }
        if !row.get::<_, bool>(2) {
            return broken("the migration released the lock that the host holds".into());
        }
        Ok(())
    }

    /// Commits, and tells a refusal from a lost answer.
    pub async fn commit(&self) -> Committed {
        match self.client().batch_execute("COMMIT").await {
            Ok(()) => Committed::Yes,
            Err(error) => match db_error(&error) {
                error if error.sqlstate.is_none() || error.connection_lost => Committed::Unknown,
                error => Committed::No(Box::new(error)),
            },
        }
    }

    /// Rolls back, whatever the session is doing: a statement that still runs is cancelled first.
    pub async fn abort(&self) -> Result<()> {
        const DOING: &str = "rolling back";
        let rollback = self.client().batch_execute("ROLLBACK");
        let mut rollback = std::pin::pin!(rollback);
        // Only a statement that was cut off keeps the server busy for so long; an idle server answers at once.
        if let Ok(result) = tokio::time::timeout(Duration::from_millis(100), &mut rollback).await {
            return result.map_err(|e| Error::database(DOING, db_error(&e)));
        }
        if let Err(error) = self.cancel.cancel_query(self.tls.clone()).await {
            tracing::warn!(%error, "could not cancel the statement");
        }
        match rollback.await {
            Ok(()) => Ok(()),
            // The cancellation may hit the ROLLBACK itself.
            Err(_) if !self.is_closed() => self.batch(DOING, "ROLLBACK").await,
            Err(error) => Err(Error::database(DOING, db_error(&error))),
        }
    }

    /// True once the connection is gone.
    pub fn is_closed(&self) -> bool {
        self.client().is_closed()
    }
}

async fn prepare(client: &Client) -> Result<Server, tokio_postgres::Error> {
    let values: Vec<String> = SETTINGS.iter().map(|(name, value)| format!("('{name}', '{value}')")).collect();
    // Reading pg_settings by name leaves out what this server's version does not have.
    let sql = format!(
        "SELECT set_config(s.name, v.value, false) FROM (VALUES {}) AS v (name, value)
         JOIN pg_catalog.pg_settings s ON s.name = v.name",
        values.join(", ")
    );
    client.batch_execute(&sql).await?;
    let sent = jiff::Timestamp::now();
    let row = client
        .query_one(
            "SELECT current_setting('server_version_num')::int4, current_setting('server_version'), pg_is_in_recovery(),
                    current_setting('default_transaction_read_only')::bool, current_user::text,
                    (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user), pg_backend_pid(),
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
        backend_pid: row.get(6),
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
        Some("53300") => "raise `max_connections`, or end idle sessions".to_owned(),
        _ if error.message.contains("password missing") => "set DB_PASSWORD".to_owned(),
        _ if error.message.contains("TLS") && target.tls != TlsMode::Disable => {
            "check DB_SSL_MODE: `prefer` also takes a server without TLS".to_owned()
        }
        _ => "check DB_HOST and DB_PORT, and that the server runs".to_owned(),
    };
    Error::Unreachable { target: target.to_string(), cause: error.to_string(), next }
}
