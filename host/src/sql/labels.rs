//! New labels of an enum type, which no statement of the same transaction can use (SQLSTATE 55P04).
//!
//! Source: PostgreSQL manual, "ALTER TYPE", section "Notes". Since version 17, a type that the transaction itself has made has no such labels;
//! what an older server says of those is left to it.

use super::{
    outside::{Effect, Name},
    scan::{Kind, content, tokens},
    split::Statement,
};

/// A string that looks like a label added above it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Use {
    /// The byte of the text at which the string, or the block that holds it, begins.
    pub(super) at: usize,
    /// The label.
    pub(super) label: String,
    /// The type, as SQL writes it.
    pub(super) type_name: String,
}

/// The first use of each new label by the statements of one transaction, each with its text. `made` are the types that they have made before.
pub(super) fn uses<'a>(statements: impl Iterator<Item = (&'a Statement, &'a str)>) -> Vec<Use> {
    let (mut made, mut labels, mut uses) = (Vec::<Name>::new(), Vec::<(Name, String)>::new(), Vec::new());
    for (statement, sql) in statements {
        match statement.words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["CREATE", "TYPE", ..] => made.extend(Name::behind(sql, &["CREATE", "TYPE"])),
            ["ALTER", "TYPE", ..] => {
                if let Effect::AddValue { type_name, label } = Effect::of(sql)
                    && !made.iter().any(|made| made.may_be(&type_name))
                {
                    labels.push((type_name, label));
                }
                continue;
            }
            // Words about things, which nothing reads.
            ["COMMENT", ..] => continue,
            _ => {}
        }
        if labels.is_empty() {
            continue;
        }
        let runs_code = statement.words.first().is_some_and(|word| word == "DO");
        find(sql, statement.start, runs_code, &mut |at, text| {
            if let Some(n) = labels.iter().position(|(_, label)| label == text) {
                let (type_name, label) = labels.remove(n);
                uses.push(Use { at, label, type_name: type_name.quoted() });
            }
        });
    }
    uses
}

/// Tells every string of a statement, and those in a block of code that is run at once.
fn find(sql: &str, base: usize, runs_code: bool, tell: &mut dyn FnMut(usize, &str)) {
    for token in tokens(sql) {
        if !matches!(token.kind, Kind::Text(_) | Kind::Dollar) {
            continue;
        }
        let Some(text) = content(&token, sql) else { continue };
        tell(base + token.start, &text);
        if runs_code {
            find(&text, base + token.start, false, &mut |_, text| tell(base + token.start, text));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::split::split;

    fn found(text: &str) -> Vec<(&str, String)> {
        let statements = split(text).statements;
        uses(statements.iter().map(|s| (s, &text[s.start..s.end])))
            .into_iter()
            .map(|used| (&text[used.at..used.at + 2], used.label))
            .collect()
    }

    #[test]
    fn a_new_label_is_found_where_it_is_used() {
        let add = "alter type mood add value if not exists 'it''s' after 'b';";
        for (rest, at) in [
            ("select 'it''s'::mood", "'i"),
            ("insert into t values (E'it\\'s'), ('x'), ($$it's$$)", "$$"),
            ("do $x$ begin perform 'it''s'::mood; end $x$", "$x"),
            ("do 'begin perform ''it''''s''::mood; end'", "'b"),
        ] {
            assert_eq!(found(&format!("{add}{rest}")), [(at, "it's".to_owned())], "{rest}");
        }
    }

    #[test]
    fn what_uses_none_is_let_through() {
        for text in [
            "select 'x'; alter type mood add value 'x'",
            "create type mood as enum ('a'); alter type mood add value 'x'; select 'x'::mood",
            "create type s.mood as enum ('a'); alter type mood add value 'x'; select 'x'::mood",
            "alter type mood add value 'x'; alter type mood add value 'y' after 'x'; comment on table t is 'x'",
            "alter type mood add value 'x'; select 'y', \"x\"",
            "alter type mood add value 'x'; create function f() returns text language sql as $$ select 'x' $$",
            "alter type mood rename value 'x' to 'y'; select 'y'",
        ] {
            assert_eq!(found(text), [], "{text}");
        }
    }
}
