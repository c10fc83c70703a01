//! What of a server's certificate is checked: nothing, its chain, or its chain and its name.

use std::sync::Arc;

use rustls::{
    CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::CryptoProvider,
    pki_types::{CertificateDer, CertificateRevocationListDer, ServerName, UnixTime},
    server::ParsedCertificate,
};

use crate::error::{Error, Result};

/// Whose name the certificate has to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    /// The host's.
    This,
    /// Anybody's.
    Any,
}

/// Checks a server's certificate.
#[derive(Debug)]
pub(super) struct Verifier {
    provider: Arc<CryptoProvider>,
    chain: Option<Chain>,
    names: Names,
}

#[derive(Debug)]
struct Chain {
    inner: Arc<WebPkiServerVerifier>,
    trusted: Vec<CertificateDer<'static>>,
    with_revocations: bool,
}

impl Verifier {
    /// Takes any certificate: the other side is not asked who it is.
    pub(super) fn of_anybody(provider: &Arc<CryptoProvider>) -> Self {
        Self { provider: Arc::clone(provider), chain: None, names: Names::Any }
    }

    /// Takes certificates of these authorities that are not revoked. Where there are lists of revoked certificates, each authority of the
    /// chain must have one that is up to date, as with OpenSSL's `X509_V_FLAG_CRL_CHECK_ALL`, which libpq sets.
    pub(super) fn new(
        provider: &Arc<CryptoProvider>,
        roots: RootCertStore,
        trusted: Vec<CertificateDer<'static>>,
        revoked: Vec<CertificateRevocationListDer<'static>>,
        names: Names,
    ) -> Result<Self> {
        let with_revocations = !revoked.is_empty();
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
            .with_crls(revoked)
            .enforce_revocation_expiration()
            .build()
            .map_err(|e| {
                Error::configuration(
                    format!("the certificates cannot be checked with: {e}"),
                    "check DB_SSL_ROOT_CERT and DB_SSL_CRL",
                )
            })?;
        let chain = Some(Chain { inner, trusted, with_revocations });
        Ok(Self { provider: Arc::clone(provider), chain, names })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        match chain.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The name is looked at last.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if self.names == Names::Any => Ok(ServerCertVerified::assertion()),
            // What `openssl req -x509` makes, and the manual tells to make: an authority's certificate of the server's own, which
            // OpenSSL takes for a server's where it is itself among the trusted. Said after its time was looked at.
            Err(rustls::Error::InvalidCertificate(CertificateError::Other(other)))
                if format!("{other:?}").contains("CaUsedAsEndEntity")
                    && !chain.with_revocations
                    && chain.trusted.iter().any(|one| one == end_entity) =>
            {
                if self.names == Names::This {
                    verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                }
                Ok(ServerCertVerified::assertion())
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
