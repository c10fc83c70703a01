//! How long a guest keeps the processor busy, as the system counts it: a busy or suspended machine makes nothing of it longer.

use std::{
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use nix::time::{ClockId, clock_gettime};

/// The processor time of one future, on whatever threads it is polled. Clones count together.
#[derive(Debug, Clone, Default)]
pub(super) struct CpuTime(Arc<Mutex<Counted>>);

#[derive(Debug, Default)]
struct Counted {
    /// In the polls that have ended.
    ended: Duration,
    /// What the thread's clock showed when the poll that is under way began.
    begun: Option<Duration>,
}

impl CpuTime {
    /// Counts the time of `work`: all that its thread does within its polls. That is the guest's code, and what the host does at
    /// once for its calls, such as converting values, since a guest causes both. What other tasks or threads do for it (the
    /// connection, the compiler) is not counted, nor is any kind of waiting.
    pub(super) async fn count<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        std::future::poll_fn(|context| {
            let _poll = Counting::begin(self);
            work.as_mut().poll(context)
        })
        .await
    }

    /// The time until now. Within the future that is counted, or while it is not polled.
    pub(super) fn used(&self) -> Duration {
        let counted = self.counted();
        counted.ended + counted.begun.map_or(Duration::ZERO, since)
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A poll under way. Dropping it ends it, also in a panic.
struct Counting<'a>(&'a CpuTime);

impl<'a> Counting<'a> {
    fn begin(time: &'a CpuTime) -> Self {
        time.counted().begun = Some(thread_time());
        Self(time)
    }
}

impl Drop for Counting<'_> {
    fn drop(&mut self) {
        let mut counted = self.0.counted();
        if let Some(begun) = counted.begun.take() {
            counted.ended += since(begun);
        }
    }
}

fn since(begun: Duration) -> Duration {
    thread_time().saturating_sub(begun)
}

/// How long the system has run this thread.
fn thread_time() -> Duration {
    // POSIX (clock_gettime) knows no reason why reading it could fail where the system has it, and the others do not build.
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("a thread has a processor clock").into()
}

#[cfg(test)]
mod tests {
    use std::{
        task::{Context, Waker},
        thread,
    };

    use super::*;

    const WORK: Duration = Duration::from_millis(10);

    fn work() {
        let begun = thread_time();
        while since(begun) < WORK {}
    }

    #[tokio::test]
    async fn work_counts_while_it_is_done_and_after_it() {
        let (time, begun) = (CpuTime::default(), thread_time());
        work();
        let before = since(begun);
        time.count(async {
            work();
            assert!(time.used() >= WORK, "{:?}", time.used());
            tokio::task::yield_now().await;
            work();
        })
        .await;
        let used = time.used();
        work();
        assert!(used >= 2 * WORK && used <= since(begun) - before - WORK, "{used:?}");
        assert_eq!(time.used(), used);
    }

    #[tokio::test]
    async fn waiting_does_not_count_whether_or_not_it_keeps_the_thread() {
        let (time, wait) = (CpuTime::default(), Duration::from_millis(100));
        time.count(async {
            tokio::time::sleep(wait).await;
            thread::sleep(wait);
        })
        .await;
        assert!(time.used() < wait / 2, "{:?}", time.used());
    }

    #[test]
    fn a_future_that_goes_from_thread_to_thread_is_counted_on_each() {
        let time = CpuTime::default();
        let mut counted = Box::pin(time.count(async {
            work();
            tokio::task::yield_now().await;
            work();
        }));
        let mut poll = || counted.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        // The clock of this thread is ahead of that of a new one by then.
        (0..4).for_each(|_| work());
        assert!(poll().is_pending());
        assert!(thread::scope(|scope| scope.spawn(poll).join().unwrap()).is_ready());
        assert!(time.used() >= 2 * WORK && time.used() < 4 * WORK, "{:?}", time.used());
    }
}
