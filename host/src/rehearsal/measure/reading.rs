//! What the server says of its own session between two statements: how far its log is, which locks it holds, and what it has done to the
//! tables that it holds them on.

use std::collections::{BTreeMap, BTreeSet};

use crate::{error::Result, locks::Mode, postgres::Session};

const DOING: &str = "measuring a step";

/// Objects with a smaller number are the server's own. Source: `FirstNormalObjectId` in `access/transam.h`.
const FIRST_NORMAL_OID: u32 = 16_384;

/// One look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Reading {
    /// The byte of the log up to which it is written.
    pub(super) wal: u64,
    /// The locks on relations that the session holds.
    pub(super) locks: BTreeSet<(u32, Mode)>,
    /// The tables.
    pub(super) tables: BTreeMap<u32, Counts>,
}

/// What was done to a table since the session last told the statistics, and where its data is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) scans: u64,
    pub(super) rows_read: u64,
    pub(super) inserted: u64,
    /// Updated or deleted.
    pub(super) changed: u64,
    /// The number of its file; none once it is dropped.
    pub(super) file: String,
    /// Whether the file is empty.
    pub(super) empty: bool,
    /// The files of its indexes.
    pub(super) indexes: BTreeSet<String>,
}

/// Names and operators with their schemas, since the migration may have changed the search path; the statistics of the transaction, which
/// the server keeps back until it has ended.
fn within_sql() -> String {
    let stat = |what: &str| format!("pg_catalog.pg_stat_get_xact_{what}(l.relation)");
    sql(
        &stat,
        "pg_catalog.pg_locks",
        "l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid() AND l.locktype OPERATOR(pg_catalog.=) 'relation' AND l.granted",
    )
}

/// The same of named tables, from the statistics of all sessions.
fn beside_sql(tables: &str) -> String {
    let stat = |what: &str| format!("pg_catalog.pg_stat_get_{what}(l.relation)");
    let rows = format!("(SELECT oid AS relation, ''::text AS mode FROM pg_catalog.pg_class WHERE oid IN ({tables}))");
    sql(&stat, &rows, "true")
}

fn sql(stat: &dyn Fn(&str) -> String, from: &str, condition: &str) -> String {
    let [scans, read, inserted, updated, deleted] =
        ["numscans", "tuples_returned", "tuples_inserted", "tuples_updated", "tuples_deleted"].map(stat);
    format!(
        "SELECT pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_insert_lsn(), '0/0');
         SELECT l.relation, l.mode, c.relkind, {scans}, {read}, {inserted}, {updated}, {deleted}, c.relfilenode,
                pg_catalog.pg_relation_size(c.oid),
                (SELECT pg_catalog.string_agg(x.relfilenode::pg_catalog.text, ' ')
                 FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid OPERATOR(pg_catalog.=) i.indexrelid
                 WHERE i.indrelid OPERATOR(pg_catalog.=) l.relation AND x.relkind OPERATOR(pg_catalog.=) 'i')
         FROM {from} l LEFT JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) l.relation
         WHERE {condition} AND l.relation OPERATOR(pg_catalog.>=) {FIRST_NORMAL_OID}::pg_catalog.oid"
    )
}

impl Reading {
    /// Looks from within the session itself: one round trip.
    pub(super) async fn within(session: &Session) -> Result<Self> {
        Ok(Self::of(session.texts(DOING, &within_sql()).await?))
    }

    /// Looks from another session at what the first has told the statistics.
    pub(super) async fn beside(session: &Session, tables: impl Iterator<Item = u32>) -> Result<Self> {
        let mut list: Vec<String> = tables.map(|oid| oid.to_string()).collect();
        list.push("0".into());
        Ok(Self::of(session.texts(DOING, &beside_sql(&list.join(", "))).await?))
    }

    fn of(rows: Vec<Vec<Option<String>>>) -> Self {
        let mut reading = Self::default();
        for row in rows {
            match row.as_slice() {
                [Some(wal)] => reading.wal = wal.parse().unwrap_or_default(),
                [Some(oid), Some(mode), kind, counts @ ..] => {
                    let Ok(oid) = oid.parse() else { continue };
                    reading.locks.extend(Mode::of_pg_locks(mode).map(|mode| (oid, mode)));
                    if matches!(kind.as_deref(), Some("r" | "p" | "m")) {
                        reading.tables.insert(oid, Counts::of(counts));
                    }
                }
                _ => {}
            }
        }
        reading
    }
}

impl Counts {
    fn of(columns: &[Option<String>]) -> Self {
        let text = |i: usize| columns.get(i).and_then(Option::as_deref).unwrap_or_default();
        let number = |i: usize| text(i).parse().unwrap_or(0_u64);
        Self {
            scans: number(0),
            rows_read: number(1),
            inserted: number(2),
            changed: number(3) + number(4),
            file: text(5).to_owned(),
            empty: number(6) == 0,
            indexes: text(7).split(' ').filter(|file| !file.is_empty()).map(str::to_owned).collect(),
        }
    }
}

/// Has the session tell the statistics what it has done, which it otherwise does up to a second later.
///
/// Source: PostgreSQL manual, "Statistics Functions", from 15 on.
pub(in super::super) async fn tell_statistics(session: &Session) -> Result<()> {
    if session.server.major() < 15 {
        return Ok(());
    }
    session.batch("having the statistics told", "SELECT pg_catalog.pg_stat_force_next_flush()").await
}
