//! Where measurements go: each place has a thread of its own, so that a run never waits for one.

use std::{
    io,
    sync::{
        Arc,
        mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender},
    },
    thread,
    time::{Duration, Instant},
};

use super::edits::Edits;
use crate::telemetry::complaint::{Complaint, LATE};

/// Takes what is measured.
pub trait Sink: Send + Sync {
    /// Takes changes, and does not wait until they are anywhere.
    fn take(&self, edits: &Edits);

    /// Waits until all of them are where they belong, and no longer than until then. Nothing is taken after that.
    fn end(&self, until: Instant);
}

/// A place that changes are brought to, from its own thread.
pub trait Place: Send + 'static {
    /// Brings all that was not brought yet.
    fn bring(&mut self, edits: &Edits, moment: Moment) -> Brought;
}

/// When something is brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// While the run goes on; more will come.
    Midway,
    /// When the run has ended.
    End,
}

/// What came of bringing it.
#[derive(Debug)]
pub enum Brought {
    /// It is there.
    Done,
    /// Not yet wanted there; it is brought with what follows.
    #[cfg_attr(not(any(test, feature = "otlp")), allow(dead_code, reason = "only the push gateway waits"))]
    Later,
    /// Somebody else is at it; after a short time it is worth another try.
    Held,
    /// It cannot be brought; with what follows it is tried again.
    Failed(String),
}

/// How soon a place is tried again that somebody else is at.
const AGAIN: Duration = Duration::from_millis(10);

enum Work {
    Edits(Edits),
    End(SyncSender<()>),
}

/// Hands changes to the thread of a place.
pub struct Porter {
    work: Sender<Work>,
    complaint: Arc<Complaint>,
}

impl Porter {
    /// Begins the thread.
    ///
    /// # Errors
    /// When the system gives none.
    pub fn to(place: impl Place, complaint: Complaint) -> io::Result<Self> {
        let (work, receiver) = mpsc::channel();
        let complaint = Arc::new(complaint);
        let told = Arc::clone(&complaint);
        thread::Builder::new().name("metrics".to_owned()).spawn(move || carry(&receiver, place, &told))?;
        Ok(Self { work, complaint })
    }
}

impl Sink for Porter {
    fn take(&self, edits: &Edits) {
        // Where the thread has ended there is nobody to tell.
        let _ = self.work.send(Work::Edits(edits.clone()));
    }

    fn end(&self, until: Instant) {
        let (done, ended) = mpsc::sync_channel(1);
        let sent = self.work.send(Work::End(done));
        if sent.is_ok() && ended.recv_timeout(until.saturating_duration_since(Instant::now())).is_err() {
            self.complaint.once(LATE);
        }
    }
}

fn carry(receiver: &Receiver<Work>, mut place: impl Place, complaint: &Complaint) {
    let (mut waiting, mut again, mut ends) = (Edits::default(), false, None);
    loop {
        let came = match again {
            true => receiver.recv_timeout(AGAIN),
            false => receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match came {
            Ok(Work::Edits(more)) => waiting.append(more),
            Ok(Work::End(done)) => ends = Some(done),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        again = false;
        if !waiting.is_empty() {
            match place.bring(&waiting, if ends.is_some() { Moment::End } else { Moment::Midway }) {
                Brought::Done => waiting = Edits::default(),
                Brought::Later => {}
                Brought::Held => again = true,
                Brought::Failed(cause) => complaint.once(&cause),
            }
        }
        if !again && let Some(done) = ends.take() {
            let _ = done.send(());
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keeps how much it was brought, and when; can be held up.
    struct Kept {
        answers: Vec<Brought>,
        brought: Sender<(f64, Moment)>,
        hangs: bool,
    }

    impl Place for Kept {
        fn bring(&mut self, edits: &Edits, moment: Moment) -> Brought {
            if self.hangs {
                loop {
                    thread::park();
                }
            }
            let mut series = super::super::series::Series::default();
            edits.apply(&mut series);
            let total = series.of("lockgate_runs_total").map(|(_, value)| value).sum();
            let answer = self.answers.pop().unwrap_or(Brought::Done);
            if !matches!(answer, Brought::Held) {
                self.brought.send((total, moment)).unwrap();
            }
            answer
        }
    }

    fn one() -> Edits {
        let mut edits = Edits::default();
        edits.add("lockgate_runs_total", vec![], 1.0);
        edits
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn what_could_not_be_brought_is_brought_with_what_follows() {
        let (brought, received) = mpsc::channel();
        // The last is the first.
        let answers = vec![Brought::Held, Brought::Later, Brought::Failed("x".into()), Brought::Held];
        let porter = Porter::to(Kept { answers, brought, hangs: false }, Complaint::of("x", "y")).unwrap();
        porter.take(&one());
        assert_eq!(received.recv().unwrap(), (1.0, Moment::Midway));
        porter.take(&one());
        assert_eq!(received.recv().unwrap(), (2.0, Moment::Midway));
        porter.end(soon());
        assert_eq!(received.recv().unwrap(), (2.0, Moment::End));
        assert!(!porter.complaint.is_fresh(), "a failure is told");
    }

    #[test]
    fn a_place_that_hangs_is_given_up_in_time_and_told_of() {
        let (brought, _received) = mpsc::channel();
        let porter = Porter::to(Kept { answers: vec![], brought, hangs: true }, Complaint::of("x", "y")).unwrap();
        for _ in 0..1_000 {
            porter.take(&one());
        }
        assert!(porter.complaint.is_fresh());
        porter.end(Instant::now() + Duration::from_millis(20));
        assert!(!porter.complaint.is_fresh());
    }
}
