//! dbmate: a row a version, and nothing else. Source: its `pkg/driver/postgres/postgres.go`.

use async_trait::async_trait;

use super::{Foreign, Ledger, Place, Shape, Tool, ledger::text};
use crate::{error::Result, postgres::Session};

pub(super) struct Dbmate;

#[async_trait]
impl Tool for Dbmate {
    fn name(&self) -> &'static str {
        "dbmate"
    }

    fn shape(&self) -> Shape {
        Shape { table: "schema_migrations", schema: None, columns: &["version"], exact: true }
    }

    fn works_on_ours(&self) -> bool {
        true
    }

    async fn read(&self, session: &Session, place: &Place) -> Result<Ledger> {
        let sql = format!("SELECT version FROM {}", place.quoted());
        let rows = session.texts("reading the table of dbmate", &sql).await?;
        Ok(Ledger { rows: rows.iter().map(|row| Foreign::of_version(text(row, 0))).collect(), ..Ledger::default() })
    }
}
