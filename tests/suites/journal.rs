//! The journal tells everything that was tried, and cannot be made to forget.

use lockgate::migration::Checksum;
use lockgate_tests::Scenario;

#[tokio::test]
async fn the_journal_is_append_only() {
    let scenario = Scenario::new("append_only").await.tables(&["a"]);
    scenario.up().await.succeeds();
    let before = scenario.journal().await;
    for session in [scenario.session().await, scenario.superuser().await] {
        for sql in [
            "UPDATE schema_migrations_journal SET detail = 'x'",
            "UPDATE schema_migrations_journal SET detail = 'x' WHERE false",
            "DELETE FROM schema_migrations_journal",
            "TRUNCATE schema_migrations_journal",
        ] {
            let refusal = session.try_lines(sql).await.unwrap_err();
            assert_eq!(refusal, "23001: the journal of migrations is append-only", "{sql}");
        }
    }
    assert_eq!(scenario.journal().await, before);
}

#[tokio::test]
async fn the_journal_says_who_where_and_when() {
    let scenario = Scenario::new("who").await.tables(&["a"]);
    let result = scenario.run("up --no-backup --output json").await.succeeds().json();
    let run = result["run_id"].as_str().unwrap();
    let sql = format!(
        "SELECT count(*), count(DISTINCT run_id) FROM schema_migrations_journal
         WHERE run_id = '{run}' AND db_user = 'lockgate_owner' AND os_user <> '' AND host <> '' AND application LIKE 'lockgate %'
           AND client_address IS NOT NULL AND at BETWEEN now() - interval '1 minute' AND now()"
    );
    assert_eq!(scenario.value(&sql).await, "4|1");
    assert_eq!(scenario.journal().await, ["run_started", "backup_skipped", "applied 001", "run_finished"]);
    let sql = format!(
        "SELECT run_id = '{run}' AND applied_by = 'lockgate_owner' AND execution_time_ms >= 0 FROM schema_migrations"
    );
    assert_eq!(scenario.value(&sql).await, "t");
}

#[tokio::test]
async fn a_backup_is_journalled_and_named_in_the_history() {
    let scenario = Scenario::new("journal_backup").await.tables(&["a"]);
    let id = scenario.run("up").await.succeeds().backup_id();
    assert_eq!(scenario.value("SELECT detail FROM schema_migrations_journal WHERE event = 'backed_up'").await, id);
    assert_eq!(scenario.value("SELECT backup_id FROM schema_migrations").await, id);
}

const OLD_TABLE: &str = "
ALTER TABLE schema_migrations_journal DROP COLUMN attempt, DROP COLUMN step, DROP COLUMN previous, DROP COLUMN hash;
DROP FUNCTION schema_migrations_journal_chain() CASCADE";

#[tokio::test]
async fn the_journal_is_read_and_its_chain_verified() {
    let scenario = Scenario::new("history").await.tables(&["a", "b"]).migration("003_c", "SELECT 1 / 0", "");
    scenario.run("history").await.succeeds().prints("nothing in the journal");
    scenario.run("history --verify").await.succeeds().prints("0 entries are as they were written");
    scenario.run("up --no-backup --to 2").await.succeeds();
    let noted = head(&scenario).await;
    scenario.up().await.fails_with(1);
    scenario
        .run("history")
        .await
        .succeeds()
        .prints("run_started")
        .prints("applied         001 up")
        .prints("division by zero (SQLSTATE 22012)");
    let entries = scenario.run("history --limit 2 --version 3 --output json").await.succeeds().json();
    let entries = entries.as_array().unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!((&entries[0]["event"], &entries[0]["version"]), (&"failed".into(), &"003".into()));
    assert_eq!(entries[0]["step"], "1 (SQL)");
    let last = scenario.run("history --limit 2 --output json").await.succeeds().json();
    assert_eq!(last[1]["event"], "failed", "the newest is the last");

    let now = head(&scenario).await;
    let said = format!("head: {now}");
    scenario.run("history --verify").await.succeeds().prints("8 entries are as they were written").prints(&said);
    for head in [&noted, &now] {
        scenario.run(&format!("history --verify --head {head}")).await.succeeds();
    }
    let unknown = "0".repeat(64);
    scenario.run(&format!("history --verify --head {unknown}")).await.refuses_with(5).says("the journal does not hold");
    scenario.run("history --verify --head xyz").await.exits_with(2).says("64 hexadecimal digits");
}

