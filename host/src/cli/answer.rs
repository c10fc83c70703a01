//! What somebody at the terminal answers.

use std::{
    io::{self, Write},
    thread,
};

use tokio::sync::oneshot;

use crate::{
    error::{Error, NOTHING_CHANGED, Result},
    stop::Stop,
};

const DOING: &str = "reading the answer";

/// What is typed until the line ends, or the input. A read from a terminal goes on after a signal, so a thread of its own does it, and dies
/// with the process.
///
/// # Errors
/// [`Error::Interrupted`] when the process is asked to stop meanwhile.
pub(super) async fn typed(stop: &Stop) -> Result<String> {
    let (sender, answer) = oneshot::channel();
    let read = move || {
        let mut line = String::new();
        // Nobody waits for it any more where the process was asked to stop.
        let _ = sender.send(io::stdin().read_line(&mut line).map(|_| line));
    };
    thread::Builder::new().name("answer".into()).spawn(read).map_err(|e| Error::system(DOING, e))?;
    match stop.race(answer).await {
        Ok(Ok(line)) => line.map_err(|e| Error::system(DOING, e)),
        Ok(Err(_)) => Err(Error::system(DOING, "its thread has ended")),
        Err(signal) => {
            // What is said next begins a line of its own, not behind the question.
            let _ = writeln!(io::stderr());
            Err(Error::Interrupted { signal, state: NOTHING_CHANGED.into() })
        }
    }
}
