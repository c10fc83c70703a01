//! Scripts on their way to the server: a file whole, but for the data of its COPYs; a component's SQL one statement a message.

use futures_util::TryStreamExt;
use tokio_postgres::{SimpleQueryMessage, SimpleQueryStream};

use super::{handle::db_error, session::Session};
use crate::{
    error::{DbError, ProgramError},
    sql::{Origin, Parcel, Script},
};

impl Session {
    /// Runs a script within the open transaction.
    ///
    /// # Errors
    /// What the server said, with its place in the script.
    pub async fn run_script(&self, script: &Script) -> Result<u64, ProgramError> {
        if let Some(recorder) = &self.recorder {
            return self.run_recorded(&**recorder, script).await;
        }
        let mut rows = 0;
        match script.origin {
            Origin::File(_) | Origin::History(_) => {
                for parcel in script.parcels() {
                    rows += self.run_parcel(script, parcel).await?;
                }
            }
            Origin::Plugin => {
                for (n, (statement, sql)) in script.statements().enumerate() {
                    let executed = self.handle().execute(sql, &[]).await;
                    rows += executed.map_err(|error| script.error(statement.start, n, error))?;
                }
            }
        }
        Ok(rows)
    }

    async fn run_parcel(&self, script: &Script, parcel: Parcel<'_>) -> Result<u64, ProgramError> {
        match parcel {
            Parcel::Sql { first, base, sql } => {
                let mut done = 0;
                let ran = self.run_message(&sql, &mut done).await;
                // The server works through them in order, and says so for each.
                ran.map_err(|error| script.error(base, first + done, error))
            }
            Parcel::Copy { statement, sql, data } => {
                let base = script.statements().nth(statement).map_or(0, |(statement, _)| statement.start);
                self.copy(sql, data).await.map_err(|error| script.error(base, statement, error))
            }
        }
    }

    /// Runs statements in one message and counts those that are done; returns the rows that they touched.
    async fn run_message(&self, sql: &str, done: &mut usize) -> Result<u64, DbError> {
        let client = self.client().of(sql.len());
        counted(client.simple_query_raw(sql).await, done).await
    }

    pub(super) async fn copy(&self, sql: &str, data: &str) -> Result<u64, DbError> {
        let mut copy = self.handle().copy_in(sql).await?;
        copy.write_all(data.as_bytes()).await?;
        copy.finish().await
    }
}

/// Counts the statements of a message that are done; returns the rows that they touched.
pub(super) async fn counted(
    asked: Result<SimpleQueryStream, tokio_postgres::Error>,
    done: &mut usize,
) -> Result<u64, DbError> {
    let mut answers = std::pin::pin!(asked.map_err(|e| db_error(&e))?);
    let mut rows = 0;
    while let Some(answer) = answers.try_next().await.map_err(|e| db_error(&e))? {
        if let SimpleQueryMessage::CommandComplete(touched) = answer {
            *done += 1;
            rows += touched;
        }
    }
    Ok(rows)
}
