//! The folder of backups: `<id>.dump.zst` and `<id>.json`. A backup without its manifest is none.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::manifest::{FORMAT, Manifest};
use crate::{
    error::{Error, NOTHING_CHANGED, Result},
    migration::hex,
};

/// All complete backups, the oldest first. A manifest that cannot be read is logged and left out: it must not stop a run.
///
/// # Errors
/// When the folder cannot be read.
pub fn list(folder: &Path) -> Result<Vec<Manifest>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => {
            return Err(unreadable(format!("the backup folder `{}` cannot be read", folder.display()), &error));
        }
    };
    let mut backups = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.extension().is_some_and(|e| e == "json") {
            match read(&path) {
                Ok(manifest) => backups.push(manifest),
                Err(error) => tracing::warn!(cause = error.report().what, "a manifest is left out"),
            }
        }
    }
    backups.sort_by(|a: &Manifest, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
    Ok(backups)
}

fn unreadable(what: String, cause: &dyn std::fmt::Display) -> Error {
    Error::Backup {
        what,
        cause: cause.to_string(),
        state: NOTHING_CHANGED.into(),
        next: "choose another backup: `lockgate backup list`".into(),
    }
}

/// The newest complete backup of a database.
///
/// # Errors
/// As [`list`].
pub fn newest(folder: &Path, database: &str) -> Result<Option<Manifest>> {
    Ok(list(folder)?.into_iter().rfind(|manifest| manifest.database == database))
}

/// The backup of that name, or the newest for `latest`; of this database and no other.
///
/// # Errors
/// When there is none, or its manifest is damaged.
pub fn find(folder: &Path, database: &str, id: &str) -> Result<Manifest> {
    let missing = || Error::Refused {
        what: format!("there is no backup `{id}` of database `{database}` in `{}`", folder.display()),
        next: "see `lockgate backup list`".into(),
    };
    if id == "latest" {
        return newest(folder, database)?.ok_or_else(missing);
    }
    let path = folder.join(format!("{id}.json"));
    if id.contains(['/', '\\']) || !path.exists() {
        return Err(missing());
    }
    let manifest = read(&path)?;
    if manifest.database == database {
        return Ok(manifest);
    }
    Err(Error::Refused {
        what: format!("backup `{id}` is one of database `{}`, not of `{database}`", manifest.database),
        next: "choose one of this database, or name the other with DB_NAME".into(),
    })
}

/// Checks a backup whole: the file's digest, and that it decodes to the dump that was written.
///
/// # Errors
/// Which of them is not as the manifest says.
pub fn verify(folder: &Path, manifest: &Manifest) -> Result<(), String> {
    verify_file(&payload_path(folder, manifest), manifest)
}

/// The same for a file that is not under its name yet.
pub(super) fn verify_file(path: &Path, manifest: &Manifest) -> Result<(), String> {
    let file = File::open(path).map_err(|e| format!("`{}` cannot be opened: {e}", path.display()))?;
    let mut compressed = Digesting::new(file);
    let mut dump = Digesting::new(io::sink());
    let mut decoder = zstd::Decoder::new(&mut compressed).map_err(|e| e.to_string())?;
    let decoded = io::copy(&mut decoder, &mut dump);
    drop(decoder);
    // To the end of the file, whatever the decoder left.
    let drained = io::copy(&mut compressed, &mut io::sink());
    let (bytes, sha256) = compressed.finish();
    drained.map_err(|e| format!("`{}` cannot be read: {e}", path.display()))?;
    if bytes != manifest.payload.bytes {
        return Err(format!("`{}` has {bytes} bytes, the manifest says {}", path.display(), manifest.payload.bytes));
    }
    if sha256 != manifest.payload.sha256 {
        return Err(format!("`{}` is damaged: its SHA-256 differs from the manifest's", path.display()));
    }
    decoded.map_err(|e| format!("`{}` does not decode: {e}", path.display()))?;
    let (dump_bytes, dump_sha256) = dump.finish();
    if (dump_bytes, dump_sha256.as_str()) != (manifest.payload.dump_bytes, manifest.payload.dump_sha256.as_str()) {
        return Err(format!("`{}` decodes to another dump than was written", path.display()));
    }
    Ok(())
}

/// Where a backup's file is.
pub fn payload_path(folder: &Path, manifest: &Manifest) -> PathBuf {
    folder.join(&manifest.payload.file)
}

