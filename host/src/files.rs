//! Reading files that somebody else put there: never for ever, and never more than fits.

use std::{
    fs::{self, File, Metadata, Permissions},
    io::{self, Read, Write},
    os::{
        fd::AsRawFd,
        unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    process,
};

use nix::{
    fcntl::OFlag,
    sys::memfd::{MFdFlags, memfd_create},
};

use crate::error::Error;

/// The bytes of a regular file. Neither a pipe nor a device is waited for.
///
/// # Errors
/// Why it is not read, as a sentence about it; `limit` is the name of the setting that raises `max_bytes`.
pub fn read(path: &Path, max_bytes: u64, limit: &str) -> Result<Vec<u8>, String> {
    let file = regular(path, max_bytes, limit)?;
    let mut bytes = Vec::new();
    // It may grow while it is read.
    file.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > max_bytes { Err(too_long(bytes.len() as u64, max_bytes, limit)) } else { Ok(bytes) }
}

/// Opens a regular file of no more than so many bytes.
///
/// # Errors
/// As [`read`].
pub fn regular(path: &Path, max_bytes: u64, limit: &str) -> Result<File, String> {
    let file = open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if metadata.is_dir() {
        return Err("it is a folder".into());
    }
    if !metadata.is_file() {
        return Err("it is no regular file".into());
    }
    if metadata.len() > max_bytes { Err(too_long(metadata.len(), max_bytes, limit)) } else { Ok(file) }
}

fn unreadable(error: io::Error) -> String {
    format!("it cannot be read: {error}")
}

fn too_long(bytes: u64, max_bytes: u64, limit: &str) -> String {
    format!("it has {bytes} bytes; at most {max_bytes} are allowed (`{limit}`)")
}

/// Opens what is there for reading. To open a pipe that nobody writes to would wait; this does not.
///
/// # Errors
/// As [`File::open`].
pub fn open(path: &Path) -> io::Result<File> {
    File::options().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)
}

/// What others than its owner may do with a file that holds a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// Nothing.
    Nothing,
    /// They may read it.
    Read,
    /// They may write to it.
    Write,
}

impl Others {
    /// By libpq's rule for keys: of a file that root owns, a group may read (PostgreSQL manual, "Client Certificates"). So systemd hands
    /// out credentials as well: root's, mode 0400, and an access control list that lets the unit's user read, whose mask `stat` shows
    /// as the group's bits, 0440 (systemd, `exec-credential.c`).
    pub fn of(file: &Metadata) -> Self {
        Self::by(file.uid(), file.mode())
    }

    fn by(owner: u32, mode: u32) -> Self {
        let open = if owner == 0 { mode & 0o037 } else { mode & 0o077 };
        match open & 0o022 {
            0 if open == 0 => Self::Nothing,
            0 => Self::Read,
            _ => Self::Write,
        }
    }
}

/// Refuses a file that holds a secret, `what`, and that others have access to. Neither a pipe nor a descriptor is anybody else's.
///
/// # Errors
/// [`Error::Configuration`], also when it cannot be looked at.
pub fn refuse_shared(what: &str, path: &Path) -> Result<(), Error> {
    let shown = path.display();
    let file = fs::metadata(path).map_err(|e| {
        Error::configuration(
            format!("{what} `{shown}` cannot be read: {e}"),
            "name a file that is there, and that can be read",
        )
    })?;
    if !file.is_file() || Others::of(&file) == Others::Nothing {
        return Ok(());
    }
    let mode = file.mode() & 0o7777;
    let what = format!("{what} `{shown}` is not used: others have access to it (mode {mode:04o})");
    Err(Error::configuration(what, format!("`chmod 600 {shown}`")))
}

/// Makes a folder that is not to be committed, with a `.gitignore` that says so. One that is there is left as it is.
///
/// # Errors
/// When it cannot be made.
pub fn make_uncommitted(folder: &Path) -> io::Result<()> {
    match fs::metadata(folder) {
        Ok(there) if there.is_dir() => return Ok(()),
        // "File exists" is what the system would say of it.
        Ok(_) => return Err(io::Error::new(io::ErrorKind::NotADirectory, "it is a file, not a folder")),
        Err(_) => fs::create_dir_all(folder)?,
    }
    // Nothing depends on it.
    let _ = fs::write(folder.join(".gitignore"), "*\n");
    Ok(())
}

/// Writes a file whole: whoever reads it, even after a crash, finds all of what was there before or all of this.
///
/// # Errors
/// When it cannot be written; what was there before is as it was.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Some folders may hold nothing else but what begins with a dot. The mode is as of any new file, less the umask.
    let prefix = format!(".{}", path.file_name().unwrap_or_default().display());
    let mode = Permissions::from_mode(0o666);
    let mut file = tempfile::Builder::new().prefix(&prefix).permissions(mode).tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    File::open(folder)?.sync_all()
}

