//! What the library and the store say of a request that failed, in one line.

use std::{error, fmt, io};

use object_store::Error;

/// Why a request failed.
#[derive(Debug)]
pub(super) struct Failure {
    /// The word that the store has for it.
    code: Option<String>,
    /// For people.
    cause: String,
    kind: io::ErrorKind,
}

impl Failure {
    /// The condition of a request is one that the store does not know.
    pub(super) fn is_not_implemented(error: &Error) -> bool {
        matches!(error, Error::NotImplemented { .. }) || Self::of(error).code.as_deref() == Some("NotImplemented")
    }

    pub(super) fn of(error: &Error) -> Self {
        // The library keeps the type to itself that has the answer, and puts the answer into the text.
        let text = error.to_string();
        let (code, status) = (element(&text, "Code"), text.split_once("status code: ").map(|(_, status)| status));
        let cause = match (&code, element(&text, "Message")) {
            // Reading the rest of an object is the only request whose condition may fail as such.
            _ if matches!(error, Error::Precondition { .. }) => "it is another object by now".to_owned(),
            (Some(code), Some(message)) => format!("{code}: {message}"),
            (Some(code), None) => code.clone(),
            // An answer to HEAD has nothing but its status.
            (None, _) => match status {
                Some(status) => {
                    format!("the store answers {}", one_line(status.split(['<', '\n']).next().unwrap_or(status)))
                }
                None => one_line(&deepest(error)),
            },
        };
        // When it lists, the library does not tell one status from another.
        let is_denied = status.is_some_and(|status| status.starts_with("401") || status.starts_with("403"));
        let kind = match error {
            // Not the file is missing, but all of it.
            Error::NotFound { .. } if code.as_deref() == Some("NoSuchBucket") => io::ErrorKind::Other,
            Error::NotFound { .. } => io::ErrorKind::NotFound,
            Error::AlreadyExists { .. } => io::ErrorKind::AlreadyExists,
            _ if is_denied => io::ErrorKind::PermissionDenied,
            _ => io::ErrorKind::Other,
        };
        Self { code, cause, kind }
    }

    /// As an error, with what was being done.
    pub(super) fn while_doing(self, what: &str) -> io::Error {
        let cause = match self.kind {
            io::ErrorKind::AlreadyExists => "there is one already".to_owned(),
            _ => self.cause,
        };
        io::Error::new(self.kind, format!("{what}: {cause}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.cause)
    }
}

/// What an element of the answer holds.
fn element(text: &str, name: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (content, _) = rest.split_once(&format!("</{name}>"))?;
    Some(one_line(content)).filter(|content| !content.is_empty())
}

/// The first cause: what wraps it says where in the library it came by.
fn deepest(error: &Error) -> String {
    let mut cause: &dyn error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// What a store says must neither break a line nor fill a screen.
fn one_line(text: &str) -> String {
    const MAX_CHARS: usize = 300;
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let line = words.collect::<Vec<_>>().join(" ");
    let line = line.trim_end_matches([':', ' ']);
    match line.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{} …", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(text: &str) -> Failure {
        Failure::of(&Error::Generic { store: "S3", source: text.into() })
    }

    #[test]
    fn the_answer_of_the_store_is_told_in_one_line_and_nothing_else_of_it() {
        let body = "Error performing PUT http://h/b/x in 1ms - Server returned non-2xx status code: 403 Forbidden: <?xml?>\n<Error>
            <Code>SignatureDoesNotMatch</Code><Message>The signature\ndoes not match.</Message><StringToSign>secret</StringToSign></Error>";
        assert_eq!(failure(body).cause, "SignatureDoesNotMatch: The signature does not match.");
        let head = "Error performing HEAD http://h/b/x in 1ms - Server returned non-2xx status code: 403 Forbidden: ";
        assert_eq!(failure(head).cause, "the store answers 403 Forbidden");
        let long = failure(&"x ".repeat(10_000)).cause;
        assert!(long.chars().count() < 310 && long.ends_with('…'), "{long}");
    }

    #[test]
    fn a_bucket_that_is_not_there_is_another_thing_than_a_file() {
        let missing = |code: &str| {
            let source = format!("<Code>{code}</Code>").into();
            Failure::of(&Error::NotFound { path: "x".into(), source }).while_doing("reading").kind()
        };
        assert_eq!(missing("NoSuchKey"), io::ErrorKind::NotFound);
        assert_eq!(missing("NoSuchBucket"), io::ErrorKind::Other);
    }
}
