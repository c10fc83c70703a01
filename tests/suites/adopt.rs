//! A database that another tool has migrated is taken over as it is, with the folder as it is; or not at all.

mod peers;

use std::{
    fs,
    path::{Path, PathBuf},
};

use lockgate_tests::{Harm, Meant, Proxy, Scenario, eventually};

/// How one tool is taken over.
struct Tool {
    name: &'static str,
    /// What the command needs beside `--from`.
    options: &'static str,
    /// Its table.
    table: &'static str,
    /// How many of its migrations are applied.
    applied: usize,
    /// The version of the one that is not.
    third: &'static str,
    /// Whether the layout has a way down for it.
    reversible: bool,
}

const TOOLS: [Tool; 15] = [
    tool("alembic", "--scripts scripts", "alembic_version", "003", true),
    tool("atlas", "", "atlas_schema_revisions.atlas_schema_revisions", "20240101000003", false),
    tool("dbmate", "--take-over", "schema_migrations", "20240101000003", true),
    tool("diesel", "", "__diesel_schema_migrations", "20240101000003", true),
    Tool { applied: 3, ..tool("flyway", "", "flyway_schema_history", "3", true) },
    tool("golang-migrate", "--take-over", "schema_migrations", "000003", true),
    tool("goose", "", "goose_db_version", "00003", true),
    tool("graphile", "", "graphile_migrate.migrations", "000003", false),
    tool("liquibase-sql", "", "databasechangelog", "3.1", true),
    tool("node-pg-migrate", "", "pgmigrations", "1704067200003", true),
    tool("prisma", "", "_prisma_migrations", "20240101000003", false),
    tool("refinery", "", "refinery_schema_history", "3", false),
    tool("sqitch", "", "sqitch.changes", "3", true),
    tool("sqlx", "", "_sqlx_migrations", "20240101000003", true),
    tool("tern", "", "schema_version", "003", true),
];

const fn tool(
    name: &'static str,
    options: &'static str,
    table: &'static str,
    third: &'static str,
    reversible: bool,
) -> Tool {
    Tool { name, options, table, applied: 2, third, reversible }
}

fn by_name(name: &str) -> &'static Tool {
    TOOLS.iter().find(|tool| tool.name == name).unwrap()
}

impl Tool {
    fn fixture(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/adopt").join(self.name)
    }

    fn command(&self) -> String {
        format!("adopt --from {} {}", self.name, self.options)
    }

    /// Where its table is afterwards.
    fn kept(&self) -> String {
        match self.options {
            "--take-over" => format!("{}_{}", self.table, self.name.replace('-', "_")),
            _ => self.table.to_owned(),
        }
    }

    /// The folder of the migrations, and of the tool's own scripts; files with such a name in them are left out.
    fn copy_folders(&self, scenario: &Scenario, but: Option<&str>) {
        for folder in ["migrations", "scripts"] {
            let from = self.fixture().join(folder);
            if from.exists() {
                copy(&from, &scenario.path(folder), but);
            }
        }
    }

    /// A database as the tool leaves it, with its rows, and the folder with one migration more.
    async fn left_by_it(&self, name: &str) -> Scenario {
        let scenario = Scenario::new(&format!("{name}_{}", self.name.replace('-', "_"))).await;
        self.copy_folders(&scenario, None);
        scenario.lines(&fs::read_to_string(self.fixture().join("table.sql")).unwrap()).await;
        scenario
    }

    /// Takes over, goes on, goes back; the tool's table stays as it was.
    async fn is_taken_over(&self, scenario: &Scenario) {
        let Self { name, applied, third, .. } = *self;
        let theirs = scenario.lines(&format!("SELECT * FROM {}", self.table)).await;
        let before = scenario.state().await;
        let taken = format!("{applied} migrations taken over from {name}");
        scenario
            .run(&format!("{} --dry-run", self.command()))
            .await
            .succeeds()
            .prints("would take over ")
            .prints("nothing was changed");
        scenario.is_still(&before).await;

        scenario.run(&self.command()).await.succeeds().prints(&taken).prints("`lockgate status` shows them");
        let status = format!("{applied} applied, 1 pending\n");
        scenario.run("status").await.succeeds().prints(&status);
        scenario.run("history --verify").await.succeeds();
        let journal = scenario.journal().await;
        assert_eq!(journal.iter().filter(|event| event.starts_with("adopted ")).count(), applied, "{journal:?}");

        let again = scenario.state().await;
        scenario.run(&self.command()).await.succeeds().prints("nothing to take over: all that");
        scenario.is_still(&again).await;

        scenario.up().await.succeeds().prints("applied ");
        assert_eq!(scenario.value("SELECT to_regclass('notes') IS NOT NULL").await, "t");
        let down = scenario.down(third).await;
        if self.reversible {
            down.succeeds().prints("reverted ");
            assert_eq!(scenario.value("SELECT to_regclass('notes') IS NULL").await, "t");
        } else {
            down.refuses_with(2);
        }
        scenario.run("history --verify").await.succeeds();
        assert_eq!(scenario.lines(&format!("SELECT * FROM {}", self.kept())).await, theirs);
        assert_eq!(
            scenario.value("SELECT to_regclass('users') IS NOT NULL AND to_regclass('orders') IS NOT NULL").await,
            "t"
        );
    }
}

fn copy(from: &Path, to: &Path, but: Option<&str>) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if but.is_some_and(|but| name.contains(but)) {
            continue;
        }
        if entry.path().is_dir() {
            copy(&entry.path(), &to.join(name), but);
        } else {
            fs::copy(entry.path(), to.join(name)).unwrap();
        }
    }
}

