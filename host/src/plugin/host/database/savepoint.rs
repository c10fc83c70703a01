use wasmtime::component::Resource;

use crate::{
    plugin::{
        bindings::lockgate::migration::database::{Error, HostSavepoint},
        convert,
        opened::Opened,
        state::{Savepoint, State},
    },
    postgres::Handle,
};

impl HostSavepoint for State {
    async fn rollback(&mut self, savepoint: Resource<Savepoint>) -> wasmtime::Result<Result<(), Error>> {
        let &Savepoint { ref handle, number } = self.table.get(&savepoint)?;
        let handle = handle.clone();
        Ok(self.return_to(handle, number).await)
    }

    async fn release(&mut self, savepoint: Resource<Savepoint>) -> wasmtime::Result<Result<(), Error>> {
        let Savepoint { handle, number } = self.table.delete(savepoint)?;
        let released = self.release_savepoint(handle, number).await;
        if released.is_err() {
            // Its handle is gone in any case.
            self.database.opened.dropped(&Opened::Savepoint(number));
        }
        Ok(released)
    }

    async fn drop(&mut self, savepoint: Resource<Savepoint>) -> wasmtime::Result<()> {
        let Savepoint { number, .. } = self.table.delete(savepoint)?;
        self.database.opened.dropped(&Opened::Savepoint(number));
        self.tidy().await;
        Ok(())
    }
}

impl State {
    async fn return_to(&mut self, handle: Handle, number: u64) -> Result<(), Error> {
        let savepoint = self.check_savepoint(number)?;
        handle.return_to_savepoint(number).await.map_err(convert::error_to_guest)?;
        self.database.opened.returned_to(&savepoint);
        self.database.copy_dropped = false;
        self.tidy().await;
        Ok(())
    }

    async fn release_savepoint(&mut self, handle: Handle, number: u64) -> Result<(), Error> {
        let savepoint = self.check_savepoint(number)?;
        handle.release_savepoint(number).await.map_err(convert::error_to_guest)?;
        self.database.opened.closed(&savepoint);
        Ok(())
    }

    fn check_savepoint(&mut self, number: u64) -> Result<Opened, Error> {
        self.check_free()?;
        let savepoint = Opened::Savepoint(number);
        if self.database.opened.has(&savepoint) {
            return Ok(savepoint);
        }
        Err(Error::BadValue("the savepoint is gone: one made before it was returned to or released".into()))
    }
}
