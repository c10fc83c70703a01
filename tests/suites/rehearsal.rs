//! A rehearsal tells what production would see, on a copy that is gone afterwards.

use std::{collections::BTreeSet, fs, path::PathBuf};

use lockgate::failpoint::Failpoint;
use lockgate_tests::{Scenario, components, eventually};
use serde_json::Value;

/// The databases that are there beside the one of the scenario.
async fn copies(scenario: &Scenario) -> Vec<String> {
    let sql = format!("SELECT datname FROM pg_database WHERE datname LIKE '{}\\_%'", scenario.database());
    scenario.superuser_in("postgres").await.lines(&sql).await
}

/// What a rehearsal has to leave: nothing.
async fn left_nothing(scenario: &Scenario) {
    assert_eq!(copies(scenario).await, Vec::<String>::new(), "copies are left");
    assert_eq!(scenario.files(".lockgate/rehearsals"), Vec::<String>::new(), "files are left");
}

/// How long others may wait is no question of how busy the machine is that the tests run on.
const PATIENT: &str = "[rehearsal]\nbrief_ms = 60000\nwindow_s = 600\n";

/// The base of the planted and the innocent migrations, applied; and a folder of those pending.
async fn on_the_base(name: &str, pending: &str) -> Scenario {
    let scenario = Scenario::new(name).await.fixtures("rehearsal/base").config(PATIENT);
    scenario.run("up --no-backup").await.succeeds();
    scenario.fixtures(&format!("rehearsal/{pending}"))
}

fn migration<'a>(rehearsal: &'a Value, version: &str) -> &'a Value {
    let all = rehearsal["migrations"].as_array().unwrap();
    all.iter().find(|m| m["version"] == version).unwrap_or_else(|| panic!("{version} was not rehearsed"))
}

/// The faults of a migration as `code kind name`, the hazards as `code relation`.
fn found(migration: &Value) -> BTreeSet<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let fault = |fault: &Value| {
        let change = &fault["change"];
        // Its number is another each time: that is its fault.
        let name = text(&change["name"]);
        let name = if name.starts_with("made_") { "made_…".to_owned() } else { name };
        format!("{} {} {name}", text(&fault["code"]), text(&change["kind"])).trim_end().to_owned()
    };
    let hazard = |hazard: &Value| format!("{} {}", text(&hazard["code"]), text(&hazard["relation"]));
    let faults = migration["faults"].as_array().unwrap().iter().map(fault);
    faults.chain(migration["hazards"].as_array().unwrap().iter().map(hazard)).collect()
}

/// Each planted fault, and what must be said of it; nothing else may be.
const PLANTED: [(&str, &[&str]); 28] = [
    ("101", &["left-behind index users_name", "index-not-concurrent users"]),
    ("102", &["left-behind enum value mood 'angry'"]),
    ("103", &["drops-too-much default users.status"]),
    ("104", &["left-behind comment column users.name"]),
    ("105", &["left-behind privilege table orders to PUBLIC"]),
    ("106", &["left-behind trigger orders.orders_touch"]),
    ("107", &["drops-too-much table plans", "data-not-restored"]),
    ("108", &["drops-too-much column users.nick", "data-not-restored"]),
    ("109", &["up-not-repeatable"]),
    ("110", &["rewrite orders"]),
    ("111", &["not-null-scan users"]),
    ("112", &["index-not-concurrent orders"]),
    ("113", &["foreign-key-scan orders"]),
    ("114", &["lock-held users"]),
    ("115", &["check-scan orders"]),
    ("116", &["down-failed"]),
    ("117", &["not-restored view happy_users"]),
    ("118", &["drops-too-much function full_name(public.users)"]),
    ("119", &["left-behind policy notes.notes_own"]),
    ("120", &["drops-too-much constraint users.users_score_sane", "left-behind constraint users.users_score_positive"]),
    ("121", &["data-not-restored"]),
    ("122", &["not-restored column order users", "data-not-restored"]),
    ("123", &["not-restored trigger users.users_touch"]),
    ("124", &["up-differs table made_…"]),
    ("125", &["rewrite orders"]),
    ("126", &["left-behind sequence invoices"]),
    ("127", &["left-behind row security orders"]),
    ("128", &["up-failed"]),
];

#[tokio::test]
async fn every_planted_fault_is_named() {
    let scenario = on_the_base("planted", "planted").await;
    let before = scenario.state().await;
    let rehearsal = scenario.run("rehearse --fresh --output json").await.exits_with(6).json();
    assert_eq!(rehearsal["passed"], false);
    for (version, expected) in PLANTED {
        println!("{version}: {:?} {expected:?}", found(migration(&rehearsal, version)));
    }
    for (version, expected) in PLANTED {
        let expected: BTreeSet<String> = expected.iter().map(|text| (*text).to_owned()).collect();
        assert_eq!(found(migration(&rehearsal, version)), expected, "{version}");
    }
    scenario.is_still(&before).await;
    left_nothing(&scenario).await;
}

