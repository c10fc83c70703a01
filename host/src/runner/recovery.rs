//! What a run does when its connection is lost or somebody is in its way: find out where it stands, and try again, so often and no
//! more.
//!
//! The order matters. The lock comes first: as long as the server still works on what the lost session sent, that session holds it. Only then
//! does the history tell whether a COMMIT took place.

use std::time::{Duration, Instant};

use super::{Run, course::Course, short};
use crate::{
    error::{Cause, Error, ProgramError, Result},
    migration::{Direction, Version},
    postgres::{Process, Session, Watch, journal::Event, lock},
};

/// Before the second try; doubled before each further one.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// Between two tries to reach the server.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How long the process of a run that was cut off may outlive it, once the lock is ours.
const WORKER_MAX: Duration = Duration::from_secs(10);

/// Where a migration stands, as the database has it.
pub(super) enum Stand {
    /// This run has ended it.
    Ended,
    /// Here; `None`: nothing of it is committed.
    At(Option<Course>),
    /// Another run has ended it meanwhile.
    EndedByAnother,
}

/// The pause before the try after so many.
pub(super) fn pause(tries: u32) -> Duration {
    let most = PAUSE_MIN.saturating_mul(1 << tries.saturating_sub(1).min(16)).min(PAUSE_MAX);
    // Two that collided must not collide again.
    most.mul_f64(0.5 + fastrand::f64() / 2.0)
}

/// Whether a failed transaction may succeed if it is tried again: it could not have a lock, or collided with another.
pub(super) fn is_passing(error: &ProgramError) -> bool {
    let Cause::Database(error) = &error.cause else { return false };
    ["55P03", "40001", "40P01"].iter().any(|sqlstate| error.is(sqlstate))
}

/// The same of a reported one.
pub(super) fn passing(error: &Error) -> bool {
    matches!(error, Error::Migration { error, .. } if is_passing(error))
}

/// Whether it is the loss of the connection that it tells of.
fn tells_of_a_loss(error: &Error) -> bool {
    match error {
        Error::Database { error, .. } => error.connection_lost,
        Error::Migration { error, .. } => matches!(&error.cause, Cause::Database(error) if error.connection_lost),
        _ => false,
    }
}

