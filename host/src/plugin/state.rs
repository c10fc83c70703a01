//! What a running component's store holds: its handles, its limits, its clock.

use std::{sync::Arc, time::Instant};

use wasmtime::component::{Resource, ResourceTable, ResourceTableError};

use super::{
    cpu_time::CpuTime,
    host::Logged,
    limits::Growth,
    opened::{Opened, OpenedList},
    rights::Rights,
    wasi::Wasi,
};
use crate::postgres::{self, CopyIn, Handle};

/// Behind the guest's `reader`.
pub struct Reader(pub(super) Handle);

/// Behind the guest's `transaction`.
pub struct Transaction(pub(super) Handle);

/// Behind the guest's `cursor`.
pub struct Cursor(pub(super) postgres::Cursor);

/// Behind the guest's `copy-sink`. Dropping it fails the COPY.
pub struct CopySink(pub(super) CopyIn);

/// Behind the guest's `savepoint`: its number.
pub struct Savepoint {
    pub(super) handle: Handle,
    pub(super) number: u64,
}

/// The data of one store, which lives for one call.
pub struct State {
    pub(super) table: ResourceTable,
    pub(super) rights: Arc<Rights>,
    pub(super) growth: Growth,
    pub(super) logged: Arc<Logged>,
    /// When progress was last shown.
    pub(super) progress_shown: Option<Instant>,
    /// What it tried although it may not: the call has failed then, whatever the guest makes of it.
    pub(super) refused: Option<String>,
    /// The limit of a result that it reached. The server may still be sending what is past it, so that nothing else is sent.
    pub(super) exhausted: Option<String>,
    pub(super) database: Database,
    /// How many units a batch should do.
    pub(super) batch_size: Option<u64>,
    /// Made when a guest uses it first.
    pub(super) wasi: Option<Box<Wasi>>,
    /// Of the call, counted from outside: the store is borrowed as long as it is under way.
    pub(super) cpu_time: CpuTime,
}

/// What the server keeps for the guest during the call.
#[derive(Default)]
pub(super) struct Database {
    /// What the guest was lent; none in `describe`.
    pub(super) handle: Option<Handle>,
    pub(super) opened: OpenedList,
    /// A COPY is under way: the connection takes nothing else.
    pub(super) copying: bool,
    /// A COPY was dropped unfinished, which aborted the transaction, and no savepoint was returned to since.
    pub(super) copy_dropped: bool,
}

/// Cursors, savepoints and what WASI needs, with room to spare; the limits of each come first.
const TABLE_MAX: usize = 4_096;

impl State {
    pub(super) fn new(rights: Arc<Rights>) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(TABLE_MAX);
        let growth = Growth::within(&rights.limits);
        let logged = Logged::within(&rights);
        Self {
            table,
            rights,
            growth,
            logged,
            progress_shown: None,
            batch_size: None,
            refused: None,
            wasi: None,
            exhausted: None,
            database: Database::default(),
            cpu_time: CpuTime::default(),
        }
    }

    /// A reader for the guest to borrow.
    pub(super) fn lend_reader(&mut self, handle: Handle) -> Result<Resource<Reader>, ResourceTableError> {
        self.database.handle = Some(handle.clone());
        let reader = self.table.push(Reader(handle))?;
        Ok(Resource::new_borrow(reader.rep()))
    }

    /// A transaction for the guest to borrow.
    pub(super) fn lend_transaction(&mut self, handle: Handle) -> Result<Resource<Transaction>, ResourceTableError> {
        self.database.handle = Some(handle.clone());
        let transaction = self.table.push(Transaction(handle))?;
        Ok(Resource::new_borrow(transaction.rep()))
    }

    /// Closes in the server what the guest has let go of, as far as it takes statements now: not during a COPY, nor while the
    /// transaction is aborted. The rest waits for the next time.
    pub(super) async fn tidy(&mut self) {
        let Some(handle) = self.database.handle.clone() else { return };
        while !self.database.copying
            && self.exhausted.is_none()
            && let Some(opened) = self.database.opened.next_dropped()
        {
            let closed = match &opened {
                Opened::Savepoint(number) => handle.release_savepoint(*number).await,
                Opened::Cursor(name) => handle.close_cursor(name).await,
            };
            if let Err(error) = closed {
                tracing::debug!(%error, "what a component has let go of is still open");
                return;
            }
            self.database.opened.closed(&opened);
        }
    }

    /// Ends the call on the server's side, when the guest has returned: what it leaked must not hinder the next step.
    ///
    /// # Errors
    /// A COPY that it left unfinished, which has aborted the transaction.
    pub(super) async fn end(&mut self) -> Result<(), String> {
        if self.database.copying {
            return Err("it returned with a COPY under way: `finish` its sink, which would otherwise undo it".into());
        }
        if self.database.copy_dropped {
            return Err("it dropped a COPY before it was finished, which aborted the transaction".into());
        }
        self.database.opened.all_dropped();
        self.tidy().await;
        Ok(())
    }
}
