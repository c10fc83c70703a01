//! What programs get of a session: one statement a call, in the extended protocol, which refuses a second one.

use std::{
    error::Error as _,
    ops::Deref,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
};

use futures_util::TryStreamExt;
use tokio::task::AbortHandle;
use tokio_postgres::{Client, Row, RowStream, Statement, types::ToSql};

use super::values::{BadValue, Cell, CellSize, Param, sent_bytes_max};
use crate::{
    error::DbError,
    sql::scan::{Kind, tokens},
    value::{Column, Rows, Value},
};

/// A clonable reference to the session's connection, for reading and writing within its transaction.
#[derive(Clone)]
pub struct Handle {
    pub(super) client: Arc<Client>,
    driver: AbortHandle,
    pub(super) questions: Questions,
    /// The rows that statements of programs have changed.
    pub(super) changed: Arc<AtomicU64>,
}

/// Counts the questions to the server, so that another session can tell who waits for an answer from who asks nothing.
#[derive(Clone, Default)]
pub(super) struct Questions(Arc<Counts>);

#[derive(Default)]
struct Counts {
    asked: AtomicU64,
    open: AtomicU32,
    /// Of those that are open, where they were told.
    bytes: AtomicUsize,
}

/// A question; its end is the answer, or that nobody waits for it any longer.
pub(super) struct Question<'a> {
    counts: &'a Counts,
    bytes: usize,
}

/// The last question, which is not answered yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OpenQuestion {
    pub(super) number: u64,
    /// How much the server has to receive before it can answer: what was told of this question, and of those that are open before it.
    pub(super) bytes: usize,
}

impl Questions {
    pub(super) fn ask(&self) -> Question<'_> {
        self.0.asked.fetch_add(1, Ordering::Relaxed);
        self.0.open.fetch_add(1, Ordering::Relaxed);
        Question { counts: &self.0, bytes: 0 }
    }

    /// The last question, if one is not answered.
    pub(super) fn open(&self) -> Option<OpenQuestion> {
        (self.0.open.load(Ordering::Relaxed) > 0).then(|| OpenQuestion {
            number: self.0.asked.load(Ordering::Relaxed),
            bytes: self.0.bytes.load(Ordering::Relaxed),
        })
    }
}

impl Question<'_> {
    /// A question of that many bytes, which may take a while to reach the server.
    pub(super) fn of(mut self, bytes: usize) -> Self {
        self.counts.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
        self
    }
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        self.counts.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.counts.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The driver's client, for as long as a question to it is open.
pub(super) struct Asked<'a> {
    client: &'a Client,
    question: Question<'a>,
}

impl Asked<'_> {
    /// See [`Question::of`].
    pub(super) fn of(self, bytes: usize) -> Self {
        Self { question: self.question.of(bytes), ..self }
    }
}

impl Deref for Asked<'_> {
    type Target = Client;

    fn deref(&self) -> &Client {
        self.client
    }
}

/// How much a result may hold.
#[derive(Debug, Clone, Copy)]
pub struct QueryLimits {
    /// Rows.
    pub rows_max: usize,
    /// Bytes as they are kept in memory.
    pub bytes_max: usize,
}

/// Why a limited query failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueryError {
    /// The server or the parameters.
    Db(Box<DbError>),
    /// The result has more rows than allowed.
    TooManyRows,
    /// The result has more bytes than allowed.
    TooManyBytes,
}

