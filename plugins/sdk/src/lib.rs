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
//! function in a sandbox that offers a database handle and a log, and nothing else: no files, no network, no
//! clock, no randomness. The host also owns the transaction, so there is no commit: return `Ok` to keep the
//! work, an [`Error`] to have it rolled back.
//!
//! Every call may meet a fresh instance. What has to last belongs in the database, not in a `static`.

#[doc(hidden)]
pub mod bindings;
#[doc(hidden)]
pub mod component;
mod database;
mod description;
mod error;
mod finding;
pub mod log;
mod migration;
mod rows;
mod step;
mod uuid;
mod value;

pub use bindings::exports::lockgate::migration::program::{Description, Step};
pub use bindings::lockgate::migration::types::{
    Column, DbError, Direction, Finding, Interval, RawValue, Severity, Value,
};
pub use database::{Reader, Transaction};
pub use error::{Error, Result};
pub use migration::Migration;
pub use rows::{ColumnIndex, Row};
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
