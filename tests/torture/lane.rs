//! A database, the migrations that are to change it, and the look whether each of them took effect exactly once.

use std::{collections::BTreeMap, path::Path};

use lockgate_tests::{Call, Scenario, components};

/// What is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrong {
    /// The history tells of a migration whose effects are not there.
    Lost(String),
    /// Effects are there more than once.
    Doubled(String),
    /// Anything else: history, journal and schema disagree, or something is left over.
    Unexplained(String),
}

/// See the module.
pub struct Lane {
    pub scenario: Scenario,
    plain: usize,
    /// Whether there is a component, of several transactions, after the plain ones.
    component: bool,
}

/// How many rows the batched step copies, two at a time.
const ROWS: usize = 6;

const INDEX: &str = "CREATE INDEX CONCURRENTLY target_idx ON target (id DESC)";
const INDEX_IS_THERE: &str =
    "SELECT EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass('target_idx') AND indisvalid)";

impl Lane {
    /// With so many plain migrations. What each did is a row in `effects`, which nothing keeps from being there twice.
    pub async fn plain(name: &str, plain: usize) -> Self {
        let mut scenario = Scenario::new(name).await;
        scenario.lines("CREATE TABLE effects (version int, delta int)").await;
        for i in 1..=plain {
            scenario = scenario.migration(
                &format!("{i:03}_made"),
                &format!("CREATE TABLE made_{i} (); INSERT INTO effects VALUES ({i}, 1);"),
                &format!("DROP TABLE made_{i}; INSERT INTO effects VALUES ({i}, -1);"),
            );
        }
        Self { scenario, plain, component: false }
    }

    /// The same, and after them a component with a step of each kind.
    pub async fn mixed(name: &str, plain: usize) -> Self {
        let Self { scenario, .. } = Self::plain(name, plain).await;
        let version = plain + 1;
        let steps = [
            ("up", "sql", format!("INSERT INTO effects VALUES ({version}, 1)"), ""),
            ("up", "batched", "copy".into(), ""),
            ("up", "outside", INDEX.into(), INDEX_IS_THERE),
            ("up", "code", "code".into(), ""),
            (
                "down",
                "outside",
                "DROP INDEX CONCURRENTLY target_idx".into(),
                "SELECT to_regclass('target_idx') IS NULL",
            ),
            ("down", "batched", "empty".into(), ""),
            ("down", "sql", format!("DELETE FROM trace; INSERT INTO effects VALUES ({version}, -1)"), ""),
        ];
        scenario
            .lines(&format!(
                "CREATE TABLE plan_steps (way text, position serial, kind text, body text, probe text);
                 CREATE TABLE trace (name text);
                 CREATE TABLE objections ();
                 CREATE TABLE target (id int);
                 CREATE TABLE source (id int PRIMARY KEY);
                 INSERT INTO source SELECT generate_series(1, {ROWS});"
            ))
            .await;
        for (way, kind, body, probe) in steps {
            let quoted = [way, kind, &body, probe].map(|text| format!("'{}'", text.replace('\'', "''")));
            let values = quoted.join(", ");
            scenario.lines(&format!("INSERT INTO plan_steps (way, kind, body, probe) VALUES ({values})")).await;
        }
        let scenario = scenario.component(&format!("{version:03}_steps"), &components::steps()).await;
        Self { scenario, plain, component: true }
    }

    /// A call of the command.
    pub fn run(&self, arguments: &str) -> Call {
        self.scenario.run(arguments)
    }

    /// A call of another program in its stead.
    pub fn run_program(&self, program: &Path, arguments: &str) -> Call {
        self.scenario.run_program(program, arguments)
    }

    /// How many migrations there are.
    pub fn migrations(&self) -> usize {
        self.plain + usize::from(self.component)
    }

    /// What is wrong after a run has ended, however it ended.
    pub async fn look(&self) -> Vec<Wrong> {
        self.scenario.is_gone().await;
        self.compare(true).await
    }

    /// The same where the program under test keeps no journal.
    pub async fn look_without_journal(&self) -> Vec<Wrong> {
        self.compare(false).await
    }

