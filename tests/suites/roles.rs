//! With the roles that `lockgate roles` makes, a run can do its work, and nobody in it can rewrite the history.

use lockgate::postgres::quote_literal;
use lockgate_tests::{Call, Outcome, Scenario};

/// A scenario whose database has the roles.
struct Secured {
    scenario: Scenario,
    prefix: String,
}

impl Secured {
    async fn of(scenario: Scenario, options: &str) -> Self {
        let secured = Self { prefix: scenario.database().to_owned(), scenario };
        secured.make_roles(options).await;
        secured
    }

    async fn make_roles(&self, options: &str) {
        let Self { scenario, prefix } = self;
        let sql = scenario.run(&format!("roles --prefix {prefix} {options}")).await.succeeds().stdout;
        let superuser = scenario.superuser().await;
        superuser.lines(&sql).await;
        let password = quote_literal(scenario.password());
        for login in ["runner", "restore"] {
            superuser.lines(&format!("ALTER ROLE {prefix}_{login} PASSWORD {password}")).await;
        }
    }

    /// Logs in as the runner, which may do nothing by itself.
    fn as_runner(&self, arguments: &str) -> Call {
        self.scenario.run_as(&format!("{}_runner", self.prefix), arguments)
    }

    fn run(&self, arguments: &str) -> Call {
        let Self { prefix, .. } = self;
        self.as_runner(arguments)
            .env("LOCKGATE_ROLE", format!("{prefix}_owner"))
            .env("LOCKGATE_BACKUP_ROLE", format!("{prefix}_backup"))
    }

    async fn up(&self) -> Outcome {
        self.run("up --no-backup").await
    }

    /// Asked as a superuser: the owner of other scenarios is nobody here.
    async fn lines(&self, sql: &str) -> Vec<String> {
        self.scenario.superuser().await.lines(sql).await
    }

    /// Who owns the tables of a schema and the functions in it.
    async fn owners(&self, schema: &str) -> Vec<String> {
        let sql = format!(
            "SELECT DISTINCT replace(owner::regrole::text, '{}_', '') || ': ' || name FROM (
                 SELECT relowner, relname FROM pg_class WHERE relnamespace = '{schema}'::regnamespace AND relkind = 'r'
                 UNION ALL SELECT proowner, proname FROM pg_proc WHERE pronamespace = '{schema}'::regnamespace) own (owner, name)
             ORDER BY 1",
            self.prefix
        );
        self.lines(&sql).await
    }
}

const KEPT: [&str; 6] = [
    "history: schema_migrations",
    "history: schema_migrations_journal",
    "history: schema_migrations_journal_chain",
    "history: schema_migrations_journal_is_append_only",
    "history: schema_migrations_progress",
    "history: schema_migrations_seal",
];

#[tokio::test]
async fn up_down_status_and_backup_work_with_the_shipped_roles() {
    let scenario = Scenario::new("roles").await.auth_migrations();
    let secured = Secured::of(scenario, "").await;
    secured.run("status").await.succeeds().prints("0 applied, 4 pending");
    secured.run("up --to 3").await.succeeds().prints("backed up as ").prints("applied 003_normalize_phone_numbers");
    secured.run("status").await.succeeds().prints("3 applied, 1 pending");
    secured.run("history --verify").await.succeeds();
    let owners = secured.owners("public").await;
    let all_of = |names: &[&str]| names.iter().all(|name| owners.iter().any(|owner| owner == name));
    assert!(all_of(&KEPT) && all_of(&["owner: users", "owner: user_sessions"]), "{owners:?}");
    let who = format!("SELECT DISTINCT db_user = '{}_runner' FROM schema_migrations_journal", secured.prefix);
    assert_eq!(secured.lines(&who).await, ["t"]);

    // Again, as after an update of lockgate.
    secured.make_roles("").await;
    secured.run("down --to 0").await.succeeds().prints("backed up as ").prints("no migration is applied");
    assert_eq!(secured.owners("public").await, KEPT);
    // In batches, with a checkpoint each.
    secured.run("up").await.succeeds().prints("applied 004_hash_session_tokens");
    secured.run("status --check").await.succeeds().prints("4 applied, 0 pending");
    secured.run("backup").await.succeeds();
    // Whoever only takes backups needs no more than its role.
    let backup = secured.as_runner("backup").env("LOCKGATE_ROLE", format!("{}_backup", secured.prefix)).await;
    let id = backup.succeeds().backup_id();
    assert_eq!(secured.lines("SELECT detail FROM schema_migrations_journal ORDER BY id DESC LIMIT 1").await, [id]);
    secured.run("history --verify").await.succeeds();
}

