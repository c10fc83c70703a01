//! Which backups are kept, and what can go.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
    time::Duration,
};

use jiff::{civil::Weekday, tz::TimeZone};
use serde::Serialize;

use super::{
    Backup, Catalog, Level, Manifest, Retention,
    catalog::{off_the_runtime, proof_name},
    origin::Origin,
    store::Store,
    unfinished,
};
use crate::error::{Error, Result};

/// What a clean-up removes, or would.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct Pruned {
    /// The backups that stay, in the order in which they were taken, each with why.
    pub kept: Vec<Kept>,
    /// The backups that go.
    pub removed: Vec<String>,
    /// Files of backups that were never finished.
    pub leftovers: Vec<String>,
    /// The size of all that goes, in bytes.
    pub bytes: u64,
    /// How many backups of a database of the same name are of other servers, and are left alone.
    pub of_other_servers: usize,
}

/// A backup that stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Kept {
    /// The backup.
    pub id: String,
    /// The rules that keep it.
    pub because: Vec<&'static str>,
}

/// Removes what no rule keeps of the backups of a database of one server, and what is left of backups that were never finished.
///
/// A file that nobody holds open for writing is such a leftover at once; one of which that cannot be told, after `patience`.
///
/// # Errors
/// When the store cannot be read, or something cannot be removed: what was removed before is gone.
pub async fn prune(
    catalog: &Catalog,
    origin: &Origin,
    retention: &Retention,
    patience: Duration,
    dry_run: bool,
) -> Result<Pruned> {
    let all = catalog.list().await?.backups;
    let (of_it, others): (Vec<Backup>, Vec<Backup>) = all.into_iter().partition(|backup| origin.has(&backup.manifest));
    let of_other_servers = others.iter().filter(|backup| backup.manifest.database == origin.database).count();
    let kept = kept(&of_it, retention);
    let stays = |id: &str| kept.iter().any(|kept| kept.id == id);
    let going: Vec<Manifest> =
        of_it.into_iter().map(|backup| backup.manifest).filter(|manifest| !stays(&manifest.id)).collect();
    let store = Arc::clone(catalog.store());
    off_the_runtime(move || {
        let reading = |e| Error::system(format!("reading `{}`", store.location()), e);
        let entries = store.entries().map_err(reading)?;
        let leftovers = unfinished::leftovers(&store, &entries, patience);
        let size_of = |name: &str| entries.iter().find(|entry| entry.name == name).map_or(0, |entry| entry.bytes);
        let bytes =
            leftovers.iter().map(|name| size_of(name)).sum::<u64>() + going.iter().map(Manifest::bytes).sum::<u64>();
        if !dry_run {
            for manifest in &going {
                remove(&store, manifest)?;
            }
            for name in &leftovers {
                store.remove(name).map_err(removing(&store, name))?;
            }
        }
        let removed = going.into_iter().map(|manifest| manifest.id).collect();
        Ok(Pruned { kept, removed, leftovers, bytes, of_other_servers })
    })
    .await
}

/// The manifest first: without it, what is left after a crash is no backup, but a leftover for the next time.
fn remove(store: &Arc<dyn Store>, manifest: &Manifest) -> Result<()> {
    let files: BTreeSet<&str> = manifest.parts.iter().filter_map(|part| part.file.split('/').next()).collect();
    let names = [Manifest::file_name(&manifest.id), proof_name(&manifest.id)];
    for name in names.iter().map(String::as_str).chain(files) {
        store.remove(name).map_err(removing(store, name))?;
    }
    Ok(())
}

fn removing<'a>(store: &'a Arc<dyn Store>, name: &'a str) -> impl FnOnce(std::io::Error) -> Error + 'a {
    move |e| Error::system(format!("removing `{name}` from `{}`", store.location()), e)
}

