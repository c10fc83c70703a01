//! Alembic: the heads of a graph of revisions, which the scripts keep. Its scripts are Python, which Lockgate does not run. Source: its
//! `runtime/migration.py` and `script/base.py`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use async_trait::async_trait;

use super::{File, Foreign, Ledger, Place, Program, Shape, Tool, ledger::text};
use crate::{
    error::{Problem, Result},
    postgres::Session,
};

pub(super) struct Alembic;

#[async_trait]
impl Tool for Alembic {
    fn name(&self) -> &'static str {
        "alembic"
    }

    fn shape(&self) -> Shape {
        Shape { table: "alembic_version", schema: None, columns: &["version_num"], exact: true }
    }

    async fn read(&self, session: &Session, place: &Place) -> Result<Ledger> {
        let sql = format!("SELECT version_num FROM {} ORDER BY version_num", place.quoted());
        let rows = session.texts("reading the table of Alembic", &sql).await?;
        Ok(Ledger { rows: rows.iter().map(|row| Foreign::named(text(row, 0))).collect(), ..Ledger::default() })
    }

    fn completed(&self, ledger: Ledger, files: &[File], _dir: &Path) -> Ledger {
        let follows: BTreeMap<&str, &[String]> =
            files.iter().map(|file| (file.name.as_str(), file.follows.as_slice())).collect();
        let mut applied = BTreeSet::new();
        let mut left: Vec<String> = ledger.rows.iter().map(|row| row.name.clone()).collect();
        while let Some(name) = left.pop() {
            left.extend(follows.get(name.as_str()).into_iter().copied().flatten().cloned());
            applied.insert(name.clone());
            left.retain(|name| !applied.contains(name));
        }
        Ledger { rows: applied.iter().map(|name| Foreign::named(name)).collect(), ..ledger }
    }

    fn is(&self, row: &Foreign, file: &File) -> bool {
        file.name == row.name
    }

    fn has_own_scripts(&self) -> bool {
        true
    }

    fn scripts(&self, folder: &Path) -> Result<Vec<Program>, Vec<Problem>> {
        let unreadable = |path: &Path, e: &dyn std::fmt::Display| {
            let next = "name Alembic's folder `versions` with `--scripts`";
            vec![Problem::new(path.display().to_string(), format!("it cannot be read: {e}"), next)]
        };
        let mut scripts = Vec::new();
        let mut names: Vec<_> = fs::read_dir(folder)
            .map_err(|e| unreadable(folder, &e))?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.ends_with(".py"))
            .collect();
        names.sort();
        for filename in names {
            let path = folder.join(&filename);
            let bytes = fs::read(&path).map_err(|e| unreadable(&path, &e))?;
            scripts.extend(script(filename, bytes));
        }
        in_order(scripts)
    }
}

/// A script of a revision; `None` for a file that names none.
fn script(filename: String, bytes: Vec<u8>) -> Option<Program> {
    let text = String::from_utf8_lossy(&bytes);
    let name = assigned(&text, "revision")?.into_iter().next()?;
    let follows =
        ["down_revision", "depends_on"].iter().flat_map(|name| assigned(&text, name).unwrap_or_default()).collect();
    // `1975ea83b712_create_users.py`: the name of the file is made of the revision and the message.
    let stem = filename.trim_end_matches(".py");
    let description = stem.strip_prefix(name.as_str()).unwrap_or(stem).trim_start_matches('_').to_owned();
    let description = if description.is_empty() { name.clone() } else { description };
    Some(Program { name, filename, description, bytes, follows })
}

/// The texts that are assigned to a variable of a module, in `a = "x"`, `a: str = 'x'`, `a = ("x", "y")` and `a = None`.
fn assigned(text: &str, variable: &str) -> Option<Vec<String>> {
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let rest = line.strip_prefix(variable).map(str::trim_start);
        if rest.is_some_and(|rest| rest.starts_with(['=', ':'])) && line.contains('=') {
            let value = &text[offset + line.find('=').unwrap_or_default() + 1..];
            return Some(literals(value));
        }
        offset += line.len();
    }
    None
}