impl Handle {
    /// The driver's client, asked something within the statement that calls this.
    pub(super) fn asked(&self) -> Asked<'_> {
        Asked { client: &self.client, question: self.questions.ask() }
    }

    /// `driver` is the task that the client's questions go through.
    pub(super) fn of(client: Client, driver: AbortHandle) -> Self {
        Self { client: Arc::new(client), driver, questions: Questions::default(), changed: Arc::default() }
    }

    /// How many rows statements of programs have inserted, updated, deleted and copied so far, as the server counts them; also those that
    /// a savepoint has taken back.
    pub fn changed(&self) -> u64 {
        self.changed.load(Ordering::Relaxed)
    }

    fn count(&self, sql: &str, rows: Option<u64>) {
        if let Some(rows) = rows.filter(|rows| *rows > 0)
            && changes_rows(sql)
        {
            self.changed.fetch_add(rows, Ordering::Relaxed);
        }
    }

    /// Ends the connection as if it had been lost: nobody could tell any longer what its answers belong to.
    pub(super) fn give_up(&self) {
        tracing::warn!("the connection is given up: the driver has lost count of its answers");
        self.driver.abort();
    }

    /// Runs one statement and collects its rows.
    ///
    /// # Errors
    /// What the server said, or that a parameter does not fit.
    pub async fn query(&self, sql: &str, params: &[Value]) -> Result<Rows, DbError> {
        let (columns, stream) = self.send(sql, params).await.map_err(|error| *error)?;
        self.collected(sql, columns, stream).await
    }

    /// Runs one statement and collects its rows, up to a limit. Past it, the rest is not kept in memory.
    ///
    /// # Errors
    /// What the server said, that a parameter does not fit, or which limit was reached.
    pub async fn query_limited(&self, sql: &str, params: &[Value], limits: QueryLimits) -> Result<Rows, QueryError> {
        let (columns, stream) = self.send(sql, params).await?;
        let mut stream = pin!(stream);
        let rows = collect(stream.as_mut(), limits).await?;
        self.count(sql, stream.rows_affected());
        Ok(Rows { columns, rows })
    }

    /// Runs statements without parameters, one after the other, and tells what each returns with its number. Each is prepared while the one before it
    /// runs, which the server sees no difference in. `before` is run before all of them: the host's own, which returns nothing.
    ///
    /// # Errors
    /// What the server said, and of which statement; of those behind it none has done anything. What was to run before is the first one's.
    pub async fn query_each(
        &self,
        before: &str,
        statements: &[&str],
        mut each: impl FnMut(usize, Rows),
    ) -> Result<(), (usize, DbError)> {
        let Some(first) = statements.first() else { return Ok(()) };
        let begin = async { if before.is_empty() { Ok(()) } else { self.asked().batch_execute(before).await } };
        let (begun, mut prepared) = tokio::join!(begin, self.prepared(first));
        // It stands nowhere in the author's file.
        begun.map_err(|e| (0, DbError { position: None, ..db_error(&e) }))?;
        for (n, sql) in statements.iter().enumerate() {
            let statement = prepared.map_err(|e| (n, db_error(&e)))?;
            let next = async {
                match statements.get(n + 1) {
                    Some(next) => Some(self.prepared(next).await),
                    None => None,
                }
            };
            let (rows, next) = tokio::join!(self.rows_of(&statement, sql), next);
            each(n, rows.map_err(|error| (n, error))?);
            let Some(next) = next else { break };
            prepared = next;
        }
        Ok(())
    }

    async fn rows_of(&self, statement: &Statement, sql: &str) -> Result<Rows, DbError> {
        let (columns, stream) = self.send_prepared(statement, &[]).await.map_err(|error| *error)?;
        self.collected(sql, columns, stream).await
    }

    async fn collected(&self, sql: &str, columns: Vec<Column>, stream: RowStream) -> Result<Rows, DbError> {
        let (mut stream, mut rows) = (pin!(stream), Vec::new());
        while let Some(row) = stream.try_next().await.map_err(|e| db_error(&e))? {
            rows.push(cells(&row).map_err(|e| db_error(&e))?);
        }
        self.count(sql, stream.rows_affected());
        Ok(Rows { columns, rows })
    }

    /// Sends one statement. Its rows are still to be read.
    async fn send(&self, sql: &str, params: &[Value]) -> Result<(Vec<Column>, RowStream), Box<DbError>> {
        let statement = self.prepared(sql).await.map_err(|e| Box::new(db_error(&e)))?;
        self.send_prepared(&statement, params).await
    }

    async fn send_prepared(
        &self,
        statement: &Statement,
        params: &[Value],
    ) -> Result<(Vec<Column>, RowStream), Box<DbError>> {
        let _asked = self.questions.ask().of(bytes_of(params));
        check_params(statement, params)?;
        let columns = columns_of(statement);
        let params: Vec<Param<'_>> = params.iter().map(Param).collect();
        let params = params.iter().map(|p| p as &(dyn ToSql + Sync));
        Ok((columns, self.client.query_raw(statement, params).await.map_err(|e| Box::new(db_error(&e)))?))
    }

    /// Asks the server whether it would take a statement, and does not run it.
    ///
    /// # Errors
    /// What the server said.
    pub async fn prepare(&self, sql: &str) -> Result<(), DbError> {
        self.prepared(sql).await.map(drop).map_err(|e| db_error(&e))
    }

    async fn prepared(&self, sql: &str) -> Result<Statement, tokio_postgres::Error> {
        let _asked = self.questions.ask().of(sql.len());
        self.client.prepare(sql).await
    }

    /// Runs one statement and returns the number of rows that it changed.
    ///
    /// # Errors
    /// What the server said, or that a parameter does not fit.
    pub async fn execute(&self, sql: &str, params: &[Value]) -> Result<u64, DbError> {
        let statement = self.prepared(sql).await.map_err(|e| db_error(&e))?;
        let _asked = self.questions.ask().of(bytes_of(params));
        check_params(&statement, params).map_err(|error| *error)?;
        let params: Vec<Param<'_>> = params.iter().map(Param).collect();
        let params = params.iter().map(|p| p as &(dyn ToSql + Sync));
        let rows = self.client.execute_raw(&statement, params).await.map_err(|e| db_error(&e))?;
        self.count(sql, Some(rows));
        Ok(rows)
    }
}

