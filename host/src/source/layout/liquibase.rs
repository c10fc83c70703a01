//! Liquibase's formatted SQL: files that begin with `--liquibase formatted sql`, each with change sets (`--changeset author:id`) and their
//! `--rollback` lines. A change set's version is the number of its file and its own number within (`3.2`), so that one added at the end of
//! a file moves no other. Change logs in XML, YAML or JSON are not read.

use super::{Down, Draft, Found, Layout, Listing, Scripts, Source, lines, numbered, stray};
use crate::{error::Problem, migration::Version};

pub(super) struct Liquibase;

impl Layout for Liquibase {
    fn name(&self) -> &'static str {
        "liquibase"
    }

    fn recognises(&self, listing: &Listing) -> bool {
        let is_one = |name: &str| listing.text(name).text.is_ok_and(|text| is_formatted(&text));
        listing.files_of_tools().filter(|name| name.ends_with(".sql")).any(is_one)
    }

    fn read(&self, listing: &Listing, found: &mut Found) {
        super::pairs::read_own(listing, found);
        let names: Vec<&str> = listing.files_of_tools().collect();
        for &name in &names {
            let number = numbered(name.trim_end_matches(".sql")).map(|(version, _)| version);
            let number = match number {
                Some(number) => number.to_string(),
                None if names.len() == 1 => "1".to_owned(),
                None => {
                    let what = "the order of this change log among the others is not in its name";
                    let next = "name it `<number>_<description>.sql`";
                    found.problems.push(Problem::new(listing.at(name), what, next));
                    continue;
                }
            };
            let file = Source::file(listing, name);
            if !name.ends_with(".sql") || !is_formatted(file.text()) {
                found.stranger(
                    listing,
                    name,
                    "`<number>_<description>.sql` and begin it with `--liquibase formatted sql`",
                );
                continue;
            }
            read(listing, name, &number, &file, found);
        }
        for folder in listing.folders() {
            let what = "a folder among the change logs, which are files";
            found.problems.push(Problem::new(listing.at(folder), what, "move it elsewhere"));
        }
    }
}

fn is_formatted(text: &str) -> bool {
    let head = lines(text).0.map(|(_, line)| line).find(|line| !line.trim().is_empty());
    head.and_then(|line| marked(line, "liquibase"))
        .is_some_and(|rest| rest.to_ascii_lowercase().starts_with("formatted sql"))
}

/// What stands behind `--word` in a line.
fn marked<'a>(line: &'a str, word: &str) -> Option<&'a str> {
    let rest = line.trim_start().strip_prefix("--")?.trim_start();
    let (head, rest) = rest.split_at_checked(word.len())?;
    let ends = rest.chars().next().is_none_or(|c| c.is_whitespace() || c == ':');
    (ends && head.eq_ignore_ascii_case(word)).then(|| rest.trim())
}

/// What follows `--changeset` in a line that begins a change set: it names one.
fn begins_change_set(line: &str) -> Option<&str> {
    marked(line, "changeset").filter(|head| head.contains(':'))
}

/// `author:id` of the line that begins a change set, without the quotes that either may have; and what follows.
pub(crate) fn change_set(head: &str) -> (String, &str) {
    // An author may have spaces.
    let (author, rest) = unquoted(head.trim(), |c| c == ':');
    let rest = rest.trim_start();
    let (id, rest) = unquoted(rest.strip_prefix(':').unwrap_or(rest).trim_start(), char::is_whitespace);
    (format!("{author}:{id}"), rest)
}

/// What stands in quotes at the begin of a text, or before one of these characters; and the rest.
fn unquoted(text: &str, ends: fn(char) -> bool) -> (&str, &str) {
    match text.strip_prefix('"').and_then(|quoted| quoted.split_once('"')) {
        Some(parts) => parts,
        None => {
            let (part, rest) = text.split_at(text.find(ends).unwrap_or(text.len()));
            (part.trim_end(), rest)
        }
    }
}

