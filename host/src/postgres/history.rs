//! `schema_migrations`: which migrations are applied.

use std::collections::HashMap;

use serde::Serialize;
use tokio_postgres::Row;

use super::{
    handle::db_error,
    quote_copy, quote_ident, quote_literal,
    raw::{Id, Instant, value},
    session::Session,
    tables,
};
use crate::{
    error::{DbError, Error, Result},
    migration::{Checksum, Version},
};

/// The table's name in its schema; the auth service's monitoring reads it.
pub const TABLE: &str = "schema_migrations";

/// The kind of what another tool applied and Lockgate cannot run.
pub const EXTERNAL: &str = "external";

/// How many rows are written in one statement.
const ROWS_A_STATEMENT: usize = 200;

const COLUMNS: [&str; 13] = [
    "version",
    "filename",
    "applied_at",
    "execution_time_ms",
    "description",
    "kind",
    "checksum",
    "up_script",
    "down_script",
    "run_id",
    "applied_by",
    "lockgate_version",
    "backup_id",
];

/// A longer script is not stored as it was applied: a dump of a database is no text that anybody compares by eye.
const UP_SCRIPT_MAX_BYTES: usize = 1 << 20;

/// The digest of a row `t`.
const DIGEST_SQL: &str =
    "pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(t::pg_catalog.text, 'UTF8')), 'hex')";

/// The row of the version `$1`, however its digits were written.
fn is_version() -> String {
    is_version_of("$1")
}

/// The same of a version that is an expression.
fn is_version_of(version: &str) -> String {
    let key = Version::key_sql(&format!("{version}::pg_catalog.text"));
    format!("({}) OPERATOR(pg_catalog.=) ({key})", Version::key_sql("version"))
}

/// One applied migration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Applied {
    /// Its version, as it was written when it was applied.
    pub version: Version,
    /// The file's name then.
    pub filename: String,
    /// The words of the file's name.
    pub description: String,
    /// `sql`, `component` or `external`.
    pub kind: String,
    /// The digest of the script or component that ran.
    pub checksum: Checksum,
    /// Server time, RFC 3339.
    pub applied_at: String,
    /// The steps' duration in milliseconds, without verification and commit.
    pub execution_time_ms: i64,
    /// The role that ran it.
    pub applied_by: String,
    /// The run that did it.
    pub run_id: String,
    /// The backup taken before it, if one was.
    pub backup_id: Option<String>,
    /// The up script of a SQL migration, as it was then; none where it is larger than a mebibyte, or was not asked for.
    #[serde(skip)]
    pub up_script: Option<String>,
    /// The down script of a SQL migration, as it was then; none where it was not asked for.
    #[serde(skip)]
    pub down_script: Option<String>,
}

/// What a run writes into the history for a migration that it has applied.
#[derive(Debug, Clone)]
pub struct Record<'a> {
    /// See [`Applied`].
    pub version: &'a Version,
    /// See [`Applied`].
    pub filename: &'a str,
    /// See [`Applied`].
    pub description: &'a str,
    /// See [`Applied`].
    pub kind: &'a str,
    /// See [`Applied`].
    pub checksum: &'a Checksum,
    /// See [`Applied`].
    pub up_script: Option<&'a str>,
    /// See [`Applied`].
    pub down_script: Option<&'a str>,
    /// See [`Applied`].
    pub execution_time_ms: i64,
    /// See [`Applied`].
    pub backup_id: Option<&'a str>,
}

/// A migration that was applied before Lockgate kept the history.
#[derive(Debug, Clone)]
pub struct Adopted<'a> {
    /// What the row says.
    pub record: Record<'a>,
    /// When it was applied, RFC 3339; `None`: nobody knows, and the row says now.
    pub applied_at: Option<&'a str>,
}

/// Whether a table of these columns is one that this program made.
pub fn is_ours<'a>(columns: impl IntoIterator<Item = &'a str>) -> bool {
    let columns: Vec<&str> = columns.into_iter().collect();
    COLUMNS.iter().all(|column| columns.contains(column))
}

/// Which tool makes a table `schema_migrations` of these columns, if that is known.
pub fn maker<'a>(columns: impl IntoIterator<Item = &'a str>) -> Option<&'static str> {
    let mut columns: Vec<&str> = columns.into_iter().collect();
    columns.sort_unstable();
    match columns.as_slice() {
        ["dirty", "version"] => Some("golang-migrate"),
        ["version"] => Some("dbmate"),
        _ => None,
    }
}

/// The history in one schema.
#[derive(Debug, Clone)]
pub struct History {
    schema: String,
    table: String,
}

