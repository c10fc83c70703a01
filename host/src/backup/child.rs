//! One of PostgreSQL's programs at work in a thread, which a request to stop ends.

use std::{
    io::{self, Read},
    process::Child,
    sync::{
        Arc,
        atomic::{AtomicI32, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::stop::Stop;

/// Where the thread says which process it has started; 0 while there is none.
#[derive(Debug, Clone, Default)]
pub(super) struct Started(Arc<AtomicI32>);

impl Started {
    pub(super) fn note(&self, child: &Child) {
        self.0.store(i32::try_from(child.id()).unwrap_or(0), Ordering::SeqCst);
    }

    /// Asks it to end.
    pub(super) fn terminate(&self) {
        let pid = self.0.load(Ordering::SeqCst);
        if pid != 0 {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
    }

    /// The process has been waited for: its number may be another's by now.
    pub(super) fn ended(&self) {
        self.0.store(0, Ordering::SeqCst);
    }
}

/// Runs blocking work around a process. Asked to stop, it ends the process and waits for the work to clean up after itself.
pub(super) async fn supervise<T: Send + 'static>(
    stop: &Stop,
    work: impl FnOnce(&Started) -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let started = Started::default();
    let seen = started.clone();
    let mut work = tokio::task::spawn_blocking(move || work(&seen));
    let signal = tokio::select! {
        result = &mut work => return result.map_err(|e| e.to_string())?,
        signal = stop.requested() => signal,
    };
    loop {
        started.terminate();
        // It may not have been started yet.
        if let Ok(result) = tokio::time::timeout(Duration::from_millis(50), &mut work).await {
            let _ = result.map_err(|e| e.to_string())?;
            return Err(format!("stopped by {signal}"));
        }
    }
}

/// Reads complaints beside the data, or a long one would fill the pipe and stop both.
pub(super) fn complaints(stderr: impl Read + Send + 'static) -> JoinHandle<io::Result<String>> {
    std::thread::spawn(move || text(stderr).map(|text| text.trim().to_owned()))
}

/// Reads what is printed beside the data: every character of it.
pub(super) fn printed(stdout: impl Read + Send + 'static) -> JoinHandle<io::Result<String>> {
    std::thread::spawn(move || text(stdout))
}

fn text(mut from: impl Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
