//! Savepoints of a program, by the number that the host gave each.

use super::handle::{Handle, db_error};
use crate::error::DbError;

impl Handle {
    /// Marks the present state.
    ///
    /// # Errors
    /// What the server said: above all, that the transaction is aborted.
    pub async fn make_savepoint(&self, number: u64) -> Result<(), DbError> {
        self.on_savepoint("SAVEPOINT", number).await
    }

    /// Undoes everything since the savepoint was made, errors included. It stays.
    ///
    /// # Errors
    /// What the server said.
    pub async fn return_to_savepoint(&self, number: u64) -> Result<(), DbError> {
        self.on_savepoint("ROLLBACK TO SAVEPOINT", number).await
    }

    /// Forgets the savepoint and those made after it.
    ///
    /// # Errors
    /// What the server said: above all, that the transaction is aborted.
    pub async fn release_savepoint(&self, number: u64) -> Result<(), DbError> {
        self.on_savepoint("RELEASE SAVEPOINT", number).await
    }

    async fn on_savepoint(&self, what: &str, number: u64) -> Result<(), DbError> {
        self.client.batch_execute(&format!("{what} lockgate_guest_{number}")).await.map_err(|e| db_error(&e))
    }
}
