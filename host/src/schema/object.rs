//! The objects of a database.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::kind::Kind;

/// The objects of a database at one moment, each as the DDL that makes it.
///
/// It does not depend on numbers that the server gives, so that a database and what was restored from its dump have the same.
#[derive(Debug, Clone, Default)]
pub struct Schema {
    pub(super) objects: BTreeMap<Key, Object>,
}

/// What tells an object from all others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    pub(super) kind: Kind,
    pub(super) name: String,
}

/// An object. Its DDL is in three parts, because the middle one is what stands within the DDL of what the object belongs to.
#[derive(Debug, Clone, Default)]
pub(super) struct Object {
    /// What it belongs to and is told with: first that in whose DDL it is shown, then others.
    pub(super) parents: Vec<Key>,
    pub(super) lead: String,
    pub(super) body: String,
    pub(super) tail: String,
    /// The DDL as it is compared.
    pub(super) canonical: String,
    /// The names in their order, where it is an order; where it has a place in one, the name that it has there.
    pub(super) order: Vec<String>,
}

/// Stands for what an object holds that is told by itself. The server writes it, so it must be in every encoding of a database.
pub(super) const INNER: &str = " (...)";

impl Object {
    /// Its DDL by itself, without a semicolon.
    pub(super) fn shown(&self) -> String {
        format!("{}{}{}", self.lead, self.body, self.tail)
    }
}

impl Schema {
    /// A digest of all of it: 64 hexadecimal digits of a SHA-256.
    pub fn fingerprint(&self) -> String {
        let mut hasher = Sha256::new();
        for (Key { kind, name }, object) in &self.objects {
            for part in [kind.as_str(), name, &object.canonical] {
                // With its length, so that no two schemas are the same text.
                hasher.update((part.len() as u64).to_be_bytes());
                hasher.update(part);
            }
        }
        hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The same without owners, privileges and what else is said about roles: another server may not have them.
    #[must_use]
    pub fn without_roles(self) -> Self {
        self.without(Kind::is_of_roles)
    }

    /// The same without what a dump of what is in a database does not hold: the settings of the database itself, its owner, who may do what
    /// with it, and that the triggers of a constraint are disabled.
    #[must_use]
    pub fn without_database(self) -> Self {
        self.without(Kind::is_never_dumped)
    }

    /// The same without which materialized views are filled: in a copy without rows, none is.
    #[must_use]
    pub fn without_population(self) -> Self {
        self.without(Kind::is_population)
    }

    fn without(mut self, left_out: impl Fn(Kind) -> bool) -> Self {
        self.objects.retain(|key, _| !left_out(key.kind));
        self
    }

    /// How many objects there are; a table and each of its columns are one each.
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }
}
