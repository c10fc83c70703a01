//! The log in files, two a run: `migration_<time>.log` has all, `migration_errors_<time>.log` the warnings and errors, if there are any.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use jiff::{Timestamp, ToSpan as _, civil::DateTime, tz::TimeZone};
use serde::{Deserialize, Serialize};
use tracing::{Level, Metadata, level_filters::LevelFilter};

use super::{
    bound::Bound,
    line::{Format, Line},
    lines::Sink,
};
use crate::files::make_uncommitted;

const ALL: &str = "migration_";
const ERRORS: &str = "migration_errors_";
/// As the script that Lockgate follows named its files; the time is UTC, as in the lines.
const TIME: &str = "%Y%m%d_%H%M%S";
/// Runs that begin within the same second. More are not started by anybody.
const SAME_SECOND_MAX: u32 = 1_000;

/// `[log]` in `lockgate.toml`: the log in files.
#[derive(Debug, Clone, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogSection {
    /// Whether there are files at all.
    pub enabled: bool,
    /// Their folder.
    pub dir: PathBuf,
    /// What goes into the files, beside all that the console shows.
    pub level: LogLevel,
    /// How lines are written.
    pub format: Format,
    /// Of how many runs files are kept. Zero: of all.
    pub keep: usize,
    /// For how many days files are kept. Zero: for ever.
    pub keep_days: u32,
    /// How long a file may become, in bytes. Zero: as long as it likes.
    pub max_bytes: u64,
    /// Whether a run without its files is refused.
    pub required: bool,
}

impl Default for LogSection {
    fn default() -> Self {
        Self {
            enabled: true,
            dir: "logs".into(),
            level: LogLevel::Info,
            format: Format::Text,
            keep: 100,
            keep_days: 0,
            // A run that says more than 100 MiB has lost its mind; its disk is to live on.
            max_bytes: 100 << 20,
            required: false,
        }
    }
}

/// How much is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What fails.
    Error,
    /// And what is to be looked at.
    Warn,
    /// And what the run does.
    Info,
    /// And its details.
    Debug,
    /// And everything.
    Trace,
}

impl LogLevel {
    /// The level of this name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "error" => Some(Self::Error),
            "warn" => Some(Self::Warn),
            "info" => Some(Self::Info),
            "debug" => Some(Self::Debug),
            "trace" => Some(Self::Trace),
            _ => None,
        }
    }
}

impl From<LogLevel> for LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Trace => Self::TRACE,
        }
    }
}

/// See the module.
pub struct Files {
    bounds: [Bound; 2],
    format: Format,
    /// Where the warnings and errors go.
    errors: PathBuf,
    max_bytes: u64,
    open: Mutex<Open>,
}

struct Open {
    all: Option<Written>,
    errors: Option<Written>,
    /// Whether it was already told that something could not be written.
    broken: bool,
}

struct Written {
    file: File,
    path: PathBuf,
    bytes: u64,
    full: bool,
}

impl Files {
    /// Makes the folder and the file of this run, and removes those that need not be kept any longer. `shown` is what the console shows.
    ///
    /// # Errors
    /// Why there can be no files.
    pub fn open(section: &LogSection, shown: Bound, now: Timestamp) -> io::Result<Self> {
        make_uncommitted(&section.dir)?;
        let (stem, all) = begin(&section.dir, now)?;
        // The oldest go, this run's stay. Nothing depends on it.
        let _ = prune(&section.dir, section.keep, section.keep_days, now);
        Ok(Self {
            bounds: [Bound::at(section.level.into()), shown],
            format: section.format,
            errors: section.dir.join(format!("{ERRORS}{stem}.log")),
            max_bytes: section.max_bytes,
            open: Mutex::new(Open { all: Some(all), errors: None, broken: false }),
        })
    }

    /// Writes into each file by itself: one that fails takes nothing from the other.
    fn write(&self, open: &mut Open, text: &str, grave: bool) -> io::Result<()> {
        let all = open.all.as_mut().map_or(Ok(()), |all| all.write(text, self.max_bytes));
        if !grave {
            return all;
        }
        let errors = match &mut open.errors {
            Some(errors) => errors.write(text, self.max_bytes),
            none => Written::create(&self.errors).and_then(|errors| none.insert(errors).write(text, self.max_bytes)),
        };
        all.and(errors)
    }
}

