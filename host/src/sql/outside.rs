//! Statements that PostgreSQL refuses inside a transaction, and what a statement that commits by itself brings about: enough to
//! find it in the catalog afterwards.
//!
//! Source: PostgreSQL manual, part VI, "SQL Commands": each page says whether its command "cannot be executed inside a transaction
//! block"; and the calls of `PreventInTransactionBlock` in the server.

use std::collections::VecDeque;

use super::scan::{Escapes, Kind, content, tokens};
use crate::postgres::{quote_ident, quote_literal};

/// Where a statement can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In a transaction.
    Inside,
    /// In a transaction, unless what it works on is partitioned; outside in any case.
    Either,
    /// Only outside a transaction.
    Outside,
}

/// What a statement brings about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// `CREATE INDEX`
    CreateIndex {
        /// Its name, without the schema, which is the table's; `None` where the server is to choose one.
        index: Option<String>,
        /// The table.
        table: Name,
        /// Whether it is unique.
        unique: bool,
        /// The columns in order; `None` for an expression.
        columns: Vec<Option<String>>,
        /// What is written behind the table: method, columns and all the rest.
        definition: String,
    },
    /// `DROP INDEX`
    DropIndex(Name),
    /// `REINDEX … CONCURRENTLY`
    Reindex(Scope),
    /// `ALTER TYPE … ADD VALUE`
    AddValue {
        /// The type.
        type_name: Name,
        /// The new label.
        label: String,
    },
    /// `ALTER TABLE … ATTACH PARTITION`
    Attach {
        /// The partitioned table.
        parent: Name,
        /// The partition.
        part: Name,
    },
    /// `ALTER TABLE … DETACH PARTITION`
    Detach {
        /// The partitioned table.
        parent: Name,
        /// The partition.
        part: Name,
        /// Whether it ends what an earlier one has begun.
        finalize: bool,
    },
    /// `ALTER TABLE … VALIDATE CONSTRAINT`
    Validate {
        /// The table.
        table: Name,
        /// The constraint.
        constraint: String,
    },
    /// `CREATE` or `DROP` of a database or a tablespace.
    Global {
        /// `pg_database` or `pg_tablespace`.
        catalog: &'static str,
        /// The column of the name.
        column: &'static str,
        /// The name.
        name: String,
        /// Whether it is there afterwards.
        there: bool,
    },
    /// Nothing that a second run could spoil.
    Repeatable,
    /// Nothing that the catalog could show for certain.
    Unknown,
}

/// What a `REINDEX` works on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// One index.
    Index(Name),
    /// The indexes of a table and its partitions.
    Table(Name),
    /// Those of a schema.
    Schema(String),
    /// Those of the database.
    Database,
}

/// The name of something, with its schema where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    schema: Option<String>,
    name: String,
}

impl Name {
    /// As SQL writes it.
    pub(super) fn quoted(&self) -> String {
        let name = quote_ident(&self.name);
        match &self.schema {
            Some(schema) => format!("{}.{name}", quote_ident(schema)),
            None => name,
        }
    }

    /// The same without the schema.
    pub(super) fn quoted_alone(&self) -> String {
        quote_ident(&self.name)
    }

    /// The name behind the words with which a statement begins.
    pub(super) fn behind(sql: &str, words: &[&str]) -> Option<Self> {
        let mut tokens = Tokens::of(sql);
        if tokens.eat(words) { tokens.name() } else { None }
    }

    /// Whether both may name the same thing: a name without a schema may be in any.
    pub(super) fn may_be(&self, other: &Self) -> bool {
        self.name == other.name && (self.schema.is_none() || other.schema.is_none() || self.schema == other.schema)
    }

    /// A constant with the quoted name in it, for `to_regclass` and its like, which look for it as the server would.
    pub(super) fn literal(&self) -> String {
        quote_literal(&self.quoted())
    }
}

impl Effect {
    /// What a statement brings about.
    pub fn of(sql: &str) -> Self {
        recognise(sql).1
    }
}

impl Place {
    /// Where a statement can run.
    pub fn of(sql: &str) -> Self {
        recognise(sql).0
    }
}

