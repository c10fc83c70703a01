//! How many columns of a terminal a text takes, which is not how many characters it has: an ideograph takes two, an accent that is written
//! after its letter none.

use unicode_width::UnicodeWidthStr as _;

/// How many columns a line takes.
pub fn columns(text: &str) -> usize {
    text.width()
}

/// The text, or as much of it as fits into so many columns, with `…` in the last of them.
pub fn cut(text: &str, most: usize) -> String {
    if columns(text) <= most {
        return text.to_owned();
    }
    let ends = text.char_indices().map(|(at, c)| at + c.len_utf8());
    // A character may be wider for the one that follows it, so that each beginning is measured whole.
    let end = ends.take_while(|end| columns(&text[..*end]) < most).last().unwrap_or_default();
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ideograph_takes_two_columns_and_a_combined_accent_none() {
        for (text, takes) in [
            ("orders", 6),
            ("für", 3),
            ("fu\u{308}r", 3),
            ("注文を追加", 10),
            ("주문", 4),
            ("🚀 go", 5),
            ("👍🏽", 2),
            ("❤\u{fe0f}", 2),
        ] {
            assert_eq!(columns(text), takes, "{text}");
        }
    }

    #[test]
    fn what_is_cut_fits_and_no_character_is_halved() {
        assert_eq!(cut("orders", 6), "orders");
        assert_eq!(cut("orders", 5), "orde…");
        assert_eq!(cut("注文を追加", 10), "注文を追加");
        assert_eq!(cut("注文を追加", 9), "注文を追…");
        assert_eq!(cut("注文を追加", 8), "注文を…");
        for most in 1..12 {
            assert!(columns(&cut("a注文を追加", most)) <= most);
        }
    }
}
