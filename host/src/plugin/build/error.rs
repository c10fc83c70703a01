use std::{
    io,
    path::{Path, PathBuf},
    process::ExitStatus,
};

use super::{Language, javascript::COMPONENTIZE_JS, python::COMPONENTIZE_PY, rust::TARGET};

/// Why no component was built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// There is no such folder.
    #[error("there is no folder `{}`", .0.display())]
    NoFolder(PathBuf),
    /// The build was given up.
    #[error("the build was stopped")]
    Stopped,
    /// What was named is a file.
    #[error("it is a file, and a plugin is built from the folder of its sources")]
    NotAFolder,
    /// Nothing in the folder tells its language.
    #[error(
        "`{}` holds no plugin: a Cargo.toml makes it one in Rust, a pyproject.toml, requirements.txt or app.py one in Python, \
         a package.json one in JavaScript; `lockgate new DESCRIPTION --rust` (or --python, --js) writes one to begin with",
        .0.display()
    )]
    NoPlugin(PathBuf),
    /// The folder could be of several languages.
    #[error("`{}` could be {}: keep the files of one language", folder.display(), either(.languages))]
    Ambiguous {
        /// The folder.
        folder: PathBuf,
        /// What it could be.
        languages: Vec<Language>,
    },
    /// The source that the tools begin with is not there.
    #[error("`{}` is missing: {what}", path.display())]
    NoSource {
        /// The file that was looked for.
        path: PathBuf,
        /// What it has to be.
        what: &'static str,
    },
    /// The crate has no `cdylib` target.
    #[error("`{}` builds no component: set `crate-type = [\"cdylib\"]` under [lib] in its Cargo.toml", .0.display())]
    NoCdylib(PathBuf),
    /// Neither the Rust target nor a way around it is installed.
    #[error(
        "no Rust toolchain here compiles to {TARGET}: install rustup (https://rustup.rs), unless it is there, and run \
         `rustup target add {TARGET}`; or, where it cannot reach its server, `apt-get install rustc-web rust-web-src` and a linker, `apt-get install lld`{}",
        detail(.rustup)
    )]
    NoRustTarget {
        /// What rustup said.
        rustup: String,
    },
    /// There is no cargo at all.
    #[error(
        "there is no `cargo` on PATH: install Rust with rustup (https://rustup.rs), then run `rustup target add {TARGET}`"
    )]
    NoCargo,
    /// componentize-py is not installed.
    #[error(
        "componentize-py is neither in `{environment}` nor on PATH: run `python3 -m venv {environment}`, then \
         {}",
        pip(.environment, .requirements.as_deref()),
        environment = .environment.display()
    )]
    NoComponentizePy {
        /// Where the project's own would be.
        environment: PathBuf,
        /// The project's requirements.txt, where that has it.
        requirements: Option<PathBuf>,
    },
    /// Node.js is not installed.
    #[error("there is no `node` on PATH: install Node.js 20 or newer, such as with `apt-get install nodejs npm`")]
    NoNode,
    /// componentize-js is not installed.
    #[error(
        "{} is not installed for `{}`: run `npm install` there, with {} in its package.json",
        COMPONENTIZE_JS.0,
        .0.display(),
        dependency()
    )]
    NoComponentizeJs(PathBuf),
    /// A program could not be started.
    #[error("cannot run `{program}`: {source}")]
    Start {
        /// The program's name.
        program: String,
        /// Why not.
        source: io::Error,
    },
    /// A tool refused the sources.
    #[error("`{command}` failed ({status}){}", detail(.stderr))]
    Command {
        /// The command line, without the environment.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it wrote to standard error.
        stderr: String,
    },
    /// A program answered something unexpected.
    #[error("`{program}` answered something unexpected: {text}")]
    Answer {
        /// The program's name.
        program: &'static str,
        /// What is wrong with the answer.
        text: String,
    },
    /// A file of the build could not be read or written.
    #[error("cannot use `{}`: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// What was compiled cannot be made a component, as when it imports what no host offers.
    #[error("what was compiled is no component: {0}")]
    Encode(String),
    /// The component has no migration to call.
    #[error("the component exports no migration: {}", export(*.0))]
    NoExport(Language),
    /// The component was built for another version of the interface.
    #[error(
        "it is built for lockgate:migration {built_for}, and this host offers {offered}: take the SDK, or the WIT, of version \
         {offered}"
    )]
    OtherVersion {
        /// The version in the component.
        built_for: String,
        /// This host's.
        offered: &'static str,
    },
    /// A Python or JavaScript component asks for more than WASI and the interface.
    #[error("it imports `{0}`, which no host offers")]
    UnknownImport(String),
}

impl BuildError {
    /// What the author can do about it, beyond what the text itself says.
    pub fn next(&self) -> &'static str {
        match self {
            Self::Command { stderr, .. }
                if stderr.contains("`lockgate-plugin`") && stderr.contains("no matching package") =>
            {
                "the SDK is in no registry yet: let the crate take it from a checkout of Lockgate, as `lockgate new --rust \
                 --lockgate-path FOLDER` writes it: lockgate-plugin = { path = \"FOLDER/plugins/sdk\" }"
            }
            Self::NotAFolder => "name the folder; a component that is built already goes to `lockgate plugin pin`",
            _ => "mend it and build again",
        }
    }

    pub(super) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File { path: path.to_owned(), source }
    }
}

fn either(languages: &[Language]) -> String {
    let names: Vec<String> = languages.iter().map(Language::to_string).collect();
    names.join(" or ")
}

fn pip(environment: &Path, requirements: Option<&Path>) -> String {
    let pip = environment.join("bin/pip");
    match requirements {
        Some(file) => format!("`{} install -r {}`", pip.display(), file.display()),
        None => format!("`{} install {COMPONENTIZE_PY}`", pip.display()),
    }
}

fn dependency() -> String {
    format!("`\"{}\": \"{}\"`", COMPONENTIZE_JS.0, COMPONENTIZE_JS.1)
}

fn export(language: Language) -> &'static str {
    match language {
        Language::Rust => "add `lockgate_plugin::export!(…)` at the root of the crate",
        Language::Python => "app.py needs a class `Program`",
        Language::JavaScript => "the module needs `export const program = { … }`",
    }
}

/// What a program said, below the sentence that reports it.
fn detail(text: &str) -> String {
    match text.trim_end() {
        "" => String::new(),
        text => format!(":\n{text}"),
    }
}