fn read(listing: &Listing, name: &str, number: &str, file: &Source, found: &mut Found) {
    let (all, count) = lines(file.text());
    let all: Vec<(usize, &str)> = all.collect();
    let starts: Vec<(usize, &str)> =
        all.iter().filter_map(|(line, text)| Some((*line, begins_change_set(text)?))).collect();
    if let Some((line, _)) = all.iter().find(|(_, text)| marked(text, "ignorelines").is_some()) {
        let at = format!("{}:{}", listing.at(name), line + 1);
        let what = "lines that Liquibase leaves out";
        return found.problems.push(Problem::new(at, what, "take them out of the file"));
    }
    if let Some((line, what, next)) = starts.first().and_then(|(first, _)| stray(file, *first)) {
        found.problems.push(Problem::new(format!("{}:{}", listing.at(name), line + 1), what, next));
    }
    for (i, (start, head)) in starts.iter().enumerate() {
        let end = starts.get(i + 1).map_or(count, |(line, _)| *line);
        let (id, attributes) = change_set(head);
        let problem = |line: usize, what: String, next: &str| {
            Some(Problem::new(format!("{}:{}", listing.at(name), line + 1), what, next))
        };
        let mut wrong = None;
        let mut alone = false;
        for attribute in attributes.split_whitespace() {
            let (key, value) = attribute.split_once(':').unwrap_or((attribute, ""));
            match (key.to_ascii_lowercase().as_str(), value) {
                ("runintransaction", value) => alone = value.eq_ignore_ascii_case("false"),
                ("runonchange" | "runalways", value) if value.eq_ignore_ascii_case("true") => {
                    let next = "make it a repeatable migration, or write a new change set";
                    wrong = problem(*start, format!("`{attribute}`: a change set that runs more than once"), next);
                }
                ("enddelimiter", value) if value != ";" => {
                    let next = "end the statements with a semicolon";
                    wrong = problem(*start, format!("`{attribute}`: statements that end with something else"), next);
                }
                ("dbms", list) if list.split(',').any(|name| name.trim().eq_ignore_ascii_case("postgresql")) => {}
                ("context" | "contextfilter" | "labels" | "dbms", _) => {
                    let next = "write what is to run on every database of this folder";
                    wrong = problem(*start, format!("`{attribute}`: a change set for some databases only"), next);
                }
                _ => {}
            }
        }
        if all[start + 1..end].iter().any(|(_, text)| marked(text, "preconditions").is_some()) {
            let next = "check it in a `.preflight.sql`, or in the script";
            wrong = problem(*start, "`--preconditions` of Liquibase's, which are not checked here".into(), next);
        }
        let Some(version) = Version::parse(&format!("{number}.{}", i + 1)) else { continue };
        let down = down(file, &all[start + 1..end]).map_or(Down::Never, Down::Script);
        let scripts =
            Scripts::new(file.part(start + 1..end).without_transaction(alone), down.without_transaction(alone));
        let filename = format!("{}#{id}", listing.filename(name));
        found.drafts.push(Draft::sql(version, &id, filename, scripts).but(wrong));
    }
    if starts.is_empty() {
        let next = "begin each with `--changeset author:id`";
        found.problems.push(Problem::new(listing.at(name), "a change log without a change set", next));
    }
}

/// What the `--rollback` lines of a change set say, each at its place.
fn down(file: &Source, lines: &[(usize, &str)]) -> Option<Source> {
    let mut said: Vec<(usize, &str)> = Vec::new();
    // `/* liquibase rollback` begins a block of them.
    let mut within = false;
    for (line, text) in lines {
        let words = text.trim_start().strip_prefix("/*").map(|text| text.trim().to_ascii_lowercase());
        if words.is_some_and(|words| words.split_whitespace().eq(["liquibase", "rollback"])) {
            within = true;
        } else if within && text.trim() == "*/" {
            within = false;
        } else if within {
            said.push((*line, *text));
        } else if let Some(sql) = marked(text, "rollback") {
            said.push((*line, sql));
        }
    }
    let (first, _) = said.first()?;
    if said
        .iter()
        .all(|(_, sql)| sql.is_empty() || sql.eq_ignore_ascii_case("empty") || sql.starts_with("not required"))
    {
        return None;
    }
    let mut text = "\n".repeat(*first);
    let mut at = *first;
    for (line, sql) in said {
        text.push_str(&"\n".repeat(line - at));
        text.push_str(sql);
        at = line;
    }
    Some(file.with_text(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_change_set_is_read_as_liquibase_reads_it() {
        for (head, name, rest) in [
            ("ada:1", "ada:1", ""),
            ("Ada Lovelace:add-users labels:x", "Ada Lovelace:add-users", " labels:x"),
            ("\"b b\":\"2 2\" context:y", "b b:2 2", " context:y"),
            ("ada: 7", "ada:7", ""),
        ] {
            assert_eq!(change_set(head), (name.to_owned(), rest), "{head}");
        }
    }
}
