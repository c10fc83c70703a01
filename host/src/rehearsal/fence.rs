//! Keeps migrations on a copy from changing the server that the copy is on, where others use that server as well.
//!
//! What belongs to a server is in catalogs that all its databases share, and most of that is transactional. After each step the session that
//! migrates and another one look at it: what only the former sees is the step's doing, which then fails, so that its transaction is rolled
//! back. What commits by itself is looked at before it runs.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use squawk_syntax::ast::Stmt;

use super::{globals, measure::Gauge};
use crate::{
    error::{Cause, ProgramError, Result},
    locks,
    migration::{Direction, Version},
    postgres::{How, Recorder, Session, Told},
};

/// Measures as a [`Gauge`], and stops what reaches beyond the copy.
#[derive(Debug)]
pub(super) struct Fence(Gauge);

impl Fence {
    pub(super) fn around(gauge: Gauge) -> Arc<dyn Recorder> {
        Arc::new(Self(gauge))
    }
}

/// The parts of a server that are looked at, as people call them.
const PARTS: [&str; 7] = [
    "roles",
    "memberships of roles",
    "databases, their owners, privileges or settings",
    "settings of roles or databases",
    "comments on roles, databases or tablespaces",
    "privileges on settings",
    "tablespaces",
];

/// Somebody else may commit something between the two looks.
const LOOKS_MAX: u32 = 4;
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// A digest of each of the parts, in their order, without what is of the database itself or of other copies.
fn digests(session: &Session, superuser: bool) -> String {
    // Only a superuser may look at passwords.
    let roles = if superuser { "pg_catalog.pg_authid" } else { "pg_catalog.pg_roles" };
    // Privileges on settings came with 15.
    let parameters = match session.server.major() {
        ..15 => "SELECT NULL::text",
        _ => "SELECT t::text FROM pg_catalog.pg_parameter_acl t",
    };
    let this =
        "(SELECT oid FROM pg_catalog.pg_database WHERE datname OPERATOR(pg_catalog.=) pg_catalog.current_database())";
    let parts = [
        format!("SELECT t::text FROM {roles} t"),
        "SELECT t::text FROM pg_catalog.pg_auth_members t".to_owned(),
        // Its numbers of frozen transactions are moved by the server itself.
        "SELECT pg_catalog.concat_ws(' ', t.oid, t.datname, t.datdba, t.encoding, t.datallowconn, t.datistemplate, t.datconnlimit, t.datacl)
         FROM pg_catalog.pg_database t WHERE t.datname OPERATOR(pg_catalog.<>) pg_catalog.current_database()
           AND t.datname OPERATOR(pg_catalog.!~) '_(scratch|restoring)_[0-9a-f]{8}$'"
            .to_owned(),
        format!("SELECT t::text FROM pg_catalog.pg_db_role_setting t WHERE t.setdatabase OPERATOR(pg_catalog.<>) {this}"),
        format!(
            "SELECT t::text FROM pg_catalog.pg_shdescription t
             WHERE NOT (t.classoid OPERATOR(pg_catalog.=) 1262 AND t.objoid OPERATOR(pg_catalog.=) {this})"
        ),
        parameters.to_owned(),
        "SELECT t::text FROM pg_catalog.pg_tablespace t".to_owned(),
    ];
    let digest = |part: String| {
        format!(
            "(SELECT pg_catalog.md5(pg_catalog.string_agg(l.line, E'\\n' ORDER BY l.line)) FROM ({part}) AS l (line))"
        )
    };
    format!("SELECT {}", parts.map(digest).join(", "))
}

impl Fence {
    /// The parts of the server that this session has changed, and not yet committed.
    async fn changed(&self, session: &Session) -> Result<Vec<&'static str>> {
        let other = self.0.session();
        let superuser = session.server.superuser && other.server.superuser;
        let mut changed = Vec::new();
        for look in 0..LOOKS_MAX {
            if look > 0 {
                tokio::time::sleep(BETWEEN_LOOKS).await;
            }
            let (within, outside) = (look_at(session, superuser).await?, look_at(other, superuser).await?);
            changed = PARTS
                .iter()
                .zip(within.iter().zip(&outside))
                .filter(|(_, (a, b))| a != b)
                .map(|(part, _)| *part)
                .collect();
            if changed.is_empty() {
                break;
            }
        }
        Ok(changed)
    }
}

