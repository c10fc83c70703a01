//! `lockgate:migration/config`: what the operator set for this component.

use crate::plugin::{bindings::lockgate::migration::config::Host, state::State};

impl Host for State {
    async fn get(&mut self, key: String) -> wasmtime::Result<Option<String>> {
        Ok(self.rights.config.get(&key).cloned())
    }
}
