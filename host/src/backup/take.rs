//! Taking a backup: a snapshot, `pg_dump` of it, the globals, all read back and compared, the names, the manifest last.
//!
//! Everything streams; memory stays flat whatever the database's size.

use std::{path::Path, sync::Arc, time::Instant};

use tokio::task::JoinSet;

use super::{
    Catalog, Level, Properties, Settings,
    catalog::off_the_runtime,
    child,
    dump::{self, Source},
    encryption::{Identities, Recipients},
    folder, globals,
    id::stem,
    kept,
    lease::Lease,
    manifest::{FORMAT, Manifest, Part, Scope},
    meter::Meter,
    origin::Origin,
    publish::publish,
    restore::why,
    settings::Extent,
    store::{Store, Upload},
    tools::{self, ToolsError},
    verify,
};
use crate::{
    error::{Error, Result},
    events::Events,
    failpoint::Failpoint,
    postgres::{
        Server, Target,
        left_out::LeftOut,
        snapshot::{Contents, Snapshot, estimated_bytes},
    },
    stop::Stop,
};

/// What a backup is for, and how it is taken.
#[derive(Debug, Clone)]
pub struct Order {
    /// The run that takes it.
    pub run_id: String,
    /// The migrations applied now.
    pub applied: Vec<String>,
    /// The migrations about to run.
    pub precedes: Vec<String>,
    /// What it holds, and how it is taken.
    pub extent: Extent,
    /// How long `pg_dump` waits for its locks, in milliseconds.
    pub lock_wait_timeout_ms: u128,
    /// Where to look for `pg_dump`, if that is configured.
    pub pg_bin: Option<std::path::PathBuf>,
    /// Whether to draw how far it is.
    pub draw: bool,
    /// Who is told how far it is.
    pub events: Events,
}

/// What is written and not yet under its name.
pub(super) enum Unnamed {
    /// A file.
    File(Box<dyn Upload>),
    /// A folder that `pg_dump` has written.
    Folder(dump::Folder),
}

impl Unnamed {
    fn folder(&self) -> Option<&Path> {
        match self {
            Self::File(_) => None,
            Self::Folder(folder) => Some(folder.partial()),
        }
    }
}

