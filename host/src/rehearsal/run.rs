//! A rehearsal, from the look at the target to the end of its copies.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use uuid::Uuid;

use super::{
    Copy, Extent, FORMAT, Fault, Migration, On, Origin, Phase, Place, Rehearsal, Settings, Target, Together, Workload,
    bench::{Bench, Moment},
    compare,
    cycle::{Cycle, Next, ms},
    globals, history,
    mask::mask,
    measure::Sizes,
    origin,
    place::Site,
    roles::Roles,
    room,
    workload::{self, Clients, Left},
    workspace::Workspace,
};
use crate::{
    backup::Copies,
    config::Config,
    error::{Error, Finding, Result, Severity},
    failpoint::Failpoint,
    migration::Version,
    postgres::{Session, history::History},
    runner::{self, Awaiting, Pending},
    schema::{Change, Schema},
};

/// The code of the finding that the copy is on another major version than the target: such a rehearsal counts for no certificate.
pub const OTHER_VERSION: &str = "other-version";

/// What is to be rehearsed, and on what.
#[derive(Debug, Clone)]
pub struct Order {
    /// Up to and including this version; `None`: all that is pending.
    pub to: Option<Version>,
    /// Where the copy is made.
    pub on: On,
    /// What it has of the target.
    pub extent: Extent,
    /// The backup that it is made of.
    pub origin: Origin,
    /// A component or a SQL file that masks personal data in it.
    pub mask: Option<PathBuf>,
    /// The statements of the old application, to run beside the migrations.
    pub workload: Option<PathBuf>,
    /// How many clients run them.
    pub clients: u32,
}

/// What the target is like before anything is copied.
struct Looked {
    awaiting: Awaiting,
    schema: Schema,
    sizes: Sizes,
    roles: Roles,
}

/// Rehearses what is pending on a copy, which is gone afterwards.
///
/// # Errors
/// Why there is no rehearsal. What is wrong with the migrations is in what it tells.
pub async fn rehearse(config: &Config, run_id: Uuid, order: &Order) -> Result<Rehearsal> {
    let begin = Instant::now();
    let mut phases = Phases::default();
    let looked = phases.time("look at the target", look(config, run_id, order)).await?;
    let mut told = blank(config, run_id, order, &looked);
    if looked.awaiting.pending.is_empty() {
        told.passed = true;
        told.duration_ms = ms(begin);
        told.phases = phases.0;
        return Ok(told);
    }
    globals::refuse_on_shared(&looked.awaiting, told.copy.on)?;
    if let Some(file) = &order.workload {
        workload::read(&config.target, file, config.pg_bin.as_deref())?;
    }
    let workspace = Workspace::open(Path::new("."), run_id)?;
    Failpoint::RehearsalBegun.pass();
    let found = origin::find(config, run_id, &order.origin, order.extent, &looked.awaiting, &workspace);
    let found = phases.time("find or take the backup", found).await?;
    let mut site = phases
        .time("open the server of the copy", Site::open(config, &order.on, looked.awaiting.server.major()))
        .await?;
    let mut copies = Copies::on(&found.config, &site.maker, run_id).await?;
    let needed = room::of_copies(looked.awaiting.bytes, order.extent);
    room::check_server(copies.admin(), site.place, needed).await?;
    site.settle(copies.admin(), config, &looked.roles).await?;
    told.findings.extend(site.difference(&looked.awaiting.server));

    let filled = async {
        let base = phases.time("make the copy", copies.fill(&found.backup)).await?;
        Failpoint::RehearsalCopied.pass();
        if order.extent == Extent::SchemaOnly {
            let target = Session::connect(&config.target, "lockgate rehearse").await?;
            let history = History::in_schema(&config.schema);
            history::carry(&target, &site.maker.with_database(&base), &history).await?;
        }
        if let Some(file) = &order.mask {
            let target = site.runner.with_database(&base);
            phases.time("mask it", mask(config, &target, site.place, file, &workspace)).await?;
        }
        let manifest = &found.backup.manifest;
        told.copy.backup.clone_from(&manifest.id);
        told.copy.taken_at = manifest.created_at;
        told.copy.server_version.clone_from(&copies.admin().server.version);
        told.copy.database.clone_from(&base);
        let roles = site.is_private().then(|| looked.roles.clone());
        let (runner, sizes) = (site.runner.clone(), looked.sizes.clone());
        let mut bench = Bench::new(config, &mut copies, base, runner, site.reader(config), sizes, roles).await?;
        let work = on_the_bench(&mut bench, &mut told, &mut phases, &looked, order);
        let result = config.stop.race(work).await.unwrap_or_else(|signal| Err(stopped(signal)));
        let cleared = bench.clear().await;
        both(result, cleared)
    };
    let filled = filled.await;
    // Whatever came of it, and whatever asks to stop: a copy may hold what nobody else may see.
    let dropped = copies.discard_all().await;
    drop(site);
    both(filled, dropped)?;
    Failpoint::RehearsalEnded.pass();
    told.passed = passed(&told, &config.rehearsal);
    told.duration_ms = ms(begin);
    told.phases = phases.0;
    Ok(told)
}

