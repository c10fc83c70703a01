//! `schema_migrations_journal`: everything that was tried, append-only and chained by hashes.

mod carry;
mod chain;
mod entries;
mod failures;

use std::{sync::OnceLock, time::Duration};

use serde::Serialize;
use uuid::Uuid;

use super::{handle::db_error, history::History, quote_ident, quote_literal, raw::value, session::Session};
use crate::{
    error::{Error, Result},
    migration::{Direction, Version},
};

pub use carry::Carried;
pub use chain::{Break, Damage, Verification};
pub use entries::{Recorded, Wanted};
pub use failures::FailedAttempt;
pub(super) use failures::failures;

/// The journal's table, beside the history.
pub const TABLE: &str = "schema_migrations_journal";

const WRITING: &str = "writing the journal";

/// How many entries are written in one round trip.
const ENTRIES_A_TRIP: usize = 200;

/// The functions of its triggers, each named as its trigger.
pub(super) const FUNCTIONS: [&str; 2] = ["schema_migrations_journal_is_append_only", chain::FUNCTION];

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A run took the lock and found work.
    RunStarted,
    /// A backup was completed and verified.
    BackedUp,
    /// The operator asked for no backup.
    BackupSkipped,
    /// A backup from before is recent enough to serve.
    BackupReused,
    /// A point of the server's write-ahead log got a name.
    RestorePoint,
    /// The backup failed, and with it the run.
    BackupFailed,
    /// A migration of several transactions has begun.
    Started,
    /// A run goes on where an earlier one stopped.
    Resumed,
    /// An operator wants nothing more of the migration under way to be done for now.
    Paused,
    /// The pause is over.
    Unpaused,
    /// A step that stands alone, outside a transaction or in batches, is done.
    StepFinished,
    /// A migration was applied.
    Applied,
    /// A migration that another tool had applied was taken over.
    Adopted,
    /// A migration was taken as applied on the operator's word.
    Baselined,
    /// A migration was reverted.
    Reverted,
    /// A migration, or a part of it, was rolled back and is tried again.
    Retried,
    /// The connection was lost, and the history has told what became of the migration under way.
    Resolved,
    /// A migration failed and was rolled back.
    Failed,
    /// A preflight check or a verification said no.
    Refused,
    /// The process was asked to stop while a migration ran.
    Interrupted,
    /// A run ended with everything done.
    RunFinished,
    /// The database was restored from a backup.
    Restored,
    /// An operator took a file as it now is for what was applied.
    Repaired,
    /// A backup was restored into a scratch database, to see whether and how fast that can be done.
    Drilled,
}

impl Event {
    fn as_str(self) -> &'static str {
        match self {
            Self::RunStarted => "run_started",
            Self::BackedUp => "backed_up",
            Self::BackupSkipped => "backup_skipped",
            Self::BackupReused => "backup_reused",
            Self::RestorePoint => "restore_point",
            Self::BackupFailed => "backup_failed",
            Self::Started => "started",
            Self::Resumed => "resumed",
            Self::Paused => "paused",
            Self::Unpaused => "unpaused",
            Self::StepFinished => "step_finished",
            Self::Applied => "applied",
            Self::Adopted => "adopted",
            Self::Baselined => "baselined",
            Self::Reverted => "reverted",
            Self::Retried => "retried",
            Self::Resolved => "resolved",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Interrupted => "interrupted",
            Self::RunFinished => "run_finished",
            Self::Restored => "restored",
            Self::Repaired => "repaired",
            Self::Drilled => "drilled",
        }
    }
}

/// One line of the journal.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    /// What happened.
    pub event: Event,
    /// To which migration, and which way, if it ran.
    pub migration: Option<(&'a Version, Option<Direction>)>,
    /// Which try of the transaction under way it was, counted from 1.
    pub attempt: Option<u32>,
    /// Which of its steps.
    pub step: Option<&'a str>,
    /// How long it took, by a clock that only goes forward.
    pub duration: Option<Duration>,
    /// Why it failed, which backup it was.
    pub detail: Option<&'a str>,
}

impl<'a> Entry<'a> {
    /// An entry that says no more than what happened.
    pub fn of(event: Event) -> Self {
        Self { event, migration: None, attempt: None, step: None, duration: None, detail: None }
    }

    /// The same for a migration.
    #[must_use]
    pub fn migration(self, version: &'a Version, direction: Direction) -> Self {
        Self { migration: Some((version, Some(direction))), ..self }
    }

    /// The same for a migration that does not run.
    #[must_use]
    pub fn of_version(self, version: &'a Version) -> Self {
        Self { migration: Some((version, None)), ..self }
    }

    /// The same for one of several tries, counted from 1.
    #[must_use]
    pub fn attempt(self, attempt: u32) -> Self {
        Self { attempt: Some(attempt), ..self }
    }

    /// The same for a step.
    #[must_use]
    pub fn step(self, step: &'a str) -> Self {
        Self { step: Some(step), ..self }
    }

    /// The same with a duration.
    #[must_use]
    pub fn took(self, duration: Duration) -> Self {
        Self { duration: Some(duration), ..self }
    }

