//! `COPY … FROM STDIN`, streamed.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::SinkExt;
use tokio_postgres::CopyInSink;

use super::handle::{Handle, db_error};
use crate::error::DbError;

/// A COPY under way. Until it is finished or dropped, the connection takes no other statement.
///
/// Dropped unfinished, it makes the driver send CopyFail: the COPY fails, and with it the transaction.
pub struct CopyIn {
    sink: Pin<Box<CopyInSink<Bytes>>>,
}

/// What one message carries. The server takes up to 1 GiB, but keeps it in memory whole.
const PIECE_MAX_BYTES: usize = 1 << 20;

impl Handle {
    /// Starts a COPY, which must be one from STDIN: nothing else gets an answer.
    ///
    /// # Errors
    /// What the server said.
    pub async fn copy_in(&self, sql: &str) -> Result<CopyIn, DbError> {
        let sink = self.client.copy_in(sql).await.map_err(|e| db_error(&e))?;
        Ok(CopyIn { sink: Box::pin(sink) })
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
        self.sink.as_mut().finish().await.map_err(|e| db_error(&e))
    }
}
