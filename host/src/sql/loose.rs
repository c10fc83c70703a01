//! A script without what a formatter changes.

use super::scan::{self, Kind};

/// The tokens of a script with one space between them: the same for all ways to lay it out. Comments and strings stay as they are, but for
/// the blanks at the end of a comment.
pub fn without_layout(text: &str) -> String {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut out = String::new();
    for token in scan::tokens(text).filter(|token| token.kind != Kind::Whitespace) {
        out.push_str(text[token.start..token.end].trim_end_matches(['\r', '\n', ' ', '\t']));
        out.push(' ');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formatter_changes_nothing_and_anything_else_does() {
        let text = "create table t(a int, -- the a\n  b text);\n";
        assert_eq!(without_layout(text), without_layout("create  table t ( a int,\r\n-- the a  \r\nb text ) ;"));
        for other in [
            "create table t(a int, b text);",
            "create table t(a int, -- the a\n c text);",
            "create tablet(a int, -- the a\n b text);",
        ] {
            assert_ne!(without_layout(text), without_layout(other), "{other}");
        }
        assert_ne!(without_layout("select 'a  b'"), without_layout("select 'a b'"));
    }
}
