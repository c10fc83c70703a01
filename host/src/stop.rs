//! A request to stop, which a run honours where it can do so cleanly: never in the middle of a COMMIT or a swap.

use std::sync::Arc;

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

/// Tells whether the process was asked to stop. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<Option<&'static str>>);

/// Asks to stop as a signal would. Without it, only a signal does.
#[derive(Debug, Clone)]
pub struct Hand(Arc<watch::Sender<Option<&'static str>>>);

impl Hand {
    /// Asks, in the name of this.
    pub fn stop(&self, name: &'static str) {
        let _ = self.0.send(Some(name));
    }
}

impl Stop {
    /// Never asked.
    pub fn never() -> Self {
        Self(watch::channel(None).1)
    }

    /// Asked by SIGINT, SIGTERM or SIGHUP, which from now on no longer end the process by themselves. SIGHUP, which comes when a terminal is
    /// closed, stays without effect where it is, as under `nohup`.
    ///
    /// # Errors
    /// When the system lets no handler be installed.
    pub fn on_signals() -> std::io::Result<Self> {
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let mut hang_up = if ignores_hang_up() { None } else { Some(signal(SignalKind::hangup())?) };
        let (sender, receiver) = watch::channel(None);
        tokio::spawn(async move {
            let hung_up = async {
                match &mut hang_up {
                    Some(signal) => drop(signal.recv().await),
                    None => std::future::pending().await,
                }
            };
            let name = tokio::select! {
                _ = interrupt.recv() => "SIGINT",
                _ = terminate.recv() => "SIGTERM",
                () = hung_up => "SIGHUP",
            };
            let _ = sender.send(Some(name));
            // The sender lives on, and so do the handlers: a second signal must not do what the first may not.
            std::future::pending::<()>().await;
        });
        Ok(Self(receiver))
    }

    /// Asked by hand only.
    pub fn by_hand() -> (Self, Hand) {
        let (sender, receiver) = watch::channel(None);
        (Self(receiver), Hand(Arc::new(sender)))
    }

    /// One that can be asked by hand as well: whatever uses it stops, and what uses this one goes on.
    pub fn or_by_hand(&self) -> (Self, Hand) {
        let (sender, receiver) = watch::channel(self.asked());
        let (hand, outer) = (Hand(Arc::new(sender)), self.clone());
        let forward = Arc::downgrade(&hand.0);
        tokio::spawn(async move {
            let signal = outer.requested().await;
            if let Some(sender) = forward.upgrade() {
                let _ = sender.send(Some(signal));
            }
        });
        (Self(receiver), hand)
    }

    /// The signal, if it has come.
    pub fn asked(&self) -> Option<&'static str> {
        *self.0.borrow()
    }

    /// Returns the signal once it has come.
    pub async fn requested(&self) -> &'static str {
        let mut receiver = self.0.clone();
        // Without a sender nobody will ever ask.
        let asked = receiver.wait_for(Option::is_some).await.ok().and_then(|name| *name);
        match asked {
            Some(name) => name,
            None => std::future::pending().await,
        }
    }

    /// Runs work until it ends or the process is asked to stop; the work is then dropped.
    ///
    /// # Errors
    /// The signal.
    pub async fn race<T>(&self, work: impl Future<Output = T>) -> Result<T, &'static str> {
        tokio::select! {
            result = work => Ok(result),
            signal = self.requested() => Err(signal),
        }
    }
}

/// Whether whoever started the process wants it to outlive the terminal.
fn ignores_hang_up() -> bool {
    const SIGHUP: u64 = 1;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).map(str::trim);
    ignored.and_then(|mask| u64::from_str_radix(mask, 16).ok()).is_some_and(|mask| mask & (1 << (SIGHUP - 1)) != 0)
}
