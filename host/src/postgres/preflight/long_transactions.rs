//! Transactions that have been open for long: a migration that locks a table waits behind them.

use super::Context;
use crate::{
    error::{Error, Finding, Result, Severity},
    postgres::handle::db_error,
};

pub(super) async fn check(context: &Context<'_>) -> Result<Vec<Finding>> {
    // Five minutes: longer than a request or a page load, shorter than a report or a forgotten session.
    let sql =
        "SELECT pid, coalesce(nullif(application_name, ''), 'unnamed'), coalesce(usename::text, 'unknown'), state,
                      extract(epoch FROM clock_timestamp() - xact_start)::int8
               FROM pg_catalog.pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
                 AND xact_start < clock_timestamp() - interval '5 minutes'
               ORDER BY xact_start LIMIT 5";
    let rows = context.session.client().query(sql, &[]).await;
    let rows = rows.map_err(|e| Error::database("looking for long transactions", db_error(&e)))?;
    Ok(rows
        .iter()
        .map(|row| {
            let (pid, application, user, seconds): (i32, String, String, i64) =
                (row.get(0), row.get(1), row.get(2), row.get(4));
            let state = row.get::<_, Option<String>>(3).unwrap_or_else(|| "in a state you may not see".into());
            let message = format!(
                "pid {pid} ({application}, role {user}) has a transaction open for {} min, {state}; a migration may wait for it",
                seconds / 60
            );
            Finding::new(Severity::Warn, "long-transaction", message)
                .hint(format!("let it end, or run `SELECT pg_terminate_backend({pid})`"))
        })
        .collect())
}
