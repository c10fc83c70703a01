//! Whatever a component does and whatever it sends, the database is as it was, the report says why, and the host goes on.
//!
//! The cases are the files of tests/fixtures/hostile. The head of each says how the host must answer, as `key: value` comments:
//!
//! | key | value |
//! |---|---|
//! | `expect` | words of the report; twice where either may come first; `applied` where nothing is refused, because nothing is gained by it |
//! | `by` | of a `.sql` file: the function that sends it, `execute`, `query`, `cursor`, `copy`, `plan`, `preflight` or `verify` |
//! | `journal` | its last event, where that is not `failed 002`; `none` where nothing may have been written |
//! | `undo` | what removes what an applied one leaves behind besides its own work |
//!
//! A `.rs` file is a behaviour of the guest `hostile`, into which it is compiled. A `.wat` file is a component, or a core module
//! of the world `migration`, which is made one. A `.wit` file has a world, of which a component is made that only traps. A `.txt`
//! file describes bytes that are made below.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use lockgate::{
    config::{Config, Options},
    error::Error,
    runner,
};
use lockgate_tests::{Scenario, State, components};
use uuid::Uuid;

/// Low, so that whoever reaches one is stopped soon.
const LIMITS: &str = "
[plugins]
cpu_max_s = 1
wall_clock_max_s = 3
memory_max_bytes = 201326592
query_max_rows = 1000
query_max_bytes = 10000000
log_max_lines = 100

[statements]
timeout_ms = 5000
";

/// The limit of time in all for who must reach that of processor time first, also where the machine gives it only a part of one.
const PATIENT_S: u64 = 15;

/// What one case may take: its limits, and time for the machine that is busy with other tests.
const CASE_MAX: Duration = Duration::from_secs(20);

struct Case {
    name: String,
    kind: String,
    head: Vec<(String, String)>,
    body: String,
}

impl Case {
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let kind = path.extension().unwrap().to_str().unwrap().to_owned();
        let comment = match &*kind {
            "sql" => "-- ",
            "rs" => "//! ",
            "wat" => ";; ",
            "wit" => "// ",
            "txt" => "# ",
            other => panic!("{name}.{other} is of no known kind"),
        };
        let mut head = Vec::new();
        let mut rest = text.as_str();
        while let Some(line) = rest.strip_prefix(comment) {
            let (line, after) = line.split_once('\n').unwrap();
            let Some((key, value)) = line.split_once(": ") else { break };
            head.push((key.to_owned(), value.to_owned()));
            rest = after;
        }
        let case = Self { name, kind, head, body: rest.trim_end_matches('\n').to_owned() };
        assert!(case.head("expect").is_some_and(|words| !words.is_empty()), "{} expects nothing", case.name);
        case
    }

    fn all() -> Vec<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/hostile");
        let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths.iter().map(|path| Self::read(path)).collect()
    }

    fn head(&self, key: &str) -> Option<&str> {
        self.heads(key).next()
    }

    fn heads(&self, key: &str) -> impl Iterator<Item = &str> {
        self.head.iter().filter(move |(k, _)| k == key).map(|(_, value)| value.as_str())
    }

    /// The component, where the case is one and not what the guest is told to do.
    fn component(&self) -> Option<Vec<u8>> {
        match &*self.kind {
            "wat" if self.body.contains("lockgate:migration/program@") => Some(components::of_functions(&self.body)),
            "wat" => Some(components::of_wat(&self.body)),
            "wit" => Some(components::of_world(&self.body)),
            "txt" => Some(made(&self.name)),
            _ => None,
        }
    }

    /// The last event of the journal, `None` where it must not have changed.
    fn event(&self) -> Option<&str> {
        match self.head("journal") {
            Some("none") => None,
            Some(event) => Some(event),
            // A component that does not load is refused before anything is written.
            None => matches!(&*self.kind, "sql" | "rs").then_some("failed 002"),
        }
    }
}

