//! What a backup says of itself: the JSON file beside it, written last.

use serde::{Deserialize, Serialize};

/// The version of this format.
pub const FORMAT: u32 = 1;

/// A complete backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// 1.
    pub format: u32,
    /// The name to restore it by.
    pub id: String,
    /// When it was begun, UTC.
    pub created_at: jiff::Timestamp,
    /// The run that took it.
    pub run_id: String,
    /// The database that was dumped.
    pub database: String,
    /// The server's version.
    pub server_version: String,
    /// `pg_dump`'s major version.
    pub pg_dump_major: u32,
    /// The program that took it.
    pub lockgate_version: String,
    /// The migrations that were applied then.
    pub applied: Vec<String>,
    /// The migrations that it was taken for, if it was taken by a run.
    pub precedes: Vec<String>,
    /// The file.
    pub payload: Payload,
}

/// The dump: `pg_dump`'s custom format, compressed with zstd.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    /// Its name, in the manifest's folder.
    pub file: String,
    /// `pg_dump-custom+zstd`.
    pub encoding: String,
    /// The file's size.
    pub bytes: u64,
    /// Of the file, in hexadecimal.
    pub sha256: String,
    /// The dump's size before compression.
    pub dump_bytes: u64,
    /// Of the dump before compression, in hexadecimal.
    pub dump_sha256: String,
}
