//! The log in files: what is written when, what each line says, what is kept.

use std::{fs, os::unix::fs::PermissionsExt as _};

use lockgate_tests::{Scenario, eventually};
use serde_json::Value;

/// The one file of the folder whose name begins so, read; the other kind is told apart by its longer name.
fn read(scenario: &Scenario, folder: &str, prefix: &str) -> String {
    let is_it =
        |name: &&String| name.starts_with(prefix) && name[prefix.len()..].starts_with(|c: char| c.is_ascii_digit());
    let names: Vec<_> = scenario.files(folder);
    let names: Vec<_> = names.iter().filter(is_it).collect();
    assert_eq!(names.len(), 1, "one file of {prefix} in {folder}: {:?}", scenario.files(folder));
    fs::read_to_string(scenario.path(&format!("{folder}/{}", names[0]))).unwrap()
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

#[tokio::test]
async fn a_run_keeps_its_log_and_each_line_says_where_it_belongs() {
    let scenario =
        Scenario::new("logs").await.tables(&["a", "b"]).config("[log]\nformat = \"json\"\nlevel = \"debug\"\n");
    let outcome = scenario.run("up --no-backup --output json").await.succeeds();
    let run = outcome.json()["run_id"].as_str().unwrap().to_owned();
    let all = lines(&read(&scenario, "logs", "migration_"));
    assert!(all.iter().all(|line| line["run_id"] == *run), "{all:#?}");
    assert_eq!((&all[0]["message"], &all[0]["span"]), (&"began".into(), &"run".into()));
    let last = &all[all.len() - 1];
    assert_eq!((&last["message"], &last["exit_code"]), (&"ended".into(), &0.into()));
    for migration in ["001_a", "002_b"] {
        let of_it = all.iter().filter(|line| line["migration"] == migration);
        let messages: Vec<_> = of_it.map(|line| line["message"].as_str().unwrap()).collect();
        assert!(messages.contains(&"running") && messages.contains(&"committed"), "{migration}: {messages:?}");
    }
    // It says that there is no backup, and nothing else went wrong.
    let errors = lines(&read(&scenario, "logs", "migration_errors_"));
    assert_eq!(errors.len(), 1, "{errors:#?}");
    assert_eq!((&errors[0]["level"], &errors[0]["run_id"]), (&"WARN".into(), &run.into()));
    assert_eq!(fs::read_to_string(scenario.path("logs/.gitignore")).unwrap(), "*\n");
    for name in scenario.files("logs").iter().filter(|name| name.ends_with(".log")) {
        let mode = fs::metadata(scenario.path(&format!("logs/{name}"))).unwrap().permissions().mode();
        assert_eq!(mode & 0o027, 0, "{name} is for its owner and group");
    }
}

#[tokio::test]
async fn what_a_command_ends_with_is_among_the_errors() {
    let scenario = Scenario::new("log_errors").await.tables(&["a"]).migration(
        "002_b",
        "CREATE TABLE b ();\nSELECT nonsense;",
        "DROP TABLE b;",
    );
    let outcome = scenario.run("up --no-backup --output json").await.exits_with(1);
    let run = outcome.run_of_the_log(&scenario);
    let errors = read(&scenario, "logs", "migration_errors_");
    let last = errors.lines().last().unwrap();
    assert!(last.contains(" ERROR ") && last.contains(&format!("run_id={run}")), "{last}");
    assert!(
        last.contains("migration `002_b` failed in up, step 2 (SQL)")
            || last.contains("migration `002_b` failed in up, step 1 (SQL)"),
        "{last}"
    );
    assert!(last.contains("nonsense") && last.contains("exit_code=1") && last.contains("rolled back"), "{last}");
    assert!(read(&scenario, "logs", "migration_").ends_with(&format!("{last}\n")), "both end alike");
    // On stderr it is reported, and not logged as well.
    outcome.says("error: migration `002_b` failed").never_mentions("exit_code=1");
}

/// The run that the only log file is about.
trait OfTheLog {
    fn run_of_the_log(&self, scenario: &Scenario) -> String;
}

impl OfTheLog for lockgate_tests::Outcome {
    fn run_of_the_log(&self, scenario: &Scenario) -> String {
        let text = read(scenario, "logs", "migration_");
        let run = text.split("run_id=").nth(1).unwrap().split([' ', ':']).next().unwrap().to_owned();
        assert_eq!(run.len(), 36, "{run}");
        run
    }
}

#[tokio::test]
async fn a_step_and_a_plugin_say_where_they_belong() {
    let scenario = Scenario::new("log_steps").await;
    let notice = "DO $$ BEGIN RAISE NOTICE 'two\nlines'; END $$;";
    let scenario = scenario.migration("001_a", &format!("SELECT 1;\n{notice}"), "SELECT 1;");
    scenario.run("up --no-backup").await.succeeds();
    let text = read(&scenario, "logs", "migration_");
    let notice: Vec<_> = text.lines().filter(|line| line.contains("server: ")).collect();
    assert_eq!(notice.len(), 1, "a notice of two lines is one: {text}");
    assert!(text.lines().all(|line| line.contains(" run_id=")), "{text}");
}

#[tokio::test]
async fn what_only_looks_writes_no_log() {
    let scenario = Scenario::new("log_none").await.tables(&["a"]);
    let looks = [
        "status",
        "plan",
        "test",
        "up --dry-run",
        "up --rollback-after",
        "history",
        "backup list",
        "doctor",
        "--help",
        "lint",
    ];
    for arguments in looks {
        scenario.run(arguments).await;
        assert!(!scenario.path("logs").exists(), "`{arguments}` writes a log");
    }
    scenario.run("up --no-backup --no-log-files").await.succeeds();
    scenario.run("down 1 --no-backup").env("LOCKGATE_NO_LOG_FILES", "true").await.succeeds();
    scenario.write("lockgate.toml", "[log]\nenabled = false\n");
    scenario.run("up --no-backup").await.succeeds();
    assert!(!scenario.path("logs").exists());
    // Who names a folder wants files.
    scenario.run("down 1 --no-backup --log-dir elsewhere").await.succeeds();
    assert!(read(&scenario, "elsewhere", "migration_").contains("ended"));
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_a_warning_unless_a_log_is_required() {
    let scenario = Scenario::new("log_folder").await.tables(&["a"]);
    // A file where the folder should be; a mode would not keep a superuser out.
    scenario.write("logs", "");
    let before = scenario.state().await;
    scenario.write("lockgate.toml", "[log]\nrequired = true\n");
    scenario
        .run("up --no-backup")
        .await
        .refuses_with(2)
        .says("the log cannot be written to `logs`")
        .says("it is a file, not a folder")
        .says("--log-dir");
    scenario.is_still(&before).await;
    scenario.remove("lockgate.toml");
    let outcome = scenario.run("up --no-backup").await.succeeds();
    outcome.says("WARN").says("the log cannot be written to files; the run goes on").says("folder=logs");
    assert_eq!(scenario.applied().await, ["001"]);
}

#[tokio::test]
async fn only_so_many_runs_are_kept_and_no_file_of_others_goes() {
    let scenario = Scenario::new("log_kept").await.tables(&["a"]).config("[log]\nkeep = 2\n");
    for day in 1..=3 {
        scenario.write(&format!("logs/migration_2026010{day}_000000.log"), "x");
        scenario.write(&format!("logs/migration_errors_2026010{day}_000000.log"), "x");
    }
    scenario.write("logs/migration_notes.log", "mine");
    scenario.run("up --no-backup").await.succeeds();
    let names = scenario.files("logs");
    assert!(names.contains(&"migration_notes.log".to_owned()), "{names:?}");
    assert!(names.contains(&"migration_20260103_000000.log".to_owned()), "{names:?}");
    // Two of the run before, two of this one, and what is not ours.
    assert_eq!(names.len(), 5, "{names:?}");
}

#[tokio::test]
async fn a_run_that_begins_leaves_the_files_of_one_under_way() {
    let scenario = Scenario::new("log_living").await.tables(&["a"]).config("[log]\nkeep = 1\n");
    let other = scenario.session().await;
    // The run waits for the lock of another for as long as the test likes.
    other.lines("BEGIN; CREATE TABLE a (id int)").await;
    let waiting = scenario.run("-v up --no-backup --log-dir kept").start();
    let name = || scenario.files("kept").into_iter().find(|name| name.starts_with("migration_2"));
    eventually("it has a log", async || name().is_some()).await;
    let its = name().unwrap();
    let file = scenario.path(&format!("kept/{its}"));
    for _ in 0..2 {
        scenario.run("pause --log-dir kept").await;
    }
    assert!(file.exists(), "{:?}", scenario.files("kept"));
    other.lines("ROLLBACK").await;
    waiting.end().await.succeeds();
    assert!(fs::read_to_string(&file).unwrap().contains("ended"), "it holds what the run said to its end");
}

#[tokio::test]
async fn the_settings_of_the_log_are_checked() {
    let scenario = Scenario::new("log_settings").await.tables(&["a"]);
    for (text, words) in [
        ("[log]\nfolder = \"x\"\n", "line 2, column 1: unknown key `folder` under [log]"),
        ("[log]\nlevel = \"loud\"\n", "line 2, column 9: unknown value `loud` of `level`"),
        ("[log]\nkeep = -1\n", "line 2"),
    ] {
        scenario.write("lockgate.toml", text);
        scenario.run("up --no-backup").await.refuses_with(2).says(words);
        assert!(!scenario.path("logs").exists(), "{text}");
    }
    scenario.remove("lockgate.toml");
    scenario.run("up --no-backup --log-level loud").await.exits_with(2).says("error, warn, info, debug or trace");
    scenario
        .run("-v up --no-backup")
        .env("LOCKGATE_LOG", "lockgate=loud")
        .await
        .succeeds()
        .says("LOCKGATE_LOG is no filter");
}
