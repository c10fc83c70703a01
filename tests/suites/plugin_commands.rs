//! What an operator grants, pins, warms and inspects, and what a component sees of it.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::PathBuf,
};

use nix::{sys::stat::Mode, unistd::mkfifo};

use lockgate_tests::{Outcome, Scenario, WasiGuest, components};

/// The digest of a migration's component, as `lockgate.lock` has it.
fn digest(scenario: &Scenario, name: &str) -> String {
    let lock = fs::read_to_string(scenario.path("migrations/lockgate.lock")).unwrap();
    let entry = lock.split(&format!("{name}.wasm")).nth(1).unwrap();
    entry.split("digest = \"").nth(1).unwrap()[..64].to_owned()
}

/// `[plugin.001_guest]` for the component that is there.
fn granted(scenario: &Scenario, lines: &str) -> String {
    format!("[plugin.001_guest]\ndigest = \"{}\"\n{lines}\n", digest(scenario, "001_guest"))
}

async fn with_guest(guest: WasiGuest) -> Scenario {
    Scenario::new("plugin").await.component("001_guest", &guest.build()).await
}

/// A component with other bytes.
fn another() -> Vec<u8> {
    WasiGuest::default().wants_randomness(false).build()
}

/// What the WASI guest said that it saw: the word after this one.
fn seen(outcome: &Outcome, what: &str) -> u64 {
    let rest = outcome.stderr.split(&format!("{what} ")).nth(1);
    let rest = rest.unwrap_or_else(|| panic!("no `{what}` in {}", outcome.stderr));
    u64::from_str_radix(&rest[..16], 16).unwrap()
}

/// The entries of the code cache.
fn entries(scenario: &Scenario) -> Vec<PathBuf> {
    scenario.files(".cache/lockgate").iter().map(|name| scenario.path(".cache/lockgate").join(name)).collect()
}

// WASI and grants.

#[tokio::test]
async fn wasi_is_empty_and_tells_nothing() {
    let (one, two) = (with_guest(WasiGuest::default()).await, with_guest(WasiGuest::default()).await);
    let (one, two) = (one.up().await.succeeds(), two.up().await.succeeds());
    assert_eq!(seen(&one, "seconds"), 946_684_800);
    assert_eq!(seen(&one, "given"), 0, "environment, arguments and folders");
    for what in ["random", "monotonic"] {
        assert_eq!(seen(&one, what), seen(&two, what), "{what}");
    }
    one.says("WARN").says("printed to stderr");
}

#[tokio::test]
async fn a_granted_clock_tells_the_time() {
    let scenario = with_guest(WasiGuest::default().wants_clock(true)).await;
    let scenario = {
        let text = granted(&scenario, "grants = [\"clock\"]");
        scenario.config(&text)
    };
    let outcome = scenario.up().await.succeeds();
    assert!(seen(&outcome, "seconds") > 1_700_000_000);
}

#[tokio::test]
async fn granted_random_numbers_are_random() {
    let scenario = with_guest(WasiGuest::default()).await;
    let same = seen(&scenario.up().await.succeeds(), "random");
    let scenario = with_guest(WasiGuest::default().wants_randomness(false)).await;
    assert_eq!(seen(&scenario.up().await.succeeds(), "random"), same);
    let scenario = with_guest(WasiGuest::default().wants_randomness(false)).await;
    let scenario = {
        let text = granted(&scenario, "grants = [\"randomness\"]");
        scenario.config(&text)
    };
    assert_ne!(seen(&scenario.up().await.succeeds(), "random"), same);
}

#[tokio::test]
async fn what_is_required_and_not_granted_stops_the_run_before_anything() {
    let scenario = with_guest(WasiGuest::default().wants_clock(true).wants_config("keep", true)).await;
    let before = scenario.state().await;
    let outcome = scenario
        .up()
        .await
        .refuses_with(2)
        .says("it requires what it was not granted: `clock` (to see the world); `config:keep` (to see the world)")
        .says("grants = [\"clock\"]")
        .says("[plugin.001_guest.config]")
        .says(&digest(&scenario, "001_guest"));
    scenario.is_still(&before).await;
    // The very lines that it says are enough.
    let lines: Vec<&str> = outcome.stderr.lines().filter(|line| line.starts_with("        ")).map(str::trim).collect();
    let scenario = scenario.config(&lines.join("\n"));
    scenario.up().await.succeeds();
}

