//! A folder: `<name>.partial` while a file is written, then renamed.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::SystemTime,
};

use nix::sys::statvfs::statvfs;

use super::{Entry, Held, LEASE, Over, Store, Upload, check_name};
use crate::{backup::id::is_id, files};

/// What the name of a file ends with while it is written.
pub const PARTIAL: &str = ".partial";

/// How much is written before the space that is left is looked at again.
const LOOK_EVERY: u64 = 16 << 20;
/// So much is left to whoever else writes to the same disk, which may well be the server: it stops when its disk is full.
const LEAVE_FREE: u64 = 256 << 20;
/// On a small disk, this share of it.
const LEAVE_FREE_SHARE: u64 = 20;

/// See the module.
#[derive(Debug)]
pub struct Local {
    folder: PathBuf,
}

impl Local {
    /// The folder need not be there yet.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    fn path(&self, name: &str) -> io::Result<PathBuf> {
        check_name(name)?;
        Ok(self.folder.join(name))
    }

    /// Makes the folder, if it is not there, so that it outlives a crash of the machine as what is in it does.
    fn make(&self) -> io::Result<()> {
        if fs::symlink_metadata(&self.folder).is_ok_and(|there| there.is_symlink()) && !self.folder.exists() {
            let what = format!("`{}` is a link to what is not there", self.folder.display());
            return Err(io::Error::new(io::ErrorKind::NotFound, what));
        }
        let absolute = std::path::absolute(&self.folder)?;
        let missing = absolute.ancestors().take_while(|path| !path.exists()).count();
        files::make_uncommitted(&self.folder)?;
        absolute.ancestors().skip(1).take(missing).try_for_each(sync)
    }
}

impl Store for Local {
    fn location(&self) -> String {
        self.folder.display().to_string()
    }

    fn entries(&self) -> io::Result<Vec<Entry>> {
        let read = match fs::read_dir(&self.folder) {
            Ok(read) => read,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(Vec::new());
            }
            Err(error) => return Err(error),
        };
        let mut entries = Vec::new();
        for entry in read {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name.starts_with('.') {
                continue;
            }
            match look(&entry.path(), &name) {
                Ok(entry) => entries.extend(entry),
                // It was renamed or removed meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    tracing::debug!(cause = %error, "`{name}` may not be looked at, and is left out");
                }
                Err(error) => {
                    return Err(io::Error::new(error.kind(), format!("`{}`: {error}", entry.path().display())));
                }
            }
        }
        Ok(entries)
    }

    fn read(&self, name: &str) -> io::Result<Box<dyn Read + Send>> {
        // A program may have written a folder, whose files are read one by one.
        let path = match name.split_once('/') {
            Some((folder, file)) => Self::new(self.path(folder)?).path(file)?,
            None => self.path(name)?,
        };
        let file = files::open(&path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
        }
        Ok(Box::new(file))
    }

    fn create(&self, name: &str, _about_bytes: u64) -> io::Result<Box<dyn Upload>> {
        let path = self.path(name)?;
        self.make()?;
        // A link that leads nowhere is something as well.
        if fs::symlink_metadata(&path).is_ok() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("`{}` is there", path.display())));
        }
        let partial = self.path(&format!("{name}{PARTIAL}"))?;
        let file = File::options().write(true).create_new(true).mode(0o600).open(&partial)?;
        hold(&file);
        Ok(Box::new(Written {
            file,
            partial: Some(partial),
            path,
            folder: self.folder.clone(),
            since_look: LOOK_EVERY,
        }))
    }

    fn put(&self, name: &str, bytes: &[u8], over: Over) -> io::Result<()> {
        let path = self.path(name)?;
        self.make()?;
        // Named so that whoever tidies up finds it when this process is killed.
        let mut file =
            tempfile::Builder::new().prefix(&format!("{name}.")).suffix(PARTIAL).tempfile_in(&self.folder)?;
        hold(file.as_file());
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        match over {
            Over::Nothing => file.persist_noclobber(path)?,
            Over::Anything => file.persist(path)?,
        };
        sync(&self.folder)
    }

    fn hold(&self, name: &str) -> io::Result<Box<dyn Held>> {
        let path = self.path(name)?;
        self.make()?;
        let file = File::options().write(true).create_new(true).mode(0o600).open(&path)?;
        hold(&file);
        Ok(Box::new(Lock { file, path }))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let path = self.path(name)?;
        let removed = match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(&path),
            Ok(_) => fs::remove_file(&path),
            Err(error) => Err(error),
        };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn free_bytes(&self) -> io::Result<Option<u64>> {
        let absolute = std::path::absolute(&self.folder)?;
        let there = absolute.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
        Ok(Some(space(there)?.0))
    }

    fn folder(&self) -> Option<&Path> {
        Some(&self.folder)
    }
}

