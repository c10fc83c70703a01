//! The lock modes of tables, the weakest first.
//!
//! Source: PostgreSQL manual, 13.3.1 "Table-Level Locks".

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

/// How strong a lock on a table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// To read.
    AccessShare,
    /// `SELECT … FOR UPDATE`
    RowShare,
    /// To write rows.
    RowExclusive,
    /// `VACUUM`, `ANALYZE`, `CREATE INDEX CONCURRENTLY`, `VALIDATE CONSTRAINT`
    ShareUpdateExclusive,
    /// `CREATE INDEX`
    Share,
    /// `CREATE TRIGGER`, `ADD FOREIGN KEY`
    ShareRowExclusive,
    /// `REFRESH MATERIALIZED VIEW CONCURRENTLY`
    Exclusive,
    /// `DROP TABLE`, `TRUNCATE`, most of `ALTER TABLE`
    AccessExclusive,
}

impl Mode {
    /// All of them, the weakest first.
    const ALL: [Self; 8] = [
        Self::AccessShare,
        Self::RowShare,
        Self::RowExclusive,
        Self::ShareUpdateExclusive,
        Self::Share,
        Self::ShareRowExclusive,
        Self::Exclusive,
        Self::AccessExclusive,
    ];

    /// As the manual writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AccessShare => "ACCESS SHARE",
            Self::RowShare => "ROW SHARE",
            Self::RowExclusive => "ROW EXCLUSIVE",
            Self::ShareUpdateExclusive => "SHARE UPDATE EXCLUSIVE",
            Self::Share => "SHARE",
            Self::ShareRowExclusive => "SHARE ROW EXCLUSIVE",
            Self::Exclusive => "EXCLUSIVE",
            Self::AccessExclusive => "ACCESS EXCLUSIVE",
        }
    }

    /// From the column `mode` of `pg_locks`, such as `AccessShareLock`.
    pub fn of_pg_locks(text: &str) -> Option<Self> {
        Some(match text {
            "AccessShareLock" => Self::AccessShare,
            "RowShareLock" => Self::RowShare,
            "RowExclusiveLock" => Self::RowExclusive,
            "ShareUpdateExclusiveLock" => Self::ShareUpdateExclusive,
            "ShareLock" => Self::Share,
            "ShareRowExclusiveLock" => Self::ShareRowExclusive,
            "ExclusiveLock" => Self::Exclusive,
            "AccessExclusiveLock" => Self::AccessExclusive,
            _ => return None,
        })
    }

    /// Who waits for it, among those who read and write rows.
    pub fn blocks(self) -> Blocks {
        match self {
            Self::AccessExclusive => Blocks::ReadsAndWrites,
            Self::Share | Self::ShareRowExclusive | Self::Exclusive => Blocks::Writes,
            _ => Blocks::Neither,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Mode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl JsonSchema for Mode {
    fn schema_name() -> Cow<'static, str> {
        "LockMode".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "How strong a lock on a table is, as the manual of PostgreSQL writes it.",
            "enum": Self::ALL.map(Self::as_str),
        })
    }
}

/// Who has to wait while a lock is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Blocks {
    /// Nobody who only reads or writes rows.
    Neither,
    /// Everybody who writes.
    Writes,
    /// Everybody.
    ReadsAndWrites,
}

impl Blocks {
    /// `nobody can write to it`
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Neither => "reads and writes go on",
            Self::Writes => "nobody can write to it",
            Self::ReadsAndWrites => "nobody can read or write it",
        }
    }
}

/// What a statement does with a relation while it holds the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Work {
    /// As long as the catalog takes, however large the relation is.
    Brief,
    /// It writes rows: as many as there are to write.
    Rows,
    /// It reads every row.
    Scan,
    /// It writes the relation anew, or an index of it.
    Rewrite,
}

impl Work {
    /// Whether it takes the longer, the larger the relation is.
    pub fn grows(self) -> bool {
        self > Self::Brief
    }

    /// `while every row is read`
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Brief => "briefly",
            Self::Rows => "while rows are written",
            Self::Scan => "while every row is read",
            Self::Rewrite => "while it, or an index, is written anew",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_of_the_table_blocks_what_the_manual_says() {
        assert_eq!(Mode::RowExclusive.blocks(), Blocks::Neither);
        assert_eq!(Mode::ShareUpdateExclusive.blocks(), Blocks::Neither);
        assert_eq!(Mode::Share.blocks(), Blocks::Writes);
        assert_eq!(Mode::Exclusive.blocks(), Blocks::Writes);
        assert_eq!(Mode::AccessExclusive.blocks(), Blocks::ReadsAndWrites);
    }

    #[test]
    fn the_server_calls_them_by_other_names() {
        assert_eq!(Mode::of_pg_locks("ShareRowExclusiveLock"), Some(Mode::ShareRowExclusive));
        assert_eq!(Mode::of_pg_locks("SIReadLock"), None);
        assert_eq!(Mode::ShareRowExclusive.to_string(), "SHARE ROW EXCLUSIVE");
    }
}
