use std::marker::PhantomData;
use std::panic::{self, PanicHookInfo};
use std::sync::Once;

use crate::bindings::exports::lockgate::migration::program::Guest;
use crate::bindings::lockgate::migration::{database, types};
use crate::{Batch, Checkpoint, Description, Direction, Finding, Migration, Reader, Step, Transaction, log};

/// Answers the host's calls with a [`Migration`].
pub struct Component<M>(PhantomData<M>);

impl<M: Migration> Guest for Component<M> {
    fn describe() -> Description {
        log_panics();
        M::describe()
    }

    fn preflight(db: &database::Reader) -> Result<Vec<Finding>, types::Error> {
        log_panics();
        Ok(M::preflight(&Reader::new(db))?)
    }

    fn plan(direction: Direction, db: &database::Reader) -> Result<Vec<Step>, types::Error> {
        log_panics();
        Ok(M::plan(direction, &Reader::new(db))?)
    }

    fn run(direction: Direction, step: String, tx: &database::Transaction) -> Result<(), types::Error> {
        log_panics();
        Ok(M::run(direction, &step, &Transaction::new(tx))?)
    }

    fn run_batch(
        direction: Direction,
        step: String,
        tx: &database::Transaction,
        checkpoint: Option<Vec<u8>>,
    ) -> Result<Batch, types::Error> {
        log_panics();
        Ok(M::run_batch(direction, &step, &Transaction::new(tx), &Checkpoint::new(checkpoint))?)
    }

    fn verify(direction: Direction, db: &database::Reader) -> Result<Vec<Finding>, types::Error> {
        log_panics();
        Ok(M::verify(direction, &Reader::new(db))?)
    }
}

/// Compiles for a [`Migration`] only.
pub const fn assert_migration<M: Migration>() {}

/// A panic in a component is a trap, of which the host sees only `unreachable`: its message goes to the log first.
fn log_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| panic::set_hook(Box::new(|info| log::error(panic_line(info)))));
}

fn panic_line(info: &PanicHookInfo) -> String {
    let message = info.payload_as_str().unwrap_or("a value that is no text");
    match info.location() {
        Some(at) => format!("panicked at {at}: {message}"),
        None => format!("panicked: {message}"),
    }
}
