//! Compiled components, kept between runs in a folder that only this user can write to.
//!
//! What lies there is native code that this process will jump into, so the folder is trusted only as far as its owner and mode prove
//! it, and each entry only as far as its digest does. Whatever is wrong, the component is compiled again.

use std::{
    env,
    fs::{DirBuilder, File, Metadata},
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, Read, Write},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::{DirBuilderExt, FileExt, MetadataExt},
    },
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use nix::{
    fcntl::{OFlag, open, openat, renameat},
    sys::stat::Mode,
    unistd::{UnlinkatFlags, geteuid, unlinkat},
};
use twox_hash::XxHash3_128;
use wasmtime::{Engine, component::Component};

use crate::migration::Checksum;

/// What comes behind the code in an entry, which the system can map into memory as it lies there. The digest of all before it and of the
/// entry's name follows, as 32 digits and a line feed.
const MAGIC: &[u8] = b"lockgate compiled component 3\n";
const TRAILER_BYTES: usize = MAGIC.len() + 32 + 1;
/// So much of the code is hashed at a time: no more than stays in the processor's cache.
const PIECE_BYTES: usize = 128 * 1024;
const ENDING: &str = ".compiled";
const TEMPORARY: &str = ".tmp";
/// Nobody deploys from a checkout that long without running what is in it.
const UNUSED_MAX: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// A temporary file this old was left by a process that was killed.
const TEMPORARY_MAX: Duration = Duration::from_secs(60 * 60);
/// The newest are kept, so many bytes of them: thousands of small components, or 60 that bring an interpreter with them. A project with more would find
/// none of them, because each run uses them in the same order.
const BYTES_MAX: u64 = 2 << 30;

/// The folder of compiled components.
#[derive(Debug)]
pub struct Cache {
    path: PathBuf,
    /// Everything is opened through this, so that the folder that was checked is the one that is used.
    folder: OwnedFd,
}

impl Cache {
    /// Where the cache is, unless the operator says otherwise: `$XDG_CACHE_HOME/lockgate` or `~/.cache/lockgate`. `None` without a
    /// home.
    pub fn default_folder() -> Option<PathBuf> {
        // Relative values are to be ignored (XDG Base Directory Specification).
        let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        absolute("XDG_CACHE_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
            .map(|base| base.join("lockgate"))
    }

    /// Opens the folder, and makes it if it is not there.
    ///
    /// # Errors
    /// Why it cannot be used: it is not this user's alone, or it cannot be made.
    pub fn open(path: &Path) -> Result<Self, String> {
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|e| format!("it cannot be made: {e}"))?;
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_RDONLY;
        let folder = open(path, flags, Mode::empty()).map_err(|e| match e {
            nix::Error::ELOOP | nix::Error::ENOTDIR => "it is a link or no folder".to_owned(),
            e => format!("it cannot be opened: {}", e.desc()),
        })?;
        let folder = File::from(folder);
        let metadata = folder.metadata().map_err(|e| e.to_string())?;
        if metadata.uid() != geteuid().as_raw() {
            return Err(format!("it belongs to user {}, not to this one ({})", metadata.uid(), geteuid()));
        }
        if metadata.mode() & 0o022 != 0 {
            return Err(format!("others may write to it (mode {:o}); `chmod 700` it", metadata.mode() & 0o7777));
        }
        Ok(Self { path: path.to_owned(), folder: folder.into() })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The compiled component, if it is there and whole. An entry that is not is removed.
    pub(super) fn find(&self, engine: &Engine, component: &Checksum) -> Option<Component> {
        let name = entry_name(engine, component);
        let found = match self.entry(&name) {
            Ok(None) => return None,
            Ok(Some(file)) => revive(engine, &name, &file),
            Err(e) => Err(e.to_string()),
        };
        match found {
            Ok(component) => Some(component),
            Err(reason) => {
                tracing::warn!(
                    entry = name,
                    reason,
                    "an entry of the code cache is broken; the component is compiled again"
                );
                let _ = unlinkat(&self.folder, name.as_str(), UnlinkatFlags::NoRemoveDir);
                None
            }
        }
    }

    fn entry(&self, name: &str) -> io::Result<Option<File>> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file = match openat(&self.folder, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(nix::Error::ENOENT) => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        let metadata = file.metadata()?;
        if !is_own_file(&metadata) {
            return Err(io::Error::other("it is no file of this user's alone"));
        }
        // What is used is kept. Should this fail, it is compiled again some day.
        let _ = file.set_modified(SystemTime::now());
        Ok(Some(file))
    }

    /// Keeps a compiled component. Another process may do the same at the same time: the entry is whole at every moment.
    ///
    /// # Errors
    /// When it could not be written; nothing but time is lost.
    pub(super) fn keep(&self, engine: &Engine, component: &Checksum, compiled: &Component) -> Result<(), String> {
        let name = entry_name(engine, component);
        let artefact = compiled.serialize().map_err(|e| e.to_string())?;
        let temporary = format!("{name}.{}-{:016x}{TEMPORARY}", std::process::id(), fastrand::u64(..));
        let written = self.write(&temporary, &name, &artefact);
        if written.is_err() {
            let _ = unlinkat(&self.folder, temporary.as_str(), UnlinkatFlags::NoRemoveDir);
        }
        written.map_err(|e| e.to_string())?;
        self.prune(&name, BYTES_MAX);
        Ok(())
    }

    fn write(&self, temporary: &str, name: &str, artefact: &[u8]) -> io::Result<()> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mut file = File::from(openat(&self.folder, temporary, flags, Mode::S_IRUSR | Mode::S_IWUSR)?);
        file.write_all(artefact)?;
        file.write_all(&trailer(&digest_of(name, artefact)))?;
        renameat(&self.folder, temporary, &self.folder, name)?;
        Ok(())
    }

