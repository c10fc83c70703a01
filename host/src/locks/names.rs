//! Which relations the names of a script mean, after what its statements did to names: another `search_path`, a new name, another
//! schema. Without that, a relation that is there would be told of as one that is not there yet.

use squawk_syntax::{
    SyntaxNode,
    ast::{self, AlterTableAction as A, AstNode, Stmt},
};

use super::{Lock, Locks, RelationName, case::called};

/// Where names without a schema are looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Path {
    /// As for every session of the role.
    #[default]
    Usual,
    /// In these schemas.
    In(Vec<String>),
    /// Nobody knows where.
    Unknown,
}

/// What became of names so far.
#[derive(Debug, Default)]
pub struct Names {
    path: Path,
    /// What `SET LOCAL` says, until the end of this transaction.
    local: Option<(Option<usize>, Path)>,
    /// The new name, with the one that the database knows; `None` where it knows none, or another relation by it.
    renamed: Vec<(RelationName, Option<RelationName>)>,
}

const ELSEWHERE: &str = "`search_path` is another by then, so that which tables its names mean is not known";

impl Names {
    /// The locks of a script's next statement, which is in the transaction of this number, on the relations that it means.
    pub fn follow(
        &mut self,
        parsed: &Result<Stmt, &'static str>,
        mut locks: Locks,
        transaction: Option<usize>,
    ) -> Locks {
        if self.local.as_ref().is_some_and(|(of, _)| transaction.is_none() || *of != transaction) {
            self.local = None;
        }
        let path = self.local.as_ref().map_or(&self.path, |(_, path)| path);
        let mut lost = false;
        for all in [&mut locks.taken, &mut locks.reads] {
            all.retain(|lock| {
                let is_lost = *path == Path::Unknown && lock.relation.schema.is_none();
                lost |= is_lost;
                !is_lost
            });
            all.iter_mut().for_each(|lock| self.mean(lock, path));
        }
        if lost {
            locks.unknown = locks.unknown.or(Some(ELSEWHERE));
        }
        if let Ok(statement) = parsed {
            self.learn(statement, transaction);
        }
        locks
    }

    fn mean(&self, lock: &mut Lock, path: &Path) {
        if let Some((_, old)) = self.renamed.iter().rev().find(|(new, _)| new.fits(&lock.relation)) {
            lock.means = Some(old.iter().cloned().collect());
        } else if let (None, Path::In(schemas)) = (&lock.relation.schema, path) {
            let in_schema =
                |schema: &String| RelationName { schema: Some(schema.clone()), name: lock.relation.name.clone() };
            lock.means = Some(schemas.iter().map(in_schema).collect());
        }
    }