/// The bytes that a `.txt` file describes.
fn made(name: &str) -> Vec<u8> {
    let good = components::hostile();
    match name {
        "truncated" => good[..good.len() / 2].to_vec(),
        "zero_bytes" => Vec::new(),
        "words" => b"SELECT 1".to_vec(),
        "native_code" => {
            let mut program = fs::read(std::env::current_exe().unwrap()).unwrap();
            program.truncate(1 << 16);
            program
        }
        "flipped_bits" => good.iter().enumerate().map(|(i, byte)| if i % 100 == 99 { !byte } else { *byte }).collect(),
        "a_hundred_megabytes" => components::padded(&good, 100_000_000),
        "the_same_version_twice" => good,
        other => panic!("{other}.txt describes nothing that is made here"),
    }
}

struct Arena {
    scenario: Scenario,
    config: Config,
    patient: Config,
}

impl Arena {
    async fn new() -> Self {
        let scenario = Scenario::new("hostile")
            .await
            .config(LIMITS)
            .migration(
                "001_behaviour",
                "CREATE TABLE hostile_behaviour (behaviour text, statement text); INSERT INTO hostile_behaviour VALUES ('good');",
                "DROP TABLE hostile_behaviour;",
            )
            .component("002_guest", &components::hostile())
            .await;
        let other = scenario.role("").await;
        scenario
            .superuser()
            .await
            .lines(&format!("GRANT {other} TO CURRENT_USER; GRANT {other} TO lockgate_owner"))
            .await;
        let config = config(&scenario, &scenario.url());
        let first = lockgate::migration::Version::parse("001").unwrap();
        runner::up(&config, Uuid::now_v7(), Some(&first)).await.unwrap();
        let mut patient = config.clone();
        patient.plugins.wall_clock_max_s = PATIENT_S;
        Self { scenario, config, patient }
    }

    async fn up(&self, config: &Config) -> Result<runner::Outcome, Error> {
        let up = runner::up(config, Uuid::now_v7(), None);
        tokio::time::timeout(CASE_MAX, up).await.unwrap_or_else(|_| panic!("not stopped within {CASE_MAX:?}"))
    }

    async fn told_to(&self, behaviour: &str, statement: &str) {
        let quoted = |text: &str| format!("E'{}'", text.replace('\\', r"\\").replace('\'', "''"));
        let sql = format!(
            "UPDATE hostile_behaviour SET behaviour = {}, statement = {}",
            quoted(behaviour),
            quoted(statement)
        );
        self.scenario.lines(&sql).await;
    }

    /// One case, and what is wrong with how the host answered it.
    async fn face(&self, case: &Case) -> Result<(), String> {
        match &*case.kind {
            "sql" => self.told_to(case.head("by").expect("says by which function"), &case.body).await,
            "rs" => self.told_to(&case.name, "").await,
            _ => self.told_to("good", "").await,
        }
        let file = if case.name == "the_same_version_twice" { "02_guest.wasm" } else { "002_guest.wasm" };
        if let Some(bytes) = case.component() {
            self.scenario.write(&format!("migrations/{file}"), bytes);
            // One that is too large for a run is pinned all the same: by somebody with other limits.
            self.scenario.write("lockgate.toml", "[plugins]\ncomponent_max_bytes = 200000000");
            self.scenario.run("plugin pin").await;
            self.scenario.remove("lockgate.toml");
        }
        let (before, events) = (self.scenario.state().await, self.scenario.journal().await.len());
        let patient = case.head("expect").is_some_and(|words| words.contains("processor time"));
        let answer = self.up(if patient { &self.patient } else { &self.config }).await;
        let judged = match case.head("expect") {
            Some("applied") => self.applied(case, answer, &before).await,
            Some(_) => self.refused(case, answer, &before, events).await,
            None => unreachable!("read() looks for it"),
        };
        if case.component().is_some() {
            self.scenario.remove(&format!("migrations/{file}"));
            self.scenario.write("migrations/002_guest.wasm", components::hostile());
            self.scenario.run("plugin pin").await.succeeds();
        }
        judged
    }

    async fn refused(
        &self,
        case: &Case,
        answer: Result<runner::Outcome, Error>,
        before: &State,
        events: usize,
    ) -> Result<(), String> {
        let report = match answer {
            Ok(_) => return Err("it was applied".into()),
            Err(error) => error.to_string(),
        };
        self.scenario.is_still(before).await;
        if !case.heads("expect").any(|words| report.contains(words)) {
            let words: Vec<&str> = case.heads("expect").collect();
            return Err(format!("the report has no `{}`:\n{}", words.join("` or `"), shortened(&report)));
        }
        if report.len() > 1 << 20 || report.chars().any(|c| c.is_control() && c != '\n') {
            return Err(format!("the report floods the terminal:\n{}", shortened(&report)));
        }
        let journal = self.scenario.journal().await;
        match case.event() {
            None if journal.len() == events => Ok(()),
            Some(event) if journal.len() > events && journal.last().is_some_and(|last| last == event) => Ok(()),
            _ => Err(format!("the journal goes on with {:?}", &journal[events.min(journal.len())..])),
        }
    }

