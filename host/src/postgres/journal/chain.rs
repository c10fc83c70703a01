//! The hash chain over the journal: every entry carries the hash of the one before it, and the server itself links them.
//!
//! The hash of an entry is the SHA-256, in small hexadecimal digits, of the hash before it, a comma, and the canonical text of its
//! other columns: each as `<length in characters>:<text>`, NULL as `-`, joined by commas. Whoever changes, removes or adds an entry
//! afterwards must compute all later hashes anew, and then the head is another one than was noted elsewhere.

use std::pin::pin;

use futures_util::TryStreamExt as _;
use serde::Serialize;
use tokio_postgres::types::ToSql;

use super::{Journal, TABLE};
use crate::{
    error::{Error, Result},
    migration::{Checksum, Version},
    postgres::{handle::db_error, history::History, quote_ident, raw::value, session::Session},
};

/// The hash before the first entry.
const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The two keys of the lock on the end of the chain, `LOCK` and `JRNL` in ASCII. Not the lock of the runs: that belongs to a session.
const CLASS: u32 = 0x4C4F_434B;
const OBJECT: u32 = 0x4A52_4E4C;

/// The columns as text that no setting of a session changes, in the order in which they are hashed. `{}` is the row.
const CANONICAL: [&str; 15] = [
    "{}.id::text",
    "extract(epoch FROM {}.at)::text",
    "{}.run_id::text",
    "{}.event",
    "{}.version",
    "{}.direction",
    "{}.attempt::text",
    "{}.step",
    "{}.duration_ms::text",
    "{}.detail",
    "{}.db_user",
    "{}.os_user",
    "{}.host",
    "{}.client_address::text",
    "{}.application",
];

/// An expression of the bytes that are hashed for a row. The search path must be `pg_catalog`.
fn hashed_sql(row: &str) -> String {
    let part = |column: &str| {
        let text = column.replace("{}", row);
        format!("coalesce(length({text}) || ':' || ({text}), '-')")
    };
    let parts = CANONICAL.map(part).join(",\n                 ");
    format!("convert_to(concat_ws(',', {row}.previous, {parts}), 'UTF8')")
}

/// The statements that make the server link every entry to the one before it.
///
/// The number of an entry is the one before it plus one, so that the primary key lets no two follow the same one, whatever the
/// writer's snapshot shows. Two writers wait for each other until the end of a transaction, because only then it is known whether
/// there is an entry to follow.
pub(super) fn ddl(schema: &str, table: &str) -> String {
    format!(
        "CREATE OR REPLACE FUNCTION {schema}.{function}() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS
         $body$ DECLARE last_id bigint; last_hash text; BEGIN
             PERFORM pg_advisory_xact_lock({CLASS}, {OBJECT});
             SELECT j.id, j.hash INTO last_id, last_hash FROM {table} j ORDER BY j.id DESC LIMIT 1;
             NEW.id := coalesce(last_id, 0) + 1;
             NEW.previous := coalesce(last_hash, '{GENESIS}');
             NEW.hash := encode(sha256({hashed}), 'hex');
             RETURN NEW;
         END $body$;
         CREATE OR REPLACE TRIGGER {function} BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION {schema}.{function}();
         COMMENT ON COLUMN {table}.previous IS 'The hash of the entry before this one.';
         COMMENT ON COLUMN {table}.hash IS 'SHA-256 over previous and all other columns; lockgate history --verify checks it.';",
        function = quote_ident(FUNCTION),
        hashed = hashed_sql("NEW"),
    )
}

/// The name of the trigger and of its function.
pub(super) const FUNCTION: &str = "schema_migrations_journal_chain";

/// An entry as the chain sees it.
struct Link {
    id: i64,
    previous: Option<String>,
    hash: Option<String>,
    /// The hash that it should have.
    computed: String,
}

