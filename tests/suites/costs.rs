//! What a migration costs: each kind of step is run with a gauge, and what the server did is what was measured.

use std::sync::Arc;

use std::time::Duration;

use lockgate::{
    config::{Config, Options},
    error::Error,
    locks::{Blocks, Mode},
    migration::Direction,
    postgres::{How, Session, Target},
    rehearsal::{
        Hazard, HazardCode, Settings, Verdict,
        measure::{Basis, Gauge, LockHeld, Measured, Sizes, Step, TableWork, verdict},
    },
    runner,
};
use lockgate_tests::{Scenario, components};
use uuid::Uuid;

/// Twenty thousand orders, each of one of a hundred users.
const TABLES: &str = "
    CREATE TABLE users (id int PRIMARY KEY, name varchar(50));
    CREATE TABLE orders (id int PRIMARY KEY, user_id int, amount int, note varchar(50));
    INSERT INTO users SELECT n, 'user ' || n FROM generate_series(1, 100) n;
    INSERT INTO orders SELECT n, n % 100 + 1, n, 'order ' || n FROM generate_series(1, 20000) n;
    ANALYZE users, orders";

/// A scenario with those tables.
async fn orders(name: &str) -> Scenario {
    let scenario = Scenario::new(name).await;
    scenario.lines(TABLES).await;
    scenario
}

fn config(scenario: &Scenario, gauge: &Gauge) -> Config {
    let options = Options {
        database_url: Some(scenario.url()),
        dir: Some(scenario.path("migrations")),
        retries: Some(0),
        ..Options::default()
    };
    let config = Config::load(options).unwrap();
    Config { backup: lockgate::backup::Settings::none(), recorder: Some(Arc::new(gauge.clone())), ..config }
}

fn target(scenario: &Scenario) -> Target {
    Config::load(Options { database_url: Some(scenario.url()), ..Options::default() }).unwrap().target
}

/// One for whose target the scenario itself stands.
async fn gauge(scenario: &Scenario) -> Gauge {
    gauge_for(scenario, scenario).await
}

/// One for a copy and its target.
async fn gauge_for(copy: &Scenario, production: &Scenario) -> Gauge {
    let session = Session::connect(&target(production), "the test").await.unwrap();
    let sizes = Sizes::read(&session).await.unwrap();
    Gauge::start(&target(copy), "public", sizes).await.unwrap()
}

/// Applies what is pending, and tells what the last of it cost.
async fn applied(scenario: &Scenario) -> Measured {
    let gauge = gauge(scenario).await;
    runner::up(&config(scenario, &gauge), Uuid::now_v7(), None).await.unwrap();
    let (_, direction, measured) = gauge.take().pop().unwrap();
    assert_eq!(direction, Direction::Up);
    gauge.stop();
    measured
}

/// What a migration of this text costs on the tables.
async fn costs_of(name: &str, sql: &str) -> Measured {
    let scenario = orders(name).await.migration("001_it", sql, "SELECT 1;");
    applied(&scenario).await
}

/// How long others may wait is no question of how busy the machine is that the tests run on.
fn judged(measured: &Measured) -> (Verdict, Vec<Hazard>) {
    let patient =
        Settings { brief: Duration::from_secs(600), window: Duration::from_secs(6_000), ..Settings::default() };
    verdict(measured, &patient)
}

fn hazards(measured: &Measured) -> Vec<Hazard> {
    judged(measured).1
}

/// `code relation` of each.
fn codes(measured: &Measured) -> Vec<String> {
    hazards(measured).iter().map(|hazard| format!("{} {}", hazard.code.as_str(), hazard.relation)).collect()
}

fn work<'a>(step: &'a Step, relation: &str) -> &'a TableWork {
    let found = step.tables.iter().find(|work| work.relation == relation);
    found.unwrap_or_else(|| panic!("nothing was done to {relation}: {step:#?}"))
}

