//! Compiles components and gives them a heartbeat, by which a guest that never returns is noticed.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::sync::Semaphore;
use wasmtime::{
    Config,
    component::{Component, HasSelf, Linker},
};

use super::{
    Cache, Code, Compiling, INTERFACE_VERSION, Limits,
    bindings::{Migration, MigrationPre},
    limits::Reached,
    state::State,
    wasi,
};
use crate::{error::Error, migration::Checksum};

/// How often a running guest is looked at.
const TICK: Duration = Duration::from_millis(10);
/// What a guest can import besides our own interface.
const WASI: [&str; 6] = ["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/", "wasi:sockets/"];

/// Compiles components. Cheap to clone; one serves a whole run.
#[derive(Clone)]
pub struct Engine {
    engine: wasmtime::Engine,
    /// The interface and nothing else.
    plain: Linker<State>,
    /// The interface and an empty WASI.
    with_wasi: Linker<State>,
    cache: Option<Arc<Cache>>,
    compilers: Arc<Semaphore>,
    compiling: Option<Compiling>,
}

/// How a component was made ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compiled {
    /// Whether it lay in the code cache already.
    pub from_cache: bool,
    /// Whether it lies in the code cache now.
    pub kept: bool,
    /// How long it took.
    pub took: Duration,
}

impl Engine {
    /// Starts the engine and its heartbeat, which ends with the last clone. It keeps nothing between runs.
    ///
    /// # Errors
    /// When the machine cannot run wasmtime, or lets no thread be started.
    pub fn new() -> Result<Self, Error> {
        Self::with_cache(None)
    }

    /// The same with a cache of compiled components.
    ///
    /// # Errors
    /// As [`Engine::new`].
    pub fn with_cache(cache: Option<Cache>) -> Result<Self, Error> {
        let mut config = Config::new();
        config.epoch_interruption(true);
        let engine = wasmtime::Engine::new(&config).map_err(|e| Error::system("starting the WebAssembly engine", e))?;
        let mut plain = Linker::new(&engine);
        Migration::add_to_linker::<_, HasSelf<_>>(&mut plain, |state: &mut State| state)
            .map_err(|e| Error::system("linking the plugin interface", e))?;
        let mut with_wasi = plain.clone();
        wasi::add_to_linker(&mut with_wasi).map_err(|e| Error::system("linking WASI", e))?;
        let weak = engine.weak();
        let heartbeat = thread::Builder::new().name("heartbeat".into()).spawn(move || {
            while let Some(engine) = weak.upgrade() {
                engine.increment_epoch();
                drop(engine);
                thread::sleep(TICK);
            }
        });
        heartbeat.map_err(|e| Error::system("starting the thread that watches over components", e))?;
        // The compiler itself uses all processors; more components at once would only take more memory.
        let compilers = thread::available_parallelism().map_or(1, usize::from);
        let (cache, compilers) = (cache.map(Arc::new), Arc::new(Semaphore::new(compilers)));
        Ok(Self { engine, plain, with_wasi, cache, compilers, compiling: None })
    }

    /// The same, which tells what it compiles.
    #[must_use]
    pub fn telling(self, compiling: &Compiling) -> Self {
        Self { compiling: Some(compiling.clone()), ..self }
    }

