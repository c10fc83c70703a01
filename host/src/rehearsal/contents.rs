//! What the tables hold, remembered, and counted anew only where something can have changed.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use super::measure::tell_statistics;
use crate::{
    error::{Error, Result},
    postgres::{OWN_TABLES, Process, Session, history::History, quote_literal},
};

const DOING: &str = "counting the rows of the tables";

/// How many tables are asked about in one round trip.
const TABLES_A_QUESTION: usize = 100;

/// How long it is waited for others to be gone: a process of the server takes a moment to end after its client has.
const GONE_WITHIN: Duration = Duration::from_secs(3);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A difference: the table, sequence or what else it is, and a sentence about it.
pub type Difference = (String, String);

/// What a database holds: the number of rows of every table and materialized view and a digest of them, the values of the sequences, and
/// the number of large objects and a digest of them, with their owners, privileges and comments. Without temporary tables, those of extensions and Lockgate's own.
///
/// # Why a change cannot be missed
///
/// A table is hashed again unless all that its rows as text are made of is known to be as it was:
/// - the file that it is in: `TRUNCATE`, a rewrite and a refresh of a materialized view begin a new one;
/// - how many rows were ever inserted, updated and deleted in it, which the server counts for what was rolled back as well, so that the
///   number only ever grows;
/// - which transactions wrote the rows of the catalog for its columns, for their expressions if they are generated, and for their types, the
///   values of enums and the functions that write them as text: a column that was added without a rewrite, a default for missing values,
///   another type of the same representation, a value that was renamed are all seen by this;
/// - that its columns are of types whose text depends on nothing else. What has others (composite types, ranges, arrays and domains of
///   them, and the types that name objects, such as `regclass`) is hashed each time.
///
/// The counters are sure only where nobody can have anything to report that is not counted so far, and where they have not begun anew:
/// - whoever has written reports at the end of its session, at the latest; so everything is hashed as long as another session is in the
///   database, unless the caller vouches for it. It is looked who is there before the counters are read;
/// - a crash, a restart and a reset leave a mark, and where that is another than it was, or the server does not count, everything is hashed;
/// - the counters are read before the snapshot is taken in which rows are hashed. What comes in between is in the digest and not in the
///   counters, so that the table is hashed again the next time, and never the other way round.
///
/// Large objects are rows of two tables of the catalog, and the same holds for these. The content of those that the role may not read
/// is not compared.
///
/// What is beyond this: a superuser who stops the counting for a session (`SET track_counts = off`) writes without leaving a trace other
/// than in the rows.
#[derive(Debug, Clone)]
pub struct Contents {
    since: Since,
    tables: BTreeMap<String, Table>,
    sequences: BTreeMap<String, String>,
    large_objects: Table,
    hashed: usize,
}

