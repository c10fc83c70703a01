//! Statements that are refused before they are sent, because the transaction, the role and the session are the host's.
//!
//! The first words decide, after comments and empty statements. This is one defence of several: the server refuses a second
//! statement in one message, and the host checks transaction, role and lock again before it commits.

use std::fmt;

use squawk_lexer::{TokenKind, tokenize};

use super::script::Statement;

/// Who sends the statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// A script that the team wrote: it may do all but end the transaction.
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
    CopyData,
    Empty,
}

impl Refusal {
    /// What to write instead.
    pub fn next(&self) -> &'static str {
        match self.why {
            Why::Transaction => "remove it: every migration runs in one transaction of the host's",
            Why::Session => "use `SET LOCAL` for a setting; role and session stay as the operator chose them",
            Why::CopyData => "write the rows as `INSERT … VALUES`",
            Why::Empty => "send one statement",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.why {
            Why::Transaction => write!(f, "`{}` would end the transaction that the host owns", self.words),
            Why::Session => write!(f, "`{}` would change the session that the host owns", self.words),
            Why::CopyData => write!(f, "`{}` with inline data needs psql", self.words),
            Why::Empty => f.write_str("there is no statement in it"),
        }
    }
}

/// Looks at one statement that a component wants to send.
///
/// # Errors
/// The refusal.
pub fn check_statement(sql: &str) -> Result<(), Refusal> {
    let mut words = Vec::new();
    let mut offset = 0;
    for token in tokenize(sql) {
        let piece = &sql[offset..offset + token.len as usize];
        offset += token.len as usize;
        match token.kind {
            TokenKind::Whitespace | TokenKind::LineComment | TokenKind::BlockComment { .. } => {}
            // An empty statement before the first word is skipped by the server, too.
            TokenKind::Semi if words.is_empty() => {}
            TokenKind::Ident => words.push(piece.to_ascii_uppercase()),
            _ => words.push(piece.to_owned()),
        }
        if words.len() >= 8 {
            break;
        }
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    refuse(&words, Rule::Guest)
}

/// Looks at one statement of a script.
pub(super) fn check(statement: &Statement, rule: Rule) -> Result<(), Refusal> {
    let words: Vec<&str> = statement.words.iter().map(String::as_str).collect();
    refuse(&words, rule)
}

fn refuse(words: &[&str], rule: Rule) -> Result<(), Refusal> {
    let refusal = |n: usize, why: Why| Err(Refusal { words: words[..n.min(words.len())].join(" "), why });
    match words {
        [] => return refusal(0, Why::Empty),
        ["BEGIN" | "START" | "COMMIT" | "END" | "ROLLBACK" | "ABORT" | "SAVEPOINT" | "RELEASE", ..] => {
            return refusal(1, Why::Transaction);
        }
        ["PREPARE", "TRANSACTION", ..] | ["SET", "TRANSACTION", ..] => return refusal(2, Why::Transaction),
        ["COPY", rest @ ..] if rest.windows(2).any(|w| matches!(w, ["FROM", "STDIN"] | ["TO", "STDOUT"])) => {
            return refusal(1, Why::CopyData);
        }
        _ => {}
    }
    if rule == Rule::Script {
        return Ok(());
    }
    // `SET LOCAL "role" = x` is a change of the role, too, and `U&"…"` may spell anything.
    let names_session = |word: &&str| {
        let name = word.trim_matches('"').to_ascii_uppercase();
        matches!(name.as_str(), "ROLE" | "SESSION" | "SESSION_AUTHORIZATION")
            || name.starts_with("TRANSACTION")
            || name.starts_with("U&")
    };
    match words {
        ["SET", "LOCAL", name, ..] if names_session(name) => refusal(3, Why::Session),
        ["SET", "LOCAL", ..] | ["SET", "CONSTRAINTS", ..] => Ok(()),
        ["SET", ..] => refusal(2, Why::Session),
        ["RESET" | "DISCARD" | "LOAD" | "LISTEN" | "UNLISTEN" | "DEALLOCATE" | "EXECUTE" | "PREPARE", ..] => {
            refusal(1, Why::Session)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            "SET CONSTRAINTS ALL IMMEDIATE",
            "COPY t FROM '/x'",
            "\"commit\"",
            "(select 1)",
        ] {
            assert_eq!(check_statement(sql), Ok(()), "{sql}");
        }
    }

    #[test]
    fn nothing_is_no_statement() {
        assert_eq!(check_statement(" ; -- nothing").unwrap_err().why, Why::Empty);
    }
}
