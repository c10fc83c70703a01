//! A run that requires a rehearsal is let through by a certificate that is signed, passed, recent and about this very run, and by no other.

use std::{fs, path::Path, process::Command, time::Duration};

use lockgate::{
    migration::Checksum,
    postgres::{Session, history::History},
    rehearsal::{
        Copy, Extent, Fault, FaultCode, Migration, Place, Rehearsal, Reversibility, Settings, Target, Verdict,
        certificate,
    },
    schema::Schema,
    source,
};
use lockgate_tests::{Outcome, Scenario, State, components};
use serde_json::Value;
use uuid::Uuid;

const CERTIFICATE: &str = ".lockgate/rehearsal.json";

fn openssl(folder: &Path, arguments: &str) {
    let output = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Makes the key pair of that name, as the documentation says.
fn make_keys(scenario: &Scenario, name: &str) {
    let folder = scenario.path("");
    openssl(&folder, &format!("genpkey -algorithm ed25519 -out {name}.key"));
    openssl(&folder, &format!("pkey -in {name}.key -pubout -out {name}.pub"));
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(scenario.path(&format!("{name}.key")), mode).unwrap();
}

/// A project with three migrations that trusts one key.
async fn project(name: &str) -> Scenario {
    let scenario = Scenario::new(name).await.tables(&["a", "b", "c"]);
    make_keys(&scenario, "rehearsal");
    scenario.config("[rehearsal]\ntrusted_keys = [\"rehearsal.pub\"]\n")
}

/// What a rehearsal of all that is pending says that has found nothing.
async fn rehearsed(scenario: &Scenario, pending_from: usize) -> Rehearsal {
    let session = Session::connect(scenario.target(), "the test").await.unwrap();
    let history = History::in_schema("public");
    let schema = Schema::read(&session, &history).await.unwrap();
    let applied = history.read(&session).await.unwrap().unwrap_or_default();
    let folder = source::read(&scenario.path("migrations"), None, &[]).unwrap();
    let migration = |migration: &source::Migration| Migration {
        version: migration.version.clone(),
        name: migration.name(),
        filename: migration.filename.clone(),
        kind: migration.kind.as_str().to_owned(),
        checksum: migration.checksum.clone(),
        companions: migration.companions().unwrap(),
        stages: Vec::new(),
        reversibility: Reversibility::Reversible,
        verdict: Verdict::OnlineSafe,
        faults: Vec::new(),
        hazards: Vec::new(),
        up: None,
        down: None,
        changes: Vec::new(),
    };
    let server_version = session.server.version.clone();
    Rehearsal {
        format: lockgate::rehearsal::FORMAT,
        run_id: Uuid::now_v7(),
        lockgate: "0.1.0",
        started_at: jiff::Timestamp::now() - Duration::from_secs(60),
        duration_ms: 30_000,
        passed: true,
        target: Target {
            database: scenario.database().to_owned(),
            server_version: server_version.clone(),
            schema_fingerprint: schema.fingerprint(),
            version: applied.last().map(|row| row.version.clone()),
        },
        copy: Copy {
            on: Place::Scratch,
            database: "copy".into(),
            server_version,
            backup: "the-newest".into(),
            taken_at: jiff::Timestamp::now(),
            extent: Extent::Data,
            masked: None,
            ignored: Vec::new(),
            bytes: 8_000_000,
            unlike_target: Vec::new(),
        },
        migrations: folder.migrations[pending_from..].iter().map(migration).collect(),
        not_reached: Vec::new(),
        together: None,
        workload: None,
        globals: Vec::new(),
        findings: Vec::new(),
        phases: Vec::new(),
    }
}

/// Writes the certificate of a rehearsal, signed with a key of the project.
fn issue_with(scenario: &Scenario, rehearsal: &Rehearsal, key: &str) -> String {
    let settings = Settings {
        certificate: scenario.path(CERTIFICATE),
        signing_key: Some(scenario.path(&format!("{key}.key"))),
        ..Settings::default()
    };
    assert_eq!(certificate::issue(rehearsal, &settings).unwrap(), Some(scenario.path(CERTIFICATE)));
    fs::read_to_string(scenario.path(CERTIFICATE)).unwrap()
}

fn issue(scenario: &Scenario, rehearsal: &Rehearsal) -> String {
    issue_with(scenario, rehearsal, "rehearsal")
}

/// Claims that a run which requires a rehearsal is refused, and that nothing was done for it.
async fn is_refused(scenario: &Scenario, before: &State, code: &str) -> Outcome {
    let outcome = scenario.run("up --require-rehearsal").await.refuses_with(6);
    let outcome = outcome.says("no certificate of a rehearsal lets this run through").says(&format!("[{code}]"));
    scenario.is_still(before).await;
    assert_eq!(scenario.backups("backups"), Vec::<String>::new(), "no backup was taken");
    outcome
}

/// Claims that the same run goes on with the certificate of this rehearsal.
async fn is_let_through(scenario: &Scenario, rehearsal: &Rehearsal) {
    issue(scenario, rehearsal);
    scenario.run("up --require-rehearsal").await.succeeds().prints("backed up as");
    let noted = scenario.value("SELECT detail FROM schema_migrations_journal WHERE event = 'run_started'").await;
    assert!(noted.ends_with(&format!("; let through by rehearsal {}", rehearsal.run_id)), "{noted}");
}

#[tokio::test]
async fn what_was_rehearsed_is_let_through_and_noted() {
    let scenario = project("rehearsed").await;
    let rehearsal = rehearsed(&scenario, 0).await;
    is_let_through(&scenario, &rehearsal).await;
    assert_eq!(scenario.applied().await, ["001", "002", "003"]);
    scenario.run("history --verify").await.succeeds();
    // Nothing is pending any longer, so nothing needs to be rehearsed; nor does the way down.
    scenario.remove(CERTIFICATE);
    scenario.run("up --require-rehearsal").await.succeeds();
    scenario.write("lockgate.toml", "[rehearsal]\nrequire = true\n");
    scenario.down("3").await.succeeds();
    assert_eq!(scenario.applied().await, ["001", "002"]);
}

#[tokio::test]
async fn the_first_of_what_was_rehearsed_are_let_through_and_the_rest_is_rehearsed_again() {
    let scenario = project("rehearsed_first").await;
    issue(&scenario, &rehearsed(&scenario, 0).await);
    scenario.run("up --require-rehearsal --to 1 --no-backup").await.succeeds();
    let before = scenario.state().await;
    let outcome = is_refused(&scenario, &before, "rehearsal-base").await;
    outcome.says("the rehearsal began at no version, the database is at version 001").says("`lockgate rehearse`");
    issue(&scenario, &rehearsed(&scenario, 1).await);
    scenario.run("up --require-rehearsal --no-backup").await.succeeds();
    assert_eq!(scenario.applied().await, ["001", "002", "003"]);
}

#[tokio::test]
async fn a_certificate_that_is_missing_damaged_or_not_signed_by_a_trusted_key_is_refused() {
    let scenario = project("rehearsed_unsigned").await;
    make_keys(&scenario, "other");
    let rehearsal = rehearsed(&scenario, 0).await;
    let before = scenario.state().await;
    let missing = is_refused(&scenario, &before, "rehearsal-missing").await;
    missing.says(CERTIFICATE).says("`lockgate rehearse`");
    let stranger = issue_with(&scenario, &rehearsal, "other");
    let public = fs::read_to_string(scenario.path("other.pub")).unwrap();
    let public = &public.lines().nth(1).unwrap()[16..];
    is_refused(&scenario, &before, "rehearsal-unknown-key").await.says(public).says("trusted_keys");
    let text = issue(&scenario, &rehearsal);
    let value: Value = serde_json::from_str(&text).unwrap();
    let bare = serde_json::json!({ "certificate": value["certificate"] }).to_string();
    let theirs = serde_json::from_str::<Value>(&stranger).unwrap()["signature"].as_str().unwrap().to_owned();
    for (text, code) in [
        (String::new(), "rehearsal-malformed"),
        ("{}".into(), "rehearsal-malformed"),
        (text[..text.len() / 2].into(), "rehearsal-malformed"),
        (text.replace("\"format\": 1", "\"format\": 9"), "rehearsal-format"),
        (bare, "rehearsal-unsigned"),
        (text.replace(value["signature"].as_str().unwrap(), ""), "rehearsal-unsigned"),
        (text.replace(value["signature"].as_str().unwrap(), &theirs), "rehearsal-edited"),
        (text.replace("online-safe", "brief-lock"), "rehearsal-edited"),
        (text.replace(scenario.database(), "production"), "rehearsal-edited"),
    ] {
        scenario.write(CERTIFICATE, text);
        is_refused(&scenario, &before, code).await;
    }
    scenario.remove(CERTIFICATE);
    fs::create_dir(scenario.path(CERTIFICATE)).unwrap();
    is_refused(&scenario, &before, "rehearsal-unreadable").await.says("it is a folder");
    fs::remove_dir(scenario.path(CERTIFICATE)).unwrap();
    // The same, as it was signed, with other white space.
    scenario.write("a.json", text.replace('\n', "\r\n  "));
    scenario.run("up --require-rehearsal=a.json --no-backup").await.succeeds();
}

#[tokio::test]
async fn a_rehearsal_that_failed_or_is_not_of_now_is_refused() {
    let scenario = project("rehearsed_when").await;
    let good = rehearsed(&scenario, 0).await;
    let before = scenario.state().await;
    let fault = Fault {
        code: FaultCode::LeftBehind,
        what: "an index".into(),
        change: None,
        relation: None,
        advice: "drop it".into(),
    };
    let mut failed = Rehearsal { passed: false, ..good.clone() };
    failed.migrations[1].faults.push(fault);
    issue(&scenario, &failed);
    is_refused(&scenario, &before, "rehearsal-failed").await.says("the rehearsal did not pass: 002_b");
    let ended = |seconds: i64| Rehearsal {
        started_at: jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds),
        duration_ms: 0,
        ..good.clone()
    };
    issue(&scenario, &ended(-86_500));
    is_refused(&scenario, &before, "rehearsal-stale").await.says("is 24 h old, 24 h are allowed (`max_age_s`)");
    issue(&scenario, &ended(400));
    is_refused(&scenario, &before, "rehearsal-from-the-future").await.says("clocks");
    issue(&scenario, &ended(-100));
    scenario.write("lockgate.toml", "[rehearsal]\ntrusted_keys = [\"rehearsal.pub\"]\nmax_age_s = 60\n");
    is_refused(&scenario, &before, "rehearsal-stale").await.says("s old, 60 s are allowed");
    // Within what is allowed: older than a day where two are, and a clock that is slow by less than five minutes.
    scenario.write("lockgate.toml", "[rehearsal]\ntrusted_keys = [\"rehearsal.pub\"]\nmax_age_s = 172800\n");
    issue(&scenario, &ended(-86_500));
    scenario.run("up --require-rehearsal --to 1 --no-backup").await.succeeds();
    let slow = Rehearsal {
        started_at: jiff::Timestamp::now() + jiff::SignedDuration::from_secs(200),
        duration_ms: 0,
        ..rehearsed(&scenario, 1).await
    };
    issue(&scenario, &slow);
    scenario.run("up --require-rehearsal --no-backup").await.succeeds();
}

