//! A backup: `pg_dump` → zstd → `<id>.dump.zst.partial` → checked → renamed, the manifest last.
//!
//! Everything streams; memory stays flat whatever the database's size.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{
    child::{self, Started},
    libpq,
    manifest::{FORMAT, Manifest, Payload},
    store::{self, Digesting},
    tools::{self, ToolsError},
};
use crate::{
    error::{Error, Result},
    files,
    postgres::{Server, Target},
    stop::Stop,
};

/// zstd's own default: the smallest result at the speed of the dump itself.
const LEVEL: i32 = 3;
/// How an archive of `pg_dump` begins.
const MAGIC: &[u8; 5] = b"PGDMP";

/// What to back up, where to.
#[derive(Debug, Clone)]
pub struct Dump {
    /// The folder of backups, made if it is missing.
    pub folder: PathBuf,
    /// Where to look for `pg_dump`, if that is configured.
    pub pg_bin: Option<PathBuf>,
    /// The run that takes it.
    pub run_id: String,
    /// The migrations applied now.
    pub applied: Vec<String>,
    /// The migrations about to run.
    pub precedes: Vec<String>,
    /// How long `pg_dump` waits for its locks, in milliseconds.
    pub lock_wait_timeout_ms: u128,
}

/// Takes a backup and checks it whole before it says that it has one.
///
/// # Errors
/// [`Error::Backup`]; what was written so far is removed.
pub async fn take(target: &Target, server: &Server, dump: Dump, stop: &Stop) -> Result<Manifest> {
    let (target, server) = (target.clone(), server.clone());
    let work = child::supervise(stop, move |started| {
        let id = unused_id(&dump);
        let partial = dump.folder.join(format!("{id}.dump.zst.partial"));
        let result = write(&target, &server, &dump, &id, &partial, started);
        if result.is_err() {
            let _ = fs::remove_file(&partial);
        }
        result
    });
    work.await.map_err(|cause| Error::Backup {
        what: "the backup failed".into(),
        cause,
        state: "no migration was run".into(),
        next: "mend the cause, or run without a backup: `--no-backup`".into(),
    })
}

/// Time and run; two backups of one run within a second differ by a number.
fn unused_id(dump: &Dump) -> String {
    let stem =
        format!("{}_{}", jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ"), &dump.run_id[dump.run_id.len() - 8..]);
    let taken = |id: &str| {
        [".json", ".dump.zst", ".dump.zst.partial"].iter().any(|end| dump.folder.join(format!("{id}{end}")).exists())
    };
    let mut id = stem.clone();
    let mut n = 2;
    while taken(&id) {
        id = format!("{stem}_{n}");
        n += 1;
    }
    id
}

fn write(
    target: &Target,
    server: &Server,
    dump: &Dump,
    id: &str,
    partial: &Path,
    started: &Started,
) -> Result<Manifest, String> {
    let tools = tools::find(dump.pg_bin.as_deref(), server.major()).map_err(|e| match e {
        ToolsError::Missing => "`pg_dump` was not found".to_owned(),
        ToolsError::TooOld { path, major } => {
            format!("`{}` is of version {major}, older than the server", path.display())
        }
    })?;
    files::make_uncommitted(&dump.folder).map_err(|e| format!("`{}` cannot be made: {e}", dump.folder.display()))?;
    let created_at = jiff::Timestamp::now();

    let mut command = Command::new(&tools.dump);
    command
        .args(["--format=custom", "--compress=0", "--no-password"])
        .arg(format!("--lock-wait-timeout={}", dump.lock_wait_timeout_ms))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let _passfile = libpq(&mut command, target, "lockgate backup").map_err(|e| e.to_string())?;
    let mut child = command.spawn().map_err(|e| format!("`{}` cannot be started: {e}", tools.dump.display()))?;
    started.note(&child);
    let (stdout, stderr) = (child.stdout.take().ok_or("no pipe")?, child.stderr.take().ok_or("no pipe")?);
    let complaints = child::complaints(stderr);
    let copied = compress(stdout, partial);
    if copied.is_err() {
        let _ = child.kill();
    }
    let status = child.wait().map_err(|e| format!("waiting for pg_dump: {e}"))?;
    started.ended();
    let complaints = complaints.join().ok().and_then(Result::ok).unwrap_or_default();
    let payload = match copied {
        Ok((dump_digest, file_digest)) if status.success() => Payload {
            file: format!("{id}.dump.zst"),
            encoding: "pg_dump-custom+zstd".into(),
            bytes: file_digest.0,
            sha256: file_digest.1,
            dump_bytes: dump_digest.0,
            dump_sha256: dump_digest.1,
        },
        Ok(_) => return Err(format!("pg_dump ended with {status}: {}", complaints)),
        // Its own words first: when it fails before it has written, the rest only follows from that.
        Err(error) if !complaints.is_empty() => {
            return Err(format!("pg_dump ended with {status}: {complaints} ({error})"));
        }
        Err(error) => return Err(format!("writing `{}`: {error}", partial.display())),
    };
    let manifest = Manifest {
        format: FORMAT,
        id: id.to_owned(),
        created_at,
        run_id: dump.run_id.clone(),
        database: target.database.clone(),
        server_version: server.version.clone(),
        pg_dump_major: tools.major,
        lockgate_version: env!("CARGO_PKG_VERSION").to_owned(),
        applied: dump.applied.clone(),
        precedes: dump.precedes.clone(),
        payload,
    };
    // Before it gets its name: whoever sees a manifest can rely on what it says.
    store::verify_file(partial, &manifest)
        .map_err(|damage| format!("what was just written cannot be read back: {damage}"))?;
    publish(&dump.folder, partial, &manifest).map_err(|e| format!("finishing `{}`: {e}", partial.display()))?;
    Ok(manifest)
}

/// Copies the dump into the compressed file and returns size and digest of both.
fn compress(dump: impl Read, partial: &Path) -> io::Result<((u64, String), (u64, String))> {
    let file = File::options().write(true).create_new(true).mode(0o600).open(partial)?;
    let mut dump = Digesting::new(dump);
    let mut encoder = zstd::Encoder::new(Digesting::new(file), LEVEL)?;
    encoder.include_checksum(true)?;
    let mut reader = io::BufReader::with_capacity(1 << 20, &mut dump);
    let mut magic = [0; MAGIC.len()];
    reader.read_exact(&mut magic).map_err(|_| io::Error::other("pg_dump wrote nothing"))?;
    if magic != *MAGIC {
        return Err(io::Error::other("pg_dump wrote no archive"));
    }
    encoder.write_all(&magic)?;
    io::copy(&mut reader, &mut encoder)?;
    let file = encoder.finish()?;
    file.get_ref().sync_all()?;
    Ok((dump.finish(), file.finish()))
}

/// First the payload under its name, then the manifest.
fn publish(folder: &Path, partial: &Path, manifest: &Manifest) -> io::Result<()> {
    fs::rename(partial, store::payload_path(folder, manifest))?;
    let path = folder.join(format!("{}.json", manifest.id));
    let mut file = tempfile::Builder::new().prefix(".manifest").suffix(".partial").tempfile_in(folder)?;
    serde_json::to_writer_pretty(&mut file, manifest)?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path)?;
    File::open(folder)?.sync_all()
}
