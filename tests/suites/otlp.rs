//! What a collector of OpenTelemetry and a push gateway get of a run, and that a run does without them where it must.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use hyper::{Method, StatusCode};
use lockgate_tests::{
    Call, Manner, Outcome, ReceivedPoint, ReceivedSpan, Receiver, Scenario, Secrets, components::token_settings,
    nowhere,
};

/// The flush at the end of a run in these tests, in milliseconds.
const FLUSH_MS: u64 = 500;
/// What any of the sides is waited for, were it waited for: many times as long as a run takes.
const NEVER_MS: &str = "60000";
/// As long as a run of these tests may take: less than a single answer that was waited for.
const QUICK: Duration = Duration::from_secs(25);

fn named<'s>(spans: &'s [ReceivedSpan], name: &str) -> Vec<&'s ReceivedSpan> {
    spans.iter().filter(|span| span.name == name).collect()
}

#[track_caller]
fn only<'s>(spans: &'s [ReceivedSpan], name: &str) -> &'s ReceivedSpan {
    match named(spans, name)[..] {
        [span] => span,
        ref others => panic!("{} spans are called `{name}`: {spans:#?}", others.len()),
    }
}

/// The value of a metric with this attribute, or with any.
fn value(points: &[ReceivedPoint], metric: &str, attribute: (&str, &str)) -> Option<f64> {
    let (name, value) = attribute;
    let holds = |point: &&ReceivedPoint| name.is_empty() || point.attributes.get(name).is_some_and(|v| v == value);
    points.iter().filter(|point| point.metric == metric).find(holds).map(|point| point.value)
}

/// The run that the journal has last.
async fn run_id(scenario: &Scenario) -> String {
    scenario.value("SELECT run_id FROM schema_migrations_journal ORDER BY id DESC LIMIT 1").await
}

/// What it warns of, beside that there is no backup.
fn complaints(outcome: &Outcome) -> Vec<&str> {
    let warnings = outcome.stderr.lines().filter(|line| line.contains(" WARN "));
    warnings.filter(|line| !line.contains("no backup is taken")).collect()
}

async fn failing(name: &str) -> Scenario {
    Scenario::new(name).await.tables(&["a", "b"]).migration("003_c", "SELECT nonsense", "SELECT 1")
}

#[tokio::test]
async fn a_run_is_one_trace_of_what_it_did() {
    let (collector, scenario) = (Receiver::start(), failing("otlp_trace").await);
    scenario.run("up").arg("--otlp-endpoint").arg(collector.url()).await.exits_with(1);
    let (spans, run_id) = (collector.spans(), run_id(&scenario).await);

    let root = only(&spans, "run");
    assert_eq!((root.parent.as_str(), root.attributes["command"].as_str()), ("", "up"));
    assert_eq!(
        (root.attributes["exit_code"].as_str(), root.attributes["error.type"].as_str()),
        ("1", "migration_failed")
    );
    assert!(root.error.as_ref().is_some_and(|message| message.contains("rolled back")), "{root:?}");
    for span in &spans {
        assert_eq!((&span.trace, &span.attributes["run_id"]), (&root.trace, &run_id), "{span:?}");
        assert_eq!((&span.resource["run_id"], span.resource["service.name"].as_str()), (&run_id, "lockgate"));
        assert_eq!(span.events, 0, "what is logged is not exported: {span:?}");
        if span.id != root.id {
            let parent = spans.iter().find(|other| other.id == span.parent);
            let parent = parent.unwrap_or_else(|| panic!("the parent of {span:?} is not there"));
            assert!(parent.time.0 <= span.time.0 && span.time.1 <= root.time.1, "{parent:?}\n{span:?}");
        }
    }
    for name in ["lock", "backup"] {
        let span = only(&spans, name);
        assert_eq!((&span.parent, &span.error), (&root.id, &None), "{span:?}");
    }
    let checks =
        named(&spans, "preflight").into_iter().map(|span| span.attributes.get("migration").map(String::as_str));
    assert_eq!(checks.collect::<Vec<_>>(), [None, Some("001_a"), Some("002_b"), Some("003_c")]);
    assert!(only(&spans, "backup").attributes["bytes"].parse::<u64>().is_ok_and(|bytes| bytes > 100));
    assert!(only(&spans, "lock").attributes.contains_key("waited_ms"));
    let connect = named(&spans, "connect");
    let server = format!("`{}` at {}:{} as ", scenario.database(), scenario.host(), scenario.port());
    assert!(
        connect.len() > 1 && connect.iter().all(|span| span.attributes["server"].starts_with(&server)),
        "{connect:?}"
    );

    let migrations = named(&spans, "migration");
    let told = migrations.iter().map(|span| (span.attributes["migration"].as_str(), span.error.is_some()));
    assert_eq!(told.collect::<Vec<_>>(), [("001_a", false), ("002_b", false), ("003_c", true)]);
    for (i, migration) in migrations.into_iter().enumerate() {
        assert_eq!(migration.parent, root.id);
        assert_eq!((migration.attributes["direction"].as_str(), migration.attributes["kind"].as_str()), ("up", "sql"));
        let inner = |name: &str| named(&spans, name).into_iter().find(|span| span.parent == migration.id);
        let step = inner("step").unwrap();
        assert_eq!((step.attributes["kind"].as_str(), step.error.is_some()), ("sql", i == 2));
        assert_eq!(inner("commit").is_some(), i < 2, "{migration:?}");
    }
    assert_eq!(scenario.applied().await, ["001", "002"]);
}