/// The first words of what is looked at; of all other statements, which may be long, nothing more is read.
const LOOKED_AT: &[&str] =
    &["CREATE", "DROP", "ALTER", "REINDEX", "VACUUM", "ANALYZE", "ANALYSE", "REFRESH", "CLUSTER"];

fn recognise(sql: &str) -> (Place, Effect) {
    let first = tokens(sql).find(|token| !token.is_blank() && token.kind != Kind::Semicolon);
    if !first.is_some_and(|t| LOOKED_AT.iter().any(|word| sql[t.start..t.end].eq_ignore_ascii_case(word))) {
        return (Place::Inside, Effect::Unknown);
    }
    let mut tokens = Tokens::of(sql);
    let Some(Token::Word(first)) = tokens.next() else { return (Place::Inside, Effect::Unknown) };
    match first.as_str() {
        "CREATE" => create(&mut tokens, sql),
        "DROP" => drop_(&mut tokens),
        "ALTER" => alter(&mut tokens),
        "REINDEX" => reindex(&mut tokens),
        "VACUUM" => (Place::Outside, Effect::Repeatable),
        "ANALYZE" | "ANALYSE" => (Place::Inside, Effect::Repeatable),
        "REFRESH" => (Place::Inside, Effect::Repeatable),
        "CLUSTER" => (cluster(&mut tokens), Effect::Repeatable),
        _ => (Place::Inside, Effect::Unknown),
    }
}

fn create(tokens: &mut Tokens, sql: &str) -> (Place, Effect) {
    let unique = tokens.eat(&["UNIQUE"]);
    if tokens.eat(&["INDEX"]) {
        let place = if tokens.eat(&["CONCURRENTLY"]) { Place::Outside } else { Place::Inside };
        return (place, create_index(tokens, unique, sql).unwrap_or(Effect::Unknown));
    }
    if tokens.eat(&["DATABASE"]) {
        return (Place::Outside, global(tokens, "pg_database", "datname", true));
    }
    if tokens.eat(&["TABLESPACE"]) {
        return (Place::Outside, global(tokens, "pg_tablespace", "spcname", true));
    }
    if tokens.eat(&["SUBSCRIPTION"]) {
        // It is the replication slot on the other server that no transaction can take back.
        let place = if tokens.makes_no_slot() { Place::Inside } else { Place::Outside };
        return (place, Effect::Unknown);
    }
    (Place::Inside, Effect::Unknown)
}

fn create_index(tokens: &mut Tokens, unique: bool, sql: &str) -> Option<Effect> {
    tokens.eat(&["IF", "NOT", "EXISTS"]);
    let index = if tokens.eat(&["ON"]) {
        None
    } else {
        let index = tokens.name()?;
        tokens.eat(&["ON"]).then_some(index)
    };
    tokens.eat(&["ONLY"]);
    let table = tokens.name()?;
    let definition = sql[tokens.start()?..].trim_end().trim_end_matches(';').to_owned();
    if tokens.eat(&["USING"]) {
        tokens.name()?;
    }
    let (index, columns) = (index.map(|index| index.name), tokens.columns());
    Some(Effect::CreateIndex { index, table, unique, columns, definition })
}

fn drop_(tokens: &mut Tokens) -> (Place, Effect) {
    if tokens.eat(&["INDEX"]) {
        let place = if tokens.eat(&["CONCURRENTLY"]) { Place::Outside } else { Place::Inside };
        tokens.eat(&["IF", "EXISTS"]);
        return (place, tokens.name().map_or(Effect::Unknown, Effect::DropIndex));
    }
    for (word, catalog, column) in [("DATABASE", "pg_database", "datname"), ("TABLESPACE", "pg_tablespace", "spcname")]
    {
        if tokens.eat(&[word]) {
            tokens.eat(&["IF", "EXISTS"]);
            return (Place::Outside, global(tokens, catalog, column, false));
        }
    }
    let place = if tokens.eat(&["SUBSCRIPTION"]) { Place::Outside } else { Place::Inside };
    (place, Effect::Unknown)
}

fn global(tokens: &mut Tokens, catalog: &'static str, column: &'static str, there: bool) -> Effect {
    tokens.name().map_or(Effect::Unknown, |name| Effect::Global { catalog, column, name: name.name, there })
}

