//! What backups have left that were never finished, and that nobody is at work on any more.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, SystemTime},
};

use uuid::Uuid;

use super::{
    id::{self, is_id},
    lease,
    store::{Entry, LEASE, Over, PARTIAL, Store},
};

/// Their names, in order. Of what the store cannot tell whether somebody is writing it, only what was not written to for so long.
pub(super) fn leftovers(store: &Arc<dyn Store>, entries: &[Entry], patience: Duration) -> Vec<String> {
    match candidates(entries).is_empty() {
        true => Vec::new(),
        false => left(entries, now(store), patience),
    }
}

/// What time it is by the store's own clock, which tells when its files were written: a file of this moment says so. Ours is only near it.
fn now(store: &Arc<dyn Store>) -> SystemTime {
    let name = format!("{}.clock", id::stem(jiff::Timestamp::now(), &Uuid::now_v7().to_string()));
    let asked = store.put(&name, b"", Over::Nothing).and_then(|()| store.entries());
    if let Err(error) = store.remove(&name) {
        tracing::warn!(cause = %error, "`{name}` could not be removed");
    }
    let told = asked.map(|entries| entries.into_iter().find(|entry| entry.name == name));
    told.ok().flatten().map_or_else(SystemTime::now, |entry| entry.modified)
}

/// What has a name that a backup gives, and no manifest tells of. Whatever else is in the store is not ours.
fn candidates(entries: &[Entry]) -> Vec<&Entry> {
    let manifests: HashSet<&str> = entries.iter().filter_map(|entry| entry.name.strip_suffix(".json")).collect();
    let is_candidate = |entry: &&Entry| {
        let Some((id, rest)) = entry.name.split_once('.') else { return false };
        let temporary = [PARTIAL, LEASE].iter().any(|end| entry.name.ends_with(end));
        is_id(id) && rest != "json" && (temporary || !manifests.contains(id))
    };
    entries.iter().filter(is_candidate).collect()
}

/// Those of them that are left, since nobody is at work on that backup. `now` is by the store's clock.
fn left(entries: &[Entry], now: SystemTime, patience: Duration) -> Vec<String> {
    let at_work: HashSet<&str> = entries.iter().filter_map(|entry| lease::holder(entry, now)).collect();
    let is_left = |entry: &&Entry| {
        if entry.name.split_once('.').is_some_and(|(id, _)| at_work.contains(id)) {
            return false;
        }
        let rested = now.duration_since(entry.modified).is_ok_and(|age| age >= patience);
        match entry.in_use {
            Some(in_use) => !in_use,
            None => rested,
        }
    };
    let mut names: Vec<String> =
        candidates(entries).into_iter().filter(is_left).map(|entry| entry.name.clone()).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_are_files_of_backups_that_nobody_writes_any_more() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(100_000);
        let entry = |name: &str, age_s: u64, in_use: Option<bool>| Entry {
            name: name.into(),
            bytes: 1,
            modified: now - Duration::from_secs(age_s),
            in_use,
        };
        let entries = [
            entry("20261123T223303Z_a88137df.json", 9_999, None),
            entry("20261123T223303Z_a88137df.dump.zst", 9_999, None),
            entry("20261123T223303Z_a88137df.verified.json", 9_999, None),
            entry("20261123T223304Z_a88137df.dump.zst.partial", 0, Some(false)),
            entry("20261123T223305Z_a88137df.dump.zst.partial", 9_999, Some(true)),
            entry("20261123T223306Z_a88137df.dump.zst", 9_999, None),
            entry("20261123T223306Z_a88137df_2.globals.sql.zst", 0, None),
            entry("20261123T223307Z_a88137df.verified.json", 9_999, None),
            entry("20261123T223308Z_a88137df.dump", 9_999, None),
            entry("20261123T223308Z_a88137df.globals.sql.zst.partial", 9_999, Some(false)),
            entry("20261123T223308Z_a88137df.lease", 0, None),
            entry("20261123T223309Z_a88137df.dump.partial", 9_999, None),
            entry("20261123T223309Z_a88137df.lease", 9_999, Some(true)),
            entry("20261123T223310Z_a88137df.dump", 9_999, None),
            entry("20261123T223310Z_a88137df.lease", 9_999, None),
            entry("20261123T223303Z_a88137df.lease", 0, Some(false)),
            entry("holiday.dump.zst", 9_999, None),
            entry("notes.json", 9_999, None),
            entry(".gitignore", 9_999, None),
        ];
        assert_eq!(
            left(&entries, now, Duration::from_secs(3_600)),
            [
                "20261123T223303Z_a88137df.lease",
                "20261123T223304Z_a88137df.dump.zst.partial",
                "20261123T223306Z_a88137df.dump.zst",
                "20261123T223307Z_a88137df.verified.json",
                "20261123T223310Z_a88137df.dump",
                "20261123T223310Z_a88137df.lease"
            ]
        );
    }
}
