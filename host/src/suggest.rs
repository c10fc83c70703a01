//! What somebody may have meant who wrote a name that there is not.

use strsim::damerau_levenshtein;

/// The names that come close to a word, the closest first: at most so many.
///
/// A name comes close that holds the word, or differs from it in a third of its letters, but in two at least.
pub fn close<'a>(word: &str, names: impl IntoIterator<Item = &'a str>, most: usize) -> Vec<&'a str> {
    let distance = |name: &str| if name.contains(word) { 1 } else { damerau_levenshtein(word, name) };
    let mut close: Vec<(usize, &str)> = names
        .into_iter()
        .map(|name| (distance(name), name))
        .filter(|(distance, name)| !word.is_empty() && *distance <= (name.chars().count() / 3).max(2))
        .collect();
    close.sort_unstable();
    close.dedup();
    close.into_iter().take(most).map(|(_, name)| name).collect()
}

/// ``did you mean `name`? `` with the closest of the names, and nothing where none is close.
pub fn did_you_mean<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    close(word, names, 1).first().map(|name| format!("did you mean `{name}`? ")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_name_is_the_first() {
        let names = ["dir", "role", "recipients", "retention"];
        assert_eq!(close("dri", names, 3), ["dir"]);
        assert_eq!(close("recipient", names, 1), ["recipients"]);
        assert_eq!(did_you_mean("retentoin", names), "did you mean `retention`? ");
    }

    #[test]
    fn what_is_like_nothing_is_met_with_nothing() {
        assert!(close("frobnicate", ["dir", "role"], 3).is_empty());
        assert!(close("", ["dir", "role"], 3).is_empty());
    }
}
