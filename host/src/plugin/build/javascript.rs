//! From a folder with a `package.json` to a component, by componentize-js: SpiderMonkey and the sources in one file, 14 MB.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value as Json;

use super::{BuildError, Wasi, command::Tools, wit};

/// The package and the version that this host was tested with.
pub const COMPONENTIZE_JS: (&str, &str) = ("@bytecodealliance/componentize-js", "0.23.0");

/// Where else componentize-js may be: the folder that holds `node_modules`.
const FALLBACK: &str = "LOCKGATE_NODE_MODULES";

/// Given to node as text: what it imports is then looked for from the folder it runs in.
const SCRIPT: &str = include_str!("javascript.mjs");

pub(super) fn build(tools: &Tools, folder: &Path, wasi: Wasi) -> Result<Vec<u8>, BuildError> {
    let main = main_module(folder)?;
    if !folder.join(&main).is_file() {
        let what = "the module that package.json names as `main`, or index.js";
        return Err(BuildError::NoSource { path: folder.join(main), what });
    }
    let packages = find(folder).ok_or_else(|| BuildError::NoComponentizeJs(folder.to_owned()))?;
    let work = wit::folder()?;
    // The component names the folder of its sources: that of this copy tells nobody's name.
    let sources = work.path().join("sources");
    copy(folder, &sources)?;
    let component = work.path().join("component.wasm");
    let mut node = Command::new("node");
    node.current_dir(packages).args(["--input-type=module", "--eval", SCRIPT, "--"]);
    node.arg(sources.join(main)).arg(work.path().join("lockgate.wit")).arg(wit::WORLD);
    node.arg(if wasi == Wasi::Imported { "wasi" } else { "none" }).arg(&component);
    tools.output(&mut node)?;
    fs::read(&component).map_err(BuildError::file(&component))
}

fn main_module(folder: &Path) -> Result<PathBuf, BuildError> {
    let path = folder.join("package.json");
    let text = fs::read_to_string(&path).map_err(BuildError::file(&path))?;
    let package: Json = serde_json::from_str(&text)
        .map_err(|error| BuildError::File { path: path.clone(), source: std::io::Error::other(error) })?;
    Ok(package["main"].as_str().unwrap_or("index.js").trim_start_matches("./").into())
}

/// The folder whose `node_modules` has componentize-js: the project, one above it, or the one that the environment names.
fn find(folder: &Path) -> Option<PathBuf> {
    let fallback = env::var_os(FALLBACK).map(PathBuf::from);
    let has = |folder: &Path| folder.join("node_modules").join(COMPONENTIZE_JS.0).join("package.json").is_file();
    folder.ancestors().map(Path::to_owned).chain(fallback).find(|folder| has(folder))
}

/// Copies a project without the packages that it was built with.
fn copy(from: &Path, to: &Path) -> Result<(), BuildError> {
    fs::create_dir(to).map_err(BuildError::file(to))?;
    for entry in from.read_dir().map_err(BuildError::file(from))? {
        let path = entry.map_err(BuildError::file(from))?.path();
        let Some(name) = path.file_name() else { continue };
        if name == "node_modules" || name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let target = to.join(name);
        if path.is_dir() {
            copy(&path, &target)?;
        } else {
            fs::copy(&path, &target).map_err(BuildError::file(&path))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(package: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("package.json"), package).unwrap();
        folder
    }

    #[test]
    fn the_package_names_its_module() {
        assert_eq!(main_module(project(r#"{"main": "./app.js"}"#).path()).unwrap(), Path::new("app.js"));
        assert_eq!(main_module(project("{}").path()).unwrap(), Path::new("index.js"));
        assert!(matches!(main_module(project("{").path()), Err(BuildError::File { .. })));
    }

    #[test]
    fn a_missing_module_is_named() {
        let error = build(&Tools::default(), project(r#"{"main": "app.js"}"#).path(), Wasi::Stubbed).unwrap_err();
        assert!(error.to_string().contains("app.js` is missing"), "{error}");
    }

    #[test]
    fn packages_and_hidden_files_are_not_copied() {
        let (from, to) = (project("{}"), tempfile::tempdir().unwrap());
        for folder in ["node_modules/a", ".git", "src"] {
            fs::create_dir_all(from.path().join(folder)).unwrap();
            fs::write(from.path().join(folder).join("x.js"), "").unwrap();
        }
        let to = to.path().join("sources");
        copy(from.path(), &to).unwrap();
        let mut names: Vec<_> = to.read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["package.json", "src"]);
        assert!(to.join("src/x.js").is_file());
    }
}
