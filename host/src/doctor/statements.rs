//! What the server spends its time with, where the extension pg_stat_statements keeps count.

use async_trait::async_trait;

use super::{
    Check, Look, Unseen,
    model::{Finding, Severity},
    rows::{Row, Rows, Unit, column},
    thresholds::STATEMENT_WARN_MEAN_MS,
};
use crate::postgres::quote_ident;

pub struct Statements;

const EXTENSION_SQL: &str = "
    SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_stat_statements'";

fn sql(schema: &str) -> String {
    format!(
        "
        SELECT s.query, s.calls, s.mean_exec_time::numeric(14, 1), s.max_exec_time::numeric(14, 1),
               (s.total_exec_time / 1000)::numeric(14, 1),
               (100 * s.total_exec_time / nullif(sum(s.total_exec_time) OVER (), 0))::bigint, s.queryid
        FROM {}.pg_stat_statements s
        WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
        ORDER BY s.total_exec_time DESC LIMIT 10",
        quote_ident(schema)
    )
}

#[async_trait(?Send)]
impl Check for Statements {
    fn name(&self) -> &'static str {
        "statements"
    }

    fn about(&self) -> &'static str {
        "statements that the server spends its time with"
    }

    async fn look(&self, look: &mut Look<'_>) -> Result<(), Unseen> {
        let Some(schema) = look.ask(EXTENSION_SQL).await?.first().map(|row| row.text(0).to_owned()) else {
            return Err(Unseen(
                "the extension pg_stat_statements is not here: name it in `shared_preload_libraries`, restart, and run `CREATE EXTENSION \
                 pg_stat_statements`"
                    .to_owned(),
            ));
        };
        let rows = look.ask(&sql(&schema)).await?;
        if !look.patient.sees_all {
            let grant = look.patient.grant_to_see_all();
            look.miss(format!("the words of statements of other roles, which this role may not see (`{grant}`)"));
        }
        let columns = [
            column("statement", Unit::Query),
            column("calls", Unit::Count),
            column("mean", Unit::Milliseconds),
            column("longest", Unit::Milliseconds),
            column("in all", Unit::Seconds),
            column("share", Unit::Percent),
        ];
        look.facts(Rows::of(&columns, &rows));
        look.say(format!("of the ten that take most time, none takes {STATEMENT_WARN_MEAN_MS} ms on average"));
        let slow: Vec<&Row> = rows.iter().filter(|row| row.int(2) >= STATEMENT_WARN_MEAN_MS).collect();
        if !slow.is_empty() {
            let takes = if slow.len() == 1 { "statement takes" } else { "statements take" };
            look.find(
                Finding::new(Severity::Warn, "slow-statement", format!("{} {takes} more than {STATEMENT_WARN_MEAN_MS} ms on average", slow.len()))
                    .rows(Rows::of(&columns, slow))
                    .advice(
                        "look at its plan with real parameters, by `EXPLAIN (ANALYZE, BUFFERS)`: an index that is missing, rows that are read \
                         for nothing, a lock that it waits for. Then count anew, to see what helped",
                    )
                    .statements([format!("SELECT {}.pg_stat_statements_reset()", quote_ident(&schema))]),
            );
        }
        Ok(())
    }
}
