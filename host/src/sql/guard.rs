//! Statements that are refused before they are sent, because the transaction, the role and the session are the host's.
//!
//! The first words decide, after comments and empty statements. This is one defence of several: the server refuses a second
//! statement in one message, and the host checks transaction, role and lock again before it commits.

use std::fmt;

use super::{
    scan::{Kind, tokens},
    split::{Statement, WORDS_MAX, copies_in},
};
use crate::printable::printable_in;

/// Who sends the statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// A script that the team wrote: it may do all but end the transaction. Its savepoints have been looked at.
    Script,
    /// A component: it may not touch the session either.
    Guest,
}

/// Why a statement is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    words: String,
    why: Why,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    Transaction,
    Session,
    Constraints,
    Server,
    CopyOut,
    StringSyntax,
    Copy,
    CopyIn,
    Cursor,
    Outside,
    Unknown,
    Empty,
}

impl Refusal {
    /// What to write instead.
    pub fn next(&self) -> &'static str {
        match self.why {
            Why::Transaction => "remove it: every migration runs in one transaction of the host's",
            Why::Session => "use `SET LOCAL` for a setting; role and session stay as the operator chose them",
            Why::Constraints => "name the constraints, each with its schema",
            Why::Server => "ask the operator to do it",
            Why::CopyOut => "remove it: nobody reads what a script sends back",
            Why::StringSyntax => "remove it, and write `E'…'` for strings with backslashes",
            Why::Copy => "use `copy-in` for `COPY … FROM STDIN`, and a query to read",
            Why::CopyIn => "send one `COPY … FROM STDIN` statement",
            Why::Outside => "make it an `sql` step, which shares a transaction with its neighbours",
            Why::Cursor => "send a SELECT, VALUES, TABLE or WITH … SELECT statement",
            Why::Unknown => "send a statement that PostgreSQL documents",
            Why::Empty => "send one statement",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { words, why } = self;
        match why {
            Why::Transaction => write!(f, "`{words}` would end the transaction that the host owns"),
            Why::Session => write!(f, "`{words}` would change the session that the host owns"),
            Why::Constraints => write!(f, "`{words}` would reach the host's own constraint"),
            Why::Server => write!(f, "`{words}` would change the server, not this database"),
            Why::CopyOut => write!(f, "`{words}` would send rows to the client"),
            Why::StringSyntax => write!(f, "`{words}` would change how the strings below it are read"),
            Why::Copy => write!(f, "`{words}` moves data past the host: only `copy-in` takes it, from STDIN"),
            Why::CopyIn => write!(f, "`{words}` is no `COPY … FROM STDIN`, which is all that `copy-in` takes"),
            Why::Cursor => write!(f, "`{words}` is no query, and only a query has a cursor"),
            Why::Outside => write!(f, "`{words}` is none of the statements that stand outside a transaction"),
            Why::Unknown => write!(f, "`{words}` begins no statement that a migration may send"),
            Why::Empty => f.write_str("there is no statement in it"),
        }
    }
}

/// Looks at one statement that a component wants to send.
///
/// # Errors
/// The refusal.
pub fn check_statement(sql: &str) -> Result<(), Refusal> {
    let words = words_of(sql);
    refuse(&as_slices(&words.list), Rule::Guest)
}

/// Looks at one statement for which a component wants a cursor, and returns the byte at which it begins, after comments and
/// empty statements.
///
/// # Errors
/// The refusal.
pub fn check_query(sql: &str) -> Result<usize, Refusal> {
    let words = words_of(sql);
    let list = as_slices(&words.list);
    refuse(&list, Rule::Guest)?;
    match list.first() {
        Some(&("SELECT" | "VALUES" | "TABLE" | "WITH" | "(")) => Ok(words.start),
        _ => Err(Refusal::of(&list, 1, Why::Cursor)),
    }
}

