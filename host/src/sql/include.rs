//! `\i FILE` and `\ir FILE`: the text of the file stands in the place of the command.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    places::{Places, Stretch},
    psql::{self, Command},
    split::{Fault, split},
};
use crate::error::Problem;

/// A script with the files that it includes.
pub(super) struct Spliced {
    pub(super) text: Arc<str>,
    pub(super) places: Places,
}

/// The most that the server takes in one message, and with it the most that a script can hold.
const TEXT_MAX_BYTES: usize = 0x3fff_ffff - 1;

/// Files may include one another so deep.
const DEPTH_MAX: usize = 32;

const MOVE_IT: &str =
    "move the file into the migrations folder; it is looked for beside the including file, then under the folder";

/// Puts the text of every included file into its place. Files are taken from below `root` only.
///
/// # Errors
/// Each file that cannot be included, with the place of its command. What is wrong with the commands themselves is not looked at.
pub(super) fn splice(text: &Arc<str>, path: &Path, root: &Path) -> Result<Spliced, Vec<Problem>> {
    if !text.contains('\\') {
        // As most are.
        return Ok(Spliced { text: Arc::clone(text), places: Places::default() });
    }
    let mut splicer = Splicer {
        root,
        real_root: root.canonicalize().unwrap_or_else(|_| root.to_owned()),
        text: String::with_capacity(text.len()),
        stretches: Vec::new(),
        under_way: vec![path.canonicalize().unwrap_or_else(|_| path.to_owned())],
        problems: Vec::new(),
    };
    splicer.add(text, path, None);
    if !splicer.problems.is_empty() {
        return Err(splicer.problems);
    }
    if let [_] = *splicer.stretches {
        return Ok(Spliced { text: Arc::clone(text), places: Places::default() });
    }
    Ok(Spliced { text: splicer.text.into(), places: Places::of(splicer.stretches) })
}

struct Splicer<'a> {
    root: &'a Path,
    real_root: PathBuf,
    text: String,
    stretches: Vec<Stretch>,
    /// The files that are being read, each included by the one before.
    under_way: Vec<PathBuf>,
    problems: Vec<Problem>,
}

impl Splicer<'_> {
    /// Adds the text of a file; `file` is how an included one is named.
    fn add(&mut self, text: &str, path: &Path, file: Option<&Path>) {
        let stretch = |start: usize, line: usize| Stretch { start, file: file.map(Path::to_owned), line, column: 1 };
        self.stretches.push(stretch(self.text.len(), 1));
        let (mut at, mut line) = (0, 1);
        for command in split(text).commands.iter().filter(|command| !command.amid) {
            let Command::Include(name) = psql::understand(&text[command.range.clone()]) else { continue };
            let before = &text[at..command.range.start];
            self.text.push_str(before);
            line += before.matches('\n').count();
            let place = format!("{}:{line}:{}", path.display(), column(text, command.range.start));
            match self.included(&name, path) {
                Ok((real, shown, text)) if self.text.len() + text.len() <= TEXT_MAX_BYTES => {
                    self.under_way.push(real);
                    self.add(&text, &shown, Some(&shown));
                    self.end_file(&text);
                    self.under_way.pop();
                }
                Ok(_) => {
                    let what = "with what it includes, it is longer than the 1 GiB that PostgreSQL takes";
                    self.problems.push(Problem::new(place, what, "make several migrations of it"));
                    return;
                }
                Err((what, next)) => self.problems.push(Problem::new(place, what, next)),
            }
            // The rest of the line, which is its end.
            at = command.range.end;
            let rest = text[at..].find('\n').map_or(text.len(), |n| at + n + 1);
            at = rest;
            line += 1;
            self.stretches.push(stretch(self.text.len(), line));
        }
        self.text.push_str(&text[at..]);
    }

    /// At the end of a file psql sends what it has, and takes no more data.
    fn end_file(&mut self, text: &str) {
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.text.push('\n');
        }
        let cut = split(text);
        let open = !cut.faults.iter().any(|(_, fault)| matches!(fault, Fault::Text | Fault::Name | Fault::Comment));
        let Some(last) = cut.statements.last().filter(|_| open) else { return };
        match &last.data {
            Some(data) if last.stop == data.end => {
                self.text.push_str(if last.end == last.stop { ";\n\\.\n" } else { "\\.\n" })
            }
            None if last.end == last.stop => self.text.push_str(";\n"),
            _ => {}
        }
    }

    /// The file that is meant: its real path, the one to show, and its text.
    fn included(&self, name: &str, by: &Path) -> Result<(PathBuf, PathBuf, String), (String, &'static str)> {
        let beside = by.parent().map(|folder| folder.join(name));
        let candidates = [beside, Some(self.root.join(name))];
        let real = candidates.into_iter().flatten().find_map(|path| path.canonicalize().ok());
        let Some(real) = real else { return Err((format!("there is no file `{name}` to include"), MOVE_IT)) };
        let Ok(inside) = real.strip_prefix(&self.real_root) else {
            return Err((format!("`{name}` is a file outside the migrations folder"), MOVE_IT));
        };
        if !real.is_file() {
            return Err((format!("`{name}` is no regular file"), MOVE_IT));
        }
        if self.under_way.contains(&real) {
            return Err((format!("`{name}` includes itself, by way of this line"), "remove one of the inclusions"));
        }
        if self.under_way.len() > DEPTH_MAX {
            return Err((format!("`{name}` is included more than {DEPTH_MAX} files deep"), "include fewer files"));
        }
        let text = read(&real).map_err(|e| (format!("`{name}` cannot be read: {e}"), "save it as UTF-8 text"))?;
        let shown = self.root.join(inside);
        Ok((real, shown, text.strip_prefix('\u{feff}').map_or(text.clone(), str::to_owned)))
    }
}

