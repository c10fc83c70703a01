//! The log on stderr.

use std::io::{self, Write as _};

use tracing::{Metadata, level_filters::LevelFilter};

use super::{
    ENDED,
    bound::Bound,
    line::{Format, Line},
    lines::Sink,
};

/// See the module.
pub struct Console {
    bound: Bound,
    format: Format,
    color: bool,
}

impl Console {
    /// Lines of this form; in colour, if that is wished for, at a terminal.
    pub fn new(bound: Bound, format: Format, color: bool) -> Self {
        Self { bound, format, color }
    }
}

impl Sink for Console {
    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        // What a command ends with is reported there anyway, and better.
        metadata.target() != ENDED && self.bound.lets(metadata)
    }

    fn finest(&self) -> LevelFilter {
        self.bound.finest()
    }

    fn take(&self, line: &Line<'_>) {
        // A reader that went away is no failure of the run.
        let _ = io::stderr().write_all(line.written(self.format, self.color).as_bytes());
    }
}
