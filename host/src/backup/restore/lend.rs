//! The right to make objects in the new database, lent while it is filled.
//!
//! `pg_restore` gives every object back to its owner, who must be allowed to make one where it is, before it gives back the privileges. So
//! who is no superuser lends that right meanwhile to those whose roles it has.

use std::fmt::Write as _;

use crate::{
    error::Result,
    postgres::{Session, quote_ident},
};

/// What is lent, and how that is undone.
#[derive(Debug, Default)]
pub(super) struct Lent {
    /// The statements that lend.
    pub lend: String,
    /// Those that take everything back. What some of the roles had by right is given to them again, by the dump's own privileges.
    pub take_back: String,
}

impl Lent {
    /// Nothing for a superuser.
    pub(super) async fn of(admin: &Session, fresh: &str) -> Result<Self> {
        let sql = "SELECT rolname FROM pg_catalog.pg_roles r
                   WHERE NOT (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user)
                     AND pg_has_role(r.oid, 'MEMBER') AND rolname <> current_user AND rolname !~ '^pg_'";
        let roles = admin.texts("looking whose roles this one has", sql).await?;
        let mut lent = Self::default();
        for role in roles.into_iter().filter_map(|mut row| row.pop().flatten()) {
            for place in ["SCHEMA public".to_owned(), format!("DATABASE {}", quote_ident(fresh))] {
                let _ = write!(lent.lend, "GRANT CREATE ON {place} TO {};", quote_ident(&role));
                let _ = write!(lent.take_back, "REVOKE CREATE ON {place} FROM {};", quote_ident(&role));
            }
        }
        Ok(lent)
    }

    /// Whether there was anything to lend.
    pub(super) fn is_empty(&self) -> bool {
        self.lend.is_empty()
    }
}
