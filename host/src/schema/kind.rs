//! The kinds of objects, as DDL calls them, in the order in which differences are told.

/// Tables and what belongs to them first, what is only said about other objects last.
const KINDS: [&str; 59] = [
    "schema",
    "extension",
    "language",
    "access method",
    "table",
    "foreign table",
    "partition",
    "column",
    "column order",
    "default",
    "column setting",
    "sequence",
    "constraint",
    "disabled constraint",
    "index",
    "cluster",
    "replica identity",
    "row security",
    "policy",
    "view",
    "materialized view",
    "population",
    "rule",
    "trigger",
    "type",
    "domain",
    "enum value",
    "enum order",
    "function",
    "procedure",
    "aggregate",
    "operator",
    "operator family",
    "operator class",
    "cast",
    "transform",
    "collation",
    "conversion",
    "text search parser",
    "text search template",
    "text search dictionary",
    "text search configuration",
    "statistics",
    "foreign data wrapper",
    "server",
    "user mapping",
    "event trigger",
    "publication",
    "subscription",
    "owner",
    "privilege",
    "default privilege",
    "comment",
    "extension dependency",
    "security label",
    "setting",
    "role setting",
    "database owner",
    "database privilege",
];

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Kind(usize);

impl Kind {
    /// The kind of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        KINDS.iter().position(|kind| *kind == name).map(Self)
    }

    /// Its name.
    pub(super) fn as_str(self) -> &'static str {
        KINDS[self.0]
    }

    /// Whether an object of this kind is an order of others and nothing else.
    pub(super) fn is_order(self) -> bool {
        matches!(self.as_str(), "column order" | "enum order")
    }

    /// Whether an object of this kind stands within the parentheses of what it belongs to.
    pub(super) fn is_inner(self) -> bool {
        matches!(self.as_str(), "column" | "constraint" | "enum value")
    }

    /// Whether an object of this kind says who may do what, and nothing else.
    pub(super) fn is_of_roles(self) -> bool {
        matches!(
            self.as_str(),
            "owner"
                | "privilege"
                | "default privilege"
                | "role setting"
                | "user mapping"
                | "database owner"
                | "database privilege"
        )
    }

    /// Whether an object of this kind says that a materialized view is filled.
    pub(super) fn is_population(self) -> bool {
        self.as_str() == "population"
    }

    /// Whether an object of this kind is not in a dump of what is in a database: it belongs to the database itself, or is one of the server's
    /// own triggers being off.
    pub(super) fn is_never_dumped(self) -> bool {
        matches!(
            self.as_str(),
            "disabled constraint" | "setting" | "role setting" | "database owner" | "database privilege"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_one_place() {
        for (i, name) in KINDS.iter().enumerate() {
            assert_eq!(Kind::named(name), Some(Kind(i)));
        }
        assert_eq!(Kind::named("tables"), None);
    }
}
