//! Refinery: a row a migration, with SipHash-1-3 of its name, version and script. Source: its `refinery_core/src/migration.rs`.

use std::hash::Hasher as _;

use async_trait::async_trait;
use siphasher::sip::SipHasher13;

use super::{
    Comparison, File, Foreign, Ledger, Place, Shape, Tool, compare_digests,
    ledger::{optional, text},
};
use crate::{error::Result, postgres::Session};

pub(super) struct Refinery;

#[async_trait]
impl Tool for Refinery {
    fn name(&self) -> &'static str {
        "refinery"
    }

    fn shape(&self) -> Shape {
        let columns = &["version", "name", "applied_on", "checksum"];
        Shape { table: "refinery_schema_history", schema: None, columns, exact: false }
    }

    async fn read(&self, session: &Session, place: &Place) -> Result<Ledger> {
        // The time is a text, RFC 3339.
        let sql = format!("SELECT version, applied_on, checksum, name FROM {} ORDER BY version", place.quoted());
        let rows = session.texts("reading the table of refinery", &sql).await?;
        let row = |row: &Vec<_>| Foreign {
            applied_at: optional(row, 1),
            checksum: optional(row, 2),
            ..Foreign::of_version(text(row, 0))
        };
        Ok(Ledger { rows: rows.iter().map(row).collect(), ..Ledger::default() })
    }

    fn compare(&self, row: &Foreign, file: &File, _all: &[File]) -> Comparison {
        // Of a program only Rust knows what SQL it makes.
        let parts = parts(file.stem()).filter(|_| file.filename.ends_with(".sql"));
        let Some((version, name)) = parts else { return Comparison::NotCompared };
        let noted = row.checksum.as_deref().unwrap_or_default();
        let narrow = i32::try_from(version)
            .map(|version| compare_digests(noted, &file.bytes, |sql| checksum(name, &version.to_ne_bytes(), sql)));
        match narrow {
            Ok(Comparison::Same) => Comparison::Same,
            // Refinery's feature `int8-versions` makes it eight bytes.
            _ => compare_digests(noted, &file.bytes, |sql| checksum(name, &version.to_ne_bytes(), sql)),
        }
    }
}

/// Version and name of `V7__users`.
fn parts(stem: &str) -> Option<(i64, &str)> {
    let (version, name) = stem.strip_prefix(['V', 'U'])?.split_once("__")?;
    Some((version.parse().ok()?, name))
}

/// As the derived hash of a text, an integer and a text makes it: a text is its bytes and 0xFF.
fn checksum(name: &str, version: &[u8], sql: &[u8]) -> String {
    let mut hasher = SipHasher13::new();
    for part in [name.as_bytes(), &[0xFF], version, sql, &[0xFF]] {
        hasher.write(part);
    }
    hasher.finish().to_string()
}

#[cfg(test)]
mod tests {
    use super::{super::files::file, *};

    #[test]
    fn a_name_has_a_version_and_a_name() {
        assert_eq!(parts("V007__a__b"), Some((7, "a__b")));
        assert_eq!(parts("U1__x"), Some((1, "x")));
        assert!(parts("1__x").is_none() && parts("Vx__y").is_none());
    }

    #[test]
    fn the_checksum_is_the_one_that_refinery_writes() {
        // Written by refinery_cli 0.10 into `refinery_schema_history`.
        let row = Foreign { checksum: Some("7668093413072388362".into()), ..Foreign::of_version("1") };
        let sql = b"CREATE TABLE users (id int PRIMARY KEY);\n";
        assert_eq!(Refinery.compare(&row, &file("1", "V1__users.sql", sql), &[]), Comparison::Same);
        assert!(matches!(Refinery.compare(&row, &file("1", "V1__user.sql", sql), &[]), Comparison::Changed { .. }));
    }
}