#[tokio::test]
async fn the_hashes_are_those_that_the_manual_tells() {
    let scenario =
        Scenario::new("by_hand").await.tables(&["a"]).migration("002_b", "CREATE TABLE \"ü, 1:x\" (b nothing)", "");
    scenario.up().await.fails_with(1);
    let columns =
        "id, to_char(extract(epoch FROM at), 'FM9999999999.000000'), run_id, event, version, direction, attempt, step,
                   duration_ms, detail, db_user, os_user, host, text(client_address), application";
    let sql = format!("SELECT jsonb_build_array({columns}), previous, hash FROM schema_migrations_journal ORDER BY id");
    let mut last = "0".repeat(64);
    for line in scenario.lines(&sql).await {
        let (columns, hashes) = line.rsplit_once("]|").unwrap();
        let columns: Vec<serde_json::Value> = serde_json::from_str(&format!("{columns}]")).unwrap();
        let texts = columns.iter().map(|value| match value {
            serde_json::Value::Null => "-".to_owned(),
            serde_json::Value::String(text) => format!("{}:{text}", text.chars().count()),
            number => format!("{}:{number}", number.to_string().len()),
        });
        let text = [vec![last.clone()], texts.collect()].concat().join(",");
        let hash = Checksum::of_bytes(text.as_bytes()).to_string();
        assert_eq!(hashes, format!("{last}|{hash}"), "{text}");
        last = hash;
    }
    assert!(last != "0".repeat(64));
}

#[tokio::test]
async fn a_run_tells_the_head_of_the_journal() {
    let scenario = Scenario::new("head").await.tables(&["a"]);
    assert!(scenario.run("up --to 1 --no-backup --output json").await.succeeds().json()["journal_head"].is_string());
    let outcome = scenario.run("-v down 001 --no-backup --output json").await.succeeds();
    let head = head(&scenario).await;
    assert_eq!(outcome.clone().json()["journal_head"], head.as_str());
    outcome.says(&head);
    scenario.run("up --no-backup").await.succeeds();
    scenario.run(&format!("history --verify --head {head}")).await.succeeds();
}

#[tokio::test]
async fn every_try_of_a_transaction_is_told() {
    let scenario = Scenario::new("attempts").await.tables(&["a"]).migration("002_b", "ALTER TABLE a ADD b int", "");
    let scenario = scenario.config("[statements]\nlock_timeout_ms = 100");
    scenario.run("up --no-backup --to 1").await.succeeds();
    let other = scenario.session().await;
    other.lines("BEGIN; LOCK TABLE a").await;
    scenario.run("up --no-backup --retries 1").await.fails_with(1).says("after 2 tries");
    other.lines("ROLLBACK").await;
    scenario.run("up --no-backup").await.succeeds();
    let tries =
        "SELECT concat_ws(' ', event, attempt, step) FROM schema_migrations_journal WHERE version = '002' ORDER BY id";
    assert_eq!(scenario.lines(tries).await, ["retried 1 1 (SQL)", "failed 2 1 (SQL)", "applied 1"]);
    scenario.run("history --version 2").await.succeeds().prints("failed, attempt 2");
    scenario.run("history --verify").await.succeeds();
}