#[tokio::test]
async fn a_rehearsal_of_something_else_is_refused() {
    let scenario = project("rehearsed_else").await;
    let good = rehearsed(&scenario, 0).await;
    let before = scenario.state().await;
    let mut other = good.clone();
    other.target.database = "staging".into();
    issue(&scenario, &other);
    let said = format!("for the database `staging`, this is `{}`", scenario.database());
    is_refused(&scenario, &before, "rehearsal-database").await.says(&said);
    let mut older = good.clone();
    older.target.server_version = "9.6.24".into();
    issue(&scenario, &older);
    is_refused(&scenario, &before, "rehearsal-server").await.says("for a server of version 9.6.24, this one has 1");
    let mut elsewhere = good.clone();
    elsewhere.copy.server_version = "99.1".into();
    issue(&scenario, &elsewhere);
    is_refused(&scenario, &before, "rehearsal-server").await.says("done on a server of version 99.1");
    // Somebody has changed the schema by hand since.
    issue(&scenario, &good);
    scenario.lines("CREATE TABLE by_hand (id int)").await;
    let changed = scenario.state().await;
    let outcome = is_refused(&scenario, &changed, "rehearsal-schema").await;
    outcome
        .says(&format!("it was {}", &good.target.schema_fingerprint[..12]))
        .never_mentions(&good.target.schema_fingerprint);
    scenario.lines("DROP TABLE by_hand").await;
    is_let_through(&scenario, &good).await;
}

