//! A SQL script cut into statements where `psql` would cut it.
//!
//! Source of the rules: `psqlscan.l` of PostgreSQL 18. A semicolon ends a statement outside strings, comments, parentheses
//! and the `BEGIN ATOMIC … END` body of a function.

use std::path::{Path, PathBuf};

use squawk_lexer::{LiteralKind, TokenKind, tokenize};

use super::{directives::Directives, locate, position_of};
use crate::{
    error::{Cause, DbError, Problem, ProgramError},
    sql::{
        guard::{self, Rule},
        outside::{Effect, Place},
    },
    step::{OutsideStep, Step},
};

/// Where a script came from, which decides how it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A file that the team wrote: sent whole, in one message.
    File(PathBuf),
    /// The plan of a component: one statement a message, in the extended protocol, which refuses a second one.
    Plugin,
    /// The history: a down script that was stored when the migration was applied.
    History(String),
}

/// A script and its statements.
#[derive(Debug, Clone)]
pub struct Script {
    /// Where it came from.
    pub origin: Origin,
    text: String,
    statements: Vec<Statement>,
    directives: Directives,
}

/// A statement of a script: where it lies, and the words that it begins with.
#[derive(Debug, Clone)]
pub struct Statement {
    start: usize,
    end: usize,
    /// The first words in upper case, without comments; enough of them to tell what the statement is.
    pub words: Vec<String>,
}

/// No statement needs more of its beginning to be told apart.
pub(super) const WORDS_MAX: usize = 16;

impl Script {
    /// Cuts a script into statements.
    ///
    /// # Errors
    /// All that makes the script unfit to run in the host's transaction, with its place: a string or comment without an end, a
    /// psql command, a statement that would end the transaction, `COPY … FROM STDIN`.
    pub fn parse(text: &str, origin: Origin) -> Result<Self, Vec<Problem>> {
        Self::parse_with(text, origin, Directives::default())
    }

