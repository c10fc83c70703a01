//! What a component is: as far as its bytes tell, as far as it says itself, and what this host makes of it.

use std::path::Path;

use serde::Serialize;
use wasmparser::{KnownCustom, Parser, Payload};
use wit_component::DecodedWasm;

use super::{ComponentProgram, INTERFACE_VERSION, Limits, Rights, engine::is_wasi};
use crate::{
    config::Config,
    error::{Error, Problem, Result},
    files,
    migration::{Checksum, Direction},
    postgres::Session,
    printable::printable,
    source::lockfile,
    step::{PlannedStep, Program},
};

/// What was found out about a component.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct Inspection {
    /// The file.
    pub file: String,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256.
    pub digest: Checksum,
    /// What its bytes tell.
    #[serde(flatten)]
    pub anatomy: Anatomy,
    /// The version of the interface that this host offers.
    pub offered: &'static str,
    /// Whether `lockgate.lock` beside it has this component.
    pub pinned: Pinned,
    /// What it may use up.
    pub limits: Limits,
    /// What it says itself; `None` when it does not run here.
    pub description: Option<Described>,
    /// The steps that it would plan now, on the way up.
    pub steps: Steps,
    /// Why this host would refuse it.
    pub refused: Vec<Problem>,
}

/// What a component's bytes tell.
#[derive(Debug, Clone, Default, Serialize, schemars::JsonSchema)]
pub struct Anatomy {
    /// The version of `lockgate:migration` that it was built for.
    pub interface: Option<String>,
    /// Whether it imports WASI, as Python and JavaScript do.
    pub wasi: bool,
    /// The names of its imports.
    pub imports: Vec<String>,
    /// The names of its exports.
    pub exports: Vec<String>,
    /// Name and version of the SDK; empty where it does not say.
    pub sdk: String,
    /// Language, compilers and tools, each with its version.
    pub tools: Vec<String>,
}

/// Whether a component was reviewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Pinned {
    /// This very one.
    Yes,
    /// One of that name with another digest.
    Another,
    /// None of that name.
    No,
}

/// What a component says of itself.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct Described {
    /// In its author's words.
    pub title: String,
    /// Who answers for it.
    pub author: String,
    /// Whether it can go down.
    pub reversible: bool,
    /// How long a statement may wait for a lock, in milliseconds, if it asks for another value than the operator's.
    pub lock_timeout_ms: Option<u32>,
    /// How long a statement may run, in milliseconds, if it asks for another value than the operator's.
    pub statement_timeout_ms: Option<u32>,
    /// What it asks for.
    pub grants: Vec<Wanted>,
}

/// A grant that a component asks for.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct Wanted {
    /// Such as `clock` or `config:keep`.
    pub grant: String,
    /// Whether it cannot do without.
    pub required: bool,
    /// Whether `lockgate.toml` gives it.
    pub granted: bool,
    /// What it is for.
    pub why: String,
}

/// The steps of a plan, or why they are not known.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Steps {
    /// Each with its kind and its name or first words.
    Planned(Vec<String>),
    /// Why they are not known.
    Unknown(String),
}

