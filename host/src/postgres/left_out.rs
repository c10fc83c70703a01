//! The tables whose rows a backup leaves out, found by the patterns that name them: with their partitions and children, or the rows would be in it
//! after all.

use super::{quote_ident, quote_literal, session::Session};
use crate::error::Result;

/// What patterns come to in a database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// The tables, each with schema and name, quoted.
    pub tables: Vec<String>,
    /// The patterns that name no table.
    pub unmatched: Vec<String>,
    /// Foreign keys of tables that are kept to tables that are left out, each as `child` and `parent`: with them, no backup can be restored.
    pub broken: Vec<(String, String)>,
}

const DOING: &str = "finding the tables whose rows are left out";

impl LeftOut {
    /// Asks in the session's transaction.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub async fn of(session: &Session, patterns: &[String]) -> Result<Self> {
        let mut left_out = Self::default();
        let mut oids: Vec<String> = Vec::new();
        for pattern in patterns {
            let rows = session.texts(DOING, &tables_sql(pattern)).await?;
            if rows.is_empty() {
                left_out.unmatched.push(pattern.clone());
            }
            for row in rows {
                let [Some(oid), Some(schema), Some(name)] = row.as_slice() else { continue };
                if !oids.contains(oid) {
                    oids.push(oid.clone());
                    left_out.tables.push(format!("{}.{}", quote_ident(schema), quote_ident(name)));
                }
            }
        }
        left_out.tables.sort();
        if oids.is_empty() {
            return Ok(left_out);
        }
        for row in session.texts(DOING, &broken_sql(&oids.join(", "))).await? {
            if let [Some(child), Some(parent)] = row.as_slice() {
                left_out.broken.push((child.clone(), parent.clone()));
            }
        }
        Ok(left_out)
    }
}

/// Tables of any kind, and all that are partitions or children of them. What the server itself has is in no dump.
fn tables_sql(pattern: &str) -> String {
    format!(
        "WITH RECURSIVE left_out AS (
             SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
             WHERE c.relkind IN ('r', 'p', 'f') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' AND {}
             UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN left_out ON i.inhparent = left_out.oid)
         SELECT c.oid, n.nspname, c.relname
         FROM left_out JOIN pg_catalog.pg_class c USING (oid) JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace",
        matches(pattern)
    )
}

/// A constraint that was never validated is not checked when it is restored either.
fn broken_sql(oids: &str) -> String {
    format!(
        "SELECT DISTINCT conrelid::regclass::text, confrelid::regclass::text FROM pg_catalog.pg_constraint
         WHERE contype = 'f' AND convalidated AND confrelid IN ({oids}) AND conrelid NOT IN ({oids}) ORDER BY 1, 2"
    )
}

/// A condition for a pattern: `table` or `schema.table`, with `*` and `?`.
fn matches(pattern: &str) -> String {
    let regex = |text: &str| {
        let text: String = text
            .chars()
            .map(|c| match c {
                '*' => ".*".to_owned(),
                '?' => ".".to_owned(),
                c => c.to_lowercase().to_string(),
            })
            .collect();
        quote_literal(&format!("^({text})$"))
    };
    match pattern.split_once('.') {
        Some((schema, name)) => format!("n.nspname ~ {} AND c.relname ~ {}", regex(schema), regex(name)),
        None => format!("c.relname ~ {} AND pg_catalog.pg_table_is_visible(c.oid)", regex(pattern)),
    }
}
