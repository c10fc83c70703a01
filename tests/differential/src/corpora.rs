//! SQL that others wrote: the parser tests of squawk (Apache-2.0 or MIT), as the registry holds them for the linter that the host uses; the
//! scripts that PostgreSQL's packages install (PostgreSQL licence); and the scripts of this project. None is copied.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// The texts, each with its name, in order.
///
/// # Panics
/// When a folder that should be there is not.
pub fn texts() -> Vec<(String, String)> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut folders = vec![project.join("migrations"), project.join("tests/fixtures")];
    folders.extend(squawk());
    folders.extend(children(Path::new("/usr/share/postgresql")));
    let mut files = Vec::new();
    for folder in &folders {
        collect(folder, &mut files);
    }
    files.sort();
    let read = |path: PathBuf| Some((path.display().to_string(), fs::read_to_string(path).ok()?));
    files.into_iter().filter_map(read).collect()
}

/// The tests of squawk's parser, which cargo has fetched for the host.
fn squawk() -> Vec<PathBuf> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| env::home_dir().map(|home| home.join(".cargo"))).expect("a home of cargo's");
    let crates = children(&home.join("registry/src")).into_iter().flat_map(|registry| children(&registry));
    let is_squawk =
        |path: &PathBuf| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("squawk-parser-"));
    let folders: Vec<PathBuf> = crates.filter(is_squawk).map(|path| path.join("tests/data")).collect();
    assert!(!folders.is_empty(), "squawk-parser is not in cargo's registry: run `cargo fetch --locked`");
    folders
}

fn children(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).map(|entries| entries.filter_map(|e| Some(e.ok()?.path())).collect()).unwrap_or_default()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for path in children(folder) {
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "sql") {
            files.push(path);
        }
    }
}
