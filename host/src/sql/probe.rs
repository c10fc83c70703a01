//! Where a statement that commits by itself stands, read from the catalog: done, not done, or broken half-way.
//!
//! Source: PostgreSQL manual, "Building Indexes Concurrently", "Rebuilding Indexes Concurrently", `ALTER TABLE … DETACH PARTITION`,
//! and the chapter "System Catalogs".

use super::outside::{Effect, Name, Scope};
use crate::{
    postgres::{quote_ident, quote_literal},
    value::{Rows, Value},
};

/// What the catalog says of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It has taken effect.
    Done,
    /// It has not; and what stands in its place, if something does.
    NotDone(Option<String>),
    /// It was cut off half-way, here.
    Broken(Vec<Breakage>),
    /// Something else that was never finished stands in its place.
    InTheWay(Breakage),
    /// To run it again is right, whatever came of the first time.
    Repeatable,
    /// Nobody can tell.
    Undecidable,
}

/// Something that a statement left half done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breakage {
    /// What it is.
    pub what: String,
    /// The statement that mends it, outside a transaction.
    pub repair: String,
    /// The object on which whoever is still at it holds a lock.
    pub table_oid: String,
}

/// The same index on an empty copy of its table: the server itself says then what the statement means. To compare words would
/// not do: a default may be written or left out, an expression in many ways.
#[derive(Debug, Clone)]
pub struct Twin {
    /// A query of the index of that name, and of the table's whole name.
    pub find: String,
    index: String,
    table: Name,
    unique: bool,
    definition: String,
}

impl Twin {
    /// The statements that make the copy, of the table of this whole name, and the index on it. The copy has the table's own name, with
    /// which an expression may name a column.
    pub fn build(&self, table: &str) -> [String; 2] {
        let Self { unique, definition, .. } = self;
        let (copy, unique) = (self.table.quoted_alone(), if *unique { "UNIQUE " } else { "" });
        [
            format!("CREATE TEMPORARY TABLE {copy} (LIKE {table})"),
            format!("CREATE {unique}INDEX {TWIN} ON pg_temp.{copy} {definition}"),
        ]
    }

    /// A query whether both are the same but for their names and their place; NULL where that cannot be told.
    pub fn compare_sql(&self, index_oid: &str) -> String {
        format!(
            // Behind the first point of the twin's definition stands the table's name: what is before it is known to hold none.
            "SELECT CASE WHEN starts_with(d.ours, d.head)
                         THEN substr(d.ours, length(d.head) + 1) = substr(d.twin, strpos(d.twin, '.') + 1 + length(d.name)) END
             FROM (SELECT pg_get_indexdef(c.oid) AS ours, pg_get_indexdef('pg_temp.{TWIN}'::regclass) AS twin,
                          format('CREATE %sINDEX %I ON %s%I.%I', CASE WHEN i.indisunique THEN 'UNIQUE ' END, c.relname,
                                 CASE WHEN c.relkind = 'I' THEN 'ONLY ' END, n.nspname, r.relname) AS head,
                          quote_ident(r.relname) AS name
                   FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class r ON r.oid = i.indrelid
                   JOIN pg_namespace n ON n.oid = r.relnamespace WHERE c.oid = {}::oid) d",
            quote_literal(index_oid),
        )
    }

    /// What the answer is once it is known that the index is another one.
    pub fn is_another(&self, answer: Answer, definition: &str) -> Answer {
        let shown = quote_ident(&self.index);
        match answer {
            Answer::Done => Answer::NotDone(Some(format!("{shown} is another index: {definition}"))),
            Answer::Broken(breakages) => match breakages.into_iter().next() {
                Some(breakage) => Answer::InTheWay(Breakage {
                    what: format!("{}; it is another index: {definition}", breakage.what),
                    ..breakage
                }),
                None => Answer::Undecidable,
            },
            other => other,
        }
    }
}

/// Nothing else in a session's temporary schema has this name.
const TWIN: &str = "lockgate_twin";

impl Effect {
    /// What tells whether an index that is there is the statement's own, beyond table, columns and uniqueness.
    pub fn twin(&self) -> Option<Twin> {
        let Self::CreateIndex { index: Some(index), table, unique, definition, .. } = self else { return None };
        let find = format!(
            "SELECT c.oid::text, format('%I.%I', n.nspname, r.relname), pg_get_indexdef(c.oid)
             FROM pg_class r JOIN pg_namespace n ON n.oid = r.relnamespace
             JOIN pg_class c ON c.relnamespace = r.relnamespace AND c.relname = {}::name
             JOIN pg_index i ON i.indexrelid = c.oid AND i.indrelid = r.oid
             WHERE r.oid = to_regclass({})",
            quote_literal(index),
            table.literal(),
        );
        let (index, definition) = (index.clone(), definition.clone());
        Some(Twin { find, index, table: table.clone(), unique: *unique, definition })
    }

