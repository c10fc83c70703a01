//! The end of a backup: its files get their names, the manifest is written last, and whether all of it is there is asked before and after.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    manifest::{Manifest, Part},
    store::{Over, Store},
    take::Unnamed,
};
use crate::failpoint::Failpoint;

/// First the files under their names, then the manifest. What has a name already is taken away when that fails.
pub(super) fn publish(
    store: &Arc<dyn Store>,
    written: Vec<(Part, Unnamed)>,
    manifest: Manifest,
) -> Result<Manifest, String> {
    let (manifest, text) = manifest.sealed();
    let mut named = Vec::new();
    let all = || -> std::io::Result<()> {
        for (part, unnamed) in written {
            // A folder is named with its first file.
            match unnamed {
                Unnamed::File(upload) => upload.publish()?,
                Unnamed::Folder(folder) => folder.publish()?,
            }
            named.push(part.file.split('/').next().unwrap_or_default().to_owned());
            Failpoint::BackupNamed.pass();
        }
        // Whoever tidied up meanwhile, and took the files for leftovers, must not leave a manifest that tells of what is gone.
        all_there(store, &manifest)?;
        store.put(&Manifest::file_name(&manifest.id), &text, Over::Nothing)?;
        all_there(store, &manifest)
    };
    match all() {
        Ok(()) => {
            Failpoint::ManifestWritten.pass();
            Ok(manifest)
        }
        Err(error) => {
            // The manifest may be there although its store did not say so. Unless it is gone for certain, its files must stay.
            let manifest = Manifest::file_name(&manifest.id);
            if error.kind() != std::io::ErrorKind::AlreadyExists
                && let Err(second) = store.remove(&manifest)
            {
                tracing::warn!(file = manifest, cause = %second, "what is left of the backup could not be removed");
                named.clear();
            }
            for name in named {
                if let Err(second) = store.remove(&name) {
                    tracing::warn!(file = name, cause = %second, "what is left of the backup could not be removed");
                }
            }
            Err(format!("finishing the backup in `{}`: {error}", store.location()))
        }
    }
}

/// Whether the store has every file of a backup, each in its size. A folder counts as a whole.
fn all_there(store: &Arc<dyn Store>, manifest: &Manifest) -> std::io::Result<()> {
    let mut expected: BTreeMap<&str, u64> = BTreeMap::new();
    for part in &manifest.parts {
        *expected.entry(part.file.split('/').next().unwrap_or_default()).or_default() += part.bytes;
    }
    let entries = store.entries()?;
    for (name, bytes) in expected {
        let what = match entries.iter().find(|entry| entry.name == name) {
            Some(entry) if entry.bytes == bytes => continue,
            Some(entry) => format!("`{name}` has {} bytes by now, not {bytes}", entry.bytes),
            None => format!("`{name}` is gone: somebody has removed it meanwhile"),
        };
        return Err(std::io::Error::other(what));
    }
    Ok(())
}
