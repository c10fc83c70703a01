//! A migration as a layout found it: which text is its up, which its down; made into one that can run.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use super::{
    Content, Migration,
    content::Lazy,
    listing::{Entry, Glance, Listing, Text},
};
use crate::{
    error::Problem,
    migration::{Checksum, Kind, Version},
    sql::{Directives, Script, SqlFiles},
};

/// A migration as a layout found it.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) version: Version,
    pub(super) description: String,
    /// The file that is applied, by its path within the folder.
    pub(super) filename: String,
    pub(super) body: Body,
    /// What the layout has found wrong with it. They count once it is to run.
    pub(super) problems: Vec<Problem>,
}

/// What a migration is made of.
#[derive(Debug)]
pub(super) enum Body {
    /// SQL.
    Sql(Box<Scripts>),
    /// A program in the language of another tool, which does not run here.
    Foreign(Checksum),
}

/// The scripts of one migration.
#[derive(Debug, Clone)]
pub(super) struct Scripts {
    pub(super) up: Source,
    pub(super) down: Down,
    /// In boxes, as is the text of each: most have none, and there may be thousands.
    pub(super) preflight: Option<Box<Source>>,
    pub(super) verify: Option<Box<Source>>,
}

/// How a migration is reverted.
#[derive(Debug, Clone)]
pub(super) enum Down {
    /// By a script.
    Script(Source),
    /// By one that should be there and is not: its name.
    Missing(String),
    /// Not at all: its layout knows no way down, or the file has none.
    Never,
}

/// The text of a script and where it stands. A file is read when it is first asked for.
#[derive(Debug, Clone)]
pub(super) struct Source {
    folder: Arc<Path>,
    name: String,
    /// The folder of migrations, out of which nothing is included.
    root: Arc<Path>,
    text: OnceLock<Box<Text>>,
    /// What its text was when it was hashed: it is still to be that when it is read.
    glance: Option<Arc<Glance>>,
    pub(super) directives: Directives,
    /// Whether its first line may ask for no transaction, as sqlx has it.
    heeds_its_head: bool,
}

impl Source {
    /// A whole file.
    pub(super) fn file(listing: &Listing, name: &str) -> Self {
        Self::named(listing, name, listing.find(name))
    }

    /// A whole file that was found.
    pub(super) fn found(listing: &Listing, entry: &Entry) -> Self {
        Self::named(listing, &entry.name, Some(entry))
    }

