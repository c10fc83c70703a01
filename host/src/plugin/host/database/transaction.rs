use wasmtime::component::Resource;

use crate::{
    plugin::{
        bindings::lockgate::migration::database::{Error, HostTransaction, Rows, Value},
        convert,
        limits::{Reached, SAVEPOINTS_MAX},
        opened::Opened,
        state::{CopySink, Cursor, Savepoint, State, Transaction},
    },
    postgres::fresh_number,
    sql::check_copy_in,
};

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

    async fn open_cursor(
        &mut self,
        transaction: Resource<Transaction>,
        sql: String,
        params: Vec<Value>,
    ) -> wasmtime::Result<Result<Resource<Cursor>, Error>> {
        let handle = self.table.get(&transaction)?.0.clone();
        self.run_open_cursor(handle, &sql, params).await
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

    async fn copy_in(
        &mut self,
        transaction: Resource<Transaction>,
        sql: String,
    ) -> wasmtime::Result<Result<Resource<CopySink>, Error>> {
        let handle = self.table.get(&transaction)?.0.clone();
        if let Err(error) = self.check(&sql, check_copy_in) {
            return Ok(Err(error));
        }
        match handle.copy_in(&sql).await {
            Ok(copy) => {
                self.database.copying = true;
                Ok(Ok(self.table.push(CopySink(copy))?))
            }
            Err(error) => Ok(Err(convert::error_to_guest(error))),
        }
    }

    async fn savepoint(
        &mut self,
        transaction: Resource<Transaction>,
    ) -> wasmtime::Result<Result<Resource<Savepoint>, Error>> {
        let handle = self.table.get(&transaction)?.0.clone();
        if let Err(error) = self.check_free() {
            return Ok(Err(error));
        }
        if self.database.opened.savepoints() >= SAVEPOINTS_MAX {
            return Ok(Err(self.reached(&Reached::savepoints())));
        }
        let number = fresh_number();
        match handle.make_savepoint(number).await {
            Ok(()) => {
                self.database.opened.push(Opened::Savepoint(number));
                Ok(Ok(self.table.push(Savepoint { handle, number })?))
            }
            Err(error) => Ok(Err(convert::error_to_guest(error))),
        }
    }

    async fn drop(&mut self, transaction: Resource<Transaction>) -> wasmtime::Result<()> {
        self.table.delete(transaction)?;
        Ok(())
    }
}