/// What a folder says of its files outlives a crash of the machine from now on.
fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Tells whoever tidies up that somebody is at work on it. Where the file system knows no locks, its age must do.
fn hold(file: &File) {
    // Nobody else holds a new file for longer than it takes to look at it.
    let _ = file.lock();
}

/// What is free, and what there is in all.
fn space(path: &Path) -> io::Result<(u64, u64)> {
    let stat = statvfs(path)?;
    let block = stat.fragment_size() as u64;
    Ok((stat.blocks_available() as u64 * block, stat.blocks() as u64 * block))
}

/// Stops writing while there is still room for others.
///
/// # Errors
/// [`io::ErrorKind::StorageFull`], with how much is left.
pub fn leave_room(folder: &Path) -> io::Result<()> {
    let (free, all) = space(folder)?;
    if free >= LEAVE_FREE.min(all / LEAVE_FREE_SHARE) {
        return Ok(());
    }
    let left = crate::report::bytes(free);
    let what = format!("the disk of `{}` is nearly full: {left} left, which others may need", folder.display());
    Err(io::Error::new(io::ErrorKind::StorageFull, what))
}

/// Nothing for a folder that no backup has written, such as the `lost+found` of a disk: it is not ours to look into.
fn look(path: &Path, name: &str) -> io::Result<Option<Entry>> {
    let metadata = fs::symlink_metadata(path)?;
    let modified = metadata.modified()?;
    if !metadata.is_dir() {
        // A file system without locks does not tell; nor does a file that cannot be opened, which must not keep the others from being listed.
        let held = |file: File| match file.try_lock_shared() {
            Ok(()) => Some(false),
            Err(TryLockError::WouldBlock) => Some(true),
            Err(TryLockError::Error(_)) => None,
        };
        let may_be_held = metadata.is_file() && (name.ends_with(PARTIAL) || name.ends_with(LEASE));
        let in_use = if may_be_held { File::open(path).ok().and_then(held) } else { None };
        return Ok(Some(Entry { name: name.to_owned(), bytes: metadata.len(), modified, in_use }));
    }
    if !name.split_once('.').is_some_and(|(id, _)| is_id(id)) {
        return Ok(None);
    }
    let (mut bytes, mut newest): (u64, SystemTime) = (0, modified);
    for entry in fs::read_dir(path)? {
        let metadata = entry?.metadata()?;
        bytes += metadata.len();
        newest = newest.max(metadata.modified()?);
    }
    Ok(Some(Entry { name: name.to_owned(), bytes, modified: newest, in_use: None }))
}

/// A lease: who lives holds its lock; and it is written to now and then, for file systems without locks.
struct Lock {
    file: File,
    path: PathBuf,
}

impl Held for Lock {
    fn renew(&mut self) -> io::Result<()> {
        self.file.write_all_at(b"at work\n", 0)
    }

    fn release(self: Box<Self>) -> io::Result<()> {
        fs::remove_file(&self.path)
    }
}

struct Written {
    file: File,
    /// Its present name; `None` once it is to stay.
    partial: Option<PathBuf>,
    path: PathBuf,
    folder: PathBuf,
    since_look: u64,
}

impl Write for Written {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        if self.since_look >= LOOK_EVERY {
            leave_room(&self.folder)?;
            self.since_look = 0;
        }
        let n = self.file.write(buffer)?;
        self.since_look += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Upload for Written {
    fn finish(&mut self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn read_back(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(File::open(self.partial.as_ref().unwrap_or(&self.path))?))
    }

    fn publish(mut self: Box<Self>) -> io::Result<()> {
        let Some(partial) = &self.partial else { return Ok(()) };
        fs::rename(partial, &self.path)?;
        // Should the folder not be written, the name is taken away again as the other would have been.
        self.partial = Some(self.path.clone());
        sync(&self.folder)?;
        self.partial = None;
        Ok(())
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        if let Some(partial) = &self.partial {
            let _ = fs::remove_file(partial);
        }
    }
}
