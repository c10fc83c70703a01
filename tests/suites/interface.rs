//! Interface 0.1 is frozen: what was built for it runs for ever, and nobody changes it by accident.

use std::{fs, path::Path};

use lockgate_tests::{Interface, Scenario, components};

/// `wit/lockgate.wit` as it was when 0.1.0 was frozen. Never changed again.
const FROZEN: &str = include_str!("../fixtures/wit/0.1.0.wit");
const PRESENT: &str = include_str!("../../wit/lockgate.wit");

/// What breaks in the frozen interface when `from` in it becomes `to`.
#[track_caller]
fn breaks(from: &str, to: &str) -> Vec<String> {
    assert!(FROZEN.contains(from), "`{from}` is not in the interface");
    Interface::parse(&FROZEN.replacen(from, to, 1)).breaks_since(&Interface::parse(FROZEN))
}

#[test]
fn the_frozen_interface_is_unbroken() {
    let breaks = Interface::parse(PRESENT).breaks_since(&Interface::parse(FROZEN));
    assert!(breaks.is_empty(), "components built for 0.1.0 no longer run:\n{}", breaks.join("\n"));
}

#[test]
fn every_change_that_breaks_a_component_is_noticed() {
    for (what, from, to) in [
        ("a case of another type", "int2(s16)", "int2(s32)"),
        ("a case that is renamed", "boolean(bool)", "truth(bool)"),
        ("a case that is added", "raw(raw-value),", "raw(raw-value), money(s64),"),
        ("a case that is gone", "json(string),", ""),
        ("cases in another order", "        null,\n        boolean(bool),", "        boolean(bool),\n        null,"),
        ("a case of an enum that is added", "block,\n    }", "block, panic,\n    }"),
        ("a field that is renamed", "type-oid: u32", "type-number: u32"),
        ("a field of another type", "type-oid: u32", "type-oid: u64"),
        ("a field that is added", "type-oid: u32,", "type-oid: u32, nullable: bool,"),
        ("fields in another order", "months: s32,\n        days: s32,", "days: s32,\n        months: s32,"),
        ("a function that is gone", "execute: func(sql: string, params: list<value>) -> result<u64, error>;", ""),
        (
            "a parameter that is renamed",
            "log: func(level: level, message: string);",
            "log: func(level: level, text: string);",
        ),
        ("a parameter that is added", "get: func(key: string)", "get: func(key: string, default: string)"),
        ("another result", "get: func(key: string) -> option<string>", "get: func(key: string) -> string"),
        ("a method that becomes static", "rollback: func()", "rollback: static func()"),
        (
            "a function that every component would have to export",
            "    describe: func()",
            "    version: func() -> string;\n    describe: func()",
        ),
        ("an import that is gone", "    import progress;\n", ""),
        ("another version", "lockgate:migration@0.1.0", "lockgate:migration@0.2.0"),
    ] {
        assert!(!breaks(from, to).is_empty(), "{what} went unnoticed");
    }
}

#[test]
fn what_is_new_breaks_nothing() {
    for (from, to) in [
        ("    get: func(key: string)", "    keys: func() -> list<string>;\n    get: func(key: string)"),
        ("    record other-error", "    enum mood { good, bad }\n    record other-error"),
        ("        columns: func()", "        close: func();\n        columns: func()"),
        ("world migration {", "interface time { now: func() -> u64; }\nworld migration {\n    import time;"),
        ("lockgate:migration@0.1.0", "lockgate:migration@0.1.1"),
        ("/// SQL NULL of any type.", "/// Said in other words."),
    ] {
        assert_eq!(breaks(from, to), Vec::<String>::new());
    }
}

/// Each was built once, from the sources beside it, and is never built again.
#[tokio::test]
async fn components_built_for_the_frozen_interface_run_for_ever() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/guests/frozen/0.1.0");
    let guests: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!guests.is_empty());
    for guest in guests {
        let scenario = Scenario::new("frozen")
            .await
            .migration(
                "001_values",
                components::text("guests/frozen/values.sql").as_str(),
                "DROP TABLE values_in, values_out, marks; DROP TYPE mood;",
            )
            .component("002_guest", &fs::read(guest).unwrap())
            .await;
        scenario.run("up --no-backup --to 1").await.succeeds();
        let before = scenario.state().await;
        scenario.up().await.succeeds().prints("applied 002_guest").prints("info: every function was called [frozen]");
        assert_eq!(scenario.lines("SELECT * FROM values_in").await, scenario.lines("SELECT * FROM values_out").await);
        assert_eq!(scenario.lines("SELECT mark FROM marks ORDER BY mark").await, ["batched", "copied", "kept"]);
        scenario.down("002").await.succeeds();
        scenario.is_still(&before).await;
    }
}
