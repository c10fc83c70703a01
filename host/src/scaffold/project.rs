//! The project of a plugin.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{Name, Scaffold, template, workspace};
use crate::{
    error::{Error, Result},
    plugin::{
        INTERFACE_VERSION,
        build::{COMPONENTIZE_JS, COMPONENTIZE_PY, Language},
    },
};

/// Where a crate gets `lockgate-plugin` and `lockgate` from.
#[derive(Debug, Clone, Default)]
pub struct Dependencies {
    /// A checkout of Lockgate. None: the one that the new folder lies in.
    pub checkout: Option<PathBuf>,
}

pub(super) fn write(plugins: &Path, name: &Name, language: Language, dependencies: &Dependencies) -> Result<Scaffold> {
    let crate_name = name.with_hyphens();
    if crate_name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(Error::configuration(
            format!("a plugin's name begins with a letter, and `{crate_name}` does not"),
            "put a word before it, such as `add`",
        ));
    }
    let folder = plugins.join(&crate_name);
    let manifest = match language {
        Language::Rust => Some(Manifest::of(plugins, dependencies)?),
        Language::Python | Language::JavaScript => None,
    };
    fs::create_dir_all(plugins).map_err(|e| template::refused(plugins, &e))?;
    fs::create_dir(&folder).map_err(|e| template::refused(&folder, &e))?;
    let to_do = match &manifest {
        Some(Manifest { checkout, is_member: true, .. }) => workspace::join(checkout, &crate_name),
        _ => None,
    };
    let shown = folder.display().to_string();
    let (sdk, lockgate, workspace) = manifest
        .map_or_else(Default::default, |m| (m.sdk, m.lockgate, if m.is_member { "" } else { Manifest::OWN_WORKSPACE }));
    let title = name.with_spaces();
    let values = [
        ("name", name.as_str()),
        ("crate", &crate_name),
        ("title", &title),
        ("folder", &shown),
        ("interface", INTERFACE_VERSION),
        ("sdk", &sdk),
        ("lockgate", &lockgate),
        ("workspace", workspace),
        ("componentize_py", COMPONENTIZE_PY),
        ("componentize_js", COMPONENTIZE_JS.0),
        ("componentize_js_version", COMPONENTIZE_JS.1),
    ];
    let mut files = Vec::new();
    for (path, text) in templates(language) {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|e| template::refused(parent, &e))?;
        }
        // Where there is no workspace to tell, the manifest ends without an empty line.
        files.push((path, template::fill(text, &values).trim_end().to_owned() + "\n"));
    }
    Ok(Scaffold { files: template::write(files)?, next: to_do.into_iter().chain(next(language, &shown)).collect() })
}

/// The files of a project, with the one to read first at the head.
fn templates(language: Language) -> &'static [(&'static str, &'static str)] {
    match language {
        Language::Rust => &[
            ("src/lib.rs", include_str!("templates/rust/lib.rs")),
            ("tests/migration.rs", include_str!("templates/rust/migration.rs")),
            ("Cargo.toml", include_str!("templates/rust/manifest.toml")),
            ("README.md", include_str!("templates/rust/README.md")),
            (".gitignore", include_str!("templates/rust/gitignore")),
        ],
        Language::Python => &[
            ("app.py", include_str!("templates/python/app.py")),
            ("requirements.txt", include_str!("templates/python/requirements.txt")),
            ("README.md", include_str!("templates/python/README.md")),
            (".gitignore", include_str!("templates/python/gitignore")),
        ],
        Language::JavaScript => &[
            ("app.js", include_str!("templates/javascript/app.js")),
            ("package.json", include_str!("templates/javascript/package.json")),
            ("README.md", include_str!("templates/javascript/README.md")),
            (".gitignore", include_str!("templates/javascript/gitignore")),
        ],
    }
}

fn next(language: Language, folder: &str) -> Vec<String> {
    let prepare = match language {
        Language::Rust => format!("cargo test --manifest-path {folder}/Cargo.toml"),
        Language::Python => {
            format!("python3 -m venv {folder}/.venv && {folder}/.venv/bin/pip install -r {folder}/requirements.txt")
        }
        Language::JavaScript => format!("npm install --prefix {folder}"),
    };
    let build = format!("lockgate plugin build {folder} && lockgate plugin pin");
    match language {
        Language::Rust => vec![prepare, build, "lockgate plan".to_owned()],
        Language::Python | Language::JavaScript => vec![prepare, format!("lockgate plugin test {folder}"), build],
    }
}

/// What a crate's manifest says of Lockgate.
struct Manifest {
    sdk: String,
    lockgate: String,
    checkout: PathBuf,
    /// Whether it belongs into the workspace of the checkout.
    is_member: bool,
}

impl Manifest {
    /// A workspace around the new crate that does not list it would refuse it.
    const OWN_WORKSPACE: &str = "\n# A workspace of its own, whatever lies around it.\n[workspace]";

