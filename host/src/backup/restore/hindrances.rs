//! What would keep the present database from giving up its name, or would go on in the one that is kept: found before anything is filled.

use std::time::{Duration, Instant};

use crate::{
    error::{Error, Result},
    postgres::{Session, quote_ident, quote_literal},
};

/// Looks for what must be out of the way before a swap, and returns a warning for each thing that stays behind with the kept database.
///
/// # Errors
/// [`Error::Refused`], with the statement that clears the way.
pub(super) async fn check(admin: &Session, database: &str) -> Result<Vec<String>> {
    const DOING: &str = "looking for what is in the way of a swap";
    let (sql, begin) = (sql(database), Instant::now());
    let mut rows = admin.texts(DOING, &sql).await?;
    // A session may be about to end by itself.
    while rows.iter().any(|row| row.first().is_some_and(|kind| kind.as_deref() == Some(SESSION)))
        && begin.elapsed() < PATIENCE
    {
        tokio::time::sleep(LOOK_EVERY).await;
        rows = admin.texts(DOING, &sql).await?;
    }
    let mut warnings = Vec::new();
    for row in rows {
        let [Some(kind), Some(name)] = row.as_slice() else { continue };
        match hindrance(kind, name, database, &admin.server.user) {
            Hindrance::InTheWay { what, next } => {
                return Err(Error::Refused { what, next: format!("{next}; then restore again") });
            }
            Hindrance::StaysBehind(warning) => {
                tracing::warn!("{warning}");
                warnings.push(warning);
            }
        }
    }
    Ok(warnings)
}

/// How long a session that this role may not end is waited for, and how often is looked.
const PATIENCE: Duration = Duration::from_secs(3);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// What such a session is called below.
const SESSION: &str = "session";

enum Hindrance {
    InTheWay { what: String, next: String },
    StaysBehind(String),
}

fn hindrance(kind: &str, name: &str, database: &str, user: &str) -> Hindrance {
    let drop_slot = format!("SELECT pg_drop_replication_slot({})", quote_literal(name));
    let in_the_way = |what: String, next: String| Hindrance::InTheWay { what, next };
    match kind {
        "prepared" => in_the_way(
            format!("the prepared transaction `{name}` holds the database `{database}`"),
            format!("end it in that database: `COMMIT PREPARED {0}` or `ROLLBACK PREPARED {0}`", quote_literal(name)),
        ),
        "subscription" => in_the_way(
            format!("the subscription `{name}` would go on filling the database that is kept"),
            format!("stop it in `{database}`: `ALTER SUBSCRIPTION {} DISABLE`", quote_ident(name)),
        ),
        "slot" => in_the_way(
            format!("the replication slot `{name}` is in use, and would stay with the database that is kept"),
            format!("stop its subscriber, then `{drop_slot}`, and begin the replication anew after the restore"),
        ),
        SESSION => in_the_way(
            format!("role {} may not end the sessions of {} in `{database}`", quote_ident(user), quote_ident(name)),
            format!(
                "end them, or run `GRANT pg_signal_backend TO {}` as a superuser (which is not enough for those of superusers)",
                quote_ident(user)
            ),
        ),
        "idle slot" => Hindrance::StaysBehind(format!(
            "the replication slot `{name}` stays with the kept database and holds back the write-ahead log: `{drop_slot}`"
        )),
        _ => Hindrance::StaysBehind(format!(
            "the subscription `{name}` stays with the kept database, and is not part of the restored one"
        )),
    }
}

/// Two columns: what it is, and its name.
fn sql(database: &str) -> String {
    format!(
        "SELECT 'prepared', gid FROM pg_catalog.pg_prepared_xacts WHERE database = {database}
         UNION ALL
         SELECT CASE WHEN subenabled THEN 'subscription' ELSE 'idle subscription' END, subname::text
         FROM pg_catalog.pg_subscription WHERE subdbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = {database})
         UNION ALL
         SELECT CASE WHEN active THEN 'slot' ELSE 'idle slot' END, slot_name::text
         FROM pg_catalog.pg_replication_slots WHERE database = {database}
         UNION ALL
         SELECT DISTINCT '{SESSION}', usename::text FROM pg_catalog.pg_stat_activity s
         WHERE datname = {database} AND usesysid IS NOT NULL
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_roles me WHERE rolname = current_user AND (
               rolsuper OR pg_has_role(me.oid, s.usesysid, 'USAGE') OR pg_has_role(me.oid, 'pg_signal_backend', 'USAGE')
               AND NOT (SELECT rolsuper FROM pg_catalog.pg_roles WHERE oid = s.usesysid)))",
        database = quote_literal(database)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hindrance_comes_with_the_statement_that_clears_the_way() {
        for (kind, words) in [
            ("prepared", "ROLLBACK PREPARED 'it''s'"),
            ("subscription", "ALTER SUBSCRIPTION \"it's\" DISABLE"),
            ("slot", "SELECT pg_drop_replication_slot('it''s')"),
            ("session", "GRANT pg_signal_backend TO \"me\""),
        ] {
            match hindrance(kind, "it's", "auth", "me") {
                Hindrance::InTheWay { what, next } => assert!(what.contains("it's") && next.contains(words), "{next}"),
                Hindrance::StaysBehind(_) => panic!("{kind} is in the way"),
            }
        }
        for kind in ["idle slot", "idle subscription"] {
            assert!(matches!(hindrance(kind, "s", "auth", "me"), Hindrance::StaysBehind(_)), "{kind}");
        }
    }
}