/// Takes a backup and proves it up to level 1 before it says that it has one.
///
/// # Errors
/// [`Error::Backup`]; what was written so far is removed.
pub async fn take(
    target: &Target,
    server: &Server,
    catalog: &Catalog,
    settings: &Settings,
    order: &Order,
    stop: &Stop,
) -> Result<Manifest> {
    let (begin, created_at) = (Instant::now(), jiff::Timestamp::now());
    let failed = |cause: String| Error::Backup {
        what: "the backup failed".into(),
        cause,
        state: "no migration was run".into(),
        next: "mend the cause, or run without a backup: `--no-backup`".into(),
    };
    let tools = tools::find(order.pg_bin.as_deref(), server.major()).map_err(|e| failed(no_tools(&e)))?;
    let origin = Origin { database: target.database.clone(), system_identifier: server.system_identifier };
    let sequence = catalog.newest(&origin).await?.map_or(1, |backup| backup.manifest.sequence + 1);
    let id = unused_id(catalog.store(), created_at, &order.run_id).await?;
    // A store that does not answer must not keep the process from stopping.
    let mut watch = JoinSet::new();
    let (store, stopping) = (Arc::clone(catalog.store()), stop.clone());
    watch.spawn(async move {
        stopping.requested().await;
        store.give_up();
    });
    let (store, held) = (Arc::clone(catalog.store()), id.clone());
    let lease = off_the_runtime(move || Ok(Lease::take(&store, &held))).await?;
    let lease = lease.map_err(|e| failed(format!("writing to `{}`: {e}", catalog.store().location())))?;
    let recipients = Recipients::parse(&settings.recipients)?;
    let witness = Arc::new(Identities::witness());
    Failpoint::BackupBegun.pass();

    let snapshot = Snapshot::take(target, "lockgate backup").await?;
    let about = estimated_bytes(snapshot.session()).await?;
    let properties = Properties::of(snapshot.session(), &target.database).await?.unwrap_or_default();
    let scope = resolved(&snapshot, order).await?;
    let source = Source {
        target: target.clone(),
        tools: tools.clone(),
        server_major: server.major(),
        snapshot: snapshot.id.clone(),
        scope: scope.clone(),
        jobs: order.extent.jobs,
        lock_wait_timeout_ms: order.lock_wait_timeout_ms,
        about_bytes: about,
    };
    Failpoint::SnapshotTaken.pass();
    let (meter, lsn) = (Meter::telling(&order.events), snapshot.lsn.clone());
    let dumped = {
        let (store, id, witness) = (Arc::clone(catalog.store()), id.clone(), Arc::clone(&witness));
        let (meter, recipients, stopping) = (meter.clone(), recipients.clone(), stop.clone());
        child::supervise(stop, move |started| {
            dump::write(&source, &store, &id, &recipients, &witness, &meter, &stopping, started)
        })
    };
    let counted = async {
        match scope.schema_only {
            true => Ok(Contents::default()),
            false => Contents::of(snapshot.session(), order.extent.hashes, &scope.excluded_tables).await,
        }
    };
    let both = async { tokio::join!(dumped, counted) };
    let (dumped, counted) = meter.tell("backing up", about, order.draw, both).await;
    snapshot.end().await;
    let (mut written, contents) = match (dumped, counted) {
        (Ok(written), Ok(contents)) => (written, contents),
        (Err(cause), Ok(_)) => return Err(failed(cause)),
        // A role that may not read everything: the count tells of which table, and ends the snapshot, which pg_dump may only complain of.
        (_, Err(error)) if is_refused(&error) => {
            return Err(Error::Backup {
                what: "the backup failed".into(),
                cause: why(&error),
                state: "no migration was run".into(),
                next: READ_ALL.into(),
            });
        }
        (Ok(_), Err(error)) => return Err(error),
        // They share a snapshot, which is the count's: what that fails by comes first.
        (Err(cause), Err(error)) => return Err(failed(format!("{}; and then {cause}", why(&error)))),
    };
    Failpoint::DumpWritten.pass();

    let kept = {
        let (store, id, witness) = (Arc::clone(catalog.store()), id.clone(), Arc::clone(&witness));
        let recipients = recipients.clone();
        off_the_runtime(move || Ok(kept::write(&properties, &store, &id, &recipients, &witness))).await?
    };
    written.push(kept.map_err(failed)?);
    if settings.globals {
        let (target, tools, store) = (target.clone(), tools.clone(), Arc::clone(catalog.store()));
        let (id, witness) = (id.clone(), Arc::clone(&witness));
        let work = child::supervise(stop, move |started| {
            globals::write(&target, &tools, &store, &id, &recipients, &witness, started)
        });
        written.extend(work.await.map_err(failed)?);
    }

    // Before it gets its name: whoever sees a manifest can rely on what it says.
    let stopping = stop.clone();
    let (about, meter) = (written.iter().map(|(part, _)| part.bytes).sum(), Meter::telling(&order.events));
    let checking = {
        let meter = meter.clone();
        off_the_runtime(move || {
            let checked = written.iter().try_for_each(|(part, unnamed)| read_back(part, unnamed, &meter, &stopping));
            Ok(checked.map(|()| written))
        })
    };
    let checked = meter.tell("reading the backup back", about, order.draw, checking).await?;
    let unreadable = |damage: String| failed(format!("what was just written cannot be read back: {damage}"));
    let written = checked.map_err(unreadable)?;
    if let Some(path) = written.iter().find_map(|(_, unnamed)| unnamed.folder()).map(Path::to_owned) {
        let pg_restore = tools.restore.clone();
        child::supervise(stop, move |started| folder::decode(&pg_restore, &path, started)).await.map_err(unreadable)?;
    }
    Failpoint::BackupReadBack.pass();

    let manifest = Manifest {
        format: FORMAT,
        id,
        sequence,
        created_at,
        duration_ms: u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX),
        run_id: order.run_id.clone(),
        database: origin.database,
        system_identifier: origin.system_identifier,
        server: target.host().to_string(),
        server_version: server.version.clone(),
        pg_dump_major: tools.major,
        lockgate_version: env!("CARGO_PKG_VERSION").to_owned(),
        lsn,
        applied: order.applied.clone(),
        precedes: order.precedes.clone(),
        scope,
        contents,
        recipients: settings.recipients.clone(),
        parts: written.iter().map(|(part, _)| part.clone()).collect(),
        verified: Level::Decoded,
        sha256: String::new(),
    };
    let store = Arc::clone(catalog.store());
    let published = off_the_runtime(move || {
        let published = publish(&store, written, manifest);
        drop(lease);
        Ok(published)
    });
    published.await?.map_err(failed)
}