impl History {
    /// The history in this schema. Nothing is read or made yet.
    pub fn in_schema(schema: &str) -> Self {
        Self { schema: schema.to_owned(), table: format!("{}.{}", quote_ident(schema), quote_ident(TABLE)) }
    }

    /// The table, quoted.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// The schema, as it was configured.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// All applied migrations in order of version, without their scripts; `None` when the table does not exist yet.
    ///
    /// # Errors
    /// [`Error::DamagedHistory`] when the table is not one that this program made.
    pub async fn read(&self, session: &Session) -> Result<Option<Vec<Applied>>> {
        self.read_by(session, &self.select("NULL::text, NULL::text")).await
    }

    /// The same with the scripts: all that was ever applied.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn read_with_scripts(&self, session: &Session) -> Result<Option<Vec<Applied>>> {
        self.read_by(session, &self.select("down_script, up_script")).await
    }

    /// Asks for the digest of the whole row of a version, as it was written: as [`digests`](Self::digests) has it in a session that is set so.
    pub(super) fn digest_question(&self, version: &Version) -> String {
        let version = quote_literal(version.as_str());
        format!("SELECT {DIGEST_SQL} FROM {} t WHERE version OPERATOR(pg_catalog.=) {version}", self.table)
    }

    /// The digest of each whole row, by its version.
    ///
    /// # Errors
    /// When they cannot be read, or one has no version.
    pub async fn digests(&self, session: &Session) -> Result<HashMap<Version, String>> {
        let sql = format!("SELECT version, {DIGEST_SQL} FROM {} t", self.table);
        let rows = session.client().query(&sql, &[]).await;
        let rows = rows.map_err(|e| Error::database("reading the history", db_error(&e)))?;
        rows.iter().map(|row| Ok((version_of(row)?, value(row, 1)?))).collect()
    }

    /// The down scripts of these versions, as they were applied; only of those that have one.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn down_scripts(&self, session: &Session, versions: &[&Version]) -> Result<HashMap<Version, String>> {
        let sql = format!(
            "SELECT version, down_script FROM {} WHERE version = ANY ($1) AND down_script IS NOT NULL",
            self.table
        );
        let versions: Vec<&str> = versions.iter().map(|version| version.as_str()).collect();
        let rows =
            session.client().query(&sql, &[&versions]).await.map_err(|e| self.unreadable(session, db_error(&e)))?;
        rows.iter().map(|row| Ok((version_of(row)?, value(row, 1)?))).collect()
    }

    /// Whether the table exists.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn is_there(&self, session: &Session) -> Result<bool> {
        let columns = self.columns(session).await?;
        if columns.is_empty() {
            return Ok(false);
        }
        self.check_ours(&columns).map(|()| true)
    }

    async fn read_by(&self, session: &Session, sql: &str) -> Result<Option<Vec<Applied>>> {
        if !self.is_there(session).await? {
            return Ok(None);
        }
        let rows = session.client().query(sql, &[]).await.map_err(|e| self.unreadable(session, db_error(&e)))?;
        in_order(&rows).map(Some)
    }

    /// Which texts are applied: the least that tells whether anything has changed.
    pub(super) fn checksums_question(&self) -> String {
        format!("SELECT version, checksum FROM {}", self.table)
    }

    /// A question that fails where the table is not one that this program made.
    pub(super) fn is_ours_sql(&self) -> String {
        format!("SELECT ({}) IS NULL FROM {} LIMIT 0", COLUMNS.join(", "), self.table)
    }

    /// What [`read`](Self::read) asks of a table that is there: it fails where that is not one that this program made.
    pub(super) fn question(&self) -> String {
        self.select("NULL::text, NULL::text, up_script IS NULL, down_script IS NULL, lockgate_version")
    }

    fn select(&self, scripts: &str) -> String {
        format!(
            "SELECT version, filename, description, kind, checksum,
                    applied_at::timestamptz, execution_time_ms::bigint, applied_by, run_id::uuid, backup_id, {scripts}
             FROM {}",
            self.table
        )
    }

    /// The columns of the table, whosever it is; none when it does not exist yet.
    ///
    /// # Errors
    /// When that cannot be found out.
    pub async fn columns(&self, session: &Session) -> Result<Vec<String>> {
        let sql = "SELECT attname::text FROM pg_catalog.pg_attribute
                   WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped";
        let rows = session.client().query(sql, &[&self.table]).await;
        let rows = rows.map_err(|e| self.unreadable(session, db_error(&e)))?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Whether the table is one that this program made.
    ///
    /// # Errors
    /// [`Error::DamagedHistory`], with the ways out where it is another tool's.
    fn check_ours(&self, columns: &[String]) -> Result<()> {
        let has = |column: &&str| columns.iter().any(|have| have == column);
        let missing: Vec<&str> = COLUMNS.into_iter().filter(|column| !has(column)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let name = format!("{}.{TABLE}", self.schema);
        Err(match maker(columns.iter().map(String::as_str)) {
            Some(tool) => Error::DamagedHistory {
                what: format!("the table `{name}` is as {tool} makes it, not Lockgate's"),
                next: format!(
                    "take its history over (`lockgate adopt --from {tool} --take-over` renames the table and keeps it), or leave it \
                     there and keep Lockgate's own in another schema: `--schema lockgate`, with every command"
                ),
            },
            None => Error::DamagedHistory {
                what: format!("the table `{name}` is not Lockgate's: it has no {}", missing.join(", ")),
                next: "keep another tool's table by choosing another schema for Lockgate's: `--schema lockgate`".into(),
            },
        })
    }

    fn unreadable(&self, session: &Session, error: DbError) -> Error {
        tables::unreadable(session, &self.schema, &self.table, "SELECT, INSERT, DELETE", error)
    }

    /// True when the table holds this version: asked again within the migration's own transaction.
    pub async fn holds(&self, session: &Session, version: &Version) -> Result<bool> {
        let sql = format!("SELECT {}", self.holds_sql("$1"));
        let row = session.client().query_one(&sql, &[&version.as_str()]).await;
        row.map(|row| row.get(0)).map_err(|e| Error::database("re-reading the history", db_error(&e)))
    }

    /// The same for a version with this text: a repeatable migration is there before it is applied once more.
    pub async fn holds_text(&self, session: &Session, version: &Version, checksum: &Checksum) -> Result<bool> {
        let sql = format!(
            "SELECT EXISTS (SELECT FROM {} WHERE {} AND checksum OPERATOR(pg_catalog.=) $2)",
            self.table,
            is_version()
        );
        let row = session.client().query_one(&sql, &[&version.as_str(), &checksum.as_str()]).await;
        row.map(|row| row.get(0)).map_err(|e| Error::database("re-reading the history", db_error(&e)))
    }

    /// An expression that is true when the table holds the version that is an expression itself.
    pub(super) fn holds_sql(&self, version: &str) -> String {
        format!("EXISTS (SELECT FROM {} WHERE {})", self.table, is_version_of(version))
    }

    /// The same when a run of this id has written it.
    fn holds_of_run_sql(&self, version: &str, run_id: &str) -> String {
        format!(
            "EXISTS (SELECT FROM {} WHERE version OPERATOR(pg_catalog.=) {version}
                     AND run_id OPERATOR(pg_catalog.=) {run_id}::pg_catalog.uuid)",
            self.table
        )
    }

    /// The statement that records a migration which is not there.
    fn record_sql(&self, run_id: uuid::Uuid, record: &Record<'_>) -> String {
        format!("INSERT INTO {} ({RECORDED}) VALUES ({})", self.table, record.values(run_id))
    }

    /// The same, to be prepared: its parameters are a record's [`arguments`](Record::arguments), what it took is an expression.
    pub(super) fn recorded_sql(&self, run_id: uuid::Uuid, took: &str) -> String {
        let values = values("$1, $2, $3, $4, $5, $6, $7, $8", took, run_id);
        format!("INSERT INTO {} ({RECORDED}) VALUES ({values})", self.table)
    }

    /// The statement that removes a version, which is an expression.
    pub(super) fn forget_sql(&self, version: &str) -> String {
        format!("DELETE FROM {} WHERE {}", self.table, is_version_of(version))
    }

    /// The statements that make the table. Run under the lock only.
    pub(super) fn ddl(&self) -> String {
        let table = &self.table;
        format!(
            "CREATE TABLE IF NOT EXISTS {table} (
                 version text PRIMARY KEY CHECK (version ~ '^([0-9]+([.][0-9]+)*|R__.+)$'),
                 filename text NOT NULL,
                 applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
                 execution_time_ms bigint NOT NULL CHECK (execution_time_ms >= 0),
                 description text NOT NULL,
                 kind text NOT NULL CHECK (kind IN ('sql', 'component', 'external')),
                 checksum text NOT NULL,
                 up_script text,
                 down_script text,
                 run_id uuid NOT NULL,
                 applied_by text NOT NULL DEFAULT session_user,
                 lockgate_version text NOT NULL,
                 backup_id text
             );
             CREATE UNIQUE INDEX IF NOT EXISTS {index} ON {table} (({key}));
             COMMENT ON TABLE {table} IS 'The migrations that are applied. Written by lockgate in the migration''s own transaction.';
             COMMENT ON COLUMN {table}.execution_time_ms IS 'Duration of the steps, without verification and commit.';
             COMMENT ON COLUMN {table}.checksum IS 'SHA-256 of the up script (line endings as LF) or of the component.';
             COMMENT ON COLUMN {table}.up_script IS 'The up script as it was when the migration was applied, up to a mebibyte.';
             COMMENT ON COLUMN {table}.down_script IS 'The down script as it was when the migration was applied.';",
            index = quote_ident(&format!("{TABLE}_number_key")),
            key = Version::key_sql("version"),
        )
    }

    /// Records a migration as applied, in the open transaction; a repeatable one in the place of its former row. Returns how many rows
    /// that took away.
    pub async fn record(&self, session: &Session, run_id: uuid::Uuid, record: &Record<'_>) -> Result<u8> {
        let former = record.version.is_repeatable() && self.holds(session, record.version).await?;
        if former {
            self.forget(session, record.version).await?;
        }
        let sql = self.record_sql(run_id, record);
        session.batch("recording the migration", &sql).await?;
        Ok(u8::from(former))
    }

    /// Takes the file as it now is for what was applied: another name, digest and scripts, and all else as it was. In the open transaction.
    pub async fn realign(&self, session: &Session, record: &Record<'_>) -> Result<()> {
        const DOING: &str = "repairing the history";
        let text = |value: Option<&str>| value.map_or_else(|| "NULL".to_owned(), quote_literal);
        // No right to update rows is asked of the role.
        let sql = format!(
            "WITH former AS (DELETE FROM {table} WHERE {is_version} RETURNING *)
             INSERT INTO {table} (version, filename, applied_at, execution_time_ms, description, kind, checksum, up_script, down_script,
                                  run_id, applied_by, lockgate_version, backup_id)
             SELECT version, {filename}, applied_at, execution_time_ms, {description}, {kind}, {checksum}, {up_script}, {down_script},
                    run_id, applied_by, lockgate_version, backup_id FROM former",
            table = self.table,
            is_version = is_version(),
            filename = quote_literal(record.filename),
            description = quote_literal(record.description),
            kind = quote_literal(record.kind),
            checksum = quote_literal(record.checksum.as_str()),
            up_script = text(record.up_script.filter(|script| script.len() <= UP_SCRIPT_MAX_BYTES)),
            down_script = text(record.down_script),
        );
        let written = session.client().of(sql.len()).execute(&sql, &[&record.version.as_str()]).await;
        match written.map_err(|e| Error::database(DOING, db_error(&e)))? {
            1 => Ok(()),
            n => Err(Error::system(DOING, format!("{n} rows of `{}` were found, not one", record.version))),
        }
    }

    /// Records migrations that were applied before, in the open transaction.
    pub async fn adopt(&self, session: &Session, run_id: uuid::Uuid, rows: &[Adopted<'_>]) -> Result<()> {
        for rows in rows.chunks(ROWS_A_STATEMENT) {
            let values: Vec<String> = rows.iter().map(|row| row.values(run_id)).collect();
            let sql = format!("INSERT INTO {} ({RECORDED}, applied_at) VALUES {}", self.table, values.join(",\n"));
            session.batch("recording the migrations", &sql).await?;
        }
        Ok(())
    }

    /// How many rows a run has written: a trigger of somebody's may have kept some away.
    pub async fn count_of_run(&self, session: &Session, run_id: uuid::Uuid) -> Result<usize> {
        let sql = format!("SELECT count(*) FROM {} WHERE run_id::text = $1", self.table);
        let row = session.client().query_one(&sql, &[&run_id.to_string()]).await;
        let row = row.map_err(|e| Error::database("re-reading the history", db_error(&e)))?;
        Ok(usize::try_from(row.get::<_, i64>(0)).unwrap_or_default())
    }

    /// Gives the table that is in the way another name, in the open transaction; it keeps its rows, and whatever depends on it.
    pub async fn set_aside(&self, session: &Session, name: &str) -> Result<()> {
        let renamed = quote_ident(name);
        let key = quote_ident(&format!("{TABLE}_pkey"));
        // The key of the new table takes the old one's name.
        let sql = format!(
            "ALTER TABLE {table} RENAME TO {renamed};
             DO $do$ BEGIN
                 IF EXISTS (SELECT FROM pg_catalog.pg_constraint
                            WHERE conrelid = {literal}::regclass AND conname = '{TABLE}_pkey') THEN
                     ALTER TABLE {schema}.{renamed} RENAME CONSTRAINT {key} TO {key_renamed};
                 END IF;
             END $do$;",
            table = self.table,
            schema = quote_ident(&self.schema),
            literal = quote_literal(&format!("{}.{renamed}", quote_ident(&self.schema))),
            key_renamed = quote_ident(&format!("{name}_pkey")),
        );
        session.batch("renaming the table that is in the way", &sql).await
    }

    /// Removes a migration that was reverted, in the open transaction.
    pub async fn forget(&self, session: &Session, version: &Version) -> Result<()> {
        const DOING: &str = "removing the migration from the history";
        let sql = self.forget_sql("$1");
        let removed = session.client().execute(&sql, &[&version.as_str()]).await;
        match removed.map_err(|e| Error::database(DOING, db_error(&e)))? {
            1 => Ok(()),
            n => Err(Error::system(DOING, format!("{n} rows of `{version}` were found, not one"))),
        }
    }

    /// Whether the row that this run wrote is there: a trigger of somebody's may have changed it.
    pub async fn holds_of_run(&self, session: &Session, version: &Version, run_id: uuid::Uuid) -> Result<bool> {
        let sql = format!("SELECT {}", self.holds_of_run_sql("$1", "$2"));
        let row = session.client().query_one(&sql, &[&version.as_str(), &run_id.to_string()]).await;
        row.map(|row| row.get(0)).map_err(|e| Error::database("re-reading the history", db_error(&e)))
    }
}