impl From<tokio_postgres::Error> for QueryError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Db(Box::new(db_error(&error)))
    }
}

impl From<Box<DbError>> for QueryError {
    fn from(error: Box<DbError>) -> Self {
        Self::Db(error)
    }
}

fn bytes_of(params: &[Value]) -> usize {
    params.iter().map(sent_bytes_max).fold(0, usize::saturating_add)
}

pub(super) fn columns_of(statement: &Statement) -> Vec<Column> {
    let column = |c: &tokio_postgres::Column| Column {
        name: c.name().to_owned(),
        type_name: c.type_().name().to_owned(),
        type_oid: c.type_().oid(),
    };
    statement.columns().iter().map(column).collect()
}

fn cells(row: &Row) -> Result<Vec<Value>, tokio_postgres::Error> {
    (0..row.len()).map(|i| row.try_get(i).map(|Cell(value)| value)).collect()
}

/// Whether the rows that the server counts of a statement are ones that it changes, not ones that it only reads.
fn changes_rows(sql: &str) -> bool {
    let mut depth = 0_usize;
    for token in tokens(sql) {
        match token.kind {
            Kind::Open => depth += 1,
            Kind::Close => depth = depth.saturating_sub(1),
            // After `WITH`, what its queries are for.
            Kind::Word if depth == 0 => {
                let is = |word: &str| sql[token.start..token.end].eq_ignore_ascii_case(word);
                if ["INSERT", "UPDATE", "DELETE", "MERGE"].iter().any(|word| is(word)) {
                    return true;
                }
                if ["SELECT", "VALUES", "TABLE"].iter().any(|word| is(word)) {
                    return false;
                }
            }
            _ => {}
        }
    }
    false
}

/// Reads a result to its end, or to the first row past a limit.
///
/// The driver holds one row as the server sent it, which may be 1 GiB, whatever the limits are: it has no limit of its own. What
/// is made of a row is counted before it is made.
pub(super) async fn collect(
    mut stream: Pin<&mut RowStream>,
    limits: QueryLimits,
) -> Result<Vec<Vec<Value>>, QueryError> {
    let (mut rows, mut bytes) = (Vec::new(), 0_usize);
    while let Some(row) = stream.try_next().await? {
        if rows.len() == limits.rows_max {
            return Err(QueryError::TooManyRows);
        }
        // First what came over the wire, because to look into an array of that many elements takes memory, too.
        if bytes.saturating_add(row.raw_size_bytes()) > limits.bytes_max {
            return Err(QueryError::TooManyBytes);
        }
        let mut cells = Vec::with_capacity(row.len());
        for i in 0..row.len() {
            // As it is kept, which may be far more than what came over the wire: 1e131071 is ten bytes there.
            let CellSize(size) = row.try_get(i)?;
            bytes = bytes.saturating_add(size);
            if bytes > limits.bytes_max {
                return Err(QueryError::TooManyBytes);
            }
            let Cell(value) = row.try_get(i)?;
            cells.push(value);
        }
        rows.push(cells);
    }
    Ok(rows)
}

