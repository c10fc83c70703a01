//! How backups are taken, kept and proved: `[backup]` and `[drill]` in `lockgate.toml`, and the options over them.

use std::{borrow::Cow, path::PathBuf, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

use super::{
    manifest::Scope,
    store::{Location, S3Settings},
};
use crate::error::{Error, Result};

/// How much a backup has been proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The files have the size and the SHA-256 that the manifest tells.
    Digest = 0,
    /// They decrypt and decode to what `pg_dump` wrote.
    Decoded = 1,
    /// A database was restored from them.
    Restored = 2,
    /// That database holds the rows that the snapshot held: their number, and their hashes where those were taken.
    Compared = 3,
}

impl Level {
    /// By its number.
    pub fn of(number: u8) -> Option<Self> {
        [Self::Digest, Self::Decoded, Self::Restored, Self::Compared].into_iter().find(|level| *level as u8 == number)
    }

    /// What it means, in a word or two.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Digest => "digests",
            Self::Decoded => "decoded",
            Self::Restored => "restored",
            Self::Compared => "compared",
        }
    }
}

impl Serialize for Level {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(*self as u8)
    }
}

impl JsonSchema for Level {
    fn schema_name() -> Cow<'static, str> {
        "ProofLevel".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "integer",
            "description": "How far a backup is proved: 0 by its digests, 1 that it decodes to what was dumped, 2 by a restore, 3 by its rows.",
            "minimum": 0,
            "maximum": 3,
        })
    }
}

impl<'de> Deserialize<'de> for Level {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u8::deserialize(deserializer)?;
        Self::of(number).ok_or_else(|| serde::de::Error::custom(format!("{number} is no level: 0, 1, 2 or 3")))
    }
}

/// How many backups are kept. A backup that any of the rules keeps stays.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// The newest.
    pub last: u32,
    /// The newest of each of so many days that have one.
    pub daily: u32,
    /// The same for weeks, from Monday to Sunday.
    pub weekly: u32,
    /// The same for months.
    pub monthly: u32,
}

impl Default for Retention {
    fn default() -> Self {
        Self { last: 10, daily: 7, weekly: 4, monthly: 12 }
    }
}

/// What a drill is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Targets {
    /// How long a restore may take, in seconds. 15 minutes unless set.
    pub rto_s: u64,
    /// How much of the past may be lost, in seconds. 5 minutes unless set.
    pub rpo_s: u64,
}

impl Default for Targets {
    fn default() -> Self {
        Self { rto_s: 15 * 60, rpo_s: 5 * 60 }
    }
}

/// `[backup]` as it is written in the file.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Section {
    /// Whether a run takes a backup before its first change.
    #[schemars(extend("default" = true))]
    enabled: Option<bool>,
    /// Where backups are kept: a folder, or `s3://bucket/prefix`.
    #[schemars(extend("default" = "backups"))]
    dir: Option<String>,
    /// The role that backups are read as; that of the run unless set.
    role: Option<String>,
    /// How far a backup is proved before a run goes on: 0 by its digests, 1 that it decodes to what was dumped, 2 by a restore, 3 by
    /// its rows.
    #[schemars(extend("default" = 1))]
    verify_level: Option<Level>,
    /// Whether the rows of each table are hashed, so that a restore can be compared row by row.
    hashes: bool,
    /// Whether roles and tablespaces are backed up, too.
    #[schemars(extend("default" = true))]
    globals: Option<bool>,
    /// For whom backups are encrypted: public keys of `age`. Empty: they are not.
    recipients: Vec<String>,
    /// The file of private keys that encrypted backups are read with.
    identity: Option<PathBuf>,
    /// How old a backup may be that serves in the stead of a new one, in seconds. 0: every run takes its own.
    max_age_s: u64,
    /// Patterns of tables whose rows are left out, such as `audit_logs` or `logs.*`.
    exclude_data: Vec<String>,
    /// How many tables are dumped at a time; more than one makes a folder of files, which only a local store takes.
    #[schemars(extend("default" = 1))]
    jobs: Option<u32>,
    /// How many backups are kept; one that any of the rules keeps stays.
    retention: Retention,
    /// What an S3 store needs to know. Credentials come from the environment.
    s3: S3Settings,
}

/// What the command line and LOCKGATE_* say of backups.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// `--no-backup`.
    pub none: bool,
    /// `--backup-dir`.
    pub dir: Option<String>,
    /// `--backup-role`.
    pub role: Option<String>,
    /// `--identity`.
    pub identity: Option<PathBuf>,
}

