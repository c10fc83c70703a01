//! Where the database is, and the way there: TCP or socket, with or without TLS.

use std::{fmt, path::PathBuf, str::FromStr, sync::Arc, time::Duration};

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::passfile;
use crate::error::{Error, Result};

/// A text that never prints.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// For the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// libpq's `sslmode` (PostgreSQL manual, "SSL Support").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// Never.
    Disable,
    /// When the server offers it; the certificate is not checked.
    Prefer,
    /// Always; the certificate is not checked.
    Require,
    /// Always, with a certificate from a trusted authority.
    VerifyCa,
    /// Always, with a certificate from a trusted authority for this very host.
    VerifyFull,
}

impl TlsMode {
    /// The word that libpq uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }
}

impl FromStr for TlsMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Disable, Self::Prefer, Self::Require, Self::VerifyCa, Self::VerifyFull]
            .into_iter()
            .find(|mode| mode.as_str() == text)
            .ok_or_else(|| format!("`{text}` is none of disable, prefer, require, verify-ca, verify-full"))
    }
}

/// A database and how to log in.
#[derive(Debug, Clone)]
pub struct Target {
    /// A name, an address, or the folder of a Unix socket.
    pub host: String,
    /// The port, also of a Unix socket.
    pub port: u16,
    /// The database.
    pub database: String,
    /// The role that logs in.
    pub user: String,
    /// The role that statements run as, if it is another one.
    pub role: Option<String>,
    /// The password; without one, the passfile is asked.
    pub password: Option<Secret>,
    /// Whether and how to encrypt.
    pub tls: TlsMode,
    /// Certificates to trust instead of the system's.
    pub root_cert: Option<PathBuf>,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` at {}:{} as `{}`", self.database, self.host, self.port, self.user)?;
        self.role.as_ref().map_or(Ok(()), |role| write!(f, " with the role `{role}`"))
    }
}

/// How long to wait for a server that does not answer.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A dead peer is noticed after about a minute: 30 s of silence, then three probes 10 s apart.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 3;

impl Target {
    /// The same server and role, another database.
    pub fn with_database(&self, database: &str) -> Self {
        Self { database: database.to_owned(), ..self.clone() }
    }

    /// The password to use: the one given, else the one in the passfile.
    pub fn effective_password(&self) -> Option<Secret> {
        self.password.clone().or_else(|| passfile::lookup(self))
    }

    /// What the session starts with, as libpq's `options`: the role. So it is the one that `RESET ROLE` comes back to, and nothing
    /// runs before it is set.
    pub fn options(&self) -> Option<String> {
        let role = self.role.as_ref()?;
        let escaped =
            role.chars().flat_map(|c| (c == '\\' || c.is_whitespace()).then_some('\\').into_iter().chain([c]));
        Some(format!("-c role={}", escaped.collect::<String>()))
    }

    pub(super) fn config(&self, application_name: &str) -> tokio_postgres::Config {
        let mut config = tokio_postgres::Config::new();
        config
            .host(&self.host)
            .port(self.port)
            .dbname(&self.database)
            .user(&self.user)
            .application_name(application_name)
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_user_timeout(KEEPALIVE_IDLE + KEEPALIVE_INTERVAL * KEEPALIVE_RETRIES)
            .keepalives_idle(KEEPALIVE_IDLE)
            .keepalives_interval(KEEPALIVE_INTERVAL)
            .keepalives_retries(KEEPALIVE_RETRIES)
            .ssl_mode(match self.tls {
                TlsMode::Disable => SslMode::Disable,
                TlsMode::Prefer => SslMode::Prefer,
                TlsMode::Require | TlsMode::VerifyCa | TlsMode::VerifyFull => SslMode::Require,
            });
        if let Some(options) = self.options() {
            config.options(options);
        }
        if let Some(password) = self.effective_password() {
            config.password(password.reveal());
        }
        config
    }

    pub(super) fn tls_connector(&self) -> Result<MakeRustlsConnect> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|e| Error::system("setting up TLS", e))?;
        let config = match self.tls {
            TlsMode::VerifyFull => builder.with_root_certificates(self.roots()?).with_no_client_auth(),
            TlsMode::VerifyCa => {
                let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(self.roots()?), provider)
                    .build()
                    .map_err(|e| Error::system("setting up TLS", e))?;
                let verifier = Arc::new(AnyName(inner));
                builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
            }
            TlsMode::Disable | TlsMode::Prefer | TlsMode::Require => {
                let verifier = Arc::new(AnyCertificate(provider));
                builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
            }
        };
        Ok(MakeRustlsConnect::new(config))
    }

    fn roots(&self) -> Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        let certificates = match &self.root_cert {
            Some(path) => CertificateDer::pem_file_iter(path)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|e| Error::system(format!("reading the certificates of `{}`", path.display()), e))?,
            None => rustls_native_certs::load_native_certs().certs,
        };
        roots.add_parsable_certificates(certificates);
        Ok(roots)
    }
}

/// The parts of a `postgres://` URL: host, port, database, user, password, sslmode, sslrootcert; those that it names.
///
/// # Errors
/// What is wrong, without the URL's own text, which may hold a password.
pub fn parse_url(url: &str) -> Result<[Option<String>; 7], String> {
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err("it does not begin with `postgres://`".into());
    }
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    // The driver knows neither verify-ca nor verify-full, so the parameters are read here.
    let (mut ssl_mode, mut ssl_root_cert) = (None, None);
    for (name, value) in query.split('&').filter(|p| !p.is_empty()).map(|p| p.split_once('=').unwrap_or((p, ""))) {
        match name {
            "sslmode" => ssl_mode = Some(value.to_owned()),
            "sslrootcert" => ssl_root_cert = Some(value.to_owned()),
            // Not echoed: a `?` in a password would end up here.
            _ => return Err("it has a parameter that is not known; known are sslmode and sslrootcert".into()),
        }
    }
    let config: tokio_postgres::Config = base.parse().map_err(|_| "it cannot be parsed")?;
    if base.matches('@').count() > 1 {
        return Err("a `@` in the password is written %40".into());
    }
    let host = config.get_hosts().first().map(|host| match host {
        tokio_postgres::config::Host::Tcp(name) => name.clone(),
        tokio_postgres::config::Host::Unix(path) => path.display().to_string(),
    });
    Ok([
        host,
        config.get_ports().first().map(ToString::to_string),
        config.get_dbname().map(str::to_owned),
        config.get_user().map(str::to_owned),
        config.get_password().map(|password| String::from_utf8_lossy(password).into_owned()),
        ssl_mode,
        ssl_root_cert,
    ])
}

/// Encrypts without asking who the other side is, which is what `prefer` and `require` mean to libpq.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Checks the chain but not the name, which is what `verify-ca` means to libpq.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        use rustls::{CertificateError, Error};
        match self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_is_gone_is_noticed_within_a_minute() {
        let target = Target {
            host: "db".into(),
            port: 5432,
            database: "d".into(),
            user: "u".into(),
            role: None,
            password: Some(Secret::new("p")),
            tls: TlsMode::Disable,
            root_cert: None,
        };
        let config = target.config("lockgate");
        assert!(config.get_keepalives());
        let retries = config.get_keepalives_retries().unwrap();
        let noticed = config.get_keepalives_idle() + config.get_keepalives_interval().unwrap() * retries;
        assert_eq!(noticed, Duration::from_secs(60));
        assert_eq!(config.get_tcp_user_timeout(), Some(&noticed));
    }
}