#[tokio::test]
async fn other_migrations_than_were_rehearsed_are_refused_by_name() {
    let scenario = project("rehearsed_others").await;
    let good = rehearsed(&scenario, 0).await;
    let before = scenario.state().await;
    issue(&scenario, &good);
    let up = fs::read_to_string(scenario.path("migrations/002_b.up.sql")).unwrap();
    let edited = format!("{up} -- edited");
    scenario.write("migrations/002_b.up.sql", &edited);
    let (was, is) = (Checksum::of_script(&up), Checksum::of_script(&edited));
    let said = format!("its digest is {}…, it was {}…", is.short(), was.short());
    let outcome = is_refused(&scenario, &before, "rehearsal-migrations").await;
    outcome.says("migration `002_b` has changed since the rehearsal").says(&said).never_mentions(is.as_str());
    scenario.write("migrations/002_b.up.sql", &up);
    let scenario = scenario.migration("004_d", "CREATE TABLE d ()", "DROP TABLE d");
    is_refused(&scenario, &before, "rehearsal-migrations").await.says("migration `004_d` was not rehearsed");
    for file in ["migrations/004_d.up.sql", "migrations/004_d.down.sql"] {
        scenario.remove(file);
    }
    let mut turned = good.clone();
    turned.migrations.swap(0, 1);
    issue(&scenario, &turned);
    let said = "at place 1, migration `002_b` was rehearsed, and `001_a` is pending";
    is_refused(&scenario, &before, "rehearsal-migrations").await.says(said);
    // What is wrong is said all at once.
    turned.passed = false;
    issue(&scenario, &turned);
    is_refused(&scenario, &before, "rehearsal-migrations").await.says("[rehearsal-failed]");
    is_let_through(&scenario, &good).await;
}

