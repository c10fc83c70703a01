//! How text fits a terminal: lines that are wrapped, tables that give up columns or become lists, and a few colours.

use std::borrow::Cow;

use anstyle::{AnsiColor, Style};

use crate::columns::columns;

/// What is known of where text goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct View {
    /// The columns of a terminal; `None`: it is none, and lines may have any length.
    pub width: Option<usize>,
    /// Whether colours are wanted.
    pub color: bool,
}

pub(super) const GOOD: Style = AnsiColor::Green.on_default();
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(super) const MIND: Style = AnsiColor::Yellow.on_default();
const HINT: Style = AnsiColor::Cyan.on_default();
pub(super) const FAINT: Style = Style::new().dimmed();
pub(super) const STRONG: Style = Style::new().bold();

/// What begins a line, and how it is painted there.
const LABELS: [(&str, Style); 13] = [
    ("error:", BAD),
    ("failed:", BAD),
    ("refused:", BAD),
    ("interrupted:", MIND),
    ("CRITICAL", BAD),
    ("DAMAGED:", BAD),
    ("warn:", MIND),
    ("warn ", MIND),
    ("info:", FAINT),
    ("next:", HINT),
    ("cause:", STRONG),
    ("state:", STRONG),
    ("Mind:", MIND),
];

/// Paints the words that begin lines, such as `error:` and `next:`; nothing else, so that what others wrote stays as it is.
pub fn paint(text: &str) -> String {
    let mut painted = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let begin = line.len() - line.trim_start_matches(' ').len();
        let (space, rest) = line.split_at(begin);
        painted += space;
        match LABELS.iter().find(|(label, _)| rest.starts_with(label)) {
            Some((label, style)) => {
                painted += &styled(label.trim_end(), *style);
                painted += &rest[label.trim_end().len()..];
            }
            None => painted += rest,
        }
    }
    painted
}

fn styled(text: &str, style: Style) -> String {
    format!("{style}{text}{style:#}")
}

/// Breaks lines that are longer than so many columns between words; what follows is indented. A word that is longer stays whole, so that it
/// can be copied, and so do a command between backticks that fits a line, and the line above a caret, which points into it.
pub fn wrap(text: &str, width: usize) -> String {
    let mut wrapped = String::with_capacity(text.len());
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    for (i, line) in lines.iter().enumerate() {
        let pointed_into = lines.get(i + 1).is_some_and(|next| next.trim() == "^");
        if visible(line.trim_end()) <= width || pointed_into {
            wrapped += line;
            continue;
        }
        let begin = line.len() - line.trim_start_matches(' ').len();
        let indent = " ".repeat((begin + 2).min(width / 2));
        let mut column = begin;
        wrapped += &line[..begin];
        for (n, word) in words(&line[begin..], width.saturating_sub(indent.len())).iter().enumerate() {
            if n > 0 && column + 1 + visible(word) > width {
                wrapped.push('\n');
                wrapped += &indent;
                column = indent.len();
            } else if n > 0 {
                wrapped.push(' ');
                column += 1;
            }
            wrapped += word;
            column += visible(word);
        }
        if line.ends_with('\n') {
            wrapped.push('\n');
        }
    }
    wrapped
}

/// The words of a line; what stands between backticks is one where it takes at most so many columns.
fn words(line: &str, most: usize) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut parts = line.split_ascii_whitespace();
    while let Some(part) = parts.next() {
        if part.trim_start_matches('(').starts_with('`') && part.matches('`').count() % 2 == 1 {
            let mut rest = parts.clone();
            let mut quoted = part.to_owned();
            let closed = rest.by_ref().find(|next| {
                quoted += " ";
                quoted += next;
                next.contains('`')
            });
            if closed.is_some() && visible(&quoted) <= most {
                words.push(quoted);
                parts = rest;
                continue;
            }
        }
        words.push(part.to_owned());
    }
    words
}

