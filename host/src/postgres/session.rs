//! The one connection on which a run holds its lock and does its work.

use std::{sync::Arc, time::Duration};

use tokio::task::AbortHandle;
use tokio_postgres::{CancelToken, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;
use uuid::Uuid;

use super::{
    connect::Target,
    handle::{Asked, Handle, db_error},
    history::History,
    journal::Journal,
    lock::LockKey,
    opening::{Opening, Settable},
    own::{OwnState, OwnTables, WrittenRows, last_entry_question, noted_sql, state_sql, written_sql},
    prepared::texts_of,
    quote_literal,
    recorded::Recorder,
    scripts::counted,
    seal::Seal,
    standing::{Asking, Broken, ROLES_SQL, Transaction},
    whole::{Ahead, Message, Prepared},
};
use crate::{
    error::{DbError, Error, ProgramError, Result},
    migration::Version,
    sql::Script,
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
    /// `session_replication_role` keeps triggers and foreign keys from doing anything.
    pub triggers_off: bool,
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
    /// The process that serves this session.
    pub process: Process,
    /// What tells this server and its standbys from all others.
    pub system_identifier: i64,
}

impl Server {
    /// What is wrong with that no trigger does anything, and what to do about it, where it is so.
    pub fn without_triggers(&self) -> Option<(&'static str, &'static str)> {
        let what = "`session_replication_role` is `replica`: no trigger and no foreign key does anything, not even those of the journal";
        let next = "find where it is set by `SELECT source FROM pg_settings WHERE name = 'session_replication_role'`, then reset it there (`ALTER ROLE … \
                    RESET session_replication_role`, the same of the database or the server, the options of the connection)";
        self.triggers_off.then_some((what, next))
    }

    /// 15 for 15.18.
    pub fn major(&self) -> u32 {
        u32::try_from(self.version_num / 10_000).unwrap_or(0)
    }
}

/// A process of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number, which comes back.
    pub pid: i32,
    /// When it began, in seconds since 1970.
    pub started: String,
}

impl Process {
    /// A condition on `pg_stat_activity`. Only the role that logged in sees when a process of its own began.
    fn is_it_sql(&self) -> String {
        format!("a.pid = {} AND {STARTED_SQL} = {}", self.pid, quote_literal(&self.started))
    }
}

/// The same whatever the session's time zone is.
pub(super) const STARTED_SQL: &str = "extract(epoch FROM a.backend_start)::text";

/// How long statements of a migration may wait and run. Zero: for ever.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// `lock_timeout`.
    pub lock: Duration,
    /// `statement_timeout`.
    pub statement: Duration,
}

impl Timeouts {
    pub(super) fn sql(self, set: &str) -> String {
        self.statements(set).join("; ")
    }

    pub(super) fn statements(self, set: &str) -> [String; 2] {
        let (lock, statement) = (self.lock.as_millis(), self.statement.as_millis());
        [format!("{set} lock_timeout = {lock}"), format!("{set} statement_timeout = {statement}")]
    }
}

/// What journal and progress hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noted {
    /// The number of an entry of the journal.
    pub up_to: i64,
    /// The rows of the progress.
    pub progress: Option<String>,
    /// The digest of which rows the entries up to that number are.
    pub entries: Option<String>,
    /// Which rows a run's entries beyond are.
    pub beyond: Option<String>,
}

/// What is told as committed must outlive a crash of the server, whatever the server's own setting is.
pub(super) const SYNCHRONOUS_COMMIT: &str = "SET LOCAL synchronous_commit = on";

/// Whether the session holds the lock of class `$1` and object `$2`, outside a transaction.
const LOCK_HELD_SQL: &str = "EXISTS (SELECT FROM pg_catalog.pg_locks
             WHERE locktype OPERATOR(pg_catalog.=) 'advisory' AND classid OPERATOR(pg_catalog.=) $1
               AND objid OPERATOR(pg_catalog.=) $2 AND objsubid OPERATOR(pg_catalog.=) 2
               AND pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid() AND granted
               AND mode OPERATOR(pg_catalog.=) 'ExclusiveLock')";

/// Runs read-only what is still put off at the end of a part of a transaction. A subtransaction that is released has done what it did, and is
/// read-only no more.
pub(super) const SETTLE_READ_ONLY: [&str; 4] = [
    "SAVEPOINT lockgate_end",
    "SET LOCAL transaction_read_only = on",
    "SET CONSTRAINTS ALL IMMEDIATE",
    "RELEASE lockgate_end",
];

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

