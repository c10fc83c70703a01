//! What rows of another tool's table can speak of: the migrations of the folder, and scripts that only the tool can run.

use std::{collections::BTreeSet, fs, path::Path, sync::Arc};

use super::{Program, Tool, checksum_of};
use crate::{
    error::{Error, Problem, Result},
    migration::{Checksum, Version},
    postgres::history::{self, Applied},
    source::{Folder, Migration},
    sql::Script,
};

/// A file as the history would keep it, with the bytes that the other tool's checksum is computed from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) version: Version,
    /// What the tool calls it, where it is a script of the tool's own; else the name of the migration.
    pub(crate) name: String,
    pub(crate) filename: String,
    pub(crate) description: String,
    pub(crate) kind: String,
    pub(crate) checksum: Checksum,
    pub(crate) up_script: Option<Arc<str>>,
    pub(crate) down_script: Option<Arc<str>>,
    pub(crate) bytes: Vec<u8>,
    /// The names of those that it follows, where the tool keeps a graph.
    pub(crate) follows: Vec<String>,
}

impl File {
    /// The file's name without folders.
    pub(crate) fn basename(&self) -> &str {
        self.filename.rsplit_once('/').map_or(&self.filename, |(_, name)| name)
    }

    /// The same without an ending.
    pub(crate) fn stem(&self) -> &str {
        let name = self.basename();
        name.strip_suffix(".up.sql").or(name.rsplit_once('.').map(|(stem, _)| stem)).unwrap_or(name)
    }

    /// The folder that it lies in, if it lies in one.
    pub(crate) fn folder(&self) -> Option<&str> {
        let (folders, _) = self.filename.rsplit_once('/')?;
        Some(folders.rsplit_once('/').map_or(folders, |(_, last)| last))
    }
}

/// All of the files.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) files: Vec<File>,
}

impl Found {
    /// Of a folder of migrations.
    ///
    /// # Errors
    /// When a file can no longer be read.
    pub(crate) fn in_folder(folder: &Folder, dir: &Path) -> Result<Self> {
        let files = folder.migrations.iter().map(|migration| of_migration(migration, dir)).collect::<Result<_>>()?;
        Ok(Self { files })
    }

    /// Of the scripts of a tool. Each keeps the number under which the history has it; new ones get the numbers after all that are taken.
    ///
    /// # Errors
    /// What is wrong with the scripts.
    pub(crate) fn in_scripts(
        tool: &dyn Tool,
        folder_of_scripts: &Path,
        folder: &Folder,
        applied: &[Applied],
    ) -> Result<Self> {
        let scripts = tool.scripts(folder_of_scripts).map_err(Error::Folder)?;
        let ours: Vec<&Applied> = applied.iter().filter(|row| row.kind == history::EXTERNAL).collect();
        let mut taken: BTreeSet<Version> = applied.iter().map(|row| row.version.clone()).collect();
        if !ours.is_empty() {
            taken.extend(folder.migrations.iter().map(|migration| migration.version.clone()));
        }
        let mut problems = Vec::new();
        let mut next = (1_u64..).map(|number| Version::parse(&format!("{number:03}")));
        let mut files = Vec::new();
        for script in scripts {
            let known = ours.iter().find(|row| row.filename == script.filename).map(|row| row.version.clone());
            let fresh =
                || next.by_ref().flatten().find(|version| taken.iter().next_back().is_none_or(|last| version > last));
            let Some(version) = known.or_else(fresh) else { break };
            if let Some(migration) = folder.find(&version) {
                let what =
                    format!("it has the number that `{}` of {} gets in the history", script.filename, tool.name());
                problems.push(Problem::new(
                    &migration.filename,
                    what,
                    "give it a number above those of the other tool",
                ));
            }
            files.push(of_script(version, script));
        }
        if problems.is_empty() { Ok(Self { files }) } else { Err(Error::Folder(problems)) }
    }
}

fn of_migration(migration: &Migration, dir: &Path) -> Result<File> {
    // A change set is a part of a file: `001_users.sql#ada:1`.
    let name = migration.filename.as_str();
    let whole = name.split_once('#').map_or(name, |(name, _)| name);
    let path = [name, whole].map(|name| dir.join(name)).into_iter().find(|path| path.exists());
    let path = path.unwrap_or_else(|| dir.join(name));
    let bytes = fs::read(&path).map_err(|e| {
        let what = format!("it cannot be read: {e}");
        Error::Folder(vec![Problem::new(path.display().to_string(), what, "mend the permissions")])
    })?;
    let scripts = migration.scripts();
    Ok(File {
        version: migration.version.clone(),
        name: migration.name(),
        filename: migration.filename.clone(),
        description: migration.description.clone(),
        kind: migration.kind.as_str().to_owned(),
        checksum: migration.checksum.clone(),
        up_script: scripts.and_then(|files| files.up.as_ref()).map(|up| Arc::clone(up.text())),
        down_script: scripts.and_then(|files| files.down.as_ref()).map(Script::to_keep),
        bytes,
        follows: Vec::new(),
    })
}

fn of_script(version: Version, script: Program) -> File {
    File {
        version,
        name: script.name,
        filename: script.filename,
        description: script.description,
        kind: history::EXTERNAL.to_owned(),
        checksum: checksum_of(&script.bytes),
        up_script: None,
        down_script: None,
        bytes: script.bytes,
        follows: script.follows,
    }
}

#[cfg(test)]
pub(super) fn file(version: &str, filename: &str, bytes: &[u8]) -> File {
    File {
        version: Version::parse(version).unwrap(),
        name: filename.split(['/', '.']).next().unwrap().to_owned(),
        filename: filename.to_owned(),
        description: "x".into(),
        kind: "sql".into(),
        checksum: checksum_of(bytes),
        up_script: None,
        down_script: None,
        bytes: bytes.to_vec(),
        follows: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_name() {
        let file = file("1", "2024-01-01-000000_users/up.sql", b"");
        assert_eq!((file.basename(), file.stem(), file.folder()), ("up.sql", "up", Some("2024-01-01-000000_users")));
        let file = super::file("1", "1_users.up.sql", b"");
        assert_eq!((file.stem(), file.folder()), ("1_users", None));
    }
}
