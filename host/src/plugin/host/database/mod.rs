//! `lockgate:migration/database`: statements of a guest, refused where the transaction or the session is touched. One file a
//! resource.
#![allow(clippy::result_large_err, reason = "the interface's own type, which every call returns")]

mod copy_sink;
mod cursor;
mod reader;
mod savepoint;
mod transaction;

use wasmtime::component::Resource;

use crate::{
    plugin::{
        bindings::lockgate::migration::{
            database::{Error, Host, Rows, Value},
            types,
        },
        convert,
        limits::Reached,
        opened::Opened,
        state::{Cursor, State},
    },
    postgres::{Handle, QueryError},
    sql::{Refusal, check_query, check_statement},
};

impl Host for State {}
impl types::Host for State {}

/// What the server takes in one message, less what the host puts around a statement.
const STATEMENT_MAX_BYTES: usize = (1 << 30) - (1 << 10);

impl State {
    async fn run_query(&mut self, handle: Handle, sql: &str, params: Vec<Value>) -> Result<Rows, Error> {
        self.check(sql, check_statement)?;
        let params: Vec<_> = params.into_iter().map(convert::from_guest).collect();
        let limits = self.rights.limits.query();
        let rows = handle.query_limited(sql, &params, limits).await;
        rows.map(convert::rows_to_guest).map_err(|error| self.query_failed(error))
    }

    async fn run_execute(&mut self, handle: Handle, sql: &str, params: Vec<Value>) -> Result<u64, Error> {
        self.check(sql, check_statement)?;
        let params: Vec<_> = params.into_iter().map(convert::from_guest).collect();
        handle.execute(sql, &params).await.map_err(convert::error_to_guest)
    }

    async fn run_open_cursor(
        &mut self,
        handle: Handle,
        sql: &str,
        params: Vec<Value>,
    ) -> wasmtime::Result<Result<Resource<Cursor>, Error>> {
        let start = match self.check(sql, check_query) {
            Ok(start) => start,
            Err(error) => return Ok(Err(error)),
        };
        if self.database.opened.cursors() >= self.rights.limits.cursors_max {
            return Ok(Err(self.reached(&Reached::cursors(&self.rights.limits))));
        }
        let params: Vec<_> = params.into_iter().map(convert::from_guest).collect();
        match handle.open_cursor(sql, start, &params).await {
            Ok(cursor) => {
                self.database.opened.push(Opened::Cursor(cursor.name().to_owned()));
                Ok(Ok(self.table.push(Cursor(cursor))?))
            }
            Err(error) => Ok(Err(convert::error_to_guest(error))),
        }
    }

    /// Whether a statement may be sent now. What the rule says of it is returned.
    fn check<T>(&mut self, sql: &str, rule: impl FnOnce(&str) -> Result<T, Refusal>) -> Result<T, Error> {
        self.check_free()?;
        if sql.contains('\0') {
            return Err(Error::BadValue("the statement has a NUL character, which PostgreSQL does not take".into()));
        }
        if sql.len() > STATEMENT_MAX_BYTES {
            return Err(Error::BadValue("the statement is longer than the 1 GiB that PostgreSQL takes".into()));
        }
        rule(sql).map_err(|refusal| self.denied(refusal.to_string()))
    }

    /// Whether the connection takes anything now.
    fn check_free(&mut self) -> Result<(), Error> {
        if let Some(text) = &self.exhausted {
            return Err(Error::Limit(text.clone()));
        }
        if self.database.copying {
            let text = "a COPY is under way: finish or drop its sink before anything else is asked of the database";
            return Err(self.denied(text.to_owned()));
        }
        Ok(())
    }

    /// What was denied fails the call, even if the guest goes on.
    fn denied(&mut self, text: String) -> Error {
        self.refused.get_or_insert_with(|| text.clone());
        Error::Denied(text)
    }

    /// A limit, too, ends the call, even if the guest goes on.
    fn reached(&mut self, limit: &Reached) -> Error {
        let text = limit.to_string();
        self.refused.get_or_insert_with(|| text.clone());
        Error::Limit(text)
    }

    fn query_failed(&mut self, error: QueryError) -> Error {
        let limit = match error {
            QueryError::Db(error) => return convert::error_to_guest(*error),
            QueryError::TooManyRows => Reached::rows(&self.rights.limits),
            QueryError::TooManyBytes => Reached::bytes(&self.rights.limits),
        };
        self.exhausted.get_or_insert_with(|| limit.to_string());
        self.reached(&limit)
    }
}
