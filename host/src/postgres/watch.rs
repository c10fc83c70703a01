//! A second session beside the one that works. It sees who is in the way of a statement that waits, whether a pooler hands both
//! sessions the same process of the server, and that an answer will never come: something between the two may swallow it and keep the
//! connection open.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::task::{AbortHandle, JoinHandle};
use tokio_postgres::Row;
use tracing::Instrument as _;

use super::{
    connect::Target,
    handle::{OpenQuestion, Questions, db_error},
    lock::LockKey,
    reported::{self, Reported},
    session::{Process, STARTED_SQL, Server, Session},
};
use crate::{
    bar::{Bar, Speed},
    error::{Error, Result},
};

/// A lock time-out of the default, three seconds, is seen several times.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// So many looks in a row must find that an answer will never come: it may only be on its way.
const LOOKS: usize = 6;

/// The question, too, may only be on its way. As long as nothing tells that the server has it, there is one look more for each so many of its
/// bytes: a megabit a second.
const BYTES_A_LOOK: usize = 64 * 1024;

/// Whether the process is still there; whether it waits for its client; when it last began or ended something; only where it waits for a lock,
/// who holds that; whether somebody waits for it; and how far the replicas are behind, in seconds. What this role may not see tells nothing.
fn look_sql() -> String {
    format!("
    SELECT a.pid IS NOT NULL, coalesce(a.state LIKE 'idle%', false), a.state_change::text, CASE WHEN a.wait_event_type = 'Lock' THEN (
        SELECT string_agg(CASE WHEN b.pid IS NULL THEN 'a prepared transaction' ELSE
                   format('pid %s (%s, role %s, %s for %s s)', b.pid, coalesce(nullif(b.application_name, ''), 'without a name'), b.usename,
                          coalesce(b.state, 'in a state that this role may not see'),
                          extract(epoch FROM clock_timestamp() - coalesce(b.xact_start, b.query_start, b.backend_start))::int) END,
                   ', ' ORDER BY b.pid)
        FROM unnest(pg_blocking_pids(a.pid)) AS blocking (pid) LEFT JOIN pg_catalog.pg_stat_activity b ON b.pid = blocking.pid) END,
           EXISTS (SELECT FROM pg_catalog.pg_stat_activity w WHERE w.wait_event_type = 'Lock' AND ours.pid = ANY (pg_blocking_pids(w.pid))),
           (SELECT extract(epoch FROM max(replay_lag))::float8 FROM pg_catalog.pg_stat_replication)
    FROM (VALUES ($1::int4, $2::text)) AS ours (pid, start)
    LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = ours.pid AND {STARTED_SQL} = ours.start"
    )
}

/// The second session; it ends with this.
pub struct Watch {
    seen: Arc<Mutex<Seen>>,
    bar: Arc<Mutex<Bar>>,
    task: JoinHandle<()>,
}

/// What it saw last.
#[derive(Default)]
struct Seen {
    blocker: Option<String>,
    in_the_way: bool,
    lag: Option<Duration>,
}

impl Watch {
    /// Watches a session that holds the lock of a run; gives that up when nothing is heard from the server for `silence`. `None`, with a
    /// warning, where the server has no room for a second session. Where it is to `draw`, it also asks how far a command is that the
    /// server reports on, such as CREATE INDEX, and shows that on the terminal.
    ///
    /// # Errors
    /// [`Error::Refused`] when both sessions share one process: the lock would be everybody's.
    pub async fn beside(
        session: &Session,
        key: LockKey,
        application_name: &str,
        silence: Duration,
        draw: bool,
    ) -> Result<Option<Self>> {
        // As the role that logged in: only that one may see what its own sessions wait for, and end them.
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
        let seen = Arc::new(Mutex::new(Seen::default()));
        let bar = Arc::new(Mutex::new(Bar::new(draw)));
        let watched = Watched {
            server: session.server.clone(),
            questions: session.handle().questions.clone(),
            driver: session.driver.clone(),
            silence,
            seen: Arc::clone(&seen),
            bar: Arc::clone(&bar),
        };
        let task = tokio::spawn(watched.from(second).in_current_span());
        Ok(Some(Self { seen, bar, task }))
    }

    /// Who was in the way when it last looked.
    pub fn blocker(&self) -> Option<String> {
        self.seen().blocker.take()
    }

    /// Whether somebody had to wait for the watched session since this was asked last.
    pub fn was_in_the_way(&self) -> bool {
        std::mem::take(&mut self.seen().in_the_way)
    }

    /// How far the furthest replica was behind when it last looked.
    pub fn replication_lag(&self) -> Option<Duration> {
        self.seen().lag
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
        // At once: what is printed next must not stand behind the bar, whenever the task notices.
        self.bar.lock().unwrap_or_else(PoisonError::into_inner).end();
    }
}

/// What the server's process does.
enum Doing {
    /// It is gone.
    Gone,
    /// It waits for its client, since the moment that is told.
    Waiting(Option<String>),
    /// It works.
    Work,
}

/// How often in a row it was seen that the process works on nothing, though a question is open.
#[derive(Default)]
struct Unheard {
    /// The number of the last question, if one is open.
    number: Option<u64>,
    /// Whether the process has had it all: it has worked since.
    received: bool,
    /// Since when the process waited when it was seen last.
    since: Option<String>,
    looks: usize,
}

