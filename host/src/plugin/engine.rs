//! Compiles components and gives them a heartbeat, by which a guest that never returns is noticed.

use std::{thread, time::Duration};

use wasmtime::{
    Config,
    component::{Component, HasSelf, Linker},
};

use super::{
    INTERFACE_VERSION,
    bindings::{Migration, MigrationPre},
    state::State,
};
use crate::error::Error;

/// How often a running guest is looked at.
const TICK: Duration = Duration::from_millis(10);

/// Compiles components. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    engine: wasmtime::Engine,
    linker: Linker<State>,
}

impl Engine {
    /// Starts the engine and its heartbeat, which ends with the last clone.
    ///
    /// # Errors
    /// When the machine cannot run wasmtime.
    pub fn new() -> Result<Self, Error> {
        let mut config = Config::new();
        config.epoch_interruption(true);
        let engine = wasmtime::Engine::new(&config).map_err(|e| Error::system("starting the WebAssembly engine", e))?;
        let mut linker = Linker::new(&engine);
        Migration::add_to_linker::<_, HasSelf<_>>(&mut linker, |state: &mut State| state)
            .map_err(|e| Error::system("linking the plugin interface", e))?;
        let weak = engine.weak();
        thread::spawn(move || {
            while let Some(engine) = weak.upgrade() {
                engine.increment_epoch();
                drop(engine);
                thread::sleep(TICK);
            }
        });
        Ok(Self { engine, linker })
    }

    pub(super) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.engine
    }

    /// Compiles a component and links it, without running anything of it. Blocks for as long as the compiler works.
    ///
    /// # Errors
    /// One sentence: what it is or needs, and what this host offers.
    pub(super) fn load(&self, bytes: &[u8], max_bytes: u64) -> Result<MigrationPre<State>, String> {
        if bytes.len() as u64 > max_bytes {
            return Err(format!(
                "it has {} bytes; at most {max_bytes} are allowed (`component_max_bytes`)",
                bytes.len()
            ));
        }
        if bytes.starts_with(b"\0asm\x01\0\0\0") {
            return Err(
                "it is a core WebAssembly module, not a component; `lockgate plugin build` makes components".into()
            );
        }
        let component = Component::new(&self.engine, bytes)
            .map_err(|e| format!("it is no WebAssembly component: {}", first_line(&e)))?;
        self.check_interface(&component)?;
        let pre = self.linker.instantiate_pre(&component).and_then(MigrationPre::new);
        pre.map_err(|e| format!("it does not fit lockgate:migration {INTERFACE_VERSION}: {}", first_line(&e)))
    }

    /// Says in one sentence what the linker would say in many.
    fn check_interface(&self, component: &Component) -> Result<(), String> {
        let ty = component.component_type();
        let imports: Vec<String> = ty.imports(&self.engine).map(|(name, _)| name.to_owned()).collect();
        let exports: Vec<String> = ty.exports(&self.engine).map(|(name, _)| name.to_owned()).collect();
        for name in imports.iter().chain(&exports) {
            let Some((interface, version)) = name.split_once('@') else { continue };
            if interface.starts_with("lockgate:migration/") && !compatible(version) {
                return Err(format!(
                    "it was built for lockgate:migration {version}; this host offers {INTERFACE_VERSION}, so build it with that \
                     version of lockgate-plugin"
                ));
            }
        }
        if let Some(name) = imports.iter().find(|name| !name.starts_with("lockgate:migration/")) {
            return Err(format!(
                "it imports `{name}`, which this host does not offer: a migration sees the database and a log only"
            ));
        }
        let program = format!("lockgate:migration/program@{INTERFACE_VERSION}");
        if !exports.iter().any(|name| name.starts_with("lockgate:migration/program@")) {
            return Err(format!("it does not export `{program}`, so it is no migration"));
        }
        Ok(())
    }
}

/// Patch releases of 0.1 fit one another, as the linker matches them.
fn compatible(version: &str) -> bool {
    let minor = |v: &str| v.rsplit_once('.').map(|(minor, _)| minor.to_owned());
    minor(version) == minor(INTERFACE_VERSION)
}

fn first_line(error: &wasmtime::Error) -> String {
    let chain: Vec<String> =
        error.chain().map(|cause| cause.to_string().lines().next().unwrap_or("").to_owned()).collect();
    chain.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(bytes: &[u8]) -> String {
        match Engine::new().unwrap().load(bytes, u64::MAX) {
            Ok(_) => panic!("it was accepted"),
            Err(text) => text,
        }
    }

    #[test]
    fn what_is_no_component_is_told_apart() {
        assert!(refusal(b"SELECT 1").contains("no WebAssembly component"));
        assert!(refusal(b"\0asm\x01\0\0\0").contains("core WebAssembly module"));
        assert!(refusal(b"\0asm\x0d\0\x01\0").contains("does not export"));
    }

    #[test]
    fn patch_releases_fit() {
        assert!(compatible("0.1.0") && compatible("0.1.9"));
        assert!(!compatible("0.2.0") && !compatible("1.1.0"));
    }
}
