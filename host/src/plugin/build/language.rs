use std::{fmt, path::Path};

use super::BuildError;

/// What a plugin is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// A crate.
    Rust,
    /// A module `app`, for componentize-py.
    Python,
    /// A package, for componentize-js.
    JavaScript,
}

impl Language {
    const ALL: [Self; 3] = [Self::Rust, Self::Python, Self::JavaScript];

    /// The files by which a folder of the language is known.
    fn marks(self) -> &'static [&'static str] {
        match self {
            Self::Rust => &["Cargo.toml"],
            Self::Python => &["pyproject.toml", "requirements.txt", "app.py"],
            Self::JavaScript => &["package.json"],
        }
    }

    /// Tells the language of a project by the files in its folder.
    ///
    /// # Errors
    /// When it is none, or several.
    pub fn of(folder: &Path) -> Result<Self, BuildError> {
        let is = |language: &Self| language.marks().iter().any(|name| folder.join(name).is_file());
        let languages: Vec<Self> = Self::ALL.into_iter().filter(is).collect();
        match languages[..] {
            [language] => Ok(language),
            [] => Err(BuildError::NoPlugin(folder.to_owned())),
            _ => Err(BuildError::Ambiguous { folder: folder.to_owned(), languages }),
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rust => "Rust",
            Self::Python => "Python",
            Self::JavaScript => "JavaScript",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn of(files: &[&str]) -> Result<Language, String> {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            fs::write(folder.path().join(file), "").unwrap();
        }
        let hidden = folder.path().display().to_string();
        Language::of(folder.path()).map_err(|error| error.to_string().replace(&hidden, "x"))
    }

    #[test]
    fn a_folder_is_known_by_its_files() {
        assert_eq!(of(&["Cargo.toml", "README.md"]), Ok(Language::Rust));
        for file in ["pyproject.toml", "requirements.txt", "app.py"] {
            assert_eq!(of(&[file]), Ok(Language::Python), "{file}");
        }
        assert_eq!(of(&["package.json", "app.js"]), Ok(Language::JavaScript));
    }

    #[test]
    fn a_folder_of_none_or_several_languages_is_refused() {
        assert!(of(&["README.md"]).unwrap_err().starts_with("`x` holds no plugin: a Cargo.toml makes it one in Rust"));
        assert_eq!(
            of(&["package.json", "Cargo.toml"]).unwrap_err(),
            "`x` could be Rust or JavaScript: keep the files of one language"
        );
    }
}
