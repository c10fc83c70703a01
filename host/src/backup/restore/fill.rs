//! `pg_restore` at work: from a stream, from a file without a name, or from a folder that `pg_dump` has written.

use std::{
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::{ChildStdin, Command, ExitStatus, Stdio},
    sync::Arc,
    thread,
};

use super::Way;
use crate::{
    backup::{
        Content, Manifest, Part,
        child::{self, Started},
        coding::Decoder,
        conninfo,
        encryption::Identities,
        libpq,
        meter::Meter,
        store::{Local, Store, leave_room},
    },
    error::{Error, Result},
    files::Nameless,
    postgres::Target,
    programs::without_secrets,
    report,
    stop::Stop,
};

/// Below this, one job is as fast, and needs no room to decode to.
const WORTH_SEVERAL_JOBS: u64 = 64 << 20;
/// With fewer processors, to decode the dump first costs more than several jobs save (docs/performance.md).
const PROCESSORS_FOR_SEVERAL_JOBS: usize = 3;
/// More would only wait for each other on most disks.
const JOBS_MAX: usize = 4;
/// How much is written before the space that is left is looked at again.
const LOOK_EVERY: u64 = 16 << 20;
/// How a process reaches the file that is its standard input, as often as it likes, each time from the beginning.
const STDIN: &str = "/proc/self/fd/0";

/// A dump, and how it is read.
#[derive(Clone)]
pub(super) struct Dump {
    store: Arc<dyn Store>,
    keys: Arc<Identities>,
    pg_restore: PathBuf,
    jobs: u32,
    no_tablespaces: bool,
    source: Source,
}

#[derive(Clone)]
enum Source {
    /// Decoded on its way into the program.
    Stream(Part),
    /// To be decoded into a file in this folder.
    Unspooled(Part, PathBuf),
    /// Decoded into a file without a name, which goes with the last that has it open, however that ends.
    Spooled(Arc<File>),
    /// As `pg_dump` has written it.
    Folder(PathBuf),
}

impl Dump {
    /// Decides how the dump of a backup is read.
    ///
    /// # Errors
    /// [`Error::Refused`] when it cannot be read in the way that was asked for.
    pub(super) fn of(
        manifest: &Manifest,
        store: &Arc<dyn Store>,
        keys: &Arc<Identities>,
        pg_restore: PathBuf,
        way: &Way,
    ) -> Result<Self> {
        let processors = thread::available_parallelism().map_or(1, usize::from).min(JOBS_MAX);
        let usual = u32::try_from(processors).unwrap_or(1);
        let is_of = |content: Content| move |part: &&Part| part.content == content;
        let (jobs, source) = match manifest.parts.iter().find(is_of(Content::Dump)) {
            Some(part) => {
                let several = part.plain_bytes >= WORTH_SEVERAL_JOBS && processors >= PROCESSORS_FOR_SEVERAL_JOBS;
                let jobs = way.jobs.unwrap_or(if several { usual } else { 1 });
                let temp_dir = way.temp_dir.clone().unwrap_or_else(std::env::temp_dir);
                match (jobs, no_room(part, &temp_dir)) {
                    (..=1, _) => (1, Source::Stream(part.clone())),
                    (_, None) => (jobs, Source::Unspooled(part.clone(), temp_dir)),
                    (_, Some(why)) if way.jobs.is_some() => return Err(not_so(jobs, &why)),
                    (_, Some(why)) => {
                        tracing::info!("one table is filled after the other: {why}");
                        (1, Source::Stream(part.clone()))
                    }
                }
            }
            None => {
                let part = manifest.parts.iter().find(is_of(Content::DumpDirectory));
                let folder = part.and_then(|part| part.file.split('/').next()).zip(store.folder());
                let Some((name, folder)) = folder else {
                    return Err(Error::Refused {
                        what: format!("backup `{}` has no dump that can be read from here", manifest.id),
                        next: "choose another backup: `lockgate backup list`".into(),
                    });
                };
                (way.jobs.unwrap_or(usual).max(1), Source::Folder(folder.join(name)))
            }
        };
        let no_tablespaces = way.no_tablespaces;
        Ok(Self { store: Arc::clone(store), keys: Arc::clone(keys), pg_restore, jobs, no_tablespaces, source })
    }

