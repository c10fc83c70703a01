//! What an examination tells.

use serde::Serialize;

use super::{rows::Rows, tree::Node};

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Worth doing something about.
    Warn,
    /// Something fails, or is about to.
    Critical,
}

/// What came of a check: the gravest of its findings, or why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It looked and found nothing.
    Well,
    /// It could not look.
    NotLookedAt,
    /// See [`Severity::Info`].
    Info,
    /// See [`Severity::Warn`].
    Warn,
    /// See [`Severity::Critical`].
    Critical,
}

impl From<Severity> for Verdict {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Info => Self::Info,
            Severity::Warn => Self::Warn,
            Severity::Critical => Self::Critical,
        }
    }
}

/// Something that a check found.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct Finding {
    /// How much it weighs.
    pub severity: Severity,
    /// A short word for programs.
    pub code: &'static str,
    /// What was found, in a line.
    pub message: String,
    /// The same in detail; at most [`ROWS_MAX`](super::thresholds::ROWS_MAX) rows.
    #[serde(skip_serializing_if = "Rows::is_empty")]
    pub rows: Rows,
    /// Who waits for whom.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tree: Vec<Node>,
    /// What to do about it.
    pub advice: String,
    /// The statements or commands that would do it. None is ever run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub statements: Vec<String>,
}

impl Finding {
    /// A finding without details.
    pub fn new(severity: Severity, code: &'static str, message: impl Into<String>) -> Self {
        let (rows, tree, advice, statements) = (Rows::default(), Vec::new(), String::new(), Vec::new());
        Self { severity, code, message: message.into(), rows, tree, advice, statements }
    }

    /// The same with details.
    #[must_use]
    pub fn rows(self, rows: Rows) -> Self {
        Self { rows, ..self }
    }

    /// The same with those that wait, each below whom it waits for.
    #[must_use]
    pub fn tree(self, tree: Vec<Node>) -> Self {
        Self { tree, ..self }
    }

    /// The same with what to do.
    #[must_use]
    pub fn advice(self, advice: impl Into<String>) -> Self {
        Self { advice: advice.into(), ..self }
    }

    /// The same with statements that would do it.
    #[must_use]
    pub fn statements(self, statements: impl IntoIterator<Item = String>) -> Self {
        Self { statements: statements.into_iter().take(super::thresholds::ROWS_MAX).collect(), ..self }
    }
}

/// What one check found.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct Checked {
    /// Its name, as `--check` takes it.
    pub check: &'static str,
    /// What it looks at.
    pub about: &'static str,
    /// What came of it.
    pub verdict: Verdict,
    /// What is so, in a line; empty where it could not look.
    pub summary: String,
    /// What is wrong, the gravest first.
    pub findings: Vec<Finding>,
    /// What was looked at, wrong or not.
    #[serde(skip_serializing_if = "Rows::is_empty")]
    pub facts: Rows,
    /// What it could not look at, with the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_looked_at: Vec<String>,
    /// The queries that were run, as they can be run again.
    pub queries: Vec<String>,
    /// How long it took.
    pub duration_ms: u64,
}

/// All of it.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct Examination {
    /// Where the database is, without a password.
    pub target: String,
    /// Its name.
    pub database: String,
    /// The version of the server.
    pub server_version: String,
    /// The role that looked: what it may not see, it could not look at.
    pub role: String,
    /// When it began.
    #[schemars(with = "String")]
    pub examined_at: jiff::Timestamp,
    /// From where on something was long, in seconds.
    pub long_s: u64,
    /// The gravest verdict.
    pub verdict: Verdict,
    /// How many findings are critical.
    pub critical: usize,
    /// How many are warnings.
    pub warnings: usize,
    /// Every check that was asked for, in its own order.
    pub checks: Vec<Checked>,
}
