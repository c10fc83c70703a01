//! Reading an object from its beginning to its end, whatever becomes of the connection meanwhile.

use std::{
    collections::VecDeque,
    io::{self, Read},
    time::Duration,
};

use bytes::{Buf, Bytes};
use futures_util::{StreamExt, stream::BoxStream};
use object_store::{GetOptions, GetRange, ObjectStore, Result, path::Path};

use super::{Bucket, failure::Failure, requests::Pending};

/// How much is fetched ahead of who reads.
const AHEAD_BYTES: usize = 1 << 20;
/// How often in a row an answer may break off without a byte more.
const BREAKS: u32 = 5;
/// How long to wait before the object is asked for again; twice as long after each further time.
const PAUSE: Duration = Duration::from_millis(200);

/// Reads on where an answer broke off, as long as it is the same object.
pub(super) struct Download {
    bucket: Bucket,
    path: Path,
    what: String,
    /// Its contents, as the store names them.
    e_tag: Option<String>,
    bytes: u64,
    /// What has arrived so far.
    arrived: u64,
    chunks: VecDeque<Bytes>,
    ahead: Option<Pending<Pulled>>,
    breaks: u32,
}

/// Some of the object, and how it goes on.
struct Pulled {
    chunks: VecDeque<Bytes>,
    rest: Rest,
}

enum Rest {
    More(BoxStream<'static, Result<Bytes>>),
    Broken(String),
    Refused(object_store::Error),
}

impl Download {
    pub(super) fn open(bucket: &Bucket, path: Path, what: String) -> io::Result<Self> {
        let (client, wanted) = (bucket.client.clone(), path.clone());
        let answer = bucket.requests.wait(async move { client.get_opts(&wanted, GetOptions::default()).await })?;
        let answer = answer.map_err(|e| Failure::of(&e).while_doing(&what))?;
        let (e_tag, bytes) = (answer.meta.e_tag.clone(), answer.meta.size);
        let ahead = bucket.requests.begin(pull(answer.into_stream()));
        let (chunks, bucket) = (VecDeque::new(), bucket.clone());
        Ok(Self { bucket, path, what, e_tag, bytes, arrived: 0, chunks, ahead: Some(ahead), breaks: 0 })
    }

    /// Waits for more, and has what follows fetched.
    fn fetch(&mut self) -> io::Result<()> {
        let broken = |what: &str, why: &str| io::Error::other(format!("{what}: {why}"));
        let Some(ahead) = self.ahead.take() else { return Err(broken(&self.what, "the answer broke off")) };
        let Pulled { chunks, rest } = ahead.wait()?;
        let more: u64 = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        self.arrived += more;
        self.chunks = chunks;
        if self.arrived > self.bytes {
            return Err(broken(&self.what, "more arrives than the store said"));
        }
        if more > 0 {
            self.breaks = 0;
        }
        if self.arrived == self.bytes {
            return Ok(());
        }
        self.ahead = Some(match rest {
            Rest::More(stream) => self.bucket.requests.begin(pull(stream)),
            Rest::Refused(error) => return Err(Failure::of(&error).while_doing(&self.what)),
            // Nothing would tell whether the rest is of the same object.
            Rest::Broken(why) if self.breaks >= BREAKS || self.e_tag.is_none() => return Err(broken(&self.what, &why)),
            Rest::Broken(why) => {
                tracing::debug!(cause = why, at = self.arrived, "{} is taken up again", self.what);
                let pause = PAUSE * (1 << self.breaks);
                self.breaks += 1;
                self.bucket.requests.begin(take_up(self.bucket.clone(), self.path.clone(), self.options(), pause))
            }
        });
        Ok(())
    }

    /// The rest of the same object.
    fn options(&self) -> GetOptions {
        let range = Some(GetRange::Bounded(self.arrived..self.bytes));
        GetOptions { range, if_match: self.e_tag.clone(), ..GetOptions::default() }
    }
}

async fn take_up(bucket: Bucket, path: Path, options: GetOptions, pause: Duration) -> Pulled {
    tokio::time::sleep(pause).await;
    let e_tag = options.if_match.clone();
    let answer = match bucket.client.get_opts(&path, options).await {
        // Not every store heeds the condition.
        Ok(answer) if answer.meta.e_tag != e_tag => {
            Err(object_store::Error::Precondition { path: path.to_string(), source: "another ETag".into() })
        }
        answer => answer,
    };
    match answer {
        Ok(answer) => pull(answer.into_stream()).await,
        Err(error) => Pulled { chunks: VecDeque::new(), rest: Rest::Refused(error) },
    }
}

async fn pull(mut stream: BoxStream<'static, Result<Bytes>>) -> Pulled {
    let (mut chunks, mut bytes) = (VecDeque::new(), 0);
    let rest = loop {
        match stream.next().await {
            Some(Ok(chunk)) => {
                bytes += chunk.len();
                chunks.push_back(chunk);
                if bytes >= AHEAD_BYTES {
                    break Rest::More(stream);
                }
            }
            Some(Err(error)) => break Rest::Broken(Failure::of(&error).to_string()),
            None => break Rest::Broken("the answer broke off".into()),
        }
    };
    Pulled { chunks, rest }
}

impl Read for Download {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if let Some(chunk) = self.chunks.front_mut() {
                let n = chunk.len().min(buffer.len());
                chunk.copy_to_slice(&mut buffer[..n]);
                if chunk.is_empty() {
                    self.chunks.pop_front();
                }
                if n > 0 {
                    return Ok(n);
                }
            } else if self.arrived == self.bytes {
                return Ok(0);
            } else {
                self.fetch()?;
            }
        }
    }
}
