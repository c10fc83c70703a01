//! A script cut into statements, psql commands and the data of `COPY … FROM STDIN`.
//!
//! Source of the rules: `psqlscan.l` and `copy.c` of psql 18, and `gram.y` where psql only guesses: it counts every `begin`, `case` and
//! `end` of a function's body in SQL, whatever they are in it; the grammar ends each statement of such a body with a semicolon, so that
//! the `END` behind one is the only one that can close it. Like the scanner, this file uses nothing else of the crate.

use std::{mem, ops::Range, sync::Arc};

use super::scan::{Kind, Token, tokens};

/// A statement of a script: where it lies, and the words that it begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Its first byte.
    pub start: usize,
    /// The byte behind its last, without the semicolon.
    pub end: usize,
    /// The byte behind all that belongs to it: the semicolon, the data and the line that ends them.
    pub stop: usize,
    /// The first words in upper case, without comments; enough of them to tell what the statement is. Statements that begin alike, one behind
    /// the other, share them.
    pub words: Arc<[String]>,
    /// The data that stands inline behind a `COPY … FROM STDIN`, of whole lines.
    pub data: Option<Range<usize>>,
}

/// A command of psql's, from its backslash to the end of the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Its bytes, without the end of the line.
    pub range: Range<usize>,
    /// Whether anything but spaces stands before it on its line, or a statement is under way.
    pub amid: bool,
}

/// A line comment that speaks to the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Its bytes.
    pub range: Range<usize>,
    /// Whether no statement has begun before it.
    pub in_head: bool,
}

/// What makes a script unfit to be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A string that never ends.
    Text,
    /// A name in quotes that never ends.
    Name,
    /// A comment that never ends.
    Comment,
    /// Something behind the semicolon of a `COPY … FROM STDIN`, on its line.
    BehindCopy,
}

/// A script, cut.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Split {
    /// Its statements, in order.
    pub statements: Vec<Statement>,
    /// psql's commands, in order.
    pub commands: Vec<Command>,
    /// What speaks to the host.
    pub notes: Vec<Note>,
    /// What is wrong, and at which byte.
    pub faults: Vec<(usize, Fault)>,
}

/// No statement needs more of its beginning to be told apart.
pub const WORDS_MAX: usize = 16;

/// Cuts a script.
pub fn split(text: &str) -> Split {
    let mut tokens = tokens(text);
    let mut cutter =
        Cutter { text, done: Split::default(), current: None, words: Words::default(), parens: 0, body: Body::None };
    while let Some(token) = tokens.next() {
        match token.kind {
            Kind::Backslash => tokens.jump(cutter.command(token.start)),
            _ => {
                if let Some(next) = cutter.push(&token) {
                    tokens.jump(next);
                }
            }
        }
    }
    cutter.finish()
}

/// Whether the words begin a statement that takes data from the client. The server takes either name in either direction.
pub fn copies_in(words: &[String]) -> bool {
    let mut words = words.iter().map(String::as_str);
    words.next() == Some("COPY")
        && words.find(|word| matches!(*word, "FROM" | "TO")) == Some("FROM")
        && matches!(words.next(), Some("STDIN" | "STDOUT"))
}

/// Where the scan is in the body of a function in SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    None,
    /// The word before was `BEGIN`, which may also be a name.
    Begin,
    /// At the beginning of a statement of the body.
    First,
    /// Within one.
    Within,
}

/// The first words of the statement at hand. A script of many rows has the same ones over and over.
#[derive(Default)]
struct Words {
    /// Those of the statement before.
    former: Arc<[String]>,
    /// How many of them it has had so far.
    alike: usize,
    /// All of its own, where it has others.
    own: Option<Vec<String>>,
}

impl Words {
    fn push(&mut self, kind: Kind, piece: &str) {
        let is_it = |word: &String| match kind {
            Kind::Word => word.bytes().eq(piece.bytes().map(|byte| byte.to_ascii_uppercase())),
            _ => word == piece,
        };
        if self.own.is_none() && self.former.get(self.alike).is_some_and(is_it) {
            self.alike += 1;
            return;
        }
        let own = self.own.get_or_insert_with(|| self.former[..self.alike].to_vec());
        own.push(if kind == Kind::Word { piece.to_ascii_uppercase() } else { piece.to_owned() });
    }

    fn all(&self) -> &[String] {
        self.own.as_deref().unwrap_or(&self.former[..self.alike])
    }

