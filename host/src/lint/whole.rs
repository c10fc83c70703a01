//! The statements of a script that are looked at, parsed in one piece: once for squawk's rules and for what they take and make.

use std::ops::Range;

use squawk_syntax::{
    Parse, SourceFile,
    ast::{AstNode, Stmt},
};

/// A script that has more to be looked at is a dump: squawk's rules are about what somebody wrote by hand.
const LOOKED_AT_MAX_BYTES: usize = 2 * 1024 * 1024;

/// See the module.
#[derive(Debug)]
pub(super) struct Whole {
    /// Nothing but the statements, each with a semicolon: no comments between them (those that ignore something are ours to follow), no rows, and
    /// none that would throw squawk's parser off the next ones.
    pub(super) text: String,
    pub(super) parsed: Parse<SourceFile>,
    /// Where each statement begins: in the text, and in the script.
    begins: Vec<(usize, usize)>,
}

impl Whole {
    /// Parses these statements of a text; `None` where there is too much of them.
    pub(super) fn of(text: &str, statements: impl Iterator<Item = Range<usize>> + Clone) -> Option<Self> {
        if statements.clone().map(|statement| statement.len()).sum::<usize>() > LOOKED_AT_MAX_BYTES {
            return None;
        }
        let (mut whole, mut begins) = (String::new(), Vec::new());
        for statement in statements {
            begins.push((whole.len(), statement.start));
            whole.push_str(&text[statement]);
            // Far enough from the next one that no comment of squawk's in it, which holds for its line and the next, reaches that.
            whole.push_str(";\n\n");
        }
        Some(Self { parsed: SourceFile::parse(&whole), text: whole, begins })
    }

    /// The byte of the script that is this one of the text.
    pub(super) fn in_script(&self, at: usize) -> usize {
        let behind = self.begins.partition_point(|(begin, _)| *begin <= at);
        self.begins[..behind].last().map_or(at, |(begin, of_script)| of_script + (at - begin))
    }

    /// The statements as they were read, where squawk has read all of them, and each for itself.
    pub(super) fn statements(&self) -> Option<Vec<Stmt>> {
        if !self.parsed.errors().is_empty() {
            return None;
        }
        let read: Vec<Stmt> = self.parsed.tree().stmts().collect();
        let ends = self.begins.iter().skip(1).map(|(begin, _)| *begin).chain([self.text.len()]);
        let is_it = |(read, ((begin, _), end)): (&Stmt, (&(usize, usize), usize))| {
            (*begin..end).contains(&usize::from(read.syntax().text_range().start()))
        };
        let all = read.len() == self.begins.len() && read.iter().zip(self.begins.iter().zip(ends)).all(is_it);
        all.then_some(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read of all but the statements that begin with `INSERT`.
    fn read(text: &str) -> (Vec<Range<usize>>, Option<Vec<String>>) {
        let ends = text.match_indices(';').map(|(i, _)| i).chain([text.len()]);
        let mut start = 0;
        let mut statements = Vec::new();
        for end in ends {
            let skipped = text[start..end].len() - text[start..end].trim_start().len();
            if start + skipped < end && !text[start + skipped..].starts_with("INSERT") {
                statements.push(start + skipped..end);
            }
            start = end + 1;
        }
        let whole = Whole::of(text, statements.iter().cloned()).unwrap();
        for (i, _) in whole.text.match_indices(|c: char| c.is_alphabetic()) {
            let at = whole.in_script(i);
            assert_eq!(whole.text[i..].chars().next(), text[at..].chars().next());
            assert!(statements.iter().any(|statement| statement.contains(&at)));
        }
        let texts = |read: Vec<Stmt>| {
            read.iter().map(|stmt| stmt.syntax().text().to_string().trim_end_matches(';').to_owned()).collect()
        };
        let read = whole.statements().map(texts);
        (statements, read)
    }

    #[test]
    fn each_statement_is_read_as_if_alone() {
        let text = "CREATE TABLE \"é\" (a int); INSERT INTO t VALUES ('é'); DROP TABLE u;\n ALTER TABLE v ADD b int";
        let (statements, read) = read(text);
        let alone: Vec<String> = statements.iter().map(|range| text[range.clone()].to_owned()).collect();
        assert_eq!(read.unwrap(), alone);
    }

    #[test]
    fn what_is_not_read_whole_is_read_one_by_one() {
        assert_eq!(read("DROP TABLE t; FROBNICATE x y z; DROP TABLE u").1, None);
    }
}
