//! The host's own tables, made where they are missing.

use super::{
    handle::db_error, history, history::History, journal, progress, progress::Progress, quote_ident, quote_literal,
    seal, seal::Seal, session::Session,
};
use crate::error::{DbError, Error, Finding, NOTHING_CHANGED, Result, Severity, Stage};

/// Makes those of the tables that are missing, and adds what an older version did not have. Run under the lock only.
///
/// # Errors
/// When the role may not, or a table of that name is another's.
pub async fn ensure(session: &Session, history: &History) -> Result<()> {
    const DOING: &str = "making the tables of the history";
    // Another tool's table is refused here.
    history.read(session).await?;
    let schema = quote_ident(history.schema());
    let names = [history::TABLE, journal::TABLE, progress::TABLE, seal::TABLE];
    let names = names.map(|name| quote_literal(&format!("{schema}.{}", quote_ident(name))));
    let sql = format!(
        "SELECT bool_and(to_regclass(name) IS NOT NULL) AND {} FROM unnest(ARRAY[{}]) name",
        journal::is_whole_sql(&names[1]),
        names.join(", ")
    );
    let row = session.client().query_one(&sql, &[]).await;
    if row.map_err(|e| Error::database("looking for the tables of the history", db_error(&e)))?.get(0) {
        return Seal::new(history).check(session).await;
    }
    // Not IF NOT EXISTS alone: that demands the right to create schemas even where this one is there.
    let sql = format!(
        "BEGIN;
         SET LOCAL client_min_messages = warning;
         DO $do$ BEGIN IF to_regnamespace({}) IS NULL THEN CREATE SCHEMA {schema}; END IF; END $do$;
         {} {} {} {} COMMIT",
        quote_literal(&schema),
        history.ddl(),
        journal::ddl(history),
        Progress::new(history).ddl(),
        Seal::new(history).ddl(),
    );
    let result = session.batch(DOING, &sql).await;
    if result.is_err() {
        session.abort().await?;
    }
    result
}

/// Why one of the tables could not be read. A missing privilege is a finding, with the GRANT that mends it.
pub(super) fn unreadable(session: &Session, schema: &str, table: &str, needed: &str, error: DbError) -> Error {
    if !error.is("42501") {
        return Error::database("reading the history", error);
    }
    let (schema, user) = (quote_ident(schema), quote_ident(&session.server.user));
    let finding = Finding::new(
        Severity::Block,
        "missing-privilege",
        format!("role {user} may not read the history: {}", error.message),
    );
    let hint =
        format!("run `GRANT USAGE ON SCHEMA {schema} TO {user}; GRANT {needed} ON {table} TO {user}` as the owner");
    let state = NOTHING_CHANGED.to_owned();
    Error::Checks { stage: Stage::HostPreflight, findings: vec![finding.hint(hint)], state }
}

/// Why the session cannot take on the role that it should, with the GRANT that mends it.
pub(super) fn role_not_granted(role: &str, login: &str, error: &DbError) -> Error {
    let (role, login) = (quote_ident(role), quote_ident(login));
    let message = format!("role {login} may not take on the role {role}: {}", error.message);
    let finding = Finding::new(Severity::Block, "missing-privilege", message);
    let hint = format!("run `GRANT {role} TO {login}` as a superuser, or as whoever may grant {role}");
    Error::Checks {
        stage: Stage::HostPreflight,
        findings: vec![finding.hint(hint)],
        state: NOTHING_CHANGED.to_owned(),
    }
}