    /// Whether the repair of what is broken leaves things as before the statement, rather than as after it.
    pub fn repair_undoes(&self) -> bool {
        !matches!(self, Self::Detach { .. })
    }

    /// A query of the object identifiers that tell afterwards what is the statement's own: the thing that it is to remove, since another
    /// of that name may come into sight; or what others have left before it.
    pub fn note_sql(&self) -> Option<String> {
        match self {
            Self::DropIndex(index) => Some(format!(
                "SELECT coalesce((SELECT c.oid::text FROM pg_class c WHERE c.oid = to_regclass({}) AND c.relkind IN ('i', 'I')), '')",
                index.literal()
            )),
            Self::Reindex(scope) => Some(format!(
                "SELECT coalesce(string_agg(c.oid::text, ',' ORDER BY c.oid), '') FROM {}",
                leftovers(scope)
            )),
            _ => None,
        }
    }

    /// A query of what earlier attempts have left that this role cannot remove: what it is, and the statement that removes it.
    pub fn out_of_reach_sql(&self, note: Option<&str>) -> Option<String> {
        let Self::Reindex(scope) = self else { return None };
        Some(format!(
            "SELECT format('%I.%I', n.nspname, c.relname), format('DROP INDEX CONCURRENTLY %I.%I', n.nspname, c.relname)
             FROM {}{} AND NOT {IN_REACH} ORDER BY c.oid",
            leftovers(scope),
            but_those_of(note)
        ))
    }

    /// A query for [`Answer::of`]. `note` is what [`note_sql`](Self::note_sql) said before the statement was run.
    pub fn probe_sql(&self, note: Option<&str>) -> Option<String> {
        let either = |done: &str| format!("SELECT CASE WHEN {done} THEN 'done' ELSE 'not done' END, NULL, NULL, NULL");
        Some(match self {
            Self::CreateIndex { index: Some(index), table, unique, columns, .. } => {
                create_index(index, table, *unique, columns)
            }
            Self::DropIndex(index) => either(&match note.filter(|oid| !oid.is_empty()) {
                Some(oid) => format!("NOT EXISTS (SELECT FROM pg_class WHERE oid = {}::oid)", quote_literal(oid)),
                None => format!("to_regclass({}) IS NULL", index.literal()),
            }),
            Self::Reindex(scope) => reindex(scope, note),
            Self::AddValue { type_name, label } => either(&format!(
                "EXISTS (SELECT FROM pg_enum WHERE enumtypid = to_regtype({}) AND enumlabel = {}::name)",
                type_name.literal(),
                quote_literal(label)
            )),
            Self::Attach { parent, part } => either(&format!(
                "EXISTS (SELECT FROM pg_inherits WHERE inhparent = to_regclass({}) AND inhrelid = to_regclass({}))",
                parent.literal(),
                part.literal()
            )),
            Self::Detach { parent, part, finalize } => detach(parent, part, *finalize),
            Self::Validate { table, constraint } => either(&format!(
                "EXISTS (SELECT FROM pg_constraint WHERE conrelid = to_regclass({}) AND conname = {}::name AND convalidated)",
                table.literal(),
                quote_literal(constraint)
            )),
            Self::Global { catalog, column, name, there } => either(&format!(
                "{}EXISTS (SELECT FROM {catalog} WHERE {column} = {}::name)",
                if *there { "" } else { "NOT " },
                quote_literal(name)
            )),
            Self::CreateIndex { index: None, .. } | Self::Repeatable | Self::Unknown => return None,
        })
    }
}

impl Answer {
    /// What the rows of a probe say; `None` when they are no answer.
    pub fn of(effect: &Effect, rows: Option<&Rows>) -> Option<Self> {
        let text = |value: &Value| match value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        };
        let Some(rows) = rows else {
            return Some(if *effect == Effect::Repeatable { Self::Repeatable } else { Self::Undecidable });
        };
        let mut broken = Vec::new();
        let breakage = |what: &Value, repair: &Value, table_oid: &Value| {
            Some(Breakage { what: text(what)?, repair: text(repair)?, table_oid: text(table_oid)? })
        };
        for row in &rows.rows {
            let [answer, what, repair, table_oid] = row.as_slice() else { return None };
            match text(answer)?.as_str() {
                "done" => return Some(Self::Done),
                "not done" => return Some(Self::NotDone(text(what))),
                "broken" => broken.push(breakage(what, repair, table_oid)?),
                "in the way" => return Some(Self::InTheWay(breakage(what, repair, table_oid)?)),
                _ => return None,
            }
        }
        match (broken.is_empty(), effect) {
            (false, _) => Some(Self::Broken(broken)),
            (true, Effect::Reindex(_)) => Some(Self::Repeatable),
            (true, _) => None,
        }
    }
}

