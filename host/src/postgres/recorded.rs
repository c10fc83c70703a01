//! What a session tells the recorder of a rehearsal. In every other run there is none, and nothing is told or asked.

use futures_util::TryStreamExt;
use tokio_postgres::SimpleQueryMessage;

use super::{handle::db_error, session::Session};
use crate::{
    error::{DbError, ProgramError, Result},
    rehearsal::measure::{How, Recorder, Told},
    sql::{Origin, Script},
};

impl Session {
    /// Has everything measured that is done in it from now on.
    pub fn recorded_by(mut self, recorder: Option<Recorder>) -> Self {
        self.recorder = recorder;
        self
    }

    /// Does a step of a component's own.
    ///
    /// # Errors
    /// The step's.
    pub async fn recorded<T>(
        &self,
        how: How,
        name: &str,
        work: impl Future<Output = Result<T, ProgramError>>,
    ) -> Result<T, ProgramError> {
        let Some(recorder) = &self.recorder else { return work.await };
        recorder.step(self, Told { how, text: name }, work, |_| None).await
    }

    /// Runs a statement outside a transaction; `rows` are those that it says it touched.
    pub(super) async fn recorded_outside(
        &self,
        statement: &Script,
        work: impl Future<Output = Result<u64, ProgramError>>,
    ) -> Result<(), ProgramError> {
        let Some(recorder) = &self.recorder else { return work.await.map(drop) };
        let text = statement.statements().map(|(_, sql)| sql).collect::<Vec<_>>().join("; ");
        recorder.step(self, Told { how: How::Outside, text: &text }, work, |rows| Some(*rows)).await.map(drop)
    }

    /// A transaction of a migration is about to begin.
    pub(super) async fn transaction_begins(&self) -> Result<()> {
        match &self.recorder {
            Some(recorder) => recorder.transaction_begins(self).await,
            None => Ok(()),
        }
    }

    /// It has ended.
    pub(super) fn transaction_ends(&self, committed: bool) {
        if let Some(recorder) = &self.recorder {
            recorder.transaction_ends(committed);
        }
    }

    /// Runs a script within the open transaction, each statement by itself.
    ///
    /// # Errors
    /// As [`run_script`](Self::run_script).
    pub(super) async fn run_recorded(&self, recorder: &Recorder, script: &Script) -> Result<(), ProgramError> {
        for (n, (statement, sql)) in script.statements().enumerate() {
            let work = async {
                let done = match (&statement.data, &script.origin) {
                    (Some(data), _) => self.copy(sql, &script.text()[data.clone()]).await,
                    (None, Origin::Plugin) => self.handle().execute(sql, &[]).await,
                    (None, _) => self.run_statement(sql).await,
                };
                done.map_err(|error| script.error(statement.start, n, error))
            };
            recorder.step(self, Told { how: How::Sql, text: sql }, work, |rows| Some(*rows)).await?;
        }
        Ok(())
    }

    /// Runs a statement as a message of its own and returns the rows that it touched.
    async fn run_statement(&self, sql: &str) -> Result<u64, DbError> {
        let client = self.client();
        let answers = client.simple_query_raw(sql).await.map_err(|e| db_error(&e))?;
        let mut answers = std::pin::pin!(answers);
        let mut rows = 0;
        while let Some(answer) = answers.try_next().await.map_err(|e| db_error(&e))? {
            if let SimpleQueryMessage::CommandComplete(touched) = answer {
                rows = touched;
            }
        }
        Ok(rows)
    }

    /// Ends the connection, whatever goes on in it.
    pub fn hang_up(&self) {
        self.driver.abort();
    }
}
