//! What a running component's store holds: its handles, its limits, its clock.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use wasmtime::component::ResourceTable;

use super::{limits::Growth, rights::Rights, wasi::Wasi};
use crate::postgres::Handle;

/// Behind the guest's `reader`.
pub struct Reader(pub(super) Handle);

/// Behind the guest's `transaction`.
pub struct Transaction(pub(super) Handle);

/// Behind the guest's `cursor`.
pub struct Cursor;

/// Behind the guest's `copy-sink`.
pub struct CopySink;

/// Behind the guest's `savepoint`.
pub struct Savepoint;

/// The data of one store, which lives for one call.
pub struct State {
    pub(super) table: ResourceTable,
    pub(super) rights: Arc<Rights>,
    pub(super) growth: Growth,
    pub(super) log_lines: usize,
    /// What it tried although it may not: the call has failed then, whatever the guest makes of it.
    pub(super) refused: Option<String>,
    /// Made when a guest uses it first.
    pub(super) wasi: Option<Box<Wasi>>,
    started: Instant,
    waiting: Duration,
}

impl State {
    pub(super) fn new(rights: Arc<Rights>) -> Self {
        let mut table = ResourceTable::new();
        // The host lends one handle a call; the guest cannot make any.
        table.set_max_capacity(16);
        let growth = Growth::within(&rights.limits);
        Self {
            table,
            rights,
            growth,
            log_lines: 0,
            refused: None,
            wasi: None,
            started: Instant::now(),
            waiting: Duration::ZERO,
        }
    }

    /// Time on the processor: the time since the call began, without the time that it waited for the database or a clock.
    pub(super) fn cpu_time(&self) -> Duration {
        let slept = self.wasi.as_ref().map_or(Duration::ZERO, |wasi| wasi.waited());
        self.started.elapsed().saturating_sub(self.waiting).saturating_sub(slept)
    }

    /// Runs work of the host's that the guest waits for.
    pub(super) async fn wait<T>(&mut self, work: impl Future<Output = T>) -> T {
        let begin = Instant::now();
        let result = work.await;
        self.waiting += begin.elapsed();
        result
    }
}