/// How an entry does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Damage {
    /// Its text is not the one that was hashed.
    Changed,
    /// Those before it are not there any more.
    Missing,
    /// It was put there, past the chain or in another's place.
    Inserted,
}

/// The first place where the chain is broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Break {
    /// The number of the entry.
    pub id: i64,
    /// How it does not fit.
    pub damage: Damage,
    /// The same for people.
    pub what: String,
}

/// What a walk along the chain found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Verification {
    /// The entries whose hashes fit.
    pub chained: u64,
    /// The entries from before there was a chain; nothing is known of them.
    pub unchained: u64,
    /// The hash of the last entry that fits.
    pub head: Option<String>,
    /// The first entry that does not.
    pub broken: Option<Break>,
    /// Whether the head that was asked for is part of the chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head_found: Option<bool>,
    /// Where the journal and the history tell different things, a sentence for each.
    pub disagreements: Vec<String>,
}

impl Verification {
    /// Whether everything is as it was written, as far as can be seen.
    pub fn is_sound(&self) -> bool {
        self.broken.is_none() && self.head_found != Some(false) && self.disagreements.is_empty()
    }
}

/// The walk itself.
struct Walk<'a> {
    /// The hash that must be part of the chain.
    wanted: Option<&'a str>,
    last_id: i64,
    /// The hash before the last one.
    before_last: Option<String>,
    found: Verification,
}

impl<'a> Walk<'a> {
    fn new(wanted: Option<&'a str>) -> Self {
        let head_found = wanted.map(|_| false);
        let found =
            Verification { chained: 0, unchained: 0, head: None, broken: None, head_found, disagreements: Vec::new() };
        Self { wanted, last_id: 0, before_last: None, found }
    }

    /// Takes the next entry; false at the first that does not fit.
    fn step(&mut self, link: Link) -> bool {
        if link.hash.is_none() && link.previous.is_none() && self.found.chained == 0 {
            self.found.unchained += 1;
            self.last_id = link.id;
            return true;
        }
        if let Some((id, damage, what)) = self.misfit(&link) {
            self.found.broken = Some(Break { id, damage, what });
            return false;
        }
        self.last_id = link.id;
        self.before_last = self.found.head.take();
        self.found.chained += 1;
        if link.hash.as_deref() == self.wanted {
            self.found.head_found = self.wanted.map(|_| true);
        }
        self.found.head = link.hash;
        true
    }

    fn misfit(&self, link: &Link) -> Option<(i64, Damage, String)> {
        let id = link.id;
        let (Some(previous), Some(hash)) = (&link.previous, &link.hash) else {
            return Some((id, Damage::Inserted, format!("entry {id} was inserted past the chain: it has no hash")));
        };
        if *hash != link.computed {
            return Some((id, Damage::Changed, format!("entry {id} was changed: its hash does not fit its text")));
        }
        let missing = self.last_id + 1..id;
        if !missing.is_empty() {
            let what = match (missing.start, missing.end - 1) {
                (first, last) if first == last => format!("entry {first} is missing before entry {id}"),
                (first, last) => format!("entries {first} to {last} are missing before entry {id}"),
            };
            return Some((missing.start, Damage::Missing, what));
        }
        if previous == self.found.head.as_deref().unwrap_or(GENESIS) {
            return None;
        }
        let last = self.last_id;
        Some(match &self.before_last {
            _ if self.found.chained == 0 => {
                (id, Damage::Missing, format!("entry {id} is the first, but follows others that are missing"))
            }
            before if previous == before.as_deref().unwrap_or(GENESIS) => {
                (last, Damage::Inserted, format!("entry {last} was inserted: entry {id} follows the one before it"))
            }
            _ => (
                last,
                Damage::Inserted,
                format!("entry {last} is not the one that entry {id} follows: it was replaced"),
            ),
        })
    }
}

