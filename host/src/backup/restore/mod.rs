//! A restore never touches the present database: it fills a new one, proves it, then swaps the names in one transaction and keeps the old.

mod carry;
mod copies;
mod create;
mod fill;
mod fresh;
mod hindrances;
pub(super) mod leftovers;
mod lend;
pub(super) mod roles;
mod swap;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use uuid::Uuid;

pub use copies::{Copies, Named};
pub(super) use fresh::{Fresh, Proved};

use super::{Backup, Manifest, Properties, kept};
use crate::{
    config::Config,
    error::{Error, NOTHING_CHANGED, Result},
    failpoint::Failpoint,
    postgres::{
        Session, Target,
        lock::{self, LockKey},
        passfile_line_of_all, quote_ident, quote_literal,
    },
};

/// What is to be restored, and how.
#[derive(Debug, Clone, Default)]
pub struct Order {
    /// A new database, which takes nobody's place; `None` for that of the configuration.
    pub into: Option<String>,
    /// How the dump is read.
    pub way: Way,
}

/// How a dump is read.
#[derive(Debug, Clone, Default)]
pub struct Way {
    /// How many tables are filled at a time. `None`: as many as there are processors, up to four, where it is worth it.
    pub jobs: Option<u32>,
    /// Where the dump is decoded to, for more than one. `None`: where the system keeps its temporary files.
    pub temp_dir: Option<PathBuf>,
    /// Everything goes into the server's usual tablespace, whatever the dump says.
    pub no_tablespaces: bool,
}

/// What a restore did.
#[derive(Debug, Clone, serde::Serialize, schemars::JsonSchema)]
pub struct Restored {
    /// The backup.
    pub backup: String,
    /// The database that now holds its state.
    pub database: String,
    /// The name under which the former database was kept; none where there was none.
    pub kept_as: Option<String>,
    /// How many tables were compared by the number of their rows.
    pub tables_counted: usize,
    /// How many of them were compared by the hashes of their rows as well.
    pub tables_hashed: usize,
    /// What became of the journal.
    pub journal: String,
    /// What could not be done, although the restore could.
    pub warnings: Vec<String>,
    /// How long each part took.
    pub phases: Vec<Phase>,
    /// How long nobody could connect, in milliseconds.
    pub outage_ms: Option<u64>,
}

/// A part of a restore.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct Phase {
    /// Its name.
    pub name: &'static str,
    /// How long it took, in milliseconds.
    pub ms: u64,
}

impl Phase {
    /// One that has just ended.
    pub(super) fn since(name: &'static str, begin: Instant) -> Self {
        Self { name, ms: u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX) }
    }
}

const NEXT: &str = "mend the cause, then run the same `lockgate restore` again";
const UNTOUCHED: &str = "the present database was not touched";

/// Brings the backup's state back under the target's name, or under a new one. The former database is kept as `<name>_before_<run>`.
///
/// # Errors
/// [`Error::Backup`] and refusals; until the swap the present database is as it was, and what was restored so far is dropped.
pub async fn restore(config: &Config, run_id: Uuid, backup: &Backup, order: &Order) -> Result<Restored> {
    let manifest = &backup.manifest;
    let database = order.into.as_ref().unwrap_or(&config.target.database);
    let fail = |cause: String| Error::Backup {
        what: format!("the restore of backup `{}` failed", manifest.id),
        cause,
        state: UNTOUCHED.into(),
        next: NEXT.into(),
    };
    whole_or_aside(manifest, order)?;
    let admin = maintenance(&config.target, run_id).await?;
    claim(&admin, database).await?;
    Failpoint::NameClaimed.pass();
    leftovers::clean_up(&admin, &config.target.database).await?;

    let present = Properties::of(&admin, &config.target.database).await?;
    let replaces = order.into.is_none() && present.is_some();
    if order.into.is_some() {
        unused(&admin, database).await?;
    }
    let then = kept::properties(config, backup).await?;
    let properties = &match &present {
        // What the operator decided last; but the rows are as they were written.
        Some(present) if replaces => present.clone().with_encoding_of(&then),
        _ => then,
    };
    roles::may_make(&admin, database, &properties.owner, replaces).await?;
    let mut warnings = Vec::new();
    // Not given back: the session that holds it ends with the swap.
    let mut runs = None;
    if replaces {
        warnings.extend(hindrances::check(&admin, database).await?);
        runs = no_run_meanwhile(config, &admin, run_id, &mut warnings).await?;
    }
    let present_can_be_read = runs.is_some();

    let mut fresh = Fresh::of(config, &admin, run_id, backup, "restoring", &order.way).await?;
    fresh.check_files().await.map_err(fail)?;
    warnings.extend(fresh.check_roles(properties, &properties.owner).await?);
    let filled = async {
        warnings.extend(fresh.create(properties, &properties.owner).await?);
        fresh.fill().await?;
        let proved = fresh.compare().await?;
        fresh.analyze().await?;
        Ok::<_, String>(proved)
    };
    let filled = filled.await;
    let proved = match filled {
        Ok(proved) => proved,
        Err(cause) => {
            fresh.discard().await;
            return Err(fail(cause));
        }
    };

    let kept = replaces.then(|| name(database, "before", &suffix(run_id)));
    let carried = carry::journal(config, run_id, manifest, &fresh.name, present_can_be_read, kept.as_deref()).await;
    let journal = carried.unwrap_or_else(|failed| {
        warnings.push(failed.clone());
        failed
    });
    Failpoint::JournalCarried.pass();
    // Last, because it may shut us out.
    warnings.extend(fresh.dress(properties).await);
    if let Some(signal) = config.stop.asked() {
        fresh.discard().await;
        return Err(Error::Interrupted { signal, state: UNTOUCHED.into() });
    }
    let comment = properties.comment.as_deref();
    let outage_ms = match &kept {
        Some(kept) => Some(swap::swap(config, &admin, run_id, manifest, database, &fresh.name, kept, comment).await?),
        None => match swap::name(&admin, &fresh.name, database, comment).await {
            Ok(()) => None,
            Err(error) => {
                fresh.discard().await;
                return Err(fail(why(&error)));
            }
        },
    };
    Ok(Restored {
        backup: manifest.id.clone(),
        database: database.clone(),
        kept_as: kept,
        tables_counted: proved.counted,
        tables_hashed: proved.hashed,
        journal,
        warnings,
        phases: fresh.phases,
        outage_ms,
    })
}

