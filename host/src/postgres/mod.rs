//! The one place that talks to PostgreSQL.

mod answers;
mod asked;
mod connect;
mod copy;
mod cursor;
mod handle;
pub mod history;
pub mod journal;
pub mod left_out;
pub mod lock;
mod look;
mod notices;
mod opening;
mod own;
mod passfile;
pub mod preflight;
mod prepared;
pub mod progress;
mod raw;
mod recorded;
mod reported;
pub mod roles;
mod savepoint;
mod scripts;
pub mod seal;
mod session;
mod setting;
pub mod snapshot;
mod standing;
pub mod tables;
pub(crate) mod values;
mod watch;
pub mod whole;

pub use connect::{
    CONNECT_TIMEOUT, ChannelBinding, Host, IGNORED, LoadBalance, Negotiation, Password, Pin, Secret, SessionAttributes,
    Settled, Target, Tls, TlsMode, Trust, look_up_service, parse_url,
};
pub use copy::CopyIn;
pub use cursor::{Cursor, fresh_number};
pub use handle::{Handle, QueryError, QueryLimits};
pub use look::{Glimpse, Look, Own};
pub use opening::Opening;
pub use own::{FUNCTIONS as OWN_FUNCTIONS, OwnTables, OwnWrites, TABLES as OWN_TABLES, WrittenRows};
pub(crate) use passfile::{
    fits as fits_a_passfile, line as passfile_line, line_of_all as passfile_line_of_all, path as passfile_path,
};
pub use recorded::{How, Recorder, Told};
pub use session::{Committed, Noted, Process, Server, Session, Timeouts};
pub use setting::set_clause;
pub use standing::{Broken, Transaction};
pub use watch::Watch;

/// A name as SQL writes it, whatever characters it has.
pub fn quote_ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A string constant as SQL writes it, whatever `standard_conforming_strings` says.
pub fn quote_literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') { format!(" E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}

/// The same for the copy of a script that may be sent beside the script itself. Where the body of a function is at fault, PostgreSQL looks
/// for it in the message, and tells the place in there only if it stands in quotes or dollars but once.
/// Source: PostgreSQL, `function_parse_error_transpose` in src/backend/catalog/pg_proc.c.
pub(super) fn quote_copy(script: &str) -> String {
    format!(" E'{}'", script.replace('\\', "\\\\").replace('\'', "\\047").replace('$', "\\044"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_cannot_be_left() {
        assert_eq!(quote_ident("a\"b"), "\"a\"\"b\"");
        assert_eq!(quote_literal("a'b"), "'a''b'");
        assert_eq!(quote_literal("a\\'b"), " E'a\\\\''b'");
        assert_eq!(quote_copy("a\\'$b"), " E'a\\\\\\047\\044b'");
    }
}
