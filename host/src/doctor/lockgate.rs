//! Lockgate itself: its history, a migration that is half applied, its backups, drills and journal.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{
    Check, Look, Unseen,
    model::{Finding, Severity},
    rows::{Rows, Unit, column},
    thresholds::{BACKUP_WARN_AGE, DRILL_WARN_AGE, JOURNAL_QUICK_ENTRIES, STORE_TIMEOUT},
};
use crate::{
    backup::{Catalog, origin::Origin},
    error::Error,
    postgres::{journal::Journal, progress::Progress, tables},
    report::{thousands, words},
};

pub struct Lockgate;

#[async_trait(?Send)]
impl Check for Lockgate {
    fn name(&self) -> &'static str {
        "lockgate"
    }

    fn about(&self) -> &'static str {
        "history, half-applied migrations, backups, drills, the journal's chain"
    }

    async fn look(&self, look: &mut Look<'_>) -> Result<(), Unseen> {
        let version = env!("CARGO_PKG_VERSION");
        let begun = history(look).await?;
        if begun.is_none() {
            look.find(
                Finding::new(Severity::Info, "no-history", "Lockgate has never run here: there is no history")
                    .statements(["lockgate status".to_owned()])
                    .advice("nothing has to be done; a database that another tool has migrated is taken over by `lockgate adopt`"),
            );
        }
        let applied = match begun {
            None => "no history".to_owned(),
            Some(0) => "no migration applied".to_owned(),
            Some(n) => format!("{} applied", words::count(n, "migration")),
        };
        look.say(format!("{version}; {applied}"));
        backups(look).await;
        if begun.is_none() {
            return Ok(());
        }
        under_way(look).await?;
        entries(look).await
    }
}

/// How many migrations are applied; `None` where there is no history.
async fn history(look: &mut Look<'_>) -> Result<Option<usize>, Unseen> {
    let (session, history) = (look.patient.session, look.patient.history);
    let applied = match history.read(session).await {
        Ok(applied) => applied,
        Err(Error::DamagedHistory { what, next }) => {
            look.find(Finding::new(Severity::Critical, "damaged-history", what).advice(next));
            return Ok(Some(0));
        }
        Err(error) => return Err(error.into()),
    };
    let Some(applied) = applied else { return Ok(None) };
    if tables::lack_something(session, history).await? {
        look.find(
            Finding::new(Severity::Warn, "incomplete-history", "the tables of the history lack something that this version needs")
                .statements(["lockgate roles".to_owned()])
                .advice("the next run adds it, where its role may; else run the SQL that `lockgate roles` prints, as a superuser"),
        );
    }
    newer_writers(look).await?;
    Ok(Some(applied.len()))
}

/// Rows that a newer version than this one has written.
async fn newer_writers(look: &mut Look<'_>) -> Result<(), Unseen> {
    let table = look.patient.history.table();
    let sql = format!(
        "SELECT DISTINCT to_jsonb(h) ->> 'lockgate_version' FROM {table} h WHERE to_jsonb(h) ->> 'lockgate_version' IS NOT NULL"
    );
    let rows = look.ask(&sql).await?;
    let this = numbers(env!("CARGO_PKG_VERSION"));
    let newest = rows.iter().map(|row| row.text(0)).max_by_key(|version| numbers(version));
    if let Some(newest) = newest.filter(|newest| numbers(newest) > this) {
        let message = format!("Lockgate {newest} has run here, and this is {}", env!("CARGO_PKG_VERSION"));
        look.find(
            Finding::new(Severity::Warn, "older-lockgate", message)
                .advice("use the newer one everywhere: pipelines and people"),
        );
    }
    Ok(())
}

fn numbers(version: &str) -> Vec<u64> {
    version.split(['.', '-', '+']).map_while(|part| part.parse().ok()).collect()
}

