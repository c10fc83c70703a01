//! Prisma: a row a try; the one that finished and was not rolled back tells. Source: its
//! `schema-engine/connectors/schema-connector/src/{migration_persistence,checksum}.rs`.

use async_trait::async_trait;

use super::{
    Comparison, File, Foreign, Ledger, Place, Shape, Tool, compare_digests,
    ledger::{flag, optional, text, time_sql},
};
use crate::{
    error::{Problem, Result},
    migration::Checksum,
    postgres::Session,
};

pub(super) struct Prisma;

#[async_trait]
impl Tool for Prisma {
    fn name(&self) -> &'static str {
        "prisma"
    }

    fn shape(&self) -> Shape {
        let columns = &["checksum", "finished_at", "migration_name", "rolled_back_at", "started_at"];
        Shape { table: "_prisma_migrations", schema: None, columns, exact: false }
    }

    async fn read(&self, session: &Session, place: &Place) -> Result<Ledger> {
        let sql = format!(
            "SELECT migration_name, finished_at IS NOT NULL, {}, checksum,
                    (extract(epoch FROM finished_at - started_at) * 1000)::bigint
             FROM {} WHERE rolled_back_at IS NULL ORDER BY migration_name, started_at",
            time_sql("finished_at"),
            place.quoted()
        );
        let mut ledger = Ledger::default();
        for row in session.texts("reading the table of Prisma", &sql).await? {
            let name = text(&row, 0);
            if flag(&row, 1) {
                ledger.rows.push(Foreign {
                    applied_at: optional(&row, 2),
                    checksum: optional(&row, 3),
                    duration_ms: optional(&row, 4).and_then(|ms| ms.parse().ok()),
                    ..Foreign::named(name)
                });
            } else {
                ledger.refused.push(Problem::new(
                    place.name(),
                    format!("migration `{name}` failed half-way, or is running"),
                    format!(
                        "look what of it is there, finish it or take it back by hand, then say so with \
                         `prisma migrate resolve --applied {name}` or `--rolled-back {name}`"
                    ),
                ));
            }
        }
        Ok(ledger)
    }

    fn is(&self, row: &Foreign, file: &File) -> bool {
        file.folder() == Some(row.name.as_str())
    }

    fn compare(&self, row: &Foreign, file: &File, _all: &[File]) -> Comparison {
        let noted = row.checksum.as_deref().unwrap_or_default();
        if noted.len() == 64 {
            return compare_digests(noted, &file.bytes, |bytes| Checksum::of_bytes(bytes).as_str().to_owned());
        }
        // Old versions left out the zero of a byte below 16.
        compare_digests(noted, &file.bytes, |bytes| without_padding(Checksum::of_bytes(bytes).as_str()))
    }
}

fn without_padding(hex: &str) -> String {
    let bytes = hex.as_bytes().chunks(2);
    bytes.flat_map(|pair| pair.strip_prefix(b"0").unwrap_or(pair)).map(|&digit| char::from(digit)).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::files::file, *};

    #[test]
    fn the_checksum_is_the_sha256_of_the_script_padded_or_not() {
        let file = file("1", "1_init/migration.sql", b"abc");
        let padded = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let unpadded = "ba7816bf8f1cfea414140de5dae2223b0361a396177a9cb410ff61f2015ad";
        for noted in [padded, unpadded] {
            let row = Foreign { checksum: Some(noted.into()), ..Foreign::named("1_init") };
            assert!(Prisma.is(&row, &file));
            assert_eq!(Prisma.compare(&row, &file, &[]), Comparison::Same, "{noted}");
        }
        assert!(!Prisma.is(&Foreign::named("1_ini"), &file));
    }
}