#[tokio::test]
async fn nothing_is_said_against_the_innocent() {
    let scenario = on_the_base("innocent", "innocent").await;
    let rehearsal = scenario.run("rehearse --fresh --output json").await.succeeds().json();
    assert_eq!(rehearsal["passed"], true);
    let migrations = rehearsal["migrations"].as_array().unwrap();
    assert_eq!(migrations.len(), 22);
    for migration in migrations {
        let name = &migration["name"];
        assert_eq!(found(migration), BTreeSet::new(), "{name}");
        assert_eq!(migration["reversibility"]["is"], "reversible", "{name}");
        let verdict = migration["verdict"].as_str().unwrap();
        assert!(["online-safe", "brief-lock"].contains(&verdict), "{name}: {verdict}");
    }
    let stage = |version: &str| migration(&rehearsal, version)["stages"][3]["outcome"].clone();
    assert_eq!(stage("104"), "resumed", "what is outside a transaction is cut off once");
    assert_eq!(stage("101"), "passed");
    left_nothing(&scenario).await;
}

/// One migration applied, with rows, and one pending.
async fn small(name: &str, up: &str, down: &str) -> Scenario {
    let scenario = Scenario::new(name).await.tables(&["a"]);
    scenario.up().await.succeeds();
    scenario.lines("INSERT INTO a SELECT generate_series(1, 100)").await;
    scenario.migration("002_next", up, down)
}

const ADD: &str = "ALTER TABLE a ADD COLUMN note text;";
const TAKE: &str = "ALTER TABLE a DROP COLUMN note;";

#[tokio::test]
async fn nothing_pending_is_a_rehearsal_that_passes() {
    let scenario = Scenario::new("rehearse_none").await.tables(&["a"]);
    scenario.up().await.succeeds();
    scenario.run("rehearse").await.succeeds().prints("nothing is pending");
    left_nothing(&scenario).await;
}

#[tokio::test]
async fn the_newest_backup_is_what_the_copy_is_made_of() {
    let scenario = small("rehearse_backup", ADD, TAKE).await;
    let outcome = scenario.run("rehearse").await.refuses_with(2);
    outcome.says("there is no backup").says("`--fresh`");
    let id = scenario.run("backup").await.succeeds().backup_id();
    let rehearsal = scenario.run("rehearse --output json").await.succeeds().json();
    assert_eq!((&rehearsal["copy"]["backup"], &rehearsal["copy"]["extent"]), (&id.clone().into(), &"data".into()));
    let stages: Vec<&str> =
        rehearsal["migrations"][0]["stages"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert_eq!(stages, ["up", "down", "compare-down", "up-again", "compare-up"]);

    scenario.up().await.succeeds();
    let scenario = scenario.migration("003_more", "CREATE TABLE more ();", "DROP TABLE more;");
    let outcome = scenario.run("rehearse").await.refuses_with(2);
    outcome.says("was taken with version 001, and the database has version 002").says("`lockgate backup`");
    scenario.run(&format!("rehearse --backup {id}")).await.refuses_with(2);
    scenario.run("rehearse --fresh").await.succeeds();
    let kept: Vec<String> = scenario.backups("backups").into_iter().filter(|name| name.ends_with(".json")).collect();
    assert_eq!(kept, [format!("{id}.json")], "what is taken for a rehearsal is not kept");
    left_nothing(&scenario).await;
}

#[tokio::test]
async fn a_history_in_a_schema_of_its_own_is_nobody_s_fault() {
    let scenario = Scenario::new("rehearse_home").await.migration("001_add", "CREATE TABLE t ();", "DROP TABLE t;");
    let rehearsal = scenario.run("rehearse --fresh --schema hist --output json").await.succeeds().json();
    assert_eq!(found(&rehearsal["migrations"][0]), BTreeSet::new());
}

#[tokio::test]
async fn what_somebody_has_changed_since_the_backup_is_told_and_does_not_pass() {
    let scenario = small("rehearse_changed", ADD, TAKE).await;
    scenario.run("backup").await.succeeds();
    scenario.lines("CREATE INDEX by_hand ON a (id DESC)").await;
    let rehearsal = scenario.run("rehearse --output json").await.exits_with(6).json();
    let unlike = &rehearsal["copy"]["unlike_target"];
    assert_eq!(
        (&unlike[0]["kind"], &unlike[0]["name"], &unlike[0]["how"]),
        (&"index".into(), &"by_hand".into(), &"new".into())
    );
    scenario.run("rehearse --fresh").await.succeeds();
}

#[tokio::test]
async fn it_is_rehearsed_on_servers_of_its_own_and_on_one_that_is_named() {
    let scenario = small("rehearse_places", ADD, TAKE).await;
    let before = scenario.state().await;
    for (place, on) in [("embedded", "embedded".to_owned()), ("server", scenario.url())] {
        let rehearsal = scenario.run("rehearse --fresh --output json --on").arg(on).await.succeeds().json();
        assert_eq!(rehearsal["copy"]["on"], place);
        assert_eq!(rehearsal["passed"], true, "{place}: {rehearsal}");
        left_nothing(&scenario).await;
    }
    scenario.run("rehearse --fresh --on moon").await.refuses_with(2).says("`moon` is no place to rehearse on");
    scenario.is_still(&before).await;
}

#[tokio::test]
async fn a_database_is_rehearsed_in_every_encoding() {
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let scenario = Scenario::new(&format!("rehearse_{}", encoding.to_lowercase())).await.tables(&["a"]);
        let (superuser, name) = (scenario.superuser_in("postgres").await, scenario.database());
        let owner = format!("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = '{name}'");
        let owner = superuser.value(&owner).await;
        superuser.lines(&format!("DROP DATABASE {name}")).await;
        let make = format!(
            "CREATE DATABASE {name} OWNER {owner} TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'"
        );
        superuser.lines(&make).await;
        scenario.up().await.succeeds();
        let scenario = scenario.migration("002_next", "CREATE TYPE mood AS ENUM ('sad');", "DROP TYPE mood;");
        scenario.run("rehearse --fresh").await.succeeds();
    }
}

