//! Liquibase, of which files of formatted SQL are taken over: a row a changeset, with MD5 of its SQL. Source: its
//! `change/AbstractSQLChange.java`, `changelog/ChangeSet.java` and `parser/core/formattedsql`.

use async_trait::async_trait;
use md5::{Digest as _, Md5};

use super::{
    Comparison, File, Foreign, Ledger, Place, Shape, Tool,
    ledger::{optional, text, time_sql},
};
use crate::{
    error::{Problem, Result},
    migration::hex,
    postgres::{Session, quote_literal},
    source::change_set,
};

pub(super) struct Liquibase;

#[async_trait]
impl Tool for Liquibase {
    fn name(&self) -> &'static str {
        "liquibase-sql"
    }

    fn shape(&self) -> Shape {
        let columns = &["id", "author", "filename", "dateexecuted", "orderexecuted", "exectype", "md5sum"];
        Shape { table: "databasechangelog", schema: None, columns, exact: false }
    }

    async fn read(&self, session: &Session, place: &Place) -> Result<Ledger> {
        let mut ledger = Ledger { refused: locked(session, place).await?, ..Ledger::default() };
        let sql = format!(
            "SELECT filename, author || ':' || id, md5sum, exectype, {} FROM {} ORDER BY orderexecuted",
            time_sql("dateexecuted"),
            place.quoted()
        );
        for row in session.texts("reading the table of Liquibase", &sql).await? {
            let (path, changeset, how) = (text(&row, 0), text(&row, 1), text(&row, 3));
            match how {
                "FAILED" => ledger.refused.push(Problem::new(
                    place.name(),
                    format!("changeset `{changeset}` of `{path}` failed"),
                    "look what of it is there, mend it, and let `liquibase update` finish it",
                )),
                "SKIPPED" => {}
                _ => ledger.rows.push(Foreign {
                    checksum: optional(&row, 2),
                    applied_at: optional(&row, 4),
                    ..Foreign::named(&format!("{path}#{changeset}"))
                }),
            }
        }
        Ok(ledger)
    }

    fn is(&self, row: &Foreign, file: &File) -> bool {
        // The path is from the root of Liquibase's search path, which need not be the folder of the migrations.
        let path = row.name.strip_suffix(file.filename.as_str());
        path.is_some_and(|before| before.is_empty() || before.ends_with('/') || before.ends_with(':'))
    }

    fn compare(&self, row: &Foreign, file: &File, _all: &[File]) -> Comparison {
        let text = String::from_utf8_lossy(&file.bytes);
        let changesets = changesets(&text);
        let sql =
            file.filename.split_once('#').and_then(|(_, name)| changesets.iter().find(|(other, _)| other == name));
        // Before version 4.22 the checksum was another one.
        match (&row.checksum, sql) {
            (Some(noted), Some((_, sql))) if noted.starts_with("9:") => Comparison::of(noted, &checksum(sql)),
            _ => Comparison::NotCompared,
        }
    }
}

/// Whether a run of Liquibase holds its lock, or has left it.
async fn locked(session: &Session, place: &Place) -> Result<Vec<Problem>> {
    const DOING: &str = "reading the lock of Liquibase";
    let lock = place.beside("databasechangeloglock");
    let there = format!("SELECT to_regclass({}) IS NOT NULL", quote_literal(&lock));
    if session.texts(DOING, &there).await?.concat() != [Some("t".to_owned())] {
        return Ok(Vec::new());
    }
    let sql = format!("SELECT lockedby, {} FROM {lock} WHERE locked", time_sql("lockgranted"));
    let held = session.texts(DOING, &sql).await?;
    let problem = |row: &Vec<_>| {
        Problem::new(
            lock.replace('"', ""),
            format!("it is locked by {} since {}", text(row, 0), text(row, 1)),
            "wait for that run; if there is none, run `liquibase release-locks`",
        )
    };
    Ok(held.iter().map(problem).collect())
}

/// The changesets of a file of formatted SQL, `author:id` with its SQL.
fn changesets(text: &str) -> Vec<(String, String)> {
    let mut changesets: Vec<(String, String)> = Vec::new();
    let mut in_rollback = false;
    for line in text.trim_start_matches('\u{feff}').lines() {
        let comment = line.trim_start().strip_prefix("--").map(|rest| rest.trim_start().to_ascii_lowercase());
        let begins = |word: &str| comment.as_deref().is_some_and(|comment| comment.starts_with(word));
        if begins("changeset ") {
            let name = line.trim_start().trim_start_matches('-').trim_start();
            changesets.push((change_set(name.get("changeset ".len()..).unwrap_or_default()).0, String::new()));
            continue;
        }
        let block = line.trim().to_ascii_lowercase();
        if block.starts_with("/*")
            && block.trim_start_matches(['/', '*']).trim_start().starts_with("liquibase rollback")
        {
            in_rollback = true;
        }
        let kept = !in_rollback
            && !["rollback", "comment", "precondition", "property ", "validchecksum"].into_iter().any(begins);
        if in_rollback && block.ends_with("*/") {
            in_rollback = false;
        }
        if let (true, Some((_, sql))) = (kept, changesets.last_mut()) {
            sql.push_str(line);
            sql.push('\n');
        }
    }
    changesets
}

