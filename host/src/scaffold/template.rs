use std::{
    fs::File,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use crate::error::{Error, Result};

/// Puts values into the places of a template: `{{name}}`.
pub(super) fn fill(template: &str, values: &[(&str, &str)]) -> String {
    values.iter().fold(template.to_owned(), |text, (key, value)| text.replace(&format!("{{{{{key}}}}}"), value))
}

/// Writes files that are not there yet, and returns their paths.
pub(super) fn write(files: Vec<(PathBuf, String)>) -> Result<Vec<PathBuf>> {
    files
        .into_iter()
        .map(|(path, text)| {
            let mut file = File::create_new(&path).map_err(|e| refused(&path, &e))?;
            file.write_all(text.as_bytes()).map_err(|e| refused(&path, &e))?;
            Ok(path)
        })
        .collect()
}

/// Why a file or folder was not made.
pub(super) fn refused(path: &Path, error: &io::Error) -> Error {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::AlreadyExists => {
            Error::configuration(format!("`{path}` is there already, and is not overwritten"), "take another name")
        }
        _ => Error::configuration(format!("`{path}` cannot be written: {error}"), "mend the permissions, or the path"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled() {
        assert_eq!(fill("a {{x}}{{x}} {{y}}", &[("x", "1"), ("y", "2")]), "a 11 2");
    }

    #[test]
    fn nothing_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write(vec![(path.clone(), "old".into())]).unwrap();
        let error = write(vec![(path.clone(), "new".into())]).unwrap_err();
        assert!(error.report().what.ends_with("is there already, and is not overwritten"));
        assert_eq!(std::fs::read_to_string(path).unwrap(), "old");
    }
}
