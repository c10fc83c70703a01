//! How the bytes of a backup are written and read: zstd, then `age` where there are recipients, and digests of both ends.

use std::{
    io::{self, Read, Write},
    sync::{Arc, Mutex, PoisonError},
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
}

enum Sink {
    Open(Tallied<Box<dyn Upload>>),
    Encrypted(StreamWriter<Tallied<Box<dyn Upload>>>),
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
    pub fn new(upload: Box<dyn Upload>, recipients: &Recipients, witness: &Identities) -> io::Result<Self> {
        let raw = Tally::default();
        let tallied = Tallied { inner: upload, tally: raw.clone() };
        let sink = match recipients.is_empty() {
            true => Sink::Open(tallied),
            false => Sink::Encrypted(recipients.encrypt(witness, tallied)?),
        };
        let mut zstd = zstd::Encoder::new(sink, LEVEL)?;
        zstd.include_checksum(true)?;
        Ok(Self { zstd, plain: Tally::default(), raw })
    }

    /// Ends it.
    pub fn finish(self) -> io::Result<Encoded> {
        let tallied = match self.zstd.finish()? {
            Sink::Open(tallied) => tallied,
            Sink::Encrypted(writer) => writer.finish()?,
        };
        let mut upload = tallied.inner;
        upload.finish()?;
        Ok(Encoded { upload, raw: self.raw.sum(), plain: self.plain.sum() })
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
        let (raw, plain) = (Tally::default(), Tally::default());
        let file = Tallied { inner: file, tally: raw.clone() };
        let inner: Box<dyn Read + Send> = match part.encoding {
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
