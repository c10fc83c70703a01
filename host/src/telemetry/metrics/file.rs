//! The text file that node_exporter's textfile collector reads.
//!
//! Each change is made to what the file says by then: values outlive the run, and several runs can share a file.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use nix::fcntl::{Flock, FlockArg};

use super::{
    edits::Edits,
    series::Series,
    sink::{Brought, Moment, Place},
};
use crate::files;

/// Some hundred bytes a database and command.
const BYTES_MAX: u64 = 16 << 20;

/// See the module.
#[derive(Debug)]
pub struct MetricsFile(PathBuf);

impl MetricsFile {
    /// The file of this name; the collector reads those that end in `.prom`.
    pub fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// Changes it; whoever reads it finds all of what was there before, or all of this.
    ///
    /// # Errors
    /// When it cannot be written; it is then as it was. [`io::ErrorKind::WouldBlock`]: another run is writing, which takes a millisecond.
    fn change(&self, change: impl FnOnce(&mut Series)) -> io::Result<()> {
        let _held = self.hold()?;
        let mut series = match self.read() {
            Ok(text) => Series::parse(&text),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Series::default(),
            Err(e) => return Err(e),
        };
        change(&mut series);
        let folder = self.0.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // Of another name than `*.prom`, or the collector would read it half-written. Not synced: after a crash the next run tells again.
        let mode = Permissions::from_mode(0o644);
        let mut file = tempfile::Builder::new().prefix(".lockgate").permissions(mode).tempfile_in(folder)?;
        file.write_all(series.text().as_bytes())?;
        // The collector is another user.
        fs::set_permissions(file.path(), Permissions::from_mode(0o644))?;
        file.persist(&self.0)?;
        Ok(())
    }

    fn read(&self) -> io::Result<String> {
        let file = files::open(&self.0)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        let mut bytes = Vec::new();
        if file.take(BYTES_MAX).read_to_end(&mut bytes)? as u64 == BYTES_MAX {
            return Err(io::Error::other("it is longer than a file of metrics can be"));
        }
        // What is no text is no metric, and is not kept.
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn hold(&self) -> io::Result<Flock<File>> {
        let mut name = self.0.file_name().unwrap_or_default().to_owned();
        name.push(".lock");
        let path = self.0.with_file_name(name);
        let made = OpenOptions::new().write(true).create(true).truncate(false).mode(0o644).open(&path);
        // Another user's can be held as well as one's own.
        let open = made.or_else(|error| File::open(&path).map_err(|_| error))?;
        Flock::lock(open, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| error.into())
    }
}

impl Place for MetricsFile {
    fn bring(&mut self, edits: &Edits, _: Moment) -> Brought {
        match self.change(|series| edits.apply(series)) {
            Ok(()) => Brought::Done,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Brought::Held,
            Err(e) => Brought::Failed(e.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        thread,
        time::{Duration, Instant},
    };

    use super::{
        super::sink::{Porter, Sink as _},
        *,
    };
    use crate::telemetry::complaint::Complaint;

    fn one_more(labels: &[(&str, &str)]) -> Edits {
        let mut edits = Edits::default();
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        edits.add("lockgate_runs_total", labels, 1.0);
        edits
    }

    #[test]
    fn a_file_that_another_run_holds_is_written_when_it_lets_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lockgate.prom");
        let held = MetricsFile::at(path.clone()).hold().unwrap();
        let sink = Porter::to(MetricsFile::at(path.clone()), Complaint::of("x", "y")).unwrap();
        sink.take(&one_more(&[]));
        sink.take(&one_more(&[]));
        assert!(!path.exists());
        drop(held);
        sink.end(Instant::now() + Duration::from_secs(60));
        assert!(fs::read_to_string(&path).unwrap().contains("lockgate_runs_total{} 2\n"));
    }

    #[test]
    fn what_is_no_file_of_metrics_is_not_read_on_and_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lockgate.prom");
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        let error = MetricsFile::at(path.clone()).change(|_| ()).unwrap_err();
        assert_eq!(error.to_string(), "it is no regular file");
        fs::remove_file(&path).unwrap();
        fs::write(&path, b"lockgate_runs_total{} 1\n\xff\n").unwrap();
        MetricsFile::at(path.clone()).change(|series| one_more(&[]).apply(series)).unwrap();
        assert!(fs::read_to_string(&path).unwrap().contains("lockgate_runs_total{} 2\n"));
    }

    #[test]
    fn runs_that_write_at_a_time_lose_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lockgate.prom");
        thread::scope(|scope| {
            for i in 0..4 {
                let sink = Porter::to(MetricsFile::at(path.clone()), Complaint::of("x", "y")).unwrap();
                scope.spawn(move || {
                    for _ in 0..10 {
                        sink.take(&one_more(&[]));
                        sink.take(&one_more(&[("database", &i.to_string())]));
                    }
                    sink.end(Instant::now() + Duration::from_secs(60));
                });
            }
        });
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.contains("lockgate_runs_total{} 40\n") && text.contains("lockgate_runs_total{database=\"3\"} 10\n"),
            "{text}"
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "the file and its lock");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
    }
}
