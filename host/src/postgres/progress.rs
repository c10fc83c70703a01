//! `schema_migrations_progress`: the migration of several transactions that has begun and not ended, so that the next run knows
//! where it stands. Empty whenever none is under way.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::{
    handle::db_error,
    history::{Applied, History},
    quote_ident, quote_literal,
    raw::value,
    session::{Process, Session},
    tables,
};
use crate::{
    error::{Error, Result},
    migration::{Checksum, Direction, Version},
    sql::{Origin, Places, Script, Stretch},
    step::{OutsideStep, Step},
};

/// The table's name, in the schema of the history.
pub const TABLE: &str = "schema_migrations_progress";

/// How far a migration is: everything before this is committed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Position {
    /// The steps that are done.
    pub steps_done: usize,
    /// Whether the next step, outside a transaction, was begun and may have taken effect.
    pub attempted: bool,
    /// The batches of the next step that are done.
    pub batches: u64,
    /// The checkpoint that the last of them returned.
    pub checkpoint: Option<Vec<u8>>,
    /// The units that they did.
    pub done: u64,
    /// The units in all, where the program knows them.
    pub total: Option<u64>,
    /// What the steps took so far.
    pub took: Duration,
}

/// A migration that has begun and not ended.
#[derive(Debug, Clone)]
pub struct Started {
    /// Its version.
    pub version: Version,
    /// Its file's name when it began.
    pub filename: String,
    /// The words of the file's name.
    pub description: String,
    /// What it is made of.
    pub kind: String,
    /// The digest of that file.
    pub checksum: Checksum,
    /// Which way it runs.
    pub direction: Direction,
    /// The plan that it follows.
    pub steps: Vec<Step>,
    /// Where it stands.
    pub position: Position,
    /// The run that took it so far.
    pub run_id: String,
    /// Server time, RFC 3339.
    pub started_at: String,
    /// The server's process that was about to run the next step, outside a transaction.
    pub worker: Option<Process>,
    /// That an operator wants nothing more of it to be done for now.
    pub paused: Option<Paused>,
}

/// Who has paused a migration, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Paused {
    /// User and machine.
    pub by: String,
    /// Server time, RFC 3339.
    pub at: String,
}

impl Started {
    /// Version and description.
    pub fn name(&self) -> String {
        format!("{}_{}", self.version, self.description)
    }

    /// The same as a row of the history, for those who ask what can be reverted.
    pub fn as_applied(&self) -> Applied {
        Applied {
            version: self.version.clone(),
            filename: self.filename.clone(),
            description: self.description.clone(),
            kind: self.kind.clone(),
            checksum: self.checksum.clone(),
            applied_at: self.started_at.clone(),
            execution_time_ms: 0,
            applied_by: String::new(),
            run_id: self.run_id.clone(),
            backup_id: None,
            up_script: None,
            down_script: None,
        }
    }
}

/// The table in one schema.
#[derive(Debug, Clone)]
pub struct Progress {
    table: String,
    schema: String,
}

impl Progress {
    /// The table beside this history.
    pub fn new(history: &History) -> Self {
        let schema = quote_ident(history.schema());
        Self { table: format!("{schema}.{}", quote_ident(TABLE)), schema: history.schema().to_owned() }
    }

    /// The table, quoted.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// The migration that is under way, if one is.
    ///
    /// # Errors
    /// [`Error::DamagedHistory`] when the row is not one that this program wrote.
    pub async fn read(&self, session: &Session) -> Result<Option<Started>> {
        let failed = |e: tokio_postgres::Error| {
            tables::unreadable(session, &self.schema, &self.table, "SELECT, INSERT, UPDATE, DELETE", db_error(&e))
        };
        let there = session.client().query_one("SELECT to_regclass($1) IS NOT NULL", &[&self.table]).await;
        if !there.map_err(failed)?.get::<_, bool>(0) {
            return Ok(None);
        }
        let row = session.client().query_opt(&self.question(), &[]).await.map_err(failed)?;
        row.map(|row| self.started(&row)).transpose()
    }

    /// An expression that is true where a migration is under way.
    pub(super) fn is_under_way_sql(&self) -> String {
        format!("EXISTS (SELECT FROM {})", self.table)
    }

    /// Whether a migration is under way, where the table is there.
    ///
    /// # Errors
    /// As [`read`](Self::read), and where it is not.
    pub async fn is_under_way(&self, session: &Session) -> Result<bool> {
        let told =
            session.texts("looking for what is under way", &format!("SELECT {}", self.is_under_way_sql())).await?;
        Ok(told.concat() != [Some("f".to_owned())])
    }

