//! What programs get of a session: one statement a call, in the extended protocol, which refuses a second one.

use std::{error::Error as _, sync::Arc};

use futures_util::TryStreamExt;
use tokio_postgres::{Client, types::ToSql};

use super::values::{BadValue, Cell, Param};
use crate::{
    error::DbError,
    value::{Column, Rows, Value},
};

/// A clonable reference to the session's connection, for reading and writing within its transaction.
#[derive(Clone)]
pub struct Handle {
    pub(super) client: Arc<Client>,
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
    /// Runs one statement and collects its rows.
    ///
    /// # Errors
    /// What the server said, or that a parameter does not fit.
    pub async fn query(&self, sql: &str, params: &[Value]) -> Result<Rows, DbError> {
        let limits = QueryLimits { rows_max: usize::MAX, bytes_max: usize::MAX };
        self.query_limited(sql, params, limits).await.map_err(|error| match error {
            QueryError::Db(error) => *error,
            QueryError::TooManyRows | QueryError::TooManyBytes => DbError::default(),
        })
    }

    /// Runs one statement and collects its rows, up to a limit. Past it, the rest is not kept in memory.
    ///
    /// # Errors
    /// What the server said, that a parameter does not fit, or which limit was reached.
    pub async fn query_limited(&self, sql: &str, params: &[Value], limits: QueryLimits) -> Result<Rows, QueryError> {
        let db = |error| QueryError::Db(Box::new(db_error(&error)));
        let statement = self.client.prepare(sql).await.map_err(db)?;
        let columns: Vec<Column> = statement
            .columns()
            .iter()
            .map(|c| Column {
                name: c.name().to_owned(),
                type_name: c.type_().name().to_owned(),
                type_oid: c.type_().oid(),
            })
            .collect();
        check_count(statement.params().len(), params.len()).map_err(QueryError::Db)?;
        let params: Vec<Param<'_>> = params.iter().map(Param).collect();
        let stream =
            self.client.query_raw(&statement, params.iter().map(|p| p as &(dyn ToSql + Sync))).await.map_err(db)?;
        let mut stream = std::pin::pin!(stream);
        let mut result = Rows { columns, rows: Vec::new() };
        let mut bytes = 0;
        while let Some(row) = stream.try_next().await.map_err(db)? {
            if result.rows.len() == limits.rows_max {
                return Err(QueryError::TooManyRows);
            }
            let cells = (0..row.len()).map(|i| row.try_get::<_, Cell>(i).map(|Cell(value)| value));
            let cells: Vec<Value> = cells.collect::<Result<_, _>>().map_err(db)?;
            // As it is kept, which may be far more than what came over the wire: 1e131071 is ten bytes there.
            bytes += cells.iter().map(Value::size_bytes).sum::<usize>();
            if bytes > limits.bytes_max {
                return Err(QueryError::TooManyBytes);
            }
            result.rows.push(cells);
        }
        Ok(result)
    }

    /// Runs one statement and returns the number of rows that it changed.
    ///
    /// # Errors
    /// What the server said, or that a parameter does not fit.
    pub async fn execute(&self, sql: &str, params: &[Value]) -> Result<u64, DbError> {
        let statement = self.client.prepare(sql).await.map_err(|e| db_error(&e))?;
        check_count(statement.params().len(), params.len()).map_err(|error| *error)?;
        let params: Vec<Param<'_>> = params.iter().map(Param).collect();
        let params = params.iter().map(|p| p as &(dyn ToSql + Sync));
        self.client.execute_raw(&statement, params).await.map_err(|e| db_error(&e))
    }
}

/// The driver panics when the counts differ.
fn check_count(wanted: usize, given: usize) -> Result<(), Box<DbError>> {
    if wanted == given {
        return Ok(());
    }
    let message = format!("the statement has {wanted} parameters, {given} were given");
    Err(Box::new(DbError { severity: "ERROR".into(), message, bad_value: true, ..DbError::default() }))
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