/// Looks at one statement that a component wants to feed with data.
///
/// # Errors
/// The refusal.
pub fn check_copy_in(sql: &str) -> Result<(), Refusal> {
    let words = words_of(sql);
    let list = as_slices(&words.list);
    // The first FROM or TO outside parentheses is the one; a table of that name would be quoted.
    let at = list.iter().position(|word| matches!(*word, "FROM" | "TO"));
    match (list.first(), at.and_then(|at| list.get(at..at + 2))) {
        (None, _) => Err(Refusal::of(&list, 0, Why::Empty)),
        (Some(&"COPY"), Some(["FROM", "STDIN"])) => Ok(()),
        _ => Err(Refusal::of(&list, 1, Why::CopyIn)),
    }
}

/// Looks at one statement that a component wants to run outside a transaction, where nothing can be taken back: one that maintains
/// an index, a table or a type, never one that changes rows or runs code.
///
/// # Errors
/// The refusal.
pub fn check_outside(sql: &str) -> Result<(), Refusal> {
    let words = words_of(sql);
    let list = as_slices(&words.list);
    refuse(&list, Rule::Guest)?;
    let says = |any: &[&str]| list.iter().any(|word| any.contains(word));
    match list.as_slice() {
        ["VACUUM" | "ANALYZE" | "CLUSTER" | "REINDEX", ..] | ["REFRESH", "MATERIALIZED", "VIEW", ..] => Ok(()),
        ["CREATE", "INDEX", ..] | ["CREATE", "UNIQUE", "INDEX", ..] | ["DROP", "INDEX", ..]
            if says(&["CONCURRENTLY"]) =>
        {
            Ok(())
        }
        ["ALTER", "TYPE", ..] if says(&["ADD"]) => Ok(()),
        ["ALTER", "TABLE", ..] if says(&["VALIDATE", "ATTACH", "DETACH"]) => Ok(()),
        _ => Err(Refusal::of(&list, 2, Why::Outside)),
    }
}

/// Looks at one statement of a script.
pub(super) fn check(statement: &Statement, rule: Rule) -> Result<(), Refusal> {
    // A script's own data come with it.
    if rule == Rule::Script && copies_in(&statement.words) {
        return Ok(());
    }
    refuse(&as_slices(&statement.words), rule)
}

/// The first words of a text, in upper case unless they are quoted, and the byte of the first.
struct Words {
    list: Vec<String>,
    start: usize,
}

/// Leaves out comments, the empty statements before the first word, and what stands in parentheses, which never tells what a
/// statement is.
fn words_of(sql: &str) -> Words {
    let mut words = Words { list: Vec::new(), start: 0 };
    let mut depth = 0_usize;
    for token in tokens(sql).filter(|token| !token.is_blank()) {
        match token.kind {
            Kind::Semicolon if words.list.is_empty() => continue,
            Kind::Close => {
                depth = depth.saturating_sub(1);
                continue;
            }
            Kind::Open => depth += 1,
            _ => {}
        }
        if words.list.is_empty() {
            words.start = token.start;
        } else if depth > 0 {
            continue;
        }
        let piece = &sql[token.start..token.end];
        words.list.push(if token.kind == Kind::Word { piece.to_ascii_uppercase() } else { piece.to_owned() });
        if words.list.len() == WORDS_MAX {
            break;
        }
    }
    words
}

/// The first words of a statement, fit to be printed.
pub(super) fn shown(words: &[String], n: usize) -> String {
    // What stands there may be a string of a megabyte.
    const CHARS_MAX: usize = 60;
    printable_in(CHARS_MAX, &words[..n.min(words.len())].join(" "))
}

