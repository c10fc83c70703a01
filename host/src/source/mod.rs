//! A folder of migrations: every file is understood, or named as a problem. Nothing is silently left out.

mod components;
pub mod lockfile;
mod sql_files;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    config::Config,
    error::{Error, Problem, Result},
    migration::{Checksum, Kind, Version},
    plugin::{ComponentProgram, Engine},
    sql::{SqlFiles, SqlProgram},
    step::Program,
};

/// A migration as it lies in the folder.
#[derive(Debug, Clone)]
pub struct Migration {
    /// The digits of its name.
    pub version: Version,
    /// The words of its name.
    pub description: String,
    /// The file that is applied: the `.up.sql` or the component.
    pub filename: String,
    /// The digest of that file.
    pub checksum: Checksum,
    /// Its content.
    pub content: Content,
}

/// What a migration is made of.
#[derive(Debug, Clone)]
pub enum Content {
    /// SQL files.
    Sql(Box<SqlFiles>),
    /// The bytes of a component.
    Component(Vec<u8>),
}

impl Migration {
    /// `sql` or `component`.
    pub fn kind(&self) -> Kind {
        match self.content {
            Content::Sql(_) => Kind::Sql,
            Content::Component(_) => Kind::Component,
        }
    }

    /// Version and description, as messages call it.
    pub fn name(&self) -> String {
        format!("{}_{}", self.version, self.description)
    }

    /// Makes it ready to run. A component needs an engine, and the operator's word on all that it requires.
    ///
    /// # Errors
    /// Why a component cannot run here.
    pub async fn program(&self, engine: Option<&Engine>, config: &Config) -> Result<Box<dyn Program>, Problem> {
        let bytes = match &self.content {
            Content::Sql(files) => return Ok(Box::new(SqlProgram::new(SqlFiles::clone(files)))),
            Content::Component(bytes) => bytes.clone(),
        };
        let name = self.filename.strip_suffix(".wasm").unwrap_or(&self.filename);
        let rights = config.rights_of(name, &self.checksum)?;
        let loaded = match engine {
            Some(engine) => ComponentProgram::load(engine, bytes, &self.checksum, rights.clone()).await,
            None => Err("there is no WebAssembly engine to run it".to_owned()),
        };
        let program = loaded.map_err(|what| {
            Problem::new(&self.filename, what, "build it again with `lockgate plugin build`, then pin it")
        })?;
        rights.check(name, &self.filename, &self.checksum, program.describe())?;
        Ok(Box::new(program))
    }
}

/// What was found, and everything that is wrong with it.
#[derive(Debug, Default)]
pub struct Folder {
    /// In order of version.
    pub migrations: Vec<Migration>,
    /// Versions whose files are there and have a problem.
    pub refused: BTreeSet<Version>,
    /// All problems, in order of file name.
    pub problems: Vec<Problem>,
}

/// The parts of a file's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Up,
    Down,
    Preflight,
    Verify,
    Component,
}

const PARTS: [(&str, Part); 5] = [
    (".up.sql", Part::Up),
    (".down.sql", Part::Down),
    (".preflight.sql", Part::Preflight),
    (".verify.sql", Part::Verify),
    (".wasm", Part::Component),
];

/// The files of one version.
#[derive(Debug)]
struct Group<'a> {
    version: Version,
    /// Version and description, without the ending.
    stem: String,
    folder: &'a Path,
    parts: BTreeMap<Part, String>,
}

impl Group<'_> {
    fn description(&self) -> String {
        self.stem.split_once('_').map_or("", |(_, words)| words).to_owned()
    }
}

