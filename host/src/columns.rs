//! How many columns of a terminal a text takes, which is not how many characters it has: an ideograph takes two, an accent that is written
//! after its letter none.

use std::ops::RangeInclusive;

/// What takes no column of its own: marks that are combined with the letter before, joiners, variation selectors, skin tones, tags.
const NONE: [RangeInclusive<char>; 20] = [
    '\u{300}'..='\u{36f}',
    '\u{483}'..='\u{489}',
    '\u{591}'..='\u{5bd}',
    '\u{610}'..='\u{61a}',
    '\u{64b}'..='\u{65f}',
    '\u{93c}'..='\u{93c}',
    '\u{941}'..='\u{94d}',
    '\u{e31}'..='\u{e31}',
    '\u{e34}'..='\u{e3a}',
    '\u{e47}'..='\u{e4e}',
    '\u{1ab0}'..='\u{1aff}',
    '\u{1dc0}'..='\u{1dff}',
    '\u{200b}'..='\u{200f}',
    '\u{20d0}'..='\u{20ff}',
    '\u{3099}'..='\u{309a}',
    '\u{fe00}'..='\u{fe0f}',
    '\u{fe20}'..='\u{fe2f}',
    '\u{1f3fb}'..='\u{1f3ff}',
    '\u{e0001}'..='\u{e007f}',
    '\u{e0100}'..='\u{e01ef}',
];

/// What takes two: East Asian Width W and F of Unicode Standard Annex 11, by blocks, and the pictures.
const TWO: [RangeInclusive<char>; 22] = [
    '\u{1100}'..='\u{115f}',
    '\u{231a}'..='\u{231b}',
    '\u{23e9}'..='\u{23ec}',
    '\u{2614}'..='\u{2615}',
    '\u{2648}'..='\u{2653}',
    '\u{26a1}'..='\u{26a1}',
    '\u{2705}'..='\u{2705}',
    '\u{2728}'..='\u{2728}',
    '\u{274c}'..='\u{274c}',
    '\u{2e80}'..='\u{303e}',
    '\u{3041}'..='\u{a4cf}',
    '\u{a960}'..='\u{a97c}',
    '\u{ac00}'..='\u{d7a3}',
    '\u{f900}'..='\u{faff}',
    '\u{fe30}'..='\u{fe6f}',
    '\u{ff00}'..='\u{ff60}',
    '\u{ffe0}'..='\u{ffe6}',
    '\u{1f300}'..='\u{1f64f}',
    '\u{1f680}'..='\u{1f6ff}',
    '\u{1f7e0}'..='\u{1f7eb}',
    '\u{1f90c}'..='\u{1faff}',
    '\u{20000}'..='\u{3fffd}',
];

fn of(c: char) -> usize {
    if c.is_ascii() {
        return 1;
    }
    let is_in = |ranges: &[RangeInclusive<char>]| ranges.iter().any(|range| range.contains(&c));
    if is_in(&NONE) {
        0
    } else if is_in(&TWO) {
        2
    } else {
        1
    }
}

/// How many columns a line takes.
pub fn columns(text: &str) -> usize {
    text.chars().map(of).sum()
}

/// The text, or as much of it as fits into so many columns, with `…` in the last of them.
pub fn cut(text: &str, most: usize) -> String {
    if columns(text) <= most {
        return text.to_owned();
    }
    let mut taken = 1;
    let fits = text.chars().take_while(|c| {
        taken += of(*c);
        taken <= most
    });
    fits.collect::<String>() + "…"
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
            ("❤\u{fe0f}", 1),
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

    #[test]
    fn the_ranges_are_in_order_and_apart() {
        for ranges in [&NONE[..], &TWO[..]] {
            assert!(ranges.windows(2).all(|pair| pair[0].end() < pair[1].start()));
        }
    }
}
