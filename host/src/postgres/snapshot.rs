//! A snapshot of a database that `pg_dump` shares, and what it holds: so that a restored database can be compared with it.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::{connect::Target, quote_ident, session::Session};
use crate::error::{Error, Result};

/// How many tables are asked about in one round trip.
const TABLES_A_QUESTION: usize = 100;

/// What a database holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Contents {
    /// Its tables, in order of their names, without those of extensions. Materialized views are not among them: a restore computes them
    /// anew, from the rows as they are then and not as they were when the view was last refreshed.
    pub tables: Vec<TableContents>,
    /// The number of large objects.
    pub large_objects: u64,
}

/// What a table holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TableContents {
    /// Schema and name, quoted where SQL needs it.
    pub name: String,
    /// The number of rows.
    pub rows: u64,
    /// The sum of `hashtextextended(row::text, 0)` over all rows, each with its columns in order of their names, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hash: Option<String>,
}

/// An open snapshot: a transaction that sees the database as it was when it began.
pub struct Snapshot {
    session: Session,
    /// What `pg_dump --snapshot` takes.
    pub id: String,
    /// Where it is in the write-ahead log; a standby does not tell.
    pub lsn: Option<String>,
}

impl Snapshot {
    /// Begins one, in a session of its own, which must live as long as anybody uses it.
    ///
    /// # Errors
    /// When there is no connection, or the server refuses.
    pub async fn take(target: &Target, application_name: &str) -> Result<Self> {
        let session = Session::connect(target, application_name).await?;
        let sql = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
                   SELECT pg_export_snapshot(), CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_lsn()::text END";
        let rows = session.texts("taking a snapshot", sql).await?;
        match rows.into_iter().next().map(<[Option<String>; 2]>::try_from) {
            Some(Ok([Some(id), lsn])) => Ok(Self { session, id, lsn }),
            _ => Err(Error::system("taking a snapshot", "the server told none")),
        }
    }

    /// The session, for questions about what the snapshot sees.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Ends it: what holds a snapshot keeps `CREATE INDEX CONCURRENTLY` waiting.
    pub async fn end(self) {
        if let Err(error) = self.session.batch("ending the snapshot", "ROLLBACK").await {
            tracing::debug!(%error, "it ends with its connection");
        }
    }
}