#[tokio::test]
async fn it_can_be_required_by_the_file_the_environment_and_not() {
    let scenario = project("rehearsed_by").await;
    let before = scenario.state().await;
    let by_environment = scenario.run("up").env("LOCKGATE_REQUIRE_REHEARSAL", "true").await;
    by_environment.refuses_with(6).says("[rehearsal-missing]");
    scenario.run("up").env("LOCKGATE_REQUIRE_REHEARSAL", "x.json").await.refuses_with(6).says("`x.json`");
    scenario.write("lockgate.toml", "[rehearsal]\nrequire = true\ntrusted_keys = [\"rehearsal.pub\"]\n");
    scenario.run("up").await.refuses_with(6).says("[rehearsal-missing]");
    scenario.write("lockgate.toml", "[rehearsal]\nrequire = true\n");
    scenario.run("up").await.refuses_with(2).says("no key is trusted").says("trusted_keys");
    scenario.write("lockgate.toml", "[rehearsal]\nrequire = true\ntrusted_keys = [\"rehearsal.key\"]\n");
    let outcome = scenario.run("up").await.refuses_with(2).says("it holds a private key");
    let secret = fs::read_to_string(scenario.path("rehearsal.key")).unwrap();
    outcome.never_mentions(secret.lines().nth(1).unwrap());
    scenario.is_still(&before).await;
    scenario.run("up --require-rehearsal=false --no-backup").await.succeeds();
}

#[tokio::test]
async fn a_plan_says_whether_it_would_be_let_through() {
    let scenario = project("rehearsed_plan").await;
    let before = scenario.state().await;
    for command in ["plan --require-rehearsal", "up --dry-run --require-rehearsal"] {
        scenario.run(command).await.succeeds().prints("warn: there is no certificate").prints("[rehearsal-missing]");
    }
    let rehearsal = rehearsed(&scenario, 0).await;
    issue(&scenario, &rehearsal);
    for command in ["plan --require-rehearsal", "up --dry-run --require-rehearsal"] {
        let said = format!("info: rehearsal {} lets this through", rehearsal.run_id);
        scenario.run(command).await.succeeds().prints(&said).prints("[rehearsal-accepted]");
    }
    scenario.run("plan").await.succeeds().does_not_print("rehearsal");
    scenario.is_still(&before).await;
    let findings = scenario.run("plan --require-rehearsal --output json").await.succeeds().json()["findings"].take();
    assert!(findings.as_array().unwrap().iter().any(|f| f["code"] == "rehearsal-accepted"), "{findings}");
}