/// Since when the server has counted; `None` where it does not count.
type Since = Option<String>;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Table {
    /// What is the same as long as the rows are; `None` where nothing tells that.
    witness: Option<String>,
    rows: Rows,
    /// Whether they are those of a materialized view, which are made of the rows of tables.
    derived: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Rows {
    /// Their number, and the sum of the hashes of all of them, each with its columns in order of their names.
    Hashed { count: u64, sum: String },
    /// A materialized view that was never filled.
    NotFilled,
}

/// A table as the catalog knows it.
struct Found {
    name: String,
    columns: String,
    witness: Option<String>,
    filled: bool,
    derived: bool,
}

/// What was found in the catalog.
struct Look {
    since: Since,
    tables: Vec<Found>,
    /// What is the same as long as the large objects are.
    large_objects: Option<String>,
}

impl Contents {
    /// Hashes everything. The session must not be in a transaction.
    ///
    /// # Errors
    /// When a table may not be read.
    pub async fn read(session: &Session, history: &History) -> Result<Self> {
        let look = look(session, history).await?;
        Self::hash(session, history, look, None).await
    }

    /// The same at a later moment; see the type for what is hashed again. Other sessions in the database are waited for, but not long, except
    /// for those that the caller knows to have written nothing since the former moment, such as those that watch.
    ///
    /// # Errors
    /// When a table may not be read.
    pub async fn again(&self, session: &Session, history: &History, readers: &[Process]) -> Result<Self> {
        let alone = is_alone(session, readers).await?;
        let look = look(session, history).await?;
        let known = alone && look.since.is_some() && look.since == self.since;
        Self::hash(session, history, look, known.then_some(self)).await
    }

    /// How many tables were hashed, and not known from before.
    pub fn hashed(&self) -> usize {
        self.hashed
    }

    /// How many tables there are.
    pub fn tables(&self) -> usize {
        self.tables.len()
    }

    /// The same without the values of the sequences, which no transaction takes back.
    #[must_use]
    pub fn without_sequences(mut self) -> Self {
        self.sequences.clear();
        self
    }

    /// The same without the rows of materialized views, which follow from those of the tables. Whether they are filled at all is told by the
    /// schema.
    #[must_use]
    pub fn without_derived(mut self) -> Self {
        self.tables.retain(|_, table| !table.derived);
        self
    }

    /// The same without these tables.
    #[must_use]
    pub fn without(mut self, tables: &[String]) -> Self {
        self.tables.retain(|name, _| !tables.contains(name));
        self
    }

    /// The same without what the rows are: only how many there are.
    #[must_use]
    pub fn by_number(mut self) -> Self {
        for table in self.tables.values_mut().chain([&mut self.large_objects]) {
            if let Rows::Hashed { sum, .. } = &mut table.rows {
                sum.clear();
            }
        }
        self
    }

    /// How a later moment differs from this one, which tells what is expected.
    pub fn until(&self, later: &Self) -> Vec<Difference> {
        let mut differences = Vec::new();
        for (name, table) in &self.tables {
            let what = match (&table.rows, later.tables.get(name).map(|table| &table.rows)) {
                (_, None) => "is missing".to_owned(),
                (before, Some(after)) if before == after => continue,
                (Rows::Hashed { count: before, .. }, Some(Rows::Hashed { count: after, .. })) if before == after => {
                    "has other rows than it had, though as many".to_owned()
                }
                (Rows::Hashed { count: before, .. }, Some(Rows::Hashed { count: after, .. })) => {
                    format!("has {}, not {before}", counted(*after))
                }
                (Rows::NotFilled, Some(_)) => "is filled, and was not".to_owned(),
                (_, Some(Rows::NotFilled)) => "is not filled any longer".to_owned(),
            };
            differences.push((name.clone(), format!("{name} {what}")));
        }
        for (name, table) in &later.tables {
            if let (false, Rows::Hashed { count: 1.., .. }) = (self.tables.contains_key(name), &table.rows) {
                differences.push((name.clone(), format!("{name} was not there")));
            }
        }
        for (name, before) in &self.sequences {
            match later.sequences.get(name) {
                Some(after) if after != before => {
                    differences.push((name.clone(), format!("{name} is at {after}, not {before}")));
                }
                // That it is missing is told of the schema.
                _ => {}
            }
        }
        if let (Rows::Hashed { count: before, sum }, Rows::Hashed { count: after, sum: other }) =
            (&self.large_objects.rows, &later.large_objects.rows)
        {
            let what = match (before == after, sum == other) {
                (true, true) => None,
                (true, false) => Some("there are other large objects than there were, though as many".to_owned()),
                (false, _) => Some(format!("there are {after} large objects, not {before}")),
            };
            differences.extend(what.map(|what| ("large objects".to_owned(), what)));
        }
        differences
    }

    async fn hash(session: &Session, history: &History, look: Look, known: Option<&Self>) -> Result<Self> {
        let (mut tables, mut asked) = (BTreeMap::new(), Vec::new());
        for found in look.tables {
            match known.and_then(|known| known.tables.get(&shortened(&found.name))) {
                Some(table) if table.witness.is_some() && table.witness == found.witness => {
                    tables.insert(shortened(&found.name), table.clone());
                }
                _ => asked.push(found),
            }
        }
        let same = known.map(|known| &known.large_objects).filter(|known| known.witness == look.large_objects);
        let large_objects =
            same.cloned().unwrap_or(Table { witness: look.large_objects, rows: Rows::NotFilled, derived: false });
        let mut contents =
            Self { since: look.since, tables, sequences: BTreeMap::new(), large_objects, hashed: asked.len() };
        let hashed = contents.ask(session, history, asked).await;
        // Nothing of it stays, whatever came of it.
        if !session.is_closed() {
            session.abort().await?;
        }
        hashed.map(|()| contents)
    }

    async fn ask(&mut self, session: &Session, history: &History, asked: Vec<Found>) -> Result<()> {
        // How a value is written depends on these. A policy must make the question fail, not the answer smaller.
        let settings = "BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE;
                        SET LOCAL search_path = pg_catalog; SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO, YMD';
                        SET LOCAL IntervalStyle = 'iso_8601'; SET LOCAL bytea_output = 'hex'; SET LOCAL extra_float_digits = 3;
                        SET LOCAL xmloption = 'content'; SET LOCAL quote_all_identifiers = off; SET LOCAL row_security = off;
                        SET LOCAL lock_timeout = '30s'";
        session.batch(DOING, settings).await?;
        unforce(session).await?;
        for asked in asked.chunks(TABLES_A_QUESTION) {
            let filled: Vec<&Found> = asked.iter().filter(|found| found.filled).collect();
            let ask = |found: &&Found| {
                format!(
                    "SELECT count(*)::text, coalesce(sum(hashtextextended(ROW({})::text, 0)), 0)::text FROM ONLY {} AS lockgate_row",
                    found.columns, found.name
                )
            };
            let sql = filled.iter().map(ask).collect::<Vec<_>>().join(";");
            let mut answers = session.texts(DOING, &sql).await?.into_iter();
            for found in asked {
                let rows = if found.filled { rows(answers.next())? } else { Rows::NotFilled };
                self.tables.insert(
                    shortened(&found.name),
                    Table { witness: found.witness.clone(), rows, derived: found.derived },
                );
            }
        }
        for row in session.texts(DOING, &counters_sql(history)).await? {
            if let Ok([Some(name), value]) = <[Option<String>; 2]>::try_from(row) {
                self.sequences.insert(shortened(&name), value.unwrap_or_else(|| "its beginning".into()));
            }
        }
        // As nothing else, they are filled as soon as they are hashed.
        if self.large_objects.rows == Rows::NotFilled {
            self.large_objects.rows = rows(session.texts(DOING, LARGE_OBJECTS).await?.into_iter().next())?;
        }
        Ok(())
    }
}

fn rows(answer: Option<Vec<Option<String>>>) -> Result<Rows> {
    let [count, sum] = answer
        .and_then(|row| <[Option<String>; 2]>::try_from(row).ok())
        .ok_or_else(|| Error::system(DOING, "the server gave fewer answers than it was asked for"))?;
    let count = count.unwrap_or_default().parse().map_err(|e| Error::system(DOING, e))?;
    Ok(Rows::Hashed { count, sum: sum.unwrap_or_default() })
}

/// `1 row`, `2 rows`.
fn counted(rows: u64) -> String {
    if rows == 1 { "1 row".to_owned() } else { format!("{rows} rows") }
}

/// Without the schema where that is `public`, as [`crate::schema::Change`] names it.
fn shortened(name: &str) -> String {
    name.strip_prefix("public.").unwrap_or(name).to_owned()
}

/// Policies that are forced on the owner as well would keep it from counting. The transaction ends as if nothing had been.
async fn unforce(session: &Session) -> Result<()> {
    let sql = "SELECT format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', oid::regclass) FROM pg_catalog.pg_class
               WHERE relforcerowsecurity AND relkind = 'r' AND pg_has_role(relowner, 'USAGE')
                 AND NOT (SELECT rolsuper OR rolbypassrls FROM pg_catalog.pg_roles WHERE rolname = current_user)";
    let forced: Vec<String> = session.texts(DOING, sql).await?.into_iter().flatten().flatten().collect();
    if forced.is_empty() { Ok(()) } else { session.batch(DOING, &forced.join(";")).await }
}

/// Whether nobody else is in the database who may still have something to report. It is waited until they are gone, but not long.
async fn is_alone(session: &Session, readers: &[Process]) -> Result<bool> {
    let known = readers.iter().map(|process| process.pid.to_string()).chain(["pg_backend_pid()".into()]);
    // Cleaning up changes no rows, and what sends the log to a standby writes none.
    let sql = format!(
        "SELECT pid::text FROM pg_catalog.pg_stat_activity WHERE datname = current_database() AND pid NOT IN ({})
           AND backend_type NOT IN ('autovacuum worker', 'walsender') LIMIT 1",
        known.collect::<Vec<_>>().join(", ")
    );
    let gone = async {
        while !session.texts(DOING, &sql).await?.is_empty() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(true)
    };
    tokio::time::timeout(GONE_WITHIN, gone).await.unwrap_or(Ok(false))
}

/// The tables, and what tells whether their rows can have changed, in a transaction of its own: what is counted is in every later snapshot.
async fn look(session: &Session, history: &History) -> Result<Look> {
    // What this session itself has to report, it reports when it has nothing to do: between this question and the next.
    tell_statistics(session).await?;
    let sql = format!(
        "BEGIN READ ONLY; SET LOCAL search_path = pg_catalog; {SINCE}; {}; {LARGE_OBJECTS_WITNESS}; COMMIT",
        tables_sql(history)
    );
    let rows = match session.texts(DOING, &sql).await {
        Ok(rows) => rows,
        Err(error) => {
            if !session.is_closed() {
                session.abort().await?;
            }
            return Err(error);
        }
    };
    let (mut since, mut tables, mut seen, mut large_objects) = (None, Vec::new(), HashSet::new(), None);
    for row in rows {
        match row.as_slice() {
            [Some(_), marks] => since.clone_from(marks),
            [witness] => large_objects.clone_from(witness),
            [Some(name), columns, witness, filled, derived] if seen.insert(name.clone()) => tables.push(Found {
                name: name.clone(),
                columns: columns.clone().unwrap_or_default(),
                witness: witness.clone(),
                filled: filled.as_deref() == Some("t"),
                derived: derived.as_deref() == Some("t"),
            }),
            _ => {}
        }
    }
    // Before version 15, what was counted was sent around, and came when it came.
    Ok(Look { since: since.filter(|_| session.server.major() >= 15), tables, large_objects })
}

/// After a crash all counters begin anew, and those of the whole server are marked with when; a reset of those of one table marks those of
/// its database.
const SINCE: &str =
    "SELECT 'since', CASE WHEN current_setting('track_counts') = 'on' THEN concat_ws(' ', pg_postmaster_start_time(),
                         pg_stat_get_db_stat_reset_time(oid), pg_stat_get_bgwriter_stat_reset_time()) END
                     FROM pg_database WHERE datname = current_database()";

