//! The log on stderr.

use std::io::{self, Write as _};

use tracing::{Metadata, level_filters::LevelFilter};

use super::{
    ENDED,
    bound::Bound,
    line::{Format, Line},
    lines::Sink,
};
use crate::bar;

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
        let text = line.written(self.format, self.color);
        // A reader that went away is no failure of the run.
        let _ = bar::above(|| io::stderr().write_all(text.as_bytes()));
    }
}
