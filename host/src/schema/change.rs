//! How an object differs between two moments.

use serde::Serialize;

/// An object that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Change {
    /// What it is, as DDL calls it in small letters: `table`, `column`, `index`, `default`, `comment`, `privilege`, `enum value` …
    pub kind: &'static str,
    /// Its name, with its schema unless that is `public`, and with its table where it belongs to one: `users.email`.
    pub name: String,
    /// What became of it.
    pub how: Changed,
    /// Its DDL at the earlier moment; several statements where one does not tell all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// Its DDL at the later moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// What became of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Changed {
    /// It is only there at the earlier moment.
    Gone,
    /// It is only there at the later moment.
    New,
    /// It is there at both, and another.
    Altered,
}
