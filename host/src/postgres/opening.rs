//! A connection that was made, before it is prepared for work: it can be asked what needs no more than that.

use std::{future::poll_fn, time::Duration};

use futures_util::future::{join_all, join3};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::AbortHandle,
};
use tokio_postgres::{AsyncMessage, CancelToken, Client, Row, SimpleQueryMessage, SimpleQueryRow, error::SqlState};
use tokio_postgres_rustls::MakeRustlsConnect;
use tracing::{Instrument as _, Span};

use super::{
    Process, Server, Session, Target,
    handle::{Asked, Handle, db_error},
    notices::Notices,
    session::STARTED_SQL,
};
use crate::error::{DbError, Error, Result};

/// Settings that must not end a session that waits for a backup, and that end it when its client is gone: a minute after a machine or
/// the way to it has vanished, as on the client's side; a second after a process has. Each with the first version that knows it, 0 for
/// all that are supported. Source: reliability measurements; PostgreSQL manual, "Client Connection Defaults" and "Connections and
/// Authentication"; release notes of 17.
const SETTINGS: &[(u32, &str, &str)] = &[
    (0, "idle_session_timeout", "0"),
    (0, "idle_in_transaction_session_timeout", "0"),
    (17, "transaction_timeout", "0"),
    (0, CHECK_INTERVAL, "1000"),
    (0, "tcp_keepalives_idle", "30"),
    (0, "tcp_keepalives_interval", "10"),
    (0, "tcp_keepalives_count", "3"),
    (0, "tcp_user_timeout", "60000"),
    (0, "statement_timeout", "0"),
    (0, "lock_timeout", "30000"),
    (0, "standard_conforming_strings", "on"),
    (0, "DateStyle", "ISO, YMD"),
];

/// What ends a query whose client is gone, and what a server on Windows, and before version 15 one that is not on Linux, refuses.
const CHECK_INTERVAL: &str = "client_connection_check_interval";

/// Which of [`SETTINGS`] a server takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settable {
    /// Its major version.
    major: u32,
    /// Whether it can notice in the midst of a query that its client is gone.
    notices_its_client: bool,
}

impl Settable {
    /// All of them in one message.
    pub(super) fn sql(self) -> String {
        self.statements(|_| true).collect::<Vec<_>>().join("; ")
    }

    /// Each by itself: to set many with one question, the server must look up all that the question is made of.
    pub(super) fn statements(self, wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = String> {
        let takes = move |(since, name, _): &&(u32, &str, &str)| {
            *since <= self.major && (self.notices_its_client || *name != CHECK_INTERVAL) && wanted(name)
        };
        SETTINGS.iter().filter(takes).map(|(_, name, value)| format!("SET {name} = {value}"))
    }
}

/// What the server answered to a question.
pub(super) type Answer = Result<Vec<Row>, tokio_postgres::Error>;

/// See the module.
pub struct Opening {
    pub(super) handle: Handle,
    pub(super) cancel: CancelToken,
    pub(super) tls: MakeRustlsConnect,
    /// Ends the connection as if it had been lost.
    pub(super) driver: AbortHandle,
    pub(super) target: Target,
    pub(super) settable: Settable,
    /// What the server said of itself, once it is prepared.
    server: Option<Server>,
}

impl Opening {
    /// Takes over a connection. `belongs_to` is the span of what it serves.
    pub(super) fn over<S, T>(
        client: Client,
        mut connection: tokio_postgres::Connection<S, T>,
        tls: MakeRustlsConnect,
        target: &Target,
        belongs_to: Span,
    ) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut notices = Notices::default();
        // Every server says it before it can be asked anything.
        let major = connection.parameter("server_version").and_then(major_of).unwrap_or_default();
        let driver = async move {
            while let Some(message) = poll_fn(|cx| connection.poll_message(cx)).await {
                match message {
                    Ok(AsyncMessage::Notice(notice)) => {
                        // On the one thread of a command, whoever was answered before goes on first, and says so: the notice may be of what was
                        // sent behind.
                        if notices.shows_next() {
                            tokio::task::yield_now().await;
                        }
                        notices.log(&notice);
                    }
                    Ok(_) => {}
                    Err(error) => {
                        tracing::debug!(%error, "the connection ended");
                        break;
                    }
                }
            }
        };
        let driver = tokio::spawn(driver.instrument(belongs_to)).abort_handle();
        let cancel = client.cancel_token();
        let handle = Handle::of(client, driver.clone());
        let settable = Settable { major, notices_its_client: true };
        Self { handle, cancel, tls, driver, target: target.clone(), settable, server: None }
    }

    /// Asks questions without parameters, all of them before the first is answered, with as little set as that needs. Each has an answer of its
    /// own, in this order.
    pub(super) async fn ask(&self, questions: &[String]) -> Vec<Answer> {
        ask(&self.handle, self.settable, questions).await
    }

    /// Prepares it, and asks what the server is: one round trip, the first time.
    pub(super) async fn prepare(&mut self) -> Result<&Server, tokio_postgres::Error> {
        let server = match self.server.take() {
            Some(server) => server,
            None => match prepare(&self.handle.asked(), self.settable).await {
                Err(error) if refuses_to_notice(&error) => {
                    tracing::debug!("the server cannot notice in the midst of a query that its client is gone");
                    self.settable.notices_its_client = false;
                    prepare(&self.handle.asked(), self.settable).await?
                }
                prepared => prepared?,
            },
        };
        Ok(self.server.insert(server))
    }

