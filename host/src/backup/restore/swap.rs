//! The names, changed in one transaction.

use std::time::{Duration, Instant};

use uuid::Uuid;

use super::{
    NEXT, drop_database,
    leftovers::{Stage, mark},
    maintenance, why,
};
use crate::{
    backup::Manifest,
    config::Config,
    error::{Error, Result},
    failpoint::Failpoint,
    postgres::{Session, quote_ident, quote_literal},
};

const DOING: &str = "swapping the databases";
const REOPENED: &str = "the present database holds what it held and is open again; its clients were disconnected";

/// How long one of the statements may wait for a lock while nobody can connect, in milliseconds.
const LOCK_TIMEOUT_MS: u64 = 5_000;
/// How long sessions are waited for that were told to end, and how often is looked.
const END_MAX: Duration = Duration::from_secs(5);
const END_POLL: Duration = Duration::from_millis(5);

/// Gives the new database the name of the present one, which is kept under another. Nobody may connect meanwhile; clients see a refusal for
/// a moment, then the restored database. Returns how long that was, in milliseconds.
///
/// # Errors
/// [`Error::Backup`]; the present database is as it was then, unless the error says otherwise.
#[allow(clippy::too_many_arguments, reason = "three names and what they stand for")]
pub(super) async fn swap(
    config: &Config,
    admin: &Session,
    run_id: Uuid,
    manifest: &Manifest,
    database: &str,
    fresh: &str,
    kept: &str,
    comment: Option<&str>,
) -> Result<u64> {
    let (swapped, outage) = change_names(admin, run_id, database, fresh, kept, comment).await;
    let outage_ms = u64::try_from(outage.as_millis()).unwrap_or(u64::MAX);
    let Err(error) = swapped else { return Ok(outage_ms) };
    let fail = |state: String| Error::Backup {
        what: format!("the restore of backup `{}` failed", manifest.id),
        cause: why(&error),
        state,
        next: NEXT.into(),
    };
    match undo(config, run_id, database, fresh, kept).await {
        Ok(true) => Ok(outage_ms),
        Ok(false) => Err(fail(REOPENED.into())),
        Err(second) => {
            let look =
                format!("look: `{database}`, `{fresh}` and `{kept}` may each be there or not ({})", why(&second));
            Err(fail(look))
        }
    }
}

async fn change_names(
    admin: &Session,
    run_id: Uuid,
    database: &str,
    fresh: &str,
    kept: &str,
    comment: Option<&str>,
) -> (Result<()>, Duration) {
    let (name, fresh_name, kept_name) = (quote_ident(database), quote_ident(fresh), quote_ident(kept));
    let before = async {
        admin.batch(DOING, &format!("SET lock_timeout = {LOCK_TIMEOUT_MS}; SET synchronous_commit = on")).await?;
        // Our own sessions may still be on their way out.
        end_sessions(admin, fresh).await?;
        // By this mark the next command knows that the present database may be closed, and by whom.
        let mark = quote_literal(&mark(database, run_id, Stage::Swapping));
        admin.batch(DOING, &format!("COMMENT ON DATABASE {fresh_name} IS {mark}")).await
    };
    if let Err(error) = before.await {
        return (Err(error), Duration::ZERO);
    }
    Failpoint::SwapMarked.pass();
    let begin = Instant::now();
    let closed = async {
        // By itself: it must be in force before the sessions are ended.
        admin.batch(DOING, &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).await?;
        Failpoint::DatabaseClosed.pass();
        end_sessions(admin, database).await?;
        Failpoint::SessionsEnded.pass();
        let sql = format!(
            "BEGIN; ALTER DATABASE {name} RENAME TO {kept_name}; ALTER DATABASE {fresh_name} RENAME TO {name};
             ALTER DATABASE {kept_name} ALLOW_CONNECTIONS true; {}; COMMIT",
            comment_sql(&name, comment)
        );
        admin.batch(DOING, &sql).await
    };
    let closed = closed.await;
    let outage = begin.elapsed();
    if closed.is_ok() {
        Failpoint::DatabasesSwapped.pass();
    }
    (closed, outage)
}

/// Gives the new database a name that nobody has.
pub(super) async fn name(admin: &Session, fresh: &str, database: &str, comment: Option<&str>) -> Result<()> {
    end_sessions(admin, fresh).await?;
    let (fresh, name) = (quote_ident(fresh), quote_ident(database));
    let sql = format!("BEGIN; ALTER DATABASE {fresh} RENAME TO {name}; {}; COMMIT", comment_sql(&name, comment));
    let named = admin.batch("naming the new database", &sql).await;
    if named.is_err() && !admin.is_closed() {
        admin.abort().await?;
    }
    named
}

/// With the name, the mark goes.
fn comment_sql(name: &str, comment: Option<&str>) -> String {
    format!("COMMENT ON DATABASE {name} IS {}", comment.map_or("NULL".to_owned(), quote_literal))
}

/// Tells all of them at a time, then waits until they are gone.
async fn end_sessions(admin: &Session, database: &str) -> Result<()> {
    const DOING: &str = "ending the sessions of the database";
    // What kind a session is only those are told who may know; then one of nobody is the server's own. The server itself ends its vacuuming.
    let of_it = format!(
        "FROM pg_catalog.pg_stat_activity
         WHERE datname = {} AND coalesce(backend_type <> 'autovacuum worker', usesysid IS NOT NULL)",
        quote_literal(database)
    );
    admin.batch(DOING, &format!("SELECT pg_terminate_backend(pid) {of_it}")).await?;
    // `pg_terminate_backend(pid, timeout)` looks every 100 ms only. What is left in the end keeps the name from being changed.
    let begin = Instant::now();
    while begin.elapsed() < END_MAX && !admin.texts(DOING, &format!("SELECT pid {of_it}")).await?.is_empty() {
        tokio::time::sleep(END_POLL).await;
    }
    Ok(())
}

/// After a failed swap: looks what there is, and brings back what there was. True when the swap was made after all.
async fn undo(config: &Config, run_id: Uuid, database: &str, fresh: &str, kept: &str) -> Result<bool> {
    // Another connection: the one before may be lost, or stuck in the failed transaction.
    let admin = maintenance(&config.target, run_id).await?;
    let sql = format!("SELECT 1 FROM pg_catalog.pg_database WHERE datname = {}", quote_literal(kept));
    if !admin.texts("looking which databases there are", &sql).await?.is_empty() {
        return Ok(true);
    }
    let open = format!("ALTER DATABASE {} ALLOW_CONNECTIONS true", quote_ident(database));
    admin.batch("opening the database again", &open).await?;
    drop_database(&admin, fresh).await?;
    Ok(false)
}
