//! What the connected database knows of the relations that statements name: how large they are, and which tables are at the other ends
//! of their foreign keys.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::Deserialize;

use super::{Case, Lock, Locks, Mode, Reach, RelationName, Work, case::Column};
use crate::{
    error::{Error, Result},
    postgres::{Handle, Session, Timeouts, quote_literal},
};

/// To measure a relation takes a lock on it, which only a change of its schema keeps from us. A plan does not wait longer for that.
const PATIENCE: Timeouts = Timeouts { lock: Duration::from_secs(1), statement: Duration::from_secs(60) };

/// A relation as the database knows it.
#[derive(Debug, Clone)]
pub struct Relation {
    /// `r`, `p`, `m`, `v`, `i`, … as in `pg_class.relkind`.
    pub kind: String,
    /// Itself.
    itself: Neighbour,
    /// The same; of an index, its table.
    table: Neighbour,
    /// The tables that its foreign keys point at.
    references: Vec<Neighbour>,
    /// The tables whose foreign keys point at it.
    referenced_by: Vec<Neighbour>,
    /// The tables that inherit from it, and those that inherit from them; not its partitions, which are a part of it.
    inherited_by: Vec<Neighbour>,
    /// Of a partitioned table, where rows are that belong into no other partition.
    default_partition: Option<Neighbour>,
    columns: Vec<Column>,
}

/// A table and its size, its partitions, indexes and TOAST included.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Neighbour {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// `pg_total_relation_size`
    pub bytes: u64,
    /// An estimate, `reltuples`; `None` where nobody has counted yet.
    pub rows: Option<u64>,
}

impl Neighbour {
    /// Its name with the schema, but for `public`.
    pub fn relation(&self) -> RelationName {
        let schema = (self.schema != "public").then(|| self.schema.clone());
        RelationName { schema, name: self.name.clone() }
    }
}

/// What is known of all relations that were asked for.
#[derive(Debug, Clone, Default)]
pub struct Relations {
    /// By the names that were asked for.
    by_name: BTreeMap<String, Relation>,
    /// Among the types that were asked for, the domains with constraints.
    checked_domains: Vec<RelationName>,
    /// Among the functions that were asked for, those of which one is volatile.
    volatile: BTreeSet<String>,
}

/// A lock with the table that it is on, where the database has that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The lock as the statement has it.
    pub lock: Lock,
    /// The table; `None` where there is none of that name yet.
    pub table: Option<Neighbour>,
}

