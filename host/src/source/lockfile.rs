//! `lockgate.lock`: what was reviewed of every component, so that none runs that was not.

use std::{collections::BTreeMap, io, path::Path};

use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Problem, Result},
    files,
    migration::Checksum,
};

/// The file's name, in the migrations folder.
pub const NAME: &str = "lockgate.lock";

const HEAD: &str = "# Every component that may run: its SHA-256, what it was built with, what it asks for. Written by `lockgate plugin pin`; \
                    commit it.\n";

/// Some hundred bytes a component.
const MAX_BYTES: u64 = 16 << 20;

/// What was reviewed must not be lost in silence.
const MEND: &str =
    "restore it from version control; or delete it, review every component and run `lockgate plugin pin`";

/// What was reviewed of one component. The digest decides; the rest is for the reviewer of the next change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The digest of the file.
    pub digest: Checksum,
    /// Name and version of the SDK; empty where the component does not say.
    pub sdk: String,
    /// What it asks for, such as `config:keep (optional)`.
    pub grants: Vec<String>,
}

/// File name to pin.
pub type Pins = BTreeMap<String, Pin>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LockFile {
    components: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a component's entry is a table with `digest`, `sdk` and `grants`")]
enum Entry {
    /// As the first versions wrote it.
    Digest(String),
    Whole(Whole),
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Whole {
    digest: String,
    #[serde(default)]
    sdk: String,
    #[serde(default)]
    grants: Vec<String>,
}

impl From<Entry> for Pin {
    fn from(entry: Entry) -> Self {
        let Whole { digest, sdk, grants } = match entry {
            Entry::Digest(digest) => Whole { digest, sdk: String::new(), grants: Vec::new() },
            Entry::Whole(whole) => whole,
        };
        Self { digest: Checksum::recorded(digest), sdk, grants }
    }
}

/// The pins of a folder, none when there is no lock file.
///
/// # Errors
/// Why the file cannot be read.
pub fn read(folder: &Path) -> Result<Pins, Problem> {
    let path = folder.join(NAME);
    let problem = |what: String, next: &str| Problem::new(path.display().to_string(), what, next);
    if matches!(path.symlink_metadata(), Err(e) if e.kind() == io::ErrorKind::NotFound) {
        return Ok(Pins::new());
    }
    let bytes = files::read(&path, MAX_BYTES, "of a lock file")
        .map_err(|why| problem(why, "put the file itself there, and let it be read"))?;
    let text = String::from_utf8(bytes).map_err(|_| problem("it is damaged: it is no UTF-8".into(), MEND))?;
    match toml::from_str::<LockFile>(&text) {
        Ok(file) => Ok(file.components.into_iter().map(|(name, entry)| (name, entry.into())).collect()),
        Err(e) => Err(problem(format!("it is damaged: {}", e.message()), MEND)),
    }
}

/// Writes the pins of a folder: whoever reads them, even after a crash, finds all of the old ones or all of the new ones.
///
/// # Errors
/// When the file cannot be written.
pub fn write(folder: &Path, pins: &Pins) -> Result<()> {
    let path = folder.join(NAME);
    let failed = |e: io::Error| Error::system(format!("writing `{}`", path.display()), e);
    let text = text(pins).map_err(io::Error::other).map_err(failed)?;
    files::replace(&path, text.as_bytes()).map_err(failed)
}

fn text(pins: &Pins) -> Result<String, toml::ser::Error> {
    let whole = |pin: &Pin| Whole { digest: pin.digest.to_string(), sdk: pin.sdk.clone(), grants: pin.grants.clone() };
    // One blank line before each, and the table `components` even when it is empty.
    let mut text = format!("{HEAD}\n[components]\n");
    for (name, pin) in pins {
        text += &format!("\n[components.{}]\n{}", toml::Value::from(name.as_str()), toml::to_string(&whole(pin))?);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    fn read_text(text: &str) -> Result<Pins, Problem> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(NAME), text).unwrap();
        read(folder.path())
    }

    #[test]
    fn what_is_written_is_read_again() {
        let pin = Pin {
            digest: Checksum::of_bytes(b"a"),
            sdk: "lockgate-plugin 0.1.0".into(),
            grants: vec!["clock (required)".into(), "config:\"odd\nkey\" (optional)".into()],
        };
        let bare = Pin { digest: Checksum::of_bytes(b"b"), sdk: String::new(), grants: Vec::new() };
        for pins in [Pins::new(), Pins::from([("003_a.wasm".to_owned(), pin), ("004_b.wasm".to_owned(), bare)])] {
            assert_eq!(read_text(&text(&pins).unwrap()), Ok(pins));
        }
    }

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        fs::write(&path, "[components\n").unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        write(folder.path(), &Pins::new()).unwrap();
        assert_eq!(read(folder.path()), Ok(Pins::new()));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode(), mode, "others may read it as before");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_file_is_a_problem() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/dev/zero", folder.path().join(NAME)).unwrap();
        assert_eq!(read(folder.path()).unwrap_err().what, "it is no regular file");
    }

    #[test]
    fn the_first_format_is_still_read() {
        let digest = Checksum::of_bytes(b"a");
        let pins = read_text(&format!("[components]\n\"003_a.wasm\" = \"{digest}\"\n")).unwrap();
        assert_eq!(pins["003_a.wasm"], Pin { digest, sdk: String::new(), grants: Vec::new() });
    }

    #[test]
    fn a_damaged_file_is_a_problem() {
        for text in
            ["[components\n", "[components]\n\"a.wasm\" = 1\n", "[components.\"a.wasm\"]\nsdk = \"x\"\n", "[others]\n"]
        {
            assert!(read_text(text).unwrap_err().what.starts_with("it is damaged: "), "{text}");
        }
    }
}
