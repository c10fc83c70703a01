//! The tokens of SQL as PostgreSQL reads them. Every byte is in one: joined, they give the text back.
//!
//! Source of the rules: `scan.l` and `psqlscan.l` of PostgreSQL 18, with `standard_conforming_strings` on, as the host sets it. This
//! file uses nothing of the crate, so that the differential tests and the fuzz targets can include it by its path.

/// A token: what it is, and its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Its first byte.
    pub start: usize,
    /// The byte behind its last.
    pub end: usize,
    /// Whether it ends. A quote or a comment that does not reaches to the end of the text.
    pub ended: bool,
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Spaces and ends of lines.
    Whitespace,
    /// From `--` to the end of the line, without it.
    LineComment,
    /// `/* … */`, with those inside it.
    BlockComment,
    /// A keyword or a name without quotes.
    Word,
    /// A name in quotes.
    Name(Escapes),
    /// A string in single quotes, with what continues it on later lines.
    Text(Escapes),
    /// `B'…'` or `X'…'`.
    Bits,
    /// `$tag$ … $tag$`.
    Dollar,
    /// `$1`.
    Param,
    /// A number, or what begins like one.
    Number,
    /// One or more of the characters of operators.
    Operator,
    /// `;`
    Semicolon,
    /// `(`
    Open,
    /// `)`
    Close,
    /// `\`, which is psql's.
    Backslash,
    /// Any other character, and `::`, `:=` and `..`.
    Other,
}

/// How a quote writes characters that it cannot hold as they are, beside doubling its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escapes {
    /// Not at all.
    None,
    /// `E'…'`: with a backslash, which also hides the end of the quote.
    Backslash,
    /// `U&'…'`, `U&"…"`: by their numbers.
    Unicode,
}

impl Token {
    /// Whether it is nothing to the server.
    pub fn is_blank(&self) -> bool {
        matches!(self.kind, Kind::Whitespace | Kind::LineComment | Kind::BlockComment)
    }
}

/// The tokens of a text.
pub fn tokens(text: &str) -> Tokens<'_> {
    Tokens { bytes: text.as_bytes(), text, at: 0, signs_until: 0 }
}

