//! From a folder with an `app.py` to a component, by componentize-py: CPython and the sources in one file, 18 MB.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use wasm_metadata::Producers;

use super::{
    BuildError, Wasi,
    command::{Tools, on_path},
    wit,
};

/// The version that this host was tested with, as pip takes it.
pub const COMPONENTIZE_PY: &str = "componentize-py==0.25.1";

/// The module that holds the class `Program`.
const APP: &str = "app";

pub(super) fn build(tools: &Tools, folder: &Path, wasi: Wasi) -> Result<Vec<u8>, BuildError> {
    let app = folder.join(APP).with_extension("py");
    if !app.is_file() && !folder.join(APP).join("__init__.py").is_file() {
        return Err(BuildError::NoSource { path: app, what: "the module with the class `Program`" });
    }
    let tool = find(folder)?;
    let work = wit::folder()?;
    let component = work.path().join("component.wasm");
    let mut command = Command::new(&tool);
    command.current_dir(folder).arg("--quiet").arg("--wit-path").arg(work.path()).args(["--world", wit::WORLD]);
    command.args(["componentize", APP, "--output"]).arg(&component);
    // Without it, the packages of the environment that componentize-py itself lives in become part of the component.
    command.args(["--python-path", "."]);
    if let Some(packages) = site_packages(folder) {
        command.arg("--python-path").arg(packages);
    }
    if wasi == Wasi::Stubbed {
        command.arg("--stub-wasi");
    }
    // The order of sets, which the snapshot keeps, would be another at every build.
    command.env("PYTHONHASHSEED", "0").env_remove("VIRTUAL_ENV");
    tools.output(&mut command)?;
    let component = fs::read(&component).map_err(BuildError::file(&component))?;
    // The component itself names a part of componentize-py only; one that does not tell its version is named without.
    let said = tools.output(Command::new(&tool).arg("--version")).unwrap_or_default();
    let version = said.trim().strip_prefix("componentize-py ").unwrap_or_default();
    let mut producers = Producers::empty();
    producers.add("sdk", "componentize-py", version);
    producers.add_to_wasm(&component).map_err(|error| BuildError::Encode(format!("{error:#}")))
}

/// In the project's own environment, else on PATH.
fn find(folder: &Path) -> Result<PathBuf, BuildError> {
    let environment = folder.join(".venv");
    let own = environment.join("bin/componentize-py");
    if own.is_file() {
        return Ok(own);
    }
    let requirements = folder.join("requirements.txt");
    let names_it = fs::read_to_string(&requirements).is_ok_and(|text| text.contains("componentize-py"));
    let requirements = names_it.then_some(requirements);
    on_path("componentize-py").ok_or(BuildError::NoComponentizePy { environment, requirements })
}

/// The packages of the project's own environment.
fn site_packages(folder: &Path) -> Option<PathBuf> {
    let libraries = folder.join(".venv/lib").read_dir().ok()?;
    libraries.flatten().map(|version| version.path().join("site-packages")).find(|packages| packages.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_of_the_project_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().join(".venv/bin");
        fs::create_dir_all(&bin).unwrap();
        fs::write(bin.join("componentize-py"), "").unwrap();
        assert_eq!(find(folder.path()).unwrap(), bin.join("componentize-py"));
    }

    #[test]
    fn a_folder_without_its_module_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let error = build(&Tools::default(), folder.path(), Wasi::Stubbed).unwrap_err();
        assert!(error.to_string().contains("app.py` is missing: the module with the class `Program`"), "{error}");
    }
}
