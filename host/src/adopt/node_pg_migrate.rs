//! node-pg-migrate: a row a migration, which is the name of its file. Source: its `src/runner.ts` and `src/migration.ts`.

use async_trait::async_trait;

use super::{
    File, Foreign, Ledger, Place, Shape, Tool,
    ledger::{optional, text, time_sql},
};
use crate::{error::Result, postgres::Session};

pub(super) struct NodePgMigrate;

#[async_trait]
impl Tool for NodePgMigrate {
    fn name(&self) -> &'static str {
        "node-pg-migrate"
    }

    fn shape(&self) -> Shape {
        Shape { table: "pgmigrations", schema: None, columns: &["id", "name", "run_on"], exact: false }
    }

    async fn read(&self, session: &Session, place: &Place) -> Result<Ledger> {
        let sql = format!("SELECT name, {} FROM {} ORDER BY id", time_sql("run_on"), place.quoted());
        let rows = session.texts("reading the table of node-pg-migrate", &sql).await?;
        let row = |row: &Vec<_>| Foreign { applied_at: optional(row, 1), ..Foreign::named(text(row, 0)) };
        Ok(Ledger { rows: rows.iter().map(row).collect(), ..Ledger::default() })
    }

    fn is(&self, row: &Foreign, file: &File) -> bool {
        file.stem() == row.name
    }
}
