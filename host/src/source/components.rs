//! `<version>_<description>.wasm`, pinned in `lockgate.lock`: in every layout.

use std::fs;

use super::{Content, Folder, Migration, listing::Listing, lockfile::Pins};
use crate::{
    error::Problem,
    migration::{Checksum, Kind, Version},
};

const ENDING: &str = ".wasm";
const PIN: &str = "review it, then run `lockgate plugin pin`";

/// The components of a folder whose pins are right; what is wrong with others, and pins without a file, are problems of the folder.
pub(super) fn read(listing: &Listing, pins: &Pins, folder: &mut Folder) -> Vec<Migration> {
    let mut migrations = Vec::new();
    for name in listing.files() {
        let Some((version, description)) = name.strip_suffix(ENDING).and_then(|stem| stem.split_once('_')) else {
            continue;
        };
        let Some(version) = Version::parse(version) else { continue };
        match component(listing, name, version.clone(), description, pins) {
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

fn component(
    listing: &Listing,
    name: &str,
    version: Version,
    description: &str,
    pins: &Pins,
) -> Result<Migration, Problem> {
    let at = listing.at(name);
    let bytes = fs::read(listing.path.join(name))
        .map_err(|e| Problem::new(&at, format!("it cannot be read: {e}"), "mend the permissions"))?;
    let checksum = Checksum::of_bytes(&bytes);
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
        content: Ok(Content::Component(bytes.into())).into(),
    })
}
