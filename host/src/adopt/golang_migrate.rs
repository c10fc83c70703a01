//! golang-migrate: one row, which implies all below. Source: its `database/postgres/postgres.go`.

use async_trait::async_trait;

use super::{
    Foreign, Implied, Ledger, Place, Shape, Tool,
    ledger::{flag, text},
};
use crate::{
    error::{Problem, Result},
    postgres::Session,
};

pub(super) struct GolangMigrate;

#[async_trait]
impl Tool for GolangMigrate {
    fn name(&self) -> &'static str {
        "golang-migrate"
    }

    fn shape(&self) -> Shape {
        Shape { table: "schema_migrations", schema: None, columns: &["version", "dirty"], exact: true }
    }

    async fn read(&self, session: &Session, place: &Place) -> Result<Ledger> {
        let sql = format!("SELECT version, dirty FROM {} ORDER BY version", place.quoted());
        let mut ledger = Ledger::default();
        for row in session.texts("reading the table of golang-migrate", &sql).await? {
            let version = text(&row, 0);
            if flag(&row, 1) {
                ledger.refused.push(Problem::new(
                    place.name(),
                    format!("version {version} is dirty: its migration failed half-way, up or down"),
                    format!(
                        "look what of it is there, finish it or take it back by hand, then say so with `migrate force {version}` \
                         (or the version below)"
                    ),
                ));
            }
            let row = Foreign::of_version(version);
            let why = "implied: golang-migrate notes the newest version only";
            ledger.implied = row.version.clone().map(|up_to| Implied { up_to, why });
            ledger.rows.push(row);
        }
        Ok(ledger)
    }
}