    fn named(listing: &Listing, name: &str, entry: Option<&Entry>) -> Self {
        let (read, glance) = entry.map_or((None, None), Entry::seen);
        let text = read.map(Box::new).map_or_else(OnceLock::new, OnceLock::from);
        Self {
            folder: Arc::clone(&listing.path),
            name: name.to_owned(),
            root: Arc::clone(&listing.top),
            text,
            glance,
            directives: Directives::default(),
            heeds_its_head: false,
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    fn read(&self) -> &Text {
        self.text.get_or_init(|| {
            let read = Text::of(&self.path());
            Box::new(match self.glance.as_deref() {
                Some(Glance { checksum, .. }) if *checksum != read.checksum => {
                    let at = self.path().display().to_string();
                    let problem = Problem::new(at, "it was changed while it was read", "run the same command again");
                    Text { text: Err(Box::new(problem)), checksum: checksum.clone() }
                }
                _ => read,
            })
        })
    }

    /// What is known of it, as long as it is not read.
    fn unread(&self) -> Option<&Glance> {
        self.glance.as_deref().filter(|_| self.text.get().is_none())
    }

    /// The text as far as there is one.
    pub(super) fn text(&self) -> &str {
        self.read().text.as_deref().unwrap_or_default()
    }

    /// The digest of the text, or of the bytes where they are no text.
    pub(super) fn checksum(&self) -> &Checksum {
        self.unread().map_or_else(|| &self.read().checksum, |glance| &glance.checksum)
    }

    /// Some lines of it, each of which keeps its number.
    pub(super) fn part(&self, lines: Range<usize>) -> Self {
        let Ok(text) = &self.read().text else { return self.clone() };
        let start = byte_of_line(text, lines.start);
        let part = &text[start..byte_of_line(text, lines.end)];
        let text = Ok(format!("{}{part}", "\n".repeat(lines.start)).into());
        self.but(Text { text, checksum: Checksum::of_script(part) })
    }

    /// Another text in the same file.
    pub(super) fn with_text(&self, text: String) -> Self {
        self.but(Text::from(text))
    }

    /// The same text, recognised again by this digest.
    pub(super) fn with_checksum(&self, checksum: Checksum) -> Self {
        self.but(Text { checksum, ..self.read().clone() })
    }

    fn but(&self, text: Text) -> Self {
        Self { text: OnceLock::from(Box::new(text)), glance: None, ..self.clone() }
    }

    /// The same, run without a transaction where that is so.
    pub(super) fn without_transaction(mut self, is_so: bool) -> Self {
        self.directives.no_transaction |= is_so;
        self
    }

    /// The same, run without a transaction where its first line asks for that, as sqlx has it.
    pub(super) fn heeding_its_head(self) -> Self {
        Self { heeds_its_head: true, ..self }
    }

    /// Whether other files may be part of it: they are included by a command of psql's.
    fn may_include(&self) -> bool {
        self.unread().map_or_else(|| self.text().contains('\\'), |glance| glance.may_include)
    }

    /// The script, and the digest of its text: with that of the files that it includes.
    fn parse(&self, problems: &mut Vec<Problem>) -> (Option<Script>, Checksum) {
        let says_so = || self.text().trim_start_matches('\u{feff}').starts_with("-- no-transaction");
        let mut directives = self.directives;
        directives.no_transaction |= self.heeds_its_head && says_so();
        let parsed = match &self.read().text {
            Ok(text) => Script::parse_file(text, &self.path(), &self.root, directives),
            Err(problem) => Err(vec![(**problem).clone()]),
        };
        match parsed {
            Ok((script, kept)) if *kept == *self.text() => (Some(script), self.checksum().clone()),
            Ok((script, kept)) => (Some(script), Checksum::of_script(kept.trim_start_matches('\n'))),
            Err(found) => {
                problems.extend(found);
                (None, self.checksum().clone())
            }
        }
    }

    fn script(&self, problems: &mut Vec<Problem>) -> Option<Script> {
        self.parse(problems).0
    }
}

/// Where the line with this number begins, counted from 0; the end of the text where there are fewer.
fn byte_of_line(text: &str, line: usize) -> usize {
    if line == 0 {
        return 0;
    }
    text.match_indices('\n').nth(line - 1).map_or(text.len(), |(at, _)| at + 1)
}

impl Down {
    /// The same, run without a transaction where that is so.
    pub(super) fn without_transaction(self, is_so: bool) -> Self {
        match self {
            Self::Script(source) => Self::Script(source.without_transaction(is_so)),
            other => other,
        }
    }
}

impl Scripts {
    /// A script and the way back.
    pub(super) fn new(up: Source, down: Down) -> Self {
        Self { up, down, preflight: None, verify: None }
    }
}

impl Draft {
    /// A migration in SQL.
    pub(super) fn sql(version: Version, description: &str, filename: String, scripts: Scripts) -> Self {
        Self {
            version,
            description: description.to_owned(),
            filename,
            body: Body::Sql(Box::new(scripts)),
            problems: Vec::new(),
        }
    }

    /// A migration that only the tool of its layout can run.
    pub(super) fn foreign(version: Version, description: &str, listing: &Listing, name: &str) -> Self {
        let problem = Problem::new(
            listing.at(name),
            "a program of another tool, which does not run here",
            "let that tool apply it before Lockgate takes over, or write it as SQL or as a component (`lockgate new`)",
        );
        Self {
            version,
            description: description.to_owned(),
            filename: listing.filename(name),
            body: Body::Foreign(listing.text(name).checksum),
            problems: vec![problem],
        }
    }

    /// The same with something wrong.
    pub(super) fn but(mut self, problem: Option<Problem>) -> Self {
        self.problems.extend(problem);
        self
    }

    /// The migration, if it is one of SQL; a program of another tool has a problem at least.
    pub(super) fn into_migration(self) -> Migration {
        let Self { version, description, filename, body, problems } = self;
        let (checksum, content) = match body {
            Body::Foreign(checksum) => (checksum, Lazy::from(Err(problems))),
            Body::Sql(scripts) if scripts.up.may_include() => {
                let mut problems = problems;
                let (files, checksum) = scripts.parse(&mut problems);
                let content = if problems.is_empty() { Ok(Content::Sql(Box::new(files))) } else { Err(problems) };
                (checksum, Lazy::from(content))
            }
            Body::Sql(scripts) => (scripts.up.checksum().clone(), Lazy::of(*scripts, problems)),
        };
        Migration { version, description, filename, kind: Kind::Sql, checksum, content }
    }
}

impl Scripts {
    /// Understands all of them; the digest is that of what is applied.
    pub(super) fn parse(&self, problems: &mut Vec<Problem>) -> (SqlFiles, Checksum) {
        let (up, checksum) = self.up.parse(problems);
        let down = match &self.down {
            Down::Script(source) => source.script(problems),
            Down::Missing(_) | Down::Never => None,
        };
        let [preflight, verify] =
            [&self.preflight, &self.verify].map(|source| source.as_ref().and_then(|source| source.script(problems)));
        let at = |script: &Script| script.path().map(|path| path.display().to_string()).unwrap_or_default();
        for check in [&preflight, &verify].into_iter().flatten() {
            if check.statements().next().is_none() {
                let next = "write a statement that returns true, or remove the file";
                problems.push(Problem::new(at(check), "it checks nothing", next));
            }
            if *check.directives() != Directives::default() {
                problems.push(Problem::new(
                    at(check),
                    "it has a directive, which a check does not follow",
                    "write `-- lockgate: …` into the up or the down script; the checks share the time-outs of the up script",
                ));
            }
        }
        if let Some(script) = down.as_ref().filter(|script| script.directives().irreversible) {
            let next = "write that into the up script";
            problems.push(Problem::new(at(script), "a down script that says it is irreversible", next));
        }
        let irreversible = up.as_ref().map(|up| up.directives().irreversible);
        let up_at = self.up.path().display().to_string();
        match (&self.down, irreversible) {
            (Down::Script(down), Some(true)) => {
                let what =
                    format!("it says that it is irreversible, yet there is a down script: {}", down.path().display());
                problems.push(Problem::new(up_at, what, "remove one or the other"));
            }
            (Down::Missing(name), Some(false)) => {
                let what = format!("`{name}` is missing");
                let next = "write it, or say `-- lockgate: irreversible` in the up script";
                problems.push(Problem::new(up_at, what, next));
            }
            _ => {}
        }
        (SqlFiles { up, down, preflight, verify }, checksum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_hashed_is_what_runs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1_a.up.sql");
        std::fs::write(&path, "SELECT 1;").unwrap();
        let listing = Listing::of(folder.path()).unwrap();
        listing.glance_at(listing.find("1_a.up.sql").unwrap());
        let (same, other) = (Source::file(&listing, "1_a.up.sql"), Source::file(&listing, "1_a.up.sql"));
        assert_eq!(same.text(), "SELECT 1;");
        std::fs::write(&path, "SELECT 2;").unwrap();
        let mut problems = Vec::new();
        assert!(other.script(&mut problems).is_none());
        assert!(problems[0].what.contains("it was changed while it was read"), "{problems:?}");
        assert_eq!(*other.checksum(), Checksum::of_script("SELECT 1;"));
    }

    #[test]
    fn a_part_keeps_the_numbers_of_its_lines() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.sql"), "one\ntwo\nthree\nfour").unwrap();
        let whole = Source::file(&Listing::of(folder.path()).unwrap(), "a.sql");
        assert_eq!(whole.part(1..3).text(), "\ntwo\nthree\n");
        assert_eq!(whole.part(3..9).text(), "\n\n\nfour");
        assert_eq!(*whole.part(0..1).checksum(), Checksum::of_script("one\n"));
    }
}
