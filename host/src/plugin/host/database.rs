//! `lockgate:migration/database`: statements of a guest, refused where the transaction or the session is touched.

use wasmtime::component::Resource;

use crate::{
    plugin::{
        bindings::lockgate::migration::{
            database::{
                Column, Error, Host, HostCopySink, HostCursor, HostReader, HostSavepoint, HostTransaction, Rows, Value,
            },
            types,
        },
        convert,
        limits::Reached,
        state::{CopySink, Cursor, Reader, Savepoint, State, Transaction},
    },
    postgres::{Handle, QueryError},
    sql::check_statement,
};

impl Host for State {}
impl types::Host for State {}

impl HostReader for State {
    async fn query(
        &mut self,
        reader: Resource<Reader>,
        sql: String,
        params: Vec<Value>,
    ) -> wasmtime::Result<Result<Rows, Error>> {
        let handle = self.table.get(&reader)?.0.clone();
        Ok(self.run_query(handle, &sql, params).await)
    }

    async fn open_cursor(
        &mut self,
        _reader: Resource<Reader>,
        _sql: String,
        _params: Vec<Value>,
    ) -> wasmtime::Result<Result<Resource<Cursor>, Error>> {
        Ok(Err(Error::Denied("not yet".into())))
    }

    async fn drop(&mut self, reader: Resource<Reader>) -> wasmtime::Result<()> {
        self.table.delete(reader)?;
        Ok(())
    }
}

impl HostTransaction for State {
    async fn query(
        &mut self,
        transaction: Resource<Transaction>,
        sql: String,
        params: Vec<Value>,
    ) -> wasmtime::Result<Result<Rows, Error>> {
        let handle = self.table.get(&transaction)?.0.clone();
        Ok(self.run_query(handle, &sql, params).await)
    }

    async fn execute(
        &mut self,
        transaction: Resource<Transaction>,
        sql: String,
        params: Vec<Value>,
    ) -> wasmtime::Result<Result<u64, Error>> {
        let handle = self.table.get(&transaction)?.0.clone();
        Ok(self.run_execute(handle, &sql, params).await)
    }

    async fn open_cursor(
        &mut self,
        _transaction: Resource<Transaction>,
        _sql: String,
        _params: Vec<Value>,
    ) -> wasmtime::Result<Result<Resource<Cursor>, Error>> {
        Ok(Err(Error::Denied("not yet".into())))
    }

    async fn copy_in(
        &mut self,
        _transaction: Resource<Transaction>,
        _sql: String,
    ) -> wasmtime::Result<Result<Resource<CopySink>, Error>> {
        Ok(Err(Error::Denied("not yet".into())))
    }

    async fn savepoint(
        &mut self,
        _transaction: Resource<Transaction>,
    ) -> wasmtime::Result<Result<Resource<Savepoint>, Error>> {
        Ok(Err(Error::Denied("not yet".into())))
    }

    async fn drop(&mut self, transaction: Resource<Transaction>) -> wasmtime::Result<()> {
        self.table.delete(transaction)?;
        Ok(())
    }
}

impl HostCursor for State {
    async fn columns(&mut self, _cursor: Resource<Cursor>) -> wasmtime::Result<Vec<Column>> {
        Ok(Vec::new())
    }

    async fn fetch(
        &mut self,
        _cursor: Resource<Cursor>,
        _max_rows: u32,
    ) -> wasmtime::Result<Result<Vec<Vec<Value>>, Error>> {
        Ok(Err(Error::Denied("not yet".into())))
    }

    async fn drop(&mut self, cursor: Resource<Cursor>) -> wasmtime::Result<()> {
        self.table.delete(cursor)?;
        Ok(())
    }
}

impl HostCopySink for State {
    async fn write(&mut self, _sink: Resource<CopySink>, _data: Vec<u8>) -> wasmtime::Result<Result<(), Error>> {
        Ok(Err(Error::Denied("not yet".into())))
    }

    async fn finish(&mut self, _sink: Resource<CopySink>) -> wasmtime::Result<Result<u64, Error>> {
        Ok(Err(Error::Denied("not yet".into())))
    }

    async fn drop(&mut self, sink: Resource<CopySink>) -> wasmtime::Result<()> {
        self.table.delete(sink)?;
        Ok(())
    }
}

impl HostSavepoint for State {
    async fn rollback(&mut self, _savepoint: Resource<Savepoint>) -> wasmtime::Result<Result<(), Error>> {
        Ok(Err(Error::Denied("not yet".into())))
    }

    async fn release(&mut self, _savepoint: Resource<Savepoint>) -> wasmtime::Result<Result<(), Error>> {
        Ok(Err(Error::Denied("not yet".into())))
    }

    async fn drop(&mut self, savepoint: Resource<Savepoint>) -> wasmtime::Result<()> {
        self.table.delete(savepoint)?;
        Ok(())
    }
}

impl State {
    async fn run_query(&mut self, handle: Handle, sql: &str, params: Vec<Value>) -> Result<Rows, Error> {
        self.check(sql)?;
        let params: Vec<_> = params.into_iter().map(convert::from_guest).collect();
        let limits = self.rights.limits.query();
        match self.wait(handle.query_limited(sql, &params, limits)).await {
            Ok(rows) => Ok(convert::rows_to_guest(rows)),
            Err(QueryError::Db(error)) => Err(convert::error_to_guest(*error)),
            Err(QueryError::TooManyRows) => Err(self.reached(&Reached::rows(&self.rights.limits))),
            Err(QueryError::TooManyBytes) => Err(self.reached(&Reached::bytes(&self.rights.limits))),
        }
    }

    async fn run_execute(&mut self, handle: Handle, sql: &str, params: Vec<Value>) -> Result<u64, Error> {
        self.check(sql)?;
        let params: Vec<_> = params.into_iter().map(convert::from_guest).collect();
        self.wait(handle.execute(sql, &params)).await.map_err(convert::error_to_guest)
    }

    #[allow(clippy::result_large_err, reason = "the interface's own type, which every call returns")]
    fn check(&mut self, sql: &str) -> Result<(), Error> {
        check_statement(sql).map_err(|refusal| {
            let text = refusal.to_string();
            self.refused.get_or_insert_with(|| text.clone());
            Error::Denied(text)
        })
    }

    /// A limit, too, ends the call, even if the guest goes on.
    fn reached(&mut self, limit: &Reached) -> Error {
        let text = limit.to_string();
        self.refused.get_or_insert_with(|| text.clone());
        Error::Limit(text)
    }
}