    async fn applied(&self, case: &Case, answer: Result<runner::Outcome, Error>, before: &State) -> Result<(), String> {
        answer.map_err(|error| format!("it was refused:\n{error}"))?;
        let rows = self.scenario.lines("SELECT version FROM public.schema_migrations ORDER BY version").await;
        if rows != ["001", "002"] {
            return Err(format!("the history has {rows:?}"));
        }
        let revert = lockgate::plan::Revert::Only(lockgate::migration::Version::parse("002").unwrap());
        runner::down(&self.config, Uuid::now_v7(), &revert).await.map_err(|error| error.to_string())?;
        if let Some(undo) = case.head("undo") {
            self.scenario.lines(undo).await;
        }
        self.scenario.is_still(before).await;
        Ok(())
    }

    /// Whether a run has left a migration half-way, which the next would go on with.
    async fn is_half_way(&self) -> bool {
        let progress = "SELECT to_regclass('schema_migrations_progress') IS NOT NULL";
        self.scenario.value(progress).await == "t"
            && self.scenario.value("SELECT count(*) FROM schema_migrations_progress").await != "0"
    }
}

fn config(scenario: &Scenario, url: &str) -> Config {
    let options = Options {
        config: Some(scenario.path("lockgate.toml")),
        database_url: Some(url.to_owned()),
        dir: Some(scenario.path("migrations")),
        backup: lockgate::backup::Options { none: true, ..Default::default() },
        // What a guest does to its session it would do again.
        retries: Some(0),
        // The guest is compiled once, and not in every case.
        cache_dir: Some(scenario.path("cache")),
        ..Options::default()
    };
    Config::load(options).unwrap()
}

fn shortened(text: &str) -> String {
    text.chars().take(600).flat_map(|c| if c == '\n' { vec![c] } else { c.escape_debug().collect() }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_hostile_component_is_stopped_and_a_good_one_runs_after_them() {
    let cases = Case::all();
    assert!(cases.len() >= 40, "only {} cases", cases.len());
    let only = std::env::var("LOCKGATE_TEST_HOSTILE").ok();
    let mut arena = Arena::new().await;
    let mut failures = Vec::new();
    for case in cases.iter().filter(|case| only.as_ref().is_none_or(|only| case.name.contains(only))) {
        let begin = Instant::now();
        let judged = arena.face(case).await;
        println!("{:>6} ms  {}", begin.elapsed().as_millis(), case.name);
        if let Err(what) = judged {
            failures.push(format!("{}.{}: {what}", case.name, case.kind));
            arena = Arena::new().await;
        } else if arena.is_half_way().await {
            arena = Arena::new().await;
        }
    }
    arena.told_to("good", "").await;
    arena.up(&arena.config).await.unwrap_or_else(|error| panic!("the good one was refused: {error}"));
    assert_eq!(arena.scenario.applied().await, ["001", "002"]);
    assert!(failures.is_empty(), "{} of {} cases\n{}", failures.len(), cases.len(), failures.join("\n\n"));
}

#[tokio::test]
async fn a_superuser_is_warned_that_a_component_may_do_more() {
    let arena = Arena::new().await;
    let url = arena.scenario.url().replace("lockgate_owner", "postgres");
    let config = config(&arena.scenario, &url);
    let statement = "DO $$ BEGIN EXECUTE 'COPY hostile_behaviour (behaviour) FROM PROGRAM ''true'''; END $$";
    arena.told_to("execute", statement).await;
    // As the owner the same is refused: see the case `copy_from_a_program_in_a_block`.
    let outcome = runner::up(&config, Uuid::now_v7(), None).await.unwrap();
    assert!(outcome.findings.iter().any(|finding| finding.code == "superuser"), "{:?}", outcome.findings);
}
