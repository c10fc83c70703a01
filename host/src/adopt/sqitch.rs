//! Sqitch: a row a change that is deployed, with the SHA-1 of its script; the order is that of `sqitch.plan`. Source: its
//! `App/Sqitch/Engine/pg.sql` and `App/Sqitch/Plan/Change.pm`.

use std::{fs, path::Path};

use async_trait::async_trait;
use sha1::{Digest as _, Sha1};

use super::{
    Comparison, File, Foreign, Ledger, Place, Shape, Tool, compare_digests,
    ledger::{optional, text, time_sql},
};
use crate::{
    error::{Problem, Result},
    migration::hex,
    postgres::Session,
};

pub(super) struct Sqitch;

#[async_trait]
impl Tool for Sqitch {
    fn name(&self) -> &'static str {
        "sqitch"
    }

    fn shape(&self) -> Shape {
        let columns = &["change_id", "script_hash", "change", "project", "committed_at"];
        Shape { table: "changes", schema: Some("sqitch"), columns, exact: false }
    }

    async fn read(&self, session: &Session, place: &Place) -> Result<Ledger> {
        const DOING: &str = "reading the tables of Sqitch";
        // A change that was reworked has its name again.
        let sql = format!(
            "SELECT change, script_hash, {}, project, row_number() OVER (PARTITION BY project, change ORDER BY committed_at)
             FROM {} ORDER BY committed_at",
            time_sql("committed_at"),
            place.quoted()
        );
        let rows = session.texts(DOING, &sql).await?;
        let row = |row: &Vec<_>| Foreign {
            checksum: optional(row, 1),
            applied_at: optional(row, 2),
            project: optional(row, 3),
            ..Foreign::named(&format!("{}#{}", text(row, 0), text(row, 4)))
        };
        let mut ledger = Ledger { rows: rows.iter().map(row).collect(), ..Ledger::default() };
        let sql = format!(
            "SELECT DISTINCT ON (project) project, event, change FROM {} ORDER BY project, committed_at DESC",
            place.beside("events")
        );
        for row in session.texts(DOING, &sql).await?.iter().filter(|row| text(row, 1) == "fail") {
            let (project, change) = (text(row, 0), text(row, 2));
            let problem = Problem::new(
                place.name(),
                format!("the last that was done in project `{project}` is a failed deploy of `{change}`"),
                "look what of it is there, mend it, and let `sqitch deploy` or `sqitch revert` finish it",
            );
            ledger.refused_in.push((project.to_owned(), problem));
        }
        Ok(ledger)
    }

    fn completed(&self, ledger: Ledger, files: &[File], dir: &Path) -> Ledger {
        let plan = fs::read_to_string(dir.join("sqitch.plan")).unwrap_or_default();
        let project = project(&plan);
        // Other projects in the same registry have plans of their own.
        let is_ours = |of: Option<&str>| project.is_none() || of == project;
        let problems = ledger.refused_in.into_iter().filter(|(of, _)| is_ours(Some(of)));
        let refused = problems.map(|(_, problem)| problem).collect();
        let ours = ledger.rows.into_iter().filter(|row| is_ours(row.project.as_deref()));
        let placed = ours.map(|row| {
            let (name, n) = row.name.rsplit_once('#').unwrap_or((&row.name, ""));
            let n = n.parse::<usize>().unwrap_or(1);
            let mut uses: Vec<&File> = files.iter().filter(|file| change_of(file) == Some(name)).collect();
            uses.sort_by(|a, b| a.version.cmp(&b.version));
            let version = uses.get(n.saturating_sub(1)).map(|file| file.version.clone());
            Foreign { name: if n > 1 { row.name.clone() } else { name.to_owned() }, version, ..row }
        });
        Ledger { rows: placed.collect(), refused, ..Ledger::default() }
    }

    fn compare(&self, row: &Foreign, file: &File, _all: &[File]) -> Comparison {
        match &row.checksum {
            Some(noted) => compare_digests(noted, &file.bytes, |bytes| hex(&Sha1::digest(bytes))),
            None => Comparison::NotCompared,
        }
    }
}

/// The change whose script a file is: `deploy/app/users@v1.sql` is one of `app/users`.
fn change_of(file: &File) -> Option<&str> {
    let path = file.filename.strip_prefix("deploy/")?.strip_suffix(".sql")?;
    Some(path.rsplit_once('@').map_or(path, |(name, _)| name))
}

/// The name of a plan's project.
fn project(plan: &str) -> Option<&str> {
    plan.lines().find_map(|line| line.trim().strip_prefix("%project=").map(str::trim))
}

#[cfg(test)]
mod tests {
    use super::{super::files::file, *};

    fn row(name: &str, project: &str) -> Foreign {
        Foreign { project: Some(project.into()), ..Foreign::named(name) }
    }

    #[test]
    fn a_change_has_the_place_of_its_script_in_the_plan() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("sqitch.plan"), "%syntax-version=1.0.0\n%project=shop\n").unwrap();
        let files = [
            file("1", "deploy/users@v1.sql", b""),
            file("2", "deploy/app/orders.sql", b""),
            file("3", "deploy/users.sql", b""),
        ];
        let rows = vec![
            row("users#1", "shop"),
            row("users#2", "shop"),
            row("app/orders#1", "shop"),
            row("gone#1", "shop"),
            row("x#1", "other"),
        ];
        let ledger = Sqitch.completed(Ledger { rows, ..Ledger::default() }, &files, folder.path());
        let found: Vec<_> =
            ledger.rows.iter().map(|row| (row.name.as_str(), row.version.as_ref().map(|v| v.as_str()))).collect();
        assert_eq!(found, [("users", Some("1")), ("users#2", Some("3")), ("app/orders", Some("2")), ("gone", None)]);
    }

    #[test]
    fn the_checksum_is_the_sha1_of_the_script() {
        // FIPS 180-2, appendix A.1.
        let noted = "a9993e364706816aba3e25717850c26c9cd0d89d";
        let row = Foreign { checksum: Some(noted.into()), ..Foreign::default() };
        assert_eq!(Sqitch.compare(&row, &file("1", "deploy/users.sql", b"abc"), &[]), Comparison::Same);
        assert!(matches!(
            Sqitch.compare(&row, &file("1", "deploy/users.sql", b"abd"), &[]),
            Comparison::Changed { .. }
        ));
        assert_eq!(
            Sqitch.compare(&Foreign::default(), &file("1", "deploy/users.sql", b"abc"), &[]),
            Comparison::NotCompared
        );
    }
}
