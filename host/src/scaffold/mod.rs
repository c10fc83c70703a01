//! Begins a migration: the next SQL files, or the project of a plugin. Nothing that exists is ever overwritten.

mod folder;
mod name;
mod project;
mod template;
mod workspace;

use std::{
    fmt,
    path::{Path, PathBuf},
};

use serde::Serialize;

pub use name::Name;
pub use project::Dependencies;

use crate::{error::Result, plugin::build::Language};

/// What was written, and what to do with it.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct Scaffold {
    /// The new files, in the order in which to read them.
    pub files: Vec<PathBuf>,
    /// The commands that come next.
    pub next: Vec<String>,
}

impl fmt::Display for Scaffold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for file in &self.files {
            writeln!(f, "wrote {}", file.display())?;
        }
        writeln!(f, "next:")?;
        self.next.iter().try_for_each(|command| writeln!(f, "  {command}"))
    }
}

/// Writes the up, down and verify scripts of the next version into the migrations folder.
///
/// # Errors
/// When the folder cannot be read or written, or the versions are used up.
pub fn sql(migrations: &Path, name: &Name) -> Result<Scaffold> {
    let stem = format!("{}_{name}", folder::next_version(migrations)?);
    let text = |template: &str| template::fill(template, &[("name", name.as_str())]);
    let file = |ending: &str, template| (migrations.join(format!("{stem}.{ending}.sql")), text(template));
    let files = vec![
        file("up", include_str!("templates/sql/up.sql")),
        file("down", include_str!("templates/sql/down.sql")),
        file("verify", include_str!("templates/sql/verify.sql")),
    ];
    let up = files[0].0.display().to_string();
    let next = vec![format!("$EDITOR {up}"), "lockgate plan".to_owned(), "lockgate up".to_owned()];
    Ok(Scaffold { files: template::write(files)?, next })
}

/// Writes the project of a plugin into a new folder in `plugins`.
///
/// # Errors
/// When there is such a folder already, or it cannot be written, or the name does not fit the language.
pub fn plugin(plugins: &Path, name: &Name, language: Language, dependencies: &Dependencies) -> Result<Scaffold> {
    project::write(plugins, name, language, dependencies)
}

/// The file that the component of a project belongs into: the one of its name in the migrations folder, else the next version.
///
/// # Errors
/// When the project's name is not one of a migration, or the migrations folder cannot be read.
pub fn component_file(migrations: &Path, project: &Path) -> Result<PathBuf> {
    folder::component_file(migrations, project)
}
