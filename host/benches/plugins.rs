//! How fast plugins start, call the host, and rewrite a large table, each beside something that does the like without them.
//!
//! `just bench-plugins` runs it; docs/performance.md says what came of it. It asserts what was done, never how fast.

use std::{
    cell::OnceCell,
    env,
    error::Error,
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::TryStreamExt;
use lockgate::{
    migration::{Checksum, Direction},
    plugin::{Cache, ComponentProgram, Engine, Limits, Rights},
    postgres::{Secret, Session, Target},
    step::Program,
    testing::Database,
};
use tokio_postgres::{Client, NoTls, types::ToSql};

/// A component that `lockgate plugin build plugins/canonical-emails-python` made.
const PYTHON: &str = "LOCKGATE_BENCH_PYTHON";
/// A Python interpreter that has psycopg.
const PSYCOPG: &str = "LOCKGATE_BENCH_PSYCOPG";
/// Rows of the table that is rewritten.
const ROWS: &str = "LOCKGATE_BENCH_ROWS";

const CALLS: u32 = 1_000_000;
const QUERIES: u32 = 10_000;
/// Rows that are read, and written back, at a time; the same in the guest and in rewrite.py.
const BATCH_ROWS: i32 = 10_000;
const UPDATE: &str = "UPDATE accounts SET name = new.name FROM unnest($1::int[], $2::text[]) AS new (id, name)
     WHERE accounts.id = new.id";

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

fn main() -> Result<()> {
    // `cargo test --all-targets` runs benchmarks, too, and does not say so.
    if !env::args().any(|argument| argument == "--bench") {
        println!("this is a benchmark: `just bench-plugins` runs it");
        return Ok(());
    }
    tokio::runtime::Runtime::new()?.block_on(async {
        line("", "median", "", "compared with", "ratio");
        starts().await?;
        calls().await?;
        rewrites().await
    })
}

/// From nothing to the answer of `describe`, with and without the compiled code of an earlier run.
async fn starts() -> Result<()> {
    let guests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/guests");
    start("Rust", &fs::read(guests.join("steps.wasm"))?, 11).await?;
    match env::var_os(PYTHON) {
        Some(path) => start("Python", &fs::read(path)?, 3).await?,
        None => println!("start of a Python guest: left out, {PYTHON} names no component"),
    }
    Ok(())
}

async fn start(language: &str, bytes: &[u8], rounds: usize) -> Result<()> {
    let given = Bytes::copy_from_slice(bytes);
    let folder = tempfile::tempdir()?;
    let digest = Checksum::of_bytes(bytes);
    let once = async |cached: bool| -> Result<Duration> {
        let begin = Instant::now();
        let cache = cached.then(|| Cache::open(&folder.path().join("cache"))).transpose()?;
        let engine = Engine::with_cache(cache)?;
        ComponentProgram::load(&engine, given.clone(), &digest, Rights::default()).await?;
        Ok(begin.elapsed())
    };
    let cold = median(rounds, async || once(false).await).await?;
    once(true).await?;
    let cached = median(rounds, async || once(true).await).await?;
    let what = format!("start of a {language} guest of {} KB, from the code cache", bytes.len() / 1000);
    compare(&what, cached, "compiled", cold);
    Ok(())
}

/// What it costs to leave the guest: for a value that the host has, and for the database.
async fn calls() -> Result<()> {
    let database = Database::named("bench").await?;
    let session = Session::connect(&database.target(), "bench").await?;
    let guest = Guest::load(CALLS).await?;
    let empty = median(5, async || guest.run("count", &session).await).await? / f64::from(CALLS);
    let call = median(5, async || guest.run("call", &session).await).await? / f64::from(CALLS);
    compare("a call of the host (config.get)", call, "a round of an empty loop", empty);

    let guest = Guest::load(QUERIES).await?;
    let client = connect(&database.target()).await?;
    let native = async || -> Result<Duration> {
        let begin = Instant::now();
        for _ in 0..QUERIES {
            client.query("SELECT 1", &[]).await?;
        }
        Ok(begin.elapsed())
    };
    let (mut guests, mut natives) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        guests.push(guest.run("query", &session).await?);
        natives.push(native().await?);
    }
    let each = |times| middle(times) / f64::from(QUERIES);
    compare("`SELECT 1` from a guest", each(guests), "tokio-postgres", each(natives));
    Ok(())
}