impl Run<'_> {
    /// Whether the connection is gone: a server that ends says so before the connection is seen to end.
    pub(super) fn is_lost(&self, error: &Error) -> bool {
        self.session.is_closed() || tells_of_a_loss(error)
    }

    /// Watches the session, which holds the lock.
    pub(super) async fn watch(&mut self) -> Result<()> {
        let name = format!("lockgate watch {}", short(self.run_id));
        let (silence, draw) = (self.config.persistence.reconnect, self.config.draw);
        self.watch = Watch::beside(&self.session, self.lock, &name, silence, draw).await?;
        Ok(())
    }

    /// Does something again from its beginning where the connection is lost before a migration has begun.
    ///
    /// # Errors
    /// What it failed with.
    pub(super) async fn persistently<T>(&mut self, mut work: impl AsyncFnMut(&mut Self) -> Result<T>) -> Result<T> {
        for _ in 0..self.config.persistence.retries {
            // On the heap, as the parts of a run are elsewhere: its future is too large for the stack of a small thread.
            match Box::pin(work(self)).await {
                Err(error) if self.is_lost(&error) && !self.begun => {
                    tracing::warn!(%error, "the connection is lost before a migration has begun; looking for the server");
                    if let Err(cause) = self.connect_again().await {
                        tracing::error!(%cause, "the server was not found again");
                        return Err(error);
                    }
                }
                result => return result,
            }
        }
        Box::pin(work(self)).await
    }

    /// Does something that changes nothing, or does it whole, again where the connection is lost.
    ///
    /// # Errors
    /// What it failed with.
    pub(super) async fn surely<T>(&mut self, mut work: impl AsyncFnMut(&Self) -> Result<T>) -> Result<T> {
        for _ in 0..self.config.persistence.retries {
            match work(self).await {
                Err(error) if self.is_lost(&error) => {
                    tracing::warn!(%error, "the connection is lost; looking for the server");
                    if let Err(cause) = self.reconnect().await {
                        tracing::error!(%cause, "the server was not found again");
                        return Err(error);
                    }
                }
                result => return result,
            }
        }
        work(self).await
    }

    /// Connects again to the same server and takes the lock.
    ///
    /// # Errors
    /// When the server, or the lock, cannot be had in time, or another server answers.
    pub(super) async fn reconnect(&mut self) -> Result<()> {
        let begin = Instant::now();
        loop {
            self.connect_again().await?;
            match self.lock_again().await {
                // A server that lost one of its processes lets others in for a moment before it ends them all.
                Err(error) if self.is_lost(&error) && begin.elapsed() < self.config.persistence.reconnect => {
                    self.stoppable(tokio::time::sleep(LOOK_EVERY)).await?;
                }
                locked => return locked,
            }
        }
    }

    async fn lock_again(&mut self) -> Result<()> {
        let waited = lock::acquire(&self.session, self.lock, self.config.lock_timeout);
        self.stoppable(waited).await??;
        self.watch().await
    }

    async fn connect_again(&mut self) -> Result<()> {
        let begin = Instant::now();
        self.watch = None;
        let session = loop {
            // Where there are several, another may be the one to write to by now.
            self.config.target.look_again();
            let connected = Session::connect(&self.config.target, &format!("lockgate {}", short(self.run_id))).await;
            match connected {
                // A standby may be about to become the server.
                Ok(session) if !session.server.in_recovery => break session,
                Ok(session) if begin.elapsed() >= self.config.persistence.reconnect => {
                    let (target, cause) = (session.target().to_string(), "the server is a standby now".to_owned());
                    return Err(Error::Unreachable {
                        target,
                        cause,
                        next: "wait until a server is there to be written to".into(),
                    });
                }
                Err(error) if begin.elapsed() >= self.config.persistence.reconnect => return Err(error),
                Ok(_) | Err(_) => self.stoppable(tokio::time::sleep(LOOK_EVERY)).await?,
            }
        };
        if session.server.system_identifier != self.session.server.system_identifier {
            return Err(Error::RefusedMidway {
                what: format!("another server answers at {} than the one that was lost", session.target()),
                next: "look at the server that was lost: its history tells what is committed".into(),
            });
        }
        session.end(&self.session.server).await;
        self.session = session.recorded_by(self.config.recorder.clone());
        self.events.tell(super::connected(self.config, &self.session));
        Ok(())
    }

    /// Where a migration stands. Asked under the lock.
    pub(super) async fn stand(&self, version: &Version, direction: Direction) -> Result<Stand> {
        let applied = self.history.holds(&self.session, version).await?;
        let ended = match direction {
            Direction::Up if applied => {
                let ours = self.history.holds_of_run(&self.session, version, self.run_id).await?;
                // A repeatable migration was there before.
                if version.is_repeatable() && !ours { None } else { Some(ours) }
            }
            Direction::Down if !applied => {
                let ours = self.journal.holds(&self.session, Event::Reverted, version).await?;
                // Not ours, and half applied: that is still to be taken back.
                let begun = self.progress.read(&self.session).await?.is_some_and(|started| started.version == *version);
                if ours || !begun { Some(ours) } else { None }
            }
            _ => None,
        };
        Ok(match ended {
            Some(true) => Stand::Ended,
            Some(false) => Stand::EndedByAnother,
            None => Stand::At(self.begun(version, direction).await?),
        })
    }

    /// The course of a migration that has begun in this direction.
    pub(super) async fn begun(&self, version: &Version, direction: Direction) -> Result<Option<Course>> {
        let started = self.progress.read(&self.session).await?.filter(|started| started.version == *version);
        if let Some(worker) = started.as_ref().and_then(|started| started.worker.as_ref()) {
            self.outlive(worker).await?;
        }
        let started = started.filter(|started| started.direction == direction);
        Ok(started.as_ref().map(Course::under_way))
    }
}

impl Run<'_> {
    /// Waits until the process that was about to run a statement outside a transaction is gone: before that nothing of it can be told.
    ///
    /// # Errors
    /// When it does not end in time.
    pub(super) async fn outlive(&self, worker: &Process) -> Result<()> {
        let begin = Instant::now();
        while *worker != self.session.server.process && self.session.sees(worker).await? {
            if begin.elapsed() >= WORKER_MAX {
                return Err(Error::RefusedMidway {
                    what: format!("pid {} still works on a step of a run that was cut off", worker.pid),
                    next: format!("wait for it, or end it (`SELECT pg_terminate_backend({})`)", worker.pid),
                });
            }
            self.stoppable(tokio::time::sleep(LOOK_EVERY)).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_limit_and_are_never_the_same() {
        for (tries, most) in [(1, 500), (2, 1_000), (3, 2_000), (6, 10_000), (40, 10_000)] {
            let pause = pause(tries).as_millis();
            assert!((most / 2..=most).contains(&pause), "{tries}: {pause}");
        }
        assert!((0..20).any(|_| pause(6) != pause(6)));
    }
}
