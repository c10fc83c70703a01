//! The role may do what every run does: write history and journal, and read everything that a backup holds.

use super::{Context, Purpose};
use crate::{
    error::{Error, Finding, Result, Severity},
    postgres::{handle::db_error, history, journal, progress, quote_ident, seal, tables},
};

/// What a backup does with the host's own tables.
const NEEDED_TO_BACK_UP: [(&str, &str); 3] =
    [(history::TABLE, "SELECT"), (journal::TABLE, "SELECT"), (journal::TABLE, "INSERT")];

/// What a run does with them.
const NEEDED_TO_MIGRATE: [(&str, &str); 12] = [
    (history::TABLE, "SELECT"),
    (history::TABLE, "INSERT"),
    (history::TABLE, "DELETE"),
    // Every entry follows the one before it.
    (journal::TABLE, "SELECT"),
    (journal::TABLE, "INSERT"),
    (progress::TABLE, "SELECT"),
    (progress::TABLE, "INSERT"),
    (progress::TABLE, "UPDATE"),
    (progress::TABLE, "DELETE"),
    (seal::TABLE, "SELECT"),
    (seal::TABLE, "INSERT"),
    (seal::TABLE, "DELETE"),
];

pub(super) async fn check(context: &Context<'_>) -> Result<Vec<Finding>> {
    let mut findings = of_history(context).await?;
    if context.backups.is_some() {
        findings.extend(of_backup(context).await?);
    }
    Ok(findings)
}

/// What a run does with the host's own tables.
pub(super) async fn of_history(context: &Context<'_>) -> Result<Vec<Finding>> {
    let schema = context.history.schema();
    let user = quote_ident(&context.session.server.user);
    let sql = "SELECT to_regnamespace(quote_ident($1)) IS NOT NULL,
                      coalesce(has_schema_privilege(to_regnamespace(quote_ident($1))::oid, 'CREATE'), false),
                      has_database_privilege(current_database(), 'CREATE'), current_database()::text";
    let row = context.session.client().query_one(sql, &[&schema]).await;
    let row = row.map_err(|e| Error::database("checking privileges", db_error(&e)))?;
    let (schema_exists, may_create_in_schema, may_create_schema): (bool, bool, bool) =
        (row.get(0), row.get(1), row.get(2));
    let database: String = row.get(3);

    let mut findings = Vec::new();
    let tables_exist = context.history.is_there(context.session).await?;
    if tables_exist {
        let needed: &[_] = match context.purpose {
            Purpose::Migrate => &NEEDED_TO_MIGRATE,
            Purpose::BackUp => &NEEDED_TO_BACK_UP,
        };
        let named = |(table, privilege): &(&str, &str)| {
            (format!("{}.{}", quote_ident(schema), quote_ident(table)), (*privilege).to_owned())
        };
        let (tables, privileges): (Vec<String>, Vec<String>) = needed.iter().map(named).unzip();
        let sql = "SELECT name, privilege FROM unnest($1::text[], $2::text[]) AS needed (name, privilege)
                   WHERE NOT has_table_privilege(to_regclass(name)::oid, privilege)";
        let rows = context.session.client().query(sql, &[&tables, &privileges]).await;
        for row in rows.map_err(|e| Error::database("checking privileges", db_error(&e)))? {
            let (name, privilege): (String, String) = (row.get(0), row.get(1));
            findings.push(missing(
                format!("role {user} may not {privilege} on {name}"),
                format!("GRANT {privilege} ON {name} TO {user}"),
            ));
        }
        if context.purpose == Purpose::Migrate {
            findings.extend(outdated(context, may_create_in_schema).await?);
        }
    } else if context.purpose == Purpose::BackUp {
        // Nothing is noted where there is no journal.
    } else if schema_exists && !may_create_in_schema {
        findings.push(missing(
            format!("role {user} may not create tables in schema `{schema}`, where the history belongs"),
            format!("GRANT CREATE ON SCHEMA {} TO {user}", quote_ident(schema)),
        ));
    } else if !schema_exists && !may_create_schema {
        findings.push(missing(
            format!("role {user} may not create the schema `{schema}`, where the history belongs"),
            format!("GRANT CREATE ON DATABASE {} TO {user}", quote_ident(&database)),
        ));
    }
    Ok(findings)
}