fn strongest<'a>(measured: &'a Measured, relation: &str) -> &'a LockHeld {
    let found = measured.locks.iter().filter(|lock| lock.relation == relation).max_by_key(|lock| lock.mode);
    found.unwrap_or_else(|| panic!("{relation} was not locked: {measured:#?}"))
}

#[tokio::test]
async fn a_rewrite_is_seen_with_its_lock_and_its_log() {
    let measured = costs_of("rewrite", "ALTER TABLE orders ALTER COLUMN amount TYPE bigint;").await;
    let [step] = measured.steps.as_slice() else { panic!("{measured:#?}") };
    assert_eq!((step.how, step.transaction, step.rows), (How::Sql, Some(1), None));
    let orders = work(step, "orders");
    assert!(orders.rewritten && orders.scans > 0 && orders.rows_read >= 20_000, "{orders:#?}");
    assert!(step.wal_bytes.is_some_and(|wal| wal > 0) && measured.wal_bytes >= step.wal_bytes.unwrap());
    assert!(step.duration_ms > 0.0 && measured.duration_ms >= step.duration_ms);
    assert_eq!(step.estimate.basis, Basis::SameSize);
    let lock = strongest(&measured, "orders");
    assert_eq!((lock.mode, lock.blocks, lock.step), (Mode::AccessExclusive, Blocks::ReadsAndWrites, 1));
    assert!(lock.from_ms + lock.held_ms >= step.duration_ms, "until the commit: {lock:#?}");
    let hazards = hazards(&measured);
    assert_eq!(codes(&measured), ["rewrite orders"]);
    assert!(hazards[0].what.contains("about 20000 rows") && hazards[0].what.contains("bigint"), "{hazards:#?}");
    let unlocked = measured.locks.iter().all(|lock| !lock.relation.contains("schema_migrations"));
    assert!(unlocked, "the host's own tables are none of the migration's: {measured:#?}");
}

#[tokio::test]
async fn what_only_lets_longer_texts_in_rewrites_nothing() {
    let measured = costs_of("wider", "ALTER TABLE orders ALTER COLUMN note TYPE varchar(100);").await;
    assert_eq!(measured.steps[0].tables, []);
    assert_eq!(strongest(&measured, "orders").mode, Mode::AccessExclusive);
    assert_eq!(judged(&measured), (Verdict::BriefLock, vec![]));
}

#[tokio::test]
async fn a_not_null_looks_at_every_row_but_where_a_check_has_done_so() {
    let measured = costs_of("not_null", "ALTER TABLE orders ALTER COLUMN amount SET NOT NULL;").await;
    let orders = work(&measured.steps[0], "orders");
    assert!(!orders.rewritten && orders.rows_read == 20_000, "{orders:#?}");
    assert_eq!(codes(&measured), ["not-null-scan orders"]);
    let advice = &hazards(&measured)[0].advice;
    assert!(advice.contains("CHECK (amount IS NOT NULL) NOT VALID"), "{advice}");

    let scenario = orders_checked("not_null_checked").await;
    let measured = applied(&scenario).await;
    assert_eq!(measured.steps.len(), 2);
    assert!(measured.steps.iter().all(|step| step.tables.is_empty()), "{measured:#?}");
    assert_eq!(judged(&measured), (Verdict::BriefLock, vec![]));
}

/// With a valid CHECK that no amount is null, and the migration that makes use of it.
async fn orders_checked(name: &str) -> Scenario {
    let scenario = orders(name).await;
    scenario.lines("ALTER TABLE orders ADD CONSTRAINT amount_there CHECK (amount IS NOT NULL)").await;
    scenario.migration(
        "001_it",
        "ALTER TABLE orders ALTER COLUMN amount SET NOT NULL; ALTER TABLE orders DROP CONSTRAINT amount_there;",
        "SELECT 1;",
    )
}

