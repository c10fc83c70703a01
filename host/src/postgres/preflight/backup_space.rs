//! The backup will fit.

use std::path::Path;

use nix::{
    sys::statvfs::statvfs,
    unistd::{AccessFlags, access},
};

use super::Context;
use crate::{
    backup::store,
    error::{Error, Finding, Result, Severity},
    postgres::handle::db_error,
};

/// A compressed dump holds no indexes and packs tables well; 0.4 of the tables' size is on the safe side of what was measured.
const SHARE_OF_TABLES: f64 = 0.4;
/// The database may have grown since the last backup.
const SHARE_OF_LAST_BACKUP: f64 = 1.5;

pub(super) async fn check(context: &Context<'_>, folder: &Path) -> Result<Vec<Finding>> {
    let sql = "SELECT coalesce(sum(pg_table_size(c.oid)), 0)::int8 FROM pg_catalog.pg_class c
               JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
               WHERE c.relkind IN ('r', 'm') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'";
    let row = context.session.client().query_one(sql, &[]).await;
    let tables: i64 = row.map_err(|e| Error::database("measuring the tables", db_error(&e)))?.get(0);
    let last = store::newest(folder, &context.session.target.database)?.map_or(0, |backup| backup.payload.bytes);
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let needed = (tables as f64 * SHARE_OF_TABLES).max(last as f64 * SHARE_OF_LAST_BACKUP) as u64;

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
    let stat =
        statvfs(there).map_err(|e| Error::system(format!("asking for the space left in `{}`", there.display()), e))?;
    let free = stat.blocks_available() as u64 * stat.fragment_size() as u64;
    if free >= needed {
        return Ok(vec![]);
    }
    let message = format!(
        "the backup needs about {} in `{}`, where {} are free",
        crate::report::bytes(needed),
        folder.display(),
        crate::report::bytes(free)
    );
    Ok(vec![
        Finding::new(Severity::Block, "disk-space", message)
            .hint("free some, or name another folder with `--backup-dir`"),
    ])
}
