//! From what people type to E.164 (ITU-T recommendation E.164), by the number plans of Google's libphonenumber.
//! Pure: no database here.

use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumber, PhoneNumberFormat, Region};

/// Where a number without a country code is at home.
const DEFAULT_REGION: Region = Region::US;

/// E.164 allows 15 digits; some national plans that libphonenumber knows go beyond.
const DIGITS_MAX: usize = 15;

/// What a free-form text says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Nothing visible.
    Blank,
    /// A valid number.
    Number {
        /// `+`, country code and national number, digits only.
        e164: String,
        /// E.164 has no place for an extension: only the original keeps it.
        had_extension: bool,
    },
    /// No number, or none that its country could have issued.
    Unparseable,
}

/// Reads a text as a phone number. What it returns reads as itself.
pub fn read(text: &str) -> Reading {
    let text = visible(text);
    if text.is_empty() {
        return Reading::Blank;
    }
    let text = with_plus(&text);
    // "(0)" is the digit to dial inside the country only. Libphonenumber knows which countries have one, and that
    // in some, as Italy, the 0 belongs to the number; only where there is no such digit it needs help.
    let number = valid_number(&text).or_else(|| valid_number(&text.replacen("(0)", "", 1)));
    let Some(number) = number else {
        return Reading::Unparseable;
    };
    let e164 = e164(&number);
    // A form that would not pass its own verification must not be written.
    match valid_number(&e164) {
        Some(again) if self::e164(&again) == e164 => {
            Reading::Number { e164, had_extension: !number.extension().is_empty() }
        }
        _ => Reading::Unparseable,
    }
}

fn valid_number(text: &str) -> Option<PhoneNumber> {
    let number = PHONE_NUMBER_UTIL.parse(text, Some(DEFAULT_REGION)).ok()?;
    let valid = number.is_valid() && e164(&number).len() <= "+".len() + DIGITS_MAX;
    (valid && !swallows_words(&number, text)).then_some(number)
}

fn e164(number: &PhoneNumber) -> String {
    number.format_as(PhoneNumberFormat::E164).into_owned()
}

/// Whether letters became digits: 1-800-FLOWERS. Outside the North American plan, where the length of a number is
/// fixed, "+49 30 901234 home" would pass as a longer number.
fn swallows_words(number: &PhoneNumber, text: &str) -> bool {
    const NORTH_AMERICA: i32 = 1;
    number.country_code != NORTH_AMERICA
        && text.chars().any(char::is_alphabetic)
        && !PHONE_NUMBER_UTIL.normalize_digits_only(text).contains(&number.get_national_significant_number())
}

fn visible(text: &str) -> String {
    let text: String = text.chars().filter(|&c| !is_invisible(c)).map(half_width).collect();
    text.trim().to_owned()
}

/// Without the `tel:` of a URI, and with a plus for the 00 that stands for it in most of the world.
fn with_plus(text: &str) -> String {
    let text = match text.split_at_checked(4) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("tel:") => rest.trim_start(),
        _ => text,
    };
    match text.trim_start_matches(['+', '(', ' ']).strip_prefix("00") {
        Some(rest) => format!("+{}", rest.trim_start_matches([')', ' '])),
        None => text.to_owned(),
    }
}

