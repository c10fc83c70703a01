//! `up --atomic`: everything that is pending in one transaction, so that all of it is in effect or nothing.
//!
//! Each migration is checked, recorded and verified as in a transaction of its own, and none sees what another has set or put off. Their
//! locks are held until the end.

use std::{collections::HashMap, time::Instant};

use super::{
    ALL_ROLLED_BACK, Done, Run,
    migration::{Joined, Passage},
    recovery::{is_passing, passing, pause},
    work::Work,
};
use crate::{
    backup::Manifest,
    config::Config,
    error::{Cause, Error, Finding, ProgramError, Result},
    failpoint::Failpoint,
    migration::{Direction, Version},
    postgres::{
        Broken, Committed, Noted,
        journal::{Entry, Event},
    },
};

const NOT_COMMITTED: &str = "the connection was lost during its COMMIT, which did not take place";

/// A migration whose part of the transaction is done.
struct Part {
    joined: Joined,
    from_ms: f64,
}

/// What came of all of them together.
enum AtOnce {
    Committed(Vec<Done>),
    /// The connection was lost during the COMMIT, and with it all that was to be committed.
    NotCommitted,
    /// One of them could not be done in one message.
    Unfit,
}

/// What the host's tables hold.
struct OwnRows {
    /// The digest of each row of the history.
    rows: HashMap<Version, String>,
    noted: Noted,
}