async fn taken_over(name: &str) {
    let tool = by_name(name);
    let scenario = tool.left_by_it("taken").await;
    tool.is_taken_over(&scenario).await;
}

#[tokio::test]
async fn alembic_is_taken_over() {
    taken_over("alembic").await;
}

#[tokio::test]
async fn atlas_is_taken_over() {
    taken_over("atlas").await;
}

#[tokio::test]
async fn dbmate_is_taken_over() {
    taken_over("dbmate").await;
}

#[tokio::test]
async fn diesel_is_taken_over() {
    taken_over("diesel").await;
}

#[tokio::test]
async fn flyway_is_taken_over() {
    taken_over("flyway").await;
}

#[tokio::test]
async fn golang_migrate_is_taken_over() {
    taken_over("golang-migrate").await;
}

#[tokio::test]
async fn goose_is_taken_over() {
    taken_over("goose").await;
}

#[tokio::test]
async fn graphile_migrate_is_taken_over() {
    taken_over("graphile").await;
}

#[tokio::test]
async fn liquibase_is_taken_over() {
    taken_over("liquibase-sql").await;
}

#[tokio::test]
async fn node_pg_migrate_is_taken_over() {
    taken_over("node-pg-migrate").await;
}

#[tokio::test]
async fn prisma_is_taken_over() {
    taken_over("prisma").await;
}

#[tokio::test]
async fn refinery_is_taken_over() {
    taken_over("refinery").await;
}

#[tokio::test]
async fn sqitch_is_taken_over() {
    taken_over("sqitch").await;
}

#[tokio::test]
async fn sqlx_is_taken_over() {
    taken_over("sqlx").await;
}

#[tokio::test]
async fn tern_is_taken_over() {
    taken_over("tern").await;
}

#[tokio::test]
async fn times_and_durations_are_kept_where_the_tool_has_them() {
    let scenario = by_name("sqlx").left_by_it("times").await;
    scenario.run("adopt --from sqlx").await.succeeds().prints("applied at 2024-01-01T00:00:01.000000Z");
    let sql = "SELECT version, extract(epoch FROM applied_at)::bigint, execution_time_ms, applied_by = session_user,
                      down_script LIKE 'DROP TABLE%' FROM schema_migrations ORDER BY version";
    assert_eq!(scenario.lines(sql).await, ["20240101000001|1704067201|7|t|t", "20240101000002|1704067202|0|t|t"]);
}

/// A database as the tool leaves it, changed by some SQL, is refused with these words, and nothing changes.
async fn refused(name: &str, sql: &str, says: &[&str]) -> Scenario {
    let tool = by_name(name);
    let scenario = tool.left_by_it("refused").await;
    scenario.lines(sql).await;
    is_refused(tool, &scenario, says).await;
    scenario
}

/// The same with a file that was changed.
async fn changed(name: &str, file: &str, says: &[&str]) -> Scenario {
    let tool = by_name(name);
    let scenario = tool.left_by_it("changed").await;
    let path = scenario.path(file);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(path, text.replace("name text", "name varchar(50)")).unwrap();
    is_refused(tool, &scenario, says).await;
    scenario
}

async fn is_refused(tool: &Tool, scenario: &Scenario, says: &[&str]) {
    let before = scenario.state().await;
    for option in ["", " --dry-run"] {
        let outcome = scenario.run(&format!("{}{option}", tool.command())).await;
        says.iter().fold(outcome.refuses_with(5), |outcome, text| outcome.says(text));
    }
    scenario.is_still(&before).await;
}

#[tokio::test]
async fn a_dirty_version_is_refused() {
    let dirty = "UPDATE schema_migrations SET dirty = true";
    let scenario = refused("golang-migrate", dirty, &["version 2 is dirty", "`migrate force 2`"]).await;
    scenario.lines("UPDATE schema_migrations SET dirty = false").await;
    scenario.run(&by_name("golang-migrate").command()).await.succeeds();
}

#[tokio::test]
async fn failed_migrations_are_refused() {
    let failed = "UPDATE _sqlx_migrations SET success = false WHERE version = 20240101000002";
    refused("sqlx", failed, &["migration 20240101000002 failed half-way"]).await;
    let failed = "UPDATE flyway_schema_history SET success = false WHERE version = '2'";
    refused("flyway", failed, &["`V2__orders.sql` failed", "`flyway repair`"]).await;
    let failed = "UPDATE _prisma_migrations SET finished_at = NULL WHERE migration_name = '20240101000001_users'";
    refused("prisma", failed, &["`20240101000001_users` failed half-way", "--rolled-back 20240101000001_users"]).await;
    let failed = "UPDATE databasechangelog SET exectype = 'FAILED' WHERE id = '2'";
    refused("liquibase-sql", failed, &["changeset `ada:2` of `db/changelog/002_orders.sql` failed"]).await;
    let failed =
        "INSERT INTO sqitch.events (event, change_id, change, project, committer_name, committer_email, planned_at,
                                             planner_name, planner_email)
                  VALUES ('fail', 'x', 'notes', 'shop', 'a', 'a', now(), 'a', 'a')";
    refused("sqitch", failed, &["a failed deploy of `notes`"]).await;
}