    /// The same for a script that is asked for something otherwise than in its text.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_with(text: &str, origin: Origin, asked: Directives) -> Result<Self, Vec<Problem>> {
        let text = text.trim_start_matches('\u{feff}').to_owned();
        let mut cutter = Cutter::default();
        let mut problems = Vec::new();
        let mut at = |offset: usize, what: String, next: &str| {
            problems.push(Problem::new(origin.place(&text, offset), what, next));
        };
        if let Some(offset) = text.find('\0') {
            at(offset, "a NUL character, which PostgreSQL does not take".into(), "save it as UTF-8 text");
        }
        let mut directives = asked;
        let mut offset = 0;
        for token in tokenize(&text) {
            let end = offset + token.len as usize;
            let piece = &text[offset..end];
            if let Some(what) = unterminated(token.kind) {
                at(offset, format!("{what} that never ends"), "close it");
            } else if piece.starts_with('\\') {
                at(offset, "a psql command, which the server does not know".into(), "write it as SQL");
            }
            if token.kind == TokenKind::LineComment
                && let Some(directive) = Directives::in_comment(piece)
                && let Err(refused) = directives.take(directive, cutter.is_at_start())
            {
                at(offset, refused.what, refused.next);
            }
            cutter.push(token.kind, piece, offset, end);
            offset = end;
        }
        let statements = cutter.finish();
        let rule = if origin == Origin::Plugin { Rule::Guest } else { Rule::Script };
        for statement in &statements {
            if let Err(refusal) = guard::check(statement, rule) {
                at(statement.start, refusal.to_string(), refusal.next());
            }
        }
        let script = Self { origin, text, statements, directives };
        if rule == Rule::Script {
            problems.extend(script.unfit_in_parts());
        }
        if problems.is_empty() { Ok(script) } else { Err(problems) }
    }

    /// The whole text, as it is sent.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it asks for in its head.
    pub fn directives(&self) -> &Directives {
        &self.directives
    }

    /// The script in the parts that it is run in: one, unless PostgreSQL refuses a statement of it inside a transaction, or the script
    /// asks that each be committed by itself.
    pub fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        // The statements that share the transaction at hand, by their first and their last byte.
        let mut shared: Option<(usize, usize)> = None;
        for (statement, sql) in self.statements() {
            if self.runs_outside(sql) {
                steps.extend(shared.take().map(|(start, end)| Step::Sql(self.part(start, end))));
                let statement = self.part(statement.start, statement.end);
                steps.push(Step::OutsideTransaction(OutsideStep { statement, probe: None }));
            } else if self.directives.no_transaction {
                steps.push(Step::Alone(self.part(statement.start, statement.end)));
            } else {
                shared = Some((shared.map_or(statement.start, |(start, _)| start), statement.end));
            }
        }
        if steps.is_empty() {
            return vec![Step::Sql(self.clone())];
        }
        steps.extend(shared.map(|(start, end)| Step::Sql(self.part(start, end))));
        steps
    }

    fn runs_outside(&self, sql: &str) -> bool {
        match Place::of(sql) {
            Place::Outside => true,
            Place::Either => self.directives.no_transaction,
            Place::Inside => false,
        }
    }

    /// A part of the script as one of its own, in which every statement stands at the line and column where it stood.
    fn part(&self, start: usize, end: usize) -> Self {
        let (line, column) = locate(&self.text, start);
        let shift = line + column - 2;
        let text = format!("{}{}{}", "\n".repeat(line - 1), " ".repeat(column - 1), &self.text[start..end]);
        let moved =
            |s: &Statement| Statement { start: s.start - start + shift, end: s.end - start + shift, ..s.clone() };
        let statements = self.statements.iter().filter(|s| s.start >= start && s.end <= end).map(moved).collect();
        Self { origin: self.origin.clone(), text, statements, directives: Directives::default() }
    }

    /// What a script that is run in several parts may not hold.
    fn unfit_in_parts(&self) -> Vec<Problem> {
        let in_parts = self.directives.no_transaction || self.statements().any(|(_, sql)| self.runs_outside(sql));
        let problem = |(statement, sql): (&Statement, &str)| {
            let words: Vec<&str> = statement.words.iter().map(String::as_str).collect();
            let (what, next) = match words.as_slice() {
                ["SET", "LOCAL" | "CONSTRAINTS", ..] => return None,
                ["SET" | "RESET", ..] if in_parts => (
                    "a setting for the session, which would not last: the script is run in several transactions",
                    "name things with their schemas; `SET LOCAL` lasts as long as a transaction",
                ),
                ["CREATE", "TEMP" | "TEMPORARY", ..] | ["CREATE", "LOCAL" | "GLOBAL", "TEMP" | "TEMPORARY", ..]
                    if in_parts =>
                {
                    (
                        "a temporary table, which would not last: the script is run in several transactions",
                        "make it a table, and drop it at the end",
                    )
                }
                _ if self.runs_outside(sql) && matches!(Effect::of(sql), Effect::CreateIndex { index: None, .. }) => (
                    "an index without a name, which could not be found again if the run were cut off",
                    "name it: `CREATE INDEX CONCURRENTLY name ON …`",
                ),
                _ => return None,
            };
            Some(Problem::new(self.place_of(statement), what, next))
        };
        self.statements().filter_map(problem).collect()
    }

    /// The statements in order, each with its text.
    pub fn statements(&self) -> impl Iterator<Item = (&Statement, &str)> {
        self.statements.iter().map(|s| (s, &self.text[s.start..s.end]))
    }

    /// The file, where there is one.
    pub fn path(&self) -> Option<&Path> {
        match &self.origin {
            Origin::File(path) => Some(path),
            _ => None,
        }
    }

    /// `file:line:column` of a statement.
    pub fn place_of(&self, statement: &Statement) -> String {
        self.origin.place(&self.text, statement.start)
    }

    /// Turns what the server said of a text that begins at byte `base` of this script into an error that points into it.
    pub fn error(&self, base: usize, error: DbError) -> ProgramError {
        let at = match error.position {
            Some(position) => {
                let sent = &self.text[base..];
                Some(self.origin.place(&self.text, base + position_of(sent, position)))
            }
            None => self.path().map(|path| path.display().to_string()),
        };
        ProgramError { at, cause: Cause::Database(Box::new(error)) }
    }
}

