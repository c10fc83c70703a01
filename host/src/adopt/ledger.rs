//! What a tool's table tells.

use crate::{error::Problem, migration::Version};

/// Everything that a tool's table tells.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// What it names as applied, each once.
    pub(crate) rows: Vec<Foreign>,
    /// What is applied without being named.
    pub(crate) implied: Option<Implied>,
    /// States in which nothing can be taken over, each with the way out.
    pub(crate) refused: Vec<Problem>,
    /// The same of one project, by its name, where the tool keeps several in one table: whose folder it is decides whether they count.
    pub(crate) refused_in: Vec<(String, Problem)>,
}

impl Ledger {
    /// Whether it tells nothing at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.implied.is_none() && self.refused.is_empty() && self.refused_in.is_empty()
    }
}

/// A migration that a tool has noted as applied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Foreign {
    /// What the tool calls it: a version, a name, a path.
    pub(crate) name: String,
    /// Its number, where it has one.
    pub(crate) version: Option<Version>,
    /// When it was applied, RFC 3339, where the tool tells.
    pub(crate) applied_at: Option<String>,
    /// How long that took, in milliseconds, where the tool tells.
    pub(crate) duration_ms: Option<i64>,
    /// The checksum as the tool writes it, where it keeps one.
    pub(crate) checksum: Option<String>,
    /// The project that it belongs to, where the tool keeps several in one table.
    pub(crate) project: Option<String>,
}

impl Foreign {
    /// A row that says no more than its version.
    pub(crate) fn of_version(text: &str) -> Self {
        Self { name: text.to_owned(), version: Version::parse(text), ..Self::default() }
    }

    /// A row that says no more than a name.
    pub(crate) fn named(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }
}

/// Everything up to and including a version is applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Implied {
    pub(crate) up_to: Version,
    /// Why, for people: `golang-migrate keeps the newest version only`.
    pub(crate) why: &'static str,
}

/// An expression that writes a time as RFC 3339 in UTC. A time without zone is one of the session's, as the tools write it by `now()`.
pub(super) fn time_sql(column: &str) -> String {
    format!("to_char({column}::timestamptz AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
}

/// A column of a row that was read as text.
pub(super) fn text(row: &[Option<String>], i: usize) -> &str {
    row.get(i).and_then(Option::as_deref).unwrap_or_default()
}

/// The same where NULL means something.
pub(super) fn optional(row: &[Option<String>], i: usize) -> Option<String> {
    row.get(i).cloned().flatten()
}

/// A boolean column.
pub(super) fn flag(row: &[Option<String>], i: usize) -> bool {
    text(row, i) == "t"
}
