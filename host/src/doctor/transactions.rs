//! Queries and transactions that are open for long, and what keeps VACUUM from its work.

use async_trait::async_trait;

use super::{
    Check, Look, Unseen,
    model::{Finding, Severity},
    rows::{Row, Rows, Unit, column},
    thresholds::SNAPSHOT_AGE_WARN,
};
use crate::{
    postgres::quote_literal,
    report::{thousands, words},
};

pub struct Transactions;

const SESSIONS_SQL: &str = "
    SELECT pid, coalesce(nullif(application_name, ''), 'unnamed'), usename, state,
           extract(epoch FROM clock_timestamp() - query_start)::bigint,
           extract(epoch FROM clock_timestamp() - xact_start)::bigint,
           extract(epoch FROM clock_timestamp() - state_change)::bigint,
           nullif(concat_ws(': ', wait_event_type, wait_event), 'Client: ClientRead'),
           query
    FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
      AND xact_start IS NOT NULL
    ORDER BY xact_start";

const PREPARED_SQL: &str = "
    SELECT gid, owner, extract(epoch FROM clock_timestamp() - prepared)::bigint
    FROM pg_prepared_xacts
    WHERE database = current_database()
    ORDER BY prepared";

/// Whoever holds the oldest snapshot of the server: nothing that was deleted since can be vacuumed.
const SNAPSHOTS_SQL: &str = "
    SELECT who, age FROM (
        SELECT format('pid %s (%s, role %s)', pid, coalesce(nullif(application_name, ''), 'unnamed'), usename), age(backend_xmin)
        FROM pg_stat_activity WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid()
        UNION ALL
        SELECT format('prepared transaction %L', gid), age(transaction) FROM pg_prepared_xacts
        UNION ALL
        SELECT format('replication slot %s', slot_name), greatest(age(xmin), age(catalog_xmin))
        FROM pg_replication_slots WHERE xmin IS NOT NULL OR catalog_xmin IS NOT NULL
    ) AS holders (who, age)
    ORDER BY age DESC LIMIT 5";

#[async_trait(?Send)]
impl Check for Transactions {
    fn name(&self) -> &'static str {
        "transactions"
    }

    fn about(&self) -> &'static str {
        "long queries, idle and prepared transactions, the oldest snapshot"
    }

    async fn look(&self, look: &mut Look<'_>) -> Result<(), Unseen> {
        let long = i64::try_from(look.patient.long.as_secs()).unwrap_or(i64::MAX);
        look.say(format!("none is open for more than {}", spoken(long)));
        if !look.patient.sees_all {
            let grant = look.patient.grant_to_see_all();
            look.miss(format!("what sessions of other roles do, which this role may not see (`{grant}`)"));
        }
        sessions(look, long).await?;
        prepared(look, long).await?;
        snapshots(look).await
    }
}

