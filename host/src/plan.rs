//! What is to run: a pure function of the folder, the history and the target.

use serde::Serialize;

use crate::{
    error::{Error, Problem, Result},
    migration::Version,
    postgres::history::Applied,
    source::{Folder, Migration},
};

/// The state of one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// In the folder and in the history, the same.
    Applied,
    /// In the folder only.
    Pending,
    /// Begun and not ended, whichever way.
    Started,
    /// In both, but the file is no longer what was applied.
    Drifted,
    /// In the history, and in the folder with a problem.
    Refused,
    /// In the history only.
    Missing,
}

/// Applied migrations whose file has changed.
pub fn drift(found: &[Migration], applied: &[Applied]) -> Vec<Problem> {
    drifted(found, applied).into_iter().map(|(_, problem)| problem).collect()
}

fn drifted<'a>(found: &'a [Migration], applied: &[Applied]) -> Vec<(&'a Version, Problem)> {
    found
        .iter()
        .filter_map(|migration| {
            let row = applied.iter().find(|a| a.version == migration.version)?;
            (row.checksum != migration.checksum).then(|| {
                let what = format!(
                    "it has changed since it was applied on {}: its digest is {}…, {}… was applied",
                    row.applied_at,
                    migration.checksum.short(),
                    row.checksum.short()
                );
                let next = "put the applied file back, and make the change a new migration";
                (&migration.version, Problem::new(&migration.filename, what, next))
            })
        })
        .collect()
}

/// Applied migrations whose file is gone.
pub fn missing<'a>(folder: &Folder, applied: &'a [Applied]) -> Vec<&'a Applied> {
    let is_there =
        |version| folder.refused.contains(version) || folder.migrations.iter().any(|m| m.version == *version);
    applied.iter().filter(|row| !is_there(&row.version)).collect()
}

/// The migrations to apply, in order, up to and including `to`.
///
/// # Errors
/// [`Error::Drift`] for changed files, [`Error::Refused`] for late arrivals below the newest applied version, and for a target that
/// does not exist.
pub fn up<'a>(found: &'a [Migration], applied: &[Applied], to: Option<&Version>) -> Result<Vec<&'a Migration>> {
    let changed = drift(found, applied);
    if !changed.is_empty() {
        return Err(Error::Drift(changed));
    }
    if let Some(to) = to
        && !found.iter().any(|m| m.version == *to)
    {
        return Err(Error::Refused {
            what: format!("there is no migration `{to}` in the folder"),
            next: "see `lockgate status` for those that there are".into(),
        });
    }
    let is_applied = |m: &&Migration| applied.iter().any(|a| a.version == m.version);
    let pending: Vec<&Migration> =
        found.iter().filter(|m| !is_applied(m)).filter(|m| to.is_none_or(|to| m.version <= *to)).collect();
    let newest = applied.iter().map(|a| &a.version).max();
    let late: Vec<String> = pending
        .iter()
        .filter(|m| newest.is_some_and(|newest| m.version < *newest))
        .map(|m| format!("`{}`", m.name()))
        .collect();
    if let (Some(newest), false) = (newest, late.is_empty()) {
        return Err(Error::Refused {
            what: format!("{} came late: version {newest} is already applied", late.join(", ")),
            next: format!("give it a version above {newest}, so that every database runs the same order"),
        });
    }
    Ok(pending)
}

/// What `down` was asked for.
#[derive(Debug, Clone)]
pub enum Revert {
    /// This version, which must be the newest applied one.
    Only(Version),
    /// Everything above this version.
    Above(Version),
}

/// The applied migrations to revert, the newest first.
///
/// # Errors
/// [`Error::Refused`] when the version is not applied or later ones are; [`Error::Drift`] for changed files.
pub fn down<'a>(found: &[Migration], applied: &'a [Applied], revert: &Revert) -> Result<Vec<&'a Applied>> {
    let above = |version: &Version| {
        let mut above: Vec<&Applied> = applied.iter().filter(|a| a.version > *version).collect();
        above.sort_by(|a, b| b.version.cmp(&a.version));
        above
    };
    let chosen = match revert {
        Revert::Above(version) => above(version),
        Revert::Only(version) => {
            let Some(row) = applied.iter().find(|a| a.version == *version) else {
                return Err(Error::Refused {
                    what: format!("migration `{version}` is not applied"),
                    next: "see `lockgate status` for those that are".into(),
                });
            };
            let later: Vec<String> = above(version).iter().map(|a| format!("`{}`", a.version)).collect();
            if !later.is_empty() {
                let below = applied.iter().map(|a| &a.version).filter(|v| *v < version).max();
                let below = below.map_or("0", Version::as_str);
                return Err(Error::Refused {
                    what: format!(
                        "migration `{version}` cannot be reverted before {}, applied after it",
                        later.join(", ")
                    ),
                    next: format!("to revert all of them, latest first: `lockgate down --to {below}`"),
                });
            }
            vec![row]
        }
    };
    let changed: Vec<Problem> = drifted(found, applied)
        .into_iter()
        .filter(|(v, _)| chosen.iter().any(|a| a.version == **v))
        .map(|(_, p)| p)
        .collect();
    if changed.is_empty() { Ok(chosen) } else { Err(Error::Drift(changed)) }
}