#[tokio::test]
async fn an_index_keeps_writers_out_and_one_built_concurrently_nobody() {
    let measured = costs_of("index", "CREATE INDEX orders_amount ON orders (amount);").await;
    let orders = work(&measured.steps[0], "orders");
    assert!(orders.indexes_built == 1 && orders.scans > 0 && !orders.rewritten, "{orders:#?}");
    let lock = strongest(&measured, "orders");
    assert_eq!((lock.mode, lock.blocks), (Mode::Share, Blocks::Writes));
    assert_eq!(codes(&measured), ["index-not-concurrent orders"]);
    let advice = &hazards(&measured)[0].advice;
    assert!(advice.contains("CREATE INDEX CONCURRENTLY orders_amount ON orders (amount)"), "{advice}");

    let measured = costs_of("concurrently", "CREATE INDEX CONCURRENTLY orders_amount ON orders (amount);").await;
    let [step] = measured.steps.as_slice() else { panic!("{measured:#?}") };
    assert_eq!((step.how, step.transaction), (How::Outside, None));
    let orders = work(step, "orders");
    assert!(orders.indexes_built == 1 && orders.scans >= 2, "it reads the table twice: {orders:#?}");
    assert_eq!(strongest(&measured, "orders").mode, Mode::ShareUpdateExclusive);
    assert_eq!(judged(&measured), (Verdict::OnlineSafe, vec![]));
}

#[tokio::test]
async fn a_foreign_key_looks_every_row_up_but_where_it_is_not_valid_yet() {
    let sql = "ALTER TABLE orders ADD CONSTRAINT of_user FOREIGN KEY (user_id) REFERENCES users (id)";
    let measured = costs_of("foreign_key", &format!("{sql};")).await;
    assert!(work(&measured.steps[0], "orders").rows_read >= 20_000);
    for table in ["orders", "users"] {
        assert_eq!(strongest(&measured, table).mode, Mode::ShareRowExclusive, "{table}");
    }
    assert_eq!(codes(&measured), ["foreign-key-scan orders"]);
    let advice = &hazards(&measured)[0].advice;
    assert!(advice.contains("VALIDATE CONSTRAINT of_user"), "{advice}");

    let scenario = orders("foreign_key_later")
        .await
        .migration("001_key", &format!("{sql} NOT VALID;"), "SELECT 1;")
        .migration("002_validate", "ALTER TABLE orders VALIDATE CONSTRAINT of_user;", "SELECT 1;");
    let gauge = gauge(&scenario).await;
    runner::up(&config(&scenario, &gauge), Uuid::now_v7(), None).await.unwrap();
    let [(first, _, key), (second, _, validated)] = &gauge.take()[..] else { panic!("two migrations") };
    assert_eq!((first.as_str(), second.as_str()), ("001", "002"));
    assert_eq!(judged(key), (Verdict::BriefLock, vec![]));
    assert!(work(&validated.steps[0], "orders").rows_read >= 20_000);
    assert_eq!(judged(validated), (Verdict::OnlineSafe, vec![]));
}

#[tokio::test]
async fn a_lock_that_is_held_over_a_backfill_is_named_with_both_steps() {
    let sql = "ALTER TABLE orders ADD COLUMN total int; UPDATE orders SET total = amount * 2;";
    let measured = costs_of("backfill", sql).await;
    let [alter, update] = measured.steps.as_slice() else { panic!("{measured:#?}") };
    assert_eq!((alter.rows, update.rows), (None, Some(20_000)));
    assert_eq!(work(update, "orders").rows_changed, 20_000);
    let lock = strongest(&measured, "orders");
    assert!(lock.step == 1 && lock.held_ms >= update.duration_ms, "{lock:#?}");
    assert!(lock.estimate.high_ms >= update.estimate.high_ms, "{lock:#?}");
    let [hazard] = &hazards(&measured)[..] else { panic!("{:#?}", hazards(&measured)) };
    assert_eq!((hazard.code, hazard.step, hazard.blocks), (HazardCode::LockHeld, 1, Blocks::ReadsAndWrites));
    assert!(hazard.what.contains("step 1 (`ALTER TABLE") && hazard.what.contains("step 2 (`UPDATE"), "{hazard:#?}");
}