async fn sessions(look: &mut Look<'_>, long: i64) -> Result<(), Unseen> {
    let rows = look.ask(SESSIONS_SQL).await?;
    let idle = |row: &Row| row.text(3).starts_with("idle in transaction");
    let columns = |what| {
        [
            column("pid", Unit::Id),
            column("application", Unit::Text),
            column("role", Unit::Text),
            column("state", Unit::Text),
            column("query runs", Unit::Seconds),
            column("open", Unit::Seconds),
            column(what, Unit::Seconds),
            column("waits for", Unit::Text),
            column("query", Unit::Query),
        ]
    };
    let queries: Vec<&Row> = rows.iter().filter(|row| row.text(3) == "active" && row.int(4) >= long).collect();
    if !queries.is_empty() {
        let message =
            format!("{} for more than {}", runs(queries.len(), "query", "queries", "runs", "run"), spoken(long));
        let statements = queries.iter().map(|row| format!("SELECT pg_cancel_backend({})", row.int(0)));
        look.find(
            Finding::new(Severity::Warn, "long-query", message)
                .statements(statements)
                .rows(Rows::of(&columns("in this state"), queries))
                .advice("find out whether it is meant to take so long, or waits for a lock (`lockgate doctor --check locks`); cancelling it rolls its transaction back"),
        );
    }
    let idles: Vec<&Row> = rows.iter().filter(|row| idle(row) && row.int(6) >= long).collect();
    if !idles.is_empty() {
        let n = runs(idles.len(), "transaction", "transactions", "is", "are");
        let message = format!("{n} open and idle for more than {}", spoken(long));
        let statements = idles.iter().map(|row| format!("SELECT pg_terminate_backend({})", row.int(0)));
        look.find(
            Finding::new(Severity::Warn, "idle-in-transaction", message)
                .statements(statements)
                .rows(Rows::of(&columns("idle"), idles))
                .advice(
                    "it keeps its locks and its snapshot, and a migration waits behind it: mend the application, end the session, and let the \
                     server do it in future (`idle_in_transaction_session_timeout`)",
                ),
        );
    }
    // Busy with one short query after the other.
    let busy = |row: &&Row| row.int(5) >= long && !(idle(row) && row.int(6) >= long);
    let open: Vec<&Row> =
        rows.iter().filter(busy).filter(|row| !(row.text(3) == "active" && row.int(4) >= long)).collect();
    if !open.is_empty() {
        let n = runs(open.len(), "transaction", "transactions", "is", "are");
        let message = format!("{n} open for more than {}, and at work", spoken(long));
        look.find(
            Finding::new(Severity::Warn, "long-transaction", message)
                .rows(Rows::of(&columns("in this state"), open))
                .advice(
                    "it keeps its locks and its snapshot until it ends: let it, or make shorter transactions of it",
                ),
        );
    }
    Ok(())
}

async fn prepared(look: &mut Look<'_>, long: i64) -> Result<(), Unseen> {
    let rows = look.ask(PREPARED_SQL).await?;
    let old: Vec<&Row> = rows.iter().filter(|row| row.int(2) >= long).collect();
    if old.is_empty() {
        return Ok(());
    }
    let columns = [column("gid", Unit::Text), column("role", Unit::Text), column("prepared", Unit::Seconds)];
    let n = runs(old.len(), "prepared transaction", "prepared transactions", "waits", "wait");
    let message = format!("{n} for an end for more than {}", spoken(long));
    let statements = old.iter().map(|row| format!("ROLLBACK PREPARED {}", quote_literal(row.text(0)).trim_start()));
    look.find(
        Finding::new(Severity::Warn, "prepared-transaction", message)
            .statements(statements)
            .rows(Rows::of(&columns, old))
            .advice(
                "it keeps its locks through every restart: ask the transaction manager whether it is to be committed \
                 (`COMMIT PREPARED`) or rolled back",
            ),
    );
    Ok(())
}

async fn snapshots(look: &mut Look<'_>) -> Result<(), Unseen> {
    let rows = look.ask(SNAPSHOTS_SQL).await?;
    let facts = Rows::of(&[column("holder", Unit::Text), column("transactions ago", Unit::Count)], &rows);
    let age = rows.first().map_or(0, |row| row.int(1));
    if age >= SNAPSHOT_AGE_WARN {
        let who = rows.first().map_or("", |row| row.text(0));
        let message = format!("{who} has a snapshot from {} transactions ago", thousands(age.unsigned_abs()));
        look.find(
            Finding::new(Severity::Warn, "old-snapshot", message).rows(facts.clone()).advice(
                "no row that was deleted since can be vacuumed in any database of the server: end what holds it",
            ),
        );
    }
    look.facts(facts);
    Ok(())
}

/// `a query runs`, `3 queries run`
fn runs(n: usize, one: &str, many: &str, does: &str, do_: &str) -> String {
    if n == 1 { format!("1 {one} {does}") } else { format!("{n} {many} {do_}") }
}

fn spoken(seconds: i64) -> String {
    let text = words::whole(seconds.unsigned_abs().saturating_mul(1_000));
    if seconds == 0 { "0 s".to_owned() } else { text.trim_end_matches(" 0 s").trim_end_matches(" 0 min").to_owned() }
}