impl Journal {
    /// Walks along the whole chain, in one pass, and stops at the first entry that does not fit. With a head that was noted
    /// elsewhere, it also tells whether that is part of the chain.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn verify(&self, session: &Session, head: Option<&str>) -> Result<Verification> {
        const DOING: &str = "verifying the journal";
        let failed = |e: tokio_postgres::Error| Error::database(DOING, db_error(&e));
        let mut walk = Walk::new(head);
        let Some(chained) = self.is_chained(session).await? else { return Ok(walk.found) };
        // Everything below is found in the catalog alone, whatever the session's search path is.
        session.batch(DOING, "BEGIN READ ONLY; SET LOCAL search_path = pg_catalog, pg_temp").await?;
        let sql = match chained {
            true => format!("SELECT j.id, j.previous, j.hash, {} FROM {} j ORDER BY j.id", hashed_sql("j"), self.table),
            false => format!("SELECT j.id, NULL::text, NULL::text, ''::bytea FROM {} j ORDER BY j.id", self.table),
        };
        let nothing: [&(dyn ToSql + Sync); 0] = [];
        let mut whole = true;
        let rows = session.client().query_raw(&sql, nothing).await;
        let walked = async {
            let mut rows = pin!(rows.map_err(failed)?);
            while let Some(row) = rows.try_next().await.map_err(failed)? {
                let computed = Checksum::of_bytes(value(&row, 3)?).as_str().to_owned();
                let (id, previous, hash) = (value(&row, 0)?, value(&row, 1)?, value(&row, 2)?);
                // The rest is not looked at, but it is on its way.
                whole = whole && walk.step(Link { id, previous, hash, computed });
            }
            Ok(())
        };
        let walked = walked.await;
        session.abort().await?;
        walked.map(|()| walk.found)
    }

    /// Where the journal and the history tell different things. Both are written in one transaction: if they differ, somebody else has written to
    /// one of them. What was applied before the last restore is left to the backup.
    ///
    /// # Errors
    /// When either cannot be read.
    pub async fn disagreements(&self, session: &Session, history: &History) -> Result<Vec<String>> {
        const DOING: &str = "comparing the journal with the history";
        let Some(applied) = history.read(session).await? else { return Ok(Vec::new()) };
        if self.is_chained(session).await?.is_none() {
            let n = applied.len();
            return Ok(if n == 0 {
                Vec::new()
            } else {
                vec![format!("the journal is gone, and the history has {n} rows")]
            });
        }
        let sql = format!(
            "SELECT format('no entry tells that run %s applied %s, which is in the history', h.run_id, h.version)
             FROM {history} h WHERE NOT EXISTS (
                 SELECT FROM {journal} j
                 WHERE j.event IN ('applied', 'adopted', 'baselined') AND {of_entry} = {of_row} AND j.run_id::text = h.run_id::text)
             UNION ALL
             SELECT format('entry %s tells that %s was %s, and the history has no row of it', j.id, j.version, j.event)
             FROM (SELECT DISTINCT ON (key) id, event, version FROM (SELECT *, {of_entry} AS key FROM {journal} j) j
                   WHERE event IN ('applied', 'adopted', 'baselined', 'reverted') ORDER BY key, id DESC) j
             WHERE j.event <> 'reverted' AND j.id > (SELECT coalesce(max(id), 0) FROM {journal} WHERE event = 'restored')
               AND NOT EXISTS (SELECT FROM {history} h WHERE {of_row} = {of_entry})",
            history = history.table(),
            of_entry = Version::key_sql("j.version"),
            of_row = Version::key_sql("h.version"),
            journal = self.table
        );
        Ok(session.texts(DOING, &sql).await?.into_iter().flatten().flatten().collect())
    }

    /// The hash of the last entry, if there is one that has a hash.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn head(&self, session: &Session) -> Result<Option<String>> {
        if self.is_chained(session).await? != Some(true) {
            return Ok(None);
        }
        let row = session.client().query_opt(&self.head_question(), &[]).await;
        let row = row.map_err(|e| Error::database("reading the journal", db_error(&e)))?;
        row.map_or(Ok(None), |row| value(&row, 0))
    }

    /// What [`head`](Self::head) asks of a journal that has hashes.
    pub(in crate::postgres) fn head_question(&self) -> String {
        format!("SELECT hash FROM {} ORDER BY id DESC LIMIT 1", self.table)
    }

    /// Whether it has hashes; `None` when there is no journal.
    pub(super) async fn is_chained(&self, session: &Session) -> Result<Option<bool>> {
        let sql = "SELECT EXISTS (SELECT FROM pg_catalog.pg_attribute
                                  WHERE attrelid = c.oid AND attname = 'hash' AND NOT attisdropped)
                   FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                   WHERE n.nspname = $1 AND c.relname = $2";
        let row = session.client().query_opt(sql, &[&self.schema, &TABLE]).await;
        let row = row.map_err(|e| Error::database("looking for the journal", db_error(&e)))?;
        Ok(row.map(|row| row.get(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Entries 1, 2, … of a sound chain, each with its text for a hash.
    fn sound(n: i64) -> Vec<Link> {
        let hash = |id: i64| format!("hash {id}");
        let previous = |id: i64| if id == 1 { GENESIS.to_owned() } else { hash(id - 1) };
        let link = |id| Link { id, previous: Some(previous(id)), hash: Some(hash(id)), computed: hash(id) };
        (1..=n).map(link).collect()
    }

    fn walk(links: Vec<Link>, wanted: Option<&str>) -> Verification {
        let mut walk = Walk::new(wanted);
        let _ = links.into_iter().all(|link| walk.step(link));
        walk.found
    }

    fn first_break(links: Vec<Link>) -> (i64, Damage) {
        let broken = walk(links, None).broken.unwrap();
        (broken.id, broken.damage)
    }

    #[test]
    fn a_sound_chain_has_a_head() {
        let found = walk(sound(3), Some("hash 2"));
        assert_eq!((found.chained, found.head.as_deref(), found.head_found), (3, Some("hash 3"), Some(true)));
        assert!(found.is_sound());
        assert!(walk(Vec::new(), None).is_sound());
        assert!(!walk(sound(3), Some("hash 4")).is_sound());
    }

    #[test]
    fn old_entries_have_no_hash_but_only_before_the_chain() {
        let old = |id| Link { id, previous: None, hash: None, computed: String::new() };
        let mut links = vec![old(2), old(5)];
        links.extend(sound(2).into_iter().map(|link| Link { id: link.id + 5, ..link }));
        let found = walk(links, None);
        assert_eq!((found.unchained, found.chained, found.is_sound()), (2, 2, true));
        let mut links = sound(2);
        links.push(old(3));
        assert_eq!(first_break(links), (3, Damage::Inserted));
    }

    #[test]
    fn the_first_entry_that_does_not_fit_is_named() {
        let mut links = sound(5);
        links[2].computed = "another".into();
        assert_eq!(first_break(links), (3, Damage::Changed));

        let mut links = sound(5);
        links.drain(1..3);
        assert_eq!(first_break(links), (2, Damage::Missing));

        let mut links = sound(5);
        links.remove(0);
        assert_eq!(first_break(links), (1, Damage::Missing));

        // Whoever renumbers is found as well.
        let renumbered = sound(5).into_iter().skip(1).map(|link| Link { id: link.id - 1, ..link });
        assert_eq!(first_break(renumbered.collect()), (1, Damage::Missing));

        let mut links = sound(5);
        let forged = Link { id: 0, previous: Some(GENESIS.into()), hash: Some("f".into()), computed: "f".into() };
        links.insert(0, forged);
        assert_eq!(first_break(links), (0, Damage::Inserted));

        let mut links = sound(5);
        links[2] = Link { id: 3, previous: Some("hash 2".into()), hash: Some("f".into()), computed: "f".into() };
        assert_eq!(first_break(links), (3, Damage::Inserted));
    }
}
