//! A copy without rows still has to know what is applied: the rows of the history go with it.

use crate::{
    error::Result,
    postgres::{Session, Target, history::History, quote_literal},
};

const DOING: &str = "carrying the history over to the copy";

/// Writes the target's history into a copy that was made without rows.
///
/// # Errors
/// When it cannot be read or written.
pub(super) async fn carry(target: &Session, copy: &Target, history: &History) -> Result<()> {
    if !history.is_there(target).await? {
        return Ok(());
    }
    let table = history.table();
    let rows = target.texts(DOING, &format!("SELECT json_agg(h)::text FROM {table} h")).await?;
    let Some(rows) = rows.into_iter().flatten().flatten().next() else { return Ok(()) };
    let copy = Session::connect(copy, "lockgate rehearse").await?;
    let sql =
        format!("INSERT INTO {table} SELECT * FROM json_populate_recordset(NULL::{table}, {})", quote_literal(&rows));
    copy.batch(DOING, &sql).await
}