/// What to do where the role of the backup may not read every row.
pub(crate) const READ_ALL: &str =
    "let a role that may read every row (BYPASSRLS, or a superuser) take it: `--backup-role ROLE`";

/// Whether the server says that the role lacks a right, as it does where policies would hide rows from it.
fn is_refused(error: &Error) -> bool {
    matches!(error, Error::Database { error, .. } if error.is("42501"))
}

/// What is left out of this very snapshot.
async fn resolved(snapshot: &Snapshot, order: &Order) -> Result<Scope> {
    let scope = order.extent.scope.clone();
    let LeftOut { tables, unmatched, broken } = LeftOut::of(snapshot.session(), &scope.excluded_data).await?;
    const WHERE: &str = "`--exclude-data`, or `exclude_data` under [backup] in lockgate.toml";
    if let Some((child, parent)) = broken.first() {
        return Err(Error::Refused {
            what: format!(
                "without the rows of `{parent}` a backup could never be restored: a foreign key of `{child}` refers to them"
            ),
            next: format!("leave out the rows of `{child}` as well, or keep those of `{parent}`: {WHERE}"),
        });
    }
    if !unmatched.is_empty() {
        let what =
            format!("no table is named by `{}`, whose rows are to be left out of the backup", unmatched.join("`, `"));
        // The migrations that are about to run may be the ones that make it.
        if order.precedes.is_empty() {
            return Err(Error::Refused { what, next: format!("mend {WHERE}") });
        }
        tracing::warn!("{what}");
    }
    Ok(Scope { excluded_tables: tables, ..scope })
}

fn no_tools(error: &ToolsError) -> String {
    match error {
        ToolsError::Missing => "`pg_dump` was not found".to_owned(),
        ToolsError::TooOld { path, major } => {
            format!("`{}` is of version {major}, older than the server", path.display())
        }
    }
}

/// Time and run; two backups of one run within a second differ by a number.
async fn unused_id(store: &Arc<dyn Store>, created_at: jiff::Timestamp, run_id: &str) -> Result<String> {
    let stem = stem(created_at, run_id);
    let (of_store, store) = (store.location(), Arc::clone(store));
    let entries = off_the_runtime(move || Ok(store.entries())).await?;
    let entries = entries.map_err(|e| Error::system(format!("reading `{of_store}`"), e))?;
    let taken =
        |id: &str| entries.iter().any(|entry| entry.name.strip_prefix(id).is_some_and(|rest| rest.starts_with('.')));
    let mut id = stem.clone();
    let mut n = 2;
    while taken(&id) {
        id = format!("{stem}_{n}");
        n += 1;
    }
    Ok(id)
}

fn read_back(part: &Part, unnamed: &Unnamed, meter: &Meter, stop: &Stop) -> Result<(), String> {
    let open = || {
        let file = match unnamed {
            Unnamed::File(upload) => upload.read_back()?,
            Unnamed::Folder(folder) => folder.read_back(&part.file)?,
        };
        Ok(Box::new(meter.read(file, stop)) as Box<dyn std::io::Read + Send>)
    };
    // That these bytes decode to what was dumped is known from the writing.
    verify::file(&open, part, Level::Digest, &Identities::default())
}
