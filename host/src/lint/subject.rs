//! A migration as the rules see it: its scripts, cut into statements, with what each of them takes, makes and drops.

use std::{fs, path::Path, sync::Arc};

use squawk_syntax::{SourceFile, SyntaxKind, ast::AstNode};

use super::{
    Asked,
    ignores::Ignores,
    objects::{Objects, objects},
    squawk::{self, Said},
    whole::Whole,
};
use crate::{
    error::{Error, Problem, Result},
    locks::{self, Locks, Names},
    parallel,
    source::Migration,
    sql::{self, Directives, Places, Script, Walk, scan::differ_in_values_only},
    step::Step,
};

/// Which way a script goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Towards the newer schema, or nobody knows whither.
    Up,
    /// Back.
    Down,
}

/// One migration.
#[derive(Debug)]
pub struct Subject {
    pub(super) up: Option<Part>,
    pub(super) down: Option<Part>,
    /// Whether there should be a way down, and whatever there is of it is here.
    pub(super) goes_both_ways: bool,
    /// The files that were asked for; `None`: all.
    asked_for: Option<Vec<String>>,
}

/// One script.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) side: Side,
    file: String,
    text: Arc<str>,
    /// Where each piece of the text is: what it includes is in another file.
    places: Places,
    statements: Vec<Statement>,
    /// What squawk's rules say of it: the parsed script is large, and not kept for them.
    squawk: Vec<Said>,
    ignores: Ignores,
}

/// One statement.
#[derive(Debug, Clone)]
pub(super) struct Statement {
    pub(super) start: usize,
    pub(super) end: usize,
    /// The statements of the same number share a transaction.
    pub(super) transaction: usize,
    /// Whether it holds rows, or is too long, and is no matter of squawk's.
    pub(super) holds_data: bool,
    /// Why it could not be read.
    pub(super) unread: Option<&'static str>,
    /// Shared by statements that differ in nothing but values.
    pub(super) locks: Arc<Locks>,
    /// The same.
    pub(super) objects: Arc<Objects>,
}

impl Subject {
    /// A migration of the folder; `None` of a component, whose code tells nothing before it runs.
    pub fn of(migration: &Migration, asked: Asked<'_>) -> Option<Self> {
        let files = migration.scripts()?;
        let irreversible = files.up.as_ref().is_some_and(|up| up.directives().irreversible);
        Some(Self {
            up: files.up.as_ref().map(|script| Part::of(script, Side::Up, asked)),
            down: files.down.as_ref().map(|script| Part::of(script, Side::Down, asked)),
            goes_both_ways: files.up.is_some() && !irreversible,
            asked_for: None,
        })
    }

    /// The same of many, in their order.
    pub fn of_all(migrations: &[&Migration], asked: Asked<'_>) -> Vec<Self> {
        parallel::map(migrations, super::SUBJECTS_A_THREAD, |migration| Self::of(migration, asked))
            .into_iter()
            .flatten()
            .collect()
    }

    /// The migrations to which these files belong; a file that belongs to none is looked at by itself, with the one beside it that goes
    /// the other way.
    ///
    /// # Errors
    /// When one cannot be read, or holds what cannot be run; all of them at once.
    pub fn of_files(migrations: &[Migration], files: &[impl AsRef<Path>], asked: Asked<'_>) -> Result<Vec<Self>> {
        let (mut subjects, mut problems): (Vec<Self>, Vec<Problem>) = (Vec::new(), Vec::new());
        for path in files.iter().map(AsRef::as_ref) {
            let file = path.display().to_string();
            if subjects.iter_mut().any(|subject| subject.ask_for(path)) {
                continue;
            }
            let of_folder = migrations.iter().find(|migration| is_of(migration, path));
            let subject = match of_folder.and_then(|migration| Self::of(migration, asked)) {
                Some(subject) => Ok(subject),
                None => Self::alone(path, asked),
            };
            match subject {
                Ok(subject) => {
                    let mut subject = Self { asked_for: Some(Vec::new()), ..subject };
                    if !subject.ask_for(path) {
                        subject.asked_for = Some(vec![file]);
                    }
                    subjects.push(subject);
                }
                Err(found) => problems.extend(found),
            }
        }
        if problems.is_empty() { Ok(subjects) } else { Err(Error::Folder(problems)) }
    }

