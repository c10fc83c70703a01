//! What a certificate says.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    migration::{Checksum, Version},
    rehearsal::{self, Extent, FaultCode, HazardCode, Place, Rehearsal, Reversibility, Verdict},
};

/// The number of this format.
pub const FORMAT: u32 = 1;

/// What was rehearsed, for which database, and how it went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// [`FORMAT`].
    pub format: u32,
    /// The version of Lockgate that rehearsed.
    pub lockgate: String,
    /// The rehearsal: the correlation id of its logs.
    pub run_id: Uuid,
    /// When the rehearsal ended, UTC.
    pub issued_at: jiff::Timestamp,
    /// The database that it was for, as it was then.
    pub target: Base,
    /// The database that it was done on.
    pub copy: Of,
    /// What was rehearsed, in order.
    pub migrations: Vec<Rehearsed>,
    /// The mildest verdict that failed it; `None`: none did.
    pub fail_on: Option<Verdict>,
    /// Whether production can go on with all of them.
    pub passed: bool,
}

/// The database that a rehearsal was for, as it was when that began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// Its name.
    pub database: String,
    /// The version of its server, such as `15.18`.
    pub server_version: String,
    /// The digest of its schema.
    pub schema_fingerprint: String,
    /// The newest version that was applied.
    pub version: Option<Version>,
}

/// The copy that was rehearsed on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Of {
    /// Where.
    pub on: Place,
    /// The version of its server.
    pub server_version: String,
    /// The backup that it was made of.
    pub backup: String,
    /// Whether it had rows.
    pub extent: Extent,
    /// The file that masked personal data in it.
    pub masked: Option<String>,
    /// The tables whose rows a way down needed not bring back.
    pub ignored: Vec<String>,
}

/// A migration that was rehearsed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rehearsed {
    /// Its version.
    pub version: Version,
    /// Version and description.
    pub name: String,
    /// Its file.
    pub filename: String,
    /// What it is made of: `sql` or `component`.
    pub kind: String,
    /// The digest that the history will have of it.
    pub checksum: Checksum,
    /// The digest of what else decides what it does: of SQL files the way down and the checks, of a component what the operator grants it
    /// and sets for it.
    pub companions: Checksum,
    /// Whether it can be taken back.
    pub reversibility: Reversibility,
    /// What it will cost the target's users.
    pub verdict: Verdict,
    /// What is wrong with it.
    pub faults: Vec<FaultCode>,
    /// What about it keeps others waiting.
    pub hazards: Vec<HazardCode>,
}

impl Certificate {
    /// What there is to certify of a rehearsal that failed on verdicts from `fail_on` upwards.
    pub fn of(rehearsal: &Rehearsal, fail_on: Option<Verdict>) -> Self {
        let rehearsal::Target { database, server_version, schema_fingerprint, version } = rehearsal.target.clone();
        let copy = &rehearsal.copy;
        let took = jiff::SignedDuration::from_millis(i64::try_from(rehearsal.duration_ms).unwrap_or(i64::MAX));
        Self {
            format: FORMAT,
            lockgate: rehearsal.lockgate.to_owned(),
            run_id: rehearsal.run_id,
            issued_at: rehearsal.started_at.saturating_add(took).unwrap_or(rehearsal.started_at),
            target: Base { database, server_version, schema_fingerprint, version },
            copy: Of {
                on: copy.on,
                server_version: copy.server_version.clone(),
                backup: copy.backup.clone(),
                extent: copy.extent,
                masked: copy.masked.clone(),
                ignored: copy.ignored.clone(),
            },
            migrations: rehearsal.migrations.iter().map(Rehearsed::of).collect(),
            fail_on,
            passed: rehearsal.passed,
        }
    }
}

impl Rehearsed {
    fn of(migration: &rehearsal::Migration) -> Self {
        Self {
            version: migration.version.clone(),
            name: migration.name.clone(),
            filename: migration.filename.clone(),
            kind: migration.kind.clone(),
            checksum: migration.checksum.clone(),
            companions: migration.companions.clone(),
            reversibility: migration.reversibility.clone(),
            verdict: migration.verdict,
            faults: sorted(migration.faults.iter().map(|fault| fault.code)),
            hazards: sorted(migration.hazards.iter().map(|hazard| hazard.code)),
        }
    }
}

/// Each code once.
fn sorted<T: Ord>(codes: impl Iterator<Item = T>) -> Vec<T> {
    let mut codes: Vec<T> = codes.collect();
    codes.sort();
    codes.dedup();
    codes
}
