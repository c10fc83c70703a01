//! Text that others chose, made fit for a line of ours: no one but the host ends a line, moves the cursor of a terminal, colours it
//! or turns the order of what is shown.

/// What a person reads in one line.
const LINE_MAX_CHARS: usize = 4_000;

/// One line, in which every character that [`is_unfit`] has become a space.
pub fn printable(text: &str) -> String {
    printable_in(LINE_MAX_CHARS, text)
}

/// The same in at most so many characters, and `…` after them where there were more.
pub fn printable_in(chars_max: usize, text: &str) -> String {
    let mut line: String = text.chars().take(chars_max).map(shown).collect();
    if text.chars().nth(chars_max).is_some() {
        line.push('…');
    }
    line
}

/// The same with its ends of lines and its tabs, as PostgreSQL uses them in details and contexts.
pub fn printable_lines(text: &str) -> String {
    text.chars().map(|c| if matches!(c, '\n' | '\t') { c } else { shown(c) }).collect()
}

/// One line with nothing left out: every character that [`is_unfit`] is spelt, as in `\n` and `\u{1b}`.
pub fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut line, c| {
        match is_unfit(c) {
            true => line.extend(c.escape_debug()),
            false => line.push(c),
        }
        line
    })
}

/// True of control characters, and of those that no one sees but that end a line or change the order in which the others are shown
/// (Unicode Standard Annex 9, "Directional Formatting Characters").
pub fn is_unfit(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

fn shown(c: char) -> char {
    if is_unfit(c) { ' ' } else { c }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_forges_a_line() {
        assert_eq!(printable("a\n2026 ERROR \u{1b}[31m"), "a 2026 ERROR  [31m");
        assert_eq!(printable("a\u{202e}b\u{2028}c"), "a b c");
        assert_eq!(printable(&"x".repeat(5_000)).chars().count(), LINE_MAX_CHARS + 1);
    }

    #[test]
    fn what_is_unfit_is_spelt_where_nothing_may_be_left_out() {
        assert_eq!(escaped("a\n2026 ERROR \u{1b}[31m"), "a\\n2026 ERROR \\u{1b}[31m");
        assert_eq!(escaped("a\u{202e}b\u{2028}c"), "a\\u{202e}b\\u{2028}c");
        assert_eq!(escaped(&"é".repeat(5_000)), "é".repeat(5_000));
    }

    #[test]
    fn lines_are_kept_where_they_may_be_and_nothing_else() {
        assert_eq!(printable_lines("a\n\u{1b}[31m\tb\r\u{202e}c"), "a\n [31m\tb  c");
    }
}
