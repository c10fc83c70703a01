//! Migrations made of SQL files.

mod diagnostics;
mod directives;
mod guard;
mod loose;
mod outside;
mod probe;
mod program;
mod script;

pub use diagnostics::{locate, position_of};
pub use directives::Directives;
pub use guard::{Refusal, Rule, check_copy_in, check_outside, check_query, check_statement};
pub use loose::without_layout;
pub use outside::{Effect, Name, Place, Scope};
pub use probe::{Answer, Breakage, Twin, workers_sql};
pub use program::{SqlFiles, SqlProgram};
pub use script::{Origin, Script, Statement};
