//! What lies in a folder of migrations. Links that lead out of it are refused, and whatever cannot be opened is named.

use std::{
    cell::RefCell,
    ffi::OsString,
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use super::{layout, lockfile};
use crate::{
    config::settings::FILE,
    error::{Error, Problem, Result},
    migration::Checksum,
};

/// So much memory is kept from one file to the next, and no more.
const BUFFER_BYTES_MIN: usize = 32 << 10;
const BUFFER_BYTES_MAX: usize = 1 << 20;

/// A folder, in order of names.
#[derive(Debug)]
pub(super) struct Listing {
    /// Where it is.
    pub(super) path: Arc<Path>,
    /// Its path within the folder of migrations, with a slash at the end; empty for that one itself.
    prefix: String,
    /// The folder of migrations, as it was named, and what it really is.
    pub(super) top: Arc<Path>,
    root: PathBuf,
    pub(super) entries: Vec<Entry>,
    pub(super) problems: Vec<Problem>,
}

/// Something in a folder.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) is_folder: bool,
    /// Whether it is understood by its name, in every layout.
    is_part: bool,
    /// Every layout may look at it.
    text: OnceLock<Text>,
    /// Of what is only to be recognised again.
    glance: OnceLock<Arc<Glance>>,
}

impl Entry {
    fn new(name: String, is_folder: bool) -> Self {
        let is_part = !is_folder && layout::is_part(&name);
        Self { name, is_folder, is_part, text: OnceLock::new(), glance: OnceLock::new() }
    }

    /// The text, where it has been read; and what is known of it, where it has been glanced at.
    pub(super) fn seen(&self) -> (Option<Text>, Option<Arc<Glance>>) {
        (self.text.get().cloned(), self.glance.get().cloned())
    }
}

/// A file's text, or why there is none.
#[derive(Debug, Clone)]
pub(super) struct Text {
    pub(super) text: Result<Arc<str>, Box<Problem>>,
    /// The digest of the text, or of the bytes where they are no text.
    pub(super) checksum: Checksum,
}

/// What is known of a text that was not kept.
#[derive(Debug, Clone)]
pub(super) struct Glance {
    pub(super) checksum: Checksum,
    /// Whether other files may be part of it: they are included by a command of psql's.
    pub(super) may_include: bool,
}

impl Listing {
    /// Reads the names in the folder of migrations.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn of(folder: &Path) -> Result<Self> {
        let root = folder.canonicalize().map_err(|e| unreadable(folder, &e))?;
        Self::within(folder, String::new(), folder, root).map_err(|e| unreadable(folder, &e))
    }

    fn within(path: &Path, prefix: String, top: &Path, root: PathBuf) -> io::Result<Self> {
        let mut found = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            found.push((entry.file_name(), entry.file_type()?));
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        let (path, top) = (Arc::from(path), Arc::from(top));
        let mut listing = Self { path, prefix, top, root, entries: Vec::new(), problems: Vec::new() };
        for (name, kind) in found {
            let name = match name.into_string() {
                Ok(name) => name,
                Err(name) => {
                    let at = listing.path.join(&name).to_string_lossy().into_owned();
                    listing.problems.push(Problem::new(at, "the name is not UTF-8", "rename it"));
                    continue;
                }
            };
            if name.starts_with('.') || [lockfile::NAME, FILE].contains(&name.as_str()) || name.ends_with(".md") {
                continue;
            }
            match listing.entry(name, kind) {
                Ok(entry) => listing.entries.push(entry),
                Err(problem) => listing.problems.push(problem),
            }
        }
        Ok(listing)
    }

    fn entry(&self, name: String, kind: fs::FileType) -> Result<Entry, Problem> {
        let has_control = name.chars().any(char::is_control);
        // Only a link leads anywhere.
        if !has_control && (kind.is_file() || kind.is_dir()) {
            return Ok(Entry::new(name, kind.is_dir()));
        }
        let path = self.path.join(&name);
        let at = path.display().to_string();
        if has_control {
            return Err(Problem::new(at.escape_debug().to_string(), "a control character in the name", "rename it"));
        }
        match path.canonicalize() {
            Ok(real) if !real.starts_with(&self.root) => {
                Err(Problem::new(at, "a link that leads out of the migrations folder", "put the file itself here"))
            }
            Ok(real) if real.is_dir() => Ok(Entry::new(name, true)),
            Ok(real) if real.is_file() => Ok(Entry::new(name, false)),
            Ok(_) => Err(Problem::new(at, "it is no regular file", "move it elsewhere")),
            Err(e) => Err(Problem::new(at, format!("it cannot be read: {e}"), "mend the link or the permissions")),
        }
    }

    /// A folder within.
    pub(super) fn folder(&self, name: &str) -> Result<Self, Problem> {
        let path = self.path.join(name);
        let prefix = format!("{}{name}/", self.prefix);
        Self::within(&path, prefix, &self.top, self.root.clone()).map_err(|e| {
            Problem::new(path.display().to_string(), format!("it cannot be read: {e}"), "mend the permissions")
        })
    }

    /// The name of a file as the history keeps it: its path within the folder of migrations.
    pub(super) fn filename(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The place of a file, for messages.
    pub(super) fn at(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }

    /// Whether there is a file of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.find(name).is_some_and(|entry| !entry.is_folder)
    }

    pub(super) fn find(&self, name: &str) -> Option<&Entry> {
        let at = self.entries.binary_search_by(|entry| entry.name.as_str().cmp(name)).ok()?;
        self.entries.get(at)
    }

    /// The names of the files.
    pub(super) fn files(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().filter(|entry| !entry.is_folder).map(|entry| entry.name.as_str())
    }

    /// The names of those that only the layout of a tool can understand.
    pub(super) fn files_of_tools(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().filter(|entry| !entry.is_folder && !entry.is_part).map(|entry| entry.name.as_str())
    }

    /// The folders within.
    pub(super) fn folders(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().filter(|entry| entry.is_folder).map(|entry| entry.name.as_str())
    }

    /// The same without the folders that are among these, wherever links lead; but for one that holds scripts or components, which is not to be left out
    /// in silence.
    pub(super) fn without_folders(mut self, folders: &[PathBuf]) -> Self {
        // Mostly there are no folders at all.
        if self.folders().next().is_some() {
            let left_out: Vec<PathBuf> = folders.iter().filter_map(|folder| folder.canonicalize().ok()).collect();
            let path = Arc::clone(&self.path);
            let may_be_one = |name: OsString| [".sql", ".wasm"].iter().any(|end| name.to_string_lossy().ends_with(end));
            let holds_one = |folder: &Path| {
                fs::read_dir(folder).is_ok_and(|files| files.flatten().any(|file| may_be_one(file.file_name())))
            };
            let is_left_out = |name: &str| {
                path.join(name).canonicalize().is_ok_and(|real| left_out.contains(&real) && !holds_one(&real))
            };
            self.entries.retain(|entry| !entry.is_folder || !is_left_out(&entry.name));
        }
        self
    }

    /// The same without some of its entries: files that the layout reads otherwise.
    pub(super) fn without(&self, names: &[&str]) -> Self {
        let entries = self.entries.iter().filter(|entry| !names.contains(&entry.name.as_str())).cloned().collect();
        Self {
            path: Arc::clone(&self.path),
            prefix: self.prefix.clone(),
            top: Arc::clone(&self.top),
            root: self.root.clone(),
            entries,
            problems: Vec::new(),
        }
    }

    /// A file's text.
    pub(super) fn text(&self, name: &str) -> Text {
        match self.find(name) {
            Some(entry) => entry.text.get_or_init(|| Text::of(&self.path.join(name))).clone(),
            None => Text::of(&self.path.join(name)),
        }
    }

    /// Hashes a file, and keeps nothing of it: of what is applied, nobody asks more. One that is no text, or cannot be read, is left to whoever
    /// reads it.
    pub(super) fn glance_at(&self, entry: &Entry) {
        if entry.text.get().is_none()
            && let Some(glance) = Glance::at(&self.path.join(&entry.name))
        {
            let _ = entry.glance.set(Arc::new(glance));
        }
    }
}

