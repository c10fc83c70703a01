//! From a crate to a component: cargo, then `wit-component`.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value as Json;
use wasm_metadata::Producers;
use wit_component::ComponentEncoder;

use super::{
    BuildError,
    command::{Tools, cargo},
};
use crate::programs;

pub(super) const TARGET: &str = "wasm32-unknown-unknown";

/// The crate that a migration is written with.
const SDK: &str = "lockgate-plugin";

/// How long `rustup target add` may take. The download is some 20 MB; what takes longer than this is offline.
const RUSTUP_PATIENCE: Duration = Duration::from_secs(60);

/// As [`RUSTUP_PATIENCE`], where the build can do without rustup's answer.
const RUSTUP_PATIENCE_WITH_FALLBACK: Duration = Duration::from_secs(10);

/// Where Debian's `rustc-web` puts its compiler. Not looked up in the path, where rustup's comes first.
const SYSTEM_RUSTC: &str = "/usr/bin/rustc";

/// The release profile of every component, whatever the workspace around its crate says, so that the same
/// sources make the same component.
const PROFILE: [(&str, &str); 6] = [
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "false"),
    ("CARGO_PROFILE_RELEASE_INCREMENTAL", "false"),
    ("CARGO_PROFILE_RELEASE_LTO", "fat"),
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "3"),
    ("CARGO_PROFILE_RELEASE_STRIP", "symbols"),
];

/// Compiles the crate in `crate_dir` for WebAssembly and returns the component's bytes.
///
/// Takes seconds to minutes, and blocks: call it where that is fine. Uses, in this order, the compiler's
/// WebAssembly target, `rustup target add`, or a compiler that has the sources of the standard library beside
/// it (Debian's `rustc-web` and `rust-web-src`), which are then compiled first.
///
/// # Errors
/// When no toolchain is found, or the crate does not compile; the text carries what the compiler said.
pub(super) fn build(tools: &Tools, crate_dir: &Path) -> Result<Vec<u8>, BuildError> {
    let toolchain = Toolchain::find(tools, crate_dir)?;
    let module = compile(tools, crate_dir, &toolchain)?;
    let component = ComponentEncoder::default()
        .validate(true)
        .module(&module)
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| BuildError::Encode(format!("{error:#}")))?;
    let mut producers = Producers::empty();
    producers.add("language", "Rust", "");
    if let Some(version) = sdk_version(tools, crate_dir)? {
        producers.add("sdk", SDK, &version);
    }
    producers.add_to_wasm(&component).map_err(|error| BuildError::Encode(format!("{error:#}")))
}

/// What compiles to WebAssembly on this machine.
#[derive(Debug)]
enum Toolchain {
    /// The compiler that cargo uses by itself has the target.
    Ready { sysroot: PathBuf },
    /// A compiler without the target but with the sources of its standard library, to be compiled along.
    FromSources { rustc: PathBuf, sysroot: PathBuf, linker: PathBuf },
}

impl Toolchain {
    fn find(tools: &Tools, crate_dir: &Path) -> Result<Self, BuildError> {
        let active = Rustc::ask(tools, OsStr::new("rustc"), crate_dir);
        if let Ok(active) = &active
            && active.has_target()
        {
            return Ok(Self::ready(active));
        }
        let system = Rustc::ask(tools, OsStr::new(SYSTEM_RUSTC), crate_dir).ok();
        let sources = || {
            let compilers = active.iter().chain(&system);
            let rustc = compilers.clone().find(|rustc| rustc.has_sources())?;
            let linker = compilers.clone().find_map(Rustc::linker).or_else(linker)?;
            Some(Self::FromSources { rustc: rustc.path.clone(), sysroot: rustc.sysroot.clone(), linker })
        };
        let from_sources = sources();
        let patience = match from_sources {
            Some(_) => RUSTUP_PATIENCE_WITH_FALLBACK,
            None => RUSTUP_PATIENCE,
        };
        let rustup = match add_target(crate_dir, patience) {
            Ok(()) => match Rustc::ask(tools, OsStr::new("rustc"), crate_dir) {
                Ok(active) if active.has_target() => return Ok(Self::ready(&active)),
                _ => "rustup added the target to another compiler than the one cargo uses".to_owned(),
            },
            Err(error) => error,
        };
        from_sources.ok_or(BuildError::NoRustTarget { rustup })
    }

    fn ready(rustc: &Rustc) -> Self {
        Self::Ready { sysroot: rustc.sysroot.clone() }
    }

    fn sysroot(&self) -> &Path {
        match self {
            Self::Ready { sysroot } | Self::FromSources { sysroot, .. } => sysroot,
        }
    }
}

/// A compiler and where it keeps its libraries.
#[derive(Debug)]
struct Rustc {
    path: PathBuf,
    sysroot: PathBuf,
    target_libdir: PathBuf,
    host: String,
}