    /// The bytes that are read when it is restored, where they are read here.
    pub(super) fn about_bytes(&self) -> u64 {
        match &self.source {
            Source::Stream(part) | Source::Unspooled(part, _) => part.bytes,
            Source::Spooled(_) | Source::Folder(_) => 0,
        }
    }

    /// Decodes it, where it is to be read more than once at a time, and looks whether that is what was written. The file never has a name, so
    /// that nobody else can read it and nothing is left of it.
    ///
    /// # Errors
    /// Why that cannot be done.
    pub(super) fn spooled(mut self, meter: &Meter, stop: &Stop) -> Result<Self, String> {
        let Source::Unspooled(part, folder) = &self.source else { return Ok(self) };
        let writing = |e: io::Error| format!("decoding the dump into `{}`: {e}", folder.display());
        let mut file = tempfile::tempfile_in(folder).map_err(writing)?;
        let mut dump = self.decoder(part, meter, stop)?;
        loop {
            let copied = io::copy(&mut dump.by_ref().take(LOOK_EVERY), &mut file).map_err(writing)?;
            if copied == 0 {
                break;
            }
            leave_room(folder).map_err(writing)?;
        }
        finish(dump, part)?;
        self.source = Source::Spooled(Arc::new(file));
        Ok(self)
    }

    /// What is in it, as `pg_restore --list` prints it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn listing(&self, stop: &Stop, started: &Started) -> Result<String, String> {
        let mut command = Command::new(&self.pg_restore);
        without_secrets(&mut command).arg("--list");
        self.run(command, Wanted::Beginning, &Meter::default(), stop, started)
    }

    /// Restores it.
    ///
    /// # Errors
    /// What `pg_restore` said, or that the dump is not what was written.
    pub(super) fn restore(&self, target: &Target, meter: &Meter, stop: &Stop, started: &Started) -> Result<(), String> {
        let (mut command, _passfile) = self.connected(target)?;
        if self.jobs > 1 {
            command.arg(format!("--jobs={}", self.jobs));
        }
        self.run(command, Wanted::All, meter, stop, started).map(drop)
    }

    /// Restores the entries of this listing only, which have no data.
    ///
    /// # Errors
    /// What `pg_restore` said.
    pub(super) fn restore_entries(
        &self,
        target: &Target,
        listing: &str,
        stop: &Stop,
        started: &Started,
    ) -> Result<(), String> {
        let (mut command, _passfile) = self.connected(target)?;
        let list = Nameless::of(listing.as_bytes()).map_err(|e| format!("writing a list for pg_restore: {e}"))?;
        command.arg("--use-list").arg(list.path());
        self.run(command, Wanted::Beginning, &Meter::default(), stop, started).map(drop)
    }

    fn connected(&self, target: &Target) -> Result<(Command, Option<Nameless>), String> {
        let mut command = Command::new(&self.pg_restore);
        // A subscription in the copy would name the slot of the present database's, and keep the copy from being dropped.
        let options = ["--exit-on-error", "--no-password", "--no-subscriptions", "--dbname"];
        command.args(options).arg(conninfo(&target.database));
        if self.no_tablespaces {
            command.arg("--no-tablespaces");
        }
        let passfile = libpq(&mut command, target, "lockgate restore").map_err(|e| e.to_string())?;
        // What the database itself is set to must not keep it from being filled. Nobody needs any of it before the swap, whose own commit
        // makes everything before it durable.
        let role = target.session_options().map(|options| format!("{options} ")).unwrap_or_default();
        command.env("PGOPTIONS", format!("{role}-c default_transaction_read_only=off -c synchronous_commit=off"));
        Ok((command, passfile))
    }

    /// Runs `pg_restore` on the dump and returns what it printed.
    fn run(
        &self,
        mut command: Command,
        wanted: Wanted,
        meter: &Meter,
        stop: &Stop,
        started: &Started,
    ) -> Result<String, String> {
        let unreadable = |e: io::Error| format!("reading the dump: {e}");
        match &self.source {
            Source::Stream(_) | Source::Unspooled(..) => command.stdin(Stdio::piped()),
            Source::Spooled(file) => command.arg(STDIN).stdin(file.try_clone().map_err(unreadable)?),
            Source::Folder(folder) => command.arg(folder).stdin(Stdio::null()),
        };
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child =
            command.spawn().map_err(|e| format!("`{}` cannot be started: {e}", self.pg_restore.display()))?;
        started.note(&child);
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err("no pipe".into());
        };
        let (printed, complaints) = (child::printed(stdout), child::complaints(stderr));
        let mut ended = None;
        let fed = match (&self.source, child.stdin.take()) {
            (Source::Stream(part) | Source::Unspooled(part, _), Some(stdin)) => {
                let wait = || {
                    let status = child.wait();
                    started.ended();
                    status
                };
                self.feed(part, stdin, wanted, meter, stop, wait, &mut ended)
            }
            _ => Ok(()),
        };
        let status = match ended {
            Some(status) => status,
            None => {
                let status = child.wait().map_err(|e| format!("waiting for pg_restore: {e}"))?;
                started.ended();
                status
            }
        };
        let text = |thread: thread::JoinHandle<io::Result<String>>| {
            thread.join().ok().and_then(io::Result::ok).unwrap_or_default()
        };
        let (printed, complaints) = (text(printed), text(complaints));
        // That the dump is not what it was explains what the program says of it.
        fed?;
        match status.success() {
            true => Ok(printed),
            false => Err(format!("pg_restore ended with {status}: {complaints}")),
        }
    }

    /// Passes the decoded dump on, all of it or until nobody wants more, and looks whether it is what was written.
    #[allow(clippy::too_many_arguments, reason = "each is another thing, and they meet only here")]
    fn feed(
        &self,
        part: &Part,
        mut stdin: ChildStdin,
        wanted: Wanted,
        meter: &Meter,
        stop: &Stop,
        wait: impl FnOnce() -> io::Result<ExitStatus>,
        ended: &mut Option<ExitStatus>,
    ) -> Result<(), String> {
        let mut dump = self.decoder(part, meter, stop)?;
        let mut buffer = vec![0; 1 << 16];
        loop {
            let n = dump.read(&mut buffer).map_err(|e| format!("reading the dump: {e}"))?;
            if n == 0 {
                drop(stdin);
                break;
            }
            match stdin.write_all(&buffer[..n]) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                    // It has ended: with all that it needs, or with a complaint.
                    drop(stdin);
                    let status = wait().map_err(|e| format!("waiting for pg_restore: {e}"))?;
                    *ended = Some(status);
                    if !status.success() || wanted == Wanted::Beginning {
                        return Ok(());
                    }
                    io::copy(&mut dump, &mut io::sink()).map_err(|e| format!("reading the dump: {e}"))?;
                    break;
                }
                Err(error) => return Err(format!("passing the dump on: {error}")),
            }
        }
        match wanted {
            Wanted::All => finish(dump, part),
            Wanted::Beginning => Ok(()),
        }
    }

    fn decoder(&self, part: &Part, meter: &Meter, stop: &Stop) -> Result<Decoder, String> {
        let file = self.store.read(&part.file).and_then(|file| {
            let metered = Box::new(meter.read(file, stop));
            Decoder::new(metered, part, &self.keys)
        });
        file.map_err(|e| format!("reading `{}`: {e}", part.file))
    }
}

