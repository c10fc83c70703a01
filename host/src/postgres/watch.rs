//! A second session beside the one that works. It sees who is in the way of a statement that waits, and whether a pooler hands both
//! sessions the same process of the server.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::task::JoinHandle;

use super::{connect::Target, handle::db_error, lock::LockKey, session::Session};
use crate::error::{Error, Result};

/// A lock time-out of the default, three seconds, is seen several times.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Asked only of a process that waits: what it costs is nothing while nobody is in the way.
const BLOCKERS_SQL: &str = "
    SELECT string_agg(CASE WHEN b.pid IS NULL THEN 'a prepared transaction' ELSE
               format('pid %s (%s, role %s, %s for %s s)', b.pid, coalesce(nullif(b.application_name, ''), 'without a name'), b.usename,
                      coalesce(b.state, 'in a state that this role may not see'),
                      extract(epoch FROM clock_timestamp() - coalesce(b.xact_start, b.query_start, b.backend_start))::int) END,
               ', ' ORDER BY b.pid)
    FROM pg_catalog.pg_stat_activity a
    CROSS JOIN LATERAL unnest(pg_blocking_pids(a.pid)) AS blocking (pid)
    LEFT JOIN pg_catalog.pg_stat_activity b ON b.pid = blocking.pid
    WHERE a.pid = $1 AND a.wait_event_type = 'Lock'";

/// The second session; it ends with this.
pub struct Watch {
    blocker: Arc<Mutex<Option<String>>>,
    task: JoinHandle<()>,
}

impl Watch {
    /// Watches a session that holds the lock of a run. `None`, with a warning, where the server has no room for a second session.
    ///
    /// # Errors
    /// [`Error::Refused`] when both sessions share one process: the lock would be everybody's.
    pub async fn beside(session: &Session, key: LockKey, application_name: &str) -> Result<Option<Self>> {
        // As the role that logged in: only that one may see what its own sessions wait for.
        let login = Target { role: None, ..session.target.clone() };
        let second = match Session::connect(&login, application_name).await {
            Ok(second) => second,
            Err(error) => {
                tracing::warn!(%error, "there is no second session, so nobody is named who is in the way");
                return Ok(None);
            }
        };
        let sql = format!("SELECT pg_try_advisory_lock({}, {})", key.class(), key.object());
        let row = second.client().query_one(&sql, &[]).await;
        if row.map_err(|e| Error::database("looking for a pooler", db_error(&e)))?.get(0) {
            for session in [&second, session] {
                session.batch("releasing the migration lock", "SELECT pg_advisory_unlock_all()").await?;
            }
            return Err(Error::Refused {
                what: format!(
                    "the way to {} leads through a pooler (PgBouncer or the like) in transaction or statement mode: two sessions share one process of \
                     the server, and with it the lock",
                    session.target
                ),
                next: "connect to the server itself, or to a pool in session mode".into(),
            });
        }
        let blocker = Arc::new(Mutex::new(None));
        let task = tokio::spawn(look(second, session.server.pid, Arc::clone(&blocker)));
        Ok(Some(Self { blocker, task }))
    }

    /// Who was in the way when it last looked.
    pub fn blocker(&self) -> Option<String> {
        self.blocker.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn look(second: Session, pid: i32, blocker: Arc<Mutex<Option<String>>>) {
    let mut told = String::new();
    while let Ok(row) = second.client().query_one(BLOCKERS_SQL, &[&pid]).await {
        if let Some(who) = row.get::<_, Option<String>>(0) {
            // The seconds pass; the pid is enough to know somebody again.
            let pids: String = who.split(' ').nth(1).unwrap_or_default().to_owned();
            if pids != told {
                tracing::warn!(blocked_by = who, "waiting for a lock");
                told = pids;
            }
            *blocker.lock().unwrap_or_else(PoisonError::into_inner) = Some(who);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
