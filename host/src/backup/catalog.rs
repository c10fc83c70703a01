//! The backups in a store. A backup without its manifest is none.

use std::{
    io::{self, Read},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{
    Level, Settings,
    id::is_id,
    manifest::Manifest,
    origin::Origin,
    store::{Over, Store},
};
use crate::error::{Error, NOTHING_CHANGED, Result};

/// More than any manifest has.
const MANIFEST_MAX_BYTES: u64 = 64 << 20;

/// A backup, and how far it has been proved by now.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct Backup {
    /// What it says of itself.
    #[serde(flatten)]
    pub manifest: Manifest,
    /// The highest level that it has reached so far.
    pub level: Level,
    /// When it reached that.
    #[schemars(with = "String")]
    pub proved_at: jiff::Timestamp,
}

/// What a store holds.
#[derive(Debug, Clone, Default, Serialize, schemars::JsonSchema)]
pub struct Listing {
    /// The complete backups; those of one database of a server in the order in which they were taken.
    pub backups: Vec<Backup>,
    /// Those of which only a damaged manifest is there, by their names.
    pub damaged: Vec<Damaged>,
}

/// A backup with a damaged manifest. Nobody knows what it was of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Damaged {
    /// Its name.
    pub id: String,
    /// What is wrong with it.
    pub cause: String,
}

/// What a later proof of a backup leaves beside it.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Proof {
    level: Level,
    #[schemars(with = "String")]
    at: jiff::Timestamp,
    /// Of the very manifest.
    sha256: String,
}

/// The backups in a store. What it does takes its time, and is done in threads that may wait.
#[derive(Debug, Clone)]
pub struct Catalog {
    store: Arc<dyn Store>,
}

impl Catalog {
    /// Opens the store of the settings.
    ///
    /// # Errors
    /// As [`Location::open`](super::store::Location::open).
    pub fn open(settings: &Settings) -> Result<Self> {
        Ok(Self { store: settings.location.open(&settings.s3)? })
    }

    /// The store.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// All that is there. A manifest that is damaged is logged, and must not stop a run.
    ///
    /// # Errors
    /// [`Error::Backup`] when the store cannot be read.
    pub async fn list(&self) -> Result<Listing> {
        let catalog = self.clone();
        off_the_runtime(move || catalog.list_now()).await
    }

