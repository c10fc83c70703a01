use std::ops::Deref;

use crate::bindings::lockgate::migration::database;
use crate::{CopySink, Cursor, Error, Result, Row, Savepoint, Value, log, rows};

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
    /// The host limits the rows and the bytes of a result: read large tables by [`open_cursor`](Self::open_cursor), or in pages,
    /// `WHERE id > $1 ORDER BY id LIMIT 5000`.
    ///
    /// ```
    /// use lockgate_plugin::{Reader, Result, Uuid, params};
    ///
    /// fn email(db: &Reader, id: Uuid) -> Result<Option<String>> {
    ///     let rows = db.query("SELECT email FROM users WHERE id = $1", params![id])?;
    ///     rows.first().map(|row| row.get("email")).transpose()
    /// }
    /// ```
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

    /// Opens a cursor in the server for a SELECT, VALUES or WITH … SELECT statement: for results of any size. It sees the data as
    /// they are now, not what is written after that.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    pub fn open_cursor(&self, sql: &str, params: &[Value]) -> Result<Cursor> {
        let cursor = match self.handle {
            Handle::Reader(reader) => reader.open_cursor(sql, params),
            Handle::Transaction(transaction) => transaction.open_cursor(sql, params),
        };
        Ok(Cursor::new(cursor?))
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

    /// Starts a `COPY … FROM STDIN` statement: the fastest way for many rows into a table.
    ///
    /// # Errors
    /// As [`Reader::query`].
    pub fn copy_in(&self, sql: &str) -> Result<CopySink> {
        Ok(CopySink::new(self.handle.copy_in(sql)?))
    }

    /// Does `work`, and undoes it if it fails: the transaction is then as it was before, and can go on.
    ///
    /// ```
    /// use lockgate_plugin::{Result, Transaction, log, params};
    ///
    /// fn insert(tx: &Transaction, email: &str) -> Result<bool> {
    ///     let inserted = tx.savepoint(|tx| tx.execute("INSERT INTO users (email) VALUES ($1)", params![email]));
    ///     match inserted {
    ///         Ok(_) => Ok(true),
    ///         Err(error) if error.sqlstate() == Some("23505") => Ok(false),
    ///         Err(error) => Err(error),
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// The error of `work`; or the host's, when no savepoint can be made.
    pub fn savepoint<T>(&self, work: impl FnOnce(&Self) -> Result<T>) -> Result<T> {
        let savepoint = self.open_savepoint()?;
        let done = work(self);
        let ended = match done {
            Ok(_) => savepoint.release(),
            Err(_) => savepoint.rollback(),
        };
        match (done, ended) {
            (Ok(done), ended) => ended.map(|()| done),
            (Err(error), Ok(())) => Err(error),
            (Err(error), Err(second)) => {
                // What went wrong first says more.
                log::warn(format_args!("cannot return to the savepoint: {second}"));
                Err(error)
            }
        }
    }

    /// Marks the present state, to return to it by [`Savepoint::rollback`]. At most 64 at a time.
    ///
    /// # Errors
    /// When the host refuses, or a statement failed before.
    pub fn open_savepoint(&self) -> Result<Savepoint> {
        Ok(Savepoint::new(self.handle.savepoint()?))
    }
}

impl<'a> Deref for Transaction<'a> {
    type Target = Reader<'a>;

    fn deref(&self) -> &Reader<'a> {
        &self.reader
    }
}
