//! What is to run: a pure function of the folder, the history and the target.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Problem, Result},
    migration::Version,
    postgres::history::{Applied, EXTERNAL},
    printable::printable_in,
    source::{Folder, Migration},
    sql::without_layout,
    suggest::did_you_mean,
};

/// The state of one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
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

/// What makes two texts of a migration the same: `checksum` in `lockgate.toml`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Sameness {
    /// Every character, but for line endings and a byte order mark.
    #[default]
    Exact,
    /// Every word: a formatter may change blanks and lines. Only where the history holds the script that was applied.
    IgnoreWhitespace,
}

/// What becomes of a migration that arrives below the newest applied one: `out_of_order` in `lockgate.toml`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OutOfOrder {
    /// The run is refused.
    #[default]
    Refuse,
    /// It is applied, and the run says so.
    Warn,
    /// It is applied.
    Apply,
}

/// How folder and history are compared.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules {
    /// What makes two texts the same.
    pub sameness: Sameness,
    /// What becomes of late arrivals.
    pub out_of_order: OutOfOrder,
}

impl Rules {
    /// Whether the file is no longer what was applied.
    pub fn differ(self, migration: &Migration, row: &Applied) -> bool {
        if migration.checksum == row.checksum {
            return false;
        }
        let scripts = migration.scripts().and_then(|files| files.up.as_ref()).zip(row.up_script.as_ref());
        match (self.sameness, scripts) {
            (Sameness::IgnoreWhitespace, Some((now, then))) => without_layout(now.text()) != without_layout(then),
            _ => true,
        }
    }
}

/// What is applied, found by its version: histories grow long.
pub struct Rows<'a>(HashMap<&'a Version, &'a Applied>);

impl<'a> Rows<'a> {
    /// Of a history.
    pub fn of(applied: &'a [Applied]) -> Self {
        Self(applied.iter().map(|row| (&row.version, row)).collect())
    }

    /// The row of a version.
    pub fn find(&self, version: &Version) -> Option<&'a Applied> {
        self.0.get(version).copied()
    }

    /// Whether the file of any that is applied is another one now.
    pub fn any_other_than(&self, migrations: &[Migration]) -> bool {
        migrations.iter().any(|m| self.find(&m.version).is_some_and(|row| row.checksum != m.checksum))
    }

    /// Whether a version is applied.
    pub fn hold(&self, version: &Version) -> bool {
        self.0.contains_key(version)
    }
}

/// Applied migrations whose file has changed. A repeatable one may.
pub fn drifted<'a>(found: &'a [Migration], applied: &[Applied], rules: Rules) -> Vec<(&'a Migration, Problem)> {
    let rows = Rows::of(applied);
    let versioned = found.iter().filter(|migration| !migration.version.is_repeatable());
    versioned
        .filter_map(|migration| {
            let row = rows.find(&migration.version)?;
            rules.differ(migration, row).then(|| {
                let what = format!(
                    "it has changed since it was applied on {}: its digest is {}…, {}… was applied{}",
                    row.applied_at,
                    migration.checksum.short(),
                    row.checksum.short(),
                    changes(migration, row).map(|changes| format!("; {changes}")).unwrap_or_default()
                );
                let next = "put the applied file back, and make the change a new migration; or take the file as it is for what was \
                            applied: `lockgate repair`";
                (migration, Problem::new(&migration.filename, what, next))
            })
        })
        .collect()
}

