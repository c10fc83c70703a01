//! A folder of migrations: every file is understood, or named as a problem. Nothing is silently left out.

mod components;
mod content;
mod draft;
mod layout;
mod listing;
pub mod lockfile;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

pub(crate) use self::layout::change_set;
use self::{
    content::Lazy,
    draft::Draft,
    layout::Found,
    listing::{Listing, unreadable},
};
use crate::{
    config::Config,
    error::{Problem, Result},
    migration::{Checksum, Kind, Version},
    plugin::{Code, ComponentProgram, Engine},
    sql::{Script, SqlFiles, SqlProgram},
    step::Program,
};

/// A migration as it lies in the folder.
#[derive(Debug, Clone)]
pub struct Migration {
    /// What orders it among the others.
    pub version: Version,
    /// The words of its name.
    pub description: String,
    /// The file that is applied (the up script or the component), by its path within the folder.
    pub filename: String,
    /// What it is made of.
    pub kind: Kind,
    /// The digest of what is applied.
    pub checksum: Checksum,
    /// Its content, or all that is wrong with it. That counts when it is to run: a file that another tool has applied is as it is.
    pub content: Lazy,
}

/// What a migration is made of.
#[derive(Debug, Clone)]
pub enum Content {
    /// SQL files.
    Sql(Box<SqlFiles>),
    /// A component.
    Component(Code),
}

impl Migration {
    /// Version and description, as messages call it.
    pub fn name(&self) -> String {
        name(&self.version, &self.description)
    }

    /// The digest of its way down and its checks, where it is made of SQL files.
    pub fn companions(&self) -> Option<Checksum> {
        let files = self.scripts()?;
        let parts = [("down", &files.down), ("preflight", &files.preflight), ("verify", &files.verify)];
        let there = parts.into_iter().filter_map(|(name, script)| Some((name.to_owned(), script.as_ref()?.text())));
        Some(Checksum::of_parts(there))
    }

    /// What is wrong with its content.
    pub fn problems(&self) -> &[Problem] {
        self.content.get().err().unwrap_or_default()
    }

    /// Its scripts, where it has some that can be read.
    pub fn scripts(&self) -> Option<&SqlFiles> {
        match self.content.get() {
            Ok(Content::Sql(files)) => Some(files),
            _ => None,
        }
    }

    /// Makes it ready to run. A component needs an engine, and the operator's word on all that it requires.
    ///
    /// # Errors
    /// Why it cannot run here.
    pub async fn program(&self, engine: Option<&Engine>, config: &Config) -> Result<Box<dyn Program>, Vec<Problem>> {
        let code = match self.content.get() {
            Err(problems) => return Err(problems.to_vec()),
            Ok(Content::Sql(files)) => return Ok(Box::new(SqlProgram::new(SqlFiles::clone(files)))),
            Ok(Content::Component(code)) => code.clone(),
        };
        let name = self.filename.strip_suffix(".wasm").unwrap_or(&self.filename);
        let rights = config.rights_of(name, &self.checksum).map_err(|problem| vec![problem])?;
        let loaded = match engine {
            Some(engine) => ComponentProgram::load(engine, code, &self.checksum, rights.clone()).await,
            None => Err("there is no WebAssembly engine to run it".to_owned()),
        };
        let program = loaded.map_err(|what| {
            vec![Problem::new(&self.filename, what, "build it again with `lockgate plugin build`, then pin it")]
        })?;
        rights.check(name, &self.filename, &self.checksum, program.describe()).map_err(|problem| vec![problem])?;
        Ok(Box::new(program))
    }
}

/// How a migration is called: version and description. The version of a repeatable one says both.
pub fn name(version: &Version, description: &str) -> String {
    if version.is_repeatable() || description.is_empty() {
        version.to_string()
    } else {
        format!("{version}_{description}")
    }
}

/// What was found, and everything that is wrong with it.
#[derive(Debug, Default)]
pub struct Folder {
    /// The name of the layout that it was read in.
    pub layout: &'static str,
    /// In order of version.
    pub migrations: Vec<Migration>,
    /// Versions whose files are there, but which of them is meant cannot be told.
    pub refused: BTreeSet<Version>,
    /// What keeps files from being a migration of their version; it counts unless that is applied.
    pub of_versions: Vec<(Version, Problem)>,
    /// What is wrong with the folder itself, in order of file name.
    pub problems: Vec<Problem>,
}