fn alter(tokens: &mut Tokens) -> (Place, Effect) {
    if tokens.eat(&["SYSTEM"]) {
        return (Place::Outside, Effect::Unknown);
    }
    if tokens.eat(&["TYPE"]) {
        return (Place::Inside, add_value(tokens).unwrap_or(Effect::Unknown));
    }
    if tokens.eat(&["TABLE"]) {
        return alter_table(tokens).unwrap_or((Place::Inside, Effect::Unknown));
    }
    if tokens.eat(&["DATABASE"]) {
        let moves = tokens.name().is_some() && tokens.eat(&["SET", "TABLESPACE"]);
        return (if moves { Place::Outside } else { Place::Inside }, Effect::Unknown);
    }
    if tokens.eat(&["SUBSCRIPTION"]) && tokens.name().is_some() {
        let asks_the_publisher =
            ["REFRESH", "SET", "ADD", "DROP"].iter().any(|word| tokens.clone().eat(&[word, "PUBLICATION"]));
        return (if asks_the_publisher { Place::Outside } else { Place::Inside }, Effect::Unknown);
    }
    (Place::Inside, Effect::Unknown)
}

fn add_value(tokens: &mut Tokens) -> Option<Effect> {
    let type_name = tokens.name()?;
    if !tokens.eat(&["ADD", "VALUE"]) {
        return None;
    }
    tokens.eat(&["IF", "NOT", "EXISTS"]);
    match tokens.next()? {
        Token::Text(label) => Some(Effect::AddValue { type_name, label }),
        _ => None,
    }
}

fn alter_table(tokens: &mut Tokens) -> Option<(Place, Effect)> {
    tokens.eat(&["IF", "EXISTS"]);
    tokens.eat(&["ONLY"]);
    let parent = tokens.name()?;
    if tokens.eat(&["DETACH", "PARTITION"]) {
        let part = tokens.name()?;
        let place = if tokens.eat(&["CONCURRENTLY"]) { Place::Outside } else { Place::Inside };
        return Some((place, Effect::Detach { parent, part, finalize: tokens.eat(&["FINALIZE"]) }));
    }
    let effect = if tokens.eat(&["ATTACH", "PARTITION"]) {
        Effect::Attach { parent, part: tokens.name()? }
    } else if tokens.eat(&["VALIDATE", "CONSTRAINT"]) {
        let constraint = tokens.name()?.name;
        // What else it does, after a comma, is not looked at.
        if tokens.next().is_some() { Effect::Unknown } else { Effect::Validate { table: parent, constraint } }
    } else {
        Effect::Unknown
    };
    Some((Place::Inside, effect))
}

fn reindex(tokens: &mut Tokens) -> (Place, Effect) {
    let in_options = tokens.parentheses().is_some_and(|options| options.says("CONCURRENTLY"));
    let Some(Token::Word(kind)) = tokens.next() else { return (Place::Either, Effect::Repeatable) };
    let concurrently = tokens.eat(&["CONCURRENTLY"]) || in_options;
    let scope = match (kind.as_str(), tokens.name()) {
        ("INDEX", Some(name)) => Scope::Index(name),
        ("TABLE", Some(name)) => Scope::Table(name),
        ("SCHEMA", Some(name)) => Scope::Schema(name.name),
        ("DATABASE" | "SYSTEM", _) => Scope::Database,
        _ => return (Place::Either, Effect::Repeatable),
    };
    let effect = if concurrently { Effect::Reindex(scope) } else { Effect::Repeatable };
    let whole = matches!(kind.as_str(), "SCHEMA" | "DATABASE" | "SYSTEM");
    (if concurrently || whole { Place::Outside } else { Place::Either }, effect)
}

/// Without a table it is every one that was clustered before, each in a transaction of its own.
fn cluster(tokens: &mut Tokens) -> Place {
    tokens.parentheses();
    tokens.eat(&["VERBOSE"]);
    if tokens.next().is_some() { Place::Either } else { Place::Outside }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// A word in upper case.
    Word(String),
    /// A quoted name, without its quotes.
    Quoted(String),
    /// A string, without its quotes.
    Text(String),
    /// Anything else, as it is written.
    Other(String),
}

