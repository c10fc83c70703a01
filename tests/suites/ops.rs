//! What is in `ops/`, read by those that it is for: promtool, a real node_exporter, a real Prometheus, a migrated database.
//!
//! `.ci/prometheus` installs them. Where they are not there, the tests are left out, and say so; unless `LOCKGATE_PROMETHEUS_REQUIRED` is set.

use std::{
    collections::BTreeSet,
    env, fs,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use lockgate_tests::{Scenario, components::token_settings, eventually, project};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

const PROGRAMS: [&str; 3] = ["promtool", "prometheus", "prometheus-node-exporter"];

/// Whether Prometheus is at hand.
fn at_hand() -> bool {
    let paths = env::var_os("PATH").unwrap_or_default();
    let missing: Vec<_> = PROGRAMS
        .into_iter()
        .filter(|name| !env::split_paths(&paths).any(|folder| folder.join(name).is_file()))
        .collect();
    assert!(missing.is_empty() || env::var_os("LOCKGATE_PROMETHEUS_REQUIRED").is_none(), "missing: {missing:?}");
    if !missing.is_empty() {
        eprintln!("left out, for want of {}: `.ci/prometheus` installs them", missing.join(", "));
    }
    missing.is_empty()
}

fn promtool(arguments: &[&str], stdin: Stdio) -> Output {
    let mut command = Command::new("promtool");
    command.args(arguments).current_dir(project().join("ops/prometheus")).stdin(stdin).output().unwrap()
}

#[track_caller]
fn passes(output: &Output) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}

fn read(path: &str) -> String {
    fs::read_to_string(project().join(path)).unwrap()
}

/// The names in a text that are metrics by their beginning.
fn metrics(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let is_metric = |word: &&str| word.starts_with("lockgate_") || word.starts_with("auth_");
    words.filter(is_metric).map(str::to_owned).collect()
}

/// The queries of postgres_exporter: name, SQL and columns.
fn queries() -> Vec<(String, String, Vec<String>)> {
    let mut queries: Vec<(String, String, Vec<String>)> = Vec::new();
    for line in read("ops/postgres-exporter/queries.yml").lines().filter(|line| !line.starts_with('#')) {
        let (indent, text) = (line.len() - line.trim_start().len(), line.trim());
        match (indent, text, queries.last_mut()) {
            (0, name, _) if name.ends_with(':') => {
                queries.push((name.trim_end_matches(':').to_owned(), String::new(), Vec::new()));
            }
            (4, column, Some((_, _, columns))) if column.starts_with("- ") => {
                columns.push(column.trim_start_matches("- ").trim_end_matches(':').to_owned());
            }
            (4.., sql, Some((_, query, columns))) if columns.is_empty() => *query += &format!("{sql}\n"),
            _ => {}
        }
    }
    queries
}

