//! Writing an object in parts, in bounded memory.

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    mem,
};

use bytes::Bytes;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutMultipartOptions, Result, path::Path};

use super::{Bucket, LOOK_TIMEOUT, TIDY_TIMEOUT, download::Download, failure::Failure, requests::Pending};

/// The smallest part. S3 takes none below 5 MiB but the last, and each costs a request.
const PART_MIN_BYTES: usize = 8 << 20;
/// Parts of equal size, which is what some stores insist on. S3 takes 10,000 in all: the rest is for an object that turns out larger than
/// was expected.
const EQUAL_PARTS: usize = 8_000;
/// After these, parts double in size with each so many more: room for ten times of what was expected, up to 100 GiB, and for 800 GiB that
/// nobody expected.
const DOUBLE_EVERY: usize = 250;
/// S3 takes none above 5 GiB; this machine's memory has to hold two of them.
const PART_MAX_BYTES: usize = 1 << 30;
/// What all buffers together may take, as long as the parts are small enough.
const BUFFERS_BYTES: usize = 48 << 20;

/// See the module.
pub(super) struct Object {
    bucket: Bucket,
    path: Path,
    /// As messages name it.
    name: String,
    part_bytes: usize,
    buffer: Vec<u8>,
    written: u64,
    parts: Option<Box<dyn MultipartUpload>>,
    begun: usize,
    under_way: VecDeque<Pending<Result<()>>>,
    /// The store may have the object.
    may_be_there: bool,
    finished: bool,
    published: bool,
}

impl Object {
    pub(super) fn new(bucket: Bucket, path: Path, name: String, about_bytes: u64) -> Self {
        Self {
            bucket,
            path,
            name,
            part_bytes: part_bytes(about_bytes),
            buffer: Vec::new(),
            written: 0,
            parts: None,
            begun: 0,
            under_way: VecDeque::new(),
            may_be_there: false,
            finished: false,
            published: false,
        }
    }

    fn failed(&self, error: &object_store::Error) -> io::Error {
        Failure::of(error).while_doing(&format!("writing `{}`", self.name))
    }

    /// Sends the buffer as the next part, and waits until there is room for another.
    fn send(&mut self) -> io::Result<()> {
        if self.parts.is_none() {
            let (client, path) = (self.bucket.client.clone(), self.path.clone());
            let begin = async move { client.put_multipart_opts(&path, PutMultipartOptions::default()).await };
            self.parts = Some(self.bucket.requests.wait(begin)?.map_err(|e| self.failed(&e))?);
        }
        let next = grown(self.part_bytes, self.begun + 1);
        let part = mem::replace(&mut self.buffer, Vec::with_capacity(next));
        if let Some(parts) = &mut self.parts {
            self.under_way.push_back(self.bucket.requests.begin(parts.put_part(part.into())));
            self.begun += 1;
        }
        // The buffer that is filled meanwhile counts as well.
        self.settle((BUFFERS_BYTES / next).clamp(2, 3) - 1)
    }

    /// Waits until no more than so many parts are under way.
    fn settle(&mut self, most: usize) -> io::Result<()> {
        while self.under_way.len() > most {
            let Some(oldest) = self.under_way.pop_front() else { break };
            oldest.wait()?.map_err(|e| self.failed(&e))?;
        }
        Ok(())
    }

    fn complete(&mut self) -> io::Result<()> {
        if !self.buffer.is_empty() {
            self.send()?;
        }
        self.settle(0)?;
        let Some(mut parts) = self.parts.take() else { return Ok(()) };
        let (client, path, written) = (self.bucket.client.clone(), self.path.clone(), self.written);
        self.may_be_there = true;
        let complete = async move {
            let completed = match parts.complete().await {
                Ok(_) => Ok(()),
                // The answer to an earlier try may have been lost: then the store knows the parts no longer, but the object. Whether it
                // is the right one is found out when it is read back.
                Err(error) => match tokio::time::timeout(LOOK_TIMEOUT, client.head(&path)).await {
                    Ok(Ok(meta)) if meta.size == written => Ok(()),
                    _ => Err(error),
                },
            };
            (completed, parts)
        };
        let (completed, parts) = self.bucket.requests.wait(complete)?;
        completed.map_err(|error| {
            self.parts = Some(parts);
            self.failed(&error)
        })
    }
}

