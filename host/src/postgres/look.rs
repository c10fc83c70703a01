//! The first look at a database: a session, and all that tells whether there is anything to do, in the round trips of the connection and one
//! more.

use super::{
    Session, Target,
    history::{self, Applied, History},
    journal::Journal,
    progress::{Progress, Started},
};
use crate::error::Result;

/// What the host's own tables hold.
#[derive(Debug)]
pub struct Look {
    /// What is applied, in order of version, without the scripts.
    pub applied: Vec<Applied>,
    /// The migration that is under way.
    pub started: Option<Started>,
    /// The hash of the journal's last entry, where the role may read it.
    pub journal_head: Option<String>,
}

impl Look {
    /// Connects and looks. `None` where one of the tables is not there, or not as this version makes it, or cannot be read: they are to be
    /// asked one by one.
    ///
    /// # Errors
    /// As [`Session::connect`]; and where the tables hold what this program did not write.
    pub async fn at(
        target: &Target,
        application_name: &str,
        history: &History,
        journal: &Journal,
        progress: &Progress,
    ) -> Result<(Session, Option<Self>)> {
        let questions = [history.question(), progress.question(), journal.head_question()];
        let (session, answers) = Session::connect_and_ask(target, application_name, &questions).await?;
        let [Ok(applied), Ok(started), head] = answers.as_slice() else { return Ok((session, None)) };
        let look = Self {
            applied: history::in_order(applied)?,
            started: started.first().map(|row| progress.started(row)).transpose()?,
            journal_head: head.as_ref().ok().and_then(|rows| rows.first()?.get(0)),
        };
        Ok((session, Some(look)))
    }
}