/// Removes what restores, drills and proofs have left that were cut off, and opens the database that one of them left closed.
///
/// # Errors
/// When the server cannot be asked, and [`Error::Backup`] when something could not be removed.
pub async fn clean_up(config: &Config, run_id: Uuid) -> Result<Vec<String>> {
    let admin = maintenance(&config.target, run_id).await?;
    let cleaned = leftovers::clean_up(&admin, &config.target.database).await?;
    if cleaned.left.is_empty() {
        return Ok(cleaned.done);
    }
    Err(Error::Backup {
        what: "what restores have left could not all be removed".into(),
        cause: cleaned.left.join("; "),
        state: match cleaned.done.is_empty() {
            true => NOTHING_CHANGED.into(),
            false => cleaned.done.join("; "),
        },
        next: "mend the cause, then run `lockgate restore --clean-up` again".into(),
    })
}

/// A backup that leaves something out must not take the place of what has it.
fn whole_or_aside(manifest: &Manifest, order: &Order) -> Result<()> {
    if order.into.is_some() || manifest.scope.is_whole() {
        return Ok(());
    }
    let without = manifest.scope.left_out();
    Err(Error::Refused {
        what: format!("backup `{}` leaves out {without}, and cannot take the place of the database", manifest.id),
        next: "restore it beside the database: `--into NAME`".into(),
    })
}

/// A session of the database from which others can be made, renamed and dropped.
pub(super) async fn maintenance(target: &Target, run_id: Uuid) -> Result<Session> {
    let mut refusals = Vec::new();
    for database in MAINTENANCE.into_iter().filter(|database| *database != target.database) {
        match Session::connect(&target.with_database(database), &application(run_id)).await {
            Ok(session) => {
                session.batch("preparing the session", "SET default_transaction_read_only = off").await?;
                return Ok(session);
            }
            Err(Error::Unreachable { cause, .. }) => refusals.push(format!("`{database}`: {cause}")),
            Err(error) => return Err(error),
        }
    }
    Err(Error::Unreachable {
        target: target.to_string(),
        cause: format!(
            "names of databases are changed from another database, and none lets this role in: {}",
            refusals.join("; ")
        ),
        next: match lacks_a_line(target) {
            true => format!(
                "the password file has a line for `{}` only: let it fit the other databases as well, `{}`",
                target.database,
                passfile_line_of_all(target, &target.host())
            ),
            false => format!(
                "check that the server runs, or run `GRANT CONNECT ON DATABASE postgres TO {}`",
                quote_ident(&target.user)
            ),
        },
    })
}

/// Whether the password file has a password for the target's database, and none for those that names are changed from.
fn lacks_a_line(target: &Target) -> bool {
    let has_one = |target: &Target| target.effective_password(&target.host()).is_ok_and(|password| password.is_some());
    has_one(target) && !MAINTENANCE.iter().any(|database| has_one(&target.with_database(database)))
}

/// Names can be changed from another database only; one of these is there on every server.
const MAINTENANCE: [&str; 2] = ["postgres", "template1"];

