//! A connection of the test's own, for which a failure is the end of the test.

use lockgate::{
    error::Error,
    testing::{Connection, Failure},
};

/// A [`Connection`] whose rows are lines.
pub struct Session(pub(crate) Connection);

impl Session {
    /// Runs statements and returns the rows of all of them, the columns joined by `|`, NULL as nothing.
    pub async fn lines(&self, sql: &str) -> Vec<String> {
        self.try_lines(sql).await.unwrap_or_else(|error| panic!("{error}\nin: {sql}"))
    }

    /// The same; what the server says against it, as `SQLSTATE: message`.
    ///
    /// # Errors
    /// When a statement fails.
    pub async fn try_lines(&self, sql: &str) -> Result<Vec<String>, String> {
        let rows = self.0.nullable_rows(sql).await.map_err(|failure| said(&failure))?;
        let line = |row: Vec<Option<String>>| row.into_iter().map(Option::unwrap_or_default).collect::<Vec<_>>();
        Ok(rows.into_iter().map(|row| line(row).join("|")).collect())
    }

    /// The only value of the only row.
    pub async fn value(&self, sql: &str) -> String {
        let mut lines = self.lines(sql).await;
        assert_eq!(lines.len(), 1, "one row from: {sql}");
        lines.remove(0)
    }
}

fn said(failure: &Failure) -> String {
    match failure.error() {
        Some(Error::Database { error, .. }) => match &error.sqlstate {
            Some(sqlstate) => format!("{sqlstate}: {}", error.message),
            None => error.message.clone(),
        },
        _ => failure.to_string(),
    }
}