/// What is written into the history.
const RECORDED: &str = "version, filename, description, kind, checksum, up_script, down_script, backup_id, execution_time_ms, run_id, lockgate_version";

/// For the columns of [`RECORDED`].
fn values(arguments: &str, took: &str, run_id: uuid::Uuid) -> String {
    format!("{arguments}, {took}, '{run_id}', '{}'", env!("CARGO_PKG_VERSION"))
}

fn or_null(value: Option<&str>, quote: fn(&str) -> String) -> String {
    value.map_or_else(|| "NULL".to_owned(), quote)
}

impl Record<'_> {
    fn values(&self, run_id: uuid::Uuid) -> String {
        values(&self.arguments(), &self.execution_time_ms.to_string(), run_id)
    }

    /// What differs from migration to migration of a run.
    pub(super) fn arguments(&self) -> String {
        format!(
            "{}, {}, {}, {}, {}, {}, {}, {}",
            quote_literal(self.version.as_str()),
            quote_literal(self.filename),
            quote_literal(self.description),
            quote_literal(self.kind),
            quote_literal(self.checksum.as_str()),
            or_null(self.up_script.filter(|script| script.len() <= UP_SCRIPT_MAX_BYTES), quote_copy),
            or_null(self.down_script, quote_copy),
            or_null(self.backup_id, quote_literal),
        )
    }
}