/// The validated settings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whether a run takes a backup before its first change.
    pub enabled: bool,
    /// Where backups are kept.
    pub location: Location,
    /// What an S3 store needs to know.
    pub s3: S3Settings,
    /// The role that backups are read as, if it is another than that of the run.
    pub role: Option<String>,
    /// How far a backup is proved before a run goes on.
    pub verify_level: Level,
    /// Whether the rows of each table are hashed, so that a restore can be compared row by row.
    pub hashes: bool,
    /// Whether roles and tablespaces are backed up, too.
    pub globals: bool,
    /// For whom backups are encrypted: public keys of `age`. Empty: they are not.
    pub recipients: Vec<String>,
    /// The file of private keys that encrypted backups are read with.
    pub identity: Option<PathBuf>,
    /// How old a backup may be that serves in the stead of a new one. Zero: every run takes its own.
    pub max_age: Duration,
    /// Patterns of tables whose rows are left out.
    pub excluded_data: Vec<String>,
    /// How many tables are dumped at a time; more than one makes a folder of files, which only a local store takes.
    pub jobs: u32,
    /// How many are kept.
    pub retention: Retention,
    /// What a drill is held against.
    pub targets: Targets,
}

impl Settings {
    /// What the file says, and the options over it.
    ///
    /// # Errors
    /// [`Error::Configuration`], naming what does not fit.
    pub fn new(section: Section, targets: Targets, options: Options) -> Result<Self> {
        let dir = options.dir.or(section.dir).unwrap_or_else(|| "backups".into());
        let settings = Self {
            enabled: !options.none && section.enabled.unwrap_or(true),
            location: Location::parse(&dir)?,
            s3: section.s3,
            role: options.role.or(section.role).filter(|role| !role.is_empty()),
            verify_level: section.verify_level.unwrap_or(Level::Decoded),
            hashes: section.hashes,
            globals: section.globals.unwrap_or(true),
            recipients: section.recipients,
            identity: options.identity.or(section.identity),
            max_age: Duration::from_secs(section.max_age_s),
            excluded_data: section.exclude_data,
            jobs: section.jobs.unwrap_or(1),
            retention: section.retention,
            targets,
        };
        settings.check(&settings.extent())?;
        super::encryption::Recipients::parse(&settings.recipients)?;
        Ok(settings)
    }

    /// No backups at all.
    pub fn none() -> Self {
        Self {
            enabled: false,
            location: Location::Folder("backups".into()),
            s3: S3Settings::default(),
            role: None,
            verify_level: Level::Decoded,
            hashes: false,
            globals: false,
            recipients: Vec::new(),
            identity: None,
            max_age: Duration::ZERO,
            excluded_data: Vec::new(),
            jobs: 1,
            retention: Retention::default(),
            targets: Targets::default(),
        }
    }

    /// What a backup of a run holds, and how it is taken.
    pub fn extent(&self) -> Extent {
        let scope = Scope { excluded_data: self.excluded_data.clone(), ..Scope::default() };
        Extent { scope, hashes: self.hashes, jobs: self.jobs }
    }

    /// Whether such a backup can be taken.
    ///
    /// # Errors
    /// [`Error::Configuration`]: why not.
    pub fn check(&self, extent: &Extent) -> Result<()> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "_.*?".contains(c);
        if let Some(pattern) = extent.scope.excluded_data.iter().find(|p| p.is_empty() || !p.chars().all(fits)) {
            return Err(Error::configuration(
                format!("`{pattern}` is no pattern of tables"),
                "write `table` or `schema.table`, with letters, digits, `_`, and `*` and `?` for any others",
            ));
        }
        let jobs = extent.jobs;
        let wrong = |why: &str| Err(Error::configuration(format!("{jobs} jobs for a backup: {why}"), "take one job"));
        match jobs {
            0 => wrong("at least one is needed"),
            1 => Ok(()),
            _ if !self.recipients.is_empty() => {
                wrong("`pg_dump` writes the files of such a backup itself, and cannot encrypt")
            }
            _ if matches!(self.location, Location::S3 { .. }) => {
                wrong("`pg_dump` writes the files of such a backup itself, and only into a folder of this machine")
            }
            _ => Ok(()),
        }
    }
}

/// What a backup holds, and how it is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extent {
    /// What it leaves out.
    pub scope: Scope,
    /// Whether rows are hashed.
    pub hashes: bool,
    /// How many tables are dumped at a time.
    pub jobs: u32,
}