impl Write for Object {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() == grown(self.part_bytes, self.begun) {
            self.send()?;
        }
        let n = bytes.len().min(grown(self.part_bytes, self.begun) - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..n]);
        self.written += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl super::Upload for Object {
    fn finish(&mut self) -> io::Result<()> {
        match self.parts {
            Some(_) => {
                // The parts go to no name that was taken meanwhile; the store itself would not mind.
                let (bucket, path) = (self.bucket.clone(), self.path.clone());
                self.bucket
                    .requests
                    .wait(async move { bucket.require_free(&path).await })?
                    .map_err(|e| self.failed(&e))?;
                self.complete()?;
            }
            None => {
                let (bucket, path) = (self.bucket.clone(), self.path.clone());
                let whole = Bytes::from(mem::take(&mut self.buffer));
                let put = self.bucket.requests.wait(async move { bucket.put_new(&path, whole).await })?;
                put.map_err(|e| {
                    // One that is there is somebody else's.
                    self.may_be_there = !matches!(e, object_store::Error::AlreadyExists { .. });
                    self.failed(&e)
                })?;
                self.may_be_there = true;
            }
        }
        self.finished = true;
        Ok(())
    }

    fn read_back(&self) -> io::Result<Box<dyn Read + Send>> {
        if !self.finished {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("`{}` is not finished", self.name)));
        }
        Ok(Box::new(Download::open(&self.bucket, self.path.clone(), format!("reading `{}`", self.name))?))
    }

    fn publish(mut self: Box<Self>) -> io::Result<()> {
        if !self.finished {
            return Err(io::Error::other(format!("`{}` is not finished", self.name)));
        }
        // It has its name already; no store can give it another without copying it. What makes a backup is its manifest.
        self.published = true;
        Ok(())
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        if self.published || (self.parts.is_none() && !self.may_be_there) {
            return;
        }
        self.under_way.clear();
        let (client, path, parts) = (self.bucket.client.clone(), self.path.clone(), self.parts.take());
        let may_be_there = self.may_be_there;
        let tidy = async move {
            if let Some(mut parts) = parts {
                match parts.abort().await {
                    Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            if may_be_there { client.delete(&path).await } else { Ok(()) }
        };
        let tidied = self.bucket.requests.wait_anyway(async { tokio::time::timeout(TIDY_TIMEOUT, tidy).await });
        let cause = match tidied {
            Ok(Ok(Ok(()))) => return,
            Ok(Ok(Err(error))) => Failure::of(&error).to_string(),
            Ok(Err(_)) => format!("no answer within {} s", TIDY_TIMEOUT.as_secs()),
            Err(error) => error.to_string(),
        };
        tracing::warn!(cause, "`{}` is not finished, and its parts could not be removed", self.name);
    }
}

/// The size of a part for an object of about so many bytes.
fn part_bytes(about_bytes: u64) -> usize {
    let even = about_bytes.div_ceil(EQUAL_PARTS as u64).next_multiple_of(1 << 20);
    usize::try_from(even).unwrap_or(usize::MAX).clamp(PART_MIN_BYTES, PART_MAX_BYTES)
}

/// The size of the part after so many others.
fn grown(part_bytes: usize, begun: usize) -> usize {
    let doublings = match begun.checked_sub(EQUAL_PARTS) {
        Some(more) => 1 + more / DOUBLE_EVERY,
        None => 0,
    };
    // Beyond ten thousand there is nothing to be had anyway.
    (part_bytes << doublings.min(10)).min(PART_MAX_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// What ten thousand parts hold.
    fn most(about_bytes: u64) -> u64 {
        let part_bytes = part_bytes(about_bytes);
        (0..10_000).map(|begun| grown(part_bytes, begun) as u64).sum()
    }

    #[test]
    fn ten_thousand_parts_suffice_also_when_more_comes_than_was_expected() {
        assert_eq!(part_bytes(0), PART_MIN_BYTES);
        assert_eq!(part_bytes(60 << 30), PART_MIN_BYTES);
        assert_eq!(part_bytes(100 << 30), 13 << 20);
        assert!(most(0) > 800 << 30, "{}", most(0));
        for (about, times) in [(1 << 30, 10), (100 << 30, 10), (1 << 40, 2)] {
            assert!(most(about) > times * about, "{about}: {}", most(about));
        }
        // The largest object that S3 takes.
        assert!(most(5 << 40) > 5 << 40);
        assert!(grown(part_bytes(u64::MAX), 10_000) as u64 <= 5 << 30);
    }

    #[test]
    fn parts_are_of_equal_size_up_to_what_was_expected() {
        for about in [0, 70 << 30, 900 << 30] {
            let part_bytes = part_bytes(about);
            assert!((0..EQUAL_PARTS).all(|begun| grown(part_bytes, begun) == part_bytes));
            assert!(part_bytes as u64 * EQUAL_PARTS as u64 >= about && (part_bytes as u64).is_multiple_of(MIB));
        }
    }
}
