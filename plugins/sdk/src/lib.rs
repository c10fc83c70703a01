//! Write a Lockgate migration in Rust.
//!
//! A migration is a type that implements [`Migration`], in a crate with `crate-type = ["cdylib"]`:
//!
//! ```
//! use lockgate_plugin::{Description, Direction, Migration, Result, Transaction};
//!
//! struct Greetings;
//!
//! impl Migration for Greetings {
//!     fn describe() -> Description {
//!         Description::new("greetings", "Ada Lovelace")
//!     }
//!
//!     fn run(direction: Direction, _step: &str, tx: &Transaction) -> Result<()> {
//!         match direction {
//!             Direction::Up => tx.execute("CREATE TABLE greetings (line text NOT NULL)", &[])?,
//!             Direction::Down => tx.execute("DROP TABLE greetings", &[])?,
//!         };
//!         Ok(())
//!     }
//! }
//!
//! lockgate_plugin::export!(Greetings);
//! ```
//!
//! `lockgate plugin build CRATE_DIR --out 007_greetings.wasm` compiles it into a component. The host runs every
//! function in a sandbox that offers a database handle, a log, progress and settings, and nothing else: no files, no network;
//! clock and randomness only where the operator grants them. The host also owns the transaction, so there is no commit: return `Ok` to keep the
//! work, an [`Error`] to have it rolled back.
//!
//! Every call may meet a fresh instance. What has to last belongs in the database, not in a `static`.

mod batch;
#[doc(hidden)]
pub mod bindings;
mod checkpoint;
#[doc(hidden)]
pub mod component;
pub mod config;
mod copy;
mod cursor;
mod database;
mod description;
mod error;
mod finding;
pub mod log;
mod migration;
pub mod progress;
mod rows;
mod savepoint;
mod step;
mod times;
mod uuid;
mod value;

pub use bindings::exports::lockgate::migration::program::{
    Batch, Description, Grant, MoreBatches, OutsideStep, Step, WantedGrant,
};
pub use bindings::lockgate::migration::types::{
    Column, DbError, Direction, Finding, Interval, RawValue, Severity, Value,
};
pub use checkpoint::{Checkpoint, CheckpointData};
pub use copy::CopySink;
pub use cursor::{Batches, Cursor};
pub use database::{Reader, Transaction};
pub use error::{Context, Error, Result};
pub use migration::Migration;
pub use rows::{ColumnIndex, FromRow, Row};
pub use savepoint::Savepoint;
pub use times::{Date, Json, Numeric, Time, Timestamp, Timestamptz};
pub use uuid::Uuid;
pub use value::FromValue;

/// Makes a [`Migration`] the one that this component exports. Once a crate, at its root.
///
/// Elsewhere than in a component, as in an author's unit tests, nothing is exported: a linker for another target
/// cannot take the names.
#[macro_export]
macro_rules! export {
    ($migration:ty) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            type Exported = $crate::component::Component<$migration>;
            $crate::bindings::export_program! { Exported with_types_in $crate::bindings }
        };
        #[cfg(not(target_family = "wasm"))]
        const _: () = $crate::component::assert_migration::<$migration>();
    };
}