/// What is counted of the large objects, and what is said about them, which is not.
const LARGE_OBJECTS_WITNESS: &str = "SELECT concat_ws(' ',
    (SELECT string_agg(concat_ws('/', pg_relation_filenode(oid), pg_stat_get_tuples_inserted(oid), pg_stat_get_tuples_updated(oid),
         pg_stat_get_tuples_deleted(oid)), ' ' ORDER BY oid)
     FROM pg_class WHERE oid IN ('pg_largeobject'::regclass, 'pg_largeobject_metadata'::regclass)),
    (SELECT md5(string_agg(concat_ws(' ', objoid, md5(description)), ',' ORDER BY objoid)) FROM pg_description
     WHERE classoid = 'pg_largeobject'::regclass))";

/// Their number, and the sum of the hashes of their pieces and of what is said about each. In pieces, because together they may be larger than
/// a value can be, and of those that the role may read.
const LARGE_OBJECTS: &str = "
WITH RECURSIVE piece (oid, at, data) AS (
    SELECT oid, 0::bigint, lo_get(oid, 0, 262144) FROM pg_largeobject_metadata
    WHERE (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
        OR EXISTS (SELECT FROM aclexplode(coalesce(lomacl, acldefault('L', lomowner))) x
                   WHERE x.privilege_type = 'SELECT' AND (x.grantee = 0 OR pg_has_role(x.grantee, 'USAGE')))
    UNION ALL
    SELECT oid, at + 262144, lo_get(oid, at + 262144, 262144) FROM piece WHERE length(data) = 262144)
SELECT (SELECT count(*) FROM pg_largeobject_metadata)::text, sum(hashtextextended(part, 0))::text
FROM (SELECT concat_ws(' ', oid, at, encode(data, 'hex')) FROM piece
      UNION ALL
      SELECT concat_ws(' ', m.oid, quote_ident(pg_get_userbyid(m.lomowner)), quote_nullable(m.lomacl::text), quote_nullable(d.description))
      FROM pg_largeobject_metadata m
      LEFT JOIN pg_description d ON d.classoid = 'pg_largeobject'::regclass AND d.objoid = m.oid) parts (part)";

/// Name, columns, witness, whether it holds anything at all, and whether that follows from other tables.
fn tables_sql(history: &History) -> String {
    let own = OWN_TABLES.map(quote_literal).join(", ");
    format!(
        "SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname), a.names,
                CASE WHEN a.plain THEN concat_ws(' ', c.oid, pg_relation_filenode(c.oid), pg_stat_get_tuples_inserted(c.oid),
                    pg_stat_get_tuples_updated(c.oid), pg_stat_get_tuples_deleted(c.oid), a.witness) END, c.relispopulated, c.relkind = 'm'
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         CROSS JOIN LATERAL (
             SELECT string_agg('lockgate_row.' || quote_ident(a.attname), ', ' ORDER BY a.attname COLLATE \"C\") FILTER (WHERE NOT a.attisdropped) AS names,
                 coalesce(bool_and(b.typtype IN ('b', 'e') AND b.typname !~ '^_?reg' AND (b.typelem = 0 OR e.typtype IN ('b', 'e')))
                     FILTER (WHERE NOT a.attisdropped), true) AS plain,
                 md5(coalesce(string_agg(concat_ws(' ', a.attnum, a.xmin, t.oid, t.xmin, b.xmin, p.oid, p.xmin, e.xmin, d.xmin,
                     CASE WHEN b.typtype = 'e' OR e.typtype = 'e' THEN
                         (SELECT string_agg(v.oid || '.' || v.xmin, '+' ORDER BY v.oid) FROM pg_enum v WHERE v.enumtypid IN (b.oid, e.oid)) END),
                     ',' ORDER BY a.attnum), '')) AS witness
             FROM pg_attribute a LEFT JOIN pg_type t ON t.oid = a.atttypid
             LEFT JOIN pg_type b ON b.oid = CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END
             LEFT JOIN pg_type e ON e.oid = nullif(b.typelem, 0) LEFT JOIN pg_proc p ON p.oid = b.typoutput
             LEFT JOIN pg_attrdef d ON a.attgenerated <> '' AND d.adrelid = a.attrelid AND d.adnum = a.attnum
             WHERE a.attrelid = c.oid AND a.attnum > 0) a
         WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
           AND NOT (n.nspname = {schema} AND c.relname IN ({own}))
           AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')",
        schema = quote_literal(history.schema()),
    )
}

/// The sequences with their last values.
fn counters_sql(history: &History) -> String {
    let own = OWN_TABLES.map(quote_literal).join(", ");
    format!(
        "SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname), s.last_value::text
         FROM pg_sequences s JOIN pg_namespace n ON n.nspname = s.schemaname
         JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = s.sequencename
         WHERE c.relpersistence <> 't' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
           AND NOT EXISTS (
               SELECT FROM pg_depend d JOIN pg_class t ON t.oid = d.refobjid
               WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
                 AND t.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = {schema}) AND t.relname IN ({own}))
           AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')",
        schema = quote_literal(history.schema()),
    )
}