#[tokio::test]
async fn what_verification_refuses_fails_its_span() {
    let (collector, scenario) = (Receiver::start(), Scenario::new("otlp_verify").await.tables(&["a"]));
    let scenario = scenario.file("001_a.verify.sql", "SELECT 'error' AS severity, 'no' AS code, 'not so' AS message;");
    let outcome = scenario.run("up --no-backup").env("LOCKGATE_OTLP_ENDPOINT", collector.url()).await;
    assert_eq!(outcome.code, Some(6), "{}", outcome.stderr);
    let spans = collector.spans();
    for name in ["verify", "migration", "run"] {
        let span = only(&spans, name);
        assert!(span.error.is_some() && span.attributes["error.type"] == "check_failed", "{span:?}");
    }
    assert_eq!(only(&spans, "step").error, None);
}

#[tokio::test]
async fn what_a_run_measures_arrives_with_its_id() {
    let (collector, scenario) = (Receiver::start(), failing("otlp_metrics").await);
    let scenario = scenario.config(&format!("[telemetry]\notlp_endpoint = \"{}\"\n", collector.url()));
    scenario.run("up").await.exits_with(1);
    let (points, run_id) = (collector.points(), run_id(&scenario).await);
    let server = format!("{}:{}", scenario.host(), scenario.port());
    for point in &points {
        let of = ["run_id", "server", "database"].map(|name| point.attributes[name].as_str());
        assert_eq!(of, [&run_id, &server, scenario.database()], "{point:?}");
        assert_eq!((&point.resource["run_id"], &point.resource["service.instance.id"]), (&run_id, &run_id));
    }
    for (metric, attribute, expected) in [
        ("lockgate.runs", ("result", "failure"), 1.0),
        ("lockgate.run_exit_code", ("command", "up"), 1.0),
        ("lockgate.run_in_progress", ("command", "up"), 0.0),
        ("lockgate.migrations", ("result", "success"), 2.0),
        ("lockgate.migrations", ("result", "failure"), 1.0),
        ("lockgate.migrations_pending", ("", ""), 1.0),
        ("lockgate.backups", ("result", "success"), 1.0),
        ("lockgate.info", ("version", env!("CARGO_PKG_VERSION")), 1.0),
    ] {
        assert_eq!(value(&points, metric, attribute), Some(expected), "{metric}: {points:#?}");
    }
    let took = value(&points, "lockgate.migration_duration", ("migration", "001_a"));
    assert!(took.is_some_and(|seconds| seconds > 0.0 && seconds < 60.0), "{took:?}");
    let one = |name: &str| points.iter().find(|point| point.metric == name).unwrap();
    assert_eq!(
        (one("lockgate.migration_duration").unit.as_str(), one("lockgate.backup_size").unit.as_str()),
        ("s", "By")
    );
    assert!(one("lockgate.runs").is_counter && !one("lockgate.backup_size").is_counter);
    assert!(value(&points, "lockgate.migration_start_timestamp", ("", "")).is_none(), "none is under way");

    // To look is traced, and measures nothing.
    let before = collector.received_at("/v1/metrics").len();
    scenario.run("status").await.succeeds();
    assert_eq!(collector.received_at("/v1/metrics").len(), before);
    assert!(named(&collector.spans(), "run").iter().any(|span| span.attributes["command"] == "status"));
}

