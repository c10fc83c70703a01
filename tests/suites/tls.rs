//! Every sslmode with every kind of server: what Lockgate does, what its children do, and what libpq itself does.

use lockgate_tests::{Call, Outcome, SecureServer};

/// How a connection may turn out.
const ENCRYPTED: char = 'T';
const PLAIN: char = 'P';
const REFUSED: char = 'x';

/// Both with and without TLS.
const BOTH: &str = "host all all all scram-sha-256";
const TLS_ONLY: &str = "hostssl all all all scram-sha-256";
const PLAIN_ONLY: &str = "hostnossl all all all scram-sha-256";
const WITH_CERTIFICATE: &str = "hostssl all all all scram-sha-256 clientcert=verify-ca";

/// A kind of server: the name of its certificate, its `pg_hba.conf`, and the client's own certificate.
struct Kind {
    certificate: Option<&'static str>,
    hba: &'static str,
    client: Option<&'static str>,
    crl: Option<&'static str>,
    /// What comes of each row of [`ROWS`].
    outcomes: &'static str,
}

/// The mode, and whether the client has the certificate of the authority.
const ROWS: [(&str, bool); 12] = [
    ("disable", false),
    ("disable", true),
    ("allow", false),
    ("allow", true),
    ("prefer", false),
    ("prefer", true),
    ("require", false),
    ("require", true),
    ("verify-ca", false),
    ("verify-ca", true),
    ("verify-full", false),
    ("verify-full", true),
];

#[rustfmt::skip]
const KINDS: [Kind; 15] = [
    // No TLS at all.
    Kind { certificate: None, hba: BOTH, client: None, crl: None, outcomes: "PP PP PP xx xx xx" },
    // A certificate as it should be.
    Kind { certificate: Some("good"), hba: BOTH, client: None, crl: None, outcomes: "PP PP TT TT xT xT" },
    Kind { certificate: Some("good"), hba: TLS_ONLY, client: None, crl: None, outcomes: "xx TT TT TT xT xT" },
    Kind { certificate: Some("good"), hba: PLAIN_ONLY, client: None, crl: None, outcomes: "PP PP PP xx xx xx" },
    // One for another host.
    Kind { certificate: Some("wrong"), hba: BOTH, client: None, crl: None, outcomes: "PP PP TT TT xT xx" },
    // One that is out of date.
    Kind { certificate: Some("expired"), hba: BOTH, client: None, crl: None, outcomes: "PP PP TP Tx xx xx" },
    Kind { certificate: Some("expired"), hba: TLS_ONLY, client: None, crl: None, outcomes: "xx Tx Tx Tx xx xx" },
    // One of an authority that is not trusted.
    Kind { certificate: Some("unknown"), hba: BOTH, client: None, crl: None, outcomes: "PP PP TP Tx xx xx" },
    // One that is revoked, without and with the list that says so.
    Kind { certificate: Some("revoked"), hba: BOTH, client: None, crl: None, outcomes: "PP PP TT TT xT xT" },
    Kind { certificate: Some("revoked"), hba: BOTH, client: None, crl: Some("ca.crl"), outcomes: "PP ?P ?P ?x ?x xx" },
    Kind { certificate: Some("good"), hba: BOTH, client: None, crl: Some("ca.crl"), outcomes: "PP ?P ?T ?T ?T xT" },
    Kind { certificate: Some("good"), hba: BOTH, client: None, crl: Some("stale.crl"), outcomes: "PP ?P ?P ?x ?x xx" },
    // Where the client has to have one: none, a good one, a revoked one.
    Kind { certificate: Some("good"), hba: WITH_CERTIFICATE, client: None, crl: None, outcomes: "xx xx xx xx xx xx" },
    Kind { certificate: Some("good"), hba: WITH_CERTIFICATE, client: Some("client"), crl: None, outcomes: "xx TT TT TT xT xT" },
    Kind { certificate: Some("good"), hba: WITH_CERTIFICATE, client: Some("revoked-client"), crl: None, outcomes: "xx xx xx xx xx xx" },
];