/// What failed first, where both have; the other is logged.
fn both(work: Result<()>, clean_up: Result<()>) -> Result<()> {
    if let (Err(_), Err(error)) = (&work, &clean_up) {
        tracing::error!(%error, "cleaning up failed as well");
    }
    work.and(clean_up)
}

fn stopped(signal: &'static str) -> Error {
    Error::Interrupted { signal, state: "the rehearsal was not finished; its copies are dropped".into() }
}

async fn look(config: &Config, run_id: Uuid, order: &Order) -> Result<Looked> {
    let awaiting = runner::await_of(config, run_id, order.to.as_ref()).await?;
    let session = Session::connect(&config.target, "lockgate rehearse").await?;
    let schema = Schema::read(&session, &History::in_schema(&config.schema)).await?;
    let (sizes, roles) = (Sizes::read(&session).await?, Roles::read(&session).await?);
    Ok(Looked { awaiting, schema, sizes, roles })
}

/// What can be told before anything was done.
fn blank(config: &Config, run_id: Uuid, order: &Order, looked: &Looked) -> Rehearsal {
    let server = &looked.awaiting.server;
    Rehearsal {
        format: FORMAT,
        run_id,
        lockgate: env!("CARGO_PKG_VERSION"),
        started_at: jiff::Timestamp::now(),
        duration_ms: 0,
        passed: false,
        target: Target {
            database: config.target.database.clone(),
            server_version: server.version.clone(),
            schema_fingerprint: looked.schema.fingerprint(),
            version: looked.awaiting.version().cloned(),
        },
        copy: Copy {
            on: order.on.place(),
            database: String::new(),
            server_version: String::new(),
            backup: String::new(),
            taken_at: jiff::Timestamp::now(),
            extent: order.extent,
            masked: order.mask.as_ref().map(|file| file.display().to_string()),
            ignored: config.rehearsal.ignore_content.clone(),
            bytes: 0,
            unlike_target: Vec::new(),
        },
        migrations: Vec::new(),
        not_reached: Vec::new(),
        together: None,
        workload: None,
        globals: Vec::new(),
        findings: Vec::new(),
        phases: Vec::new(),
    }
}

/// Everything that is done with copies of the base.
async fn on_the_bench(
    bench: &mut Bench<'_>,
    told: &mut Rehearsal,
    phases: &mut Phases,
    looked: &Looked,
    order: &Order,
) -> Result<()> {
    bench.renew().await?;
    if let Some(file) = &order.workload
        && workload::try_out(bench.target(), file, bench.pg_bin()).await? == Left::Rows
    {
        bench.renew().await?;
    }
    let start = bench.look().await?;
    told.copy.bytes = bench.bytes().await?;
    told.copy.unlike_target = unlike(&looked.schema, &start.schema, told, looked);
    let last = phases.time("each by itself", each(bench, told, looked, &start)).await?;
    Failpoint::RehearsalHalfway.pass();
    if let Some(last) = last {
        let together = together(bench, looked, &last, order);
        let (together, workload) = phases.time("all together", together).await?;
        told.together = Some(together);
        told.workload = workload;
    }
    told.globals = bench.touched().await?;
    Ok(())
}

/// Each migration by itself. Returns how the database is after all of them, if all of them can be applied.
async fn each(bench: &mut Bench<'_>, told: &mut Rehearsal, looked: &Looked, start: &Moment) -> Result<Option<Moment>> {
    let pending = &looked.awaiting.pending;
    let settings = bench.settings().clone();
    let mut now = start.clone();
    for (i, item) in pending.iter().enumerate() {
        let before = i.checked_sub(1).map(|i| &pending[i].version);
        tracing::info!(migration = item.name, "rehearsing");
        let (mut migration, next) = Cycle::of(bench, &settings, item, before).run(&now).await?;
        let stop = match next {
            Next::GoOn(moment) => {
                now = moment;
                false
            }
            // What comes after it must not suffer from its faults.
            Next::Renew => {
                bench.renew().await?;
                match bench.up(&item.version).await {
                    Ok(()) => {
                        now = bench.look().await?;
                        false
                    }
                    Err(error) => {
                        migration.faults.push(Fault::of_all_together(error)?);
                        true
                    }
                }
            }
            Next::Stop => true,
        };
        told.migrations.push(migration);
        if stop {
            told.not_reached = pending[i + 1..].iter().map(|item| item.name.clone()).collect();
            return Ok(None);
        }
    }
    Ok(Some(now))
}