#[tokio::test]
async fn roles_on_a_server_of_its_own_are_what_they_are_on_the_targets() {
    let scenario = small("rehearse_roles", ADD, TAKE).await;
    let (role, group) = (scenario.role("").await, "pg_monitor");
    let superuser = scenario.superuser().await;
    superuser.lines(&format!("ALTER ROLE {role} SET search_path = app, \"a b\", public")).await;
    superuser
        .lines(&format!("ALTER ROLE {role} SET DateStyle = 'ISO, DMY'; GRANT {group} TO {role} WITH ADMIN OPTION"))
        .await;
    if superuser.value("SELECT current_setting('server_version_num')::int >= 160000").await == "t" {
        superuser.lines(&format!("GRANT {group} TO {role} WITH INHERIT FALSE, SET FALSE")).await;
    }
    let found = format!(
        "SELECT concat_ws(' ', rolconfig::text, a.admin_option, to_jsonb(a) ->> 'inherit_option', to_jsonb(a) ->> 'set_option')
         FROM pg_roles m JOIN pg_auth_members a ON a.member = m.oid WHERE m.rolname = '{role}'"
    );
    let expected = superuser.value(&found).await;
    assert!(expected.contains("search_path=app, \\\"a b\\\", public"), "{expected}");
    let up = format!(
        "DO $$ BEGIN IF ({found}) IS DISTINCT FROM $e${expected}$e$ THEN RAISE 'it is %', ({found}); END IF; END $$;"
    );
    let scenario = scenario.migration("003_look", &up, "SELECT 1;");
    scenario.run("rehearse --fresh --on embedded").await.succeeds();
}