    fn alone(path: &Path, asked: Asked<'_>) -> Result<Self, Vec<Problem>> {
        let name = path.display().to_string();
        let (this, other, side) = match (name.strip_suffix(".up.sql"), name.strip_suffix(".down.sql")) {
            (Some(stem), _) => (read(path)?, Some(format!("{stem}.down.sql")), Side::Up),
            (_, Some(stem)) => (read(path)?, Some(format!("{stem}.up.sql")), Side::Down),
            _ => (read(path)?, None, Side::Up),
        };
        let pair = other.is_some();
        let other = match other.filter(|other| Path::new(other).exists()) {
            Some(other) => Some(read(Path::new(&other))?),
            None => None,
        };
        let (up, down) = if side == Side::Up { (Some(this), other) } else { (other, Some(this)) };
        let irreversible = up.as_ref().is_some_and(|up| up.directives().irreversible);
        Ok(Self {
            goes_both_ways: pair && up.is_some() && !irreversible,
            up: up.map(|script| Part::of(&script, Side::Up, asked)),
            down: down.map(|script| Part::of(&script, Side::Down, asked)),
            asked_for: None,
        })
    }

    pub(super) fn parts(&self) -> impl Iterator<Item = &Part> {
        self.up.iter().chain(&self.down)
    }

    /// Has it tell of this file, if it is one of its own.
    fn ask_for(&mut self, path: &Path) -> bool {
        let own = self.parts().map(|part| part.file.clone()).find(|file| is_same(Path::new(file), path));
        match (own, &mut self.asked_for) {
            (Some(file), Some(asked)) => {
                if !asked.contains(&file) {
                    asked.push(file);
                }
                true
            }
            _ => false,
        }
    }

    /// Whether what is found in this file of its own is to be told.
    pub(super) fn is_asked_for(&self, file: &str) -> bool {
        self.asked_for.as_ref().is_none_or(|asked| asked.iter().any(|asked| asked == file))
    }

    #[cfg(test)]
    pub(crate) fn for_tests(up: &str, down: Option<&str>, asked: Asked<'_>) -> Self {
        let script = |text: &str, file: &str| Script::parse(text, crate::sql::Origin::File(file.into())).unwrap();
        let up = script(up, "m/001_a.up.sql");
        Self {
            goes_both_ways: !up.directives().irreversible,
            up: Some(Part::of(&up, Side::Up, asked)),
            down: down.map(|down| Part::of(&script(down, "m/001_a.down.sql"), Side::Down, asked)),
            asked_for: None,
        }
    }
}

fn read(path: &Path) -> Result<Script, Vec<Problem>> {
    let at = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|error| {
        vec![Problem::new(at, format!("it cannot be read: {error}"), "name a file of UTF-8 text that is there")]
    })?;
    let beside = path.parent().unwrap_or(Path::new("."));
    Script::parse_file(&text.into(), path, beside, Directives::default()).map(|(script, _)| script)
}

/// Whether a file is a script of the migration.
fn is_of(migration: &Migration, path: &Path) -> bool {
    let files = migration.scripts();
    let scripts = files.into_iter().flat_map(|files| [&files.up, &files.down]).flatten();
    scripts.filter_map(Script::path).any(|own| is_same(own, path))
}

fn is_same(a: &Path, b: &Path) -> bool {
    a == b || a.canonicalize().is_ok_and(|a| b.canonicalize().is_ok_and(|b| a == b))
}

