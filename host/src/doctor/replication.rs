//! Replicas, slots, and the archive of the write-ahead log.

use async_trait::async_trait;

use super::{
    Check, Look, Unseen,
    look::graded,
    model::{Finding, Severity},
    rows::{Row, Rows, Unit, column},
    thresholds::WAL_WARN_BYTES,
};
use crate::{
    postgres::quote_literal,
    report::{bytes, words},
};

pub struct Replication;

const REPLICAS_SQL: &str = "
    SELECT coalesce(nullif(application_name, ''), 'unnamed'), coalesce(host(client_addr), 'local'), state, sync_state,
           pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END, replay_lsn)::bigint,
           extract(epoch FROM replay_lag)::numeric(12, 1)
    FROM pg_stat_replication
    ORDER BY 5 DESC NULLS LAST";

/// Of a standby: how far it is behind what it has received, and behind the primary's clock. Where it has replayed all, nothing is to be
/// caught up on, however long ago that was written.
const STANDBY_SQL: &str = "
    SELECT pg_is_in_recovery(),
           CASE WHEN pg_is_in_recovery() THEN pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())::bigint END,
           CASE WHEN pg_is_in_recovery() AND pg_last_wal_receive_lsn() IS DISTINCT FROM pg_last_wal_replay_lsn()
                THEN extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::bigint END,
           CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() END";

const SLOTS_SQL: &str = "
    SELECT slot_name, slot_type, database, CASE WHEN active THEN 'yes' ELSE 'no' END, wal_status,
           pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, restart_lsn)::bigint
    FROM pg_replication_slots
    ORDER BY 6 DESC NULLS LAST";

const ARCHIVER_SQL: &str = "
    SELECT current_setting('archive_mode'), archived_count, failed_count, last_failed_wal,
           extract(epoch FROM clock_timestamp() - last_failed_time)::bigint,
           failed_count > 0 AND last_failed_time > coalesce(last_archived_time, '-infinity')
    FROM pg_stat_archiver";

#[async_trait(?Send)]
impl Check for Replication {
    fn name(&self) -> &'static str {
        "replication"
    }

    fn about(&self) -> &'static str {
        "lag of the replicas, slots, the archive of the write-ahead log"
    }

    async fn look(&self, look: &mut Look<'_>) -> Result<(), Unseen> {
        let replicas = replicas(look).await?;
        let standby = standby(look).await?;
        let slots = slots(look).await?;
        let archive = archive(look).await?;
        look.say(format!("{standby}{replicas}, {slots}, {archive}"));
        Ok(())
    }
}

fn counted(n: usize, noun: &str) -> String {
    if n == 0 { format!("no {noun}s") } else { words::count(n, noun) }
}

/// A lag in seconds: a warning where batches would wait for the replica, critical beyond what may be lost.
fn graded_lag(look: &Look<'_>, seconds: i64) -> Option<Severity> {
    let config = look.patient.config;
    let or = |value: u64, default: i64| if value == 0 { default } else { i64::try_from(value).unwrap_or(i64::MAX) };
    graded(seconds, or(config.batches.replication_lag_max_s, 10), or(config.backup.targets.rpo_s, 300))
}

async fn replicas(look: &mut Look<'_>) -> Result<String, Unseen> {
    let rows = look.ask(REPLICAS_SQL).await?;
    let columns = [
        column("replica", Unit::Text),
        column("address", Unit::Text),
        column("state", Unit::Text),
        column("sync", Unit::Text),
        column("lag", Unit::Bytes),
        column("lag", Unit::Seconds),
    ];
    if !rows.is_empty() && !look.patient.sees_all {
        let grant = look.patient.grant_to_see_all();
        look.miss(format!("how far the replicas are behind, which this role may not see (`{grant}`)"));
    }
    let seconds = rows.iter().map(|row| row.int(5)).max().unwrap_or(0);
    let behind = rows.iter().map(|row| row.int(4)).max().unwrap_or(0);
    let by_bytes = (behind >= WAL_WARN_BYTES).then_some(Severity::Warn);
    if let Some(severity) = graded_lag(look, seconds).max(by_bytes) {
        let message = format!("a replica is {} and {seconds} s behind", bytes(behind.unsigned_abs()));
        look.find(
            Finding::new(severity, "replication-lag", message)
                .rows(Rows::of(&columns, &rows))
                .advice("look for a long query on the replica that replay waits for, for its disk, and for what writes so much here; batches of a migration wait for it by themselves"),
        );
    }
    look.facts(Rows::of(&columns, &rows));
    Ok(counted(rows.len(), "replica"))
}

