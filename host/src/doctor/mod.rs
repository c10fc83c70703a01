//! What an operator looks at when something is wrong, and before a migration: one file a check. A new check is one file and one line here.
//!
//! It changes nothing: every question is asked in a READ ONLY transaction with short time-outs, of the statistics and the catalog alone,
//! so that nobody waits for it and it waits for nobody.

mod connections;
mod disk;
mod duplicate_indexes;
mod invalid;
mod lockgate;
mod locks;
mod look;
mod model;
mod privileges;
mod replication;
mod rows;
mod sequences;
mod server;
mod statements;
pub mod thresholds;
mod transactions;
mod tree;
mod unused_indexes;
mod vacuum;
mod wraparound;

use std::{
    cmp::Reverse,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use uuid::Uuid;

use self::look::{Look, Patient, Unseen};
use crate::{
    config::Config,
    error::{Error, Result},
    postgres::{Session, history::History},
};

pub use model::{Checked, Examination, Finding, Severity, Verdict};
pub use rows::{Column, Rows, Unit};
pub use tree::{Involved, Node};

/// Something to look at.
#[async_trait(?Send)]
trait Check: Sync {
    /// Its name, as `--check` takes it.
    fn name(&self) -> &'static str;
    /// What it looks at.
    fn about(&self) -> &'static str;
    /// Looks, and notes what it finds. What it has noted stays, also where it then fails.
    async fn look(&self, look: &mut Look<'_>) -> Result<(), Unseen>;
}

const CHECKS: &[&dyn Check] = &[
    &locks::Locks,
    &transactions::Transactions,
    &connections::Connections,
    &replication::Replication,
    &invalid::Invalid,
    &duplicate_indexes::DuplicateIndexes,
    &unused_indexes::UnusedIndexes,
    &sequences::Sequences,
    &wraparound::Wraparound,
    &vacuum::Vacuum,
    &disk::Disk,
    &statements::Statements,
    &lockgate::Lockgate,
    &privileges::Privileges,
    &server::Server,
];

/// The names of all checks, in their order.
pub fn names() -> impl Iterator<Item = &'static str> {
    CHECKS.iter().map(|check| check.name())
}

/// Looks at the database of the configuration with the checks of these names, or with all where none is named; what lasts longer than `long` is
/// long.
///
/// # Errors
/// [`Error::Unreachable`], also when the connection is lost on the way. What a check cannot look at, it says in its own place.
pub async fn examine(config: &Config, run_id: Uuid, named: &[String], long: Duration) -> Result<Examination> {
    let examined_at = jiff::Timestamp::now();
    let session = Session::connect(&config.target, "lockgate doctor").await?;
    session.batch("making the session read-only", &read_only_sql()).await?;
    let sees_all =
        session.texts("asking what the role may see", SEES_ALL_SQL).await?.concat() == [Some("t".to_owned())];
    let history = History::in_schema(&config.schema);
    let patient = Patient { config, session: &session, history: &history, run_id, long, sees_all };
    let mut checks = Vec::new();
    for check in CHECKS.iter().filter(|check| named.is_empty() || named.iter().any(|name| name == check.name())) {
        checks.push(looked(*check, &patient).await);
        if session.is_closed() {
            return Err(Error::Unreachable {
                target: config.target.to_string(),
                cause: format!("the connection was lost in the check `{}`", check.name()),
                next: "run `lockgate doctor` again; the server's log tells why it ended the session".into(),
            });
        }
    }
    let of = |severity| checks.iter().flat_map(|c: &Checked| &c.findings).filter(|f| f.severity == severity).count();
    Ok(Examination {
        target: config.target.to_string(),
        database: config.target.database.clone(),
        server_version: session.server.version.clone(),
        role: session.server.user.clone(),
        examined_at,
        long_s: long.as_secs(),
        verdict: checks.iter().map(|checked| checked.verdict).max().unwrap_or(Verdict::Well),
        critical: of(Severity::Critical),
        warnings: of(Severity::Warn),
        checks,
    })
}

const SEES_ALL_SQL: &str = "SELECT pg_has_role('pg_read_all_stats', 'USAGE')";

/// Holds for whatever is asked in this session, by the checks and by what they call.
fn read_only_sql() -> String {
    format!(
        "SET default_transaction_read_only = on; SET statement_timeout = {}; SET lock_timeout = {}",
        thresholds::STATEMENT_TIMEOUT.as_millis(),
        thresholds::LOCK_TIMEOUT.as_millis()
    )
}

async fn looked(check: &dyn Check, patient: &Patient<'_>) -> Checked {
    let begin = Instant::now();
    let mut look = Look::at(patient);
    let unseen = check.look(&mut look).await.err();
    let Look { summary, mut findings, facts, mut not_looked_at, queries, .. } = look;
    findings.sort_by_key(|finding| Reverse(finding.severity));
    let worst = findings.first().map(|finding| finding.severity.into());
    let verdict = match (worst, &unseen) {
        (Some(verdict), _) => verdict,
        (None, Some(_)) => Verdict::NotLookedAt,
        (None, None) => Verdict::Well,
    };
    not_looked_at.extend(unseen.map(|Unseen(why)| why));
    Checked {
        check: check.name(),
        about: check.about(),
        verdict,
        summary,
        findings,
        facts,
        not_looked_at,
        queries,
        duration_ms: begin.elapsed().as_millis().try_into().unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_has_a_name_of_its_own() {
        let mut all: Vec<_> = names().collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), CHECKS.len());
    }
}
