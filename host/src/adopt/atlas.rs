//! Atlas: a row a revision, with how many of its statements are applied, and a hash over it and all files before it. Source: its
//! `sql/migrate/dir.go` and `cmd/atlas/internal/migrate/ent/schema/revision.go`.

use async_trait::async_trait;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use sha2::{Digest as _, Sha256};

use super::{
    Comparison, File, Foreign, Implied, Ledger, Place, Shape, Tool,
    ledger::{flag, optional, text, time_sql},
};
use crate::{
    error::{Problem, Result},
    postgres::Session,
};

pub(super) struct Atlas;

#[async_trait]
impl Tool for Atlas {
    fn name(&self) -> &'static str {
        "atlas"
    }

    fn shape(&self) -> Shape {
        let columns = &["version", "type", "applied", "total", "executed_at", "execution_time", "error", "hash"];
        Shape { table: "atlas_schema_revisions", schema: Some("atlas_schema_revisions"), columns, exact: false }
    }

    async fn read(&self, session: &Session, place: &Place) -> Result<Ledger> {
        // The type is a set: 1 a baseline, 2 executed, 4 resolved by hand. A version that begins with a dot is no revision. Nanoseconds.
        let sql = format!(
            "SELECT version, {}, execution_time / 1000000, hash, (type & 1) <> 0, (type & 4) <> 0, applied, total, error
             FROM {} WHERE version NOT LIKE '.%' ORDER BY version",
            time_sql("executed_at"),
            place.quoted()
        );
        let mut ledger = Ledger::default();
        for row in session.texts("reading the table of Atlas", &sql).await? {
            let (version, resolved) = (text(&row, 0), flag(&row, 5));
            let [applied, total] = [6, 7].map(|i| text(&row, i).parse::<u64>().unwrap_or_default());
            let error = text(&row, 8);
            if !resolved && (applied < total || !error.is_empty()) {
                let why = if error.is_empty() { String::new() } else { format!(": {error}") };
                ledger.refused.push(Problem::new(
                    place.name(),
                    format!("revision {version} is applied in part, {applied} of {total} statements{why}"),
                    format!("mend it and finish it with `atlas migrate apply`, or say where it is with `atlas migrate set {version}`"),
                ));
            }
            let foreign = Foreign {
                applied_at: optional(&row, 1),
                duration_ms: optional(&row, 2).and_then(|ms| ms.parse().ok()),
                checksum: optional(&row, 3).filter(|hash| !hash.is_empty()),
                ..Foreign::of_version(version)
            };
            if flag(&row, 4) {
                let why = "implied by a baseline of Atlas";
                ledger.implied = foreign.version.map(|up_to| Implied { up_to, why });
            } else {
                ledger.rows.push(foreign);
            }
        }
        Ok(ledger)
    }

    fn compare(&self, row: &Foreign, file: &File, all: &[File]) -> Comparison {
        let Some(noted) = &row.checksum else { return Comparison::NotCompared };
        let sum = sum_up_to(file, all);
        Comparison::of(noted.trim_start_matches("h1:"), &sum)
    }
}

/// The hash of a file, which goes over the names and the bytes of all files up to it.
fn sum_up_to(file: &File, all: &[File]) -> String {
    let mut files: Vec<&File> = all.iter().collect();
    files.sort_by(|a, b| a.filename.cmp(&b.filename));
    let mut hasher = Sha256::new();
    for file in files.into_iter().take_while(|other| other.filename <= file.filename) {
        hasher.update(file.filename.as_bytes());
        if !is_left_out(&file.bytes) {
            hasher.update(&file.bytes);
        }
    }
    BASE64_STANDARD.encode(hasher.finalize())
}

/// Whether the head of a file says `-- atlas:sum ignore`.
fn is_left_out(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let mut head = text.lines().take_while(|line| line.starts_with("--"));
    head.any(|line| line.trim_start_matches(['-', ' ']) == "atlas:sum ignore")
}

#[cfg(test)]
mod tests {
    use super::{super::files::file, *};

    #[test]
    fn the_hash_of_a_file_goes_over_all_before_it() {
        let files = [file("2", "2_b.sql", b"b"), file("1", "1_a.sql", b"a"), file("3", "3_c.sql", b"c")];
        let sum = |text: &[u8]| BASE64_STANDARD.encode(Sha256::digest(text));
        assert_eq!(sum_up_to(&files[1], &files), sum(b"1_a.sqla"));
        assert_eq!(sum_up_to(&files[0], &files), sum(b"1_a.sqla2_b.sqlb"));
        let row = |sum: String| Foreign { checksum: Some(sum), ..Foreign::of_version("2") };
        assert_eq!(Atlas.compare(&row(sum(b"1_a.sqla2_b.sqlb")), &files[0], &files), Comparison::Same);
        assert!(matches!(Atlas.compare(&row(sum(b"2_b.sqlb")), &files[0], &files), Comparison::Changed { .. }));
        assert_eq!(Atlas.compare(&Foreign::of_version("2"), &files[0], &files), Comparison::NotCompared);
    }

    #[test]
    fn a_file_may_be_left_out_of_the_sum() {
        assert!(is_left_out(b"-- atlas:sum ignore\n\nselect 1"));
        assert!(!is_left_out(b"select 1;\n-- atlas:sum ignore\n"));
    }
}