/// All of them in one run from the base, with clients beside it where there is a workload.
async fn together(
    bench: &mut Bench<'_>,
    looked: &Looked,
    last: &Moment,
    order: &Order,
) -> Result<(Together, Option<Workload>)> {
    bench.renew().await?;
    let pending = &looked.awaiting.pending;
    let clients = match &order.workload {
        Some(file) => Some(at_work(bench, file, order.clients, pending).await?),
        None => None,
    };
    let begin = Instant::now();
    let result = match pending.last() {
        Some(newest) => bench.up(&newest.version).await,
        None => Ok(()),
    };
    let duration_ms = ms(begin);
    bench.ears.tell(None);
    let workload = match clients.and_then(Arc::into_inner) {
        Some(clients) => Some(clients.stop().await),
        None => None,
    };
    let mut faults = Vec::new();
    match result {
        // With clients at work, who writes what is not known.
        Ok(()) if workload.is_none() => {
            let now = bench.look().await?;
            faults.extend(compare::after_up_again(last, &now, false, &[], &bench.settings().ignore_content));
        }
        Ok(()) => {}
        Err(error) => faults.push(Fault::of_all_together(error)?),
    }
    Ok((Together { duration_ms, faults }, workload))
}

/// Clients at work, who hear which migration begins.
async fn at_work(bench: &Bench<'_>, file: &Path, clients: u32, pending: &[Pending]) -> Result<Arc<Clients>> {
    let clients = Arc::new(Clients::start(bench.target(), file, clients, bench.pg_bin()).await?);
    if let Some(first) = pending.first() {
        clients.phase(&first.name).await?;
    }
    let names: Vec<(Version, String)> = pending.iter().map(|item| (item.version.clone(), item.name.clone())).collect();
    let told = Arc::clone(&clients);
    bench.ears.tell(Some(Box::new(move |version| {
        if let Some((_, name)) = names.iter().find(|(known, _)| known == version) {
            told.begins(name);
        }
    })));
    Ok(clients)
}

/// How the schema of the target differs from the copy's, which comes first.
fn unlike(target: &Schema, copy: &Schema, told: &mut Rehearsal, looked: &Looked) -> Vec<Change> {
    let bare = |schema: &Schema| {
        let schema = schema.clone().without_database();
        // Without rows, nothing is filled.
        if told.copy.extent == Extent::SchemaOnly { schema.without_population() } else { schema }
    };
    let major = |version: &str| version.split('.').next().unwrap_or_default().trim().to_owned();
    if major(&told.copy.server_version) != major(&looked.awaiting.server.version) {
        let message = format!(
            "the copy is on PostgreSQL {}, the target on {}: their schemas are not compared, and this counts for no certificate",
            told.copy.server_version, looked.awaiting.server.version
        );
        told.findings.push(Finding::new(Severity::Warn, OTHER_VERSION, message));
        return Vec::new();
    }
    match told.copy.on {
        // The roles of the target need not be there.
        Place::Server => bare(copy).without_roles().until(&bare(target).without_roles()),
        _ => bare(copy).until(&bare(target)),
    }
}

fn passed(told: &Rehearsal, settings: &Settings) -> bool {
    let too_bad = |migration: &Migration| settings.fail_on.is_some_and(|limit| migration.verdict >= limit);
    let faultless = |migration: &Migration| migration.faults.is_empty() && !too_bad(migration);
    told.migrations.iter().all(faultless)
        && told.not_reached.is_empty()
        && told.copy.unlike_target.is_empty()
        && told.together.as_ref().is_some_and(|together| together.faults.is_empty())
}

/// How long what took.
#[derive(Default)]
struct Phases(Vec<Phase>);

impl Phases {
    async fn time<T>(&mut self, name: &'static str, work: impl Future<Output = T>) -> T {
        let begin = Instant::now();
        tracing::info!("{name}");
        let result = work.await;
        self.0.push(Phase { name, duration_ms: ms(begin) });
        result
    }
}
