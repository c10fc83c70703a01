//! The text file that node_exporter's textfile collector reads.
//!
//! Each change is made to what the file says by then: values outlive the run, and several runs can share a file.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use nix::fcntl::{Flock, FlockArg};

use super::series::Series;
use crate::files;

/// How long another run's write is waited for. One takes a millisecond.
const LOCK_WAIT: Duration = Duration::from_millis(500);

/// See the module.
#[derive(Debug)]
pub struct MetricsFile(PathBuf);

impl MetricsFile {
    /// The file of this name; the collector reads those that end in `.prom`.
    pub fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// Its name.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Changes it; whoever reads it finds all of what was there before, or all of this.
    ///
    /// # Errors
    /// When it cannot be written; it is then as it was.
    pub fn change(&self, change: impl FnOnce(&mut Series)) -> io::Result<()> {
        let _held = self.hold()?;
        let mut series = match files::open(&self.0).and_then(io::read_to_string) {
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

    fn hold(&self) -> io::Result<Flock<File>> {
        let mut name = self.0.file_name().unwrap_or_default().to_owned();
        name.push(".lock");
        let open =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o644).open(self.0.with_file_name(name));
        let (mut file, begin) = (open?, Instant::now());
        loop {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(held) => return Ok(held),
                Err((again, error)) if begin.elapsed() < LOCK_WAIT && error == nix::errno::Errno::EWOULDBLOCK => {
                    file = again;
                    thread::sleep(Duration::from_millis(5));
                }
                Err((_, error)) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_write_at_a_time_lose_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lockgate.prom");
        thread::scope(|scope| {
            for i in 0..4 {
                let file = MetricsFile::at(path.clone());
                scope.spawn(move || {
                    for _ in 0..10 {
                        let labels = vec![("database".to_owned(), i.to_string())];
                        file.change(|series| {
                            series.add("lockgate_runs_total", vec![], 1.0);
                            series.add("lockgate_runs_total", labels, 1.0);
                        })
                        .unwrap();
                    }
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
