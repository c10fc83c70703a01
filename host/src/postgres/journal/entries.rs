//! The journal, read back.

use serde::Serialize;
use tokio_postgres::Row;

use super::Journal;
use crate::{
    error::{Error, Result},
    migration::Version,
    postgres::{handle::db_error, raw::value, session::Session},
};

/// An entry as it was written.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct Recorded {
    /// Its number.
    pub id: i64,
    /// Server time, RFC 3339.
    pub at: String,
    /// The run that wrote it.
    pub run_id: String,
    /// What happened.
    pub event: String,
    /// To which migration.
    pub version: Option<String>,
    /// Which way it ran.
    pub direction: Option<String>,
    /// Which try it was.
    pub attempt: Option<i32>,
    /// Which of its steps.
    pub step: Option<String>,
    /// How long it took, in milliseconds.
    pub duration_ms: Option<i64>,
    /// Why it failed, which backup it was.
    pub detail: Option<String>,
    /// The role that logged in.
    pub db_user: String,
    /// The user of the system that ran it.
    pub os_user: String,
    /// On which machine.
    pub host: String,
    /// From where the server saw it come.
    pub client_address: Option<String>,
    /// Which program, with its version.
    pub application: String,
    /// Its hash; none in entries of older versions.
    pub hash: Option<String>,
}

/// Which entries are wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted<'a> {
    /// At most so many, the last ones. None: all.
    pub limit: Option<u32>,
    /// Those of this version only.
    pub version: Option<&'a Version>,
    /// Those of this run only, by its whole id.
    pub run: Option<&'a str>,
}

impl Journal {
    /// The ids of the runs that one may mean by a part of an id, which is its beginning or its end, the newest first. None when there is no
    /// journal.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn runs_like(&self, session: &Session, part: &str) -> Result<Vec<String>> {
        if self.is_chained(session).await?.is_none() {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT run_id::text FROM {} WHERE starts_with(replace(run_id::text, '-', ''), $1)
             OR right(replace(run_id::text, '-', ''), length($1)) = $1 GROUP BY run_id ORDER BY max(id) DESC",
            self.table
        );
        let digits = part.replace('-', "").to_ascii_lowercase();
        let rows = session.client().query(&sql, &[&digits]).await;
        let rows = rows.map_err(|e| Error::database("reading the journal", db_error(&e)))?;
        rows.iter().map(|row| value(row, 0)).collect()
    }

    /// The entries that are wanted, the newest last. None when there is no journal.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn last(&self, session: &Session, wanted: Wanted<'_>) -> Result<Vec<Recorded>> {
        if self.is_chained(session).await?.is_none() {
            return Ok(Vec::new());
        }
        // A journal of an older version lacks some of the columns.
        let sql = format!(
            "SELECT * FROM (
                 SELECT id, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), run_id::text, event, version,
                        direction, (to_jsonb(j) ->> 'attempt')::int4, to_jsonb(j) ->> 'step', duration_ms, detail, db_user,
                        os_user, host, host(client_address), application, to_jsonb(j) ->> 'hash'
                 FROM {} j WHERE ($2::text IS NULL OR {} = {}) AND ($3::text IS NULL OR run_id::text = $3)
                 ORDER BY id DESC LIMIT $1
             ) last ORDER BY id",
            self.table,
            Version::key_sql("version"),
            Version::key_sql("$2::text"),
        );
        // A limit that is NULL is none.
        let limit = wanted.limit.map(i64::from);
        let rows = session.client().query(&sql, &[&limit, &wanted.version.map(Version::as_str), &wanted.run]).await;
        let rows = rows.map_err(|e| Error::database("reading the journal", db_error(&e)))?;
        let recorded = |row: &Row| {
            Ok(Recorded {
                id: value(row, 0)?,
                at: value(row, 1)?,
                run_id: value(row, 2)?,
                event: value(row, 3)?,
                version: value(row, 4)?,
                direction: value(row, 5)?,
                attempt: value(row, 6)?,
                step: value(row, 7)?,
                duration_ms: value(row, 8)?,
                detail: value(row, 9)?,
                db_user: value(row, 10)?,
                os_user: value(row, 11)?,
                host: value(row, 12)?,
                client_address: value(row, 13)?,
                application: value(row, 14)?,
                hash: value(row, 15)?,
            })
        };
        rows.iter().map(recorded).collect()
    }
}