/// Reads a file of text that the server could take.
pub(super) fn read(path: &Path) -> io::Result<String> {
    let length = fs::metadata(path)?.len();
    if usize::try_from(length).is_ok_and(|length| length <= TEXT_MAX_BYTES) {
        return fs::read_to_string(path);
    }
    Err(io::Error::other("it is longer than the 1 GiB that PostgreSQL takes"))
}

fn column(text: &str, offset: usize) -> usize {
    text[..offset].rsplit('\n').next().unwrap_or("").chars().count() + 1
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("m/sub")).unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    fn spliced(folder: &tempfile::TempDir) -> Result<String, Vec<String>> {
        let root = folder.path().join("m");
        let path = root.join("a.sql");
        let text = fs::read_to_string(&path).unwrap();
        let shorter = |p: Problem| format!("{}: {}", p.at.rsplit('/').next().unwrap_or(""), p.what);
        splice(&text.into(), &path, &root)
            .map(|s| s.text.to_string())
            .map_err(|ps| ps.into_iter().map(shorter).collect())
    }

    #[test]
    fn the_text_of_a_file_stands_in_the_place_of_the_command() {
        let folder = folder(&[
            ("m/a.sql", "select 1;\n\\i sub/b.sql\r\nselect 2;\n\\ir c.sql"),
            ("m/sub/b.sql", "\u{feff}\\i d.sql\nselect 'b'"),
            ("m/sub/d.sql", "copy t from stdin;\n1"),
            ("m/c.sql", "-- c"),
        ]);
        let expected = "select 1;\ncopy t from stdin;\n1\n\\.\nselect 'b'\n;\nselect 2;\n-- c\n";
        assert_eq!(spliced(&folder).unwrap(), expected);
    }

    #[test]
    fn places_name_the_included_file_and_its_line() {
        let folder = folder(&[("m/a.sql", "select 1;\n\\i sub/b.sql\nselect 2;"), ("m/sub/b.sql", "\nselect 3")]);
        let root = folder.path().join("m");
        let text = fs::read_to_string(root.join("a.sql")).unwrap().into();
        let Spliced { text, places } = splice(&text, &root.join("a.sql"), &root).unwrap_or_else(|p| panic!("{p:?}"));
        let mut walk = places.walk(&text);
        let mut place = |what: &str| {
            let spot = walk.to(text.find(what).unwrap());
            (spot.file.map(|file| file.strip_prefix(&root).unwrap().to_owned()), spot.line)
        };
        assert_eq!(place("select 1"), (None, 1));
        assert_eq!(place("select 3"), (Some("sub/b.sql".into()), 2));
        assert_eq!(place("select 2"), (None, 3));
    }

    #[test]
    fn nothing_outside_the_folder_is_included_and_nothing_twice_over() {
        let folder = folder(&[
            ("out.sql", ""),
            ("m/a.sql", "\\i ../out.sql\n\\i link.sql\n\\i b.sql\n\\i none.sql\n\\i sub"),
            ("m/b.sql", "\n\\i a.sql"),
        ]);
        symlink(folder.path().join("out.sql"), folder.path().join("m/link.sql")).unwrap();
        assert_eq!(
            spliced(&folder).unwrap_err(),
            [
                "a.sql:1:1: `../out.sql` is a file outside the migrations folder",
                "a.sql:2:1: `link.sql` is a file outside the migrations folder",
                "b.sql:2:1: `a.sql` includes itself, by way of this line",
                "a.sql:4:1: there is no file `none.sql` to include",
                "a.sql:5:1: `sub` is no regular file",
            ]
        );
    }
}