#[tokio::test]
async fn a_revision_that_is_applied_in_part_is_refused() {
    let partial =
        "UPDATE atlas_schema_revisions.atlas_schema_revisions SET applied = 1, total = 3, error = 'no such table'
                   WHERE version = '20240101000002'";
    let says = ["applied in part, 1 of 3 statements: no such table", "`atlas migrate set 20240101000002`"];
    let scenario = refused("atlas", partial, &says).await;
    // `atlas migrate set` says that the operator has seen to it.
    scenario.lines("UPDATE atlas_schema_revisions.atlas_schema_revisions SET type = 6 WHERE applied < total").await;
    scenario.run("adopt --from atlas").await.succeeds();
}

#[tokio::test]
async fn a_tool_that_holds_its_lock_is_waited_for_by_the_operator() {
    let locked = "UPDATE databasechangeloglock SET locked = true, lockgranted = now(), lockedby = 'ci (10.0.0.1)'";
    let says = ["it is locked by ci (10.0.0.1) since ", "`liquibase release-locks`"];
    let scenario = refused("liquibase-sql", locked, &says).await;
    scenario.lines("UPDATE databasechangeloglock SET locked = false").await;
    scenario.run("adopt --from liquibase-sql").await.succeeds();
}

#[tokio::test]
async fn a_tool_that_writes_its_table_is_not_read_beside() {
    let scenario = by_name("goose").left_by_it("busy").await.config("[statements]\nlock_timeout_ms = 300");
    let other = scenario.session().await;
    other.lines("BEGIN").await;
    other.lines("INSERT INTO goose_db_version (version_id, is_applied) VALUES (3, true)").await;
    let refused = scenario.run("adopt --from goose").await.refuses_with(2);
    refused.says("another session uses the table `public.goose_db_version`: goose may be running");
    assert!(!scenario.has_history().await);
    other.lines("COMMIT").await;
    scenario.run("adopt --from goose").await.succeeds().prints("3 migrations taken over");
}

#[tokio::test]
async fn a_role_that_may_only_read_the_tools_table_takes_it_over() {
    let scenario = by_name("goose").left_by_it("reader").await;
    let role = scenario.role("").await;
    let adopt = || scenario.run_as(&role, "adopt --from goose");
    scenario.superuser().await.lines(&format!("GRANT USAGE, CREATE ON SCHEMA public TO {role}")).await;
    adopt().await.fails_with(1).says("permission denied for table goose_db_version");
    assert!(!scenario.has_history().await);
    scenario.lines(&format!("GRANT SELECT ON goose_db_version TO {role}")).await;
    adopt().await.succeeds().prints("2 migrations taken over");
    let by = "SELECT DISTINCT applied_by FROM schema_migrations";
    assert_eq!(scenario.superuser().await.value(by).await, role);
}

#[tokio::test]
async fn files_that_have_changed_are_refused_by_the_tools_own_checksum() {
    let says = |tool: &str| format!("it has changed since {tool} applied it: its checksum is ");
    for (tool, file) in [
        ("atlas", "migrations/20240101000002_orders.sql"),
        ("flyway", "migrations/V2__orders.sql"),
        ("graphile", "migrations/committed/000002-orders.sql"),
        ("liquibase-sql", "migrations/002_orders.sql"),
        ("prisma", "migrations/20240101000002_orders/migration.sql"),
        ("refinery", "migrations/V2__orders.sql"),
        ("sqitch", "migrations/deploy/orders.sql"),
        ("sqlx", "migrations/20240101000002_orders.up.sql"),
    ] {
        changed(tool, file, &[&says(tool), "orders", "`--accept-changed`"]).await;
    }
}

#[tokio::test]
async fn files_that_have_changed_are_taken_over_on_the_operators_word() {
    let scenario =
        changed("sqlx", "migrations/20240101000002_orders.up.sql", &["has changed since sqlx applied it"]).await;
    scenario
        .run("adopt --from sqlx --accept-changed")
        .await
        .succeeds()
        .prints("taken over as it is now, though it has changed");
    let detail = "SELECT detail FROM schema_migrations_journal WHERE event = 'adopted' ORDER BY id";
    let details = scenario.lines(detail).await;
    assert_eq!(details[0], "from sqlx");
    assert!(
        details[1].starts_with("from sqlx, taken over as it is now, though it has changed: sqlx noted "),
        "{details:?}"
    );
    scenario.run("status --check").await.exits_with(3).prints("2 applied, 1 pending");
}

#[tokio::test]
async fn a_checkout_with_other_line_endings_has_not_changed() {
    for name in ["atlas", "flyway", "graphile", "liquibase-sql", "prisma", "refinery", "sqlx"] {
        let tool = by_name(name);
        let scenario = tool.left_by_it("crlf").await;
        let folder = if name == "graphile" { "migrations/committed" } else { "migrations" };
        for file in scenario.files(folder) {
            let path = scenario.path(&format!("{folder}/{file}"));
            let path = if path.is_dir() { path.join("migration.sql") } else { path };
            let text = fs::read_to_string(&path).unwrap();
            fs::write(&path, text.replace('\n', "\r\n")).unwrap();
        }
        let outcome = scenario.run(&tool.command()).await;
        if name == "atlas" {
            // Its hash goes over all files before.
            outcome.refuses_with(5).says("it has changed since atlas applied it");
        } else {
            outcome.succeeds();
        }
    }
}