    /// What [`read`](Self::read) asks of a table that is there.
    fn question(&self) -> String {
        format!(
            "SELECT version, filename, description, kind, checksum, direction, plan::text, steps_done, attempted, batches,
                    checkpoint, done, total, took_ms, run_id::text,
                    to_char(started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'),
                    (to_jsonb(progress) ->> 'backend_pid')::int, to_jsonb(progress) ->> 'backend_start',
                    to_jsonb(progress) ->> 'paused_by', {}
             FROM {} progress ORDER BY started_at LIMIT 1",
            paused_at_sql("(to_jsonb(progress) ->> 'paused_at')::timestamptz"),
            self.table
        )
    }

    /// What a row of it says.
    fn started(&self, row: &tokio_postgres::Row) -> Result<Started> {
        started(row).ok_or_else(|| self.damaged())
    }

    fn damaged(&self) -> Error {
        Error::DamagedHistory {
            what: format!("the row in `{}.{TABLE}` is not one that Lockgate wrote", self.schema),
            next: "find out who changed it; restore a backup if nobody knows".into(),
        }
    }

    /// Notes, in the open transaction, that a migration has begun.
    pub async fn begin(&self, session: &Session, started: &Started, run_id: Uuid) -> Result<()> {
        let Started { version, filename, description, kind, checksum, direction, steps, position, .. } = started;
        let sql = format!(
            "INSERT INTO {} (version, filename, description, kind, checksum, direction, plan, steps_done, took_ms, run_id)
             VALUES ({}, {}, {}, {}, {}, '{direction}', {}, {}, {}, '{run_id}')",
            self.table,
            quote_literal(version.as_str()),
            quote_literal(filename),
            quote_literal(description),
            quote_literal(kind),
            quote_literal(checksum.as_str()),
            quote_literal(&to_json(steps).to_string()),
            position.steps_done,
            position.took.as_millis(),
        );
        session.batch("noting that the migration has begun", &sql).await
    }

    /// Moves a migration on, in the open transaction or in one of its own. Returns whether it was paused meanwhile: nothing need be
    /// asked between two batches.
    ///
    /// # Errors
    /// Also when it does not stand where this run left it.
    pub async fn advance(
        &self,
        session: &Session,
        version: &Version,
        from: &Position,
        to: &Position,
        run_id: Uuid,
    ) -> Result<bool> {
        const DOING: &str = "saving the checkpoint";
        let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let steps = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        let sql = format!(
            "UPDATE {} SET steps_done = $3, attempted = $4, batches = $5, checkpoint = $6, done = $7, total = $8,
                           took_ms = $9, run_id = '{run_id}', updated_at = pg_catalog.clock_timestamp(),
                           backend_pid = $11, backend_start = $12
             WHERE version OPERATOR(pg_catalog.=) $1 AND steps_done OPERATOR(pg_catalog.=) $2
               AND batches OPERATOR(pg_catalog.=) $10
             RETURNING paused_at IS NOT NULL",
            self.table
        );
        // Whoever finds the intent must be able to tell that this session is gone.
        let worker = to.attempted.then_some(&session.server.process);
        let moved = session
            .client()
            .of(to.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.len()))
            .query(
                &sql,
                &[
                    &version.as_str(),
                    &steps(from.steps_done),
                    &steps(to.steps_done),
                    &to.attempted,
                    &number(to.batches),
                    &to.checkpoint,
                    &number(to.done),
                    &to.total.map(number),
                    &i64::try_from(to.took.as_millis()).unwrap_or(i64::MAX),
                    &number(from.batches),
                    &worker.map(|process| process.pid),
                    &worker.map(|process| process.started.as_str()),
                ],
            )
            .await;
        match moved.map_err(|e| Error::database(DOING, db_error(&e)))?.as_slice() {
            [row] => Ok(row.get(0)),
            rows => {
                let n = rows.len();
                Err(Error::system(DOING, format!("{n} rows of `{version}` stand where this run left it, not one")))
            }
        }
    }

    /// Who has paused a migration, if somebody has.
    pub async fn paused(&self, session: &Session, version: &Version) -> Result<Option<Paused>> {
        let sql = format!(
            "SELECT paused_by, {} AS paused_at FROM {} WHERE version = $1 AND paused_at IS NOT NULL",
            paused_at_sql("paused_at"),
            self.table
        );
        let row = session.client().query_opt(&sql, &[&version.as_str()]).await;
        let row = row.map_err(|e| Error::database("asking whether the migration is paused", db_error(&e)))?;
        row.map(|row| Ok(Paused { by: value(&row, 0)?, at: value(&row, 1)? })).transpose()
    }