/// Reads the folder whole.
///
/// # Errors
/// When the folder itself cannot be read. What is wrong within it is in [`Folder::problems`].
pub fn read(folder: &Path) -> Result<Folder> {
    let unreadable = |e| unreadable(folder, &e);
    let root = folder.canonicalize().map_err(unreadable)?;
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        names.push(entry.map_err(unreadable)?.file_name());
    }
    names.sort();

    let mut found = Folder::default();
    let mut groups: BTreeMap<Version, Vec<Group<'_>>> = BTreeMap::new();
    for name in names {
        let Some(name) = name.to_str() else {
            let at = name.to_string_lossy().into_owned();
            found.problems.push(Problem::new(at, "the name is not UTF-8", "rename it"));
            continue;
        };
        if name.starts_with('.') || name == lockfile::NAME || name.ends_with(".md") {
            continue;
        }
        match understand(folder, &root, name) {
            Ok((version, stem, part)) => {
                let same = groups.entry(version.clone()).or_default();
                match same.iter_mut().find(|g| g.stem == stem) {
                    Some(group) => {
                        group.parts.insert(part, name.to_owned());
                    }
                    None => {
                        same.push(Group { version, stem, folder, parts: BTreeMap::from([(part, name.to_owned())]) });
                    }
                }
            }
            Err(problem) => found.problems.push(problem),
        }
    }
    let pins = lockfile::read(folder).unwrap_or_else(|problem| {
        found.problems.push(problem);
        lockfile::Pins::new()
    });
    for same in groups.into_values() {
        if same.len() > 1 {
            found.refused.insert(same[0].version.clone());
            let names: Vec<&str> = same.iter().flat_map(|g| g.parts.values()).map(String::as_str).collect();
            let what = format!("version {} is used by several migrations: {}", same[0].version, names.join(", "));
            found.problems.push(Problem::new(&same[0].stem, what, "give each migration a version of its own"));
            continue;
        }
        for group in same {
            let version = group.version.clone();
            let migration = if group.parts.contains_key(&Part::Component) {
                components::read(&group, &pins)
            } else {
                sql_files::read(&group)
            };
            match migration {
                Ok(migration) => found.migrations.push(migration),
                Err(problems) => {
                    found.refused.insert(version);
                    found.problems.extend(problems);
                }
            }
        }
    }
    components::check_absent(&pins, &found.migrations, folder, &mut found.problems);
    Ok(found)
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

fn unreadable(folder: &Path, error: &io::Error) -> Error {
    Error::configuration(
        format!("the migrations folder `{}` cannot be read: {error}", folder.display()),
        "name it with `--dir`, or run from the folder that holds `migrations`",
    )
}

fn understand(folder: &Path, root: &Path, name: &str) -> Result<(Version, String, Part), Problem> {
    const FORM: &str = "name it `<version>_<description>` with a-z, 0-9 and _, and one of the endings .up.sql, .down.sql, \
                        .preflight.sql, .verify.sql, .wasm; or move it out of the folder";
    let path = folder.join(name);
    let at = path.display().to_string();
    if path.is_dir() {
        return Err(Problem::new(at, "a folder among the migrations, which are files", "move it elsewhere"));
    }
    match path.canonicalize() {
        Ok(real) if real.starts_with(root) && real.is_file() => {}
        Ok(real) if real.starts_with(root) => {
            return Err(Problem::new(at, "it is no regular file", "move it elsewhere"));
        }
        Ok(_) => {
            return Err(Problem::new(at, "a link that leads out of the migrations folder", "put the file itself here"));
        }
        Err(e) => return Err(Problem::new(at, format!("it cannot be read: {e}"), "mend the link or the permissions")),
    }
    let Some((stem, part)) = PARTS.iter().find_map(|(ending, part)| Some((name.strip_suffix(ending)?, *part))) else {
        return Err(Problem::new(at, "the name is not one of a migration", FORM));
    };
    let word = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    match stem.split_once('_') {
        Some((digits, description)) if word(description) => match Version::parse(digits) {
            Some(version) => Ok((version, stem.to_owned(), part)),
            None => Err(Problem::new(at, format!("`{digits}` is no version"), FORM)),
        },
        _ => Err(Problem::new(at, "the name is not one of a migration", FORM)),
    }
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
        read(folder.path()).unwrap().problems.into_iter().map(|p| p.what).collect()
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
        let found = read(folder.path()).unwrap();
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
            "version 002 is used by several migrations: 002_b.up.sql, 002_b.down.sql, 2_c.up.sql, 2_c.down.sql",
            "`COMMIT` would end the transaction",
            "a string that never ends",
            "`004_e.wasm` is not pinned",
            "`005_f.up.sql` is missing",
        ] {
            assert!(all.contains(part), "{part} not in:\n{all}");
        }
        assert_eq!(found.iter().filter(|p| p.contains("not one of a migration")).count(), 3, "{all}");
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
        let found = read(inside.path()).unwrap();
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
