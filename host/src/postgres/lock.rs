//! One writer: an advisory lock of the session that does the work, so that losing one is losing both.
//!
//! It is polled. A session that waits inside `pg_advisory_lock()` holds a snapshot, on which `CREATE INDEX CONCURRENTLY` of the
//! holder would wait in turn.

use std::time::{Duration, Instant};

use super::{Target, handle::db_error, quote_literal, session::Session};
use crate::error::{Error, Result};

/// The two keys of the lock, `LOCK` and `GATE` in ASCII. The database is implied: one runner a database, wherever its history is.
const CLASS: u32 = 0x4C4F_434B;
const OBJECT: u32 = 0x4741_5445;
/// The first key of the locks on names, `NAME` in ASCII; the second is a hash of the name.
const NAMES: u32 = 0x4E41_4D45;
/// Between two tries: long enough not to load the server, short enough not to be felt. Jitter keeps waiters apart.
const POLL_MIN: Duration = Duration::from_millis(50);
const POLL_MAX: Duration = Duration::from_millis(250);
/// The server takes a moment to notice that a client is gone; whoever still holds a name then is at work.
const CLAIM_PATIENCE: Duration = Duration::from_secs(1);

/// The lock that every run takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockKey;

impl LockKey {
    /// The first key, `classid` in `pg_locks`.
    pub fn class(self) -> u32 {
        CLASS
    }

    /// The second key, `objid` in `pg_locks`.
    pub fn object(self) -> u32 {
        OBJECT
    }

    /// An expression that takes the lock for the open transaction as well, from which no script can take it, and tells whether the session has
    /// it: one that gave it back at its COMMIT has let others in.
    pub(super) fn taken_sql(self) -> String {
        let keys = self.keys();
        format!("CASE WHEN pg_catalog.pg_try_advisory_xact_lock({keys}) THEN {} ELSE false END", self.held_sql())
    }

    /// An expression that is true where the session holds the lock, for a transaction that has [taken](Self::taken_sql) it: that keeps others out
    /// while the session gives the lock back, which tells whether it had it, and takes it again. To look for it in `pg_locks` would stop all
    /// sessions of the server for a moment, take the longer the more of them there are, and take a transaction's lock for the session's.
    pub(super) fn held_sql(self) -> String {
        let keys = self.keys();
        format!(
            "CASE WHEN pg_catalog.pg_advisory_unlock({keys}) THEN pg_catalog.pg_try_advisory_lock({keys}) ELSE false END"
        )
    }

    fn keys(self) -> String {
        format!("{CLASS}, {OBJECT}")
    }
}

/// Takes the lock, waiting for another run as long as `timeout`. Returns how long it waited. The session's end releases it.
///
/// # Errors
/// [`Error::LockHeld`], naming the holder.
pub async fn acquire(session: &Session, key: LockKey, timeout: Duration) -> Result<Duration> {
    const DOING: &str = "taking the migration lock";
    let start = Instant::now();
    let mut told = false;
    loop {
        let sql = format!("SELECT pg_try_advisory_lock({}, {})", key.class(), key.object());
        let row = session.client().query_one(&sql, &[]).await.map_err(|e| Error::database(DOING, db_error(&e)))?;
        if row.get(0) {
            still_the_database(session, &session.target).await?;
            return Ok(start.elapsed());
        }
        if start.elapsed() >= timeout {
            return Err(Error::LockHeld {
                holder: holder(session, key.class(), key.object()).await?,
                waited_s: start.elapsed().as_secs(),
            });
        }
        if !told {
            let holder = holder(session, key.class(), key.object()).await?;
            tracing::warn!(holder, "waiting for another run");
            told = true;
        }
        let pause = fastrand::u64(POLL_MIN.as_millis() as u64..=POLL_MAX.as_millis() as u64);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}

/// While this run waited, a restore may have put another database in the place of the one that it is connected to.
async fn still_the_database(session: &Session, target: &Target) -> Result<()> {
    let sql = "SELECT datname::text, datallowconn FROM pg_catalog.pg_database
               WHERE oid = (SELECT database FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() LIMIT 1)";
    let row = session.client().query_one(sql, &[]).await;
    let row = row.map_err(|e| Error::database("looking at the database again", db_error(&e)))?;
    if row.get::<_, &str>(0) == target.database && row.get(1) {
        return Ok(());
    }
    Err(Error::Refused {
        what: format!("the database `{}` was replaced by a restore while this run waited", target.database),
        next: "run the same command again".into(),
    })
}

/// Gives the lock back before the session ends.
pub async fn release(session: &Session, key: LockKey) -> Result<()> {
    session
        .batch("releasing the migration lock", &format!("SELECT pg_advisory_unlock({}, {})", key.class(), key.object()))
        .await
}

/// Claims the name of a database that is to be made, as long as the session lives. Whoever holds it already is returned instead.
///
/// It holds among the sessions of one database, so that all of them must be connected to the same one. Two names of the same hash cannot be
/// claimed at a time, which is safe.
///
/// # Errors
/// When the server cannot be asked.
pub async fn claim(session: &Session, name: &str) -> Result<Option<String>> {
    let begin = Instant::now();
    loop {
        let sql = "SELECT hashtext($2), pg_try_advisory_lock($1, hashtext($2))";
        let row = session.client().query_one(sql, &[&NAMES.cast_signed(), &name]).await;
        let row = row.map_err(|e| Error::database("claiming the name of a database", db_error(&e)))?;
        if row.get(1) {
            return Ok(None);
        }
        if begin.elapsed() > CLAIM_PATIENCE {
            return holder(session, NAMES, row.get::<_, i32>(0).cast_unsigned()).await.map(Some);
        }
        tokio::time::sleep(POLL_MIN).await;
    }
}

/// Gives such a name back.
pub async fn disclaim(session: &Session, name: &str) -> Result<()> {
    let sql = format!("SELECT pg_advisory_unlock({NAMES}, hashtext({}))", quote_literal(name));
    session.batch("giving back the name of a database", &sql).await
}

async fn holder(session: &Session, class: u32, object: u32) -> Result<String> {
    // From where and since when, only those are told who may know.
    let sql = "SELECT format('pid %s (%s, role %s', l.pid, nullif(a.application_name, ''), a.usename)
                      || coalesce(format(', from %s', coalesce(host(a.client_addr), 'a local socket'))
                                  || to_char(a.backend_start, ', \"connected since\" YYYY-MM-DD HH24:MI:SS TZ'), '') || ')'
               FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a USING (pid)
               WHERE l.locktype = 'advisory' AND l.classid = $1 AND l.objid = $2 AND l.objsubid = 2 AND l.granted
                 AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())";
    let row = session.client().query_opt(sql, &[&class, &object]).await;
    let row = row.map_err(|e| Error::database("asking who holds a lock", db_error(&e)))?;
    Ok(row.map_or_else(|| "a run that has just ended".to_owned(), |row| row.get(0)))
}
