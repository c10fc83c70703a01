//! What a check of a plugin found, with the claims that a test makes of it.

use std::ops::Deref;

use crate::error::{Finding, Severity};

/// Findings, in the order in which the plugin returned them.
///
/// Each claim panics with all that was found when it does not hold, and returns the findings otherwise, so that claims can be strung
/// together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Findings(Vec<Finding>);

impl Findings {
    pub(super) fn new(findings: Vec<Finding>) -> Self {
        Self(findings)
    }

    /// Claims that there is nothing to mend: no warning, and nothing that blocks.
    #[track_caller]
    pub fn is_clean(&self) -> &Self {
        assert!(self.iter().all(|f| f.severity == Severity::Info), "the findings are not clean:{}", self.listed());
        self
    }

    /// Claims that nothing blocks; warnings there may be.
    #[track_caller]
    pub fn lets_pass(&self) -> &Self {
        assert!(self.iter().all(|f| f.severity != Severity::Block), "a finding blocks:{}", self.listed());
        self
    }

    /// Claims that there is a finding of this weight and code.
    #[track_caller]
    pub fn has(&self, severity: Severity, code: &str) -> &Self {
        assert!(
            self.iter().any(|f| f.severity == severity && f.code == code),
            "there is no finding `{severity} [{code}]`:{}",
            self.listed()
        );
        self
    }

    /// Claims that there is a finding with this code that stops the run.
    #[track_caller]
    pub fn blocks(&self, code: &str) -> &Self {
        self.has(Severity::Block, code)
    }

    /// Claims that there is a warning with this code.
    #[track_caller]
    pub fn warns(&self, code: &str) -> &Self {
        self.has(Severity::Warn, code)
    }

    /// Claims that a message or a hint holds this text.
    #[track_caller]
    pub fn says(&self, text: &str) -> &Self {
        let says = |f: &Finding| f.message.contains(text) || f.hint.as_ref().is_some_and(|hint| hint.contains(text));
        assert!(self.iter().any(says), "no finding says `{text}`:{}", self.listed());
        self
    }

    fn listed(&self) -> String {
        if self.0.is_empty() {
            return " there are none".to_owned();
        }
        let line = |f: &Finding| {
            let hint = f.hint.as_ref().map(|hint| format!("\n    hint: {hint}")).unwrap_or_default();
            format!("\n  {}: {} [{}]{hint}", f.severity, f.message, f.code)
        };
        self.iter().map(line).collect()
    }
}

impl Deref for Findings {
    type Target = [Finding];

    fn deref(&self) -> &[Finding] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(severities: &[Severity]) -> Findings {
        let finding = |severity: &Severity| Finding {
            severity: *severity,
            code: "rows".into(),
            message: "there are rows".into(),
            hint: Some("take them away".into()),
        };
        Findings::new(severities.iter().map(finding).collect())
    }

    /// The message of a claim that does not hold.
    fn refused(claim: impl FnOnce() + std::panic::UnwindSafe) -> String {
        let panic = std::panic::catch_unwind(claim).expect_err("the claim holds");
        *panic.downcast::<String>().expect("a message")
    }

    #[test]
    fn no_findings_and_news_are_clean() {
        findings(&[]).is_clean().lets_pass();
        findings(&[Severity::Info]).is_clean().lets_pass();
    }

    #[test]
    fn a_warning_is_not_clean_and_passes() {
        findings(&[Severity::Warn]).lets_pass();
        let text = refused(|| drop(findings(&[Severity::Info, Severity::Warn]).is_clean().to_vec()));
        assert!(text.contains("warn: there are rows [rows]\n    hint: take them away"), "{text}");
    }

    #[test]
    fn what_blocks_is_neither_clean_nor_passes() {
        assert!(refused(|| drop(findings(&[Severity::Block]).is_clean().to_vec())).contains("not clean"));
        assert!(refused(|| drop(findings(&[Severity::Block]).lets_pass().to_vec())).contains("a finding blocks"));
    }

    #[test]
    fn weight_code_and_text_are_looked_for() {
        findings(&[Severity::Warn, Severity::Block]).blocks("rows").warns("rows").says("there are").says("take them");
        assert!(refused(|| drop(findings(&[Severity::Warn]).blocks("rows").to_vec())).contains("`block [rows]`"));
        assert!(refused(|| drop(findings(&[Severity::Warn]).warns("other").to_vec())).contains("`warn [other]`"));
        assert!(refused(|| drop(findings(&[]).says("x").to_vec())).contains("no finding says `x`: there are none"));
    }
}
