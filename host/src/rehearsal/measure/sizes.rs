//! How large the tables of a database are.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    error::{Error, Result},
    locks::RelationName,
    postgres::{Session, Timeouts},
};

/// To measure a table takes a lock on it, which only a change of its schema keeps from us. Nobody waits long behind us for that.
const PATIENCE: Timeouts = Timeouts { lock: Duration::from_secs(1), statement: Duration::from_secs(60) };

const DOING: &str = "asking how large the tables are";

/// The sizes of all tables of a database, by their names.
#[derive(Debug, Clone, Default)]
pub struct Sizes(BTreeMap<String, Size>);

/// How large a table is; a partitioned one is as large as its partitions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Size {
    /// With its indexes and TOAST, in bytes.
    pub(super) bytes: u64,
    /// About how many rows it has; `None` where nobody has counted yet.
    pub(super) rows: Option<u64>,
}

/// A table, view or materialized view as the catalog has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) oid: u32,
    pub(super) relation: RelationName,
    /// Whether its rows are others' work: a view, or a materialized one.
    pub(super) view: bool,
    pub(super) size: Size,
    pub(super) file: String,
    pub(super) toast: u32,
}

/// An index as the catalog has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Index {
    pub(super) oid: u32,
    pub(super) relation: RelationName,
    pub(super) table: u32,
    pub(super) file: String,
    /// Of a partitioned table's index it says no more than that a partition has none yet.
    pub(super) valid: bool,
}

impl Sizes {
    /// Reads them from the catalog.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn read(session: &Session) -> Result<Self> {
        let tables = tables(session).await?;
        Ok(Self(tables.into_iter().map(|table| (table.relation.to_string(), table.size)).collect()))
    }

    pub(super) fn get(&self, relation: &str) -> Option<Size> {
        self.0.get(relation).copied()
    }
}

/// All tables, measured in a transaction of its own.
pub(super) async fn tables(session: &Session) -> Result<Vec<Table>> {
    let ask = async |size: &str| {
        let sql = tables_sql(size);
        session.read_only(PATIENCE, async |_| session.texts(DOING, &sql).await).await?
    };
    let rows = match ask("pg_catalog.pg_total_relation_size(part.oid)").await {
        Err(Error::Database { error, .. }) if error.is("55P03") => {
            tracing::warn!("a table is locked, so the sizes are those of the last VACUUM or ANALYZE");
            ask("part.relpages::int8 * pg_catalog.current_setting('block_size')::int8").await?
        }
        rows => rows?,
    };
    Ok(rows.iter().filter_map(|row| table(row)).collect())
}

/// All indexes.
pub(super) async fn indexes(session: &Session) -> Result<Vec<Index>> {
    const SQL: &str = "
        SELECT i.indexrelid, n.nspname, c.relname, i.indrelid, c.relfilenode, i.indisvalid OR c.relkind = 'I'
        FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname <> ALL ('{pg_catalog,information_schema}')";
    let rows = session.texts("looking at the indexes", SQL).await?;
    let index = |row: &Vec<Option<String>>| {
        let [Some(oid), Some(schema), Some(name), Some(table), Some(file), Some(valid)] = row.as_slice() else {
            return None;
        };
        Some(Index {
            oid: oid.parse().ok()?,
            relation: relation(schema, name),
            table: table.parse().ok()?,
            file: file.clone(),
            valid: valid == "t",
        })
    };
    Ok(rows.iter().filter_map(index).collect())
}

/// A name with the schema, but for `public`.
pub(super) fn relation(schema: &str, name: &str) -> RelationName {
    RelationName { schema: (schema != "public").then(|| schema.to_owned()), name: name.to_owned() }
}

fn table(row: &[Option<String>]) -> Option<Table> {
    let [Some(oid), Some(schema), Some(name), Some(kind), Some(bytes), rows, Some(pages), Some(file), Some(toast)] =
        row
    else {
        return None;
    };
    let counted = rows.as_ref().and_then(|rows| rows.parse().ok());
    // What has no page has no row, whether that was counted or not.
    let rows = if pages == "0" { Some(0) } else { counted };
    Some(Table {
        oid: oid.parse().ok()?,
        relation: relation(schema, name),
        view: matches!(kind.as_str(), "v" | "m"),
        size: Size { bytes: bytes.parse().ok()?, rows },
        file: file.clone(),
        toast: toast.parse().ok()?,
    })
}

/// A partitioned table has no size of its own: it is as large as its partitions.
fn tables_sql(size: &str) -> String {
    let pages = size.replace("pg_total_relation_size(part.oid)", "pg_relation_size(part.oid)");
    format!(
        "SELECT rel.oid, n.nspname, rel.relname, rel.relkind, s.bytes, s.rows, s.pages, rel.relfilenode, rel.reltoastrelid
         FROM pg_catalog.pg_class rel JOIN pg_catalog.pg_namespace n ON n.oid = rel.relnamespace,
              LATERAL (SELECT coalesce(sum({size}), 0)::int8 AS bytes, coalesce(sum({pages}), 0)::int8 AS pages,
                              sum(part.reltuples) FILTER (WHERE part.reltuples >= 0)::int8 AS rows
                       FROM (SELECT rel.oid WHERE rel.relkind <> 'p' UNION ALL
                             SELECT tree.relid FROM pg_catalog.pg_partition_tree(rel.oid) tree WHERE rel.relkind = 'p') one (oid)
                       JOIN pg_catalog.pg_class part ON part.oid = one.oid AND part.relkind IN ('r', 'm')) s
         WHERE rel.relkind IN ('r', 'p', 'm', 'v', 'f') AND n.nspname <> ALL ('{{pg_catalog,information_schema,pg_toast}}')
           AND rel.relpersistence <> 't'"
    )
}