impl Part {
    fn of(script: &Script, side: Side, asked: Asked<'_>) -> Self {
        let text = Arc::clone(script.text());
        let file = script.path().map(|path| path.display().to_string()).unwrap_or_default();
        let steps = script.steps();
        let transactions = steps.iter().enumerate().flat_map(|(i, step)| vec![i; statements_of(step)]);
        let transactions: Vec<usize> = transactions.collect();
        let (mut statements, mut ignores, mut before) = (Vec::new(), Ignores::default(), 0);
        let mut names = Names::default();
        let holds_data = |sql: &str| sql.len() > locks::PARSED_MAX_BYTES || locks::holds_data(sql);
        let looked_at = script.statements().filter(|(_, sql)| !holds_data(sql));
        let looked_at: Vec<_> =
            looked_at.map(|(statement, sql)| statement.start..statement.start + sql.len()).collect();
        let whole = Whole::of(&text, looked_at.iter().cloned());
        let read = whole.as_ref().and_then(Whole::statements);
        let is_read = read.is_some();
        let mut read = read.into_iter().flatten();
        let mut former: Option<(&str, Statement)> = None;
        for (i, (statement, sql)) in script.statements().enumerate() {
            let start = statement.start;
            comments(&text, before..start, &mut ignores);
            let holds_data = holds_data(sql);
            if !holds_data {
                comments(&text, start..start + sql.len(), &mut ignores);
            }
            before = start + sql.len();
            let transaction = transactions.get(i).copied().unwrap_or_default();
            if holds_data
                && let Some((of, former)) = &former
                && former.transaction == transaction
                && former.unread.is_none()
                // Of a longer one only the head has been read.
                && of.len().max(sql.len()) <= locks::HEAD_BYTES
                && is_insert(statement)
                && differ_in_values_only(of, sql)
            {
                statements.push(Statement { start, end: before, ..former.clone() });
                continue;
            }
            let alone = if holds_data { None } else { read.next() };
            let parsed = alone.map_or_else(|| locks::parse(sql), Ok);
            let locks = names.follow(&parsed, Locks::of_parsed(&parsed), Some(transaction));
            let statement = Statement {
                start,
                end: before,
                transaction,
                holds_data,
                unread: parsed.as_ref().err().copied(),
                locks: Arc::new(locks),
                objects: Arc::new(parsed.as_ref().map_or_else(|_| Objects::unknown(), objects)),
            };
            former = Some((sql, statement.clone()));
            statements.push(statement);
        }
        comments(&text, before..text.len(), &mut ignores);
        let in_transaction = !script.directives().no_transaction;
        let whole = whole.and_then(|whole| {
            if is_read {
                return Some(whole);
            }
            // Without those that throw the parser off the next ones.
            let looked_at = statements.iter().filter(|statement| !statement.holds_data && statement.unread.is_none());
            Whole::of(&text, looked_at.map(|statement| statement.start..statement.end))
        });
        if whole.is_none() {
            tracing::debug!(file, "too much of it for squawk's rules");
        }
        let squawk = whole.map_or_else(Vec::new, |whole| squawk::ask(&whole, side, in_transaction, asked));
        Self { side, file, text, places: script.places().clone(), statements, squawk, ignores }
    }

    pub(super) fn squawk(&self) -> &[Said] {
        &self.squawk
    }

    pub(super) fn file(&self) -> &str {
        &self.file
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn statements(&self) -> &[Statement] {
        &self.statements
    }

    pub(super) fn ignores(&self) -> &Ignores {
        &self.ignores
    }

    /// Where what is said of the whole script is said: at its first statement.
    pub(super) fn head(&self) -> usize {
        self.statements.first().map_or(0, |statement| statement.start)
    }

    /// Finds places that come in order: a script of thousands of statements is not read anew for each.
    pub(super) fn walk(&self) -> PartWalk<'_> {
        PartWalk { file: &self.file, walk: self.places.walk(&self.text) }
    }

    /// Whether a comment stands above, in or behind the statement at a place.
    pub(super) fn is_at_statement(&self, comment: usize, place: usize) -> bool {
        let Some(i) = self.statements.iter().position(|statement| (statement.start..statement.end).contains(&place))
        else {
            return false;
        };
        let statement = &self.statements[i];
        let line = |offset: usize| line_of(&self.text, offset);
        let before = i.checked_sub(1).map(|i| self.statements[i].end);
        // What stands behind the statement before, on its last line, is about that.
        let above = comment < statement.start
            && before.is_none_or(|end| comment >= end && line(comment) > line(end.saturating_sub(1)));
        let behind = comment >= statement.end
            && line(comment) == line(statement.end.saturating_sub(1))
            && self.statements.get(i + 1).is_none_or(|next| comment < next.start);
        above || behind || (statement.start..statement.end).contains(&comment)
    }
}