/// A server that is told to cancel a statement does so at once, or at the end of what it cannot interrupt. When it is said that it does not.
const TOLD_AFTER: Duration = Duration::from_secs(1);
/// When it is given up.
const CANCEL_MAX: Duration = Duration::from_secs(15);

/// A connection, its settings and what is known of the server.
pub struct Session {
    handle: Handle,
    cancel: CancelToken,
    tls: MakeRustlsConnect,
    /// Ends the connection as if it had been lost.
    pub(super) driver: AbortHandle,
    pub(super) target: Target,
    settable: Settable,
    /// Who is told what is done in it; nobody but in a rehearsal.
    pub(super) recorder: Option<Arc<dyn Recorder>>,
    /// What is asked of each step.
    pub(super) standing: Asking,
    /// What is asked in every migration of one script.
    pub(super) prepared: Prepared,
    /// The one of them that was sent behind the last COMMIT.
    pub(super) ahead: Ahead,
    /// What the server said of itself.
    pub server: Server,
}

impl Session {
    /// One that was prepared.
    pub(super) fn of(opening: Opening, server: Server) -> Self {
        let Opening { handle, cancel, tls, driver, target, settable, .. } = opening;
        let (standing, prepared, ahead) = (Asking::default(), Prepared::default(), Ahead::default());
        Self { handle, cancel, tls, driver, target, settable, recorder: None, standing, prepared, ahead, server }
    }