/// A file without a name, in memory, which only this user's processes can open, by way of this one. It goes with this value or with the
/// process, however that ends.
pub(crate) struct Nameless(File);

impl Nameless {
    /// With this in it.
    pub(crate) fn of(content: &[u8]) -> io::Result<Self> {
        let mut file = File::from(memfd_create(c"lockgate", MFdFlags::MFD_CLOEXEC)?);
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        file.write_all(content)?;
        Ok(Self(file))
    }

    /// How another process opens it, as often as it likes, each time from the beginning.
    pub(crate) fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", process::id(), self.0.as_raw_fd()).into()
    }
}

#[cfg(test)]
mod tests {
    use nix::{sys::stat::Mode, unistd::mkfifo};

    use super::*;

    #[test]
    fn only_a_folder_that_is_made_gets_a_gitignore() {
        let folder = tempfile::tempdir().unwrap();
        make_uncommitted(folder.path()).unwrap();
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
        make_uncommitted(&folder.path().join("a/b")).unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("a/b/.gitignore")).unwrap(), "*\n");
        let taken = make_uncommitted(&folder.path().join("a/b/.gitignore")).unwrap_err();
        assert_eq!(taken.to_string(), "it is a file, not a folder");
    }

    #[test]
    fn a_secret_is_its_owners_and_roots_may_be_a_groups() {
        use Others::{Nothing, Read, Write};
        for (mode, mine, of_root) in [
            (0o400, Nothing, Nothing),
            (0o600, Nothing, Nothing),
            (0o700, Nothing, Nothing),
            // As systemd hands out a credential.
            (0o440, Read, Nothing),
            (0o640, Read, Nothing),
            (0o604, Read, Read),
            (0o444, Read, Read),
            (0o644, Read, Read),
            (0o610, Read, Read),
            (0o620, Write, Write),
            (0o660, Write, Write),
            (0o602, Write, Write),
            (0o666, Write, Write),
        ] {
            // A regular file's mode has its type above these bits.
            let mode = 0o100_000 | mode;
            assert_eq!((Others::by(1000, mode), Others::by(0, mode)), (mine, of_root), "{mode:o}");
        }
    }

    #[test]
    fn a_shared_secret_is_refused_by_its_name_and_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o604)).unwrap();
        let text = refuse_shared("the key", &path).unwrap_err().report().to_string();
        assert!(text.contains("key` is not used: others have access to it (mode 0604)"), "{text}");
        assert!(text.contains(&format!("next: `chmod 600 {}`", path.display())), "{text}");
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        refuse_shared("the key", &path).unwrap();
        let missing = refuse_shared("the key", &folder.path().join("none")).unwrap_err().to_string();
        assert!(missing.contains("none` cannot be read"), "{missing}");
        // Whoever has put it there was asked by its folder.
        mkfifo(&folder.path().join("pipe"), Mode::S_IRWXU | Mode::S_IROTH).unwrap();
        refuse_shared("the key", &folder.path().join("pipe")).unwrap();
    }

    #[test]
    fn a_file_is_replaced_whole_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file.json");
        for text in ["one", "two"] {
            replace(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        // A folder in its place cannot be replaced, and stays.
        fs::create_dir(folder.path().join("taken")).unwrap();
        assert!(replace(&folder.path().join("taken"), b"x").is_err());
        assert!(folder.path().join("taken").is_dir());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "no temporary file is left");
        assert!(replace(&folder.path().join("none/file"), b"x").is_err());
    }

    #[test]
    fn only_regular_files_of_a_bearable_size_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("file"), "four").unwrap();
        assert_eq!(read(&path("file"), 4, "x").unwrap(), b"four");
        assert_eq!(read(&path("file"), 3, "x").unwrap_err(), "it has 4 bytes; at most 3 are allowed (`x`)");
        File::create(path("sparse")).unwrap().set_len(3 << 30).unwrap();
        assert!(read(&path("sparse"), 64 << 20, "x").unwrap_err().starts_with("it has 3221225472 bytes"));
        mkfifo(&path("pipe"), Mode::S_IRWXU).unwrap();
        assert_eq!(read(&path("pipe"), 4, "x").unwrap_err(), "it is no regular file");
        assert_eq!(read(Path::new("/dev/zero"), 4, "x").unwrap_err(), "it is no regular file");
        assert_eq!(read(folder.path(), 4, "x").unwrap_err(), "it is a folder");
        assert!(read(&path("none"), 4, "x").unwrap_err().starts_with("it cannot be read: "));
    }
}
