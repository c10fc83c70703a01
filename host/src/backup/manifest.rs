//! What a backup says of itself: the JSON file beside it, written last. docs/manifest.schema.json describes it.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Level;
use crate::{migration::hex, postgres::snapshot::Contents};

/// The version of this format.
pub const FORMAT: u32 = 3;

/// A complete backup.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// 3.
    pub format: u32,
    /// The name to restore it by.
    pub id: String,
    /// One more than that of the backup of this database of this server before it: the order in which they were taken, whatever clocks say.
    pub sequence: u64,
    /// When it was begun, UTC.
    #[schemars(with = "String")]
    pub created_at: jiff::Timestamp,
    /// How long it took, in milliseconds, up to its last check.
    pub duration_ms: u64,
    /// The run that took it.
    pub run_id: String,
    /// The database that was dumped.
    pub database: String,
    /// What tells that server and its standbys from all others.
    pub system_identifier: i64,
    /// Where that server was reached: `host:port`.
    pub server: String,
    /// The server's version.
    pub server_version: String,
    /// `pg_dump`'s major version.
    pub pg_dump_major: u32,
    /// The program that took it.
    pub lockgate_version: String,
    /// Where the snapshot is in the server's write-ahead log; a standby does not tell.
    pub lsn: Option<String>,
    /// The migrations that were applied then.
    pub applied: Vec<String>,
    /// The migrations that it was taken for, if it was taken by a run.
    pub precedes: Vec<String>,
    /// What it leaves out.
    pub scope: Scope,
    /// What the snapshot held.
    pub contents: Contents,
    /// The public keys that it is encrypted for; none where it is not encrypted.
    pub recipients: Vec<String>,
    /// Its files.
    pub parts: Vec<Part>,
    /// How far it was proved before this was written.
    pub verified: Level,
    /// Of this file, in hexadecimal, with this text empty.
    pub sha256: String,
}

/// What a backup leaves out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// All rows.
    pub schema_only: bool,
    /// The rows of tables with such names, as they were asked for.
    pub excluded_data: Vec<String>,
    /// What that came to: the tables, with their partitions and children, each with schema and name, quoted.
    pub excluded_tables: Vec<String>,
}

impl Scope {
    /// What it leaves out, as part of a sentence.
    pub fn left_out(&self) -> String {
        match self.schema_only {
            true => "all rows".to_owned(),
            false => format!("the rows of {}", self.excluded_data.join(", ")),
        }
    }

    /// Whether it leaves out nothing.
    pub fn is_whole(&self) -> bool {
        !self.schema_only && self.excluded_tables.is_empty()
    }
}

/// What a file of a backup holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// `pg_dump`'s custom format.
    Dump,
    /// A file of `pg_dump`'s directory format.
    DumpDirectory,
    /// Roles and tablespaces, as SQL.
    Globals,
    /// What belongs to the database as a whole and is in no dump of it, as JSON.
    Properties,
}

impl Content {
    /// As a message names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dump | Self::DumpDirectory => "the dump",
            Self::Globals => "the globals",
            Self::Properties => "the properties",
        }
    }
}

/// What was done to the bytes, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Encoding {
    /// As the program wrote them.
    #[serde(rename = "none")]
    None,
    /// zstd.
    #[serde(rename = "zstd")]
    Zstd,
    /// zstd, then age.
    #[serde(rename = "zstd+age")]
    ZstdAge,
}

impl Encoding {
    /// What the name of such a file ends with.
    pub fn extension(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Zstd => ".zst",
            Self::ZstdAge => ".zst.age",
        }
    }
}

/// A file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// What it holds.
    pub content: Content,
    /// Its name, beside the manifest.
    pub file: String,
    /// How it was written.
    pub encoding: Encoding,
    /// Its size.
    pub bytes: u64,
    /// Of the file, in hexadecimal.
    pub sha256: String,
    /// The size of what it holds.
    pub plain_bytes: u64,
    /// Of what it holds, in hexadecimal.
    pub plain_sha256: String,
}

