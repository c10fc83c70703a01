//! What authors begin with: `lockgate new`, and the refusals of `lockgate plugin build`.

use std::{fs, os::unix::fs::PermissionsExt, process::Command};

use lockgate_tests::{Call, Outcome, Scenario};

/// The checkout that these tests lie in.
const CHECKOUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// `lockgate new`, with the description as one word of the command line.
async fn new(scenario: &Scenario, options: &str, description: &str) -> Outcome {
    let options = options.replace("--rust", &format!("--rust --lockgate-path {CHECKOUT}"));
    scenario.run(&format!("new {options}")).arg(description).await
}

/// A workspace as this one is, with nothing in its crates.
fn like_the_checkout(scenario: &Scenario) {
    let manifest = fs::read_to_string(format!("{CHECKOUT}/Cargo.toml")).unwrap();
    let members = manifest.lines().filter_map(|line| line.trim().strip_prefix('"')?.strip_suffix("\","));
    for member in members {
        fs::create_dir_all(scenario.path(&format!("{member}/src"))).unwrap();
        scenario.write(&format!("{member}/src/lib.rs"), "");
        let name = match member {
            "host" => "lockgate".to_owned(),
            "plugins/sdk" => "lockgate-plugin".to_owned(),
            _ => member.replace('/', "-"),
        };
        scenario.write(
            &format!("{member}/Cargo.toml"),
            format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\n[features]\ntesting = []\n"),
        );
    }
    scenario.write("Cargo.toml", manifest);
}

#[tokio::test]
async fn a_new_plugin_breaks_no_workspace_of_a_checkout() {
    let scenario = Scenario::new("new_member").await;
    like_the_checkout(&scenario);
    for option in ["--python", "--js", "--rust"] {
        scenario.run(&format!("new {option} greet{option}")).await.succeeds();
        for manifest in ["Cargo.toml", "plugins/greet-rust/Cargo.toml"] {
            let manifest = scenario.path(manifest);
            if manifest.exists() {
                let options = ["metadata", "--no-deps", "--offline", "--format-version", "1", "--manifest-path"];
                let cargo = Command::new("cargo").args(options).arg(manifest).output().unwrap();
                assert!(cargo.status.success(), "{}", String::from_utf8_lossy(&cargo.stderr));
            }
        }
    }
    let members = fs::read_to_string(scenario.path("Cargo.toml")).unwrap();
    assert!(members.contains("\n    \"plugins/sdk\",\n    \"plugins/greet-rust\",\n    \"tests\",\n"), "{members}");
}

#[tokio::test]
async fn a_plugin_in_rust_needs_a_checkout() {
    let scenario = Scenario::new("new_apart").await;
    scenario
        .run("new --rust greet")
        .await
        .refuses_with(2)
        .says("`lockgate-plugin`, which is in no registry yet")
        .says("--lockgate-path FOLDER");
    assert!(!scenario.path("plugins").exists());
}

#[tokio::test]
async fn a_build_that_is_stopped_stops_its_tools() {
    let scenario = Scenario::new("build_stops").await;
    new(&scenario, "--python", "greet").await.succeeds();
    fs::create_dir_all(scenario.path("plugins/greet/.venv/bin")).unwrap();
    let (tool, begun) = (scenario.path("plugins/greet/.venv/bin/componentize-py"), scenario.path("begun"));
    fs::write(&tool, format!("#!/bin/sh\necho $$ >'{0}.new'\nmv '{0}.new' '{0}'\nsleep 600\n", begun.display()))
        .unwrap();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    let build = scenario.run("plugin build plugins/greet").start();
    let pid = loop {
        match fs::read_to_string(&begun) {
            Ok(pid) => break pid.trim().to_owned(),
            Err(_) => tokio::task::yield_now().await,
        }
    };
    build.terminate();
    build.end().await.exits_with(1).says("SIGTERM");
    // What was a child of the build is one of the machine's own now, until it is collected.
    let is_running = || fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
    while is_running() {
        tokio::task::yield_now().await;
    }
    assert_eq!(scenario.files("migrations"), [""; 0]);
}

fn without_programs(call: Call) -> Call {
    call.env("PATH", "/nonexistent")
}

