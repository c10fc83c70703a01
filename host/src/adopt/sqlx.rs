//! sqlx: a row a migration, with the SHA-384 of the script. Source: its `sqlx-postgres/src/migrate.rs` and
//! `sqlx-core/src/migrate/migration.rs`.

use async_trait::async_trait;
use sha2::{Digest as _, Sha384};

use super::{
    Comparison, File, Foreign, Ledger, Place, Shape, Tool, compare_digests,
    ledger::{flag, optional, text, time_sql},
};
use crate::{
    error::{Problem, Result},
    migration::hex,
    postgres::Session,
};

pub(super) struct Sqlx;

#[async_trait]
impl Tool for Sqlx {
    fn name(&self) -> &'static str {
        "sqlx"
    }

    fn shape(&self) -> Shape {
        let columns = &["version", "description", "installed_on", "success", "checksum", "execution_time"];
        Shape { table: "_sqlx_migrations", schema: None, columns, exact: false }
    }

    async fn read(&self, session: &Session, place: &Place) -> Result<Ledger> {
        // Nanoseconds; -1 until they are known.
        let sql = format!(
            "SELECT version, success, {}, encode(checksum, 'hex'), CASE WHEN execution_time >= 0 THEN execution_time / 1000000 END
             FROM {} ORDER BY version",
            time_sql("installed_on"),
            place.quoted()
        );
        let mut ledger = Ledger::default();
        for row in session.texts("reading the table of sqlx", &sql).await? {
            let version = text(&row, 0);
            if !flag(&row, 1) {
                ledger.refused.push(Problem::new(
                    place.name(),
                    format!("migration {version} failed half-way: `success` is false"),
                    "look what of it is there, finish it or take it back by hand, then set `success` or delete the row",
                ));
            }
            ledger.rows.push(Foreign {
                applied_at: optional(&row, 2),
                checksum: optional(&row, 3),
                duration_ms: optional(&row, 4).and_then(|ms| ms.parse().ok()),
                ..Foreign::of_version(version)
            });
        }
        Ok(ledger)
    }

    fn compare(&self, row: &Foreign, file: &File, _all: &[File]) -> Comparison {
        let noted = row.checksum.as_deref().unwrap_or_default();
        compare_digests(noted, &file.bytes, |bytes| hex(&Sha384::digest(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::files::file, *};

    #[test]
    fn the_checksum_is_the_sha384_of_the_script() {
        // FIPS 180-2, appendix D.1.
        let noted = "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7";
        let row = Foreign { checksum: Some(noted.into()), ..Foreign::of_version("1") };
        assert_eq!(Sqlx.compare(&row, &file("1", "1_a.sql", b"abc"), &[]), Comparison::Same);
        assert!(matches!(Sqlx.compare(&row, &file("1", "1_a.sql", b"abd"), &[]), Comparison::Changed { .. }));
    }
}
