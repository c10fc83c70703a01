//! What is said of a server that cannot be reached: why, and what to do about it.

use std::{error::Error as _, io};

use rustls::{AlertDescription, CertificateError};

use super::{Host, Settled, Target};
use crate::{
    error::{DbError, Error},
    postgres::{handle::db_error, quote_ident, tables},
};

/// One server's answer, or why there is none.
#[derive(Debug)]
pub(super) struct Refusal {
    /// Where.
    pub(super) host: Host,
    /// Why.
    pub(super) cause: String,
    /// What to do.
    pub(super) next: String,
}

impl Refusal {
    /// Of several servers, or several addresses of one, in the order in which they were tried. What to do is the last one's.
    pub(super) fn into_error(refusals: &[Self], target: &Target) -> Error {
        let same = refusals.windows(2).all(|pair| pair[0].cause == pair[1].cause);
        let cause = match refusals {
            [] => "it has no address".to_owned(),
            [first, ..] if same => first.cause.clone(),
            all => all.iter().map(|one| format!("{}: {}", at(&one.host), one.cause)).collect::<Vec<_>>().join("; "),
        };
        let next = refusals.last().map_or_else(|| "check DB_HOST".to_owned(), |last| last.next.clone());
        Error::Unreachable { target: target.to_string(), cause, next }
    }
}

fn at(host: &Host) -> String {
    match host.address {
        Some(address) if address.to_string() != host.name => format!("{host} ({address})"),
        _ => host.to_string(),
    }
}

/// What TLS itself found wrong.
pub(super) fn tls_error(error: &tokio_postgres::Error) -> Option<&rustls::Error> {
    let mut source = error.source();
    while let Some(cause) = source {
        let inner = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(found) = inner.and_then(|inner| inner.downcast_ref()).or_else(|| cause.downcast_ref()) {
            return Some(found);
        }
        source = cause.source();
    }
    None
}

/// What to tell of an error of the driver.
pub(super) fn refusal(target: &Target, host: &Host, tls: Option<&Settled>, error: &tokio_postgres::Error) -> Refusal {
    let reported = db_error(error);
    let next = match (tls_error(error), tls) {
        (Some(found), Some(tls)) => mend_tls(found, tls, host),
        _ => mend(target, tls, &reported),
    };
    Refusal { host: host.clone(), cause: reported.to_string(), next }
}

/// The role that was asked for is not granted: that is no matter of reaching the server.
pub(super) fn role_refused(target: &Target, error: &tokio_postgres::Error) -> Option<Error> {
    let error = db_error(error);
    let role = target.role.as_ref().filter(|_| error.is("42501"))?;
    Some(tables::role_not_granted(role, &target.user, &error))
}

fn mend(target: &Target, tls: Option<&Settled>, error: &DbError) -> String {
    let has_password =
        target.password.is_some() || target.effective_password(&target.host()).is_ok_and(|p| p.is_some());
    let about_certificate = error.message.contains("client certificate");
    match error.sqlstate.as_deref() {
        Some("22023") if target.role.is_some() => {
            "make the role (`lockgate roles` prints the SQL), or check `--role`".to_owned()
        }
        Some("28P01") if !has_password => "set DB_PASSWORD".to_owned(),
        Some("28P01") => "check DB_USER and DB_PASSWORD".to_owned(),
        Some("28000") if about_certificate => match tls.and_then(|tls| tls.identity.as_ref()) {
            None => "name your certificate in DB_SSL_CERT and its key in DB_SSL_KEY".to_owned(),
            Some((cert, _)) => format!("the server does not take the certificate `{}`: check DB_SSL_CERT and DB_USER", cert.display()),
        },
        Some("28000") => "check DB_USER and DB_SSL_MODE, and the server's `pg_hba.conf`".to_owned(),
        Some("3D000") => format!("create it (`CREATE DATABASE`), or check DB_NAME, now `{}`", target.database),
        Some("55000") if error.message.contains("not currently accepting connections") => {
            format!(
                "if a restore was cut off, `lockgate restore --clean-up` opens it; else run `ALTER DATABASE {} ALLOW_CONNECTIONS true` from another database",
                quote_ident(&target.database)
            )
        }
        Some("53300") => "raise `max_connections`, or end idle sessions".to_owned(),
        _ if error.message.contains("password missing") => "set DB_PASSWORD".to_owned(),
        _ if error.message.contains("channel binding") => {
            "DB_CHANNEL_BINDING=require needs TLS and a SCRAM password: check DB_SSL_MODE and the server's `pg_hba.conf`, or say `prefer`".to_owned()
        }
        _ if error.message.contains("TLS") && tls.is_some() => {
            "check DB_SSL_MODE: `prefer` also takes a server without TLS".to_owned()
        }
        _ => "check DB_HOST and DB_PORT, and that the server runs".to_owned(),
    }
}

fn mend_tls(error: &rustls::Error, tls: &Settled, host: &Host) -> String {
    let (mode, trusted) = (tls.mode.as_str(), tls.trusted());
    match error {
        rustls::Error::InvalidCertificate(wrong) => match wrong {
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => format!(
                "sslmode `{mode}` wants a certificate for `{}`: connect by a name that the certificate has, or renew it; `verify-ca` looks at no name",
                host.name
            ),
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "renew the server's certificate, and check this machine's clock".to_owned()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "check this machine's clock, and when the server's certificate begins".to_owned()
            }
            CertificateError::Revoked => {
                format!("the certificate is in {}: give the server another one", list(tls))
            }
            CertificateError::UnknownRevocationStatus => {
                format!("{} has no list of one of the chain's authorities: add it", list(tls))
            }
            CertificateError::ExpiredRevocationList | CertificateError::ExpiredRevocationListContext { .. } => {
                format!("{} is out of date: fetch a new one from the authority", list(tls))
            }
            _ => format!(
                "sslmode `{mode}` trusts the authorities of {trusted} only: name the file of the server's own in DB_SSL_ROOT_CERT"
            ),
        },
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired | AlertDescription::HandshakeFailure)
            if tls.identity.is_none() =>
        {
            "name your certificate in DB_SSL_CERT and its key in DB_SSL_KEY".to_owned()
        }
        rustls::Error::AlertReceived(_) => match &tls.identity {
            Some((cert, _)) => format!(
                "the server refuses; it may not take the certificate `{}`: check DB_SSL_CERT, whether it is revoked or out of date, and the server's `ssl_ca_file`",
                cert.display()
            ),
            None => "look into the server's log: it refuses TLS as it is".to_owned(),
        },
        _ => "check DB_SSL_MODE, and that the server's TLS is 1.2 or newer".to_owned(),
    }
}

fn list(tls: &Settled) -> String {
    tls.crl
        .as_ref()
        .map_or_else(|| "the list of revoked certificates".to_owned(), |path| format!("`{}`", path.display()))
}
