//! The same migration in three languages does the same. `just languages` builds the components and runs this; without them, in
//! `just test`, the test is ignored: the tools of two languages are no part of what it takes to work on Lockgate.

use std::{env, fs, path::PathBuf};

use lockgate_tests::Scenario;
use serde_json::Value;

/// What a migration did to a database, without what differs in every run.
struct Trace {
    plan: Value,
    up: Value,
    log: Vec<String>,
    users: Vec<String>,
    down: Value,
    refused: Value,
    journal: Vec<String>,
}

const USERS: &str = "
INSERT INTO users (id, email, username, password_hash, deleted_at)
SELECT ('00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, replace(email, '#', n::text), 'user' || n,
       '$2b$10$LockgateSeedUsersSalt.NeocchVlCxqBrF5QC2QTXzmkhQ/TnLm', CASE WHEN n % 50 = 0 THEN now() END
FROM generate_series(1, 12000) AS n
CROSS JOIN LATERAL (
    SELECT (ARRAY['Ada#@Example.ORG', 'grace.#+news@googlemail.com', 'Linus.#@gmail.com', 'l.i.n.u.s.#@GMail.com.', 'radia#@gmial.com',
                  'o''hara#@example.net', 'radia#+x@hotmal.com'])[1 + n % 7] AS email
) AS made_up;
-- Shares a mailbox with user 3.
UPDATE users SET email = 'l.i.n.u.s3+again@gmail.com' WHERE username = 'user10'";

const UNREADABLE: &str = "
UPDATE users SET email = username || '@localhost' WHERE username IN ('user1', 'user2', 'user3', 'user4', 'user5', 'user6');
UPDATE users SET email = 'größe@example.org' WHERE username = 'user7'";

const EVERY_USER: &str = "SELECT concat_ws('|', id, email, email_canonical) FROM users ORDER BY id";

/// Neither a time of change nor an audit row for what nobody did; and the triggers are back.
const NOT_RECORDED: &str = "
SELECT (SELECT bool_and(updated_at = created_at) FROM users WHERE username <> 'user10')
   AND NOT EXISTS (SELECT FROM audit_logs WHERE new_values ? 'email_canonical')
   AND NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = 'users'::regclass AND tgenabled <> 'O')";

const JOURNAL: &str = "SELECT concat_ws(' ', event, version, direction, CASE event WHEN 'run_started' THEN '' ELSE detail END) FROM schema_migrations_journal ORDER BY id";

/// Times, ids and digests are of the run, not of the migration.
fn redact(value: &mut Value) {
    const OF_THE_RUN: [&str; 12] = [
        "run_id",
        "duration_ms",
        "execution_time_ms",
        "checksum",
        "digest",
        "started_at",
        "finished_at",
        "journal_head",
        "applied_at",
        "at",
        "database",
        "waited_ms",
    ];
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !OF_THE_RUN.contains(&name.as_str()));
            fields.values_mut().for_each(redact);
        }
        Value::Array(values) => values.iter_mut().for_each(redact),
        _ => {}
    }
}

fn redacted(mut value: Value) -> Value {
    redact(&mut value);
    value
}

async fn trace(language: &str) -> Trace {
    let folder =
        PathBuf::from(env::var_os("LOCKGATE_TEST_LANGUAGES").expect("`just languages` sets LOCKGATE_TEST_LANGUAGES"));
    let path = folder.join(format!("{language}.wasm"));
    let component = fs::read(&path).unwrap_or_else(|e| panic!("`{}`: {e}", path.display()));
    let scenario = Scenario::new(&format!("in_{language}")).await.auth_migrations();
    scenario.remove("migrations/003_normalize_phone_numbers.wasm");
    scenario.remove("migrations/004_hash_session_tokens.wasm");
    scenario.remove("migrations/lockgate.lock");
    scenario.up().await.succeeds();
    // What the server would find out about the table meanwhile is in the plan: of a language that takes longer, more.
    scenario.lines("ALTER TABLE users SET (autovacuum_enabled = false)").await;
    scenario.lines(USERS).await;
    let scenario = scenario.component("010_canonical_emails", &component).await;
    let before = scenario.state().await;

    let plan = redacted(scenario.run("up --dry-run --output json").await.succeeds().json());
    let outcome = scenario.run("-v up --no-backup --output json --log-format json").await.succeeds();
    let log = lines_of_the_plugin(&outcome.stderr);
    assert_eq!(log.len(), 1, "{}", outcome.stderr);
    let up = redacted(outcome.json());
    let users = scenario.lines(EVERY_USER).await;
    assert_eq!(scenario.value(NOT_RECORDED).await, "t");
    let down = redacted(scenario.run("down 010 --no-backup --output json").await.succeeds().json());
    scenario.is_still(&before).await;

    scenario.lines(UNREADABLE).await;
    let before = scenario.state().await;
    let refused =
        scenario.run("up --no-backup --output json").await.exits_with(6).says("7 of users (").says("and 2 more)");
    let refused = redacted(refused.json());
    scenario.is_still(&before).await;
    let journal = scenario.lines(JOURNAL).await;
    Trace { plan, up, log, users, down, refused, journal }
}

/// Level and message of what the plugin wrote into the log.
fn lines_of_the_plugin(stderr: &str) -> Vec<String> {
    let lines = stderr.lines().map(|line| serde_json::from_str::<Value>(line).expect("the log is JSON"));
    let lines = lines.filter(|line| line["target"].as_str().is_some_and(|target| target.starts_with("plugin")));
    lines.map(|line| format!("{} {}", line["level"], line["message"])).collect()
}

#[tokio::test]
#[ignore = "`just languages` builds the components and runs it"]
async fn one_migration_in_three_languages_gives_the_same_rows_journal_and_report() {
    let rust = trace("rust").await;
    assert_eq!(rust.users.len(), 12_000);
    assert_eq!(rust.users[1], "00000000-0000-4000-8000-000000000002|Linus.2@gmail.com|linus2@gmail.com");
    assert!(
        rust.up.to_string().contains("one slip away from a well-known one (gmial.com, hotmal.com): "),
        "{}",
        rust.up
    );
    for language in ["python", "javascript"] {
        let other = trace(language).await;
        assert!(other.users == rust.users, "the rows of {language} differ");
        assert_eq!(other.journal, rust.journal, "{language}");
        assert_eq!((&other.plan, &other.log), (&rust.plan, &rust.log), "{language}");
        assert_eq!((&other.up, &other.down, &other.refused), (&rust.up, &rust.down, &rust.refused), "{language}");
    }
}
