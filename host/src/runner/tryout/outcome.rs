//! What a tryout returns, for people and programs to read.

use std::collections::BTreeMap;

use serde::Serialize;
use uuid::Uuid;

use super::Held;
use crate::{
    error::{Error, Finding, Report},
    locks::{Mode, RelationName},
    migration::Version,
};

/// What came of trying the pending migrations.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct Tryout {
    /// The correlation id of its logs.
    #[schemars(with = "String")]
    pub run_id: Uuid,
    /// The migrations that it came to, in order.
    pub migrations: Vec<TriedMigration>,
    /// Those that it did not come to.
    pub not_reached: Vec<NotReached>,
    /// What the checks found that did not stop it.
    pub findings: Vec<Finding>,
    /// What the rollback did not take back, as far as it can be seen.
    pub sequences: Vec<Moved>,
    /// The replication slots that are there since.
    pub replication_slots: Vec<String>,
    /// What stopped it.
    #[serde(rename = "error", skip_serializing_if = "Option::is_none")]
    pub failed: Option<Report>,
    /// How long it took, in milliseconds.
    pub duration_ms: u128,
    #[serde(skip)]
    pub(in crate::runner) error: Option<Error>,
}

impl Tryout {
    /// What stopped it, if anything did.
    pub fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }
}

/// A migration that was tried.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct TriedMigration {
    /// Its version.
    pub version: Version,
    /// Version and description.
    pub name: String,
    /// What it is made of.
    pub kind: String,
    /// How it went.
    pub outcome: TriedAs,
    /// The steps in all; `None` where it failed before they were known.
    pub steps: Option<usize>,
    /// What was not tried of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_tried: Option<NotTried>,
    /// How long its steps took, in milliseconds.
    pub execution_time_ms: u128,
    /// The locks that it took and that no migration before it had taken, the strongest first; empty where it failed, since the server
    /// does not tell then.
    pub locks: Vec<Taken>,
}

/// How far a migration came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TriedAs {
    /// It was run and verified whole.
    Tried,
    /// It was run up to what cannot be tried so.
    Partly,
    /// It failed.
    Failed,
}

/// What was not tried of a migration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct NotTried {
    /// The first step of which not all was tried, from 1.
    pub step: usize,
    /// What it does.
    pub what: String,
    /// Why it cannot be tried so.
    pub why: String,
}

/// A migration that was not tried at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct NotReached {
    /// Version and description.
    pub name: String,
    /// Why.
    pub why: String,
}

/// Locks that were really taken on a relation that was there before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Taken {
    /// The relation, by its name before the migrations.
    pub relation: String,
    /// The strongest.
    pub mode: Mode,
    /// All of them, the strongest first.
    pub modes: Vec<Mode>,
}

/// A sequence whose value is another after the rollback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Moved {
    /// Its name.
    pub sequence: String,
    /// The last value before; `None`: it had given none.
    pub from: Option<String>,
    /// The last value now.
    pub to: Option<String>,
}

pub(super) fn taken(held: &Held, names: &BTreeMap<u32, RelationName>) -> Vec<Taken> {
    let mut by_relation: BTreeMap<&RelationName, Vec<Mode>> = BTreeMap::new();
    for (oid, mode) in held {
        if let Some(name) = names.get(oid) {
            by_relation.entry(name).or_default().push(*mode);
        }
    }
    let mut taken: Vec<Taken> = by_relation
        .into_iter()
        .filter_map(|(name, mut modes)| {
            modes.sort_by(|a, b| b.cmp(a));
            Some(Taken { relation: name.to_string(), mode: *modes.first()?, modes })
        })
        .collect();
    taken.sort_by(|a, b| b.mode.cmp(&a.mode).then_with(|| a.relation.cmp(&b.relation)));
    taken
}

pub(super) fn moved(before: &BTreeMap<String, Option<String>>, after: &BTreeMap<String, Option<String>>) -> Vec<Moved> {
    let changed = before.iter().filter_map(|(name, from)| {
        let to = after.get(name)?;
        (from != to).then(|| Moved { sequence: name.clone(), from: from.clone(), to: to.clone() })
    });
    changed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_are_told_by_relation_the_strongest_first_and_not_of_what_is_gone() {
        let names = BTreeMap::from([(1, RelationName::bare("b")), (2, RelationName::bare("a"))]);
        let held = Held::from([(1, Mode::AccessShare), (1, Mode::AccessExclusive), (2, Mode::Share), (3, Mode::Share)]);
        let told: Vec<String> = taken(&held, &names).iter().map(|t| format!("{} {:?}", t.relation, t.modes)).collect();
        assert_eq!(told, ["b [AccessExclusive, AccessShare]", "a [Share]"]);
    }

    #[test]
    fn a_sequence_that_is_as_it_was_is_not_told() {
        let values = |a: Option<&str>, b: &str| {
            BTreeMap::from([("a".to_owned(), a.map(str::to_owned)), ("b".to_owned(), Some(b.to_owned()))])
        };
        let moved = moved(&values(None, "1"), &values(Some("3"), "1"));
        assert_eq!(moved, [Moved { sequence: "a".into(), from: None, to: Some("3".into()) }]);
    }
}
