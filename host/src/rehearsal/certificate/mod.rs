//! The certificate of a rehearsal: what was rehearsed for which database, and how it went, signed, so that `up --require-rehearsal` can
//! rely on it wherever it runs. docs/certificate.schema.json describes the file.

mod check;
mod keys;
mod record;
mod refusal;
mod signed;

use std::path::{Path, PathBuf};

use super::{Rehearsal, Settings};
use crate::{
    error::{Error, Finding, Result, Severity},
    files,
};

pub use self::{
    check::{CLOCK_SKEW_MAX, Pending, Present, Standing},
    keys::{PublicKey, SigningKey},
    record::{Base, Certificate, FORMAT, Of, Rehearsed},
    refusal::Refusal,
    signed::{BYTES_MAX, open, sign},
};

/// Writes the certificate of a rehearsal where the settings say, whether it passed or not: one that did not must not leave an older one
/// of the same migrations in its place. `None` where there is no key to sign with: what nobody has signed proves nothing, so nothing is
/// written, and [`without_a_key`] tells how to get one.
///
/// # Errors
/// [`Error::Configuration`] when the key cannot be used, [`Error::System`] when the file cannot be written.
pub fn issue(rehearsal: &Rehearsal, settings: &Settings) -> Result<Option<PathBuf>> {
    let Some(key) = &settings.signing_key else { return Ok(None) };
    let key = SigningKey::read(key)?;
    let path = &settings.certificate;
    let text = sign(&Certificate::of(rehearsal, settings.fail_on), &key);
    let folder = path.parent().unwrap_or(Path::new(""));
    let made = if folder.as_os_str().is_empty() { Ok(()) } else { files::make_uncommitted(folder) };
    made.and_then(|()| files::replace(path, text.as_bytes()))
        .map_err(|e| Error::system(format!("writing the certificate `{}`", path.display()), e))?;
    Ok(Some(path.clone()))
}

/// What to say where a rehearsal has left no certificate.
pub fn without_a_key() -> Finding {
    Finding::new(Severity::Info, "rehearsal-unsigned", "no certificate was written: there is no key to sign it with").hint(
        "if runs are to require one: `openssl genpkey -algorithm ed25519 -out rehearsal.key`, then `chmod 600 rehearsal.key` \
         and `signing_key = \"rehearsal.key\"` under [rehearsal] in lockgate.toml",
    )
}
