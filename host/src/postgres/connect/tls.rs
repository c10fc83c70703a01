//! Which certificates, keys and lists of revoked certificates a connection uses, as libpq finds them (PostgreSQL manual, "SSL Support").

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use nix::unistd::{Uid, User};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, pem::PemObject},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{
    Negotiation, TlsMode,
    verifier::{Names, Verifier},
};
use crate::{
    error::{Error, Result},
    files::refuse_shared,
};

/// The word for the certificates of the system.
const SYSTEM: &str = "system";

/// Whether and how to encrypt, as the settings have it.
#[derive(Debug, Clone)]
pub struct Tls {
    /// Whether.
    pub mode: TlsMode,
    /// Certificates of the authorities to trust; `system`: the system's.
    pub root_cert: Option<PathBuf>,
    /// Our own certificate.
    pub cert: Option<PathBuf>,
    /// Its key.
    pub key: Option<PathBuf>,
    /// Certificates that were revoked.
    pub crl: Option<PathBuf>,
    /// How TLS begins.
    pub negotiation: Negotiation,
}

/// Whose certificates are trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// None is looked at.
    Anybody,
    /// Those that the system trusts.
    System,
    /// Those of the authorities in a file.
    File(PathBuf),
}

/// The same, with the files that are there.
#[derive(Debug, Clone)]
pub struct Settled {
    /// Whether.
    pub mode: TlsMode,
    /// Whose certificates are trusted.
    pub trust: Trust,
    /// Our own certificate and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Certificates that were revoked.
    pub crl: Option<PathBuf>,
    negotiation: Negotiation,
}

/// A file in the folder where libpq looks for what is not set.
fn usual(name: &str) -> Option<PathBuf> {
    let home = env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    let home = home.or_else(|| User::from_uid(Uid::effective()).ok().flatten().map(|user| user.dir))?;
    Some(home.join(".postgresql").join(name)).filter(|path| path.exists())
}

/// A file that was named, which must be there: libpq goes on without it, and then checks less than was asked for.
fn named(path: &Path, setting: &str) -> Result<PathBuf> {
    match fs::metadata(path) {
        Ok(file) if file.is_file() => Ok(path.to_owned()),
        Ok(_) => Err(Error::configuration(
            format!("`{}` ({setting}) is no regular file", path.display()),
            "name a file in PEM format",
        )),
        Err(e) => Err(Error::configuration(
            format!("`{}` ({setting}) cannot be read: {e}", path.display()),
            format!("check {setting}, which names a file in PEM format"),
        )),
    }
}

impl Tls {
    /// A mode, and the files where libpq looks for them.
    pub fn of_mode(mode: TlsMode) -> Self {
        Self { mode, root_cert: None, cert: None, key: None, crl: None, negotiation: Negotiation::Postgres }
    }

    /// Looks for contradictions that need no look at the files.
    ///
    /// # Errors
    /// [`Error::Configuration`], naming the settings.
    pub fn check(&self) -> Result<()> {
        let mode = self.mode.as_str();
        if self.root_cert.as_deref() == Some(Path::new(SYSTEM)) && self.mode != TlsMode::VerifyFull {
            // As libpq: anybody has a certificate from one of the system's authorities.
            return Err(Error::configuration(
                format!(
                    "sslmode `{mode}` is too weak for the system's certificates (DB_SSL_ROOT_CERT=system): anybody can have one of theirs"
                ),
                "say DB_SSL_MODE=verify-full, or name the file of your own authority",
            ));
        }
        if self.negotiation == Negotiation::Direct && self.mode.is_weak() {
            return Err(Error::configuration(
                format!(
                    "sslmode `{mode}` is too weak for sslnegotiation `direct`, which never asks whether the server has TLS"
                ),
                "say DB_SSL_MODE=require or more, or leave DB_SSL_NEGOTIATION out",
            ));
        }
        Ok(())
    }

