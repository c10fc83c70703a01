//! The backup can be written, and will fit.

use std::path::Path;

use nix::unistd::{AccessFlags, access};

use crate::{
    backup::{Catalog, origin::Origin},
    error::{Error, Finding, Result, Severity},
    postgres::Session,
};

/// A compressed dump holds no indexes and packs tables well; 0.4 of the tables' size is on the safe side of what was measured.
const SHARE_OF_TABLES: f64 = 0.4;
/// The database may have grown since the last backup.
const SHARE_OF_LAST_BACKUP: f64 = 1.5;

/// For tables of so many bytes.
pub(super) async fn check(session: &Session, backups: &Catalog, tables_bytes: u64) -> Result<Vec<Finding>> {
    let store = backups.store();
    if let Some(folder) = store.folder() {
        // The folder is made by the backup itself: a check changes nothing.
        let absolute = std::path::absolute(folder).map_err(|e| Error::system("finding the backup folder", e))?;
        let there = absolute.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
        if !there.is_dir() || access(there, AccessFlags::W_OK).is_err() {
            let message =
                format!("the backup folder `{}` cannot be made or written in `{}`", folder.display(), there.display());
            return Ok(vec![
                Finding::new(Severity::Block, "backup-folder", message)
                    .hint("mend the permissions, or name another with `--backup-dir`"),
            ]);
        }
    }
    // An S3 store that cannot be reached is found here, before anything else is done.
    let last = backups.newest(&Origin::of(session)).await?.map_or(0, |backup| backup.manifest.bytes());
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let needed = (tables_bytes as f64 * SHARE_OF_TABLES).max(last as f64 * SHARE_OF_LAST_BACKUP) as u64;
    let free = store.free_bytes();
    let free = free.map_err(|e| Error::system(format!("asking for the space left in `{}`", store.location()), e))?;
    let Some(free) = free.filter(|free| *free < needed) else { return Ok(vec![]) };
    let message = format!(
        "the backup needs about {} in `{}`, where {} are free",
        crate::report::bytes(needed),
        store.location(),
        crate::report::bytes(free)
    );
    Ok(vec![
        Finding::new(Severity::Block, "disk-space", message)
            .hint("free some, or name another folder with `--backup-dir`"),
    ])
}
