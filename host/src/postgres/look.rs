//! The first look at a database: a connection, and all that tells whether there is anything to do, in the round trips of the connection and one
//! more. The connection is not prepared for work yet: who finds nothing to do has no need of that.

use super::{
    Opening, Target,
    history::{self, Applied, History},
    journal::{self, FailedAttempt, Journal},
    progress::Progress,
};
use crate::{error::Result, migration::Version};

/// What the host's own tables hold.
#[derive(Debug)]
pub struct Look {
    /// What is applied, in order of version, without the scripts.
    pub applied: Vec<Applied>,
    /// Whether a migration is under way.
    pub is_under_way: bool,
    /// What else was asked of the journal.
    pub noted: Noted,
}

/// What is asked of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asking {
    /// The hash of its last entry.
    Head,
    /// Which migrations failed when they were last tried.
    Failures,
}

/// What the journal has of it.
#[derive(Debug)]
pub enum Noted {
    /// The hash; none where it is empty.
    Head(Option<String>),
    /// The migrations, and how they failed.
    Failures(Vec<(Version, FailedAttempt)>),
}

impl Look {
    /// Connects and looks. `None` where one of the tables is not there, or not as this version makes it, or cannot be read: they are to be
    /// asked one by one.
    ///
    /// # Errors
    /// As [`Session::connect`](super::Session::connect); and where the tables hold what this program did not write.
    pub async fn at(
        target: &Target,
        application_name: &str,
        history: &History,
        journal: &Journal,
        progress: &Progress,
        asking: Asking,
    ) -> Result<(Opening, Option<Self>)> {
        let mut questions = vec![history.question()];
        match asking {
            // One question where one will do: each has the server read catalogs anew.
            Asking::Head => {
                questions.push(format!("SELECT {}, ({})", progress.is_under_way_sql(), journal.head_question()));
            }
            Asking::Failures => {
                questions.extend([format!("SELECT {}", progress.is_under_way_sql()), journal.failures_question()]);
            }
        }
        let (opening, answers) = Opening::connect(target, application_name, &questions).await?;
        let (applied, beside, failures) = match answers.as_slice() {
            [Ok(applied), Ok(beside)] => (applied, beside, None),
            [Ok(applied), Ok(beside), Ok(failures)] => (applied, beside, Some(failures)),
            _ => return Ok((opening, None)),
        };
        let [beside] = beside.as_slice() else { return Ok((opening, None)) };
        let noted = match failures {
            Some(rows) => Noted::Failures(journal::failures(rows)),
            None => Noted::Head(beside.get(1)),
        };
        Ok((opening, Some(Self { applied: history::in_order(applied)?, is_under_way: beside.get(0), noted })))
    }
}