impl Run<'_> {
    /// Refuses what cannot share a transaction, before anything is done.
    ///
    /// # Errors
    /// [`Error::Refused`], naming the migration.
    pub(super) async fn refuse_what_stands_alone(&self, work: &[Work]) -> Result<()> {
        for (i, item) in work.iter().enumerate() {
            let why = if item.started.is_some() {
                "is half applied"
            } else if item.program.one_script(Direction::Up).is_some() {
                continue;
            } else if self.course_of(Direction::Up, item, i == 0).await?.is_some_and(|course| !course.is_atomic()) {
                "has steps that cannot share a transaction with others"
            } else {
                continue;
            };
            return Err(Error::Refused {
                what: format!("`--atomic`: migration `{}` {why}", item.name),
                next: format!(
                    "apply it by itself: `lockgate up --to {}` without `--atomic`, then the rest with it",
                    item.version
                ),
            });
        }
        Ok(())
    }

    /// Applies all of it in one transaction. Where the connection is lost, or somebody is in the way, all of it is tried again.
    ///
    /// # Errors
    /// What stopped it; nothing of it is in effect then.
    pub(super) async fn all_or_nothing(
        &mut self,
        work: &[Work],
        backup: Option<&Manifest>,
        findings: &mut Vec<Finding>,
    ) -> Result<Vec<Done>> {
        let (mut tries, mut step_by_step, mut begun) = (1, false, Vec::new());
        let result = loop {
            let mut found = Vec::new();
            let result = self.all_at_once(work, backup, tries, step_by_step, &mut begun, &mut found).await;
            let again = tries <= self.config.persistence.retries && self.config.stop.asked().is_none();
            match result {
                Ok(AtOnce::Committed(done)) => {
                    findings.extend(found);
                    break Ok(done);
                }
                Ok(AtOnce::Unfit) => {
                    step_by_step = true;
                    continue;
                }
                Ok(AtOnce::NotCommitted) if again => {}
                Ok(AtOnce::NotCommitted) => {
                    break Err(self.not_committed(work, tries, Cause::Host(NOT_COMMITTED.into())).await);
                }
                Err(error) if again && self.is_lost(&error) => {
                    tracing::warn!(%error, "the connection is lost; looking for the server, to do all of it again");
                    if let Err(cause) = self.reconnect().await {
                        tracing::error!(%cause, "the server was not found again");
                        break Err(error);
                    }
                    let noted = self.resolved("the connection was lost; what was under way is rolled back").await;
                    if let Err(error) = noted {
                        break Err(error);
                    }
                }
                Err(error) if again && passing(&error) => {
                    let pause = pause(tries);
                    tracing::warn!(tries, pause_ms = pause.as_millis(), "trying all of it again after a pause");
                    if self.config.stop.race(tokio::time::sleep(pause)).await.is_err() {
                        break Err(error);
                    }
                }
                Err(error) => break Err(error),
            }
            tries += 1;
        };
        // What is done again has not failed.
        for (item, begin) in work.iter().zip(begun).filter(|_| result.is_err()) {
            self.config.meter.migration_ended(&item.name, Direction::Up, begin.elapsed(), false);
        }
        result
    }

    /// The same, once.
    async fn all_at_once(
        &mut self,
        work: &[Work],
        backup: Option<&Manifest>,
        tries: u32,
        step_by_step: bool,
        begun: &mut Vec<Instant>,
        findings: &mut Vec<Finding>,
    ) -> Result<AtOnce> {
        let Config { so_far, meter, .. } = self.config;
        let step_by_step = step_by_step
            || tries > 1
            || !self.in_one_message(&self.own_tables(), Direction::Up).get_ready(&self.session).await?;
        self.session.batch("beginning a transaction", "BEGIN").await?;
        Failpoint::Begun.pass();
        let before = match self.own_rows(None).await {
            Ok(before) => before,
            Err(error) => {
                self.session.abort().await?;
                return Err(error);
            }
        };
        let mut parts: Vec<Part> = Vec::new();
        for (i, item) in work.iter().enumerate() {
            let from_ms = so_far.begun(&item.name, &item.kind);
            // All tries together are one.
            if begun.len() == i {
                begun.push(Instant::now());
                meter.migration_began(&item.name, Direction::Up);
            }
            let passage = Passage::of(self, Direction::Up, item, backup).trying(tries);
            match passage.join(parts.is_empty(), step_by_step, findings).await {
                Ok(Some(joined)) => parts.push(Part { joined, from_ms }),
                Ok(None) => {
                    self.undone(parts);
                    return Ok(AtOnce::Unfit);
                }
                Err(error) => {
                    self.undone(parts);
                    return Err(error);
                }
            }
        }
        let held = self.holds_just(&parts, work, &before).await;
        let cause = match held {
            Ok(true) => None,
            Ok(false) => Some(Cause::Script(format!("one of them did what it must not: {}", Broken::Own.what()))),
            Err(Error::Database { error, .. }) if !error.connection_lost => Some(Cause::Database(error)),
            Err(error) => {
                self.undone(parts);
                return Err(error);
            }
        };
        if let Some(cause) = cause {
            self.session.abort().await?;
            self.undone(parts);
            return Err(self.not_committed(work, tries, cause).await);
        }
        Failpoint::Checked.pass();
        let committed = self.commit_all(work, tries).await;
        if !matches!(committed, Ok(true)) {
            self.undone(parts);
            return committed.map(|_| AtOnce::NotCommitted);
        }
        Failpoint::Committed.pass();
        let mut done = Vec::new();
        for ((item, part), begin) in work.iter().zip(parts).zip(begun) {
            let one = part.joined.committed(&self.events);
            meter.migration_ended(&item.name, Direction::Up, begin.elapsed(), true);
            so_far.passed(&one, part.from_ms);
            tracing::info!(migration = item.name, direction = %Direction::Up, "committed");
            done.push(one);
        }
        Ok(AtOnce::Committed(done))
    }

    /// What the host's tables hold; of the journal, up to where `since` saw it end.
    async fn own_rows(&self, since: Option<&OwnRows>) -> Result<OwnRows> {
        let rows = self.history.digests(&self.session).await?;
        let noted = self.session.noted(&self.own_tables(), self.run_id, since.map(|since| since.noted.up_to)).await?;
        Ok(OwnRows { rows, noted })
    }

    /// Whether they hold what they held, and what was recorded of each migration: a later one finds those before it written in its own
    /// transaction, and what it writes itself is not told by locks.
    async fn holds_just(&self, parts: &[Part], work: &[Work], before: &OwnRows) -> Result<bool> {
        let Some(last) = work.last() else { return Ok(true) };
        self.session.as_at_the_beginning(self.timeouts(last, Direction::Up)).await?;
        let now = self.own_rows(Some(before)).await?;
        let mut expected = before.rows.clone();
        for (item, part) in work.iter().zip(parts) {
            expected.insert(item.version.clone(), part.joined.written().history.clone());
        }
        let entries: Vec<&str> = parts.iter().map(|part| part.joined.written().journal.as_str()).collect();
        let noted = Noted { beyond: Some(entries.join(";")), ..before.noted.clone() };
        Ok(now.rows == expected && now.noted == noted)
    }

    /// Commits, and says whether that took place.
    async fn commit_all(&mut self, work: &[Work], tries: u32) -> Result<bool> {
        let (Some(first), Some(last)) = (work.first(), work.last()) else { return Ok(true) };
        match self.session.commit(None, None).await {
            Committed::Yes => return Ok(true),
            Committed::No(error) => {
                self.session.abort().await?;
                return Err(self.not_committed(work, tries, Cause::Database(error)).await);
            }
            Committed::Unknown => {}
        }
        tracing::warn!("the connection is lost; looking for the server");
        if let Err(cause) = self.reconnect().await {
            tracing::error!(%cause, "the server was not found again");
            let name = if work.len() == 1 { first.name.clone() } else { format!("{} to {}", first.name, last.name) };
            return Err(Error::OutcomeUnknown { name, run_id: self.run_id.to_string() });
        }
        let (version, run_id) = (&last.version, self.run_id);
        if self.surely(async |run| run.history.holds_of_run(&run.session, version, run_id).await).await? {
            self.resolved("the connection was lost during its COMMIT, which took place").await?;
            return Ok(true);
        }
        self.resolved(NOT_COMMITTED).await?;
        Ok(false)
    }

    async fn not_committed(&self, work: &[Work], tries: u32, cause: Cause) -> Error {
        let error = ProgramError { at: None, cause };
        // What is wrong with all of them is told of the one that was to end them.
        let last = &work[work.len() - 1];
        let again = tries <= self.config.persistence.retries && is_passing(&error);
        let entry = Entry::of(if again { Event::Retried } else { Event::Failed }).attempt(tries);
        self.failed_as(entry, last, Direction::Up, Some("commit".into()), error, ALL_ROLLED_BACK).await
    }

    async fn resolved(&mut self, what: &str) -> Result<()> {
        tracing::warn!("{what}");
        self.surely(async |run| run.journal.append(&run.session, &Entry::of(Event::Resolved).detail(what)).await).await
    }

    fn undone(&self, parts: Vec<Part>) {
        parts.into_iter().for_each(|part| part.joined.undone(&self.events));
    }
}