#[tokio::test]
async fn what_was_applied_without_a_file_is_named() {
    for (name, file, named) in [
        ("alembic", "scripts/a1_users.py", "a1: applied by alembic, but no file is of it"),
        ("dbmate", "migrations/20240101000001_users.sql", "20240101000001: applied by dbmate"),
        ("flyway", "migrations/R__names.sql", "R__names.sql: applied by flyway"),
        ("goose", "migrations/00002_orders.sql", "2: applied by goose"),
        ("golang-migrate", "migrations/000002_orders.up.sql", "2: applied by golang-migrate"),
        ("node-pg-migrate", "migrations/1704067200001_users.sql", "1704067200001_users: applied by node-pg-migrate"),
    ] {
        let tool = by_name(name);
        let scenario = tool.left_by_it("nofile").await;
        scenario.remove(file);
        if name == "golang-migrate" {
            scenario.remove("migrations/000002_orders.down.sql");
        }
        is_refused(tool, &scenario, &[named, "put its file back"]).await;
    }
}

#[tokio::test]
async fn what_the_tool_left_out_is_told() {
    let scenario = by_name("goose").left_by_it("left_out").await;
    scenario.lines("INSERT INTO goose_db_version (version_id, is_applied) VALUES (1, false), (3, true)").await;
    scenario
        .run("adopt --from goose")
        .await
        .succeeds()
        .prints("goose has not applied 00001_users.sql")
        .prints("2 migrations taken over");
    scenario.up().await.refuses_with(2).says("came late");
}

#[tokio::test]
async fn a_missing_table_a_table_of_another_shape_and_an_empty_one_are_told_apart() {
    let scenario = by_name("goose").left_by_it("tables").await;
    let refuses = async |from: &str| scenario.run(&format!("adopt --from {from}")).await.refuses_with(2);
    refuses("flyway").await.says("there is no table `flyway_schema_history` of flyway in the schemas public");
    scenario.lines("ALTER TABLE goose_db_version RENAME is_applied TO done").await;
    refuses("goose").await.says("`public.goose_db_version` is not as goose makes it: it has no is_applied");
    scenario.lines("ALTER TABLE goose_db_version RENAME done TO is_applied; CREATE SCHEMA app").await;
    scenario.lines("ALTER TABLE goose_db_version SET SCHEMA app").await;
    refuses("goose").await.says("next: there is `app.goose_db_version`: name it with `--table SCHEMA.NAME`");
    scenario.lines("ALTER TABLE app.goose_db_version RENAME TO versions").await;
    scenario.run("adopt --from goose --table app.versions --dry-run").await.succeeds().prints("would take over");
    scenario.lines("DELETE FROM app.versions WHERE version_id > 0").await;
    refuses("goose --table app.versions").await.says("holds no applied migration");
    scenario.run("adopt --from rails").await.exits_with(2);
    assert!(!scenario.has_history().await);
}

#[tokio::test]
async fn a_table_of_our_name_is_told_by_every_command_with_both_ways_out() {
    let tool = by_name("golang-migrate");
    let scenario = tool.left_by_it("in_the_way").await;
    let before = scenario.state().await;
    for command in
        ["status", "up --no-backup", "plan", "down 000002 --no-backup", "history --verify", "baseline 000002"]
    {
        let refused = scenario.run(command).await.refuses_with(5);
        refused
            .says("`public.schema_migrations` is as golang-migrate makes it")
            .says("`lockgate adopt --from golang-migrate --take-over`")
            .says("`--schema lockgate`");
    }
    scenario.run("adopt --from golang-migrate").await.refuses_with(2).says("`--take-over`").says("--schema lockgate");
    scenario.run("adopt --from dbmate").await.refuses_with(2).says("it seems to be golang-migrate's");
    scenario.is_still(&before).await;

    // Beside theirs, ours in a schema of its own.
    let elsewhere = "adopt --from golang-migrate --schema lockgate";
    scenario.run(elsewhere).await.succeeds().prints("2 migrations taken over").prints("stays as it is");
    scenario.run(elsewhere).await.succeeds().prints("nothing to take over");
    scenario.run("up --no-backup --schema lockgate").await.succeeds().prints("applied 000003_notes");
    scenario.run("history --verify --schema lockgate").await.succeeds();
    assert_eq!(scenario.lines("SELECT * FROM public.schema_migrations").await, ["2|f"]);
    assert_eq!(
        scenario.lines("SELECT version FROM lockgate.schema_migrations ORDER BY 1").await,
        ["000001", "000002", "000003"]
    );
}

#[tokio::test]
async fn a_first_run_does_not_repeat_what_another_tool_has_done() {
    for name in [
        "atlas",
        "diesel",
        "flyway",
        "goose",
        "liquibase-sql",
        "node-pg-migrate",
        "prisma",
        "refinery",
        "sqitch",
        "sqlx",
        "tern",
    ] {
        let scenario = by_name(name).left_by_it("first_run").await;
        let before = scenario.state().await;
        let refused = scenario.up().await.refuses_with(6);
        refused.says(&format!("{name} has applied ")).says(&format!("`lockgate adopt --from {name}`"));
        for command in ["plan", "up --rollback-after --no-backup"] {
            scenario.run(command).await.refuses_with(6).says("they would run again [other-history]");
        }
        scenario.is_still(&before).await;
    }
    // Small numbers may be the same by chance.
    let goose = by_name("goose");
    let scenario = Scenario::new("by_chance").await.tables(&["a", "b", "c"]);
    scenario.lines(&fs::read_to_string(goose.fixture().join("table.sql")).unwrap()).await;
    scenario.up().await.succeeds().says("goose has applied 2 of these migrations").prints("3 migrations applied");
    scenario.run("up --no-backup").await.succeeds().never_mentions("goose");
}