    /// Pauses a migration, or ends its pause (`by` is `None`), in the open transaction. False when that is so already, or the
    /// migration has ended meanwhile.
    pub async fn pause(&self, session: &Session, version: &Version, by: Option<&str>) -> Result<bool> {
        let sql = format!(
            "UPDATE {} SET paused_by = $2::text, paused_at = CASE WHEN $2::text IS NOT NULL THEN clock_timestamp() END
             WHERE version = $1 AND (paused_at IS NULL) = ($2::text IS NOT NULL)",
            self.table
        );
        let changed = session.client().execute(&sql, &[&version.as_str(), &by]).await;
        changed.map(|n| n == 1).map_err(|e| Error::database("noting the pause", db_error(&e)))
    }

    /// Notes, in the open transaction, that a migration has ended.
    pub async fn end(&self, session: &Session, version: &Version) -> Result<()> {
        const DOING: &str = "noting that the migration has ended";
        let sql = format!("DELETE FROM {} WHERE version OPERATOR(pg_catalog.=) $1", self.table);
        match session.client().execute(&sql, &[&version.as_str()]).await {
            Ok(1) => Ok(()),
            Ok(n) => Err(Error::system(DOING, format!("{n} rows of `{version}` were found, not one"))),
            Err(error) => Err(Error::database(DOING, db_error(&error))),
        }
    }

    /// The statement that makes the table.
    pub(super) fn ddl(&self) -> String {
        let table = &self.table;
        format!(
            "CREATE TABLE IF NOT EXISTS {table} (
                 version text PRIMARY KEY,
                 filename text NOT NULL,
                 description text NOT NULL,
                 kind text NOT NULL,
                 checksum text NOT NULL,
                 direction text NOT NULL CHECK (direction IN ('up', 'down')),
                 plan jsonb NOT NULL,
                 steps_done int NOT NULL,
                 attempted boolean NOT NULL DEFAULT false,
                 batches bigint NOT NULL DEFAULT 0,
                 checkpoint bytea,
                 done bigint NOT NULL DEFAULT 0,
                 total bigint,
                 took_ms bigint NOT NULL,
                 run_id uuid NOT NULL,
                 started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
                 updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
                 backend_pid int,
                 backend_start text,
                 paused_at timestamptz,
                 paused_by text
             );
             ALTER TABLE {table} ADD COLUMN IF NOT EXISTS backend_pid int, ADD COLUMN IF NOT EXISTS backend_start text,
                 ADD COLUMN IF NOT EXISTS paused_at timestamptz, ADD COLUMN IF NOT EXISTS paused_by text;
             COMMENT ON TABLE {table} IS 'The migration of several transactions that has begun and not ended. Written by lockgate.';"
        )
    }
}

/// An expression that is true when the table of that name (an expression itself) has all columns.
pub(super) fn is_whole_sql(table: &str) -> String {
    format!(
        "(SELECT count(*) = 4 FROM pg_catalog.pg_attribute WHERE attrelid = to_regclass({table}) AND NOT attisdropped
          AND attname IN ('backend_pid', 'backend_start', 'paused_at', 'paused_by'))"
    )
}

/// A row of the table, as an expression, without what others than the run under way may change.
pub(super) fn of_the_run_sql(row: &str) -> String {
    format!("(pg_catalog.to_jsonb({row}) OPERATOR(pg_catalog.-) ARRAY['paused_at', 'paused_by'])::pg_catalog.text")
}

fn paused_at_sql(at: &str) -> String {
    format!("to_char({at} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')")
}

fn started(row: &tokio_postgres::Row) -> Option<Started> {
    let number = |n: i64| u64::try_from(n).ok();
    Some(Started {
        version: Version::parse(row.try_get(0).ok()?)?,
        filename: row.try_get(1).ok()?,
        description: row.try_get(2).ok()?,
        kind: row.try_get(3).ok()?,
        checksum: Checksum::recorded(row.try_get::<_, String>(4).ok()?),
        direction: match row.try_get(5).ok()? {
            "up" => Direction::Up,
            _ => Direction::Down,
        },
        steps: from_json(row.try_get(6).ok()?)?,
        position: Position {
            steps_done: usize::try_from(row.try_get::<_, i32>(7).ok()?).ok()?,
            attempted: row.try_get(8).ok()?,
            batches: number(row.try_get(9).ok()?)?,
            checkpoint: row.try_get(10).ok()?,
            done: number(row.try_get(11).ok()?)?,
            total: row.try_get::<_, Option<i64>>(12).ok()?.and_then(number),
            took: Duration::from_millis(number(row.try_get(13).ok()?)?),
        },
        run_id: row.try_get(14).ok()?,
        started_at: row.try_get(15).ok()?,
        worker: match (row.try_get(16).ok()?, row.try_get::<_, Option<String>>(17).ok()?) {
            (Some(pid), Some(started)) => Some(Process { pid, started }),
            _ => None,
        },
        paused: match (row.try_get(18).ok()?, row.try_get(19).ok()?) {
            (Some(by), Some(at)) => Some(Paused { by, at }),
            _ => None,
        },
    })
}

