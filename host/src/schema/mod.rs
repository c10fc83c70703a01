//! The schema of a database as DDL that people read, so that two moments can be compared object by object.

mod change;

pub use change::{Change, Changed};
