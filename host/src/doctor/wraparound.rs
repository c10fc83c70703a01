//! How far the oldest transaction and multixact ids are from the point where the server refuses writes.

use async_trait::async_trait;

use super::{
    Check, Look, Unseen,
    look::graded,
    model::{Finding, Severity},
    rows::{Row, Rows, Unit, column},
    thresholds::{IDS_CRITICAL_PERCENT, IDS_MAX, IDS_WARN_PERCENT},
};

pub struct Wraparound;

/// Of all databases: the oldest stops all.
fn databases_sql() -> String {
    format!(
        "
        SELECT datname, age(datfrozenxid), mxid_age(datminmxid),
               100 * greatest(age(datfrozenxid), mxid_age(datminmxid))::bigint / {IDS_MAX}, datname = current_database()
        FROM pg_database
        ORDER BY 4 DESC, 2 DESC"
    )
}

/// Of this database; TOAST tables go with their tables.
const TABLES_SQL: &str = "
    SELECT c.oid::regclass, greatest(age(c.relfrozenxid), age(t.relfrozenxid)),
           greatest(mxid_age(c.relminmxid), mxid_age(t.relminmxid))
    FROM pg_class c LEFT JOIN pg_class t ON t.oid = c.reltoastrelid
    WHERE c.relkind IN ('r', 'm') AND c.relfrozenxid <> '0'
    ORDER BY greatest(age(c.relfrozenxid), age(t.relfrozenxid), mxid_age(c.relminmxid), mxid_age(t.relminmxid)) DESC, 1
    LIMIT 5";

#[async_trait(?Send)]
impl Check for Wraparound {
    fn name(&self) -> &'static str {
        "wraparound"
    }

    fn about(&self) -> &'static str {
        "how far the oldest transaction ids are from where writes are refused"
    }

    async fn look(&self, look: &mut Look<'_>) -> Result<(), Unseen> {
        let databases = look.ask(&databases_sql()).await?;
        let Some(oldest) = databases.first() else { return Ok(()) };
        look.say(format!("{} % of the ids are used up since the oldest was frozen", oldest.int(3)));
        let columns = [
            column("database", Unit::Text),
            column("transactions ago", Unit::Count),
            column("multixacts ago", Unit::Count),
            column("used", Unit::Percent),
        ];
        look.facts(Rows::of(&columns, &databases));
        if let Some(severity) = severity(oldest.int(3)) {
            let tables = look.ask(TABLES_SQL).await?;
            let here = oldest.is(4);
            let message = format!(
                "{} % of the ids are used up since the oldest of database {} was frozen; at 100 % nobody can write to any",
                oldest.int(3),
                oldest.text(0)
            );
            let vacuum = |row: &Row| format!("VACUUM (VERBOSE) {}", row.text(0));
            let advice = if here {
                "autovacuum has not kept up: look for what holds an old snapshot (`lockgate doctor --check transactions`), then vacuum the oldest tables"
            } else {
                "autovacuum has not kept up in that database: run `lockgate doctor` there, end what holds an old snapshot, and vacuum the oldest tables"
            };
            look.find(
                Finding::new(severity, "wraparound", message)
                    .rows(Rows::of(&columns, &databases))
                    .statements(tables.iter().filter(|_| here).map(vacuum))
                    .advice(advice),
            );
        }
        Ok(())
    }
}

fn severity(percent: i64) -> Option<Severity> {
    graded(percent, IDS_WARN_PERCENT, IDS_CRITICAL_PERCENT)
}
