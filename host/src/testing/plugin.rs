//! The component under test, with the rights that it has in the test.

use std::path::Path;

use tokio::sync::OnceCell;

use super::{Database, Result, Trial};
use crate::{
    error::Error,
    migration::Checksum,
    plugin::{
        ComponentProgram, Limits, Rights,
        build::{self, Wasi},
        inspect::component_bytes,
    },
    step::Program,
};

/// A component, not yet on any database. It has no grants, no configuration and the default limits, unless it is given others.
pub struct Plugin {
    name: String,
    bytes: Vec<u8>,
    digest: Checksum,
    rights: Rights,
    program: OnceCell<ComponentProgram>,
}

impl Plugin {
    /// A component's file, compiled, and asked what it is.
    ///
    /// # Errors
    /// When it cannot be read or cannot run here; the text says why.
    pub async fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = component_bytes(path, &Limits::default()).map_err(|why| {
            Error::configuration(format!("`{}` is not loaded: {why}", path.display()), "build it, or mend the path")
        })?;
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("plugin");
        Self::from_bytes(stem, bytes).await
    }

    /// A component built from the sources in a folder, as `lockgate plugin build` does. Takes seconds to minutes.
    ///
    /// # Errors
    /// When it does not build, with what the compiler said, or cannot run here.
    pub async fn build(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or("plugin").to_owned();
        let shown = folder.display().to_string();
        let built = build::build(folder, Wasi::Stubbed).await;
        let bytes = built.map_err(|e| Error::configuration(format!("`{shown}` was not built: {e}"), e.next()))?;
        Self::from_bytes(&name, bytes).await
    }

    /// A component's bytes. By its name, `003_fill` or `fill`, it will lie among the migrations.
    ///
    /// # Errors
    /// When it cannot run here; the text says why.
    pub async fn from_bytes(name: &str, bytes: Vec<u8>) -> Result<Self> {
        let digest = Checksum::of_bytes(&bytes);
        let (rights, program) = (Rights::default(), OnceCell::new());
        let plugin = Self { name: name.to_owned(), bytes, digest, rights, program };
        plugin.program().await?;
        Ok(plugin)
    }

    /// The same with a clock that tells the time.
    #[must_use]
    pub fn grant_clock(self) -> Self {
        self.with(|rights| rights.clock = true)
    }

    /// The same with random numbers that are random.
    #[must_use]
    pub fn grant_randomness(self) -> Self {
        self.with(|rights| rights.randomness = true)
    }

    /// The same with a value for a key of its configuration, and the right to read it.
    #[must_use]
    pub fn config(self, key: &str, value: &str) -> Self {
        self.with(|rights| {
            rights.config.insert(key.to_owned(), value.to_owned());
        })
    }

    /// The same with other limits.
    #[must_use]
    pub fn limits(self, limits: Limits) -> Self {
        self.with(|rights| rights.limits = limits)
    }

    /// The same with all these rights instead of those that it has.
    #[must_use]
    pub fn rights(self, rights: Rights) -> Self {
        self.with(|old| *old = rights)
    }

    /// What it says of itself.
    ///
    /// # Errors
    /// When it cannot run with the rights that it was given.
    pub async fn describe(&self) -> Result<&crate::step::Description> {
        Ok(self.program().await?.describe())
    }

    /// A trial of it on a database, where nothing has been run yet.
    pub fn on<'a>(&'a self, database: &'a Database) -> Trial<'a> {
        Trial::new(self, database)
    }

    fn with(mut self, change: impl FnOnce(&mut Rights)) -> Self {
        change(&mut self.rights);
        // Compiled again: the rights decide what it is linked with.
        self.program = OnceCell::new();
        self
    }

    /// Its name among migrations, as it was loaded.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The digest of its bytes, by which rights are granted.
    pub fn digest(&self) -> &Checksum {
        &self.digest
    }

    pub(super) fn its_rights(&self) -> &Rights {
        &self.rights
    }

    pub(super) async fn program(&self) -> Result<&ComponentProgram> {
        let load = async || -> Result<ComponentProgram> {
            let (engine, bytes) = (super::trial::engine()?, self.bytes.clone());
            let loaded = ComponentProgram::load(&engine, bytes, &self.digest, self.rights.clone()).await;
            Ok(loaded.map_err(|why| {
                let what = format!("the plugin `{}` cannot run here: {why}", self.name);
                Error::configuration(what, "mend it and build again")
            })?)
        };
        self.program.get_or_try_init(load).await
    }

    /// Refuses, as a run does, when it lacks a grant that it cannot do without.
    pub(super) async fn check_rights(&self) -> Result<()> {
        let wants = self.program().await?.describe();
        let checked = self.rights.check(&self.name, &format!("{}.wasm", self.name), &self.digest, wants);
        Ok(checked.map_err(|problem| Error::Folder(vec![problem]))?)
    }
}
