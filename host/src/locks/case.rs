//! What depends on the database: whether a statement takes long, where its text alone does not tell.

use squawk_syntax::{
    SyntaxNode,
    ast::{self, AstNode},
};

use super::{RelationName, Work};

/// On what it depends how long a form of a statement works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Case {
    /// On nothing.
    Always,
    /// A column of this type is added: where it is a domain with constraints, every row is written anew.
    OfType(RelationName),
    /// A column with a default is added that these functions work out: where one is volatile, every row gets a value of its own.
    Calls(Vec<String>),
    /// A column is declared to hold no nulls: where that is known to be so, nothing is read.
    NotNull(String),
    /// A column gets this type: where that only lets longer texts in, nothing is written.
    NewType {
        /// The column.
        column: String,
        /// The type as it is written.
        to: String,
    },
    /// Of a partitioned table no more than the catalog is touched; what is no such table has rows.
    OnlyTheParent,
}

/// The names of the functions that are called somewhere in a statement, without their schemas; empty for what is no plain name.
pub(super) fn called(node: &SyntaxNode) -> impl Iterator<Item = String> {
    node.descendants().filter_map(ast::CallExpr::cast).map(|call| {
        let tokens = call.expr().into_iter().flat_map(|name| name.syntax().descendants_with_tokens());
        let last = tokens.filter_map(|element| element.into_token()).filter(|token| !token.kind().is_trivia()).last();
        last.map(|token| token.text().trim_matches('"').to_ascii_lowercase()).unwrap_or_default()
    })
}

impl Case {
    /// The work in a table whose columns are known, or not.
    pub(super) fn work(&self, otherwise: Work, columns: &[Column]) -> Work {
        let column = |name: &String| columns.iter().find(|column| column.name == *name);
        let is_brief = match self {
            Self::NotNull(name) => column(name).is_some_and(|column| column.not_null),
            Self::NewType { column: name, to } => {
                column(name).is_some_and(|column| !column.used && is_wider(&column.kind, to))
            }
            _ => false,
        };
        if is_brief { Work::Brief } else { otherwise }
    }
}

/// A column as the database knows it.
#[derive(Debug, Clone, serde::Deserialize)]
pub(super) struct Column {
    pub(super) name: String,
    /// As `format_type` writes it.
    pub(super) kind: String,
    /// Whether it cannot hold a null, by its declaration or by a constraint that is valid.
    pub(super) not_null: bool,
    /// Whether an index or a constraint needs it, which a new type has the server look at again.
    pub(super) used: bool,
}

/// Whether every value of one type is one of the other, as it is stored.
fn is_wider(from: &str, to: &str) -> bool {
    match (Text::of(from), Text::of(to)) {
        (Some(_), Some(Text { at_most: None })) => true,
        (Some(Text { at_most: Some(from) }), Some(Text { at_most: Some(to) })) => from <= to,
        _ => false,
    }
}

/// `text` or `varchar`
struct Text {
    at_most: Option<u32>,
}

impl Text {
    fn of(kind: &str) -> Option<Self> {
        let kind = kind.to_ascii_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
        if kind == "text" {
            return Some(Self { at_most: None });
        }
        let rest = ["varchar", "character varying", "char varying"].iter().find_map(|name| kind.strip_prefix(name))?;
        match rest.trim() {
            "" => Some(Self { at_most: None }),
            rest => {
                let length = rest.strip_prefix('(')?.strip_suffix(')')?;
                Some(Self { at_most: Some(length.trim().parse().ok()?) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_wider_where_it_only_lets_longer_texts_in() {
        for (from, to) in [
            ("character varying(50)", "varchar(100)"),
            ("character varying(50)", "VARCHAR ( 50 )"),
            ("character varying(50)", "text"),
            ("character varying", "text"),
            ("text", "varchar"),
        ] {
            assert!(is_wider(from, to), "{from} to {to}");
        }
        for (from, to) in [
            ("character varying(50)", "varchar(20)"),
            ("text", "varchar(20)"),
            ("integer", "bigint"),
            ("text", "text[]"),
        ] {
            assert!(!is_wider(from, to), "{from} to {to}");
        }
    }
}
