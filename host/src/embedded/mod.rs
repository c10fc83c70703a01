//! A PostgreSQL of the project's own, under `.lockgate/`: for a first look, for development and for tests.

#[cfg(not(feature = "embedded"))]
mod absent;
#[cfg(feature = "embedded")]
mod server;

#[cfg(not(feature = "embedded"))]
pub use absent::Embedded;
#[cfg(feature = "embedded")]
pub use server::Embedded;

/// The folder of everything of the project's own that is not committed.
pub const FOLDER: &str = ".lockgate";