async fn look_at(session: &Session, superuser: bool) -> Result<Vec<Option<String>>> {
    let rows = session.texts("looking whether the server is as it was", &digests(session, superuser)).await?;
    Ok(rows.into_iter().next().unwrap_or_default())
}

#[async_trait]
impl Recorder for Fence {
    async fn way_begins(&self, session: &Session, version: &Version, direction: Direction) -> Result<()> {
        self.0.way_begins(session, version, direction).await
    }

    async fn way_ends(&self, session: &Session) -> Result<()> {
        self.0.way_ends(session).await
    }

    async fn transaction_begins(&self, session: &Session) -> Result<()> {
        self.0.transaction_begins(session).await
    }

    fn transaction_ends(&self, committed: bool) {
        self.0.transaction_ends(committed);
    }

    async fn step_begins(&self, session: &Session, told: Told<'_>) -> Result<(), ProgramError> {
        let is_sql = matches!(told.how, How::Sql | How::Outside);
        if is_sql && (globals::is_global(told.text) || calls_beyond(told.text)) {
            return Err(beyond("it changes what belongs to the server, and not to its database alone"));
        }
        if told.how == How::Outside && is_opaque(told.text) {
            return Err(beyond("nobody can tell before it commits whether it changes what belongs to the server"));
        }
        self.0.step_begins(session, told).await
    }

    async fn step_ends(&self, session: &Session, told: Told<'_>, rows: Option<u64>) -> Result<(), ProgramError> {
        let changed = self.changed(session).await?;
        if !changed.is_empty() {
            let what =
                format!("it changes what belongs to the server, and not to its database alone: {}", changed.join("; "));
            return Err(beyond(&what));
        }
        self.0.step_ends(session, told, rows).await
    }
}

fn beyond(what: &str) -> ProgramError {
    let what = format!(
        "{what}; this server is used by others, and a rehearsal must not change it: rehearse on a server of its own, `--on embedded` or `--on container`"
    );
    ProgramError { at: None, cause: Cause::Script(what) }
}

/// Functions that do at once what no rollback takes back, and that is not of the database alone.
const BEYOND: [&str; 8] = [
    "pg_create_physical_replication_slot",
    "pg_create_logical_replication_slot",
    "pg_copy_physical_replication_slot",
    "pg_copy_logical_replication_slot",
    "pg_drop_replication_slot",
    "pg_reload_conf",
    "pg_terminate_backend",
    "dblink_exec",
];

fn calls_beyond(sql: &str) -> bool {
    let sql = sql.to_ascii_lowercase();
    BEYOND.iter().any(|function| sql.contains(function))
}

/// Whether a statement may do anything whatever: call a function, or rows have triggers.
fn is_opaque(sql: &str) -> bool {
    !matches!(
        locks::parse(sql),
        Ok(Stmt::CreateIndex(_)
            | Stmt::DropIndex(_)
            | Stmt::Reindex(_)
            | Stmt::Vacuum(_)
            | Stmt::Cluster(_)
            | Stmt::Analyze(_)
            | Stmt::AlterTable(_)
            | Stmt::AlterType(_)
            | Stmt::Refresh(_)
            | Stmt::CreateTable(_)
            | Stmt::DropTable(_))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_commits_by_itself_must_be_known_for_harmless() {
        for sql in ["DO $$ BEGIN END $$", "CALL f()", "SELECT f()", "INSERT INTO t SELECT f()", "no such thing"] {
            assert!(is_opaque(sql), "{sql}");
        }
        for sql in ["CREATE INDEX CONCURRENTLY i ON t (a)", "VACUUM t", "ALTER TYPE e ADD VALUE 'x'", "REINDEX TABLE t"]
        {
            assert!(!is_opaque(sql), "{sql}");
        }
    }
}