/// See [`Part::walk`].
pub(super) struct PartWalk<'a> {
    file: &'a str,
    walk: Walk<'a>,
}

impl PartWalk<'_> {
    /// File, line and column of a byte, which is not before the last one asked for.
    pub(super) fn to(&mut self, offset: usize) -> (String, usize, usize) {
        let spot = self.walk.to(offset);
        let file = spot.file.map_or_else(|| self.file.to_owned(), |file| file.display().to_string());
        (file, spot.line, spot.column)
    }
}

/// The line of a byte, from 1.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    locate(text, offset).0
}

fn is_insert(statement: &sql::Statement) -> bool {
    statement.words.first().is_some_and(|word| word == "INSERT")
}

fn statements_of(step: &Step) -> usize {
    match step {
        Step::Sql(script) | Step::Alone(script) => script.statements().count(),
        Step::OutsideTransaction(step) => step.statement.statements().count(),
        Step::Code(_) | Step::Batched(_) => 0,
    }
}

/// Line and column of a byte.
fn locate(text: &str, offset: usize) -> (usize, usize) {
    let places = Places::default();
    let spot = places.walk(text).to(offset);
    (spot.line, spot.column)
}

/// Takes over the comments of a piece of a script.
fn comments(text: &str, piece: std::ops::Range<usize>, ignores: &mut Ignores) {
    let (start, piece) = (piece.start, &text[piece]);
    if !piece.contains("ignore") {
        return;
    }
    let parsed = SourceFile::parse(piece);
    let tokens = parsed.tree().syntax().descendants_with_tokens().filter_map(|element| element.into_token());
    for token in tokens.filter(|token| token.kind() == SyntaxKind::COMMENT) {
        ignores.take(text, start + usize::from(token.text_range().start()), token.text());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::Settings;

    fn up(text: &str) -> Part {
        let settings = Settings::default();
        Subject::for_tests(text, None, Asked::of(None, &settings)).up.unwrap()
    }

    #[test]
    fn rows_of_one_table_are_understood_once_and_each_as_if_alone() {
        let row = "INSERT INTO t VALUES (1, 'a')";
        let text = format!(
            "{row};\n{row}; INSERT INTO t VALUES (2, ''); INSERT INTO u VALUES (2, ''); INSERT INTO u SELECT 1 FROM v;
             COPY t FROM stdin;\n1\n\\.\nSET search_path = s; {row}; RESET search_path; {row}; {row};"
        );
        let part = up(&text);
        let locks: Vec<&Locks> = part.statements().iter().map(|statement| &*statement.locks).collect();
        let taken = |i: usize| locks[i].taken.iter().map(|lock| lock.relation.to_string()).collect::<Vec<_>>();
        assert!(std::ptr::eq(locks[0], locks[1]) && std::ptr::eq(locks[0], locks[2]), "{locks:?}");
        assert_eq!((taken(2), taken(3), locks[4].reads.len()), (vec!["t".to_owned()], vec!["u".to_owned()], 1));
        assert_eq!(locks[7].taken[0].means.as_ref().map(Vec::len), Some(1), "in another schema");
        assert_eq!((locks[9], locks[10]), (locks[0], locks[0]));
        let long = "x".repeat(locks::HEAD_BYTES);
        let select = |value: &str| format!("INSERT INTO t SELECT '{value}', id FROM v;");
        let cut = up(&[select(&long), select("x"), select("y"), select(&long)].concat());
        let reads: Vec<usize> = cut.statements().iter().map(|statement| statement.locks.reads.len()).collect();
        assert_eq!(reads, [0, 1, 1, 0], "what is cut off is not known of the others");
        let texts: Vec<&str> =
            part.statements().iter().map(|statement| &part.text()[statement.start..statement.end]).collect();
        assert_eq!((texts[1], texts[2], texts[10]), (row, "INSERT INTO t VALUES (2, '')", row));
        let apart = up(&format!("-- lockgate: no-transaction\n{row}; {row}"));
        let transactions: Vec<usize> = apart.statements().iter().map(|statement| statement.transaction).collect();
        assert_eq!(transactions, [0, 1]);
    }
}