    /// The statement has ended: what comes next is another's.
    fn end(&mut self) -> Arc<[String]> {
        let alike = mem::take(&mut self.alike);
        match self.own.take() {
            Some(own) => self.former = own.into(),
            None if alike < self.former.len() => self.former = self.former[..alike].into(),
            None => {}
        }
        Arc::clone(&self.former)
    }
}

/// The state of the scan between two tokens.
struct Cutter<'a> {
    text: &'a str,
    done: Split,
    /// The statement at hand, still without its words.
    current: Option<Statement>,
    words: Words,
    parens: usize,
    body: Body,
}

impl Cutter<'_> {
    /// Takes a token over; says where to go on, if not behind it.
    fn push(&mut self, token: &Token) -> Option<usize> {
        let Token { kind, start, end, ended } = *token;
        let piece = &self.text[start..end];
        if !ended {
            let fault = match kind {
                Kind::BlockComment => Fault::Comment,
                Kind::Name(_) => Fault::Name,
                _ => Fault::Text,
            };
            self.done.faults.push((start, fault));
        }
        match kind {
            Kind::LineComment if piece.trim_start_matches('-').trim_start().starts_with("lockgate:") => {
                let in_head = self.done.statements.is_empty() && self.current.is_none();
                self.done.notes.push(Note { range: start..end, in_head });
                return None;
            }
            _ if token.is_blank() => return None,
            Kind::Semicolon if self.parens == 0 && !self.is_in_body() => return self.end_statement(end),
            Kind::Semicolon if self.parens == 0 => self.body = Body::First,
            Kind::Open => self.parens += 1,
            Kind::Close => self.parens = self.parens.saturating_sub(1),
            _ => {}
        }
        let begun = || Statement { start, end, stop: end, words: Arc::default(), data: None };
        let current = self.current.get_or_insert_with(begun);
        (current.end, current.stop) = (end, end);
        // What stands in parentheses (a column list, say) never tells what a statement is; a query may stand in them as a whole.
        let told = self.words.all().len();
        if told == 0 || told < WORDS_MAX && self.parens == 0 && kind != Kind::Close {
            self.words.push(kind, piece);
        }
        if self.parens == 0 && kind != Kind::Semicolon {
            let is = |word: &str| kind == Kind::Word && piece.eq_ignore_ascii_case(word);
            self.body = match self.body {
                Body::Begin if is("ATOMIC") => Body::First,
                Body::None | Body::Begin if is("BEGIN") && defines_routine(self.words.all()) => Body::Begin,
                Body::First if is("END") => Body::None,
                Body::None | Body::Begin => Body::None,
                Body::First | Body::Within => Body::Within,
            };
        } else if self.body == Body::First && kind == Kind::Open {
            self.body = Body::Within;
        }
        None
    }

    fn is_in_body(&self) -> bool {
        matches!(self.body, Body::First | Body::Within)
    }

    /// Ends the statement at hand with a semicolon that ends at this byte.
    fn end_statement(&mut self, semicolon_end: usize) -> Option<usize> {
        self.body = Body::None;
        let current = self.current.take()?;
        let mut statement = Statement { words: self.words.end(), ..current };
        statement.stop = semicolon_end;
        let mut next = None;
        if copies_in(&statement.words) {
            let (data, stop) = self.data(semicolon_end);
            (statement.data, statement.stop) = (Some(data), stop);
            next = Some(stop);
        }
        self.done.statements.push(statement);
        next
    }

    /// The lines that follow the one at hand, up to one that is `\.`, and the byte behind that. What else follows on the line at hand is
    /// a fault, and read no further.
    fn data(&mut self, from: usize) -> (Range<usize>, usize) {
        let mut blanks = tokens(self.text);
        blanks.jump(from);
        let mut start = self.text.len();
        for token in blanks {
            let line_end = self.text[token.start..token.end].find('\n');
            match (token.kind, line_end) {
                (Kind::Whitespace, Some(n)) => {
                    start = token.start + n + 1;
                    break;
                }
                (Kind::Whitespace | Kind::LineComment, None) => {}
                (Kind::BlockComment, None) if token.ended => {}
                _ => {
                    self.done.faults.push((token.start, Fault::BehindCopy));
                    start = self.text[from..].find('\n').map_or(self.text.len(), |n| from + n + 1);
                    break;
                }
            }
        }
        let mut at = start;
        while at < self.text.len() {
            let next = self.text[at..].find('\n').map_or(self.text.len(), |n| at + n + 1);
            if matches!(&self.text[at..next], "\\.\n" | "\\.\r\n" | "\\." | "\\.\r") {
                return (start..at, next);
            }
            at = next;
        }
        (start..at, at)
    }

    /// Takes a psql command over that begins at this byte; returns where its line ends.
    fn command(&mut self, start: usize) -> usize {
        let line = self.text[start..].find('\n').map_or(&self.text[start..], |n| &self.text[start..start + n]);
        let end = start + line.trim_end_matches('\r').len();
        let before = self.text[..start].rfind('\n').map_or(0, |n| n + 1);
        let amid = self.current.is_some() || !self.text[before..start].trim().is_empty();
        self.done.commands.push(Command { range: start..end, amid });
        end
    }

    fn finish(mut self) -> Split {
        if let Some(current) = self.current.take() {
            let mut statement = Statement { words: self.words.end(), ..current };
            if copies_in(&statement.words) {
                // psql sends it, too, and finds no data.
                statement.data = Some(self.text.len()..self.text.len());
                statement.stop = self.text.len();
            }
            self.done.statements.push(statement);
        }
        self.done
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

    fn cut(text: &str) -> Vec<&str> {
        let split = split(text);
        assert_eq!((split.faults, split.commands), (vec![], vec![]), "{text}");
        split.statements.iter().map(|s| &text[s.start..s.end]).collect()
    }

    #[test]
    fn only_the_end_behind_a_semicolon_closes_a_body() {
        for body in [
            "create function f() begin atomic select case when true then 1 end; select t.end, 2 as end, 3 end; end",
            "CREATE OR REPLACE PROCEDURE p() BEGIN/**/ATOMIC END",
            "create function f(begin int) begin atomic insert into t(begin) values (1); (select case 1 when 1 then 2 end); END",
            "create function begin() returns int begin atomic select 1;; end",
        ] {
            assert_eq!(cut(&format!("{body}; select 1;")), [body, "select 1"]);
        }
        assert_eq!(cut("create function begin() as 'x'; end").len(), 2);
        assert_eq!(cut("create table begin (atomic int); begin atomic; select 1").len(), 3);
    }

    #[test]
    fn statements_that_begin_alike_share_their_words() {
        let text = "insert into t values (1);; Insert INTO t (a) values (2, 'b'); insert into u values (1); insert into u; select ((1)); (select 1)";
        let words: Vec<Arc<[String]>> = split(text).statements.into_iter().map(|s| s.words).collect();
        let joined: Vec<String> = words.iter().map(|words| words.join(" ")).collect();
        assert_eq!(
            joined,
            ["INSERT INTO T VALUES", "INSERT INTO T VALUES", "INSERT INTO U VALUES", "INSERT INTO U", "SELECT", "("]
        );
        assert!(Arc::ptr_eq(&words[0], &words[1]));
        assert!(!Arc::ptr_eq(&words[1], &words[2]));
    }

    #[test]
    fn data_end_at_a_line_of_their_own() {
        let text = "copy t from stdin; -- x\na;'\\.\n\\. \n \\.\n\\.\nselect 1; copy u (a) from stdin (format csv);\r\n\"\r\n\\.\r\ncopy v from stdin";
        let split = split(text);
        let data: Vec<_> = split.statements.iter().map(|s| s.data.clone().map(|range| &text[range])).collect();
        assert_eq!(data, [Some("a;'\\.\n\\. \n \\.\n"), None, Some("\"\r\n"), Some("")]);
        assert_eq!((split.faults, split.commands), (vec![], vec![]));
        let open = super::split("copy t from stdin;\n1\n");
        assert_eq!(open.statements[0].data, Some(19..21));
    }

    #[test]
    fn what_follows_a_copy_on_its_line_is_a_fault() {
        for (text, at) in [("copy t from stdin; select 1;", 19), ("copy t from stdin; /* \n */", 19)] {
            assert_eq!(split(text).faults, [(at, Fault::BehindCopy)], "{text}");
        }
        assert_eq!(split("copy t to stdout; select 1").faults, []);
        assert_eq!(split("copy t from stdin; /* a */ -- b\n").faults, []);
    }

    #[test]
    fn a_command_reaches_to_the_end_of_its_line() {
        let text = "select 1 \\g 'it;s\n; \\i a.sql\n  \\echo ;\nselect 2";
        let split = split(text);
        let commands: Vec<_> = split.commands.iter().map(|c| (&text[c.range.clone()], c.amid)).collect();
        assert_eq!(commands, [("\\g 'it;s", true), ("\\i a.sql", true), ("\\echo ;", false)]);
        assert_eq!(split.statements.len(), 2);
    }
}
