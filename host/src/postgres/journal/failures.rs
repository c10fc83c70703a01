//! The last attempt of each migration, where it failed: what an operator looks for first.

use serde::Serialize;
use tokio_postgres::Row;

use super::{Journal, quote_literal};
use crate::{
    error::{Error, Result},
    migration::Version,
    postgres::{
        handle::db_error,
        raw::{Id, Instant},
        session::Session,
    },
};

/// How the last attempt of a migration failed.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct FailedAttempt {
    /// When, by the server's clock, RFC 3339.
    pub at: String,
    /// The run, as `history` names it.
    pub run_id: String,
    /// `failed`; `refused`, where a check or a verification said no; `interrupted`, where the run was asked to stop.
    pub event: String,
    /// Which way it ran; missing where it had not begun to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<String>,
    /// In which of its steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Why, without data of the database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// User and machine, as `deploy@ci-7`.
    pub by: String,
}

impl Journal {
    /// The migrations whose last attempt failed, and how. None where there is no journal, or none that this role may read.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn failures(&self, session: &Session) -> Result<Vec<(Version, FailedAttempt)>> {
        const DOING: &str = "reading the journal";
        let table = quote_literal(&self.table);
        // The role of a dashboard may see the history only.
        let readable = format!("SELECT has_table_privilege(to_regclass({table}), 'SELECT') IS TRUE");
        if session.texts(DOING, &readable).await?.concat() != [Some("t".to_owned())] {
            return Ok(Vec::new());
        }
        let rows = session.client().query(&self.failures_question(), &[]).await;
        rows.map(|rows| failures(&rows)).map_err(|e| Error::database(DOING, db_error(&e)))
    }

    /// What [`failures`](Self::failures) asks of a journal that may be read. Only of those that have failed the last attempt is looked for: most
    /// never have.
    pub(in crate::postgres) fn failures_question(&self) -> String {
        let table = &self.table;
        // A journal of an older version lacks the step.
        format!(
            "SELECT version, at::timestamptz, run_id::uuid, event, direction, step, detail, os_user, host
             FROM (SELECT DISTINCT ON (version) version, at, run_id, event, direction, to_jsonb(j) ->> 'step' AS step, detail, os_user, host
                   FROM {table} j
                   WHERE version IN (SELECT version FROM {table} WHERE event IN ('failed', 'refused', 'interrupted'))
                     AND event IN ('applied', 'adopted', 'baselined', 'reverted', 'failed', 'refused', 'interrupted')
                   ORDER BY version, id DESC) last
             WHERE event IN ('failed', 'refused', 'interrupted')"
        )
    }
}

/// What its answer says.
pub(in crate::postgres) fn failures(rows: &[Row]) -> Vec<(Version, FailedAttempt)> {
    // What somebody has altered so that it is none tells nothing.
    let failure = |row: &Row| {
        let (os_user, host): (&str, &str) = (row.try_get(7).ok()?, row.try_get(8).ok()?);
        let failure = FailedAttempt {
            at: row.try_get::<_, Instant>(1).ok()?.0,
            run_id: row.try_get::<_, Id>(2).ok()?.0,
            event: row.try_get(3).ok()?,
            direction: row.try_get(4).ok()?,
            step: row.try_get(5).ok()?,
            why: row.try_get(6).ok()?,
            by: format!("{os_user}@{host}"),
        };
        Version::parse(row.try_get(0).ok()?).map(|version| (version, failure))
    };
    rows.iter().filter_map(failure).collect()
}
