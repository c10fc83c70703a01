//! The parts that a script is run in, and what only a script in one part may hold.

use std::{ops::Range, sync::Arc};

use super::{
    super::{
        directives::Directives,
        labels,
        outside::{Effect, Place},
        places::Walk,
        scan::{Kind, content, tokens},
        split::Statement,
    },
    Objection, Script,
};
use crate::{
    printable::printable_in,
    step::{OutsideStep, Step},
};

impl Script {
    /// The script in the parts that it is run in: one, unless PostgreSQL refuses a statement of it inside a transaction, or the script
    /// asks that each be committed by itself.
    pub fn steps(&self) -> Vec<Step> {
        let parts = self.parts();
        if parts.iter().all(|part| part.kind == PartKind::Shared) {
            return vec![Step::Sql(self.clone())];
        }
        let mut walk = self.walk();
        let step = |part: Part| {
            let script = self.part(part.statements, &mut walk);
            match part.kind {
                PartKind::Shared => Step::Sql(script),
                PartKind::Alone => Step::Alone(script),
                PartKind::Outside => Step::OutsideTransaction(OutsideStep { statement: script, probe: None }),
            }
        };
        parts.into_iter().map(step).collect()
    }

    /// Whether that is one part, in a transaction that it may share.
    pub fn is_one_step(&self) -> bool {
        self.parts().iter().all(|part| part.kind == PartKind::Shared)
    }

    /// The statements, by their numbers, parted by the transactions that they run in.
    fn parts(&self) -> Vec<Part> {
        let mut parts: Vec<Part> = Vec::new();
        let mut groups = self.groups.iter().peekable();
        let mut n = 0;
        while n < self.statements.len() {
            let group = groups.next_if(|group| group.start == n).cloned();
            let statements = group.clone().unwrap_or(n..n + 1);
            n = statements.end;
            let kind = match group {
                Some(_) => PartKind::Alone,
                None if self.runs_outside(statements.start) => PartKind::Outside,
                None if self.directives.no_transaction => PartKind::Alone,
                None => PartKind::Shared,
            };
            match parts.last_mut() {
                Some(last) if kind == PartKind::Shared && last.kind == kind => last.statements.end = n,
                _ => parts.push(Part { kind, statements }),
            }
        }
        parts
    }

    fn runs_outside(&self, n: usize) -> bool {
        let statement = &self.statements[n];
        let sql = self.sql(statement);
        let places = || self.statements().map(|(_, sql)| Place::of(sql)).collect();
        match self.runs.get_or_init(places)[n] {
            Place::Outside => true,
            Place::Either => self.directives.no_transaction,
            Place::Inside => self.directives.no_transaction && may_commit(statement, sql),
        }
    }

    /// Statements as a script of their own, in which each keeps its place.
    fn part(&self, statements: Range<usize>, walk: &mut Walk<'_>) -> Self {
        let statements = &self.statements[statements];
        let (Some(first), Some(last)) = (statements.first(), statements.last()) else { return self.clone() };
        // The beginning of its line, where that is blank, is what a caret is counted from.
        let before = &self.text.as_bytes()[..first.start];
        let blanks = before.iter().rev().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let line = first.start - blanks;
        let start = if line == 0 || before[line - 1] == b'\n' { line } else { first.start };
        let places = self.places.from(start, walk);
        // A semicolon at the end is none of a statement's, but that of a COPY parts it from its data.
        let end = if last.data.is_some() { last.stop } else { last.end };
        let moved = |s: &Statement| Statement {
            start: s.start - start,
            end: s.end - start,
            stop: s.stop.min(end) - start,
            data: s.data.as_ref().map(|data| data.start - start..data.end - start),
            words: Arc::clone(&s.words),
        };
        Self {
            origin: self.origin.clone(),
            text: self.sent(start..end).into(),
            places,
            statements: statements.iter().map(moved).collect(),
            unsent: Vec::new(),
            groups: Vec::new(),
            directives: Directives::default(),
            runs: Arc::default(),
        }
    }

