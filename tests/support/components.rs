//! Components: those of the fixtures, and made-up ones of which only the shape counts.

use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{ManglingAndAbi, Resolve};

use crate::scenario::{Scenario, fixture};

/// The interface that the host offers.
const WIT: &str = include_str!("../../wit/lockgate.wit");

/// A migration that misbehaves as the table `hostile_behaviour` tells it to.
pub fn hostile() -> Vec<u8> {
    fixture("guests/hostile.wasm")
}

/// A migration whose plan is what the table `plan_steps` says.
pub fn steps() -> Vec<u8> {
    fixture("guests/steps.wasm")
}

/// Rows of `plan_steps`: way, kind, body, probe.
pub type Steps<'a> = &'a [(&'a str, &'a str, &'a str, &'a str)];

/// The first migration makes the tables that the second, a component, reads its plan from and works on.
pub async fn planned(name: &str, rows: Steps<'_>) -> Scenario {
    let scenario = Scenario::new(name)
        .await
        .migration(
            "001_tables",
            "CREATE TABLE plan_steps (way text, position serial, kind text, body text, probe text);
             CREATE TABLE trace (name text);
             CREATE TABLE objections ();
             CREATE TABLE target (id int PRIMARY KEY);
             CREATE TABLE source (id int PRIMARY KEY);
             INSERT INTO source SELECT generate_series(1, 7);",
            "DROP TABLE plan_steps, trace, objections, target, source;",
        )
        .component("002_steps", &self::steps())
        .await;
    scenario.run("up --no-backup --to 1").await.succeeds();
    plan(&scenario, rows).await;
    scenario
}

/// Puts other steps in the stead of those that it reads.
pub async fn plan(scenario: &Scenario, steps: Steps<'_>) {
    scenario.lines("TRUNCATE plan_steps").await;
    for (way, kind, body, probe) in steps {
        let quoted = [way, kind, body, probe].map(|text| format!("'{}'", text.replace('\'', "''")));
        let sql = format!("INSERT INTO plan_steps (way, kind, body, probe) VALUES ({})", quoted.join(", "));
        scenario.lines(&sql).await;
    }
}

/// A migration that uses cursors, COPY and savepoints as the table `handles_behaviour` tells it to.
pub fn handles() -> Vec<u8> {
    fixture("guests/handles.wasm")
}

/// A migration that copies `values_in` to `values_out`, value by value.
pub fn values() -> Vec<u8> {
    fixture("guests/values.wasm")
}

/// The part of `lockgate.toml` with these settings of the auth service's migration 004, for the component that is pinned.
pub fn token_settings(settings: &str) -> String {
    let lock = String::from_utf8(fixture("../../migrations/lockgate.lock")).unwrap();
    let (_, section) = lock.split_once("[components.\"004_hash_session_tokens.wasm\"]").unwrap();
    let digest = section.lines().find_map(|line| line.strip_prefix("digest = ")).unwrap();
    format!(
        "[plugin.004_hash_session_tokens]\ndigest = {digest}\n[plugin.004_hash_session_tokens.config]\n{settings}\n"
    )
}

/// A text of the fixtures.
pub fn text(path: &str) -> String {
    String::from_utf8(fixture(path)).unwrap()
}

/// A component of the world `migration` of this host, whose functions all trap.
pub fn trapping() -> Vec<u8> {
    of_wit(WIT, "migration")
}

/// A component that was built for another version of the interface.
pub fn of_version(version: &str) -> Vec<u8> {
    let current = "package lockgate:migration@0.1.0;";
    assert!(WIT.contains(current));
    of_wit(&WIT.replace(current, &format!("package lockgate:migration@{version};")), "migration")
}

/// A component of the interface's version with another `program` in it.
pub fn with_program(functions: &str) -> Vec<u8> {
    let wit = format!(
        "package lockgate:migration@0.1.0; interface program {{ {functions} }} world migration {{ export program; }}"
    );
    of_wit(&wit, "migration")
}

/// A component that has nothing to do with migrations.
pub fn of_no_migration() -> Vec<u8> {
    of_wit("package made:up; interface greeter { greet: func() -> string; } world hello { export greeter; }", "hello")
}

/// A migration that also wants to know the time.
pub fn importing_a_clock() -> Vec<u8> {
    let world = "world migration {";
    assert!(WIT.contains(world));
    // From a package of its own, as the one of `wasi:clocks`.
    let wit = WIT.replace(world, &format!("{world}\n    import made:up/clock;"));
    of_wit(&format!("{wit}\npackage made:up {{ interface clock {{ now: func() -> u64; }} }}"), "migration")
}

/// A component of the world `migration` around a core module, which also imports what these lines of WIT say.
pub(crate) fn of_module(mut module: Vec<u8>, imports: &str, packages: &str) -> Vec<u8> {
    let world = "world migration {";
    assert!(WIT.contains(world));
    let wit = WIT.replace(world, &format!("{world}\n{imports}")) + packages;
    let mut resolve = Resolve::default();
    let package = resolve.push_str("made_up.wit", &wit).unwrap();
    let world = resolve.select_world(&[package], Some("migration")).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().module(&module).unwrap().validate(true).encode().unwrap()
}

/// A migration that wants to speak HTTP.
pub fn importing_http() -> Vec<u8> {
    let world = "world migration {";
    let wit = WIT.replace(world, &format!("{world}\n    import wasi:http/types@0.2.0;"));
    of_wit(&format!("{wit}\npackage wasi:http@0.2.0 {{ interface types {{ now: func() -> u64; }} }}"), "migration")
}

fn of_wit(wit: &str, world: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("made_up.wit", wit).unwrap();
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    let mut module = dummy_module(&resolve, world, ManglingAndAbi::Standard32);
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().module(&module).unwrap().validate(true).encode().unwrap()
}

/// A component in the text format.
pub fn of_wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

/// A component of the world `migration` of this host, from a core module in the text format with the functions of the world.
pub fn of_functions(text: &str) -> Vec<u8> {
    of_module(wat::parse_str(text).unwrap(), "", "")
}

/// A component of the only world of the first package of a text, whose functions all trap.
pub fn of_world(wit: &str) -> Vec<u8> {
    of_wit(wit, if wit.contains("world migration") { "migration" } else { "hello" })
}

/// A component with that many bytes more, in a custom section that means nothing.
pub fn padded(component: &[u8], bytes: u32) -> Vec<u8> {
    let mut padded = component.to_vec();
    // The section's number, its size, the length of its empty name: the numbers in LEB128.
    let mut size = bytes + 1;
    padded.push(0);
    while size >= 0x80 {
        padded.push((size & 0x7f) as u8 | 0x80);
        size >>= 7;
    }
    padded.extend([size as u8, 0]);
    padded.resize(padded.len() + bytes as usize, 0);
    padded
}
