//! How large the database is, and whether the next backup has room.

use async_trait::async_trait;

use super::{
    Check, Look, Unseen,
    model::{Finding, Severity},
    rows::{Rows, Unit, column},
    thresholds::STORE_TIMEOUT,
};
use crate::{backup::Catalog, postgres::preflight, report::bytes};

pub struct Disk;

const SIZE_SQL: &str = "SELECT pg_database_size(current_database())";

/// By the pages that VACUUM and ANALYZE have noted: `pg_total_relation_size` would wait for whoever has locked the table.
const TABLES_SQL: &str = "
    SELECT c.oid::regclass,
           (c.relpages::bigint + coalesce(t.relpages, 0) + coalesce((SELECT sum(x.relpages) FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
                                                              WHERE i.indrelid IN (c.oid, t.oid)), 0))
             * current_setting('block_size')::bigint,
           nullif(c.reltuples, -1)::bigint,
           sum((c.relpages::bigint + coalesce(t.relpages, 0)) * current_setting('block_size')::bigint) OVER ()
    FROM pg_class c LEFT JOIN pg_class t ON t.oid = c.reltoastrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    ORDER BY 2 DESC, 1 LIMIT 10";

#[async_trait(?Send)]
impl Check for Disk {
    fn name(&self) -> &'static str {
        "disk"
    }

    fn about(&self) -> &'static str {
        "size of the database and its largest tables, room for the next backup"
    }

    async fn look(&self, look: &mut Look<'_>) -> Result<(), Unseen> {
        let size = look.ask_one(SIZE_SQL).await?.int(0);
        let tables = look.ask(TABLES_SQL).await?;
        let mut summary = format!("the database has {}", bytes(size.unsigned_abs()));
        if let Some(largest) = tables.first() {
            summary +=
                &format!(", its largest table {} about {}", largest.text(0), bytes(largest.int(1).unsigned_abs()));
        }
        look.say(summary);
        let columns = [
            column("table", Unit::Text),
            column("size by the last vacuum", Unit::Bytes),
            column("rows by the last vacuum", Unit::Count),
        ];
        look.facts(Rows::of(&columns, &tables));
        look.miss("free space on the server's own disk, which SQL does not tell: ask its monitoring");
        let tables_bytes = tables.first().map_or(0, |row| row.int(3));
        room_for_backup(look, tables_bytes.unsigned_abs()).await
    }
}

async fn room_for_backup(look: &mut Look<'_>, tables_bytes: u64) -> Result<(), Unseen> {
    let patient = look.patient;
    if !patient.config.backup.enabled {
        return Ok(());
    }
    let catalog = Catalog::open(&patient.config.backup)?;
    let asked = preflight::backup_space(patient.session, &catalog, tables_bytes);
    let Ok(found) = tokio::time::timeout(STORE_TIMEOUT, asked).await else {
        look.miss(format!("the room for backups: the store did not answer within {} s", STORE_TIMEOUT.as_secs()));
        return Ok(());
    };
    match found {
        Ok(found) => {
            for finding in found {
                look.find(
                    Finding::new(Severity::Critical, "backup-space", finding.message)
                        .advice(format!("no run begins without a backup: {}", finding.hint.unwrap_or_default())),
                );
            }
        }
        Err(error) => look.miss(format!("the room for backups: {}", Unseen::from(error).0)),
    }
    Ok(())
}
