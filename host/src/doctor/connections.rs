//! How many connections are in use, of those that the server, the database and the role may have.

use async_trait::async_trait;

use super::{
    Check, Look, Unseen,
    look::graded,
    model::Finding,
    rows::{Rows, Unit, column},
    thresholds::{CONNECTIONS_CRITICAL_PERCENT, CONNECTIONS_WARN_PERCENT},
};
use crate::postgres::quote_ident;

pub struct Connections;

/// The type of a session that this role may not see is hidden, its database is not; background workers have no role.
const LIMITS_SQL: &str = "
    WITH clients AS MATERIALIZED (
        SELECT datname, usename FROM pg_stat_activity
        WHERE datid IS NOT NULL AND usesysid IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend'
    )
    SELECT what, name, used, at_most, reserved, 100 * used / at_most FROM (
        SELECT 'server', '', (SELECT count(*) FROM clients), current_setting('max_connections')::bigint,
               current_setting('superuser_reserved_connections')::bigint
                 + coalesce(current_setting('reserved_connections', true)::bigint, 0)
        UNION ALL
        SELECT 'database', datname, (SELECT count(*) FROM clients c WHERE c.datname = d.datname), datconnlimit, 0
        FROM pg_database d WHERE datconnlimit > 0
        UNION ALL
        SELECT 'role', rolname, (SELECT count(*) FROM clients c WHERE c.usename = r.rolname), rolconnlimit, 0
        FROM pg_roles r WHERE rolconnlimit > 0
    ) AS limits (what, name, used, at_most, reserved)
    WHERE what <> 'database' OR name = current_database()
    ORDER BY 6 DESC";

const USERS_SQL: &str = "
    SELECT datname, usename, coalesce(nullif(application_name, ''), 'unnamed'), coalesce(state, 'hidden'), count(*)
    FROM pg_stat_activity
    WHERE datid IS NOT NULL AND usesysid IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend'
    GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC, 1, 2, 3, 4";

#[async_trait(?Send)]
impl Check for Connections {
    fn name(&self) -> &'static str {
        "connections"
    }

    fn about(&self) -> &'static str {
        "connections in use, of the server, the database and the roles"
    }

    async fn look(&self, look: &mut Look<'_>) -> Result<(), Unseen> {
        let limits = look.ask(LIMITS_SQL).await?;
        if let Some(server) = limits.iter().find(|row| row.text(0) == "server") {
            let reserved = server.int(4);
            look.say(format!(
                "{} of {} in use ({} %); {reserved} are kept for superusers",
                server.int(2),
                server.int(3),
                server.int(5)
            ));
        }
        let users = look.ask(USERS_SQL).await?;
        let columns = [
            column("database", Unit::Text),
            column("role", Unit::Text),
            column("application", Unit::Text),
            column("state", Unit::Text),
            column("connections", Unit::Count),
        ];
        let users = Rows::of(&columns, &users);
        for row in &limits {
            let grade = graded(row.int(5), CONNECTIONS_WARN_PERCENT, CONNECTIONS_CRITICAL_PERCENT);
            let Some(severity) = grade else { continue };
            let (of, raise) = match row.text(0) {
                "database" => {
                    let raise = format!("ALTER DATABASE {} CONNECTION LIMIT {}", quote_ident(row.text(1)), 2 * row.int(3));
                    (format!(" that the database {} may have", row.text(1)), raise)
                }
                "role" => {
                    let raise = format!("ALTER ROLE {} CONNECTION LIMIT {}", quote_ident(row.text(1)), 2 * row.int(3));
                    (format!(" that the role {} may have", row.text(1)), raise)
                }
                _ => (String::new(), "SELECT pid, usename, application_name, state_change FROM pg_stat_activity WHERE state = 'idle' ORDER BY state_change".to_owned()),
            };
            let message = format!("{} of {} connections{of} are in use ({} %)", row.int(2), row.int(3), row.int(5));
            look.find(
                Finding::new(severity, "connections", message)
                    .rows(users.clone())
                    .statements([raise])
                    .advice(
                        "end sessions that idle, make the applications' pools smaller, or put a pooler before the server; a higher limit \
                         costs memory (`max_connections` needs a restart)",
                    ),
            );
        }
        look.facts(users);
        Ok(())
    }
}