#[tokio::test]
async fn what_a_way_down_need_not_take_back_is_no_fault() {
    let scenario = Scenario::new("rehearse_derived").await.migration(
        "001_counts",
        "CREATE TABLE people (id int); CREATE MATERIALIZED VIEW counts AS SELECT count(*) AS n FROM people;",
        "DROP MATERIALIZED VIEW counts; DROP TABLE people;",
    );
    scenario.up().await.succeeds();
    let scenario = scenario
        .config(PATIENT)
        .migration("002_rows", "INSERT INTO people VALUES (1);", "DELETE FROM people;")
        .migration("003_refresh", "REFRESH MATERIALIZED VIEW counts;", "SELECT 1;")
        .migration("004_empty", "REFRESH MATERIALIZED VIEW counts WITH NO DATA;", "SELECT 1;");
    let rehearsal = scenario.run("rehearse --fresh --output json").await.exits_with(6).json();
    let faults = |version: &str| -> Vec<String> {
        let faults = migration(&rehearsal, version)["faults"].as_array().unwrap();
        faults.iter().map(|fault| format!("{} {}", fault["code"], fault["change"]["kind"])).collect()
    };
    assert_eq!(faults("003"), Vec::<String>::new());
    assert_eq!(faults("004"), [r#""drops-too-much" "population""#]);
}

#[tokio::test]
async fn a_foreign_key_that_is_no_longer_enforced_is_named() {
    let scenario = Scenario::new("rehearse_disabled").await.migration(
        "001_orders",
        "CREATE TABLE users (id int PRIMARY KEY); CREATE TABLE orders (owner int CONSTRAINT of_user REFERENCES users);",
        "DROP TABLE orders, users;",
    );
    scenario.up().await.succeeds();
    let scenario = scenario.migration("002_next", "ALTER TABLE orders DISABLE TRIGGER ALL;", "SELECT 1;");
    let rehearsal = scenario.run_as("postgres", "rehearse --fresh --output json").await.exits_with(6).json();
    let fault = &rehearsal["migrations"][0]["faults"][0];
    assert_eq!(fault["code"], "left-behind");
    let what = "the constraint `orders.of_user` is not enforced after its way down: its triggers are disabled";
    assert_eq!(fault["what"], what);
}

#[tokio::test]
async fn it_is_rehearsed_in_a_container_where_there_are_containers() {
    let scenario = small("rehearse_container", ADD, TAKE).await;
    if std::env::var("LOCKGATE_TEST_DATABASE").as_deref() != Ok("container") {
        return println!("left out: no containers here");
    }
    let mut call = scenario.run("rehearse --fresh --output json --on container");
    // Of what the tests themselves run with, a call knows nothing unless it is told.
    if let Some(image) = std::env::var_os("LOCKGATE_TEST_IMAGE") {
        call = call.env("LOCKGATE_TEST_IMAGE", image);
    }
    let rehearsal = call.await.succeeds().json();
    assert_eq!((&rehearsal["copy"]["on"], &rehearsal["passed"]), (&"container".into(), &true.into()));
    left_nothing(&scenario).await;
}

#[tokio::test]
async fn a_copy_without_rows_is_quick_and_cannot_tell_whether_they_fit() {
    let up = "ALTER TABLE a ADD CONSTRAINT small CHECK (id < 50);";
    let scenario = small("rehearse_schema", up, "ALTER TABLE a DROP CONSTRAINT small;").await;
    let rehearsal = scenario.run("rehearse --schema-only --output json").await.succeeds().json();
    assert_eq!(rehearsal["copy"]["extent"], "schema-only");
    let with_rows = scenario.run("rehearse --fresh --output json").await.exits_with(6).json();
    let fault = &with_rows["migrations"][0]["faults"][0];
    assert_eq!(fault["code"], "up-failed");
    assert!(fault["what"].as_str().unwrap().contains("002_next.up.sql:1"), "{fault}");
}

#[tokio::test]
async fn a_copy_without_rows_has_the_statistics_of_the_target_where_the_server_can_take_them() {
    let up = "DO $$ BEGIN RAISE EXCEPTION 'planned for % rows', (SELECT reltuples FROM pg_class WHERE oid = 'a'::regclass); END $$;";
    let scenario = small("rehearse_statistics", up, "SELECT 1;").await;
    scenario.lines("ANALYZE a").await;
    let can = scenario.value("SELECT current_setting('server_version_num')::int >= 180000").await == "t";
    let rehearsal = scenario.run("rehearse --schema-only --output json").await.exits_with(6).json();
    let what = rehearsal["migrations"][0]["faults"][0]["what"].as_str().unwrap().to_owned();
    assert_eq!(what.contains("planned for 100 rows"), can, "{what}");
    assert!(what.contains("planned for "), "{what}");
}

#[tokio::test]
async fn a_role_that_may_make_no_database_is_told_what_it_lacks() {
    let scenario = small("rehearse_rights", ADD, TAKE).await;
    let role = scenario.role("NOCREATEDB").await;
    let superuser = scenario.superuser().await;
    superuser.lines(&format!("GRANT pg_read_all_data TO {role}")).await;
    let outcome = scenario.run_as(&role, "rehearse --fresh").await.refuses_with(7);
    outcome.says("may not create databases").says("CREATEDB` as a superuser, then try again");
    left_nothing(&scenario).await;
}

#[tokio::test]
async fn what_belongs_to_the_server_is_refused_where_others_use_it_and_named_elsewhere() {
    let role = "rehearsed_role";
    let up = format!("CREATE ROLE {role}; GRANT SELECT ON a TO {role};");
    let scenario = small("rehearse_globals", &up, &format!("REVOKE SELECT ON a FROM {role}; DROP ROLE {role};")).await;
    let superuser = scenario.superuser().await;
    superuser.lines("ALTER ROLE lockgate_owner CREATEROLE").await;
    let outcome = scenario.run("rehearse --fresh").await.refuses_with(2);
    outcome.says(&format!("`002_next`: CREATE ROLE {role}")).says("`--on embedded`");
    assert_eq!(superuser.value(&format!("SELECT count(*) FROM pg_roles WHERE rolname = '{role}'")).await, "0");
    let rehearsal = scenario.run("rehearse --fresh --on embedded --output json").await.succeeds().json();
    let globals = rehearsal["globals"].as_array().unwrap();
    assert!(globals.iter().all(|line| line.as_str().unwrap().contains(role)) && !globals.is_empty(), "{globals:?}");
    superuser.lines("ALTER ROLE lockgate_owner NOCREATEROLE").await;
}

#[tokio::test]
async fn nothing_of_a_server_that_others_use_is_changed_however_it_is_said() {
    let scenario = small("rehearse_fence", "SELECT 1;", "SELECT 1;").await;
    let superuser = scenario.superuser().await;
    let (name, role) = (scenario.database(), scenario.role("").await);
    superuser.lines(&format!("GRANT CONNECT ON DATABASE {name} TO {role}")).await;
    superuser.lines("ALTER ROLE lockgate_owner CREATEROLE").await;
    let server = format!(
        "SELECT concat_ws(' ', (SELECT concat_ws(' ', datdba, datacl, shobj_description(oid, 'pg_database')) FROM pg_database
             WHERE datname = '{name}'), (SELECT string_agg(rolname, ' ') FROM pg_roles WHERE rolname LIKE 'fenced%'),
             (SELECT count(*) FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase WHERE d.datname = '{name}'))"
    );
    let before = superuser.value(&server).await;
    let dynamic = |sql: &str| format!("DO $$ BEGIN EXECUTE '{sql}'; END $$;");
    for up in [
        dynamic("CREATE ROLE fenced"),
        dynamic(&format!("ALTER DATABASE {name} SET work_mem = 1024")),
        dynamic(&format!("COMMENT ON DATABASE {name} IS ''x''")),
        dynamic(&format!("REVOKE ALL ON DATABASE {name} FROM PUBLIC")),
        "CREATE FUNCTION sneaky() RETURNS void LANGUAGE plpgsql AS 'BEGIN CREATE ROLE fenced; END'; SELECT sneaky();"
            .into(),
    ] {
        scenario.write("migrations/002_next.up.sql", &up);
        let outcome = scenario.run("rehearse --fresh").await.exits_with(6);
        outcome.prints("belongs to the server").prints("`--on embedded`");
    }
    for up in [format!("REVOKE ALL ON DATABASE {name} FROM PUBLIC;"), format!("COMMENT ON DATABASE {name} IS 'x';")] {
        scenario.write("migrations/002_next.up.sql", up);
        scenario.run("rehearse --fresh").await.refuses_with(2).says("`--on embedded`");
    }
    let alone = "-- lockgate: no-transaction\nDO $$ BEGIN CREATE ROLE fenced; END $$;";
    scenario.write("migrations/002_next.up.sql", alone);
    scenario.run("rehearse --fresh").await.exits_with(6).prints("belongs to the server");
    scenario.write("migrations/002_next.up.sql", "SELECT 1;");
    scenario.write("mask.sql", "CREATE ROLE fenced;");
    scenario.run("rehearse --fresh --mask mask.sql").await.refuses_with(2).says("belongs to the server");
    assert_eq!(superuser.value(&server).await, before, "the server is as it was");
    left_nothing(&scenario).await;
}

