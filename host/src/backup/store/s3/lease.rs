//! A lease: an object that is written anew now and then. When that was, the store itself tells.

use std::io;

use object_store::{Error, ObjectStoreExt, path::Path};

use super::{Bucket, TIDY_TIMEOUT, failure::Failure};
use crate::backup::store::Held;

/// See the module.
pub(super) struct Lease {
    pub(super) bucket: Bucket,
    pub(super) path: Path,
    /// As messages name it.
    pub(super) name: String,
}

impl Held for Lease {
    fn renew(&mut self) -> io::Result<()> {
        let (client, path) = (self.bucket.client.clone(), self.path.clone());
        let put = self.bucket.requests.wait(async move { client.put(&path, "at work\n".into()).await })?;
        put.map(drop).map_err(|e| Failure::of(&e).while_doing(&format!("writing `{}`", self.name)))
    }

    fn release(self: Box<Self>) -> io::Result<()> {
        let (client, path) = (self.bucket.client.clone(), self.path.clone());
        let delete = async move { tokio::time::timeout(TIDY_TIMEOUT, client.delete(&path)).await };
        match self.bucket.requests.wait_anyway(delete)? {
            Ok(Ok(()) | Err(Error::NotFound { .. })) => Ok(()),
            Ok(Err(error)) => Err(Failure::of(&error).while_doing(&format!("removing `{}`", self.name))),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, format!("removing `{}`: no answer", self.name))),
        }
    }
}