impl Contents {
    /// Counts the rows of every table, and hashes them where that is asked for, as the session's transaction sees them.
    ///
    /// `without_rows` are tables that are left out, as [`LeftOut`](super::left_out::LeftOut) names them.
    ///
    /// # Errors
    /// When a table may not be read.
    pub async fn of(session: &Session, hashes: bool, without_rows: &[String]) -> Result<Self> {
        const DOING: &str = "counting the rows of the tables";
        let sql = "SELECT n.nspname, c.relname,
                    (SELECT string_agg('lockgate_row.' || quote_ident(attname), ', ' ORDER BY attname COLLATE \"C\") FROM pg_attribute
                     WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped)
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE c.relkind = 'r' AND c.relpersistence <> 't'
               AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
               AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
             ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\"";
        let tables = session.texts(DOING, sql).await?;
        // How a value is written depends on these. A policy must make the question fail, not the answer smaller.
        let settings = "SET LOCAL search_path = pg_catalog; SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO, YMD';
                        SET LOCAL IntervalStyle = 'iso_8601'; SET LOCAL bytea_output = 'hex'; SET LOCAL extra_float_digits = 3;
                        SET LOCAL xmloption = 'content'; SET LOCAL row_security = off; SET LOCAL lock_timeout = '30s'";
        session.batch(DOING, settings).await?;
        let names = tables.iter().filter_map(|row| match row.as_slice() {
            [Some(schema), Some(name), columns] => {
                let name = format!("{}.{}", quote_ident(schema), quote_ident(name));
                Some((name, columns.as_deref().unwrap_or_default()))
            }
            _ => None,
        });
        let left_out: HashSet<&String> = without_rows.iter().collect();
        let names: Vec<(String, &str)> = names.filter(|(name, _)| !left_out.contains(name)).collect();
        let mut contents = Self::default();
        for names in names.chunks(TABLES_A_QUESTION) {
            let ask = |(name, columns): &(String, &str)| {
                // In order of their names: the columns that a table inherits may come back in another order than they were added.
                let hash = match hashes {
                    true => format!("coalesce(sum(hashtextextended(ROW({columns})::text, 0)), 0)::text"),
                    false => "NULL".to_owned(),
                };
                format!("SELECT count(*)::text, {hash} FROM ONLY {name} AS lockgate_row")
            };
            let asked = session.texts(DOING, &names.iter().map(ask).collect::<Vec<_>>().join(";")).await?;
            for ((name, _), answer) in names.iter().zip(asked) {
                let [Some(rows), hash] = answer.as_slice() else { continue };
                let rows = rows.parse().map_err(|e| Error::system(DOING, e))?;
                contents.tables.push(TableContents { name: name.clone(), rows, hash: hash.clone() });
            }
        }
        let rows = session.texts(DOING, "SELECT count(*)::text FROM pg_largeobject_metadata").await?;
        let count = rows.first().and_then(|row| row.first()).and_then(|text| text.as_ref()?.parse().ok());
        contents.large_objects = count.unwrap_or_default();
        Ok(contents)
    }

    /// How another database differs from this one, which tells what is expected: a sentence for each table. Hashes are compared where this
    /// has them.
    pub fn differences(&self, found: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        for expected in &self.tables {
            let name = &expected.name;
            match found.tables.iter().find(|table| table.name == *name) {
                None => differences.push(format!("{name} is missing")),
                Some(table) if table.rows != expected.rows => {
                    differences.push(format!("{name} has {} rows, not {}", table.rows, expected.rows));
                }
                Some(table) if expected.hash.is_some() && table.hash != expected.hash => {
                    differences.push(format!("{name} has other rows than it had, though as many"));
                }
                Some(_) => {}
            }
        }
        if self.large_objects != found.large_objects {
            differences.push(format!("{} large objects, not {}", found.large_objects, self.large_objects));
        }
        differences
    }

    /// Whether rows were hashed.
    pub fn has_hashes(&self) -> bool {
        self.tables.iter().any(|table| table.hash.is_some())
    }
}

/// About how large the tables are, in bytes: what an uncompressed dump comes near to.
pub async fn estimated_bytes(session: &Session) -> Result<u64> {
    let sql = "SELECT coalesce(sum(pg_table_size(c.oid)), 0)::text FROM pg_catalog.pg_class c
               JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
               WHERE c.relkind IN ('r', 'm') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'";
    let rows = session.texts("measuring the tables", sql).await?;
    let text = rows.into_iter().next().and_then(|mut row| row.pop().flatten());
    Ok(text.and_then(|text| text.parse().ok()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(tables: &[(&str, u64, Option<&str>)], large_objects: u64) -> Contents {
        let table = |(name, rows, hash): &(&str, u64, Option<&str>)| TableContents {
            name: (*name).into(),
            rows: *rows,
            hash: hash.map(Into::into),
        };
        Contents { tables: tables.iter().map(table).collect(), large_objects }
    }

    #[test]
    fn every_difference_is_told() {
        let before = contents(&[("a", 1, None), ("b", 2, Some("7")), ("c", 3, None)], 1);
        assert_eq!(before.differences(&before), Vec::<String>::new());
        let after = contents(&[("a", 2, None), ("b", 2, Some("8")), ("d", 1, None)], 0);
        assert_eq!(
            before.differences(&after),
            [
                "a has 2 rows, not 1",
                "b has other rows than it had, though as many",
                "c is missing",
                "0 large objects, not 1"
            ]
        );
    }
}