impl Relations {
    /// Asks for all of them in one question.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn read(session: &Session, locks: impl IntoIterator<Item = &Locks>) -> Result<Self> {
        let locks: Vec<&Lock> = locks.into_iter().flat_map(|locks| locks.taken.iter().chain(&locks.reads)).collect();
        let names: BTreeSet<String> = locks.iter().flat_map(|lock| meant(lock)).map(RelationName::quoted).collect();
        if names.is_empty() {
            return Ok(Self::default());
        }
        tracing::debug!(relations = names.len(), "asking how large the relations are");
        let found = match ask(session, &names, "pg_catalog.pg_total_relation_size(part.oid)").await {
            // Somebody changes one of them at the moment. How many pages it had when it was last looked at is better than nothing.
            Err(Error::Database { error, .. }) if error.is("55P03") => {
                tracing::warn!("a relation is locked, so its size is the one of its last VACUUM or ANALYZE");
                let pages = "part.relpages::int8 * pg_catalog.current_setting('block_size')::int8";
                ask(session, &names, pages).await?
            }
            found => found?,
        };
        let mut relations = Self { by_name: found.by_name(), ..Self::default() };
        relations.read_cases(session, locks.iter().flat_map(|lock| &lock.cases).map(|(_, case)| case)).await?;
        Ok(relations)
    }

    /// Asks for the types and functions on which it depends how long something takes.
    async fn read_cases(&mut self, session: &Session, cases: impl Iterator<Item = &Case>) -> Result<()> {
        let (mut types, mut functions): (BTreeSet<&str>, BTreeSet<&str>) = Default::default();
        for case in cases {
            match case {
                Case::OfType(name) => _ = types.insert(&name.name),
                Case::Calls(names) => functions.extend(names.iter().map(String::as_str)),
                _ => {}
            }
        }
        if types.is_empty() && functions.is_empty() {
            return Ok(());
        }
        let sql = sql_of_cases(&types, &functions);
        let rows = session
            .read_only(PATIENCE, async |_| session.texts("asking what columns are made of", &sql).await)
            .await??;
        for row in rows {
            match row.as_slice() {
                [Some(schema), Some(name)] => {
                    self.checked_domains.push(RelationName { schema: Some(schema.clone()), name: name.clone() });
                }
                [None, Some(function)] => _ = self.volatile.insert(function.clone()),
                _ => {}
            }
        }
        Ok(())
    }

    /// The relation of that name.
    pub fn get(&self, name: &RelationName) -> Option<&Relation> {
        self.by_name.get(&name.quoted())
    }

    /// The relation that a lock is on.
    fn of_lock(&self, lock: &Lock) -> Option<&Relation> {
        meant(lock).find_map(|name| self.get(name))
    }

    /// What is done while a lock is held, as far as the database tells.
    fn work(&self, lock: &Lock) -> Work {
        let columns = self.of_lock(lock).map_or(&[][..], |relation| &relation.columns);
        let is_partitioned = || self.of_lock(lock).is_none_or(|relation| relation.kind == "p");
        let of_case = |(work, case): &(Work, Case)| match case {
            Case::OfType(name) if !self.checked_domains.iter().any(|domain| domain.fits(name)) => Work::Brief,
            Case::Calls(names) if !names.iter().any(|name| self.volatile.contains(name)) => Work::Brief,
            Case::OnlyTheParent if is_partitioned() => Work::Brief,
            case => case.work(*work, columns),
        };
        lock.cases.iter().map(of_case).max().unwrap_or(lock.work)
    }

    /// The tables that a statement reads, those that inherit from each included.
    pub fn read_by<'a>(&'a self, locks: &'a Locks) -> impl Iterator<Item = &'a Neighbour> {
        let read = locks.reads.iter().filter_map(|lock| self.of_lock(lock));
        read.flat_map(|relation| [&relation.itself].into_iter().chain(&relation.inherited_by))
    }

    /// The locks of a statement with the tables that they are on; those on the other ends of foreign keys among them.
    pub fn place(&self, locks: &Locks) -> Vec<Placed> {
        let mut placed: Vec<Placed> = Vec::new();
        for lock in &locks.taken {
            let lock = Lock { work: self.work(lock), ..lock.clone() };
            let Some(relation) = self.of_lock(&lock) else {
                placed.push(Placed { lock, table: None });
                continue;
            };
            let on = if lock.reach == Reach::TableOfIndex { &relation.table } else { &relation.itself };
            let heirs = if lock.descends { &relation.inherited_by[..] } else { &[] };
            let locked = |table: &Neighbour, mode, work| Placed {
                lock: Lock::new(table.relation(), mode, work),
                table: Some(table.clone()),
            };
            let ends: Vec<&Neighbour> = match lock.reach {
                Reach::Referenced => relation.references.iter().collect(),
                Reach::Referencing => relation.referenced_by.iter().collect(),
                Reach::BothEnds => relation.references.iter().chain(&relation.referenced_by).collect(),
                Reach::Itself | Reach::TableOfIndex | Reach::OfOneConstraint | Reach::DefaultPartition => Vec::new(),
            };
            let ends = ends.into_iter().filter(|end| **end != relation.itself);
            let searched = relation.default_partition.iter().filter(|_| lock.reach == Reach::DefaultPartition);
            let others = heirs
                .iter()
                .map(|heir| locked(heir, lock.mode, lock.work))
                .chain(ends.map(|end| locked(end, Mode::AccessExclusive, lock.work)))
                .chain(searched.map(|default| locked(default, Mode::AccessExclusive, Work::Scan)));
            let others: Vec<Placed> = others.collect();
            placed.push(Placed { lock, table: Some(on.clone()) });
            placed.extend(others);
        }
        let mut unique: Vec<Placed> = Vec::new();
        for one in placed {
            let is_it = |other: &&mut Placed| match (&other.table, &one.table) {
                (Some(other), Some(one)) => (&other.schema, &other.name) == (&one.schema, &one.name),
                _ => other.lock.relation == one.lock.relation,
            };
            match unique.iter_mut().find(is_it) {
                Some(same) => {
                    same.lock.mode = same.lock.mode.max(one.lock.mode);
                    same.lock.work = same.lock.work.max(one.lock.work);
                }
                None => unique.push(one),
            }
        }
        unique
    }

    /// Why a statement may lock more than can be told of it.
    pub fn doubt(&self, locks: &Locks) -> Option<&'static str> {
        let with_keys = |lock: &&Lock| {
            lock.reach == Reach::OfOneConstraint
                && self.of_lock(lock).is_some_and(|r| !r.references.is_empty() || !r.referenced_by.is_empty())
        };
        let found = locks.taken.iter().find(with_keys);
        found.map(|_| "where a foreign key goes with it, the table at its other end is locked, too")
    }

    #[cfg(test)]
    pub(crate) fn of(tables: &[(&str, u64, u64)]) -> Self {
        let relation = |(name, bytes, rows): &(&str, u64, u64)| {
            let table =
                Neighbour { schema: "public".into(), name: (*name).to_owned(), bytes: *bytes, rows: Some(*rows) };
            let asked = RelationName::bare(*name).quoted();
            let relation = Relation {
                kind: "r".into(),
                itself: table.clone(),
                table,
                references: vec![],
                referenced_by: vec![],
                inherited_by: vec![],
                default_partition: None,
                columns: vec![],
            };
            (asked, relation)
        };
        Self { by_name: tables.iter().map(relation).collect(), ..Self::default() }
    }

    #[cfg(test)]
    pub(crate) fn referring(mut self, from: &str, to: &str) -> Self {
        let table = |relations: &Self, name: &str| relations.get(&RelationName::bare(name)).unwrap().table.clone();
        let (source, target) = (table(&self, from), table(&self, to));
        let mut push = |name: &str, of: fn(&mut Relation) -> &mut Vec<Neighbour>, what| {
            of(self.by_name.get_mut(&RelationName::bare(name).quoted()).unwrap()).push(what);
        };
        push(from, |relation| &mut relation.references, target);
        push(to, |relation| &mut relation.referenced_by, source);
        self
    }
}

