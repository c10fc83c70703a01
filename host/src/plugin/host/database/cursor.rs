use wasmtime::component::Resource;

use crate::plugin::{
    bindings::lockgate::migration::database::{Column, Error, HostCursor, Value},
    convert,
    opened::Opened,
    state::{Cursor, State},
};

impl HostCursor for State {
    async fn columns(&mut self, cursor: Resource<Cursor>) -> wasmtime::Result<Vec<Column>> {
        let columns = self.table.get(&cursor)?.0.columns().to_vec();
        Ok(convert::columns_to_guest(columns))
    }

    async fn fetch(
        &mut self,
        cursor: Resource<Cursor>,
        max_rows: u32,
    ) -> wasmtime::Result<Result<Vec<Vec<Value>>, Error>> {
        if let Err(error) = self.check_free() {
            return Ok(Err(error));
        }
        let limits = self.rights.limits.query();
        let cursor = &mut self.table.get_mut(&cursor)?.0;
        if !self.database.opened.has(&Opened::Cursor(cursor.name().to_owned())) {
            let text = "the cursor is gone: a savepoint from before it was opened was returned to";
            return Ok(Err(Error::BadValue(text.into())));
        }
        let rows = cursor.fetch(usize::try_from(max_rows).unwrap_or(usize::MAX), limits).await;
        Ok(rows.map(convert::cells_to_guest).map_err(|error| self.query_failed(error)))
    }

    async fn drop(&mut self, cursor: Resource<Cursor>) -> wasmtime::Result<()> {
        let cursor = self.table.delete(cursor)?.0;
        self.database.opened.dropped(&Opened::Cursor(cursor.name().to_owned()));
        self.tidy().await;
        Ok(())
    }
}
