//! The last attempt of each migration, where it failed: what an operator looks for first.

use serde::Serialize;

use super::{Journal, quote_literal};
use crate::{
    error::{Error, Result},
    migration::Version,
    postgres::{handle::db_error, session::Session},
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
        // A journal of an older version lacks the step.
        let sql = format!(
            "SELECT version, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), run_id::text, event, direction,
                    step, detail, os_user || '@' || host
             FROM (SELECT DISTINCT ON (version) version, at, run_id, event, direction, to_jsonb(j) ->> 'step' AS step, detail, os_user, host
                   FROM {} j WHERE version IS NOT NULL
                     AND event IN ('applied', 'adopted', 'baselined', 'reverted', 'failed', 'refused', 'interrupted')
                   ORDER BY version, id DESC) last
             WHERE event IN ('failed', 'refused', 'interrupted')",
            self.table
        );
        let rows = session.client().query(&sql, &[]).await;
        let rows = rows.map_err(|e| Error::database(DOING, db_error(&e)))?;
        let failure = |row: &tokio_postgres::Row| {
            let failure = FailedAttempt {
                at: row.get(1),
                run_id: row.get(2),
                event: row.get(3),
                direction: row.get(4),
                step: row.get(5),
                why: row.get(6),
                by: row.get(7),
            };
            Version::parse(row.get(0)).map(|version| (version, failure))
        };
        Ok(rows.iter().filter_map(failure).collect())
    }
}
