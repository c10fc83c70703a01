//! What is prepared in a session that others work in as well: whether it still is what the host has prepared, and what it answers.

use std::collections::HashMap;

use tokio_postgres::SimpleQueryMessage;
use uuid::Uuid;

/// All that is prepared in the session. Not prepared itself, and no more than names and times: it is planned anew each time.
pub(super) const PREPARED_SQL: &str =
    "SELECT name, pg_catalog.extract('epoch', prepare_time) FROM pg_catalog.pg_prepared_statement()";

/// A prepared statement is not there: `invalid_sql_statement_name`.
pub(super) const GONE: &str = "26000";

const OURS: &str = "lockgate_";

/// A name that nobody knows before it is there.
pub(super) fn name(id: Uuid, what: &str) -> String {
    format!("{OURS}{what}_{}", id.simple())
}

/// Whether a name may be one of these.
pub(super) fn may_be_ours(name: &str) -> bool {
    name.starts_with(OURS)
}

/// The columns of a row, as the server writes them; `None` is NULL.
pub(super) type Texts = Vec<Option<String>>;

/// The rows that are among the answers.
pub(super) fn texts_of(answers: Vec<SimpleQueryMessage>) -> Vec<Texts> {
    let texts = |answer| match answer {
        SimpleQueryMessage::Row(row) => {
            Some((0..row.len()).map(|i| row.try_get(i).ok().flatten().map(str::to_owned)).collect())
        }
        _ => None,
    };
    answers.into_iter().filter_map(texts).collect()
}

/// Those rows that are a name and a time.
pub(super) fn pairs(rows: &[Texts]) -> impl Iterator<Item = (&str, &str)> {
    rows.iter().filter_map(|row| match row.as_slice() {
        [Some(a), Some(b)] => Some((a.as_str(), b.as_str())),
        _ => None,
    })
}

/// The names of what the host has prepared, and when each was prepared, in seconds since 1970. Whoever puts another in the place of one does so
/// later.
#[derive(Debug, Clone)]
pub(super) struct Listed(Vec<(String, String)>);

impl Listed {
    /// As [`PREPARED_SQL`] has told it; `None` where one of these is missing.
    pub(super) fn of<'a>(told: impl Iterator<Item = (&'a str, &'a str)>, names: &[String]) -> Option<Self> {
        let listed: Vec<(String, String)> = told
            .filter(|(name, _)| names.iter().any(|own| own == name))
            .map(|(name, at)| (name.to_owned(), at.to_owned()))
            .collect();
        (listed.len() == names.len()).then_some(Self(listed))
    }

    /// Whether what [`PREPARED_SQL`] has told now has each of them as it was prepared, and once.
    pub(super) fn is_intact<'a>(&self, told: impl Iterator<Item = (&'a str, &'a str)>) -> bool {
        let mut found: HashMap<&str, Vec<&str>> = HashMap::new();
        told.for_each(|(name, at)| found.entry(name).or_default().push(at));
        self.0.iter().all(|(name, at)| found.get(name.as_str()).is_some_and(|times| times == &[at.as_str()]))
    }

    /// The same of one of them.
    pub(super) fn has_intact<'a>(&self, name: &str, told: impl Iterator<Item = (&'a str, &'a str)>) -> bool {
        let times: Vec<&str> = told.filter(|(of, _)| *of == name).map(|(_, at)| at).collect();
        self.0.iter().any(|(of, at)| of == name && times == [at.as_str()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_or_was_prepared_at_another_time_is_not_the_host_s() {
        let names = ["a".to_owned(), "b".to_owned()];
        let listed = Listed::of([("a", "1"), ("x", "3"), ("b", "2")].into_iter(), &names).unwrap();
        assert!(listed.is_intact([("b", "2"), ("y", "9"), ("a", "1")].into_iter()));
        for told in
            [vec![("a", "1")], vec![("a", "1"), ("b", "2.5")], vec![], vec![("a", "1"), ("b", "2"), ("b", "2.5")]]
        {
            assert!(!listed.is_intact(told.into_iter()));
        }
        assert!(listed.has_intact("b", [("b", "2"), ("a", "9")].into_iter()));
        for told in [vec![("a", "1")], vec![("b", "2.5")], vec![("b", "2"), ("b", "2.5")]] {
            assert!(!listed.has_intact("b", told.into_iter()));
        }
        assert!(!listed.has_intact("x", [("x", "3")].into_iter()));
        assert!(Listed::of([("a", "1")].into_iter(), &names).is_none());
    }
}