/// The names of the relations that a lock may be on.
fn meant(lock: &Lock) -> impl Iterator<Item = &RelationName> {
    let own = lock.means.is_none().then_some(&lock.relation);
    own.into_iter().chain(lock.means.iter().flatten())
}

/// Schema and name of each domain with constraints, its own or of a domain below it; nothing and the name of each volatile function.
fn sql_of_cases(types: &BTreeSet<&str>, functions: &BTreeSet<&str>) -> String {
    format!(
        "WITH RECURSIVE base (root, oid) AS (
             SELECT oid, oid FROM pg_catalog.pg_type WHERE typtype = 'd' AND typname = ANY (ARRAY[{}]::text[])
             UNION SELECT base.root, t.typbasetype FROM base JOIN pg_catalog.pg_type t ON t.oid = base.oid AND t.typtype = 'd')
         SELECT DISTINCT n.nspname::text, d.typname::text FROM base JOIN pg_catalog.pg_type d ON d.oid = base.root
         JOIN pg_catalog.pg_namespace n ON n.oid = d.typnamespace JOIN pg_catalog.pg_type t ON t.oid = base.oid
         WHERE t.typnotnull OR EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.contypid = t.oid)
         UNION ALL SELECT DISTINCT NULL, proname::text FROM pg_catalog.pg_proc
         WHERE provolatile = 'v' AND proname = ANY (ARRAY[{}]::text[])",
        list(types),
        list(functions)
    )
}

/// What the server tells, as it has it.
#[derive(Debug, Default, Deserialize)]
struct Found {
    asked: Vec<Asked>,
    near: Vec<Near>,
}

/// A relation that was asked for.
#[derive(Debug, Deserialize)]
struct Asked {
    name: String,
    kind: String,
    columns: Vec<Column>,
}

/// A table that has to do with one of them.
#[derive(Debug, Deserialize)]
struct Near {
    /// The name that was asked for.
    of: String,
    part: Part,
    table: Neighbour,
}

/// What it is of that: the parts of a [`Relation`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Part {
    Itself,
    Table,
    References,
    ReferencedBy,
    InheritedBy,
    DefaultPartition,
}

