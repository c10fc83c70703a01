//! `lockgate:migration/log`: lines of a guest among ours, limited in number and length, without control characters.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use crate::{
    plugin::{
        bindings::lockgate::migration::log::{Host, Level},
        limits::Reached,
        rights::Rights,
        state::State,
    },
    printable::printable,
};

/// The lines that a guest has logged or printed in one call, within its limits.
#[derive(Debug)]
pub(in crate::plugin) struct Logged {
    rights: Arc<Rights>,
    lines: AtomicUsize,
    bytes: AtomicUsize,
}

impl Logged {
    pub(in crate::plugin) fn within(rights: &Arc<Rights>) -> Arc<Self> {
        Arc::new(Self { rights: Arc::clone(rights), lines: AtomicUsize::new(0), bytes: AtomicUsize::new(0) })
    }

    /// Counts one more line.
    pub(in crate::plugin) fn line(&self, bytes: usize) -> Result<(), Reached> {
        let limits = &self.rights.limits;
        if self.lines.fetch_add(1, Relaxed) >= limits.log_max_lines {
            return Err(Reached::log_lines(limits));
        }
        if self.bytes.fetch_add(bytes, Relaxed) + bytes > limits.log_max_bytes {
            return Err(Reached::log_bytes(limits));
        }
        Ok(())
    }
}

impl Host for State {
    async fn log(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        self.logged.line(message.len())?;
        let message = printable(&message);
        match level {
            Level::Error => tracing::error!(target: "plugin", "{message}"),
            Level::Warn => tracing::warn!(target: "plugin", "{message}"),
            Level::Info => tracing::info!(target: "plugin", "{message}"),
            Level::Debug => tracing::debug!(target: "plugin", "{message}"),
            Level::Trace => tracing::trace!(target: "plugin", "{message}"),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn bytes_count_as_lines_do_even_where_a_line_is_cut_short() {
        let mut state = State::new(Arc::default());
        let line = "x".repeat(1 << 20);
        state.log(Level::Trace, line).await.unwrap();
        let refusal = state.log(Level::Trace, "x".into()).await.unwrap_err();
        assert!(refusal.to_string().contains("`log_max_bytes`"), "{refusal}");
    }
}
