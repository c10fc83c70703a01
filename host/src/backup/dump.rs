//! `pg_dump` at work: its custom format through the encoder into a file, or its directory format into a folder.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use super::{
    child::{self, Started},
    coding::{Encoded, Encoder},
    encryption::{Identities, Recipients},
    libpq,
    manifest::{Content, Encoding, Part, Scope},
    meter::Meter,
    store::{PARTIAL, Store, leave_room},
    take::Unnamed,
    tools::Tools,
};
use crate::{files, postgres::Target, stop::Stop};

/// How an archive of `pg_dump` begins.
const MAGIC: &[u8; 5] = b"PGDMP";
/// How often the folder that `pg_dump` fills is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// From this version on a dump can carry the planner's statistics, and a server takes them.
const STATISTICS_SINCE: u32 = 18;

/// What is dumped.
pub(super) struct Source {
    pub target: Target,
    pub tools: Tools,
    /// The major version of the server.
    pub server_major: u32,
    pub snapshot: String,
    pub scope: Scope,
    pub jobs: u32,
    pub lock_wait_timeout_ms: u128,
    pub about_bytes: u64,
}

impl Source {
    fn command(&self) -> Command {
        let mut command = Command::new(&self.tools.dump);
        command
            .arg("--no-password")
            .arg(format!("--snapshot={}", self.snapshot))
            .arg(format!("--lock-wait-timeout={}", self.lock_wait_timeout_ms))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if self.scope.schema_only {
            // So that queries are planned as if the rows were there. Both ends of it came with 18.
            if self.tools.major.min(self.server_major) >= STATISTICS_SINCE {
                command.args(["--no-data", "--statistics"]);
            } else {
                command.arg("--schema-only");
            }
        }
        // Quoted, each is a pattern that nothing else fits.
        for table in &self.scope.excluded_tables {
            command.arg(format!("--exclude-table-data={table}"));
        }
        command
    }
}

/// Dumps, and returns what was written, not yet under its name.
#[allow(clippy::too_many_arguments, reason = "each is another thing, and they meet only here")]
pub(super) fn write(
    source: &Source,
    store: &Arc<dyn Store>,
    id: &str,
    recipients: &Recipients,
    witness: &Arc<Identities>,
    meter: &Meter,
    stop: &Stop,
    started: &Started,
) -> Result<Vec<(Part, Unnamed)>, String> {
    match (source.jobs, store.folder()) {
        (2.., Some(folder)) => write_folder(source, folder, id, meter, started),
        _ => {
            let encoding = if recipients.is_empty() { Encoding::Zstd } else { Encoding::ZstdAge };
            let file = format!("{id}.dump{}", encoding.extension());
            let writing = |e: io::Error| format!("writing `{file}` in `{}`: {e}", store.location());
            let upload = store.create(&file, source.about_bytes).map_err(writing)?;
            let mut encoder = Encoder::new(upload, recipients, witness).map_err(writing)?;
            let mut command = source.command();
            command.args(["--format=custom", "--compress=0"]);
            run(command, &source.target, "pg_dump", started, |stdout| {
                copy(&mut meter.read(stdout, stop), &mut encoder)
            })
            .map_err(|failure| failure.into_text(writing))?;
            let encoded = encoder.finish().map_err(writing)?;
            Ok(vec![part(Content::Dump, file.clone(), encoding, encoded)])
        }
    }
}

/// A part, and what is to get its name.
pub(super) fn part(content: Content, file: String, encoding: Encoding, encoded: Encoded) -> (Part, Unnamed) {
    let Encoded { upload, raw, plain } = encoded;
    let part =
        Part { content, file, encoding, bytes: raw.0, sha256: raw.1, plain_bytes: plain.0, plain_sha256: plain.1 };
    (part, Unnamed::File(upload))
}

/// Why a program did not do what it is for.
pub(super) enum Failure {
    /// It said so itself.
    Program(String),
    /// What it wrote could not be passed on.
    Copy(io::Error),
}

impl Failure {
    pub(super) fn into_text(self, copying: impl FnOnce(io::Error) -> String) -> String {
        match self {
            Self::Program(text) => text,
            Self::Copy(error) => copying(error),
        }
    }
}

/// Runs one of PostgreSQL's programs, passing on what it writes.
pub(super) fn run(
    mut command: Command,
    target: &Target,
    name: &str,
    started: &Started,
    pass_on: impl FnOnce(&mut dyn Read) -> io::Result<()>,
) -> Result<(), Failure> {
    let program = |e: String| Failure::Program(e);
    let _passfile = libpq(&mut command, target, "lockgate backup").map_err(|e| program(e.to_string()))?;
    let mut child = command.spawn().map_err(|e| program(format!("`{name}` cannot be started: {e}")))?;
    started.note(&child);
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (Some(mut stdout), Some(stderr)) = (stdout, stderr) else { return Err(program("no pipe".into())) };
    let complaints = child::complaints(stderr);
    let passed_on = pass_on(&mut stdout);
    if passed_on.is_err() {
        let _ = child.kill();
    }
    // Or it would wait for somebody to read what it still has to say.
    drop(stdout);
    let status = child.wait().map_err(|e| program(format!("waiting for {name}: {e}")))?;
    started.ended();
    let complaints = complaints.join().ok().and_then(Result::ok).unwrap_or_default();
    match passed_on {
        Ok(()) if status.success() => Ok(()),
        Ok(()) => Err(program(format!("{name} ended with {status}: {complaints}"))),
        // Its own words first: when it fails before it has written, the rest only follows from that.
        Err(error) if !complaints.is_empty() => {
            Err(program(format!("{name} ended with {status}: {complaints} ({error})")))
        }
        Err(error) => Err(Failure::Copy(error)),
    }
}