    /// The session, prepared for work.
    ///
    /// # Errors
    /// When the server does not say what it is.
    pub async fn session(mut self) -> Result<Session> {
        const DOING: &str = "preparing the session";
        let limit = self.target.connect_timeout * 2;
        let limit = if limit.is_zero() { Duration::MAX } else { limit };
        let server = match tokio::time::timeout(limit, self.prepare()).await {
            Ok(prepared) => prepared.map_err(|e| Error::database(DOING, db_error(&e)))?.clone(),
            Err(_) => {
                self.driver.abort();
                let message = format!("no answer within {} s", limit.as_secs());
                return Err(Error::database(DOING, DbError { message, connection_lost: true, ..DbError::default() }));
            }
        };
        Ok(Session::of(self, server))
    }
}

fn refuses_to_notice(error: &tokio_postgres::Error) -> bool {
    error
        .as_db_error()
        .is_some_and(|e| *e.code() == SqlState::INVALID_PARAMETER_VALUE && e.message().contains(CHECK_INTERVAL))
}

/// What is asked before anything is set must neither fail by what a role or a database has set nor outlive its client.
const BEFORE_ALL: [&str; 3] = ["statement_timeout", "lock_timeout", "idle_session_timeout"];

/// See [`Opening::ask`].
pub(super) async fn ask(handle: &Handle, settable: Settable, questions: &[String]) -> Vec<Answer> {
    let asked = handle.asked();
    // By itself: where the server refuses it, the others are to hold.
    let notice: String = settable.statements(|name| name == CHECK_INTERVAL).collect();
    let settings = settable.statements(|name| BEFORE_ALL.contains(&name)).collect::<Vec<_>>().join("; ");
    // What comes of it is told when all is set.
    let answers = join_all(questions.iter().map(|sql| asked.query(sql, &[])));
    join3(asked.batch_execute(&settings), asked.batch_execute(&notice), answers).await.2
}

/// 15 for `15.18 (Debian 15.18-0+deb12u1)`, 18 for `18beta1`.
fn major_of(version: &str) -> Option<u32> {
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Sets the session of a server of this version up, and asks what it is; all in one message.
///
/// What is asked is the little that the server has at hand: every cast, view and operator is looked up in catalogs that a session which has just
/// begun has not read yet.
async fn prepare(client: &Asked<'_>, settable: Settable) -> Result<Server, tokio_postgres::Error> {
    // Only the role that logged in may see when its process began. The function is what the view is made of.
    let sql = format!(
        "{}; SET ROLE NONE;
         SELECT {STARTED_SQL}, a.sslversion FROM pg_catalog.pg_stat_get_activity(pg_backend_pid()) a; RESET ROLE;
         SELECT current_setting('server_version_num'), current_setting('server_version'), pg_is_in_recovery(),
                current_setting('default_transaction_read_only'), current_user, current_setting('is_superuser'), session_user,
                extract(epoch FROM clock_timestamp()), pg_backend_pid(), system_identifier,
                current_setting('session_replication_role') FROM pg_control_system()",
        settable.sql()
    );
    let sent = jiff::Timestamp::now();
    let answers = client.simple_query(&sql).await?;
    // The server read its clock about halfway between the question and the answer.
    let midway_ms = i64::midpoint(sent.as_millisecond(), jiff::Timestamp::now().as_millisecond());
    let mut rows = answers.iter().filter_map(|answer| match answer {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let (process, is) = (rows.next(), rows.next());
    let text = |row: Option<&SimpleQueryRow>, i: usize| row.and_then(|row| row.get(i)).unwrap_or_default().to_owned();
    let clock_s: f64 = text(is, 7).parse().unwrap_or_default();
    Ok(Server {
        version_num: text(is, 0).parse().unwrap_or_default(),
        version: text(is, 1),
        in_recovery: text(is, 2) == "t",
        read_only: text(is, 3) == "on",
        triggers_off: text(is, 10) == "replica",
        user: text(is, 4),
        superuser: text(is, 5) == "on",
        login: text(is, 6),
        tls: process.and_then(|row| row.get(1)).map(str::to_owned),
        clock_skew_ms: (clock_s * 1000.0) as i64 - midway_ms,
        process: Process { pid: text(is, 8).parse().unwrap_or_default(), started: text(process, 0) },
        system_identifier: text(is, 9).parse().unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_told_what_its_version_knows() {
        for (version, major) in [("15.18 (Debian 15.18-0+deb12u1)", 15), ("18beta1", 18), ("19devel", 19), ("14.2", 14)]
        {
            assert_eq!(major_of(version), Some(major));
        }
        assert_eq!(major_of("unknown"), None);
        let sql = |major, notices_its_client| Settable { major, notices_its_client }.sql();
        assert!(sql(17, true).contains("; SET transaction_timeout = 0; "));
        assert!(!sql(16, true).contains("transaction_timeout"));
        let told = "SET client_connection_check_interval = 1000; ";
        assert_eq!(sql(16, true).replace(told, ""), sql(16, false));
        assert!(sql(16, true).contains(told));
    }
}
