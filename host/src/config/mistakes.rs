//! What is wrong with a `lockgate.toml`: where, what is expected there, and what was probably meant.

use std::path::Path;

use super::schema;
use crate::{
    error::{Error, Excerpt},
    suggest,
};

/// Says what the reader of TOML says, in the words of somebody who writes such a file.
pub(super) fn explain(path: &Path, text: &str, error: &toml::de::Error) -> Error {
    let offset = error.span().map_or(0, |span| span.start);
    let before = text.get(..offset).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let begin = before.rfind('\n').map_or(0, |end| end + 1);
    let column = before[begin..].chars().count() + 1;
    let words = error.message().lines().next().unwrap_or_default();
    let (what, hint) = say(words, key_at(text, begin), &section_at(before));
    let mut what = format!("`{}`, line {line}, column {column}: {what}", path.display());
    if let Some(excerpt) = without_value(text[begin..].lines().next().unwrap_or_default(), offset - begin) {
        what += &format!("\n{excerpt}");
    }
    let all = "`lockgate config schema` prints all that can be written, docs/configuration.md tells about it";
    Error::configuration(what, format!("{hint}{all}"))
}

/// The line with its key, and not with its value: whoever writes a password where none belongs is not to find it in a log.
fn without_value(line: &str, at: usize) -> Option<Excerpt> {
    let (key, _) = line.split_once('=')?;
    Excerpt::of(&format!("{key}= …"), at.min(key.len() + 2))
}

/// The message, and the beginning of the advice.
fn say(words: &str, key: Option<&str>, section: &str) -> (String, String) {
    let quoted: Vec<&str> = words.split('`').skip(1).step_by(2).collect();
    if let (true, [unknown, known @ ..]) = (words.starts_with("unknown field"), quoted.as_slice()) {
        let under = if section.is_empty() { String::new() } else { format!(" under [{section}]") };
        return (format!("unknown key `{unknown}`{under}"), meant(unknown, known));
    }
    if let (true, [unknown, known @ ..]) = (words.starts_with("unknown variant"), quoted.as_slice()) {
        let of = key.map(|key| format!(" of `{key}`")).unwrap_or_default();
        let known_in_words = known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let what = format!("unknown value `{unknown}`{of}; it takes {known_in_words}");
        return (what, suggest::did_you_mean(unknown, known.iter().copied()));
    }
    if let Some((given, expected)) = words.strip_prefix("invalid ").and_then(|rest| rest.split_once(", expected ")) {
        let given = given.split_once(": ").map_or(given, |(_, given)| given);
        let given = if given.starts_with("string ") { "text that is there" } else { given };
        let subject = key.map_or("this place".to_owned(), |key| format!("`{key}`"));
        return (format!("{subject} takes {}, and not the {given}", in_words(expected)), String::new());
    }
    (words.to_owned(), String::new())
}

/// The key that was meant: one of the section with a name that is close, or one of the same name in another section.
fn meant(unknown: &str, known: &[&str]) -> String {
    let here = suggest::did_you_mean(unknown, known.iter().copied());
    if !here.is_empty() {
        return here;
    }
    let elsewhere = schema::keys().into_iter().filter_map(|key| {
        let (last, sections) = key.path.split_last()?;
        (last == unknown).then(|| sections.join(".").replace('*', "<name>"))
    });
    let places: Vec<String> = elsewhere
        .map(|section| if section.is_empty() { "the top of the file".into() } else { format!("[{section}]") })
        .collect();
    match places.as_slice() {
        [] => String::new(),
        places => format!("`{unknown}` belongs under {}; ", places.join(" or ")),
    }
}

/// What a Rust type is in TOML.
fn in_words(expected: &str) -> String {
    let words = match expected {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number, not below 0",
        "i64" => "a whole number",
        "a boolean" => "`true` or `false`",
        "a string" | "path string" | "a path string" | "string or table" => "text in quotes",
        "a sequence" => "a list, such as [\"a\", \"b\"]",
        "a map" => "a section of keys",
        other if other.starts_with("struct ") => "a section of keys",
        other => return other.to_owned(),
    };
    words.to_owned()
}