impl Glance {
    fn at(path: &Path) -> Option<Self> {
        thread_local! {
            static BYTES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        BYTES.with_borrow_mut(|bytes| {
            let glance = read_into(bytes, path).ok().and_then(|read| {
                let text = str::from_utf8(&bytes[..read]).ok()?;
                Some(Self { checksum: Checksum::of_script(text), may_include: text.contains('\\') })
            });
            if bytes.len() > BUFFER_BYTES_MAX {
                *bytes = Vec::new();
            }
            glance
        })
    }
}

/// Reads a file into what is kept from one to the next. How long it is is asked only where it does not fit: of many small files, every question
/// counts.
fn read_into(buffer: &mut Vec<u8>, path: &Path) -> io::Result<usize> {
    buffer.resize(buffer.len().max(BUFFER_BYTES_MIN), 0);
    let mut file = File::open(path)?;
    let mut read = 0;
    loop {
        if read == buffer.len() {
            let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
            // One more shows that it is at its end; it may also have grown, or have no length.
            let more = length.saturating_add(1).max(read + BUFFER_BYTES_MIN) - read;
            buffer.try_reserve_exact(more)?;
            buffer.resize(read + more, 0);
        }
        match file.read(&mut buffer[read..]) {
            Ok(0) => return Ok(read),
            Ok(more) => read += more,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

impl Text {
    /// Of this file.
    pub(super) fn of(path: &Path) -> Self {
        let problem = |what: String, next: &str| Err(Box::new(Problem::new(path.display().to_string(), what, next)));
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(e) => {
                let text = problem(format!("it cannot be read: {e}"), "mend the permissions");
                return Self { text, checksum: Checksum::of_bytes(b"") };
            }
        };
        match String::from_utf8(bytes) {
            Ok(text) => Self::from(text),
            Err(error) => {
                let line =
                    error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1;
                let text = problem(format!("it is not UTF-8: see line {line}"), "save it as UTF-8 text");
                Self { text, checksum: Checksum::of_bytes(error.as_bytes()) }
            }
        }
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self { checksum: Checksum::of_script(&text), text: Ok(text.into()) }
    }
}

pub(super) fn unreadable(folder: &Path, error: &io::Error) -> Error {
    Error::configuration(
        format!("the migrations folder `{}` cannot be read: {error}", folder.display()),
        "name it with `--dir`, or run from the folder that holds `migrations`",
    )
}
