//! Builds a migration component from an author's folder, in Rust, Python or JavaScript: `lockgate plugin build`.

mod command;
mod error;
mod javascript;
mod language;
mod python;
mod rust;
mod wit;

use std::{path::Path, sync::Arc};

use wasm_metadata::Producers;
use wit_component::DecodedWasm;

pub use error::BuildError;
pub use javascript::COMPONENTIZE_JS;
pub use language::Language;
pub use python::COMPONENTIZE_PY;
pub use wit::WIT;

use self::command::Tools;
use super::INTERFACE_VERSION;

/// What the package of the interface is called in imports and exports.
const PACKAGE: &str = "lockgate:migration/";

/// Whether a Python or JavaScript component imports WASI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wasi {
    /// No: its clock and its random numbers are those of the moment when it was built.
    Stubbed,
    /// Yes: a clock or random numbers that the operator grants reach it that way.
    Imported,
}

/// Builds the component of the project in `folder` and returns its bytes.
///
/// Takes seconds to minutes, off the threads of the runtime; the tools end when the future is dropped. Runs the tools of the project's language, as the
/// project's own environment has them, else those on PATH.
///
/// # Errors
/// When the folder holds no plugin or could be of several languages, a tool is missing (the text says which command
/// installs it) or fails (the text carries what it said), or the result is no migration for this host.
pub async fn build(folder: &Path, wasi: Wasi) -> Result<Vec<u8>, BuildError> {
    /// Stops the tools of a build that nobody waits for any longer.
    struct Stops(Arc<Tools>);
    impl Drop for Stops {
        fn drop(&mut self) {
            self.0.stop();
        }
    }
    let tools = Stops(Arc::default());
    let (folder, of_thread) = (folder.to_owned(), Arc::clone(&tools.0));
    let work = tokio::task::spawn_blocking(move || build_with(&of_thread, &folder, wasi));
    work.await.unwrap_or(Err(BuildError::Stopped))
}

fn build_with(tools: &Tools, folder: &Path, wasi: Wasi) -> Result<Vec<u8>, BuildError> {
    if folder.is_file() {
        return Err(BuildError::NotAFolder);
    }
    if !folder.is_dir() {
        return Err(BuildError::NoFolder(folder.to_owned()));
    }
    let folder = std::path::absolute(folder).map_err(BuildError::file(folder))?;
    let language = Language::of(&folder)?;
    let component = match language {
        Language::Rust => rust::build(tools, &folder)?,
        Language::Python => python::build(tools, &folder, wasi)?,
        Language::JavaScript => javascript::build(tools, &folder, wasi)?,
    };
    check(&component, language)?;
    let mut producers = Producers::empty();
    producers.add("processed-by", "lockgate", env!("CARGO_PKG_VERSION"));
    producers.add_to_wasm(&component).map_err(|error| BuildError::Encode(format!("{error:#}")))
}

/// Refuses what the host would refuse later, while the author is at hand.
fn check(component: &[u8], language: Language) -> Result<(), BuildError> {
    let decoded = wit_component::decode(component).map_err(|error| BuildError::Encode(format!("{error:#}")))?;
    let DecodedWasm::Component(resolve, world) = decoded else {
        return Err(BuildError::NoExport(language));
    };
    let world = &resolve.worlds[world];
    let name = |key| resolve.name_world_key(key);
    let Some(export) = world.exports.keys().map(name).find(|name| name.starts_with("lockgate:migration/program@"))
    else {
        return Err(BuildError::NoExport(language));
    };
    for import in world.imports.keys().map(name) {
        if !import.starts_with(PACKAGE) && !import.starts_with("wasi:") {
            return Err(BuildError::UnknownImport(import));
        }
    }
    let built_for = export.rsplit_once('@').map_or("", |(_, version)| version);
    if minor(built_for) != minor(INTERFACE_VERSION) {
        return Err(BuildError::OtherVersion { built_for: built_for.to_owned(), offered: INTERFACE_VERSION });
    }
    Ok(())
}

/// Patch releases fit one another.
fn minor(version: &str) -> Option<&str> {
    version.rsplit_once('.').map(|(minor, _)| minor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_folder_is_named() {
        let error = build_with(&Tools::default(), Path::new("/nonexistent"), Wasi::Stubbed).unwrap_err();
        assert_eq!(error.to_string(), "there is no folder `/nonexistent`");
    }

    #[test]
    fn what_exports_no_migration_is_refused() {
        let empty_component = b"\0asm\x0d\0\x01\0";
        let error = check(empty_component, Language::Python).unwrap_err();
        assert_eq!(error.to_string(), "the component exports no migration: app.py needs a class `Program`");
        assert!(matches!(
            check(b"\0asm\x01\0\0\0", Language::Rust),
            Err(BuildError::Encode(_) | BuildError::NoExport(_))
        ));
    }

    #[test]
    fn the_interface_is_the_one_that_this_host_offers() {
        assert!(WIT.contains(&format!("package lockgate:migration@{INTERFACE_VERSION};")));
    }
}