#[tokio::test]
async fn whoever_tampers_with_the_journal_is_found_out() {
    let scenario = Scenario::new("tampered").await.tables(&["a", "b"]);
    scenario.up().await.succeeds();
    let noted = head(&scenario).await;
    let superuser = scenario.superuser().await;
    superuser.lines("CREATE TABLE kept AS SELECT * FROM schema_migrations_journal").await;
    let insert = "INSERT INTO schema_migrations_journal OVERRIDING SYSTEM VALUE SELECT";
    let forged = "at, run_id, event, version, direction, duration_ms, detail, attempt, step, db_user, os_user, host, client_address, \
                  application, previous, hash";
    for (sql, words) in [
        ("UPDATE schema_migrations_journal SET detail = 'x' WHERE id = 3".to_owned(), "entry 3 was changed"),
        ("UPDATE schema_migrations_journal SET at = at + interval '1 s' WHERE id = 1".into(), "entry 1 was changed"),
        ("UPDATE schema_migrations_journal SET step = '' WHERE id = 5".into(), "entry 5 was changed"),
        ("UPDATE schema_migrations_journal SET hash = NULL, previous = NULL WHERE id = 4".into(), "entry 4 was inserted"),
        ("DELETE FROM schema_migrations_journal WHERE id = 2".into(), "entry 2 is missing"),
        ("DELETE FROM schema_migrations_journal WHERE id < 3".into(), "entries 1 to 2 are missing"),
        (format!("{insert} 6, {forged} FROM kept WHERE id = 5"), "entry 6 was changed"),
        (
            format!("DELETE FROM schema_migrations_journal WHERE id IN (2, 3); {insert} 5 - id, {forged} FROM kept WHERE id IN (2, 3)"),
            "entry 2 was changed",
        ),
        (
            "UPDATE schema_migrations_journal j SET (detail, hash) = (SELECT k.detail, k.hash FROM kept k WHERE k.id = 3)
             WHERE j.id = 2".into(),
            "entry 2 was changed",
        ),
        (
            // With a hash of its own that fits: the next entry does not follow it.
            "UPDATE schema_migrations_journal SET detail = 'forged' WHERE id = 3;
             SET session_replication_role = origin; ALTER TABLE schema_migrations_journal DISABLE TRIGGER schema_migrations_journal_is_append_only;
             CREATE TABLE later AS SELECT * FROM schema_migrations_journal WHERE id > 3; DELETE FROM schema_migrations_journal WHERE id >= 3;
             INSERT INTO schema_migrations_journal (run_id, event, os_user, host, application) VALUES (gen_random_uuid(), 'x', 'x', 'x', 'x');
             SET session_replication_role = replica; INSERT INTO schema_migrations_journal OVERRIDING SYSTEM VALUE SELECT * FROM later;
             DROP TABLE later; ALTER TABLE schema_migrations_journal ENABLE TRIGGER schema_migrations_journal_is_append_only".into(),
            "entry 3 is not the one that entry 4 follows: it was replaced",
        ),
        ("DELETE FROM schema_migrations_journal WHERE id = 5".into(), "the journal does not hold"),
        ("TRUNCATE schema_migrations_journal".into(), "the journal does not hold"),
    ] {
        superuser.lines(&format!("SET session_replication_role = replica; {sql}")).await;
        let outcome = scenario.run(&format!("history --verify --head {noted}")).await;
        outcome.refuses_with(5).says(words);
        let json = scenario.run(&format!("history --verify --head {noted} --output json")).await.exits_with(5).json();
        assert!(json["broken"].is_object() || json["head_found"] == false, "{json}");
        let mend = "SET session_replication_role = replica; TRUNCATE schema_migrations_journal;
                    INSERT INTO schema_migrations_journal OVERRIDING SYSTEM VALUE SELECT * FROM kept";
        superuser.lines(mend).await;
    }
    scenario.run(&format!("history --verify --head {noted}")).await.succeeds();
}

