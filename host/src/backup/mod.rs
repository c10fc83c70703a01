//! Backups before a run, and the way back from them.

mod dump;
mod manifest;
mod restore;
pub mod store;
pub mod tools;

pub use dump::{Dump, take};
pub use manifest::{Manifest, Payload};
pub use restore::{Restored, restore};

use std::{fs, io::Write, os::unix::fs::OpenOptionsExt, process::Command};

use tempfile::TempDir;

use crate::{
    error::{Error, Result},
    postgres::{Target, passfile_line},
};

/// The connection as libpq's programs take it: in the environment, the password in a private file, nothing in the arguments.
///
/// The folder must live as long as the program runs.
pub(crate) fn libpq(command: &mut Command, target: &Target, application_name: &str) -> Result<TempDir> {
    let folder = TempDir::with_prefix("lockgate-").map_err(|e| Error::system("making a private folder", e))?;
    command
        .env_remove("PGSERVICE")
        .env_remove("PGHOSTADDR")
        .env_remove("PGOPTIONS")
        .env_remove("PGPASSWORD")
        .env("PGHOST", &target.host)
        .env("PGPORT", target.port.to_string())
        .env("PGUSER", &target.user)
        .env("PGDATABASE", &target.database)
        .env("PGSSLMODE", target.tls.as_str())
        .env("PGAPPNAME", application_name)
        .env("PGCONNECT_TIMEOUT", "10");
    if let Some(root_cert) = &target.root_cert {
        command.env("PGSSLROOTCERT", root_cert);
    }
    if let Some(password) = target.effective_password() {
        let path = folder.path().join("passfile");
        let write = |path| {
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
            file.write_all(passfile_line(target, &password).as_bytes())
        };
        write(&path).map_err(|e| Error::system("writing the password file", e))?;
        command.env("PGPASSFILE", path);
    }
    Ok(folder)
}
