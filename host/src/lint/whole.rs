//! A script parsed whole: once for squawk's rules and for what its statements take and make.

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
    /// Of the same length as the script; nothing is left in it but the statements: no comments between them (those that ignore something are ours to
    /// follow), no rows, and none that would throw squawk's parser off the next ones.
    pub(super) text: String,
    pub(super) parsed: Parse<SourceFile>,
}

impl Whole {
    /// Parses these statements of a text; `None` where there is too much of them.
    pub(super) fn of(text: &str, statements: impl Iterator<Item = Range<usize>> + Clone) -> Option<Self> {
        if statements.clone().map(|statement| statement.len()).sum::<usize>() > LOOKED_AT_MAX_BYTES {
            return None;
        }
        let mut bytes: Vec<u8> = text.bytes().map(|byte| if byte == b'\n' { b'\n' } else { b' ' }).collect();
        for statement in statements {
            bytes[statement.clone()].copy_from_slice(&text.as_bytes()[statement.clone()]);
            // Right behind it is its semicolon, if it has one; the last may have none.
            match bytes.get_mut(statement.end) {
                Some(byte) => *byte = b';',
                None => bytes.push(b';'),
            }
        }
        // Whole statements and spaces in the stead of the rest: still UTF-8.
        let text = String::from_utf8(bytes).ok()?;
        Some(Self { parsed: SourceFile::parse(&text), text })
    }

    /// The statements as they were read, where squawk has read all of them, and each for itself.
    pub(super) fn statements(&self, statements: &[Range<usize>]) -> Option<Vec<Stmt>> {
        if !self.parsed.errors().is_empty() {
            return None;
        }
        let read: Vec<Stmt> = self.parsed.tree().stmts().collect();
        let is_it = |(read, statement): (&Stmt, &Range<usize>)| {
            statement.contains(&usize::from(read.syntax().text_range().start()))
        };
        (read.len() == statements.len() && read.iter().zip(statements).all(is_it)).then_some(read)
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
        assert!(whole.text.len() - text.len() <= 1);
        let texts = |read: Vec<Stmt>| {
            read.iter().map(|stmt| stmt.syntax().text().to_string().trim_end_matches(';').to_owned()).collect()
        };
        let read = whole.statements(&statements).map(texts);
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