impl Found {
    fn by_name(self) -> BTreeMap<String, Relation> {
        let mut near: BTreeMap<String, Vec<(Part, Neighbour)>> = BTreeMap::new();
        for Near { of, part, table } in self.near {
            near.entry(of).or_default().push((part, table));
        }
        let relation = |Asked { name, kind, columns }| {
            let near = near.remove(&name).unwrap_or_default();
            let all =
                |wanted: Part| near.iter().filter(move |(part, _)| *part == wanted).map(|(_, table)| table.clone());
            // One that is dropped at this moment is not there.
            let relation = Relation {
                kind,
                itself: all(Part::Itself).next()?,
                table: all(Part::Table).next()?,
                references: all(Part::References).collect(),
                referenced_by: all(Part::ReferencedBy).collect(),
                inherited_by: all(Part::InheritedBy).collect(),
                default_partition: all(Part::DefaultPartition).next(),
                columns,
            };
            Some((name, relation))
        };
        self.asked.into_iter().filter_map(relation).collect()
    }
}

async fn ask(session: &Session, names: &BTreeSet<String>, size: &str) -> Result<Found> {
    const DOING: &str = "asking how large the relations are";
    let asked = async |_: &Handle| {
        // Mostly a migration makes what it names. To plan the question takes the server longer than to answer it.
        let there: Vec<String> =
            session.texts(DOING, &there_sql(names)).await?.into_iter().flatten().flatten().collect();
        if there.is_empty() {
            return Ok(None);
        }
        session.texts(DOING, &sql(&there, size)).await.map(|rows| rows.into_iter().flatten().flatten().next())
    };
    let told = session.read_only(PATIENCE, asked).await??;
    let found = told.as_deref().map(serde_json::from_str).transpose();
    Ok(found.map_err(|error| Error::system("reading the sizes of relations", error))?.unwrap_or_default())
}

fn list<'a, Name: AsRef<str> + 'a>(names: impl IntoIterator<Item = &'a Name>) -> String {
    names.into_iter().map(|name| quote_literal(name.as_ref())).collect::<Vec<_>>().join(", ")
}

/// Those of the names that are of a relation.
fn there_sql(names: &BTreeSet<String>) -> String {
    format!(
        "SELECT asked.name FROM pg_catalog.unnest(ARRAY[{}]::text[]) asked (name) WHERE pg_catalog.to_regclass(asked.name) IS NOT NULL",
        list(names)
    )
}