#[tokio::test]
async fn a_step_in_batches_is_one_step_and_its_locks_are_as_short_as_a_batch() {
    let scenario = Scenario::new("batches").await;
    scenario
        .lines(
            "CREATE TABLE plan_steps (way text, position serial, kind text, body text, probe text);
             CREATE TABLE trace (name text); CREATE TABLE objections ();
             CREATE TABLE target (id int PRIMARY KEY); CREATE TABLE source (id int PRIMARY KEY);
             INSERT INTO source SELECT generate_series(1, 7);
             INSERT INTO plan_steps (way, kind, body) VALUES
                ('up', 'sql', 'CREATE TABLE made (); INSERT INTO trace VALUES (1), (2)'), ('up', 'batched', 'copy'), ('up', 'code', 'work')",
        )
        .await;
    let scenario = scenario.component("001_steps", &components::steps()).await;
    let measured = applied(&scenario).await;
    let told: Vec<_> = measured.steps.iter().map(|step| (step.how, step.text.as_str(), step.rows)).collect();
    let expected = [
        (How::Sql, "CREATE TABLE made ()", None),
        (How::Sql, "INSERT INTO trace VALUES (1), (2)", Some(2)),
        (How::Batched, "copy", None),
        (How::Code, "work", None),
    ];
    assert_eq!(told, expected);
    let copy = &measured.steps[2];
    assert!(copy.batches.is_some_and(|batches| batches > 1), "{copy:#?}");
    assert_eq!(work(copy, "target").rows_written, 7, "all batches together");
    assert_eq!(strongest(&measured, "target").mode, Mode::RowExclusive);
    assert_eq!(judged(&measured), (Verdict::OnlineSafe, vec![]));
}

#[tokio::test]
async fn what_is_innocent_is_no_hazard() {
    let innocent = [
        "CREATE TABLE fresh (id int PRIMARY KEY, n int); INSERT INTO fresh SELECT n, n FROM generate_series(1, 5000) n;
         CREATE INDEX fresh_n ON fresh (n); ALTER TABLE fresh ALTER COLUMN n SET NOT NULL;",
        "CREATE TABLE empty (id int PRIMARY KEY, n int);",
        "CREATE INDEX empty_n ON empty (n); ALTER TABLE empty ALTER COLUMN n SET NOT NULL; ALTER TABLE empty ALTER COLUMN n TYPE bigint;",
        "ALTER TABLE orders ADD COLUMN state text NOT NULL DEFAULT 'new';",
        "ALTER TABLE orders ADD COLUMN seen_at timestamptz DEFAULT now();",
        "ALTER TABLE orders ADD CONSTRAINT positive CHECK (amount > 0) NOT VALID;",
        "ALTER TABLE orders VALIDATE CONSTRAINT positive;",
        "ALTER TABLE orders ALTER COLUMN amount SET DEFAULT 1;",
        "ALTER TABLE orders DROP COLUMN note;",
        "ALTER TABLE users RENAME COLUMN name TO full_name;",
        "CREATE VIEW rich AS SELECT * FROM orders WHERE amount > 100;",
        "CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql AS 'SELECT n * 2';",
        "COMMENT ON TABLE orders IS 'what was ordered';",
        // To look a user up, the server reads all of so small a table.
        "CREATE TABLE carts (id int, user_id int REFERENCES users (id));",
        "ALTER TABLE carts ADD COLUMN n int; INSERT INTO carts SELECT n, n FROM generate_series(1, 20) n;
         UPDATE users SET full_name = 'one' WHERE id = 1;",
        "ALTER TABLE carts ADD COLUMN user2 int REFERENCES users (id);",
        "INSERT INTO users VALUES (1001, 'one more'), (1002, 'another');",
        "UPDATE orders SET amount = 2 WHERE id = 7;",
        "CREATE TABLE lines (id int, order_id int REFERENCES orders (id));",
        "TRUNCATE fresh;",
        "DROP VIEW rich; DROP TABLE fresh;",
        "CREATE UNIQUE INDEX CONCURRENTLY users_name ON users (full_name);",
        "ALTER TABLE users ADD CONSTRAINT users_name UNIQUE USING INDEX users_name;",
        "DROP INDEX CONCURRENTLY empty_n;",
    ];
    let mut scenario = orders("innocent").await;
    for (i, sql) in innocent.iter().enumerate() {
        scenario = scenario.migration(&format!("{:03}_it", i + 1), sql, "SELECT 1;");
    }
    let gauge = gauge(&scenario).await;
    runner::up(&config(&scenario, &gauge), Uuid::now_v7(), None).await.unwrap();
    let measured = gauge.take();
    assert_eq!(measured.len(), innocent.len());
    for ((version, _, measured), sql) in measured.iter().zip(innocent) {
        let (verdict, hazards) = judged(measured);
        assert_eq!(hazards, [], "{version}: {sql}\n{measured:#?}");
        assert!(verdict <= Verdict::BriefLock, "{version}: {sql}\n{measured:#?}");
    }
}

