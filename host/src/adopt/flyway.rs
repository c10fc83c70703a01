//! Flyway: a row for everything that it did, with CRC-32 of the script's lines. Source: its
//! `internal/resolver/ChecksumCalculator.java` and `core/api/CoreMigrationType.java`.

use async_trait::async_trait;

use super::{
    Comparison, File, Foreign, Implied, Ledger, Place, Shape, Tool,
    ledger::{flag, optional, text, time_sql},
};
use crate::{
    error::{Problem, Result},
    migration::Version,
    postgres::Session,
};

pub(super) struct Flyway;

#[async_trait]
impl Tool for Flyway {
    fn name(&self) -> &'static str {
        "flyway"
    }

    fn shape(&self) -> Shape {
        let columns =
            &["installed_rank", "version", "type", "script", "checksum", "installed_on", "execution_time", "success"];
        Shape { table: "flyway_schema_history", schema: None, columns, exact: false }
    }

    async fn read(&self, session: &Session, place: &Place) -> Result<Ledger> {
        let sql = format!(
            "SELECT version, type, script, checksum, success, execution_time, {}, description FROM {} ORDER BY installed_rank",
            time_sql("installed_on"),
            place.quoted()
        );
        let mut ledger = Ledger::default();
        for row in session.texts("reading the table of Flyway", &sql).await? {
            let entry = Entry {
                kind: text(&row, 1),
                succeeded: flag(&row, 4),
                foreign: Foreign {
                    name: text(&row, 2).to_owned(),
                    version: optional(&row, 0).and_then(|version| Version::parse(&version)),
                    checksum: optional(&row, 3),
                    duration_ms: optional(&row, 5).and_then(|ms| ms.parse().ok()),
                    applied_at: optional(&row, 6),
                    ..Foreign::default()
                },
            };
            entry.note(&mut ledger, place);
        }
        Ok(ledger)
    }

    fn is(&self, row: &Foreign, file: &File) -> bool {
        match &row.version {
            Some(version) => file.version == *version,
            // A repeatable one has no version; its script may lie in a folder.
            None => file.version.is_repeatable() && row.name.rsplit('/').next() == Some(file.basename()),
        }
    }

    fn compare(&self, row: &Foreign, file: &File, _all: &[File]) -> Comparison {
        match &row.checksum {
            Some(noted) => Comparison::of(noted, &checksum(&file.bytes).to_string()),
            None => Comparison::NotCompared,
        }
    }
}

/// A row, in the order in which they were written.
struct Entry<'a> {
    kind: &'a str,
    succeeded: bool,
    foreign: Foreign,
}

impl Entry<'_> {
    fn note(self, ledger: &mut Ledger, place: &Place) {
        let Self { kind, succeeded, foreign } = self;
        if !succeeded {
            ledger.refused.push(Problem::new(
                place.name(),
                format!("`{}` failed: `success` is false", foreign.name),
                "look what of it is there, finish it or take it back by hand, then run `flyway repair`",
            ));
            return;
        }
        let same = |row: &Foreign| match &foreign.version {
            Some(version) => row.version.as_ref() == Some(version),
            None => row.version.is_none() && row.name == foreign.name,
        };
        match kind {
            // The making of the schema.
            "SCHEMA" => {}
            "BASELINE" | "SQL_BASELINE" => {
                let why = "implied by a baseline of Flyway";
                ledger.implied = foreign.version.map(|up_to| Implied { up_to, why });
            }
            // Taken back, or declared gone by `repair`.
            "DELETE" => ledger.rows.retain(|row| !same(row)),
            kind if kind.starts_with("UNDO") => ledger.rows.retain(|row| !same(row)),
            // A repeatable one that ran again counts as it ran last.
            _ => {
                ledger.rows.retain(|row| !same(row));
                ledger.rows.push(foreign);
            }
        }
    }
}

/// CRC-32 of the lines without their ends, as a signed number; a byte order mark is no part of it.
fn checksum(bytes: &[u8]) -> i32 {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let mut hasher = crc32fast::Hasher::new();
    for line in bytes.split(|byte| [b'\r', b'\n'].contains(byte)) {
        hasher.update(line);
    }
    hasher.finalize().cast_signed()
}

#[cfg(test)]
mod tests {
    use super::{super::files::file, *};

    fn place() -> Place {
        Place { schema: "public".into(), table: "flyway_schema_history".into(), columns: Vec::new() }
    }

    fn ledger(rows: &[(&str, &str, &str, bool)]) -> Ledger {
        let mut ledger = Ledger::default();
        for &(version, kind, script, succeeded) in rows {
            let foreign = Foreign { version: Version::parse(version), ..Foreign::named(script) };
            Entry { kind, succeeded, foreign }.note(&mut ledger, &place());
        }
        ledger
    }

    fn names(ledger: &Ledger) -> Vec<&str> {
        ledger.rows.iter().map(|row| row.name.as_str()).collect()
    }

    #[test]
    fn the_checksum_is_over_lines() {
        // CRC-32 of `abc`, whose sign Java keeps.
        assert_eq!(checksum(b"abc"), 0x3524_41C2);
        assert_eq!(checksum("\u{feff}a\r\nb\n\rc\n".as_bytes()), 0x3524_41C2);
        assert_eq!(checksum(b"The quick brown fox jumps over the lazy dog"), 0x414F_A339);
        assert_eq!(checksum(b"123456789"), 0xCBF4_3926_u32.cast_signed());
    }

    #[test]
    fn what_was_undone_or_deleted_is_not_applied() {
        let found = ledger(&[
            ("", "SCHEMA", "\"app\"", true),
            ("1", "SQL", "V1__a.sql", true),
            ("2", "SQL", "V2__b.sql", true),
            ("2", "UNDO_SQL", "U2__b.sql", true),
            ("3", "SQL", "V3__c.sql", true),
            ("3", "DELETE", "V3__c.sql", true),
            ("", "SQL", "R__v.sql", true),
            ("", "SQL", "R__v.sql", true),
        ]);
        assert_eq!(names(&found), ["V1__a.sql", "R__v.sql"]);
        assert!(found.refused.is_empty() && found.implied.is_none());
    }

    #[test]
    fn a_baseline_implies_all_below_and_a_failure_is_refused() {
        let found = ledger(&[("2", "BASELINE", "<< Flyway Baseline >>", true), ("3", "SQL", "V3__c.sql", false)]);
        assert_eq!(found.implied.unwrap().up_to, Version::parse("2").unwrap());
        assert!(found.refused[0].what.contains("`V3__c.sql` failed"));
    }

    #[test]
    fn a_repeatable_one_is_known_by_its_script() {
        let file = file("R__views", "R__views.sql", b"");
        assert!(Flyway.is(&Foreign::named("sub/R__views.sql"), &file));
        assert!(!Flyway.is(&Foreign::named("R__other.sql"), &file));
        assert!(!Flyway.is(&Foreign::of_version("1"), &file));
    }
}
