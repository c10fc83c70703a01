//! A small file beside a backup that is being written, which says that somebody is at it: so nobody takes its files for leftovers.

use std::{
    io,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, SystemTime},
};

use super::store::{Entry, LEASE, Store};

/// How often it is renewed.
const EVERY: Duration = Duration::from_secs(60);
/// How old one may be where only its age tells whether its holder lives: several renewals may fail.
const LIVES: Duration = Duration::from_secs(15 * 60);

/// Held and renewed as long as the value lives; then it is removed. A process that is killed leaves it, to be removed as its other files are.
pub(super) struct Lease {
    done: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Lease {
    /// Takes that of a backup of which nothing is written yet. It waits for the store.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn take(store: &Arc<dyn Store>, id: &str) -> io::Result<Self> {
        let name = format!("{id}{LEASE}");
        let mut held = store.hold(&name)?;
        let (done, ended) = mpsc::channel();
        let thread = thread::Builder::new().name("lease".into()).spawn(move || {
            while ended.recv_timeout(EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
                // Should it run out, and its files be removed, that is found before there is a manifest.
                if let Err(error) = held.renew() {
                    tracing::debug!(%error, "the lease `{name}` could not be renewed");
                }
            }
            if let Err(error) = held.release() {
                tracing::warn!(cause = %error, "the lease `{name}` could not be removed; `lockgate backup prune` does so");
            }
        })?;
        Ok(Self { done: Some(done), thread: Some(thread) })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.done.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The backup that somebody is at, where an entry says so. `now` is by the store's clock.
pub(super) fn holder(entry: &Entry, now: SystemTime) -> Option<&str> {
    let id = entry.name.strip_suffix(LEASE)?;
    // A clock that has gone back makes nothing old.
    let recent = || now.duration_since(entry.modified).is_ok_and(|age| age < LIVES) || entry.modified > now;
    entry.in_use.unwrap_or_else(recent).then_some(id)
}
