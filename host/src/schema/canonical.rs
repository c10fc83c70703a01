//! One way to write an expression that the server writes in several.
//!
//! What the server tells of an expression is not what it would tell of it after a dump and a restore: `x BETWEEN 1 AND 2 AND y` is an
//! AND within an AND at first, and one AND of three afterwards; `name IN ('a', 'b')` of a `varchar` is an array that is cast at first,
//! and an array of values that are cast afterwards. Both are brought to what they are afterwards. Nothing else is touched: parentheses
//! that mean something stay, and so does everything within quotes.

/// A piece of a text.
enum Piece {
    /// Outside quotes and brackets.
    Text(String),
    /// In quotes, with them.
    Quoted(String),
    /// In brackets, with the opening and the closing one.
    Group(char, Vec<Piece>, char),
}

use Piece::{Group, Quoted, Text};

/// See the module.
pub(super) fn canonical(sql: &str) -> String {
    if !sql.contains(" AND ") && !sql.contains(" OR ") && !sql.contains("ARRAY[") {
        return sql.to_owned();
    }
    let mut open: Vec<(char, Vec<Piece>)> = Vec::new();
    let mut level = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let length = quoted(rest, &level);
        if length > 0 {
            level.push(Quoted(rest[..length].to_owned()));
            rest = &rest[length..];
            continue;
        }
        match first {
            '(' | '[' => open.push((first, std::mem::take(&mut level))),
            ')' | ']' => match open.pop() {
                Some((opening, outer)) => {
                    let inner = std::mem::replace(&mut level, outer);
                    level.push(Group(opening, simplified(inner), first));
                }
                None => push(&mut level, first),
            },
            _ => push(&mut level, first),
        }
        rest = &rest[first.len_utf8()..];
    }
    // What is left open is written as it came.
    while let Some((opening, mut outer)) = open.pop() {
        push(&mut outer, opening);
        outer.append(&mut level);
        level = outer;
    }
    let mut written = String::with_capacity(sql.len());
    write(&simplified(level), &mut written);
    written
}

fn push(level: &mut Vec<Piece>, letter: char) {
    match level.last_mut() {
        Some(Text(text)) => text.push(letter),
        _ => level.push(Text(letter.into())),
    }
}

fn write(pieces: &[Piece], to: &mut String) {
    for piece in pieces {
        match piece {
            Text(text) | Quoted(text) => to.push_str(text),
            Group(opening, inner, closing) => {
                to.push(*opening);
                write(inner, to);
                to.push(*closing);
            }
        }
    }
}

/// How many bytes the quoted thing has that the text begins with; zero when it begins with none.
fn quoted(rest: &str, before: &[Piece]) -> usize {
    match rest.as_bytes().first() {
        Some(quote @ (b'\'' | b'"')) => {
            // Backslashes count in E'' only; doubled quotes are two quoted things side by side.
            let escapes = *quote == b'\'' && matches!(before.last(), Some(Text(text)) if text.ends_with('E'));
            let mut bytes = rest.bytes().enumerate().skip(1);
            while let Some((i, byte)) = bytes.next() {
                match byte {
                    b'\\' if escapes => _ = bytes.next(),
                    byte if byte == *quote => return i + 1,
                    _ => {}
                }
            }
            rest.len()
        }
        Some(b'$') => {
            let Some(end) = rest[1..].find('$') else { return 0 };
            let tag = &rest[..end + 2];
            if !tag[1..tag.len() - 1].chars().all(|c| c.is_alphanumeric() || c == '_') {
                return 0;
            }
            rest[tag.len()..].find(tag).map_or(0, |close| tag.len() * 2 + close)
        }
        _ => 0,
    }
}

/// The content of one pair of brackets, whose inner brackets are simplified already.
fn simplified(level: Vec<Piece>) -> Vec<Piece> {
    flat(cast_elements(level))
}

/// `(a AND b) AND c` as `a AND b AND c`, and the same with OR.
fn flat(level: Vec<Piece>) -> Vec<Piece> {
    let dissolves = |i: usize| {
        let Group('(', inner, _) = &level[i] else { return false };
        let Some(word) = chain(inner) else { return false };
        let before = match i.checked_sub(1).map(|i| &level[i]) {
            None => None,
            Some(Text(text)) => Some(text.trim_end()),
            Some(_) => return false,
        };
        let after = match level.get(i + 1) {
            None => None,
            Some(Text(text)) => Some(text.trim_start()),
            Some(_) => return false,
        };
        let is_operand = before.is_none_or(|text| text.is_empty() && i == 1 || ends_with_word(text, word))
            && after.is_none_or(|text| text.starts_with(word) && text[word.len()..].starts_with(' '));
        is_operand && (before.is_some_and(|text| !text.is_empty()) || after.is_some())
    };
    let dissolved: Vec<bool> = (0..level.len()).map(dissolves).collect();
    let mut pieces = Vec::with_capacity(level.len());
    for (piece, dissolved) in level.into_iter().zip(dissolved) {
        match piece {
            Group(_, inner, _) if dissolved => pieces.extend(inner),
            piece => pieces.push(piece),
        }
    }
    pieces
}

