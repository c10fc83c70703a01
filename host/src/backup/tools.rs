//! Which `pg_dump` and `pg_restore` serve a server.

use std::path::{Path, PathBuf};

use crate::programs::{bin_folders, major_version};

/// A matching pair of client programs.
#[derive(Debug, Clone)]
pub struct Tools {
    /// `pg_dump`.
    pub dump: PathBuf,
    /// `pg_restore`.
    pub restore: PathBuf,
    /// Their major version.
    pub major: u32,
}

/// Why there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolsError {
    /// No folder holds both programs.
    Missing,
    /// Those found are older than the server, whose dumps they cannot write. The newest is named.
    TooOld {
        /// Where.
        path: PathBuf,
        /// Its major version.
        major: u32,
    },
}

/// Finds the programs for a server of this major version: of the same version where there are, since a newer `pg_restore` writes
/// settings that an older server does not know; else the oldest that is newer.
///
/// # Errors
/// None found, or only older ones.
pub fn find(configured: Option<&Path>, server_major: u32) -> Result<Tools, ToolsError> {
    let mut best: Option<Tools> = None;
    let mut too_old: Option<(u32, PathBuf)> = None;
    for folder in bin_folders(configured) {
        let (dump, restore) = (folder.join("pg_dump"), folder.join("pg_restore"));
        if !dump.is_file() || !restore.is_file() {
            continue;
        }
        let Some(major) = major_version(&dump) else { continue };
        if major == server_major {
            return Ok(Tools { dump, restore, major });
        }
        if major < server_major {
            if too_old.as_ref().is_none_or(|(newest, _)| major > *newest) {
                too_old = Some((major, dump));
            }
        } else if best.as_ref().is_none_or(|b| major < b.major) {
            best = Some(Tools { dump, restore, major });
        }
    }
    best.ok_or(match too_old {
        Some((major, path)) => ToolsError::TooOld { path, major },
        None => ToolsError::Missing,
    })
}
