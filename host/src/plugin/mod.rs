//! Migrations that are WebAssembly components: compiled, sandboxed, and run as [`Program`](crate::step::Program)s.

mod bindings;
pub mod build;
mod cache;
mod code;
mod compiling;
mod convert;
mod cpu_time;
mod engine;
mod host;
pub mod inspect;
mod limits;
mod opened;
pub mod pin;
mod program;
mod rights;
mod state;
mod steps;
mod wasi;

pub use cache::Cache;
pub use code::Code;
pub use compiling::Compiling;
pub use engine::{Compiled, Engine};
pub use limits::Limits;
pub use program::ComponentProgram;
pub use rights::Rights;

/// The version of `wit/lockgate.wit` that this host offers.
pub const INTERFACE_VERSION: &str = "0.1.0";
