//! `pg_dump` is there and knows the server's version.

use super::Context;
use crate::{
    backup::tools::{self, ToolsError},
    error::{Finding, Severity},
};

pub(super) fn check(context: &Context<'_>) -> Vec<Finding> {
    let server = context.session.server.major();
    let install = format!(
        "install PostgreSQL {server}'s client programs (Debian: `apt-get install postgresql-client-{server}`), or name their folder in \
         LOCKGATE_PG_BIN"
    );
    let message = match tools::find(context.pg_bin, server) {
        Ok(_) => return vec![],
        Err(ToolsError::Missing) => "`pg_dump` and `pg_restore` were not found, so no backup can be taken".to_owned(),
        Err(ToolsError::TooOld { path, major }) => {
            format!("`{}` is of version {major}, the server of {server}: it cannot dump it", path.display())
        }
    };
    vec![Finding::new(Severity::Block, "pg-dump", message).hint(install)]
}
