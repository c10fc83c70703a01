//! A throwaway server is nobody else's, and ends with the process that started it, at whatever moment that ends.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use lockgate_tests::{Scenario, eventually};
use tempfile::TempDir;

/// A folder for temporary files in which every account may make some, as in `/tmp`.
fn temp() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    folder
}

/// The folder of the server, once it is there.
async fn of_the_server(temp: &Path) -> std::path::PathBuf {
    let found = || fs::read_dir(temp).unwrap().flatten().map(|entry| entry.path()).find(|path| is_a_server(path));
    eventually("the server has a folder", async || found().is_some()).await;
    found().unwrap()
}

fn is_a_server(path: &Path) -> bool {
    path.file_name().unwrap().to_string_lossy().starts_with("lockgate-throwaway-")
}

/// The processes that work in this folder, or are called with its name.
fn at_work_in(folder: &Path) -> Vec<String> {
    let name = folder.to_str().unwrap();
    let processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let concerns = |process: &std::path::PathBuf| {
        let cwd = fs::read_link(process.join("cwd")).unwrap_or_default();
        let called = fs::read(process.join("cmdline")).unwrap_or_default();
        cwd.starts_with(folder) || String::from_utf8_lossy(&called).contains(name)
    };
    processes.filter(concerns).map(|process| process.display().to_string()).collect()
}

async fn pending(name: &str) -> Scenario {
    let scenario = Scenario::new(name).await.tables(&["a"]);
    scenario.up().await.succeeds();
    scenario.migration("002_b", "CREATE TABLE b (id int PRIMARY KEY);", "DROP TABLE b;")
}

const REHEARSE: &str = "rehearse --schema-only --on embedded";

#[tokio::test]
async fn a_start_that_is_killed_at_any_moment_leaves_no_process_and_no_file() {
    let scenario = pending("throwaway_killed").await;
    for after_ms in [0, 200, 500, 900, 1300, 1700, 2500] {
        let temp = temp();
        let run = scenario.run(REHEARSE).env("TMPDIR", temp.path()).start();
        let folder = of_the_server(temp.path()).await;
        // Whoever waits for the end of its output would wait for the server's, if that had inherited it.
        let ended = run.killed_after(Duration::from_millis(after_ms));
        tokio::time::timeout(Duration::from_secs(after_ms / 1000 + 5), ended).await.expect("its output has ended");
        eventually("nobody works in the folder", async || at_work_in(&folder).is_empty()).await;
        assert!(!folder.exists(), "the folder is left by what was killed after {after_ms} ms");
    }
}

#[tokio::test]
async fn nobody_else_can_look_into_it_and_its_password_is_in_no_file() {
    let scenario = pending("throwaway_private").await;
    let temp = temp();
    let run = scenario.run(REHEARSE).env("TMPDIR", temp.path()).start();
    let folder = of_the_server(temp.path()).await;
    // While it is made, and while it serves.
    for moment in ["data", "data/postmaster.pid"] {
        eventually(moment, async || folder.join(moment).exists()).await;
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        let with_password = fs::read_dir(&folder)
            .unwrap()
            .flatten()
            .filter(|entry| fs::read_to_string(entry.path()).is_ok_and(|content| content.contains("hush")));
        assert_eq!(with_password.count(), 0);
    }
    run.end().await.succeeds();
    eventually("it is gone", async || !folder.exists() && at_work_in(&folder).is_empty()).await;
}
