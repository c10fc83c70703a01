//! Migrations made of SQL files.

mod control;
mod diagnostics;
mod directives;
mod guard;
mod include;
mod labels;
mod loose;
mod outside;
mod places;
mod probe;
mod program;
mod psql;
pub mod scan;
mod script;
pub mod split;

pub use control::is_transaction_control;
pub use diagnostics::position_of;
pub use directives::Directives;
pub use guard::{Refusal, Rule, check_copy_in, check_outside, check_query, check_statement};
pub use loose::without_layout;
pub use outside::{Effect, Name, Place, Scope};
pub use places::{Places, Spot, Stretch, Walk};
pub use probe::{Answer, Breakage, Twin, workers_sql};
pub use program::{SqlFiles, SqlProgram};
pub use script::{Origin, Parcel, Script};
pub use split::Statement;
