//! goose: a row each time a version goes up or down; the latest tells. Source: its `database/dialect/postgres.go`.

use async_trait::async_trait;

use super::{
    Foreign, Ledger, Place, Shape, Tool,
    ledger::{flag, optional, text, time_sql},
};
use crate::{error::Result, postgres::Session};

pub(super) struct Goose;

#[async_trait]
impl Tool for Goose {
    fn name(&self) -> &'static str {
        "goose"
    }

    fn shape(&self) -> Shape {
        let columns = &["id", "version_id", "is_applied", "tstamp"];
        Shape { table: "goose_db_version", schema: None, columns, exact: false }
    }

    async fn read(&self, session: &Session, place: &Place) -> Result<Ledger> {
        // Version 0 is the making of the table.
        let sql = format!(
            "SELECT DISTINCT ON (version_id) version_id, is_applied, {} FROM {} WHERE version_id <> 0 ORDER BY version_id, id DESC",
            time_sql("tstamp"),
            place.quoted()
        );
        let rows = session.texts("reading the table of goose", &sql).await?;
        let applied = rows.iter().filter(|row| flag(row, 1));
        let row = |row: &Vec<_>| Foreign { applied_at: optional(row, 2), ..Foreign::of_version(text(row, 0)) };
        Ok(Ledger { rows: applied.map(row).collect(), ..Ledger::default() })
    }
}
