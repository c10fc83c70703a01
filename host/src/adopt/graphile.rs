//! graphile-migrate: a row a committed migration, in a chain of hashes that the files carry in their heads. Source: its
//! `src/migration.ts` and `src/hash.ts`.

use async_trait::async_trait;
use sha1::{Digest as _, Sha1};

use super::{
    Comparison, File, Foreign, Ledger, Place, Shape, Tool, leading_version,
    ledger::{optional, text, time_sql},
};
use crate::{error::Result, migration::hex, postgres::Session};

pub(super) struct Graphile;

#[async_trait]
impl Tool for Graphile {
    fn name(&self) -> &'static str {
        "graphile"
    }

    fn shape(&self) -> Shape {
        let columns = &["hash", "previous_hash", "filename", "date"];
        Shape { table: "migrations", schema: Some("graphile_migrate"), columns, exact: false }
    }

    async fn read(&self, session: &Session, place: &Place) -> Result<Ledger> {
        let sql = format!("SELECT filename, hash, {} FROM {} ORDER BY filename", time_sql("date"), place.quoted());
        let rows = session.texts("reading the table of graphile-migrate", &sql).await?;
        let row = |row: &Vec<_>| Foreign {
            version: leading_version(text(row, 0)),
            checksum: optional(row, 1),
            applied_at: optional(row, 2),
            ..Foreign::named(text(row, 0))
        };
        Ok(Ledger { rows: rows.iter().map(row).collect(), ..Ledger::default() })
    }

    fn compare(&self, row: &Foreign, file: &File, _all: &[File]) -> Comparison {
        let noted = row.checksum.as_deref().unwrap_or_default();
        let text = String::from_utf8_lossy(&file.bytes).replace("\r\n", "\n");
        let head = Head::of(&text);
        // The operator of graphile-migrate has allowed that the body differs; the head must not.
        let is = if head.allows_any_hash { head.hash.to_owned() } else { hash(head.previous, head.body) };
        Comparison::of(noted, &is)
    }
}

/// The lines `--! Name: value` at the top of a file, and what follows.
struct Head<'a> {
    previous: &'a str,
    hash: &'a str,
    allows_any_hash: bool,
    body: &'a str,
}

impl<'a> Head<'a> {
    fn of(text: &'a str) -> Self {
        let mut head = Self { previous: "", hash: "", allows_any_hash: false, body: text };
        while let Some(rest) =
            head.body.strip_prefix("--! ").filter(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()))
        {
            let (line, below) = rest.split_once('\n').unwrap_or((rest, ""));
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            match (name, value.trim()) {
                ("Previous", "-") => head.previous = "",
                ("Previous", value) => head.previous = value,
                ("Hash", value) => head.hash = value,
                ("AllowInvalidHash", _) => head.allows_any_hash = true,
                _ => {}
            }
            head.body = below;
        }
        head
    }
}

fn hash(previous: &str, body: &str) -> String {
    let text = format!("{previous}\n{}", body.trim());
    format!("sha1:{}", hex(&Sha1::digest(format!("{}\n", text.trim()))))
}

#[cfg(test)]
mod tests {
    use super::{super::files::file, *};

    const FIRST: &str = "--! Previous: -\n--! Hash: sha1:24943e61783cf7060f01b43304c02e67c84e2766\n\n\
                         CREATE TABLE users (id int PRIMARY KEY);\n";
    const SECOND: &str = "--! Previous: sha1:24943e61783cf7060f01b43304c02e67c84e2766\n\
                          --! Hash: sha1:4278b7d459f3f4698a247bec99834e0b1ce78dca\n--! Message: the orders\n\n\
                          CREATE TABLE orders (id int PRIMARY KEY);\n";

    #[test]
    fn the_hash_goes_over_the_one_before_and_the_body() {
        // Committed by graphile-migrate 1.4.
        for (text, hash) in [
            (FIRST, "sha1:24943e61783cf7060f01b43304c02e67c84e2766"),
            (SECOND, "sha1:4278b7d459f3f4698a247bec99834e0b1ce78dca"),
        ] {
            let row = Foreign { checksum: Some(hash.into()), ..Foreign::named("000001.sql") };
            let compare = |text: &str| Graphile.compare(&row, &file("1", "000001.sql", text.as_bytes()), &[]);
            assert_eq!(compare(text), Comparison::Same);
            assert_eq!(compare(&text.replace('\n', "\r\n")), Comparison::Same);
            assert!(matches!(compare(&text.replace("int", "text")), Comparison::Changed { .. }));
        }
    }

    #[test]
    fn a_body_that_differs_may_be_allowed() {
        let text = "--! Previous: -\n--! Hash: sha1:1\n--! AllowInvalidHash\n\nselect 1;\n";
        let row = |hash: &str| Foreign { checksum: Some(hash.into()), ..Foreign::default() };
        let file = file("1", "000001.sql", text.as_bytes());
        assert_eq!(Graphile.compare(&row("sha1:1"), &file, &[]), Comparison::Same);
        assert!(matches!(Graphile.compare(&row("sha1:2"), &file, &[]), Comparison::Changed { .. }));
    }
}
