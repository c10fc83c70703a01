//! `schema_migrations_seal`: what makes the server itself refuse a COMMIT that is not the host's.
//!
//! While a component works, the table holds a row that points at one that is not there, by a foreign key that the server looks at
//! only when the transaction commits. The host takes the row away just before its own COMMIT; any earlier one fails with
//! SQLSTATE 23503.

use super::{history::History, quote_ident};

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
        let (open, close) = (self.open(), self.close());
        format!("{open}; SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS {} DEFERRED; {close}", self.constraint)
    }

    /// An expression that is true while the seal is closed.
    pub(super) fn is_closed(&self) -> String {
        format!("EXISTS (SELECT FROM {})", self.table)
    }
}
