//! A bucket, and what becomes of backups when its server does not do what it should.

use std::{
    io::{ErrorKind, Read},
    time::{Duration, Instant},
};

use lockgate::backup::store::{LEASE, Over, S3, S3Settings, ServerSideEncryption, Store};
use lockgate_tests::{
    Call, Scenario, eventually, make_old,
    s3::{ACCESS_KEY, BUCKET, Fault, Method, S3Server, SECRET_KEY, StatusCode},
};

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
fn a_server_that_does_not_answer_can_be_given_up_and_nothing_is_left() {
    let server = S3Server::start();
    let store = server.store("auth");
    server.goes_wrong(Fault::Hangs, 2, 1);
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| write(&store, "a", &noise(40 * MIB)));
        while !server.went_wrong() {
            std::thread::yield_now();
        }
        let begin = Instant::now();
        store.give_up();
        let error = writing.join().unwrap().unwrap_err();
        assert!(error.to_string().contains("given up"), "{error}");
        assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    });
    assert_eq!((server.keys(), server.unfinished()), (Vec::<String>::new(), 0));
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

/// A call that keeps its backups in the bucket, with the key to it.
fn run(scenario: &Scenario, arguments: &str) -> Call {
    let call = scenario.run(&format!("{arguments} --backup-dir s3://{BUCKET}/auth"));
    call.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
}

/// Whether what is left is what says that somebody is at work, and nothing else.
fn is_a_lease(keys: &[String]) -> bool {
    matches!(keys, [key] if key.ends_with(LEASE))
}

#[tokio::test]
async fn prune_leaves_what_a_backup_under_way_has_finished_in_a_bucket_alone() {
    let server = S3Server::start();
    let scenario = Scenario::new("bucket_prune").await.tables(&["a"]).config(&server.config());
    scenario.up().await.succeeds();
    let waits =
        "touch \"$HOME/waiting\"; until [ -e \"$HOME/go\" ]; do sleep 0.05; done; exec \"$REAL/pg_dumpall\" \"$@\"";
    let programs = scenario.made_up_programs(&[("pg_dumpall", waits)]);
    let backup = run(&scenario, "backup").env("LOCKGATE_PG_BIN", &programs).start();
    eventually("the dump is finished", async || scenario.path("waiting").exists()).await;
    // The time of an object in parts is when its upload was begun, which may be hours ago.
    let keys = server.keys();
    let dump = keys.iter().find(|key| key.ends_with(".dump.zst")).unwrap();
    make_old(&server.path(dump));
    run(&scenario, "backup prune").await.succeeds().prints("nothing to remove");
    run(&scenario, "backup prune --leftovers-after 0s").await.succeeds().prints("nothing to remove");
    assert_eq!(server.keys(), keys);
    scenario.write("go", "");
    let id = backup.end().await.succeeds().backup_id();
    run(&scenario, &format!("backup verify {id}")).await.succeeds();
}

#[tokio::test]
async fn a_backup_that_somebody_takes_a_file_of_before_its_manifest_is_none() {
    let server = S3Server::start();
    let scenario = Scenario::new("bucket_taken").await.tables(&["a"]).config(&server.config());
    scenario.up().await.succeeds();
    let arguments = format!("backup --backup-dir s3://{BUCKET}/auth");
    let backup = scenario
        .run_program(std::path::Path::new(env!("CARGO_BIN_EXE_torture")), &arguments)
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        .env("FAILPOINTS", "BackupReadBack=sleep(3000)")
        .start();
    let reads_the_globals = |(method, target, _): &(Method, String, lockgate_tests::s3::HeaderMap)| {
        *method == Method::GET && target.contains(".globals.")
    };
    // The dump comes first.
    eventually("the dump was read back", async || server.requests().iter().any(reads_the_globals)).await;
    let dump = server.keys().into_iter().find(|key| key.ends_with(".dump.zst")).unwrap();
    std::fs::remove_file(server.path(&dump)).unwrap();
    let name = dump.trim_start_matches("auth/");
    backup.end().await.fails_with(7).says(&format!("`{name}` is gone: somebody has removed it meanwhile"));
    assert_eq!(server.keys(), Vec::<String>::new());
}

/// A database whose dump has several parts, and a migration that waits for it.
async fn large(name: &str, server: &S3Server) -> Scenario {
    let scenario = Scenario::new(name).await.tables(&["a", "b"]).config(&server.config());
    scenario.run("up --no-backup --to 1").await.succeeds();
    scenario.lines("CREATE TABLE big AS SELECT gen_random_uuid() FROM generate_series(1, 1500000)").await;
    scenario
}