impl Folder {
    /// A file that a script includes is no migration, and needs no name of one.
    fn forgive_included(&mut self) {
        if self.problems.is_empty() {
            return;
        }
        let scripts = self
            .migrations
            .iter()
            .filter_map(Migration::scripts)
            .flat_map(|files| [&files.up, &files.down, &files.preflight, &files.verify].into_iter().flatten());
        let included: BTreeSet<PathBuf> =
            scripts.flat_map(Script::included).filter_map(|file| file.canonicalize().ok()).collect();
        if included.is_empty() {
            return;
        }
        let is_included = |path: PathBuf| path.canonicalize().is_ok_and(|path| included.contains(&path));
        let holds_only_such = |path: &Path| {
            let entries =
                fs::read_dir(path).map(|entries| entries.flatten().map(|entry| entry.path()).collect::<Vec<_>>());
            entries.is_ok_and(|entries| !entries.is_empty() && entries.into_iter().all(is_included))
        };
        self.problems.retain(|problem| {
            let at = Path::new(&problem.at);
            !(is_included(at.to_owned()) || at.is_dir() && holds_only_such(at))
        });
    }

    /// What is wrong with the folder where these versions are applied.
    pub fn problems_beside(&self, is_applied: impl Fn(&Version) -> bool) -> Vec<Problem> {
        let of_versions = self.of_versions.iter().filter(|(version, _)| !is_applied(version));
        self.problems.iter().chain(of_versions.map(|(_, problem)| problem)).cloned().collect()
    }

    /// The migration of this version.
    pub fn find(&self, version: &Version) -> Option<&Migration> {
        self.migrations.iter().find(|migration| migration.version == *version)
    }
}

/// The layouts that `layout` in `lockgate.toml` may name.
pub fn layouts() -> Vec<&'static str> {
    layout::names()
}

/// Reads the folder of migrations as it is configured.
///
/// # Errors
/// As [`read`].
pub fn of(config: &Config) -> Result<Folder> {
    read(&config.dir, config.layout.as_deref(), &config.own_folders())
}

/// Reads the folder whole, in the layout of this name, or in the one that it seems to have. The folders that are `own` are left out.
///
/// # Errors
/// When the folder itself cannot be read. What is wrong within it is in [`Folder::problems`], and what is wrong with one migration is with
/// that one.
pub fn read(folder: &Path, layout: Option<&str>, own: &[PathBuf]) -> Result<Folder> {
    let mut listing = Listing::of(folder)?.without_folders(own);
    let layout = layout::of(&listing, layout);
    let problems = std::mem::take(&mut listing.problems);
    let mut folder = Folder { layout: layout.name(), problems, ..Folder::default() };
    tracing::debug!(layout = layout.name(), "the layout of the folder");
    let mut found = Found::default();
    layout.read(&listing, &mut found);
    folder.problems.extend(found.problems);
    folder.of_versions = found.of_versions;

    let pins = lockfile::read(&listing.path).unwrap_or_else(|problem| {
        folder.problems.push(problem);
        lockfile::Pins::new()
    });
    let sql = found.drafts.into_iter().map(Draft::into_migration);
    let mut migrations: Vec<Migration> = sql.chain(components::read(&listing, &pins, &mut folder)).collect();
    migrations.sort_by(|a, b| a.version.cmp(&b.version));
    for same in migrations.chunk_by(|a, b| a.version == b.version) {
        if let [first, _, ..] = same {
            let version = first.version.clone();
            let names = same.iter().map(|m| m.filename.as_str()).collect::<Vec<_>>().join(", ");
            let is_one = same.iter().all(|migration| migration.description == same[0].description);
            let has = |kind| same.iter().any(|migration| migration.kind == kind);
            let (what, next) = if is_one && has(Kind::Component) && has(Kind::Sql) {
                let next = "a component brings its own checks and its own down: remove the SQL files";
                (format!("one migration is both SQL and a component: {names}"), next)
            } else {
                let what = format!("version {version} is used by several migrations: {names}");
                (what, "give each migration a version of its own")
            };
            folder.problems.push(Problem::new(listing.at(&same[0].filename), what, next));
            folder.refused.insert(version);
        }
    }
    migrations.retain(|migration| !folder.refused.contains(&migration.version));
    folder.migrations = migrations;
    folder.forgive_included();
    Ok(folder)
}