    /// Removes what was not used for long, and the oldest where all of them have more than so many bytes.
    fn prune(&self, just_kept: &str, bytes_max: u64) {
        let Ok(files) = std::fs::read_dir(&self.path) else { return };
        let mut entries = Vec::new();
        for file in files.flatten() {
            let (Ok(name), Ok(metadata)) = (file.file_name().into_string(), file.metadata()) else { continue };
            let age = metadata.modified().ok().and_then(|at| at.elapsed().ok()).unwrap_or_default();
            // Other files in the folder are not ours to remove.
            if name.ends_with(TEMPORARY) && age > TEMPORARY_MAX {
                entries.push((Duration::MAX, name, 0));
            } else if name == just_kept {
                entries.push((Duration::ZERO, name, metadata.len()));
            } else if name.ends_with(ENDING) {
                entries.push((age, name, metadata.len()));
            }
        }
        entries.sort();
        let mut bytes = 0_u64;
        for (age, name, length) in entries {
            bytes = bytes.saturating_add(length);
            if name != just_kept && (age > UNUSED_MAX || bytes > bytes_max) {
                let _ = unlinkat(&self.folder, name.as_str(), UnlinkatFlags::NoRemoveDir);
            }
        }
    }
}

fn is_own_file(metadata: &Metadata) -> bool {
    metadata.is_file() && metadata.uid() == geteuid().as_raw() && metadata.mode() & 0o022 == 0
}

/// Compiled code fits only the engine that made it: its version, settings and processor; and whoever reads an entry knows how it was written.
fn entry_name(engine: &Engine, component: &Checksum) -> String {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    env!("CARGO_PKG_VERSION").hash(&mut hasher);
    MAGIC.hash(&mut hasher);
    format!("{component}-{:016x}{ENDING}", hasher.finish())
}

/// Finds what a disk or a program has damaged, ten times as fast as a digest that nobody can forge would. Whoever may write to the folder could put that of
/// another entry beside it as well. Covers the name, so that no entry can stand for another.
fn digest(name: &str) -> XxHash3_128 {
    let mut hasher = XxHash3_128::with_seed(0);
    hasher.write(name.as_bytes());
    hasher.write(&[0]);
    hasher
}

fn digits(hasher: &XxHash3_128) -> String {
    format!("{:032x}", hasher.finish_128())
}

fn digest_of(name: &str, artefact: &[u8]) -> String {
    let mut hasher = digest(name);
    hasher.write(artefact);
    digits(&hasher)
}

/// The same of the first bytes of a file.
fn digest_in(name: &str, file: &File, bytes: u64) -> io::Result<String> {
    let (mut hasher, mut at) = (digest(name), 0);
    let mut piece = vec![0; PIECE_BYTES];
    while at < bytes {
        let length = PIECE_BYTES.min(usize::try_from(bytes - at).unwrap_or(PIECE_BYTES));
        file.read_exact_at(&mut piece[..length], at)?;
        hasher.write(&piece[..length]);
        at += length as u64;
    }
    Ok(digits(&hasher))
}

fn trailer(digest: &str) -> Vec<u8> {
    [MAGIC, digest.as_bytes(), b"\n"].concat()
}

/// Whether an entry is what was written.
fn is_whole(name: &str, file: &File) -> io::Result<bool> {
    let length = file.metadata()?.len();
    let Some(artefact) = length.checked_sub(TRAILER_BYTES as u64) else { return Ok(false) };
    let mut end = [0; TRAILER_BYTES];
    file.read_exact_at(&mut end, artefact)?;
    Ok(end.starts_with(MAGIC) && end == trailer(&digest_in(name, file, artefact)?)[..])
}

