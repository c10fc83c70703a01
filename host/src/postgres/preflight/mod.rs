//! The host's checks before a run: one file a check. A new check is one file and one line here.

mod backup_space;
mod long_transactions;
mod pg_dump;
mod privileges;
mod server;

use std::path::Path;

use super::{history::History, session::Session, snapshot::estimated_bytes};
use crate::{
    backup::Catalog,
    error::{Finding, Result},
};

/// What the session is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To run migrations.
    Migrate,
    /// To take a backup, which the journal tells.
    BackUp,
}

/// What the checks look at.
pub struct Context<'a> {
    /// What the session is for.
    pub purpose: Purpose,
    /// The session that will do the work.
    pub session: &'a Session,
    /// Where the history is or will be.
    pub history: &'a History,
    /// Where the backup will be kept; `None` when none will be taken.
    pub backups: Option<Catalog>,
    /// The role that reads everything for the backup.
    pub backup_role: &'a str,
    /// Where to look for `pg_dump`, if that is configured.
    pub pg_bin: Option<&'a Path>,
    /// Whether components will run.
    pub components: bool,
}

/// Only what the role lacks.
///
/// # Errors
/// When that cannot be found out.
pub async fn privileges(context: &Context<'_>) -> Result<Vec<Finding>> {
    privileges::check(context).await
}

/// Only whether the next backup can be written, and will fit, of tables that have so many bytes.
///
/// # Errors
/// When the store cannot be asked.
pub async fn backup_space(session: &Session, backups: &Catalog, tables_bytes: u64) -> Result<Vec<Finding>> {
    backup_space::check(session, backups, tables_bytes).await
}

/// Runs every check, but for those of [`of_backup`], and returns all that they found.
///
/// # Errors
/// When a check could not be made.
pub async fn check(context: &Context<'_>) -> Result<Vec<Finding>> {
    let mut findings = server::check(context);
    // The others write, or ask what a server like that cannot answer.
    if crate::error::blocks(&findings) {
        return Ok(findings);
    }
    findings.extend(privileges::of_history(context).await?);
    findings.extend(long_transactions::check(context).await?);
    Ok(findings)
}

/// Whether the backup can be taken, where one is to be.
///
/// # Errors
/// When a check could not be made.
pub async fn of_backup(context: &Context<'_>) -> Result<Vec<Finding>> {
    let Some(backups) = &context.backups else { return Ok(vec![]) };
    if crate::error::blocks(&server::check(context)) {
        return Ok(vec![]);
    }
    let mut findings = privileges::of_backup(context).await?;
    findings.extend(pg_dump::check(context));
    findings.extend(backup_space::check(context.session, backups, estimated_bytes(context.session).await?).await?);
    Ok(findings)
}