/// What is left of a statement, without comments: each token with the byte at which it begins.
#[derive(Debug, Clone, Default)]
struct Tokens(VecDeque<(Token, usize)>);

impl Tokens {
    /// Enough to recognise any statement; a file may hold megabytes.
    const MAX: usize = 1000;

    fn of(sql: &str) -> Self {
        let mut found = VecDeque::new();
        for token in tokens(sql).filter(|token| !token.is_blank()) {
            let piece = || sql[token.start..token.end].to_owned();
            let read = match token.kind {
                Kind::Semicolon if found.is_empty() => continue,
                Kind::Semicolon => break,
                Kind::Word => Token::Word(piece().to_ascii_uppercase()),
                Kind::Name(Escapes::None) => content(&token, sql).map_or_else(|| Token::Other(piece()), Token::Quoted),
                Kind::Text(_) => content(&token, sql).map_or_else(|| Token::Other(piece()), Token::Text),
                _ => Token::Other(piece()),
            };
            found.push_back((read, token.start));
            if found.len() == Self::MAX {
                break;
            }
        }
        Self(found)
    }

    fn next(&mut self) -> Option<Token> {
        self.0.pop_front().map(|(token, _)| token)
    }

    fn peek(&self, at: usize) -> Option<&Token> {
        self.0.get(at).map(|(token, _)| token)
    }

    /// Where the next token begins.
    fn start(&self) -> Option<usize> {
        self.0.front().map(|(_, start)| *start)
    }

    fn is(&self, at: usize, symbol: &str) -> bool {
        self.peek(at) == Some(&Token::Other(symbol.to_owned()))
    }

    /// Takes these words, if they are the next.
    fn eat(&mut self, words: &[&str]) -> bool {
        let there = words
            .iter()
            .enumerate()
            .all(|(i, word)| matches!(self.peek(i), Some(Token::Word(next)) if next.as_str() == *word));
        if there {
            self.0.drain(..words.len());
        }
        there
    }

    /// One part of a name as the server keeps it: words in lower case.
    fn part(&mut self) -> Option<String> {
        match self.next()? {
            // A multi-byte encoding folds no other letters. Source: `downcase_identifier` in `scansup.c`.
            Token::Word(word) => Some(word.to_ascii_lowercase()),
            Token::Quoted(name) => Some(name),
            _ => None,
        }
    }

    /// A name with or without its schema, and its database, which can only be this one.
    fn name(&mut self) -> Option<Name> {
        let mut parts = vec![self.part()?];
        while self.is(0, ".") && parts.len() < 3 {
            self.next();
            parts.push(self.part()?);
        }
        let name = parts.pop()?;
        Some(Name { schema: parts.pop(), name })
    }