#[allow(unsafe_code, reason = "wasmtime offers no safe way to load compiled code")]
fn revive(engine: &Engine, name: &str, mut file: &File) -> Result<Component, String> {
    if !is_whole(name, file).map_err(|e| e.to_string())? {
        return Err("its content is not what was written".to_owned());
    }
    // This very file, whatever has its name by now.
    let open = format!("/proc/self/fd/{}", file.as_raw_fd());
    // SAFETY: both calls want what `Component::serialize` made, and the first that the file is not changed as long as it is mapped. The file
    // belongs to this user and lies in a folder to which only this user can write, both checked on the open files, and it matches the
    // digest that was written with it; so it is what `keep` wrote, by this user's own lockgate of this version, which never changes
    // an entry, but puts another in its place. Whoever can do otherwise can already do everything as this user. wasmtime itself refuses what
    // another version or other settings of it made.
    if let Ok(component) = unsafe { Component::deserialize_file(engine, open) } {
        return Ok(component);
    }
    // A system without such names, or one that maps no code from this folder.
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    bytes.truncate(bytes.len().saturating_sub(TRAILER_BYTES));
    // SAFETY: as above.
    unsafe { Component::deserialize(engine, bytes) }.map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

    struct Kept {
        folder: tempfile::TempDir,
        cache: Cache,
        engine: Engine,
        digest: Checksum,
    }

    impl Kept {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let cache = Cache::open(&folder.path().join("a/cache")).unwrap();
            let (engine, digest) = (Engine::default(), Checksum::of_bytes(COMPONENT));
            assert!(cache.find(&engine, &digest).is_none());
            cache.keep(&engine, &digest, &Component::new(&engine, COMPONENT).unwrap()).unwrap();
            Self { folder, cache, engine, digest }
        }

        fn entry(&self) -> PathBuf {
            self.cache.path().join(entry_name(&self.engine, &self.digest))
        }

        fn is_found(&self) -> bool {
            self.cache.find(&self.engine, &self.digest).is_some()
        }
    }

    #[test]
    fn what_is_kept_is_found_and_is_nobody_elses() {
        let kept = Kept::new();
        assert!(kept.is_found());
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!((mode(kept.cache.path()), mode(&kept.entry())), (0o700, 0o600));
        assert_eq!(fs::read_dir(kept.cache.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn a_flipped_or_cut_or_renamed_entry_is_removed() {
        let kept = Kept::new();
        let good = fs::read(kept.entry()).unwrap();
        let mut flipped = good.clone();
        *flipped.last_mut().unwrap() ^= 1;
        for bad in [flipped, good[..good.len() - 1].to_vec(), good[..10].to_vec(), Vec::new()] {
            fs::write(kept.entry(), bad).unwrap();
            assert!(!kept.is_found());
            assert!(!kept.entry().exists());
        }
        let other = Checksum::of_bytes(b"other");
        fs::write(kept.cache.path().join(entry_name(&kept.engine, &other)), &good).unwrap();
        assert!(kept.cache.find(&kept.engine, &other).is_none());
    }

    #[test]
    fn an_entry_of_another_engine_is_not_found() {
        let kept = Kept::new();
        let mut config = wasmtime::Config::new();
        config.epoch_interruption(true);
        assert!(kept.cache.find(&Engine::new(&config).unwrap(), &kept.digest).is_none());
    }

    #[test]
    fn links_and_files_that_others_can_write_to_are_refused() {
        let kept = Kept::new();
        fs::set_permissions(kept.entry(), fs::Permissions::from_mode(0o666)).unwrap();
        assert!(!kept.is_found());
        let kept = Kept::new();
        let elsewhere = kept.folder.path().join("elsewhere");
        fs::rename(kept.entry(), &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, kept.entry()).unwrap();
        assert!(!kept.is_found());
    }

    #[test]
    fn a_folder_that_is_not_this_users_alone_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("open");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(Cache::open(&path).unwrap_err().contains("others may write to it (mode 777)"));
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path(), &link).unwrap();
        assert!(Cache::open(&link).unwrap_err().contains("a link"));
        if !geteuid().is_root() {
            assert!(Cache::open(Path::new("/")).unwrap_err().contains("belongs to user 0"));
        }
    }

    #[test]
    fn what_is_old_or_too_much_is_removed_and_strangers_stay() {
        let kept = Kept::new();
        let old = SystemTime::now() - UNUSED_MAX - Duration::from_secs(1);
        for (name, at) in [("old.compiled", old), ("left.tmp", old), ("notes.txt", old), ("new.tmp", SystemTime::now())]
        {
            File::create(kept.cache.path().join(name)).unwrap().set_modified(at).unwrap();
        }
        for i in 1..=9_u64 {
            let entry = File::create(kept.cache.path().join(format!("{i}.compiled"))).unwrap();
            entry.set_len(1000).unwrap();
            entry.set_modified(SystemTime::now() - Duration::from_secs(60 * i)).unwrap();
        }
        let kept_bytes = fs::metadata(kept.entry()).unwrap().len();
        kept.cache.prune(&entry_name(&kept.engine, &kept.digest), kept_bytes + 5 * 1000 + 999);
        let left = |ending: &str| {
            let names = fs::read_dir(kept.cache.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
            let mut names: Vec<String> = names.filter(|name| name.ends_with(ending) && name.len() < 20).collect();
            names.sort();
            names
        };
        assert_eq!(left(".compiled"), ["1.compiled", "2.compiled", "3.compiled", "4.compiled", "5.compiled"]);
        assert_eq!((left(".tmp"), left(".txt")), (vec!["new.tmp".to_owned()], vec!["notes.txt".to_owned()]));
        // What was kept just now stays, however large it is.
        kept.cache.prune(&entry_name(&kept.engine, &kept.digest), 1);
        assert!(left(".compiled").is_empty());
        assert!(kept.is_found() && !kept.cache.path().join("old.compiled").exists());
    }
}
