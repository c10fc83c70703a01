//! Indexes that are alike: one of them is enough.

use async_trait::async_trait;

use super::{
    Check, Look, Unseen,
    model::{Finding, Severity},
    rows::{Rows, Unit, column},
};
use crate::report::bytes;

pub struct DuplicateIndexes;

/// Alike are those of one table with the same method, columns, operator classes, collations, orders, expressions and predicate.
/// `pg_get_indexdef` would lock the table, so the trees themselves are compared, without the places that they had in their statements. Of
/// two, that one stays which does more: a constraint's, then a unique one, then the older one.
const SQL: &str = "
    WITH indexes AS MATERIALIZED (
        SELECT i.indexrelid, i.indrelid, i.indisunique, c.relpages::bigint * current_setting('block_size')::bigint AS bytes,
               (SELECT max(contype::text) FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x')) AS contype,
               i.indisreplident OR i.indisclustered AS marked,
               concat_ws('|', c.relam, i.indnkeyatts, i.indkey, i.indclass, i.indcollation, i.indoption,
                         coalesce(regexp_replace(i.indexprs::text, ' :(stmt_)?location -?[0-9]+', '', 'g'), '-'),
                         coalesce(regexp_replace(i.indpred::text, ' :(stmt_)?location -?[0-9]+', '', 'g'), '-')) AS what
        FROM pg_index i
        JOIN pg_class c ON c.oid = i.indexrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE i.indisvalid AND NOT c.relispartition AND n.nspname !~ '^pg_'
    ), ranked AS (
        SELECT *, first_value(indexrelid) OVER alike AS kept, row_number() OVER alike AS rank
        FROM indexes
        WINDOW alike AS (PARTITION BY indrelid, what ORDER BY contype IS NULL, contype, NOT indisunique, NOT marked, indexrelid)
    )
    SELECT indexrelid::regclass, kept::regclass, indrelid::regclass, bytes, contype IS NULL AND NOT marked
    FROM ranked WHERE rank > 1
    ORDER BY bytes DESC, 1";

#[async_trait(?Send)]
impl Check for DuplicateIndexes {
    fn name(&self) -> &'static str {
        "duplicate-indexes"
    }

    fn about(&self) -> &'static str {
        "indexes that another one of the same table makes superfluous"
    }

    async fn look(&self, look: &mut Look<'_>) -> Result<(), Unseen> {
        let rows = look.ask(SQL).await?;
        look.say("no two are alike");
        if rows.is_empty() {
            return Ok(());
        }
        let columns = [
            column("index", Unit::Text),
            column("same as", Unit::Text),
            column("table", Unit::Text),
            column("size", Unit::Bytes),
        ];
        let size: i64 = rows.iter().map(|row| row.int(3)).sum();
        let is = if rows.len() == 1 { "index is" } else { "indexes are" };
        let what = if rows.len() == 1 { "the same as another" } else { "the same as others" };
        let message = format!("{} {is} {what} ({})", rows.len(), bytes(size.unsigned_abs()));
        // That of a constraint goes with the constraint only.
        let to_drop = rows.iter().filter(|row| row.is(4));
        look.find(
            Finding::new(Severity::Warn, "duplicate-index", message)
                .rows(Rows::of(&columns, &rows))
                .statements(to_drop.map(|row| format!("DROP INDEX CONCURRENTLY {}", row.text(0))))
                .advice("each costs every write of the table and serves no query that the other does not: drop it, in a migration"),
        );
        Ok(())
    }
}
