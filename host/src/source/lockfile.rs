//! `lockgate.lock`: the digest of every component, so that none runs that was not reviewed.

use std::{collections::BTreeMap, fs, io, path::Path};

use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Problem, Result},
    migration::Checksum,
};

/// The file's name, in the migrations folder.
pub const NAME: &str = "lockgate.lock";

/// File name to digest.
pub type Pins = BTreeMap<String, Checksum>;

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct LockFile {
    components: BTreeMap<String, String>,
}

/// The pins of a folder; a file that cannot be read is one of the problems.
pub(super) fn read(folder: &Path, problems: &mut Vec<Problem>) -> Pins {
    let path = folder.join(NAME);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Pins::new(),
        Err(e) => {
            problems.push(Problem::new(
                path.display().to_string(),
                format!("it cannot be read: {e}"),
                "mend the permissions",
            ));
            return Pins::new();
        }
    };
    match toml::from_str::<LockFile>(&text) {
        Ok(file) => file.components.into_iter().map(|(name, digest)| (name, Checksum::recorded(digest))).collect(),
        Err(e) => {
            problems.push(Problem::new(
                path.display().to_string(),
                format!("it is damaged: {}", e.message()),
                "run `lockgate plugin pin`",
            ));
            Pins::new()
        }
    }
}

/// Pins every component of the folder as it is now. Returns the pins.
///
/// # Errors
/// When a file cannot be read or written.
pub fn pin(folder: &Path) -> Result<Pins> {
    let doing = || format!("pinning the components of `{}`", folder.display());
    let mut pins = Pins::new();
    for entry in fs::read_dir(folder).map_err(|e| Error::system(doing(), e))? {
        let path = entry.map_err(|e| Error::system(doing(), e))?.path();
        if let Some(name) = path.file_name().and_then(|n| n.to_str()).filter(|n| n.ends_with(".wasm")) {
            let bytes = fs::read(&path).map_err(|e| Error::system(doing(), e))?;
            pins.insert(name.to_owned(), Checksum::of_bytes(&bytes));
        }
    }
    let components = pins.iter().map(|(name, digest)| (name.clone(), digest.to_string())).collect();
    let body = toml::to_string(&LockFile { components }).map_err(|e| Error::system(doing(), e))?;
    let text =
        format!("# SHA-256 of every component that may run. Written by `lockgate plugin pin`; commit it.\n\n{body}");
    fs::write(folder.join(NAME), text).map_err(|e| Error::system(doing(), e))?;
    Ok(pins)
}
