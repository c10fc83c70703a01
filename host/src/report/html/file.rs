//! Where a report is written to.

use std::{
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
};

use tempfile::{Builder, NamedTempFile};

use crate::error::{Error, Result};

/// A file that a report will be written to, found fit for it before the work begins that it tells of.
#[derive(Debug)]
pub struct Place(PathBuf);

impl Place {
    /// Sees whether a report can be written there.
    ///
    /// # Errors
    /// [`Error::Configuration`] where it cannot: nothing has been done then.
    pub fn of(path: &Path) -> Result<Self> {
        let unfit = |why: String| {
            let what = format!("the report cannot be written to `{}`: {why}", path.display());
            Error::configuration(what, "name a file in a folder that is there and may be written to, with `--report`")
        };
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => return Err(unfit("it is a folder".into())),
            Ok(metadata) if !metadata.is_file() => return Err(unfit("it is no regular file".into())),
            _ => {}
        }
        // A file that is made and gone again says more than permissions do: the disk may be full, or mounted read-only.
        beside(path).map_err(|e| unfit(e.to_string()))?;
        Ok(Self(path.to_owned()))
    }

    /// Writes it. What it tells of is done: that it cannot be told here is no failure of it.
    pub fn write_or_warn(&self, html: &str) {
        if let Err(error) = write(&self.0, html) {
            let report = error.report();
            let cause = report.causes.join("; ");
            let path = self.0.display();
            tracing::warn!(%cause, "the report could not be written to `{path}`; what it tells of is done, and `lockgate history` tells it as well");
        }
    }
}

/// Writes a report whole or not at all: a reader never sees half of one, and one that was there stays until then.
///
/// # Errors
/// [`Error::System`]
pub fn write(path: &Path, html: &str) -> Result<()> {
    let written = || -> io::Result<()> {
        let mut file = beside(path)?;
        file.write_all(html.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    written().map_err(|e| Error::system(format!("writing the report `{}`", path.display()), e))
}

/// A file in the same folder, which can be renamed to it. Others may read it as they may read any file.
fn beside(path: &Path) -> io::Result<NamedTempFile> {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // The process's umask takes from it what it takes from all.
    Builder::new().prefix(".report-").suffix(".html").permissions(fs::Permissions::from_mode(0o666)).tempfile_in(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_replaces_one_that_was_there_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.html");
        for text in ["first", "second"] {
            Place::of(&path).unwrap();
            write(&path, text).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(folder.path().read_dir().unwrap().count(), 1);
    }

    #[test]
    fn a_place_that_takes_no_report_is_refused_with_why() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |path: &Path| Place::of(path).unwrap_err().report().what;
        assert!(refused(folder.path()).ends_with("it is a folder"), "{}", refused(folder.path()));
        assert!(refused(Path::new("/dev/null")).ends_with("it is no regular file"));
        let missing = refused(&folder.path().join("none/report.html"));
        assert!(missing.contains("No such file or directory"), "{missing}");
    }

    #[test]
    fn a_report_that_cannot_be_written_any_more_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sub/report.html");
        fs::create_dir(folder.path().join("sub")).unwrap();
        let place = Place::of(&path).unwrap();
        fs::remove_dir(folder.path().join("sub")).unwrap();
        let error = write(&path, "x").unwrap_err();
        assert!(error.report().what.contains("report.html"), "{error}");
        place.write_or_warn("x");
    }
}