#[tokio::test]
async fn each_planted_fault_is_named() {
    let faulty = [
        ("ALTER TABLE orders ADD COLUMN token float DEFAULT random();", "rewrite orders"),
        ("ALTER TABLE orders SET UNLOGGED;", "rewrite orders"),
        ("ALTER TABLE orders ADD CONSTRAINT positive CHECK (amount > 0);", "check-scan orders"),
        ("ALTER TABLE orders ADD CONSTRAINT amounts UNIQUE (amount);", "index-not-concurrent orders"),
        ("ALTER TABLE orders ADD COLUMN code int UNIQUE;", "index-not-concurrent orders"),
        ("ALTER TABLE orders ADD COLUMN weight int CHECK (weight > 0);", "check-scan orders"),
        ("REINDEX TABLE orders;", "index-not-concurrent orders"),
        ("DO $$ BEGIN CREATE INDEX ON orders (note); END $$;", "index-not-concurrent orders"),
        ("LOCK TABLE users; UPDATE orders SET user_id = user_id + 1;", "lock-held users"),
        ("DO $$ BEGIN LOCK TABLE orders; UPDATE orders SET user_id = user_id + 1; END $$;", "long-lock orders"),
        (
            "ALTER TABLE orders ADD CONSTRAINT ids CHECK (id > 0) NOT VALID; ALTER TABLE orders VALIDATE CONSTRAINT ids;",
            "lock-held orders",
        ),
    ];
    let mut scenario = orders("planted").await;
    for (i, (sql, _)) in faulty.iter().enumerate() {
        scenario = scenario.migration(&format!("{:03}_it", i + 1), sql, "SELECT 1;");
    }
    let gauge = gauge(&scenario).await;
    runner::up(&config(&scenario, &gauge), Uuid::now_v7(), None).await.unwrap();
    for ((_, _, measured), (sql, expected)) in gauge.take().iter().zip(faulty) {
        assert_eq!(codes(measured), [expected], "{sql}\n{measured:#?}");
    }
}