fn application(run_id: Uuid) -> String {
    format!("lockgate restore {}", suffix(run_id))
}

/// At most one restore makes a database of a name.
async fn claim(admin: &Session, database: &str) -> Result<()> {
    match lock::claim(admin, database).await? {
        None => Ok(()),
        Some(holder) => Err(Error::RestoreUnderWay { database: database.to_owned(), holder }),
    }
}

/// The lock of the runs in the present database. A database that lets nobody in cannot have it taken; then no run must be at work in it.
async fn no_run_meanwhile(
    config: &Config,
    admin: &Session,
    run_id: Uuid,
    warnings: &mut Vec<String>,
) -> Result<Option<Session>> {
    const DOING: &str = "looking for runs";
    let database = &config.target.database;
    let session = match Session::connect(&config.target, &application(run_id)).await {
        Ok(session) => session,
        Err(Error::Unreachable { cause, .. }) => {
            let runs = format!(
                "SELECT pid FROM pg_catalog.pg_stat_activity WHERE application_name LIKE 'lockgate%' AND datname = {}",
                quote_literal(database)
            );
            if !admin.texts(DOING, &runs).await?.is_empty() {
                return Err(Error::Refused {
                    what: format!(
                        "the present database `{database}` lets nobody in ({cause}), and a run is at work in it"
                    ),
                    next: "wait for it, or end it; or restore beside the database: `--into NAME`".into(),
                });
            }
            let warning = format!(
                "the present database `{database}` lets nobody in, and its journal was not carried over: {cause}"
            );
            tracing::warn!("{warning}");
            warnings.push(warning);
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let waiting = lock::acquire(&session, LockKey, config.lock_timeout);
    match config.stop.race(waiting).await {
        Ok(waited) => waited.map(|_| Some(session)),
        Err(signal) => Err(Error::Interrupted { signal, state: NOTHING_CHANGED.into() }),
    }
}

async fn unused(admin: &Session, database: &str) -> Result<()> {
    let refused = |what: String| Err(Error::Refused { what, next: "name another with `--into`".into() });
    if database.len() > NAME_MAX_BYTES || database.is_empty() {
        return refused(format!("`{database}` is no name for a database: at most {NAME_MAX_BYTES} bytes"));
    }
    match Properties::of(admin, database).await? {
        None => Ok(()),
        Some(_) => refused(format!("there is a database `{database}` already")),
    }
}

/// PostgreSQL cuts longer names off.
const NAME_MAX_BYTES: usize = 63;

/// `<database>_<word>_<suffix>`; of a long name as much as leaves room for the suffix.
fn name(database: &str, word: &str, suffix: &str) -> String {
    let tail = format!("_{word}_{suffix}");
    let mut keep = NAME_MAX_BYTES.saturating_sub(tail.len()).min(database.len());
    while !database.is_char_boundary(keep) {
        keep -= 1;
    }
    format!("{}{tail}", &database[..keep])
}

/// Enough of a run's id to tell runs apart. The end: a version 7 id begins with the time.
fn suffix(run_id: Uuid) -> String {
    run_id.simple().to_string().split_off(24)
}

/// How often is tried to drop a database in which somebody still is.
const DROPS_MAX: u32 = 5;

/// Drops a database of our own, whoever is in it.
///
/// FORCE ends sessions, such as that of a `pg_restore` that outlived its lockgate, and waits for them, but not long (SQLSTATE 55006). Where a
/// worker of autovacuum is in the database it fails for whoever is no superuser (42501); without FORCE the server sends such workers away.
async fn drop_database(admin: &Session, database: &str) -> Result<()> {
    const DOING: &str = "dropping the new database";
    let drop = format!("DROP DATABASE IF EXISTS {}", quote_ident(database));
    let is = |result: &Result<()>, sqlstate| matches!(result, Err(Error::Database { error, .. }) if error.is(sqlstate));
    let mut tries = 1;
    loop {
        let mut dropped = admin.batch(DOING, &format!("{drop} WITH (FORCE)")).await;
        if is(&dropped, "42501") {
            dropped = admin.batch(DOING, &drop).await;
        }
        if !is(&dropped, "55006") || tries == DROPS_MAX {
            return dropped;
        }
        tries += 1;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

pub(super) fn why(error: &Error) -> String {
    let report = error.report();
    match report.causes.is_empty() {
        true => report.what,
        false => format!("{}: {}", report.what, report.causes.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_keeps_its_suffix() {
        assert_eq!(name("auth", "before", "1a2b"), "auth_before_1a2b");
        let long = name(&"ü".repeat(40), "before", "1a2b");
        assert!(long.len() <= 63 && long.ends_with("_before_1a2b"), "{long}");
    }
}
