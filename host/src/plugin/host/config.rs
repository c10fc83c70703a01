//! `lockgate:migration/config`: what the operator set for this component.

use crate::plugin::{bindings::lockgate::migration::config::Host, state::State};

impl Host for State {
    async fn get(&mut self, key: String) -> wasmtime::Result<Option<String>> {
        Ok(self.rights.config.get(&key).cloned())
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use super::*;
    use crate::plugin::Rights;

    #[tokio::test]
    async fn a_component_reads_what_was_set_for_it_and_nothing_else() {
        let config = BTreeMap::from([("batch".to_owned(), "500".to_owned())]);
        let mut state = State::new(Arc::new(Rights { config, ..Rights::default() }));
        assert_eq!(state.get("batch".into()).await.unwrap().as_deref(), Some("500"));
        assert_eq!(state.get("PATH".into()).await.unwrap(), None);
    }
}