/// The expressions of the dashboard.
fn expressions() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&read("ops/grafana/lockgate.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().unwrap());
    targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_metric_that_is_named_is_one_that_there_is() {
    let documented = read("docs/telemetry.md");
    let of_queries: BTreeSet<String> = queries()
        .into_iter()
        .flat_map(|(name, _, columns)| columns.into_iter().map(move |column| format!("{name}_{column}")))
        .collect();
    assert_eq!(of_queries.len(), 6, "{of_queries:?}");
    let rules = read("ops/prometheus/lockgate.rules.yml");
    let in_rules = rules.lines().filter_map(|line| line.trim().strip_prefix("expr: "));
    let named: BTreeSet<String> =
        in_rules.map(str::to_owned).chain(expressions()).flat_map(|text| metrics(&text)).collect();
    assert!(named.len() > 15, "{named:?}");
    for name in named {
        // Every one that we write is in there: a test of its own sees to that.
        assert!(documented.contains(&format!("| `{name}` |")) || of_queries.contains(&name), "nobody writes {name}");
    }
}

#[test]
fn promtool_accepts_the_rules_and_their_tests() {
    if !at_hand() {
        return;
    }
    passes(&promtool(&["check", "rules", "lockgate.rules.yml"], Stdio::null()));
    passes(&promtool(&["test", "rules", "lockgate_test.yml"], Stdio::null()));
    // Each expression of the dashboard is one of PromQL: as a rule, it is parsed.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dashboard.yml");
    let rule = |(i, expr): (usize, String)| {
        let expr = serde_json::to_string(&expr.replace("$database", ".*")).unwrap();
        format!("      - {{record: \"dashboard:{i}\", expr: {expr}}}\n")
    };
    let rules: String = expressions().into_iter().enumerate().map(rule).collect();
    fs::write(&path, format!("groups:\n  - name: dashboard\n    rules:\n{rules}")).unwrap();
    passes(&promtool(&["check", "rules", path.to_str().unwrap()], Stdio::null()));
    fs::write(&path, "groups:\n  - name: x\n    rules:\n      - {record: \"a:b\", expr: \"sum(\"}\n").unwrap();
    assert!(!promtool(&["check", "rules", path.to_str().unwrap()], Stdio::null()).status.success());
}

/// `ProtectSystem=strict` leaves a unit nothing to write to but what its directives make.
#[test]
fn what_a_unit_writes_is_in_a_folder_that_it_is_given() {
    for command in ["backup", "prune", "drill"] {
        let unit = read(&format!("ops/systemd/lockgate-{command}@.service"));
        let of = |key: &str| unit.lines().filter_map(|line| line.strip_prefix(key)).collect::<Vec<_>>();
        assert_eq!(of("ProtectSystem="), ["strict"], "{command}");
        let environment = of("Environment=").join(" ");
        for (variable, root, directive) in [
            ("LOCKGATE_BACKUP_DIR", "%S", "StateDirectory="),
            ("LOCKGATE_CACHE_DIR", "%C", "CacheDirectory="),
            ("LOCKGATE_LOG_DIR", "%L", "LogsDirectory="),
        ] {
            let named = environment.split(' ').find_map(|word| word.strip_prefix(variable)?.strip_prefix('='));
            let given: Vec<String> = of(directive).iter().map(|folder| format!("{root}/{folder}")).collect();
            assert_eq!(named.map(str::to_owned).as_slice(), given, "{command}: {variable}");
        }
    }
}

#[tokio::test]
async fn the_queries_tell_what_is_in_the_auth_services_tables() {
    let settings = token_settings("keep_originals = true\nbatch_rows = 1000");
    let scenario = Scenario::new("ops_queries").await.auth_migrations().config(&settings);
    scenario.run("up --no-backup").await.succeeds();
    let user = |name: &str, locked: &str| {
        format!(
            "INSERT INTO users (email, username, password_hash, account_locked_until)
             VALUES ('{name}@example.com', 'user_{name}', '$2b$12$' || repeat('x', 53), {locked})"
        )
    };
    let session = scenario.session().await;
    let made = [user("a", "NULL"), user("b", "now() + interval '1 hour'"), user("c", "now() - interval '1 hour'")];
    for sql in made {
        session.lines(&sql).await;
    }
    let noted = "INSERT INTO audit_logs (action, resource_type, created_at) VALUES";
    for (action, minutes) in [
        ("login_failed", 0),
        ("login_failed", 59),
        ("login_failed", 61),
        ("account_locked", 0),
        ("account_locked", 1),
        ("account_locked", 59),
        ("account_locked", 61),
        ("login", 0),
    ] {
        session.lines(&format!("{noted} ('{action}', 'users', now() - interval '{minutes} min')")).await;
    }
    for (status, revoked, expires) in [
        ("active", "NULL", "now() + interval '1 hour'"),
        ("active", "NULL", "now() + interval '1 minute'"),
        // Nobody has noticed yet that it has run out.
        ("active", "NULL", "now() - interval '1 minute'"),
        ("expired", "NULL", "now() - interval '1 hour'"),
        ("revoked", "now()", "now() + interval '1 hour'"),
    ] {
        let sql = format!(
            "INSERT INTO user_sessions (user_id, session_token, status, revoked_at, created_at, expires_at)
             SELECT id, gen_random_uuid()::text || gen_random_uuid()::text, '{status}', {revoked}, now() - interval '1 day', {expires} FROM users WHERE username = 'user_a'"
        );
        session.lines(&sql).await;
    }
    for (name, expected) in
        [("auth_failed_logins", "2"), ("auth_account_lockouts", "3"), ("auth_accounts", "1"), ("auth_sessions", "2")]
    {
        let (_, sql, columns) = queries().into_iter().find(|(query, _, _)| query == name).unwrap();
        assert_eq!(session.value(&sql).await, expected, "{name}");
        // What the exporter takes for the name is what the query calls it.
        let column = format!("SELECT {} FROM ({sql}) AS query", columns.join(", "));
        assert_eq!(session.value(&column).await, expected, "{name}");
    }
    let (_, sql, columns) = queries().into_iter().find(|(query, _, _)| query == "auth_connections").unwrap();
    let sane = format!("SELECT {0} > 0 AND {0} <= {1} FROM ({sql}) AS query", columns[0], columns[1]);
    assert_eq!(session.value(&sane).await, "t");
}

/// A program that ends with this value.
struct Service(Child);

impl Service {
    fn start(command: &mut Command, log: &Path) -> Self {
        let log = fs::File::create(log).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        Self(command.spawn().unwrap())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// What a server says to a GET; empty while it does not listen.
async fn get(port: u16, path: &str) -> String {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)).await else { return String::new() };
    let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_real_node_exporter_and_a_real_prometheus_read_the_file() {
    if !at_hand() {
        return;
    }
    let scenario = Scenario::new("prometheus").await.tables(&["a", "b"]);
    scenario.write("textfile/readme", "");
    scenario.run("up --prometheus-file textfile/lockgate.prom").await.succeeds();
    passes(&promtool(&["check", "metrics"], fs::File::open(scenario.path("textfile/lockgate.prom")).unwrap().into()));

    let (exporter, prometheus) = (free_port(), free_port());
    let folder = scenario.path("textfile");
    let _exporter = Service::start(
        Command::new("prometheus-node-exporter")
            .args(["--collector.disable-defaults", "--collector.textfile", "--web.disable-exporter-metrics"])
            .arg(format!("--collector.textfile.directory={}", folder.display()))
            .arg(format!("--web.listen-address=127.0.0.1:{exporter}")),
        &scenario.path("exporter.log"),
    );
    eventually("node_exporter answers", async || get(exporter, "/metrics").await.contains("lockgate_runs_total{"))
        .await;
    let seen = get(exporter, "/metrics").await;
    assert!(seen.contains("node_textfile_scrape_error 0"), "{seen}");

    let rules = project().join("ops/prometheus/lockgate.rules.yml");
    let config = format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: ['{}']\nscrape_configs:\n  - job_name: node\n    static_configs: [{{targets: ['127.0.0.1:{exporter}']}}]\n",
        rules.display()
    );
    scenario.write("prometheus.yml", config);
    let _prometheus = Service::start(
        Command::new("prometheus")
            .arg(format!("--config.file={}", scenario.path("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", scenario.path("tsdb").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{prometheus}")),
        &scenario.path("prometheus.log"),
    );
    let count = "/api/v1/query?query=lockgate_migrations_total";
    eventually("Prometheus has scraped it", async || get(prometheus, count).await.contains("\"result\":\"success\""))
        .await;
    let answer = get(prometheus, count).await;
    let body: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    let result = &body["data"]["result"][0];
    assert_eq!((&result["metric"]["database"], &result["value"][1]), (&scenario.database().into(), &"2".into()));
    let alerts = get(prometheus, "/api/v1/rules").await;
    assert!(alerts.contains("MigrationSlow") && !alerts.contains("\"health\":\"err\""), "{alerts}");
}
