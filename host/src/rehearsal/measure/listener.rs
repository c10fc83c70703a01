//! Who wants to know, while a run is measured, how far it is.

use crate::migration::{Direction, Version};

/// Is told at once, and must not take long: the run waits for it.
pub trait Listener: Send + Sync {
    /// A migration begins.
    fn begins(&self, version: &Version, direction: Direction);

    /// A transaction of it is committed.
    fn committed(&self);
}
