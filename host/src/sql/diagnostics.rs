//! From a position in a script to a place that an editor can open.

/// Line and column, both from 1, of a byte offset. Columns count characters.
pub fn locate(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset.min(text.len())).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    (line, column)
}

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
        assert_eq!(locate(text, offset), (2, 8));
    }

    #[test]
    fn a_position_beyond_the_end_is_the_end() {
        assert_eq!(locate("a\n", position_of("a\n", 99)), (2, 1));
    }
}