#[tokio::test]
async fn nobody_inserts_past_the_chain() {
    let scenario = Scenario::new("chained").await.tables(&["a"]);
    scenario.up().await.succeeds();
    let (one, two) = (scenario.session().await, scenario.session().await);
    let insert = |event: &str, id: i32| {
        format!(
            "INSERT INTO schema_migrations_journal (id, run_id, event, os_user, host, application, previous, hash)
             OVERRIDING SYSTEM VALUE
             SELECT {id} + n, gen_random_uuid(), '{event}', 'me', 'h', 'a', 'p', 'q' FROM generate_series(1, 3) n"
        )
    };
    one.lines(&insert("ours", 9_000)).await;
    let settings = "SET TimeZone = 'Asia/Kolkata'; SET DateStyle = 'German'; SET IntervalStyle = 'sql_standard';
                    SET search_path = pg_temp; SET extra_float_digits = 0";
    two.lines(settings).await;
    let insert_elsewhere =
        insert("foreign", 0).replace("schema_migrations_journal", "public.schema_migrations_journal");
    two.lines(&insert_elsewhere).await;
    scenario.run("history --verify").await.succeeds().prints("10 entries are as they were written");

    // What a transaction has written and takes back was never there; who came second waited to know that.
    one.lines(&format!("BEGIN; {}", insert("taken back", 0))).await;
    let second = tokio::spawn(async move {
        two.lines(&insert_elsewhere).await;
    });
    let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let watcher = scenario.session().await;
    lockgate_tests::eventually("the second waits", async || watcher.value(waiting).await == "1").await;
    one.lines("ROLLBACK").await;
    second.await.unwrap();
    scenario.run("history --verify").await.succeeds().prints("13 entries are as they were written");

    // A snapshot that does not show the last entry cannot fork the chain.
    one.lines("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM schema_migrations_journal").await;
    watcher.lines(&insert("between", 0)).await;
    let refusal = one.try_lines(&insert("late", 0)).await.unwrap_err();
    assert!(refusal.starts_with("23505: "), "{refusal}");
    one.lines("ROLLBACK").await;
    scenario.run("history --verify").await.succeeds().prints("16 entries are as they were written");
}

#[tokio::test]
async fn a_journal_of_an_older_version_is_chained_from_then_on() {
    let scenario = Scenario::new("older_journal").await.tables(&["a"]);
    scenario.up().await.succeeds();
    scenario.superuser().await.lines(OLD_TABLE).await;
    scenario.run("history").await.succeeds().prints("run_finished");
    scenario
        .run("history --verify")
        .await
        .succeeds()
        .prints("4 entries are from before the chain")
        .prints("\n0 entries");
    let scenario = scenario.migration("002_b", "CREATE TABLE b ();", "DROP TABLE b;");
    scenario.run("up --no-backup").await.succeeds().prints("applied 002_b");
    scenario
        .run("history --verify")
        .await
        .succeeds()
        .prints("4 entries are from before the chain")
        .prints("\n4 entries");
    scenario.down("--to 0").await.succeeds();
    scenario.run("history --verify").await.succeeds().prints("\n9 entries");
}

/// The hash of the last entry.
async fn head(scenario: &Scenario) -> String {
    scenario.value("SELECT hash FROM schema_migrations_journal ORDER BY id DESC LIMIT 1").await
}

#[tokio::test]
async fn a_history_that_does_not_agree_with_the_journal_is_found() {
    let scenario = Scenario::new("disagree").await.tables(&["a", "b"]);
    scenario.up().await.succeeds();
    scenario.run("history --verify").await.succeeds();
    let verify = async |words: &str| {
        scenario.run("history --verify").await.refuses_with(5).says("the journal and the history disagree").says(words);
        let json = scenario.run("history --verify --output json").await.exits_with(5).json();
        assert_eq!(json["disagreements"].as_array().map(Vec::len), Some(1), "{json}");
    };
    scenario.lines("BEGIN; CREATE TABLE kept AS SELECT * FROM schema_migrations WHERE version = '002'; DELETE FROM schema_migrations WHERE version = '002'; COMMIT").await;
    verify("that 002 was applied, and the history has no row of it").await;
    scenario.lines("INSERT INTO schema_migrations SELECT * FROM kept; UPDATE schema_migrations SET run_id = gen_random_uuid() WHERE version = '002'").await;
    verify("applied 002, which is in the history").await;
    scenario.lines("DROP TABLE schema_migrations_journal CASCADE").await;
    verify("the journal is gone, and the history has 2 rows").await;
}

#[tokio::test]
async fn a_migration_that_was_reverted_and_applied_again_agrees() {
    let scenario = Scenario::new("agree").await.tables(&["a", "b"]);
    scenario.up().await.succeeds();
    scenario.down("002").await.succeeds();
    scenario.run("history --verify").await.succeeds();
    scenario.up().await.succeeds();
    scenario.run("history --verify").await.succeeds();
}
