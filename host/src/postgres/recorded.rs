//! What a session tells the recorder of a rehearsal. In every other run there is none, and nothing is told or asked.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use futures_util::TryStreamExt;
use serde::Serialize;
use tokio_postgres::SimpleQueryMessage;

use super::{handle::db_error, session::Session};
use crate::{
    error::{DbError, ProgramError, Result},
    migration::{Direction, Version},
    sql::{Origin, Script},
};

/// Is told what is done in a session, at once; the run waits for it. It may ask the server in that session.
#[async_trait]
pub trait Recorder: fmt::Debug + Send + Sync {
    /// A way of a migration begins.
    ///
    /// # Errors
    /// When the server does not answer.
    async fn way_begins(&self, session: &Session, version: &Version, direction: Direction) -> Result<()>;

    /// The way has ended, well or not.
    ///
    /// # Errors
    /// When the server does not answer.
    async fn way_ends(&self, session: &Session) -> Result<()>;

    /// A transaction is about to begin.
    ///
    /// # Errors
    /// When the server does not answer.
    async fn transaction_begins(&self, session: &Session) -> Result<()>;

    /// The transaction has ended.
    fn transaction_ends(&self, committed: bool);

    /// A step is about to run.
    ///
    /// # Errors
    /// That it must not run, or that the server did not answer.
    async fn step_begins(&self, session: &Session, told: Told<'_>) -> Result<(), ProgramError>;

    /// The step has ended well; after an error, nothing is told. `rows` are those that it says it touched.
    ///
    /// # Errors
    /// That it must not be committed, or that the server did not answer.
    async fn step_ends(&self, session: &Session, told: Told<'_>, rows: Option<u64>) -> Result<(), ProgramError>;
}

/// A step.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// How it is run.
    pub how: How,
    /// The statement, or the name.
    pub text: &'a str,
}

/// How a step is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// A statement in a transaction.
    Sql,
    /// A statement outside a transaction.
    Outside,
    /// A component's code.
    Code,
    /// A component's code in many transactions.
    Batched,
}

impl Session {
    /// Has everything measured that is done in it from now on.
    pub fn recorded_by(mut self, recorder: Option<Arc<dyn Recorder>>) -> Self {
        self.recorder = recorder;
        self
    }

    /// Whether somebody measures what is done in it.
    pub fn is_recorded(&self) -> bool {
        self.recorder.is_some()
    }

    /// A way of a migration begins in it.
    ///
    /// # Errors
    /// The recorder's.
    pub async fn way_begins(&self, version: &Version, direction: Direction) -> Result<()> {
        match &self.recorder {
            Some(recorder) => recorder.way_begins(self, version, direction).await,
            None => Ok(()),
        }
    }

    /// The way has ended, well or not.
    ///
    /// # Errors
    /// The recorder's.
    pub async fn way_ends(&self) -> Result<()> {
        match &self.recorder {
            Some(recorder) => recorder.way_ends(self).await,
            None => Ok(()),
        }
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
        self.told(&**recorder, Told { how, text: name }, work, |_| None).await
    }

    async fn told<T>(
        &self,
        recorder: &dyn Recorder,
        told: Told<'_>,
        work: impl Future<Output = Result<T, ProgramError>>,
        rows: impl FnOnce(&T) -> Option<u64>,
    ) -> Result<T, ProgramError> {
        recorder.step_begins(self, told).await?;
        let worked = work.await?;
        recorder.step_ends(self, told, rows(&worked)).await?;
        Ok(worked)
    }

    /// Runs a statement outside a transaction; `rows` are those that it says it touched.
    pub(super) async fn recorded_outside(
        &self,
        statement: &Script,
        work: impl Future<Output = Result<u64, ProgramError>>,
    ) -> Result<u64, ProgramError> {
        let Some(recorder) = &self.recorder else { return work.await };
        let text = statement.statements().map(|(_, sql)| sql).collect::<Vec<_>>().join("; ");
        let told = Told { how: How::Outside, text: &text };
        self.told(&**recorder, told, work, |rows| Some(*rows)).await
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
    pub(super) async fn run_recorded(&self, recorder: &dyn Recorder, script: &Script) -> Result<u64, ProgramError> {
        let mut rows = 0;
        for (n, (statement, sql)) in script.statements().enumerate() {
            let work = async {
                let done = match (&statement.data, &script.origin) {
                    (Some(data), _) => self.copy(sql, &script.text()[data.clone()]).await,
                    (None, Origin::Plugin) => self.handle().execute(sql, &[]).await,
                    (None, _) => self.run_statement(sql).await,
                };
                done.map_err(|error| script.error(statement.start, n, error))
            };
            rows += self.told(recorder, Told { how: How::Sql, text: sql }, work, |rows| Some(*rows)).await?;
        }
        Ok(rows)
    }

    /// Runs a statement as a message of its own and returns the rows that it touched.
    async fn run_statement(&self, sql: &str) -> Result<u64, DbError> {
        let client = self.client().of(sql.len());
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