/// How many columns a text takes, without the codes of colours.
fn visible(text: &str) -> usize {
    let mut rest = text;
    let mut taken = 0;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        taken += columns(before);
        rest = after.split_once('m').map_or("", |(_, rest)| rest);
    }
    taken + columns(rest)
}

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    title: &'static str,
    right: bool,
    /// The higher, the sooner it is given up where there is little room; 0: never.
    spare: u8,
}

impl Column {
    /// One that is always there.
    pub(super) const fn new(title: &'static str) -> Self {
        Self { title, right: false, spare: 0 }
    }

    /// Numbers.
    pub(super) const fn right(self) -> Self {
        Self { right: true, ..self }
    }

    /// One that can be done without, the sooner the higher.
    pub(super) const fn spare(self, spare: u8) -> Self {
        Self { spare, ..self }
    }
}

/// What stands in a table.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    text: String,
    style: Style,
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), style: Style::new() }
    }
}

impl Cell {
    pub(super) fn styled(text: impl Into<String>, style: Style) -> Self {
        Self { text: text.into(), style }
    }

    fn columns(&self) -> usize {
        columns(&self.text)
    }

    fn shown(&self, view: View) -> Cow<'_, str> {
        if view.color && self.style != Style::new() && !self.text.is_empty() {
            Cow::Owned(styled(&self.text, self.style))
        } else {
            Cow::Borrowed(&self.text)
        }
    }
}

const GAP: &str = "  ";

/// A table that was laid out: its titles, and the text of each row.
pub(super) struct Laid {
    /// None where the rows have become lists.
    pub(super) titles: Option<String>,
    /// Each of one line or more.
    pub(super) rows: Vec<String>,
}

/// The text of [`laid`].
pub(super) fn table(columns: &[Column], rows: &[Vec<Cell>], head: usize, view: View) -> String {
    let Laid { titles, rows } = laid(columns, rows, head, view);
    titles.into_iter().chain(rows).collect()
}

/// The same, each line after this many spaces.
pub(super) fn indented_table(indent: &str, columns: &[Column], rows: &[Vec<Cell>], head: usize, view: View) -> String {
    let view = View { width: view.width.map(|width| width.saturating_sub(indent.len())), ..view };
    table(columns, rows, head, view).lines().map(|line| format!("{indent}{line}\n")).collect()
}

/// A table. Where it is wider than the terminal it gives up columns, and where that is not enough each row becomes a few lines: the first
/// `head` cells in one, then each of the others after its title.
pub(super) fn laid(columns: &[Column], rows: &[Vec<Cell>], head: usize, view: View) -> Laid {
    let width_of = |i: usize| {
        let cells = rows.iter().map(|row| row[i].columns());
        cells.chain([columns[i].title.len()]).max().unwrap_or_default()
    };
    // Once: a history may be long.
    let widths: Vec<usize> = (0..columns.len()).map(width_of).collect();
    let mut shown: Vec<usize> = (0..columns.len()).collect();
    let needed =
        |shown: &[usize]| shown.iter().map(|i| widths[*i]).sum::<usize>() + GAP.len() * shown.len().saturating_sub(1);
    while view.width.is_some_and(|width| needed(&shown) > width) {
        let spare = shown.iter().copied().filter(|i| columns[*i].spare > 0).max_by_key(|i| columns[*i].spare);
        let Some(spare) = spare else {
            return Laid { titles: None, rows: rows.iter().map(|row| listed(columns, row, head, view)).collect() };
        };
        shown.retain(|i| *i != spare);
    }
    let line = |row: &[Cell]| {
        let mut line = String::new();
        for (n, i) in shown.iter().enumerate() {
            let space = " ".repeat(widths[*i].saturating_sub(row[*i].columns()));
            if n > 0 {
                line += GAP;
            }
            let cell = row[*i].shown(view);
            line += &if columns[*i].right { format!("{space}{cell}") } else { format!("{cell}{space}") };
        }
        line.truncate(line.trim_end().len());
        line + "\n"
    };
    let titles: Vec<Cell> = columns.iter().map(|column| Cell::styled(column.title, STRONG)).collect();
    Laid { titles: Some(line(&titles)), rows: rows.iter().map(|row| line(row)).collect() }
}