/// The texts of an expression, which ends with its line unless a bracket is open.
fn literals(value: &str) -> Vec<String> {
    let mut literals = Vec::new();
    let (mut open, mut chars) = (0_usize, value.chars());
    while let Some(c) = chars.next() {
        match c {
            '(' | '[' | '{' => open += 1,
            ')' | ']' | '}' => open = open.saturating_sub(1),
            '\n' if open == 0 => break,
            '#' => {
                chars.by_ref().take_while(|c| *c != '\n').for_each(drop);
                if open == 0 {
                    break;
                }
            }
            '"' | '\'' => literals.push(chars.by_ref().take_while(|other| *other != c).collect()),
            _ => {}
        }
    }
    literals
}

/// Every revision after those that it follows; among those that could come next, the one whose file has the smallest name.
fn in_order(scripts: Vec<Program>) -> Result<Vec<Program>, Vec<Problem>> {
    let mut left = scripts;
    let mut ordered: Vec<Program> = Vec::new();
    while !left.is_empty() {
        let names: BTreeSet<&str> = left.iter().map(|script| script.name.as_str()).collect();
        let next = left.iter().position(|script| !script.follows.iter().any(|name| names.contains(name.as_str())));
        let Some(next) = next else {
            let circle = |script: &Program| {
                Problem::new(&script.filename, "the revisions follow one another in a circle", "mend `down_revision`")
            };
            return Err(left.iter().map(circle).collect());
        };
        ordered.push(left.remove(next));
    }
    Ok(ordered)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adopt::files::file;

    #[test]
    fn what_a_module_assigns_is_read() {
        let text = "\"\"\"message\n\nRevision ID: x\n\"\"\"\nfrom alembic import op\n\nrevision: str = 'a1'\n\
                    down_revision: Union[str, None] = (\n    \"b1\",  # not 'c'\n    'b2',\n)\nbranch_labels = None\ndepends_on=None\n";
        assert_eq!(assigned(text, "revision"), Some(vec!["a1".to_owned()]));
        assert_eq!(assigned(text, "down_revision"), Some(vec!["b1".to_owned(), "b2".to_owned()]));
        assert_eq!(assigned(text, "depends_on"), Some(vec![]));
        assert_eq!(assigned(text, "op"), None);
        assert_eq!(assigned("revision = \"a\" # the 'first'\nx = 'y'\n", "revision"), Some(vec!["a".to_owned()]));
    }

    #[test]
    fn revisions_come_after_those_that_they_follow() {
        let make = |filename: &str, revision: &str, follows: &str| {
            let text = format!("revision = '{revision}'\ndown_revision = {follows}\n");
            script(filename.to_owned(), text.into_bytes()).unwrap()
        };
        let scripts = vec![
            make("a.py", "3", "('1', '2')"),
            make("b.py", "2", "'0'"),
            make("c.py", "1", "'0'"),
            make("d.py", "0", "None"),
        ];
        let ordered: Vec<String> = in_order(scripts).unwrap().into_iter().map(|script| script.name).collect();
        assert_eq!(ordered, ["0", "2", "1", "3"]);
        assert!(in_order(vec![make("a.py", "1", "'2'"), make("b.py", "2", "'1'")]).is_err());
    }

    #[test]
    fn a_head_implies_its_ancestors_and_nothing_else() {
        let of = |version: &str, filename: &str, follows: &[&str]| File {
            follows: follows.iter().map(|&name| name.to_owned()).collect(),
            ..file(version, filename, b"")
        };
        let files = [of("1", "a.py", &[]), of("2", "b.py", &["a"]), of("3", "c.py", &["a"]), of("4", "d.py", &["b"])];
        let ledger = Ledger { rows: vec![Foreign::named("d")], ..Ledger::default() };
        let names: Vec<String> =
            Alembic.completed(ledger, &files, Path::new("")).rows.into_iter().map(|row| row.name).collect();
        assert_eq!(names, ["a", "b", "d"]);
    }
}
