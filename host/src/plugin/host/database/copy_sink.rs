use wasmtime::component::Resource;

use crate::plugin::{
    bindings::lockgate::migration::database::{Error, HostCopySink},
    convert,
    state::{CopySink, State},
};

impl HostCopySink for State {
    async fn write(&mut self, sink: Resource<CopySink>, data: Vec<u8>) -> wasmtime::Result<Result<(), Error>> {
        let written = self.table.get_mut(&sink)?.0.write(data).await;
        Ok(written.map_err(convert::error_to_guest))
    }

    async fn finish(&mut self, sink: Resource<CopySink>) -> wasmtime::Result<Result<u64, Error>> {
        let copy = self.table.delete(sink)?.0;
        let finished = copy.finish().await;
        self.database.copying = false;
        self.tidy().await;
        Ok(finished.map_err(convert::error_to_guest))
    }

    async fn drop(&mut self, sink: Resource<CopySink>) -> wasmtime::Result<()> {
        // The driver tells the server that the COPY has failed.
        drop(self.table.delete(sink)?);
        self.database.copying = false;
        self.database.copy_dropped = true;
        Ok(())
    }
}
