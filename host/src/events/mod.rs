//! What a run does, told while it does it: one JSON object a line, for programs that look on. docs/json.md describes it.

mod model;
mod open;
mod sink;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use uuid::Uuid;

pub use model::{Checks, Ending, Event, Line};
pub use open::Open;

use self::sink::Sink;
use crate::error::Result;

/// Where events go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// `-`
    Stdout,
    /// A file, to the end of which they are written.
    File(PathBuf),
}

impl Destination {
    /// As `--events` says it.
    pub fn parse(text: &str) -> Self {
        if text == "-" { Self::Stdout } else { Self::File(text.into()) }
    }
}

/// Takes the events of a run; by default nobody does. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Events(Option<Arc<Shared>>);

#[derive(Debug)]
struct Shared {
    run_id: Uuid,
    /// What was told last, and where it goes. One after the other: the numbers are the order of the lines.
    told: Mutex<(u64, Sink)>,
}

impl Events {
    /// To this destination.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn to(destination: &Destination, run_id: Uuid) -> Result<Self> {
        let told = Mutex::new((0, Sink::open(destination)?));
        Ok(Self(Some(Arc::new(Shared { run_id, told }))))
    }

    /// Whether anybody takes them.
    pub fn are_taken(&self) -> bool {
        self.0.is_some()
    }

    /// Tells of something that has happened.
    pub fn tell(&self, event: Event) {
        self.tell_after(event, None);
    }

    /// Tells that something begins. Whatever comes of it, [`Open`] tells of its end.
    pub fn begin(&self, event: Event, otherwise: Event) -> Open {
        self.tell(event);
        Open::new(self.clone(), otherwise)
    }

    fn tell_after(&self, event: Event, took: Option<Duration>) {
        let Some(shared) = &self.0 else { return };
        let mut told = shared.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.0 += 1;
        let line = Line {
            format: crate::report::json::FORMAT,
            sequence: told.0,
            at: jiff::Timestamp::now(),
            run_id: shared.run_id,
            duration_ms: took.map(|took| took.as_millis()),
            event,
        };
        told.1.write(&line);
    }

    /// Waits until all of them are written, unless the reader does not take them. Nothing is told after this.
    pub fn close(&self) {
        if let Some(shared) = &self.0 {
            shared.told.lock().unwrap_or_else(PoisonError::into_inner).1.close();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &std::path::Path) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn what_begins_ends_whatever_comes_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events");
        let events = Events::to(&Destination::File(path.clone()), Uuid::nil()).unwrap();
        let verify = || events.begin(Event::verify("001_a"), Event::verified("001_a", false, &[]));
        verify().end(Event::verified("001_a", true, &[]));
        drop(verify());
        events.close();
        let lines = lines(&path);
        let told: Vec<_> =
            lines.iter().map(|line| (line["event"].as_str().unwrap(), line["passed"].as_bool())).collect();
        let (began, ended) = ("verify_started", "verify_finished");
        assert_eq!(told, [(began, None), (ended, Some(true)), (began, None), (ended, Some(false))]);
        assert_eq!(lines.iter().map(|line| line["sequence"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert!(lines[1]["duration_ms"].is_u64() && lines[0].get("duration_ms").is_none());
    }

    #[test]
    fn the_lines_of_an_earlier_run_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events");
        for _ in 0..2 {
            let events = Events::to(&Destination::File(path.clone()), Uuid::nil()).unwrap();
            events.tell(Event::verify("001_a"));
            events.close();
        }
        assert_eq!(lines(&path).len(), 2);
    }

    #[test]
    fn nobody_is_told_unless_somebody_asks() {
        let events = Events::default();
        assert!(!events.are_taken());
        events.begin(Event::verify("001_a"), Event::verified("001_a", false, &[])).end(Event::verified(
            "001_a",
            true,
            &[],
        ));
        events.close();
    }

    #[test]
    fn a_file_that_cannot_be_written_is_refused() {
        let error = Events::to(&Destination::File("/nowhere/events".into()), Uuid::nil()).unwrap_err();
        assert!(error.to_string().contains("/nowhere/events"), "{error}");
    }
}