/// The ninth kind of checksum: MD5 of the MD5 of the SQL without white space.
fn checksum(sql: &str) -> String {
    let bytes: Vec<u8> = sql.bytes().filter(|byte| !b" \n\r\t".contains(byte)).collect();
    let of = |bytes: &[u8]| format!("9:{}", hex(&Md5::digest(bytes)));
    of(format!("{}:", of(&bytes)).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::{super::files::file, *};

    const TEXT: &str = "--liquibase formatted sql\n\n--changeset ada:1 labels:x\n--comment: users\nCREATE TABLE users (id int);\n\
                        --rollback DROP TABLE users;\n\n-- changeset \"b b\":\"2 2\"\nCREATE INDEX i\n    ON users (id);\n";

    #[test]
    fn changesets_have_names_and_sql() {
        let found = changesets(TEXT);
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["ada:1", "b b:2 2"]);
        assert_eq!(found[0].1.trim(), "CREATE TABLE users (id int);");
        assert_eq!(found[1].1.trim(), "CREATE INDEX i\n    ON users (id);");
    }

    #[test]
    fn the_checksums_are_those_that_liquibase_writes() {
        // Written by Liquibase 4.28 into `databasechangelog`.
        let text = "--liquibase formatted sql\n\
\n\
--changeset ada:1 labels:x splitStatements:false\n\
--comment: some words\n\
CREATE TABLE tags (id int, -- a note\n\
\x20  name text);\n\
CREATE INDEX i ON tags (id);\n\
--rollback DROP TABLE tags;\n\
\n\
-- changeset \"b b\":\"2 2\"\n\
/* a comment */\n\
INSERT INTO tags VALUES (1, 'a b\tc');\n\
--rollback DELETE FROM tags;\n\
\n\
--changeset ada:3 stripComments:true\n\
CREATE VIEW v AS SELECT 1 AS x; -- after\n\
/* liquibase rollback\n\
DROP VIEW v;\n\
*/\n\
\n\
--changeset ada:4\n\
--preconditions onFail:MARK_RAN\n\
--precondition-sql-check expectedResult:0 SELECT count(*) FROM tags WHERE id = 77\n\
INSERT INTO tags VALUES (77, 'x');\n\
--rollback not required\n";
        let found: Vec<_> = changesets(text).into_iter().map(|(name, sql)| (name, checksum(&sql))).collect();
        let expected = [
            ("ada:1", "9:d83634ef8eb3213f8c7c411aad4da787"),
            ("b b:2 2", "9:6505284f7dc8154e9e1c60a283e455ec"),
            ("ada:3", "9:44beee70b9cf814946da9da6467e8d76"),
            ("ada:4", "9:5e9c5871548fbb7f9cf5843eb23bebb1"),
        ];
        assert_eq!(found, expected.map(|(name, sum)| (name.to_owned(), sum.to_owned())));
    }

    #[test]
    fn white_space_is_no_part_of_the_checksum() {
        assert_eq!(checksum("a b\r\n\tc"), checksum("abc"));
        assert_ne!(checksum("abc"), checksum("abd"));
        // MD5 of `9:` and the MD5 of `abc` (RFC 1321, A.5) and a colon.
        let inner = "9:900150983cd24fb0d6963f7d28e17f72:";
        assert_eq!(checksum("abc"), format!("9:{}", hex(&Md5::digest(inner))));
    }

    #[test]
    fn a_changeset_is_known_by_its_file_and_its_name() {
        let file = file("1.1", "001_users.sql#ada:1", TEXT.as_bytes());
        let row = |checksum: String| Foreign {
            checksum: Some(checksum),
            ..Foreign::named("classpath:db/001_users.sql#ada:1")
        };
        assert!(Liquibase.is(&row(String::new()), &file));
        for other in ["x001_users.sql#ada:1", "001_users.sql#ada:2"] {
            assert!(!Liquibase.is(&Foreign::named(other), &file), "{other}");
        }
        let compare = |row: Foreign| Liquibase.compare(&row, &file, &[]);
        assert_eq!(compare(row(checksum("CREATE TABLE users (id int);"))), Comparison::Same);
        assert_eq!(compare(row("8:0".into())), Comparison::NotCompared);
        assert!(matches!(compare(row("9:0".into())), Comparison::Changed { .. }));
    }
}