#[tokio::test]
async fn a_backup_in_a_bucket_is_taken_listed_and_restored() {
    let server = S3Server::start();
    let scenario = large("bucket", &server).await;
    let before = scenario.state().await;
    let id = run(&scenario, "-vv up").await.succeeds().never_mentions(SECRET_KEY).backup_id();
    let keys = server.keys();
    assert!(keys.iter().all(|key| key.starts_with(&format!("auth/{id}."))), "{keys:?}");
    assert!(keys.contains(&format!("auth/{id}.dump.zst")) && keys.contains(&format!("auth/{id}.json")), "{keys:?}");
    assert_eq!(server.unfinished(), 0);
    assert!(scenario.files("backups").is_empty());

    run(&scenario, "backup list").await.succeeds().prints(&id).prints("002_b");
    scenario.lines("DELETE FROM big").await;
    // The second time the newest is another one.
    run(&scenario, "backup").await.succeeds();
    run(&scenario, &format!("restore {id}")).await.succeeds();
    scenario.is_still(&before).await;
    run(&scenario, "restore latest").await.succeeds();
    assert_eq!(scenario.value("SELECT count(*) FROM big").await, "0");
}

#[tokio::test]
async fn a_bucket_that_goes_away_during_the_backup_stops_the_run_and_leaves_nothing_that_looks_complete() {
    let server = S3Server::start();
    let scenario = large("bucket_gone", &server).await;
    let before = scenario.state().await;
    // The lease is there, the upload is begun and has a part.
    server.goes_wrong(Fault::Ends, 3, 1);
    run(&scenario, "up")
        .await
        .fails_with(7)
        .says("the backup failed")
        .says("s3://backups/auth")
        .says("state: no migration was run");
    assert!(server.went_wrong());
    assert!(is_a_lease(&server.keys()), "{:?}", server.keys());
    assert_eq!(scenario.journal().await.last().unwrap(), "backup_failed");
    scenario.is_still(&before).await;
}

#[tokio::test]
async fn a_bucket_that_cannot_be_reached_stops_the_run_before_anything_is_done() {
    let mut server = S3Server::start();
    let scenario = Scenario::new("bucket_away").await.tables(&["a"]).config(&server.config());
    server.stop();
    run(&scenario, "up").await.refuses_with(7).says("s3://backups/auth").says("Connection refused");
    assert!(!scenario.has_history().await);
}

#[tokio::test]
async fn a_run_that_is_killed_during_the_upload_leaves_nothing_that_looks_complete() {
    let server = S3Server::start();
    let scenario = large("bucket_killed", &server).await;
    server.goes_wrong(Fault::Hangs, 3, 1);
    let killed = run(&scenario, "up").start();
    eventually("a part is under way", async || server.went_wrong()).await;
    killed.kill();
    killed.end().await;
    assert!(is_a_lease(&server.keys()) && server.unfinished() == 1, "{:?}", server.keys());
    scenario.is_gone().await;
    let lease = server.keys().remove(0);
    let id = run(&scenario, "up").await.succeeds().prints("applied 002_b").backup_id();
    run(&scenario, "backup list").await.succeeds().prints(&id);
    // It is not known yet that nobody will renew it.
    run(&scenario, "backup prune --leftovers-after 0s").await.succeeds().prints("nothing to remove");
    make_old(&server.path(&lease));
    let left = lease.trim_start_matches("auth/");
    run(&scenario, "backup prune --leftovers-after 0s").await.succeeds().prints(&format!("remove {left}"));
    assert!(server.keys().iter().all(|key| key.starts_with(&format!("auth/{id}."))), "{:?}", server.keys());
}

#[tokio::test]
async fn a_run_that_is_stopped_while_the_bucket_does_not_answer_ends_soon_and_leaves_nothing() {
    let server = S3Server::start();
    let scenario = large("bucket_hangs", &server).await;
    let before = scenario.state().await;
    server.goes_wrong(Fault::Hangs, 3, 1);
    let stopped = run(&scenario, "up").start();
    eventually("a part is under way", async || server.went_wrong()).await;
    let begin = Instant::now();
    stopped.terminate();
    stopped.end().await.fails_with(1).says("stopped by SIGTERM").says("state: no migration was run");
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    assert_eq!((server.keys(), server.unfinished()), (Vec::<String>::new(), 0));
    scenario.is_still(&before).await;
}

#[tokio::test]
async fn credentials_that_are_missing_are_asked_for() {
    let server = S3Server::start();
    let scenario = Scenario::new("bucket_no_key").await.tables(&["a"]).config(&server.config());
    // No role of this machine answers in the test's stead.
    run(&scenario, "up")
        .without("AWS_ACCESS_KEY_ID")
        .without("AWS_SECRET_ACCESS_KEY")
        .env("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1")
        .await
        .refuses_with(7)
        .says(
            "there are no credentials: neither AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY nor a role of this machine",
        );
    run(&scenario, "up").without("AWS_SECRET_ACCESS_KEY").await.refuses_with(2).says("the S3 store cannot be used");
}

#[tokio::test]
async fn settings_that_do_not_fit_a_bucket_are_refused() {
    let scenario = Scenario::new("bucket_settings").await.tables(&["a"]);
    for (setting, why) in [
        ("endpoint = \"http://minio.example\"", "`allow_http = true` allows that"),
        ("sse = \"aws:kms\"", "needs `kms_key_id`"),
        ("sse = \"rot13\"", "AES256"),
        ("access_key = \"hush\"", "access_key"),
    ] {
        scenario.write("lockgate.toml", format!("[backup.s3]\n{setting}\n"));
        run(&scenario, "up").await.refuses_with(2).says(why);
    }
    assert!(!scenario.has_history().await);
}
