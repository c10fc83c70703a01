use std::iter::FusedIterator;
use std::rc::Rc;

use crate::bindings::lockgate::migration::database;
use crate::{Column, Result, Row, rows};

/// The rows of a query, kept by the server: for results of any size. Dropping it closes it.
///
/// ```
/// use lockgate_plugin::{Reader, Result, params};
///
/// fn longest(db: &Reader) -> Result<usize> {
///     let mut longest = 0;
///     let cursor = db.open_cursor("SELECT phone FROM users WHERE phone IS NOT NULL", params![])?;
///     for batch in cursor.batches(5_000) {
///         for row in batch? {
///             longest = longest.max(row.get::<&str>(0)?.len());
///         }
///     }
///     Ok(longest)
/// }
/// ```
#[derive(Debug)]
pub struct Cursor {
    handle: database::Cursor,
    columns: Rc<[Column]>,
}

impl Cursor {
    pub(crate) fn new(handle: database::Cursor) -> Self {
        let columns = handle.columns().into();
        Self { handle, columns }
    }

    /// The columns, known before the first row is fetched.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The next rows, at most so many (0 counts as 1); fewer where the host's limits on a result say so. None: the end.
    ///
    /// # Errors
    /// When the server fails, or one row alone is over a limit.
    pub fn fetch(&self, max_rows: u32) -> Result<Vec<Row>> {
        Ok(rows::with_columns(&self.columns, self.handle.fetch(max_rows)?))
    }

    /// All rows that are left, in batches as of [`fetch`](Self::fetch). The first error is the last item.
    pub fn batches(&self, max_rows: u32) -> Batches<'_> {
        Batches { cursor: Some(self), max_rows }
    }
}

/// See [`Cursor::batches`].
#[derive(Debug)]
pub struct Batches<'a> {
    cursor: Option<&'a Cursor>,
    max_rows: u32,
}

impl Iterator for Batches<'_> {
    type Item = Result<Vec<Row>>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.cursor?.fetch(self.max_rows);
        if !matches!(&batch, Ok(rows) if !rows.is_empty()) {
            self.cursor = None;
        }
        match batch {
            Ok(rows) if rows.is_empty() => None,
            batch => Some(batch),
        }
    }
}

impl FusedIterator for Batches<'_> {}