    /// What a script that is run in several parts may not hold.
    pub(super) fn unfit_in_parts(&self) -> Vec<Objection> {
        let in_parts = self.directives.no_transaction || (0..self.statements.len()).any(|n| self.runs_outside(n));
        if !in_parts {
            return Vec::new();
        }
        let mut groups = self.groups.iter().peekable();
        let objection = |(n, statement): (usize, &Statement)| {
            while groups.next_if(|group| group.end <= n).is_some() {}
            let in_group = groups.peek().is_some_and(|group| group.contains(&n));
            let words: Vec<&str> = statement.words.iter().map(String::as_str).collect();
            let (what, next) = match words.as_slice() {
                ["SET", "LOCAL" | "CONSTRAINTS", ..] => return None,
                ["SET" | "RESET", ..] => (
                    "a setting for the session, which would not last: the script is run in several transactions",
                    "name things with their schemas; `SET LOCAL` lasts as long as a transaction",
                ),
                ["CREATE", "TEMP" | "TEMPORARY", ..] | ["CREATE", "LOCAL" | "GLOBAL", "TEMP" | "TEMPORARY", ..] => (
                    "a temporary table, which would not last: the script is run in several transactions",
                    "make it a table, and drop it at the end",
                ),
                ["CREATE", "INDEX", ..] | ["CREATE", "UNIQUE", "INDEX", ..] if !in_group && self.runs_outside(n) => {
                    match Effect::of(self.sql(statement)) {
                        Effect::CreateIndex { index: None, .. } => (
                            "an index without a name, which could not be found again if the run were cut off",
                            "name it: `CREATE INDEX CONCURRENTLY name ON …`",
                        ),
                        _ => return None,
                    }
                }
                _ => return None,
            };
            Some(Objection { at: statement.start, what: what.into(), next: next.into() })
        };
        self.statements.iter().enumerate().filter_map(objection).collect()
    }

    /// Uses of labels that the same transaction has added to an enum type.
    pub(super) fn labels_used(&self) -> Vec<Objection> {
        let adds = |s: &Statement| matches!(&*s.words, [alter, of_type, ..] if alter == "ALTER" && of_type == "TYPE");
        if self.directives.new_label_unused || !self.statements.iter().any(adds) {
            return Vec::new();
        }
        let uses = self
            .parts()
            .into_iter()
            .filter(|part| part.kind != PartKind::Outside)
            .flat_map(|part| labels::uses(self.statements[part.statements].iter().map(|s| (s, self.sql(s)))));
        uses.map(|used| Objection {
            at: used.at,
            what: format!(
                "`{}` looks like the label that was added to {} above, which nothing can use before it is committed (SQLSTATE 55P04)",
                printable_in(60, &used.label),
                used.type_name
            ),
            next: "add the label in a migration of its own, or write `-- lockgate: no-transaction` above the first statement; if the \
                   string is no label, write `-- lockgate: new-label-unused` there"
                .into(),
        })
        .collect()
    }
}

/// Statements that run together, or one that runs by itself.
struct Part {
    kind: PartKind,
    statements: Range<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PartKind {
    Shared,
    Alone,
    Outside,
}

/// Whether a statement may commit in the middle: a call of a procedure, or a block with such words in it.
fn may_commit(statement: &Statement, sql: &str) -> bool {
    match statement.words.first().map(String::as_str) {
        Some("CALL") => true,
        Some("DO") => tokens(sql).filter_map(|token| content(&token, sql)).any(|body| {
            tokens(&body).any(|token| {
                let word = &body[token.start..token.end];
                token.kind == Kind::Word && ["commit", "rollback", "call"].iter().any(|w| word.eq_ignore_ascii_case(w))
            })
        }),
        _ => false,
    }
}