/// The state of every version, in order.
pub fn states<'a>(
    folder: &'a Folder,
    applied: &'a [Applied],
) -> Vec<(State, Option<&'a Migration>, Option<&'a Applied>)> {
    let found = &folder.migrations;
    let mut versions: Vec<&Version> =
        found.iter().map(|m| &m.version).chain(applied.iter().map(|a| &a.version)).collect();
    versions.sort();
    versions.dedup();
    let state = |version: &Version| {
        let migration = found.iter().find(|m| m.version == *version);
        let row = applied.iter().find(|a| a.version == *version);
        let state = match (migration, row) {
            (Some(migration), Some(row)) if migration.checksum != row.checksum => State::Drifted,
            (Some(_), Some(_)) => State::Applied,
            (Some(_), None) => State::Pending,
            (None, _) if folder.refused.contains(version) => State::Refused,
            (None, _) => State::Missing,
        };
        (state, migration, row)
    };
    versions.into_iter().map(state).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{migration::Checksum, source::Content, sql::SqlFiles};

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    fn found(versions: &[&str]) -> Vec<Migration> {
        let migration = |v: &&str| Migration {
            version: version(v),
            description: "x".into(),
            filename: format!("{v}_x.up.sql"),
            checksum: Checksum::of_bytes(v.as_bytes()),
            content: Content::Sql(Box::new(SqlFiles { up: None, down: None, preflight: None, verify: None })),
        };
        versions.iter().map(migration).collect()
    }

    fn applied(versions: &[&str]) -> Vec<Applied> {
        let row = |v: &&str| Applied {
            version: version(v),
            filename: format!("{v}_x.up.sql"),
            description: "x".into(),
            kind: "sql".into(),
            checksum: Checksum::of_bytes(v.as_bytes()),
            applied_at: String::new(),
            execution_time_ms: 0,
            applied_by: String::new(),
            run_id: String::new(),
            backup_id: None,
            down_script: None,
        };
        versions.iter().map(row).collect()
    }

    fn names(migrations: &[&Migration]) -> Vec<String> {
        migrations.iter().map(|m| m.version.to_string()).collect()
    }

    #[test]
    fn pending_is_what_is_not_applied_up_to_the_target() {
        let (found, applied) = (found(&["1", "2", "3"]), applied(&["1"]));
        assert_eq!(names(&up(&found, &applied, None).unwrap()), ["2", "3"]);
        assert_eq!(names(&up(&found, &applied, Some(&version("002"))).unwrap()), ["2"]);
        assert!(matches!(up(&found, &applied, Some(&version("9"))), Err(Error::Refused { .. })));
    }

    #[test]
    fn late_arrivals_are_refused() {
        assert!(matches!(up(&found(&["1", "2", "3"]), &applied(&["1", "3"]), None), Err(Error::Refused { .. })));
    }

    #[test]
    fn drift_stops_both_ways() {
        let mut changed = found(&["1", "2"]);
        changed[0].checksum = Checksum::of_bytes(b"other");
        assert!(matches!(up(&changed, &applied(&["1"]), None), Err(Error::Drift(p)) if p.len() == 1));
        assert!(matches!(down(&changed, &applied(&["1"]), &Revert::Only(version("1"))), Err(Error::Drift(_))));
        let changed = Folder { migrations: changed, ..Folder::default() };
        assert_eq!(states(&changed, &applied(&["1"]))[0].0, State::Drifted);
    }

    #[test]
    fn down_takes_the_newest_or_says_what_is_in_the_way() {
        let applied = applied(&["1", "2", "3"]);
        let reverted = |revert| {
            down(&[], &applied, &revert).map(|rows| rows.iter().map(|a| a.version.to_string()).collect::<Vec<_>>())
        };
        assert_eq!(reverted(Revert::Only(version("3"))).unwrap(), ["3"]);
        assert_eq!(reverted(Revert::Above(version("0"))).unwrap(), ["3", "2", "1"]);
        let error = reverted(Revert::Only(version("2"))).unwrap_err().to_string();
        assert!(error.contains("`3`") && error.contains("--to 1"), "{error}");
        assert!(matches!(reverted(Revert::Only(version("4"))), Err(Error::Refused { .. })));
    }

    #[test]
    fn a_file_that_is_gone_is_missing() {
        let (mut folder, applied) = (Folder { migrations: found(&["2"]), ..Folder::default() }, applied(&["1"]));
        let states = |folder: &Folder| states(folder, &applied).into_iter().map(|(s, ..)| s).collect::<Vec<_>>();
        assert_eq!(states(&folder), [State::Missing, State::Pending]);
        assert_eq!(missing(&folder, &applied).len(), 1);
        folder.refused.insert(version("1"));
        assert_eq!(states(&folder), [State::Refused, State::Pending]);
        assert!(missing(&folder, &applied).is_empty(), "it is there, whatever is wrong with it");
    }
}
