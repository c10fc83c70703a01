//! One text, read by both.

use crate::{
    scan::{Kind, Token, tokens},
    split::{Split, split},
};

/// What came of a comparison.
pub enum Verdict {
    /// Both read the same.
    Alike,
    /// PostgreSQL's scanner refuses the text, so that nothing is to be compared.
    Refused,
    /// They differ.
    Differs(String),
}

/// Reads a text both ways.
///
/// # Panics
/// When what must hold for every text does not: that its tokens give it back, and that its statements lie in it, in order.
pub fn compare(text: &str) -> Verdict {
    let ours: Vec<Token> = tokens(text).collect();
    let cut = split(text);
    whole(text, &ours, &cut);
    // libpg_query takes `?` for a parameter as well, and letters right behind `$1`, which the server refuses, as it does a NUL.
    let has_junk =
        |t: &Token| t.kind == Kind::Param && text[t.start + 1..t.end].contains(|c: char| !c.is_ascii_digit());
    if text.contains(['?', '\0']) || ours.iter().any(has_junk) {
        return Verdict::Refused;
    }
    let Ok(pg_query::protobuf::ScanResult { tokens: theirs, .. }) = pg_query::scan(text) else {
        return Verdict::Refused;
    };
    let ours: Vec<(usize, usize)> = ours.iter().filter(|t| !t.is_blank()).map(|t| (t.start, t.end)).collect();
    let comments = [pg_query::protobuf::Token::SqlComment as i32, pg_query::protobuf::Token::CComment as i32];
    let theirs: Vec<(usize, usize)> = theirs
        .iter()
        .filter(|token| !comments.contains(&token.token))
        .map(|token| (usize::try_from(token.start).unwrap_or(0), usize::try_from(token.end).unwrap_or(0)))
        .collect();
    if let Some(n) = (0..ours.len().max(theirs.len())).find(|n| ours.get(*n) != theirs.get(*n)) {
        let show = |token: Option<&(usize, usize)>| token.map(|(start, end)| text.get(*start..*end));
        let what = format!("token {n} is {:?}, PostgreSQL's is {:?}", show(ours.get(n)), show(theirs.get(n)));
        return Verdict::Differs(what);
    }
    statements(text, &cut)
}

fn whole(text: &str, tokens: &[Token], cut: &Split) {
    let joined: String = tokens.iter().map(|token| &text[token.start..token.end]).collect();
    assert_eq!(joined, text);
    let mut at = 0;
    for statement in &cut.statements {
        assert!(
            at <= statement.start && statement.start < statement.end && statement.end <= statement.stop,
            "{text:?}"
        );
        at = statement.stop;
    }
    assert!(at <= text.len());
}

/// Compares the statements, where libpg_query's splitter knows as much of the grammar: it cuts bodies of functions in SQL and the data of
/// a COPY, and takes what holds no keyword for no statement.
fn statements(text: &str, cut: &Split) -> Verdict {
    let is_body = |word: &str| word.eq_ignore_ascii_case("atomic");
    let beyond = tokens(text).any(|token| match token.kind {
        Kind::Word => is_body(&text[token.start..token.end]),
        Kind::Backslash => true,
        _ => false,
    });
    if beyond
        || unbalanced(text)
        || cut.statements.iter().any(|statement| statement.data.is_some())
        || !cut.faults.is_empty()
    {
        return Verdict::Alike;
    }
    let Ok(theirs) = pg_query::split_with_scanner(text) else { return Verdict::Refused };
    // Of ours, those in which theirs sees a keyword begin where a piece of theirs has its first token.
    let mut theirs_bare: Vec<String> = theirs.iter().map(|piece| bare(piece)).collect();
    theirs_bare.retain(|piece| !piece.is_empty());
    let mut left = theirs_bare.iter().peekable();
    for statement in &cut.statements {
        let ours = bare(&text[statement.start..statement.end]);
        // What has no keyword is left out of theirs.
        if left.peek().is_some_and(|piece| **piece == ours) {
            left.next();
        } else if has_keyword(&ours) {
            return Verdict::Differs(format!("`{ours}` is no statement of PostgreSQL's: {theirs_bare:?}"));
        }
    }
    match left.next() {
        Some(piece) => Verdict::Differs(format!("`{piece}` is a statement of PostgreSQL's only")),
        None => Verdict::Alike,
    }
}

fn unbalanced(text: &str) -> bool {
    let mut depth = 0_i64;
    for token in tokens(text) {
        depth += match token.kind {
            Kind::Open => 1,
            Kind::Close => -1,
            _ => 0,
        };
        if depth < 0 {
            return true;
        }
    }
    depth != 0
}

/// A piece without the blanks and semicolons at its ends.
fn bare(piece: &str) -> String {
    let tokens: Vec<Token> = tokens(piece).filter(|token| !token.is_blank() && token.kind != Kind::Semicolon).collect();
    match (tokens.first(), tokens.last()) {
        (Some(first), Some(last)) => piece[first.start..last.end].to_owned(),
        _ => String::new(),
    }
}

fn has_keyword(piece: &str) -> bool {
    pg_query::scan(piece).is_ok_and(|result| result.tokens.iter().any(|token| token.keyword_kind != 0))
}