impl Statement {
    /// The byte of the script at which it begins.
    pub fn start(&self) -> usize {
        self.start
    }
}

impl Origin {
    fn place(&self, text: &str, offset: usize) -> String {
        let (line, column) = locate(text, offset);
        match self {
            Self::File(path) => format!("{}:{line}:{column}", path.display()),
            Self::Plugin => format!("a `sql` step of its plan, {line}:{column}"),
            Self::History(version) => format!("the down script of `{version}` in the history, {line}:{column}"),
        }
    }
}

fn unterminated(kind: TokenKind) -> Option<&'static str> {
    match kind {
        TokenKind::BlockComment { terminated: false } => Some("a comment"),
        TokenKind::QuotedIdent { terminated: false, .. } => Some("a quoted identifier"),
        TokenKind::Literal {
            kind:
                LiteralKind::Str { terminated: false }
                | LiteralKind::NationalStr { terminated: false }
                | LiteralKind::ByteStr { terminated: false }
                | LiteralKind::BitStr { terminated: false }
                | LiteralKind::DollarQuotedString { terminated: false }
                | LiteralKind::UnicodeEscStr { terminated: false }
                | LiteralKind::EscStr { terminated: false },
        } => Some("a string"),
        _ => None,
    }
}

/// The state of the scan between two tokens.
#[derive(Default)]
struct Cutter {
    statements: Vec<Statement>,
    current: Option<Statement>,
    parens: usize,
    /// Open `BEGIN ATOMIC`s and `CASE`s of a function body in SQL.
    blocks: usize,
    /// The word before was `BEGIN`, which may also be a name.
    after_begin: bool,
}

impl Cutter {
    fn push(&mut self, kind: TokenKind, piece: &str, start: usize, end: usize) {
        match kind {
            TokenKind::Whitespace | TokenKind::LineComment | TokenKind::BlockComment { .. } => return,
            TokenKind::Semi if self.parens == 0 && self.blocks == 0 => {
                self.statements.extend(self.current.take());
                return;
            }
            TokenKind::OpenParen => self.parens += 1,
            TokenKind::CloseParen => self.parens = self.parens.saturating_sub(1),
            _ => {}
        }
        let current = self.current.get_or_insert_with(|| Statement { start, end, words: Vec::new() });
        current.end = end;
        let word = piece.to_ascii_uppercase();
        let after_begin = std::mem::replace(&mut self.after_begin, word == "BEGIN");
        if kind == TokenKind::Ident && self.parens == 0 && defines_routine(&current.words) {
            match word.as_str() {
                "ATOMIC" if after_begin => self.blocks += 1,
                "CASE" if self.blocks > 0 => self.blocks += 1,
                "END" => self.blocks = self.blocks.saturating_sub(1),
                _ => {}
            }
        }
        // What stands in parentheses (a column list, say) never tells what a statement is.
        let outside = self.parens == 0 && kind != TokenKind::CloseParen;
        // A query may stand in parentheses as a whole.
        let first = kind == TokenKind::OpenParen && current.words.is_empty();
        if (outside || first) && current.words.len() < WORDS_MAX {
            current.words.push(if kind == TokenKind::Ident { word } else { piece.to_owned() });
        }
    }

    /// Whether no statement has begun.
    fn is_at_start(&self) -> bool {
        self.statements.is_empty() && self.current.is_none()
    }

    fn finish(mut self) -> Vec<Statement> {
        self.statements.extend(self.current.take());
        self.statements
    }
}

