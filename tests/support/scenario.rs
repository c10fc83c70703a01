//! A fresh database, a fresh folder, and the command between them.

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use lockgate::{
    postgres::{Secret, Target, quote_literal},
    testing::{Connection, Database, Server},
};
use tempfile::TempDir;

use crate::{Call, Outcome, Proxy, Session, State, programs};

/// The sessions of runs, in `pg_stat_activity`.
const RUNS: &str = "application_name LIKE 'lockgate%' AND datname = current_database()";

/// See the crate. Everything in the folder goes with the value; the database goes with the server.
pub struct Scenario {
    folder: TempDir,
    database: Database,
    /// How the owner of the database reaches it.
    target: Target,
}

impl Scenario {
    /// A database of that name, with a number, owned by a role that is no superuser; and an empty folder `migrations`.
    pub async fn new(name: &str) -> Self {
        Self::with(Database::named(name).await)
    }

    /// The same on a server of the caller's own.
    pub async fn on(server: Arc<Server>, name: &str) -> Self {
        Self::with(Database::on(server, name).await)
    }

    fn with(database: lockgate::testing::Result<Database>) -> Self {
        let database = database.unwrap_or_else(|e| panic!("there is no server to test with: {e}"));
        let folder = tempfile::Builder::new().prefix("lockgate-scenario-").tempdir().unwrap();
        fs::create_dir(folder.path().join("migrations")).unwrap();
        Self { folder, target: database.target(), database }
    }

    // The folder.