const WHETHER: &str =
    "SELECT CASE WHEN ssl THEN 'encrypted' ELSE 'plain' END FROM pg_stat_ssl WHERE pid = pg_backend_pid()";

fn of_psql(outcome: &Outcome) -> char {
    match outcome.stdout.trim() {
        "encrypted" => ENCRYPTED,
        "plain" => PLAIN,
        _ => REFUSED,
    }
}

fn of_lockgate(outcome: &Outcome) -> char {
    match (outcome.code, outcome.stdout.contains("TLSv1.")) {
        (Some(0), true) => ENCRYPTED,
        (Some(0), false) => PLAIN,
        _ => REFUSED,
    }
}

fn with(server: &SecureServer, call: Call, kind: &Kind, mode: &str, trusts: bool) -> Call {
    let mut call = call.env("PGSSLMODE", mode);
    if trusts {
        call = call.env("PGSSLROOTCERT", server.path("ca.crt"));
    }
    if let Some(name) = kind.client {
        call = call.env("PGSSLCERT", server.path(&format!("{name}.crt")));
        call = call.env("PGSSLKEY", server.path(&format!("{name}.key")));
    }
    if let Some(name) = kind.crl {
        call = call.env("PGSSLCRL", server.path(name));
    }
    call
}

#[tokio::test]
async fn each_mode_means_what_it_means_to_libpq() {
    let mut server = SecureServer::make();
    let mut wrong = Vec::new();
    for kind in &KINDS {
        server.serve(kind.certificate, kind.hba).await;
        let expected: Vec<char> = kind.outcomes.chars().filter(|c| *c != ' ').collect();
        assert_eq!(expected.len(), ROWS.len());
        for ((mode, trusts), expected) in ROWS.into_iter().zip(expected) {
            // A list of revoked certificates with nobody to trust is refused; libpq does not look at it.
            if expected == '?' {
                let call = with(&server, server.lockgate("test"), kind, mode, trusts);
                call.await.refuses_with(2);
                continue;
            }
            let sql = || server.psql("-XAtqw -c").arg(WHETHER);
            let child = server.lockgate("psql -- -XAtqw -c").arg(WHETHER);
            let (ours, libpqs, childs) = tokio::join!(
                with(&server, server.lockgate("test"), kind, mode, trusts),
                with(&server, sql(), kind, mode, trusts),
                with(&server, child, kind, mode, trusts),
            );
            let found = [of_lockgate(&ours), of_psql(&libpqs), of_psql(&childs)];
            if found != [expected; 3] {
                wrong.push(format!(
                    "{mode}{} with {:?}, `{}`, client {:?}, list {:?}: expected {expected}, found {found:?}\n  {}\n  {}\n  {}",
                    if trusts { " and root" } else { "" },
                    kind.certificate,
                    kind.hba,
                    kind.client,
                    kind.crl,
                    ours.stderr.trim().replace('\n', "\n  "),
                    libpqs.stderr.trim().replace('\n', "\n  "),
                    childs.stderr.trim().replace('\n', "\n  "),
                ));
            }
            ours.never_mentions(server.password());
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_certificate_that_is_wrong_is_told_with_the_file_to_mend() {
    let mut server = SecureServer::make();
    let root = server.path("ca.crt").display().to_string();
    for (certificate, words) in [
        ("wrong", "sslmode `verify-full` wants a certificate for `localhost`".to_owned()),
        ("expired", "next: renew the server's certificate".to_owned()),
        ("unknown", format!("trusts the authorities of `{root}` only")),
    ] {
        server.serve(Some(certificate), TLS_ONLY).await;
        let call = server.lockgate("test").env("DB_SSL_MODE", "verify-full").env("DB_SSL_ROOT_CERT", &root);
        call.await.refuses_with(8).says(&words).never_mentions(server.password());
    }
    server.serve(Some("revoked"), TLS_ONLY).await;
    let call = server.lockgate("test").env("DB_SSL_MODE", "verify-ca").env("DB_SSL_ROOT_CERT", &root);
    call.env("DB_SSL_CRL", server.path("ca.crl"))
        .await
        .refuses_with(8)
        .says("ca.crl")
        .says("give the server another one");
    server.serve(Some("good"), WITH_CERTIFICATE).await;
    let call = server.lockgate("test").env("DB_SSL_MODE", "require");
    call.await.refuses_with(8).says("next: name your certificate in DB_SSL_CERT and its key in DB_SSL_KEY");
}

#[tokio::test]
async fn a_certificate_of_the_servers_own_is_trusted_by_itself() {
    let mut server = SecureServer::make();
    server.serve(Some("own"), TLS_ONLY).await;
    for (root, expected) in [("own.crt", ENCRYPTED), ("ca.crt", REFUSED)] {
        let root = server.path(root);
        let call = |call: Call| call.env("PGSSLMODE", "verify-full").env("PGSSLROOTCERT", &root);
        let ours = call(server.lockgate("test")).await;
        let libpqs = call(server.psql("-XAtqw -c").arg(WHETHER)).await;
        assert_eq!([of_lockgate(&ours), of_psql(&libpqs)], [expected; 2], "{}\n{}", ours.stderr, libpqs.stderr);
    }
}

#[tokio::test]
async fn the_usual_files_are_found_where_libpq_finds_them() {
    let mut server = SecureServer::make();
    server.serve(Some("good"), WITH_CERTIFICATE).await;
    for (name, usual) in [
        ("ca.crt", "root.crt"),
        ("client.crt", "postgresql.crt"),
        ("client.key", "postgresql.key"),
        ("ca.crl", "root.crl"),
    ] {
        let content = std::fs::read_to_string(server.path(name)).unwrap();
        server.write(&format!(".postgresql/{usual}"), &content);
    }
    for mode in ["require", "verify-ca", "verify-full"] {
        let ours = server.lockgate("test").env("PGSSLMODE", mode).await;
        let libpqs = server.psql("-XAtqw -c").arg(WHETHER).env("PGSSLMODE", mode).await;
        assert_eq!(
            [of_lockgate(&ours), of_psql(&libpqs)],
            [ENCRYPTED; 2],
            "{mode}: {}\n{}",
            ours.stderr,
            libpqs.stderr
        );
    }
    // With the usual root.crt, `require` looks at the chain.
    server.serve(Some("unknown"), TLS_ONLY).await;
    server.lockgate("test").env("PGSSLMODE", "require").await.refuses_with(8).says("root.crt");
}

#[tokio::test]
async fn what_migrates_also_backs_up_and_restores() {
    let mut server = SecureServer::make();
    server.serve(Some("good"), WITH_CERTIFICATE).await;
    server.write("migrations/001_a.up.sql", "CREATE TABLE a (id int);");
    server.write("migrations/001_a.down.sql", "DROP TABLE a;");
    let secured = |call: Call| {
        let file = |name: &str| server.path(name);
        call.env("DB_SSL_MODE", "verify-full")
            .env("DB_SSL_ROOT_CERT", file("ca.crt"))
            .env("DB_SSL_CRL", file("ca.crl"))
            .env("DB_SSL_CERT", file("client.crt"))
            .env("DB_SSL_KEY", file("client.key"))
            .env("DB_CHANNEL_BINDING", "require")
    };
    let made = secured(server.psql("-XAtqw -c").arg("CREATE DATABASE app"));
    let made = made.env("PGSSLMODE", "require").env("PGSSLCERT", server.path("client.crt"));
    made.env("PGSSLKEY", server.path("client.key")).await.succeeds();
    for arguments in ["up", "backup", "restore latest --yes", "psql -- -XAtc SELECT", "status --check"] {
        secured(server.lockgate(arguments)).env("DB_NAME", "app").await.succeeds().never_mentions(server.password());
    }
}

#[tokio::test]
async fn channel_binding_is_what_libpq_makes_of_it() {
    let mut server = SecureServer::make();
    for (certificate, hba, mode, binding, expected) in [
        (Some("good"), BOTH, "require", "require", ENCRYPTED),
        (Some("good"), BOTH, "require", "prefer", ENCRYPTED),
        (Some("good"), BOTH, "require", "disable", ENCRYPTED),
        (Some("good"), "host all all all trust", "require", "require", REFUSED),
        (Some("good"), "host all all all trust", "require", "prefer", ENCRYPTED),
        (None, BOTH, "prefer", "require", REFUSED),
        (None, BOTH, "prefer", "prefer", PLAIN),
    ] {
        server.serve(certificate, hba).await;
        let call = |call: Call| call.env("PGSSLMODE", mode).env("PGCHANNELBINDING", binding);
        let ours = call(server.lockgate("test")).await;
        let libpqs = call(server.psql("-XAtqw -c").arg(WHETHER)).await;
        let childs = call(server.lockgate("psql -- -XAtqw -c").arg(WHETHER)).await;
        let found = [of_lockgate(&ours), of_psql(&libpqs), of_psql(&childs)];
        assert_eq!(found, [expected; 3], "{certificate:?} {hba} {mode} {binding}: {}\n{}", ours.stderr, libpqs.stderr);
    }
    let call = server.lockgate("test").env("PGSSLMODE", "disable").env("PGCHANNELBINDING", "require");
    call.await.refuses_with(2).says("channel_binding `require` contradicts sslmode `disable`");
}

#[tokio::test]
async fn keys_and_certificates_that_cannot_be_used_are_refused() {
    let mut server = SecureServer::make();
    server.serve(Some("good"), WITH_CERTIFICATE).await;
    let secret = std::fs::read_to_string(server.path("client.key")).unwrap();
    let shared = server.write("shared.key", &secret);
    std::fs::set_permissions(&shared, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let (crt, key) = (server.path("client.crt"), server.path("client.key"));
    let other = server.path("good.key");
    let garbage = server.write("garbage.crt", "garbage");
    let none = std::path::PathBuf::new();
    for (cert, key, root, words) in [
        (&crt, &none, &none, "and no key"),
        (&none, &key, &none, "and no certificate"),
        (&crt, &shared, &none, "others have access to it (mode 0644)"),
        (&crt, &other, &none, "cannot be used"),
        (&garbage, &key, &none, "is not a certificate"),
        (&none, &none, &garbage, "is not a certificate"),
        (&none, &none, &server.path("nowhere.crt"), "(DB_SSL_ROOT_CERT) cannot be read"),
    ] {
        let call = server.lockgate("test").env("DB_SSL_MODE", "require").env("DB_SSL_CERT", cert);
        let outcome = call.env("DB_SSL_KEY", key).env("DB_SSL_ROOT_CERT", root).await;
        outcome.refuses_with(2).says(words).says("next: ").never_mentions(&secret);
    }
    // As psql does.
    let libpqs = server.psql("-XAtqw -c").arg(WHETHER).env("PGSSLCERT", &crt).env("PGSSLKEY", &shared).await;
    assert_eq!(of_psql(&libpqs), REFUSED, "{}", libpqs.stderr);
}

#[tokio::test]
async fn tls_begins_at_once_where_the_server_knows_that() {
    let mut server = SecureServer::make();
    server.serve(Some("good"), BOTH).await;
    let call = |call: Call| call.env("PGSSLMODE", "require").env("PGSSLNEGOTIATION", "direct");
    let version = server.psql("-XAtqw -c").arg("SHOW server_version_num").await.stdout;
    let knows = version.trim().parse::<u32>().unwrap() >= 170_000;
    let ours = call(server.lockgate("test")).await;
    assert_eq!(of_lockgate(&ours), if knows { ENCRYPTED } else { REFUSED }, "{}", ours.stderr);
    let weak = server.lockgate("test").env("DB_SSL_NEGOTIATION", "direct");
    weak.await.refuses_with(2).says("too weak for sslnegotiation `direct`");
}