#[tokio::test]
async fn what_a_run_has_begun_goes_on_under_the_same_certificate() {
    let apart = "-- lockgate: no-transaction\nCREATE TABLE n (id int);\nCREATE UNIQUE INDEX CONCURRENTLY i ON a (v);";
    let scenario = Scenario::new("rehearsed_begun")
        .await
        .migration("001_n", apart, "DROP TABLE n; DROP INDEX IF EXISTS i")
        .migration("002_m", "CREATE TABLE m ()", "DROP TABLE m")
        .config("[rehearsal]\nrequire = true\ntrusted_keys = [\"rehearsal.pub\"]\n");
    make_keys(&scenario, "rehearsal");
    scenario.lines("CREATE TABLE a AS SELECT 1 AS v FROM generate_series(1, 2)").await;
    let rehearsal = rehearsed(&scenario, 0).await;
    issue(&scenario, &rehearsal);
    scenario.up().await.fails_with(1).says("could not create unique index");
    scenario.lines("DELETE FROM a WHERE ctid = '(0,1)'").await;
    // What follows it must be as it was rehearsed all the same.
    scenario.write("migrations/002_m.up.sql", "CREATE TABLE other ()");
    scenario.up().await.refuses_with(6).says("migration `002_m` has changed since the rehearsal");
    scenario.write("migrations/002_m.up.sql", "CREATE TABLE m ()");
    scenario.up().await.succeeds();
    assert_eq!(scenario.applied().await, ["001", "002"]);
}

#[tokio::test]
async fn a_certificate_is_as_its_schema_describes_it_and_tells_no_secret() {
    let scenario = project("rehearsed_schema").await;
    let mut rehearsal = rehearsed(&scenario, 0).await;
    rehearsal.migrations[0].reversibility = Reversibility::Irreversible("its author says so".into());
    let text = issue(&scenario, &rehearsal);
    assert!(text.ends_with("}\n") && text.contains("\n  \"certificate\": {\n"), "people can read it: {text}");
    assert_eq!(scenario.files(".lockgate"), [".gitignore", "rehearsal.json"]);
    let secret = fs::read_to_string(scenario.path("rehearsal.key")).unwrap();
    assert!(!text.contains(secret.lines().nth(1).unwrap()) && !text.contains(scenario.password()));
    let schema: Value = serde_json::from_str(include_str!("../../docs/certificate.schema.json")).unwrap();
    let mut value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(crate::backup::undescribed(&value, &schema, "file"), Vec::<String>::new());
    value["certificate"]["migrations"][0]["more"] = 1.into();
    value["certificate"]["fail_on"] = "later".into();
    assert_eq!(crate::backup::undescribed(&value, &schema, "file").len(), 2, "it refuses what it does not describe");
}

#[tokio::test]
async fn a_rehearsal_without_a_key_leaves_no_certificate_and_one_with_a_shared_key_none_either() {
    let scenario = project("rehearsed_keyless").await;
    let rehearsal = rehearsed(&scenario, 0).await;
    let mut settings = Settings { certificate: scenario.path(CERTIFICATE), ..Settings::default() };
    assert_eq!(certificate::issue(&rehearsal, &settings).unwrap(), None);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    fs::set_permissions(scenario.path("rehearsal.key"), mode).unwrap();
    settings.signing_key = Some(scenario.path("rehearsal.key"));
    let error = certificate::issue(&rehearsal, &settings).unwrap_err().to_string();
    assert!(error.contains("others have access to it (mode 0644)") && error.contains("chmod 600"), "{error}");
    assert!(!scenario.path(CERTIFICATE).exists());
    let advice = certificate::without_a_key();
    let hint = advice.hint.unwrap();
    assert!(hint.contains("openssl genpkey -algorithm ed25519") && hint.contains("signing_key"), "{hint}");
}

/// A table with rows, a migration that is pending, and a project that signs with one key and trusts it.
async fn signing(name: &str) -> Scenario {
    let scenario = Scenario::new(name).await.tables(&["a"]).config(SIGNING);
    make_keys(&scenario, "rehearsal");
    scenario.up().await.succeeds();
    scenario.lines("INSERT INTO a SELECT generate_series(1, 100)").await;
    scenario.migration("002_note", "ALTER TABLE a ADD COLUMN note text;", "ALTER TABLE a DROP COLUMN note;")
}

const SIGNING: &str = "[rehearsal]\nsigning_key = \"rehearsal.key\"\ntrusted_keys = [\"rehearsal.pub\"]\n";