/// A row as a list.
fn listed(columns: &[Column], row: &[Cell], head: usize, view: View) -> String {
    let first = row[..head].iter().filter(|cell| !cell.text.is_empty()).map(|cell| cell.shown(view));
    let mut text = first.collect::<Vec<_>>().join(GAP) + "\n";
    for (column, cell) in columns.iter().zip(row).skip(head).filter(|(_, cell)| !cell.text.is_empty()) {
        text += &format!("  {}: {}\n", column.title, cell.shown(view));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_broken_between_words_and_indented() {
        assert_eq!(
            wrap("  next: fill it, then run it again\nshort\n", 20),
            "  next: fill it,\n    then run it\n    again\nshort\n"
        );
        assert_eq!(wrap(&"x".repeat(30), 20), "x".repeat(30), "a word is copied whole");
        assert_eq!(
            wrap("next: mend it, then `lockgate up` again\n", 30),
            "next: mend it, then\n  `lockgate up` again\n"
        );
        assert_eq!(
            wrap("`lockgate history --version 003`, or `not", 20),
            "`lockgate history\n  --version 003`, or\n  `not"
        );
        let pointed = "    SELECT nonsense FROM nowhere\n           ^\n";
        assert_eq!(wrap(pointed, 20), pointed, "a caret stays where it points");
    }

    #[test]
    fn what_takes_two_columns_is_counted_so() {
        assert_eq!(wrap("  next: 注文を追加して、 もう一度実行\n", 26), "  next: 注文を追加して、\n    もう一度実行\n");
        let row = |name: &str| vec![name.into(), "applied".into(), "2026".into(), "5 ms".into()];
        let table = table(&COLUMNS, &[row("注文"), row("orders")], 2, View { width: Some(31), color: false });
        assert_eq!(table, "version  state    at    took\n注文     applied  2026  5 ms\norders   applied  2026  5 ms\n");
    }

    #[test]
    fn only_the_words_that_begin_lines_are_painted() {
        assert_eq!(paint("error: no\n  next: yes\nan error: is none\n"), {
            let (bad, hint) = (BAD, HINT);
            format!("{bad}error:{bad:#} no\n  {hint}next:{hint:#} yes\nan error: is none\n")
        });
        assert_eq!(visible(&paint("error: no")), "error: no".len());
    }

    const COLUMNS: [Column; 4] = [
        Column::new("version"),
        Column::new("state"),
        Column::new("at").spare(2),
        Column::new("took").right().spare(1),
    ];

    fn rows() -> Vec<Vec<Cell>> {
        vec![vec!["001".into(), "applied".into(), "2026-01-01".into(), "5 ms".into()]]
    }

    #[test]
    fn a_table_gives_up_columns_then_becomes_a_list() {
        let shown = |width| table(&COLUMNS, &rows(), 2, View { width, color: false });
        assert_eq!(shown(None), "version  state    at          took\n001      applied  2026-01-01  5 ms\n");
        assert_eq!(shown(Some(30)), "version  state    took\n001      applied  5 ms\n");
        assert_eq!(shown(Some(16)), "version  state\n001      applied\n");
        assert_eq!(shown(Some(12)), "001  applied\n  at: 2026-01-01\n  took: 5 ms\n");
    }

    #[test]
    fn colours_take_no_room() {
        let cells = vec![vec![Cell::styled("001", GOOD), "applied".into(), "a".into(), "b".into()]];
        let painted = table(&COLUMNS, &cells, 2, View { width: None, color: true });
        let plain = table(&COLUMNS, &cells, 2, View::default());
        assert!(painted.contains("\u{1b}[32m001\u{1b}[0m      applied"), "{painted:?}");
        assert_eq!(painted.lines().map(visible).collect::<Vec<_>>(), plain.lines().map(visible).collect::<Vec<_>>());
    }
}
