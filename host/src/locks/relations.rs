//! What the connected database knows of the relations that statements name: how large they are, and which tables are at the other ends
//! of their foreign keys.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::Deserialize;

use super::{Lock, Locks, Mode, Reach, RelationName};
use crate::{
    error::{Error, Result},
    postgres::{Session, Timeouts, quote_literal},
};

/// To measure a relation takes a lock on it, which only a change of its schema keeps from us. A plan does not wait longer for that.
const PATIENCE: Timeouts = Timeouts { lock: Duration::from_secs(1), statement: Duration::from_secs(60) };

/// A relation as the database knows it.
#[derive(Debug, Clone, Deserialize)]
pub struct Relation {
    /// The name that was asked for.
    asked: String,
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
pub struct Relations(BTreeMap<String, Relation>);

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
        let names: BTreeSet<String> =
            locks.into_iter().flat_map(|locks| &locks.taken).map(|lock| lock.relation.quoted()).collect();
        if names.is_empty() {
            return Ok(Self::default());
        }
        tracing::debug!(relations = names.len(), "asking how large the relations are");
        let json = match ask(session, &names, "pg_catalog.pg_total_relation_size(part.oid)").await {
            // Somebody changes one of them at the moment. How many pages it had when it was last looked at is better than nothing.
            Err(Error::Database { error, .. }) if error.is("55P03") => {
                tracing::warn!("a relation is locked, so its size is the one of its last VACUUM or ANALYZE");
                let pages = "part.relpages::int8 * pg_catalog.current_setting('block_size')::int8";
                ask(session, &names, pages).await?
            }
            json => json?,
        };
        let found: Vec<Relation> =
            serde_json::from_str(&json).map_err(|error| Error::system("reading the sizes of relations", error))?;
        Ok(Self(found.into_iter().map(|relation| (relation.asked.clone(), relation)).collect()))
    }

    /// The relation of that name.
    pub fn get(&self, name: &RelationName) -> Option<&Relation> {
        self.0.get(&name.quoted())
    }

    /// The locks of a statement with the tables that they are on; those on the other ends of foreign keys among them.
    pub fn place(&self, locks: &Locks) -> Vec<Placed> {
        let mut placed: Vec<Placed> = Vec::new();
        for lock in &locks.taken {
            let Some(relation) = self.get(&lock.relation) else {
                placed.push(Placed { lock: lock.clone(), table: None });
                continue;
            };
            let on = if lock.reach == Reach::TableOfIndex { &relation.table } else { &relation.itself };
            placed.push(Placed { lock: lock.clone(), table: Some(on.clone()) });
            let ends: Vec<&Neighbour> = match lock.reach {
                Reach::Referenced => relation.references.iter().collect(),
                Reach::Referencing => relation.referenced_by.iter().collect(),
                Reach::BothEnds => relation.references.iter().chain(&relation.referenced_by).collect(),
                Reach::Itself | Reach::TableOfIndex | Reach::OfOneConstraint => Vec::new(),
            };
            for end in ends.into_iter().filter(|end| **end != relation.itself) {
                let lock = Lock::new(end.relation(), Mode::AccessExclusive, lock.work);
                placed.push(Placed { lock, table: Some(end.clone()) });
            }
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
                && self.get(&lock.relation).is_some_and(|r| !r.references.is_empty() || !r.referenced_by.is_empty())
        };
        let found = locks.taken.iter().find(with_keys);
        found.map(|_| "where the constraint is a foreign key, the table at its other end is locked, too")
    }

    #[cfg(test)]
    pub(crate) fn of(tables: &[(&str, u64, u64)]) -> Self {
        let relation = |(name, bytes, rows): &(&str, u64, u64)| {
            let table =
                Neighbour { schema: "public".into(), name: (*name).to_owned(), bytes: *bytes, rows: Some(*rows) };
            let asked = RelationName::bare(*name).quoted();
            let (itself, kind) = (table.clone(), "r".into());
            (asked.clone(), Relation { asked, kind, itself, table, references: vec![], referenced_by: vec![] })
        };
        Self(tables.iter().map(relation).collect())
    }

    #[cfg(test)]
    pub(crate) fn referring(mut self, from: &str, to: &str) -> Self {
        let table = |relations: &Self, name: &str| relations.get(&RelationName::bare(name)).unwrap().table.clone();
        let (source, target) = (table(&self, from), table(&self, to));
        let mut push = |name: &str, of: fn(&mut Relation) -> &mut Vec<Neighbour>, what| {
            of(self.0.get_mut(&RelationName::bare(name).quoted()).unwrap()).push(what);
        };
        push(from, |relation| &mut relation.references, target);
        push(to, |relation| &mut relation.referenced_by, source);
        self
    }
}

async fn ask(session: &Session, names: &BTreeSet<String>, size: &str) -> Result<String> {
    let sql = sql(names, size);
    let answer = session
        .read_only(PATIENCE, async |_| session.texts("asking how large the relations are", &sql).await)
        .await??;
    Ok(answer.into_iter().flatten().flatten().next().unwrap_or_else(|| "[]".to_owned()))
}

/// A row of JSON for each name that is one of a relation.
fn sql(names: &BTreeSet<String>, size: &str) -> String {
    let names: Vec<String> = names.iter().map(|name| quote_literal(name)).collect();
    // A partitioned table is as large as its partitions.
    let table = |oid: &str| {
        format!(
            "(SELECT pg_catalog.json_build_object('schema', n.nspname, 'name', rel.relname, 'bytes', s.bytes, 'rows', s.rows)
              FROM pg_catalog.pg_class rel JOIN pg_catalog.pg_namespace n ON n.oid = rel.relnamespace,
                   LATERAL (SELECT coalesce(sum({size}), 0)::int8 AS bytes,
                                   sum(part.reltuples) FILTER (WHERE part.reltuples >= 0)::int8 AS rows
                            FROM pg_catalog.pg_class part
                            WHERE part.relkind NOT IN ('p', 'I') AND part.oid IN (
                                SELECT rel.oid UNION SELECT tree.relid FROM pg_catalog.pg_partition_tree(rel.oid) tree)) s
              WHERE rel.oid = {oid})"
        )
    };
    let ends = |other: &str, this: &str| {
        format!(
            "coalesce((SELECT pg_catalog.json_agg({}) FROM pg_catalog.pg_constraint k
                       WHERE k.{this} = owner.oid AND k.contype = 'f' AND k.conparentid = 0), '[]')",
            table(&format!("k.{other}"))
        )
    };
    format!(
        "SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
                    'asked', asked.name, 'kind', c.relkind::text, 'itself', {}, 'table', {}, 'references', {}, 'referenced_by', {})), '[]')
         FROM pg_catalog.unnest(ARRAY[{}]::text[]) asked (name)
         JOIN pg_catalog.pg_class c ON c.oid = pg_catalog.to_regclass(asked.name)
         LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid,
              LATERAL (SELECT coalesce(i.indrelid, c.oid) AS oid) owner",
        table("c.oid"),
        table("owner.oid"),
        ends("confrelid", "conrelid"),
        ends("conrelid", "confrelid"),
        names.join(", ")
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
