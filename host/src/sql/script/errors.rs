//! From what the server said to the place in the script.

use std::ops::Range;

use super::{
    super::{
        diagnostics::position_of,
        places::Spot,
        scan::{Kind, tokens},
        split::Statement,
    },
    Script,
};
use crate::error::{Cause, DbError, Excerpt, ProgramError};

impl Script {
    /// Turns what the server said of a message that begins at byte `base` of this script, while it worked on the statement of that
    /// number, into an error that points into the script.
    pub fn error(&self, base: usize, statement: usize, mut error: DbError) -> ProgramError {
        let statement = self.statements.get(statement);
        let is = |word: &str| statement.is_some_and(|s| s.words.first().is_some_and(|first| first == word));
        let at = if let Some(position) = error.position {
            Some(base + position_of(&self.text[base..], position))
        } else if is("DO") {
            statement.and_then(|statement| self.in_block(statement, &mut error)).or(statement.map(|s| s.start))
        } else {
            let data = statement.and_then(|statement| statement.data.as_ref());
            if let Some(at) = data.and_then(|data| self.in_data(data, &mut error)) {
                // The rows are the server's to show, or not.
                return self.pointing(Some(at), error);
            }
            statement.map(|s| s.start)
        };
        error.excerpt = at.and_then(|at| Excerpt::of(&self.text, at));
        self.pointing(at, error)
    }

    fn pointing(&self, at: Option<usize>, error: DbError) -> ProgramError {
        let at = match at {
            Some(at) => Some(self.place(at)),
            None => self.path().map(|path| path.display().to_string()),
        };
        ProgramError { at, cause: Cause::Database(Box::new(error)) }
    }

    /// The line of a `DO` block that its context names; the place is written behind the words that do so.
    fn in_block(&self, statement: &Statement, error: &mut DbError) -> Option<usize> {
        const BLOCK: &str = "inline_code_block line ";
        let context = error.context.as_deref()?;
        // The innermost comes first; a block that this one has made may stand above it.
        let from = context.rfind(BLOCK)?;
        let (line, end) = number_behind(&context[from..], BLOCK)?;
        let sql = self.sql(statement);
        let quotes = tokens(sql).filter(|token| matches!(token.kind, Kind::Dollar | Kind::Text(_)));
        let body = quotes.max_by_key(|token| token.end - token.start)?;
        let quote = match body.kind {
            Kind::Dollar => sql[body.start + 1..].find('$')? + 2,
            _ => sql[body.start..].find('\'')? + 1,
        };
        // Within a string in single quotes, a line is a line all the same.
        let body = statement.start + body.start + quote;
        let at = nth_line(&self.text, body, line)?;
        let at = at + (self.text[at..].len() - self.text[at..].trim_start_matches([' ', '\t']).len());
        self.tell_place(error, from + end, at);
        Some(at)
    }

    /// The line of the data that its context names; the place is written behind the words that do so.
    fn in_data(&self, data: &Range<usize>, error: &mut DbError) -> Option<usize> {
        let context = error.context.as_deref()?;
        let from = if context.starts_with("COPY ") { 0 } else { context.find("\nCOPY ")? };
        let (line, end) = number_behind(&context[from..], ", line ")?;
        let at = nth_line(&self.text, data.start, line).filter(|at| *at < data.end)?;
        self.tell_place(error, from + end, at);
        Some(at)
    }

    fn tell_place(&self, error: &mut DbError, behind: usize, at: usize) {
        let Spot { file, line, .. } = self.walk().to(at);
        if let Some(context) = &mut error.context
            && let Some(file) = file.or(self.path())
        {
            context.insert_str(behind, &format!(" ({}:{line})", file.display()));
        }
    }
}

/// The number that follows these words, and the byte behind it.
fn number_behind(text: &str, words: &str) -> Option<(usize, usize)> {
    let start = text.find(words)? + words.len();
    let end = text[start..].find(|c: char| !c.is_ascii_digit()).map_or(text.len(), |n| start + n);
    Some((text[start..end].parse().ok()?, end))
}

/// The beginning of the line of that number, of which the first begins at a byte.
fn nth_line(text: &str, from: usize, line: usize) -> Option<usize> {
    match line {
        0 => None,
        1 => Some(from),
        _ => text[from..].match_indices('\n').nth(line - 2).map(|(n, _)| from + n + 1),
    }
}
