//! What a database holds, so that two moments can be compared.

use std::{collections::BTreeSet, fmt};

use serde::Serialize;

use super::{Connection, Result};

/// Every object, every setting, the content of every table, and the history. Lockgate's own objects and its journal are left out: a
/// run that fails may leave them behind.
#[derive(Clone, PartialEq, Eq)]
pub struct State(BTreeSet<String>);

// Parentheses of a constraint are left out: `x BETWEEN 1 AND 2 AND y` comes back from a dump with fewer of them.
const OBJECTS: &str = "
WITH own AS (SELECT oid FROM pg_namespace WHERE nspname <> 'information_schema' AND nspname !~ '^pg_')
SELECT 'schema ' || nspname || ' ' || coalesce(nspacl::text, '') FROM pg_namespace WHERE oid IN (SELECT oid FROM own)
UNION ALL SELECT concat_ws(' ', 'relation', relkind, oid::regclass, pg_get_userbyid(relowner), relacl, reloptions)
    FROM pg_class WHERE relnamespace IN (SELECT oid FROM own)
UNION ALL SELECT concat_ws(' ', 'column', attrelid::regclass, attname, format_type(atttypid, atttypmod), attnotnull, attidentity)
    FROM pg_attribute WHERE attrelid IN (SELECT oid FROM pg_class WHERE relnamespace IN (SELECT oid FROM own)) AND NOT attisdropped
UNION ALL SELECT concat_ws(' ', 'constraint', conrelid::regclass, conname, translate(pg_get_constraintdef(oid), '()', ''))
    FROM pg_constraint WHERE connamespace IN (SELECT oid FROM own)
UNION ALL SELECT concat_ws(' ', 'trigger', pg_get_triggerdef(oid), tgenabled) FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT concat_ws(' ', 'function', oid::regprocedure, md5(prosrc), proacl)
    FROM pg_proc WHERE pronamespace IN (SELECT oid FROM own)
UNION ALL SELECT concat_ws(' ', 'type', format_type(oid, NULL), typtype) FROM pg_type WHERE typnamespace IN (SELECT oid FROM own)
UNION ALL SELECT concat_ws(' ', 'label', enumtypid::regtype, enumlabel) FROM pg_enum
UNION ALL SELECT concat_ws(' ', 'view', viewname, definition) FROM pg_views WHERE schemaname NOT IN ('pg_catalog', 'information_schema')
UNION ALL SELECT concat_ws(' ', 'extension', extname, extversion) FROM pg_extension
UNION ALL SELECT concat_ws(' ', 'comment', pg_describe_object(classoid, objoid, objsubid), description)
    FROM pg_description WHERE objoid >= 16384
UNION ALL SELECT concat_ws(' ', 'setting', setrole::regrole, setconfig) FROM pg_db_role_setting s
    JOIN pg_database d ON d.oid = s.setdatabase WHERE d.datname = current_database()";

const TABLES: &str = "
SELECT oid::regclass FROM pg_class
WHERE relkind IN ('r', 'm') AND relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname <> 'information_schema' AND nspname !~ '^pg_')
  AND relname !~ '^schema_migrations'";

const HISTORIES: &str = "SELECT oid::regclass FROM pg_class WHERE relkind = 'r' AND relname = 'schema_migrations'";

/// What the names of Lockgate's own objects begin with.
const OWN: &str = "schema_migrations";

impl State {
    /// Reads it, as whoever the connection is: a superuser sees everything.
    ///
    /// # Errors
    /// When something of it cannot be read.
    pub async fn read(connection: &Connection) -> Result<Self> {
        let mut lines = BTreeSet::new();
        lines.extend(first_column(connection, OBJECTS).await?.into_iter().filter(|line| !line.contains(OWN)));
        for table in first_column(connection, TABLES).await? {
            let sql = format!(
                "SELECT concat_ws(' ', count(*), md5(string_agg(t::text, ',' ORDER BY t::text))) FROM {table} t"
            );
            let content = first_column(connection, &sql).await?.concat();
            lines.insert(format!("content {table} {content}"));
        }
        for table in first_column(connection, HISTORIES).await? {
            lines.extend(first_column(connection, &format!("SELECT 'history ' || h FROM {table} h")).await?);
        }
        Ok(Self(lines))
    }

    /// What came and what went since this state; `None` when nothing did.
    pub fn until(&self, later: &Self) -> Option<Difference> {
        let less = |a: &Self, b: &Self| a.0.difference(&b.0).cloned().collect();
        let difference = Difference { gone: less(self, later), new: less(later, self) };
        (self != later).then_some(difference)
    }

    /// The same without the content of these tables, each with its schema unless that is in the search path.
    #[must_use]
    pub fn without_content_of(self, tables: &[String]) -> Self {
        let is_ignored = |line: &String| tables.iter().any(|table| line.starts_with(&format!("content {table} ")));
        Self(self.0.into_iter().filter(|line| !is_ignored(line)).collect())
    }

    /// Claims that nothing came and nothing went.
    #[track_caller]
    pub fn equals(&self, other: &Self) {
        if let Some(difference) = self.until(other) {
            panic!("the database has changed{difference}");
        }
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(&self.0).finish()
    }
}

/// How two states differ: the objects and the contents of tables that are only in one of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Difference {
    /// Only in the earlier.
    pub gone: Vec<String>,
    /// Only in the later.
    pub new: Vec<String>,
}

impl Difference {
    /// The tables whose content differs.
    pub fn contents(&self) -> BTreeSet<&str> {
        let lines = self.gone.iter().chain(&self.new);
        // The name may hold spaces; count and digest do not.
        lines.filter_map(|line| line.strip_prefix("content ")?.rsplitn(3, ' ').nth(2)).collect()
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, lines) in [("gone", &self.gone), ("new", &self.new)] {
            write!(f, "\n  {name}:")?;
            for line in lines {
                write!(f, "\n    {line}")?;
            }
            if lines.is_empty() {
                f.write_str(" nothing")?;
            }
        }
        Ok(())
    }
}

async fn first_column(connection: &Connection, sql: &str) -> Result<Vec<String>> {
    let rows = connection.nullable_rows(sql).await?;
    Ok(rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect())
}
