use crate::bindings::exports::lockgate::migration::program::MoreBatches;
use crate::{Batch, CheckpointData};

impl Batch {
    /// There is more to do after `checkpoint`, which the next call gets. `done` and `total` count units, as a rule rows,
    /// over all batches; `total` may be unknown.
    ///
    /// ```
    /// use lockgate_plugin::{Batch, Uuid};
    ///
    /// let last = Uuid(7);
    /// let batch = Batch::more(last, 5_000, Some(12_000));
    /// # assert!(matches!(batch, Batch::More(_)));
    /// ```
    #[must_use]
    pub fn more(checkpoint: impl CheckpointData, done: u64, total: impl Into<Option<u64>>) -> Self {
        let mut bytes = Vec::new();
        checkpoint.write(&mut bytes);
        Self::More(MoreBatches { checkpoint: bytes, done, total: total.into() })
    }
}
