//! Where backups are kept: a folder, or a bucket of an S3-compatible store.
//!
//! A store is slow and blocks: it is used from threads that may wait. All of them keep the same promises; one suite of the end-to-end
//! tests (`stores.rs`) claims them of each.

mod local;
#[cfg(feature = "s3")]
mod s3;
mod settings;

use std::{
    fmt,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

pub use local::{Local, PARTIAL, leave_room};
#[cfg(feature = "s3")]
pub use s3::S3;
pub use settings::{S3Settings, ServerSideEncryption};

use crate::error::{Error, Result};

/// What the name of a [lease](Store::hold) ends with.
pub const LEASE: &str = ".lease";

/// A place for backups. Names lead nowhere else, and have no folder in them, except where one is [read](Self::read).
pub trait Store: fmt::Debug + Send + Sync {
    /// As people write it: `backups`, `s3://bucket/prefix`.
    fn location(&self) -> String;

    /// Everything in it that has a name, in no order. A store that was never written to is empty.
    fn entries(&self) -> io::Result<Vec<Entry>>;

    /// Reads a file from its beginning; in a folder that a program has written, by `<folder>/<file>`.
    fn read(&self, name: &str) -> io::Result<Box<dyn Read + Send>>;

    /// Begins a file of about so many bytes. Nobody sees it under its name before it is [finished](Upload::finish), and in a store that
    /// can rename files, not before it is [published](Upload::publish).
    ///
    /// # Errors
    /// When there is one of that name.
    fn create(&self, name: &str, about_bytes: u64) -> io::Result<Box<dyn Upload>>;

    /// Writes a small file whole or not at all.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] when there is one of that name that it is not to replace.
    fn put(&self, name: &str, bytes: &[u8], over: Over) -> io::Result<()>;

    /// Makes a small file that says that somebody is at work, as long as it is renewed. Its name ends with [`LEASE`].
    ///
    /// # Errors
    /// When there is one of that name.
    fn hold(&self, name: &str) -> io::Result<Box<dyn Held>>;

    /// Removes a file, or a folder that a program has written. One that is not there is no error.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// How much more fits, where the store can tell.
    fn free_bytes(&self) -> io::Result<Option<u64>>;

    /// Fails what waits for the store, now and from now on, but for tidying up: whoever waits was asked to stop. Where nothing takes long
    /// nothing need be done.
    fn give_up(&self) {}

    /// The folder, where programs of this machine can write into it themselves.
    fn folder(&self) -> Option<&Path> {
        None
    }
}

/// A file that is being written. Dropped before it is published, it leaves nothing.
pub trait Upload: Write + Send {
    /// Ends it: from now on it outlives a crash of the machine, and can be read back.
    fn finish(&mut self) -> io::Result<()>;

    /// Reads back what was written, from the beginning; from where it is kept, and not from what this process remembers.
    fn read_back(&self) -> io::Result<Box<dyn Read + Send>>;

    /// Gives it its name.
    fn publish(self: Box<Self>) -> io::Result<()>;
}

/// A lease that somebody holds. Dropped, it stays, as when its holder is killed.
pub trait Held: Send {
    /// Makes it new again.
    fn renew(&mut self) -> io::Result<()>;

    /// Removes it.
    fn release(self: Box<Self>) -> io::Result<()>;
}

/// Whether a file may take the place of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// There must be none of that name.
    Nothing,
    /// It replaces one of that name.
    Anything,
}

/// Something in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its size; of a folder, that of everything in it.
    pub bytes: u64,
    /// When it was last written to.
    pub modified: SystemTime,
    /// Whether somebody is writing or holding it right now, where the store can tell.
    pub in_use: Option<bool>,
}

/// Which store, as `--backup-dir` and `[backup] dir` name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A folder of this machine.
    Folder(PathBuf),
    /// A bucket, and what the names in it begin with, without a slash at its end.
    S3 {
        /// The bucket.
        bucket: String,
        /// May be empty.
        prefix: String,
    },
}

impl Location {
    /// A folder, or `s3://bucket/prefix`.
    ///
    /// # Errors
    /// [`Error::Configuration`] for any other scheme, or without a bucket.
    pub fn parse(text: &str) -> Result<Self> {
        let Some((scheme, rest)) = text.split_once("://") else { return Ok(Self::Folder(text.into())) };
        let wrong = |what: &str| {
            Error::configuration(
                format!("`{text}` names no place for backups: {what}"),
                "name a folder, or a bucket as in `s3://bucket/prefix`",
            )
        };
        if scheme != "s3" {
            return Err(wrong(&format!("`{scheme}` is not known")));
        }
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(wrong("it has no bucket"));
        }
        Ok(Self::S3 { bucket: bucket.to_owned(), prefix: prefix.trim_matches('/').to_owned() })
    }

    /// Opens it, without asking whether it is there.
    ///
    /// # Errors
    /// [`Error::Configuration`] when the settings of an S3 store do not fit together, or this program was built without S3.
    #[cfg_attr(not(feature = "s3"), allow(unused_variables))]
    pub fn open(&self, s3: &S3Settings) -> Result<Arc<dyn Store>> {
        Ok(match self {
            Self::Folder(path) => Arc::new(Local::new(path.clone())),
            #[cfg(feature = "s3")]
            Self::S3 { bucket, prefix } => Arc::new(S3::open(bucket, prefix, s3)?),
            #[cfg(not(feature = "s3"))]
            Self::S3 { .. } => {
                return Err(Error::configuration(
                    format!("`{self}`: this program was built without S3"),
                    "name a folder, or build it with the feature `s3`",
                ));
            }
        })
    }
}

/// Names come from manifests as well, and must not lead out of the store.
fn check_name(name: &str) -> io::Result<()> {
    if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\']) || name.contains(char::is_control) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("`{name}` is no name of a file here")));
    }
    Ok(())
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => path.display().fmt(f),
            Self::S3 { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_a_folder_or_a_bucket() {
        let s3 = |bucket: &str, prefix: &str| Location::S3 { bucket: bucket.into(), prefix: prefix.into() };
        assert_eq!(Location::parse("backups").unwrap(), Location::Folder("backups".into()));
        assert_eq!(Location::parse("s3://b").unwrap(), s3("b", ""));
        assert_eq!(Location::parse("s3://b/a/c/").unwrap(), s3("b", "a/c"));
        for wrong in ["s3://", "s3:///x", "gs://b", "http://b/x"] {
            let text = Location::parse(wrong).unwrap_err().to_string();
            assert!(text.contains(wrong) && text.contains("s3://bucket/prefix"), "{text}");
        }
        for same in ["backups", "/a/b", "s3://b", "s3://b/a/c"] {
            assert_eq!(Location::parse(same).unwrap().to_string(), same);
        }
    }
}
