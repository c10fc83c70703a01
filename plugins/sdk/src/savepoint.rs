use crate::Result;
use crate::bindings::lockgate::migration::database;

/// A state of the transaction to which it can return; see [`Transaction::open_savepoint`](crate::Transaction::open_savepoint).
/// Dropping it keeps what was done since.
#[derive(Debug)]
pub struct Savepoint {
    handle: database::Savepoint,
}

impl Savepoint {
    pub(crate) fn new(handle: database::Savepoint) -> Self {
        Self { handle }
    }

    /// Undoes everything since the savepoint was made, errors included. It stays, and can be returned to again; those made
    /// after it are gone.
    ///
    /// # Errors
    /// When the savepoint is gone, or the connection.
    pub fn rollback(&self) -> Result<()> {
        Ok(self.handle.rollback()?)
    }

    /// Forgets the savepoint, and those made after it; what was done since is kept.
    ///
    /// # Errors
    /// When a statement failed since: return to the savepoint first.
    pub fn release(self) -> Result<()> {
        Ok(database::Savepoint::release(self.handle)?)
    }
}
