//! A rehearsal tells what production would see, on a copy that is gone afterwards.

use std::{collections::BTreeSet, fs, time::Duration};

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

/// The base of the planted and the innocent migrations, applied; and a folder of those pending.
async fn on_the_base(name: &str, pending: &str) -> Scenario {
    let scenario = Scenario::new(name).await.fixtures("rehearsal/base");
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
        format!("{} {} {}", text(&fault["code"]), text(&change["kind"]), text(&change["name"])).trim_end().to_owned()
    };
    let hazard = |hazard: &Value| format!("{} {}", text(&hazard["code"]), text(&hazard["relation"]));
    let faults = migration["faults"].as_array().unwrap().iter().map(fault);
    faults.chain(migration["hazards"].as_array().unwrap().iter().map(hazard)).collect()
}

/// Each planted fault, and what must be said of it; nothing else may be.
const PLANTED: [(&str, &[&str]); 28] = [
    ("101", &["left-behind index users_name", "index-not-concurrent users"]),
    ("102", &["left-behind enum value mood.angry"]),
    ("103", &["drops-too-much default users.status"]),
    ("104", &["left-behind comment users.name"]),
    ("105", &["left-behind privilege orders"]),
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
    ("118", &["drops-too-much function full_name(users)"]),
    ("119", &["left-behind policy notes.notes_own"]),
    ("120", &["drops-too-much constraint users.users_score_sane", "left-behind constraint users.users_score_positive", "check-scan users"]),
    ("121", &["data-not-restored"]),
    ("122", &["not-restored column order users", "data-not-restored"]),
    ("123", &["not-restored trigger users.users_touch"]),
    ("124", &["up-differs table made"]),
    ("125", &["rewrite orders"]),
    ("126", &["left-behind sequence invoices"]),
    ("127", &["not-restored row security orders"]),
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
