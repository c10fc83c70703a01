//! The spans of a run: one name and one set of fields each, wherever the work is. docs/logs.md explains them.
//!
//! All are of the gravest level, so that no filter takes from a line what it belongs to. What they hold is exported (`otlp`): names,
//! kinds and numbers, never what is in the database, never a secret. So it is with what they fail with: of an error they tell its kind.

use std::fmt;

use tracing::{Instrument as _, Span, error_span, field::Empty};
use uuid::Uuid;

use crate::error::{Error, ExitCode};

/// The names, outermost first.
pub const NAMES: [&str; 12] = [
    "run",
    "connect",
    "lock",
    "preflight",
    "backup",
    "restore",
    "drill",
    "migration",
    "step",
    "batch",
    "verify",
    "commit",
];

/// The fields that hold numbers.
pub const NUMBERS: [&str; 4] = ["exit_code", "waited_ms", "bytes", "number"];

/// A span with what it may fail with, under the names that OpenTelemetry has for that.
macro_rules! span {
    ($name:literal $($fields:tt)*) => {
        error_span!($name $($fields)*, otel.status_description = Empty, "error.type" = Empty)
    };
}

/// All of a command. Its `run_id` is the correlation id: in each line, in the journal, in the name of the session.
pub fn run(run_id: Uuid, command: &str) -> Span {
    span!("run", %run_id, command, exit_code = Empty)
}

/// Connecting, once for each session; `server` has no secrets.
pub fn connect(server: impl fmt::Display) -> Span {
    span!("connect", %server)
}

/// Waiting for the migration lock. `waited_ms` is recorded when it is there.
pub fn lock() -> Span {
    span!("lock", waited_ms = Empty)
}

/// The checks before anything is changed: the host's.
pub fn preflight() -> Span {
    span!("preflight")
}

/// A migration's own checks.
pub fn preflight_of(migration: &str) -> Span {
    span!("preflight", migration)
}

/// Taking a backup and reading it back. Its `backup` and `bytes` are recorded when it is there.
pub fn backup() -> Span {
    span!("backup", backup = Empty, bytes = Empty)
}

/// Bringing a backup back.
pub fn restore(backup: &str) -> Span {
    span!("restore", backup)
}

/// Restoring the newest backup into a scratch database.
pub fn drill() -> Span {
    span!("drill")
}

/// A migration from its beginning to its commit, all tries together.
pub fn migration(migration: &str, direction: impl fmt::Display, kind: &str) -> Span {
    span!("migration", migration, %direction, kind)
}

/// A step: in a transaction with others, or outside of one.
pub fn step(step: &str, kind: &str) -> Span {
    span!("step", step, kind)
}

/// One batch of a step, in a transaction of its own. Counted from 1.
pub fn batch(step: &str, number: u64) -> Span {
    span!("batch", step, number)
}

/// A migration's own check of what it has done.
pub fn verify() -> Span {
    span!("verify")
}

/// The COMMIT.
pub fn commit() -> Span {
    span!("commit")
}

/// What work can fail with.
pub(crate) trait Failure {
    /// Which kind of failure it is.
    fn kind(&self) -> ExitCode;
}

impl Failure for Error {
    fn kind(&self) -> ExitCode {
        self.exit_code()
    }
}

/// Does work in a span of its own, which fails when the work does.
///
/// # Errors
/// As the work.
pub(crate) async fn within<T, E: Failure>(span: Span, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    let result = work.instrument(span.clone()).await;
    if let Err(error) = &result {
        fails(&span, error.kind());
    }
    result
}

/// Marks a span as failed.
pub fn fails(span: &Span, kind: ExitCode) {
    // The description makes the status an error.
    span.record("error.type", kind.name().replace(' ', "_")).record("otel.status_description", kind.meaning());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_has_every_span() {
        let text = include_str!("../../../docs/logs.md");
        for name in NAMES {
            assert!(text.contains(&format!("| `{name}` |")), "docs/logs.md does not explain `{name}`");
        }
        let subscriber = tracing_subscriber::registry();
        tracing::subscriber::with_default(subscriber, || {
            let spans = [
                run(Uuid::nil(), "up"),
                connect("x"),
                lock(),
                preflight(),
                backup(),
                restore("x"),
                drill(),
                migration("x", "up", "sql"),
                step("1", "sql"),
                batch("1", 1),
                verify(),
                commit(),
            ];
            let names = spans.map(|span| span.metadata().map(|metadata| metadata.name()));
            assert_eq!(names, NAMES.map(Some));
        });
    }
}