    fn learn(&mut self, statement: &Stmt, transaction: Option<usize>) {
        match statement {
            Stmt::Set(set) => {
                let is_local = matches!(set.set_scope(), Some(ast::SetScope::LocalScope(_)));
                if let Some(path) = path_of(set.syntax()) {
                    self.set(path, is_local, transaction);
                }
            }
            Stmt::Reset(_) | Stmt::Discard(_) => {
                let text = statement.syntax().text().to_string().to_ascii_lowercase();
                if text.contains("search_path") || text.contains("all") {
                    (self.path, self.local) = (Path::Usual, None);
                }
            }
            Stmt::Select(select) if called(select.syntax()).any(|name| name == "set_config") => {
                let text = select.syntax().text().to_string();
                if text.contains("search_path") {
                    let (path, is_local) = configured(&text);
                    self.set(path, is_local, transaction);
                }
            }
            Stmt::AlterTable(alter) => {
                let Some(table) = alter.table_relation_name().and_then(|name| RelationName::in_node(name.syntax()))
                else {
                    return;
                };
                for action in alter.actions() {
                    match action {
                        A::TableRenameTo(to) => {
                            let name = to.table_name().and_then(|name| RelationName::in_node(name.syntax()));
                            let schema = table.schema.clone();
                            let new = name.map(|name| RelationName { schema, name: name.name });
                            self.rename(&table, new);
                        }
                        A::SetSchema(set) => {
                            let schema = set.schema_ref().and_then(|schema| RelationName::of_word(schema.syntax()));
                            let new = schema
                                .map(|schema| RelationName { schema: Some(schema.name), name: table.name.clone() });
                            self.rename(&table, new);
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }

    fn set(&mut self, path: Path, is_local: bool, transaction: Option<usize>) {
        match is_local {
            true => self.local = transaction.map(|of| (Some(of), path)),
            false => (self.path, self.local) = (path, None),
        }
    }

    fn rename(&mut self, table: &RelationName, new: Option<RelationName>) {
        let before = self.renamed.iter().rev().find(|(name, _)| name.fits(table)).map(|(_, old)| old.clone());
        let mut lock = Lock::new(table.clone(), super::Mode::AccessShare, super::Work::Brief);
        self.mean(&mut lock, self.local.as_ref().map_or(&self.path, |(_, path)| path));
        // Of several that it may be, the first is as good as any.
        let old = before.unwrap_or_else(|| lock.means.unwrap_or_else(|| vec![table.clone()]).into_iter().next());
        self.renamed.push((table.clone(), None));
        if let Some(new) = new {
            self.renamed.push((new, old));
        }
    }
}

/// The path that a `SET` sets; `None` where it sets something else.
fn path_of(set: &SyntaxNode) -> Option<Path> {
    let text = set.text().to_string();
    let text = text.trim().trim_end_matches(';');
    let mut words = text.split_whitespace().skip(1).peekable();
    words.next_if(|word| ["local", "session"].iter().any(|scope| word.eq_ignore_ascii_case(scope)));
    let rest = words.collect::<Vec<_>>().join(" ");
    let (name, value) = rest.split_at(rest.find(['=', ' ']).unwrap_or(rest.len()));
    let value = value.trim();
    if name.eq_ignore_ascii_case("schema") {
        return Some(listed(value));
    }
    if !name.eq_ignore_ascii_case("search_path") {
        return None;
    }
    let is_to = value.get(..3).is_some_and(|word| word.eq_ignore_ascii_case("to "));
    let value = value.strip_prefix('=').or_else(|| value.get(3..).filter(|_| is_to));
    Some(match value.map(str::trim) {
        Some(value) if value.eq_ignore_ascii_case("default") => Path::Usual,
        Some(value) => listed(value),
        None => Path::Unknown,
    })
}

/// What `set_config('search_path', …, is_local)` sets, and whether for the transaction only.
fn configured(text: &str) -> (Path, bool) {
    let Some((_, rest)) = text.split_once("search_path'") else { return (Path::Unknown, false) };
    let value = rest.trim_start().strip_prefix(',').map(str::trim_start).and_then(|rest| rest.strip_prefix('\''));
    let Some((value, rest)) = value.and_then(|value| value.split_once('\'')) else { return (Path::Unknown, false) };
    (listed(value), rest.to_ascii_lowercase().contains("true"))
}

/// The schemas of a list, each a word or a literal. `$user` and schemas of the server's own hold no table of anybody's.
fn listed(list: &str) -> Path {
    let schemas = list.split(',').map(str::trim).filter(|schema| !schema.is_empty());
    let name = |schema: &str| {
        let bare = schema.trim_matches(|c| c == '\'' || c == '"');
        if bare.len() == schema.len() { bare.to_ascii_lowercase() } else { bare.to_owned() }
    };
    let schemas: Vec<String> = schemas.map(name).collect();
    match schemas.iter().any(|schema| schema.contains(['\'', '"', '(', '/'])) {
        true => Path::Unknown,
        false => {
            Path::In(schemas.into_iter().filter(|s| !s.is_empty() && s != "$user" && !s.starts_with("pg_")).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the last statement's relations mean, and `?` where that is not known.
    fn meant(statements: &[(usize, &str)]) -> Vec<String> {
        let (mut names, mut last) = (Names::default(), Locks::default());
        for (transaction, sql) in statements {
            let parsed = super::super::parse(sql);
            last = names.follow(&parsed, Locks::of_parsed(&parsed), Some(*transaction));
        }
        let meant = last.taken.iter().map(|lock| match &lock.means {
            None => lock.relation.to_string(),
            Some(means) => means.iter().map(RelationName::to_string).collect::<Vec<_>>().join("|"),
        });
        meant.chain(last.unknown.map(|_| "?".to_owned())).collect()
    }

    #[test]
    fn a_name_is_looked_for_where_the_script_looks_for_it() {
        let then = |set: &str| meant(&[(1, set), (1, "ALTER TABLE t ADD COLUMN n int")]);
        assert_eq!(then("SET search_path = app"), ["app.t"]);
        assert_eq!(then("SET search_path TO \"App\", public"), ["\"App\".t|public.t"]);
        assert_eq!(then("SET LOCAL search_path = 'app'"), ["app.t"]);
        assert_eq!(then("SET SCHEMA 'app'"), ["app.t"]);
        assert_eq!(then("SELECT set_config('search_path', 'app', false)"), ["app.t"]);
        assert_eq!(then("SET search_path FROM CURRENT"), ["?"]);
        assert_eq!(then("SELECT set_config('search_path', x, false) FROM y"), ["?"]);
        assert_eq!(then("SET search_path TO DEFAULT"), ["t"]);
        assert_eq!(then("SET work_mem = '1GB'"), ["t"]);
        let add = (1, "ALTER TABLE t ADD COLUMN n int");
        assert_eq!(meant(&[(1, "SET search_path = app"), (1, "RESET search_path"), add]), ["t"]);
        assert_eq!(meant(&[(0, "SET LOCAL search_path = app"), add]), ["t"], "its transaction is over");
        assert_eq!(meant(&[(0, "SET search_path = app"), (1, "ALTER TABLE s.t ADD COLUMN n int")]), ["s.t"]);
    }

    #[test]
    fn a_new_name_means_the_table_that_has_it_and_the_old_one_none() {
        let rename = (1, "ALTER TABLE big RENAME TO big2");
        assert_eq!(meant(&[rename, (1, "ALTER TABLE big2 ADD COLUMN n int")]), ["big"]);
        assert_eq!(meant(&[rename, (1, "ALTER TABLE big ADD COLUMN n int")]), [""], "a new one");
        let again = (1, "ALTER TABLE big2 RENAME TO big3");
        assert_eq!(meant(&[rename, again, (1, "DROP TABLE big3")]), ["big"]);
        let moved = (1, "ALTER TABLE s.big SET SCHEMA app");
        assert_eq!(meant(&[moved, (1, "DROP TABLE app.big")]), ["s.big"]);
    }
}
