//! What other tools have noted in a database, read so that it can be taken over.
//!
//! Each tool is one file: which table it keeps, how a row of it is read, which file a row speaks of, and how the checksum in the row is
//! computed from that file. Nothing here writes.

mod alembic;
mod atlas;
mod dbmate;
mod detect;
mod diesel;
mod files;
mod flyway;
mod golang_migrate;
mod goose;
mod graphile;
mod ledger;
mod liquibase;
mod node_pg_migrate;
mod past;
mod place;
mod plan;
mod prisma;
mod refinery;
mod sqitch;
mod sqlx;
mod tern;

use std::path::Path;

use async_trait::async_trait;

pub(crate) use self::{
    detect::others,
    files::{File, Found},
    ledger::{Foreign, Implied, Ledger},
    past::{Past, source},
    place::{Place, Shape, find, set_aside},
    plan::{Agreement, Taken, plan},
};
use crate::{
    error::{Problem, Result},
    migration::{Checksum, Version},
    postgres::Session,
};

/// A tool whose history can be taken over.
#[async_trait]
pub(crate) trait Tool: Send + Sync {
    /// As `--from` takes it.
    fn name(&self) -> &'static str;

    /// The table that it keeps.
    fn shape(&self) -> Shape;

    /// Reads its table.
    async fn read(&self, session: &Session, place: &Place) -> Result<Ledger>;

    /// Whether a row speaks of this file.
    fn is(&self, row: &Foreign, file: &File) -> bool {
        row.version.as_ref() == Some(&file.version)
    }

    /// Compares the checksum of a row with the file that it speaks of; the others of the folder are there for checksums that are chained.
    fn compare(&self, _row: &Foreign, _file: &File, _all: &[File]) -> Comparison {
        Comparison::NotKept
    }

    /// Adds what only the files tell of what is applied: the ancestors of a head, the place of a change in its plan.
    fn completed(&self, ledger: Ledger, _files: &[File], _dir: &Path) -> Ledger {
        ledger
    }

    /// Whether its scripts are programs, in a folder that `--scripts` names, and no migrations.
    fn has_own_scripts(&self) -> bool {
        false
    }

    /// Whether its statements work on Lockgate's own table, where that has the name of its: they name no column that ours lacks.
    fn works_on_ours(&self) -> bool {
        false
    }

    /// Reads those scripts, in the order in which the tool runs them.
    ///
    /// # Errors
    /// What is wrong with them.
    fn scripts(&self, _folder: &Path) -> Result<Vec<Program>, Vec<Problem>> {
        Ok(Vec::new())
    }
}

/// A script of a tool's that Lockgate cannot run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    /// What the tool calls it.
    pub(crate) name: String,
    /// The file, from the folder that was named.
    pub(crate) filename: String,
    /// What it is about.
    pub(crate) description: String,
    pub(crate) bytes: Vec<u8>,
    /// The names of those that it follows.
    pub(crate) follows: Vec<String>,
}

/// What came of comparing a row with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Comparison {
    /// The file is what was applied.
    Same,
    /// The tool keeps no checksums.
    NotKept,
    /// It keeps none of this one, or one that cannot be computed here.
    NotCompared,
    /// The file is no longer what was applied: what was noted, and what it is.
    Changed { noted: String, is: String },
}

impl Comparison {
    /// The usual one: two texts.
    fn of(noted: &str, is: &str) -> Self {
        if noted == is { Self::Same } else { Self::Changed { noted: noted.to_owned(), is: is.to_owned() } }
    }
}

/// All of them, in the order of their names.
const TOOLS: [&dyn Tool; 15] = [
    &alembic::Alembic,
    &atlas::Atlas,
    &dbmate::Dbmate,
    &diesel::Diesel,
    &flyway::Flyway,
    &golang_migrate::GolangMigrate,
    &goose::Goose,
    &graphile::Graphile,
    &liquibase::Liquibase,
    &node_pg_migrate::NodePgMigrate,
    &prisma::Prisma,
    &refinery::Refinery,
    &sqitch::Sqitch,
    &sqlx::Sqlx,
    &tern::Tern,
];

/// The names that `--from` takes.
pub fn names() -> impl Iterator<Item = &'static str> {
    TOOLS.iter().map(|tool| tool.name())
}

pub(crate) fn tool(name: &str) -> Option<&'static dyn Tool> {
    TOOLS.into_iter().find(|tool| tool.name() == name)
}

/// The checksum that Lockgate keeps of a script of another tool's.
fn checksum_of(bytes: &[u8]) -> Checksum {
    std::str::from_utf8(bytes).map_or_else(|_| Checksum::of_bytes(bytes), Checksum::of_script)
}

/// The digest that a tool noted, beside those of a file: as it is, and as a checkout with other line endings has it.
fn compare_digests(noted: &str, bytes: &[u8], digest: impl Fn(&[u8]) -> String) -> Comparison {
    let is = digest(bytes);
    if is == noted {
        return Comparison::Same;
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let lf = text.replace("\r\n", "\n");
        if digest(lf.as_bytes()) == noted || digest(lf.replace('\n', "\r\n").as_bytes()) == noted {
            return Comparison::Same;
        }
    }
    Comparison::Changed { noted: noted.to_owned(), is }
}

/// The version that a text begins with: `20240101120000` of `20240101120000_users`.
fn leading_version(text: &str) -> Option<Version> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    Version::parse(&text[..digits])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_is_found_by_its_name_and_by_no_other() {
        for name in names() {
            assert_eq!(tool(name).map(Tool::name), Some(name));
        }
        assert!(tool("rails").is_none());
        assert!(names().is_sorted() && names().zip(names().skip(1)).all(|(a, b)| a != b));
    }

    #[test]
    fn a_version_is_the_digits_that_a_name_begins_with() {
        assert_eq!(leading_version("0007_x").unwrap().as_str(), "0007");
        assert!(leading_version("x_1").is_none());
    }

    #[test]
    fn line_endings_of_a_checkout_are_no_change() {
        let digest = |bytes: &[u8]| Checksum::of_bytes(bytes).as_str().to_owned();
        let noted = digest(b"a;\r\nb;\r\n");
        assert_eq!(compare_digests(&noted, b"a;\nb;\n", digest), Comparison::Same);
        assert_eq!(compare_digests(&noted, b"a;\r\nb;\r\n", digest), Comparison::Same);
        assert!(matches!(compare_digests(&noted, b"a;\nc;\n", digest), Comparison::Changed { .. }));
    }
}