#[tokio::test]
async fn what_somebody_else_does_to_the_server_meanwhile_is_not_the_migration_s() {
    let scenario = small("rehearse_others", "ALTER TABLE a ADD COLUMN note text; SELECT pg_sleep(1);", TAKE).await;
    let superuser = scenario.superuser().await;
    let run = scenario.run("rehearse --fresh").start();
    for i in 0..30 {
        superuser.lines(&format!("CREATE ROLE others_{i}")).await;
    }
    run.end().await.succeeds();
    for i in 0..30 {
        superuser.lines(&format!("DROP ROLE others_{i}")).await;
    }
}

#[tokio::test]
async fn the_copy_is_masked_before_anything_else_looks_at_it() {
    let up = "DO $$ BEGIN IF EXISTS (SELECT FROM people WHERE name <> 'x') THEN RAISE 'not masked'; END IF; END $$;";
    let scenario = Scenario::new("rehearse_mask").await.migration(
        "001_people",
        "CREATE TABLE people (name text);",
        "DROP TABLE people;",
    );
    scenario.up().await.succeeds();
    scenario.lines("INSERT INTO people VALUES ('Ada'), ('Grace')").await;
    let scenario = scenario.migration("002_look", up, "SELECT 1;");
    scenario.run("rehearse --fresh").await.exits_with(6).prints("not masked");
    scenario.write("mask.sql", "UPDATE people SET name = 'x';");
    let rehearsal = scenario.run("rehearse --fresh --mask mask.sql --output json").await.succeeds().json();
    assert_eq!(rehearsal["copy"]["masked"], "mask.sql");
    assert_eq!(rehearsal["copy"]["unlike_target"], Value::Array(Vec::new()), "the mask leaves no trace in the schema");
    assert_eq!(scenario.value("SELECT string_agg(name, ' ') FROM people").await, "Ada Grace");

    scenario.write("mask.sql", "UPDATE people SET nam = 'x';");
    let outcome = scenario.run("rehearse --fresh --mask mask.sql").await.refuses_with(2);
    outcome.says("`mask.sql` could not mask the copy").says("column \"nam\"");
    scenario.run("rehearse --fresh --mask mask.txt").await.refuses_with(2).says("it is neither");
    left_nothing(&scenario).await;
}

#[tokio::test]
async fn a_component_masks_as_well_sandboxed_and_verified() {
    let people = "CREATE TABLE people (name text); INSERT INTO people VALUES ('Ada');";
    let look = "DO $$ BEGIN IF EXISTS (SELECT FROM people WHERE name <> 'x') THEN RAISE 'not masked'; END IF; END $$;";
    let scenario =
        components::planned("rehearse_mask_wasm", &[("up", "sql", "UPDATE people SET name = 'x'", "")]).await;
    scenario.remove("migrations/002_steps.wasm");
    scenario.remove("migrations/lockgate.lock");
    scenario.lines(people).await;
    let scenario = scenario.migration("002_look", look, "SELECT 1;");
    scenario.write("mask.wasm", components::steps());
    scenario.run("rehearse --fresh --mask mask.wasm").await.succeeds();
    // Its own verification says no.
    scenario.lines("INSERT INTO objections DEFAULT VALUES").await;
    let outcome = scenario.run("rehearse --fresh --mask mask.wasm").await.refuses_with(2);
    outcome.says("`mask.wasm` could not mask the copy").says("there is an objection");
    left_nothing(&scenario).await;
}

#[tokio::test]
async fn a_verdict_fails_a_rehearsal_where_that_is_asked_for() {
    let up = "CREATE INDEX by_id ON a (id DESC);";
    let scenario = small("rehearse_verdict", up, "DROP INDEX by_id;").await;
    let rehearsal = scenario.run("rehearse --fresh --output json").await.succeeds().json();
    assert_eq!(rehearsal["migrations"][0]["verdict"], "brief-lock");
    scenario.run("rehearse --fresh --fail-on blocks-writes").await.succeeds();
    scenario.run("rehearse --fresh --fail-on brief-lock").await.exits_with(6).prints("not passed");
    let scenario = scenario.config("[rehearsal]\nbrief_ms = 0\nwindow_s = 0\nfail_on = \"needs-window\"\n");
    let rehearsal = scenario.run("rehearse --fresh --output json").await.exits_with(6).json();
    assert_eq!(rehearsal["migrations"][0]["verdict"], "needs-window");
    scenario.run("rehearse --fresh --fail-on sometimes").await.exits_with(2).says("needs-window");
}

