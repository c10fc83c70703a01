use std::time::Duration;

use crate::{Description, Grant, WantedGrant};

impl Description {
    /// A reversible migration that asks for nothing and leaves the timeouts to the operator.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use lockgate_plugin::{Description, Grant};
    ///
    /// let description = Description::new("hash session tokens", "Ada Lovelace")
    ///     .wants(Grant::config("batch_rows"), "sessions per transaction; 5000 unless set")
    ///     .requires(Grant::Randomness, "new tokens")
    ///     .lock_timeout(Duration::from_secs(5));
    /// ```
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

    /// Asks for what only the operator can give, and can do without. `why` is in the author's words.
    #[must_use]
    pub fn wants(self, grant: Grant, why: impl Into<String>) -> Self {
        self.asks(grant, false, why.into())
    }

    /// Asks for what only the operator can give. Without it the migration is refused before anything runs.
    #[must_use]
    pub fn requires(self, grant: Grant, why: impl Into<String>) -> Self {
        self.asks(grant, true, why.into())
    }

    fn asks(mut self, grant: Grant, required: bool, why: String) -> Self {
        self.grants.push(WantedGrant { grant, required, why });
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

impl Grant {
    /// The value of this key of [`config`](crate::config).
    pub fn config(key: impl Into<String>) -> Self {
        Self::Config(key.into())
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
    fn grants_are_kept_in_order() {
        let description =
            Description::new("title", "author").wants(Grant::config("key"), "why").requires(Grant::Clock, "time");
        let grants: Vec<_> = description.grants.iter().map(|wanted| (&wanted.grant, wanted.required)).collect();
        assert_eq!(grants, [(&Grant::Config("key".into()), false), (&Grant::Clock, true)]);
    }

    #[test]
    fn timeouts_are_milliseconds() {
        let description =
            Description::new("title", "author").lock_timeout(Duration::from_secs(5)).statement_timeout(Duration::MAX);
        assert_eq!(description.lock_timeout_ms, Some(5_000));
        assert_eq!(description.statement_timeout_ms, Some(u32::MAX));
        assert!(description.reversible);
    }
}