/// How much of a dump is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// Its list of contents, which is its beginning.
    Beginning,
    /// Everything.
    All,
}

fn finish(dump: Decoder, part: &Part) -> Result<(), String> {
    dump.finish(part).map_err(|damage| format!("the dump `{}` is damaged: {damage}", part.file))
}

/// Why the dump cannot be decoded into this folder.
fn no_room(part: &Part, folder: &Path) -> Option<String> {
    if !Path::new(STDIN).exists() {
        return Some("this system does not let a program open its standard input more than once".into());
    }
    if !folder.is_dir() {
        return Some(format!("`{}` is no folder", folder.display()));
    }
    let free = match Local::new(folder.to_owned()).free_bytes() {
        Ok(free) => free.unwrap_or(u64::MAX),
        Err(error) => return Some(format!("`{}` cannot be looked at: {error}", folder.display())),
    };
    let (needed, free_text) = (report::bytes(part.plain_bytes), report::bytes(free));
    (free < part.plain_bytes)
        .then(|| format!("the decoded dump needs {needed} in `{}`, where {free_text} are free", folder.display()))
}

fn not_so(jobs: u32, why: &str) -> Error {
    Error::Refused {
        what: format!("the backup cannot be restored by {jobs} jobs: {why}"),
        next: "name a folder with room for it, `--temp-dir`, or take one job, `--jobs 1`".into(),
    }
}
