//! Indexes that are not used for queries, and constraints that were never checked.

use async_trait::async_trait;

use super::{
    Check, Look, Unseen,
    model::{Finding, Severity},
    rows::{Row, Rows, Unit, column},
};
use crate::report::words;

pub struct Invalid;

/// Without those that are being built right now; of others' builds only those are told who may see them.
const INDEXES_SQL: &str = "
    SELECT i.indexrelid::regclass, i.indrelid::regclass,
           concat_ws(', ', CASE WHEN NOT i.indisvalid THEN 'invalid' END, CASE WHEN NOT i.indisready THEN 'not ready' END,
                     CASE WHEN NOT i.indislive THEN 'being dropped' END),
           CASE WHEN i.indisunique THEN 'yes' ELSE 'no' END,
           c.relpages::bigint * current_setting('block_size')::bigint,
           c.relkind = 'I', c.relname ~ '_cc(new|old)[0-9]*$', n.nspname = 'pg_toast'
    FROM pg_index i
    JOIN pg_class c ON c.oid = i.indexrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE NOT (i.indisvalid AND i.indisready AND i.indislive)
      AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.datname = current_database() AND p.index_relid = i.indexrelid)
    ORDER BY 1";

fn constraints_sql(major: u32) -> String {
    // From 18 on there are constraints that are not to be checked.
    let enforced = if major >= 18 { "AND c.conenforced" } else { "" };
    format!(
        "
    SELECT c.conrelid::regclass, quote_ident(c.conname),
           CASE c.contype WHEN 'f' THEN 'foreign key' WHEN 'c' THEN 'check' WHEN 'n' THEN 'not null' ELSE c.contype::text END
    FROM pg_constraint c
    WHERE NOT c.convalidated AND c.conrelid <> 0 AND c.conparentid = 0 {enforced}
    ORDER BY 1, 2"
    )
}

#[async_trait(?Send)]
impl Check for Invalid {
    fn name(&self) -> &'static str {
        "invalid"
    }

    fn about(&self) -> &'static str {
        "indexes that no query uses, constraints that were never checked"
    }

    async fn look(&self, look: &mut Look<'_>) -> Result<(), Unseen> {
        look.say("every index is valid, every constraint was checked");
        let indexes = look.ask(INDEXES_SQL).await?;
        if !indexes.is_empty() {
            let columns = [
                column("index", Unit::Text),
                column("table", Unit::Text),
                column("state", Unit::Text),
                column("unique", Unit::Text),
                column("size", Unit::Bytes),
            ];
            let is = if indexes.len() == 1 { "index is" } else { "indexes are" };
            let mut advice = "it costs every write and serves no query: build it again, or drop it".to_owned();
            if indexes.iter().any(|row| row.text(3) == "yes") {
                advice += "; a unique one can only be built when no values are there twice";
            }
            look.find(
                Finding::new(Severity::Warn, "invalid-index", format!("{} {is} not valid", indexes.len()))
                    .rows(Rows::of(&columns, &indexes))
                    .statements(indexes.iter().filter_map(mending))
                    .advice(advice),
            );
        }
        let constraints = look.ask(&constraints_sql(look.patient.session.server.major())).await?;
        if !constraints.is_empty() {
            let columns = [column("table", Unit::Text), column("constraint", Unit::Text), column("kind", Unit::Text)];
            let was = if constraints.len() == 1 { "was" } else { "were" };
            let n = words::count(constraints.len(), "constraint");
            let validate = |row: &Row| format!("ALTER TABLE {} VALIDATE CONSTRAINT {}", row.text(0), row.text(1));
            look.find(
                Finding::new(
                    Severity::Warn,
                    "not-valid-constraint",
                    format!("{n} {was} never checked against the rows that there were"),
                )
                .rows(Rows::of(&columns, &constraints))
                .statements(constraints.iter().map(validate))
                .advice("validate it, in a migration of its own: others go on reading and writing meanwhile"),
            );
        }
        Ok(())
    }
}

/// What a `REINDEX CONCURRENTLY` that was cut off has left is dropped; what serves no query is built anew. An index of a partitioned table
/// becomes valid when each partition has its own, so that no single statement mends it.
fn mending(row: &Row) -> Option<String> {
    let (index, partitioned, left, toast) = (row.text(0), row.is(5), row.is(6), row.is(7));
    match (partitioned, left, toast) {
        (true, _, _) => None,
        // What belongs to a TOAST table can only be dropped without CONCURRENTLY, by a superuser; a REINDEX of the table skips it.
        (_, true, true) => Some(format!("DROP INDEX {index}")),
        (_, true, false) => Some(format!("DROP INDEX CONCURRENTLY {index}")),
        _ => Some(format!("REINDEX INDEX CONCURRENTLY {index}")),
    }
}
