//! `lockgate:migration/progress`: how far a long call is.

use crate::plugin::{bindings::lockgate::migration::progress::Host, state::State};

impl Host for State {
    async fn report(&mut self, done: u64, total: Option<u64>) -> wasmtime::Result<()> {
        tracing::debug!(target: "plugin", done, total, "progress");
        Ok(())
    }
}