/// [`Found`] as JSON: the relations, and all tables that have to do with them, whose sizes are asked for in one place.
fn sql(names: &[String], size: &str) -> String {
    // Of what inherits, the columns may be in use where these are not, so that nothing is said of them.
    let columns = "coalesce((SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
            'name', a.attname, 'kind', pg_catalog.format_type(a.atttypid, a.atttypmod),
            'not_null', (a.attnotnull AND NOT EXISTS (
                             SELECT FROM pg_catalog.pg_constraint k
                             WHERE k.conrelid = c.oid AND k.contype = 'n' AND NOT k.convalidated AND k.conkey = ARRAY[a.attnum]))
                        OR EXISTS (SELECT FROM pg_catalog.pg_constraint k
                                   WHERE k.conrelid = c.oid AND k.contype = 'c' AND k.convalidated AND NOT k.connoinherit
                                     AND pg_catalog.pg_get_expr(k.conbin, k.conrelid)
                                         = pg_catalog.format('(%I IS NOT NULL)', a.attname)),
            'used', EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE inhparent = c.oid)
                    OR EXISTS (SELECT FROM pg_catalog.pg_depend d LEFT JOIN pg_catalog.pg_class x
                                    ON d.classid = 'pg_catalog.pg_class'::regclass AND x.oid = d.objid
                               WHERE d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = c.oid
                                 AND d.refobjsubid = a.attnum
                                 AND (d.classid = 'pg_catalog.pg_constraint'::regclass OR x.relkind IN ('i', 'I')))))
        FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND c.kind IN ('r', 'p')), '[]')";
    // A partitioned table is as large as its partitions. What looks dear to the planner is soon done: compiling it takes far longer.
    format!(
        "SET LOCAL jit = off;
         WITH RECURSIVE asked (name, oid, kind, owner) AS MATERIALIZED (
             SELECT asked.name, c.oid, c.relkind, coalesce(i.indrelid, c.oid)
             FROM pg_catalog.unnest(ARRAY[{}]::text[]) asked (name)
             JOIN pg_catalog.pg_class c ON c.oid = pg_catalog.to_regclass(asked.name)
             LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid),
         heir (name, oid) AS (
             SELECT asked.name, i.inhrelid FROM asked JOIN pg_catalog.pg_inherits i ON i.inhparent = asked.oid WHERE asked.kind IN ('r', 'f')
             UNION SELECT heir.name, i.inhrelid FROM heir JOIN pg_catalog.pg_inherits i ON i.inhparent = heir.oid),
         near (name, part, oid) AS (
             SELECT name, 'itself', oid FROM asked
             UNION ALL SELECT name, 'table', owner FROM asked
             UNION ALL SELECT name, 'references', k.confrelid FROM asked
                 JOIN pg_catalog.pg_constraint k ON k.conrelid = owner AND k.contype = 'f' AND k.conparentid = 0
             UNION ALL SELECT name, 'referenced_by', k.conrelid FROM asked
                 JOIN pg_catalog.pg_constraint k ON k.confrelid = owner AND k.contype = 'f' AND k.conparentid = 0
             UNION ALL SELECT name, 'inherited_by', oid FROM heir
             UNION ALL SELECT name, 'default_partition', p.partdefid FROM asked
                 JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = oid AND p.partdefid <> 0)
         SELECT pg_catalog.json_build_object(
             'asked', (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
                                  'name', c.name, 'kind', c.kind::text, 'columns', {columns})), '[]') FROM asked c),
             'near', (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
                                 'of', near.name, 'part', near.part, 'table', pg_catalog.json_build_object(
                                     'schema', n.nspname, 'name', rel.relname, 'bytes', s.bytes, 'rows', s.rows))), '[]')
                      FROM near JOIN pg_catalog.pg_class rel ON rel.oid = near.oid
                      JOIN pg_catalog.pg_namespace n ON n.oid = rel.relnamespace,
                      LATERAL (SELECT coalesce(sum({size}), 0)::int8 AS bytes,
                                      sum(part.reltuples) FILTER (WHERE part.reltuples >= 0)::int8 AS rows
                               FROM pg_catalog.pg_class part
                               WHERE part.relkind NOT IN ('p', 'I') AND part.oid IN (
                                   SELECT rel.oid UNION SELECT tree.relid FROM pg_catalog.pg_partition_tree(rel.oid) tree)) s))",
        list(names)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(relations: &Relations, sql: &str) -> Vec<String> {
        let placed = relations.place(&Locks::of(sql));
        let line = |placed: &Placed| {
            let bytes = placed.table.as_ref().map_or("new".to_owned(), |table| table.bytes.to_string());
            format!("{} {} {bytes}", placed.lock.mode, placed.lock.relation)
        };
        placed.iter().map(line).collect()
    }

    #[test]
    fn a_lock_has_the_size_of_its_table() {
        let relations = Relations::of(&[("t", 10, 1)]);
        assert_eq!(placed(&relations, "CREATE INDEX ON t (n)"), ["SHARE t 10"]);
        assert_eq!(placed(&relations, "CREATE INDEX ON u (n)"), ["SHARE u new"]);
    }

    #[test]
    fn a_drop_reaches_the_other_ends_of_foreign_keys() {
        let relations = Relations::of(&[("a", 1, 1), ("b", 2, 1), ("c", 3, 1)]).referring("a", "b").referring("c", "a");
        assert_eq!(placed(&relations, "DROP TABLE a"), ["ACCESS EXCLUSIVE a 1", "ACCESS EXCLUSIVE b 2"]);
        assert_eq!(placed(&relations, "DROP TABLE a CASCADE").len(), 3);
        assert_eq!(placed(&relations, "TRUNCATE a CASCADE"), ["ACCESS EXCLUSIVE a 1", "ACCESS EXCLUSIVE c 3"]);
        assert_eq!(placed(&relations, "TRUNCATE a"), ["ACCESS EXCLUSIVE a 1"]);
    }

    #[test]
    fn the_same_table_is_told_once_with_its_strongest_lock() {
        let relations = Relations::of(&[("t", 10, 1)]);
        let twice = "ALTER TABLE t ADD COLUMN x int REFERENCES t";
        assert_eq!(placed(&relations, twice), ["ACCESS EXCLUSIVE t 10"]);
    }
}
