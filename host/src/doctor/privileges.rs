//! What the role of the runs lacks, and what it had better not have.

use async_trait::async_trait;

use super::{
    Check, Look, Unseen,
    model::{Finding, Severity},
    rows::{Rows, Unit, column},
};
use crate::{
    backup::Catalog,
    error::{self, Error},
    postgres::preflight::{self, Purpose},
};

pub struct Privileges;

const ROLE_SQL: &str = "
    SELECT current_user, session_user,
           concat_ws(', ', CASE WHEN rolsuper THEN 'superuser' END, CASE WHEN rolcreaterole THEN 'createrole' END,
                     CASE WHEN rolcreatedb THEN 'createdb' END, CASE WHEN rolreplication THEN 'replication' END,
                     CASE WHEN rolbypassrls THEN 'bypassrls' END),
           (SELECT string_agg(g.rolname, ', ' ORDER BY g.rolname) FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid),
           (SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()),
           extract(epoch FROM rolvaliduntil - clock_timestamp())::bigint
    FROM pg_roles r WHERE rolname = current_user";

/// A password that ends within a week is told: nobody wants to learn of it from a failed deployment.
const PASSWORD_WARN_S: i64 = 7 * 86_400;

#[async_trait(?Send)]
impl Check for Privileges {
    fn name(&self) -> &'static str {
        "privileges"
    }

    fn about(&self) -> &'static str {
        "what the role of the runs lacks, and what it had better not have"
    }

    async fn look(&self, look: &mut Look<'_>) -> Result<(), Unseen> {
        let role = look.ask_one(ROLE_SQL).await?;
        let columns = [
            column("role", Unit::Text),
            column("login", Unit::Text),
            column("attributes", Unit::Text),
            column("member of", Unit::Text),
            column("owner of the database", Unit::Text),
            column("password ends", Unit::Seconds),
        ];
        look.facts(Rows::of(&columns, [&role]));
        let name = role.text(0).to_owned();
        look.say(format!("role {name} may do what a run and its backup need"));
        if look.patient.session.server.superuser {
            let message = format!("role {name} is a superuser");
            look.find(
                Finding::new(Severity::Info, "superuser", message)
                    .statements(["lockgate roles".to_owned()])
                    .advice("SQL alone can then reach files and programs, and rewrite the history: make roles with few privileges"),
            );
        }
        if let Some(left) = role.maybe_int(5).filter(|left| *left < PASSWORD_WARN_S) {
            let when =
                if left < 0 { "has ended".to_owned() } else { format!("ends within {} days", left / 86_400 + 1) };
            let quoted = crate::postgres::quote_ident(&name);
            look.find(
                Finding::new(Severity::Warn, "password-ends", format!("the password of role {name} {when}"))
                    .statements([format!("ALTER ROLE {quoted} VALID UNTIL 'infinity'")])
                    .advice("give it a new password, or a later end"),
            );
        }
        lacking(look).await
    }
}

/// What the preflight of a run would stop at.
async fn lacking(look: &mut Look<'_>) -> Result<(), Unseen> {
    let patient = look.patient;
    let backup = &patient.config.backup;
    let context = preflight::Context {
        purpose: Purpose::Migrate,
        session: patient.session,
        history: patient.history,
        backups: if backup.enabled { Some(Catalog::open(backup)?) } else { None },
        backup_role: backup.role.as_deref().unwrap_or(&patient.session.server.user),
        pg_bin: patient.config.pg_bin.as_deref(),
        components: false,
    };
    let found = match preflight::privileges(&context).await {
        Ok(found) => found,
        Err(Error::Checks { findings, .. }) => findings,
        Err(error) => return Err(error.into()),
    };
    for error::Finding { code, message, hint, .. } in found {
        let hint = hint.unwrap_or_default();
        let code = if code == "outdated-history" { "outdated-history" } else { "missing-privilege" };
        let statements = between_backticks(&hint);
        look.find(
            Finding::new(Severity::Critical, code, message)
                .statements(statements)
                .advice(format!("every run stops at this: {hint}")),
        );
    }
    Ok(())
}

/// The statements that a hint names, and no option.
fn between_backticks(hint: &str) -> Vec<String> {
    let is_one = |text: &&str| ["GRANT ", "ALTER ", "lockgate "].iter().any(|begin| text.starts_with(begin));
    hint.split('`').skip(1).step_by(2).filter(is_one).map(str::to_owned).collect()
}