    pub(super) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.engine
    }

    /// Compiles a component, or takes it from the cache, without running anything of it, and keeps it in the cache.
    ///
    /// # Errors
    /// One sentence: what it is or needs, and what this host offers.
    pub async fn warm(&self, code: Code, digest: &Checksum, limits: &Limits) -> Result<Compiled, String> {
        let (component, compiled) = self.component(code, digest, limits).await?;
        self.link(&component)?;
        Ok(compiled)
    }

    /// Compiles a component and links it, without running anything of it.
    ///
    /// # Errors
    /// As [`Engine::warm`].
    pub(super) async fn load(
        &self,
        code: Code,
        digest: &Checksum,
        limits: &Limits,
    ) -> Result<MigrationPre<State>, String> {
        let (component, compiled) = self.component(code, digest, limits).await?;
        let Compiled { from_cache, took, .. } = compiled;
        tracing::debug!(digest = digest.short(), from_cache, ms = took.as_millis(), "a component is compiled");
        self.link(&component)
    }

    async fn component(&self, code: Code, digest: &Checksum, limits: &Limits) -> Result<(Component, Compiled), String> {
        let (length, max_bytes) = (code.length(), limits.component_max_bytes);
        if length > max_bytes {
            return Err(format!("it has {length} bytes; at most {max_bytes} are allowed (`component_max_bytes`)"));
        }
        let (this, digest) = (self.clone(), digest.clone());
        let compile = move || {
            let _told = this.compiling.as_ref().map(|compiling| compiling.begin(&digest));
            this.cached_or_compiled(&code, &digest)
        };
        self.in_turn(limits, compile).await
    }

    /// Runs a compiler when it is its turn; its time begins then. Nobody can stop one that takes too long: it goes on unheeded, to its
    /// end or that of the process. It gives up its turn all the same, so that none of those behind it waits longer than those before
    /// it may compile. That takes more processor and memory than the turns are meant to, by one compiler for each component that is
    /// refused for its time; a run ends with the first.
    async fn in_turn<T: Send + 'static>(
        &self,
        limits: &Limits,
        compile: impl FnOnce() -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        let _turn = self.compilers.acquire().await.map_err(|e| e.to_string())?;
        match tokio::time::timeout(limits.compile(), tokio::task::spawn_blocking(compile)).await {
            Ok(Ok(result)) => result,
            Ok(Err(e)) => Err(format!("the compiler failed: {e}")),
            Err(_) => Err(Reached::compile(limits).to_string()),
        }
    }

    fn cached_or_compiled(&self, code: &Code, digest: &Checksum) -> Result<(Component, Compiled), String> {
        let begin = Instant::now();
        let outcome = |from_cache, kept| Compiled { from_cache, kept, took: begin.elapsed() };
        if let Some(component) = self.cache.as_ref().and_then(|cache| cache.find(&self.engine, digest)) {
            return Ok((component, outcome(true, true)));
        }
        let bytes = code.bytes(digest)?;
        check_bytes(&bytes)?;
        let component = Component::new(&self.engine, bytes)
            .map_err(|e| format!("it is no WebAssembly component: {}", first_line(&e)))?;
        let compiled = outcome(false, false);
        let Some(cache) = &self.cache else { return Ok((component, compiled)) };
        match cache.keep(&self.engine, digest, &component) {
            Ok(()) => Ok((component, Compiled { kept: true, ..compiled })),
            Err(error) => {
                let folder = cache.path().display().to_string();
                tracing::warn!(folder, error, "the code cache cannot be written");
                Ok((component, compiled))
            }
        }
    }

    fn link(&self, component: &Component) -> Result<MigrationPre<State>, String> {
        let ty = component.component_type();
        let imports: Vec<String> = ty.imports(&self.engine).map(|(name, _)| name.to_owned()).collect();
        let exports: Vec<String> = ty.exports(&self.engine).map(|(name, _)| name.to_owned()).collect();
        check_interface(&imports, &exports)?;
        let linker = if imports.iter().any(|name| is_wasi(name)) { &self.with_wasi } else { &self.plain };
        let pre = linker.instantiate_pre(component).and_then(MigrationPre::new);
        pre.map_err(|e| format!("it does not fit lockgate:migration {INTERFACE_VERSION}: {}", first_line(&e)))
    }
}

/// What can be said without a compiler.
fn check_bytes(bytes: &[u8]) -> Result<(), String> {
    if bytes.starts_with(b"\x7fELF") || wasmtime::Engine::detect_precompiled(bytes).is_some() {
        return Err(
            "it is native code, perhaps a component that was compiled ahead; only the component itself may lie here: \
                    lockgate compiles it and keeps the result in its own cache"
                .into(),
        );
    }
    if bytes.starts_with(b"\0asm\x01\0\0\0") {
        return Err("it is a core WebAssembly module, not a component; `lockgate plugin build` makes components".into());
    }
    // The compiler's own words on it go over several lines.
    if !bytes.starts_with(b"\0asm") {
        return Err("it is no WebAssembly component: it does not begin with `\\0asm`".into());
    }
    Ok(())
}

/// Says in one sentence what the linker would say in many.
pub(super) fn check_interface(imports: &[String], exports: &[String]) -> Result<(), String> {
    for name in imports.iter().chain(exports) {
        let Some((interface, version)) = name.split_once('@') else { continue };
        if interface.starts_with("lockgate:migration/") && !compatible(version) {
            return Err(format!(
                "it was built for lockgate:migration {version}; this host offers {INTERFACE_VERSION}, so build it with that \
                 version of lockgate-plugin"
            ));
        }
    }
    if let Some(name) = imports.iter().find(|name| name.starts_with("wasi:http/")) {
        return Err(format!(
            "it imports `{name}`, but a migration has no network: build it without (componentize-js: `disableFeatures: \
             [\"http\", \"fetch-event\"]`)"
        ));
    }
    if let Some(name) = imports.iter().find(|name| !name.starts_with("lockgate:migration/") && !is_wasi(name)) {
        return Err(format!(
            "it imports `{name}`, which this host does not offer: a migration sees the database, a log and, where its language \
             needs it, an empty WASI 0.2"
        ));
    }
    if !exports.iter().any(|name| name.starts_with("lockgate:migration/program@")) {
        return Err(format!(
            "it does not export `lockgate:migration/program@{INTERFACE_VERSION}`, so it is no migration"
        ));
    }
    Ok(())
}

/// The WASI that this host offers.
pub(super) fn is_wasi(name: &str) -> bool {
    WASI.iter().any(|package| name.starts_with(package)) && name.contains("@0.2.")
}