/// Finds out what a component is. Runs its `describe`, without a database; and its `plan` where a database is configured, the component
/// fits, and it is pinned with this digest.
///
/// # Errors
/// When the file cannot be read, or the machine cannot run wasmtime.
pub async fn inspect(config: &Config, file: &Path) -> Result<Inspection> {
    let filename = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let name = filename.strip_suffix(".wasm").unwrap_or(&filename).to_owned();
    let bytes = component_bytes(file, config.limits_of(&name)).map_err(|why| {
        let next = "name a component: a .wasm file that `lockgate plugin build` has written";
        Error::configuration(format!("`{}` is not inspected: {why}", file.display()), next)
    })?;
    let (size, digest) = (bytes.len() as u64, Checksum::of_bytes(&bytes));
    let mut refused = Vec::new();
    let rights = config.rights_of(&name, &digest).unwrap_or_else(|problem| {
        refused.push(problem);
        Rights { limits: config.limits_of(&name).clone(), ..Rights::default() }
    });
    let anatomy = anatomy(&bytes);
    let loaded = ComponentProgram::load(&config.engine()?, bytes, &digest, rights.clone()).await;
    let program = loaded.map_err(|what| refused.push(Problem::new(&filename, what, "build it again"))).ok();
    if let Some(program) = &program
        && let Err(problem) = rights.check(&name, &filename, &digest, program.describe())
    {
        refused.push(problem);
    }
    let folder = file.parent().unwrap_or(Path::new("."));
    let pinned = match lockfile::read(folder).ok().and_then(|mut pins| pins.remove(&filename)) {
        Some(pin) if pin.digest == digest => Pinned::Yes,
        Some(_) => Pinned::Another,
        None => Pinned::No,
    };
    let steps = match &program {
        Some(program) if refused.is_empty() && pinned == Pinned::Yes => steps(config, program).await,
        // A database is for those only that somebody has reviewed, even a READ ONLY one.
        Some(_) if refused.is_empty() => Steps::Unknown("it is not pinned, so it is not asked for them".into()),
        _ => Steps::Unknown("it would be refused".into()),
    };
    Ok(Inspection {
        file: file.display().to_string(),
        bytes: size,
        digest,
        anatomy,
        offered: INTERFACE_VERSION,
        pinned,
        description: program.as_ref().map(|program| described(program, &rights)),
        limits: rights.limits,
        steps,
        refused,
    })
}

/// What a component's file holds.
///
/// # Errors
/// Why it is not read.
pub fn component_bytes(file: &Path, limits: &Limits) -> Result<Vec<u8>, String> {
    files::read(file, limits.component_max_bytes, "component_max_bytes")
}

fn described(program: &ComponentProgram, rights: &Rights) -> Described {
    let description = program.describe();
    let wanted = description.grants.iter().map(|wanted| Wanted {
        grant: wanted.grant.to_string(),
        required: wanted.required,
        granted: rights.cover(&wanted.grant),
        why: wanted.why.clone(),
    });
    Described {
        title: description.title.clone().unwrap_or_default(),
        author: description.author.clone().unwrap_or_default(),
        reversible: description.irreversible.is_none(),
        lock_timeout_ms: description.up.lock_ms,
        statement_timeout_ms: description.up.statement_ms,
        grants: wanted.collect(),
    }
}

/// The plan on the way up, made in a read-only transaction that is rolled back.
async fn steps(config: &Config, program: &ComponentProgram) -> Steps {
    if config.names_no_database() {
        return Steps::Unknown("only a plan tells, and that needs a database; none is configured".into());
    }
    let planned = async {
        let session = Session::connect(&config.target, "lockgate inspect").await?;
        session.read_only(config.timeouts, async |db| program.plan(Direction::Up, db).await).await
    };
    match planned.await {
        Ok(Ok(steps)) => Steps::Planned(steps.iter().flat_map(PlannedStep::of).map(|step| step.to_string()).collect()),
        Ok(Err(error)) => Steps::Unknown(format!("its plan failed: {}", error.cause)),
        Err(error) => Steps::Unknown(error.report().what),
    }
}

