//! How far something long is: said in the log once a second, and drawn where somebody looks on.

use std::{
    io::{self, Read},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    bar::{self, Bar, Picture},
    events::{Event, Events},
    report,
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
        let (begin, mut bar) = (Instant::now(), Bar::new(draw));
        let mut work = std::pin::pin!(work);
        loop {
            match tokio::time::timeout(TELL_EVERY, &mut work).await {
                Ok(result) => return result,
                Err(_) => {
                    let done = self.bytes();
                    let (bytes_per_s, left_s) = pace(done, about, begin.elapsed());
                    bar.show(&picture(doing, done, about, bytes_per_s, left_s));
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

fn picture(doing: &str, done: u64, about: u64, bytes_per_s: u64, left_s: Option<u64>) -> Picture {
    // The estimate may have been too low.
    let about = (about >= done && about > 0).then_some(about);
    let of = about.map(|about| format!(" of about {}", report::bytes(about))).unwrap_or_default();
    let left = bar::left(left_s.map(Duration::from_secs));
    Picture {
        what: doing.to_owned(),
        share: about.map(|about| (done, about)),
        told: format!("{}{of}, {}/s{left}", report::bytes(done), report::bytes(bytes_per_s)),
    }
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
    fn the_bar_tells_how_much_of_how_much_how_fast_and_how_long_still() {
        let told = |done, about| picture("backing up", done, about, 2 << 20, Some(9));
        assert_eq!(told(10 << 20, 40 << 20).told, "10.0 MiB of about 40.0 MiB, 2.0 MiB/s, 9 s left");
        assert_eq!(told(10 << 20, 40 << 20).share, Some((10 << 20, 40 << 20)));
        assert_eq!(told(50 << 20, 40 << 20).share, None, "the estimate was too low");
        assert_eq!(picture("backing up", 1, 0, 1, None).told, "1 bytes, 1 bytes/s");
    }

    #[test]
    fn what_is_left_follows_from_the_rate() {
        let second = Duration::from_secs(1);
        assert_eq!(pace(100, 300, second), (100, Some(2)));
        assert_eq!(pace(300, 300, second), (300, None));
        assert_eq!(pace(400, 300, second), (400, None), "the estimate was too low");
        assert_eq!(pace(0, 300, second), (0, None));
    }
}
