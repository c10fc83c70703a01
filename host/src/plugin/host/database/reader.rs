use wasmtime::component::Resource;

use crate::plugin::{
    bindings::lockgate::migration::database::{Error, HostReader, Rows, Value},
    state::{Cursor, Reader, State},
};

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
        reader: Resource<Reader>,
        sql: String,
        params: Vec<Value>,
    ) -> wasmtime::Result<Result<Resource<Cursor>, Error>> {
        let handle = self.table.get(&reader)?.0.clone();
        self.run_open_cursor(handle, &sql, params).await
    }

    async fn drop(&mut self, reader: Resource<Reader>) -> wasmtime::Result<()> {
        self.table.delete(reader)?;
        Ok(())
    }
}