    /// Finds the files.
    ///
    /// # Errors
    /// [`Error::Configuration`]: one is missing, or contradicts another.
    pub fn settle(&self) -> Result<Settled> {
        let Self { mode, negotiation, .. } = *self;
        self.check()?;
        if mode == TlsMode::Disable {
            return Ok(Settled { mode, trust: Trust::Anybody, identity: None, crl: None, negotiation });
        }
        let trust = match (&self.root_cert, usual("root.crt")) {
            (Some(path), _) if path == Path::new(SYSTEM) => Trust::System,
            (Some(path), _) => Trust::File(named(path, "DB_SSL_ROOT_CERT")?),
            (None, Some(path)) => Trust::File(path),
            (None, None) if mode == TlsMode::VerifyFull => Trust::System,
            (None, None) if mode == TlsMode::VerifyCa => {
                return Err(Error::configuration(
                    "sslmode `verify-ca` has no certificates to check with: DB_SSL_ROOT_CERT is not set, and there is no ~/.postgresql/root.crt",
                    "name the file of your authority in DB_SSL_ROOT_CERT; with the system's certificates only `verify-full` is safe",
                ));
            }
            (None, None) => Trust::Anybody,
        };
        let crl = match &self.crl {
            Some(_) if trust == Trust::Anybody => {
                return Err(Error::configuration(
                    format!(
                        "DB_SSL_CRL would be of no use: with sslmode `{}` and no DB_SSL_ROOT_CERT no certificate is looked at",
                        mode.as_str()
                    ),
                    "name the file of your authority in DB_SSL_ROOT_CERT, or leave DB_SSL_CRL out",
                ));
            }
            Some(path) => Some(named(path, "DB_SSL_CRL")?),
            None => usual("root.crl").filter(|_| matches!(trust, Trust::File(_))),
        };
        Ok(Settled { mode, trust, identity: self.identity()?, crl, negotiation })
    }

    fn identity(&self) -> Result<Option<(PathBuf, PathBuf)>> {
        let cert = match &self.cert {
            Some(path) => Some(named(path, "DB_SSL_CERT")?),
            None => usual("postgresql.crt"),
        };
        let Some(cert) = cert else {
            return match &self.key {
                Some(key) => Err(Error::configuration(
                    format!("there is a key (`{}`) and no certificate", key.display()),
                    "name its certificate in DB_SSL_CERT, or leave DB_SSL_KEY out",
                )),
                None => Ok(None),
            };
        };
        let key = match &self.key {
            Some(path) => named(path, "DB_SSL_KEY")?,
            None => usual("postgresql.key").ok_or_else(|| {
                Error::configuration(
                    format!("there is a certificate (`{}`) and no key", cert.display()),
                    "name its key in DB_SSL_KEY, or leave DB_SSL_CERT out",
                )
            })?,
        };
        refuse_shared("the key", &key)?;
        Ok(Some((cert, key)))
    }
}