#[tokio::test]
async fn batches_are_cut_off_once_and_taken_up_again() {
    let steps = [
        ("up", "batched", "copy", ""),
        ("up", "code", "code", ""),
        ("down", "batched", "empty", ""),
        ("down", "sql", "TRUNCATE trace", ""),
    ];
    let scenario = components::planned("rehearse_batches", &steps).await;
    let rehearsal = scenario.run("rehearse --fresh --output json").await.succeeds().json();
    let migration = &rehearsal["migrations"][0];
    assert_eq!(migration["stages"][3]["outcome"], "resumed", "{migration}");
    assert_eq!(migration["verdict"], "online-safe");
    let step = &migration["up"]["steps"][0];
    assert_eq!((&step["how"], step["batches"].as_u64() >= Some(4)), (&"batched".into(), true), "{step}");
}

#[tokio::test]
async fn a_component_that_plans_otherwise_each_time_is_named() {
    // Its own way down changes what its way up reads its plan from.
    let steps = [
        ("up", "sql", "CREATE TABLE made (id int)", ""),
        ("down", "sql", "DROP TABLE made", ""),
        ("down", "sql", "UPDATE plan_steps SET body = 'CREATE TABLE made (id bigint)' WHERE way = 'up'", ""),
    ];
    let scenario = components::planned("rehearse_unsteady", &steps).await;
    let rehearsal = scenario.run("rehearse --fresh --output json").await.exits_with(6).json();
    let found = found(&rehearsal["migrations"][0]);
    assert!(found.contains("unsteady") && found.contains("data-not-restored"), "{found:?}");
}

#[tokio::test]
async fn who_cannot_be_taken_back_is_said_to_be_so_and_cut_off_all_the_same() {
    let scenario = Scenario::new("rehearse_irreversible").await.tables(&["a"]);
    scenario.up().await.succeeds();
    let scenario =
        scenario.file("002_gone.up.sql", "-- lockgate: irreversible\nDROP TABLE a;\nCREATE TABLE b (id int);").file(
            "003_index.up.sql",
            "-- lockgate: irreversible\n-- lockgate: no-transaction\nCREATE INDEX CONCURRENTLY b_id ON b (id);",
        );
    let rehearsal = scenario.run("rehearse --fresh --output json").await.succeeds().json();
    let (gone, index) = (migration(&rehearsal, "002"), migration(&rehearsal, "003"));
    assert_eq!(gone["reversibility"]["is"], "irreversible");
    assert_eq!(gone["stages"][3]["outcome"], "left-out");
    assert_eq!(index["stages"][3]["outcome"], "resumed", "{index}");
}

#[tokio::test]
async fn a_rehearsal_that_is_stopped_drops_its_copies() {
    let scenario = small("rehearse_stopped", "SELECT pg_sleep(600);", "SELECT 1;").await;
    let run = scenario.run("rehearse --fresh").start();
    let superuser = scenario.superuser_in("postgres").await;
    let sleeps = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname LIKE '{}\\_scratch\\_%' AND wait_event = 'PgSleep'",
        scenario.database()
    );
    eventually("the migration is under way", async || superuser.value(&sleeps).await == "1").await;
    run.terminate();
    let stopped = run.end().await.fails_with(1).says("stopped by SIGTERM");
    stopped.says("state: nothing of the database was changed").says("next: rehearse again");
    left_nothing(&scenario).await;
}

#[tokio::test]
async fn one_that_is_stopped_during_its_dump_ends_as_in_any_other_phase() {
    let scenario = small("rehearse_stopped_dump", ADD, TAKE).await;
    let waits = "case \"$*\" in *--version*) exec \"$REAL/pg_dump\" \"$@\" ;; esac; touch waits; exec sleep 60";
    let programs = scenario.made_up_programs(&[("pg_dump", waits)]);
    let run = scenario.run("rehearse --fresh").env("LOCKGATE_PG_BIN", &programs).start();
    eventually("pg_dump is under way", async || scenario.path("waits").exists()).await;
    run.terminate();
    let stopped = run.end().await.fails_with(1).says("stopped by SIGTERM");
    stopped.says("state: nothing of the database was changed").says("next: rehearse again");
    left_nothing(&scenario).await;
}

#[tokio::test]
async fn what_a_killed_rehearsal_has_left_the_next_one_removes() {
    let scenario = small("rehearse_killed", ADD, TAKE).await;
    let failing = std::path::Path::new(env!("CARGO_BIN_EXE_torture"));
    let before = scenario.state().await;
    let points = Failpoint::OF_A_REHEARSAL.into_iter();
    for point in
        points.chain([Failpoint::DatabaseMade, Failpoint::DatabaseFilled, Failpoint::Committed, Failpoint::RunFinished])
    {
        let killed =
            scenario.run_program(failing, "rehearse --fresh").env("FAILPOINTS", format!("{point}=return")).await;
        assert_eq!(killed.signal, Some(9), "{point}: {}", killed.stderr);
        scenario.is_still(&before).await;
        scenario.run("rehearse --fresh").await.succeeds();
        left_nothing(&scenario).await;
    }
}