/// Who else holds the lock that whoever builds, rebuilds or drops an index of these tables, or parts them from their partitions,
/// holds from the beginning to the end. Autovacuum holds it too, and gives it up.
pub fn workers_sql(breakages: &[Breakage]) -> String {
    let oids: Vec<String> = breakages.iter().map(|breakage| quote_literal(&breakage.table_oid)).collect();
    format!(
        "SELECT DISTINCT format('pid %s (%s, role %s)', a.pid, coalesce(nullif(a.application_name, ''), 'no name'), a.usename)
         FROM pg_locks l JOIN pg_stat_activity a USING (pid)
         WHERE l.locktype = 'relation' AND l.relation = ANY (ARRAY[{}]::oid[]) AND l.mode = 'ShareUpdateExclusiveLock' AND l.granted
           AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
           AND a.usesysid IS NOT NULL AND a.pid <> pg_backend_pid()",
        oids.join(", ")
    )
}

/// An index of that name, in the table's schema as the server would choose it. One that was never finished is taken for this
/// statement's only where it is on the same table and columns, and as unique.
fn create_index(index: &str, table: &Name, unique: bool, columns: &[Option<String>]) -> String {
    let names: Vec<String> =
        columns.iter().map(|column| column.as_deref().map_or("NULL".into(), quote_literal)).collect();
    let shown = quote_literal(&quote_ident(index));
    format!(
        "SELECT CASE WHEN c.oid IS NULL THEN 'not done'
                     WHEN i.indrelid IS DISTINCT FROM t.oid THEN 'not done'
                     WHEN i.indisunique = {unique} AND same.columns
                     THEN CASE WHEN i.indisvalid AND i.indisready AND i.indislive THEN 'done' ELSE 'broken' END
                     ELSE CASE WHEN i.indisvalid AND i.indisready AND i.indislive THEN 'not done' ELSE 'in the way' END END,
                CASE WHEN c.oid IS NULL THEN NULL
                     WHEN i.indrelid IS NULL THEN format('%s is there, and no index', {shown})
                     WHEN i.indrelid <> t.oid THEN format('%s is an index of %s', {shown}, i.indrelid::regclass)
                     WHEN NOT (i.indisvalid AND i.indisready AND i.indislive)
                     THEN format('the index %s of %s is INVALID: it was never built to its end', {shown}, i.indrelid::regclass)
                     ELSE format('%s is another index: %s', {shown}, pg_get_indexdef(c.oid)) END,
                CASE WHEN c.oid IS NOT NULL THEN format('DROP INDEX CONCURRENTLY %I.%I', n.nspname, c.relname) END, t.oid::text
         FROM (SELECT to_regclass({})::oid AS oid) t
         LEFT JOIN pg_class r ON r.oid = t.oid
         LEFT JOIN pg_class c ON c.relnamespace = r.relnamespace AND c.relname = {}::name
         LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
         LEFT JOIN pg_index i ON i.indexrelid = c.oid
         LEFT JOIN LATERAL (
             SELECT i.indnkeyatts = cardinality(w.names) AND NOT EXISTS (
                 SELECT FROM unnest(w.names) WITH ORDINALITY AS u (name, n)
                 WHERE u.name IS NOT NULL AND NOT EXISTS (
                     SELECT FROM pg_attribute a
                     WHERE a.attrelid = i.indrelid AND a.attnum = i.indkey[u.n - 1] AND a.attname = u.name::name)) AS columns
             FROM (SELECT ARRAY[{}]::text[] AS names) w) same ON true",
        table.literal(),
        quote_literal(index),
        names.join(", "),
    )
}

/// What a REINDEX CONCURRENTLY leaves when it is cut off: the new index, or the old one, invalid.
fn reindex(scope: &Scope, others: Option<&str>) -> String {
    let others = but_those_of(others);
    format!(
        "SELECT 'broken', format('the INVALID index %I.%I of an earlier attempt', n.nspname, c.relname),
                format('DROP INDEX CONCURRENTLY %I.%I', n.nspname, c.relname), i.indrelid::text
         FROM {}{others} AND {IN_REACH} ORDER BY c.oid",
        leftovers(scope)
    )
}

/// Whether the role can name what is in a schema: PostgreSQL lets the owner of a table drop what a REINDEX left on its TOAST table, but
/// nobody except superusers look into `pg_toast`.
const IN_REACH: &str = "has_schema_privilege(n.oid, 'USAGE')";