    /// For programs and for the host's own statements with parameters.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The driver's client, for the rest of `postgres/`.
    ///
    /// # Panics
    /// Where a migration is under way that was sent behind a COMMIT, and nobody has taken it up: what is asked now would be done within it.
    pub(super) fn client(&self) -> Asked<'_> {
        assert!(!self.ahead.is_under_way(), "the session is the next migration's");
        self.handle.asked()
    }

    /// Runs the host's own SQL, one or more statements without parameters, in one round trip.
    pub async fn batch(&self, doing: &str, sql: &str) -> Result<()> {
        self.client().of(sql.len()).batch_execute(sql).await.map_err(|e| Error::database(doing, db_error(&e)))
    }

    /// Runs SQL of one or more statements without parameters, and returns the rows of all of them as text; `None` is NULL.
    pub async fn texts(&self, doing: &str, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
        let messages = self.client().of(sql.len()).simple_query(sql).await;
        let messages = messages.map_err(|e| Error::database(doing, db_error(&e)))?;
        Ok(texts_of(messages))
    }

    /// Begins a migration's transaction and returns what must be the same at its end.
    ///
    /// With a seal, it cannot be committed but by [`commit`](Self::commit).
    pub async fn begin(&self, timeouts: Timeouts, own: &OwnTables, seal: Option<Seal>) -> Result<Transaction> {
        self.transaction_begins().await?;
        let mut begin = vec!["BEGIN".to_owned()];
        begin.extend(timeouts.statements("SET LOCAL"));
        begin.push(SYNCHRONOUS_COMMIT.to_owned());
        begin.extend(seal.as_ref().map(Seal::close));
        self.baseline(&begin, own, seal, false).await
    }

    /// Makes the session within the open transaction what it is at the beginning of one: for several migrations in one transaction, of
    /// which none is to see what another has set, left open or put off.
    pub async fn as_at_the_beginning(&self, timeouts: Timeouts) -> Result<()> {
        let statements = self.beginning(timeouts).await?;
        self.batch(SETTING_BACK, &statements.join("; ")).await
    }

    /// The statements that do so.
    pub(super) async fn beginning(&self, timeouts: Timeouts) -> Result<Vec<String>> {
        // What was set to be checked at once, because it was to be seen at the end of the former migration, is put off again; so is what
        // later migrations make, which is seen at their ends.
        // A name that is put off as well as not in its schema cannot be told apart. What is temporary is discarded.
        let at_once = "SELECT DISTINCT pg_catalog.format('%I.%I', n.nspname, c.conname)
                       FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.connamespace
                       WHERE c.condeferrable AND NOT c.condeferred AND n.nspname OPERATOR(pg_catalog.!~) '^pg_temp_'
                         AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
                         AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint d
                                         WHERE d.connamespace OPERATOR(pg_catalog.=) c.connamespace
                                           AND d.conname OPERATOR(pg_catalog.=) c.conname AND d.condeferrable AND d.condeferred)";
        let names: Vec<String> = self.texts(SETTING_BACK, at_once).await?.into_iter().flatten().flatten().collect();
        let mut statements: Vec<String> = ["CLOSE ALL", "DISCARD TEMP", "RESET ALL"].map(str::to_owned).into();
        statements.extend(self.settable.statements(|_| true));
        statements.push("SET CONSTRAINTS ALL DEFERRED".to_owned());
        if !names.is_empty() {
            statements.push(format!("SET CONSTRAINTS {} IMMEDIATE", names.join(", ")));
        }
        statements.extend(timeouts.statements("SET LOCAL"));
        statements.push(SYNCHRONOUS_COMMIT.to_owned());
        Ok(statements)
    }

    /// Begins a part of the open transaction as [`begin`](Self::begin) begins one, and returns what must be the same at its end.
    ///
    /// `shared`: the host has written to its own tables in it before.
    pub async fn begin_part(&self, own: &OwnTables, seal: Option<Seal>, shared: bool) -> Result<Transaction> {
        if let Some(seal) = &seal {
            self.batch("sealing a part of a transaction", &seal.close()).await?;
        }
        self.baseline(&[], own, seal, shared).await
    }

    /// Runs what is still put off at the end of a part of the open transaction as [`commit`](Self::commit) would: read-only. Nothing is put off
    /// any more then: only tables that are temporary can be written to, which are dropped, and the server refuses to drop one of which
    /// something is.
    ///
    /// # Errors
    /// What the server would have refused the commit with.
    pub async fn settle_for_good(&self, transaction: &Transaction) -> Result<(), ProgramError> {
        let read_only = SETTLE_READ_ONLY.join("; ");
        let sql = match &transaction.seal {
            None => read_only,
            Some(seal) => seal.around(&read_only),
        };
        self.client()
            .batch_execute(&format!("{sql}; DISCARD TEMP"))
            .await
            .map_err(|e| put_off_again(db_error(&e)).into())
    }

    /// The statements that set the session back and then ask for what the host has written of a migration: whatever the migration has set, that is
    /// told as it is before the COMMIT. What is sent next is read as the host means it, and waited for as long.
    pub(super) fn written_statements(&self, history: &History, journal: &Journal, version: &Version) -> Vec<String> {
        let mut statements: Vec<String> = ["SET statement_timeout = 0", "RESET ALL"].map(str::to_owned).into();
        statements.extend(self.settable.statements(|_| true));
        statements.push(format!(
            "SELECT ({}), ({})",
            history.digest_question(version),
            last_entry_question(journal.table())
        ));
        statements
    }

    /// What the host has just written of a migration. All that is set for the session is set back.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn written(&self, history: &History, journal: &Journal, version: &Version) -> Result<WrittenRows> {
        const DOING: &str = "reading what was written of the migration";
        let rows = self.texts(DOING, &self.written_statements(history, journal, version).join("; ")).await?;
        let mut told = rows.into_iter().flatten();
        match (told.next().flatten(), told.next().flatten()) {
            (Some(history), Some(journal)) => Ok(WrittenRows { history, journal }),
            _ => Err(Error::system(DOING, format!("nothing was found of `{version}`"))),
        }
    }

    /// Ends a part of the open transaction, and commits nothing.
    ///
    /// # Errors
    /// What the server would have refused the commit with.
    pub async fn end_part(&self, transaction: &Transaction) -> Result<(), ProgramError> {
        let Some(seal) = &transaction.seal else { return Ok(()) };
        self.client().batch_execute(&seal.open_for_good()).await.map_err(|e| db_error(&e).into())
    }

    /// Runs one statement outside a transaction.
    ///
    /// # Errors
    /// What the server said, or the loss of the connection.
    pub async fn outside(&self, timeouts: Timeouts, statement: &Script) -> Result<u64, ProgramError> {
        self.client().batch_execute(&timeouts.sql("SET")).await.map_err(|e| ProgramError::from(db_error(&e)))?;
        let work = async {
            let mut result = Ok(0);
            for (n, (part, sql)) in statement.statements().enumerate() {
                result = self.handle.execute(sql, &[]).await.map_err(|error| statement.error(part.start, n, error));
            }
            result
        };
        let result = self.recorded_outside(statement, work).await;
        if !self.is_closed() {
            self.reset().await;
        }
        result
    }

    /// Runs something that must not write, in a transaction of its own.
    pub async fn read_only<T>(&self, timeouts: Timeouts, work: impl AsyncFnOnce(&Handle) -> T) -> Result<T> {
        let sql = format!("BEGIN READ ONLY; {}; {GUARD}", timeouts.sql("SET LOCAL"));
        self.batch("beginning a read-only transaction", &sql).await?;
        let result = work(&self.handle).await;
        self.abort().await?;
        Ok(result)
    }

    /// Runs something in a transaction of its own that is rolled back.
    pub async fn undone<T>(&self, timeouts: Timeouts, work: impl AsyncFnOnce(&Handle) -> T) -> Result<T> {
        let sql = format!("BEGIN; {}", timeouts.sql("SET LOCAL"));
        self.batch("beginning a transaction to be rolled back", &sql).await?;
        let result = work(&self.handle).await;
        self.abort().await?;
        Ok(result)
    }

    /// Runs something that must not write within the open transaction; whatever it did is undone, and the transaction can be
    /// written to again.
    pub async fn guarded<T>(&self, work: impl AsyncFnOnce(&Handle) -> T) -> Result<T> {
        const DOING: &str = "guarding a check";
        self.batch(DOING, GUARD).await?;
        let result = work(&self.handle).await;
        self.undo(DOING, "ROLLBACK TO SAVEPOINT lockgate_guard; RELEASE SAVEPOINT lockgate_guard").await?;
        Ok(result)
    }

    /// Runs what was deferred to the commit, so that it fails now, before the host writes and the verification, and not after. What puts itself
    /// off once more finds the transaction read-only at its [commit](Self::commit).
    ///
    /// Returns whether the migration has written to the host's own tables, or may have; of one behind another in the same transaction, nobody can
    /// tell.
    ///
    /// # Errors
    /// What the server said; the migration is at fault.
    pub async fn settle(&self, transaction: &Transaction, own: &OwnTables) -> Result<bool, ProgramError> {
        let settle = transaction.seal.as_ref().map_or("SET CONSTRAINTS ALL IMMEDIATE".to_owned(), Seal::settle);
        let written = if transaction.shared { "false".to_owned() } else { written_sql(&own.oids()) };
        let answers = self.client().simple_query(&format!("{settle}; SELECT {written}")).await;
        let answers = answers.map_err(|e| db_error(&e))?;
        let row = answers.iter().find_map(|answer| match answer {
            SimpleQueryMessage::Row(row) => row.try_get(0).ok().flatten(),
            _ => None,
        });
        // Without an answer it is better refused.
        Ok(row != Some("f"))
    }

    /// Looks, outside a transaction, whether the lock and the role are still the ones that the host set up.
    ///
    /// # Errors
    /// What is not as it was.
    pub async fn check_session(&self, lock: LockKey) -> Result<(), Broken> {
        let row = self
            .client()
            .query_one(&format!("SELECT {ROLES_SQL}, {LOCK_HELD_SQL}"), &[&lock.class(), &lock.object()])
            .await;
        let row = row.map_err(|e| Broken::Unknown(Box::new(db_error(&e))))?;
        self.same_session(row.get(0), row.get(1))
    }

    /// What the host's own tables are and hold: the same as long as nobody changes them.
    pub async fn own_state(&self, own: &OwnTables) -> Result<OwnState> {
        let row = self.client().query_one(&format!("SELECT {}", state_sql(own)), &[]).await;
        let row = row.map_err(|e| Error::database("looking at the host's own tables", db_error(&e)))?;
        Ok(OwnState::of(row.get(0), row.get(1)))
    }

    /// What the journal and the progress hold: of the journal, which rows the entries of this run behind the one of this number are, and which those up to
    /// it. Without a number the last entry is taken, which is returned.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn noted(&self, own: &OwnTables, run_id: Uuid, up_to: Option<i64>) -> Result<Noted> {
        let last = format!("(SELECT coalesce(pg_catalog.max(id), 0) FROM {})", own.journal);
        let up_to = up_to.map_or(last, |up_to| up_to.to_string());
        let row = self
            .client()
            .query_one(&format!("SELECT {up_to}::pg_catalog.int8, {}", noted_sql(own, run_id, &up_to)), &[])
            .await;
        let row = row.map_err(|e| Error::database("looking at the host's own tables", db_error(&e)))?;
        Ok(Noted { up_to: row.get(0), progress: row.get(1), entries: row.get(2), beyond: row.get(3) })
    }

    /// The role that logged in and the one that statements run as, as the server is to say them.
    pub(super) fn roles(&self) -> String {
        format!("{} {}", self.server.login, self.server.user)
    }

    pub(super) fn same_session(&self, roles: &str, lock_held: bool) -> Result<(), Broken> {
        if roles != self.roles() {
            return Err(Broken::Role);
        }
        if lock_held { Ok(()) } else { Err(Broken::Lock) }
    }

    /// Commits, and tells a refusal from a lost answer.
    ///
    /// A trigger that put itself off until now finds the transaction read-only, which cannot be undone in it: what was checked is
    /// what is committed. The next migration's message is sent without waiting for the answer.
    pub async fn commit(&self, seal: Option<&Seal>, next: Option<Message>) -> Committed {
        let open = seal.map_or(String::new(), |seal| format!("{}; ", seal.open_for_good()));
        let commit = format!("{open}{SYNCHRONOUS_COMMIT}; SET LOCAL transaction_read_only = on; COMMIT");
        let statements = if seal.is_some() { 5 } else { 3 };
        let mut done = 0;
        let reset = self.reset_sql(next.as_ref().map(Message::set_back_sql));
        // For as long as the question is open: who waits for an answer that does not come is told so by another session.
        let client = self.client();
        let asked = client.simple_query_raw(&format!("{commit}; {reset}")).await;
        if let Some(next) = next {
            next.send_ahead(self).await;
        }
        let committed = counted(asked, &mut done).await;
        match committed {
            Ok(_) => {
                self.transaction_ends(true);
                Committed::Yes
            }
            Err(error) if error.sqlstate.is_none() || error.connection_lost => {
                self.transaction_ends(true);
                // Its transaction ends with the connection.
                self.ahead.forget();
                // It may have been lost behind the COMMIT.
                if done >= statements { Committed::Yes } else { Committed::Unknown }
            }
            Err(error) if done >= statements => {
                self.transaction_ends(true);
                tracing::warn!(%error, "the session could not be reset; once more");
                self.reset_or_give_up().await;
                Committed::Yes
            }
            Err(error) => Committed::No(Box::new(put_off_again(error))),
        }
    }

    /// The statements that set the session back, and then set what is to be known of it. All of them or none: in a transaction of its own, which is
    /// not what the migration has set transactions to be.
    fn reset_sql(&self, and_set: Option<String>) -> String {
        // The time-outs first: those that the migration has left, then those of the role and the database, which would end what comes behind.
        let and_set = and_set.map_or(String::new(), |sql| format!("; {sql}"));
        format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE NOT DEFERRABLE; SET statement_timeout = 0; RESET ALL; {}; CLOSE ALL; DISCARD TEMP{and_set};
             COMMIT",
            self.settable.sql()
        )
    }

    /// What one migration has set for the session, or left open in it, must not reach the next, nor the journal.
    async fn reset(&self) {
        if let Err(error) = self.batch(RESETTING, &self.reset_sql(None)).await {
            tracing::warn!(%error, "the session could not be reset");
            if !self.is_closed()
                && let Err(error) = self.undo("rolling back", "ROLLBACK").await
            {
                tracing::warn!(%error, "nor rolled back");
            }
        }
    }

    /// The same where it has failed once, and what was sent behind it has stopped for that reason. Where it fails again, the connection is given
    /// up: what was left in it must not reach the next migration, which begins in another session.
    async fn reset_or_give_up(&self) {
        self.ahead.forget();
        let reset = async {
            self.undo("rolling back", "ROLLBACK").await?;
            self.batch(RESETTING, &self.reset_sql(None)).await
        };
        if let Err(error) = reset.await {
            tracing::warn!(%error, "the session could not be reset; the connection is given up");
            self.driver.abort();
        }
    }

    /// Rolls back, whatever the session is doing.
    pub async fn abort(&self) -> Result<()> {
        self.ahead.forget();
        self.transaction_ends(false);
        self.undo("rolling back", "ROLLBACK").await
    }

    /// Undoes work that may have been cut off: a statement that still runs is cancelled first.
    async fn undo(&self, doing: &str, sql: &str) -> Result<()> {
        let failed = |e: tokio_postgres::Error| Error::database(doing, db_error(&e));
        let client = self.client();
        let undo = client.batch_execute(sql);
        let mut undo = std::pin::pin!(undo);
        // Only a statement that was cut off keeps the server busy for so long; an idle server answers at once.
        if let Ok(result) = tokio::time::timeout(Duration::from_millis(100), &mut undo).await {
            return result.map_err(failed);
        }
        if let Err(error) = self.cancel.cancel_query(self.tls.clone()).await {
            tracing::warn!(%error, "could not cancel the statement");
        }
        let pid = self.server.process.pid;
        let undone = match tokio::time::timeout(TOLD_AFTER, &mut undo).await {
            Ok(undone) => Ok(undone),
            Err(_) => {
                tracing::warn!(pid, "the server was told to cancel what it does; waiting for it");
                tokio::time::timeout(CANCEL_MAX, &mut undo).await
            }
        };
        let Ok(undone) = undone else {
            // Its process may be stopped, or wait for a disk. It holds the lock as long as it is there, and rolls back in the end.
            self.driver.abort();
            // Whoever asks next whether the connection is there is to be told that it is not.
            let gone = async {
                while !self.is_closed() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            let _ = tokio::time::timeout(TOLD_AFTER, gone).await;
            let message =
                format!("pid {pid} of the server does not react to a cancellation; the connection is given up");
            let error = DbError { message, connection_lost: true, ..DbError::default() };
            return Err(Error::database(doing, error));
        };
        match undone {
            Ok(()) => Ok(()),
            // The cancellation may hit the undoing itself.
            Err(_) if !self.is_closed() => self.batch(doing, sql).await,
            Err(error) => Err(failed(error)),
        }
    }

    /// Ends the process that served a session which was lost, so that it does not keep the lock until it notices that itself.
    pub async fn end(&self, lost: &Server) {
        // Only the role that logged in may do that.
        let sql = format!(
            "SET ROLE NONE; SELECT pg_terminate_backend(a.pid) FROM pg_catalog.pg_stat_activity a
             WHERE {}; RESET ROLE",
            lost.process.is_it_sql()
        );
        if let Err(error) = self.batch("ending the session that was lost", &sql).await {
            tracing::debug!(%error, "it ends when it notices that its client is gone");
        }
    }

    /// Whether a process of the server is still there.
    pub async fn sees(&self, process: &Process) -> Result<bool> {
        let sql = format!(
            "SET ROLE NONE; SELECT a.pid FROM pg_catalog.pg_stat_activity a WHERE {}; RESET ROLE",
            process.is_it_sql()
        );
        Ok(!self.texts("looking for the process of an earlier run", &sql).await?.is_empty())
    }

    /// Writes of the host's own, in a transaction that outlives a crash of the server.
    pub async fn durably<T>(&self, work: impl AsyncFnOnce() -> Result<T>) -> Result<T> {
        const DOING: &str = "noting where the migration stands";
        self.batch(DOING, &format!("BEGIN; {SYNCHRONOUS_COMMIT}")).await?;
        let result = match work().await {
            Ok(done) => self.batch(DOING, "COMMIT").await.map(|()| done),
            Err(error) => Err(error),
        };
        if result.is_err() && !self.is_closed() {
            self.abort().await?;
        }
        result
    }

    /// Names the present point of the write-ahead log, and tells where that is; `None` where the role may not, or the log tells too little.
    ///
    /// Source: PostgreSQL manual, "Backup Control Functions".
    pub async fn restore_point(&self, name: &str) -> Result<Option<String>> {
        const DOING: &str = "naming a restore point";
        // Asked first: the call itself is refused even where a condition keeps it from being made.
        let may = "SELECT has_function_privilege('pg_catalog.pg_create_restore_point(text)', 'EXECUTE')
                          AND current_setting('wal_level') <> 'minimal'";
        if self.texts(DOING, may).await?.concat() != [Some("t".to_owned())] {
            return Ok(None);
        }
        let sql = format!("SELECT pg_catalog.pg_create_restore_point({})", quote_literal(name));
        Ok(self.texts(DOING, &sql).await?.concat().into_iter().next().flatten())
    }

    /// Where it is connected to.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// True once the connection is gone.
    pub fn is_closed(&self) -> bool {
        self.handle.client.is_closed()
    }
}

/// Begins what must not write. The subtransaction is what makes it safe: PostgreSQL refuses to leave read-only mode inside one.
const GUARD: &str = "SAVEPOINT lockgate_guard; SET LOCAL transaction_read_only = on";

const SETTING_BACK: &str = "setting the session back";
const RESETTING: &str = "resetting the session";

/// Why something fails that is run read-only at the end of a transaction.
pub(super) fn put_off_again(error: DbError) -> DbError {
    if !error.is("25006") {
        return error;
    }
    let message = format!(
        "{}: what was put off until the end has put off something once more, which must not write",
        error.message
    );
    DbError { message, ..error }
}