fn copy(dump: &mut dyn Read, encoder: &mut Encoder) -> io::Result<()> {
    let mut reader = io::BufReader::with_capacity(1 << 20, dump);
    let mut magic = [0; MAGIC.len()];
    reader.read_exact(&mut magic).map_err(|e| match e.kind() {
        io::ErrorKind::UnexpectedEof => io::Error::other("pg_dump wrote nothing"),
        _ => e,
    })?;
    if magic != *MAGIC {
        return Err(io::Error::other("pg_dump wrote no archive"));
    }
    encoder.write_all(&magic)?;
    io::copy(&mut reader, encoder).map(drop)
}

/// A folder that `pg_dump` has written, under another name until it is published. Dropped before, it leaves nothing.
pub(super) struct Folder(Arc<Inner>);

struct Inner {
    partial: PathBuf,
    path: PathBuf,
}

impl Folder {
    pub(super) fn read_back(&self, file: &str) -> io::Result<Box<dyn Read + Send>> {
        let name = file.rsplit('/').next().unwrap_or_default();
        Ok(Box::new(File::open(self.0.partial.join(name))?))
    }

    /// Where it is until then.
    pub(super) fn partial(&self) -> &Path {
        &self.0.partial
    }

    /// Gives it its name; one that has it already keeps it.
    pub(super) fn publish(self) -> io::Result<()> {
        if !self.0.path.exists() {
            fs::rename(&self.0.partial, &self.0.path)?;
        }
        File::open(self.0.path.parent().unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.partial);
    }
}

/// Several tables at a time, each into a file of its own, which `pg_dump` compresses itself.
fn write_folder(
    source: &Source,
    folder: &Path,
    id: &str,
    meter: &Meter,
    started: &Started,
) -> Result<Vec<(Part, Unnamed)>, String> {
    let name = format!("{id}.dump");
    let partial = folder.join(format!("{name}{PARTIAL}"));
    let writing = |e: io::Error| format!("writing `{}`: {e}", partial.display());
    files::make_uncommitted(folder).map_err(writing)?;
    fs::DirBuilder::new().mode(0o700).create(&partial).map_err(writing)?;
    let inner = Arc::new(Inner { partial: partial.clone(), path: folder.join(&name) });
    let mut command = source.command();
    // zstd came with 16.
    command.args(["--format=directory", if source.tools.major >= 16 { "--compress=zstd:3" } else { "--compress=1" }]);
    command.arg(format!("--jobs={}", source.jobs)).arg("--file").arg(&inner.partial);
    let watch = |_: &mut dyn Read| Ok(());
    let watched = Watched { folder: Arc::clone(&inner), meter: meter.clone(), pid: started.clone() };
    let full = watched.start();
    let ran = run(command, &source.target, "pg_dump", started, watch);
    let full = full.end();
    if let Some(full) = full {
        return Err(writing(full));
    }
    ran.map_err(|failure| failure.into_text(writing))?;
    let mut parts = Vec::new();
    let entries = fs::read_dir(&inner.partial).and_then(|read| read.collect::<io::Result<Vec<_>>>());
    for entry in entries.map_err(writing)? {
        let file =
            entry.file_name().into_string().map_err(|_| "pg_dump wrote a file with a strange name".to_owned())?;
        let path = entry.path();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(writing)?;
        let (bytes, sha256) = super::coding::digest(File::open(&path).map_err(writing)?).map_err(writing)?;
        File::open(&path).and_then(|file| file.sync_all()).map_err(writing)?;
        let part = Part {
            content: Content::DumpDirectory,
            file: format!("{name}/{file}"),
            encoding: Encoding::None,
            bytes,
            sha256: sha256.clone(),
            plain_bytes: bytes,
            plain_sha256: sha256,
        };
        parts.push((part, Unnamed::Folder(Folder(Arc::clone(&inner)))));
    }
    parts.sort_by(|(a, _), (b, _)| a.file.cmp(&b.file));
    File::open(&inner.partial).and_then(|file| file.sync_all()).map_err(writing)?;
    Ok(parts)
}

/// Watches a folder that grows, and ends who fills it before the disk is full.
struct Watched {
    folder: Arc<Inner>,
    meter: Meter,
    pid: Started,
}

struct Watching {
    thread: std::thread::JoinHandle<Option<io::Error>>,
    done: std::sync::mpsc::Sender<()>,
}

impl Watched {
    fn start(self) -> Watching {
        let (done, ended) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            while ended.recv_timeout(LOOK_EVERY) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                let sizes =
                    fs::read_dir(&self.folder.partial).map(|read| read.flatten().filter_map(|e| e.metadata().ok()));
                self.meter.set(sizes.map(|sizes| sizes.map(|metadata| metadata.len()).sum()).unwrap_or_default());
                if let Err(full) = leave_room(&self.folder.partial) {
                    self.pid.terminate();
                    return Some(full);
                }
            }
            None
        });
        Watching { thread, done }
    }
}

impl Watching {
    /// What made it end the program.
    fn end(self) -> Option<io::Error> {
        drop(self.done);
        self.thread.join().ok().flatten()
    }
}
