//! Certificates, keys and lists of revoked certificates, made anew for each run.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevocationReason, RevokedCertParams,
    date_time_ymd,
};

/// The numbers of the certificates that are revoked.
const REVOKED: [u64; 2] = [101, 102];

/// Writes what the suites need into a folder: for each name `<name>.crt` and `<name>.key`, and lists `<authority>.crl`.
///
/// Of the authority `ca`: `good` for localhost and 127.0.0.1, `wrong` for another host, `expired`, `revoked`; for clients, `client` and
/// `revoked-client`. Of the authority `other`: `unknown`, `unknown-client`. By itself: `own`.
pub(crate) fn write(folder: &Path) {
    let (ca, other) = (authority("ca"), authority("other"));
    for (issuer, name) in [(&ca, "ca"), (&other, "other")] {
        fs::write(folder.join(format!("{name}.crt")), issuer.pem()).unwrap();
        let list = revocations(if name == "ca" { &REVOKED } else { &[] }, 2100);
        fs::write(folder.join(format!("{name}.crl")), list.signed_by(issuer).unwrap().pem().unwrap()).unwrap();
    }
    let stale = revocations(&[], 2021).signed_by(&ca).unwrap();
    fs::write(folder.join("stale.crl"), stale.pem().unwrap()).unwrap();

    let here = ["localhost", "127.0.0.1"];
    let (server, client) = (ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth);
    for (name, issuer, hosts, usage, number, until) in [
        ("good", &ca, &here[..], &server, 1, 2100),
        ("wrong", &ca, &["db.example.com"][..], &server, 2, 2100),
        ("expired", &ca, &here[..], &server, 3, 2021),
        ("revoked", &ca, &here[..], &server, REVOKED[0], 2100),
        ("unknown", &other, &here[..], &server, 4, 2100),
        ("client", &ca, &["postgres"][..], &client, 5, 2100),
        ("revoked-client", &ca, &["postgres"][..], &client, REVOKED[1], 2100),
        ("unknown-client", &other, &["postgres"][..], &client, 6, 2100),
    ] {
        let mut params = params(name, hosts, number, until);
        params.extended_key_usages = vec![usage.clone()];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, issuer).unwrap();
        write_pair(folder, name, &certificate.pem(), &key);
    }
    // As `openssl req -x509` makes it, and the manual tells to.
    let mut own = params("own", &here, 7, 2100);
    own.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    write_pair(folder, "own", &own.self_signed(&key).unwrap().pem(), &key);
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = params(name, &[], 1000, 2100);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn params(name: &str, hosts: &[&str], number: u64, until: i32) -> CertificateParams {
    let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(hosts).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(number.into());
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(until, 1, 1);
    params
}

fn revocations(numbers: &[u64], until: i32) -> CertificateRevocationListParams {
    let revoked = |number: &u64| RevokedCertParams {
        serial_number: (*number).into(),
        revocation_time: date_time_ymd(2020, 2, 1),
        reason_code: Some(RevocationReason::KeyCompromise),
        invalidity_date: None,
    };
    CertificateRevocationListParams {
        this_update: date_time_ymd(2020, 3, 1),
        next_update: date_time_ymd(until, 1, 1),
        crl_number: 1.into(),
        issuing_distribution_point: None,
        revoked_certs: numbers.iter().map(revoked).collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    }
}

fn write_pair(folder: &Path, name: &str, certificate: &str, key: &KeyPair) {
    fs::write(folder.join(format!("{name}.crt")), certificate).unwrap();
    let path = folder.join(format!("{name}.key"));
    fs::write(&path, key.serialize_pem()).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
}