/// The key that is written on the line that begins at this byte.
fn key_at(text: &str, begin: usize) -> Option<&str> {
    let line = text[begin..].lines().next()?;
    let (key, _) = line.split_once('=')?;
    Some(key.trim().trim_matches('"')).filter(|key| !key.is_empty())
}

/// The section that the end of this text is in.
fn section_at(before: &str) -> String {
    let header = |line: &str| Some(line.trim().strip_prefix('[')?.split_once(']')?.0.trim().to_owned());
    before.lines().rev().find_map(header).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{super::File, *};

    fn told(text: &str) -> String {
        let error = toml::from_str::<File>(text).unwrap_err();
        explain(Path::new("lockgate.toml"), text, &error).report().to_string()
    }

    #[test]
    fn an_unknown_key_is_met_with_the_one_that_was_meant() {
        let text = told("dir = \"m\"\n[backup]\ndri = \"x\"\n");
        assert!(text.contains("`lockgate.toml`, line 3, column 1: unknown key `dri` under [backup]"), "{text}");
        assert!(text.contains("next: did you mean `dir`?"), "{text}");
        assert!(told("[batch]\ntarget_ms = 1").contains("did you mean `batches`?"));
        assert!(told("lock_timeout_ms = 1").contains("did you mean `lock_timeout_s`?"));
    }

    #[test]
    fn a_key_in_the_wrong_section_is_told_its_own() {
        let text = told("[backup]\nlarge_table_mb = 1\n");
        assert!(text.contains("`large_table_mb` belongs under [lint]"), "{text}");
        assert!(told("[lint]\nunrelated = []").contains("`unrelated` belongs under the top of the file"));
    }

    #[test]
    fn a_wrong_value_is_told_what_is_taken() {
        for (text, words) in [
            ("checksum = \"exactly\"", "unknown value `exactly` of `checksum`; it takes `exact`, `ignore-whitespace`"),
            ("checksum = \"exactly\"", "did you mean `exact`?"),
            ("dir = 3", "`dir` takes text in quotes, and not the integer `3`"),
            (
                "[log]\nkeep_days = \"x\"",
                "line 2, column 13: `keep_days` takes a whole number from 0 to 4294967295, and not the text that is there",
            ),
            (
                "[log]\nkeep_days = -1",
                "`keep_days` takes a whole number from 0 to 4294967295, and not the integer `-1`",
            ),
            ("[database]\nport = 70000", "a port is a number, or a text such as"),
            ("[backup]\nhashes = 1", "`hashes` takes `true` or `false`, and not the integer `1`"),
            ("[backup]\nrecipients = \"age1\"", "`recipients` takes a list"),
            ("backup = 1", "`backup` takes a section of keys"),
        ] {
            let report = told(text);
            assert!(report.contains(words), "{words} not in {report}");
        }
    }

    #[test]
    fn what_is_no_toml_is_shown_where_it_goes_wrong() {
        let text = told("dir = \"m\nschema = \"x\"\n");
        assert!(text.contains("line 1, column") && text.contains("\ndir = …\n"), "{text}");
    }

    #[test]
    fn no_value_is_shown_where_it_does_not_belong() {
        for text in [
            "[database]\npassword = \"s3cr3t\"",
            "[database]\nport = \"s3cr3t",
            "[log]\nkeep = \"s3cr3t\"",
            "database_url = \"postgres://u:s3cr3t@h/d\"",
            "[plugin.x.config]\nkey = \"s3cr3t\"\nkey = \"s3cr3t\"",
            "[plugin.x.config]\n\"s3cr3t\"",
            "[plugin.x.config]\nkey = { a = \"s3cr3t\" }",
        ] {
            let report = told(text);
            assert!(!report.contains("s3cr3t"), "{report}");
        }
    }
}