impl Manifest {
    /// The name of a manifest's file.
    pub fn file_name(id: &str) -> String {
        format!("{id}.json")
    }

    /// The size of all files.
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes).sum()
    }

    /// Whether the private key is needed to read it.
    pub fn is_encrypted(&self) -> bool {
        self.parts.iter().any(|part| part.encoding == Encoding::ZstdAge)
    }

    /// The file, with its digest in it.
    pub fn sealed(mut self) -> (Self, Vec<u8>) {
        self.sha256 = String::new();
        self.sha256 = hex(&Sha256::digest(self.text()));
        let text = self.text();
        (self, text)
    }

    /// Reads a file that was written by [`sealed`](Self::sealed), and is exactly as it was then.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn open(id: &str, bytes: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Versioned {
            format: u32,
        }
        let versioned: Versioned = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
        if versioned.format != FORMAT {
            return Err(format!("it has format {}, this program reads {FORMAT}", versioned.format));
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
        let (sealed, text) = manifest.clone().sealed();
        // The bytes are compared as well: JSON can be written in more than one way.
        if sealed.sha256 != manifest.sha256 || text != bytes {
            return Err("its SHA-256 differs from the one that it tells".into());
        }
        // The names come from a file: they must not lead elsewhere.
        let is_its_own = |part: &Part| part.file.strip_prefix(id).is_some_and(|rest| rest.starts_with('.'));
        if manifest.id != id || !manifest.parts.iter().all(is_its_own) {
            return Err("it tells of files that are not its own".into());
        }
        Ok(manifest)
    }

    fn text(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec_pretty(self).expect("a manifest is plain data");
        text.push(b'\n');
        text
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A manifest of these parts.
    pub fn manifest(id: &str, sequence: u64, parts: Vec<Part>) -> Manifest {
        Manifest {
            format: FORMAT,
            id: id.into(),
            sequence,
            created_at: jiff::Timestamp::UNIX_EPOCH,
            duration_ms: 1,
            run_id: String::new(),
            database: "auth".into(),
            system_identifier: 7,
            server: "localhost:5432".into(),
            server_version: "15".into(),
            pg_dump_major: 15,
            lockgate_version: "0".into(),
            lsn: None,
            applied: vec![],
            precedes: vec![],
            scope: Scope::default(),
            contents: Contents::default(),
            recipients: vec![],
            parts,
            verified: Level::Decoded,
            sha256: String::new(),
        }
    }

    fn part(file: &str) -> Part {
        Part {
            content: Content::Dump,
            file: file.into(),
            encoding: Encoding::Zstd,
            bytes: 1,
            sha256: "00".into(),
            plain_bytes: 1,
            plain_sha256: "00".into(),
        }
    }

    #[test]
    fn every_bit_flip_and_truncation_is_found() {
        let (manifest, text) = manifest("a", 1, vec![part("a.dump.zst")]).sealed();
        assert_eq!(Manifest::open("a", &text), Ok(manifest));
        for i in 0..text.len() {
            let mut bad = text.clone();
            bad[i] ^= 1 << (i % 8);
            assert!(Manifest::open("a", &bad).is_err(), "bit flip at {i}");
            assert!(Manifest::open("a", &text[..i]).is_err(), "truncation at {i}");
        }
        assert!(Manifest::open("a", &[&text[..], b" "].concat()).is_err(), "something appended");
    }

    #[test]
    fn a_manifest_tells_of_its_own_files_only() {
        for file in ["../b.dump.zst", "b.dump.zst", "", "a", "ab.dump.zst"] {
            let (_, text) = manifest("a", 1, vec![part(file)]).sealed();
            assert!(Manifest::open("a", &text).unwrap_err().contains("not its own"), "{file}");
        }
        let (_, text) = manifest("a", 1, vec![]).sealed();
        assert!(Manifest::open("b", &text).is_err(), "renamed");
    }

    #[test]
    fn another_format_is_named() {
        let error = Manifest::open("a", br#"{"format": 1, "id": "a"}"#).unwrap_err();
        assert_eq!(error, "it has format 1, this program reads 3");
    }
}