#[tokio::test]
async fn what_the_command_has_rehearsed_the_command_lets_through() {
    let scenario = signing("certified").await;
    let before = scenario.state().await;
    scenario.run("rehearse --fresh").await.succeeds().prints("the certificate is `.lockgate/rehearsal.json`");
    scenario.run("plan --require-rehearsal").await.succeeds().prints("[rehearsal-accepted]");
    // Somebody edits the file: that one nobody has rehearsed.
    scenario.write("migrations/002_note.up.sql", "ALTER TABLE a ADD COLUMN note varchar(80);");
    is_refused(&scenario, &before, "rehearsal-migrations").await.says("migration `002_note` has changed");
    // It is rehearsed, and fails: what passed before counts no longer.
    scenario.write("migrations/002_note.down.sql", "SELECT 1;");
    scenario.run("rehearse --fresh").await.exits_with(6).prints("left-behind");
    is_refused(&scenario, &before, "rehearsal-failed").await.says("the rehearsal did not pass: 002_note");
    scenario.write("migrations/002_note.down.sql", "ALTER TABLE a DROP COLUMN note;");
    let rehearsal = scenario.run("rehearse --fresh --output json").await.succeeds().json();
    scenario.run("up --require-rehearsal").await.succeeds().prints("applied 002_note");
    let noted = "SELECT detail FROM schema_migrations_journal WHERE event = 'run_started' ORDER BY id DESC LIMIT 1";
    let noted = scenario.value(noted).await;
    let run_id = rehearsal["run_id"].as_str().unwrap();
    assert!(noted.ends_with(&format!("let through by rehearsal {run_id}")), "{noted}");
}

#[tokio::test]
async fn a_rehearsal_without_rows_lets_a_run_through_only_where_the_run_says_that_it_may() {
    let scenario = signing("certified_schema").await;
    let before = scenario.state().await;
    let rehearsed = scenario.run("rehearse --schema-only").await.succeeds();
    rehearsed.prints("the certificate is").prints("warn: ").prints("[rehearsal-without-rows]");
    let refused = is_refused(&scenario, &before, "rehearsal-without-rows").await;
    refused.says("cannot tell whether the rows fit").says("without `--schema-only`");
    scenario.run("plan --require-rehearsal").await.succeeds().prints("[rehearsal-without-rows]");
    scenario.write("lockgate.toml", format!("{SIGNING}extent = \"schema-only\"\n"));
    scenario.run("rehearse").await.succeeds().does_not_print("[rehearsal-without-rows]");
    scenario.run("up --require-rehearsal").await.succeeds().prints("applied 002_note");
}

#[tokio::test]
async fn what_else_decides_what_a_migration_does_is_certified_as_well() {
    let scenario = signing("certified_companions").await;
    let before = scenario.state().await;
    scenario.run("rehearse --fresh").await.succeeds();
    let down = fs::read_to_string(scenario.path("migrations/002_note.down.sql")).unwrap();
    scenario.write("migrations/002_note.down.sql", format!("{down}SELECT 2;\n"));
    is_refused(&scenario, &before, "rehearsal-companions").await.says("its way down");
    scenario.write("migrations/002_note.down.sql", &down);
    scenario.write("migrations/002_note.verify.sql", "SELECT true;");
    is_refused(&scenario, &before, "rehearsal-companions").await.says("its checks");
    scenario.remove("migrations/002_note.verify.sql");
    scenario.run("up --require-rehearsal").await.succeeds().prints("applied 002_note");
}

#[tokio::test]
async fn what_a_component_is_told_is_certified_as_well() {
    let keys = "[rehearsal]\nsigning_key = \"rehearsal.key\"\ntrusted_keys = [\"rehearsal.pub\"]\nignore_content = [\"audit_logs\"]\n";
    let keeping = |keep: bool| components::token_settings(&format!("keep_originals = {keep}")) + keys;
    let scenario = Scenario::new("certified_settings").await.auth_migrations();
    make_keys(&scenario, "rehearsal");
    scenario.write("lockgate.toml", keeping(true));
    scenario.run("rehearse --fresh").await.succeeds();
    let before = scenario.state().await;
    scenario.write("lockgate.toml", keeping(false));
    is_refused(&scenario, &before, "rehearsal-companions").await.says("`004_hash_session_tokens`").says("set for it");
    scenario.write("lockgate.toml", keeping(true));
    scenario.run("up --require-rehearsal").await.succeeds().prints("applied 004_hash_session_tokens");
}

#[tokio::test]
async fn what_a_rehearsal_has_not_looked_at_the_run_must_know_of() {
    let scenario = signing("certified_ignored").await;
    let before = scenario.state().await;
    scenario.run("rehearse --fresh --ignore-content a").await.succeeds();
    is_refused(&scenario, &before, "rehearsal-ignored").await.says("the rows of a");
    scenario.write("lockgate.toml", format!("{SIGNING}ignore_content = [\"a\"]\n"));
    scenario.run("up --require-rehearsal").await.succeeds().prints("applied 002_note");
}
