//! A bucket, and what becomes of backups when its server does not do what it should.

use std::{
    io::{ErrorKind, Read},
    time::{Duration, Instant},
};

use lockgate::backup::store::{Over, S3, S3Settings, ServerSideEncryption, Store};
use lockgate_tests::s3::{ACCESS_KEY, BUCKET, Fault, Method, S3Server, SECRET_KEY, StatusCode};

const MIB: usize = 1 << 20;

fn noise(bytes: usize) -> Vec<u8> {
    let mut noise = vec![0; bytes];
    fastrand::Rng::with_seed(7).fill(&mut noise);
    noise
}

fn write(store: &dyn Store, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let mut upload = store.create(name, bytes.len() as u64)?;
    upload.write_all(bytes)?;
    upload.finish()?;
    upload.publish()
}

fn read(store: &dyn Store, name: &str) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    store.read(name)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Claims an error in one line that names the place and this.
fn names(error: &std::io::Error, what: &str) {
    let text = error.to_string();
    assert!(text.contains("s3://backups/auth") && text.contains(what) && !text.contains('\n'), "{text}");
    assert!(!text.contains(SECRET_KEY), "{text}");
}

#[test]
fn a_server_that_is_gone_is_said_to_be_gone() {
    let mut server = S3Server::start();
    let store = server.store("auth");
    write(&store, "a", b"1").unwrap();
    server.stop();
    let begin = Instant::now();
    names(&store.entries().unwrap_err(), "Connection refused");
    names(&read(&store, "a").unwrap_err(), "s3://backups/auth/a`: Connection refused");
    names(&store.create("b", 0).err().unwrap(), "s3://backups/auth/b`: Connection refused");
    names(&store.put("b", b"1", Over::Nothing).unwrap_err(), "Connection refused");
    names(&store.remove("a").unwrap_err(), "Connection refused");
    assert!(begin.elapsed() < Duration::from_secs(60), "{:?}", begin.elapsed());
}

#[test]
fn a_server_that_goes_in_the_middle_of_an_upload_publishes_nothing() {
    // At the beginning, in the middle, and when nothing is left but to put the parts together.
    for after in [0, 2, 6] {
        let mut server = S3Server::start();
        let store = server.store("auth");
        server.goes_wrong(Fault::Ends, after, 1);
        names(&write(&store, "a", &noise(40 * MIB)).unwrap_err(), "s3://backups/auth/a");
        assert!(server.went_wrong(), "{after}");
        server.stop();
        assert_eq!(server.keys(), Vec::<String>::new(), "{after}");
    }
}

#[test]
fn wrong_credentials_are_refused_and_not_told() {
    let server = S3Server::start();
    let wrong = S3::open_as(Some((ACCESS_KEY, "another-secret")), BUCKET, "auth", &server.settings()).unwrap();
    let error = wrong.entries().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    names(&error, "SignatureDoesNotMatch");
    for error in [wrong.put("a", b"1", Over::Nothing).unwrap_err(), read(&wrong, "a").unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
        assert!(!error.to_string().contains("another-secret"), "{error}");
    }
    assert!(!format!("{wrong:?}").contains("another-secret"));
    assert_eq!(server.keys(), Vec::<String>::new());
}

#[test]
fn a_bucket_that_is_not_there_is_not_taken_for_an_empty_one() {
    let server = S3Server::start();
    let store = S3::open_as(Some((ACCESS_KEY, SECRET_KEY)), "nowhere", "auth", &server.settings()).unwrap();
    let error = store.entries().unwrap_err();
    assert!(error.to_string().contains("listing `s3://nowhere/auth`: NoSuchBucket"), "{error}");
    assert_ne!(error.kind(), ErrorKind::NotFound);
}

#[test]
fn reading_goes_on_where_an_answer_broke_off() {
    let server = S3Server::start();
    let bytes = noise(20 * MIB);
    write(&server.store("auth"), "a", &bytes).unwrap();
    // With a limit of no time the library does not ask again itself.
    for retry_timeout_s in [0, 5] {
        let store =
            server.store_with("auth", &S3Settings { retry_timeout_s: Some(retry_timeout_s), ..server.settings() });
        let before = server.requests().len();
        server.goes_wrong(Fault::BreaksOff(5 << 20), 0, 3);
        assert!(read(&store, "a").unwrap() == bytes);
        assert!(server.went_wrong());
        let asked = server.requests().split_off(before);
        let ranges: Vec<_> = asked.iter().filter_map(|(_, _, headers)| headers.get("range")).collect();
        assert_eq!(ranges.len(), 3, "{ranges:?}");
    }
}

#[test]
fn reading_does_not_go_on_with_another_object() {
    let server = S3Server::start();
    let store = server.store_with("auth", &S3Settings { retry_timeout_s: Some(0), ..server.settings() });
    write(&store, "a", &noise(20 * MIB)).unwrap();
    server.goes_wrong(Fault::BreaksOff(10 << 20), 0, 1);
    let mut file = store.read("a").unwrap();
    file.read_exact(&mut [0; 1]).unwrap();
    store.put("a", &vec![1; 20 * MIB], Over::Anything).unwrap();
    let error = file.read_to_end(&mut Vec::new()).unwrap_err();
    names(&error, "reading `s3://backups/auth/a`: it is another object by now");
}