impl Unheard {
    /// Takes in what was seen. Whether it was seen so often that the answer will never come.
    fn is_given_up(&mut self, open: Option<OpenQuestion>, doing: Doing) -> bool {
        let number = open.map(|open| open.number);
        if self.number != number {
            *self = Self { number, ..Self::default() };
        }
        let mut on_its_way = open.map_or(0, |open| open.bytes / BYTES_A_LOOK);
        match doing {
            Doing::Work => {
                (self.received, self.looks) = (true, 0);
                return false;
            }
            Doing::Waiting(_) if open.is_none() => {
                self.looks = 0;
                return false;
            }
            Doing::Waiting(since) => {
                self.received |= self.since.is_some() && self.since != since;
                self.since = since;
            }
            Doing::Gone => on_its_way = 0,
        }
        self.looks += 1;
        self.looks >= LOOKS + if self.received { 0 } else { on_its_way }
    }
}

struct Watched {
    server: Server,
    questions: Questions,
    driver: AbortHandle,
    silence: Duration,
    seen: Arc<Mutex<Seen>>,
    bar: Arc<Mutex<Bar>>,
}

impl Watched {
    async fn from(self, second: Session) {
        let (Process { pid, started }, look) = (&self.server.process, look_sql());
        let mut told = String::new();
        let mut unheard = Unheard::default();
        let mut speed = Speed::default();
        let mut draws = self.bar().is_wanted();
        loop {
            let open = self.questions.open();
            let row = async { second.client().query_one(&look, &[pid, started]).await };
            let row = match tokio::time::timeout(self.silence, row).await {
                Ok(Ok(row)) => row,
                Ok(Err(error)) => {
                    tracing::debug!(%error, "the second session is lost");
                    return;
                }
                Err(_) => {
                    tracing::warn!("nothing is heard from the server any longer: the connection is given up");
                    return self.driver.abort();
                }
            };
            let doing = match (row.get(0), row.get(1)) {
                (false, _) => Doing::Gone,
                (true, true) => Doing::Waiting(row.get(2)),
                (true, false) => Doing::Work,
            };
            if unheard.is_given_up(open, doing) {
                tracing::warn!(
                    "the server waits for the client, and the client for the server: the connection is given up"
                );
                second.end(&self.server).await;
                return self.driver.abort();
            }
            if let Some(who) = self.note(&row) {
                // The seconds pass; the pid is enough to know somebody again.
                let pids: String = who.split(' ').nth(1).unwrap_or_default().to_owned();
                if pids != told {
                    tracing::warn!(blocked_by = who, "waiting for a lock");
                    told = pids;
                }
            }
            if draws && let Err(error) = self.draw(&second, &mut speed).await {
                tracing::debug!(%error, "the server does not say how far it is");
                self.bar().clear();
                draws = false;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Shows how far the command under way is, where the server reports on it.
    async fn draw(&self, second: &Session, speed: &mut Speed) -> Result<(), String> {
        let sql = reported::sql(self.server.major());
        let rows = async { second.client().query(&sql, &[&self.server.process.pid]).await };
        let rows = tokio::time::timeout(self.silence, rows).await.map_err(|e| e.to_string())?;
        let rows = rows.map_err(|e| db_error(&e).message)?;
        match rows.first() {
            Some(row) => self.bar().show(&Reported::of(row).picture(speed)),
            None => self.bar().clear(),
        }
        Ok(())
    }

    fn bar(&self) -> MutexGuard<'_, Bar> {
        self.bar.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what was seen for who asks, and returns who is in the way.
    fn note(&self, row: &Row) -> Option<String> {
        let blocker = row.get::<_, Option<String>>(3);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.in_the_way |= row.get::<_, bool>(4);
        seen.lag = row.get::<_, Option<f64>>(5).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        if blocker.is_some() {
            seen.blocker.clone_from(&blocker);
        }
        blocker
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After how many looks at a process that does this, of a hundred, the connection is given up.
    fn looks(questions: &Questions, doing: impl Fn(usize) -> Doing) -> Option<usize> {
        let mut unheard = Unheard::default();
        (1..=100).find(|look| unheard.is_given_up(questions.open(), doing(*look)))
    }

    fn waiting(since: &str) -> Doing {
        Doing::Waiting(Some(since.to_owned()))
    }

    #[test]
    fn a_question_that_nobody_works_on_is_given_up_after_three_seconds_and_what_it_takes_to_send_it() {
        let questions = Questions::default();
        assert_eq!(looks(&questions, |_| waiting("a")), None, "nothing is asked");
        let small = questions.ask();
        assert_eq!(looks(&questions, |_| waiting("a")), Some(LOOKS));
        assert_eq!(looks(&questions, |_| Doing::Work), None);
        let large = questions.ask().of(10 * BYTES_A_LOOK);
        assert_eq!(looks(&questions, |_| waiting("a")), Some(LOOKS + 10));
        let behind = questions.ask();
        assert_eq!(
            looks(&questions, |_| waiting("a")),
            Some(LOOKS + 10),
            "a small one waits for the large one before it"
        );
        drop((large, behind));
        assert_eq!(looks(&questions, |_| waiting("a")), Some(LOOKS));
        drop(small);
        assert_eq!(looks(&questions, |_| waiting("a")), None);
    }

    #[test]
    fn what_the_server_has_received_is_on_its_way_no_longer() {
        let questions = Questions::default();
        let _large = questions.ask().of(50 * BYTES_A_LOOK);
        let worked_at = |at: usize| move |look| if look == at { Doing::Work } else { waiting("a") };
        assert_eq!(looks(&questions, worked_at(4)), Some(4 + LOOKS));
        let between = |look| waiting(if look < 20 { "a" } else { "b" });
        assert_eq!(looks(&questions, between), Some(20), "it has worked between two looks");
        assert_eq!(looks(&questions, |look| waiting(if look < 3 { "a" } else { "b" })), Some(LOOKS));
        assert_eq!(looks(&questions, |_| Doing::Gone), Some(LOOKS));
    }
}