    /// What is wrong when all is done: everything applied, or nothing.
    pub async fn look_at_the_end(&self, applied: bool) -> Vec<Wrong> {
        let mut wrong = self.look().await;
        let expected = if applied { self.migrations() } else { 0 };
        let found = self.scenario.applied().await.len();
        if found != expected {
            wrong.push(Wrong::Unexplained(format!("{found} migrations are applied, not {expected}")));
        }
        let leftovers = [
            (
                "advisory locks",
                "pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            ),
            ("INVALID indexes", "pg_index WHERE NOT indisvalid OR NOT indisready"),
            ("half-made indexes", "pg_class WHERE relname ~ '_cc(new|old)[0-9]*$'"),
            ("migrations half done", "schema_migrations_progress"),
            ("prepared transactions", "pg_prepared_xacts WHERE database = current_database()"),
        ];
        let superuser = self.scenario.superuser().await;
        for (what, from) in leftovers {
            let count = superuser.value(&format!("SELECT count(*) FROM {from}")).await;
            if count != "0" {
                wrong.push(Wrong::Unexplained(format!("{count} {what} are left")));
            }
        }
        wrong
    }

    async fn compare(&self, journal: bool) -> Vec<Wrong> {
        let session = self.scenario.superuser().await;
        let mut wrong = Vec::new();
        let has = async |table: &str| session.value(&format!("SELECT to_regclass('{table}') IS NOT NULL")).await == "t";
        let has_history = has("schema_migrations").await;
        let counted = async |there: bool, sql: &str| -> BTreeMap<usize, i64> {
            let lines = if there { session.lines(sql).await } else { Vec::new() };
            let pair = |line: String| {
                let (version, count) = line.split_once('|').expect("two columns");
                (version.parse().expect("a version"), count.parse().expect("a count"))
            };
            lines.into_iter().map(pair).collect()
        };
        let history = counted(has_history, "SELECT version::int, count(*) FROM schema_migrations GROUP BY 1").await;
        let effects = counted(true, "SELECT version, sum(delta) FROM effects GROUP BY 1").await;
        let tables =
            counted(true, "SELECT substr(relname, 6)::int, 1 FROM pg_class WHERE relname ~ '^made_[0-9]+$'").await;
        let has_journal = journal && has("schema_migrations_journal").await;
        // Once for an `applied` that is the last word, and once more for each that follows another.
        let noted =
            "SELECT version::int, count(*) FILTER (WHERE event = 'applied' AND coalesce(next, 'applied') = 'applied')
                     FROM (SELECT version, event, lead(event) OVER (PARTITION BY version ORDER BY id) AS next
                           FROM schema_migrations_journal WHERE event IN ('applied', 'reverted')) t GROUP BY 1";
        let noted = counted(has_journal, noted).await;
        let has_progress = journal && has("schema_migrations_progress").await;
        let underway = counted(has_progress, "SELECT version::int, 1 FROM schema_migrations_progress").await;

        for version in 1..=self.migrations() {
            let of = |counts: &BTreeMap<usize, i64>| counts.get(&version).copied().unwrap_or(0);
            let (applied, effects) = (of(&history), of(&effects));
            let here = format!("migration {version}: {applied} in the history, {effects} times in effect");
            match (applied, effects) {
                (_, ..=-1 | 2..) => wrong.push(Wrong::Doubled(here)),
                (2.., _) | (..=-1, _) => wrong.push(Wrong::Unexplained(here)),
                (1, 0) if of(&underway) == 0 => wrong.push(Wrong::Lost(here)),
                (0, 1) if of(&underway) == 0 => wrong.push(Wrong::Unexplained(here)),
                _ => {}
            }
            if version <= self.plain && of(&tables) != applied {
                wrong.push(Wrong::Unexplained(format!(
                    "migration {version}: its table does not agree with the history"
                )));
            }
            if journal && of(&noted) != applied {
                let noted = of(&noted);
                wrong.push(Wrong::Unexplained(format!(
                    "migration {version}: {noted} in the journal, {applied} in the history"
                )));
            }
        }
        let component = self.migrations();
        if self.component && !underway.contains_key(&component) {
            let sql = format!(
                "SELECT (SELECT count(*) FROM target), (SELECT count(DISTINCT id) FROM target), (SELECT count(*) FROM trace), ({INDEX_IS_THERE})"
            );
            let found = session.value(&sql).await;
            let expected =
                if history.contains_key(&component) { format!("{ROWS}|{ROWS}|1|t") } else { "0|0|0|f".into() };
            if found != expected {
                wrong.push(Wrong::Unexplained(format!(
                    "the component: rows, different rows, traces, index: {found}, not {expected}"
                )));
            }
        }
        wrong
    }
}
