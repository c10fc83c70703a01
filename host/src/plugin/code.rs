//! What a component is before it is compiled: its bytes, or the file that has them. That is hashed at every run, and read where no compiled one of its
//! digest is at hand.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use bytes::Bytes;

use crate::{files, migration::Checksum};

/// See the module.
#[derive(Debug, Clone)]
pub enum Code {
    /// The bytes themselves.
    Bytes(Bytes),
    /// So many bytes in a file.
    File {
        /// Where it is.
        path: PathBuf,
        /// How long it was when it was hashed.
        length: u64,
    },
}

impl Code {
    /// That of a file, and its digest, for which no more of it is held in memory than a piece at a time.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn in_file(path: &Path) -> io::Result<(Self, Checksum)> {
        Self::of(path, files::open(path)?)
    }

    /// The same of a file that is open.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(path: &Path, file: File) -> io::Result<(Self, Checksum)> {
        let (digest, length) = Checksum::of_reader(file)?;
        Ok((Self::File { path: path.to_owned(), length }, digest))
    }

    /// How long it is, in bytes.
    pub(super) fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { length, .. } => *length,
        }
    }

    /// Its bytes.
    ///
    /// # Errors
    /// When it cannot be read, or is not of this digest any more.
    pub(super) fn bytes(&self, digest: &Checksum) -> Result<Bytes, String> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.clone()),
            Self::File { path, length } => {
                let mut bytes = Vec::with_capacity(usize::try_from(length + 1).unwrap_or_default());
                let read = files::open(path).and_then(|file| file.take(length + 1).read_to_end(&mut bytes));
                read.map_err(|e| format!("it cannot be read: {e}"))?;
                if Checksum::of_bytes(&bytes) != *digest {
                    return Err("it was changed while it was read; run the same command again".into());
                }
                Ok(bytes.into())
            }
        }
    }
}

impl From<Bytes> for Code {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<Vec<u8>> for Code {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes.into())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_has_the_digest_of_its_bytes_and_is_refused_when_it_has_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wasm");
        for length in [0, 1, 300_000, 1 << 20] {
            let bytes: Vec<u8> = (0..length).map(|i: u32| (i % 251) as u8).collect();
            fs::write(&path, &bytes).unwrap();
            let (code, digest) = Code::in_file(&path).unwrap();
            assert_eq!((code.length(), &digest), (bytes.len() as u64, &Checksum::of_bytes(&bytes)));
            assert_eq!(code.bytes(&digest).unwrap(), bytes);
            fs::write(&path, b"another").unwrap();
            assert!(code.bytes(&digest).unwrap_err().contains("it was changed while it was read"));
        }
        assert!(Code::in_file(&folder.path().join("none.wasm")).is_err());
    }
}
