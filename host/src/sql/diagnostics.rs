//! From a position as the server reports it to a byte of the script.

/// The byte offset of a position as the server reports it: in characters, from 1.
pub fn position_of(text: &str, position: u32) -> usize {
    let skip = (position as usize).saturating_sub(1);
    text.char_indices().nth(skip).map_or(text.len(), |(offset, _)| offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_not_bytes() {
        let text = "-- é\nselect ü;";
        let offset = position_of(text, 13);
        assert_eq!(&text[offset..], "ü;");
    }

    #[test]
    fn a_position_beyond_the_end_is_the_end() {
        assert_eq!(position_of("a\n", 99), 2);
    }
}
