//! The server is one that can be written to, and new enough.

use super::Context;
use crate::{
    error::{Finding, Severity},
    postgres::quote_ident,
};

/// The oldest major version that the project of PostgreSQL itself maintains at the time of writing.
const MAJOR_MIN: u32 = 14;

pub(super) fn check(context: &Context<'_>) -> Vec<Finding> {
    let server = &context.session.server;
    let mut findings = Vec::new();
    if server.in_recovery {
        findings.push(
            Finding::new(Severity::Block, "in-recovery", "the server is a standby, which cannot be written to")
                .hint("connect to the primary server"),
        );
    }
    if server.read_only && !server.in_recovery {
        findings.push(
            Finding::new(
                Severity::Block,
                "read-only",
                "`default_transaction_read_only` is on for this role or database",
            )
            .hint(format!(
                "find where it is set by `SELECT source FROM pg_settings WHERE name = 'default_transaction_read_only'`, then `ALTER DATABASE {} RESET \
                 default_transaction_read_only`, or the same of the role or the server",
                quote_ident(&context.session.target().database)
            )),
        );
    }
    if let Some((what, next)) = server.without_triggers() {
        findings.push(Finding::new(Severity::Block, "triggers-off", what).hint(next));
    }
    if server.major() < MAJOR_MIN {
        findings.push(
            Finding::new(Severity::Block, "server-too-old", format!("the server is PostgreSQL {}", server.version))
                .hint(format!("upgrade it to PostgreSQL {MAJOR_MIN} or newer")),
        );
    }
    if context.components && server.superuser {
        findings.push(
            Finding::new(
                Severity::Warn,
                "superuser",
                format!(
                    "plugins will run as `{}`, a superuser: SQL alone can then reach files and programs",
                    server.user
                ),
            )
            .hint("connect as a role that owns the database and is no superuser"),
        );
    }
    findings
}