/// As a worker of autovacuum is, whom nobody but a superuser may end.
#[tokio::test]
async fn a_copy_is_dropped_as_soon_as_a_superuser_has_left_it() {
    let scenario = small("rehearse_visited", ADD, TAKE).await;
    let failing = std::path::Path::new(env!("CARGO_BIN_EXE_torture"));
    let point = Failpoint::DatabaseFilled;
    scenario.run_program(failing, "rehearse --fresh").env("FAILPOINTS", format!("{point}=return")).await;
    let [left] = &copies(&scenario).await[..] else { panic!("one copy is left") };
    let visitor = scenario.superuser_in(left).await;
    let run = scenario.run("restore --clean-up").start();
    let superuser = scenario.superuser_in("postgres").await;
    let waits =
        format!("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'DROP DATABASE%{left}%' AND state = 'active'");
    eventually("it waits for the visitor", async || superuser.value(&waits).await == "1").await;
    drop(visitor);
    run.end().await.succeeds().prints("dropped `");
    assert_eq!(copies(&scenario).await, Vec::<String>::new());
}

#[tokio::test]
async fn the_auth_service_can_go_all_the_way_up_and_down() {
    let ignored = "[rehearsal]\nignore_content = [\"audit_logs\"]\n";
    let config = components::token_settings("keep_originals = true") + ignored;
    let scenario = Scenario::new("rehearse_auth").await.auth_migrations().config(&config);
    scenario.run("up --no-backup --to 2").await.succeeds();
    let seed = fs::read_to_string(lockgate_tests::project().join("tests/fixtures/auth/seed.sql")).unwrap();
    scenario.lines(&seed).await;
    let rehearsal = scenario.run("rehearse --fresh --output json").await.succeeds().json();
    all_are_reversible(&rehearsal, 2);
    let from_nothing = Scenario::new("rehearse_auth_new").await.auth_migrations().config(&config);
    let rehearsal = from_nothing.run("rehearse --fresh --output json").await.succeeds().json();
    all_are_reversible(&rehearsal, 4);
}

fn all_are_reversible(rehearsal: &Value, number: usize) {
    let migrations = rehearsal["migrations"].as_array().unwrap();
    assert_eq!(migrations.len(), number);
    for migration in migrations {
        assert_eq!(migration["reversibility"]["is"], "reversible", "{}: {:?}", migration["name"], found(migration));
    }
}

/// What the old application does with a table of people, and three migrations: one that has nothing to do with it, one that has, and
/// another that has not. The first takes half a second, so that no statement of `before` is still under way at the second.
async fn beside(name: &str, work: &str, up: &str, down: &str) -> Scenario {
    let scenario = Scenario::new(name).await.migration(
        "001_people",
        "CREATE TABLE people (id int PRIMARY KEY, name text, nick text);
         INSERT INTO people SELECT n, 'name ' || n, 'nick ' || n FROM generate_series(1, 100) n;",
        "DROP TABLE people;",
    );
    scenario.up().await.succeeds();
    scenario.write("work.sql", work);
    scenario
        .config(PATIENT)
        .migration("002_calm", "CREATE TABLE calm (); SELECT pg_sleep(0.5);", "DROP TABLE calm;")
        .migration("003_harsh", up, down)
        .migration("004_calm", "CREATE TABLE calmer ();", "DROP TABLE calmer;")
}

fn felt<'a>(rehearsal: &'a Value, phase: &str) -> &'a Value {
    let phases = rehearsal["workload"]["phases"].as_array().unwrap();
    phases.iter().find(|felt| felt["phase"] == phase).unwrap_or_else(|| panic!("no `{phase}` in {phases:#?}"))
}

const PHASES: [&str; 5] = ["before", "002_calm", "003_harsh", "004_calm", "after"];

