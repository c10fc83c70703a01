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
    history.is_there(session).await?;
    if lacking(session, history).await?.is_none() {
        return Seal::new(history).check(session).await;
    }
    let result = session.batch(DOING, &format!("BEGIN; {} COMMIT", making(history))).await;
    if result.is_err() {
        session.abort().await?;
    }
    result
}

/// The same within the open transaction.
///
/// # Errors
/// As [`ensure`].
pub async fn ensure_within(session: &Session, history: &History) -> Result<()> {
    history.is_there(session).await?;
    if lacking(session, history).await?.is_none() {
        return Seal::new(history).check(session).await;
    }
    session.batch("making the tables of the history", &making(history)).await
}

/// [`ddl`], and the schema before it.
fn making(history: &History) -> String {
    let schema = quote_ident(history.schema());
    // Not IF NOT EXISTS alone: that demands the right to create schemas even where this one is there.
    format!(
        "SET LOCAL client_min_messages = warning;
         DO $do$ BEGIN IF to_regnamespace({}) IS NULL THEN CREATE SCHEMA {schema}; END IF; END $do$;
         {}",
        quote_literal(&schema),
        ddl(history),
    )
}

/// The statements that make the tables, or add what an older version did not have.
pub(super) fn ddl(history: &History) -> String {
    [history.ddl(), journal::ddl(history), Progress::new(history).ddl(), Seal::new(history).ddl()].join("\n")
}

/// Whether a table is missing, or something of one that this version needs.
///
/// # Errors
/// When that cannot be found out.
pub async fn lack_something(session: &Session, history: &History) -> Result<bool> {
    Ok(lacking(session, history).await?.is_some())
}

/// What is to be done to have all of the tables whole.
#[derive(Debug)]
pub(super) struct Lacking {
    /// Those that own what there is of them, other than this role.
    pub(super) foreign_owners: Vec<String>,
}

/// Whether the tables are all there with all that belongs to them: `None` when nothing is lacking.
pub(super) async fn lacking(session: &Session, history: &History) -> Result<Option<Lacking>> {
    let schema = quote_ident(history.schema());
    let names = [history::TABLE, journal::TABLE, progress::TABLE, seal::TABLE];
    let names = names.map(|name| quote_literal(&format!("{schema}.{}", quote_ident(name))));
    let sql = format!(
        "SELECT bool_and(c.oid IS NOT NULL) AND {} AND {},
                coalesce(array_agg(DISTINCT c.relowner::regrole::text) FILTER (WHERE NOT pg_has_role(c.relowner, 'USAGE')), '{{}}')
         FROM unnest(ARRAY[{}]) name LEFT JOIN pg_catalog.pg_class c ON c.oid = to_regclass(name)",
        journal::is_whole_sql(&names[1]),
        progress::is_whole_sql(&names[2]),
        names.join(", ")
    );
    let row = session.client().query_one(&sql, &[]).await;
    let row = row.map_err(|e| Error::database("looking for the tables of the history", db_error(&e)))?;
    Ok(if row.get(0) { None } else { Some(Lacking { foreign_owners: row.get(1) }) })
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
    Error::Checks { stage: Stage::HostPreflight, findings: vec![finding.hint(hint)], state: NOTHING_CHANGED.to_owned() }
}