impl Adopted<'_> {
    fn values(&self, run_id: uuid::Uuid) -> String {
        let applied_at = self.applied_at.map_or_else(|| "clock_timestamp()".to_owned(), quote_literal);
        format!("({}, {applied_at})", self.record.values(run_id))
    }
}

/// Rows of the history, in order of version.
pub(super) fn in_order(rows: &[Row]) -> Result<Vec<Applied>> {
    let mut rows = rows.iter().map(applied).collect::<Result<Vec<_>>>()?;
    rows.sort_by(|a, b| a.version.cmp(&b.version));
    Ok(rows)
}

fn version_of(row: &Row) -> Result<Version> {
    let text: &str = value(row, 0)?;
    Version::parse(text).ok_or_else(|| Error::DamagedHistory {
        what: format!("the history holds `{text}`, which is no version"),
        next: "find out who wrote that row; Lockgate writes none but digits, dots and `R__name`".into(),
    })
}

fn applied(row: &Row) -> Result<Applied> {
    Ok(Applied {
        version: version_of(row)?,
        filename: value(row, 1)?,
        description: value(row, 2)?,
        kind: value(row, 3)?,
        checksum: Checksum::recorded(value::<String>(row, 4)?),
        applied_at: value::<Instant>(row, 5)?.0,
        execution_time_ms: value(row, 6)?,
        applied_by: value(row, 7)?,
        run_id: value::<Id>(row, 8)?.0,
        backup_id: value(row, 9)?,
        down_script: value(row, 10)?,
        up_script: value(row, 11)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_makers_of_a_table_are_known_by_its_columns() {
        assert_eq!(maker(["version", "dirty"]), Some("golang-migrate"));
        assert_eq!(maker(["version"]), Some("dbmate"));
        assert_eq!(maker(["version", "inserted_at"]), None);
        assert!(is_ours(COLUMNS) && !is_ours(["version", "dirty"]));
    }
}
