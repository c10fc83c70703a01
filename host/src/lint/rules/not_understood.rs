//! `not-understood`: a statement that could not be read, of which no other rule knows anything. The server may well understand it.

use super::super::{Found, View};

pub(in super::super) fn check<'a>(view: &View<'a>) -> Vec<Found<'a>> {
    let parts = view.subject.parts();
    let found = parts.flat_map(|part| {
        part.statements().iter().filter_map(move |statement| {
            statement.unread.map(|why| Found {
                part,
                offset: statement.start,
                message: format!("{why}: neither its locks nor anything else of it was looked at"),
                help: None,
            })
        })
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::tests_of::found;

    #[test]
    fn what_cannot_be_read_is_said_not_to_be_looked_at() {
        assert_eq!(found("not-understood", "SELECT 1; FROBNICATE t;", Some("SELECT 1"), None), ["1:11"]);
        assert!(found("not-understood", "SELECT 1", Some("SELECT 1"), None).is_empty());
        let rows = format!("INSERT INTO t VALUES {}(0)", "(1), ".repeat(100_000));
        assert!(found("not-understood", &rows, Some("SELECT 1"), None).is_empty(), "rows are not to be read");
    }
}
