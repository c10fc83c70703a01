//! Lines on their way out. A thread writes them: a reader that is slow, or does not read at all, holds up no migration.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{FileTypeExt, OpenOptionsExt},
    path::Path,
    sync::mpsc::{self, Receiver, SyncSender, TrySendError},
    thread,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
};

use super::{Destination, Line};
use crate::error::{Error, Result};

/// How long the end of the process waits for a reader that does not take what is left.
const CLOSE_MAX: Duration = Duration::from_secs(5);
/// How long a pipe may be without a reader, who may have been started together with the run.
const READER_MAX: Duration = Duration::from_secs(2);
/// How often is looked whether there is one.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How many lines wait for a reader: about 30 MB of them, and the events of a run of many hours.
const WAITING_MAX: usize = 100_000;

/// Takes lines until it is closed.
#[derive(Debug)]
pub(super) struct Sink {
    lines: Option<SyncSender<Vec<u8>>>,
    /// Whether some were lost.
    lost: bool,
    /// Ends when all lines are written, or cannot be.
    written: Receiver<()>,
}

impl Sink {
    pub(super) fn open(destination: &Destination) -> Result<Self> {
        let writer: Box<dyn Write + Send> = match destination {
            Destination::Stdout => Box::new(io::stdout()),
            Destination::File(path) => {
                let refused = |e: io::Error| {
                    let shown = path.display();
                    if is_unread_pipe(path, &e) {
                        let what = format!("the events cannot be written to `{shown}`: it is a pipe that nobody reads");
                        return Error::configuration(what, "start its reader first, or name a file");
                    }
                    let what = format!("the events cannot be written to `{shown}`: {e}");
                    Error::configuration(what, "name a file that can be written, or `-` for stdout")
                };
                Box::new(open_for_appending(path).map_err(refused)?)
            }
        };
        Self::into_writer(writer)
    }

    fn into_writer(mut writer: Box<dyn Write + Send>) -> Result<Self> {
        let (lines, incoming) = mpsc::sync_channel::<Vec<u8>>(WAITING_MAX);
        let (done, written) = mpsc::channel();
        let work = move || {
            for line in incoming {
                // A line at a time, whole and at once: whoever follows sees it now, and no two runs mix theirs in one file.
                if let Err(error) = writer.write_all(&line).and_then(|()| writer.flush()) {
                    tracing::warn!(%error, "the events are no longer written; the run goes on");
                    break;
                }
            }
            drop(done);
        };
        let spawned = thread::Builder::new().name("events".into()).spawn(work);
        spawned.map_err(|e| Error::system("starting the writer of events", e))?;
        Ok(Self { lines: Some(lines), lost: false, written })
    }

    pub(super) fn write(&mut self, line: &Line) {
        let Some(lines) = &self.lines else { return };
        // Plain data can always be written as JSON.
        let Ok(mut text) = serde_json::to_vec(line) else { return };
        text.push(b'\n');
        // Where the reader went away nobody takes it.
        if let Err(TrySendError::Full(_)) = lines.try_send(text)
            && !std::mem::replace(&mut self.lost, true)
        {
            tracing::warn!("nobody reads the events: some of them are lost; the run goes on");
        }
    }

    pub(super) fn close(&mut self) {
        if self.lines.take().is_some() && self.written.recv_timeout(CLOSE_MAX) == Err(mpsc::RecvTimeoutError::Timeout) {
            tracing::warn!("nobody reads the events: the last of them are lost");
        }
    }
}

/// Opens a file for lines at its end. A pipe is opened once somebody reads it, within a moment; a plain `open` would wait for ever.
fn open_for_appending(path: &Path) -> io::Result<File> {
    let begin = Instant::now();
    loop {
        let opened = OpenOptions::new().create(true).append(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path);
        match opened {
            Err(e) if is_unread_pipe(path, &e) && begin.elapsed() < READER_MAX => thread::sleep(LOOK_EVERY),
            Err(e) => return Err(e),
            Ok(file) => {
                // The thread that writes may wait for the reader.
                let flags = OFlag::from_bits_retain(fcntl(&file, FcntlArg::F_GETFL)?);
                fcntl(&file, FcntlArg::F_SETFL(flags & !OFlag::O_NONBLOCK))?;
                return Ok(file);
            }
        }
    }
}

/// What `open` says of a pipe without a reader (open(2), ENXIO).
fn is_unread_pipe(path: &Path, error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::ENXIO as i32) && path.metadata().is_ok_and(|file| file.file_type().is_fifo())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::{Event, Events};

    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn line(sequence: u64) -> Line {
        let (at, run_id) = (jiff::Timestamp::UNIX_EPOCH, uuid::Uuid::nil());
        Line { format: 1, sequence, at, run_id, duration_ms: None, event: Event::verify("001_a") }
    }

    #[test]
    fn a_reader_that_went_away_stops_nothing() {
        let mut sink = Sink::into_writer(Box::new(Gone)).unwrap();
        (1..100).for_each(|n| sink.write(&line(n)));
        sink.close();
        assert!(!Events::default().are_taken());
    }

    struct Stuck(Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            // Until the test is over.
            let _ = self.0.recv();
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_does_not_read_holds_up_nobody() {
        let (release, stuck) = mpsc::channel();
        let mut sink = Sink::into_writer(Box::new(Stuck(stuck))).unwrap();
        let begin = std::time::Instant::now();
        // The one that is being written is no longer waiting.
        (1..=WAITING_MAX as u64 + 1).for_each(|n| sink.write(&line(n)));
        (1..100).for_each(|n| sink.write(&line(n)));
        assert!(sink.lost, "the memory that waits for a reader is bounded");
        assert!(begin.elapsed() < CLOSE_MAX);
        drop(release);
    }
}