impl Rustc {
    fn ask(tools: &Tools, path: &OsStr, crate_dir: &Path) -> Result<Self, BuildError> {
        let answer = tools.output(
            Command::new(path)
                .args(["--print", "sysroot", "--print", "target-libdir", "--target", TARGET])
                .current_dir(crate_dir),
        )?;
        let version = tools.output(Command::new(path).arg("-vV").current_dir(crate_dir))?;
        let host = version.lines().find_map(|line| line.strip_prefix("host: "));
        match (answer.trim_end().split_once('\n'), host) {
            (Some((sysroot, target_libdir)), Some(host)) => Ok(Self {
                path: path.into(),
                sysroot: sysroot.into(),
                target_libdir: target_libdir.into(),
                host: host.to_owned(),
            }),
            _ => Err(BuildError::Answer { program: "rustc", text: format!("{answer}{version}") }),
        }
    }

    /// Whether the standard library is there, compiled for WebAssembly.
    fn has_target(&self) -> bool {
        let Ok(entries) = self.target_libdir.read_dir() else {
            return false;
        };
        entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libstd-"))
    }

    fn has_sources(&self) -> bool {
        library_sources(&self.sysroot).join("Cargo.lock").is_file()
    }

    /// The linker that rustup ships with a compiler; Debian does not.
    fn linker(&self) -> Option<PathBuf> {
        let libraries = self.sysroot.join("lib/rustlib");
        let linker = libraries.join(&self.host).join("bin/rust-lld");
        linker.is_file().then_some(linker)
    }
}

fn library_sources(sysroot: &Path) -> PathBuf {
    sysroot.join("lib/rustlib/src/rust/library")
}

/// A linker for WebAssembly in the path.
fn linker() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .flat_map(|folder| ["rust-lld", "wasm-ld"].map(|name| folder.join(name)))
        .find(|file| file.is_file())
}