#[tokio::test]
async fn a_copy_without_rows_names_the_same_and_says_that_it_assumes() {
    let (production, mut copy) = (orders("production").await, Scenario::new("schema_only").await);
    copy.lines(&TABLES.replace("INSERT INTO", "SELECT 1; --")).await;
    let faulty = [
        ("ALTER TABLE orders ALTER COLUMN amount TYPE bigint;", "rewrite orders"),
        ("ALTER TABLE orders ALTER COLUMN amount SET NOT NULL;", "not-null-scan orders"),
        ("ALTER TABLE orders ADD CONSTRAINT positive CHECK (amount > 0);", "check-scan orders"),
        ("ALTER TABLE orders ADD FOREIGN KEY (user_id) REFERENCES users (id);", "foreign-key-scan orders"),
        ("CREATE INDEX orders_amount ON orders (amount);", "index-not-concurrent orders"),
        ("ALTER TABLE orders ADD COLUMN total int; UPDATE orders SET total = amount;", "lock-held orders"),
    ];
    for (i, (sql, _)) in faulty.iter().enumerate() {
        copy = copy.migration(&format!("{:03}_it", i + 1), sql, "SELECT 1;");
    }
    let gauge = gauge_for(&copy, &production).await;
    runner::up(&config(&copy, &gauge), Uuid::now_v7(), None).await.unwrap();
    for ((_, _, measured), (sql, expected)) in gauge.take().iter().zip(faulty) {
        assert_eq!(codes(measured), [expected], "{sql}\n{measured:#?}");
        let estimate = &measured.steps.last().unwrap().estimate;
        let Basis::Assumed { relation, target_bytes } = &estimate.basis else { panic!("{sql}: {estimate:?}") };
        assert!(relation == "orders" && *target_bytes > 1_000_000 && estimate.high_ms > 10.0, "{sql}: {estimate:?}");
    }
}

#[tokio::test]
async fn a_table_is_known_on_the_target_by_the_name_that_it_had_before() {
    let (production, copy) = (orders("renamed_there").await, orders("renamed").await);
    production.lines("INSERT INTO orders SELECT n FROM generate_series(20001, 200000) n; ANALYZE orders").await;
    let copy = copy.migration("001_rename", "ALTER TABLE orders RENAME TO purchases;", "SELECT 1;").migration(
        "002_type",
        "ALTER TABLE purchases ALTER COLUMN amount TYPE bigint;",
        "SELECT 1;",
    );
    let gauge = gauge_for(&copy, &production).await;
    runner::up(&config(&copy, &gauge), Uuid::now_v7(), None).await.unwrap();
    let (_, _, measured) = gauge.take().pop().unwrap();
    let step = &measured.steps[0];
    assert_eq!(work(step, "purchases").target_rows, Some(200_000));
    let Basis::Scaled { relation, factor } = &step.estimate.basis else { panic!("{step:#?}") };
    assert!(relation == "purchases" && *factor > 3.0, "{step:#?}");
    assert!(step.estimate.low_ms > step.duration_ms && step.estimate.high_ms > 3.0 * step.estimate.low_ms, "{step:#?}");
}

#[tokio::test]
async fn a_partitioned_table_is_told_once() {
    let scenario = orders("partitioned").await;
    scenario
        .lines(
            "CREATE TABLE events (id int, user_id int) PARTITION BY RANGE (id);
             CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (1) TO (1000);
             CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM (1000) TO (9999);
             INSERT INTO events SELECT n, n % 100 + 1 FROM generate_series(1, 5000) n; ANALYZE events",
        )
        .await;
    let sql = "ALTER TABLE events ADD FOREIGN KEY (user_id) REFERENCES users (id);";
    let measured = applied(&scenario.migration("001_it", sql, "SELECT 1;")).await;
    assert_eq!(codes(&measured), ["foreign-key-scan events_2"], "{measured:#?}");
}

#[tokio::test]
async fn an_index_that_a_failure_leaves_invalid_is_named() {
    let scenario = orders("invalid").await.migration(
        "001_it",
        "CREATE INDEX CONCURRENTLY orders_amount ON orders (amount);",
        "SELECT 1;",
    );
    // It writes, and does not end: neither the index nor what is to take it back again gets past it.
    let writer = scenario.session().await;
    writer.lines("BEGIN; LOCK TABLE orders IN ROW EXCLUSIVE MODE").await;
    let gauge = gauge(&scenario).await;
    let failed = runner::up(&config(&scenario, &gauge), Uuid::now_v7(), None).await;
    assert!(matches!(failed, Err(Error::Migration { .. })), "{failed:?}");
    let [(_, _, measured)] = &gauge.take()[..] else { panic!("one way, as far as it came") };
    assert_eq!(measured.invalid_indexes, ["orders_amount"]);
    assert_eq!(codes(measured), ["invalid-index orders_amount"]);
}

