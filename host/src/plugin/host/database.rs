//! `lockgate:migration/database`: statements of a guest, refused where the transaction or the session is touched.

use wasmtime::component::Resource;

use crate::{
    plugin::{
        bindings::lockgate::migration::{
            database::{Error, Host, HostReader, HostTransaction, Rows, Value},
            types,
        },
        convert,
        limits::Reached,
        state::{Reader, State, Transaction},
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

    async fn drop(&mut self, transaction: Resource<Transaction>) -> wasmtime::Result<()> {
        self.table.delete(transaction)?;
        Ok(())
    }
}

impl State {
    async fn run_query(&mut self, handle: Handle, sql: &str, params: Vec<Value>) -> Result<Rows, Error> {
        check_statement(sql).map_err(|refusal| Error::Denied(refusal.to_string()))?;
        let params: Vec<_> = params.into_iter().map(convert::from_guest).collect();
        let limits = self.limits.query();
        match self.wait(handle.query_limited(sql, &params, limits)).await {
            Ok(rows) => Ok(convert::rows_to_guest(rows)),
            Err(QueryError::Db(error)) => Err(convert::error_to_guest(*error)),
            Err(QueryError::TooManyRows) => Err(Error::Limit(Reached::rows(&self.limits).to_string())),
            Err(QueryError::TooManyBytes) => Err(Error::Limit(Reached::bytes(&self.limits).to_string())),
        }
    }

    async fn run_execute(&mut self, handle: Handle, sql: &str, params: Vec<Value>) -> Result<u64, Error> {
        check_statement(sql).map_err(|refusal| Error::Denied(refusal.to_string()))?;
        let params: Vec<_> = params.into_iter().map(convert::from_guest).collect();
        self.wait(handle.execute(sql, &params)).await.map_err(convert::error_to_guest)
    }
}
