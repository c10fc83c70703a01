//! The thread on which the requests of a store are made.

use std::{convert::Infallible, io, sync::mpsc, thread};

use tokio::{
    runtime::{Builder, Handle},
    sync::{oneshot, watch},
    task::AbortHandle,
};

/// A thread with a runtime of its own. Whoever waits for a request may do so in any thread, also where a value is dropped in the middle
/// of asynchronous code; and digesting and encrypting what is sent keeps no session of a run waiting.
#[derive(Debug)]
pub(super) struct Requests {
    handle: Handle,
    given_up: watch::Sender<bool>,
    /// Dropped with this value, which ends the thread.
    _until: oneshot::Sender<Infallible>,
}

impl Requests {
    pub(super) fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (until, dropped) = oneshot::channel();
        thread::Builder::new().name("s3".into()).spawn(move || {
            let _: Result<Infallible, _> = runtime.block_on(dropped);
        })?;
        Ok(Self { handle, given_up: watch::Sender::new(false), _until: until })
    }

    /// Fails whatever is waited for, now and from now on.
    pub(super) fn give_up(&self) {
        self.given_up.send_replace(true);
    }

    /// Begins work, and does not wait for it.
    pub(super) fn begin<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Pending<T> {
        let mut given_up = self.given_up.subscribe();
        self.spawn(async move {
            tokio::select! {
                biased;
                _ = given_up.wait_for(|given_up| *given_up) => Err(io::Error::other("given up, since the process is to stop")),
                done = work => Ok(done),
            }
        })
    }

    /// Does work.
    pub(super) fn wait<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> io::Result<T> {
        self.begin(work).wait()
    }

    /// Does work even if all else was given up.
    pub(super) fn wait_anyway<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> io::Result<T> {
        self.spawn(async { Ok(work.await) }).wait()
    }

    fn spawn<T: Send + 'static>(&self, work: impl Future<Output = io::Result<T>> + Send + 'static) -> Pending<T> {
        let (sender, receiver) = mpsc::sync_channel(1);
        let task = self.handle.spawn(async move {
            // Nobody waits for work that was given up.
            let _ = sender.send(work.await);
        });
        Pending { receiver, task: task.abort_handle() }
    }
}

/// Work under way. Dropped, it is given up.
#[derive(Debug)]
pub(super) struct Pending<T> {
    receiver: mpsc::Receiver<io::Result<T>>,
    task: AbortHandle,
}

impl<T> Pending<T> {
    pub(super) fn wait(self) -> io::Result<T> {
        self.receiver.recv().unwrap_or_else(|_| Err(io::Error::other("the thread that makes requests has ended")))
    }
}

impl<T> Drop for Pending<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_can_be_waited_for_in_the_middle_of_asynchronous_code() {
        let requests = Requests::start().unwrap();
        assert_eq!(requests.wait(async { 1 }).unwrap(), 1);
        let (sender, receiver) = oneshot::channel::<()>();
        drop(requests.begin(async move {
            std::future::pending::<()>().await;
            drop(sender);
        }));
        assert!(receiver.await.is_err(), "what was given up is dropped");
    }

    #[test]
    fn what_is_waited_for_can_be_given_up_but_not_what_tidies_up() {
        let requests = Requests::start().unwrap();
        let under_way = requests.begin(std::future::pending::<()>());
        requests.give_up();
        assert!(under_way.wait().unwrap_err().to_string().contains("given up"));
        assert!(requests.wait(async { 1 }).is_err());
        assert_eq!(requests.wait_anyway(async { 1 }).unwrap(), 1);
    }

    #[test]
    fn work_that_panics_is_an_error() {
        let requests = Requests::start().unwrap();
        assert!(requests.wait(async { assert_eq!(1, 2) }).is_err());
        assert_eq!(requests.wait(async { 1 }).unwrap(), 1, "the thread goes on");
    }
}
