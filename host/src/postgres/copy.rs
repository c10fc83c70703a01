//! `COPY … FROM STDIN`, streamed.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use futures_util::SinkExt;
use tokio_postgres::CopyInSink;

use super::handle::{Handle, db_error};
use crate::{
    error::DbError,
    sql::scan::{Kind, Token, tokens},
};

/// A COPY under way. Until it is finished or dropped, the connection takes no other statement.
///
/// Dropped unfinished, it makes the driver send CopyFail: the COPY fails, and with it the transaction.
pub struct CopyIn {
    sink: Pin<Box<CopyInSink<Bytes>>>,
    changed: Arc<AtomicU64>,
}

/// What one message carries. The server takes up to 1 GiB, but keeps it in memory whole.
const PIECE_MAX_BYTES: usize = 1 << 20;

impl Handle {
    /// Starts a COPY, which must be one from STDIN: nothing else gets an answer.
    ///
    /// Where the server refuses to start one, the driver takes the end of that for the end of whatever is asked next, and every answer
    /// from then on for another's. So what a COPY mostly fails of is looked at first, by a statement that fails of the same; where it
    /// fails all the same, the connection is given up.
    ///
    /// # Errors
    /// What the server said.
    pub async fn copy_in(&self, sql: &str) -> Result<CopyIn, DbError> {
        if let Some(check) = Check::of(sql) {
            self.client.batch_execute(&check.sql).await.map_err(|e| check.moved(db_error(&e)))?;
        }
        match self.client.copy_in(sql).await {
            Ok(sink) => Ok(CopyIn { sink: Box::pin(sink), changed: Arc::clone(&self.changed) }),
            Err(error) => {
                self.give_up();
                Err(db_error(&error))
            }
        }
    }
}

/// A statement that needs the same table, columns, privileges and locks as a COPY, and changes nothing.
struct Check {
    sql: String,
    /// How many characters stand before the name of the table in it, and in the COPY.
    name: (u32, u32),
    /// How many characters the name and the columns have.
    length: u32,
}

impl Check {
    const LEAD: &str = "EXPLAIN INSERT INTO ";

    /// Nothing where the statement has another form.
    fn of(copy: &str) -> Option<Self> {
        let mut tokens = tokens(copy).filter(|token| !token.is_blank()).peekable();
        let is = |token: &Token, word: &str| copy[token.start..token.end].eq_ignore_ascii_case(word);
        tokens.next_if(|token| is(token, "COPY"))?;
        tokens.next_if(|token| is(token, "BINARY"));
        let first = *tokens.peek()?;
        let (mut end, mut columns, mut depth) = (first.start, 0_usize, 0_usize);
        loop {
            let token = tokens.next()?;
            match token.kind {
                Kind::Word if depth == 0 && is(&token, "FROM") => break,
                Kind::Open => depth += 1,
                Kind::Close => depth = depth.checked_sub(1)?,
                Kind::Word | Kind::Name(_) => columns += usize::from(depth > 0),
                Kind::Other => {}
                _ => return None,
            }
            end = token.end;
        }
        let target = &copy[first.start..end];
        let values = match columns {
            0 => " DEFAULT VALUES".to_owned(),
            n => format!(" VALUES ({})", vec!["DEFAULT"; n].join(", ")),
        };
        let chars = |text: &str| u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
        Some(Self {
            sql: format!("{}{target}{values}", Self::LEAD),
            name: (chars(Self::LEAD), chars(&copy[..first.start])),
            length: chars(target),
        })
    }

    /// An error of it as one of the COPY.
    fn moved(&self, error: DbError) -> DbError {
        let (here, there) = self.name;
        let within = error.position.and_then(|at| at.checked_sub(here)).filter(|at| (1..=self.length).contains(at));
        DbError { position: within.map(|at| at + there), ..error }
    }
}

impl CopyIn {
    /// Sends some of the data, and waits while the server has more than it can take. What is wrong with the data is told by
    /// [`CopyIn::finish`].
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn write(&mut self, data: Vec<u8>) -> Result<(), DbError> {
        let mut data = Bytes::from(data);
        while !data.is_empty() {
            let piece = data.split_to(data.len().min(PIECE_MAX_BYTES));
            self.sink.feed(piece).await.map_err(|e| db_error(&e))?;
        }
        Ok(())
    }

    /// Sends data that somebody else holds, a piece at a time.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn write_all(&mut self, data: &[u8]) -> Result<(), DbError> {
        for piece in data.chunks(PIECE_MAX_BYTES) {
            self.sink.send(Bytes::copy_from_slice(piece)).await.map_err(|e| db_error(&e))?;
        }
        Ok(())
    }

    /// Says that this was all, and returns the number of rows.
    ///
    /// # Errors
    /// What the server said of the statement or of any of the data.
    pub async fn finish(mut self) -> Result<u64, DbError> {
        let rows = self.sink.as_mut().finish().await.map_err(|e| db_error(&e))?;
        self.changed.fetch_add(rows, Ordering::Relaxed);
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_checked_by_what_fails_of_the_same() {
        for (copy, check) in [
            ("COPY t FROM STDIN", "EXPLAIN INSERT INTO t DEFAULT VALUES"),
            ("/* é */ copy binary s.\"T\" /* x */ from stdin", "EXPLAIN INSERT INTO s.\"T\" DEFAULT VALUES"),
            ("copy t (a, \"from\") from stdin", "EXPLAIN INSERT INTO t (a, \"from\") VALUES (DEFAULT, DEFAULT)"),
        ] {
            assert_eq!(Check::of(copy).unwrap().sql, check);
        }
        for other in ["COPY (SELECT 1) TO STDOUT", "SELECT 1", "COPY", ""] {
            assert!(Check::of(other).is_none(), "{other}");
        }
    }

    #[test]
    fn its_errors_point_into_the_copy() {
        let check = Check::of("/* é */ COPY t (a, b) FROM STDIN").unwrap();
        let at = |position| check.moved(DbError { position: Some(position), ..DbError::default() }).position;
        // `t`, `b`, and what the COPY does not have.
        assert_eq!((at(21), at(27), at(30), at(3)), (Some(14), Some(20), None, None));
    }
}