async fn under_way(look: &mut Look<'_>) -> Result<(), Unseen> {
    let progress = Progress::new(look.patient.history);
    let started = match progress.read(look.patient.session).await {
        Ok(started) => started,
        Err(Error::DamagedHistory { what, next }) => {
            look.find(Finding::new(Severity::Critical, "damaged-history", what).advice(next));
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let Some(started) = started else { return Ok(()) };
    let (at, of) = (started.position.steps_done + 1, started.steps.len());
    let paused = started.paused.as_ref().map(|paused| format!(", paused by {} at {}", paused.by, paused.at));
    let message = format!(
        "`{}` is half applied ({}): at step {at} of {of} since {}{}",
        started.name(),
        started.direction,
        started.started_at,
        paused.unwrap_or_default()
    );
    let next = if started.paused.is_some() { "lockgate pause --off" } else { "lockgate up" };
    look.find(
        Finding::new(Severity::Warn, "half-applied", message)
            .statements(["lockgate status".to_owned(), next.to_owned(), format!("lockgate down {}", started.version)])
            .advice(
                "fine while a run is at it (`lockgate doctor --check locks` tells who holds the lock); else let a run go on with it, or take it back",
            ),
    );
    Ok(())
}

/// The backups of this database, by their own words.
async fn backups(look: &mut Look<'_>) {
    let settings = &look.patient.config.backup;
    if !settings.enabled {
        look.miss("the age of the newest backup: backups are turned off");
        return;
    }
    let origin = Origin::of(look.patient.session);
    let asked = async { Catalog::open(settings)?.newest(&origin).await };
    let newest = match tokio::time::timeout(STORE_TIMEOUT, asked).await {
        Ok(Ok(newest)) => newest,
        Ok(Err(error)) => return look.miss(format!("the backups: {}", Unseen::from(error).0)),
        Err(_) => {
            return look.miss(format!("the backups: the store did not answer within {} s", STORE_TIMEOUT.as_secs()));
        }
    };
    let take = ["lockgate backup".to_owned()];
    let Some(newest) = newest else {
        look.find(
            Finding::new(
                Severity::Warn,
                "no-backup",
                format!("there is no backup of this database in `{}`", settings.location),
            )
            .statements(take)
            .advice("take one; where others are kept elsewhere, name that place with `--backup-dir`"),
        );
        return;
    };
    let age_s = Timestamp::now().duration_since(newest.manifest.created_at).as_secs().max(0).unsigned_abs();
    look.summary += &format!("; backed up {} ago", words::whole(age_s * 1_000));
    if age_s >= BACKUP_WARN_AGE.as_secs() {
        let message = format!("the newest backup, {}, is {} old", newest.manifest.id, words::whole(age_s * 1_000));
        look.find(
            Finding::new(Severity::Warn, "old-backup", message)
                .statements(take)
                .advice("take one, and see to it that one is taken every day"),
        );
    }
}

/// The journal: the last drill, and whether all its entries are as they were written.
async fn entries(look: &mut Look<'_>) -> Result<(), Unseen> {
    let (session, history) = (look.patient.session, look.patient.history);
    let journal = Journal::new(history, look.patient.run_id);
    let sql = format!(
        "
        SELECT count(*),
               (SELECT extract(epoch FROM clock_timestamp() - max(at))::bigint FROM {table} WHERE event = 'drilled'),
               (SELECT to_char(max(at) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') FROM {table} WHERE event = 'drilled'),
               (SELECT to_char(max(at) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') FROM {table} WHERE event = 'run_finished')
        FROM {table}",
        table = journal.table()
    );
    let row = look.ask_one(&sql).await?;
    let columns = [
        column("entries", Unit::Count),
        column("drilled ago", Unit::Seconds),
        column("drilled at", Unit::Text),
        column("last run finished at", Unit::Text),
    ];
    look.facts(Rows::of(&columns, [&row]));
    let drill = match row.maybe_int(1) {
        None => Some("no restore of this database was ever tried".to_owned()),
        Some(age) if age.unsigned_abs() >= DRILL_WARN_AGE.as_secs() => {
            Some(format!("no restore was tried for {}", words::whole(age.unsigned_abs() * 1_000)))
        }
        Some(_) => None,
    };
    if let Some(message) = drill {
        look.find(Finding::new(Severity::Info, "no-drill", message).statements(["lockgate drill".to_owned()]).advice(
            "a backup that was never restored is a hope: restore the newest into a scratch database, once a month",
        ));
    }
    if row.int(0) > JOURNAL_QUICK_ENTRIES {
        let n = thousands(row.int(0).unsigned_abs());
        look.miss(format!("the chain of the journal's {n} entries, which takes a while: `lockgate history --verify`"));
        return Ok(());
    }
    let verified = journal.verify(session, None).await?;
    let wrong = match verified.broken {
        Some(broken) => Some(broken.what),
        None => journal.disagreements(session, history).await?.into_iter().next(),
    };
    match wrong {
        None => look.summary += "; the journal is whole",
        Some(what) => look.find(
            Finding::new(
                Severity::Critical,
                "journal",
                format!("the journal or the history was tampered with: {what}"),
            )
            .statements(["lockgate history --verify".to_owned()])
            .advice("compare it with a backup, and find out who may write to these tables"),
        ),
    }
    Ok(())
}
