//! What the names in a migrations folder say. The files may be wrong in other ways: that is for `lockgate status` to report.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::Name;
use crate::{
    error::{Error, Result},
    migration::Version,
};

/// Digits of the first version of a folder.
const DIGITS: usize = 3;

/// The number after the greatest, with as many digits.
pub(super) fn next_version(folder: &Path) -> Result<String> {
    let versions = names(folder)?.into_iter().filter_map(|name| Version::parse(name.split_once('_')?.0));
    let Some(last) = versions.max() else { return Ok(format!("{:0DIGITS$}", 1)) };
    let digits = last.as_str().len();
    let next = last.as_str().parse::<u64>().ok().and_then(|number| number.checked_add(1));
    let next = next.ok_or_else(|| {
        Error::configuration(format!("there is no version after {last}"), "give the last migration a smaller number")
    })?;
    Ok(format!("{next:0digits$}"))
}

pub(super) fn component_file(folder: &Path, project: &Path) -> Result<PathBuf> {
    let unnamed = || {
        Error::configuration(
            format!("`{}` has no name that a migration could have", project.display()),
            "name the file to write with `--out`, such as `--out migrations/004_hash_tokens.wasm`",
        )
    };
    // For `.` and the like.
    let path = project.canonicalize().unwrap_or_else(|_| project.to_owned());
    let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(unnamed)?;
    let name = Name::parse(name).map_err(|_| unnamed())?;
    let is_ours = |file: &String| file.split_once('_').is_some_and(|(_, rest)| rest == format!("{name}.wasm"));
    let file = match names(folder)?.into_iter().find(is_ours) {
        Some(file) => file,
        None => format!("{}_{name}.wasm", next_version(folder)?),
    };
    Ok(folder.join(file))
}

fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).and_then(|entries| entries.collect::<io::Result<Vec<_>>>()).map_err(|e| {
        Error::configuration(
            format!("the migrations folder `{}` cannot be read: {e}", folder.display()),
            "make it, or name another with `--dir`",
        )
    })?;
    let mut names: Vec<String> = entries.into_iter().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            fs::write(folder.path().join(file), "").unwrap();
        }
        folder
    }

    #[test]
    fn the_next_version_is_written_as_the_last() {
        for (files, next) in [
            (&[][..], "001"),
            (&["lockgate.lock", "README.md"], "001"),
            (&["001_a.up.sql", "001_a.down.sql"], "002"),
            (&["9_a.up.sql", "10_b.wasm"], "11"),
            (&["0099_a.wasm", "3_b.up.sql"], "0100"),
            (&["999_a.wasm"], "1000"),
            (&["20261123201500_a.up.sql"], "20261123201501"),
        ] {
            assert_eq!(next_version(folder(files).path()).unwrap(), next, "{files:?}");
        }
        assert!(next_version(folder(&["18446744073709551615_a.wasm"]).path()).is_err());
        assert!(next_version(Path::new("/nonexistent")).is_err());
    }

    #[test]
    fn a_component_keeps_its_file() {
        let migrations = folder(&["003_hash_tokens.wasm", "004_a.up.sql"]);
        let file = |project: &str| component_file(migrations.path(), Path::new(project));
        assert_eq!(file("plugins/hash-tokens").unwrap(), migrations.path().join("003_hash_tokens.wasm"));
        assert_eq!(file("plugins/tokens/").unwrap(), migrations.path().join("005_tokens.wasm"));
        assert!(file("/").is_err() && file("plugins/größe").is_err());
    }
}