    fn of(plugins: &Path, dependencies: &Dependencies) -> Result<Self> {
        let plugins = std::path::absolute(plugins).map_err(|e| template::refused(plugins, &e))?;
        let checkout = match &dependencies.checkout {
            Some(folder) => {
                let found = folder.canonicalize().ok().filter(|folder| is_checkout(folder));
                Some(found.ok_or_else(|| {
                    Error::configuration(
                        format!("`{}` is no checkout of Lockgate: it has no plugins/sdk and host", folder.display()),
                        "name the folder that holds both, or leave `--lockgate-path` out",
                    )
                })?)
            }
            None => plugins.ancestors().find(|folder| is_checkout(folder)).map(Path::to_owned),
        };
        let checkout = checkout.ok_or_else(|| {
            Error::configuration(
                "a plugin in Rust needs the crate `lockgate-plugin`, which is in no registry yet, and no checkout of Lockgate lies \
                 around the new folder",
                "name a checkout with `--lockgate-path FOLDER`",
            )
        })?;
        // The folder of the checkout's own plugins.
        let is_member = plugins == checkout.join("plugins");
        let path = |part: &str| match is_member {
            true => Path::new(if part == "host" { "../.." } else { ".." }).join(part.trim_start_matches("plugins/")),
            false => checkout.join(part),
        };
        Ok(Self {
            sdk: format!("{{ path = {:?} }}", path("plugins/sdk")),
            lockgate: format!("{{ path = {:?}, features = [\"testing\"] }}", path("host")),
            checkout,
            is_member,
        })
    }
}

fn is_checkout(folder: &Path) -> bool {
    let names = |path: &str, line: &str| {
        fs::read_to_string(folder.join(path)).is_ok_and(|text| text.lines().any(|l| l == line))
    };
    names("plugins/sdk/Cargo.toml", "name = \"lockgate-plugin\"") && names("host/Cargo.toml", "name = \"lockgate\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scaffold(plugins: &Path, language: Language) -> Result<Scaffold> {
        write(plugins, &Name::parse("hash tokens").unwrap(), language, &Dependencies::default())
    }

    const WORKSPACE: &str = "[workspace]\nmembers = [\n    \"host\", # here\n    \"plugins/sdk\",\n    \"tests\",\n]\n";

    fn checkout(root: &Path) {
        for (folder, name) in [("plugins/sdk", "lockgate-plugin"), ("host", "lockgate")] {
            fs::create_dir_all(root.join(folder)).unwrap();
            fs::write(root.join(folder).join("Cargo.toml"), format!("[package]\nname = \"{name}\"\n")).unwrap();
        }
        fs::write(root.join("Cargo.toml"), WORKSPACE).unwrap();
    }

    #[test]
    fn every_place_of_every_template_is_filled() {
        for language in [Language::Rust, Language::Python, Language::JavaScript] {
            let root = tempfile::tempdir().unwrap();
            checkout(root.path());
            let made = scaffold(&root.path().join("plugins"), language).unwrap();
            assert_eq!(made.next.len(), 3);
            for file in &made.files {
                let text = fs::read_to_string(file).unwrap();
                assert!(!text.contains("{{") || text.contains("format_args!"), "{}:\n{text}", file.display());
            }
            assert_eq!(Language::of(&root.path().join("plugins/hash-tokens")).unwrap(), language);
        }
    }

    #[test]
    fn a_folder_that_is_there_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("hash-tokens")).unwrap();
        let error = scaffold(root.path(), Language::Python).unwrap_err();
        assert!(error.report().what.ends_with("is there already, and is not overwritten"));
        assert_eq!(root.path().join("hash-tokens").read_dir().unwrap().count(), 0);
    }

    #[test]
    fn a_crate_finds_lockgate() {
        let root = tempfile::tempdir().unwrap();
        let manifest = |plugins: &Path| {
            scaffold(plugins, Language::Rust).unwrap();
            fs::read_to_string(plugins.join("hash-tokens/Cargo.toml")).unwrap()
        };
        let apart = scaffold(&root.path().join("apart"), Language::Rust).unwrap_err().report();
        assert!(apart.what.contains("is in no registry yet") && apart.next.unwrap().contains("--lockgate-path"));
        assert_eq!(root.path().read_dir().unwrap().count(), 0, "nothing is left");
        checkout(root.path());
        let member = manifest(&root.path().join("plugins"));
        assert!(member.contains("lockgate-plugin = { path = \"../sdk\" }\n"), "{member}");
        assert!(member.contains("lockgate = { path = \"../../host\", features = [\"testing\"] }\n"), "{member}");
        assert!(!member.contains("[workspace]"), "{member}");
        let inside = manifest(&root.path().join("mine"));
        assert!(inside.contains(&format!("{:?}", root.path().join("plugins/sdk"))), "{inside}");
        assert!(inside.ends_with("\n[workspace]\n"), "{inside}");
        let members = WORKSPACE.replace("\"plugins/sdk\",\n", "\"plugins/sdk\",\n    \"plugins/hash-tokens\",\n");
        assert_eq!(fs::read_to_string(root.path().join("Cargo.toml")).unwrap(), members);
    }

    #[test]
    fn what_is_no_checkout_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let dependencies = Dependencies { checkout: Some(root.path().to_owned()) };
        let refused = write(root.path(), &Name::parse("a").unwrap(), Language::Rust, &dependencies);
        assert!(refused.unwrap_err().report().what.contains("is no checkout of Lockgate"));
        assert_eq!(root.path().read_dir().unwrap().count(), 0, "nothing is left");
    }

    #[test]
    fn a_name_that_begins_with_a_digit_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let refused = write(root.path(), &Name::parse("2fa").unwrap(), Language::Rust, &Dependencies::default());
        assert!(refused.is_err());
    }
}
