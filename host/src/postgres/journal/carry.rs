//! Entries carried over from one database to another, unchanged, so that the chain goes on.

use super::{Entry, Journal, chain};
use crate::{
    error::Result,
    postgres::{quote_ident, quote_literal, session::Session},
};

const DOING: &str = "carrying the journal over";

/// How many entries are carried in one round trip.
const ENTRIES_A_TRIP: u32 = 500;

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carried {
    /// So many entries were added.
    Entries(u64),
    /// The one journal does not go on from where the other ends: nothing was added.
    Parted,
}

impl Journal {
    /// Adds to the journal that `to` sees what follows its last entry in the one that `from` sees, and then another entry; all or nothing.
    /// Both sessions must have the same time zone. The journal of `to` must be whole; that of `from` may lack columns, or be missing.
    ///
    /// Numbers, times and hashes stay as they are, so the trigger that gives them is put off meanwhile.
    ///
    /// # Errors
    /// When one cannot be read or the other not written; only the owner of the table may put a trigger off.
    pub async fn carry_over(&self, from: &Session, to: &Session, then: &Entry<'_>) -> Result<Carried> {
        let last = self.entry(to, "ORDER BY id DESC LIMIT 1").await?;
        let goes_on = match (self.is_chained(from).await?, &last) {
            (None, _) => return self.append(to, then).await.map(|()| Carried::Entries(0)),
            (Some(_), None) => true,
            (Some(_), Some((id, _))) => self.entry(from, &format!("WHERE id = {id}")).await? == last,
        };
        if !goes_on {
            return self.append(to, then).await.map(|()| Carried::Parted);
        }
        to.batch(DOING, "BEGIN").await?;
        let carried = async {
            let switch = |how| format!("ALTER TABLE {} {how} TRIGGER {}", self.table, quote_ident(chain::FUNCTION));
            to.batch(DOING, &switch("DISABLE")).await?;
            let n = self.copy(from, to, last.map_or("0".to_owned(), |(id, _)| id)).await?;
            to.batch(DOING, &switch("ENABLE")).await?;
            self.append(to, then).await?;
            to.batch(DOING, "COMMIT").await?;
            Ok(Carried::Entries(n))
        };
        let carried = carried.await;
        if carried.is_err() && !to.is_closed() {
            to.abort().await?;
        }
        carried
    }

    /// The number of an entry, and all of it: what a column does not hold is left out, as if there were no such column.
    async fn entry(&self, session: &Session, which: &str) -> Result<Option<(String, String)>> {
        let sql = format!("SELECT id, jsonb_strip_nulls(to_jsonb(j)) FROM {} j {which}", self.table);
        let row = session.texts(DOING, &sql).await?.into_iter().next();
        Ok(row.and_then(|mut row| row.pop().flatten().zip(row.pop().flatten())).map(|(text, id)| (id, text)))
    }

    async fn copy(&self, from: &Session, to: &Session, mut last: String) -> Result<u64> {
        let table = &self.table;
        let mut n = 0;
        loop {
            let sql = format!(
                "SELECT max(id), count(*), json_agg(to_json(t))
                 FROM (SELECT * FROM {table} WHERE id > {last} ORDER BY id LIMIT {ENTRIES_A_TRIP}) t"
            );
            let row = from.texts(DOING, &sql).await?.into_iter().next();
            let Some([Some(newest), Some(count), Some(entries)]) = row.as_deref() else { return Ok(n) };
            let insert = format!(
                "INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM json_populate_recordset(NULL::{table}, {})",
                quote_literal(entries)
            );
            to.batch(DOING, &insert).await?;
            last.clone_from(newest);
            n += count.parse::<u64>().unwrap_or_default();
        }
    }
}
