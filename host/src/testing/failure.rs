//! Why a test of a plugin cannot go on.

use std::fmt;

use super::Difference;
use crate::error::{Error, ExitCode};

/// The result of everything in the kit that can fail.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// What went wrong. Its `Debug` is its `Display`, so that a test that returns it prints text that people can read.
#[derive(Clone)]
pub enum Failure {
    /// The host's own error, as the command would print it.
    Host(Box<Error>),
    /// The database is not as it was before the migration.
    LeftBehind(Difference),
}

impl Failure {
    /// The host's error, where it is one.
    pub fn error(&self) -> Option<&Error> {
        match self {
            Self::Host(error) => Some(error),
            Self::LeftBehind(_) => None,
        }
    }

    /// The code that a process ends with because of it.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Host(error) => error.exit_code(),
            Self::LeftBehind(_) => ExitCode::CheckFailed,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Host(Box::new(error))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(error) => error.fmt(f),
            Self::LeftBehind(difference) => write!(f, "the database is not as it was before the migration{difference}"),
        }
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Failure {}