    /// The same with a text.
    #[must_use]
    pub fn detail(self, detail: &'a str) -> Self {
        Self { detail: Some(detail), ..self }
    }
}

/// Writes the entries of one run.
#[derive(Debug, Clone)]
pub struct Journal {
    schema: String,
    table: String,
    run_id: Uuid,
    os_user: String,
    host: String,
}

/// The user and the machine of this process, as the journal names them: `deploy on build-7`.
pub fn who() -> String {
    let (os_user, host) = whence();
    format!("{os_user} on {host}")
}

fn whence() -> (String, String) {
    static WHENCE: OnceLock<(String, String)> = OnceLock::new();
    let asked = || {
        let os_user = nix::unistd::User::from_uid(nix::unistd::Uid::effective()).ok().flatten().map(|u| u.name);
        let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
        let known = |text: Option<String>| text.unwrap_or_else(|| "unknown".into());
        (known(os_user), known(host))
    };
    // The system looks in files for that.
    WHENCE.get_or_init(asked).clone()
}

impl Journal {
    /// The journal beside this history, for this run.
    pub fn new(history: &History, run_id: Uuid) -> Self {
        let (os_user, host) = whence();
        Self {
            schema: history.schema().to_owned(),
            table: format!("{}.{}", quote_ident(history.schema()), quote_ident(TABLE)),
            run_id,
            os_user,
            host,
        }
    }

    /// The user and the machine that the entries name.
    pub fn who(&self) -> String {
        format!("{} on {}", self.os_user, self.host)
    }

    /// The table, quoted.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// Appends an entry: in the open transaction, where one is open.
    ///
    /// # Errors
    /// [`Error::Refused`] where the triggers that chain it would do nothing; and when it cannot be written.
    pub async fn append(&self, session: &Session, entry: &Entry<'_>) -> Result<()> {
        refuse_without_triggers(session)?;
        session.batch(WRITING, &self.sql(entry)).await
    }

    /// Appends many entries, in the open transaction.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub async fn append_all(&self, session: &Session, entries: &[Entry<'_>]) -> Result<()> {
        refuse_without_triggers(session)?;
        // Each is a statement of its own: the trigger links it to the one before.
        for entries in entries.chunks(ENTRIES_A_TRIP) {
            let statements: Vec<String> = entries.iter().map(|entry| self.sql(entry)).collect();
            session.batch(WRITING, &statements.join(";\n")).await?;
        }
        Ok(())
    }

    fn sql(&self, entry: &Entry<'_>) -> String {
        let took = entry.duration.map_or_else(|| "NULL".to_owned(), |d| d.as_millis().to_string());
        self.insert_sql(&entry.arguments(), &took)
    }

    /// The statement that appends an entry, to be prepared: its parameters are the entry's [`arguments`](Entry::arguments), what it took is
    /// an expression of milliseconds.
    pub(super) fn noted_sql(&self, took: &str) -> String {
        self.insert_sql("$1, $2, $3, $4, $5, $6", took)
    }

    /// The number is the trigger's to give, and no sequence is asked, which a script may have set where it likes.
    fn insert_sql(&self, arguments: &str, took: &str) -> String {
        format!(
            "INSERT INTO {} (event, version, direction, attempt, step, detail, duration_ms, run_id, os_user, host, application, id)
             OVERRIDING SYSTEM VALUE VALUES ({arguments}, {took}, '{}', {}, {}, 'lockgate {}', 0)",
            self.table,
            self.run_id,
            quote_literal(&self.os_user),
            quote_literal(&self.host),
            env!("CARGO_PKG_VERSION"),
        )
    }
}

impl Entry<'_> {
    /// What differs from entry to entry of a run, but for what it took.
    pub(super) fn arguments(&self) -> String {
        let null = || "NULL".to_owned();
        let (version, direction) = match self.migration {
            Some((version, direction)) => {
                (quote_literal(version.as_str()), direction.map_or_else(null, |direction| format!("'{direction}'")))
            }
            None => (null(), null()),
        };
        format!(
            "'{}', {version}, {direction}, {}, {}, {}",
            self.event.as_str(),
            self.attempt.map_or_else(null, |n| n.to_string()),
            self.step.map_or_else(null, quote_literal),
            self.detail.map_or_else(null, quote_literal),
        )
    }
}

impl Journal {
    /// Whether this run has noted such an event of a migration.
    pub async fn holds(&self, session: &Session, event: Event, version: &Version) -> Result<bool> {
        let sql = format!(
            "SELECT EXISTS (SELECT FROM {} WHERE run_id::text = $1 AND event = $2 AND version = $3)",
            self.table
        );
        let row =
            session.client().query_one(&sql, &[&self.run_id.to_string(), &event.as_str(), &version.as_str()]).await;
        row.map(|row| row.get(0)).map_err(|e| Error::database("reading the journal", db_error(&e)))
    }

