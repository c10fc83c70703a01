//! The auth service's own migrations, from an empty database and back.

use lockgate_tests::{
    Scenario,
    components::{text, token_settings},
};

const PHONES: &str = "SELECT id, phone FROM users ORDER BY id";

/// The auth service at version 002, with its made-up users.
async fn seeded(name: &str) -> Scenario {
    let scenario = Scenario::new(name).await.auth_migrations();
    scenario
        .run("up --no-backup --to 2")
        .await
        .succeeds()
        .prints("applied 001_initial_schema")
        .prints("applied 002_add_user_preferences");
    scenario.lines(&text("auth/seed.sql")).await;
    scenario
}

/// The statements of the runbook.
fn runbook() -> Vec<String> {
    let text = text("auth/runbook.sql");
    let text: String = text.lines().filter(|line| !line.starts_with("--")).flat_map(|line| [line, "\n"]).collect();
    text.split(';').map(|sql| sql.trim().to_owned()).filter(|sql| !sql.is_empty()).collect()
}

#[tokio::test]
async fn the_runbook_works_as_it_stands_after_up() {
    let scenario = Scenario::new("runbook").await.auth_migrations();
    scenario.up().await.succeeds().prints("applied 003_normalize_phone_numbers (component, ");
    let statements = runbook();
    assert_eq!(statements.len(), 7);
    let session = scenario.session().await;
    for sql in &statements {
        session.lines(sql).await;
    }
    let history = session.lines(&statements[0]).await;
    assert_eq!(history.len(), 4);
    assert!(history[0].starts_with("001|001_initial_schema.up.sql|20"), "{history:?}");
    assert!(history[2].starts_with("003|003_normalize_phone_numbers.wasm|20"), "{history:?}");
}

#[tokio::test]
async fn the_runbook_finds_what_is_there() {
    let scenario = seeded("runbook_seeded").await;
    scenario.up().await.succeeds();
    let session = scenario.session().await;
    let [_, active, actions, failed, expire, lock, clean_up] = runbook().try_into().unwrap();
    assert_ne!(session.value(&active).await, "0");
    assert!(session.lines(&actions).await.iter().any(|line| line.starts_with("login_failed|")));
    assert!(session.lines(&failed).await.len() > 100);
    assert_ne!(session.value(&expire).await, "0");
    assert_eq!(session.value(&expire).await, "0", "they are expired");
    assert_eq!(session.value(&lock).await, "t");
    let locked =
        "SELECT account_locked_until > now() + interval '29 minutes' FROM users WHERE email = 'user@example.com'";
    assert_eq!(session.value(locked).await, "t");
    assert_eq!(session.value(&clean_up).await, "500");
}

#[tokio::test]
async fn phones_become_e164_and_down_brings_the_originals_back_byte_for_byte() {
    let scenario = seeded("phones").await;
    let (before, originals) = (scenario.state().await, scenario.lines(PHONES).await);
    assert_eq!(originals.len(), 12_001);

    scenario.run("up --to 3").await.succeeds().prints("applied 003_normalize_phone_numbers (component, ");
    let wrong = "SELECT count(*) FROM users WHERE phone IS NOT NULL AND phone !~ '^\\+[1-9][0-9]{6,14}$'";
    assert_eq!(scenario.value(wrong).await, "0");
    assert_eq!(scenario.value("SELECT phone FROM users WHERE email = 'user@example.com'").await, "+14155552671");
    assert_ne!(scenario.value("SELECT count(*) FROM users WHERE phone IS NULL").await, "0");
    let numbers = scenario.value("SELECT count(*) FROM users WHERE phone IS NOT NULL").await;
    assert!(numbers.parse::<u32>().unwrap() > 10_000, "{numbers}");

    scenario.run("down 003").await.succeeds().prints("reverted 003_normalize_phone_numbers");
    assert_eq!(scenario.lines(PHONES).await, originals);
    // Up and down each leave an audit row; all else is as it was.
    let own = "metadata ->> 'migration' = '003_normalize_phone_numbers'";
    assert_eq!(scenario.value(&format!("SELECT count(*) FROM audit_logs WHERE {own}")).await, "2");
    let delete = format!("SET session_replication_role = replica; DELETE FROM audit_logs WHERE {own}");
    scenario.superuser().await.lines(&delete).await;
    scenario.is_still(&before).await;

    scenario.run("up --no-backup --to 3").await.succeeds();
    assert_eq!(scenario.value(wrong).await, "0");
}

#[tokio::test]
async fn a_phone_that_is_none_stops_003_before_anything_runs() {
    let scenario = seeded("bad_phone").await;
    let id = "00000000-0000-4000-8000-ffffffffffff";
    scenario.lines(&format!("UPDATE users SET phone = 'call me maybe' WHERE id = '{id}'")).await;
    let before = scenario.state().await;
    scenario
        .run("up")
        .await
        .fails_with(6)
        .says("the preflight of migration `003` says no")
        .says(id)
        .never_mentions("call me maybe");
    assert!(scenario.files("backups").is_empty());
    scenario.is_still(&before).await;
}

#[tokio::test]
async fn up_then_down_of_everything_leaves_the_empty_database() {
    let scenario = Scenario::new("auth_down").await.auth_migrations().config(&token_settings("keep_originals = true"));
    let empty = scenario.schema_dump();
    scenario.up().await.succeeds();
    assert_ne!(scenario.schema_dump(), empty);
    scenario
        .down("--to 0")
        .await
        .succeeds()
        .prints("reverted 004_hash_session_tokens")
        .prints("reverted 003_normalize_phone_numbers")
        .prints("reverted 002_add_user_preferences")
        .prints("reverted 001_initial_schema")
        .prints("no migration is applied");
    scenario.drop_own_tables().await;
    assert_eq!(scenario.schema_dump(), empty);
}

#[tokio::test]
async fn a_restore_brings_the_service_back_to_before_003() {
    let scenario = seeded("auth_restore").await;
    let before = scenario.state().await;
    let id = scenario.run("up").await.succeeds().backup_id();
    scenario.run(&format!("restore {id}")).await.succeeds();
    scenario.is_still(&before).await;
}