#[tokio::test]
async fn new_sql_files_are_the_next_migration_and_run() {
    let scenario = Scenario::new("new_sql").await.tables(&["a", "b"]);
    let outcome = new(&scenario, "", "Add e-mail Index").await.succeeds();
    outcome.prints("wrote migrations/003_add_e_mail_index.up.sql\n").prints("lockgate plan\n  lockgate up\n");
    let files = scenario.files("migrations");
    let new: Vec<_> = files.iter().filter(|name| name.starts_with("003")).collect();
    assert_eq!(
        new,
        ["003_add_e_mail_index.down.sql", "003_add_e_mail_index.up.sql", "003_add_e_mail_index.verify.sql"]
    );
    scenario.up().await.succeeds();
    assert_eq!(scenario.applied().await, ["001", "002", "003"]);
    scenario.down("003").await.succeeds();
}

#[tokio::test]
async fn the_words_of_a_description_need_no_quotes() {
    let scenario = Scenario::new("new_words").await;
    scenario.run("new --sql hash session tokens").await.succeeds().prints("001_hash_session_tokens.up.sql");
}

#[tokio::test]
async fn new_is_also_said_as_json() {
    let scenario = Scenario::new("new_json").await;
    let made = new(&scenario, "--python --output json", "greet").await.succeeds().json();
    assert_eq!(made["files"][0], "plugins/greet/app.py");
    assert_eq!(made["next"].as_array().map(Vec::len), Some(3));
}

#[tokio::test]
async fn a_new_plugin_is_a_project_of_its_language() {
    let scenario = Scenario::new("new_plugin").await;
    for (option, name, files) in [
        ("--rust", "in rust", &[".gitignore", "Cargo.toml", "README.md", "src", "tests"][..]),
        ("--python", "in python", &[".gitignore", "README.md", "app.py", "requirements.txt"]),
        ("--js", "in js", &[".gitignore", "README.md", "app.js", "package.json"]),
    ] {
        let folder = format!("plugins/{}", name.replace(' ', "-"));
        let outcome = new(&scenario, option, name).await.succeeds().prints("next:\n");
        outcome.prints(&format!("lockgate plugin build {folder}"));
        assert_eq!(scenario.files(&folder), files);
        let readme = fs::read_to_string(scenario.path(&format!("{folder}/README.md"))).unwrap();
        assert!(readme.contains(&format!("lockgate plugin build {folder}")), "{readme}");
    }
    assert_eq!(scenario.files("migrations"), [""; 0]);
}

#[tokio::test]
async fn a_description_that_makes_no_file_name_is_refused() {
    let scenario = Scenario::new("new_name").await;
    for (description, words) in [
        ("größe", "`ö` cannot be part of a migration's name"),
        ("../etc", "`/` cannot be part of a migration's name"),
        ("a\nb", "`\\n` cannot be part of a migration's name"),
        ("--.", "a migration needs a name"),
    ] {
        for options in ["--sql --", "--rust --"] {
            new(&scenario, options, description).await.refuses_with(2).says(words);
        }
    }
    new(&scenario, "--python", "2fa").await.refuses_with(2).says("a plugin's name begins with a letter");
    new(&scenario, "--rust --js", "greet").await.exits_with(2).says("cannot be used with");
    assert_eq!(scenario.files("migrations"), [""; 0]);
    assert_eq!(scenario.files("plugins"), [""; 0]);
}

