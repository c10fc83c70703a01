//! Who waits for whom, and who holds Lockgate's own lock.

use async_trait::async_trait;

use super::{
    Check, Look, Unseen,
    model::{Finding, Severity},
    rows::{Row, Rows, Unit, column, shortened},
    tree::{Involved, Node, trees},
};
use crate::postgres::lock::LockKey;

pub struct Locks;

/// `pg_locks` shows everybody who waits, also where `pg_stat_activity` hides what a session of another role does. Only those are asked
/// for their blockers that wait: `pg_blocking_pids` keeps the lock manager from working for a moment.
const SQL: &str = "
    WITH waiting AS MATERIALIZED (
        SELECT l.pid, pg_blocking_pids(l.pid) AS blockers
        FROM (SELECT DISTINCT pid FROM pg_locks WHERE NOT granted) l
        JOIN pg_stat_activity a USING (pid)
        WHERE a.datname = current_database()
    ), involved AS (
        SELECT pid FROM waiting UNION SELECT unnest(blockers) FROM waiting
    )
    SELECT i.pid, a.application_name, a.usename, nullif(a.datname, current_database()), a.state,
           extract(epoch FROM clock_timestamp() - a.xact_start)::bigint,
           extract(epoch FROM clock_timestamp() - l.waitstart)::bigint,
           upper(regexp_replace(regexp_replace(l.mode, 'Lock$', ''), '([a-z])([A-Z])', '\\1 \\2', 'g')),
           CASE WHEN l.relation IS NOT NULL AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                THEN l.relation::regclass::text WHEN l.locktype = 'transactionid' THEN 'a row that the other has changed'
                ELSE l.locktype END,
           a.query,
           (SELECT string_agg(DISTINCT blocker::text, ' ') FROM unnest(w.blockers) blocker)
    FROM involved i
    LEFT JOIN waiting w USING (pid)
    LEFT JOIN pg_stat_activity a ON a.pid = i.pid
    LEFT JOIN LATERAL (SELECT * FROM pg_locks l WHERE l.pid = i.pid AND NOT l.granted ORDER BY waitstart LIMIT 1) l ON true
    ORDER BY i.pid";

#[async_trait(?Send)]
impl Check for Locks {
    fn name(&self) -> &'static str {
        "locks"
    }

    fn about(&self) -> &'static str {
        "who waits for whom, and who holds Lockgate's own lock"
    }

    async fn look(&self, look: &mut Look<'_>) -> Result<(), Unseen> {
        let involved: Vec<Involved> = look.ask(SQL).await?.iter().map(involved).collect();
        let waiting: Vec<&Involved> = involved.iter().filter(|one| !one.waits_for.is_empty()).collect();
        let long_s = i64::try_from(look.patient.long.as_secs()).unwrap_or(i64::MAX);
        if waiting.is_empty() {
            look.say("nobody waits for a lock");
        } else {
            let longest = waiting.iter().filter_map(|one| one.waits_s).max().unwrap_or(0);
            let severity = if longest >= long_s { Severity::Critical } else { Severity::Warn };
            let n = waiting.len();
            let message = match n {
                1 => format!("a session waits for a lock, for {longest} s"),
                n => format!("{n} sessions wait for locks, the longest for {longest} s"),
            };
            look.say(message.clone());
            let tree = trees(involved);
            let statements = tree.iter().map(ending);
            let advice = "let those at the roots finish; else end them: all that waits below goes on. A session that only waits, and for \
                          which others wait in turn, can be cancelled by itself and run again later";
            look.find(Finding::new(severity, "blocked", message).statements(statements).advice(advice).tree(tree));
        }
        own_lock(look).await
    }
}

fn involved(row: &Row) -> Involved {
    let own = |i: usize| row.maybe(i).filter(|text| !text.is_empty()).map(str::to_owned);
    Involved {
        pid: i32::try_from(row.int(0)).unwrap_or(0),
        application: own(1),
        role: own(2),
        database: own(3),
        state: own(4),
        open_s: row.maybe_int(5),
        waits_s: row.maybe_int(6),
        mode: own(7),
        on: own(8),
        query: row.maybe(9).filter(|query| !query.is_empty()).map(shortened),
        waits_for: row.text(10).split(' ').filter_map(|pid| pid.parse().ok()).collect(),
    }
}

/// What ends the session at a root: one that works is asked to stop first, one that does not can only be ended.
fn ending(root: &Node) -> String {
    match (root.session.pid, root.session.state.as_deref()) {
        (0, _) => "SELECT gid, owner, prepared FROM pg_prepared_xacts ORDER BY prepared".to_owned(),
        (pid, Some("active")) => format!("SELECT pg_cancel_backend({pid})"),
        (pid, _) => format!("SELECT pg_terminate_backend({pid})"),
    }
}

async fn own_lock(look: &mut Look<'_>) -> Result<(), Unseen> {
    let (class, object) = (LockKey.class(), LockKey.object());
    let sql = format!(
        "
        SELECT l.pid, a.application_name, a.usename, extract(epoch FROM clock_timestamp() - a.backend_start)::bigint
        FROM pg_locks l LEFT JOIN pg_stat_activity a USING (pid)
        WHERE l.locktype = 'advisory' AND l.classid = {class} AND l.objid = {object} AND l.objsubid = 2 AND l.granted
          AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    );
    let rows = look.ask(&sql).await?;
    let columns = [
        column("pid", Unit::Id),
        column("application", Unit::Text),
        column("role", Unit::Text),
        column("connected", Unit::Seconds),
    ];
    if let Some(holder) = rows.first() {
        let who = format!("pid {} ({}, role {})", holder.int(0), holder.text(1), holder.text(2));
        look.summary += &format!("; {who} holds the lock of a migration run");
    }
    look.facts(Rows::of(&columns, &rows));
    Ok(())
}