/// Patch releases of 0.1 fit one another, as the linker matches them.
fn compatible(version: &str) -> bool {
    let minor = |v: &str| v.rsplit_once('.').map(|(minor, _)| minor.to_owned());
    minor(version) == minor(INTERFACE_VERSION)
}

pub(super) fn first_line(error: &wasmtime::Error) -> String {
    let chain: Vec<String> =
        error.chain().map(|cause| cause.to_string().lines().next().unwrap_or("").to_owned()).collect();
    chain.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ample for what does not wait for a compiler.
    const SOON: Duration = Duration::from_secs(30);

    async fn refusal(bytes: &[u8]) -> String {
        let digest = Checksum::of_bytes(bytes);
        let loaded = Engine::new().unwrap().load(bytes.to_vec().into(), &digest, &Limits::default()).await;
        match loaded {
            Ok(_) => panic!("it was accepted"),
            Err(text) => text,
        }
    }

    #[tokio::test]
    async fn what_is_no_component_is_told_apart() {
        assert!(refusal(b"SELECT 1").await.contains("no WebAssembly component"));
        assert!(refusal(b"\0asm\x01\0\0\0").await.contains("core WebAssembly module"));
        assert!(refusal(b"\0asm\x0d\0\x01\0").await.contains("does not export"));
    }

    #[tokio::test]
    async fn native_code_is_never_loaded() {
        let engine = Engine::new().unwrap();
        let component = Component::new(engine.wasmtime(), b"\0asm\x0d\0\x01\0").unwrap();
        for bytes in [component.serialize().unwrap(), b"\x7fELF\x02\x01\x01".to_vec()] {
            assert!(refusal(&bytes).await.contains("it is native code"));
        }
    }

    #[tokio::test]
    async fn a_compiler_is_not_waited_for_for_ever() {
        let engine = Engine::new().unwrap();
        let limits = Limits { compile_max_s: 0, ..Limits::default() };
        // Large enough for the compiler never to be done at once.
        let bytes = include_bytes!("../../../migrations/003_normalize_phone_numbers.wasm").to_vec();
        let text = engine.warm(bytes.clone().into(), &Checksum::of_bytes(&bytes), &limits).await.unwrap_err();
        assert!(text.contains("time to compile it, 0 s (raise it with `compile_max_s`"), "{text}");
    }

    #[tokio::test]
    async fn compilers_that_never_end_do_not_keep_the_others_from_their_turn() {
        let (engine, limits) = (Engine::new().unwrap(), Limits { compile_max_s: 0, ..Limits::default() });
        let mut ends = Vec::new();
        for _ in 0..=engine.compilers.available_permits() {
            let (end, ended) = std::sync::mpsc::channel::<()>();
            ends.push(end);
            let never = engine.in_turn(&limits, move || ended.recv().map_err(|e| e.to_string()));
            let refused = tokio::time::timeout(SOON, never).await.expect("its turn comes").unwrap_err();
            assert!(refused.contains("`compile_max_s`"), "{refused}");
        }
        let limits = Limits::default();
        let good = engine.in_turn(&limits, || Ok("compiled"));
        assert_eq!(tokio::time::timeout(SOON, good).await.expect("its turn comes"), Ok("compiled"));
    }

    #[tokio::test]
    async fn waiting_for_its_turn_is_no_time_of_a_compiler() {
        let (engine, limits) = (Engine::new().unwrap(), Limits { compile_max_s: 0, ..Limits::default() });
        let all = engine.compilers.available_permits().try_into().unwrap();
        let turns = engine.compilers.acquire_many(all).await.unwrap();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let waits = engine.in_turn(&limits, move || ended.recv().map_err(|e| e.to_string()));
        let mut waits = std::pin::pin!(waits);
        assert!(tokio::time::timeout(Duration::from_millis(50), &mut waits).await.is_err());
        drop(turns);
        assert!(waits.await.unwrap_err().contains("`compile_max_s`"));
        drop(end);
    }

    #[test]
    fn only_an_empty_wasi_is_offered() {
        let program = ["lockgate:migration/program@0.1.0".to_owned()];
        let check = |import: &str| check_interface(&[import.to_owned()], &program);
        assert!(check("wasi:clocks/wall-clock@0.2.9").is_ok() && check("wasi:sockets/tcp@0.2.0").is_ok());
        assert!(check("wasi:http/types@0.2.0").unwrap_err().contains("a migration has no network"));
        for import in ["wasi:clocks/system-clock@0.3.0", "wasi:keyvalue/store@0.2.0", "made:up/clock", "clock"] {
            assert!(check(import).unwrap_err().contains("which this host does not offer"), "{import}");
        }
    }

    #[test]
    fn patch_releases_fit() {
        assert!(compatible("0.1.0") && compatible("0.1.9"));
        assert!(!compatible("0.2.0") && !compatible("1.1.0"));
    }
}
