//! How far a long call is. Batches need not report: [`Batch::more`](crate::Batch::more) says it for them.

use crate::bindings::lockgate::migration::progress;

/// So many of so many units, as a rule rows, are done. Cheap enough to call for every page; kept nowhere.
///
/// ```
/// lockgate_plugin::progress::report(5_000, Some(12_000));
/// lockgate_plugin::progress::report(5_000, None);
/// ```
pub fn report(done: u64, total: impl Into<Option<u64>>) {
    let total = total.into();
    // Outside a component, as in an author's unit tests, nobody looks.
    if cfg!(target_family = "wasm") {
        progress::report(done, total);
    }
}
