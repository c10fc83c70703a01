use std::ops::Deref;

use crate::bindings::lockgate::migration::database;
use crate::{Error, Result, Row, Value, rows};

/// Reads from the database. Lent for one call.
///
/// In `preflight`, `plan` and `verify` the transaction is read-only, which the server enforces.
#[derive(Debug)]
pub struct Reader<'a> {
    handle: Handle<'a>,
}

#[derive(Debug)]
enum Handle<'a> {
    Reader(&'a database::Reader),
    Transaction(&'a database::Transaction),
}

impl<'a> Reader<'a> {
    pub(crate) fn new(handle: &'a database::Reader) -> Self {
        Self { handle: Handle::Reader(handle) }
    }

    /// Runs one statement with its parameters `$1`, `$2`, … and returns every row.
    ///
    /// Read large tables in pages, `WHERE id > $1 ORDER BY id LIMIT 5000`: the host limits the rows and the
    /// bytes of a result.
    ///
    /// # Errors
    /// When the server or the host refuses the statement, or a limit is reached. The transaction is aborted then.
    pub fn query(&self, sql: &str, params: &[Value]) -> Result<Vec<Row>> {
        let result = match self.handle {
            Handle::Reader(reader) => reader.query(sql, params),
            Handle::Transaction(transaction) => transaction.query(sql, params),
        };
        Ok(rows::of(result?))
    }

    /// As [`query`](Self::query), for a statement that returns one row.
    ///
    /// # Errors
    /// As `query`, and [`Error::Other`] with the code `row-count` when it returns none or several.
    pub fn query_one(&self, sql: &str, params: &[Value]) -> Result<Row> {
        let mut rows = self.query(sql, params)?;
        match (rows.pop(), rows.len()) {
            (Some(row), 0) => Ok(row),
            (None, _) => Err(Error::new("row-count", "expected one row, found none")),
            (Some(_), others) => Err(Error::new("row-count", format!("expected one row, found {}", others + 1))),
        }
    }
}

/// Reads, through [`Reader`], and writes inside the migration's transaction. Lent for one call.
#[derive(Debug)]
pub struct Transaction<'a> {
    reader: Reader<'a>,
    handle: &'a database::Transaction,
}

impl<'a> Transaction<'a> {
    pub(crate) fn new(handle: &'a database::Transaction) -> Self {
        Self { reader: Reader { handle: Handle::Transaction(handle) }, handle }
    }

    /// Runs one statement with its parameters `$1`, `$2`, … and returns the number of rows it changed.
    ///
    /// # Errors
    /// As [`Reader::query`].
    pub fn execute(&self, sql: &str, params: &[Value]) -> Result<u64> {
        Ok(self.handle.execute(sql, params)?)
    }
}

impl<'a> Deref for Transaction<'a> {
    type Target = Reader<'a>;

    fn deref(&self) -> &Reader<'a> {
        &self.reader
    }
}
