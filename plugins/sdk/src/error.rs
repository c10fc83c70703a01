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

    /// An error of your own that another brought about: its text, and those of its sources.
    ///
    /// ```
    /// use lockgate_plugin::{Error, Result};
    ///
    /// fn port(text: &str) -> Result<u16> {
    ///     text.parse().map_err(|error| Error::other("bad-port", error))
    /// }
    /// # assert_eq!(port("x").unwrap_err().to_string(), "invalid digit found in string (bad-port)");
    /// ```
    pub fn other<E: std::error::Error>(code: impl Into<String>, error: E) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            text = format!("{text}: {error}");
            source = error.source();
        }
        Self::new(code, text)
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

/// Adds to an error what was being done.
pub trait Context<T> {
    /// Puts `doing` before the text of the error, or, of the server's error, behind its context. The kind of the error and
    /// its codes stay.
    ///
    /// ```
    /// use lockgate_plugin::{Context, Result};
    ///
    /// fn port(text: &str) -> Result<u16> {
    ///     text.parse().context(format_args!("the port `{text}`"))
    /// }
    /// # let error = port("x").unwrap_err();
    /// # assert_eq!(error.to_string(), "the port `x`: invalid digit found in string (unparseable-number)");
    /// ```
    ///
    /// # Errors
    /// Those that were there before.
    fn context(self, doing: impl Display) -> Result<T>;
}

impl<T, E: Into<Error>> Context<T> for Result<T, E> {
    fn context(self, doing: impl Display) -> Result<T> {
        self.map_err(|error| {
            let mut error = error.into();
            match &mut error {
                Error::Db(error) => {
                    let context = error.context.take().map_or(String::new(), |context| context + "\n");
                    error.context = Some(format!("{context}{doing}"));
                }
                Error::Denied(text) | Error::BadValue(text) | Error::Limit(text) | Error::Other { text, .. } => {
                    *text = format!("{doing}: {text}");
                }
                Error::Cancelled => {}
            }
            error
        })
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

/// `sources!(Type => code, …)`: errors of the standard library that `?` takes as one's own.
macro_rules! sources {
    ($($type:ty => $code:literal),+ $(,)?) => {$(
        impl From<$type> for Error {
            fn from(error: $type) -> Self {
                Self::other($code, error)
            }
        }
    )+};
}

sources! {
    std::num::ParseIntError => "unparseable-number",
    std::num::ParseFloatError => "unparseable-number",
    std::num::TryFromIntError => "number-too-large",
    std::str::ParseBoolError => "unparseable-boolean",
    std::str::Utf8Error => "not-utf8",
    std::string::FromUtf8Error => "not-utf8",
    std::fmt::Error => "format",
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
    fn errors_of_the_standard_library_need_no_map_err() {
        fn number(text: &str) -> Result<i16> {
            Ok(i16::try_from(text.parse::<i64>()?)?)
        }
        assert_eq!(number("x").unwrap_err().to_string(), "invalid digit found in string (unparseable-number)");
        assert!(matches!(number("99999"), Err(Error::Other { code, .. }) if code == "number-too-large"));
    }

    #[test]
    fn context_keeps_the_code() {
        let error = Err::<(), _>(Error::new("no-page", "it is empty")).context("page 7").unwrap_err();
        assert_eq!(error, Error::new("no-page", "page 7: it is empty"));
        assert_eq!(Err::<(), _>(Error::Cancelled).context("page 7"), Err(Error::Cancelled));
        let db = |context: Option<&str>| {
            Error::Db(Box::new(DbError {
                sqlstate: "42P01".into(),
                severity: "ERROR".into(),
                message: "no such table".into(),
                detail: None,
                hint: None,
                position: None,
                context: context.map(str::to_owned),
                schema: None,
                table: None,
                column: None,
                data_type: None,
                constraint: None,
            }))
        };
        assert_eq!(Err::<(), _>(db(None)).context("page 7"), Err(db(Some("page 7"))));
        assert_eq!(Err::<(), _>(db(Some("line 1"))).context("page 7"), Err(db(Some("line 1\npage 7"))));
    }

    #[test]
    fn an_error_reads_as_a_sentence() {
        assert_eq!(Error::unknown_step("fill").to_string(), "there is no step `fill` (unknown-step)");
    }
}
