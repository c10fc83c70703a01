//! `<version>_<description>.wasm`, pinned in `lockgate.lock`.

use std::{fs, path::Path};

use super::{Content, Group, Migration, Part, lockfile::Pins};
use crate::{error::Problem, migration::Checksum};

const PIN: &str = "review it, then run `lockgate plugin pin`";

pub(super) fn read(group: &Group<'_>, pins: &Pins) -> Result<Migration, Vec<Problem>> {
    let filename = &group.parts[&Part::Component];
    let path = group.folder.join(filename);
    let at = path.display().to_string();
    let mut problems = Vec::new();
    if group.parts.len() > 1 {
        let names: Vec<&str> = group.parts.values().map(String::as_str).collect();
        let what = format!("one migration is both SQL and a component: {}", names.join(", "));
        problems.push(Problem::new(
            &at,
            what,
            "a component brings its own checks and its own down: remove the SQL files",
        ));
    }
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(e) => {
            problems.push(Problem::new(&at, format!("it cannot be read: {e}"), "mend the permissions"));
            return Err(problems);
        }
    };
    let checksum = Checksum::of_bytes(&bytes);
    match pins.get(filename) {
        None => problems.push(Problem::new(&at, format!("`{filename}` is not pinned in lockgate.lock"), PIN)),
        Some(pinned) if pinned.digest != checksum => {
            let what = format!(
                "`{filename}` is not the one that was pinned: its digest is {}…, not {}…",
                checksum.short(),
                pinned.digest.short()
            );
            problems.push(Problem::new(&at, what, PIN));
        }
        Some(_) => {}
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(Migration {
        version: group.version.clone(),
        description: group.description(),
        filename: filename.clone(),
        checksum,
        content: Content::Component(bytes),
    })
}

/// A pin without its file is a migration that was lost on the way.
pub(super) fn check_absent(pins: &Pins, migrations: &[Migration], folder: &Path, problems: &mut Vec<Problem>) {
    for name in pins.keys() {
        if !migrations.iter().any(|m| m.filename == *name) && !folder.join(name).exists() {
            let what = format!("`{name}` is pinned, but not there");
            problems.push(Problem::new(
                folder.join(name).display().to_string(),
                what,
                "put it back, or run `lockgate plugin pin`",
            ));
        }
    }
}
