//! How the bytes of a backup are written and read: zstd, then `age` where there are recipients, and digests of both ends. What is written is
//! decoded again beside the writing: whoever then reads it back needs no more than its digest.

use std::{
    io::{self, Read, Write},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use age::stream::StreamWriter;
use sha2::{Digest, Sha256};

use super::{
    encryption::{Identities, Recipients},
    manifest::{Encoding, Part},
    store::Upload,
};
use crate::migration::hex;

/// zstd's own default: the smallest result at the speed of the dump itself.
const LEVEL: i32 = 3;

/// Counts and digests what passes.
#[derive(Clone, Default)]
struct Tally(Arc<Mutex<(Sha256, u64)>>);

impl Tally {
    fn note(&self, bytes: &[u8]) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.0.update(bytes);
        inner.1 += bytes.len() as u64;
    }

    /// The number of bytes and their SHA-256.
    fn sum(&self) -> (u64, String) {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (inner.1, hex(&inner.0.clone().finalize()))
    }
}

struct Tallied<T> {
    inner: T,
    tally: Tally,
}

impl<R: Read> Read for Tallied<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.tally.note(&buffer[..n]);
        Ok(n)
    }
}

impl<W: Write> Write for Tallied<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(buffer)?;
        self.tally.note(&buffer[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Writes what it is given into a file of a backup.
pub struct Encoder {
    zstd: zstd::Encoder<'static, Sink>,
    plain: Tally,
    raw: Tally,
    follower: Follower,
}

enum Sink {
    Open(Tallied<Followed>),
    Encrypted(StreamWriter<Tallied<Followed>>),
}

/// A file that is written, and what follows.
struct Followed {
    upload: Box<dyn Upload>,
    /// Gone once what follows has failed, which it tells in the end.
    follower: SyncSender<Vec<u8>>,
}

impl Write for Followed {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let n = self.upload.write(buffer)?;
        let _ = self.follower.send(buffer[..n].to_vec());
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.upload.flush()
    }
}

/// A thread that decodes what is written while it is written.
struct Follower(JoinHandle<io::Result<(u64, String)>>);

/// So many pieces, of about 128 KiB each, may wait for it.
const AHEAD_MAX: usize = 8;

impl Follower {
    fn begin(encoding: Encoding, witness: &Arc<Identities>) -> io::Result<(Self, SyncSender<Vec<u8>>)> {
        let (sender, pieces) = sync_channel(AHEAD_MAX);
        let witness = Arc::clone(witness);
        let decode = move || {
            let mut decoder = Decoder::of(Box::new(Pieces { pieces, piece: Vec::new(), at: 0 }), encoding, &witness)?;
            io::copy(&mut decoder, &mut io::sink())?;
            Ok(decoder.plain.sum())
        };
        Ok((Self(thread::Builder::new().name("decoder".to_owned()).spawn(decode)?), sender))
    }

    /// Whether what was written decodes to what was to be written.
    fn end(self, plain: &(u64, String)) -> io::Result<()> {
        const WHAT: &str = "what was just written cannot be read back";
        let decoded = self.0.join().unwrap_or_else(|_| Err(io::Error::other("the decoder panicked")));
        match decoded {
            Ok(decoded) if decoded == *plain => Ok(()),
            Ok(_) => Err(io::Error::other(format!("{WHAT}: it decodes to something else"))),
            Err(error) => Err(io::Error::other(format!("{WHAT}: {error}"))),
        }
    }
}

/// Pieces of a file, in order; the end of the channel is the end of the file.
struct Pieces {
    pieces: Receiver<Vec<u8>>,
    piece: Vec<u8>,
    at: usize,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() {
            let Ok(piece) = self.pieces.recv() else { return Ok(0) };
            (self.piece, self.at) = (piece, 0);
        }
        let n = buffer.len().min(self.piece.len() - self.at);
        buffer[..n].copy_from_slice(&self.piece[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

/// What was written, apart from its name and content.
pub struct Encoded {
    /// The finished file, not yet under its name.
    pub upload: Box<dyn Upload>,
    /// Size and SHA-256 of the file.
    pub raw: (u64, String),
    /// Size and SHA-256 of what it holds.
    pub plain: (u64, String),
}

impl Encoder {
    /// Encrypts for the recipients, if there are any, and for the witness.
    pub fn new(upload: Box<dyn Upload>, recipients: &Recipients, witness: &Arc<Identities>) -> io::Result<Self> {
        let raw = Tally::default();
        let encoding = if recipients.is_empty() { Encoding::Zstd } else { Encoding::ZstdAge };
        let (follower, pieces) = Follower::begin(encoding, witness)?;
        let tallied = Tallied { inner: Followed { upload, follower: pieces }, tally: raw.clone() };
        let sink = match encoding {
            Encoding::ZstdAge => Sink::Encrypted(recipients.encrypt(witness, tallied)?),
            _ => Sink::Open(tallied),
        };
        let mut zstd = zstd::Encoder::new(sink, LEVEL)?;
        zstd.include_checksum(true)?;
        Ok(Self { zstd, plain: Tally::default(), raw, follower })
    }

    /// Ends it.
    ///
    /// # Errors
    /// When it cannot be written, or does not decode to what it was given.
    pub fn finish(self) -> io::Result<Encoded> {
        let tallied = match self.zstd.finish()? {
            Sink::Open(tallied) => tallied,
            Sink::Encrypted(writer) => writer.finish()?,
        };
        let Followed { mut upload, follower } = tallied.inner;
        drop(follower);
        upload.finish()?;
        let plain = self.plain.sum();
        self.follower.end(&plain)?;
        Ok(Encoded { upload, raw: self.raw.sum(), plain })
    }
}

impl Write for Encoder {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let n = self.zstd.write(buffer)?;
        self.plain.note(&buffer[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.zstd.flush()
    }
}

impl Write for Sink {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Open(inner) => inner.write(buffer),
            Self::Encrypted(inner) => inner.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Open(inner) => inner.flush(),
            Self::Encrypted(inner) => inner.flush(),
        }
    }
}

/// Reads what a file of a backup holds. Only [`finish`](Self::finish) tells whether it is what was written.
pub struct Decoder {
    inner: Box<dyn Read + Send>,
    raw: Tally,
    plain: Tally,
}

impl Decoder {
    /// Reads a part from the bytes of its file.
    ///
    /// # Errors
    /// When it is encrypted for nobody of these, or does not begin as it should.
    pub fn new(file: Box<dyn Read + Send>, part: &Part, identities: &Identities) -> io::Result<Self> {
        Self::of(file, part.encoding, identities)
    }

    fn of(file: Box<dyn Read + Send>, encoding: Encoding, identities: &Identities) -> io::Result<Self> {
        let (raw, plain) = (Tally::default(), Tally::default());
        let file = Tallied { inner: file, tally: raw.clone() };
        let inner: Box<dyn Read + Send> = match encoding {
            Encoding::None => Box::new(file),
            Encoding::Zstd => Box::new(zstd::Decoder::new(file)?),
            Encoding::ZstdAge => Box::new(zstd::Decoder::new(identities.decrypt(file)?)?),
        };
        Ok(Self { inner, raw, plain })
    }

    /// Whether everything that was read is what was written.
    ///
    /// # Errors
    /// What is not as the manifest says.
    pub fn finish(self, part: &Part) -> Result<(), String> {
        compare(&self.raw.sum(), part)?;
        let (bytes, sha256) = self.plain.sum();
        match (bytes, sha256.as_str()) == (part.plain_bytes, part.plain_sha256.as_str()) {
            true => Ok(()),
            false => Err("it decodes to something else than was written".into()),
        }
    }
}

impl Read for Decoder {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.plain.note(&buffer[..n]);
        Ok(n)
    }
}

/// Compares the bytes of a file with the manifest, without decoding them.
///
/// # Errors
/// What is not as the manifest says, or that it cannot be read.
pub fn compare_raw(file: Box<dyn Read + Send>, part: &Part) -> Result<(), String> {
    let sum = digest(file).map_err(|e| format!("it cannot be read: {e}"))?;
    compare(&sum, part)
}

/// Size and SHA-256 of a file.
pub fn digest(file: impl Read) -> io::Result<(u64, String)> {
    let mut file = Tallied { inner: file, tally: Tally::default() };
    io::copy(&mut file, &mut io::sink())?;
    Ok(file.tally.sum())
}

fn compare((bytes, sha256): &(u64, String), part: &Part) -> Result<(), String> {
    if *bytes != part.bytes {
        return Err(format!("it has {bytes} bytes, the manifest says {}", part.bytes));
    }
    if *sha256 != part.sha256 {
        return Err("its SHA-256 differs from the manifest's".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_decode_to_what_was_given_is_found_when_it_is_written() {
        let followed = |pieces: &[&[u8]], plain: &[u8]| {
            let (follower, sender) = Follower::begin(Encoding::Zstd, &Arc::default()).unwrap();
            for piece in pieces {
                let _ = sender.send(piece.to_vec());
            }
            drop(sender);
            follower.end(&digest(plain).unwrap()).map_err(|error| error.to_string())
        };
        let frame = zstd::encode_all(&b"one two"[..], LEVEL).unwrap();
        let (first, second) = frame.split_at(5);
        assert_eq!(followed(&[first, b"", second], b"one two"), Ok(()));
        assert!(followed(&[&frame], b"one").unwrap_err().contains("it decodes to something else"));
        assert!(followed(&[first], b"one two").unwrap_err().contains("cannot be read back"));
        assert!(followed(&[b"no frame"], b"one two").unwrap_err().contains("cannot be read back"));
        // It has failed long before all is written.
        let much = vec![0; 1 << 16];
        assert!(followed(&vec![much.as_slice(); AHEAD_MAX * 4], b"").is_err());
    }
}
