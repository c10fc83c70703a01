//! What Lockgate has done since with what it took over: the journal remembers what the history has no row of any more.

use std::collections::{BTreeMap, BTreeSet};

use super::Foreign;
use crate::{migration::Version, postgres::journal::Recorded};

/// What an earlier adoption from the same tool took, and what was reverted after that.
#[derive(Debug, Default)]
pub(crate) struct Past {
    adopted: BTreeSet<Version>,
    /// With the time of it, RFC 3339.
    reverted: BTreeMap<Version, String>,
}

impl Past {
    /// As the whole journal tells it, the newest entry last.
    pub(crate) fn of(tool: &str, journal: &[Recorded]) -> Self {
        let source = source(tool);
        let mut past = Self::default();
        for entry in standing(journal) {
            let Some(version) = entry.version.as_deref().and_then(Version::parse) else { continue };
            let detail = entry.detail.as_deref().unwrap_or_default();
            match entry.event.as_str() {
                "adopted" | "applied" | "baselined" => {
                    past.reverted.remove(&version);
                    if entry.event == "adopted" && detail.split(',').next() == Some(&source) {
                        past.adopted.insert(version);
                    }
                }
                // The tool may well have applied what Lockgate applied and reverted by itself.
                "reverted" if past.adopted.contains(&version) => {
                    past.reverted.insert(version, entry.at.clone());
                }
                _ => {}
            }
        }
        past
    }

    /// When Lockgate reverted it, unless the tool has applied it again after that.
    pub(super) fn reverted_at(&self, version: &Version, row: Option<&Foreign>) -> Option<&str> {
        let at = self.reverted.get(version)?;
        let again = row.and_then(|row| row.applied_at.as_ref()).is_some_and(|applied_at| applied_at > at);
        (!again).then_some(at)
    }

    /// Whether a version may be taken that the tool does not name: what was below the newest at an earlier adoption was taken then, and a file
    /// that has come there since was never applied.
    pub(super) fn may_imply(&self, version: &Version) -> bool {
        self.adopted.iter().filter(|adopted| !adopted.is_repeatable()).max().is_none_or(|newest| version > newest)
    }
}

/// What the journal says of where a migration was taken from.
pub(crate) fn source(tool: &str) -> String {
    format!("from {tool}")
}

/// The entries that are true of the database as it is: a restore undoes what came after its backup, and the journal keeps it. Of a backup that the
/// journal does not know nothing is known.
fn standing(journal: &[Recorded]) -> Vec<&Recorded> {
    let mut standing: Vec<&Recorded> = Vec::new();
    for entry in journal {
        if entry.event == "restored" {
            let detail = entry.detail.as_deref().and_then(|detail| detail.strip_prefix("from backup "));
            let backup = detail.map(|detail| detail.split(';').next().unwrap_or(detail));
            let is_it = |entry: &&Recorded| entry.event == "backed_up" && entry.detail.as_deref() == backup;
            standing.truncate(standing.iter().position(is_it).unwrap_or(0));
        } else {
            standing.push(entry);
        }
    }
    standing
}

#[cfg(test)]
mod tests {
    use super::*;

    fn past(entries: &[(&str, &str, &str)]) -> Past {
        let recorded = |(id, &(event, version, detail)): (i64, &(&str, &str, &str))| Recorded {
            id,
            at: format!("2024-01-0{id}T00:00:00.000Z"),
            run_id: String::new(),
            event: event.into(),
            version: Some(version.to_owned()).filter(|version| !version.is_empty()),
            direction: None,
            attempt: None,
            step: None,
            duration_ms: None,
            detail: Some(detail.into()),
            db_user: String::new(),
            os_user: String::new(),
            host: String::new(),
            client_address: None,
            application: String::new(),
            hash: None,
        };
        Past::of("goose", &(1..).zip(entries).map(recorded).collect::<Vec<_>>())
    }

    fn is_reverted(past: &Past) -> bool {
        past.reverted_at(&Version::parse("2").unwrap(), None).is_some()
    }

    #[test]
    fn what_was_taken_over_and_reverted_stays_so_until_the_tool_applies_it_again() {
        let adopted = ("adopted", "002", "from goose, a note");
        let reverted = ("reverted", "2", "");
        let past_ = past(&[adopted, reverted]);
        let two = Version::parse("2").unwrap();
        let row = |at: &str| Foreign { applied_at: Some(at.into()), ..Foreign::default() };
        assert_eq!(
            past_.reverted_at(&two, Some(&row("2024-01-01T00:00:00.000000Z"))),
            Some("2024-01-02T00:00:00.000Z")
        );
        assert_eq!(past_.reverted_at(&two, Some(&row("2024-01-03T00:00:00.000000Z"))), None);
        assert!(!is_reverted(&past(&[adopted, reverted, ("applied", "2", "")])));
        assert!(!is_reverted(&past(&[("applied", "2", ""), reverted])));
        assert!(!is_reverted(&past(&[("adopted", "2", "from dbmate"), reverted])));
    }

    #[test]
    fn a_restore_undoes_what_came_after_its_backup() {
        let [adopted, reverted] = [("adopted", "2", "from goose"), ("reverted", "2", "")];
        let backed_up = ("backed_up", "", "b1");
        let restored = ("restored", "", "from backup b1; the former database is kept as x");
        assert!(is_reverted(&past(&[adopted, reverted, backed_up, restored])));
        assert!(!is_reverted(&past(&[adopted, backed_up, reverted, restored])));
        let before = past(&[adopted, reverted, restored]);
        assert!(!is_reverted(&before) && before.may_imply(&Version::parse("1").unwrap()));
    }

    #[test]
    fn only_what_is_above_an_earlier_adoption_is_implied() {
        let past = past(&[("adopted", "1", "from goose"), ("adopted", "5", "from goose"), ("reverted", "5", "")]);
        let may_imply = |version: &str| past.may_imply(&Version::parse(version).unwrap());
        assert_eq!(["3", "5", "6"].map(may_imply), [false, false, true]);
    }
}
