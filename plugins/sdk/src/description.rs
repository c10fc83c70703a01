use std::time::Duration;

use crate::Description;

impl Description {
    /// A reversible migration that leaves the timeouts to the operator.
    pub fn new(title: impl Into<String>, author: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            author: author.into(),
            reversible: true,
            grants: Vec::new(),
            lock_timeout_ms: None,
            statement_timeout_ms: None,
        }
    }

    /// Declares that `down` cannot bring the former state back.
    #[must_use]
    pub fn irreversible(mut self) -> Self {
        self.reversible = false;
        self
    }

    /// How long a statement may wait for a lock.
    #[must_use]
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.lock_timeout_ms = Some(milliseconds(timeout));
        self
    }

    /// How long a statement may run.
    #[must_use]
    pub fn statement_timeout(mut self, timeout: Duration) -> Self {
        self.statement_timeout_ms = Some(milliseconds(timeout));
        self
    }
}

/// Past 49 days, 49 days.
fn milliseconds(timeout: Duration) -> u32 {
    u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_milliseconds() {
        let description =
            Description::new("title", "author").lock_timeout(Duration::from_secs(5)).statement_timeout(Duration::MAX);
        assert_eq!(description.lock_timeout_ms, Some(5_000));
        assert_eq!(description.statement_timeout_ms, Some(u32::MAX));
        assert!(description.reversible);
    }
}
