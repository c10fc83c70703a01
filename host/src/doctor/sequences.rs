//! Sequences that come to their end, or to that of the column that they fill.

use async_trait::async_trait;

use super::{
    Check, Look, Unseen,
    look::graded,
    model::Finding,
    rows::{Row, Rows, Unit, column},
    thresholds::{SEQUENCE_CRITICAL_PERCENT, SEQUENCE_WARN_PERCENT},
};

pub struct Sequences;

/// The end is that of the sequence or of the type of its column, whichever comes first. `pg_sequence_last_value` takes the lock of one
/// who writes to the sequence, so that those are left out on which somebody holds, or waits for, a lock that does not go with it.
const SQL: &str = "
    WITH locked AS MATERIALIZED (
        SELECT relation FROM pg_locks
        WHERE database = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
    ), sequences AS MATERIALIZED (
        SELECT s.seqrelid, s.seqincrement, s.seqmin, d.refobjid, a.attname, a.atttypid,
               least(s.seqmax, CASE a.atttypid WHEN 'int2'::regtype THEN 32767 WHEN 'int4'::regtype THEN 2147483647
                               ELSE s.seqmax END) AS at_most
        FROM pg_sequence s
        JOIN pg_class c ON c.oid = s.seqrelid
        LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = s.seqrelid AND d.deptype IN ('a', 'i')
                             AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0
        LEFT JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
        WHERE NOT s.seqcycle AND s.seqincrement > 0 AND c.relpersistence <> 't'
    ), told AS MATERIALIZED (
        SELECT s.*, s.seqrelid IN (SELECT relation FROM locked) AS is_locked,
               has_sequence_privilege(s.seqrelid, 'USAGE') OR has_sequence_privilege(s.seqrelid, 'SELECT') AS may
        FROM sequences s
    ), valued AS MATERIALIZED (
        SELECT t.*, CASE WHEN may AND NOT is_locked THEN pg_sequence_last_value(seqrelid) END AS last FROM told t
    )
    SELECT seqrelid::regclass, CASE WHEN refobjid IS NOT NULL THEN format('%s.%I', refobjid::regclass, attname) END,
           last, at_most, (100 * (last - seqmin)::numeric / nullif(at_most - seqmin, 0))::bigint,
           is_locked, may, refobjid::regclass, quote_ident(attname), atttypid = 'int8'::regtype OR at_most > 2147483647
    FROM valued
    ORDER BY 5 DESC NULLS LAST, 1";

#[async_trait(?Send)]
impl Check for Sequences {
    fn name(&self) -> &'static str {
        "sequences"
    }

    fn about(&self) -> &'static str {
        "sequences that come to their end"
    }

    async fn look(&self, look: &mut Look<'_>) -> Result<(), Unseen> {
        let rows = look.ask(SQL).await?;
        for (which, why) in [(5, "that somebody has locked"), (6, "of which this role may not read the value")] {
            let n = rows.iter().filter(|row| row.is(which) == (which == 5)).count();
            if n > 0 {
                look.miss(format!("{} {why}", crate::report::words::count(n, "sequence")));
            }
        }
        let fullest = rows.first().map_or(0, |row| row.int(4));
        look.say(match rows.len() {
            0 => "there are none".to_owned(),
            _ => format!("the fullest has used {fullest} % of its numbers"),
        });
        let columns = [
            column("sequence", Unit::Text),
            column("column", Unit::Text),
            column("at", Unit::Count),
            column("ends at", Unit::Count),
            column("used", Unit::Percent),
        ];
        let full: Vec<&Row> = rows.iter().filter(|row| row.int(4) >= SEQUENCE_WARN_PERCENT).collect();
        let Some(severity) = graded(fullest, SEQUENCE_WARN_PERCENT, SEQUENCE_CRITICAL_PERCENT) else { return Ok(()) };
        let comes = if full.len() == 1 { "sequence comes to its end" } else { "sequences come to their end" };
        look.find(
            Finding::new(severity, "sequence-ends", format!("{} {comes}: the fullest has used {fullest} %", full.len()))
                .statements(full.iter().flat_map(|row| widening(row)))
                .rows(Rows::of(&columns, full))
                .advice(
                    "every insert fails once it is at its end. A column of another type is written anew under a lock that nobody reads \
                     through: on a large table, fill a second column in batches instead (`lockgate new`)",
                ),
        );
        Ok(())
    }
}

/// The statements that make room, in their order.
fn widening(row: &Row) -> Vec<String> {
    let (sequence, table, column) = (row.text(0), row.text(7), row.text(8));
    // Both are as wide as they can be: only the sequence's own limit is in the way.
    if row.is(9) {
        return vec![format!("ALTER SEQUENCE {sequence} NO MAXVALUE")];
    }
    let mut statements = Vec::new();
    if row.maybe(7).is_some() {
        statements.push(format!("ALTER TABLE {table} ALTER COLUMN {column} TYPE bigint"));
    }
    statements.push(format!("ALTER SEQUENCE {sequence} AS bigint NO MAXVALUE"));
    statements
}