impl Settled {
    /// What the driver makes a TLS connection with.
    ///
    /// # Errors
    /// [`Error::Configuration`], naming the file that cannot be used.
    pub(super) fn connector(&self) -> Result<MakeRustlsConnect> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let names = if self.mode == TlsMode::VerifyFull { Names::This } else { Names::Any };
        let verifier = match &self.trust {
            Trust::Anybody => Verifier::of_anybody(&provider),
            Trust::System => {
                let trusted = rustls_native_certs::load_native_certs().certs;
                Verifier::new(&provider, self.roots(&trusted)?, trusted, self.revoked()?, names)?
            }
            Trust::File(path) => {
                let trusted = certificates(path)?;
                Verifier::new(&provider, self.roots(&trusted)?, trusted, self.revoked()?, names)?
            }
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| Error::system("setting up TLS", e))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some((cert, key)) => {
                let private = PrivateKeyDer::from_pem_file(key).map_err(|e| {
                    Error::configuration(
                        format!("`{}` is no key that can be used: {e}", key.display()),
                        "name a key in PEM format without a passphrase",
                    )
                })?;
                builder.with_client_auth_cert(certificates(cert)?, private).map_err(|e| {
                    Error::configuration(
                        format!(
                            "the certificate `{}` and the key `{}` cannot be used: {e}",
                            cert.display(),
                            key.display()
                        ),
                        "give the key that the certificate was made for",
                    )
                })?
            }
        };
        if self.negotiation == Negotiation::Direct {
            // Without it the server refuses (PostgreSQL manual, "SSL Session Encryption" in "Message Flow").
            config.alpn_protocols = vec![b"postgresql".to_vec()];
        }
        Ok(MakeRustlsConnect::new(config))
    }

    fn roots(&self, trusted: &[CertificateDer<'static>]) -> Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        let (added, _) = roots.add_parsable_certificates(trusted.iter().cloned());
        if added > 0 {
            return Ok(roots);
        }
        Err(match &self.trust {
            Trust::File(path) => Error::configuration(
                format!("`{}` has no certificate of an authority", path.display()),
                "name a file in PEM format, or leave DB_SSL_ROOT_CERT out",
            ),
            _ => Error::configuration(
                "this system has no certificates of authorities to trust",
                "install them (Debian: ca-certificates), or name the file of your authority in DB_SSL_ROOT_CERT",
            ),
        })
    }

    fn revoked(&self) -> Result<Vec<CertificateRevocationListDer<'static>>> {
        let Some(path) = &self.crl else { return Ok(Vec::new()) };
        let lists = CertificateRevocationListDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        match lists {
            Ok(lists) if !lists.is_empty() => Ok(lists),
            Ok(_) => Err(unusable(path, "there is none in it", "a list of revoked certificates")),
            Err(e) => Err(unusable(path, &e.to_string(), "a list of revoked certificates")),
        }
    }

    /// Where the trusted certificates are, in words.
    pub fn trusted(&self) -> String {
        match &self.trust {
            Trust::Anybody => "none".to_owned(),
            Trust::System => "the system's certificates".to_owned(),
            Trust::File(path) => format!("`{}`", path.display()),
        }
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(unusable(path, "there is none in it", "a certificate")),
        Err(e) => Err(unusable(path, &e.to_string(), "a certificate")),
    }
}

fn unusable(path: &Path, why: &str, what: &str) -> Error {
    Error::configuration(format!("`{}` is not {what}: {why}", path.display()), "name a file in PEM format")
}

#[cfg(test)]
mod tests {
    use std::{fs::Permissions, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn a_key_is_ones_own() {
        let folder = tempfile::tempdir().unwrap();
        let (cert, key) = (folder.path().join("cert"), folder.path().join("key"));
        fs::write(&cert, "").unwrap();
        fs::write(&key, "").unwrap();
        let tls = Tls { cert: Some(cert), key: Some(key.clone()), ..Tls::of_mode(TlsMode::Require) };
        for (mode, fine) in [(0o600, true), (0o604, false), (0o660, false)] {
            fs::set_permissions(&key, Permissions::from_mode(mode)).unwrap();
            let settled = tls.settle().err().map(|e| e.report().to_string()).unwrap_or_default();
            assert_eq!(!settled.contains("others have access to it"), fine, "{mode:o}: {settled}");
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let weak = Tls { root_cert: Some("system".into()), ..Tls::of_mode(TlsMode::VerifyCa) };
        let direct = Tls { negotiation: Negotiation::Direct, ..Tls::of_mode(TlsMode::Prefer) };
        for (tls, words) in [(weak, "DB_SSL_ROOT_CERT=system"), (direct, "sslnegotiation `direct`")] {
            let text = tls.settle().unwrap_err().report().to_string();
            assert!(text.contains(words), "{text}");
        }
    }

    #[test]
    fn files_that_are_named_and_missing_are_told() {
        let missing = Some(PathBuf::from("/nowhere/file"));
        let base = Tls::of_mode(TlsMode::Require);
        for (tls, words) in [
            (Tls { root_cert: missing.clone(), ..base.clone() }, "DB_SSL_ROOT_CERT"),
            (Tls { cert: missing.clone(), ..base.clone() }, "DB_SSL_CERT"),
            (Tls { key: missing.clone(), ..base.clone() }, "no certificate"),
            (Tls { crl: missing, ..base }, "DB_SSL_CRL would be of no use"),
        ] {
            let text = tls.settle().unwrap_err().report().to_string();
            assert!(text.contains(words), "{text}");
        }
    }
}
