//! A client that sends statements, each by itself, on a connection of its own.

use std::sync::Arc;

use super::{GRACE, PAUSE, Shared, file::Weighted, tally::End};
use crate::{
    error::{Error, Result},
    postgres::{Session, Target},
};

/// How long a client waits before it connects again where that has failed.
const RECONNECT_EVERY: std::time::Duration = std::time::Duration::from_millis(100);

/// See the module.
pub(super) struct Client {
    number: u32,
    target: Target,
    statements: Arc<[Weighted]>,
    weights: u64,
    shared: Arc<Shared>,
}

impl Client {
    pub(super) fn new(number: u32, target: &Target, statements: &Arc<[Weighted]>, shared: &Arc<Shared>) -> Self {
        let weights = statements.iter().map(|statement| u64::from(statement.weight)).sum();
        Self { number, target: target.clone(), statements: Arc::clone(statements), weights, shared: Arc::clone(shared) }
    }

    /// A connection as an application has it: one that waits for locks as long as that takes.
    pub(super) async fn connect(target: &Target, number: u32) -> Result<Session> {
        let session = Session::connect(target, &format!("lockgate client {number}")).await?;
        session.batch("preparing a client", "SET lock_timeout = 0").await?;
        Ok(session)
    }

    /// Sends one statement after the other until the clients are to stop, whatever comes of them.
    pub(super) async fn run(self, session: Session) {
        let mut session = Some(session);
        while !self.shared.is_stopped() {
            match session.take().filter(|session| !session.is_closed()) {
                Some(open) => {
                    let n = self.choose();
                    self.send(&open, n).await;
                    session = Some(open);
                    self.shared.pause(PAUSE).await;
                }
                None => session = self.reconnect().await,
            }
        }
    }

    /// Sends a statement and counts what comes of it.
    async fn send(&self, session: &Session, n: usize) {
        let began = self.shared.tally().now();
        let sent = session.batch("running a statement of the workload", &self.statements[n].sql);
        let too_late = async {
            self.shared.stopped().await;
            tokio::time::sleep(GRACE).await;
        };
        let result = tokio::select! {
            biased;
            result = sent => Some(result),
            () = too_late => None,
        };
        let took = self.shared.tally().now().saturating_sub(began);
        match result {
            Some(Ok(())) => self.shared.tally().ended(n, began, took, End::Done),
            Some(Err(error)) => self.shared.tally().ended(n, began, took, End::Failed(&said(&error))),
            None => {
                self.shared.tally().ended(n, began, took, End::Unfinished);
                // Whatever it waits for, it is not to take it when that becomes free.
                let _ = tokio::time::timeout(GRACE, session.abort()).await;
            }
        }
    }

    async fn reconnect(&self) -> Option<Session> {
        let connected = tokio::select! {
            connected = Self::connect(&self.target, self.number) => connected,
            () = self.shared.stopped() => return None,
        };
        match connected {
            Ok(session) => Some(session),
            Err(error) => {
                {
                    let mut tally = self.shared.tally();
                    let now = tally.now();
                    tally.failed(now, "(connecting)", &said(&error));
                }
                self.shared.pause(RECONNECT_EVERY).await;
                None
            }
        }
    }

    /// The number of a statement, by chance and weight.
    fn choose(&self) -> usize {
        let mut drawn = fastrand::u64(0..self.weights.max(1));
        let chosen = self.statements.iter().position(|statement| {
            let weight = u64::from(statement.weight);
            let hit = drawn < weight;
            drawn = drawn.saturating_sub(weight);
            hit
        });
        chosen.unwrap_or_default()
    }
}

/// An error in one line.
fn said(error: &Error) -> String {
    match error {
        Error::Database { error, .. } => error.message.clone(),
        Error::Unreachable { cause, .. } => cause.clone(),
        other => other.report().what,
    }
}
