//! Something that has begun and not ended.

use std::time::Instant;

use super::{Event, Events};

/// Tells of the end of something, at the latest when it is dropped: a reader that sees a beginning also sees an end, whether the work
/// failed, or was dropped because the process was asked to stop.
#[derive(Debug)]
pub struct Open {
    events: Events,
    begin: Instant,
    otherwise: Option<Event>,
}

impl Open {
    pub(super) fn new(events: Events, otherwise: Event) -> Self {
        Self { events, begin: Instant::now(), otherwise: Some(otherwise) }
    }

    /// It ended so.
    pub fn end(mut self, event: Event) {
        self.otherwise = Some(event);
    }

    /// Unless somebody says otherwise, it ends so from now on.
    pub fn otherwise(&mut self, event: Event) {
        self.otherwise = Some(event);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(event) = self.otherwise.take() {
            self.events.tell_after(event, Some(self.begin.elapsed()));
        }
    }
}