#[tokio::test]
async fn what_goes_through_temporary_files_is_counted() {
    let sql = "SET LOCAL work_mem = '64kB'; CREATE TABLE sorted AS SELECT * FROM orders ORDER BY note;";
    let measured = costs_of("temporary", sql).await;
    assert!(measured.temp_bytes.is_some_and(|bytes| bytes > 100_000), "{measured:#?}");
    assert_eq!(measured.steps[1].rows, Some(20_000));
}

#[tokio::test]
async fn a_copy_is_a_step_with_its_rows() {
    let rows =
        "COPY users (id, name) FROM STDIN;\n1001\tone\n1002\ttwo\n\\.\nUPDATE users SET name = 'x' WHERE id = 1001;";
    let measured = costs_of("copied", rows).await;
    let rows: Vec<_> = measured.steps.iter().map(|step| step.rows).collect();
    assert_eq!(rows, [Some(2), Some(1)]);
    assert_eq!(work(&measured.steps[0], "users").rows_written, 2);
}

#[tokio::test]
async fn an_error_still_points_into_the_file_and_nothing_is_counted_of_what_was_rolled_back() {
    let sql = "ALTER TABLE orders ADD COLUMN a int;\n\nUPDATE orders\n   SET nothing = 1;";
    let scenario = orders("pointing").await.migration("001_it", sql, "SELECT 1;");
    let gauge = gauge(&scenario).await;
    let failed = runner::up(&config(&scenario, &gauge), Uuid::now_v7(), None).await;
    let Err(Error::Migration { error, .. }) = failed else { panic!("{failed:?}") };
    assert!(error.at.as_ref().is_some_and(|at| at.ends_with("001_it.up.sql:4:8")), "{error:?}");
    let [(_, _, measured)] = &gauge.take()[..] else { panic!("one way") };
    assert!(measured.steps.is_empty() && measured.locks.is_empty(), "{measured:#?}");
}

#[tokio::test]
async fn a_partition_is_detached_concurrently_with_no_more_than_a_moment_of_its_own_lock() {
    let scenario = Scenario::new("detached").await;
    scenario
        .lines(
            "CREATE TABLE events (day int, n int) PARTITION BY RANGE (day);
             CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (1) TO (2);
             INSERT INTO events SELECT 1, n FROM generate_series(1, 1000) n",
        )
        .await;
    let sql = "ALTER TABLE events DETACH PARTITION events_1 CONCURRENTLY;";
    let scenario = scenario.migration("001_it", sql, "SELECT 1;");
    let measured = applied(&scenario).await;
    assert_eq!(strongest(&measured, "events").mode, Mode::ShareUpdateExclusive);
    assert_eq!(judged(&measured).1, []);
    assert!(judged(&measured).0 <= Verdict::BriefLock);
}

#[tokio::test]
async fn a_way_down_is_measured_as_well() {
    let scenario = orders("down").await.migration(
        "001_it",
        "ALTER TABLE orders ADD COLUMN total int;",
        "ALTER TABLE orders DROP COLUMN total;",
    );
    let gauge = gauge(&scenario).await;
    let config = config(&scenario, &gauge);
    runner::up(&config, Uuid::now_v7(), None).await.unwrap();
    let revert = lockgate::plan::Revert::Only(lockgate::migration::Version::parse("001").unwrap());
    runner::down(&config, Uuid::now_v7(), &revert).await.unwrap();
    let ways: Vec<_> =
        gauge.take().into_iter().map(|(_, way, measured)| (way, measured.steps[0].text.clone())).collect();
    let expected = [
        (Direction::Up, "ALTER TABLE orders ADD COLUMN total int".to_owned()),
        (Direction::Down, "ALTER TABLE orders DROP COLUMN total".to_owned()),
    ];
    assert_eq!(ways, expected);
}