/// Where a file differs from the script that was stored when it was applied, if it was.
pub fn changes(migration: &Migration, row: &Applied) -> Option<String> {
    const MAX_CHARS: usize = 80;
    let now = migration.scripts()?.up.as_ref()?.text();
    let then = row.up_script.as_ref()?;
    let (now, then): (Vec<&str>, Vec<&str>) = (now.lines().collect(), then.lines().collect());
    let first = now.iter().zip(&then).take_while(|(now, then)| now == then).count();
    let rest = (&now[first..], &then[first..]);
    let last = rest.0.iter().rev().zip(rest.1.iter().rev()).take_while(|(now, then)| now == then).count();
    let line = |lines: &[&str]| lines.get(first).map(|line| printable_in(MAX_CHARS, line.trim()));
    let more = (rest.0.len().max(rest.1.len()) - last).saturating_sub(1);
    let more = if more == 0 { String::new() } else { format!(", and {more} more lines after it") };
    match (line(&then), line(&now)) {
        (Some(then), Some(now)) => Some(format!("line {} was `{then}` and is `{now}`{more}", first + 1)),
        (Some(then), None) => Some(format!("line {} was `{then}` and is gone{more}", first + 1)),
        (None, Some(now)) => Some(format!("line {} is new: `{now}`{more}", first + 1)),
        (None, None) => None,
    }
}

/// Applied migrations whose file is gone.
pub fn missing<'a>(folder: &Folder, applied: &'a [Applied]) -> Vec<&'a Applied> {
    let found: HashSet<&Version> = folder.migrations.iter().map(|migration| &migration.version).collect();
    let is_there = |version| folder.refused.contains(version) || found.contains(version);
    applied.iter().filter(|row| row.kind != EXTERNAL && !is_there(&row.version)).collect()
}

/// The migrations to apply, in order, up to and including `to`; then, where there is no such limit, the repeatable ones that are new or
/// have changed.
///
/// # Errors
/// [`Error::Drift`] for changed files, [`Error::Refused`] for late arrivals below the newest applied version where they are refused, and
/// for a target that does not exist.
pub fn up<'a>(
    found: &'a [Migration],
    applied: &[Applied],
    to: Option<&Version>,
    rules: Rules,
) -> Result<Vec<&'a Migration>> {
    let changed = drifted(found, applied, rules);
    if !changed.is_empty() {
        return Err(Error::Drift(changed.into_iter().map(|(_, problem)| problem).collect()));
    }
    if let Some(to) = to
        && !found.iter().any(|m| m.version == *to)
    {
        let meant = did_you_mean(to.as_str(), found.iter().map(|m| m.version.as_str()));
        return Err(Error::Refused {
            what: format!("there is no migration `{to}` in the folder"),
            next: format!("{meant}see `lockgate status` for those that there are"),
        });
    }
    let rows = Rows::of(applied);
    let pending = found.iter().filter(|migration| is_pending(migration, &rows, rules));
    let pending: Vec<&Migration> = pending.filter(|m| to.is_none_or(|to| m.version <= *to)).collect();
    let late = late(&pending, applied);
    if let (Some(newest), OutOfOrder::Refuse, false) = (newest(applied), rules.out_of_order, late.is_empty()) {
        let late: Vec<String> = late.iter().map(|m| format!("`{}`", m.name())).collect();
        return Err(Error::Refused {
            what: format!("{} came late: version {newest} is already applied", late.join(", ")),
            next: format!(
                "give it a version above {newest}, so that every database runs the same order; or allow it: `--out-of-order apply`"
            ),
        });
    }
    Ok(pending)
}

/// Whether a migration is to be applied: it is not in the history, or it is repeatable and has changed.
pub fn is_pending(migration: &Migration, applied: &Rows<'_>, rules: Rules) -> bool {
    match applied.find(&migration.version) {
        Some(row) => migration.version.is_repeatable() && rules.differ(migration, row),
        None => true,
    }
}

/// The newest applied version; a repeatable migration has none.
pub fn newest(applied: &[Applied]) -> Option<&Version> {
    applied.iter().map(|row| &row.version).filter(|version| !version.is_repeatable()).max()
}

