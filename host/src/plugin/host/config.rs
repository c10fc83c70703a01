//! `lockgate:migration/config`: what the operator set for this component.

use crate::plugin::{bindings::lockgate::migration::config::Host, state::State};

/// The key under which a batch finds how many units it should do. The interface is frozen; a component that does not know the key
/// makes its batches as it likes.
const BATCH_SIZE: &str = "lockgate.batch-size";

impl Host for State {
    async fn get(&mut self, key: String) -> wasmtime::Result<Option<String>> {
        if key == BATCH_SIZE {
            return Ok(self.batch_size.map(|size| size.to_string()));
        }
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

    #[tokio::test]
    async fn a_batch_reads_how_many_units_it_should_do_whatever_is_set_for_it() {
        let config = BTreeMap::from([(BATCH_SIZE.to_owned(), "500".to_owned())]);
        let mut state = State::new(Arc::new(Rights { config, ..Rights::default() }));
        assert_eq!(state.get(BATCH_SIZE.into()).await.unwrap(), None);
        state.batch_size = Some(7);
        assert_eq!(state.get(BATCH_SIZE.into()).await.unwrap().as_deref(), Some("7"));
    }
}
