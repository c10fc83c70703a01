//! The host's own tables, made where they are missing.

use super::{
    handle::db_error, history, history::History, journal, progress, progress::Progress, quote_ident, quote_literal,
    seal, seal::Seal, session::Session,
};
use crate::error::{Error, Result};

/// Makes those of the tables that are missing. Run under the lock only.
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
    let sql = format!("SELECT bool_and(to_regclass(name) IS NOT NULL) FROM unnest(ARRAY[{}]) name", names.join(", "));
    let row = session.client().query_one(&sql, &[]).await;
    if row.map_err(|e| Error::database("looking for the tables of the history", db_error(&e)))?.get(0) {
        return Ok(());
    }
    // Not IF NOT EXISTS alone: that demands the right to create schemas even where this one is there.
    let sql = format!(
        "BEGIN;
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