/// What the bytes tell; nothing of bytes that are no component.
pub fn anatomy(bytes: &[u8]) -> Anatomy {
    // A module decodes as well, if it has the WIT of a component to be in it.
    let is_component = bytes.starts_with(b"\0asm\x0d\0\x01\0");
    let Ok(DecodedWasm::Component(resolve, world)) =
        wit_component::decode(bytes).map_err(drop).and_then(|decoded| if is_component { Ok(decoded) } else { Err(()) })
    else {
        return Anatomy::default();
    };
    let world = &resolve.worlds[world];
    let imports: Vec<String> = world.imports.keys().map(|key| printable(&resolve.name_world_key(key))).collect();
    let exports: Vec<String> = world.exports.keys().map(|key| printable(&resolve.name_world_key(key))).collect();
    let interface = imports.iter().chain(&exports).find_map(|name| {
        let (interface, version) = name.split_once('@')?;
        interface.starts_with("lockgate:migration/").then(|| version.to_owned())
    });
    let Made { mut sdk, tools } = made_with(bytes);
    if sdk.is_empty() {
        // Older tools name the library that made the bindings only here.
        let begins =
            |tool: &str, name: &str| tool.get(..name.len()).is_some_and(|head| head.eq_ignore_ascii_case(name));
        sdk = tools.iter().filter(|tool| BINDINGS.iter().any(|name| begins(tool, name))).cloned().collect();
    }
    Anatomy { interface, wasi: imports.iter().any(|name| is_wasi(name)), imports, exports, sdk: sdk.join(", "), tools }
}

/// What tells the SDK where the component itself does not: that of Rust, of Python, of JavaScript. Only
/// [`build`](super::build) writes down the version of componentize-py; what it leaves in a component names a part of it.
const BINDINGS: [&str; 3] = ["wit-bindgen-rust ", "componentize-py ", "ComponentizeJS "];

/// What the `producers` sections say (WebAssembly tool conventions).
#[derive(Default)]
struct Made {
    sdk: Vec<String>,
    tools: Vec<String>,
}

/// Reads them in the component and in the modules in it, up to the first that is damaged.
fn made_with(bytes: &[u8]) -> Made {
    let mut made = Made::default();
    for payload in Parser::new(0).parse_all(bytes).map_while(std::result::Result::ok) {
        let Payload::CustomSection(section) = payload else { continue };
        let KnownCustom::Producers(fields) = section.as_known() else { continue };
        for field in fields.into_iter().map_while(std::result::Result::ok) {
            let list = if field.name == "sdk" { &mut made.sdk } else { &mut made.tools };
            for value in field.values.into_iter().map_while(std::result::Result::ok) {
                let tool = printable(format!("{} {}", value.name, value.version).trim());
                if !list.contains(&tool) {
                    list.push(tool);
                }
            }
        }
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_tell_what_a_component_is() {
        let bytes = include_bytes!("../../../migrations/003_normalize_phone_numbers.wasm");
        let anatomy = anatomy(bytes);
        assert_eq!(anatomy.interface.as_deref(), Some(INTERFACE_VERSION));
        assert!(!anatomy.wasi && anatomy.sdk.contains("lockgate-plugin"), "{anatomy:?}");
        assert!(anatomy.imports.iter().any(|name| name == "lockgate:migration/database@0.1.0"), "{anatomy:?}");
        assert_eq!(anatomy.exports, ["lockgate:migration/program@0.1.0"]);
    }

    #[test]
    fn a_component_that_names_no_sdk_is_told_by_its_tools() {
        let made_with = |tools: [(&str, &str); 2]| {
            let mut producers = wasm_metadata::Producers::empty();
            tools.iter().for_each(|(name, version)| producers.add("processed-by", name, version));
            anatomy(&producers.add_to_wasm(b"\0asm\x0d\0\x01\0").unwrap()).sdk
        };
        assert_eq!(made_with([("ComponentizeJS", "0.23.0"), ("wit-component", "0.1")]), "ComponentizeJS 0.23.0");
        assert_eq!(
            made_with([("component-init-transform", "0.2.0"), ("wit-component", "0.1")]),
            "",
            "it tells nothing"
        );
    }

    #[test]
    fn bytes_that_are_no_component_tell_nothing() {
        let good = include_bytes!("../../../migrations/003_normalize_phone_numbers.wasm");
        for bytes in [&b""[..], b"SELECT 1", b"\0asm\x01\0\0\0", &good[..good.len() / 2]] {
            assert!(anatomy(bytes).imports.is_empty());
        }
    }
}
