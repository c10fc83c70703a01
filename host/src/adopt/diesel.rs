//! Diesel: a row a version, which is the digits of the folder's name. Source: its `diesel/src/migration/mod.rs` and
//! `migrations_internals`.

use async_trait::async_trait;

use super::{
    Foreign, Ledger, Place, Shape, Tool,
    ledger::{optional, text, time_sql},
};
use crate::{error::Result, postgres::Session};

pub(super) struct Diesel;

#[async_trait]
impl Tool for Diesel {
    fn name(&self) -> &'static str {
        "diesel"
    }

    fn shape(&self) -> Shape {
        Shape { table: "__diesel_schema_migrations", schema: None, columns: &["version", "run_on"], exact: false }
    }

    async fn read(&self, session: &Session, place: &Place) -> Result<Ledger> {
        let sql = format!("SELECT version, {} FROM {}", time_sql("run_on"), place.quoted());
        let rows = session.texts("reading the table of Diesel", &sql).await?;
        let row = |row: &Vec<_>| Foreign { applied_at: optional(row, 1), ..Foreign::of_version(text(row, 0)) };
        Ok(Ledger { rows: rows.iter().map(row).collect(), ..Ledger::default() })
    }
}