#[tokio::test]
async fn neither_runner_nor_owner_can_rewrite_the_history() {
    for (schema, options) in [("public", ""), ("ledger", "--schema ledger")] {
        let scenario = Scenario::new("roles_tamper").await.tables(&["a"]);
        let scenario = scenario.config(&format!("schema = \"{schema}\""));
        let secured = Secured::of(scenario, options).await;
        secured.up().await.succeeds();
        let (denied, owned) = ("permission denied", "must be owner of");
        for (sql, words) in [
            ("UPDATE schema_migrations SET checksum = 'x'", denied),
            ("TRUNCATE schema_migrations", denied),
            ("UPDATE schema_migrations_journal SET detail = 'x'", denied),
            ("DELETE FROM schema_migrations_journal", denied),
            ("TRUNCATE schema_migrations_journal", denied),
            ("ALTER TABLE schema_migrations_journal DISABLE TRIGGER ALL", owned),
            ("DROP TRIGGER schema_migrations_journal_chain ON schema_migrations_journal", owned),
            ("DROP TABLE schema_migrations_journal", owned),
            ("DROP FUNCTION schema_migrations_journal_is_append_only() CASCADE", owned),
            ("ALTER TABLE schema_migrations RENAME TO x", owned),
            ("ALTER TABLE schema_migrations_seal DROP CONSTRAINT schema_migrations_seal_fkey", owned),
            ("SET session_replication_role = replica", denied),
        ] {
            secured.scenario.write("migrations/002_b.up.sql", format!("SET LOCAL search_path = {schema};\n{sql};\n"));
            secured.scenario.write("migrations/002_b.down.sql", "SELECT 1;");
            secured.up().await.fails_with(1).says(words);
        }
        secured.run("history --verify").await.succeeds();
        assert_eq!(secured.lines(&format!("SELECT version FROM {schema}.schema_migrations")).await, ["001"]);
        let login = format!("{}_runner", secured.prefix);
        let query = format!("SELECT count(*) FROM {schema}.schema_migrations_journal");
        secured.as_runner("psql -X -q -c").arg(&query).await.exits_with(1).says("permission denied");
        secured.as_runner("status").await.refuses_with(6).says(&format!("role \"{login}\" may not read the history"));
    }
}

#[tokio::test]
async fn a_history_that_there_is_already_is_handed_over() {
    let scenario = Scenario::new("roles_handed").await.tables(&["a", "b"]);
    scenario.run("up --no-backup --to 1").await.succeeds();
    let secured = Secured::of(scenario, "--owner lockgate_owner").await;
    let refusal = secured.scenario.session().await.try_lines("DROP TABLE schema_migrations_journal").await.unwrap_err();
    assert!(refusal.starts_with("42501: must be owner"), "{refusal}");
    secured.as_runner("up").env("LOCKGATE_ROLE", "lockgate_owner").await.succeeds().prints("applied 002_b");
    secured.scenario.down("002").await.succeeds();
    secured.scenario.run("history --verify").await.succeeds().prints("12 entries are as they were written");
}

#[tokio::test]
async fn what_the_owner_cannot_mend_is_told_before_the_run() {
    let secured = Secured::of(Scenario::new("roles_outdated").await.tables(&["a", "b"]), "").await;
    secured.run("up --no-backup --to 1").await.succeeds();
    let broken = "ALTER TABLE schema_migrations_journal DISABLE TRIGGER schema_migrations_journal_chain";
    secured.lines(broken).await;
    let before = secured.scenario.state().await;
    secured
        .up()
        .await
        .refuses_with(6)
        .says(&format!("belong to {}_history, not to \"{0}_owner\"", secured.prefix))
        .says("run the SQL that `lockgate roles` prints, as a superuser");
    secured.scenario.is_still(&before).await;
    secured.make_roles("").await;
    secured.up().await.succeeds().prints("applied 002_b");
    secured.run("history --verify").await.succeeds();
}

#[tokio::test]
async fn the_shipped_roles_may_pause() {
    let up = "CREATE TABLE b (id int); INSERT INTO b VALUES (1), (1);\nCREATE UNIQUE INDEX CONCURRENTLY i ON b (id);";
    let scenario = Scenario::new("roles_pause").await.migration("001_b", up, "DROP TABLE b;");
    let secured = Secured::of(scenario, "").await;
    secured.up().await.fails_with(1).says("SQLSTATE 23505");
    secured.run("pause").await.succeeds().prints("001_b is paused before step 2 of 2");
    secured.up().await.refuses_with(2).says("is paused, by ");
    secured.run("pause --off").await.succeeds();
    secured.lines("DELETE FROM b").await;
    secured.up().await.succeeds().prints("applied 001_b");
    secured.run("history --verify").await.succeeds();
}