/// The plan as it is stored.
fn to_json(steps: &[Step]) -> Json {
    let with_origin = |mut step: Json, script: &Script| {
        match &script.origin {
            Origin::File(path) => step["file"] = path.to_string_lossy().into(),
            Origin::History(version) => step["history"] = version.as_str().into(),
            Origin::Plugin => {}
        }
        if !script.places().is_whole() {
            let stretch =
                |s: &Stretch| json!([s.start, s.file.as_ref().map(|file| file.to_string_lossy()), s.line, s.column]);
            step["places"] = script.places().stretches().iter().map(stretch).collect();
        }
        step
    };
    let step = |step: &Step| match step {
        Step::Sql(script) => with_origin(json!({ "sql": script.sent_text() }), script),
        Step::Alone(script) => with_origin(json!({ "alone": script.sent_text() }), script),
        Step::OutsideTransaction(OutsideStep { statement, probe }) => {
            with_origin(json!({ "outside_transaction": statement.sent_text(), "probe": probe }), statement)
        }
        Step::Code(name) => json!({ "code": name }),
        Step::Batched(name) => json!({ "batched": name }),
    };
    steps.iter().map(step).collect()
}

/// The plan as it was stored; nothing when it is none.
fn from_json(text: &str) -> Option<Vec<Step>> {
    let plan: Vec<Json> = serde_json::from_str(text).ok()?;
    let step = |step: &Json| {
        let text = |key: &str| step.get(key).and_then(Json::as_str);
        let origin = match (text("file"), text("history")) {
            (Some(path), _) => Origin::File(path.into()),
            (None, Some(version)) => Origin::History(version.to_owned()),
            (None, None) => Origin::Plugin,
        };
        let places = match step.get("places") {
            Some(stretches) => Places::of(stretches.as_array()?.iter().map(stretch).collect::<Option<_>>()?),
            None => Places::default(),
        };
        let script = |text: &str| Script::kept(text, origin.clone(), places.clone());
        if let Some(sql) = text("sql") {
            return script(sql).map(Step::Sql);
        }
        if let Some(sql) = text("alone") {
            return script(sql).map(Step::Alone);
        }
        if let (Some(statement), Some(probe)) = (text("outside_transaction"), step.get("probe")) {
            let probe = probe.as_str().map(str::to_owned);
            return Some(Step::OutsideTransaction(OutsideStep { statement: script(statement)?, probe }));
        }
        let code = text("code").map(|name| Step::Code(name.to_owned()));
        code.or_else(|| text("batched").map(|name| Step::Batched(name.to_owned())))
    };
    plan.iter().map(step).collect()
}

fn stretch(json: &Json) -> Option<Stretch> {
    let number = |at: usize| json.get(at).and_then(Json::as_u64).and_then(|n| usize::try_from(n).ok());
    let file = json.get(1).and_then(Json::as_str).map(Into::into);
    Some(Stretch { start: number(0)?, file, line: number(2)?, column: number(3)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_comes_back_as_it_was_stored() {
        let script = |text: &str| Script::parse(text, Origin::Plugin).unwrap();
        let steps = [
            Step::Sql(script("CREATE TABLE a (); SELECT 'b'")),
            Step::OutsideTransaction(OutsideStep {
                statement: script("CREATE INDEX CONCURRENTLY i ON a (b)"),
                probe: Some("SELECT true".into()),
            }),
            Step::Alone(Script::parse("SET x = 1", Origin::File("m/001_a.up.sql".into())).unwrap()),
            Step::Code("check".into()),
            Step::Batched("fill".into()),
        ];
        let stored = to_json(&steps);
        assert_eq!(to_json(&from_json(&stored.to_string()).unwrap()), stored);
        assert_eq!(stored.as_array().unwrap().len(), 5);
    }

    #[test]
    fn a_damaged_plan_is_no_plan() {
        for text in
            ["", "{}", "[1]", r#"[{"code": 1}]"#, r#"[{"sql": "COMMIT"}]"#, r#"[{"outside_transaction": "VACUUM"}]"#]
        {
            assert!(from_json(text).is_none(), "{text}");
        }
    }
}
