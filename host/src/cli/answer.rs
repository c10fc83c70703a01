//! What somebody at the terminal answers.

use std::{
    io::{self, Write},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use crate::{
    error::{Error, NOTHING_CHANGED, Result},
    stop::Stop,
};

/// How often is looked whether somebody has pressed Ctrl-C instead.
const LOOK_EVERY: Duration = Duration::from_millis(50);

const DOING: &str = "reading the answer";

/// What is typed until the line ends, or the input. A read from a terminal goes on after a signal, so a thread of its own does it, and dies
/// with the process.
///
/// # Errors
/// [`Error::Interrupted`] when the process is asked to stop meanwhile.
pub(super) fn typed(stop: &Stop) -> Result<String> {
    let (sender, answer) = mpsc::channel();
    let read = move || {
        let mut line = String::new();
        // Nobody waits for it any more where the process was asked to stop.
        let _ = sender.send(io::stdin().read_line(&mut line).map(|_| line));
    };
    thread::Builder::new().name("answer".into()).spawn(read).map_err(|e| Error::system(DOING, e))?;
    loop {
        match answer.recv_timeout(LOOK_EVERY) {
            Ok(line) => return line.map_err(|e| Error::system(DOING, e)),
            Err(RecvTimeoutError::Disconnected) => return Err(Error::system(DOING, "its thread has ended")),
            Err(RecvTimeoutError::Timeout) => {
                if let Some(signal) = stop.asked() {
                    // What is said next begins a line of its own, not behind the question.
                    let _ = writeln!(io::stderr());
                    return Err(Error::Interrupted { signal, state: NOTHING_CHANGED.into() });
                }
            }
        }
    }
}
