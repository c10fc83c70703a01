//! Which locks a statement takes, read from its text: on which relations, how strong, and for how long.
//!
//! What a statement says is all that is looked at. What a trigger, a function or a foreign key makes of it comes from the database
//! ([`Relations`]), or is said not to be known.

mod alter_table;
mod case;
mod mode;
mod name;
mod names;
mod relations;
mod statement;

pub use case::Case;
pub use mode::{Blocks, Mode, Work};
pub use name::RelationName;
pub use names::Names;
pub use relations::{Neighbour, Placed, Relation, Relations};

use squawk_syntax::{SourceFile, ast};

/// A statement that is longer holds data, or a body that takes no locks by itself: its head tells what it is.
pub const PARSED_MAX_BYTES: usize = 256 * 1024;
/// The head of one that holds data. Of a longer one no more is read.
pub const HEAD_BYTES: usize = 4 * 1024;

/// What one statement takes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Locks {
    /// The relations that it names, in order.
    pub taken: Vec<Lock>,
    /// Those to read every row with, which nobody waits for: they tell that the statement takes as long as that.
    pub reads: Vec<Lock>,
    /// Why there may be more, or others.
    pub unknown: Option<&'static str>,
}

/// A lock on a relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// The relation.
    pub relation: RelationName,
    /// How strong.
    pub mode: Mode,
    /// What is done while it is held.
    pub work: Work,
    /// Whose it is beside that of the relation that is named.
    pub reach: Reach,
    /// Whether the tables that inherit from it are locked, too.
    pub descends: bool,
    /// What the work depends on, where the database must tell: that of each form of the statement.
    pub cases: Vec<(Work, Case)>,
    /// The relations that the name may mean, the likeliest first, where it is not the one of that name: none where it is a new one.
    pub means: Option<Vec<RelationName>>,
}

/// What a lock reaches beside the relation that a statement names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Nothing.
    Itself,
    /// The name is that of an index; the lock that counts is the one on its table.
    TableOfIndex,
    /// The tables that its foreign keys point at: to drop a foreign key is to drop triggers of both.
    Referenced,
    /// The tables on both ends of its foreign keys.
    BothEnds,
    /// The tables whose foreign keys point at it, as with `TRUNCATE … CASCADE`.
    Referencing,
    /// The other end of a foreign key that is one of its constraints; not known which.
    OfOneConstraint,
    /// The default partition, whose rows are looked through for those that belong into the new one.
    DefaultPartition,
}

impl Lock {
    fn new(relation: RelationName, mode: Mode, work: Work) -> Self {
        Self { relation, mode, work, reach: Reach::Itself, descends: false, cases: Vec::new(), means: None }
    }

    fn reaching(self, reach: Reach) -> Self {
        Self { reach, ..self }
    }
}

impl Locks {
    /// Those of a statement. One that cannot be parsed takes nobody knows which.
    pub fn of(sql: &str) -> Self {
        Self::of_parsed(&parse(sql))
    }

    /// The same of one that was parsed already.
    pub fn of_parsed(parsed: &Result<ast::Stmt, &'static str>) -> Self {
        match parsed {
            Ok(statement) => Self { reads: statement::reads(statement), ..statement::locks(statement) },
            Err(why) => Self::unknown(why),
        }
    }

    fn unknown_if(condition: bool, why: &'static str) -> Self {
        if condition { Self::unknown(why) } else { Self::default() }
    }

    fn unknown(why: &'static str) -> Self {
        Self { unknown: Some(why), ..Self::default() }
    }

    fn one(relation: Option<RelationName>, mode: Mode, work: Work) -> Self {
        let taken = relation.map(|relation| Lock::new(relation, mode, work)).into_iter().collect();
        Self { taken, ..Self::default() }
    }
}

/// Parses one statement.
///
/// # Errors
/// Why it cannot be looked at.
pub fn parse(sql: &str) -> Result<ast::Stmt, &'static str> {
    let holds_data = holds_data(sql);
    let text = match sql.len() {
        ..=HEAD_BYTES => sql,
        ..=PARSED_MAX_BYTES if !holds_data => sql,
        _ if holds_data => &sql[..sql.floor_char_boundary(HEAD_BYTES)],
        _ => return Err("the statement is too long to be looked at"),
    };
    let parsed = SourceFile::parse(text);
    let is_whole = text.len() == sql.len();
    if is_whole && !parsed.errors().is_empty() {
        return Err("the statement could not be read");
    }
    parsed.tree().stmts().next().ok_or("the statement could not be read")
}

/// Whether a statement is one whose rows may be written into it.
pub fn holds_data(sql: &str) -> bool {
    let word = sql.trim_start().split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    ["insert", "copy", "values"].iter().any(|data| word.eq_ignore_ascii_case(data))
}
