//! The tokens of the auth service's sessions become digests, in batches, and come back where the operator kept them.

use lockgate_tests::{
    Scenario,
    components::{text, token_settings},
    eventually,
};

const TOKENS: &str = "SELECT id, session_token, refresh_token FROM user_sessions ORDER BY id";

/// What must become of that.
const DIGESTS: &str =
    "SELECT id, 'sha256:' || encode(sha256(session_token::bytea), 'hex'), 'sha256:' || encode(sha256(refresh_token::bytea), 'hex')
     FROM user_sessions ORDER BY id";

const KEEP: &str = "keep_originals = true\nbatch_rows = 1000";

/// The auth service at version 003, with its made-up users and their 6,000 and some sessions.
async fn seeded(name: &str, settings: &str) -> Scenario {
    let scenario = Scenario::new(name).await.auth_migrations().config(&token_settings(settings));
    scenario.run("up --no-backup --to 2").await.succeeds();
    scenario.lines(&text("auth/seed.sql")).await;
    scenario.run("up --no-backup --to 3").await.succeeds();
    scenario
}

/// Forgets the audit rows of both directions, which stay on purpose.
async fn without_audit(scenario: &Scenario) {
    let own = "metadata ->> 'migration' = '004_hash_session_tokens'";
    assert_eq!(scenario.value(&format!("SELECT count(*) FROM audit_logs WHERE {own}")).await, "2");
    let delete = format!("SET session_replication_role = replica; DELETE FROM audit_logs WHERE {own}");
    scenario.superuser().await.lines(&delete).await;
}

#[tokio::test]
async fn tokens_become_digests_in_batches_and_down_brings_the_originals_back() {
    let scenario = seeded("tokens", KEEP).await;
    let (before, expected) = (scenario.state().await, scenario.lines(DIGESTS).await);
    assert!(expected.len() > 5_000, "{}", expected.len());

    scenario.up().await.succeeds().prints("applied 004_hash_session_tokens (component, ");
    assert_eq!(scenario.lines(TOKENS).await, expected);
    let batches = "SELECT step || ': ' || detail FROM schema_migrations_journal WHERE event = 'step_finished' AND version = '004' ORDER BY id LIMIT 1";
    let batches = scenario.value(batches).await;
    assert!(batches.starts_with("2 (`hash`): ") && !batches.contains(": 1 batches"), "{batches}");

    scenario.down("004").await.succeeds().prints("reverted 004_hash_session_tokens");
    without_audit(&scenario).await;
    scenario.is_still(&before).await;
}

#[tokio::test]
async fn after_sigkill_between_batches_no_token_is_hashed_twice() {
    let scenario = seeded("tokens_sigkill", KEEP).await;
    let expected = scenario.lines(DIGESTS).await;
    // The third batch waits at one of its rows.
    let gate = scenario.session().await;
    gate.lines(
        "CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             PERFORM set_config('lock_timeout', '0', true);
             PERFORM pg_advisory_xact_lock(7);
             RETURN NEW;
         END $$",
    )
    .await;
    let row = gate.value("SELECT id FROM user_sessions ORDER BY id OFFSET 2500 LIMIT 1").await;
    gate.lines(&format!(
        "CREATE TRIGGER gate BEFORE UPDATE ON user_sessions FOR EACH ROW WHEN (OLD.id = '{row}') EXECUTE FUNCTION gate();
         SELECT pg_advisory_lock(7)"
    ))
    .await;
    let run = scenario.run("up --no-backup").start();
    let waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = 7
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    eventually("the run comes to the gate", async || gate.value(waits).await == "1").await;
    run.kill();
    run.end().await;
    scenario.is_gone().await;
    let hashed = "SELECT count(*) FROM user_sessions WHERE session_token LIKE 'sha256:%'";
    assert_eq!(scenario.value(hashed).await, "2000");
    gate.lines("SELECT pg_advisory_unlock(7)").await;
    scenario.up().await.succeeds();
    assert_eq!(scenario.lines(TOKENS).await, expected);
}

#[tokio::test]
async fn without_the_originals_there_is_no_down() {
    let scenario = seeded("tokens_gone", "batch_rows = 5000").await;
    scenario.up().await.succeeds();
    assert_eq!(scenario.value("SELECT to_regclass('user_sessions_token_originals') IS NULL").await, "t");
    let before = scenario.state().await;
    scenario.down("004").await.refuses_with(2);
    scenario.is_still(&before).await;
    // Even if the operator says so only now.
    scenario.write("lockgate.toml", token_settings(KEEP));
    scenario.down("004").await.fails_with(1).says("originals-not-kept");
    scenario.is_still(&before).await;
}

#[tokio::test]
async fn plain_tokens_cannot_come_back_after_up() {
    let scenario = seeded("tokens_written", KEEP).await;
    scenario.up().await.succeeds();
    let token = "a-token-of-more-than-thirty-two-characters";
    let insert = format!(
        "INSERT INTO user_sessions (user_id, session_token, expires_at)
         SELECT user_id, '{token}', now() + interval '1 day' FROM user_sessions LIMIT 1 RETURNING id"
    );
    let id = scenario.value(&insert).await;
    let found = format!("SELECT id FROM user_sessions WHERE session_token = session_token_digest('{token}')");
    assert_eq!(scenario.value(&found).await, id);
    // Nobody knows its token when the digest is to go: the session ends.
    scenario.down("004").await.succeeds();
    let status = format!("SELECT status, session_token LIKE 'sha256:%' FROM user_sessions WHERE id = '{id}'");
    assert_eq!(scenario.lines(&status).await, ["revoked|f"]);
}

#[tokio::test]
async fn verify_catches_a_plain_token_that_was_planted() {
    let scenario = seeded("tokens_planted", "batch_rows = 5000").await;
    // In the last transaction, behind the batches and the constraint.
    scenario
        .lines(
            "CREATE FUNCTION plant() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 ALTER TABLE user_sessions DROP CONSTRAINT user_sessions_tokens_are_digests;
                 ALTER TABLE user_sessions DISABLE TRIGGER user_sessions_digest_tokens;
                 UPDATE user_sessions SET session_token = repeat('x', 64)
                 WHERE id = (SELECT id FROM user_sessions ORDER BY id LIMIT 1);
                 RETURN NULL;
             END $$;
             CREATE CONSTRAINT TRIGGER plant AFTER INSERT ON audit_logs DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
             WHEN (NEW.metadata ->> 'migration' = '004_hash_session_tokens') EXECUTE FUNCTION plant()",
        )
        .await;
    scenario.up().await.fails_with(6).says("1 sessions have a token that is no digest").never_mentions("xxxx");
    scenario.lines("DROP TRIGGER plant ON audit_logs; DROP FUNCTION plant()").await;
    scenario.up().await.succeeds().prints("applied 004_hash_session_tokens");
}