    /// Whether nothing was applied, reverted, begun or restored since this backup, as far as the journal tells: before the first run there is
    /// none, and nothing to tell.
    pub async fn is_quiet_since(&self, session: &Session, backup: &str) -> Result<bool> {
        const DOING: &str = "reading the journal";
        let there = format!("SELECT to_regclass({}) IS NOT NULL", quote_literal(&self.table));
        if session.texts(DOING, &there).await?.concat() != [Some("t".to_owned())] {
            return Ok(true);
        }
        let sql = format!(
            "SELECT count(*) = 1 AND NOT EXISTS (
                 SELECT FROM {table} WHERE id > max(b.id)
                   AND event IN ('applied', 'adopted', 'baselined', 'reverted', 'started', 'resumed', 'step_finished', 'restored'))
             FROM {table} b WHERE event = 'backed_up' AND detail = {backup}",
            table = self.table,
            backup = quote_literal(backup)
        );
        Ok(session.texts(DOING, &sql).await?.concat() == [Some("t".to_owned())])
    }

    /// The newest run before this one, if it has left no word of how it ended: its id, and what it committed.
    pub async fn unended(&self, session: &Session) -> Result<Option<(String, Vec<String>)>> {
        let sql = format!(
            "SELECT last.run_id::text,
                    ARRAY(SELECT concat_ws(' ', event, version, CASE event WHEN 'started' THEN format('(%s)', detail) END,
                                           CASE WHEN event = 'step_finished' THEN 'step ' || step END)
                          FROM {table}
                          WHERE run_id = last.run_id AND event IN ('applied', 'reverted', 'started', 'step_finished') ORDER BY id) AS event
             FROM (SELECT run_id FROM {table} WHERE event = 'run_started' AND run_id::text <> $1 ORDER BY id DESC LIMIT 1) last
             WHERE NOT EXISTS (SELECT FROM {table} WHERE run_id = last.run_id
                               AND event IN ('run_finished', 'failed', 'refused', 'interrupted', 'backup_failed'))
               AND NOT EXISTS (SELECT FROM {table} WHERE event = 'resolved' AND detail LIKE '%' || last.run_id::text || '%')",
            table = self.table
        );
        let row = session.client().query_opt(&sql, &[&self.run_id.to_string()]).await;
        let row = row.map_err(|e| Error::database("reading the journal", db_error(&e)))?;
        row.map(|row| Ok((value(&row, 0)?, value(&row, 1)?))).transpose()
    }
}

/// The statements that make the table and protect it.
pub(super) fn ddl(history: &History) -> String {
    let schema = quote_ident(history.schema());
    let table = format!("{schema}.{}", quote_ident(TABLE));
    format!(
        "CREATE TABLE IF NOT EXISTS {table} (
             id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
             at timestamptz NOT NULL DEFAULT clock_timestamp(),
             run_id uuid NOT NULL,
             event text NOT NULL,
             version text,
             direction text,
             duration_ms bigint,
             detail text,
             attempt int,
             step text,
             db_user text NOT NULL DEFAULT session_user,
             os_user text NOT NULL,
             host text NOT NULL,
             client_address inet DEFAULT inet_client_addr(),
             application text NOT NULL,
             previous text,
             hash text
         );
         ALTER TABLE {table} ADD COLUMN IF NOT EXISTS attempt int, ADD COLUMN IF NOT EXISTS step text,
             ADD COLUMN IF NOT EXISTS previous text, ADD COLUMN IF NOT EXISTS hash text;
         COMMENT ON TABLE {table} IS 'Everything that lockgate tried, append-only. run_id is the correlation id of the logs.';
         CREATE OR REPLACE FUNCTION {schema}.schema_migrations_journal_is_append_only() RETURNS trigger LANGUAGE plpgsql AS
         $body$ BEGIN RAISE EXCEPTION 'the journal of migrations is append-only' USING ERRCODE = 'restrict_violation'; END $body$;
         CREATE OR REPLACE TRIGGER schema_migrations_journal_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
             FOR EACH STATEMENT EXECUTE FUNCTION {schema}.schema_migrations_journal_is_append_only();
         {}",
        chain::ddl(&schema, &table)
    )
}

/// An entry that no trigger has chained can never be mended: the table takes no change.
fn refuse_without_triggers(session: &Session) -> Result<()> {
    match session.server.without_triggers() {
        Some((what, next)) => Err(Error::Refused { what: what.to_owned(), next: next.to_owned() }),
        None => Ok(()),
    }
}

/// An expression that is true when the journal of that name (an expression itself) has all that [`ddl`] makes.
pub(super) fn is_whole_sql(table: &str) -> String {
    format!(
        "(SELECT count(*) = 2 FROM pg_catalog.pg_trigger WHERE tgrelid = to_regclass({table}) AND tgenabled IN ('O', 'A')
          AND tgname IN ('{}'))
         AND (SELECT count(*) = 4 FROM pg_catalog.pg_attribute WHERE attrelid = to_regclass({table}) AND NOT attisdropped
              AND attname IN ('attempt', 'step', 'previous', 'hash'))",
        FUNCTIONS.join("', '")
    )
}
