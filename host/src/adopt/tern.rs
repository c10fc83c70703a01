//! tern: one number, which implies all below. Source: its `migrate/migrate.go`.

use async_trait::async_trait;

use super::{Foreign, Implied, Ledger, Place, Shape, Tool, ledger::text};
use crate::{error::Result, postgres::Session};

pub(super) struct Tern;

#[async_trait]
impl Tool for Tern {
    fn name(&self) -> &'static str {
        "tern"
    }

    fn shape(&self) -> Shape {
        Shape { table: "schema_version", schema: None, columns: &["version"], exact: true }
    }

    async fn read(&self, session: &Session, place: &Place) -> Result<Ledger> {
        // Zero is a table that was made and no migration that was applied.
        let sql = format!("SELECT version FROM {} WHERE version <> 0", place.quoted());
        let rows = session.texts("reading the table of tern", &sql).await?;
        let rows: Vec<Foreign> = rows.iter().map(|row| Foreign::of_version(text(row, 0))).collect();
        let up_to = rows.iter().filter_map(|row| row.version.clone()).max();
        let implied = up_to.map(|up_to| Implied { up_to, why: "implied: tern notes the newest version only" });
        Ok(Ledger { rows, implied, ..Ledger::default() })
    }
}