    /// What stands in the parentheses that come next, if they do.
    fn parentheses(&mut self) -> Option<Self> {
        if !self.is(0, "(") {
            return None;
        }
        self.next();
        let (mut inner, mut depth) = (Self::default(), 1);
        while let Some((token, start)) = self.0.pop_front() {
            match &token {
                Token::Other(symbol) if symbol == "(" => depth += 1,
                Token::Other(symbol) if symbol == ")" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
            inner.0.push_back((token, start));
        }
        Some(inner)
    }

    /// The elements between commas.
    fn elements(self) -> Vec<Self> {
        let (mut elements, mut depth) = (vec![Self::default()], 0);
        for (token, start) in self.0 {
            if let Token::Other(symbol) = &token {
                match symbol.as_str() {
                    "(" => depth += 1,
                    ")" => depth -= 1,
                    "," if depth == 0 => {
                        elements.push(Self::default());
                        continue;
                    }
                    _ => {}
                }
            }
            if let Some(last) = elements.last_mut() {
                last.0.push_back((token, start));
            }
        }
        elements
    }

    /// Whether these options switch this one on.
    fn says(self, option: &str) -> bool {
        self.elements().into_iter().any(|mut element| element.eat(&[option]) && !element.is_no())
    }

    /// Whether what is left is a no, as an option's value.
    fn is_no(&self) -> bool {
        let value = self.0.iter().map(|(token, _)| token).find(|token| **token != Token::Other("=".into()));
        match value {
            Some(Token::Word(word)) => matches!(word.as_str(), "FALSE" | "OFF" | "NO"),
            Some(Token::Text(text) | Token::Quoted(text)) => matches!(&*text.to_lowercase(), "false" | "off" | "no"),
            Some(Token::Other(number)) => number == "0",
            None => false,
        }
    }

    /// Whether `WITH (create_slot = false)` or `(connect = false)` is among the rest.
    fn makes_no_slot(&mut self) -> bool {
        while self.0.len() > 1
            && !(matches!(self.peek(0), Some(Token::Word(word)) if word == "WITH") && self.is(1, "("))
        {
            self.next();
        }
        self.next();
        let options = self.parentheses().map(Self::elements).unwrap_or_default();
        options
            .into_iter()
            .any(|mut option| (option.eat(&["CREATE_SLOT"]) || option.eat(&["CONNECT"])) && option.is_no())
    }

    /// The columns of an index; `None` for each that is not just named.
    fn columns(&mut self) -> Vec<Option<String>> {
        let Some(inner) = self.parentheses() else { return Vec::new() };
        let column = |mut element: Self| {
            let name = element.part()?;
            let named = matches!(element.next(), None | Some(Token::Word(_) | Token::Quoted(_)));
            named.then_some(name)
        };
        inner.elements().into_iter().map(column).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> Name {
        match name.split_once('.') {
            Some((schema, name)) => Name { schema: Some(schema.into()), name: name.into() },
            None => Name { schema: None, name: name.into() },
        }
    }

    #[test]
    fn what_the_server_refuses_inside_a_transaction_is_found() {
        for sql in [
            "create index concurrently i on t (a)",
            "CREATE /* x */ UNIQUE INDEX -- CONCURRENTLY?\n CONCURRENTLY IF NOT EXISTS \"I\" ON ONLY s.t (a)",
            "DROP INDEX CONCURRENTLY IF EXISTS s.i",
            "REINDEX TABLE CONCURRENTLY t",
            "REINDEX (VERBOSE, CONCURRENTLY) INDEX i",
            "reindex (concurrently on) table t",
            "REINDEX SCHEMA s",
            "REINDEX DATABASE d",
            "REINDEX SYSTEM d",
            "VACUUM",
            "vacuum (analyze) t",
            "ALTER TABLE IF EXISTS ONLY s.t DETACH PARTITION p CONCURRENTLY",
            "CREATE DATABASE d",
            "DROP DATABASE IF EXISTS d",
            "CREATE TABLESPACE s LOCATION '/x'",
            "DROP TABLESPACE s",
            "ALTER SYSTEM SET work_mem = '1MB'",
            "ALTER DATABASE d SET TABLESPACE s",
            "CLUSTER",
            "CLUSTER VERBOSE",
            "CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p",
            "CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p WITH (create_slot = true)",
            "DROP SUBSCRIPTION s",
            "ALTER SUBSCRIPTION s REFRESH PUBLICATION",
        ] {
            assert_eq!(Place::of(sql), Place::Outside, "{sql}");
        }
    }

    #[test]
    fn what_it_takes_inside_one_stays_inside() {
        for sql in [
            "CREATE INDEX i ON t (a)",
            "CREATE INDEX \"CONCURRENTLY\" ON t (a)",
            "CREATE TABLE vacuum_log (reindex text)",
            "DROP INDEX i",
            "DROP INDEX \"concurrently\"",
            "ALTER TABLE t DETACH PARTITION p",
            "ALTER TABLE t DETACH PARTITION p FINALIZE",
            "ALTER TABLE t ADD COLUMN concurrently int",
            "ALTER TYPE mood ADD VALUE 'x'",
            "ALTER DATABASE d SET work_mem = '1MB'",
            "REFRESH MATERIALIZED VIEW CONCURRENTLY v",
            "ANALYZE",
            "SELECT 'VACUUM'",
            "\"VACUUM\"",
            "CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p WITH (copy_data = true, CREATE_SLOT = 'Off')",
            "CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p WITH (connect = false)",
            "ALTER SUBSCRIPTION s DISABLE",
            "DO $$ BEGIN EXECUTE 'VACUUM'; END $$",
        ] {
            assert_eq!(Place::of(sql), Place::Inside, "{sql}");
        }
        for sql in
            ["REINDEX TABLE t", "REINDEX (CONCURRENTLY false) TABLE t", "CLUSTER t USING i", "CLUSTER (VERBOSE) t"]
        {
            assert_eq!(Place::of(sql), Place::Either, "{sql}");
        }
    }

    #[test]
    fn an_index_is_known_by_its_name_its_table_and_its_columns() {
        let index = |index: Option<&str>, table: &str, unique: bool, columns: &[Option<&str>], definition: &str| {
            Effect::CreateIndex {
                index: index.map(Into::into),
                table: name(table),
                unique,
                columns: columns.iter().map(|column| column.map(Into::into)).collect(),
                definition: definition.into(),
            }
        };
        for (sql, expected) in [
            ("create index concurrently I on T (A)", index(Some("i"), "t", false, &[Some("a")], "(A)")),
            (
                "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS \"I\"\"1\" ON ONLY S.\"T\" USING btree (a DESC NULLS LAST, lower(b), (c + 1), \"D\" text_ops) INCLUDE (e) WHERE a > 1",
                index(
                    Some("I\"1"),
                    "s.T",
                    true,
                    &[Some("a"), None, None, Some("D")],
                    "USING btree (a DESC NULLS LAST, lower(b), (c + 1), \"D\" text_ops) INCLUDE (e) WHERE a > 1",
                ),
            ),
            ("CREATE INDEX CONCURRENTLY ON d.s.t /* ( */ (a) ;", index(None, "s.t", false, &[Some("a")], "(a) ")),
            ("CREATE INDEX CONCURRENTLY U&\"i\" ON t (a)", Effect::Unknown),
        ] {
            assert_eq!(Effect::of(sql), expected, "{sql}");
        }
        assert_eq!(Effect::of("DROP INDEX CONCURRENTLY IF EXISTS S.I"), Effect::DropIndex(name("s.i")));
    }

    #[test]
    fn other_effects_are_known_by_what_they_name() {
        for (sql, expected) in [
            ("REINDEX (CONCURRENTLY) TABLE s.t", Effect::Reindex(Scope::Table(name("s.t")))),
            ("REINDEX INDEX CONCURRENTLY i", Effect::Reindex(Scope::Index(name("i")))),
            ("REINDEX SCHEMA CONCURRENTLY s", Effect::Reindex(Scope::Schema("s".into()))),
            ("REINDEX TABLE t", Effect::Repeatable),
            (
                "alter type S.Mood add value if not exists 'it''s' before 'x'",
                Effect::AddValue { type_name: name("s.mood"), label: "it's".into() },
            ),
            ("ALTER TYPE mood ADD VALUE E'x'", Effect::AddValue { type_name: name("mood"), label: "x".into() }),
            ("ALTER TYPE mood ADD VALUE E'\\x41'", Effect::Unknown),
            (
                "ALTER TABLE t ATTACH PARTITION s.p FOR VALUES IN (1)",
                Effect::Attach { parent: name("t"), part: name("s.p") },
            ),
            (
                "ALTER TABLE ONLY t DETACH PARTITION p CONCURRENTLY",
                Effect::Detach { parent: name("t"), part: name("p"), finalize: false },
            ),
            (
                "ALTER TABLE t DETACH PARTITION p FINALIZE",
                Effect::Detach { parent: name("t"), part: name("p"), finalize: true },
            ),
            ("ALTER TABLE t VALIDATE CONSTRAINT \"C\"", Effect::Validate { table: name("t"), constraint: "C".into() }),
            ("ALTER TABLE t VALIDATE CONSTRAINT c, ADD d int", Effect::Unknown),
            ("VACUUM t", Effect::Repeatable),
            ("REFRESH MATERIALIZED VIEW v", Effect::Repeatable),
            ("ALTER SYSTEM SET x = 1", Effect::Unknown),
            (
                "DROP DATABASE \"D\"",
                Effect::Global { catalog: "pg_database", column: "datname", name: "D".into(), there: false },
            ),
        ] {
            assert_eq!(Effect::of(sql), expected, "{sql}");
        }
    }
}
