//! Scripts that control transactions: what of that becomes the host's, and what is refused.
//!
//! One outer `BEGIN … COMMIT` is the host's own transaction: neither is sent. In a script that is run without one, each
//! `BEGIN … COMMIT` is a transaction by itself. Source: PostgreSQL manual, "BEGIN", "COMMIT", "SET TRANSACTION".

use std::ops::Range;

use super::{outside::Place, split::Statement};

/// What the transaction control of a script comes to.
#[derive(Debug, Default)]
pub(super) struct Controlled {
    /// The statements that are left out, by their numbers, in order.
    pub(super) left_out: Vec<usize>,
    /// The statements between a `BEGIN` and its `COMMIT` in a script without a transaction, by their numbers.
    pub(super) groups: Vec<Range<usize>>,
    /// What is refused: the number of the statement, what is wrong, what to do.
    pub(super) refused: Vec<(usize, String, &'static str)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Control {
    Begin,
    Commit,
    Rollback,
    /// `SAVEPOINT`, `RELEASE`, `ROLLBACK TO`.
    Savepoint,
    /// `PREPARE TRANSACTION`, `SET TRANSACTION`: never a script's.
    Other,
}

/// Whether a statement that begins with these words begins or ends a transaction, or a part of one.
pub fn is_transaction_control(words: &[String]) -> bool {
    control(words).is_some()
}

fn control(words: &[String]) -> Option<Control> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    Some(match words.as_slice() {
        ["BEGIN", ..] | ["START", "TRANSACTION", ..] => Control::Begin,
        ["COMMIT" | "ROLLBACK", "PREPARED", ..] | ["PREPARE" | "SET", "TRANSACTION", ..] => Control::Other,
        ["COMMIT" | "END", ..] => Control::Commit,
        ["ROLLBACK", "TO", ..] | ["ROLLBACK", "WORK" | "TRANSACTION", "TO", ..] => Control::Savepoint,
        ["ROLLBACK" | "ABORT", ..] => Control::Rollback,
        ["SAVEPOINT" | "RELEASE", ..] => Control::Savepoint,
        _ => return None,
    })
}

const SPLIT: &str = "make a migration of each part; or write `-- lockgate: no-transaction` above the first statement, and each \
                     `BEGIN … COMMIT` is a transaction of its own";
const PLAIN: &str = "write a plain `BEGIN` … `COMMIT`, or leave both to the host";
const NO_PAIR: &str =
    "the host begins and commits: remove it, or let the file begin with `BEGIN` and end with `COMMIT`";
const TAKE_OUT: &str = "take it out of the `BEGIN … COMMIT`";
const NO_ROLLBACK: &str = "what a script does is kept or fails as a whole: remove it, and what it would undo";

/// Looks at the statements of a script; `text` is what they lie in. `apart`: it asks to be run without a transaction.
pub(super) fn controlled(statements: &[Statement], text: &str, apart: bool) -> Controlled {
    let controls: Vec<Option<Control>> = statements.iter().map(|statement| control(&statement.words)).collect();
    if controls.iter().all(Option::is_none) {
        return Controlled::default();
    }
    let look = Look { statements, text, controls, found: Controlled::default() };
    if apart { look.apart() } else { look.whole() }
}

struct Look<'a> {
    statements: &'a [Statement],
    text: &'a str,
    controls: Vec<Option<Control>>,
    found: Controlled,
}

