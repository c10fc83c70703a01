//! A bucket of an S3-compatible store.
//!
//! An object has its name as soon as it is complete, and no store can rename one: what makes a backup is its manifest, which is written
//! last. Until an object is complete, it is nothing but parts, which no list shows.

mod connect;
mod download;
mod failure;
mod lease;
mod requests;
mod upload;

use std::{
    fmt,
    io::{self, Read},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, aws::AmazonS3, path::Path};

use self::{download::Download, failure::Failure, lease::Lease, requests::Requests, upload::Object};
use super::{Entry, Over, S3Settings, Store, Upload, check_name};
use crate::error::{Error, Result};

/// How long the store is asked whether it has what it would not confirm.
const LOOK_TIMEOUT: Duration = Duration::from_secs(10);
/// How long tidying up may take: the store may well be gone.
const TIDY_TIMEOUT: Duration = Duration::from_secs(10);

/// See the module.
pub struct S3 {
    bucket: Bucket,
    /// May be empty.
    prefix: Path,
    location: String,
}

/// What a request is made with.
#[derive(Clone)]
struct Bucket {
    client: AmazonS3,
    requests: Arc<Requests>,
}

impl S3 {
    /// Opens it, without asking whether it is there.
    ///
    /// # Errors
    /// [`Error::Configuration`] when the settings do not fit together.
    pub fn open(bucket: &str, prefix: &str, settings: &S3Settings) -> Result<Self> {
        Self::open_as(None, bucket, prefix, settings)
    }

    /// The same with these credentials, an access key's name and its secret, in the place of what the environment says.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_as(key: Option<(&str, &str)>, bucket: &str, prefix: &str, settings: &S3Settings) -> Result<Self> {
        let location = super::Location::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() }.to_string();
        let prefix = Path::parse(prefix).map_err(|e| {
            let next = "write `s3://bucket/prefix`, with letters, digits and single slashes";
            Error::configuration(format!("`{location}` names no place for backups: {e}"), next)
        })?;
        let client = connect::connect(key, bucket, settings)?;
        let requests = Requests::start().map_err(|e| Error::system("starting a thread", e))?;
        Ok(Self { bucket: Bucket { client, requests: Arc::new(requests) }, prefix, location })
    }

    fn path(&self, name: &str) -> io::Result<Path> {
        check_name(name)?;
        let key = if self.prefix.is_root() { name.to_owned() } else { format!("{}/{name}", self.prefix) };
        Path::parse(key).map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))
    }

    /// As messages name it.
    fn full_name(&self, name: &str) -> String {
        format!("{}/{name}", self.location)
    }

    /// Makes requests about a file, and says about which when they fail.
    fn ask<T: Send + 'static, F>(&self, doing: &str, name: &str, ask: impl FnOnce(Bucket, Path) -> F) -> io::Result<T>
    where
        F: Future<Output = object_store::Result<T>> + Send + 'static,
    {
        let asked = self.bucket.requests.wait(ask(self.bucket.clone(), self.path(name)?))?;
        asked.map_err(|e| Failure::of(&e).while_doing(&format!("{doing} `{}`", self.full_name(name))))
    }
}

impl Bucket {
    /// Says so when there is one of that name.
    async fn require_free(&self, path: &Path) -> object_store::Result<()> {
        match self.client.head(path).await {
            Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(object_store::Error::AlreadyExists { path: path.to_string(), source: "it is there".into() }),
        }
    }

    /// Writes a whole object where there is none of that name.
    async fn put_new(&self, path: &Path, bytes: Bytes) -> object_store::Result<()> {
        // Older stores know no condition of a PUT: some pay it no heed, which only asking first finds out; others refuse it, and get the
        // PUT without. Between the two another could write the same name; names that hold a time and a run are safe enough from that.
        self.require_free(path).await?;
        let put = match self.client.put_opts(path, bytes.clone().into(), PutMode::Create.into()).await {
            Err(error) if Failure::is_not_implemented(&error) => {
                self.client.put_opts(path, bytes.clone().into(), PutMode::Overwrite.into()).await
            }
            put => put,
        };
        match put {
            Ok(_) => Ok(()),
            // The answer to an earlier try may have been lost: then it is our own that is in the way, or that is there after all.
            Err(error) => match tokio::time::timeout(LOOK_TIMEOUT, self.holds(path, &bytes)).await {
                Ok(true) => Ok(()),
                _ => Err(error),
            },
        }
    }

    async fn holds(&self, path: &Path, bytes: &Bytes) -> bool {
        match self.client.get(path).await {
            Ok(there) if there.meta.size == bytes.len() as u64 => {
                there.bytes().await.is_ok_and(|there| there == *bytes)
            }
            _ => false,
        }
    }
}

impl Store for S3 {
    fn location(&self) -> String {
        self.location.clone()
    }

    fn entries(&self) -> io::Result<Vec<Entry>> {
        let (client, prefix) = (self.bucket.client.clone(), self.prefix.clone());
        let listed = self.bucket.requests.wait(async move { client.list_with_delimiter(Some(&prefix)).await })?;
        let listed = listed.map_err(|e| Failure::of(&e).while_doing(&format!("listing `{}`", self.location)))?;
        let entry = |meta: &object_store::ObjectMeta| {
            let name = meta.location.as_ref().strip_prefix(self.prefix.as_ref())?.trim_start_matches('/');
            check_name(name).ok()?;
            // Who is at work on an object is told by none of its metadata.
            Some(Entry { name: name.to_owned(), bytes: meta.size, modified: meta.last_modified.into(), in_use: None })
        };
        Ok(listed.objects.iter().filter_map(entry).collect())
    }

    fn read(&self, name: &str) -> io::Result<Box<dyn Read + Send>> {
        let what = format!("reading `{}`", self.full_name(name));
        Ok(Box::new(Download::open(&self.bucket, self.path(name)?, what)?))
    }

    fn create(&self, name: &str, about_bytes: u64) -> io::Result<Box<dyn Upload>> {
        self.ask("writing", name, |bucket, path| async move { bucket.require_free(&path).await })?;
        Ok(Box::new(Object::new(self.bucket.clone(), self.path(name)?, self.full_name(name), about_bytes)))
    }

    fn put(&self, name: &str, bytes: &[u8], over: Over) -> io::Result<()> {
        let bytes = Bytes::copy_from_slice(bytes);
        self.ask("writing", name, |bucket, path| async move {
            match over {
                Over::Nothing => bucket.put_new(&path, bytes).await,
                Over::Anything => bucket.client.put(&path, bytes.into()).await.map(drop),
            }
        })
    }

    fn hold(&self, name: &str) -> io::Result<Box<dyn super::Held>> {
        self.put(name, b"at work\n", Over::Nothing)?;
        Ok(Box::new(Lease { bucket: self.bucket.clone(), path: self.path(name)?, name: self.full_name(name) }))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let (client, path) = (self.bucket.client.clone(), self.path(name)?);
        // It may be what tidying up needs.
        let removed = self.bucket.requests.wait_anyway(async move { client.delete(&path).await })?;
        match removed {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(Failure::of(&error).while_doing(&format!("removing `{}`", self.full_name(name)))),
        }
    }

    fn free_bytes(&self) -> io::Result<Option<u64>> {
        Ok(None)
    }

    fn give_up(&self) {
        self.bucket.requests.give_up();
    }
}

impl fmt::Debug for S3 {
    /// The client knows credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3").field("location", &self.location).finish_non_exhaustive()
    }
}