#[tokio::test]
async fn what_no_host_knows_is_refused() {
    let scenario = with_guest(WasiGuest::default().wants_other("teleport", true)).await;
    scenario.up().await.refuses_with(2).says("`other:teleport` (to see the world), which this host does not know");
    with_guest(WasiGuest::default().wants_other("teleport", false)).await.up().await.succeeds();
}

#[tokio::test]
async fn grants_hold_for_one_component_only() {
    let scenario = with_guest(WasiGuest::default().wants_clock(true)).await;
    let text = granted(&scenario, "grants = [\"clock\"]");
    let scenario = scenario
        .config(&text)
        .component("001_guest", &WasiGuest::default().sleeps_s(0).wants_clock(false).build())
        .await;
    let before = scenario.state().await;
    scenario
        .up()
        .await
        .refuses_with(2)
        .says("[plugin.001_guest] in lockgate.toml is for the component ")
        .says(&digest(&scenario, "001_guest"))
        .says("next: review what has changed");
    scenario.is_still(&before).await;
}

#[tokio::test]
async fn a_section_for_no_component_is_mentioned() {
    let scenario = Scenario::new("stranger").await.tables(&["a"]).config("[plugin.009_gone.limits]\ncpu_max_s = 5\n");
    scenario
        .up()
        .await
        .succeeds()
        .says("[plugin.009_gone] in lockgate.toml is for no component of the migrations folder");
}

#[tokio::test]
async fn a_guest_that_sleeps_is_cut_off() {
    let scenario = with_guest(WasiGuest::default().sleeps_s(600))
        .await
        .config("[plugins]\ncpu_max_s = 1\n[plugin.001_guest.limits]\nwall_clock_max_s = 2\n");
    let before = scenario.state().await;
    // Not the time on the processor: it slept.
    scenario.up().await.fails_with(1).says("it reached its limit of time in all, 2 s");
    scenario.is_still(&before).await;
}

#[tokio::test]
async fn http_is_refused_by_name() {
    let scenario = Scenario::new("http").await.component("001_guest", &components::importing_http()).await;
    scenario.up().await.refuses_with(2).says("it imports `wasi:http/types@0.2.0`, but a migration has no network");
}

// The code cache.

#[tokio::test]
async fn a_component_is_compiled_once() {
    let scenario = Scenario::new("cache").await.unpinned("001_guest", &WasiGuest::default().build());
    let file = "migrations/001_guest.wasm";
    scenario.run("plugin warm").await.succeeds().prints("001_guest.wasm: compiled in ");
    scenario.run("plugin warm").await.succeeds().prints("001_guest.wasm: cached already");
    scenario.run(&format!("plugin warm {file}")).await.succeeds().prints("cached already");
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(scenario.path(".cache/lockgate")), mode(entries(&scenario)[0].clone())), (0o700, 0o600));
    let warmed = scenario.run("plugin warm --output json").await.succeeds().json();
    assert_eq!(warmed[0]["cached_already"], true);
}

#[tokio::test]
async fn a_broken_entry_is_compiled_again() {
    let scenario = Scenario::new("broken").await.unpinned("001_guest", &WasiGuest::default().build());
    scenario.run("plugin warm").await.succeeds();
    let [entry] = entries(&scenario).try_into().unwrap();
    let good = fs::read(&entry).unwrap();
    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    for bad in [flipped, good[..good.len() / 2].to_vec(), Vec::new()] {
        fs::write(&entry, bad).unwrap();
        scenario
            .run("plugin warm")
            .await
            .succeeds()
            .prints("compiled in ")
            .says("an entry of the code cache is broken; the component is compiled again");
        assert!(fs::read(&entry).unwrap().len() == good.len());
    }
}

