//! What the server answers to a message of several statements: by the number of the statement, since one that a migration has put in the place of
//! another may answer with whatever it likes, and as many rows as it likes.

use std::ops::Range;

use futures_util::TryStreamExt as _;
use tokio_postgres::{SimpleQueryMessage, SimpleQueryRow, SimpleQueryStream};

use super::{handle::db_error, prepared};
use crate::error::DbError;

/// So many of the host's own names are looked at, where a session has more than anybody needs.
const NAMES_MAX: usize = 1000;

/// The answers, as far as they go.
pub(super) struct Answers {
    /// The numbers of the statements that are a script's: what it selects is nobody's to keep.
    pub(super) script: Range<usize>,
    /// The number of the statement that lists what is prepared.
    listing: usize,
    /// The statements that are done.
    pub(super) done: usize,
    /// How many rows each of them has touched.
    pub(super) touched: Vec<u64>,
    /// Of the host's questions the first row each, and all that may be the host's of what is prepared; each with the number of its statement.
    rows: Vec<(usize, SimpleQueryRow)>,
}

impl Answers {
    pub(super) fn to(script: Range<usize>, listing: usize) -> Self {
        Self { script, listing, done: 0, touched: Vec::new(), rows: Vec::new() }
    }

    /// Reads them to the end, or to an error.
    pub(super) async fn of(&mut self, answers: SimpleQueryStream) -> Result<(), DbError> {
        let mut answers = std::pin::pin!(answers);
        while let Some(answer) = answers.try_next().await.map_err(|e| db_error(&e))? {
            match answer {
                SimpleQueryMessage::CommandComplete(touched) => {
                    self.done += 1;
                    self.touched.push(touched);
                }
                SimpleQueryMessage::Row(row) if self.is_kept(&row) => self.rows.push((self.done, row)),
                _ => {}
            }
        }
        Ok(())
    }

    fn is_kept(&self, row: &SimpleQueryRow) -> bool {
        let there = self.rows.iter().rev().take_while(|(of, _)| *of == self.done).count();
        if self.done == self.listing {
            there < NAMES_MAX && row.try_get(0).ok().flatten().is_some_and(prepared::may_be_ours)
        } else {
            there == 0 && !self.script.contains(&self.done)
        }
    }

    fn rows_of(&self, statement: usize) -> impl Iterator<Item = &SimpleQueryRow> {
        self.rows.iter().filter(move |(of, _)| *of == statement).map(|(_, row)| row)
    }

    /// The first row that a statement has answered with.
    pub(super) fn row(&self, statement: usize) -> Option<&SimpleQueryRow> {
        self.rows_of(statement).next()
    }

    /// The same, to be kept.
    pub(super) fn take_row(&mut self, statement: usize) -> Option<SimpleQueryRow> {
        let at = self.rows.iter().position(|(of, _)| *of == statement)?;
        Some(self.rows.swap_remove(at).1)
    }

    /// What is prepared: names, and when each was prepared.
    pub(super) fn listed(&self) -> impl Iterator<Item = (&str, &str)> {
        self.rows_of(self.listing).filter_map(|row| Some((row.try_get(0).ok()??, row.try_get(1).ok()??)))
    }
}

/// A column of a row, where it has one; empty otherwise.
pub(super) fn text(row: &SimpleQueryRow, i: usize) -> String {
    row.try_get(i).ok().flatten().unwrap_or_default().to_owned()
}

pub(super) fn is_true(row: &SimpleQueryRow, i: usize) -> bool {
    row.try_get(i).ok().flatten() == Some("t")
}

/// The numbers of an array, as the server writes it.
pub(super) fn counts(row: &SimpleQueryRow, i: usize) -> Option<Vec<i64>> {
    numbers(row.try_get(i).ok().flatten()?)
}

fn numbers(array: &str) -> Option<Vec<i64>> {
    array.trim_matches(['{', '}']).split(',').map(|n| n.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_is_read_or_is_none() {
        assert_eq!(numbers("{1,-2,3}"), Some(vec![1, -2, 3]));
        assert_eq!((numbers("{1,x}"), numbers("{}")), (None, None));
    }
}