#[tokio::test]
async fn a_role_that_cannot_be_taken_on_is_refused_with_the_grant() {
    let secured = Secured::of(Scenario::new("roles_grant").await.tables(&["a"]), "").await;
    let prefix = &secured.prefix;
    let revoke = |role: &str| format!("REVOKE {prefix}_{role} FROM {prefix}_runner");
    let grant = |role: &str| format!("GRANT \"{prefix}_{role}\" TO \"{prefix}_runner\"");
    let before = secured.scenario.state().await;
    secured.lines(&revoke("owner")).await;
    secured.up().await.refuses_with(6).says(&grant("owner"));
    secured.lines(&grant("owner")).await;
    secured.lines(&revoke("backup")).await;
    secured.run("up").await.refuses_with(6).says(&grant("backup"));
    secured.lines(&grant("backup")).await;
    secured.lines(&format!("REVOKE pg_read_all_data FROM {prefix}_backup; CREATE TABLE private ()")).await;
    secured
        .run("up")
        .await
        .refuses_with(6)
        .says("private")
        .says(&format!("GRANT pg_read_all_data TO \"{prefix}_backup\""));
    let by_row = format!(
        "GRANT pg_read_all_data TO {prefix}_backup; ALTER TABLE private ENABLE ROW LEVEL SECURITY; ALTER ROLE {prefix}_backup NOBYPASSRLS"
    );
    secured.lines(&by_row).await;
    secured.run("up").await.refuses_with(6).says(&format!("ALTER ROLE \"{prefix}_backup\" BYPASSRLS"));
    secured.lines(&format!("DROP TABLE private; ALTER ROLE {prefix}_backup BYPASSRLS")).await;
    secured.run("up --role nobody_such").await.refuses_with(8).says("`lockgate roles` prints the SQL");
    secured.run("up --backup-role nobody_such").await.refuses_with(6).says("there is no role \"nobody_such\"");
    secured.scenario.is_still(&before).await;
    secured.run("up").await.succeeds().prints("applied 001_a");
}

#[tokio::test]
async fn the_role_is_taken_on_again_after_a_lost_connection() {
    let scenario = Scenario::new("roles_lost").await;
    let scenario = scenario.migration("001_a", "CREATE TABLE a (); SELECT pg_advisory_xact_lock(42);", "DROP TABLE a;");
    let secured = Secured::of(scenario, "").await;
    let other = secured.scenario.superuser().await;
    other.lines("SELECT pg_advisory_lock(42)").await;
    let running = secured.run("up --no-backup").start();
    let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 42 AND NOT granted";
    lockgate_tests::eventually("the migration waits", async || other.value(waiting).await == "1").await;
    secured.scenario.end_the_run().await;
    other.lines("SELECT pg_advisory_unlock(42)").await;
    running.end().await.succeeds().prints("applied 001_a");
    assert!(secured.owners("public").await.contains(&"owner: a".to_owned()));
    secured.run("history --verify").await.succeeds();
}

#[tokio::test]
async fn the_restore_role_restores() {
    let secured = Secured::of(Scenario::new("roles_restore").await.tables(&["a", "b"]), "").await;
    secured.run("up --to 1").await.succeeds();
    secured.run("up").await.succeeds().prints("applied 002_b");
    let rights = "SELECT a::text FROM pg_namespace, unnest(nspacl) a WHERE nspname = 'public'
                  UNION ALL SELECT a::text FROM pg_database, unnest(datacl) a WHERE datname = current_database() ORDER BY 1";
    let before = secured.lines(rights).await;
    let login = format!("{}_restore", secured.prefix);
    secured.scenario.run_as(&login, "restore latest --yes").await.succeeds();
    assert_eq!(secured.lines("SELECT version FROM schema_migrations").await, ["001"]);
    assert_eq!(secured.lines(rights).await, before, "what was lent is taken back");
    let mut owners = vec!["owner: a"];
    owners.splice(0..0, KEPT);
    assert_eq!(secured.owners("public").await, owners);
    secured.run("up").await.succeeds().prints("applied 002_b");
    secured.run("history --verify").await.succeeds();
}

#[tokio::test]
async fn the_restore_role_brings_back_a_database_that_was_lost() {
    let secured = Secured::of(Scenario::new("roles_lost_database").await.tables(&["a", "b"]), "").await;
    secured.run("up --to 1").await.succeeds();
    secured.run("up").await.succeeds().prints("applied 002_b");
    let rights = "SELECT a::text FROM pg_namespace, unnest(nspacl) a WHERE nspname = 'public'
                  UNION ALL SELECT a::text FROM pg_database, unnest(datacl) a WHERE datname = current_database() ORDER BY 1";
    let before = secured.lines(rights).await;
    let drop = format!("DROP DATABASE {} WITH (FORCE)", secured.scenario.database());
    secured.scenario.superuser_in("postgres").await.lines(&drop).await;
    let login = format!("{}_restore", secured.prefix);
    secured.scenario.run_as(&login, "restore latest").await.succeeds();
    assert_eq!(secured.lines(rights).await, before, "what was lent is taken back");
    assert_eq!(secured.lines("SELECT version FROM schema_migrations").await, ["001"]);
    secured.run("up").await.succeeds().prints("applied 002_b");
    secured.run("history --verify").await.succeeds();
    secured.scenario.run_as(&login, "drill").await.succeeds();
}
