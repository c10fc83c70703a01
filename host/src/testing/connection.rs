//! A connection of the test's own.

use super::Result;
use crate::postgres::{Session, Target};

/// A connection on which statements are run as they are written.
pub struct Connection(Session);

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// When the server cannot be reached, or refuses.
    pub async fn open(target: &Target) -> Result<Self> {
        Ok(Self(Session::connect(target, "the test").await?))
    }

    /// Runs statements, in one transaction unless they hold their own.
    ///
    /// # Errors
    /// What the server said.
    pub async fn run(&self, sql: &str) -> Result<()> {
        Ok(self.0.batch("running the test's SQL", sql).await?)
    }

    /// The rows of all the statements; each value as text, NULL as `NULL`.
    ///
    /// # Errors
    /// What the server said.
    pub async fn rows(&self, sql: &str) -> Result<Vec<Vec<String>>> {
        let rows = self.nullable_rows(sql).await?;
        let text = |value: Option<String>| value.unwrap_or_else(|| "NULL".to_owned());
        Ok(rows.into_iter().map(|row| row.into_iter().map(text).collect()).collect())
    }

    /// The same with NULL as `None`.
    ///
    /// # Errors
    /// What the server said.
    pub async fn nullable_rows(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
        Ok(self.0.texts("running the test's SQL", sql).await?)
    }
}