fn read(path: &Path) -> Result<Manifest> {
    let what = || format!("the manifest `{}` is damaged", path.display());
    let text = fs::read_to_string(path).map_err(|e| unreadable(what(), &e))?;
    let manifest: Manifest = serde_json::from_str(&text).map_err(|e| unreadable(what(), &e))?;
    if manifest.format != FORMAT {
        return Err(unreadable(what(), &format!("it has format {}, this program reads {FORMAT}", manifest.format)));
    }
    // The name comes from a file: it must not lead out of the folder.
    if manifest.payload.file != format!("{}.dump.zst", manifest.id) || manifest.id.contains(['/', '\\']) {
        return Err(unreadable(what(), &"its payload is not the file beside it"));
    }
    Ok(manifest)
}

/// Counts and digests what passes through.
pub(super) struct Digesting<T> {
    inner: T,
    hasher: Sha256,
    bytes: u64,
}

impl<T> Digesting<T> {
    pub(super) fn new(inner: T) -> Self {
        Self { inner, hasher: Sha256::new(), bytes: 0 }
    }

    pub(super) fn get_ref(&self) -> &T {
        &self.inner
    }

    /// The number of bytes and their SHA-256.
    pub(super) fn finish(self) -> (u64, String) {
        (self.bytes, hex(&self.hasher.finalize()))
    }

    fn note(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
    }
}

impl<R: Read> Read for Digesting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.note(&buffer[..n]);
        Ok(n)
    }
}

impl<W: Write> Write for Digesting<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(buffer)?;
        self.note(&buffer[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::manifest::Payload;

    fn written(folder: &Path, dump: &[u8]) -> Manifest {
        let compressed = zstd::encode_all(dump, 3).unwrap();
        fs::write(folder.join("a.dump.zst"), &compressed).unwrap();
        let manifest = Manifest {
            format: FORMAT,
            id: "a".into(),
            created_at: jiff::Timestamp::UNIX_EPOCH,
            run_id: String::new(),
            database: "auth".into(),
            server_version: "15".into(),
            pg_dump_major: 15,
            lockgate_version: "0".into(),
            applied: vec![],
            precedes: vec![],
            payload: Payload {
                file: "a.dump.zst".into(),
                encoding: "pg_dump-custom+zstd".into(),
                bytes: compressed.len() as u64,
                sha256: hex(&Sha256::digest(&compressed)),
                dump_bytes: dump.len() as u64,
                dump_sha256: hex(&Sha256::digest(dump)),
            },
        };
        fs::write(folder.join("a.json"), serde_json::to_string(&manifest).unwrap()).unwrap();
        manifest
    }

    #[test]
    fn every_bit_flip_and_truncation_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let dump: Vec<u8> = (0..4000u32).flat_map(|i| (i * i).to_le_bytes()).collect();
        let manifest = written(folder.path(), &dump);
        assert_eq!(verify(folder.path(), &manifest), Ok(()));
        let path = payload_path(folder.path(), &manifest);
        let good = fs::read(&path).unwrap();
        for i in (0..good.len()).step_by(97) {
            let mut bad = good.clone();
            bad[i] ^= 1 << (i % 8);
            fs::write(&path, &bad).unwrap();
            assert!(verify(folder.path(), &manifest).is_err(), "bit flip at {i}");
            fs::write(&path, &good[..i]).unwrap();
            assert!(verify(folder.path(), &manifest).is_err(), "truncation at {i}");
        }
        fs::write(&path, [good.as_slice(), b"x"].concat()).unwrap();
        assert!(verify(folder.path(), &manifest).is_err(), "something appended");
    }

    #[test]
    fn a_manifest_cannot_point_out_of_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let mut manifest = written(folder.path(), b"x");
        manifest.payload.file = "../b.dump.zst".into();
        fs::write(folder.path().join("a.json"), serde_json::to_string(&manifest).unwrap()).unwrap();
        assert!(list(folder.path()).unwrap().is_empty());
        assert!(find(folder.path(), "auth", "a").is_err());
    }

    #[test]
    fn the_newest_is_latest() {
        let folder = tempfile::tempdir().unwrap();
        assert!(find(folder.path(), "auth", "latest").is_err());
        written(folder.path(), b"x");
        assert_eq!(find(folder.path(), "auth", "latest").unwrap().id, "a");
        assert!(find(folder.path(), "auth", "b").is_err());
        assert!(find(folder.path(), "other", "latest").is_err() && find(folder.path(), "other", "a").is_err());
    }
}
