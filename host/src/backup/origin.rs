//! Whose backups are meant: those of a database of one server. A store may be shared, and names of databases repeat from server to server.

use uuid::Uuid;

use super::{Manifest, Properties, restore::maintenance};
use crate::{
    config::Config,
    error::{Error, Result},
    postgres::Session,
};

/// A database of one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Its name.
    pub database: String,
    /// What tells its server and that server's standbys from all others.
    pub system_identifier: i64,
}

impl Origin {
    /// The database that a session is connected to.
    pub fn of(session: &Session) -> Self {
        let (database, system_identifier) = (session.target().database.clone(), session.server.system_identifier);
        Self { database, system_identifier }
    }

    /// Whether a backup is of it.
    pub fn has(&self, manifest: &Manifest) -> bool {
        manifest.database == self.database && manifest.system_identifier == self.system_identifier
    }
}

/// The configured database as the server knows it now.
#[derive(Debug, Clone)]
pub struct Present {
    /// Whose backups are its own.
    pub origin: Origin,
    /// The server, as it is named to people.
    pub server: String,
    /// Whether there is a database of that name.
    pub exists: bool,
}

impl Present {
    /// Asks the server, which need not have the database any more.
    ///
    /// # Errors
    /// [`Error::Unreachable`].
    pub async fn of(config: &Config, run_id: Uuid) -> Result<Self> {
        let database = config.target.database.clone();
        let (session, exists) = match Session::connect(&config.target, "lockgate backup").await {
            Ok(session) => (session, true),
            // It may be gone, or closed: then another one answers.
            Err(error @ Error::Unreachable { .. }) => {
                let Ok(admin) = maintenance(&config.target, run_id).await else { return Err(error) };
                let exists = Properties::of(&admin, &database).await?.is_some();
                (admin, exists)
            }
            Err(error) => return Err(error),
        };
        let system_identifier = session.server.system_identifier;
        let server = config.target.host().to_string();
        Ok(Self { origin: Origin { database, system_identifier }, server, exists })
    }

    /// How a backup that is of another server differs in that; `None` for one of this server.
    pub fn foreign(&self, manifest: &Manifest) -> Option<String> {
        let Origin { system_identifier, .. } = self.origin;
        (manifest.system_identifier != system_identifier).then(|| {
            format!(
                "backup `{}` is of another server: it was taken at {} (system identifier {}), and this is {} (system identifier {system_identifier})",
                manifest.id, manifest.server, manifest.system_identifier, self.server
            )
        })
    }
}