/// What was there before the first attempt is somebody else's.
fn but_those_of(others: Option<&str>) -> String {
    others.map_or(String::new(), |oids| {
        format!(" AND c.oid <> ALL (string_to_array({}, ',')::oid[])", quote_literal(oids))
    })
}

fn leftovers(scope: &Scope) -> String {
    let tables = match scope {
        // Of a partitioned index it is the partitions' that are rebuilt.
        Scope::Index(index) => {
            let index = index.literal();
            format!(
                "i.indrelid IN (SELECT indrelid FROM pg_index WHERE indexrelid = to_regclass({index})
                                OR indexrelid IN (SELECT relid FROM pg_partition_tree(to_regclass({index}))))"
            )
        }
        Scope::Table(table) => {
            let table = table.literal();
            let of_table = format!("SELECT to_regclass({table}) UNION SELECT relid FROM pg_partition_tree(to_regclass({table}))");
            format!(
                "i.indrelid IN ({of_table}) OR i.indrelid IN (SELECT reltoastrelid FROM pg_class WHERE oid IN ({of_table}))"
            )
        }
        Scope::Schema(schema) => format!(
            "i.indrelid IN (SELECT unnest(ARRAY[r.oid, r.reltoastrelid]) FROM pg_class r JOIN pg_namespace s ON s.oid = r.relnamespace
                            WHERE s.nspname = {}::name)",
            quote_literal(schema)
        ),
        Scope::Database => "true".to_owned(),
    };
    format!(
        "pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE NOT i.indisvalid AND c.relkind = 'i' AND c.relname ~ '_cc(new|old)[0-9]*$' AND ({tables})"
    )
}

fn detach(parent: &Name, part: &Name, finalize: bool) -> String {
    let pending = if finalize { "not done" } else { "broken" };
    format!(
        "SELECT CASE WHEN p.oid IS NULL OR c.oid IS NULL THEN 'not done'
                     WHEN i.inhrelid IS NULL THEN 'done'
                     WHEN i.inhdetachpending THEN '{pending}'
                     ELSE 'not done' END,
                CASE WHEN i.inhdetachpending THEN format('the partition %s is half detached from %s', c.oid::regclass, p.oid::regclass) END,
                format('ALTER TABLE %s DETACH PARTITION %s FINALIZE', p.oid::regclass, c.oid::regclass), p.oid::text
         FROM (SELECT to_regclass({})::oid AS oid) p CROSS JOIN (SELECT to_regclass({})::oid AS oid) c
         LEFT JOIN pg_inherits i ON i.inhparent = p.oid AND i.inhrelid = c.oid",
        parent.literal(),
        part.literal()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Column;

    fn rows(rows: &[[&str; 4]]) -> Rows {
        let column = || Column { name: "x".into(), type_name: "text".into(), type_oid: 25 };
        Rows {
            columns: (0..4).map(|_| column()).collect(),
            rows: rows.iter().map(|row| row.iter().map(|text| Value::Text((*text).into())).collect()).collect(),
        }
    }

    #[test]
    fn an_answer_is_what_the_rows_say_and_nothing_else() {
        let create = Effect::of("CREATE INDEX CONCURRENTLY i ON t (a)");
        let reindex = Effect::of("REINDEX TABLE CONCURRENTLY t");
        let answer = |effect: &Effect, said: &[[&str; 4]]| Answer::of(effect, Some(&rows(said)));
        assert_eq!(answer(&create, &[["done", "", "", ""]]), Some(Answer::Done));
        assert_eq!(answer(&create, &[["not done", "x", "", ""]]), Some(Answer::NotDone(Some("x".into()))));
        assert!(matches!(answer(&create, &[["broken", "a", "b", "1"]]), Some(Answer::Broken(b)) if b.len() == 1));
        assert!(
            matches!(answer(&create, &[["in the way", "a", "b", "1"]]), Some(Answer::InTheWay(b)) if b.what == "a")
        );
        assert_eq!(answer(&create, &[]), None);
        assert_eq!(answer(&create, &[["?", "", "", ""]]), None);
        assert_eq!(answer(&reindex, &[]), Some(Answer::Repeatable));
        assert!(matches!(
            answer(&reindex, &[["broken", "a", "b", "1"], ["broken", "c", "d", "1"]]),
            Some(Answer::Broken(b)) if b.len() == 2
        ));
    }

    #[test]
    fn what_has_no_probe_is_repeatable_or_undecidable() {
        for (sql, expected) in [("VACUUM", Answer::Repeatable), ("ALTER SYSTEM RESET ALL", Answer::Undecidable)] {
            let effect = Effect::of(sql);
            assert_eq!(effect.probe_sql(None), None);
            assert_eq!(Answer::of(&effect, None), Some(expected));
        }
    }
}