#[tokio::test]
async fn the_trace_of_a_pipeline_goes_on_in_a_run() {
    let scenario = Scenario::new("otlp_parent").await.tables(&["a"]);
    let (trace, parent) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    let collector = Receiver::start();
    let with = |collector: &Receiver, parent: String| {
        scenario.run("up --no-backup").env("LOCKGATE_OTLP_ENDPOINT", collector.url()).env("TRACEPARENT", parent)
    };
    let outcome = with(&collector, format!("00-{trace}-{parent}-01")).await.succeeds();
    assert_eq!(complaints(&outcome), Vec::<&str>::new());
    let spans = collector.spans();
    assert_eq!(only(&spans, "run").parent, parent);
    assert!(spans.len() > 3 && spans.iter().all(|span| span.trace == trace), "{spans:?}");

    // Whoever has decided not to keep the trace is heeded.
    let unsampled = Receiver::start();
    with(&unsampled, format!("00-{trace}-{parent}-00")).await.succeeds();
    assert!(unsampled.spans().is_empty() && !unsampled.points().is_empty());

    let own = Receiver::start();
    with(&own, format!("00-{trace}")).await.succeeds().says("TRACEPARENT is none");
    let spans = own.spans();
    assert_eq!(only(&spans, "run").parent, "");
    assert_ne!(only(&spans, "run").trace, trace);
}

