//! The name of a relation, as a statement writes it.

use std::fmt;

use squawk_syntax::{SyntaxKind, SyntaxNode, ast, ast::AstNode};

use crate::{postgres::quote_ident, printable::printable};

/// A name, with its schema where that was written. Unquoted letters are small, as the server reads them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelationName {
    /// The schema.
    pub schema: Option<String>,
    /// The name.
    pub name: String,
}

impl RelationName {
    /// The first path in a part of a statement.
    pub fn in_node(node: &SyntaxNode) -> Option<Self> {
        let mut parts = path_in(node)?;
        let name = parts.pop()?;
        // What stands before the schema is the database, which can only be this one.
        Some(Self { schema: parts.pop(), name })
    }

    /// The same of a path whose last part is a column.
    pub fn before_column(node: &SyntaxNode) -> Option<Self> {
        let mut parts = path_in(node)?;
        parts.pop()?;
        let name = parts.pop()?;
        Some(Self { schema: parts.pop(), name })
    }

    /// A name that can have no schema, such as that of a trigger or a column.
    pub fn of_word(node: &SyntaxNode) -> Option<Self> {
        let token = node.descendants_with_tokens().filter_map(|element| element.into_token()).find(|token| {
            let text = token.text();
            !token.kind().is_trivia() && text.starts_with(|c: char| c.is_alphabetic() || matches!(c, '_' | '"'))
        })?;
        let text = token.text();
        let quoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        Some(Self::bare(quoted.map_or_else(|| text.to_ascii_lowercase(), |text| text.replace("\"\"", "\""))))
    }

    /// A name in no schema, which the server looks for.
    pub fn bare(name: impl Into<String>) -> Self {
        Self { schema: None, name: name.into() }
    }

    /// As SQL writes it, whatever characters it has.
    pub fn quoted(&self) -> String {
        let name = quote_ident(&self.name);
        match &self.schema {
            Some(schema) => format!("{}.{name}", quote_ident(schema)),
            None => name,
        }
    }

    /// Whether the other may be the same: a name without a schema fits every schema.
    pub fn fits(&self, other: &Self) -> bool {
        self.name == other.name
            && match (&self.schema, &other.schema) {
                (Some(ours), Some(theirs)) => ours == theirs,
                _ => true,
            }
    }
}

impl fmt::Display for RelationName {
    /// Quoted only where it must be, and fit for a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |name: &str| {
            let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
                && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'$');
            if plain { name.to_owned() } else { printable(&quote_ident(name)) }
        };
        match &self.schema {
            Some(schema) => write!(f, "{}.{}", part(schema), part(&self.name)),
            None => f.write_str(&part(&self.name)),
        }
    }
}

/// The parts of the first path, without quotes.
fn path_in(node: &SyntaxNode) -> Option<Vec<String>> {
    let is_path = |kind: SyntaxKind| ast::PathRef::can_cast(kind) || ast::Path::can_cast(kind);
    let path = node.descendants().find(|node| is_path(node.kind()))?;
    let segments = path.descendants().filter_map(|node| {
        let segment = ast::PathSegmentRef::cast(node.clone()).map(|segment| segment.text());
        segment.or_else(|| ast::PathSegment::cast(node).map(|segment| segment.text()))
    });
    Some(segments.filter(|part| !part.is_empty()).collect())
}

#[cfg(test)]
mod tests {
    use squawk_syntax::SourceFile;

    use super::*;

    fn name(table: &str) -> String {
        let parsed = SourceFile::parse(&format!("DROP TABLE {table}"));
        RelationName::in_node(&parsed.syntax_node()).unwrap().to_string()
    }

    #[test]
    fn names_are_read_as_the_server_reads_them() {
        for (written, read) in [
            ("t", "t"),
            ("App.Users", "app.users"),
            ("\"App\".\"a\"\"b\"", "\"App\".\"a\"\"b\""),
            ("here.public.t", "public.t"),
            ("\"a\u{1b}[31m\"", "\"a [31m\""),
        ] {
            assert_eq!(name(written), read, "{written}");
        }
    }

    #[test]
    fn a_name_without_a_schema_fits_every_schema() {
        let (bare, public) =
            (RelationName::bare("t"), RelationName { schema: Some("public".into()), name: "t".into() });
        let other = RelationName { schema: Some("other".into()), name: "t".into() };
        assert!(bare.fits(&public) && public.fits(&bare) && !public.fits(&other));
        assert!(!bare.fits(&RelationName::bare("u")));
    }
}