#[tokio::test]
async fn a_first_run_stops_beside_a_dirty_version_unless_the_operator_says_that_it_is_not_about_this_folder() {
    let scenario = by_name("golang-migrate").left_by_it("beside").await;
    scenario.lines("UPDATE schema_migrations SET dirty = true").await;
    let before = scenario.state().await;
    let refused = scenario.run("up --no-backup --schema new").await.refuses_with(6);
    refused.says("golang-migrate has applied `2` of these migrations").says("`--unrelated golang-migrate`");
    scenario.run("up --no-backup --schema new --unrelated goose").await.refuses_with(6);
    scenario.run("up --unrelated rails").await.exits_with(2).says("`--unrelated` names `rails`");
    scenario.is_still(&before).await;
    scenario.lines("DROP TABLE users, orders").await;
    let up = scenario.run("up --no-backup --schema new --unrelated golang-migrate").await.succeeds();
    up.prints("3 migrations applied").never_mentions("golang-migrate");

    let scenario = by_name("tern").left_by_it("beside").await;
    scenario.lines("DROP TABLE users, orders").await;
    scenario.up().await.refuses_with(6).says("tern has applied `2` of these migrations");
    let scenario = scenario.config("unrelated = [\"tern\"]");
    scenario.up().await.succeeds().prints("3 migrations applied").never_mentions("schema_version");
}

#[tokio::test]
async fn a_tool_that_would_work_on_lockgates_own_table_is_warned_of() {
    const WARNS: &str = "dbmate takes Lockgate's own `schema_migrations` for its table";
    let scenario = by_name("dbmate").left_by_it("works_on_ours").await;
    let refused = scenario.run("adopt --from dbmate").await.refuses_with(2);
    refused.says("next: leave it there and keep Lockgate's own in another schema (`--schema lockgate`");
    scenario.run("adopt --from dbmate --schema lockgate --dry-run").await.succeeds().never_mentions(WARNS);
    scenario.run("adopt --from dbmate --take-over --dry-run").await.succeeds().prints(WARNS);
    scenario.run("adopt --from dbmate --take-over").await.succeeds().prints(WARNS);
    // What dbmate does for a rollback, and what golang-migrate begins with.
    scenario.lines("DELETE FROM schema_migrations WHERE version = '20240101000002'").await;
    scenario.run("history --verify").await.refuses_with(5);

    let scenario = by_name("golang-migrate").left_by_it("works_on_ours").await;
    scenario.run("adopt --from golang-migrate --take-over").await.succeeds().never_mentions("[works-on-ours]");
    let asks = "SELECT count(*) FROM pg_attribute WHERE attrelid = 'schema_migrations'::regclass AND attname = 'dirty'";
    assert_eq!(scenario.value(asks).await, "0");
}

#[tokio::test]
async fn a_table_that_was_taken_over_is_kept_under_another_name() {
    let tool = by_name("dbmate");
    let scenario = tool.left_by_it("kept").await;
    scenario.lines("CREATE VIEW versions AS SELECT version FROM schema_migrations").await;
    scenario
        .run(&tool.command())
        .await
        .succeeds()
        .prints("its table public.schema_migrations is now schema_migrations_dbmate, with all its rows");
    assert_eq!(scenario.lines("SELECT * FROM versions ORDER BY 1").await, ["20240101000001", "20240101000002"]);
    let keys = "SELECT conname FROM pg_constraint WHERE contype = 'p' AND conrelid::regclass::text LIKE 'schema_migrations%' ORDER BY 1";
    let keys = scenario.lines(keys).await;
    assert!(
        keys.contains(&"schema_migrations_dbmate_pkey".to_owned())
            && keys.contains(&"schema_migrations_pkey".to_owned()),
        "{keys:?}"
    );
    assert_eq!(
        scenario.value("SELECT detail FROM schema_migrations_journal WHERE event = 'run_started'").await,
        "adopt from dbmate: 2 migrations of `public.schema_migrations`, renamed to `schema_migrations_dbmate`"
    );
}

#[tokio::test]
async fn a_table_that_cannot_be_renamed_is_told_by_a_dry_run_as_well() {
    let tool = by_name("dbmate");
    let scenario = tool.left_by_it("unnamed").await;
    let role = scenario.role("").await;
    let grants = format!("GRANT USAGE, CREATE ON SCHEMA public TO {role}; GRANT SELECT ON schema_migrations TO {role}");
    scenario.superuser().await.lines(&grants).await;
    let adopt = |option: &str| scenario.run_as(&role, &format!("{}{option}", tool.command()));
    let refused = async |says: &str| {
        for option in [" --dry-run", ""] {
            adopt(option).await.refuses_with(2).says(says).says("`--schema lockgate`");
        }
        let rows = scenario.superuser().await.lines("SELECT * FROM schema_migrations").await;
        assert_eq!(rows, ["20240101000001", "20240101000002"]);
    };
    refused("only its owner may rename it").await;
    scenario.superuser().await.lines(&format!("ALTER TABLE schema_migrations OWNER TO {role}")).await;
    scenario.lines("CREATE TABLE schema_migrations_dbmate ()").await;
    refused("there is a `public.schema_migrations_dbmate` already").await;
    scenario.lines("DROP TABLE schema_migrations_dbmate").await;
    adopt(" --dry-run").await.succeeds().prints("would be renamed to schema_migrations_dbmate");
    adopt("").await.succeeds().prints("is now schema_migrations_dbmate");
}

