//! `lockgate:migration/log`: lines of a guest among ours, limited in number and length, without control characters.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use crate::plugin::{
    bindings::lockgate::migration::log::{Host, Level},
    limits::Reached,
    rights::Rights,
    state::State,
};

/// One line of a log that people read.
const LINE_MAX_CHARS: usize = 4_000;

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

/// A guest must not forge log lines or move the cursor of a terminal.
pub(in crate::plugin) fn printable(text: &str) -> String {
    printable_in(LINE_MAX_CHARS, text)
}

/// The same in at most so many characters.
pub(in crate::plugin) fn printable_in(chars_max: usize, text: &str) -> String {
    let shown = |c: char| if c.is_control() || turns_text(c) { ' ' } else { c };
    let mut line: String = text.chars().take(chars_max).map(shown).collect();
    if text.chars().nth(chars_max).is_some() {
        line.push('…');
    }
    line
}

/// Characters that no one sees, but that end a line or change the order in which the others are shown.
fn turns_text(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_guest_cannot_forge_a_line() {
        assert_eq!(printable("a\n2026 ERROR \u{1b}[31m"), "a 2026 ERROR  [31m");
        assert_eq!(printable("a\u{202e}b\u{2028}c"), "a b c");
        assert_eq!(printable(&"x".repeat(5_000)).chars().count(), LINE_MAX_CHARS + 1);
    }

    #[tokio::test]
    async fn bytes_count_as_lines_do_even_where_a_line_is_cut_short() {
        let mut state = State::new(Arc::default());
        let line = "x".repeat(1 << 20);
        state.log(Level::Trace, line).await.unwrap();
        let refusal = state.log(Level::Trace, "x".into()).await.unwrap_err();
        assert!(refusal.to_string().contains("`log_max_bytes`"), "{refusal}");
    }
}