#[tokio::test]
async fn a_folder_that_is_not_ours_alone_is_done_without() {
    let scenario = Scenario::new("open_cache").await.component("001_guest", &WasiGuest::default().build()).await;
    fs::remove_dir_all(scenario.path(".cache")).unwrap();
    let open = scenario.path("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    symlink(scenario.path("migrations"), scenario.path("link")).unwrap();
    for (folder, words) in [("open", "others may write to it"), ("link", "it is a link")] {
        let call = || scenario.run("plugin verify").env("LOCKGATE_CACHE_DIR", scenario.path(folder));
        call().await.succeeds().says("the code cache cannot be used").says(words);
        scenario.run("plugin warm --cache-dir").arg(scenario.path(folder)).await.refuses_with(2).says(words);
        let left = scenario.files(folder).into_iter().filter(|name| name.ends_with(".compiled")).count();
        assert_eq!(left, 0, "{folder}");
    }
}

#[tokio::test]
async fn another_users_folder_is_done_without() {
    // Only a superuser of the machine can give a folder away; for everyone else `/` is another's.
    let scenario = Scenario::new("foreign").await.component("001_guest", &WasiGuest::default().build()).await;
    let foreign = scenario.path("foreign");
    fs::create_dir(&foreign).unwrap();
    let folder = match std::os::unix::fs::chown(&foreign, Some(65_534), None) {
        Ok(()) => foreign,
        Err(_) => PathBuf::from("/"),
    };
    let call = scenario.run("plugin verify").env("LOCKGATE_CACHE_DIR", &folder);
    call.await.succeeds().says("the code cache cannot be used").says("it belongs to user ");
}

#[tokio::test]
async fn without_a_cache_nothing_is_kept() {
    let scenario = Scenario::new("no_cache").await.component("001_guest", &WasiGuest::default().build()).await;
    fs::remove_dir_all(scenario.path(".cache")).unwrap();
    scenario.run("up --no-backup --no-cache").await.succeeds();
    scenario.run("plugin verify").env("LOCKGATE_NO_CACHE", "true").await.succeeds();
    assert!(!scenario.path(".cache").exists());
    scenario.run("plugin warm --no-cache").await.refuses_with(2).says("there is no code cache to warm");
}

#[tokio::test]
async fn native_code_among_the_migrations_is_refused() {
    let scenario = Scenario::new("native").await.unpinned("001_guest", &WasiGuest::default().build());
    scenario.run("plugin warm").await.succeeds();
    let entry = fs::read(&entries(&scenario)[0]).unwrap();
    let start = entry.windows(4).position(|bytes| bytes == b"\x7fELF").unwrap();
    let scenario = scenario.component("001_guest", &entry[start..]).await;
    for arguments in ["up", "plugin verify", "plugin warm"] {
        scenario.run(arguments).await.refuses_with(2).says("it is native code");
    }
    assert!(!scenario.has_history().await);
}

#[tokio::test]
async fn a_compiler_that_takes_too_long_is_given_up() {
    let scenario = Scenario::new("slow").await.component("001_guest", &components::hostile()).await;
    let scenario = scenario.config("[plugin.001_guest.limits]\ncompile_max_s = 0\n");
    scenario
        .run("up --no-cache")
        .await
        .refuses_with(2)
        .says("it reached its limit of time to compile it, 0 s (raise it with `compile_max_s`");
}

// Inspecting, verifying, pinning.

#[tokio::test]
async fn inspect_tells_everything() {
    let scenario = with_guest(WasiGuest::default().wants_clock(false).wants_config("keep", true)).await;
    let text = granted(&scenario, "[plugin.001_guest.config]\nkeep = true");
    let scenario = scenario.config(&text);
    let found = scenario.run("plugin inspect migrations/001_guest.wasm").await.succeeds();
    for line in [
        &format!("sha256      {}", digest(&scenario, "001_guest")),
        "pinned      yes",
        "interface   lockgate:migration 0.1.0 (this host offers 0.1.0)",
        "wasi        yes, empty",
        "wasi:clocks/wall-clock@0.2.0",
        "exports     lockgate:migration/program@0.1.0",
        "title       wasi guest",
        "reversible  yes",
        "asks for    clock: optional, not granted: to see the world",
        "config:keep: required, granted: to see the world",
        "cpu_max_s 60",
        "steps up    sql: SELECT 1",
    ] {
        assert!(found.stdout.contains(line), "{line} not in\n{}", found.stdout);
    }
    assert!(!scenario.has_history().await);
    let json = scenario.run("plugin inspect migrations/001_guest.wasm --output json").await.succeeds().json();
    assert_eq!(json["description"]["grants"][1]["granted"], true);
    assert_eq!((&json["wasi"], &json["pinned"]), (&true.into(), &"yes".into()));
}

#[tokio::test]
async fn inspect_needs_no_database() {
    let scenario = with_guest(WasiGuest::default()).await;
    let mut call = scenario.run("plugin inspect migrations/001_guest.wasm");
    for name in ["DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DB_PASSWORD"] {
        call = call.without(name);
    }
    call.await
        .succeeds()
        .prints("steps up    not known: only a plan tells, and that needs a database; none is configured");
    let call = scenario.run("plugin inspect migrations/001_guest.wasm").env("DB_PORT", "1");
    call.await.succeeds().prints("steps up    not known: cannot connect to ");
}

#[tokio::test]
async fn inspect_asks_no_component_for_its_plan_that_is_not_pinned() {
    let scenario = Scenario::new("unpinned").await.unpinned("001_guest", &WasiGuest::default().build());
    let inspect = async |pinned: &str, steps: &str| {
        let found = scenario.run("plugin inspect migrations/001_guest.wasm").await.succeeds();
        found.prints(&format!("pinned      {pinned}")).prints("title       wasi guest").prints(steps);
    };
    let not_asked = "steps up    not known: it is not pinned, so it is not asked for them";
    inspect("no\n", not_asked).await;
    scenario.run("plugin pin").await.succeeds();
    inspect("yes\n", "steps up    sql: SELECT 1").await;
    scenario.write("migrations/001_guest.wasm", another());
    inspect("no: lockgate.lock has another component of this name\n", not_asked).await;
}

#[tokio::test]
async fn inspect_tells_why_a_component_would_be_refused() {
    let scenario = Scenario::new("inspect").await;
    for (bytes, words) in [
        (components::of_version("0.9.0"), "it was built for lockgate:migration 0.9.0"),
        (components::of_no_migration(), "it does not export `lockgate:migration/program@0.1.0`"),
        (components::importing_http(), "a migration has no network"),
        (components::trapping(), "its `describe` failed: the plugin is at fault"),
        (b"SELECT 1".to_vec(), "it is no WebAssembly component"),
        (WasiGuest::default().wants_clock(true).build(), "it requires what it was not granted: `clock`"),
    ] {
        scenario.write("migrations/001_guest.wasm", bytes);
        let found = scenario.run("plugin inspect migrations/001_guest.wasm").await.exits_with(2);
        found.prints("refused     ").prints(words).prints("steps up    not known: it would be refused");
    }
    scenario
        .run("plugin inspect nowhere.wasm")
        .await
        .refuses_with(2)
        .says("`nowhere.wasm` is not inspected: it cannot be read");
}

#[tokio::test]
async fn what_is_no_file_of_a_bearable_size_is_not_read() {
    let scenario = Scenario::new("odd_files").await.unpinned("001_guest", &WasiGuest::default().build());
    let commands = async |words: &str| {
        scenario.run("plugin inspect migrations/002_odd.wasm").await.refuses_with(2).says(words);
        scenario.run("plugin warm migrations/002_odd.wasm").await.refuses_with(2).says(words);
        for command in ["plugin pin", "plugin warm"] {
            scenario.run(command).await.refuses_with(2).says("002_odd.wasm: ").says(words);
        }
        assert!(!scenario.path("migrations/lockgate.lock").exists());
    };
    let odd = scenario.path("migrations/002_odd.wasm");
    mkfifo(&odd, Mode::S_IRWXU).unwrap();
    scenario.run("plugin test migrations/002_odd.wasm").await.refuses_with(2).says("it is no regular file");
    commands("it is no regular file").await;
    fs::remove_file(&odd).unwrap();
    fs::File::create(&odd).unwrap().set_len(3 << 30).unwrap();
    commands("it has 3221225472 bytes; at most 67108864 are allowed (`component_max_bytes`)").await;
    fs::remove_file(&odd).unwrap();
    fs::create_dir(&odd).unwrap();
    commands("it is a folder").await;
    fs::remove_dir(&odd).unwrap();
    symlink("/dev/zero", scenario.path("migrations/lockgate.lock")).unwrap();
    scenario.run("plugin verify").await.refuses_with(2).says("lockgate.lock: it is no regular file");
}

#[tokio::test]
async fn a_missing_folder_is_a_matter_of_usage() {
    let scenario = Scenario::new("no_folder").await;
    fs::remove_dir(scenario.path("migrations")).unwrap();
    for command in ["pin", "verify", "warm"] {
        let outcome = scenario.run(&format!("plugin {command}")).await.refuses_with(2);
        outcome.says("the migrations folder `migrations` cannot be read").says("nothing was changed").says("--dir");
    }
    let outcome = scenario.run("plugin warm nope.wasm").await.refuses_with(2);
    outcome.says("not compiled: `nope.wasm`: it cannot be read").never_mentions("the migrations folder has");
}

#[tokio::test]
async fn rows_that_are_meant_to_stay_are_left_out_of_a_test() {
    let scenario = Scenario::new("audited").await.auth_migrations();
    let seed = "INSERT INTO users (email, username, password_hash, phone)
                VALUES ('ada@example.org', 'ada', '$2b$10$LockgateSeedUsersSalt.NeocchVlCxqBrF5QC2QTXzmkhQ/TnLm', '(415) 555-2671')";
    scenario.write("seed.sql", seed);
    let test = "plugin test migrations/003_normalize_phone_numbers.wasm --after 002 --setup seed.sql";
    let failed = scenario.run(test).await.exits_with(6);
    failed
        .prints("FAIL  compare")
        .says("content audit_logs")
        .says("next: let down bring the rows back; or, where they are meant to stay")
        .says("--ignore-content audit_logs")
        .never_mentions("no backup is taken")
        .never_mentions("no longer in the folder");
    let passed = scenario.run(&format!("{test} --ignore-content audit_logs")).await.succeeds();
    passed.prints("ok    compare").prints("ok    up again").prints("passed\n");
}

#[tokio::test]
async fn a_file_that_is_refused_is_not_called_gone() {
    let scenario = with_guest(WasiGuest::default()).await;
    scenario.up().await.succeeds();
    scenario.write("migrations/001_guest.wasm", another());
    let status = scenario.run("status").await.exits_with(2);
    status
        .prints("applied; the file is refused")
        .prints("1 refused")
        .does_not_print("gone")
        .says("is not the one that was pinned");
    scenario.up().await.exits_with(2).never_mentions("no longer in the folder").says("is not the one that was pinned");
}

#[tokio::test]
async fn verify_checks_every_component_without_a_database() {
    let scenario = with_guest(WasiGuest::default()).await.component("002_values", &another()).await;
    let fit = scenario.run("plugin verify").env("DB_PORT", "1").await.succeeds();
    fit.prints("001_guest.wasm: pinned, and fits this host").prints("002_values.wasm: pinned, and fits");
    scenario.write("migrations/002_values.wasm", components::of_version("0.9.0"));
    let scenario = scenario.unpinned("003_http", &components::importing_http());
    let call = scenario.run("plugin verify").env("DB_PORT", "1");
    call.await
        .refuses_with(2)
        .says("the migrations folder has 2 problems")
        .says("`002_values.wasm` is not the one that was pinned")
        .says("`003_http.wasm` is not pinned");
    scenario.run("plugin pin").await.succeeds().says("pinned, but it would be refused: it imports `wasi:http");
    let call = scenario.run("plugin verify").env("DB_PORT", "1");
    call.await.refuses_with(2).says("it was built for lockgate:migration 0.9.0").says("a migration has no network");
}

#[tokio::test]
async fn pin_tells_what_changed() {
    let scenario = Scenario::new("pin").await.unpinned("001_guest", &WasiGuest::default().build());
    scenario.run("plugin pin").await.succeeds().prints("new        001_guest.wasm ");
    let old = digest(&scenario, "001_guest");
    scenario.run("plugin pin").await.succeeds().prints("unchanged  001_guest.wasm ");
    let scenario = scenario
        .unpinned("001_guest", &WasiGuest::default().wants_clock(false).build())
        .unpinned("002_values", &another());
    let pinned = scenario.run("plugin pin").await.succeeds();
    pinned
        .prints(&format!("changed    001_guest.wasm {}, was {old}", digest(&scenario, "001_guest")))
        .prints("it asks for clock (optional)")
        .prints("new        002_values.wasm ");
    scenario.remove("migrations/002_values.wasm");
    scenario.run("plugin pin").await.succeeds().prints("removed    002_values.wasm ");
    scenario.run("plugin verify").await.succeeds();
}

#[tokio::test]
async fn pin_refuses_a_damaged_lock_file_and_leaves_it() {
    let scenario = Scenario::new("damaged_pins").await.unpinned("001_guest", &WasiGuest::default().build());
    scenario.write("migrations/lockgate.lock", "[components\n");
    scenario.run("plugin pin").await.refuses_with(2).says("migrations/lockgate.lock: it is damaged: ").says(
        "next: restore it from version control; or delete it, review every component and run `lockgate plugin pin`",
    );
    assert_eq!(fs::read_to_string(scenario.path("migrations/lockgate.lock")).unwrap(), "[components\n");
    scenario.remove("migrations/lockgate.lock");
    scenario.run("plugin pin").await.succeeds().prints("new        001_guest.wasm ");
    assert_eq!(scenario.files("migrations"), ["001_guest.wasm", "lockgate.lock"]);
}

#[tokio::test]
async fn the_first_lock_files_still_count() {
    let scenario = with_guest(WasiGuest::default()).await;
    let digest = digest(&scenario, "001_guest");
    scenario.write("migrations/lockgate.lock", format!("[components]\n\"001_guest.wasm\" = \"{digest}\"\n"));
    scenario.up().await.succeeds();
    let recorded = scenario.value("SELECT checksum FROM schema_migrations WHERE version = '001'").await;
    assert_eq!(recorded, digest, "the history has the digest as well");
}