#[tokio::test]
async fn what_failed_in_another_project_of_sqitch_is_its_own_affair() {
    let scenario = by_name("sqitch").left_by_it("projects").await;
    scenario
        .lines(
            "INSERT INTO sqitch.projects VALUES ('other', NULL, now(), 'a', 'a');
             INSERT INTO sqitch.events (event, change_id, change, project, committer_name, committer_email, planned_at,
                                        planner_name, planner_email)
             VALUES ('fail', 'x', 'theirs', 'other', 'a', 'a', now(), 'a', 'a')",
        )
        .await;
    scenario.run("adopt --from sqitch").await.succeeds().prints("2 migrations taken over");
}

#[tokio::test]
async fn what_the_tool_has_applied_since_is_added() {
    let scenario = by_name("goose").left_by_it("since").await;
    scenario.run("adopt --from goose").await.succeeds().prints("2 migrations taken over");
    scenario.lines("INSERT INTO goose_db_version (version_id, is_applied) VALUES (3, true)").await;
    scenario.run("adopt --from goose").await.succeeds().prints("1 migration taken over").prints("00003_notes.sql");
    assert_eq!(scenario.applied().await, ["00001", "00002", "00003"]);
    scenario.run("history --verify").await.succeeds();
}

#[tokio::test]
async fn what_was_taken_over_and_reverted_is_not_taken_over_again() {
    for (name, versions, again_by_it) in [
        (
            "sqlx",
            ["20240101000001", "20240101000002"],
            "UPDATE _sqlx_migrations SET installed_on = now() WHERE version = 20240101000002",
        ),
        ("goose", ["00001", "00002"], "UPDATE goose_db_version SET tstamp = now() WHERE version_id = 2"),
    ] {
        let tool = by_name(name);
        let scenario = tool.left_by_it("reverted").await;
        scenario.run(&tool.command()).await.succeeds();
        scenario.down(versions[1]).await.succeeds().prints("reverted ");
        let before = scenario.state().await;
        let again = scenario.run(&tool.command()).await.succeeds();
        again.prints("Lockgate has reverted since, and does not take over again: ").prints("nothing to take over");
        scenario.is_still(&before).await;

        // It is a migration as any other: mended, applied, reverted.
        let file =
            scenario.files("migrations").into_iter().find(|file| file.contains("orders") && !file.contains("down"));
        let path = scenario.path(&format!("migrations/{}", file.unwrap()));
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, text.replace("name text", "name varchar(50)")).unwrap();
        scenario.run(&tool.command()).await.succeeds().prints("nothing to take over");
        scenario.up().await.succeeds().prints("2 migrations applied");
        scenario.run(&format!("down --to {} --no-backup", versions[0])).await.succeeds();
        scenario.run("history --verify").await.succeeds();

        // Where the tool has applied it once more, it tells when.
        scenario.lines(again_by_it).await;
        let changed = if name == "sqlx" { " --accept-changed" } else { "" };
        let taken = scenario.run(&format!("{}{changed}", tool.command())).await.succeeds();
        taken.prints("1 migration taken over").does_not_print("reverted");
        scenario.run("history --verify").await.succeeds();
    }
}

#[tokio::test]
async fn a_second_adoption_implies_nothing_below_the_first() {
    let tool = by_name("golang-migrate");
    let scenario = tool.left_by_it("implied").await;
    scenario.lines("DROP TABLE orders; UPDATE schema_migrations SET version = 3; CREATE TABLE notes ()").await;
    let second = ["migrations/000002_orders.up.sql", "migrations/000002_orders.down.sql"];
    second.iter().for_each(|file| scenario.remove(file));
    scenario.run(&tool.command()).await.succeeds().prints("2 migrations taken over");
    tool.copy_folders(&scenario, None);
    let again = scenario.run(&tool.command()).await.succeeds();
    again.prints("golang-migrate has not applied 000002_orders.up.sql").prints("nothing to take over");

    scenario.run("down --to 1 --no-backup").await.succeeds().prints("reverted 000003_notes");
    let again = scenario.run(&tool.command()).await.succeeds();
    again.prints("Lockgate has reverted since, and does not take over again: 000003_notes.up.sql");
    assert_eq!(scenario.applied().await, ["000001"]);
    scenario.up().await.succeeds().prints("applied 000002_orders").prints("applied 000003_notes");

    // What the tool has applied since is above, and implied as before.
    for n in [4, 5] {
        scenario.write(&format!("migrations/00000{n}_n.up.sql"), "SELECT 1;\n");
    }
    scenario.lines("UPDATE schema_migrations_golang_migrate SET version = 5").await;
    scenario
        .run(&tool.command())
        .await
        .succeeds()
        .prints("2 migrations taken over")
        .prints("took over 000004_n.up.sql");
    scenario.run("history --verify").await.succeeds();
}

#[tokio::test]
async fn a_history_that_differs_is_not_written_over() {
    let scenario = by_name("goose").left_by_it("differs").await;
    scenario.run("adopt --from goose").await.succeeds();
    scenario.write("migrations/00002_orders.sql", "-- +goose Up\nCREATE TABLE orders ();\n");
    is_refused(by_name("goose"), &scenario, &["00002_orders.sql: Lockgate's own history has it already"]).await;
}

