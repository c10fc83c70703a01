//! A component is refused before anything runs, unless it is the one that was pinned and fits the host.

use lockgate_tests::{Scenario, components};

/// A pinned component is refused with these words, and nothing has changed.
async fn is_refused(bytes: &[u8], words: &[&str]) {
    let scenario = Scenario::new("component").await.tables(&["a"]).component("002_guest", bytes).await;
    let before = scenario.state().await;
    for arguments in ["up", "up --dry-run"] {
        let outcome = scenario.run(arguments).await.refuses_with(2).says("002_guest.wasm: ");
        words.iter().fold(outcome, |outcome, words| outcome.says(words));
    }
    assert!(!scenario.has_history().await);
    scenario.is_still(&before).await;
}

#[tokio::test]
async fn bytes_that_are_no_component_are_refused() {
    is_refused(b"SELECT 1", &["it is no WebAssembly component", "next: build it again"]).await;
}

#[tokio::test]
async fn a_module_that_is_no_component_is_refused() {
    is_refused(b"\0asm\x01\0\0\0", &["it is a core WebAssembly module, not a component", "`lockgate plugin build`"])
        .await;
}

#[tokio::test]
async fn a_component_that_was_cut_off_is_refused() {
    let bytes = components::hostile();
    is_refused(&bytes[..bytes.len() / 2], &["it is no WebAssembly component"]).await;
}

#[tokio::test]
async fn a_component_without_the_export_is_refused() {
    is_refused(
        &components::of_no_migration(),
        &["it does not export `lockgate:migration/program@0.1.0`, so it is no migration"],
    )
    .await;
}

#[tokio::test]
async fn a_component_whose_export_lacks_functions_is_refused() {
    is_refused(&components::with_program("run: func();"), &["it does not fit lockgate:migration 0.1.0: ", "describe"])
        .await;
}

#[tokio::test]
async fn a_component_for_another_version_is_refused() {
    for version in ["0.2.0", "1.0.0"] {
        is_refused(
            &components::of_version(version),
            &[&format!("it was built for lockgate:migration {version}; this host offers 0.1.0")],
        )
        .await;
    }
}

#[tokio::test]
async fn a_component_for_a_patch_release_is_accepted() {
    // It gets as far as being asked what it is, and being made up it traps there.
    is_refused(&components::of_version("0.1.7"), &["its `describe` failed: the plugin is at fault"]).await;
}

#[tokio::test]
async fn a_component_that_imports_what_the_host_lacks_is_refused() {
    is_refused(
        &components::importing_a_clock(),
        &["it imports `made:up/clock`, which this host does not offer: a migration sees the database, a log and"],
    )
    .await;
}

#[tokio::test]
async fn a_component_that_traps_when_asked_what_it_is_is_refused() {
    is_refused(&components::trapping(), &["its `describe` failed: the plugin is at fault"]).await;
}

#[tokio::test]
async fn a_component_larger_than_the_limit_is_refused() {
    let scenario = Scenario::new("large").await.component("001_guest", &components::hostile()).await;
    let scenario = scenario.config("[plugins]\ncomponent_max_bytes = 1000");
    scenario
        .run("plugin pin")
        .await
        .fails_with(2)
        .says("at most 1000 are allowed (`component_max_bytes`)")
        .says("a larger one takes a higher `component_max_bytes`");
    scenario.up().await.refuses_with(2).says("at most 1000 are allowed (`component_max_bytes`)");
    assert!(!scenario.has_history().await);
}

#[tokio::test]
async fn a_component_that_nobody_pinned_is_refused() {
    let scenario = Scenario::new("unpinned").await.unpinned("001_guest", &components::hostile());
    scenario
        .up()
        .await
        .refuses_with(2)
        .says("`001_guest.wasm` is not pinned in lockgate.lock")
        .says("next: review it, then run `lockgate plugin pin`");
    assert!(!scenario.has_history().await);
}

#[tokio::test]
async fn a_component_that_is_not_the_pinned_one_is_refused() {
    let scenario = Scenario::new("swapped").await.component("001_guest", &components::values()).await;
    scenario.write("migrations/001_guest.wasm", components::hostile());
    scenario.up().await.refuses_with(2).says("`001_guest.wasm` is not the one that was pinned: its digest is ");
    assert!(!scenario.has_history().await);
}

#[tokio::test]
async fn a_pinned_component_that_is_gone_is_missed() {
    let scenario = Scenario::new("gone").await.tables(&["a"]).component("002_guest", &components::hostile()).await;
    scenario.remove("migrations/002_guest.wasm");
    scenario.up().await.refuses_with(2).says("`002_guest.wasm` is pinned, but not there");
    assert!(!scenario.has_history().await);
}

#[tokio::test]
async fn a_damaged_lock_file_is_refused() {
    let scenario = Scenario::new("damaged_lock").await.tables(&["a"]).file("lockgate.lock", "[components\n");
    scenario.up().await.refuses_with(2).says("migrations/lockgate.lock: it is damaged");
}

#[tokio::test]
async fn sql_files_beside_a_component_of_the_same_name_are_refused() {
    let scenario = Scenario::new("both")
        .await
        .file("001_guest.up.sql", "SELECT 1")
        .component("001_guest", &components::hostile())
        .await;
    scenario.up().await.refuses_with(2).says("one migration is both SQL and a component: ");
}

#[tokio::test]
async fn all_unfit_components_are_reported_at_once() {
    let scenario = Scenario::new("unfit")
        .await
        .file("001_one.wasm", "one")
        .file("002_two.wasm", components::of_version("0.9.0"))
        .component("003_three", &components::importing_a_clock())
        .await;
    scenario
        .up()
        .await
        .refuses_with(2)
        .says("the migrations folder has 3 problems")
        .says("001_one.wasm: ")
        .says("002_two.wasm: ")
        .says("003_three.wasm: ");
}