/// The most that the server takes in one message, `PQ_LARGE_MESSAGE_LIMIT`; it ends the connection when there is more.
const MESSAGE_MAX_BYTES: usize = 0x3fff_ffff - 1;

/// Refuses what the driver or the server would answer by giving the connection up.
pub(super) fn check_params(statement: &Statement, params: &[Value]) -> Result<(), Box<DbError>> {
    let (wanted, given) = (statement.params().len(), params.len());
    if wanted != given {
        return Err(bad_value(format!("the statement has {wanted} parameters, {given} were given")));
    }
    let bytes = params.iter().fold(0_usize, |sum, param| sum.saturating_add(sent_bytes_max(param)));
    if bytes > MESSAGE_MAX_BYTES {
        return Err(bad_value("the parameters are longer than the 1 GiB that PostgreSQL takes".to_owned()));
    }
    Ok(())
}

pub(super) fn bad_value(message: String) -> Box<DbError> {
    Box::new(DbError { severity: "ERROR".into(), message, bad_value: true, ..DbError::default() })
}

/// Keeps what can be acted on.
pub(super) fn db_error(error: &tokio_postgres::Error) -> DbError {
    let Some(db) = error.as_db_error() else {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message = format!("{message}: {cause}");
            source = cause.source();
        }
        let bad_value = error.source().is_some_and(|cause| cause.is::<BadValue>());
        let connection_lost = error.is_closed() || message.starts_with("error communicating with the server");
        return DbError { severity: "ERROR".into(), message, bad_value, connection_lost, ..DbError::default() };
    };
    let text = |field: Option<&str>| field.map(str::to_owned);
    let sqlstate = db.code().code();
    DbError {
        sqlstate: Some(sqlstate.to_owned()),
        severity: db.severity().to_owned(),
        message: db.message().to_owned(),
        detail: text(db.detail()),
        hint: text(db.hint()),
        position: match db.position() {
            Some(tokio_postgres::error::ErrorPosition::Original(position)) => Some(*position),
            _ => None,
        },
        excerpt: None,
        internal_query: match db.position() {
            Some(tokio_postgres::error::ErrorPosition::Internal { query, .. }) => Some(query.clone()),
            _ => None,
        },
        internal_position: match db.position() {
            Some(tokio_postgres::error::ErrorPosition::Internal { position, .. }) => Some(*position),
            _ => None,
        },
        context: text(db.where_()),
        schema: text(db.schema()),
        table: text(db.table()),
        column: text(db.column()),
        data_type: text(db.datatype()),
        constraint: text(db.constraint()),
        bad_value: false,
        // Class 57 P: the server ends the connection after it said so.
        connection_lost: matches!(sqlstate, "57P01" | "57P02" | "57P03" | "57P05") || db.severity() == "FATAL",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_are_only_read_are_not_counted() {
        for sql in [
            "INSERT INTO a SELECT 1",
            " /* x */ update a set b = 1 RETURNING b",
            "WITH x AS (SELECT 1) DELETE FROM a USING x",
            "WITH x (a, b) AS MATERIALIZED (SELECT 1, 2) MERGE INTO a USING x ON true WHEN MATCHED THEN DELETE",
        ] {
            assert!(changes_rows(sql), "{sql}");
        }
        for sql in [
            "SELECT * FROM a FOR UPDATE",
            "WITH x AS (DELETE FROM a RETURNING 1) SELECT count(*) FROM x",
            "LOCK TABLE a",
            "VALUES (1)",
            "(SELECT 'UPDATE')",
            "",
        ] {
            assert!(!changes_rows(sql), "{sql}");
        }
    }
}
