//! How far something long is: said in the log once a second, and drawn where somebody looks on.

use std::{
    io::{self, Read},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    events::{Event, Events},
    stop::Stop,
};

/// How often it is said.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Bytes that have passed. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Meter(Arc<AtomicU64>, Events);

impl Meter {
    /// One whose count is among the events of a run.
    pub fn telling(events: &Events) -> Self {
        Self(Arc::default(), events.clone())
    }

    /// Counts what is read, until the process is asked to stop.
    pub fn read<R: Read>(&self, inner: R, stop: &Stop) -> Metered<R> {
        Metered { inner, meter: self.clone(), stop: stop.clone() }
    }

    /// Sets the count.
    pub fn set(&self, bytes: u64) {
        self.0.store(bytes, Ordering::Relaxed);
    }

    /// The count.
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Tells how far work is while it is done: of about so many bytes, 0 where nobody knows.
    pub async fn tell<T>(&self, doing: &'static str, about: u64, draw: bool, work: impl Future<Output = T>) -> T {
        let (begin, bar) = (Instant::now(), draw.then(|| bar(doing, about)));
        let mut work = std::pin::pin!(work);
        loop {
            match tokio::time::timeout(TELL_EVERY, &mut work).await {
                Ok(result) => {
                    if let Some(bar) = bar {
                        bar.finish_and_clear();
                    }
                    return result;
                }
                Err(_) => {
                    let done = self.bytes();
                    if let Some(bar) = &bar {
                        bar.set_position(done);
                    }
                    let (bytes_per_s, left_s) = pace(done, about, begin.elapsed());
                    tracing::info!(done_bytes = done, about_bytes = about, bytes_per_s, left_s, "{doing}");
                    self.1.tell(Event::BackupProgress { doing, done_bytes: done, about_bytes: about });
                }
            }
        }
    }
}

/// The rate, and about how many seconds are left. The estimate of the whole may have been too low: then nothing is said.
fn pace(done: u64, about: u64, elapsed: Duration) -> (u64, Option<u64>) {
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let rate = (done as f64 / elapsed.as_secs_f64().max(0.001)) as u64;
    let left = about.checked_sub(done).filter(|left| *left > 0 && rate > 0).map(|left| left / rate);
    (rate, left)
}

fn bar(doing: &'static str, about: u64) -> ProgressBar {
    let template = match about {
        0 => "{msg} {spinner} {bytes} ({bytes_per_sec})",
        _ => "{msg} [{wide_bar}] {bytes} of about {total_bytes} ({bytes_per_sec}, about {eta} left)",
    };
    let bar = ProgressBar::new(about).with_message(doing);
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}

/// See [`Meter::read`].
pub struct Metered<R> {
    inner: R,
    meter: Meter,
    stop: Stop,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(signal) = self.stop.asked() {
            return Err(io::Error::other(format!("stopped by {signal}")));
        }
        let n = self.inner.read(buffer)?;
        self.meter.0.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_follows_from_the_rate() {
        let second = Duration::from_secs(1);
        assert_eq!(pace(100, 300, second), (100, Some(2)));
        assert_eq!(pace(300, 300, second), (300, None));
        assert_eq!(pace(400, 300, second), (400, None), "the estimate was too low");
        assert_eq!(pace(0, 300, second), (0, None));
    }
}