/// The same phases in every rehearsal of those migrations, and in each at least one statement that was sent, if it took its time.
fn all_phases_are_told(rehearsal: &Value) {
    let phases: Vec<&str> = rehearsal["workload"]["phases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|felt| felt["phase"].as_str().unwrap())
        .collect();
    assert_eq!(phases, PHASES);
    for phase in ["before", "002_calm", "after"] {
        let felt = felt(rehearsal, phase);
        assert!(felt["done"].as_u64().unwrap() + felt["failed"].as_u64().unwrap() > 0, "{felt}");
    }
}

#[tokio::test]
async fn what_the_old_application_can_no_longer_do_is_told_from_its_migration_on() {
    let work = "-- weight: 3\nSELECT nick FROM people WHERE id = 7;\n\nSELECT name FROM people WHERE id = 7;\n";
    let up = "-- lockgate: irreversible\nALTER TABLE people DROP COLUMN nick;";
    let scenario = beside("workload_drop", work, up, "SELECT 1;").await;
    scenario.remove("migrations/003_harsh.down.sql");
    let before = scenario.state().await;
    let rehearsal = scenario.run("rehearse --fresh --workload work.sql --output json").await.succeeds().json();
    assert_eq!((&rehearsal["workload"]["file"], &rehearsal["workload"]["clients"]), (&"work.sql".into(), &4.into()));
    all_phases_are_told(&rehearsal);
    assert_eq!(felt(&rehearsal, "before")["failed"], 0, "{rehearsal}");
    let (mut failed, mut done) = (0, 0);
    for phase in &PHASES[2..] {
        let felt = felt(&rehearsal, phase);
        for error in felt["errors"].as_array().unwrap() {
            assert_eq!(error["message"], "column \"nick\" does not exist", "{felt}");
            assert_eq!(error["statement"], "SELECT nick FROM people WHERE id = 7", "{felt}");
        }
        failed += felt["failed"].as_u64().unwrap();
        done += felt["done"].as_u64().unwrap();
    }
    assert!(failed > 0 && done > 0, "one fails, and the other goes on: {rehearsal}");
    assert!(felt(&rehearsal, "after")["failed"].as_u64().unwrap() > 0, "{rehearsal}");
    scenario.is_still(&before).await;
    left_nothing(&scenario).await;
    let text = scenario.run("rehearse --fresh --workload work.sql --clients 1").await.succeeds();
    text.prints("003_harsh").prints("column \"nick\" does not exist");
}

#[tokio::test]
async fn a_long_lock_is_felt_in_the_phase_of_its_migration() {
    // Locked is some time after the phase has begun, so that those who wait have begun in it.
    let up = "SELECT pg_sleep(0.5); LOCK TABLE people IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(2);";
    let work = "SELECT name FROM people WHERE id = 7;";
    let scenario = beside("workload_lock", work, up, "SELECT 1;").await;
    let rehearsal = scenario.run("rehearse --fresh --workload work.sql --clients 2 --report r.html --output json");
    let rehearsal = rehearsal.await.succeeds().json();
    all_phases_are_told(&rehearsal);
    let ms = |phase: &str, what: &str| felt(&rehearsal, phase)[what].as_f64().unwrap();
    assert!(ms("003_harsh", "max_ms") >= 1_500.0, "{}", felt(&rehearsal, "003_harsh"));
    // Who had come meanwhile would have waited as well: that is most of the phase.
    assert!(ms("003_harsh", "p50_ms") > 200.0, "{}", felt(&rehearsal, "003_harsh"));
    assert!(ms("before", "p95_ms") < ms("003_harsh", "p95_ms"), "{}", felt(&rehearsal, "before"));
    for phase in PHASES {
        assert_eq!(felt(&rehearsal, phase)["failed"], 0, "{}", felt(&rehearsal, phase));
    }
    let html = fs::read_to_string(scenario.path("r.html")).unwrap();
    assert!(html.contains("What clients felt") && html.contains("work.sql"), "the report has it");
}

#[tokio::test]
async fn a_workload_that_cannot_be_run_is_refused_before_anything_is_rehearsed() {
    // Whoever rehearsed first would still be at it.
    let scenario = small("workload_bad", "SELECT pg_sleep(3600);", "SELECT 1;").await;
    let before = scenario.state().await;
    let refused = async |work: &str, said: &str| {
        scenario.write("work.sql", work);
        let outcome = scenario.run("rehearse --fresh --workload work.sql").await.refuses_with(2);
        outcome.says("the workload `work.sql`").says(said);
        left_nothing(&scenario).await;
    };
    refused("SELECT id FROM a;\nBEGIN;\n", "work.sql:2: it controls a transaction").await;
    refused("SELECT id FROM a;\n\nSELECT nick FROM a;\n", "work.sql:3: column \"nick\" does not exist").await;
    refused("-- nothing\n", "has no statement").await;
    if has_pgbench() {
        refused("\\set id random(1, 9)\nSELECT nick FROM a;\n", "column \"nick\" does not exist").await;
    }
    scenario
        .run("rehearse --fresh --workload none.sql")
        .await
        .refuses_with(2)
        .says("`none.sql`")
        .says("cannot be read");
    scenario.is_still(&before).await;
}

/// Whether there is a pgbench; printed where there is none.
fn has_pgbench() -> bool {
    let folder = std::env::var_os("LOCKGATE_PG_BIN").map_or_else(|| "/usr/lib/postgresql/15/bin".into(), PathBuf::from);
    let there = folder.join("pgbench").is_file();
    if !there {
        println!("left out: there is no pgbench in {}", folder.display());
    }
    there
}

#[tokio::test]
async fn a_script_for_pgbench_runs_beside_the_migrations() {
    if !has_pgbench() {
        return;
    }
    let work = "\\set id random(1, 100)\nBEGIN;\nSELECT nick FROM people WHERE id = :id FOR UPDATE;\n\
                UPDATE people SET name = 'x' WHERE id = :id;\nEND;\n";
    let up = "ALTER TABLE people RENAME COLUMN nick TO alias;";
    let scenario = beside("workload_pgbench", work, up, "ALTER TABLE people RENAME COLUMN alias TO nick;").await;
    let rehearsal = scenario.run("rehearse --fresh --workload work.sql --clients 2 --output json");
    let rehearsal = rehearsal.await.succeeds().json();
    all_phases_are_told(&rehearsal);
    let before = felt(&rehearsal, "before");
    assert!(before["failed"] == 0 && before["done"].as_u64().unwrap() > 0, "{before}");
    let after = felt(&rehearsal, "after");
    assert!(after["failed"].as_u64().unwrap() > 0, "{after}");
    assert_eq!(after["errors"][0]["message"], "column \"nick\" does not exist");
    assert_eq!(scenario.value("SELECT count(*) FROM people WHERE name = 'x'").await, "0", "it works on the copy");
    left_nothing(&scenario).await;
}