fn ends_with_word(text: &str, word: &str) -> bool {
    text.strip_suffix(word).is_some_and(|before| before.is_empty() || before.ends_with(' '))
}

/// The one word that joins everything in it, if it is one.
fn chain(inner: &[Piece]) -> Option<&'static str> {
    let has = |word: &str| inner.iter().any(|piece| matches!(piece, Text(text) if text.contains(word)));
    // A list, a subquery and a frame are no chains.
    if has(",") || has("SELECT") || has("BETWEEN") || has("CASE") {
        return None;
    }
    match (has(" AND "), has(" OR ")) {
        (true, false) => Some("AND"),
        (false, true) => Some("OR"),
        _ => None,
    }
}

/// `(ARRAY[a, b])::text[]` as `ARRAY[(a)::text, (b)::text]`.
fn cast_elements(level: Vec<Piece>) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::with_capacity(level.len());
    for piece in level {
        let name = match (pieces.as_slice(), &piece) {
            ([.., Group('(', array, _), Text(cast)], Group('[', none, _)) if none.is_empty() && is_array(array) => {
                cast.strip_prefix("::").filter(|name| is_name(name)).map(str::to_owned)
            }
            _ => None,
        };
        let Some(name) = name else {
            pieces.push(piece);
            continue;
        };
        pieces.pop();
        let Some(Group(_, array, _)) = pieces.pop() else { continue };
        pieces.extend(array.into_iter().map(|piece| match piece {
            Group('[', elements, closing) => Group('[', each_cast(elements, &name), closing),
            piece => piece,
        }));
    }
    pieces
}

fn is_array(inner: &[Piece]) -> bool {
    matches!(inner, [Text(word), Group('[', ..)] if word == "ARRAY")
}

fn is_name(text: &str) -> bool {
    text.chars().all(|c| c.is_alphanumeric() || " _.".contains(c))
}

fn each_cast(elements: Vec<Piece>, name: &str) -> Vec<Piece> {
    let mut cast = Vec::new();
    let mut element = Vec::new();
    for piece in elements {
        let Text(text) = piece else {
            element.push(piece);
            continue;
        };
        let mut parts = text.split(", ");
        if let Some(part) = parts.next().filter(|part| !part.is_empty()) {
            element.push(Text(part.to_owned()));
        }
        for part in parts {
            cast.push(Group('(', std::mem::take(&mut element), ')'));
            cast.push(Text(format!("::{name}, ")));
            if !part.is_empty() {
                element.push(Text(part.to_owned()));
            }
        }
    }
    if !element.is_empty() {
        cast.push(Group('(', element, ')'));
        cast.push(Text(format!("::{name}")));
    }
    cast
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn an_and_within_an_and_is_one() {
        let after = "CHECK (((x >= 1) AND (x <= 2) AND y))";
        assert_eq!(canonical("CHECK ((((x >= 1) AND (x <= 2)) AND y))"), after);
        assert_eq!(canonical("CHECK ((y AND ((x >= 1) AND (x <= 2))))"), "CHECK ((y AND (x >= 1) AND (x <= 2)))");
        assert_eq!(canonical("((a OR b) OR c)"), "(a OR b OR c)");
        assert_eq!(canonical("(((a AND b) AND c) AND d)"), "(a AND b AND c AND d)");
        assert_eq!(canonical(after), after);
    }

    #[test]
    fn parentheses_that_mean_something_stay() {
        for sql in [
            "((a OR b) AND c)",
            "(a OR (b AND c))",
            "((NOT (a AND b)) AND c)",
            "(NOT (a AND b) AND c)",
            "(x = (a AND b) AND c)",
            "CHECK ((a AND b))",
            "(f((a AND b), c) AND d)",
            "((a AND b)::text AND c)",
            "(x AND (SELECT 1 WHERE a AND b) AND c)",
        ] {
            assert_eq!(canonical(sql), sql);
        }
    }

    #[test]
    fn a_cast_of_an_array_is_one_of_its_elements() {
        let before = "((name)::text = ANY ((ARRAY['a'::character varying, 'b, c'::character varying])::text[]))";
        let after = "((name)::text = ANY (ARRAY[('a'::character varying)::text, ('b, c'::character varying)::text]))";
        assert_eq!(canonical(before), after);
        assert_eq!(canonical(after), after);
        assert_eq!(canonical("(ARRAY[1, f(2, 3)])::bigint[] x"), "ARRAY[(1)::bigint, (f(2, 3))::bigint] x");
    }

    #[test]
    fn what_is_quoted_stays() {
        for sql in [
            "(x = '((a AND b) AND c)' AND y)",
            r"(x = E'\'((a AND b) AND c)' AND y)",
            "(\"((a AND b) AND c)\" AND y)",
            "AS $function$ SELECT ((a AND b) AND c) $function$",
            "(x = 'it''s ((a AND b) AND c)' AND ARRAY[)",
        ] {
            assert_eq!(canonical(sql), sql);
        }
    }
}
