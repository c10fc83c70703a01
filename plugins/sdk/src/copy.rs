use std::io;

use crate::bindings::lockgate::migration::database;
use crate::{Error, Result};

/// So much is gathered before it is sent: a call of the host and a message to the server for every field would be slow.
const BUFFER_BYTES: usize = 64 << 10;

/// Where the data of a `COPY … FROM STDIN` go. Dropped before it is [finished](Self::finish), the COPY fails, and with it the
/// transaction. Until then, every other call on the database is denied.
///
/// ```
/// use lockgate_plugin::{Result, Transaction};
///
/// fn fill(tx: &Transaction) -> Result<u64> {
///     let mut copy = tx.copy_in("COPY countries (code, name, note) FROM STDIN")?;
///     copy.row([Some("DE"), Some("Germany"), None])?;
///     copy.row([Some("FR"), Some("France"), Some("tab\tand backslash \\ are escaped")])?;
///     copy.finish()
/// }
/// ```
///
/// It is an [`io::Write`] as well, for data in another format that COPY reads:
///
/// ```
/// # use lockgate_plugin::{Result, Transaction};
/// use std::io::Write;
///
/// fn fill(tx: &Transaction) -> Result<u64> {
///     let mut copy = tx.copy_in("COPY numbers (n, square) FROM STDIN (FORMAT csv)")?;
///     for n in 1..=1_000 {
///         writeln!(copy, "{n},{}", n * n)?;
///     }
///     copy.finish()
/// }
/// ```
#[derive(Debug)]
pub struct CopySink {
    handle: database::CopySink,
    buffer: Vec<u8>,
}

impl CopySink {
    pub(crate) fn new(handle: database::CopySink) -> Self {
        Self { handle, buffer: Vec::new() }
    }

    /// Adds data, in the format that the statement names. The pieces need not end where rows do.
    ///
    /// # Errors
    /// When the server or the host refuses the data, which may be those of earlier calls.
    pub fn write(&mut self, data: &[u8]) -> Result<()> {
        self.buffer.extend(data);
        if self.buffer.len() >= BUFFER_BYTES { self.send() } else { Ok(()) }
    }

    /// Adds a row in the text format, which COPY takes unless told otherwise; `None` is NULL.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn row<'f>(&mut self, fields: impl IntoIterator<Item = Option<&'f str>>) -> Result<()> {
        text_row(&mut self.buffer, fields);
        self.write(&[])
    }

    /// Says that this was all, and returns the number of rows copied.
    ///
    /// # Errors
    /// When the server refuses the data.
    pub fn finish(mut self) -> Result<u64> {
        self.send()?;
        Ok(database::CopySink::finish(self.handle)?)
    }

    fn send(&mut self) -> Result<()> {
        if !self.buffer.is_empty() {
            self.handle.write(&self.buffer)?;
            self.buffer.clear();
        }
        Ok(())
    }
}

impl io::Write for CopySink {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        Self::write(self, data).map_err(io::Error::from)?;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send().map_err(io::Error::from)
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::other(error)
    }
}

impl From<io::Error> for Error {
    /// The error that a [`CopySink`] met, or one of your own with the code `io`.
    fn from(error: io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(error) => error,
            Err(error) => Self::other("io", error),
        }
    }
}

/// The text format: fields between tabs, rows between newlines, both escaped where they are data (PostgreSQL manual, COPY, File
/// Formats).
fn text_row<'f>(to: &mut Vec<u8>, fields: impl IntoIterator<Item = Option<&'f str>>) {
    for (i, field) in fields.into_iter().enumerate() {
        if i > 0 {
            to.push(b'\t');
        }
        let Some(text) = field else {
            to.extend(b"\\N");
            continue;
        };
        for byte in text.bytes() {
            match byte {
                b'\\' => to.extend(b"\\\\"),
                b'\t' => to.extend(b"\\t"),
                b'\n' => to.extend(b"\\n"),
                b'\r' => to.extend(b"\\r"),
                byte => to.push(byte),
            }
        }
    }
    to.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_escaped() {
        let mut text = Vec::new();
        text_row(&mut text, [Some("a\tb"), None, Some("\\N"), Some(""), Some("é\r\n")]);
        text_row(&mut text, [Some("\\.")]);
        assert_eq!(String::from_utf8_lossy(&text), "a\\tb\t\\N\t\\\\N\t\té\\r\\n\n\\\\.\n");
    }

    #[test]
    fn an_error_survives_the_way_through_io() {
        let error = Error::Limit("bytes".into());
        assert_eq!(Error::from(io::Error::from(error.clone())), error);
        let other = Error::from(io::Error::other("disk"));
        assert_eq!(other.to_string(), "disk (io)");
    }
}
