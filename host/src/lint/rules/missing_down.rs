//! `missing-down`: there is no way down, and nobody says that this is on purpose.

use super::super::{Found, View};

pub(in super::super) fn check<'a>(view: &View<'a>) -> Vec<Found<'a>> {
    let subject = view.subject;
    match (&subject.up, &subject.down) {
        (Some(up), None) if subject.goes_both_ways => vec![Found {
            part: up,
            offset: up.head(),
            message: "there is no way down, and the file does not say that this is on purpose".to_owned(),
            help: Some("write it, or `-- lockgate: irreversible` at the top of the file".to_owned()),
        }],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tests_of::found;

    #[test]
    fn a_way_up_alone_is_told_unless_it_says_so() {
        assert_eq!(found("missing-down", "\nCREATE TABLE t ()", None, None), ["2:1"]);
        assert!(found("missing-down", "CREATE TABLE t ()", Some("DROP TABLE t"), None).is_empty());
        assert!(found("missing-down", "-- lockgate: irreversible\nDROP TABLE t", None, None).is_empty());
        let ignored = "-- lockgate: ignore missing-down\nCREATE TABLE t ()";
        assert!(found("missing-down", ignored, None, None).is_empty());
    }
}
