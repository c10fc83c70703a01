//! A folder of a rehearsal's own, under `.lockgate/`: dumps and scripts lie there as long as it runs. What a killed one has left, the next
//! one removes.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use uuid::Uuid;

use crate::{
    embedded,
    error::{Error, Result},
    files,
};

/// See the module. It goes with this value.
#[derive(Debug)]
pub(super) struct Workspace {
    path: PathBuf,
    /// As long as it is locked, somebody is at work.
    _lock: File,
}

const DOING: &str = "making a folder for the rehearsal";
const LOCK: &str = "lock";

impl Workspace {
    /// Makes one for this run, and removes those of the dead.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn open(project: &Path, run_id: Uuid) -> Result<Self> {
        let own = project.join(embedded::FOLDER);
        let all = own.join("rehearsals");
        let made = || {
            files::make_uncommitted(&own)?;
            fs::create_dir_all(&all)?;
            remove_dead(&all);
            let path = all.join(run_id.to_string());
            fs::DirBuilder::new().mode(0o700).create(&path)?;
            let lock = File::options().create(true).truncate(false).write(true).mode(0o600).open(path.join(LOCK))?;
            lock.lock()?;
            Ok(Self { path: path.canonicalize()?, _lock: lock })
        };
        made().map_err(|e: io::Error| Error::system(DOING, e))
    }

    /// A folder in it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        fs::create_dir_all(&path).map_err(|e| Error::system(DOING, e))?;
        Ok(path)
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(%error, folder = %self.path.display(), "the rehearsal's folder could not be removed");
        }
    }
}

/// Nobody locks what a dead process has left. Between the making of a folder and its lock another process may take it for one: it is empty
/// then, and whoever makes it fails and says so.
fn remove_dead(all: &Path) {
    for entry in fs::read_dir(all).into_iter().flatten().flatten() {
        let lock = File::options().write(true).open(entry.path().join(LOCK));
        if lock.as_ref().is_ok_and(|lock| lock.try_lock().is_err()) {
            continue;
        }
        match fs::remove_dir_all(entry.path()) {
            Ok(()) => {
                tracing::warn!(folder = %entry.path().display(), "removed what a rehearsal that was cut off had left")
            }
            Err(error) => tracing::warn!(%error, folder = %entry.path().display(), "a leftover could not be removed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_use_stays_and_what_was_left_goes() {
        let project = tempfile::tempdir().unwrap();
        let first = Workspace::open(project.path(), Uuid::now_v7()).unwrap();
        let left = project.path().join(".lockgate/rehearsals/dead");
        fs::create_dir_all(left.join("dump")).unwrap();
        let second = Workspace::open(project.path(), Uuid::now_v7()).unwrap();
        assert!(first.path.exists() && second.path.exists() && !left.exists());
        let path = second.folder("dump").unwrap();
        drop(second);
        assert!(!path.exists() && first.path.exists());
    }
}