/// Those of the pending migrations that arrive below the newest applied one.
pub fn late<'a>(pending: &[&'a Migration], applied: &[Applied]) -> Vec<&'a Migration> {
    let Some(newest) = newest(applied) else { return Vec::new() };
    pending.iter().copied().filter(|migration| migration.version < *newest).collect()
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
pub fn down<'a>(
    found: &[Migration],
    applied: &'a [Applied],
    revert: &Revert,
    rules: Rules,
) -> Result<Vec<&'a Applied>> {
    let above = |version: &Version| {
        let is_above = |row: &&Applied| row.version > *version && !row.version.is_repeatable();
        let mut above: Vec<&Applied> = applied.iter().filter(is_above).collect();
        above.sort_by(|a, b| b.version.cmp(&a.version));
        above
    };
    let chosen = match revert {
        Revert::Above(version) => above(version),
        Revert::Only(version) if version.is_repeatable() => {
            return Err(Error::Refused {
                what: format!("`{version}` is repeatable: there is no way down"),
                next: "change the file to what it should make, then run `lockgate up`".into(),
            });
        }
        Revert::Only(version) => {
            let Some(row) = applied.iter().find(|a| a.version == *version) else {
                let meant = did_you_mean(version.as_str(), applied.iter().map(|a| a.version.as_str()));
                return Err(Error::Refused {
                    what: format!("migration `{version}` is not applied"),
                    next: format!("{meant}see `lockgate status` for those that are"),
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
    let changed: Vec<Problem> = drifted(found, applied, rules)
        .into_iter()
        .filter(|(migration, _)| chosen.iter().any(|a| a.version == migration.version))
        .map(|(_, p)| p)
        .collect();
    if changed.is_empty() { Ok(chosen) } else { Err(Error::Drift(changed)) }
}

/// The state of every version, in order.
pub fn states<'a>(
    folder: &'a Folder,
    applied: &'a [Applied],
    rules: Rules,
) -> Vec<(State, Option<&'a Migration>, Option<&'a Applied>)> {
    let found: HashMap<&Version, &Migration> = folder.migrations.iter().map(|m| (&m.version, m)).collect();
    let rows = Rows::of(applied);
    let mut versions: Vec<&Version> = found.keys().copied().chain(applied.iter().map(|a| &a.version)).collect();
    versions.sort();
    versions.dedup();
    let state = |version: &Version| {
        let migration = found.get(version).copied();
        let row = rows.find(version);
        let state = match (migration, row) {
            (Some(migration), Some(_)) if is_pending(migration, &rows, rules) => State::Pending,
            (Some(migration), Some(row)) if rules.differ(migration, row) => State::Drifted,
            (Some(_), Some(_)) => State::Applied,
            (Some(_), None) => State::Pending,
            // Its script lies elsewhere.
            (None, Some(row)) if row.kind == EXTERNAL => State::Applied,
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
    use crate::{
        migration::{Checksum, Kind},
        source::Content,
        sql::{Origin, Script, SqlFiles},
    };

    const RULES: Rules = Rules { sameness: Sameness::Exact, out_of_order: OutOfOrder::Refuse };

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    fn found(versions: &[&str]) -> Vec<Migration> {
        let migration = |v: &&str| Migration {
            version: version(v),
            description: "x".into(),
            filename: format!("{v}_x.up.sql"),
            kind: Kind::Sql,
            checksum: Checksum::of_bytes(v.as_bytes()),
            content: Ok(Content::Sql(Box::new(SqlFiles { up: None, down: None, preflight: None, verify: None })))
                .into(),
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
            up_script: None,
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
        assert_eq!(names(&up(&found, &applied, None, RULES).unwrap()), ["2", "3"]);
        assert_eq!(names(&up(&found, &applied, Some(&version("002")), RULES).unwrap()), ["2"]);
        assert!(matches!(up(&found, &applied, Some(&version("9")), RULES), Err(Error::Refused { .. })));
    }

    #[test]
    fn late_arrivals_are_refused() {
        assert!(matches!(up(&found(&["1", "2", "3"]), &applied(&["1", "3"]), None, RULES), Err(Error::Refused { .. })));
    }

    #[test]
    fn late_arrivals_are_applied_where_that_is_the_rule() {
        let (found, applied) = (found(&["1", "2", "3"]), applied(&["1", "3", "R__views"]));
        for out_of_order in [OutOfOrder::Apply, OutOfOrder::Warn] {
            let pending = up(&found, &applied, None, Rules { out_of_order, ..RULES }).unwrap();
            assert_eq!(names(&pending), ["2"]);
            assert_eq!(names(&late(&pending, &applied)), ["2"]);
        }
    }

    #[test]
    fn a_repeatable_migration_is_pending_whenever_it_has_changed_and_never_goes_down() {
        let (mut found, applied) = (found(&["1", "2", "R__a", "R__b"]), applied(&["1", "R__a", "R__b"]));
        found[3].checksum = Checksum::of_bytes(b"other");
        assert_eq!(names(&up(&found, &applied, None, RULES).unwrap()), ["2", "R__b"]);
        assert_eq!(names(&up(&found, &applied, Some(&version("2")), RULES).unwrap()), ["2"]);
        assert_eq!(newest(&applied), Some(&version("1")));
        assert_eq!(down(&found, &applied, &Revert::Above(version("0")), RULES).unwrap().len(), 1);
        assert!(matches!(down(&found, &applied, &Revert::Only(version("R__a")), RULES), Err(Error::Refused { .. })));
    }

    #[test]
    fn drift_tells_what_differs_and_whitespace_may_where_that_is_the_rule() {
        let mut found = found(&["1"]);
        let script = Script::parse("create table t (\n    a int\n);", Origin::File("1_x.up.sql".into())).unwrap();
        found[0].checksum = Checksum::of_bytes(b"other");
        found[0].content =
            Ok(Content::Sql(Box::new(SqlFiles { up: Some(script), down: None, preflight: None, verify: None }))).into();
        let mut applied = applied(&["1"]);
        let drift = |applied: &[Applied], sameness| {
            drifted(&found, applied, Rules { sameness, ..RULES }).pop().map(|(_, p)| p.what)
        };
        assert!(drift(&applied, Sameness::IgnoreWhitespace).is_some(), "nothing tells that only blanks have changed");
        applied[0].up_script = Some("create table t (a int);".into());
        assert_eq!(drift(&applied, Sameness::IgnoreWhitespace), None);
        let said = drift(&applied, Sameness::Exact).unwrap();
        assert!(
            said.ends_with("line 1 was `create table t (a int);` and is `create table t (`, and 2 more lines after it"),
            "{said}"
        );
        applied[0].up_script = Some("create table t (\n    b int\n);".into());
        let said = drift(&applied, Sameness::IgnoreWhitespace).unwrap();
        assert!(said.ends_with("line 2 was `b int` and is `a int`"), "{said}");
    }

    #[test]
    fn drift_stops_both_ways() {
        let mut changed = found(&["1", "2"]);
        changed[0].checksum = Checksum::of_bytes(b"other");
        assert!(matches!(up(&changed, &applied(&["1"]), None, RULES), Err(Error::Drift(p)) if p.len() == 1));
        assert!(matches!(down(&changed, &applied(&["1"]), &Revert::Only(version("1")), RULES), Err(Error::Drift(_))));
        let changed = Folder { migrations: changed, ..Folder::default() };
        assert_eq!(states(&changed, &applied(&["1"]), RULES)[0].0, State::Drifted);
    }

    #[test]
    fn down_takes_the_newest_or_says_what_is_in_the_way() {
        let applied = applied(&["1", "2", "3"]);
        let reverted = |revert| {
            down(&[], &applied, &revert, RULES)
                .map(|rows| rows.iter().map(|a| a.version.to_string()).collect::<Vec<_>>())
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
        let states = |folder: &Folder| states(folder, &applied, RULES).into_iter().map(|(s, ..)| s).collect::<Vec<_>>();
        assert_eq!(states(&folder), [State::Missing, State::Pending]);
        assert_eq!(missing(&folder, &applied).len(), 1);
        folder.refused.insert(version("1"));
        assert_eq!(states(&folder), [State::Refused, State::Pending]);
        assert!(missing(&folder, &applied).is_empty(), "it is there, whatever is wrong with it");
    }
}
