//! Sqitch: `sqitch.plan` names the changes in order, `deploy/<change>.sql` and `revert/<change>.sql` hold them. A change's version is its
//! number in the plan, to which lines are only ever added. Sqitch's `verify/` scripts fail where ours return false; they are not run.

use std::collections::BTreeSet;

use super::{Down, Draft, Found, Layout, Listing, Scripts, Source};
use crate::{error::Problem, migration::Version};

pub(super) struct Sqitch;

const PLAN: &str = "sqitch.plan";

/// A line of the plan that names a change.
struct Change<'a> {
    name: &'a str,
    line: usize,
    /// The tag that follows its first use, where the plan uses the name again: Sqitch then keeps its scripts under `<name>@<tag>`.
    reworked_at: Option<&'a str>,
}

impl Layout for Sqitch {
    fn name(&self) -> &'static str {
        "sqitch"
    }

    fn recognises(&self, listing: &Listing) -> bool {
        listing.has(PLAN)
    }

    fn read(&self, listing: &Listing, found: &mut Found) {
        super::pairs::read_own(listing, found);
        let plan = match listing.text(PLAN).text {
            Ok(plan) => plan,
            Err(problem) => return found.problems.push(*problem),
        };
        let deploy = listing.folder("deploy");
        let (deploy, revert) = match (deploy, listing.folder("revert")) {
            (Ok(deploy), revert) => (deploy, revert.ok()),
            (Err(problem), _) => return found.problems.push(problem),
        };
        let changes = changes(&plan);
        for (number, change) in (1..).zip(&changes) {
            let Some(version) = Version::parse(&format!("{number}")) else { continue };
            let stem = match change.reworked_at {
                Some(tag) => format!("{}@{tag}.sql", change.name),
                None => format!("{}.sql", change.name),
            };
            if !exists(&deploy, &stem) {
                let at = format!("{}:{}", listing.at(PLAN), change.line + 1);
                let what = format!("`deploy/{stem}` is missing");
                found.of_versions.push((version, Problem::new(at, what, "put it back")));
                continue;
            }
            let down = match &revert {
                Some(revert) if exists(revert, &stem) => Down::Script(Source::file(revert, &stem)),
                _ => Down::Missing(format!("revert/{stem}")),
            };
            let scripts = Scripts::new(Source::file(&deploy, &stem), down);
            found.drafts.push(Draft::sql(version, change.name, deploy.filename(&stem), scripts));
        }
        for name in deploy.files().filter_map(|name| name.strip_suffix(".sql")) {
            let named = |change: &Change<'_>| name.split_once('@').map_or(name, |(name, _)| name) == change.name;
            if !changes.iter().any(named) {
                let what = "the plan has no change of this name";
                found.problems.push(Problem::new(
                    deploy.at(name),
                    what,
                    "add it with `sqitch add`, or remove the script",
                ));
            }
        }
    }
}

/// Names of changes may have slashes: their scripts lie in folders within.
fn exists(folder: &Listing, name: &str) -> bool {
    match name.split_once('/') {
        Some((within, rest)) => folder.folder(within).is_ok_and(|within| exists(&within, rest)),
        None => folder.has(name),
    }
}

/// The changes of a plan, in order (sqitchplan, "Plan Structure").
fn changes(plan: &str) -> Vec<Change<'_>> {
    let mut changes: Vec<Change<'_>> = Vec::new();
    for (line, text) in plan.lines().enumerate() {
        let text = text.split('#').next().unwrap_or_default().trim();
        if text.is_empty() || text.starts_with('%') {
            continue;
        }
        let word = text.split([' ', '\t', '[']).next().unwrap_or_default();
        if let Some(tag) = word.strip_prefix('@') {
            // The first tag after a change is where an earlier use of its name is kept.
            for change in &mut changes {
                change.reworked_at.get_or_insert(tag);
            }
            continue;
        }
        changes.push(Change { name: word.trim_start_matches('+'), line, reworked_at: None });
    }
    let mut later = BTreeSet::new();
    for change in changes.iter_mut().rev() {
        if later.insert(change.name) {
            change.reworked_at = None;
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_read_as_sqitch_reads_it() {
        let plan = "%syntax-version=1.0.0\n%project=auth\n\nusers 2026-01-01T00:00:00Z A <a@b> # first\n\
                    sessions [users] 2026-01-02T00:00:00Z A <a@b>\n@v1 2026-01-02T00:00:00Z A <a@b>\n\
                    # a comment\nusers [users@v1] 2026-01-03T00:00:00Z A <a@b> # again\n";
        let names: Vec<_> = changes(plan).iter().map(|c| (c.name.to_owned(), c.reworked_at)).collect();
        assert_eq!(names, [("users".to_owned(), Some("v1")), ("sessions".into(), None), ("users".into(), None)]);
    }
}
