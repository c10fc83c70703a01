//! In place of the server, where this build has none.

use std::path::Path;

use crate::{
    error::{Error, Result},
    postgres::Target,
};

/// Never made.
pub struct Embedded {
    /// How to reach it.
    pub target: Target,
}

impl Embedded {
    /// None in this build.
    ///
    /// # Errors
    /// Always.
    #[allow(clippy::unused_async)]
    pub async fn start(_: &Path, _: &str, _: Option<&Path>) -> Result<Self> {
        Err(Error::configuration(
            "this build of lockgate cannot start a PostgreSQL of the project's own",
            "build it with the feature `embedded`, or name a database by DATABASE_URL or the DB_* variables",
        ))
    }

    /// Nothing to stop.
    ///
    /// # Errors
    /// Never.
    pub fn stop(self) -> Result<()> {
        Ok(())
    }
}