/// The same change of every row of a large table, by whoever can make it.
async fn rewrites() -> Result<()> {
    let rows: u32 = env::var(ROWS).map_or(Ok(1_000_000), |text| text.parse())?;
    let table = Table::with(rows).await?;
    let (mut by_sql, mut by_guest, mut by_client, mut by_psycopg) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let memory = OnceCell::new();
    let guest = Guest::load(1).await?;
    let client = connect(&table.database.target()).await?;
    for _ in 0..3 {
        by_sql.push(
            table
                .rewritten(async |session| {
                    in_transaction(session, async || {
                        Ok(session.batch("rewriting", "UPDATE accounts SET name = upper(name)").await?)
                    })
                    .await
                })
                .await?,
        );
        by_guest.push(
            table
                .rewritten(async |session| {
                    let idle = reset_peak()?;
                    let took = in_transaction(session, async || guest.run("rewrite", session).await.map(drop)).await?;
                    let peak = memory_kb("VmHWM")?;
                    memory.get_or_init(|| (idle, peak));
                    Ok(took)
                })
                .await?,
        );
        by_client.push(table.rewritten(async |_| rewrite(&client).await).await?);
        if let Some(python) = env::var_os(PSYCOPG) {
            by_psycopg.push(table.rewritten(async |_| psycopg(python.as_ref(), &table.database.target())).await?);
        }
    }
    let sql = middle(by_sql);
    let what = |who: &str| format!("{rows} rows rewritten by {who}");
    compare(&what("a Rust guest"), middle(by_guest), "one UPDATE in SQL", sql);
    compare(&what("tokio-postgres"), middle(by_client), "one UPDATE in SQL", sql);
    match by_psycopg.is_empty() {
        false => compare(&what("a psycopg script"), middle(by_psycopg), "one UPDATE in SQL", sql),
        true => println!("{}: left out, {PSYCOPG} names no Python that has psycopg", what("a psycopg script")),
    }
    if let Some((idle, peak)) = memory.into_inner() {
        println!("memory of this process: {} MB before the guest rewrites, {} MB at most", idle / 1024, peak / 1024);
    }
    Ok(())
}

/// The component of tests/fixtures/guests/bench.
struct Guest(ComponentProgram);

impl Guest {
    /// One that repeats the short steps so many times.
    async fn load(times: u32) -> Result<Self> {
        let bytes = include_bytes!("../../tests/fixtures/guests/bench.wasm");
        let rights = Rights {
            limits: Limits { cpu_max_s: 3_600, ..Limits::default() },
            config: [("times".to_owned(), times.to_string())].into(),
            ..Rights::default()
        };
        let digest = Checksum::of_bytes(bytes);
        Ok(Self(ComponentProgram::load(&Engine::new()?, bytes.to_vec(), &digest, rights).await?))
    }

    async fn run(&self, step: &str, session: &Session) -> Result<Duration> {
        let begin = Instant::now();
        let done = self.0.run(Direction::Up, step, session.handle()).await;
        done.map_err(|error| format!("the step `{step}` failed: {}", error.cause))?;
        Ok(begin.elapsed())
    }
}

/// A table that is made anew for each rewriting.
struct Table {
    database: Database,
    rows: u32,
}

impl Table {
    async fn with(rows: u32) -> Result<Self> {
        let database = Database::named("rewrite").await?;
        let fill = "CREATE TABLE original AS SELECT i AS id, 'user-' || md5(i::text) AS name FROM";
        database.run(&format!("{fill} generate_series(1, {rows}) AS i")).await?;
        Ok(Self { database, rows })
    }

    /// How long it took, once it is certain that it was done.
    async fn rewritten(&self, work: impl AsyncFnOnce(&Session) -> Result<Duration>) -> Result<Duration> {
        let session = Session::connect(&self.database.target(), "bench").await?;
        for sql in [
            "DROP TABLE IF EXISTS accounts",
            "CREATE TABLE accounts (id int PRIMARY KEY, name text NOT NULL)",
            "INSERT INTO accounts SELECT * FROM original",
            "VACUUM ANALYZE accounts",
        ] {
            session.batch("making the table", sql).await?;
        }
        // What the server writes later because of this must not fall into what is measured.
        self.database.connect_as_superuser().await?.run("CHECKPOINT").await?;
        let took = work(&session).await?;
        let done = self
            .database
            .rows("SELECT count(*) FROM accounts JOIN original USING (id) WHERE accounts.name = upper(original.name)");
        assert_eq!(done.await?, [[self.rows.to_string()]]);
        Ok(took)
    }
}