/// What stays of the backups of one database, which come in the order in which they were taken, and why.
fn kept(backups: &[Backup], retention: &Retention) -> Vec<Kept> {
    let mut because: Vec<Vec<&'static str>> = vec![Vec::new(); backups.len()];
    let Retention { last, daily, weekly, monthly } = retention;
    // A backup that leaves something out must not take the place of one that does not.
    for whole in [true, false] {
        let newest_first =
            || backups.iter().enumerate().rev().filter(|(_, backup)| backup.manifest.scope.is_whole() == whole);
        for (i, _) in newest_first().take(*last as usize) {
            because[i].push("last");
        }
        for (rule, most, period) in [
            ("daily", daily, day as fn(&Backup) -> String),
            ("weekly", weekly, week as fn(&Backup) -> String),
            ("monthly", monthly, month as fn(&Backup) -> String),
        ] {
            let mut seen = HashSet::new();
            for (i, backup) in newest_first() {
                if seen.len() < *most as usize && seen.insert(period(backup)) {
                    because[i].push(rule);
                }
            }
        }
        // Whatever the rules say.
        if whole {
            if let Some((i, _)) = newest_first().find(|(_, backup)| backup.level >= Level::Restored) {
                because[i].push("newest verified");
            }
            if let Some((i, _)) = newest_first().next() {
                because[i].push("newest");
            }
        }
    }
    let rows = backups.iter().zip(because).filter(|(_, because)| !because.is_empty());
    rows.map(|(backup, because)| Kept { id: backup.manifest.id.clone(), because }).collect()
}

fn day(backup: &Backup) -> String {
    backup.manifest.created_at.strftime("%F").to_string()
}

/// The Monday of its week.
fn week(backup: &Backup) -> String {
    let date = TimeZone::UTC.to_datetime(backup.manifest.created_at).date();
    let days = i64::from(date.weekday().since(Weekday::Monday));
    date.saturating_sub(jiff::Span::new().days(days)).to_string()
}

fn month(backup: &Backup) -> String {
    backup.manifest.created_at.strftime("%Y-%m").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::manifest::tests::manifest;

    /// Backups of these days, each an `(id, day, level)`.
    fn backups(rows: &[(&str, &str, Level)]) -> Vec<Backup> {
        let backup = |(i, (id, at, level)): (usize, &(&str, &str, Level))| {
            let created_at = format!("{at}T12:00:00Z").parse().unwrap();
            let manifest = Manifest { created_at, ..manifest(id, i as u64 + 1, vec![]) };
            Backup { manifest, level: *level, proved_at: created_at }
        };
        rows.iter().enumerate().map(backup).collect()
    }

    fn ids(backups: &[Backup], last: u32, daily: u32, weekly: u32, monthly: u32) -> Vec<String> {
        kept(backups, &Retention { last, daily, weekly, monthly }).into_iter().map(|kept| kept.id).collect()
    }

    #[test]
    fn each_rule_keeps_the_newest_of_its_periods() {
        let d = Level::Decoded;
        let all = backups(&[
            ("a", "2026-01-31", d),
            ("b", "2026-02-01", d),
            ("c", "2026-02-02", d),
            ("d", "2026-02-08", d),
            ("e", "2026-02-09", d),
            ("f", "2026-02-09", d),
        ]);
        assert_eq!(ids(&all, 2, 0, 0, 0), ["e", "f"]);
        assert_eq!(ids(&all, 0, 3, 0, 0), ["c", "d", "f"]);
        // 1 February 2026 is a Sunday: weeks begin on the 2nd and the 9th.
        assert_eq!(ids(&all, 0, 0, 3, 0), ["b", "d", "f"]);
        assert_eq!(ids(&all, 0, 0, 0, 2), ["a", "f"]);
        assert_eq!(ids(&all, 1, 1, 2, 2), ["a", "d", "f"]);
    }

    #[test]
    fn the_newest_and_the_newest_verified_stay_whatever_the_rules_say() {
        let all = backups(&[
            ("a", "2026-01-01", Level::Compared),
            ("b", "2026-01-02", Level::Restored),
            ("c", "2026-01-03", Level::Decoded),
            ("d", "2026-01-04", Level::Decoded),
        ]);
        let kept = kept(&all, &Retention { last: 0, daily: 0, weekly: 0, monthly: 0 });
        let kept: Vec<_> = kept.iter().map(|kept| (kept.id.as_str(), kept.because.clone())).collect();
        assert_eq!(kept, [("b", vec!["newest verified"]), ("d", vec!["newest"])]);
    }

    #[test]
    fn the_order_is_that_of_the_sequence_and_not_of_the_clock() {
        let d = Level::Decoded;
        assert_eq!(ids(&backups(&[("a", "2026-01-02", d), ("b", "2026-01-01", d)]), 1, 0, 0, 0), ["b"]);
    }

    #[test]
    fn a_backup_that_leaves_something_out_takes_no_other_ones_place() {
        let mut all = backups(&[("a", "2026-01-01", Level::Decoded), ("b", "2026-01-02", Level::Decoded)]);
        all[1].manifest.scope.schema_only = true;
        assert_eq!(ids(&all, 1, 0, 0, 0), ["a", "b"]);
        assert_eq!(ids(&all, 0, 0, 0, 0), ["a"]);
    }
}
