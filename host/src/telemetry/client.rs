//! The HTTP client of what is exported and pushed: blocking, for threads of their own.

use std::{error::Error as _, fmt::Write as _, path::Path, sync::Arc, time::Duration};

use reqwest::{blocking::Client, redirect};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};

/// A client whose requests end within this time, whatever the other side does. It trusts the certificates of this file, or of the system.
///
/// It must be made and dropped outside of tokio's threads.
///
/// # Errors
/// Why there can be none.
pub fn client(timeout: Duration, certificates: Option<&Path>) -> Result<Client, String> {
    let mut roots = RootCertStore::empty();
    let read = match certificates {
        Some(path) => CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|e| format!("`{}` holds no certificates: {e}", path.display()))?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    roots.add_parsable_certificates(read);
    // Not the provider of the whole process, which is not ours to install.
    let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Client::builder()
        .tls_backend_preconfigured(tls)
        // Headers that are for one host are not for another.
        .redirect(redirect::Policy::none())
        .timeout(timeout)
        .user_agent(concat!("lockgate/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(explain)
}

/// What went wrong, from the outside in, without the URL, which may hold a password or a key.
pub fn explain(error: reqwest::Error) -> String {
    let error = error.without_url();
    let (mut text, mut source) = (error.to_string(), error.source());
    while let Some(cause) = source {
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}
