//! Lockgate's own layout, golang-migrate's and that of sqlx's reversible migrations: `<version>_<description>.up.sql` and `.down.sql`,
//! with Lockgate's `.preflight.sql`, `.verify.sql` and `.wasm` beside them.

use std::collections::BTreeMap;

use super::{Down, Draft, Found, Layout, Listing, Scripts, Source, numbered, parted};
use crate::{error::Problem, migration::Version, parallel, source::listing::Entry};

pub(super) struct Pairs;

#[derive(Debug, Clone, Copy)]
enum Part {
    Up,
    Down,
    Preflight,
    Verify,
}

const PARTS: [(&str, Part); 4] = [
    (".up.sql", Part::Up),
    (".down.sql", Part::Down),
    (".preflight.sql", Part::Preflight),
    (".verify.sql", Part::Verify),
];

/// Fewer are read before another thread has begun.
const MIGRATIONS_A_THREAD: usize = 100;

/// The ending of a component; those are read elsewhere, for every layout.
const COMPONENT: &str = ".wasm";

impl Layout for Pairs {
    fn name(&self) -> &'static str {
        "pairs"
    }

    fn recognises(&self, listing: &Listing) -> bool {
        listing.files().any(|name| PARTS.iter().any(|(ending, _)| name.ends_with(ending)))
    }

    fn read(&self, listing: &Listing, found: &mut Found) {
        const FORM: &str =
            "`<version>_<description>` with one of the endings .up.sql, .down.sql, .preflight.sql, .verify.sql, .wasm";
        read_own(listing, found);
        for name in listing.files_of_tools() {
            found.stranger(listing, name, FORM);
        }
        for folder in listing.folders() {
            let what = "a folder among the migrations, which are files";
            found.problems.push(Problem::new(listing.at(folder), what, "move it elsewhere"));
        }
    }
}

/// Whether a file is named as a part of such a migration, or as a component.
pub(in crate::source) fn is_part(name: &str) -> bool {
    stem(name).is_some() || name.strip_suffix(COMPONENT).is_some_and(is_described)
}

fn stem(name: &str) -> Option<(&str, Part)> {
    let (ending, part) = PARTS.iter().find(|(ending, _)| name.ends_with(ending))?;
    let stem = name.strip_suffix(ending)?;
    is_described(stem).then_some((stem, *part))
}

fn is_described(stem: &str) -> bool {
    parted(stem).is_some_and(|(_, words)| !words.is_empty()) && stem.contains('_')
}

fn described(stem: &str) -> Option<(Version, &str)> {
    numbered(stem).filter(|_| is_described(stem))
}

/// The files of one migration, by what they are for.
type Files<'a> = [Option<&'a Entry>; PARTS.len()];

/// Reads those files of a folder that are of this layout, whatever else is in it.
pub(super) fn read_own(listing: &Listing, found: &mut Found) {
    let mut migrations: BTreeMap<&str, Files<'_>> = BTreeMap::new();
    for entry in listing.entries.iter().filter(|entry| !entry.is_folder) {
        if let Some((stem, part)) = stem(&entry.name) {
            migrations.entry(stem).or_default()[part as usize] = Some(entry);
        }
    }
    let migrations: Vec<(&str, Files<'_>)> = migrations.into_iter().collect();
    let read = parallel::map(&migrations, MIGRATIONS_A_THREAD, |(stem, files)| read_one(listing, stem, files));
    for one in read.into_iter().flatten() {
        match one {
            Ok(draft) => found.drafts.push(draft),
            Err(of_version) => found.of_versions.push(of_version),
        }
    }
}

/// Reads one migration; `None` where its name says that it is none.
fn read_one(listing: &Listing, stem: &str, files: &Files<'_>) -> Option<Result<Draft, (Version, Problem)>> {
    let (version, description) = described(stem)?;
    let source = |part: Part| files[part as usize].map(|entry| Source::found(listing, entry));
    let Some(up) = files[Part::Up as usize] else {
        let there = files.iter().flatten().map(|entry| entry.name.as_str()).collect::<Vec<_>>().join(", ");
        let what = format!("`{stem}.up.sql` is missing, though {there} is there");
        return Some(Err((version, Problem::new(listing.at(stem), what, "add it, or remove the rest"))));
    };
    listing.glance_at(up);
    let scripts = Scripts {
        preflight: source(Part::Preflight).map(Box::new),
        verify: source(Part::Verify).map(Box::new),
        ..Scripts::new(
            Source::found(listing, up).heeding_its_head(),
            source(Part::Down)
                .map(Source::heeding_its_head)
                .map_or_else(|| Down::Missing(format!("{stem}.down.sql")), Down::Script),
        )
    };
    Some(Ok(Draft::sql(version, description, listing.filename(&up.name), scripts)))
}
