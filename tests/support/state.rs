//! What a database holds, so that two moments can be compared.

use std::{collections::BTreeSet, fmt};

use crate::Session;

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
  AND relname NOT IN ('schema_migrations', 'schema_migrations_journal')";

impl State {
    pub(crate) async fn read(session: &Session) -> Self {
        let mut lines = BTreeSet::new();
        lines.extend(session.lines(OBJECTS).await.into_iter().filter(|line| !line.contains("schema_migrations")));
        for table in session.lines(TABLES).await {
            let sql = format!("SELECT count(*), md5(string_agg(t::text, ',' ORDER BY t::text)) FROM {table} t");
            lines.insert(format!("content {table} {}", session.value(&sql).await));
        }
        if session.value("SELECT to_regclass('public.schema_migrations') IS NOT NULL").await == "t" {
            lines.extend(session.lines("SELECT 'history ' || h FROM public.schema_migrations h").await);
        }
        Self(lines)
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(&self.0).finish()
    }
}

impl State {
    /// Claims that nothing came and nothing went.
    #[track_caller]
    pub fn equals(&self, other: &Self) {
        let list = |a: &Self, b: &Self| a.0.difference(&b.0).map(|line| format!("\n  {line}")).collect::<String>();
        let (gone, new) = (list(self, other), list(other, self));
        assert!(self == other, "the database has changed\ngone:{gone}\nnew:{new}");
    }
}
