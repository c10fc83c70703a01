//! A drill: the newest backup is restored into a scratch database, as it would have to be if the server were lost now, and what that took and
//! what would be lost are held against the targets.

use uuid::Uuid;

use super::{Among, Backup, Catalog, Level, Proof, choice, origin::Present, prove, restore::maintenance};
use crate::{
    config::Config,
    error::{Error, Result},
    postgres::Session,
};

/// What a drill found.
#[derive(Debug, Clone, serde::Serialize, schemars::JsonSchema)]
pub struct Drill {
    /// The database.
    pub database: String,
    /// When the backup was taken, UTC.
    #[schemars(with = "String")]
    pub taken_at: jiff::Timestamp,
    /// That it could be restored, and how long each part took.
    #[serde(flatten)]
    pub proof: Proof,
    /// How long a restore takes.
    pub rto: Rto,
    /// How much of the past would be lost.
    pub rpo: Rpo,
}

impl Drill {
    /// The targets that are missed.
    pub fn missed(&self) -> Vec<&'static str> {
        [("RTO", self.rto.met), ("RPO", self.rpo.met)]
            .into_iter()
            .filter(|(_, met)| !met)
            .map(|(name, _)| name)
            .collect()
    }
}

/// How long a restore takes: recovery time objective.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct Rto {
    /// At most so long, in seconds.
    pub target_s: u64,
    /// So long it took, in milliseconds: everything up to the swap of the names.
    pub measured_ms: u64,
    /// Whether that is within the target.
    pub met: bool,
}

impl Rto {
    fn of(target_s: u64, measured_ms: u64) -> Self {
        Self { target_s, measured_ms, met: measured_ms <= target_s.saturating_mul(1000) }
    }
}

/// How much of the past would be lost: recovery point objective.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct Rpo {
    /// At most so much, in seconds.
    pub target_s: u64,
    /// So much would be lost now, in seconds.
    pub measured_s: u64,
    /// Whether that is within the target.
    pub met: bool,
    /// Since when.
    pub since: Since,
    /// Why nothing better is known, where the server does not archive its write-ahead log, or fails to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Up to when everything is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Since {
    /// Up to the newest segment of the write-ahead log that was archived. A base backup that it goes on from is needed as well; whether
    /// there is one, the server does not know.
    LastArchived,
    /// Up to the backup.
    Backup,
}

/// What the server tells of its archive. Times are in seconds since 1970.
#[derive(Debug, Clone, PartialEq)]
struct Archiver {
    on: bool,
    last_archived: Option<f64>,
    last_failed: Option<f64>,
    now: f64,
}

impl Rpo {
    fn of(target_s: u64, taken_at: jiff::Timestamp, archiver: &Archiver) -> Self {
        #[allow(clippy::cast_precision_loss)]
        let taken = taken_at.as_millisecond() as f64 / 1000.0;
        let (since, then, why) = match (archiver.on, archiver.last_archived, archiver.last_failed) {
            (false, ..) => (Since::Backup, taken, Some("the server does not archive its write-ahead log")),
            (true, None, _) => (Since::Backup, taken, Some("the server has not archived anything yet")),
            (true, Some(archived), Some(failed)) if failed > archived => {
                (Since::Backup, taken, Some("the server fails to archive its write-ahead log"))
            }
            // Whatever is newer counts.
            (true, Some(archived), _) if archived < taken => (Since::Backup, taken, None),
            (true, Some(archived), _) => (Since::LastArchived, archived, None),
        };
        // Clocks differ.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let measured_s = (archiver.now - then).max(0.0).ceil() as u64;
        Self { target_s, measured_s, met: measured_s <= target_s, since, why: why.map(str::to_owned) }
    }
}

