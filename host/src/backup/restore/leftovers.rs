//! What restores, drills and proofs have left that were cut off.
//!
//! Whoever makes a database claims its name as long as it lives, and leaves a mark in its comment. A mark on a name that nobody claims
//! is one of a run that is dead.

use uuid::Uuid;

use super::{drop_database, why};
use crate::{
    error::Result,
    postgres::{Session, lock, quote_ident, quote_literal},
};

/// What the names of new databases have in them.
const WORDS: [&str; 2] = ["restoring", "scratch"];

/// How far a new database is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It is being filled.
    Filling,
    /// The present one may be closed.
    Swapping,
}

/// The comment of a database that is not finished.
pub(super) fn mark(database: &str, run_id: Uuid, stage: Stage) -> String {
    let end = match stage {
        Stage::Filling => NOT_FINISHED,
        Stage::Swapping => SWAPPING,
    };
    format!("{}{run_id}{end}", start_of_mark(database))
}

const NOT_FINISHED: &str = ", not finished";
const SWAPPING: &str = ", not finished, swapping";

fn start_of_mark(database: &str) -> String {
    format!("lockgate: restore of {} by run ", quote_ident(database))
}

/// A database of the server.
struct Found {
    name: String,
    open: bool,
    comment: Option<String>,
}

impl Found {
    /// How far it is, if it is one of ours.
    fn stage(&self, database: &str) -> Option<Stage> {
        match &self.comment {
            Some(comment) if comment.starts_with(&start_of_mark(database)) => {
                Some(if comment.ends_with(SWAPPING) { Stage::Swapping } else { Stage::Filling })
            }
            // Nobody was ever let in before it had its mark.
            None if !self.open && WORDS.iter().any(|word| is_named_so(&self.name, database, word)) => {
                Some(Stage::Filling)
            }
            _ => None,
        }
    }
}

fn is_named_so(name: &str, database: &str, word: &str) -> bool {
    let Some((_, suffix)) = name.rsplit_once('_') else { return false };
    let is_suffix = suffix.len() == 8 && suffix.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    is_suffix && name == super::name(database, word, suffix)
}

/// What became of what was left.
#[derive(Debug, Default)]
pub(in crate::backup) struct CleanedUp {
    /// What was done, a sentence each.
    pub(in crate::backup) done: Vec<String>,
    /// What could not be removed, and why.
    pub(in crate::backup) left: Vec<String>,
}

/// Drops what dead runs have left of this database's restores, and opens it where one of them left it closed. What cannot be dropped is
/// told in the log as well: it keeps nobody from restoring.
pub(in crate::backup) async fn clean_up(admin: &Session, database: &str) -> Result<CleanedUp> {
    let sql = "SELECT datname, datallowconn, shobj_description(oid, 'pg_database') FROM pg_catalog.pg_database";
    let rows = admin.texts("looking for what was left", sql).await?;
    let found: Vec<Found> = rows
        .into_iter()
        .filter_map(|row| match <[Option<String>; 3]>::try_from(row) {
            Ok([Some(name), open, comment]) => Some(Found { name, open: open.as_deref() == Some("t"), comment }),
            _ => None,
        })
        .collect();
    let is_closed = found.iter().any(|found| found.name == database && !found.open);
    let mut cleaned = CleanedUp::default();
    for leftover in &found {
        let Some(stage) = leftover.stage(database) else { continue };
        let name = &leftover.name;
        if let Some(holder) = lock::claim(admin, name).await? {
            tracing::debug!(database = name, holder, "somebody is at work in it");
            continue;
        }
        // It may have been finished between the two looks.
        let result = match still_there(admin, leftover).await {
            Ok(true) => remove(admin, database, name, stage == Stage::Swapping && is_closed, &mut cleaned.done).await,
            other => other.map(drop),
        };
        lock::disclaim(admin, name).await?;
        if let Err(error) = result {
            let cause = why(&error);
            tracing::warn!(database = name, cause, "what a restore has left could not be removed");
            cleaned.left.push(format!("`{name}` could not be dropped: {cause}"));
        }
    }
    Ok(cleaned)
}

async fn still_there(admin: &Session, leftover: &Found) -> Result<bool> {
    let comment = leftover.comment.as_deref().map_or("NULL".to_owned(), quote_literal);
    let sql = format!(
        "SELECT 1 FROM pg_catalog.pg_database
         WHERE datname = {} AND shobj_description(oid, 'pg_database') IS NOT DISTINCT FROM {comment}",
        quote_literal(&leftover.name)
    );
    Ok(!admin.texts("looking for what was left", &sql).await?.is_empty())
}

async fn remove(admin: &Session, database: &str, leftover: &str, reopen: bool, done: &mut Vec<String>) -> Result<()> {
    let mut tell = |what: String| {
        tracing::warn!("{what}");
        done.push(what);
    };
    // Before its mark goes.
    if reopen {
        let sql = format!("ALTER DATABASE {} ALLOW_CONNECTIONS true", quote_ident(database));
        admin.batch("opening the database again", &sql).await?;
        tell(format!("opened `{database}` again, which a restore that was cut off had closed"));
    }
    drop_database(admin, leftover).await?;
    tell(format!("dropped `{leftover}`, which a restore that was cut off had left"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, open: bool, comment: Option<&str>) -> Found {
        Found { name: name.into(), open, comment: comment.map(Into::into) }
    }

    #[test]
    fn only_what_is_ours_is_taken_for_a_leftover() {
        let stage = |name, open, comment| found(name, open, comment).stage("auth");
        let (filling, swapping) =
            (mark("auth", Uuid::nil(), Stage::Filling), mark("auth", Uuid::nil(), Stage::Swapping));
        assert_eq!(stage("whatever", true, Some(&filling)), Some(Stage::Filling));
        assert_eq!(stage("whatever", true, Some(&swapping)), Some(Stage::Swapping));
        assert_eq!(found("x", true, Some(&filling)).stage("aut"), None, "another database's");
        assert_eq!(stage("auth_restoring_0123abcd", false, None), Some(Stage::Filling), "closed and not yet marked");
        assert_eq!(stage("auth_scratch_0123abcd", false, None), Some(Stage::Filling));
        for (name, open, comment) in [
            ("auth_restoring_0123abcd", true, None),
            ("auth_restoring_0123abcd", false, Some("mine")),
            ("auth_restoring_x", false, None),
            ("auth_before_0123abcd", false, None),
            ("other_restoring_0123abcd", false, None),
            ("auth", false, None),
        ] {
            assert_eq!(stage(name, open, comment), None, "{name} {open} {comment:?}");
        }
    }
}
