//! How a check looks: questions that change nothing, and notes of what was found.

use super::{
    model::{Finding, Severity},
    rows::{Row, Rows},
    thresholds::{LOCK_TIMEOUT, STATEMENT_TIMEOUT},
};
use crate::{
    config::Config,
    error::{DbError, Error, Result},
    postgres::{Session, history::History},
};
use std::time::Duration;
use uuid::Uuid;

/// Why something could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unseen(pub String);

impl From<Error> for Unseen {
    fn from(error: Error) -> Self {
        match error {
            Error::Database { error, .. } => Self(of_server(&error)),
            Error::Checks { findings, .. } => {
                let each = findings.into_iter().map(|finding| match finding.hint {
                    Some(hint) => format!("{}; {hint}", finding.message),
                    None => finding.message,
                });
                Self(each.collect::<Vec<_>>().join("; "))
            }
            other => Self(other.report().what),
        }
    }
}

fn of_server(error: &DbError) -> String {
    match error.sqlstate.as_deref() {
        Some("55P03") => {
            format!("something that it reads is locked; it waits no longer than {} ms", LOCK_TIMEOUT.as_millis())
        }
        Some("57014") => format!("the server took longer than {} s", STATEMENT_TIMEOUT.as_secs()),
        _ => error.message.clone(),
    }
}

/// What every check gets.
pub struct Patient<'a> {
    /// The settings of the command.
    pub config: &'a Config,
    /// The connection. Its transactions are READ ONLY, and their time-outs short.
    pub session: &'a Session,
    /// Where the history is or will be.
    pub history: &'a History,
    /// The id of this call.
    pub run_id: Uuid,
    /// From where on something is long.
    pub long: Duration,
    /// Whether the role may see what the sessions of others do.
    pub sees_all: bool,
}

impl Patient<'_> {
    /// `GRANT pg_read_all_stats TO "role"`.
    pub fn grant_to_see_all(&self) -> String {
        format!("GRANT pg_read_all_stats TO {}", crate::postgres::quote_ident(&self.session.server.user))
    }
}

/// One check at work.
pub struct Look<'a> {
    /// What it looks at.
    pub patient: &'a Patient<'a>,
    pub(super) summary: String,
    pub(super) findings: Vec<Finding>,
    pub(super) facts: Rows,
    pub(super) not_looked_at: Vec<String>,
    pub(super) queries: Vec<String>,
}

impl<'a> Look<'a> {
    pub(super) fn at(patient: &'a Patient<'a>) -> Self {
        let (findings, not_looked_at, queries) = (Vec::new(), Vec::new(), Vec::new());
        Self { patient, summary: String::new(), findings, facts: Rows::default(), not_looked_at, queries }
    }

    /// Asks in a READ ONLY transaction of its own that ends with the answer: whatever it locks, it locks no longer.
    pub async fn ask(&mut self, sql: &str) -> Result<Vec<Row>, Unseen> {
        let sql = dedented(sql);
        self.queries.push(sql.clone());
        let session = self.patient.session;
        // Every name has its schema, whatever others have put into the search path.
        let whole = format!("BEGIN READ ONLY; SET LOCAL search_path = pg_catalog, pg_temp;\n{sql};\nROLLBACK");
        match session.texts("looking at the server", &whole).await {
            Ok(rows) => Ok(rows.into_iter().map(Row).collect()),
            Err(error) => {
                if !session.is_closed() {
                    session.abort().await?;
                }
                Err(error.into())
            }
        }
    }

    /// The same of a query with exactly one row.
    pub async fn ask_one(&mut self, sql: &str) -> Result<Row, Unseen> {
        let row = self.ask(sql).await?.into_iter().next();
        row.ok_or_else(|| Unseen("the server has answered with no row".to_owned()))
    }

    /// Notes a finding.
    pub fn find(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// Notes what is so, in a line.
    pub fn say(&mut self, summary: impl Into<String>) {
        self.summary = summary.into();
    }

    /// Notes what was looked at.
    pub fn facts(&mut self, facts: Rows) {
        self.facts = facts;
    }

    /// Notes what could not be looked at.
    pub fn miss(&mut self, what: impl Into<String>) {
        self.not_looked_at.push(what.into());
    }
}

/// Critical, a warning, or nothing, by where a number stands.
pub fn graded(n: i64, warn: i64, critical: i64) -> Option<Severity> {
    match n {
        n if n >= critical => Some(Severity::Critical),
        n if n >= warn => Some(Severity::Warn),
        _ => None,
    }
}

/// A query as it is written here, without the indentation of the code around it.
fn dedented(sql: &str) -> String {
    let lines: Vec<&str> = sql.lines().map(str::trim_end).filter(|line| !line.trim().is_empty()).collect();
    let space = |line: &&str| line.len() - line.trim_start().len();
    let least = lines.iter().skip(usize::from(!sql.starts_with(['\n', ' ']))).map(space).min().unwrap_or(0);
    let cut = |line: &&str| line.get(least.min(space(line))..).unwrap_or(line).to_owned();
    lines.iter().map(cut).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_shown_without_the_indentation_of_the_code() {
        assert_eq!(dedented("\n        SELECT 1\n          FROM t\n    "), "SELECT 1\n  FROM t");
        assert_eq!(dedented("SELECT 1\n     FROM t"), "SELECT 1\nFROM t");
    }

    #[test]
    fn a_number_is_graded_from_its_thresholds_on() {
        assert_eq!(
            [79, 80, 94, 95].map(|n| graded(n, 80, 95)),
            [None, Some(Severity::Warn), Some(Severity::Warn), Some(Severity::Critical)]
        );
    }
}
