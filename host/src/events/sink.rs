//! Lines on their way out. A thread writes them: a reader that is slow, or does not read at all, holds up no migration.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    sync::mpsc::{self, Receiver, Sender},
    thread,
    time::Duration,
};

use super::{Destination, Line};
use crate::error::{Error, Result};

/// How long the end of the process waits for a reader that does not take what is left.
const CLOSE_MAX: Duration = Duration::from_secs(5);

/// Takes lines until it is closed.
#[derive(Debug)]
pub(super) struct Sink {
    lines: Option<Sender<Vec<u8>>>,
    /// Ends when all lines are written, or cannot be.
    written: Receiver<()>,
}

impl Sink {
    pub(super) fn open(destination: &Destination) -> Result<Self> {
        let writer: Box<dyn Write + Send> = match destination {
            Destination::Stdout => Box::new(io::stdout()),
            Destination::File(path) => {
                let file = OpenOptions::new().create(true).append(true).open(path);
                let refused = |e: io::Error| {
                    let what = format!("the events cannot be written to `{}`: {e}", path.display());
                    Error::configuration(what, "name a file that can be written, or `-` for stdout")
                };
                Box::new(file.map_err(refused)?)
            }
        };
        Self::into_writer(writer)
    }

    fn into_writer(mut writer: Box<dyn Write + Send>) -> Result<Self> {
        let (lines, incoming) = mpsc::channel::<Vec<u8>>();
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
        Ok(Self { lines: Some(lines), written })
    }

    pub(super) fn write(&mut self, line: &Line) {
        let Some(lines) = &self.lines else { return };
        // Plain data can always be written as JSON.
        let Ok(mut text) = serde_json::to_vec(line) else { return };
        text.push(b'\n');
        // Where the reader went away nobody takes it.
        let _ = lines.send(text);
    }

    pub(super) fn close(&mut self) {
        if self.lines.take().is_some() && self.written.recv_timeout(CLOSE_MAX) == Err(mpsc::RecvTimeoutError::Timeout) {
            tracing::warn!("nobody reads the events: the last of them are lost");
        }
    }
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
        (1..10_000).for_each(|n| sink.write(&line(n)));
        assert!(begin.elapsed() < CLOSE_MAX);
        drop(release);
    }
}