impl Look<'_> {
    /// A script in one transaction, the host's.
    fn whole(mut self) -> Controlled {
        let last = self.statements.len() - 1;
        let mut inner = 0..self.statements.len();
        let outer =
            last > 0 && self.controls[0] == Some(Control::Begin) && self.controls[last] == Some(Control::Commit);
        // Of two transactions, the first begins the script and the second ends it, and neither is the outer one.
        if outer && !self.controls[1..last].iter().any(|c| matches!(c, Some(Control::Begin | Control::Commit))) {
            self.pair(0, last);
            inner = 1..last;
        }
        let several = outer || self.controls.iter().filter(|control| **control == Some(Control::Begin)).count() > 1;
        let mut i = inner.start;
        while i < inner.end {
            if let Some(end) = self.large_object(i) {
                self.found.left_out.extend([i, end]);
                i = end;
            } else if let Some(control) = self.controls[i] {
                let next = match control {
                    Control::Savepoint | Control::Other => {
                        "remove it: every migration runs in one transaction of the host's"
                    }
                    Control::Rollback => NO_ROLLBACK,
                    _ if several => SPLIT,
                    _ => NO_PAIR,
                };
                self.refuse(i, "would end the transaction that the host owns", next);
            }
            i += 1;
        }
        self.found.left_out.sort_unstable();
        self.found
    }

    /// A script in which every statement commits by itself, but for those between `BEGIN` and `COMMIT`.
    fn apart(mut self) -> Controlled {
        let mut open = None;
        for i in 0..self.statements.len() {
            match (self.controls[i], open) {
                (None, _) => {}
                (Some(Control::Begin), None) => open = Some(i),
                (Some(Control::Begin), Some(_)) => self.refuse(i, "within a transaction that has begun", SPLIT),
                (Some(Control::Commit), Some(begin)) => {
                    self.pair(begin, i);
                    self.found.groups.push(begin + 1..i);
                    open = None;
                }
                (Some(Control::Savepoint), Some(_)) => {}
                (Some(Control::Rollback), Some(begin)) => {
                    self.found.left_out.push(begin);
                    self.refuse(i, "would undo a transaction of the script's own", NO_ROLLBACK);
                    open = None;
                }
                (Some(_), _) => {
                    self.refuse(i, "without a `BEGIN` before it", "remove it: every statement commits by itself")
                }
            }
        }
        if let Some(begin) = open {
            self.refuse(begin, "is not followed by a `COMMIT`", "write the `COMMIT`");
        }
        self.found
    }

    /// A `BEGIN` and its `COMMIT`, neither of which is sent.
    fn pair(&mut self, begin: usize, commit: usize) {
        let words = |i: usize| self.statements[i].words.iter().skip(1).map(String::as_str);
        // What the host's own BEGIN gives as well.
        let given =
            ["WORK", "TRANSACTION", "ISOLATION", "LEVEL", "READ", "COMMITTED", "WRITE", "NOT", "DEFERRABLE", ","];
        let asks: Vec<&str> = words(begin).collect();
        let deferrable = asks.contains(&"DEFERRABLE") && !asks.contains(&"NOT");
        if deferrable || asks.iter().any(|word| !given.contains(word)) {
            self.refuse(begin, "asks for a transaction that the host does not give", PLAIN);
        }
        let ends: Vec<&str> = words(commit).filter(|word| !matches!(*word, "WORK" | "TRANSACTION")).collect();
        if !ends.is_empty() && ends != ["AND", "NO", "CHAIN"] {
            self.refuse(commit, "would begin another transaction", PLAIN);
        }
        for i in begin + 1..commit {
            let statement = &self.statements[i];
            if Place::of(&self.text[statement.start..statement.end]) == Place::Outside {
                self.refuse(
                    i,
                    "stands between `BEGIN` and `COMMIT`, and PostgreSQL refuses it inside a transaction",
                    TAKE_OUT,
                );
            }
        }
        self.found.left_out.extend([begin, commit]);
    }

    /// Where a statement is the `BEGIN` with which `pg_dump` begins a large object's data: the number of the `COMMIT` behind them. A
    /// descriptor lasts as long as a transaction, and the host's is one.
    fn large_object(&self, begin: usize) -> Option<usize> {
        if self.controls[begin] != Some(Control::Begin) || self.statements[begin].words.len() > 1 {
            return None;
        }
        let is_data = |statement: &&Statement| {
            let words: Vec<&str> = statement.words.iter().map(String::as_str).collect();
            matches!(words.as_slice(), ["SELECT", "PG_CATALOG", ".", "LO_OPEN" | "LOWRITE" | "LO_CLOSE"])
        };
        let n = self.statements[begin + 1..].iter().take_while(is_data).count();
        let end = begin + 1 + n;
        (n > 0 && self.controls.get(end) == Some(&Some(Control::Commit)) && self.statements[end].words.len() == 1)
            .then_some(end)
    }

    fn refuse(&mut self, i: usize, why: &str, next: &'static str) {
        let words = super::guard::shown(&self.statements[i].words, if self.controls[i].is_some() { 1 } else { 3 });
        self.found.refused.push((i, format!("`{words}` {why}"), next));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::split::split;

    fn found(text: &str, apart: bool) -> Controlled {
        let split = split(text);
        controlled(&split.statements, text, apart)
    }

    fn refused(text: &str, apart: bool) -> Vec<(usize, String)> {
        found(text, apart).refused.into_iter().map(|(i, what, _)| (i, what)).collect()
    }

    #[test]
    fn one_outer_transaction_becomes_the_hosts() {
        for text in [
            "begin; select 1; commit",
            "START TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE; select 1; END TRANSACTION",
            "BEGIN WORK; select 1; COMMIT AND NO CHAIN",
        ] {
            let found = found(text, false);
            assert_eq!((found.left_out, found.refused), (vec![0, 2], vec![]), "{text}");
        }
        assert_eq!(found("select 1", false).left_out, Vec::<usize>::new());
    }

    #[test]
    fn what_the_host_cannot_give_is_refused() {
        for (text, i) in [
            ("BEGIN ISOLATION LEVEL SERIALIZABLE; select 1; COMMIT", 0),
            ("BEGIN READ ONLY; select 1; COMMIT", 0),
            ("BEGIN DEFERRABLE; select 1; COMMIT", 0),
            ("BEGIN; select 1; COMMIT AND CHAIN", 2),
            ("BEGIN; create index concurrently i on t (a); COMMIT", 1),
            ("BEGIN; select 1", 0),
            ("select 1; COMMIT", 1),
            ("COMMIT", 0),
            ("BEGIN; savepoint a; COMMIT", 1),
            ("select 1; rollback", 1),
        ] {
            assert_eq!(refused(text, false).iter().map(|(i, _)| *i).collect::<Vec<_>>(), [i], "{text}");
        }
        let two = found("BEGIN; select 1; COMMIT; BEGIN; select 2; COMMIT", false);
        assert_eq!(two.refused.len(), 4);
        assert!(two.refused.iter().all(|(_, _, next)| next.contains("no-transaction")));
    }

    #[test]
    fn without_a_transaction_each_pair_is_one() {
        let found = found("select 0; begin; select 1; savepoint a; rollback to a; commit; select 2; begin; end", true);
        assert_eq!((found.left_out, found.groups), (vec![1, 5, 7, 8], vec![2..5, 8..8]));
        assert!(found.refused.is_empty());
        for (text, i) in [
            ("begin; select 1; rollback", 2),
            ("select 1; commit", 1),
            ("savepoint a", 0),
            ("begin; select 1", 0),
            ("begin; begin; commit", 1),
            ("begin; vacuum; commit", 1),
            ("set transaction read only", 0),
            ("prepare transaction 'x'", 0),
        ] {
            assert_eq!(refused(text, true).iter().map(|(i, _)| *i).collect::<Vec<_>>(), [i], "{text}");
        }
    }

    #[test]
    fn a_large_object_of_a_dump_shares_the_transaction() {
        let text = "select 1; BEGIN; SELECT pg_catalog.lo_open('1', 131072); SELECT pg_catalog.lowrite(0, '\\x00');
                    SELECT pg_catalog.lo_close(0); COMMIT; select 2";
        let found = found(text, false);
        assert_eq!((found.left_out, found.refused), (vec![1, 5], vec![]));
        assert_eq!(refused(&text.replace("lowrite", "evil"), false).len(), 2);
    }
}
