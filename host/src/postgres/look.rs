//! The first look at a database: a connection, and all that tells whether there is anything to do, in the round trips of the connection and one
//! more. The connection is not prepared for work yet: who finds nothing to do has no need of that.

use std::collections::HashMap;

use futures_util::future::join;
use tokio_postgres::Row;

use super::{
    Opening, Session, Target,
    history::{self, Applied, History},
    journal::{self, FailedAttempt, Journal},
    opening::{Answer, ask},
    progress::Progress,
};
use crate::{
    error::Result,
    migration::{Checksum, Version},
};

/// The host's own tables, to be looked at.
#[derive(Debug, Clone, Copy)]
pub struct Own<'a> {
    /// What is applied.
    pub history: &'a History,
    /// What was done.
    pub journal: &'a Journal,
    /// What is under way.
    pub progress: &'a Progress,
}

/// All that the tables hold.
#[derive(Debug)]
pub struct Look {
    /// What is applied, in order of version, without the scripts.
    pub applied: Vec<Applied>,
    /// Whether a migration is under way.
    pub is_under_way: bool,
    /// The migrations that failed when they were last tried, and how.
    pub failures: Vec<(Version, FailedAttempt)>,
}

/// As much as tells that nothing has changed.
pub struct Glimpse {
    rows: Vec<Row>,
    /// The hash of the journal's last entry.
    pub journal_head: String,
}

impl Own<'_> {
    /// Connects and looks. `None` where one of the tables is not there, or not as this version makes it, or cannot be read: they are to be
    /// asked one by one.
    ///
    /// # Errors
    /// As [`Session::connect`]; and where the tables hold what this program did not write.
    pub async fn look(&self, target: &Target, application_name: &str) -> Result<(Opening, Option<Look>)> {
        let (opening, answers) = Opening::connect(target, application_name, &self.questions()).await?;
        Ok((opening, Look::of(&answers)?))
    }

    /// The same over a connection that was opened, which is prepared for work then; all in one round trip.
    ///
    /// # Errors
    /// The same.
    pub async fn look_while_preparing(&self, opening: Opening) -> Result<(Session, Option<Look>)> {
        let (questions, handle, settable) = (self.questions(), opening.handle.clone(), opening.settable);
        let (answers, session) = join(ask(&handle, settable, &questions), opening.session()).await;
        Ok((session?, Look::of(&answers)?))
    }

    /// Connects and takes a glimpse. `None` where it tells too little: a migration is under way, or one of the tables is not there, or not as this
    /// version makes it, or empty, or cannot be read.
    ///
    /// # Errors
    /// As [`Session::connect`].
    pub async fn glimpse(&self, target: &Target, application_name: &str) -> Result<(Opening, Option<Glimpse>)> {
        let beside = format!(
            "SELECT {}, ({}), ({})",
            self.progress.is_under_way_sql(),
            self.journal.head_question(),
            self.history.is_ours_sql()
        );
        let questions = [self.history.checksums_question(), beside];
        let (opening, answers) = Opening::connect(target, application_name, &questions).await?;
        Ok((opening, Glimpse::of(answers)))
    }

    fn questions(&self) -> [String; 3] {
        let is_under_way = format!("SELECT {}", self.progress.is_under_way_sql());
        [self.history.question(), is_under_way, self.journal.failures_question()]
    }
}

impl Look {
    fn of(answers: &[Answer]) -> Result<Option<Self>> {
        let [Ok(applied), Ok(is_under_way), Ok(failures)] = answers else { return Ok(None) };
        let [is_under_way] = is_under_way.as_slice() else { return Ok(None) };
        let (applied, failures) = (history::in_order(applied)?, journal::failures(failures));
        Ok(Some(Self { applied, is_under_way: is_under_way.get(0), failures }))
    }
}

impl Glimpse {
    fn of(answers: Vec<Answer>) -> Option<Self> {
        let [Ok(rows), Ok(beside)] = <[Answer; 2]>::try_from(answers).ok()? else { return None };
        let [beside] = beside.as_slice() else { return None };
        let is_under_way: bool = beside.try_get(0).ok()?;
        let journal_head = beside.try_get(1).ok()?;
        (!is_under_way).then_some(Self { rows, journal_head })
    }

    /// Whether just these are applied, each with the text that it has.
    pub fn is_all<'m>(&self, migrations: impl ExactSizeIterator<Item = (&'m Version, &'m Checksum)>) -> bool {
        let known: Option<HashMap<&str, &str>> =
            self.rows.iter().map(|row| Some((row.try_get(0).ok()?, row.try_get(1).ok()?))).collect();
        let Some(known) = known else { return false };
        let is_known =
            |(version, checksum): (&Version, &Checksum)| known.get(version.as_str()) == Some(&checksum.as_str());
        known.len() == self.rows.len() && known.len() == migrations.len() && migrations.into_iter().all(is_known)
    }
}
