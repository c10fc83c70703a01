//! Writes into `lockgate.lock` what the components of the folder are now, and tells what that changes.

use futures_util::future::try_join_all;
use serde::Serialize;

use super::{
    ComponentProgram, Rights,
    inspect::{anatomy, component_bytes},
};
use crate::{
    config::Config,
    error::{Error, Problem, Result},
    migration::Checksum,
    source::{
        self,
        lockfile::{self, Pin, Pins},
    },
    step::{Program, WantedGrant},
};

/// What pinning changed about one component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Pinning {
    /// The file.
    pub name: String,
    /// What happened to it.
    pub change: Change,
    /// Its digest now; of a removed one the last.
    pub digest: Checksum,
    /// The digest that was pinned before, of a changed one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Checksum>,
    /// What it was built with.
    pub sdk: String,
    /// What it asks for and did not ask for before.
    pub newly_wanted: Vec<String>,
}

/// What happened to a component since the last pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// There was no pin.
    New,
    /// The digest is another.
    Changed,
    /// The digest is the same.
    Unchanged,
    /// The file is gone.
    Removed,
}

/// Pins every component of the migrations folder as it is now. One that does not fit this host is pinned as well, with a warning: it is
/// refused when it is to run.
///
/// # Errors
/// When a file cannot be read or written, or the lock file is damaged: it is left as it is.
pub async fn pin(config: &Config) -> Result<Vec<Pinning>> {
    let folder = &config.dir;
    let components = source::components(folder)?;
    let before = lockfile::read(folder).map_err(|problem| Error::Folder(vec![problem]))?;
    let (mut read, mut problems) = (Vec::new(), Vec::new());
    for (name, path) in components {
        let limits = config.limits_of(name.strip_suffix(".wasm").unwrap_or(&name));
        match component_bytes(&path, limits) {
            Ok(bytes) => read.push((name, bytes)),
            Err(why) => {
                let next = "put the component itself there; a larger one takes a higher `component_max_bytes`";
                problems.push(Problem::new(path.display().to_string(), why, next));
            }
        }
    }
    if !problems.is_empty() {
        return Err(Error::Folder(problems));
    }
    // Compiling them takes as many processors as there are.
    let pins = read.into_iter().map(async |(name, bytes)| {
        let pin = pin_of(config, &name, bytes).await?;
        Ok::<_, Error>((name, pin))
    });
    let now: Pins = try_join_all(pins).await?.into_iter().collect();
    lockfile::write(folder, &now)?;
    Ok(changes(&before, &now))
}

async fn pin_of(config: &Config, filename: &str, bytes: Vec<u8>) -> Result<Pin> {
    let (digest, sdk) = (Checksum::of_bytes(&bytes), anatomy(&bytes).sdk);
    let name = filename.strip_suffix(".wasm").unwrap_or(filename);
    // It is asked what it wants before it was granted anything.
    let rights = Rights { limits: config.limits_of(name).clone(), ..Rights::default() };
    let grants = match ComponentProgram::load(&config.engine()?, bytes, &digest, rights).await {
        Ok(program) => program.describe().grants.iter().map(said).collect(),
        Err(why) => {
            tracing::warn!(file = filename, "pinned, but it would be refused: {why}");
            Vec::new()
        }
    };
    Ok(Pin { digest, sdk, grants })
}

fn said(wanted: &WantedGrant) -> String {
    format!("{} ({})", wanted.grant, if wanted.required { "required" } else { "optional" })
}

fn changes(before: &Pins, now: &Pins) -> Vec<Pinning> {
    let mut list: Vec<Pinning> = now.iter().map(|(name, pin)| pinning(name, before.get(name), pin)).collect();
    list.extend(before.iter().filter(|(name, _)| !now.contains_key(*name)).map(|(name, pin)| Pinning {
        name: name.clone(),
        change: Change::Removed,
        digest: pin.digest.clone(),
        before: None,
        sdk: pin.sdk.clone(),
        newly_wanted: Vec::new(),
    }));
    list
}

fn pinning(name: &str, before: Option<&Pin>, pin: &Pin) -> Pinning {
    let change = match before {
        None => Change::New,
        Some(before) if before.digest == pin.digest => Change::Unchanged,
        Some(_) => Change::Changed,
    };
    let known = |grant: &String| before.is_some_and(|before| before.grants.contains(grant));
    let newly_wanted = match change {
        // The lock files of the first versions held no grants.
        Change::Unchanged => Vec::new(),
        _ => pin.grants.iter().filter(|grant| !known(grant)).cloned().collect(),
    };
    Pinning {
        name: name.to_owned(),
        change,
        digest: pin.digest.clone(),
        before: before.filter(|_| change == Change::Changed).map(|before| before.digest.clone()),
        sdk: pin.sdk.clone(),
        newly_wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pins(list: &[(&str, &str, &[&str])]) -> Pins {
        let pin = |bytes: &str, grants: &[&str]| Pin {
            digest: Checksum::of_bytes(bytes.as_bytes()),
            sdk: String::new(),
            grants: grants.iter().map(|&grant| grant.to_owned()).collect(),
        };
        list.iter().map(|&(name, bytes, grants)| (name.to_owned(), pin(bytes, grants))).collect()
    }

    #[test]
    fn pinning_tells_what_changed() {
        let before = pins(&[("1", "a", &[]), ("2", "b", &["clock (optional)"]), ("3", "c", &[])]);
        let now = pins(&[
            ("1", "a", &["clock (optional)"]),
            ("2", "B", &["clock (required)"]),
            ("4", "d", &["other:x (optional)"]),
        ]);
        let list = changes(&before, &now);
        let brief: Vec<_> = list.iter().map(|p| (p.name.as_str(), p.change, p.newly_wanted.join(" "))).collect();
        assert_eq!(
            brief,
            [
                ("1", Change::Unchanged, String::new()),
                ("2", Change::Changed, "clock (required)".to_owned()),
                ("4", Change::New, "other:x (optional)".to_owned()),
                ("3", Change::Removed, String::new()),
            ]
        );
        assert_eq!(list[1].before, Some(Checksum::of_bytes(b"b")));
    }
}
