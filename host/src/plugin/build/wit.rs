//! The interface as text, for tools that make bindings of it.

use std::fs;

use tempfile::TempDir;

use super::BuildError;

/// `wit/lockgate.wit`, as this host was compiled with it.
pub const WIT: &str = include_str!("../../../../wit/lockgate.wit");

/// The world that a migration implements.
pub(super) const WORLD: &str = "migration";

/// A folder that goes with the value, with the interface in it as `lockgate.wit`.
pub(super) fn folder() -> Result<TempDir, BuildError> {
    let folder = tempfile::Builder::new()
        .prefix("lockgate-build-")
        .tempdir()
        .map_err(BuildError::file(&std::env::temp_dir()))?;
    let path = folder.path().join("lockgate.wit");
    fs::write(&path, WIT).map_err(BuildError::file(&path))?;
    Ok(folder)
}
