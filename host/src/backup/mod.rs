//! Backups before a run, and the way back from them.

pub mod catalog;
mod child;
mod choice;
mod coding;
mod drill;
mod dump;
pub mod encryption;
mod folder;
mod globals;
mod id;
mod kept;
mod lease;
mod manifest;
mod meter;
pub mod origin;
mod properties;
mod publish;
mod restore;
pub mod retention;
mod scratch;
mod settings;
pub mod store;
mod take;
pub mod tools;
mod unfinished;
pub mod verify;
mod way_back;

pub use catalog::{Backup, Catalog, Damaged, Listing};
pub use choice::{Among, Choice, choose, look_up};
pub use drill::{Drill, Rpo, Rto, Since, drill};
pub use manifest::{Content, Encoding, Manifest, Part, Scope};
pub use properties::{Privilege, Properties, Setting};
pub use restore::{Copies, Named, Order as RestoreOrder, Phase, Restored, Way, clean_up, restore};
pub use scratch::{Proof, prove};
pub use settings::{Extent, Level, Options, Retention, Section, Settings, Targets};
pub(crate) use take::READ_ALL;
pub use take::{Order, take};
pub use way_back::WayBack;

use std::{path::PathBuf, process::Command};

use crate::{
    error::{Error, Result},
    files::Nameless,
    postgres::{Target, TlsMode, passfile_line},
};

/// The connection as libpq's programs take it: in the environment, the password in a file that has no name, nothing in the arguments.
///
/// The password file must live as long as the program runs.
pub(crate) fn libpq(command: &mut Command, target: &Target, application_name: &str) -> Result<Option<Nameless>> {
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
    if let Some(options) = target.options() {
        command.env("PGOPTIONS", options);
    }
    let system = || matches!(target.tls, TlsMode::VerifyCa | TlsMode::VerifyFull).then(system_certificates).flatten();
    if let Some(root_cert) = target.root_cert.clone().or_else(system) {
        command.env("PGSSLROOTCERT", root_cert);
    }
    let written = target.effective_password().map(|password| Nameless::of(passfile_line(&password).as_bytes()));
    let passfile = written.transpose().map_err(|e| Error::system("writing the password file", e))?;
    if let Some(passfile) = &passfile {
        command.env("PGPASSFILE", passfile.path());
    }
    Ok(passfile)
}

/// A name as a connection string, so that one with a `=` in it is not taken for settings.
pub(crate) fn conninfo(database: &str) -> String {
    format!("dbname='{}'", database.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// The system's certificates as one file. Left alone, libpq looks in the home folder only (`sslrootcert=system` came with 16).
fn system_certificates() -> Option<PathBuf> {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let usual = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];
    named.into_iter().chain(usual.map(PathBuf::from)).find(|path| path.is_file())
}

/// A manifest for tests of what tells of backups.
#[cfg(test)]
pub(crate) fn sample_manifest(id: &str) -> Manifest {
    manifest::tests::manifest(id, 1, Vec::new())
}
