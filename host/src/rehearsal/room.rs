//! Whether there is room on a disk of this machine for what a rehearsal writes there.

use std::path::Path;

use nix::sys::statvfs::statvfs;

use super::{Extent, Place};
use crate::{
    error::{Error, Result},
    postgres::Session,
    report::bytes,
};

/// A dump holds no indexes and is compressed; 0.4 of the database's size is on the safe side of what was measured of backups.
pub(super) fn of_a_dump(database_bytes: u64) -> u64 {
    database_bytes / 5 * 2
}

/// Two copies, the one that stays as it was and the one that is worked on, and half of one for what the migrations write. A schema alone
/// takes next to nothing, whatever the rows take that are not copied.
pub(super) fn of_copies(database_bytes: u64, extent: Extent) -> u64 {
    /// Two databases of a fresh server have about 8 MB each, and the log begins with 16.
    const EMPTY_BYTES: u64 = 64 << 20;
    match extent {
        Extent::Data => database_bytes / 2 * 5 + EMPTY_BYTES,
        Extent::SchemaOnly => EMPTY_BYTES,
    }
}

/// Looks whether there is so much room where this path is.
///
/// # Errors
/// [`Error::Refused`] when there is not.
pub(super) fn check(path: &Path, needed: u64, what: &str) -> Result<()> {
    // Where nobody can tell, what needs the room will tell.
    let Ok(disk) = statvfs(path) else { return Ok(()) };
    let free = disk.blocks_available() * disk.fragment_size();
    if free >= needed {
        return Ok(());
    }
    Err(Error::Refused {
        what: format!("{what} needs about {} in `{}`, where {} are free", bytes(needed), path.display(), bytes(free)),
        next: "free some, rehearse elsewhere (`--on`), or without rows: `--schema-only`".into(),
    })
}

/// Looks whether there is room for the copies on the server's disk, if that is one of this machine that we may look at.
///
/// # Errors
/// [`Error::Refused`] when there is not.
pub(super) async fn check_server(admin: &Session, place: Place, needed: u64) -> Result<()> {
    let host = &admin.target().host().name;
    let is_here = host.starts_with('/') || ["localhost", "127.0.0.1", "::1"].contains(&host.as_str());
    if place == Place::Container || !is_here {
        return Ok(());
    }
    // It tells a superuser, and who may read all settings.
    let asked = admin.texts("asking where the data is", "SELECT current_setting('data_directory', true)").await;
    match asked.ok().and_then(|rows| rows.into_iter().flatten().flatten().next()) {
        Some(folder) if !folder.is_empty() => check(Path::new(&folder), needed, "the copy"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_before_anything_is_written() {
        let folder = tempfile::tempdir().unwrap();
        check(folder.path(), 0, "it").unwrap();
        let text = check(folder.path(), u64::MAX, "the copy").unwrap_err().to_string();
        assert!(text.contains("the copy needs about") && text.contains("are free"), "{text}");
        assert!(of_copies(1 << 30, Extent::SchemaOnly) < of_copies(1 << 30, Extent::Data));
    }
}