/// Tables that an older version made, or that somebody has taken something away from, are mended by whoever owns them.
async fn outdated(context: &Context<'_>, may_create: bool) -> Result<Option<Finding>> {
    let Some(lacking) = tables::lacking(context.session, context.history).await? else { return Ok(None) };
    let (schema, user) = (quote_ident(context.history.schema()), quote_ident(&context.session.server.user));
    if !lacking.foreign_owners.is_empty() {
        let message = format!(
            "the tables of the history lack something that this version needs, and belong to {}, not to {user}",
            lacking.foreign_owners.join(" and ")
        );
        let hint = "run the SQL that `lockgate roles` prints, as a superuser";
        return Ok(Some(Finding::new(Severity::Block, "outdated-history", message).hint(hint)));
    }
    Ok((!may_create).then(|| {
        missing(
            format!("role {user} may not create what is missing of the history in schema {schema}"),
            format!("GRANT CREATE ON SCHEMA {schema} TO {user}"),
        )
    }))
}

/// `pg_dump` locks and reads every table, sequence and large object; it fails at the first that it may not.
pub(super) async fn of_backup(context: &Context<'_>) -> Result<Vec<Finding>> {
    let role = context.backup_role;
    if let Some(finding) = not_taken_on(context, role).await? {
        return Ok(vec![finding]);
    }
    let user = quote_ident(role);
    let mut findings = Vec::new();
    if let Some((names, more)) = first_of(context, role, HIDDEN_SQL).await? {
        findings.push(missing(
            format!("role {user} may not read {names}{more}, so it cannot take a backup"),
            format!("GRANT pg_read_all_data TO {user}"),
        ));
    }
    if let Some((names, more)) = first_of(context, role, ROW_SECURITY_SQL).await? {
        let message = format!("row security hides rows of {names}{more} from role {user}, so it cannot take a backup");
        let hint = format!("run `ALTER ROLE {user} BYPASSRLS` as a superuser");
        findings.push(Finding::new(Severity::Block, "missing-privilege", message).hint(hint));
    }
    Ok(findings)
}

/// Whether the session may take on the role of the backup.
async fn not_taken_on(context: &Context<'_>, role: &str) -> Result<Option<Finding>> {
    let sql = "SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = $1),
                      CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = $1)
                           THEN pg_has_role(session_user, $1::text::name, 'MEMBER') END";
    let row = context.session.client().query_one(sql, &[&role]).await;
    let row = row.map_err(|e| Error::database("checking privileges", db_error(&e)))?;
    let (login, quoted) = (quote_ident(&context.session.server.login), quote_ident(role));
    Ok(match row.get(1) {
        Some(true) => None,
        Some(false) => Some(missing(
            format!("role {login} may not take on the role {quoted}, which is to read the backup"),
            format!("GRANT {quoted} TO {login}"),
        )),
        None => {
            let message = format!("there is no role {quoted}, which is to read the backup");
            let hint = "make it (`lockgate roles` prints the SQL), or check `--backup-role`";
            Some(Finding::new(Severity::Block, "missing-role", message).hint(hint))
        }
    })
}

/// Tables and sequences of which the role `$1` may not read everything.
const HIDDEN_SQL: &str = "
    c.relkind IN ('r', 'p', 'S')
    AND NOT (has_schema_privilege($1::text::name, n.oid, 'USAGE') AND CASE WHEN c.relkind = 'S'
             THEN has_sequence_privilege($1::text::name, c.oid, 'SELECT') ELSE has_table_privilege($1::text::name, c.oid, 'SELECT') END)";

/// Tables whose rows the role `$1` may not see, though it may read the table: `pg_dump` refuses to leave any out.
const ROW_SECURITY_SQL: &str = "
    c.relkind IN ('r', 'p') AND c.relrowsecurity
    AND NOT (SELECT rolsuper OR rolbypassrls FROM pg_catalog.pg_roles WHERE rolname = $1::text::name)
    AND (c.relforcerowsecurity OR NOT pg_has_role($1::text::name, c.relowner, 'USAGE'))";

/// The first three tables and sequences of which this is true, and how many more there are; `None` when there is none.
async fn first_of(context: &Context<'_>, role: &str, condition: &str) -> Result<Option<(String, String)>> {
    let sql = format!("SELECT count(*), coalesce(string_agg(name, ', ') FILTER (WHERE n <= 3), '')
               FROM (SELECT format('%I.%I', n.nspname, c.relname) AS name, row_number() OVER (ORDER BY n.nspname, c.relname) AS n
                     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                     WHERE c.relpersistence <> 't'
                       AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
                       AND {condition}) t"
    );
    let row = context.session.client().query_one(&sql, &[&role]).await;
    let row = row.map_err(|e| Error::database("checking privileges", db_error(&e)))?;
    let (count, names): (i64, String) = (row.get(0), row.get(1));
    let more = if count > 3 { format!(" and {} more", count - 3) } else { String::new() };
    Ok((count > 0).then_some((names, more)))
}

fn missing(message: String, grant: String) -> Finding {
    Finding::new(Severity::Block, "missing-privilege", message)
        .hint(format!("run `{grant}` as the owner or a superuser"))
}