/// The files of a migrations folder that are named as components, in order.
///
/// # Errors
/// When the folder cannot be read.
pub fn components(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut components = Vec::new();
    for entry in fs::read_dir(folder).map_err(|e| unreadable(folder, &e))? {
        let path = entry.map_err(|e| unreadable(folder, &e))?.path();
        if let Some(name) = path.file_name().and_then(|name| name.to_str())
            && name.ends_with(".wasm")
            && !name.starts_with('.')
        {
            components.push((name.to_owned(), path.clone()));
        }
    }
    components.sort();
    Ok(components)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    fn problems(files: &[(&str, &str)]) -> Vec<String> {
        let folder = folder(files);
        let found = read(folder.path(), None, &[]).unwrap();
        let of_migrations = found.migrations.iter().flat_map(Migration::problems);
        found.problems_beside(|_| false).iter().chain(of_migrations).map(|p| p.what.clone()).collect()
    }

    #[test]
    fn a_good_folder_is_read_in_order_of_number() {
        let folder = folder(&[
            ("10_b.up.sql", "select 1"),
            ("10_b.down.sql", ""),
            ("009_a.up.sql", "select 1"),
            ("009_a.down.sql", ""),
            ("009_a.verify.sql", "select true"),
            (".gitkeep", ""),
            ("README.md", ""),
        ]);
        let found = read(folder.path(), None, &[]).unwrap();
        assert!(found.problems.is_empty(), "{:?}", found.problems);
        assert_eq!(found.migrations.iter().map(Migration::name).collect::<Vec<_>>(), ["009_a", "10_b"]);
    }

    #[test]
    fn all_problems_are_reported_at_once() {
        let found = problems(&[
            ("001_a.up.sql", "select 1"),
            ("002_b.up.sql", "select 1"),
            ("002_b.down.sql", ""),
            ("2_c.up.sql", "select 1"),
            ("2_c.down.sql", ""),
            ("003_d.up.sql", "commit"),
            ("003_d.down.sql", "select 'x"),
            ("004_e.wasm", "no component"),
            ("005_f.down.sql", ""),
            ("006-g.up.sql", ""),
            ("007_H.up.sql", ""),
            ("x.sql", ""),
        ]);
        let all = found.join("\n");
        for part in [
            "`001_a.down.sql` is missing",
            "version 002 is used by several migrations: 002_b.up.sql, 2_c.up.sql",
            "`COMMIT` would end the transaction",
            "a string that never ends",
            "`004_e.wasm` is not pinned",
            "`005_f.up.sql` is missing",
        ] {
            assert!(all.contains(part), "{part} not in:\n{all}");
        }
        assert_eq!(found.iter().filter(|p| p.contains("not one of a migration")).count(), 2, "{all}");
    }

    #[test]
    fn a_missing_down_may_be_on_purpose() {
        assert!(problems(&[("001_a.up.sql", "-- lockgate: irreversible\nselect 1")]).is_empty());
        assert_eq!(
            problems(&[("001_a.up.sql", "-- lockgate: irreversible\nselect 1"), ("001_a.down.sql", "")]).len(),
            1
        );
    }

    #[test]
    fn a_check_that_checks_nothing_and_a_script_with_a_nul_are_refused() {
        let found =
            problems(&[("001_a.up.sql", "select 1;\0"), ("001_a.down.sql", ""), ("001_a.verify.sql", "-- later")]);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found.iter().any(|p| p.contains("NUL")) && found.iter().any(|p| p == "it checks nothing"));
    }

    #[test]
    fn a_link_out_of_the_folder_is_refused() {
        let outside = folder(&[("secret.sql", "select 1")]);
        let inside = folder(&[("001_a.down.sql", "")]);
        std::os::unix::fs::symlink(outside.path().join("secret.sql"), inside.path().join("001_a.up.sql")).unwrap();
        let found = read(inside.path(), None, &[]).unwrap();
        assert!(found.problems.iter().any(|p| p.what.contains("leads out")), "{:?}", found.problems);
    }

    #[test]
    fn pins_are_checked_both_ways() {
        let digest = Checksum::of_bytes(b"bytes");
        let lock = format!("[components]\n\"001_a.wasm\" = \"{digest}\"\n\"002_b.wasm\" = \"{digest}\"\n");
        let found = problems(&[("001_a.wasm", "other"), ("lockgate.lock", &lock)]);
        assert!(found[0].contains("is not the one that was pinned"), "{found:?}");
        assert!(found[1].contains("is pinned, but not there"), "{found:?}");
        assert!(problems(&[("001_a.wasm", "bytes"), ("002_b.wasm", "bytes"), ("lockgate.lock", &lock)]).is_empty());
    }
}