/// Marks of writing direction and joiners, which address books put around numbers when they are copied.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// The ASCII twin of a full-width form, and a plain space for any white space.
fn half_width(c: char) -> char {
    const DISTANCE: u32 = '！' as u32 - '!' as u32;
    match c {
        '！'..='～' => char::from_u32(c as u32 - DISTANCE).unwrap_or(c),
        c if c.is_whitespace() => ' ',
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn reads(text: &str, expected: &str) {
        match read(text) {
            Reading::Number { e164, .. } => assert_eq!(e164, expected, "{text:?}"),
            other => panic!("{text:?} is {other:?}"),
        }
    }

    #[track_caller]
    fn refused(text: &str) {
        assert_eq!(read(text), Reading::Unparseable, "{text:?}");
    }

    #[test]
    fn blank_texts_are_blank() {
        for text in ["", " ", "\t\r\n", "\u{a0}\u{3000}", "\u{200b}\u{feff}"] {
            assert_eq!(read(text), Reading::Blank, "{text:?}");
        }
    }

    #[test]
    fn numbers_without_a_country_code_are_american() {
        reads("(415) 555-2671", "+14155552671");
        reads("415.555.2671", "+14155552671");
        reads("1-415-555-2671", "+14155552671");
        reads("4155552671", "+14155552671");
        reads("Tel. 415 555 2671", "+14155552671");
        reads("1-800-FLOWERS", "+18003569377");
        reads("011 44 20 7946 0018", "+442079460018");
    }

    #[test]
    fn numbers_with_a_country_code_are_at_home_there() {
        reads("  +14155552671 ", "+14155552671");
        reads("+1 (416) 967-1111", "+14169671111");
        reads("+49/89/123456", "+4989123456");
        reads("+33 1 42 68 53 00", "+33142685300");
        reads("+55 (11) 98765-4321", "+5511987654321");
        reads("+52 55 5123 4567", "+525551234567");
    }

    #[test]
    fn two_zeros_are_a_plus() {
        reads("0044 20 7946 0018", "+442079460018");
        reads("001 415 555 2671", "+14155552671");
        reads("(0049) 30 901820", "+4930901820");
        reads("+0044 20 7946 0018", "+442079460018");
        reads("tel:0044-20-7946-0018", "+442079460018");
    }

    #[test]
    fn the_trunk_digit_goes_where_it_is_one() {
        reads("+44 (0)20 7946 0018", "+442079460018");
        reads("+49 (0) 30 901820", "+4930901820");
        reads("0041 (0)44 668 18 00", "+41446681800");
        reads("+48 (0)601 123 456", "+48601123456");
        reads("+1 (0) 415 555 2671", "+14155552671");
    }

    #[test]
    fn an_italian_zero_stays() {
        reads("+39 06 6982 1234", "+390669821234");
        reads("+39 (0)6 6982 1234", "+390669821234");
        reads("+39 335 123 4567", "+393351234567");
    }

    #[test]
    fn uris_are_numbers() {
        reads("tel:+1-415-555-2671", "+14155552671");
        reads("TEL: +33-1-42-68-53-00", "+33142685300");
        reads("tel:030-901820;phone-context=+49", "+4930901820");
        reads("tel:+44-20-7946-0018;isub=12345", "+442079460018");
    }

    #[test]
    fn extensions_are_noticed_and_left_out() {
        for text in [
            "415 555 2671 ext. 123",
            "+1-415-555-2671 x12",
            "tel:+1-415-555-2671;ext=1234",
            "(415) 555-2671 extension 7",
            "+14155552671 #5",
        ] {
            let e164 = "+14155552671".to_owned();
            assert_eq!(read(text), Reading::Number { e164, had_extension: true }, "{text:?}");
        }
        let e164 = "+4930901820".to_owned();
        assert_eq!(read("+49 30 901820 ext 12"), Reading::Number { e164, had_extension: true });
    }

    #[test]
    fn other_characters_for_the_same_number() {
        reads("+44\u{a0}7400\u{a0}123456", "+447400123456");
        reads("+81 (0)3\u{2013}3210\u{2013}1234", "+81332101234");
        reads("＋４４　２０　７９４６　００１８", "+442079460018");
        reads("００４４ ２０ ７９４６ ００１８", "+442079460018");
        reads("\u{202a}+1 415\u{2011}555\u{2011}2671\u{202c}", "+14155552671");
        reads("+١ ٤١٥ ٥٥٥ ٢٦٧١", "+14155552671");
        reads("+1\t415\t555\t2671", "+14155552671");
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["n/a", "none", "-", "+", "00", "(0)", "tel:", "ask Ada", "ada@example.org", "١", "☎", "0"] {
            refused(text);
        }
    }

    #[test]
    fn numbers_that_nobody_can_have_are_refused() {
        refused("555-2671"); // An American number without its area code.
        refused("911");
        refused("000-000-0000");
        refused("123-456-7890"); // No area code begins with 1.
        refused("+1 415 555 26711");
        refused("+999 123 456 789");
        refused("44 20 7946 0018"); // A country code without its plus.
        refused("+44 20 7946 00189999");
        refused("1234567890123456789012345678901234567890");
    }

    #[test]
    fn two_numbers_are_not_one() {
        refused("415 555 2671, 415 555 2672");
        refused("415-555-2671 or 415-555-2672");
        refused("+44 20 7946 0018 +44 20 7946 0019");
    }

    #[test]
    fn words_do_not_lengthen_a_number() {
        refused("+49 30 901820 home");
        refused("+49 30 HALLO");
    }

    proptest! {
        #[test]
        fn any_text_can_be_read(text in any::<String>()) {
            read(&text);
        }

        #[test]
        fn what_is_read_reads_as_itself(text in "(00|\\+|tel:|)[0-9 ().x/-]{6,24}") {
            if let Reading::Number { e164, .. } = read(&text) {
                let digits = e164.strip_prefix('+').unwrap_or_default();
                prop_assert!(matches!(digits.len(), 2..=15) && digits.bytes().all(|byte| byte.is_ascii_digit()));
                prop_assert!(!digits.starts_with('0'));
                prop_assert_eq!(read(&e164), Reading::Number { e164: e164.clone(), had_extension: false });
            }
        }
    }

    #[test]
    fn every_notation_of_a_number_reads_the_same() {
        let mut numbers = 0;
        for region in PHONE_NUMBER_UTIL.get_supported_regions() {
            let Ok(example) = PHONE_NUMBER_UTIL.get_example_number(region) else {
                continue;
            };
            let expected = e164(&example);
            for format in [PhoneNumberFormat::International, PhoneNumberFormat::RFC3966] {
                reads(&example.format_as(format), &expected);
            }
            reads(&expected.replacen('+', "00", 1), &expected);
            numbers += 1;
        }
        assert!(numbers > 200, "{numbers}");
    }
}