#[tokio::test]
async fn revisions_of_alembic_are_applied_and_cannot_be_reverted_here() {
    let tool = by_name("alembic");
    let scenario = tool.left_by_it("python").await;
    let adopted = scenario.run(&tool.command()).await.succeeds();
    adopted.prints("took over a1_users.py (external").prints("migrations of the folder take numbers above 002");
    assert_eq!(
        scenario.lines("SELECT version, filename, kind FROM schema_migrations ORDER BY 1").await,
        ["001|a1_users.py|external", "002|a2_orders.py|external"]
    );
    scenario.run("status").await.succeeds().prints("applied  external").prints("2 applied, 1 pending\n");
    scenario.down("002").await.refuses_with(2).says("Lockgate does not run its script `a2_orders.py`");

    // A revision that Alembic adds later keeps the numbers of the others.
    scenario.up().await.succeeds().prints("applied 003_notes");
    scenario.write("scripts/a0_tags.py", "revision = 'a3'\ndown_revision = 'a1'\n");
    scenario.lines("INSERT INTO alembic_version VALUES ('a3')").await;
    scenario.run(&tool.command()).await.succeeds().prints("1 migration taken over");
    assert_eq!(
        scenario.lines("SELECT version, filename FROM schema_migrations WHERE kind = 'external' ORDER BY 1").await,
        ["001|a1_users.py", "002|a2_orders.py", "004|a0_tags.py"]
    );
}

#[tokio::test]
async fn numbers_that_alembics_revisions_need_are_not_given_twice() {
    let tool = by_name("alembic");
    let scenario = tool.left_by_it("twice").await.migration("002_tags", "CREATE TABLE tags ();", "DROP TABLE tags;");
    scenario
        .run(&tool.command())
        .await
        .refuses_with(2)
        .says("002_tags.up.sql: it has the number that `a2_orders.py` of alembic gets");
    assert!(!scenario.has_history().await);
}

#[tokio::test]
async fn a_program_that_the_tool_has_run_is_taken_over_like_a_file() {
    let scenario = by_name("goose").left_by_it("program").await;
    scenario.remove("migrations/00002_orders.sql");
    scenario.write("migrations/00002_orders.go", "package migrations\n");
    scenario.run("adopt --from goose").await.succeeds().prints("took over 00002_orders.go");
    scenario.run("status").await.succeeds().prints("2 applied, 1 pending\n");
    scenario.up().await.succeeds().prints("applied 00003_notes");
    scenario
        .run("down --to 1 --no-backup")
        .await
        .refuses_with(2)
        .says("a program of another tool, which does not run here");
}

#[tokio::test]
async fn a_folder_of_sqlx_without_ways_down_is_taken_over() {
    let scenario = by_name("sqlx").left_by_it("simple").await;
    for file in scenario.files("migrations") {
        if let Some(stem) = file.strip_suffix(".up.sql") {
            fs::rename(scenario.path(&format!("migrations/{file}")), scenario.path(&format!("migrations/{stem}.sql")))
                .unwrap();
        } else {
            scenario.remove(&format!("migrations/{file}"));
        }
    }
    scenario.run("adopt --from sqlx").await.succeeds().prints("took over 20240101000001_users.sql");
    scenario.up().await.succeeds().prints("applied 20240101000003_notes");
    scenario.down("20240101000003").await.refuses_with(2);
}

#[tokio::test]
async fn programs_read_what_was_taken_over() {
    let scenario = by_name("sqlx").left_by_it("json").await;
    for (option, head) in [(" --dry-run", false), ("", true)] {
        let adoption = scenario.run(&format!("adopt --from sqlx --output json{option}")).await.succeeds().json();
        assert_eq!((&adoption["tool"], &adoption["table"]), (&"sqlx".into(), &"public._sqlx_migrations".into()));
        assert_eq!(adoption["migrations"][1]["version"], "20240101000002");
        assert_eq!(adoption["migrations"][0]["applied_at"], "2024-01-01T00:00:01.000000Z");
        assert_eq!((&adoption["version"], adoption["journal_head"].is_string()), (&"20240101000002".into(), head));
    }
}

#[tokio::test]
async fn a_baseline_of_flyway_implies_what_is_below() {
    let scenario = by_name("flyway").left_by_it("baseline").await;
    scenario
        .lines(
            "DELETE FROM flyway_schema_history;
             INSERT INTO flyway_schema_history VALUES
                 (1, '2', '<< Flyway Baseline >>', 'BASELINE', '<< Flyway Baseline >>', NULL, 'ada', now(), 0, true)",
        )
        .await;
    scenario
        .run("adopt --from flyway")
        .await
        .succeeds()
        .prints("V1__users.sql (sql; implied by a baseline of Flyway)")
        .prints("2 migrations taken over");
    assert_eq!(scenario.applied().await, ["1", "2"]);
}

#[tokio::test]
async fn hundreds_of_migrations_are_one_transaction() {
    let scenario = by_name("goose").left_by_it("hundreds").await;
    for n in 4..=450 {
        scenario.write(&format!("migrations/{n:05}_n.sql"), format!("-- +goose Up\nSELECT {n};\n"));
    }
    scenario
        .lines("INSERT INTO goose_db_version (version_id, is_applied) SELECT n, true FROM generate_series(3, 450) n")
        .await;
    scenario.run("adopt --from goose").await.succeeds().prints("450 migrations taken over");
    scenario.run("history --verify").await.succeeds();
    assert_eq!(scenario.value("SELECT count(DISTINCT xmin::text) FROM schema_migrations").await, "1");
    scenario.run("status --check").await.succeeds().prints("450 applied, 0 pending");
}

