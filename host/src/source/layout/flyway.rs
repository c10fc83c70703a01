//! Flyway: `V<version>__<description>.sql`, with `U<version>__….sql` to undo it and `R__<description>.sql`, which is applied again whenever
//! it has changed. Dots in a version may be written as underscores.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{Down, Draft, Found, Layout, Listing, Scripts, Source};
use crate::{error::Problem, migration::Version};

pub(super) struct Flyway;

const FORM: &str = "`V<version>__<description>.sql`, `U<version>__<description>.sql` or `R__<description>.sql`";

/// A name, understood.
#[derive(Debug, Clone)]
pub(super) enum Named<'a> {
    Versioned(Version, &'a str),
    Undo(Version, &'a str),
    Repeatable(&'a str),
}

impl Layout for Flyway {
    fn name(&self) -> &'static str {
        "flyway"
    }

    fn recognises(&self, listing: &Listing) -> bool {
        listing.files().any(|name| name.rsplit_once('.').is_some_and(|(stem, _)| named(stem).is_some()))
    }

    fn read(&self, listing: &Listing, found: &mut Found) {
        super::pairs::read_own(listing, found);
        let (mut versioned, mut undos) = (BTreeSet::new(), BTreeMap::new());
        for name in listing.files() {
            match name.strip_suffix(".sql").and_then(named) {
                Some(Named::Versioned(version, _)) => drop(versioned.insert(version)),
                Some(Named::Undo(version, _)) => drop(undos.insert(version, name)),
                _ => {}
            }
        }
        for name in listing.files_of_tools() {
            if name.strip_suffix(".conf").is_some_and(|script| listing.has(script)) {
                continue;
            }
            let (stem, ending) = name.rsplit_once('.').unwrap_or((name, ""));
            match (named(stem), ending) {
                (Some(Named::Undo(version, _)), "sql") if versioned.contains(&version) => {}
                (Some(Named::Undo(..)), "sql") => {
                    let what = "an undo script without its migration";
                    let next = "put that back, or remove this; in a folder of refinery's, where `U` is another thing, say `--layout refinery`";
                    found.problems.push(Problem::new(listing.at(name), what, next));
                }
                (Some(Named::Versioned(version, words)), "sql") => {
                    let down = undos.get(&version).map_or(Down::Never, |undo| Down::Script(script(listing, undo).0));
                    found.drafts.push(draft(listing, name, version, words, down));
                }
                (Some(Named::Repeatable(words)), "sql") => match Version::repeatable(words) {
                    Some(version) => found.drafts.push(draft(listing, name, version, words, Down::Never)),
                    None => found.stranger(listing, name, FORM),
                },
                (
                    Some(Named::Versioned(version, words) | Named::Undo(version, words)),
                    "rs" | "java" | "kt" | "class",
                ) => {
                    found.drafts.push(Draft::foreign(version, words, listing, name));
                }
                _ if stem.starts_with('B') && ending == "sql" && named(&stem.replacen('B', "V", 1)).is_some() => {
                    let next = "write the database's state into the history with `lockgate baseline`, and move the file elsewhere";
                    let problem = Problem::new(listing.at(name), "a baseline, which stands for others", next);
                    // Flyway itself runs none where something is applied.
                    match named(&stem.replacen('B', "V", 1)) {
                        Some(Named::Versioned(version, _)) => found.of_versions.push((version, problem)),
                        _ => found.problems.push(problem),
                    }
                }
                _ => found.stranger(listing, name, FORM),
            }
        }
        for folder in listing.folders() {
            let next = "move its files up, or point `--dir` at it";
            found.problems.push(Problem::new(listing.at(folder), "a folder among the migrations", next));
        }
    }
}

pub(super) fn named(stem: &str) -> Option<Named<'_>> {
    let (head, words) = stem.split_once("__")?;
    let mut chars = head.chars();
    let prefix = chars.next()?;
    let version = || Version::parse(&chars.as_str().replace('_', ".")).filter(|version| !version.is_repeatable());
    match prefix {
        'V' => Some(Named::Versioned(version()?, words)),
        'U' => Some(Named::Undo(version()?, words)),
        'R' if chars.as_str().is_empty() => Some(Named::Repeatable(words)),
        _ => None,
    }
}

fn draft(listing: &Listing, name: &str, version: Version, description: &str, down: Down) -> Draft {
    let (up, problem) = script(listing, name);
    Draft::sql(version, description, listing.filename(name), Scripts::new(up, down)).but(problem)
}

/// A script, with what its `.conf` says of it.
fn script(listing: &Listing, name: &str) -> (Source, Option<Problem>) {
    let file = Source::file(listing, name);
    let conf = format!("{name}.conf");
    let conf = if listing.has(&conf) { listing.text(&conf).text.unwrap_or_default() } else { Arc::default() };
    let says = |setting: &str| conf.lines().any(|line| line.replace([' ', '\t'], "").eq_ignore_ascii_case(setting));
    let placeholder = file.text().lines().position(|line| line.contains("${")).map(|line| {
        let at = format!("{}:{}", listing.at(name), line + 1);
        let next = format!("write the text that it stands for; where it stands for itself, say `placeholderReplacement=false` in `{name}.conf`");
        Problem::new(at, "a placeholder of Flyway's (`${`)", next)
    });
    let placeholder = placeholder.filter(|_| !says("placeholderReplacement=false"));
    (file.without_transaction(says("executeInTransaction=false")), placeholder)
}