fn defines_routine(words: &[String]) -> bool {
    let mut words = words.iter().map(String::as_str);
    if words.next() != Some("CREATE") {
        return false;
    }
    match words.next() {
        Some("FUNCTION" | "PROCEDURE") => true,
        Some("OR") => words.next() == Some("REPLACE") && matches!(words.next(), Some("FUNCTION" | "PROCEDURE")),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<String> {
        let script = Script::parse(text, Origin::Plugin).unwrap();
        script.statements().map(|(_, text)| text.to_owned()).collect()
    }

    fn refusals(text: &str) -> Vec<String> {
        match Script::parse(text, Origin::File("m/001_a.up.sql".into())) {
            Ok(_) => vec![],
            Err(problems) => problems.into_iter().map(|p| format!("{}: {}", p.at, p.what)).collect(),
        }
    }

    #[test]
    fn semicolons_inside_strings_comments_and_parentheses_do_not_cut() {
        assert_eq!(
            cut(
                "select ';'; -- ;\n/* ; /* ; */ */ select $q$ ; $$ ; $q$, E'\\';' ;create rule r as on insert to t do (a; b)"
            ),
            ["select ';'", "select $q$ ; $$ ; $q$, E'\\';'", "create rule r as on insert to t do (a; b)"]
        );
    }

    #[test]
    fn a_function_body_in_sql_is_one_statement() {
        let body =
            "create or replace function f() returns int begin atomic select case when 1=1 then 2 end; select 3; end";
        assert_eq!(cut(&format!("{body}; select 1;")), [body, "select 1"]);
    }

    #[test]
    fn a_routine_called_begin_hides_nothing() {
        assert_eq!(refusals("create function begin() returns int language sql as 'select 1'; commit;").len(), 1);
    }

    #[test]
    fn a_plan_of_a_component_may_not_touch_the_session() {
        assert!(Script::parse("set role x", Origin::Plugin).is_err());
        assert!(Script::parse("set role x", Origin::History("1".into())).is_ok());
    }

    #[test]
    fn a_script_of_comments_has_no_statements() {
        assert!(cut("-- nothing\n ; ;/* at all */").is_empty());
    }

    #[test]
    fn statements_that_end_the_transaction_are_refused_with_their_line() {
        assert_eq!(
            refusals("create table t();\n  commit;"),
            ["m/001_a.up.sql:2:3: `COMMIT` would end the transaction that the host owns"]
        );
        for text in [
            "begin",
            "start transaction",
            "END",
            "rollback",
            "abort and chain",
            "savepoint a",
            "release a",
            "prepare transaction 'x'",
        ] {
            assert_eq!(refusals(text).len(), 1, "{text}");
        }
    }

    #[test]
    fn a_block_in_a_procedural_language_is_not_a_transaction() {
        assert_eq!(refusals("do $$ begin perform 1; end $$; prepare p as select 1;"), Vec::<String>::new());
    }

    #[test]
    fn directives_are_known_or_refused() {
        let says = |text: &str| Script::parse(text, Origin::Plugin).unwrap().directives().irreversible;
        assert!(says("-- lockgate: irreversible\nselect 1"));
        assert!(!says("select '-- lockgate: irreversible'"));
        assert_eq!(refusals("-- lockgate: ireversible"), ["m/001_a.up.sql:1:1: an unknown directive `ireversible`"]);
        assert_eq!(
            refusals("select 1;\n  -- lockgate: no-transaction"),
            [
                "m/001_a.up.sql:2:3: the directive `no-transaction` below the first statement, where it would be overlooked"
            ]
        );
    }

    #[test]
    fn what_only_psql_understands_is_refused() {
        assert_eq!(refusals("\\set x 1").len(), 1);
        assert_eq!(refusals("copy t from stdin;").len(), 1);
        assert_eq!(refusals("copy t (a, b, c, d, e, f, g) from stdin with (format csv);").len(), 1);
    }

    #[test]
    fn what_never_ends_is_refused_where_it_begins() {
        assert_eq!(refusals("select 1;\nselect 'a"), ["m/001_a.up.sql:2:8: a string that never ends"]);
        assert_eq!(refusals("/* /* */"), ["m/001_a.up.sql:1:1: a comment that never ends"]);
        assert_eq!(refusals("select $a$ $b$").len(), 1);
    }
}
