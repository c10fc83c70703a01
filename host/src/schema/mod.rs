//! The schema of a database as DDL that people read, so that two moments can be compared object by object.

mod canonical;
mod catalog;
mod change;
mod compare;
mod kind;
mod object;
mod read;

pub use change::{Change, Changed};
pub use object::Schema;