    /// With a file among the migrations.
    #[must_use]
    pub fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        self.write(&format!("migrations/{name}"), content);
        self
    }

    /// With `<name>.up.sql` and `<name>.down.sql`.
    #[must_use]
    pub fn migration(self, name: &str, up: &str, down: &str) -> Self {
        self.file(&format!("{name}.up.sql"), up).file(&format!("{name}.down.sql"), down)
    }

    /// With a table for each name, in order, by migrations `001_<name>`, `002_<name>`, …
    #[must_use]
    pub fn tables(self, names: &[&str]) -> Self {
        names.iter().enumerate().fold(self, |scenario, (i, name)| {
            let stem = format!("{:03}_{name}", i + 1);
            scenario.migration(
                &stem,
                &format!("CREATE TABLE {name} (id int PRIMARY KEY);"),
                &format!("DROP TABLE {name};"),
            )
        })
    }

    /// With a component, pinned.
    #[must_use]
    pub async fn component(self, name: &str, bytes: &[u8]) -> Self {
        let scenario = self.unpinned(name, bytes);
        scenario.run("plugin pin").await.succeeds();
        scenario
    }

    /// With a component that nobody pinned.
    #[must_use]
    pub fn unpinned(self, name: &str, bytes: &[u8]) -> Self {
        self.file(&format!("{name}.wasm"), bytes)
    }

    /// With the migrations of the auth service.
    #[must_use]
    pub fn auth_migrations(self) -> Self {
        for entry in fs::read_dir(project().join("migrations")).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, self.migrations().join(path.file_name().unwrap())).unwrap();
        }
        self
    }

    /// With a folder of the fixtures as the folder of migrations.
    #[must_use]
    pub fn fixtures(self, path: &str) -> Self {
        copy_tree(&project().join("tests/fixtures").join(path), &self.migrations());
        self
    }

    /// With a `lockgate.toml`.
    #[must_use]
    pub fn config(self, text: &str) -> Self {
        self.write("lockgate.toml", text);
        self
    }

    /// Writes a file, by its path from the scenario's folder.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Removes a file, by its path from the scenario's folder.
    pub fn remove(&self, path: &str) {
        fs::remove_file(self.path(path)).unwrap();
    }

    /// The path of something in the scenario's folder.
    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn migrations(&self) -> PathBuf {
        self.path("migrations")
    }

    /// The names of the files in a folder, in order; none when it is not there.
    pub fn files(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(folder)).into_iter().flatten();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// The names of what a folder of backups holds beside its `.gitignore`.
    pub fn backups(&self, folder: &str) -> Vec<String> {
        self.files(folder).into_iter().filter(|name| name != ".gitignore").collect()
    }

    /// A folder of made-up PostgreSQL programs: each a name and a shell script, in which `$REAL` is the folder of the real ones.
    /// Of `pg_dump` and `pg_restore`, the one that is not made up is real.
    pub fn made_up_programs(&self, scripts: &[(&str, &str)]) -> PathBuf {
        let (folder, real) = (self.path("programs"), programs::folder());
        fs::create_dir(&folder).unwrap();
        for (name, body) in scripts {
            programs::write_script(&folder.join(name), &format!("REAL='{}'\n{body}", real.display()));
        }
        for name in ["pg_dump", "pg_restore"].into_iter().filter(|name| !folder.join(name).exists()) {
            std::os::unix::fs::symlink(real.join(name), folder.join(name)).unwrap();
        }
        folder
    }

    // The command.

    /// A call of the command with these words as arguments, as the owner of the database.
    pub fn run(&self, arguments: &str) -> Call {
        self.with_settings(Call::new(self.folder.path(), arguments))
    }

    /// The command, for programs that call it.
    pub fn binary(&self) -> &'static Path {
        Call::command()
    }

    /// The same at a terminal of so many columns; to what is asked there somebody answers so, or nothing.
    pub fn at_terminal(&self, columns: u16, answer: &str, arguments: &str) -> Call {
        self.with_settings(Call::at_terminal(self.folder.path(), columns, answer, arguments))
    }

    /// A call of another program that is used in the same way.
    pub fn run_program(&self, program: &Path, arguments: &str) -> Call {
        self.with_settings(Call::of_program(program, self.folder.path(), arguments))
    }

    /// The same by way of a proxy.
    pub fn run_through(&self, proxy: &Proxy, arguments: &str) -> Call {
        self.run_by_way_of(proxy.port(), arguments)
    }

    /// The same by way of whatever listens there.
    pub fn run_by_way_of(&self, port: u16, arguments: &str) -> Call {
        let call = self.run(arguments).env("DB_HOST", "127.0.0.1").env("DB_PORT", port.to_string());
        call.env("DB_SSL_MODE", "disable")
    }

    /// The same as another role.
    pub fn run_as(&self, role: &str, arguments: &str) -> Call {
        self.run(arguments).env("DB_USER", role)
    }

    /// A shell script that calls the command, as `$LOCKGATE`.
    pub fn shell(&self, script: &str) -> Call {
        self.with_settings(Call::by_shell(self.folder.path(), script))
    }

    fn with_settings(&self, call: Call) -> Call {
        let call = call
            .env("DB_HOST", self.host())
            .env("DB_PORT", self.port().to_string())
            .env("DB_NAME", &self.target.database)
            .env("DB_USER", &self.target.user)
            .env("DB_PASSWORD", self.password());
        match env::var_os("LOCKGATE_PG_BIN") {
            Some(folder) => call.env("LOCKGATE_PG_BIN", folder),
            None => call,
        }
    }

    /// `lockgate up --no-backup`.
    pub async fn up(&self) -> Outcome {
        self.run("up --no-backup").await
    }

    /// `lockgate down <version> --no-backup`.
    pub async fn down(&self, version: &str) -> Outcome {
        self.run(&format!("down {version} --no-backup")).await
    }

    /// Host, port, database, role and password as a URL.
    pub fn url(&self) -> String {
        self.database.url()
    }

    /// How the owner of the database reaches it.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The server's address.
    pub fn host(&self) -> &str {
        &self.target.hosts[0].name
    }

    /// The server's port.
    pub fn port(&self) -> u16 {
        self.target.hosts[0].port
    }

    /// The password, which must never be seen.
    pub fn password(&self) -> &str {
        self.target.given_password().map(Secret::reveal).unwrap()
    }

    // The database.

    /// Its name.
    pub fn database(&self) -> &str {
        &self.target.database
    }

    /// A connection as its owner.
    pub async fn session(&self) -> Session {
        Session(self.database.connect().await.unwrap())
    }

    /// Whether the server answers.
    pub async fn can_be_reached(&self) -> bool {
        self.database.connect_as_superuser().await.is_ok()
    }

    /// A connection as a superuser.
    pub async fn superuser(&self) -> Session {
        Session(self.database.connect_as_superuser().await.unwrap())
    }

    /// A connection as a superuser to another database.
    pub async fn superuser_in(&self, database: &str) -> Session {
        Session(Connection::open(&self.database.server().as_superuser(database)).await.unwrap())
    }

    /// Rows, as [`Session::lines`].
    pub async fn lines(&self, sql: &str) -> Vec<String> {
        self.session().await.lines(sql).await
    }

    /// The only value of the only row.
    pub async fn value(&self, sql: &str) -> String {
        self.session().await.value(sql).await
    }

    /// Another role that may log in, named after the database. Returns its name.
    pub async fn role(&self, attributes: &str) -> String {
        let name = format!("{}_other", self.database());
        let sql = format!("CREATE ROLE {name} LOGIN {attributes} PASSWORD {}", quote_literal(self.password()));
        self.superuser().await.lines(&sql).await;
        name
    }

    /// Everything in it.
    pub async fn state(&self) -> State {
        self.database.state().await.unwrap()
    }

    /// Everything in another database of the server.
    pub async fn state_of(&self, database: &str) -> State {
        State::read(&self.superuser_in(database).await.0).await.unwrap()
    }

    /// Claims that the database is as it was, that no lock is left and no session.
    pub async fn is_still(&self, before: &State) {
        self.is_at_rest().await;
        before.equals(&self.state().await);
    }

    /// Claims that no run has left a lock or a session.
    pub async fn is_at_rest(&self) {
        // The server takes a moment to notice that a client is gone.
        self.is_gone().await;
        let locks = "SELECT classid, objid FROM pg_locks WHERE locktype = 'advisory'
                     AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        assert_eq!(self.superuser().await.lines(locks).await, Vec::<String>::new(), "advisory locks are left");
    }

    /// Waits until no run has a session in the database.
    pub async fn is_gone(&self) {
        let session = self.superuser().await;
        let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE {RUNS}");
        eventually("the sessions of all runs have ended", async || session.value(&sql).await == "0").await;
    }

    /// Ends the server's side of the run under way.
    pub async fn end_the_run(&self) {
        let ended = self
            .superuser()
            .await
            .lines(&format!(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {RUNS} AND application_name NOT LIKE '% watch %'"
            ))
            .await;
        assert_eq!(ended, ["t"], "one run is under way");
    }

    /// The versions in the history, in order.
    pub async fn applied(&self) -> Vec<String> {
        self.lines("SELECT version FROM schema_migrations ORDER BY version::numeric").await
    }

    /// True when Lockgate has made its tables.
    pub async fn has_history(&self) -> bool {
        self.value("SELECT to_regclass('schema_migrations') IS NOT NULL OR to_regclass('schema_migrations_journal') IS NOT NULL").await == "t"
    }

    /// The journal's events in order, each with its version, if it has one.
    pub async fn journal(&self) -> Vec<String> {
        self.lines("SELECT concat_ws(' ', event, version) FROM schema_migrations_journal ORDER BY id").await
    }

    /// Drops what Lockgate made for itself.
    pub async fn drop_own_tables(&self) {
        self.lines(
            "DROP TABLE schema_migrations, schema_migrations_journal, schema_migrations_progress, schema_migrations_seal;
             DROP FUNCTION schema_migrations_journal_is_append_only(), schema_migrations_journal_chain()",
        )
        .await;
    }

    /// `pg_dump --schema-only`, without what differs from one dump to the next.
    pub fn schema_dump(&self) -> String {
        programs::unrestricted(&self.dump(&["--schema-only"]))
    }

    /// What `pg_dump` prints of the whole database, as a script.
    pub fn dump(&self, arguments: &[&str]) -> String {
        programs::output("pg_dump", arguments, &Self::environment(self.database.server().as_superuser(self.database())))
    }

    /// The statements that psql sends when the owner runs a script with it, whatever comes of them.
    pub fn sent_by_psql(&self, script: &Path) -> Vec<String> {
        let log = self.path("psql.log");
        let arguments =
            ["--no-psqlrc", "--quiet", "--log-file", log.to_str().unwrap(), "--file", script.to_str().unwrap()];
        programs::output("psql", &arguments, &Self::environment(self.target.clone()));
        let log = fs::read_to_string(log).unwrap();
        // As version 17 and later write it, and those before.
        let begins = ["/******** QUERY *********/\n", "********* QUERY **********\n"];
        let ends = ["\n/************************/\n", "\n**************************\n"];
        let newer = usize::from(!log.contains(begins[0]));
        let said =
            log.split(begins[newer]).skip(1).map(|rest| rest.split(ends[newer]).next().unwrap_or(rest).to_owned());
        let sent = said.collect();
        fs::remove_file(self.path("psql.log")).unwrap();
        sent
    }

    fn environment(target: Target) -> Vec<(&'static str, String)> {
        let password = target.given_password().map(Secret::reveal).unwrap_or_default().to_owned();
        let lockgate::postgres::Host { name: host, port, .. } = target.host();
        let Target { database, user, .. } = target;
        vec![
            ("PGHOST", host),
            ("PGPORT", port.to_string()),
            ("PGDATABASE", database),
            ("PGUSER", user),
            ("PGPASSWORD", password),
        ]
    }
}

/// A file of the fixtures.
pub(crate) fn fixture(path: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(path);
    fs::read(&path).unwrap_or_else(|e| panic!("`{}`: {e}", path.display()))
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_tree(&path, &to);
        } else {
            fs::copy(&path, &to).unwrap();
        }
    }
}

/// The folder of the whole project.
pub fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Makes a file, or a folder with the files in it, one that was written two hours ago.
pub fn make_old(path: &Path) {
    let inner = fs::read_dir(path).into_iter().flatten().map(|entry| entry.unwrap().path());
    for path in inner.chain([path.to_owned()]) {
        let then = std::time::SystemTime::now() - Duration::from_secs(2 * 3_600);
        fs::File::open(path).unwrap().set_modified(then).unwrap();
    }
}

/// Asks again and again until it holds.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begin = Instant::now();
    while !holds().await {
        assert!(begin.elapsed() < Duration::from_secs(30), "waited for 30 s: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