async fn standby(look: &mut Look<'_>) -> Result<&'static str, Unseen> {
    let row = look.ask_one(STANDBY_SQL).await?;
    if !row.is(0) {
        return Ok("");
    }
    let (behind, seconds) = (row.int(1), row.int(2));
    let by_bytes = (behind >= WAL_WARN_BYTES).then_some(Severity::Warn);
    if row.is(3) {
        look.find(
            Finding::new(Severity::Warn, "replay-paused", "the replay of this standby is paused")
                .statements(["SELECT pg_wal_replay_resume()".to_owned()])
                .advice("let it go on, unless somebody restores to a point in time right now"),
        );
    }
    if let Some(severity) = graded_lag(look, seconds).max(by_bytes) {
        let message =
            format!("this standby is {} and {seconds} s behind what it has received", bytes(behind.unsigned_abs()));
        look.find(Finding::new(severity, "replication-lag", message).advice(
            "look for a long query here that replay waits for (`max_standby_streaming_delay`), and at the disk",
        ));
    }
    Ok("a standby, ")
}

async fn slots(look: &mut Look<'_>) -> Result<String, Unseen> {
    let rows = look.ask(SLOTS_SQL).await?;
    let columns = [
        column("slot", Unit::Text),
        column("type", Unit::Text),
        column("database", Unit::Text),
        column("active", Unit::Text),
        column("wal status", Unit::Text),
        column("keeps", Unit::Bytes),
    ];
    let drop_it = |row: &&Row| format!("SELECT pg_drop_replication_slot({})", quote_literal(row.text(0)).trim_start());
    let lost: Vec<&Row> = rows.iter().filter(|row| matches!(row.text(4), "lost" | "unreserved")).collect();
    if !lost.is_empty() {
        let message =
            format!("{} lost, or about to lose, the log that is needed to catch up", counted(lost.len(), "slot"));
        look.find(
            Finding::new(Severity::Critical, "slot-lost", message)
                .statements(lost.iter().map(drop_it))
                .rows(Rows::of(&columns, lost))
                .advice("whoever uses it must be made anew; then drop the slot"),
        );
    }
    let idle: Vec<&Row> = rows.iter().filter(|row| row.text(3) == "no" && row.text(4) != "lost").collect();
    if !idle.is_empty() {
        let kept: i64 = idle.iter().map(|row| row.int(5)).max().unwrap_or(0);
        let message = format!(
            "{} that nobody uses; the log is kept for it: {}",
            counted(idle.len(), "slot"),
            bytes(kept.unsigned_abs())
        );
        look.find(
            Finding::new(Severity::Warn, "slot-inactive", message)
                .statements(idle.iter().map(drop_it))
                .rows(Rows::of(&columns, idle))
                .advice("the log grows until the disk is full: start what used it, or drop it; `max_slot_wal_keep_size` limits what slots keep"),
        );
    }
    let large: Vec<&Row> = rows.iter().filter(|row| row.text(3) == "yes" && row.int(5) >= WAL_WARN_BYTES).collect();
    if !large.is_empty() {
        let message = format!("{} in use, but far behind", counted(large.len(), "slot"));
        look.find(
            Finding::new(Severity::Warn, "slot-behind", message)
                .rows(Rows::of(&columns, large))
                .advice("look why its consumer does not keep up; `max_slot_wal_keep_size` limits what slots keep"),
        );
    }
    Ok(counted(rows.len(), "slot"))
}

async fn archive(look: &mut Look<'_>) -> Result<String, Unseen> {
    let row = look.ask_one(ARCHIVER_SQL).await?;
    if row.text(0) == "off" {
        return Ok("the log is not archived".to_owned());
    }
    if row.is(5) {
        let message = format!(
            "the write-ahead log cannot be archived: {} failures, the last {} ago with {}",
            row.int(2),
            words::whole(row.int(4).unsigned_abs() * 1_000),
            row.text(3)
        );
        look.find(
            Finding::new(Severity::Critical, "archive-failing", message)
                .statements(["SHOW archive_command".to_owned()])
                .advice("the log stays here until the disk is full, and nothing since can be restored: the server's log has what the command said"),
        );
    }
    Ok(format!("{} segments archived", row.int(1)))
}