#[tokio::test]
async fn the_variables_of_opentelemetry_are_heeded() {
    let scenario = Scenario::new("otlp_variables").await.tables(&["a"]);
    let (all, traces) = (Receiver::start(), Receiver::start());
    let up = || scenario.run("up --no-backup").env("OTEL_EXPORTER_OTLP_ENDPOINT", all.url());
    let call = up()
        .env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", format!("{}/elsewhere", traces.url()))
        .env("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=auth,authorization=Bearer%20one-token")
        .env("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "authorization=Bearer%20another-token")
        .env("OTEL_SERVICE_NAME", "migrations-of-auth")
        .env("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=staging,service.instance.id=job-7");
    call.await.succeeds();
    let sent = traces.received_at("/elsewhere");
    let header = |name: &str| sent[0].headers[name].to_str().unwrap().to_owned();
    assert_eq!((header("x-tenant").as_str(), header("authorization").as_str()), ("auth", "Bearer one-token"));
    assert_eq!((header("content-type").as_str(), &sent[0].method), ("application/x-protobuf", &Method::POST));
    assert!(all.spans().is_empty());
    let metrics = all.received_at("/v1/metrics");
    assert_eq!(metrics[0].headers["authorization"], "Bearer another-token");
    assert!(!metrics[0].headers.contains_key("x-tenant"), "the signal's own are all there are");
    let resource = &all.points()[0].resource;
    for (name, value) in [
        ("service.name", "migrations-of-auth"),
        ("deployment.environment.name", "staging"),
        ("service.instance.id", "job-7"),
        ("service.version", env!("CARGO_PKG_VERSION")),
    ] {
        assert_eq!(resource[name], value, "{resource:?}");
    }
    assert_eq!(resource["run_id"], run_id(&scenario).await);

    let before = (all.received().len(), traces.received().len());
    up().env("OTEL_SDK_DISABLED", "true").await.succeeds();
    // Nor does what has nothing to do with a database export anything.
    scenario.run("config show").env("OTEL_EXPORTER_OTLP_ENDPOINT", all.url()).await.succeeds();
    assert_eq!((all.received().len(), traces.received().len()), before);
    let outcome = up().env("OTEL_EXPORTER_OTLP_ENDPOINT", "collector").await.succeeds();
    assert!(outcome.stderr.contains("OTEL_EXPORTER_OTLP_ENDPOINT is ignored"), "{}", outcome.stderr);
    let call = scenario.run("up --no-backup --otlp-endpoint collector:4318");
    call.await.refuses_with(2).says("begins neither with `http://`");
    // The option comes before all of them.
    let option = Receiver::start();
    up().arg("--otlp-endpoint").arg(option.url()).await.succeeds();
    assert_eq!(all.received().len(), before.0);
    assert!(!option.spans().is_empty() && !option.points().is_empty());
}

#[tokio::test]
async fn a_collector_is_reached_by_tls_and_believed_only_if_its_authority_is_known() {
    let scenario = Scenario::new("otlp_tls").await.tables(&["a"]);
    let collector = Receiver::start_with_tls();
    let up = || scenario.run("up --no-backup").env("LOCKGATE_OTLP_ENDPOINT", collector.url());
    // rustls-native-certs takes the system's from there.
    for variable in ["OTEL_EXPORTER_OTLP_CERTIFICATE", "SSL_CERT_FILE"] {
        let before = collector.spans().len();
        let outcome = up().env(variable, collector.authority()).await.succeeds();
        assert_eq!(complaints(&outcome), Vec::<&str>::new(), "{variable}");
        assert!(collector.spans().len() > before && !collector.points().is_empty(), "{variable}");
    }
    let before = collector.received().len();
    up().await.succeeds().says("telemetry cannot be exported; the run goes on");
    let call = up().env("OTEL_EXPORTER_OTLP_CERTIFICATE", "nowhere.pem");
    call.await.succeeds().says("`nowhere.pem` holds no certificates");
    assert_eq!(collector.received().len(), before);
}

/// Runs that fail as they would without telemetry, and take no longer.
async fn ends_as_without(scenario: &Scenario, what: &str, complaint: &str, with: impl Fn(Call) -> Call) -> Outcome {
    let begin = Instant::now();
    let outcome = with(scenario.run("up --no-backup")).env("OTEL_EXPORTER_OTLP_TIMEOUT", NEVER_MS).await;
    let took = begin.elapsed();
    assert_eq!(outcome.code, Some(1), "{what}: {}", outcome.stderr);
    assert!(outcome.stderr.contains("error: migration `003_c` failed in up"), "{what}: {}", outcome.stderr);
    let warnings = complaints(&outcome);
    assert!(matches!(warnings[..], [only] if only.contains(complaint)), "{what}: {warnings:#?}");
    assert!(took < QUICK, "{what}: it took {took:?}");
    outcome
}

#[tokio::test]
async fn no_collector_slows_or_fails_a_run() {
    let scenario = failing("otlp_bad").await;
    let scenario = scenario.config(&format!("[telemetry]\nflush_timeout_ms = {FLUSH_MS}\n"));
    let bad = [
        (Receiver::that(Manner::NeverAnswers), "took longer than a run waits"),
        (Receiver::that(Manner::NeverReads), "took longer than a run waits"),
        (Receiver::that(Manner::Refuses(StatusCode::INTERNAL_SERVER_ERROR)), "status code: 500"),
        (Receiver::that(Manner::Refuses(StatusCode::UNAUTHORIZED)), "status code: 401"),
    ];
    let places = bad.iter().map(|(receiver, why)| (receiver.url(), *why));
    // A port that nobody listens at, and a name that nobody knows; both may as well be tried for as long as there is time.
    let places =
        places.chain([(nowhere(), "nobody answers there"), ("http://no-such-host.invalid:4318".to_owned(), "cause=")]);
    for (place, why) in places {
        let complaint = "telemetry cannot be exported; the run goes on";
        let with = |call: Call| call.env("LOCKGATE_OTLP_ENDPOINT", &place);
        let outcome = ends_as_without(&scenario, &place, complaint, with).await;
        assert!(outcome.stderr.contains(why) && outcome.stderr.contains(&place), "{place}: {}", outcome.stderr);
    }
    assert_eq!(scenario.applied().await, ["001", "002"]);
}

#[tokio::test]
async fn a_run_waits_for_a_collector_as_long_as_is_set_and_no_longer() {
    let receiver = Receiver::that(Manner::NeverAnswers);
    let scenario = Scenario::new("otlp_waits").await.tables(&["a"]);
    scenario.up().await.succeeds();
    let took = async |flush_ms: u64| {
        let toml = format!("[telemetry]\notlp_endpoint = \"{}\"\nflush_timeout_ms = {flush_ms}\n", receiver.url());
        scenario.write("lockgate.toml", toml);
        let begin = Instant::now();
        scenario.run("up").env("OTEL_EXPORTER_OTLP_TIMEOUT", NEVER_MS).await.succeeds().prints("nothing is pending");
        begin.elapsed()
    };
    let (short, long) = (took(100).await, took(8_000).await);
    // Whatever else takes its time on a busy machine is the same for both.
    assert!(long > short + Duration::from_secs(4), "{short:?}, {long:?}");
}

#[tokio::test]
async fn no_push_gateway_slows_or_fails_a_run() {
    let scenario = failing("push_bad").await;
    let scenario = scenario.config(&format!("[telemetry]\nflush_timeout_ms = {FLUSH_MS}\n"));
    let bad = [
        (Receiver::that(Manner::NeverAnswers), "took longer than a run waits"),
        (Receiver::that(Manner::NeverReads), "took longer than a run waits"),
        (Receiver::that(Manner::Refuses(StatusCode::INTERNAL_SERVER_ERROR)), "it answers 500"),
    ];
    let places = bad.iter().map(|(receiver, why)| (receiver.url(), *why));
    for (place, why) in places.chain([(nowhere(), "Connection refused")]) {
        let complaint = "metrics cannot be pushed; the run goes on";
        let with = |call: Call| call.env("LOCKGATE_PUSH_URL", &place);
        let outcome = ends_as_without(&scenario, &place, complaint, with).await;
        assert!(outcome.stderr.contains(why) && outcome.stderr.contains(&place), "{place}: {}", outcome.stderr);
    }
    scenario.run("up --push-url gateway:9091").await.refuses_with(2).says("the URL of the push gateway");
}

#[tokio::test]
async fn what_is_pushed_outlives_the_run_at_the_gateway() {
    let (gateway, scenario) = (Receiver::start(), failing("push").await);
    let scenario = scenario.config(&format!("[telemetry]\npush_url = \"{}/\"\n", gateway.url()));
    let group = format!(
        "/metrics/job/lockgate/server/{}:{}/database/{}",
        scenario.host(),
        scenario.port(),
        scenario.database()
    );
    let of = format!("server=\"{}:{}\",database=\"{}\"", scenario.host(), scenario.port(), scenario.database());
    let texts = || {
        let pushed = gateway.received_at(&group).into_iter();
        pushed.map(|push| String::from_utf8(push.body).unwrap()).collect::<Vec<_>>()
    };
    scenario.run("up --no-backup").await.exits_with(1);
    let [began, ended] = &texts()[..] else { panic!("{:?}", texts()) };
    assert!(began.contains(&format!("lockgate_run_in_progress{{{of},command=\"up\"}} 1\n")), "{began}");
    assert!(ended.contains(&format!("lockgate_run_in_progress{{{of},command=\"up\"}} 0\n")), "{ended}");
    let runs = |result: &str, n: u8| format!("lockgate_runs_total{{{of},command=\"up\",result=\"{result}\"}} {n}\n");
    assert!(ended.contains(&runs("failure", 1)) && !ended.contains("somebody_elses"), "{ended}");

    scenario.run("up --no-backup").await.exits_with(1);
    scenario.remove("migrations/003_c.up.sql");
    scenario.remove("migrations/003_c.down.sql");
    scenario.run("up --no-backup").await.succeeds();
    let last = texts().pop().unwrap();
    assert!(last.contains(&runs("failure", 2)) && last.contains(&runs("success", 1)), "{last}");
    let migrations = format!("lockgate_migrations_total{{{of},direction=\"up\",result=\"success\"}} 2\n");
    assert!(last.contains(&migrations), "{last}");

    // To look pushes nothing.
    let before = gateway.received().len();
    scenario.run("status").await.succeeds();
    assert_eq!(gateway.received().len(), before);
}

#[tokio::test]
async fn nothing_secret_leaves_with_what_is_exported() {
    const PASSWORD: &str = "Sesame/öffne \"dich\" & 100%+=?";
    const SETTING: &str = "pepper-that-only-the-component-knows";
    const ROW: &str = "a-row-that-belongs-to-somebody";
    let (collector, gateway) = (Receiver::start(), Receiver::start());
    let settings = token_settings(&format!("keep_originals = true\nbatch_rows = 1000\npepper = \"{SETTING}\""));
    let scenario = Scenario::new("otlp_secrets").await.auth_migrations();
    let scenario = scenario.config(&format!("[log]\nlevel = \"trace\"\n{settings}"));
    let role = format!("{}_secret", scenario.database());
    let password = PASSWORD.replace('\'', "''");
    scenario.superuser().await.lines(&format!("CREATE ROLE {role} LOGIN SUPERUSER PASSWORD '{password}'")).await;
    let header = "token-of-the-collector";
    let push_url = gateway.url().replace("http://", "http://pusher:push-password-hush@");
    let with = |arguments: &str| {
        let call = scenario.run(arguments).env("LOCKGATE_LOG", "trace").env("DB_USER", &role);
        let call = call.env("DB_PASSWORD", PASSWORD).env("LOCKGATE_OTLP_ENDPOINT", collector.url());
        call.env("OTEL_EXPORTER_OTLP_HEADERS", format!("x-token={header}")).env("LOCKGATE_PUSH_URL", &push_url)
    };
    let secrets = Secrets::default()
        .and("the password", PASSWORD)
        .and("the setting of a component", SETTING)
        .and("a row", ROW)
        .and("the header", header)
        .and("the password of the gateway", "push-password-hush");
    let mut calls = Vec::new();
    for arguments in ["test", "up", "status", "backup", "restore latest --yes", "drill", "down 4 --yes"] {
        calls.push((arguments.to_owned(), with(arguments).await));
    }
    // An error that quotes a row, in a statement that has one.
    scenario.write("migrations/009_row.up.sql", format!("SELECT '{ROW}'::int;"));
    scenario.write("migrations/009_row.down.sql", "SELECT 1;");
    let failed = with("up").await.exits_with(1);
    assert!(failed.stderr.contains(ROW), "the error itself tells more: {}", failed.stderr);
    let wrong = with("up").env("DB_PASSWORD", format!("{PASSWORD}{SETTING}")).await;
    assert_ne!(wrong.code, Some(0));
    for (arguments, outcome) in calls.iter().map(|(arguments, outcome)| (arguments.as_str(), outcome)) {
        secrets.are_not_in(arguments, format!("{}{}", outcome.stdout, outcome.stderr).as_bytes());
    }

    let commands: BTreeSet<String> =
        named(&collector.spans(), "run").iter().map(|span| span.attributes["command"].clone()).collect();
    let expected = ["backup", "down", "drill", "restore", "status", "test", "up"];
    assert_eq!(commands, expected.map(str::to_owned).into(), "all of them were exported");
    assert!(named(&collector.spans(), "batch").iter().all(|span| span.attributes["number"].parse::<u32>().is_ok()));
    assert!(!named(&collector.spans(), "batch").is_empty() && !collector.points().is_empty());
    for received in collector.received().into_iter().chain(gateway.received()) {
        secrets.are_not_in(&received.path, &received.body);
        secrets.are_not_in("the path", received.path.as_bytes());
    }
    assert!(collector.received().iter().all(|received| received.headers["x-token"] == header));
    let authorization = "Basic cHVzaGVyOnB1c2gtcGFzc3dvcmQtaHVzaA==";
    assert!(!gateway.received().is_empty());
    assert!(gateway.received().iter().all(|received| received.headers["authorization"] == authorization));
}
