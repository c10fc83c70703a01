//! Backups before a run, and the way back from them.

pub mod catalog;
mod child;
mod choice;
mod coding;
mod drill;
mod dump;
pub mod encryption;
mod folder;
mod globals;
mod id;
mod kept;
mod lease;
mod manifest;
mod meter;
pub mod origin;
mod properties;
mod publish;
mod restore;
pub mod retention;
mod scratch;
mod settings;
pub mod store;
mod take;
pub mod tools;
mod unfinished;
pub mod verify;
mod way_back;

pub use catalog::{Backup, Catalog, Damaged, Listing};
pub use choice::{Among, Choice, choose, look_up};
pub use drill::{Drill, Rpo, Rto, Since, drill};
pub use manifest::{Content, Encoding, Manifest, Part, Scope};
pub use properties::{Privilege, Properties, Setting};
pub use restore::{Copies, Named, Order as RestoreOrder, Phase, Restored, Way, clean_up, restore};
pub use scratch::{Proof, prove};
pub use settings::{Extent, Level, Options, Retention, Section, Settings, Targets};
pub(crate) use take::READ_ALL;
pub use take::{Order, take};
pub use way_back::WayBack;

pub(crate) use crate::programs::libpq;

/// A name as a connection string, so that one with a `=` in it is not taken for settings.
pub(crate) fn conninfo(database: &str) -> String {
    format!("dbname='{}'", database.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// A manifest for tests of what tells of backups.
#[cfg(test)]
pub(crate) fn sample_manifest(id: &str) -> Manifest {
    manifest::tests::manifest(id, 1, Vec::new())
}