    /// The newest complete backup of a database of one server, whatever else may be damaged.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub async fn newest(&self, origin: &Origin) -> Result<Option<Backup>> {
        Ok(self.list().await?.backups.into_iter().rfind(|backup| origin.has(&backup.manifest)))
    }

    /// The backup of that name; of this database and no other, whichever server it is of.
    ///
    /// # Errors
    /// When there is none, or its manifest is damaged.
    pub async fn find(&self, database: &str, id: &str) -> Result<Backup> {
        let missing = || Error::Refused {
            what: format!("there is no backup `{id}` of database `{database}` in `{}`", self.store.location()),
            next: "see `lockgate backup list`".into(),
        };
        let (catalog, name) = (self.clone(), id.to_owned());
        let Some(backup) = off_the_runtime(move || catalog.read(&name)).await? else { return Err(missing()) };
        if backup.manifest.database == database {
            return Ok(backup);
        }
        Err(Error::Refused {
            what: format!("backup `{id}` is one of database `{}`, not of `{database}`", backup.manifest.database),
            next: "choose one of this database, or name the other with DB_NAME".into(),
        })
    }

    /// Notes that a backup has been proved up to this level, unless it was proved further before.
    ///
    /// # Errors
    /// [`Error::Backup`] when the store cannot be written.
    pub async fn note_proof(&self, backup: &Backup, level: Level) -> Result<()> {
        if backup.level >= level {
            return Ok(());
        }
        let proof = Proof { level, at: jiff::Timestamp::now(), sha256: backup.manifest.sha256.clone() };
        let (store, name) = (Arc::clone(&self.store), proof_name(&backup.manifest.id));
        let text = serde_json::to_vec_pretty(&proof).map_err(|e| Error::system("writing JSON", e))?;
        let noted = off_the_runtime(move || Ok(store.put(&name, &text, Over::Anything))).await?;
        noted.map_err(|e| self.unusable("be written", &e))
    }

    fn list_now(&self) -> Result<Listing> {
        let entries = self.store.entries().map_err(|e| self.unusable("be read", &e))?;
        let ids = entries.iter().filter_map(|entry| entry.name.strip_suffix(".json"));
        let Listing { mut backups, mut damaged } = Listing::default();
        for id in ids.filter(|id| is_id(id)) {
            match self.read(id) {
                Ok(backup) => backups.extend(backup),
                Err(error) => {
                    let report = error.report();
                    let cause = report.causes.join("; ");
                    tracing::warn!(cause, "{}; it is left out", report.what);
                    damaged.push(Damaged { id: id.to_owned(), cause });
                }
            }
        }
        damaged.sort_by(|a, b| a.id.cmp(&b.id));
        backups.sort_by(|a, b| {
            let (a, b) = (&a.manifest, &b.manifest);
            let origin = (&a.database, a.system_identifier).cmp(&(&b.database, b.system_identifier));
            origin.then_with(|| (a.sequence, a.created_at, &a.id).cmp(&(b.sequence, b.created_at, &b.id)))
        });
        Ok(Listing { backups, damaged })
    }

    fn read(&self, id: &str) -> Result<Option<Backup>> {
        if !is_id(id) {
            return Ok(None);
        }
        let name = Manifest::file_name(id);
        let damaged = |cause: String| Error::Backup {
            what: format!("the manifest `{name}` of backup `{id}` is damaged"),
            cause,
            state: NOTHING_CHANGED.into(),
            next: "choose another backup: `lockgate backup list`".into(),
        };
        let bytes = match self.read_whole(&name) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(damaged(error.to_string())),
        };
        let manifest = Manifest::open(id, &bytes).map_err(damaged)?;
        let (mut level, mut proved_at) = (manifest.verified, manifest.created_at);
        // A proof that is damaged, or one of another backup, is none.
        let proof =
            self.read_whole(&proof_name(id)).ok().and_then(|bytes| serde_json::from_slice::<Proof>(&bytes).ok());
        if let Some(proof) = proof.filter(|proof| proof.sha256 == manifest.sha256 && proof.level > level) {
            (level, proved_at) = (proof.level, proof.at);
        }
        Ok(Some(Backup { manifest, level, proved_at }))
    }

    fn read_whole(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.store.read(name)?.take(MANIFEST_MAX_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn unusable(&self, how: &str, cause: &io::Error) -> Error {
        Error::Backup {
            what: format!("the backups in `{}` cannot {how}", self.store.location()),
            cause: cause.to_string(),
            state: NOTHING_CHANGED.into(),
            next: "mend the cause, or name another place with `--backup-dir`".into(),
        }
    }
}

/// The name of what proves a backup further than its manifest tells.
pub(super) fn proof_name(id: &str) -> String {
    format!("{id}.verified.json")
}

/// Runs what blocks in a thread that may wait.
pub(super) async fn off_the_runtime<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Error::system("using the store of backups", e))?
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::backup::{manifest::tests::manifest, store::Local};

    const A: &str = "20260101T000000Z_0000000a";
    const B: &str = "20260101T000000Z_0000000b";
    const Z: &str = "20260101T000000Z_0000000f";

    fn catalog(folder: &Path) -> Catalog {
        Catalog { store: Arc::new(Local::new(folder.to_owned())) }
    }

    fn written(folder: &Path, id: &str, sequence: u64) -> Manifest {
        let (manifest, text) = manifest(id, sequence, vec![]).sealed();
        fs::write(folder.join(format!("{id}.json")), text).unwrap();
        manifest
    }

    #[tokio::test]
    async fn the_newest_is_that_of_the_server_whatever_the_names_and_the_clocks_say() {
        let folder = tempfile::tempdir().unwrap();
        let catalog = catalog(folder.path());
        let newest = async |database: &str, system_identifier| {
            let origin = Origin { database: database.into(), system_identifier };
            catalog.newest(&origin).await.unwrap().map(|backup| backup.manifest.id)
        };
        assert_eq!(newest("auth", 7).await, None);
        written(folder.path(), B, 1);
        written(folder.path(), A, 2);
        let other = Manifest { system_identifier: 8, ..manifest(Z, 9, vec![]) };
        fs::write(folder.path().join(format!("{Z}.json")), other.sealed().1).unwrap();
        assert_eq!((newest("auth", 7).await.as_deref(), newest("auth", 8).await.as_deref()), (Some(A), Some(Z)));
        assert_eq!((newest("auth", 9).await, newest("other", 7).await), (None, None));
        for id in [B, Z] {
            assert_eq!(catalog.find("auth", id).await.unwrap().manifest.id, id);
        }
        for (database, id) in [
            ("auth", "20260101T000000Z_0000000c"),
            ("other", A),
            ("auth", "../20260101T000000Z_0000000a"),
            ("auth", ""),
        ] {
            assert!(catalog.find(database, id).await.is_err(), "{database} {id}");
        }
    }

    #[tokio::test]
    async fn a_damaged_manifest_is_named_when_asked_for_and_told_apart_in_the_list() {
        let folder = tempfile::tempdir().unwrap();
        let catalog = catalog(folder.path());
        written(folder.path(), A, 1);
        fs::write(folder.path().join(format!("{B}.json")), "{").unwrap();
        fs::write(folder.path().join("notes.json"), "{").unwrap();
        let listing = catalog.list().await.unwrap();
        let damaged: Vec<&str> = listing.damaged.iter().map(|damaged| damaged.id.as_str()).collect();
        assert_eq!((listing.backups.len(), damaged), (1, vec![B]), "and what is no backup's is nobody's business");
        let text = catalog.find("auth", B).await.unwrap_err().to_string();
        assert!(text.contains(&format!("the manifest `{B}.json` of backup `{B}` is damaged")), "{text}");
    }

    #[tokio::test]
    async fn a_proof_counts_for_its_own_backup_only() {
        let folder = tempfile::tempdir().unwrap();
        let catalog = catalog(folder.path());
        written(folder.path(), A, 1);
        written(folder.path(), B, 2);
        let level = async |id: &str| catalog.find("auth", id).await.unwrap().level;
        catalog.note_proof(&catalog.find("auth", A).await.unwrap(), Level::Compared).await.unwrap();
        catalog.note_proof(&catalog.find("auth", A).await.unwrap(), Level::Restored).await.unwrap();
        assert_eq!((level(A).await, level(B).await), (Level::Compared, Level::Decoded));
        fs::copy(folder.path().join(format!("{A}.verified.json")), folder.path().join(format!("{B}.verified.json")))
            .unwrap();
        assert_eq!(level(B).await, Level::Decoded);
        assert_eq!(catalog.list().await.unwrap().backups.len(), 2, "a proof is no manifest");
    }
}
