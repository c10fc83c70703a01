//! `lockgate:migration/progress`: how far a long call is.

use std::time::{Duration, Instant};

use crate::plugin::{bindings::lockgate::migration::progress::Host, state::State};

/// A few a second are enough to see that it moves.
const INTERVAL: Duration = Duration::from_millis(250);

impl Host for State {
    async fn report(&mut self, done: u64, total: Option<u64>) -> wasmtime::Result<()> {
        let now = Instant::now();
        if self.progress_shown.is_none_or(|shown| now.duration_since(shown) >= INTERVAL) {
            self.progress_shown = Some(now);
            tracing::info!(target: "plugin", done, total, "progress");
        }
        Ok(())
    }
}
