//! The properties of a database as a file of its backup, encrypted as the dump is: the value of a setting may well be a secret.

use std::{
    io::{self, Read, Write},
    sync::Arc,
};

use super::{
    Backup, Catalog, Manifest, Properties,
    catalog::off_the_runtime,
    coding::{Decoder, Encoder},
    dump::part,
    encryption::{Identities, Recipients},
    manifest::{Content, Encoding, Part},
    store::Store,
    take::Unnamed,
    verify,
};
use crate::{
    config::Config,
    error::{Error, NOTHING_CHANGED, Result},
};

/// More than any database's properties have.
const MAX_BYTES: u64 = 64 << 20;

/// Writes them.
pub(super) fn write(
    properties: &Properties,
    store: &Arc<dyn Store>,
    id: &str,
    recipients: &Recipients,
    witness: &Arc<Identities>,
) -> Result<(Part, Unnamed), String> {
    let encoding = if recipients.is_empty() { Encoding::Zstd } else { Encoding::ZstdAge };
    let file = format!("{id}.properties.json{}", encoding.extension());
    let writing = |e: io::Error| format!("writing `{file}` in `{}`: {e}", store.location());
    let upload = store.create(&file, 0).map_err(writing)?;
    let mut encoder = Encoder::new(upload, recipients, witness).map_err(writing)?;
    let text = serde_json::to_vec_pretty(properties).map_err(|e| e.to_string())?;
    encoder.write_all(&text).map_err(writing)?;
    let encoded = encoder.finish().map_err(writing)?;
    Ok(part(Content::Properties, file.clone(), encoding, encoded))
}

/// Reads those of a backup.
///
/// # Errors
/// [`Error::Configuration`] without the private key of one that is encrypted; [`Error::Backup`] when they are not as they were written.
pub(super) async fn properties(config: &Config, backup: &Backup) -> Result<Properties> {
    let manifest = backup.manifest.clone();
    let keys = verify::identities(&manifest, config.backup.identity.as_deref())?;
    let store = Arc::clone(Catalog::open(&config.backup)?.store());
    let id = manifest.id.clone();
    let read = off_the_runtime(move || Ok(read(&store, &manifest, &keys))).await?;
    read.map_err(|cause| Error::Backup {
        what: format!("the properties of the database in backup `{id}` cannot be read"),
        cause,
        state: NOTHING_CHANGED.into(),
        next: "choose another backup: `lockgate backup list`".into(),
    })
}

fn read(store: &Arc<dyn Store>, manifest: &Manifest, keys: &Identities) -> Result<Properties, String> {
    let part = manifest.parts.iter().find(|part| part.content == Content::Properties);
    let part = part.ok_or("it has no such file")?;
    let reading = |e: io::Error| format!("reading `{}`: {e}", part.file);
    let mut decoder = store.read(&part.file).and_then(|file| Decoder::new(file, part, keys)).map_err(reading)?;
    let mut text = Vec::new();
    decoder.by_ref().take(MAX_BYTES).read_to_end(&mut text).map_err(reading)?;
    decoder.finish(part).map_err(|damage| format!("`{}` is damaged: {damage}", part.file))?;
    serde_json::from_slice(&text).map_err(|e| format!("`{}`: {e}", part.file))
}
