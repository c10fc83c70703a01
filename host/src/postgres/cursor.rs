//! Cursors: the rows of a query, kept by the server and fetched in batches.

use std::{
    pin::pin,
    sync::atomic::{AtomicU64, Ordering},
};

use tokio_postgres::{Statement, types::ToSql};

use super::{
    handle::{Handle, QueryError, QueryLimits, check_params, collect, columns_of, db_error},
    values::Param,
};
use crate::{
    error::DbError,
    value::{Column, Value},
};

/// A number for the name of a cursor or a savepoint that the host makes for a program. Never given twice, so that nothing that a
/// call left behind is taken for something else.
pub fn fresh_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// How many rows a fetch is prepared for before the first one is asked for.
const USUAL_ROWS: usize = 1_000;

/// A cursor of the server's, within the open transaction. Dropping it leaves it to the end of the transaction.
pub struct Cursor {
    handle: Handle,
    name: String,
    columns: Vec<Column>,
    shift: Shift,
    fetch: Fetch,
}

/// `FETCH` for so many rows: it takes no parameters, and preparing it each time would double the round trips.
struct Fetch {
    rows: usize,
    statement: Statement,
}

/// Where the program's statement lies in the one that was sent, in characters.
#[derive(Debug, Clone, Copy)]
struct Shift {
    before: u32,
    skipped: u32,
}

impl Handle {
    /// Opens a cursor for a SELECT, VALUES, TABLE or WITH statement, given by its text from the first word on, which begins at
    /// byte `start` of what the program sent.
    ///
    /// # Errors
    /// What the server said, with the position in the program's text, or that a parameter does not fit.
    pub async fn open_cursor(&self, sql: &str, start: usize, params: &[Value]) -> Result<Cursor, DbError> {
        let name = format!("lockgate_cursor_{}", fresh_number());
        let declare = format!("DECLARE {name} NO SCROLL CURSOR WITHOUT HOLD FOR ");
        let count = |text: &str| u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
        let shift = Shift { before: count(&declare), skipped: count(&sql[..start]) };
        let failed = |error: tokio_postgres::Error| shift.back(db_error(&error));

        let statement = self.client.prepare(&format!("{declare}{}", &sql[start..])).await.map_err(failed)?;
        check_params(&statement, params).map_err(|error| *error)?;
        let params: Vec<Param<'_>> = params.iter().map(Param).collect();
        let params = params.iter().map(|p| p as &(dyn ToSql + Sync));
        self.client.execute_raw(&statement, params).await.map_err(failed)?;
        let fetch = self.prepare_fetch(&name, USUAL_ROWS).await.map_err(failed)?;
        let columns = columns_of(&fetch.statement);
        Ok(Cursor { handle: self.clone(), name, columns, shift, fetch })
    }

    async fn prepare_fetch(&self, name: &str, rows: usize) -> Result<Fetch, tokio_postgres::Error> {
        let statement = self.client.prepare(&format!("FETCH FORWARD {rows} FROM {name}")).await?;
        Ok(Fetch { rows, statement })
    }
}

impl Cursor {
    /// The columns of its rows.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The next rows, at most so many and never more than the limit on rows; none: the end. One round trip, and one more when
    /// another number of rows is asked for than the time before.
    ///
    /// # Errors
    /// What the server said, with the position in the program's text, or that the limit on bytes was reached.
    pub async fn fetch(&mut self, rows: usize, limits: QueryLimits) -> Result<Vec<Vec<Value>>, QueryError> {
        let rows = rows.clamp(1, limits.rows_max.clamp(1, i32::MAX as usize));
        let fetched = self.fetch_as_sent(rows, limits).await;
        fetched.map_err(|error| match error {
            QueryError::Db(error) => QueryError::Db(Box::new(self.shift.back(*error))),
            limit => limit,
        })
    }

    async fn fetch_as_sent(&mut self, rows: usize, limits: QueryLimits) -> Result<Vec<Vec<Value>>, QueryError> {
        if self.fetch.rows != rows {
            self.fetch = self.handle.prepare_fetch(&self.name, rows).await?;
        }
        let nothing: [&(dyn ToSql + Sync); 0] = [];
        let stream = self.handle.client.query_raw(&self.fetch.statement, nothing).await?;
        collect(pin!(stream), limits).await
    }

    /// The name by which [`Handle::close_cursor`] closes it.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Handle {
    /// Closes a cursor.
    ///
    /// # Errors
    /// What the server said: above all, that the transaction is aborted.
    pub async fn close_cursor(&self, name: &str) -> Result<(), DbError> {
        self.client.batch_execute(&format!("CLOSE {name}")).await.map_err(|e| db_error(&e))
    }
}

impl Shift {
    /// An error as the program must see it: with the position in its own text.
    fn back(self, error: DbError) -> DbError {
        let position = error.position.and_then(|p| p.checked_sub(self.before)).filter(|p| *p > 0);
        DbError { position: position.map(|p| p.saturating_add(self.skipped)), ..error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_in_the_programs_text() {
        let shift = Shift { before: 40, skipped: 2 };
        let at = |position| shift.back(DbError { position, ..DbError::default() }).position;
        assert_eq!(at(Some(41)), Some(3));
        assert_eq!(at(Some(40)), None, "within what the host put before it");
        assert_eq!(at(None), None);
    }

    #[test]
    fn no_number_is_given_twice() {
        assert_ne!(fresh_number(), fresh_number());
    }
}