/// A repeated adoption that has written the history and cannot go on, because somebody holds the journal.
#[tokio::test]
async fn a_run_that_is_killed_in_the_middle_leaves_nothing() {
    let scenario = by_name("goose").left_by_it("killed").await;
    scenario.run("adopt --from goose").await.succeeds();
    scenario.lines("INSERT INTO goose_db_version (version_id, is_applied) VALUES (3, true)").await;
    let before = scenario.state().await;
    let gate = scenario.session().await;
    gate.lines("BEGIN").await;
    gate.lines("LOCK TABLE schema_migrations_journal IN SHARE MODE").await;
    let run = scenario.run("adopt --from goose").start();
    let waits = "SELECT count(*) FROM pg_locks WHERE relation = 'schema_migrations_journal'::regclass AND NOT granted";
    eventually("the run waits for the journal", async || gate.value(waits).await == "1").await;
    run.kill();
    assert_eq!(run.end().await.signal, Some(9));
    scenario.is_gone().await;
    gate.lines("ROLLBACK").await;
    scenario.is_still(&before).await;
    scenario.run("adopt --from goose").await.succeeds().prints("1 migration taken over");
}

#[tokio::test]
async fn a_lost_commit_is_found_out() {
    for (name, harm) in [("lost", Harm::Lost), ("answer_lost", Harm::AnswerLost), ("swallowed", Harm::AnswerSwallowed)]
    {
        let scenario = by_name("goose").left_by_it(name).await;
        let proxy = Proxy::before(scenario.host(), scenario.port(), Meant::OwnCommit(0), harm, false).await;
        let outcome = scenario.run_through(&proxy, "adopt --from goose").await.succeeds();
        assert!(proxy.has_harmed());
        outcome.prints("2 migrations taken over").says("the connection is lost");
        let journal = scenario.journal().await;
        assert_eq!(journal.iter().filter(|event| event.starts_with("adopted ")).count(), 2, "{journal:?}");
        scenario.run("history --verify").await.succeeds();
        scenario.is_at_rest().await;
    }
}

#[tokio::test]
async fn a_commit_of_which_nothing_is_known_is_told_and_found_out_by_the_next_run() {
    for (name, harm, committed) in [("unknown_lost", Harm::Lost, false), ("unknown_answer", Harm::AnswerLost, true)] {
        let scenario = by_name("goose").left_by_it(name).await;
        let proxy = Proxy::before(scenario.host(), scenario.port(), Meant::OwnCommit(0), harm, true).await;
        scenario
            .run_through(&proxy, "adopt --from goose --reconnect-timeout 1s")
            .await
            .fails_with(9)
            .says("either all of it was taken over, by run ")
            .does_not_print("taken over");
        scenario.is_gone().await;
        let next = scenario.run("adopt --from goose").await.succeeds();
        next.prints(if committed { "nothing to take over" } else { "2 migrations taken over" });
        assert_eq!(scenario.applied().await, ["00001", "00002"]);
    }
}

#[tokio::test]
async fn two_that_take_over_at_once_do_it_once() {
    let scenario = by_name("goose").left_by_it("crowd").await;
    let runs: Vec<_> = (0..4).map(|_| scenario.run("adopt --from goose").start()).collect();
    for run in runs {
        run.end().await.succeeds();
    }
    let journal = scenario.journal().await;
    assert_eq!(journal.iter().filter(|event| event.starts_with("adopted ")).count(), 2, "{journal:?}");
}

#[tokio::test]
async fn a_baseline_takes_migrations_as_applied_without_running_them() {
    let scenario = Scenario::new("baseline").await.tables(&["a", "b", "c"]);
    scenario.lines("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY)").await;
    let before = scenario.state().await;
    let dry = scenario.run("baseline 2 --dry-run").await.succeeds();
    dry.prints("would take over 001_a.up.sql (sql)").prints("nothing was changed");
    scenario.is_still(&before).await;
    scenario.run("baseline 2").await.succeeds().prints("2 migrations taken over, without running them");
    assert_eq!(scenario.journal().await, ["run_started", "baselined 001", "baselined 002", "run_finished"]);
    scenario.run("baseline 2").await.succeeds().prints("nothing to take over: they are in the history");
    scenario.run("status").await.succeeds().prints("2 applied, 1 pending");
    scenario.up().await.succeeds().prints("applied 003_c");
    scenario.run("history --verify").await.succeeds();
    scenario.run("down --to 001 --no-backup").await.succeeds().prints("reverted 003_c").prints("reverted 002_b");
    assert_eq!(scenario.value("SELECT to_regclass('b') IS NULL").await, "t");
    scenario.run("history --verify").await.succeeds();
}

#[tokio::test]
async fn a_repeatable_migration_is_no_baseline() {
    let scenario = by_name("flyway").left_by_it("baseline_repeatable").await;
    for option in ["", " --dry-run"] {
        scenario.run(&format!("baseline R__names{option}")).await.refuses_with(2).says("`R__names` is repeatable");
    }
    assert!(!scenario.has_history().await);
    scenario.run("baseline 2").await.succeeds().prints("2 migrations taken over");
}

#[tokio::test]
async fn a_baseline_is_refused_where_a_history_has_begun_or_no_such_migration_is() {
    let scenario = Scenario::new("no_baseline").await.tables(&["a", "b"]);
    scenario.run("baseline 7").await.refuses_with(2).says("there is no migration `7` in the folder");
    assert!(!scenario.has_history().await);
    scenario.run("up --to 1 --no-backup").await.succeeds();
    let before = scenario.state().await;
    scenario.run("baseline 2").await.refuses_with(2).says("the history holds 1 migration, the newest of version 001");
    scenario.is_still(&before).await;
}
