//! Indexes that no query has used since the statistics began.

use async_trait::async_trait;

use super::{
    Check, Look, Unseen,
    model::{Finding, Severity},
    rows::{Rows, Unit, column},
    thresholds::UNUSED_AFTER,
};
use crate::report::{bytes, words};

pub struct UnusedIndexes;

const SINCE_SQL: &str = "
    SELECT to_char(coalesce(stats_reset, pg_postmaster_start_time()) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'),
           extract(epoch FROM clock_timestamp() - coalesce(stats_reset, pg_postmaster_start_time()))::bigint,
           stats_reset IS NULL, current_setting('track_counts'), pg_is_in_recovery()
    FROM pg_stat_database WHERE datname = current_database()";

/// A unique index, and that of a constraint, does its work without being scanned; that of a partition goes with its parent; a replica
/// identity and a clustering order are uses as well.
const SQL: &str = "
    SELECT s.indexrelid::regclass, s.relid::regclass, c.relpages::bigint * current_setting('block_size')::bigint,
           t.n_tup_ins + t.n_tup_upd
    FROM pg_stat_user_indexes s
    JOIN pg_index i ON i.indexrelid = s.indexrelid
    JOIN pg_class c ON c.oid = s.indexrelid
    JOIN pg_stat_user_tables t ON t.relid = s.relid
    WHERE s.idx_scan = 0 AND i.indisvalid AND NOT (i.indisunique OR i.indisexclusion OR i.indisreplident OR i.indisclustered)
      AND NOT c.relispartition AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid)
    ORDER BY 3 DESC, 1";

#[async_trait(?Send)]
impl Check for UnusedIndexes {
    fn name(&self) -> &'static str {
        "unused-indexes"
    }

    fn about(&self) -> &'static str {
        "indexes that no query has used since the statistics began"
    }

    async fn look(&self, look: &mut Look<'_>) -> Result<(), Unseen> {
        let since = look.ask_one(SINCE_SQL).await?;
        if since.text(3) != "on" {
            return Err(Unseen("the server counts nothing (`track_counts` is off)".to_owned()));
        }
        let start = if since.is(2) { "the server's start, or earlier" } else { "the statistics' reset" };
        let from = format!("{} UTC ({start})", since.text(0));
        let rows = look.ask(SQL).await?;
        look.say(format!("all are used since {from}, or serve a constraint"));
        if rows.is_empty() {
            return Ok(());
        }
        let columns = [
            column("index", Unit::Text),
            column("table", Unit::Text),
            column("size", Unit::Bytes),
            column("rows written", Unit::Count),
        ];
        let size: i64 = rows.iter().map(|row| row.int(2)).sum();
        let was = if rows.len() == 1 { "index was" } else { "indexes were" };
        let message = format!("{} {was} not used since {from} ({})", rows.len(), bytes(size.unsigned_abs()));
        let mut advice =
            "if no rare job and no replica needs it (each server counts for itself), drop it in a migration".to_owned();
        let age_s = since.int(1).unsigned_abs();
        if age_s < UNUSED_AFTER.as_secs() {
            advice =
                format!("the statistics are only {} old, which says little; {advice}", words::whole(age_s * 1_000));
        }
        look.say(message.clone());
        look.find(
            Finding::new(Severity::Info, "unused-index", message)
                .rows(Rows::of(&columns, &rows))
                .statements(rows.iter().map(|row| format!("DROP INDEX CONCURRENTLY {}", row.text(0))))
                .advice(advice),
        );
        Ok(())
    }
}
