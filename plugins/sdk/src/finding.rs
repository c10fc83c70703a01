use crate::{Finding, Severity};

impl Finding {
    /// Worth printing.
    pub fn info(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Severity::Info, code, message)
    }

    /// Worth a look; the run goes on.
    pub fn warn(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Severity::Warn, code, message)
    }

    /// Stops the run; in `verify`, rolls the migration back.
    pub fn block(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Severity::Block, code, message)
    }

    /// Adds what the operator can do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    fn new(severity: Severity, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity, code: code.into(), message: message.into(), hint: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_is_optional() {
        let finding = Finding::block("no-users", "the table is missing");
        assert_eq!((finding.severity, &finding.hint), (Severity::Block, &None));
        let finding = finding.hint("apply migration 001 first");
        assert_eq!(finding.hint.as_deref(), Some("apply migration 001 first"));
    }
}
