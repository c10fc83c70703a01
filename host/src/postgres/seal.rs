//! `schema_migrations_seal`: what makes the server itself refuse a COMMIT that is not the host's.
//!
//! While a component works, the table holds a row that points at one that is not there, by a foreign key that the server looks at
//! only when the transaction commits. The host takes the row away just before its own COMMIT; any earlier one fails with
//! SQLSTATE 23503.

use super::{handle::db_error, history::History, quote_ident, session::Session};
use crate::error::{Error, Result};

/// The table's name, in the schema of the history.
pub const TABLE: &str = "schema_migrations_seal";

/// The seal in one schema.
#[derive(Debug, Clone)]
pub struct Seal {
    table: String,
    constraint: String,
    name: String,
}

impl Seal {
    /// The seal beside this history.
    pub fn new(history: &History) -> Self {
        let schema = quote_ident(history.schema());
        let name = quote_ident(&format!("{TABLE}_fkey"));
        Self { table: format!("{schema}.{}", quote_ident(TABLE)), constraint: format!("{schema}.{name}"), name }
    }

    /// The table, quoted.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// The statement that makes the table.
    pub(super) fn ddl(&self) -> String {
        let Self { table, name, .. } = self;
        format!(
            "CREATE TABLE IF NOT EXISTS {table} (
                 id int PRIMARY KEY,
                 sealed_by int NOT NULL,
                 CONSTRAINT {name} FOREIGN KEY (sealed_by) REFERENCES {table} DEFERRABLE INITIALLY DEFERRED
             );
             COMMENT ON TABLE {table} IS 'Empty, but while lockgate lets a component work: no transaction commits then.';"
        )
    }

    /// Makes sure that the table still is what [`ddl`](Self::ddl) makes of it.
    ///
    /// # Errors
    /// [`Error::DamagedHistory`].
    pub(super) async fn check(&self, session: &Session) -> Result<()> {
        let sql = "SELECT EXISTS (SELECT FROM pg_catalog.pg_constraint WHERE conrelid = to_regclass($1) AND confrelid = conrelid
                                  AND contype = 'f' AND condeferrable AND condeferred)";
        let row = session.client().query_one(sql, &[&self.table]).await;
        if row.map_err(|e| Error::database("looking at the seal", db_error(&e)))?.get(0) {
            return Ok(());
        }
        Err(Error::DamagedHistory {
            what: format!(
                "the table {} has lost the foreign key that seals the transactions of components",
                self.table
            ),
            next: format!("drop it (`DROP TABLE {}`): the next run makes it anew", self.table),
        })
    }

    /// From here on nothing commits.
    pub(super) fn close(&self) -> String {
        format!("INSERT INTO {} VALUES (1, 2)", self.table)
    }

    /// From here on the host can commit. Without a condition, whose operator might be somebody's own.
    pub(super) fn open(&self) -> String {
        format!("DELETE FROM {}", self.table)
    }

    /// The same, and its constraint is checked at once: nothing is left of it to do at the commit.
    pub(super) fn open_for_good(&self) -> String {
        format!("{}; SET CONSTRAINTS {} IMMEDIATE", self.open(), self.constraint)
    }

    /// Runs what is deferred to the commit, except for the seal itself.
    pub(super) fn settle(&self) -> String {
        self.around("SET CONSTRAINTS ALL IMMEDIATE")
    }

    /// Runs something that sets constraints, and may not write, except for the seal's own: what is put off of that is run before.
    pub(super) fn around(&self, sql: &str) -> String {
        let (open, close) = (self.open_for_good(), self.close());
        format!("{open}; {sql}; SET CONSTRAINTS {} DEFERRED; {close}", self.constraint)
    }

    /// An expression that is true while the seal is closed.
    pub(super) fn is_closed(&self) -> String {
        format!("EXISTS (SELECT FROM {})", self.table)
    }
}