impl Sink for Files {
    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        self.bounds.iter().any(|bound| bound.lets(metadata))
    }

    fn finest(&self) -> LevelFilter {
        self.bounds.iter().map(Bound::finest).max().unwrap_or(LevelFilter::OFF)
    }

    fn take(&self, line: &Line<'_>) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let text = line.written(self.format, false);
        if let Err(error) = self.write(&mut open, &text, line.level <= Level::WARN)
            && !open.broken
        {
            open.broken = true;
            let _ = writeln!(io::stderr(), "warning: the log in files has gaps: {error}");
        }
    }
}

impl Written {
    fn create(path: &Path) -> io::Result<Self> {
        // Lines may quote what is in the tables: not for everybody. Never through a link that somebody has put there.
        let file = OpenOptions::new().append(true).create_new(true).mode(0o640).open(path)?;
        // Held as long as the file is open: other runs leave it alone. Where the file system knows no locks, it is only less sure.
        let _ = file.try_lock();
        Ok(Self { file, path: path.to_owned(), bytes: 0, full: false })
    }

    fn write(&mut self, text: &str, max_bytes: u64) -> io::Result<()> {
        if self.full {
            return Ok(());
        }
        self.bytes += text.len() as u64;
        if max_bytes > 0 && self.bytes > max_bytes {
            self.full = true;
            let _ = writeln!(
                io::stderr(),
                "warning: `{}` has reached `max_bytes` under [log]; the rest is left out",
                self.path.display()
            );
            return Ok(());
        }
        // One call, so that a line is whole whatever happens to the process.
        self.file.write_all(text.as_bytes())
    }
}

/// The file of this run, and what the names of its files share.
fn begin(folder: &Path, now: Timestamp) -> io::Result<(String, Written)> {
    let time = now.strftime(TIME).to_string();
    let mut stem = time.clone();
    for n in 2..SAME_SECOND_MAX {
        match Written::create(&folder.join(format!("{ALL}{stem}.log"))) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => stem = format!("{time}_{n}"),
            created => return Ok((stem, created?)),
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "too many runs within a second"))
}

/// When the run of a file began, and what tells it from others of that second. Files that have other names are somebody else's.
fn run_of(name: &str) -> Option<(DateTime, u32)> {
    let stem = name.strip_suffix(".log")?;
    let stem = stem.strip_prefix(ERRORS).or_else(|| stem.strip_prefix(ALL))?;
    // `%Y` and the like take fewer digits as well.
    let (time, n) = stem.split_at_checked(15)?;
    let n = if n.is_empty() { 1 } else { n.strip_prefix('_')?.parse().ok()? };
    Some((DateTime::strptime(TIME, time).ok()?, n))
}

