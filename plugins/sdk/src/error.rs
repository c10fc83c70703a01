use std::fmt::{self, Display, Formatter};

use crate::DbError;
use crate::bindings::lockgate::migration::types;

/// The result of everything that may fail here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call failed. Returned from a function of [`Migration`](crate::Migration), it reaches the operator.
#[derive(Clone, Debug, PartialEq)]
pub enum Error {
    /// The server refused the statement.
    Db(Box<DbError>),
    /// The host refused the statement before it was sent: the transaction, role and session are the host's.
    Denied(String),
    /// A value of another type than was asked for, or one that cannot be represented.
    BadValue(String),
    /// A limit of the host was reached; the text names it and the option that raises it.
    Limit(String),
    /// The run is being stopped.
    Cancelled,
    /// Everything else: the case for errors of your own.
    Other {
        /// A short word for programs, such as `unparseable-phone`.
        code: String,
        /// What is wrong, for the operator.
        text: String,
    },
}

impl Error {
    /// An error of your own.
    pub fn new(code: impl Into<String>, text: impl Into<String>) -> Self {
        Self::Other { code: code.into(), text: text.into() }
    }

    /// The host asked for a step that the plan does not have.
    #[must_use]
    pub fn unknown_step(step: &str) -> Self {
        Self::new("unknown-step", format!("there is no step `{step}`"))
    }

    /// The server's error code, such as `42P01`, when the server refused a statement.
    #[must_use]
    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Db(error) => Some(&error.sqlstate),
            _ => None,
        }
    }
}

impl std::error::Error for Error {}

impl Display for Error {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        match self {
            Self::Db(error) => write!(f, "{} (SQLSTATE {})", error.message, error.sqlstate),
            Self::Denied(text) => write!(f, "refused by the host: {text}"),
            Self::BadValue(text) => write!(f, "{text}"),
            Self::Limit(text) => write!(f, "limit reached: {text}"),
            Self::Cancelled => write!(f, "the run is being stopped"),
            Self::Other { code, text } => write!(f, "{text} ({code})"),
        }
    }
}

impl From<types::Error> for Error {
    fn from(error: types::Error) -> Self {
        match error {
            types::Error::Db(error) => Self::Db(Box::new(error)),
            types::Error::Denied(text) => Self::Denied(text),
            types::Error::BadValue(text) => Self::BadValue(text),
            types::Error::Limit(text) => Self::Limit(text),
            types::Error::Cancelled => Self::Cancelled,
            types::Error::Other(types::OtherError { code, text }) => Self::Other { code, text },
        }
    }
}

impl From<Error> for types::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Db(error) => Self::Db(*error),
            Error::Denied(text) => Self::Denied(text),
            Error::BadValue(text) => Self::BadValue(text),
            Error::Limit(text) => Self::Limit(text),
            Error::Cancelled => Self::Cancelled,
            Error::Other { code, text } => Self::Other(types::OtherError { code, text }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_survive_the_boundary() {
        for error in [
            Error::Denied("COMMIT".into()),
            Error::BadValue("too long".into()),
            Error::Limit("rows".into()),
            Error::Cancelled,
            Error::unknown_step("fill"),
        ] {
            assert_eq!(Error::from(types::Error::from(error.clone())), error);
        }
    }

    #[test]
    fn an_error_reads_as_a_sentence() {
        assert_eq!(Error::unknown_step("fill").to_string(), "there is no step `fill` (unknown-step)");
    }
}