#[tokio::test]
async fn what_is_there_is_never_overwritten() {
    let scenario = Scenario::new("new_twice").await;
    new(&scenario, "--js", "greet").await.succeeds();
    scenario.write("plugins/greet/app.js", "mine");
    for option in ["--js", "--rust"] {
        let outcome = new(&scenario, option, "greet").await.refuses_with(2);
        outcome.says("`plugins/greet` is there already, and is not overwritten").says("next: take another name\n");
    }
    assert_eq!(fs::read_to_string(scenario.path("plugins/greet/app.js")).unwrap(), "mine");
    assert_eq!(scenario.files("plugins/greet").len(), 4);
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_named() {
    let scenario = Scenario::new("new_denied").await;
    scenario.write("plugins", "a file");
    new(&scenario, "--js", "greet").await.refuses_with(2).says("`plugins` ");
    fs::remove_dir(scenario.path("migrations")).unwrap();
    new(&scenario, "", "greet").await.refuses_with(2).says("the migrations folder `migrations` cannot be read");
    // A superuser may write everywhere.
    if !nix::unistd::geteuid().is_root() {
        fs::create_dir(scenario.path("locked")).unwrap();
        fs::set_permissions(scenario.path("locked"), fs::Permissions::from_mode(0o500)).unwrap();
        new(&scenario, "--js --plugins locked", "greet").await.refuses_with(2).says("cannot be written");
    }
}

#[tokio::test]
async fn a_folder_that_is_no_plugin_is_not_built() {
    let scenario = Scenario::new("no_plugin").await;
    scenario.run("plugin build nowhere").await.refuses_with(2).says("there is no folder `nowhere`");
    scenario.write("001_x.wasm", "a file");
    scenario.run("plugin build 001_x.wasm").await.refuses_with(2).says("`001_x.wasm` was not built: it is a file");
    fs::create_dir(scenario.path("empty")).unwrap();
    scenario
        .run("plugin build empty")
        .await
        .refuses_with(2)
        .says("empty` holds no plugin: a Cargo.toml makes it one in Rust")
        .says("`lockgate new DESCRIPTION --rust`");
    fs::create_dir(scenario.path("both")).unwrap();
    scenario.write("both/Cargo.toml", "");
    scenario.write("both/package.json", "{}");
    scenario.run("plugin build both").await.refuses_with(2).says("both` could be Rust or JavaScript");
    assert_eq!(scenario.files("migrations"), [""; 0]);
}

#[tokio::test]
async fn a_missing_toolchain_is_named_with_the_command_that_installs_it() {
    let scenario = Scenario::new("no_tools").await;
    for (option, name, words) in [
        (
            "--rust",
            "in-rust",
            &[
                "no Rust toolchain here compiles to wasm32-unknown-unknown",
                "install rustup",
                "rustup target add wasm32-unknown-unknown",
            ][..],
        ),
        ("--python", "in-python", &["python3 -m venv", "pip install -r ", "requirements.txt"]),
        ("--js", "in-js", &["@bytecodealliance/componentize-js is not installed", "run `npm install` there"]),
    ] {
        new(&scenario, option, name).await.succeeds();
        let outcome = without_programs(scenario.run(&format!("plugin build plugins/{name}"))).await.refuses_with(2);
        words.iter().fold(outcome, |outcome, words| outcome.says(words));
    }
    let packages = "plugins/in-js/node_modules/@bytecodealliance/componentize-js";
    fs::create_dir_all(scenario.path(packages)).unwrap();
    scenario.write(&format!("{packages}/package.json"), "{}");
    let outcome = without_programs(scenario.run("plugin build plugins/in-js")).await.refuses_with(2);
    outcome.says("there is no `node` on PATH: install Node.js 20 or newer");
    assert_eq!(scenario.files("migrations"), [""; 0]);
}

#[tokio::test]
async fn what_a_failing_tool_says_is_shown() {
    let scenario = Scenario::new("tool_fails").await;
    new(&scenario, "--python", "greet").await.succeeds();
    fs::create_dir_all(scenario.path("plugins/greet/.venv/bin")).unwrap();
    let tool = scenario.path("plugins/greet/.venv/bin/componentize-py");
    fs::write(&tool, "#!/bin/sh\necho 'SyntaxError: invalid syntax' >&2\nexit 3\n").unwrap();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    let outcome = scenario.run("plugin build plugins/greet").await.refuses_with(2);
    outcome.says("failed (exit status: 3):\n").says("SyntaxError: invalid syntax");
    // A tool that makes something else.
    let made =
        "#!/bin/sh\nfor last; do :; done\nwhile [ $# -gt 0 ]; do [ $1 = --output ] && printf 'text' >$2; shift; done\n";
    fs::write(&tool, made).unwrap();
    scenario.run("plugin build plugins/greet").await.refuses_with(2).says("what was compiled is no component");
    assert_eq!(scenario.files("migrations"), [""; 0]);
}

#[tokio::test]
async fn the_interface_is_at_hand() {
    let scenario = Scenario::new("wit").await;
    scenario.run("plugin wit").await.succeeds().prints("package lockgate:migration@0.1.0;").prints("world migration {");
}