async fn in_transaction(session: &Session, work: impl AsyncFnOnce() -> Result<()>) -> Result<Duration> {
    let begin = Instant::now();
    session.batch("beginning", "BEGIN").await?;
    work().await?;
    session.batch("committing", "COMMIT").await?;
    Ok(begin.elapsed())
}

/// What the guest does, without a sandbox.
async fn rewrite(client: &Client) -> Result<Duration> {
    let begin = Instant::now();
    client.batch_execute("BEGIN").await?;
    client.batch_execute("DECLARE c CURSOR FOR SELECT id, name FROM accounts ORDER BY id").await?;
    let (fetch, update) = (client.prepare(&format!("FETCH {BATCH_ROWS} FROM c")).await?, client.prepare(UPDATE).await?);
    loop {
        let (mut ids, mut names) = (Vec::new(), Vec::new());
        let none: [&(dyn ToSql + Sync); 0] = [];
        let mut rows = std::pin::pin!(client.query_raw(&fetch, none).await?);
        while let Some(row) = rows.try_next().await? {
            ids.push(row.try_get::<_, i32>(0)?);
            names.push(row.try_get::<_, &str>(1)?.to_uppercase());
        }
        if ids.is_empty() {
            break;
        }
        client.execute(&update, &[&ids, &names]).await?;
    }
    client.batch_execute("COMMIT").await?;
    Ok(begin.elapsed())
}

/// The script measures itself: the start of Python is not what is compared.
fn psycopg(python: &Path, target: &Target) -> Result<Duration> {
    let output = Command::new(python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/rewrite.py"))
        .env("PGHOST", target.host().name)
        .env("PGPORT", target.host().port.to_string())
        .env("PGDATABASE", &target.database)
        .env("PGUSER", &target.user)
        .env("PGPASSWORD", password(target))
        .output()?;
    if !output.status.success() {
        return Err(format!("rewrite.py failed: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(Duration::from_secs_f64(String::from_utf8(output.stdout)?.trim().parse()?))
}

async fn connect(target: &Target) -> Result<Client> {
    let mut config = tokio_postgres::Config::new();
    let host = target.host();
    config.host(&host.name).port(host.port).dbname(&target.database).user(&target.user).password(password(target));
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

fn password(target: &Target) -> &str {
    target.given_password().map_or("", Secret::reveal)
}

/// Forgets the peak, and returns what the process has now, in KB.
fn reset_peak() -> Result<u64> {
    // proc_pid_clear_refs(5): 5 sets the peak to what there is now.
    fs::write("/proc/self/clear_refs", "5")?;
    memory_kb("VmRSS")
}

fn memory_kb(name: &str) -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    Ok(line.and_then(|line| line.trim().strip_suffix(" kB")).ok_or("no such line")?.parse()?)
}

/// In seconds.
async fn median(rounds: usize, once: impl AsyncFn() -> Result<Duration>) -> Result<f64> {
    let mut times = Vec::new();
    for _ in 0..rounds {
        times.push(once().await?);
    }
    Ok(middle(times))
}

fn middle(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64()
}

fn compare(what: &str, seconds: f64, peer: &str, peer_seconds: f64) {
    let ratio = format!("{:.3}", seconds / peer_seconds);
    line(what, &shown(seconds), &shown(peer_seconds), peer, &ratio);
}

fn shown(seconds: f64) -> String {
    match seconds {
        1.0.. => format!("{seconds:.2} s"),
        1e-3.. => format!("{:.2} ms", seconds * 1e3),
        1e-6.. => format!("{:.2} µs", seconds * 1e6),
        _ => format!("{:.2} ns", seconds * 1e9),
    }
}

fn line(what: &str, took: &str, peer_took: &str, peer: &str, ratio: &str) {
    println!("{what:<56} {took:>10} | {peer_took:>10} {peer:<24} | {ratio:>6}");
}