/// Whether two texts have the same tokens but for what stands in strings and which numbers they have: rows that are written to one table, say.
pub fn differ_in_values_only(a: &str, b: &str) -> bool {
    let of = |text| tokens(text).filter(|token| !token.is_blank());
    let alike = |(one, other): (Token, Token)| {
        let is_value = matches!(one.kind, Kind::Text(_) | Kind::Number) && one.ended && other.ended;
        one.kind == other.kind && (is_value || a[one.start..one.end] == b[other.start..other.end])
    };
    let (mut ones, mut others) = (of(a), of(b));
    loop {
        match (ones.next(), others.next()) {
            (Some(one), Some(other)) if alike((one, other)) => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}

/// See [`tokens`].
#[derive(Debug, Clone)]
pub struct Tokens<'a> {
    bytes: &'a [u8],
    text: &'a str,
    at: usize,
    /// Up to here every byte is a sign and an operator by itself: a long run of them is not read again for each.
    signs_until: usize,
}

impl Tokens<'_> {
    /// Goes on at this byte, which must begin a character.
    pub fn jump(&mut self, to: usize) {
        self.at = to.min(self.bytes.len());
        self.signs_until = 0;
    }
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        let start = self.at;
        if start == self.bytes.len() {
            return None;
        }
        let (kind, end) = self.token_at(start);
        let ended = end.is_some();
        self.at = end.unwrap_or(self.bytes.len());
        Some(Token { kind, start, end: self.at, ended })
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

fn begins_word(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

fn is_in_word(byte: u8) -> bool {
    begins_word(byte) || byte.is_ascii_digit() || byte == b'$'
}

fn is_in_operator(byte: u8) -> bool {
    matches!(
        byte,
        b'~' | b'!'
            | b'@'
            | b'#'
            | b'^'
            | b'&'
            | b'|'
            | b'`'
            | b'?'
            | b'+'
            | b'-'
            | b'*'
            | b'/'
            | b'%'
            | b'<'
            | b'>'
            | b'='
    )
}

impl Tokens<'_> {
    fn byte(&self, at: usize) -> u8 {
        // No token is told from another by a NUL.
        self.bytes.get(at).copied().unwrap_or(0)
    }

    fn follows(&self, at: usize, what: &[u8]) -> bool {
        self.bytes[at..].starts_with(what)
    }

    fn while_(&self, from: usize, holds: impl Fn(u8) -> bool) -> usize {
        self.bytes[from..].iter().position(|byte| !holds(*byte)).map_or(self.bytes.len(), |n| from + n)
    }

    /// The token at a byte, and where it ends, if it does.
    fn token_at(&mut self, start: usize) -> (Kind, Option<usize>) {
        let first = self.bytes[start];
        let is_letter = |letter: u8| first.eq_ignore_ascii_case(&letter);
        match first {
            b if is_space(b) => (Kind::Whitespace, Some(self.while_(start, is_space))),
            b'-' if self.follows(start, b"--") => (Kind::LineComment, Some(self.line_end(start))),
            b'/' if self.follows(start, b"/*") => (Kind::BlockComment, self.comment(start)),
            b'\'' => (Kind::Text(Escapes::None), self.string(start + 1, Kind::Text(Escapes::None))),
            b'"' => (Kind::Name(Escapes::None), self.quoted(start + 1)),
            b'$' => self.dollar(start),
            b if begins_word(b) => match (self.byte(start + 1), self.byte(start + 2)) {
                (b'\'', _) if is_letter(b'e') => {
                    (Kind::Text(Escapes::Backslash), self.string(start + 2, Kind::Text(Escapes::Backslash)))
                }
                (b'\'', _) if is_letter(b'b') || is_letter(b'x') => (Kind::Bits, self.string(start + 2, Kind::Bits)),
                (b'&', b'\'') if is_letter(b'u') => {
                    (Kind::Text(Escapes::Unicode), self.string(start + 3, Kind::Text(Escapes::Unicode)))
                }
                (b'&', b'"') if is_letter(b'u') => (Kind::Name(Escapes::Unicode), self.quoted(start + 3)),
                _ => (Kind::Word, Some(self.while_(start, is_in_word))),
            },
            b if b.is_ascii_digit() => (Kind::Number, Some(self.number(start))),
            b'.' if self.byte(start + 1).is_ascii_digit() => (Kind::Number, Some(self.number(start))),
            b';' => (Kind::Semicolon, Some(start + 1)),
            b'(' => (Kind::Open, Some(start + 1)),
            b')' => (Kind::Close, Some(start + 1)),
            b'\\' => (Kind::Backslash, Some(start + 1)),
            b if is_in_operator(b) => (Kind::Operator, Some(self.operator(start))),
            _ if [&b"::"[..], b":=", b".."].iter().any(|two| self.follows(start, two)) => {
                (Kind::Other, Some(start + 2))
            }
            _ => (Kind::Other, Some(start + 1)),
        }
    }

    fn line_end(&self, from: usize) -> usize {
        self.while_(from, |byte| byte != b'\n' && byte != b'\r')
    }

    fn comment(&self, start: usize) -> Option<usize> {
        let (mut at, mut depth) = (start, 0_usize);
        loop {
            // To the next character that matters.
            at += self.bytes[at..].iter().position(|byte| matches!(byte, b'/' | b'*'))?;
            match (self.bytes[at], self.byte(at + 1)) {
                (b'/', b'*') => (at, depth) = (at + 2, depth + 1),
                (b'*', b'/') => (at, depth) = (at + 2, depth - 1),
                _ => at += 1,
            }
            if depth == 0 {
                return Some(at);
            }
        }
    }

    /// From behind the opening quote of a string. What its kind is holds on the lines that continue it, too: backslashes that hide what
    /// follows them, and a doubled quote, which bits do not have.
    fn string(&self, from: usize, kind: Kind) -> Option<usize> {
        let backslashes = kind == Kind::Text(Escapes::Backslash);
        let mut at = from;
        loop {
            at += self.bytes[at..].iter().position(|byte| *byte == b'\'' || backslashes && *byte == b'\\')?;
            if self.bytes[at] == b'\\' {
                at = (at + 2).min(self.bytes.len());
            } else if kind != Kind::Bits && self.byte(at + 1) == b'\'' {
                at += 2;
            } else {
                match self.continued(at + 1) {
                    Some(next) => at = next,
                    None => return Some(at + 1),
                }
            }
        }
    }

    /// From behind the closing quote of a string: behind the quote that opens it again, if nothing but spaces, comments and at least one
    /// end of a line stand between.
    fn continued(&self, from: usize) -> Option<usize> {
        let (mut at, mut lines) = (from, false);
        loop {
            match self.byte(at) {
                b'\'' if lines => return Some(at + 1),
                b'-' if self.follows(at, b"--") => at = self.line_end(at),
                b if is_space(b) => {
                    lines |= matches!(b, b'\n' | b'\r');
                    at += 1;
                }
                _ => return None,
            }
        }
    }

    /// From behind the opening quote of a name.
    fn quoted(&self, from: usize) -> Option<usize> {
        let mut at = from;
        loop {
            at += self.bytes[at..].iter().position(|byte| *byte == b'"')? + 1;
            if self.byte(at) != b'"' {
                return Some(at);
            }
            at += 1;
        }
    }

    /// A string between tags, a parameter, or a `$` alone.
    fn dollar(&self, start: usize) -> (Kind, Option<usize>) {
        let next = self.byte(start + 1);
        if next.is_ascii_digit() {
            let digits = self.while_(start + 1, |byte| byte.is_ascii_digit());
            return (Kind::Param, Some(self.junk(digits)));
        }
        let tag_end = match next {
            b'$' => start + 1,
            b if begins_word(b) => self.while_(start + 1, |byte| is_in_word(byte) && byte != b'$'),
            _ => return (Kind::Other, Some(start + 1)),
        };
        if self.byte(tag_end) != b'$' {
            return (Kind::Other, Some(start + 1));
        }
        let (tag, body) = (&self.text[start..=tag_end], tag_end + 1);
        (Kind::Dollar, self.text[body..].find(tag).map(|n| body + n + tag.len()))
    }

    /// What begins with a digit, or with a point before one. Letters that follow belong to it, and the server refuses it for them.
    fn number(&self, start: usize) -> usize {
        let mut end = self.digits(start);
        if self.byte(end) == b'.' && self.byte(end + 1) != b'.' {
            end = self.digits(end + 1);
        }
        if matches!(self.byte(end), b'e' | b'E') {
            let sign = usize::from(matches!(self.byte(end + 1), b'+' | b'-'));
            if self.byte(end + 1 + sign).is_ascii_digit() {
                end = self.digits(end + 1 + sign);
            } else if sign == 1 {
                return end;
            }
        }
        self.junk(end)
    }

    /// Digits, which single underscores may part.
    fn digits(&self, from: usize) -> usize {
        let mut at = from;
        loop {
            let underscore = usize::from(at > from && self.byte(at) == b'_');
            if !self.byte(at + underscore).is_ascii_digit() {
                return at;
            }
            at += underscore + 1;
        }
    }

    fn junk(&self, end: usize) -> usize {
        if begins_word(self.byte(end)) { self.while_(end, is_in_word) } else { end }
    }

    /// An operator ends where a comment begins, and not in `+` or `-` unless it holds a character that SQL has in no operator.
    fn operator(&mut self, start: usize) -> usize {
        if start < self.signs_until {
            return start + 1;
        }
        let all = &self.bytes[start..self.while_(start, is_in_operator)];
        let comment = all.windows(2).position(|two| two == b"--" || two == b"/*");
        let all = &all[..comment.unwrap_or(all.len())];
        let last_not = |signs: &[u8]| all.iter().rposition(|byte| !signs.contains(byte));
        if all.iter().any(|byte| matches!(byte, b'~' | b'!' | b'@' | b'#' | b'^' | b'&' | b'|' | b'`' | b'?' | b'%')) {
            return start + all.len();
        }
        match last_not(b"+-") {
            Some(last) => start + last + 1,
            None => {
                self.signs_until = start + all.len();
                start + 1
            }
        }
    }
}

/// What a string or a name in quotes stands for, as far as nothing in it is escaped by a backslash: its parts without quotes, and the
/// end of the quote doubled in none.
pub fn content(token: &Token, text: &str) -> Option<String> {
    let piece = &text[token.start..token.end];
    let escapes = match token.kind {
        Kind::Text(escapes) | Kind::Name(escapes) if token.ended => escapes,
        Kind::Dollar if token.ended => {
            let tag = piece[1..].find('$')? + 2;
            return Some(piece[tag..piece.len() - tag].to_owned());
        }
        _ => return None,
    };
    if escapes != Escapes::None && piece.contains('\\') {
        return None;
    }
    let quote = if matches!(token.kind, Kind::Name(_)) { '"' } else { '\'' };
    let mut said = String::with_capacity(piece.len());
    let mut rest = &piece[piece.find(quote)? + 1..];
    loop {
        let end = rest.find(quote)?;
        said.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        if let Some(more) = rest.strip_prefix(quote) {
            said.push(quote);
            rest = more;
        } else if rest.is_empty() {
            return Some(said);
        } else {
            // What lies between two parts may be a comment with quotes in it.
            let again = Tokens { bytes: rest.as_bytes(), text: rest, at: 0, signs_until: 0 }.continued(0)?;
            rest = &rest[again..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str) -> Vec<&str> {
        let tokens: Vec<Token> = tokens(text).collect();
        assert_eq!(tokens.iter().map(|token| &text[token.start..token.end]).collect::<String>(), text);
        tokens.iter().filter(|token| !token.is_blank()).map(|token| &text[token.start..token.end]).collect()
    }

    #[test]
    fn rows_of_one_table_differ_in_values_only() {
        let row = "INSERT INTO t (a, \"B\") VALUES (1, 'x')";
        for other in
            ["INSERT INTO t (a, \"B\")\n  VALUES (22 /* b */, 'it''s (')", "INSERT INTO t(a,\"B\")VALUES(1.5e3,'')"]
        {
            assert!(differ_in_values_only(row, other), "{other}");
        }
        for other in [
            "INSERT INTO u (a, \"B\") VALUES (1, 'x')",
            "INSERT INTO t (a, \"b\") VALUES (1, 'x')",
            "INSERT INTO t (a, \"B\") VALUES (1, E'x')",
            "INSERT INTO t (a, \"B\") VALUES ('1', 'x')",
            "INSERT INTO t (a, \"B\") VALUES (-1, 'x')",
            "INSERT INTO t (a, \"B\") VALUES (1, 'x'), (1, 'x')",
            "INSERT INTO t (a, \"B\") VALUES (1, (SELECT b FROM v))",
            "INSERT INTO t (a, \"B\") VALUES (1, 'x",
        ] {
            assert!(!differ_in_values_only(row, other), "{other}");
        }
    }

    #[test]
    fn quotes_end_where_the_server_ends_them() {
        for (text, expected) in [
            (r"'a\' 'b'", &[r"'a\'", "'b'"][..]),
            (r"E'a\' ''b'' \\' c", &[r"E'a\' ''b'' \\'", "c"]),
            ("'a'  -- it's\n \t'b' c", &["'a'  -- it's\n \t'b'", "c"]),
            ("E'a'\n'b\\'' c", &["E'a'\n'b\\''", "c"]),
            ("'a' 'b'", &["'a'", "'b'"]),
            ("'a' -- x\n-- y\r\n'b'", &["'a' -- x\n-- y\r\n'b'"]),
            ("'a' /* x */\n'b'", &["'a'", "'b'"]),
            (r#"U&'a\' U&"b""c" u&1"#, &[r"U&'a\'", r#"U&"b""c""#, "u", "&", "1"]),
            (r"b'\' x'a' n'b' xe'c\'", &[r"b'\'", "x'a'", "n", "'b'", "xe", r"'c\'"]),
            ("x'a''b;' B'1'\n'0'", &["x'a'", "'b;'", "B'1'\n'0'"]),
            (r#""a;""b" "c""#, &[r#""a;""b""#, r#""c""#]),
        ] {
            assert_eq!(pieces(text), expected, "{text}");
        }
    }

    #[test]
    fn dollars_are_quotes_names_and_parameters() {
        for (text, expected) in [
            ("$$a$b$ $ c$$d", &["$$a$b$ $ c$$", "d"][..]),
            ("$a$ $b$ $a $a$", &["$a$ $b$ $a $a$"]),
            ("$a$x$b$a$", &["$a$x$b$a$"]),
            ("x$BEGIN$ 1", &["x$BEGIN$", "1"]),
            ("$1 $2a$b$ $é$;$é$ $ x", &["$1", "$2a$b$", "$é$;$é$", "$", "x"]),
            ("$a b$", &["$", "a", "b$"]),
        ] {
            assert_eq!(pieces(text), expected, "{text}");
        }
    }

    #[test]
    fn a_long_run_of_signs_is_read_once() {
        // Read again for each of them this would take minutes.
        let text = format!("select 1{}1", "+-".repeat(200_000).trim_end_matches('-'));
        assert_eq!(tokens(&text).filter(|token| token.kind == Kind::Operator).count(), 399_999);
    }

    #[test]
    fn comments_nest_and_cut_operators_off() {
        for (text, expected) in [
            ("a /*/ b */ c", &["a", "c"][..]),
            ("/* /* */ ' */ a /**/ b /***/ c", &["a", "b", "c"]),
            ("1+--x\n2", &["1", "+", "2"]),
            ("1@-/*x*/2 <-- y\n3", &["1", "@-", "2", "<", "3"]),
            ("a=-1 a@-1 a<>+-1 ++ -", &["a", "=", "-", "1", "a", "@-", "1", "a", "<>", "+", "-", "1", "+", "+", "-"]),
            ("a--b\rc", &["a", "c"]),
        ] {
            assert_eq!(pieces(text), expected, "{text}");
        }
    }

    #[test]
    fn numbers_take_what_the_server_takes() {
        for (text, expected) in [
            ("1.5e-3 .5 1. 1..2 1_000 0xFF", &["1.5e-3", ".5", "1.", "1", "..", "2", "1_000", "0xFF"][..]),
            (r"1e'a\' 2", &["1e", r"'a\'", "2"]),
            ("1e+a 1a;", &["1", "e", "+", "a", "1a", ";"]),
            ("a::b:=c:d", &["a", "::", "b", ":=", "c", ":", "d"]),
        ] {
            assert_eq!(pieces(text), expected, "{text}");
        }
    }

    #[test]
    fn what_never_ends_reaches_to_the_end() {
        for text in ["'a", "E'a\\'", "E'a\\", "\"a", "U&\"a\"\"", "$$a", "$a$ $a", "/* /* */", "x'", "'a'\n'b"] {
            let last = tokens(text).last().unwrap();
            assert!(!last.ended && last.end == text.len(), "{text}");
        }
        assert!(tokens("'a' --").all(|token| token.ended));
    }

    #[test]
    fn the_content_of_a_quote_is_what_it_stands_for() {
        for (text, expected) in [
            ("'it''s'", Some("it's")),
            ("'a' -- '\n 'b'", Some("ab")),
            ("E'a''b'", Some("a'b")),
            (r"E'a\tb'", None),
            (r"'a\'", Some(r"a\")),
            ("$x$it's$x$", Some("it's")),
            ("$$$$", Some("")),
            (r#""a""b""#, Some("a\"b")),
            (r#"U&"a""#, Some("a")),
            ("'a", None),
            ("a", None),
        ] {
            let token = tokens(text).next().unwrap();
            assert_eq!(content(&token, text).as_deref(), expected, "{text}");
        }
    }
}