/// Restores the newest backup that leaves nothing out.
///
/// # Errors
/// [`Error::Refused`] when there is none; [`Error::Backup`] when it cannot be restored, or the manifest of what may be newer is damaged.
pub async fn drill(config: &Config, run_id: Uuid) -> Result<Drill> {
    let backup = newest_whole(config, run_id).await?;
    let proof = prove(config, &backup, Level::Compared, run_id).await?;
    let archiver = archiver(&maintenance(&config.target, run_id).await?).await?;
    let targets = config.backup.targets;
    let taken_at = backup.manifest.created_at;
    Ok(Drill {
        database: backup.manifest.database,
        taken_at,
        rto: Rto::of(targets.rto_s, proof.restore_ms()),
        rpo: Rpo::of(targets.rpo_s, taken_at, &archiver),
        proof,
    })
}

/// Of this server: that the backups of another can be restored says nothing of this one's.
async fn newest_whole(config: &Config, run_id: Uuid) -> Result<Backup> {
    let present = Present::of(config, run_id).await?;
    let newest = choice::newest(&Catalog::open(&config.backup)?.list().await?, &present, Among::Whole)?;
    newest.ok_or_else(|| Error::Refused {
        what: format!(
            "there is no backup of database `{}` of this server ({}) that leaves nothing out",
            present.origin.database, present.server
        ),
        next: "take one: `lockgate backup`".into(),
    })
}

async fn archiver(session: &Session) -> Result<Archiver> {
    const DOING: &str = "asking how the write-ahead log is archived";
    let sql = "SELECT current_setting('archive_mode') <> 'off', extract(epoch FROM last_archived_time),
                      extract(epoch FROM last_failed_time), extract(epoch FROM clock_timestamp())
               FROM pg_catalog.pg_stat_archiver";
    let rows = session.texts(DOING, sql).await?;
    let row = rows.into_iter().next().map(<[Option<String>; 4]>::try_from);
    let Some(Ok([on, archived, failed, now])) = row else {
        return Err(Error::system(DOING, "the server told nothing"));
    };
    let number = |text: Option<String>| text.and_then(|text| text.parse().ok());
    Ok(Archiver {
        on: on.as_deref() == Some("t"),
        last_archived: number(archived),
        last_failed: number(failed),
        now: number(now).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rpo(on: bool, last_archived: Option<f64>, last_failed: Option<f64>) -> (Since, u64, bool) {
        let archiver = Archiver { on, last_archived, last_failed, now: 2000.5 };
        let rpo = Rpo::of(300, jiff::Timestamp::from_second(1000).unwrap(), &archiver);
        (rpo.since, rpo.measured_s, rpo.why.is_some())
    }

    #[test]
    fn what_would_be_lost_is_since_the_last_thing_that_is_kept() {
        assert_eq!(rpo(false, Some(1900.0), None), (Since::Backup, 1001, true), "archiving was on once");
        assert_eq!(rpo(true, None, None), (Since::Backup, 1001, true));
        assert_eq!(rpo(true, None, Some(1900.0)), (Since::Backup, 1001, true));
        assert_eq!(rpo(true, Some(1900.0), None), (Since::LastArchived, 101, false));
        assert_eq!(rpo(true, Some(1900.0), Some(1800.0)), (Since::LastArchived, 101, false), "a failure that is over");
        assert_eq!(rpo(true, Some(1900.0), Some(1901.0)), (Since::Backup, 1001, true), "it fails by now");
        assert_eq!(rpo(true, Some(900.0), None), (Since::Backup, 1001, false), "the backup is newer");
    }

    #[test]
    fn a_target_is_met_up_to_the_last_second() {
        assert!(Rto::of(1, 1000).met && !Rto::of(1, 1001).met && !Rto::of(0, 1).met);
        let archiver = |now| Archiver { on: false, last_archived: None, last_failed: None, now };
        let met = |now| Rpo::of(300, jiff::Timestamp::from_second(1000).unwrap(), &archiver(now)).met;
        assert!(met(1300.0) && !met(1300.1) && met(900.0));
    }
}
