//! The file of a workload: SQL statements with weights, or a script for pgbench.

use std::path::{Path, PathBuf};

use super::unfit;
use crate::{
    error::{Error, Problem, Result},
    files,
    sql::{
        Places, is_transaction_control,
        scan::{Kind, Token, tokens},
        split::{Fault, Split, Statement, split},
    },
};

/// A workload is written by hand.
const BYTES_MAX: u64 = 16 << 20;
/// So that the sum of all fits wherever it is kept.
const WEIGHT_MAX: u32 = 1_000_000;

/// What clients are to do.
#[derive(Debug)]
pub(super) enum Work {
    /// Statements, each by itself.
    Statements(Vec<Weighted>),
    /// What pgbench is to run, with the commands of the script in their order, as pgbench counts them.
    Pgbench(Vec<String>),
}

/// A statement, and how often it comes in proportion to others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Weighted {
    pub(super) sql: String,
    pub(super) weight: u32,
    /// `file:line`
    pub(super) at: String,
}

impl Work {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::Configuration`] with everything in it that cannot be run, by file and line.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let wrong = |what: String| {
            Error::configuration(format!("the workload `{}`: {what}", path.display()), "name a file of SQL statements")
        };
        let bytes = files::read(path, BYTES_MAX, "of a workload").map_err(&wrong)?;
        let text = String::from_utf8(bytes).map_err(|_| wrong("it is no UTF-8".into()))?;
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self> {
        let split = split(text);
        let file = Source { path: path.to_owned(), text };
        if split.commands.iter().any(|command| !command.amid) {
            return Ok(Self::Pgbench(commands(text, &split)));
        }
        let (statements, problems) = file.statements(&split);
        if !problems.is_empty() {
            return Err(unfit(path, &problems));
        }
        if statements.iter().all(|statement| statement.weight == 0) {
            let what = format!("the workload `{}` has no statement", path.display());
            return Err(Error::configuration(what, "write those that the application sends"));
        }
        Ok(Self::Statements(statements))
    }
}

struct Source<'a> {
    path: PathBuf,
    text: &'a str,
}

impl Source<'_> {
    fn at(&self, offset: usize) -> String {
        format!("{}:{}", self.path.display(), Places::default().walk(self.text).to(offset).line)
    }

    fn problem(&self, offset: usize, what: impl Into<String>, next: &str) -> Problem {
        Problem::new(self.at(offset), what, next)
    }

    /// The statements with their weights, and what is wrong.
    fn statements(&self, split: &Split) -> (Vec<Weighted>, Vec<Problem>) {
        let mut problems: Vec<Problem> = split.faults.iter().map(|(at, fault)| self.fault(*at, *fault)).collect();
        for command in &split.commands {
            let what = format!("`{}` is psql's", &self.text[command.range.clone()]);
            problems.push(self.problem(
                command.range.start,
                what,
                "leave it out; in a script for pgbench, a line begins with a command",
            ));
        }
        let mut notes = self.weights(split, &mut problems);
        let mut statements = Vec::new();
        for statement in &split.statements {
            problems.extend(self.unfit(statement));
            let own: Vec<_> = notes.extract_if(.., |(at, _)| *at < statement.start).collect();
            let weight = match own.as_slice() {
                [] => 1,
                [(_, weight)] => *weight,
                [_, (at, _), ..] => {
                    problems.push(self.problem(*at, "the statement has two weights", "leave one of them"));
                    1
                }
            };
            let sql = self.text[statement.start..statement.end].to_owned();
            statements.push(Weighted { sql, weight, at: self.at(statement.start) });
        }
        for (at, _) in notes {
            problems.push(self.problem(at, "no statement follows this weight", "write it above the statement"));
        }
        (statements, problems)
    }

    /// Every `-- weight: 3`, with its place.
    fn weights(&self, split: &Split, problems: &mut Vec<Problem>) -> Vec<(usize, u32)> {
        let mut weights = Vec::new();
        // The data behind a COPY, which is refused, may look like anything.
        let in_data =
            |at: usize| split.statements.iter().any(|s| s.data.as_ref().is_some_and(|data| data.contains(&at)));
        let comments = tokens(self.text).filter(|token| token.kind == Kind::LineComment && !in_data(token.start));
        for Token { start, end, .. } in comments {
            let words = self.text[start..end].trim_start_matches('-').trim();
            let Some(number) = words.strip_prefix("weight").map(str::trim_start).and_then(|w| w.strip_prefix(':'))
            else {
                continue;
            };
            let line = self.text[..start].rfind('\n').map_or(0, |n| n + 1);
            let within = split.statements.iter().any(|s| (s.start..s.end).contains(&start));
            if within || !self.text[line..start].trim().is_empty() {
                let next = "write it on a line of its own above the statement";
                problems.push(self.problem(start, "a weight stands behind or within a statement", next));
                continue;
            }
            match number.trim().parse() {
                Ok(weight) if weight <= WEIGHT_MAX => weights.push((start, weight)),
                _ => {
                    let what = format!("`{}` is no weight", crate::printable::printable_in(60, number.trim()));
                    problems.push(self.problem(start, what, "write a whole number from 0 to 1000000"));
                }
            }
        }
        weights
    }

    fn fault(&self, at: usize, fault: Fault) -> Problem {
        let (what, next) = match fault {
            Fault::Text => ("a string that never ends", "close it"),
            Fault::Name => ("a name in quotes that never ends", "close it"),
            Fault::Comment => ("a comment that never ends", "close it"),
            Fault::BehindCopy => ("something stands behind a COPY on its line", "leave the COPY out"),
        };
        self.problem(at, what, next)
    }

    /// Why a statement cannot be sent by itself, again and again.
    fn unfit(&self, statement: &Statement) -> Option<Problem> {
        let words: Vec<&str> = statement.words.iter().map(String::as_str).collect();
        let (what, next) = if is_transaction_control(&statement.words) {
            let next =
                "leave it out: each statement is a transaction of its own; a script for pgbench can have transactions";
            ("it controls a transaction", next)
        } else if words.first() == Some(&"COPY") && words.iter().any(|word| matches!(*word, "STDIN" | "STDOUT")) {
            ("COPY with data of the client's", "write an INSERT or a SELECT instead")
        } else {
            let sql = &self.text[statement.start..statement.end];
            let param = tokens(sql).find(|token| token.kind == Kind::Param)?;
            let at = statement.start + param.start;
            let next = "write a value; a script for pgbench can have variables (`\\set id random(1, 1000)`)";
            return Some(self.problem(at, "nobody gives a value for a parameter", next));
        };
        Some(self.problem(statement.start, what, next))
    }
}

/// The commands of a script as pgbench counts them: statements, and lines with a backslash of their own. `\gset` and `\aset` belong to
/// the statement before them. Source: PostgreSQL manual, "pgbench", "Custom Scripts".
fn commands(text: &str, split: &Split) -> Vec<String> {
    let ends_a_statement = |command: &str| command.starts_with("\\gset") || command.starts_with("\\aset");
    let lines: Vec<_> =
        split.commands.iter().map(|command| (command.range.clone(), &text[command.range.clone()])).collect();
    let mut commands: Vec<(usize, &str)> = Vec::new();
    for statement in &split.statements {
        // Without a semicolon, a statement reaches beyond the command that ends it.
        let mut from = statement.start;
        for (range, _) in lines.iter().filter(|(range, _)| (statement.start..statement.end).contains(&range.start)) {
            commands.push((from, &text[from..range.start]));
            from = range.end;
        }
        commands.push((from.min(statement.end), &text[from.min(statement.end)..statement.end]));
    }
    commands.extend(lines.iter().filter(|(_, line)| !ends_a_statement(line)).map(|(range, line)| (range.start, *line)));
    commands.sort_by_key(|(at, _)| *at);
    let commands = commands.into_iter().map(|(_, command)| command.trim()).filter(|command| !command.is_empty());
    commands.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Work> {
        Work::parse(Path::new("work.sql"), text)
    }

    fn weighted(text: &str) -> Vec<(String, u32, String)> {
        match parse(text) {
            Ok(Work::Statements(all)) => all.into_iter().map(|s| (s.sql, s.weight, s.at)).collect(),
            other => panic!("{other:?}"),
        }
    }

    fn refused(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn a_weight_is_of_the_statement_below_it() {
        let text = "-- weight: 3\nSELECT 1;\n\n-- another\nSELECT ';';\n--weight:0\n-- why\nUPDATE t\n  SET a = 1";
        let expected = [("SELECT 1", 3, 2), ("SELECT ';'", 1, 5), ("UPDATE t\n  SET a = 1", 0, 8)];
        let expected = expected.map(|(sql, weight, line)| (sql.to_owned(), weight, format!("work.sql:{line}")));
        assert_eq!(weighted(text), expected);
        assert_eq!(weighted("SELECT '-- weight: 9'; -- weightless")[0].1, 1);
    }

    #[test]
    fn what_cannot_be_run_is_refused_with_its_line() {
        for (text, line, what) in [
            ("SELECT 1;\nBEGIN;\nSELECT 2;", 2, "controls a transaction"),
            ("SELECT 1;\n\ncommit", 3, "controls a transaction"),
            ("SAVEPOINT a", 1, "controls a transaction"),
            ("\nCOPY t FROM STDIN;\n1\n-- weight: x\n\\.\n", 2, "COPY with data"),
            ("COPY t TO STDOUT", 1, "COPY with data"),
            ("SELECT 1;\nSELECT 'x", 2, "a string that never ends"),
            ("/* x", 1, "a comment that never ends"),
            ("SELECT 1 \\g\n", 1, "psql's"),
            ("SELECT\n $1", 2, "a parameter"),
            ("-- weight: many\nSELECT 1", 1, "`many` is no weight"),
            ("-- weight: -1\nSELECT 1", 1, "`-1` is no weight"),
            ("-- weight: 1000001\nSELECT 1", 1, "no weight"),
            ("-- weight: 1\n-- weight: 2\nSELECT 1", 2, "two weights"),
            ("SELECT 1; -- weight: 2\nSELECT 2", 1, "behind or within"),
            ("SELECT\n-- weight: 2\n2", 2, "behind or within"),
            ("SELECT 1;\n-- weight: 2\n", 2, "no statement follows"),
        ] {
            let said = refused(text);
            assert!(said.contains(&format!("work.sql:{line}: ")) && said.contains(what), "{text:?}: {said}");
        }
        let all = refused("COMMIT;\nSELECT $1;\nABORT");
        assert!([1, 2, 3].iter().all(|n| all.contains(&format!("work.sql:{n}: "))), "all at once: {all}");
    }

    #[test]
    fn nothing_to_do_is_refused() {
        for text in ["", "-- nothing\n", "-- weight: 0\nSELECT 1"] {
            assert!(refused(text).contains("has no statement"), "{text:?}");
        }
        let missing = Work::read(Path::new("/nowhere/work.sql")).unwrap_err().to_string();
        assert!(missing.contains("/nowhere/work.sql") && missing.contains("cannot be read"), "{missing}");
    }

    #[test]
    fn a_line_with_a_backslash_makes_it_pgbenchs() {
        let script = "\\set id random(1, 9)\nBEGIN;\nSELECT a FROM t WHERE id = :id \\gset\n  \\sleep 1 ms\nEND;\n";
        let Ok(Work::Pgbench(commands)) = parse(script) else { panic!("it is pgbench's") };
        let expected = ["\\set id random(1, 9)", "BEGIN", "SELECT a FROM t WHERE id = :id", "\\sleep 1 ms", "END"];
        assert_eq!(commands, expected);
        assert!(matches!(parse("SELECT '\n\\set a 1'"), Ok(Work::Statements(_))), "not within a string");
    }
}