/// Asks rustup for the target. Where there is no network, its attempts are cut short.
fn add_target(crate_dir: &Path, patience: Duration) -> Result<(), String> {
    let started = Instant::now();
    let mut rustup = programs::without_settings(&mut Command::new("rustup"))
        .args(["target", "add", TARGET])
        .env("RUSTUP_MAX_RETRIES", "0")
        .current_dir(crate_dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot run `rustup`: {error}"))?;
    loop {
        match rustup.try_wait() {
            Ok(Some(_)) => break,
            Ok(None) if started.elapsed() < patience => thread::sleep(Duration::from_millis(50)),
            Ok(None) => {
                // Fails only when it has just ended by itself.
                let _ = rustup.kill();
                let _ = rustup.wait();
                let seconds = patience.as_secs();
                return Err(format!("`rustup target add` did not answer within {seconds} s"));
            }
            Err(error) => return Err(format!("cannot wait for `rustup`: {error}")),
        }
    }
    let output = rustup.wait_with_output().map_err(|error| format!("cannot read what `rustup` said: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Runs cargo and reads the module it made.
fn compile(tools: &Tools, crate_dir: &Path, toolchain: &Toolchain) -> Result<Vec<u8>, BuildError> {
    let flags = rustflags(tools, crate_dir, toolchain)?;
    let mut messages = tools.output(&mut cargo_build(crate_dir, toolchain, &flags))?;
    // The first download of all makes the registry's folder, whose name the flags are to hide.
    let flags_now = rustflags(tools, crate_dir, toolchain)?;
    if flags_now != flags {
        messages = tools.output(&mut cargo_build(crate_dir, toolchain, &flags_now))?;
    }
    let path = module_path(&messages, &crate_dir.join("Cargo.toml"))
        .ok_or_else(|| BuildError::NoCdylib(crate_dir.to_owned()))?;
    std::fs::read(&path).map_err(|source| BuildError::File { path, source })
}

fn cargo_build(crate_dir: &Path, toolchain: &Toolchain, flags: &OsStr) -> Command {
    let mut cargo = cargo(crate_dir);
    cargo.args(["build", "--release", "--lib", "--target", TARGET]);
    cargo.args(["--message-format", "json-render-diagnostics"]);
    cargo.envs(PROFILE).env("CARGO_ENCODED_RUSTFLAGS", flags);
    if let Toolchain::FromSources { rustc, linker, .. } = toolchain {
        cargo
            .arg("-Zbuild-std=std,panic_abort")
            // Lets a stable compiler and a stable cargo take `-Z` options.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTC", rustc)
            .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
    }
    cargo
}

/// Keeps the paths of this machine out of the component: panic messages name the files they come from.
fn rustflags(tools: &Tools, crate_dir: &Path, toolchain: &Toolchain) -> Result<OsString, BuildError> {
    let metadata = metadata(tools, crate_dir, &["--filter-platform", TARGET])?;
    let folder = |name| metadata[name].as_str().map(PathBuf::from);

    // The compiler uses the last that matches, so what lies inside follows.
    let mut prefixes = Vec::new();
    if let Some(home) = cargo_home() {
        // Their names tell the host that crates were downloaded from, which may be a mirror.
        let registries = home.join("registry/src").read_dir().into_iter().flatten().flatten();
        let mut registries: Vec<_> = registries.map(|registry| (registry.path(), "/registry".to_owned())).collect();
        registries.sort();
        prefixes.push((home, "/cargo".to_owned()));
        prefixes.extend(registries);
    }
    prefixes.push((library_sources(toolchain.sysroot()), "/rust/library".to_owned()));
    prefixes.extend(path_dependencies(&metadata));
    prefixes.extend(folder("workspace_root").map(|root| (root, "/workspace".to_owned())));
    prefixes.push((crate_dir.to_owned(), "/crate".to_owned()));
    prefixes.extend(folder("target_directory").map(|target| (target, "/target".to_owned())));

    let mut flags = OsString::new();
    for (from, to) in prefixes {
        if !flags.is_empty() {
            flags.push("\u{1f}");
        }
        flags.push("--remap-path-prefix=");
        flags.push(from);
        flags.push("=");
        flags.push(to);
    }
    Ok(flags)
}

/// The crates that come from folders of this machine, by name: the SDK of a checkout, for one.
fn path_dependencies(metadata: &Json) -> Vec<(PathBuf, String)> {
    let packages = metadata["packages"].as_array().map_or(&[][..], Vec::as_slice);
    let local = packages.iter().filter(|package| package["source"].is_null());
    let folder = |package: &Json| {
        let folder = Path::new(package["manifest_path"].as_str()?).parent()?.to_owned();
        Some((folder, format!("/dependency/{}", package["name"].as_str()?)))
    };
    let mut folders: Vec<_> = local.filter_map(folder).collect();
    // One that lies in another's folder comes after it.
    folders.sort();
    folders
}

fn cargo_home() -> Option<PathBuf> {
    let home = || Some(std::env::home_dir()?.join(".cargo"));
    std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(home)
}

fn metadata(tools: &Tools, crate_dir: &Path, arguments: &[&str]) -> Result<Json, BuildError> {
    let metadata = tools.output(cargo(crate_dir).args(["metadata", "--format-version", "1"]).args(arguments))?;
    serde_json::from_str(&metadata).map_err(|error| BuildError::Answer { program: "cargo", text: error.to_string() })
}

/// The version of the SDK that the crate was compiled with; none if it does without.
fn sdk_version(tools: &Tools, crate_dir: &Path) -> Result<Option<String>, BuildError> {
    let metadata = metadata(tools, crate_dir, &["--filter-platform", TARGET])?;
    let packages = metadata["packages"].as_array().map_or(&[][..], Vec::as_slice);
    let sdk = packages.iter().find(|package| package["name"] == SDK);
    Ok(sdk.and_then(|package| package["version"].as_str()).map(str::to_owned))
}

/// Where cargo's messages say that the crate's module is.
fn module_path(messages: &str, manifest: &Path) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Json>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact")
        .filter(|message| message["manifest_path"].as_str().map(Path::new) == Some(manifest))
        .filter_map(|message| {
            let files = message["filenames"].as_array()?;
            let mut paths = files.iter().filter_map(|file| file.as_str()).map(PathBuf::from);
            paths.find(|path| path.extension() == Some(OsStr::new("wasm")))
        })
        .next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_from_folders_are_told_from_those_of_a_registry() {
        let metadata = serde_json::json!({ "packages": [
            { "name": "sdk", "source": null, "manifest_path": "/x/plugins/sdk/Cargo.toml" },
            { "name": "serde", "source": "registry+https://x", "manifest_path": "/home/r/serde/Cargo.toml" },
            { "name": "all", "source": null, "manifest_path": "/x/Cargo.toml" },
        ]});
        let expected = [("/x", "/dependency/all"), ("/x/plugins/sdk", "/dependency/sdk")];
        assert_eq!(path_dependencies(&metadata), expected.map(|(from, to)| (from.into(), to.to_owned())));
    }

    #[test]
    fn the_module_is_the_artifact_of_the_crate_itself() {
        let messages = r#"
            {"reason":"compiler-artifact","manifest_path":"/sdk/Cargo.toml","filenames":["/t/libsdk.rlib"]}
            {"reason":"compiler-artifact","manifest_path":"/other/Cargo.toml","filenames":["/t/other.wasm"]}
            {"reason":"compiler-artifact","manifest_path":"/mine/Cargo.toml","filenames":["/t/libmine.rlib","/t/mine.wasm"]}
            {"reason":"build-finished","success":true}
        "#;
        let path = |manifest| module_path(messages, Path::new(manifest));
        assert_eq!(path("/mine/Cargo.toml"), Some("/t/mine.wasm".into()));
        assert_eq!(path("/sdk/Cargo.toml"), None);
    }
}
