//! Where the text of a script came from: a file, the files that it includes, or a part of a longer script.

use std::path::{Path, PathBuf};

/// A stretch of a text that stands in one piece in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// The byte of the text at which it begins.
    pub start: usize,
    /// An included file; `None` for the script itself.
    pub file: Option<PathBuf>,
    /// The line of its first character there, from 1.
    pub line: usize,
    /// The column of its first character there, from 1.
    pub column: usize,
}

/// The stretches of a text, in order; the first begins with the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places(Vec<Stretch>);

/// A line and a column, both from 1. Columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spot<'a> {
    /// An included file; `None` for the script itself.
    pub file: Option<&'a Path>,
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl Default for Places {
    /// Those of a text that is the whole of its script.
    fn default() -> Self {
        Self(vec![Stretch { start: 0, file: None, line: 1, column: 1 }])
    }
}

impl Places {
    /// These stretches; one of the script itself where none begins with the text.
    pub fn of(stretches: Vec<Stretch>) -> Self {
        if stretches.first().is_some_and(|first| first.start == 0) { Self(stretches) } else { Self::default() }
    }

    /// The stretches.
    pub fn stretches(&self) -> &[Stretch] {
        &self.0
    }

    /// Whether the text is the whole of its script.
    pub fn is_whole(&self) -> bool {
        *self == Self::default()
    }

    /// A walk over the text, for many places in order.
    pub fn walk<'a>(&'a self, text: &'a str) -> Walk<'a> {
        Walk { text, stretches: &self.0, at: 0, line: 1, column: 1 }
    }

    /// The places of the bytes from `start`, of which the walk tells the first.
    pub fn from(&self, start: usize, walk: &mut Walk<'_>) -> Self {
        let spot = walk.to(start);
        let first = Stretch { start: 0, file: spot.file.map(Path::to_owned), line: spot.line, column: spot.column };
        let later = &self.0[self.0.partition_point(|stretch| stretch.start <= start)..];
        let moved = later.iter().map(|stretch| Stretch { start: stretch.start - start, ..stretch.clone() });
        Self(std::iter::once(first).chain(moved).collect())
    }
}

/// Finds places that come in order without looking at any byte twice: a text may have a hundred thousand of them, and one line.
#[derive(Debug, Clone)]
pub struct Walk<'a> {
    text: &'a str,
    /// The one at hand, and those that follow.
    stretches: &'a [Stretch],
    at: usize,
    line: usize,
    column: usize,
}

impl<'a> Walk<'a> {
    /// The place of a byte, which is not before the last one asked for.
    pub fn to(&mut self, offset: usize) -> Spot<'a> {
        let stretches = self.stretches;
        let here = stretches.iter().take_while(|stretch| stretch.start <= offset).count().max(1) - 1;
        let stretch = &stretches[here];
        self.stretches = &stretches[here..];
        if self.at <= stretch.start {
            (self.at, self.line, self.column) = (stretch.start, stretch.line, stretch.column);
        }
        let offset = floor(self.text, offset.max(self.at));
        let passed = &self.text[self.at..offset];
        match passed.rfind('\n') {
            Some(last) => {
                self.line += passed.matches('\n').count();
                self.column = passed[last + 1..].chars().count() + 1;
            }
            None => self.column += passed.chars().count(),
        }
        self.at = offset;
        Spot { file: stretch.file.as_deref(), line: self.line, column: self.column }
    }
}

/// The next beginning of a character at or before a byte.
fn floor(text: &str, offset: usize) -> usize {
    (0..=offset.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spot(text: &str, offset: usize) -> (usize, usize) {
        let places = Places::default();
        let spot = places.walk(text).to(offset);
        (spot.line, spot.column)
    }

    #[test]
    fn columns_count_characters() {
        assert_eq!(spot("-- é\nselect ü;", 15), (2, 9));
        assert_eq!(spot("-- é\nselect ü;", 4), (1, 4), "in the middle of a character");
        assert_eq!(spot("a\n", 99), (2, 1));
        assert_eq!(spot("", 0), (1, 1));
    }

    #[test]
    fn a_walk_finds_what_single_steps_find() {
        let text = "a\nbé\r\n\nc; d";
        let places = Places::default();
        let mut walk = places.walk(text);
        for offset in (0..=text.len()).filter(|offset| text.is_char_boundary(*offset)) {
            let Spot { line, column, .. } = walk.to(offset);
            assert_eq!((line, column), spot(text, offset), "{offset}");
        }
    }

    #[test]
    fn stretches_have_their_own_lines() {
        let text = "a\nb\nc\nd\n";
        let file = Some(PathBuf::from("x.sql"));
        let stretch = |start, file, line| Stretch { start, file, line, column: 1 };
        let places = Places::of(vec![stretch(0, None, 1), stretch(2, file.clone(), 1), stretch(6, None, 3)]);
        let mut walk = places.walk(text);
        let found: Vec<_> = [0, 2, 4, 6].iter().map(|at| walk.to(*at)).map(|s| (s.file.is_some(), s.line)).collect();
        assert_eq!(found, [(false, 1), (true, 1), (true, 2), (false, 3)]);
        let part = places.from(4, &mut places.walk(text));
        assert_eq!(part.stretches(), [Stretch { start: 0, file, line: 2, column: 1 }, stretch(2, None, 3)]);
    }
}