/// Whether the run that writes this file is under way.
fn is_held(path: &Path) -> bool {
    // Locked, and given back at once.
    File::open(path).is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

/// Removes the files of runs that are beyond what is kept; those of runs under way stay, the only trace that they leave.
fn prune(folder: &Path, keep: usize, keep_days: u32, now: Timestamp) -> io::Result<()> {
    let names = fs::read_dir(folder)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut files: Vec<_> = names.filter_map(|name| Some((run_of(&name)?, name))).collect();
    files.sort();
    let mut runs: Vec<_> = files.iter().map(|(run, _)| *run).collect();
    runs.dedup();
    let too_many = if keep == 0 { 0 } else { runs.len().saturating_sub(keep) };
    let today = TimeZone::UTC.to_datetime(now);
    let oldest = (keep_days > 0).then(|| today.saturating_sub(i64::from(keep_days).days()));
    let goes = |run: &(DateTime, u32)| runs[..too_many].contains(run) || oldest.is_some_and(|oldest| run.0 < oldest);
    let beyond: Vec<_> = files.iter().filter(|(run, _)| goes(run)).collect();
    let held: Vec<_> = beyond.iter().filter(|(_, name)| is_held(&folder.join(name))).map(|(run, _)| *run).collect();
    // One that somebody else has made does not keep the others.
    let gone = beyond.iter().filter(|(run, _)| !held.contains(run)).map(|(_, name)| fs::remove_file(folder.join(name)));
    gone.fold(Ok(()), io::Result::and)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn only_the_newest_runs_and_the_files_of_others_stay() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "migration_20260101_000000.log",
            "migration_errors_20260101_000000.log",
            "migration_20260101_000000_2.log",
            "migration_20260102_000000.log",
            "migration_20260103_000000.log",
            "migration_errors_20260103_000000.log",
            "migration_notes.log",
            "migration_20261301_000000.log",
            "other.log",
        ] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        let others = ["migration_20261301_000000.log", "migration_notes.log", "other.log"];
        let now = at("2026-01-03T00:00:00Z");
        prune(folder.path(), 3, 0, now).unwrap();
        let kept =
            ["migration_20260101_000000_2.log", "migration_20260102_000000.log", "migration_20260103_000000.log"];
        let mut expected = [&kept[..], &["migration_errors_20260103_000000.log"], &others].concat();
        expected.sort_unstable();
        assert_eq!(names(folder.path()), expected);
        prune(folder.path(), 0, 1, now).unwrap();
        assert!(!names(folder.path()).iter().any(|name| name == kept[0]), "older than a day");
        assert!(names(folder.path()).iter().any(|name| name == kept[1]), "a day old");
        prune(folder.path(), 0, 0, at("2027-01-03T00:00:00Z")).unwrap();
        assert_eq!(names(folder.path()).len(), 6, "zero keeps everything");
    }

    #[test]
    fn what_a_run_under_way_writes_stays_however_old_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let now = at("2026-01-03T00:00:00Z");
        let (_, living) = begin(folder.path(), at("2026-01-01T00:00:00Z")).unwrap();
        let others = ["migration_errors_20260101_000000.log", "migration_20260102_000000.log"];
        others.iter().for_each(|name| fs::write(folder.path().join(name), "x").unwrap());
        begin(folder.path(), now).unwrap();
        for (keep, days) in [(1, 0), (0, 1)] {
            prune(folder.path(), keep, days, now).unwrap();
            let names = names(folder.path());
            assert!(names.contains(&"migration_20260101_000000.log".to_owned()), "{names:?}");
            assert!(names.contains(&others[0].to_owned()), "its other file as well: {names:?}");
            assert!(!names.contains(&others[1].to_owned()), "{names:?}");
        }
        drop(living);
        prune(folder.path(), 1, 0, now).unwrap();
        assert_eq!(names(folder.path()), ["migration_20260103_000000.log"]);
    }

    #[test]
    fn each_file_is_written_whatever_becomes_of_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let section = LogSection { dir: folder.path().to_owned(), ..LogSection::default() };
        let files = Files::open(&section, Bound::at(LevelFilter::WARN), at("2026-01-03T00:00:00Z")).unwrap();
        let all = folder.path().join("migration_20260103_000000.log");
        // What stands in the place of the errors cannot be written to.
        fs::create_dir(folder.path().join("migration_errors_20260103_000000.log")).unwrap();
        let mut open = files.open.lock().unwrap();
        assert!(files.write(&mut open, "one\n", true).is_err());
        files.write(&mut open, "two\n", false).unwrap();
        assert_eq!(fs::read_to_string(&all).unwrap(), "one\ntwo\n");
        fs::remove_dir(folder.path().join("migration_errors_20260103_000000.log")).unwrap();
        // And the other way round: only what can be read cannot be written to.
        open.all.as_mut().unwrap().file = File::open(&all).unwrap();
        assert!(files.write(&mut open, "three\n", true).is_err());
        let errors = fs::read_to_string(folder.path().join("migration_errors_20260103_000000.log")).unwrap();
        assert_eq!(errors, "three\n");
    }

    #[test]
    fn runs_of_one_second_have_files_of_their_own_and_no_link_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let now = at("2026-01-03T04:05:06.7Z");
        std::os::unix::fs::symlink("/nowhere", folder.path().join("migration_20260103_040506_2.log")).unwrap();
        let stems = [(); 3].map(|()| begin(folder.path(), now).unwrap().0);
        assert_eq!(stems, ["20260103_040506", "20260103_040506_3", "20260103_040506_4"]);
    }

    #[test]
    fn a_file_does_not_outgrow_its_limit() {
        let folder = tempfile::tempdir().unwrap();
        let mut written = Written::create(&folder.path().join("a.log")).unwrap();
        for _ in 0..10 {
            written.write("0123456789\n", 25).unwrap();
        }
        assert_eq!(fs::read_to_string(folder.path().join("a.log")).unwrap(), "0123456789\n0123456789\n");
    }
}