fn as_slices(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

impl Refusal {
    fn of(words: &[&str], n: usize, why: Why) -> Self {
        let words: Vec<String> = words[..n.min(words.len())].iter().map(|word| (*word).to_owned()).collect();
        Self { words: shown(&words, n), why }
    }
}

/// The first words of the statements that a component may send, if nothing else speaks against them. Source: PostgreSQL manual,
/// part VI, "SQL Commands". What a later server adds is refused until somebody has looked at it.
const KNOWN: &[&str] = &[
    "(", "ALTER", "ANALYZE", "CALL", "CLOSE", "CLUSTER", "COMMENT", "CREATE", "DECLARE", "DELETE", "DO", "DROP",
    "EXPLAIN", "FETCH", "GRANT", "IMPORT", "INSERT", "LOCK", "MERGE", "MOVE", "NOTIFY", "REASSIGN", "REFRESH",
    "REINDEX", "REVOKE", "SECURITY", "SELECT", "SET", "SHOW", "TABLE", "TRUNCATE", "UPDATE", "VACUUM", "VALUES",
    "WITH",
];

/// Settings on which the host itself relies until the transaction has ended.
const HOSTS_SETTINGS: &[&str] =
    &["ROLE", "SESSION", "SESSION_AUTHORIZATION", "CLIENT_ENCODING", "NAMES", "SYNCHRONOUS_COMMIT"];

fn refuse(words: &[&str], rule: Rule) -> Result<(), Refusal> {
    let refusal = |n: usize, why: Why| Err(Refusal::of(words, n, why));
    match words {
        [] => return refusal(0, Why::Empty),
        ["SAVEPOINT" | "RELEASE", ..] | ["ROLLBACK", "TO", ..] | ["ROLLBACK", "WORK" | "TRANSACTION", "TO", ..]
            if rule == Rule::Script =>
        {
            return Ok(());
        }
        ["BEGIN" | "START" | "COMMIT" | "END" | "ROLLBACK" | "ABORT" | "SAVEPOINT" | "RELEASE", ..] => {
            return refusal(1, Why::Transaction);
        }
        ["PREPARE", "TRANSACTION", ..] | ["SET", "TRANSACTION", ..] => return refusal(2, Why::Transaction),
        // The server takes either word in either direction.
        ["COPY", rest @ ..] if rest.windows(2).any(|w| matches!(w, ["FROM" | "TO", "STDIN" | "STDOUT"])) => {
            let why = if rule == Rule::Guest { Why::Copy } else { Why::CopyOut };
            return refusal(1, why);
        }
        _ => {}
    }
    if rule == Rule::Script {
        return match words {
            ["SET", rest @ ..] if turns_backslashes_on(rest) => refusal(2, Why::StringSyntax),
            _ => Ok(()),
        };
    }
    // `SET LOCAL "role" = x` is a change of the role, too, and `U&"…"` may spell anything.
    let names_session = |word: &&str| {
        let name = word.trim_matches('"').to_ascii_uppercase();
        HOSTS_SETTINGS.contains(&name.as_str()) || name.starts_with("TRANSACTION") || name.starts_with("U&")
    };
    let names_host = |word: &&str| {
        let name = word.trim_matches('"').to_ascii_uppercase();
        name.starts_with("LOCKGATE_") || name.starts_with("U&")
    };
    match words {
        ["SET", "LOCAL", name, ..] if names_session(name) => refusal(3, Why::Session),
        // The host has a deferred constraint of its own.
        ["SET", "CONSTRAINTS", "ALL", ..] => refusal(3, Why::Constraints),
        ["SET", "LOCAL", ..] | ["SET", "CONSTRAINTS", ..] => Ok(()),
        ["SET", ..] => refusal(2, Why::Session),
        ["RESET" | "DISCARD" | "LOAD" | "LISTEN" | "UNLISTEN" | "DEALLOCATE" | "EXECUTE" | "PREPARE", ..] => {
            refusal(1, Why::Session)
        }
        // The server's files and programs are not the component's, and the rest has its place in `copy-in`.
        ["COPY", ..] => refusal(1, Why::Copy),
        // Cursors of the host's own, by their names.
        ["CLOSE", "ALL", ..] => refusal(2, Why::Session),
        ["CLOSE" | "FETCH" | "MOVE" | "DECLARE", rest @ ..] if rest.iter().any(names_host) => refusal(1, Why::Session),
        // One that is held outlives the transaction; the words before CURSOR may be repeated without end.
        ["DECLARE", rest @ ..]
            if !rest.windows(2).any(|w| w == ["CURSOR", "FOR"])
                && !rest.windows(4).any(|w| w == ["CURSOR", "WITHOUT", "HOLD", "FOR"]) =>
        {
            refusal(1, Why::Session)
        }
        ["ALTER", "SYSTEM", ..] | ["CREATE" | "DROP", "DATABASE" | "TABLESPACE", ..] => refusal(2, Why::Server),
        [first, ..] if !KNOWN.contains(first) => refusal(1, Why::Unknown),
        _ => Ok(()),
    }
}

/// Whether a `SET`, of which this is the rest, makes backslashes special in every string: the script is cut as if they were not.
fn turns_backslashes_on(rest: &[&str]) -> bool {
    let rest = match rest {
        ["SESSION" | "LOCAL", rest @ ..] => rest,
        rest => rest,
    };
    let value = |word: &&str| word.trim_matches('\'').to_ascii_lowercase();
    matches!(rest, ["STANDARD_CONFORMING_STRINGS", "TO" | "=", to] if !["on", "true", "yes", "1", "default"].contains(&&*value(to)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outside_a_transaction_only_what_maintains_something_runs() {
        for sql in [
            "create unique index concurrently i on t (a)",
            "DROP INDEX CONCURRENTLY i",
            "REINDEX (CONCURRENTLY) TABLE t",
            "vacuum (analyze) t",
            "refresh materialized view concurrently v",
            "ALTER TYPE mood ADD VALUE 'x'",
            "ALTER TABLE s.t VALIDATE CONSTRAINT c",
            "ALTER TABLE t DETACH PARTITION p CONCURRENTLY",
        ] {
            assert_eq!(check_outside(sql), Ok(()), "{sql}");
        }
        for sql in [
            "DO $$ BEGIN COMMIT; END $$",
            "CALL p()",
            "DELETE FROM t",
            "INSERT INTO t VALUES (1)",
            "SELECT f()",
            "WITH a AS (DELETE FROM t RETURNING 1) SELECT 1",
            "DROP TRIGGER x ON t",
            "CREATE RULE r AS ON INSERT TO t DO INSTEAD NOTHING",
            "CREATE INDEX i ON t (a)",
            "ALTER TABLE t ADD COLUMN a int",
            "GRANT ALL ON t TO public",
        ] {
            assert!(check_outside(sql).is_err(), "{sql}");
        }
    }

    #[test]
    fn commit_is_refused_in_each_spelling() {
        for sql in [
            "COMMIT",
            "commit work",
            "; /* a /* b */ */ -- c\nCOMMIT",
            "END",
            "ABORT AND CHAIN",
            "ROLLBACK TO host_savepoint",
            "BEGIN",
            "START TRANSACTION",
            "SAVEPOINT x",
            "RELEASE x",
            "PREPARE TRANSACTION 'x'",
            "SET TRANSACTION READ WRITE",
        ] {
            assert_eq!(check_statement(sql).unwrap_err().why, Why::Transaction, "{sql}");
        }
    }

    #[test]
    fn the_session_is_the_hosts() {
        for sql in [
            "SET ROLE postgres",
            "set session authorization x",
            "SET LOCAL ROLE x",
            "SET LOCAL \"role\" = x",
            "SET LOCAL session_authorization = x",
            "SET LOCAL U&\"r\\006fle\" = x",
            "SET LOCAL transaction_read_only = off",
            "SET LOCAL SESSION AUTHORIZATION x",
            "RESET ROLE",
            "RESET ALL",
            "DISCARD ALL",
            "LOAD 'x'",
            "LISTEN c",
            "SET search_path = x",
            "SET LOCAL client_encoding = 'LATIN1'",
            "SET LOCAL NAMES 'LATIN1'",
            "SET LOCAL \"synchronous_commit\" = off",
            "CLOSE ALL",
            "CLOSE lockgate_cursor_1",
            "CLOSE U&\"lockgate\\005fcursor_1\"",
            "FETCH ALL FROM \"lockgate_cursor_1\"",
            "MOVE lockgate_cursor_1",
            "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
            "DECLARE c BINARY BINARY BINARY BINARY BINARY BINARY BINARY BINARY BINARY BINARY BINARY BINARY BINARY BINARY BINARY \
             CURSOR WITH HOLD FOR SELECT 1",
            "PREPARE p AS SELECT 1",
            "EXECUTE p",
            "DEALLOCATE ALL",
        ] {
            assert_eq!(check_statement(sql).unwrap_err().why, Why::Session, "{sql}");
        }
    }

    #[test]
    fn ordinary_work_passes() {
        for sql in [
            "SELECT 1",
            "WITH a AS (SELECT 1) DELETE FROM t",
            "SET LOCAL work_mem = '64MB'",
            "SET CONSTRAINTS a.b, c IMMEDIATE",
            "SET LOCAL lock_timeout = '1s'",
            "(select 1)",
            "; (values (1))",
            "DECLARE c BINARY NO SCROLL CURSOR FOR SELECT 1",
            "DECLARE c CURSOR WITHOUT HOLD FOR SELECT 1",
            "FETCH 10 FROM c",
            "CLOSE c",
            "NOTIFY c, 'x'",
            "LOCK TABLE t IN SHARE MODE",
            "EXPLAIN ANALYZE SELECT 1",
            "DO $$ begin perform 1; end $$",
            "CREATE INDEX CONCURRENTLY i ON t (a)",
            "ALTER ROLE app SET search_path = x",
        ] {
            assert_eq!(check_statement(sql), Ok(()), "{sql}");
        }
    }

    #[test]
    fn the_server_is_not_the_components() {
        for sql in ["ALTER SYSTEM SET fsync = off", "create database x", "DROP TABLESPACE x"] {
            assert_eq!(check_statement(sql).unwrap_err().why, Why::Server, "{sql}");
        }
    }

    #[test]
    fn a_copy_goes_through_copy_in_or_nowhere() {
        for sql in [
            "COPY t FROM STDIN",
            "copy t from stdout",
            "COPY t (a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q) FROM STDIN",
            "COPY BINARY a.b.t (a) FROM STDIN",
            "COPY (SELECT 1) TO STDOUT",
            "COPY t TO STDIN",
            "COPY t FROM '/etc/passwd'",
            "COPY t FROM PROGRAM 'id'",
            "COPY t TO PROGRAM 'id'",
        ] {
            assert_eq!(check_statement(sql).unwrap_err().why, Why::Copy, "{sql}");
        }
        for sql in ["COPY t FROM STDIN", "/* x */ copy t (a, b) from stdin (format csv)", "COPY \"from\" FROM STDIN;"] {
            assert_eq!(check_copy_in(sql), Ok(()), "{sql}");
        }
        for sql in [
            "COPY t FROM '/etc/passwd'",
            "COPY t FROM PROGRAM 'id'",
            "COPY t TO STDOUT",
            "COPY (SELECT 1 FROM stdin) TO STDOUT",
            "COPY t FROM STDOUT",
            "COPY t",
            "SELECT 1 FROM STDIN",
            "COMMIT",
        ] {
            assert_eq!(check_copy_in(sql).unwrap_err().why, Why::CopyIn, "{sql}");
        }
        assert_eq!(check_copy_in("").unwrap_err().why, Why::Empty);
    }

    #[test]
    fn only_a_query_has_a_cursor() {
        assert_eq!(check_query("SELECT 1"), Ok(0));
        assert_eq!(check_query("; -- é\n (TABLE t)"), Ok(9));
        assert_eq!(check_query("with a as (select 1) table a"), Ok(0));
        for sql in ["UPDATE t SET a = 1 RETURNING a", "EXPLAIN SELECT 1", "FETCH ALL FROM c", "SHOW all"] {
            assert_eq!(check_query(sql).unwrap_err().why, Why::Cursor, "{sql}");
        }
        assert_eq!(check_query("COMMIT").unwrap_err().why, Why::Transaction);
    }

    #[test]
    fn what_nobody_has_looked_at_is_refused() {
        for sql in [
            "FROBNICATE t",
            "\"commit\"",
            "'x'",
            "\u{feff}\u{feff}COMMIT",
            "\u{a0}COMMIT",
            "$1",
            "CHECKPOINT",
            "{ call f() }",
        ] {
            assert_eq!(check_statement(sql).unwrap_err().why, Why::Unknown, "{sql}");
        }
        assert!(check_statement(&format!("'{}\n'", "x".repeat(1_000))).unwrap_err().to_string().len() < 200);
    }

    #[test]
    fn nothing_is_no_statement() {
        assert_eq!(check_statement(" ; -- nothing").unwrap_err().why, Why::Empty);
    }
}