#[test]
fn a_server_that_is_busy_is_asked_again() {
    let server = S3Server::start();
    let store = server.store_with("auth", &S3Settings { retry_timeout_s: Some(20), ..server.settings() });
    let bytes = noise(20 * MIB);
    for (name, status) in [("a", StatusCode::SERVICE_UNAVAILABLE), ("b", StatusCode::INTERNAL_SERVER_ERROR)] {
        for after in [0, 1, 4] {
            let name = format!("{name}{after}");
            server.goes_wrong(Fault::Refuses(status), after, 2);
            write(&store, &name, &bytes).unwrap();
            assert!(server.went_wrong() && read(&store, &name).unwrap() == bytes, "{name}");
        }
    }
    server.goes_wrong(Fault::Refuses(StatusCode::SERVICE_UNAVAILABLE), 0, 2);
    store.put("a.json", b"1", Over::Nothing).unwrap();
    assert!(server.went_wrong());
    assert_eq!(server.unfinished(), 0);
}

#[test]
fn a_server_that_stays_busy_is_given_up_and_named() {
    let server = S3Server::start();
    server.goes_wrong(Fault::Refuses(StatusCode::SERVICE_UNAVAILABLE), 0, 1_000);
    names(&write(&server.store("auth"), "a", b"1").unwrap_err(), "SlowDown: of the test's own making");
}

#[test]
fn an_answer_that_is_lost_is_not_taken_for_somebody_elses_file() {
    let server = S3Server::start();
    let store = server.store_with("auth", &S3Settings { retry_timeout_s: Some(20), ..server.settings() });
    server.goes_wrong(Fault::LosesAnswer, 0, 1);
    store.put("a.json", b"1", Over::Nothing).unwrap();
    assert!(server.went_wrong());
    // The last request of an upload puts its parts together.
    let bytes = noise(20 * MIB);
    server.goes_wrong(Fault::LosesAnswer, 4, 1);
    write(&store, "a", &bytes).unwrap();
    assert!(server.went_wrong() && read(&store, "a").unwrap() == bytes);
}

#[test]
fn a_server_that_knows_no_conditions_replaces_nothing_either() {
    let server = S3Server::start();
    let store = server.store("auth");
    server.goes_wrong(Fault::KnowsNoConditions, 0, 1_000);
    let begin = Instant::now();
    store.put("a.json", b"1", Over::Nothing).unwrap();
    assert_eq!(store.put("a.json", b"2", Over::Nothing).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(read(&store, "a.json").unwrap(), b"1");
    assert!(begin.elapsed() < Duration::from_secs(1), "it is not asked again: {:?}", begin.elapsed());
}

#[test]
fn the_server_is_told_how_to_encrypt_and_what_to_compare() {
    let server = S3Server::start();
    let heads = |settings: S3Settings| {
        let store = server.store_with("auth", &settings);
        let before = server.requests().len();
        store.put("a", b"1", Over::Anything).unwrap();
        write(&store, "b", &noise(9 * MIB)).unwrap();
        store.remove("b").unwrap();
        server.requests().split_off(before)
    };
    let key = Some("arn:aws:kms:eu-central-1:1:key/k".to_owned());
    let sse = Some(ServerSideEncryption::Kms);
    let kms = heads(S3Settings { sse, kms_key_id: key, bucket_key: Some(true), ..server.settings() });
    let begins = |target: &str, method: &Method| {
        (*method == Method::PUT && !target.contains('?')) || (*method == Method::POST && target.contains("uploads"))
    };
    let with = |heads: &[(Method, String, lockgate_tests::s3::HeaderMap)], name: &str, value: &str| {
        let begun = heads.iter().filter(|(method, target, _)| begins(target, method));
        let told = begun.map(|(_, _, headers)| headers.get(name).is_some_and(|told| told == value));
        let told: Vec<_> = told.collect();
        (told.len(), told.into_iter().filter(|told| *told).count())
    };
    assert_eq!(with(&kms, "x-amz-server-side-encryption", "aws:kms"), (2, 2));
    assert_eq!(with(&kms, "x-amz-server-side-encryption-bucket-key-enabled", "true"), (2, 2));
    let key = "x-amz-server-side-encryption-aws-kms-key-id";
    assert_eq!(with(&kms, key, "arn:aws:kms:eu-central-1:1:key/k"), (2, 2));
    let own =
        heads(S3Settings { sse: Some(ServerSideEncryption::Aes256), checksums: Some(false), ..server.settings() });
    assert_eq!(with(&own, "x-amz-server-side-encryption", "AES256"), (2, 2));

    let sums = |heads: &[(Method, String, lockgate_tests::s3::HeaderMap)]| {
        let puts = heads.iter().filter(|(method, _, _)| *method == Method::PUT);
        let (with, without): (Vec<_>, Vec<_>) =
            puts.partition(|(_, _, headers)| headers.contains_key("x-amz-checksum-sha256"));
        (with.len(), without.len())
    };
    // The small object, and the two parts of the large one.
    assert_eq!((sums(&kms), sums(&own)), ((3, 0), (0, 3)));
}

#[test]
fn tls_is_checked_against_the_certificates_that_are_named() {
    let server = S3Server::start_with_tls();
    let named = S3Settings { ssl_root_cert: Some(server.certificate().to_owned()), ..server.settings() };
    let store = server.store_with("auth", &named);
    let bytes = noise(20 * MIB);
    write(&store, "a", &bytes).unwrap();
    assert!(read(&store, "a").unwrap() == bytes);
    names(&server.store("auth").entries().unwrap_err(), "invalid peer certificate");
}
