//! Dead rows, and a guess at how much of the tables is empty.

use async_trait::async_trait;

use super::{
    Check, Look, Unseen,
    model::{Finding, Severity},
    rows::{Row, Rows, Unit, column},
    thresholds::{BLOAT_BYTES, BLOAT_PERCENT, DEAD_WARN_PERCENT, DEAD_WARN_ROWS},
};
use crate::report::{bytes, thousands};

pub struct Vacuum;

fn dead_sql() -> String {
    format!(
        "
        SELECT relid::regclass, n_dead_tup, n_live_tup, 100 * n_dead_tup / nullif(n_dead_tup + n_live_tup, 0),
               coalesce(to_char(greatest(last_vacuum, last_autovacuum) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'), 'never')
        FROM pg_stat_user_tables
        WHERE n_dead_tup >= {DEAD_WARN_ROWS} AND 100 * n_dead_tup >= {DEAD_WARN_PERCENT} * (n_dead_tup + n_live_tup)
        ORDER BY n_dead_tup DESC, 1"
    )
}

/// The room that the rows need, by the average widths that ANALYZE has noted: 28 bytes for each row's header and pointer, as much as its
/// columns have, in pages less their header, filled as the table says. What is left out of the guess: alignment, dropped columns, what
/// lies in TOAST tables. Tables of which a column has no statistics, or has some that this role may not read, are left out.
fn bloat_sql() -> String {
    format!(
        "
        WITH widths AS MATERIALIZED (
            SELECT schemaname, tablename, count(*) AS columns, sum((1 - null_frac) * avg_width) AS width
            FROM pg_stats WHERE NOT inherited GROUP BY 1, 2
        ), tables AS MATERIALIZED (
            SELECT c.oid, c.relpages::bigint AS pages, current_setting('block_size')::bigint AS block,
                   ceil(c.reltuples * (28 + w.width)
                        / ((current_setting('block_size')::bigint - 24)
                           * coalesce((SELECT option_value::numeric FROM pg_options_to_table(c.reloptions) WHERE option_name = 'fillfactor'), 100)
                           / 100)) AS needed
            FROM pg_class c
            JOIN pg_namespace n ON n.oid = c.relnamespace
            JOIN widths w ON w.schemaname = n.nspname AND w.tablename = c.relname
            WHERE c.relkind IN ('r', 'm') AND c.reltuples >= 0 AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
              AND w.columns = (SELECT count(*) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
        )
        SELECT oid::regclass, pages * block, ((pages - needed) * block)::bigint, (100 * (pages - needed) / pages)::bigint
        FROM tables
        WHERE pages > 0 AND 100 * (pages - needed) >= {BLOAT_PERCENT} * pages AND (pages - needed) * block >= {BLOAT_BYTES}
        ORDER BY 3 DESC, 1"
    )
}

#[async_trait(?Send)]
impl Check for Vacuum {
    fn name(&self) -> &'static str {
        "vacuum"
    }

    fn about(&self) -> &'static str {
        "dead rows, and a guess at how much of the tables is empty"
    }

    async fn look(&self, look: &mut Look<'_>) -> Result<(), Unseen> {
        look.say(format!("no table has {DEAD_WARN_PERCENT} % dead rows, or is half empty by a guess"));
        let dead = look.ask(&dead_sql()).await?;
        let vacuum = |row: &Row| format!("VACUUM (ANALYZE) {}", row.text(0));
        if !dead.is_empty() {
            let columns = [
                column("table", Unit::Text),
                column("dead rows", Unit::Count),
                column("live rows", Unit::Count),
                column("dead", Unit::Percent),
                column("vacuumed at", Unit::Text),
            ];
            let all: i64 = dead.iter().map(|row| row.int(1)).sum();
            let has = if dead.len() == 1 { "table has" } else { "tables have" };
            let message = format!("{} {has} many dead rows, {} in all", dead.len(), thousands(all.unsigned_abs()));
            look.find(
                Finding::new(Severity::Warn, "dead-rows", message)
                    .rows(Rows::of(&columns, &dead))
                    .statements(dead.iter().map(vacuum))
                    .advice(
                        "autovacuum is off for it, has not come to it, or is kept from it by an old snapshot (`lockgate doctor --check \
                         transactions`); vacuum it",
                    ),
            );
        }
        let bloated = look.ask(&bloat_sql()).await?;
        if !bloated.is_empty() {
            let columns = [
                column("table", Unit::Text),
                column("size", Unit::Bytes),
                column("empty by a guess", Unit::Bytes),
                column("share", Unit::Percent),
            ];
            let all: i64 = bloated.iter().map(|row| row.int(2)).sum();
            let seems = if bloated.len() == 1 { "table seems" } else { "tables seem" };
            let message = format!(
                "a guess: {} {seems} to be more than half empty, {} in all",
                bloated.len(),
                bytes(all.unsigned_abs())
            );
            look.say(message.clone());
            look.find(
                Finding::new(Severity::Info, "bloat-guess", message)
                    .rows(Rows::of(&columns, &bloated))
                    .statements(bloated.iter().map(vacuum))
                    .advice(
                        "a guess from the widths that ANALYZE noted; the extension pgstattuple measures it. New rows fill the room after a \
                         VACUUM. Only `VACUUM FULL` (nobody reads or writes meanwhile) or pg_repack gives it back to the disk",
                    ),
            );
        }
        Ok(())
    }
}
