//! `<version>_<description>.wasm`, pinned in `lockgate.lock`: in every layout.

use std::io;

use super::{Content, Folder, Migration, listing::Listing, lockfile::Pins};
use crate::{
    error::Problem,
    migration::{Checksum, Kind, Version},
    parallel,
    plugin::Code,
};

const ENDING: &str = ".wasm";
const PIN: &str = "review it, then run `lockgate plugin pin`";

/// The components of a folder whose pins are right; what is wrong with others, and pins without a file, are problems of the folder.
pub(super) fn read(listing: &Listing, pins: &Pins, folder: &mut Folder) -> Vec<Migration> {
    let named: Vec<Named<'_>> = listing.files().filter_map(Named::of).collect();
    // Each may have many megabytes.
    let hashed = parallel::map(&named, 1, |named| Code::in_file(&listing.path.join(named.name)));
    let mut migrations = Vec::new();
    for (Named { name, version, description }, hashed) in named.into_iter().zip(hashed) {
        match component(listing, name, version.clone(), description, hashed, pins) {
            Ok(migration) => migrations.push(migration),
            Err(problem) => {
                folder.refused.insert(version);
                folder.problems.push(problem);
            }
        }
    }
    for name in pins.keys().filter(|name| !listing.has(name)) {
        let what = format!("`{name}` is pinned, but not there");
        folder.problems.push(Problem::new(listing.at(name), what, "put it back, or run `lockgate plugin pin`"));
    }
    migrations
}

/// The name of a component, understood.
struct Named<'a> {
    name: &'a str,
    version: Version,
    description: &'a str,
}

impl<'a> Named<'a> {
    fn of(name: &'a str) -> Option<Self> {
        let (version, description) = name.strip_suffix(ENDING)?.split_once('_')?;
        Some(Self { name, version: Version::parse(version)?, description })
    }
}

fn component(
    listing: &Listing,
    name: &str,
    version: Version,
    description: &str,
    hashed: io::Result<(Code, Checksum)>,
    pins: &Pins,
) -> Result<Migration, Problem> {
    let at = listing.at(name);
    let (code, checksum) =
        hashed.map_err(|e| Problem::new(&at, format!("it cannot be read: {e}"), "mend the permissions"))?;
    match pins.get(name) {
        None => return Err(Problem::new(at, format!("`{name}` is not pinned in lockgate.lock"), PIN)),
        Some(pinned) if pinned.digest != checksum => {
            let what = format!(
                "`{name}` is not the one that was pinned: its digest is {}…, not {}…",
                checksum.short(),
                pinned.digest.short()
            );
            return Err(Problem::new(at, what, PIN));
        }
        Some(_) => {}
    }
    Ok(Migration {
        version,
        description: description.to_owned(),
        filename: name.to_owned(),
        kind: Kind::Component,
        checksum,
        content: Ok(Content::Component(code)).into(),
    })
}
