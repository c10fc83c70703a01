//! The role may do what every run does: write history and journal, and read everything that a backup holds.

use super::Context;
use crate::{
    error::{Error, Finding, Result, Severity},
    postgres::{handle::db_error, history, journal, progress, quote_ident, seal},
};

/// What a run does with the host's own tables.
const NEEDED: [(&str, &str); 12] = [
    (history::TABLE, "SELECT"),
    (history::TABLE, "INSERT"),
    (history::TABLE, "DELETE"),
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
    let mut findings = history_privileges(context).await?;
    if context.backup_folder.is_some() {
        findings.extend(backup_privileges(context).await?);
    }
    Ok(findings)
}

async fn history_privileges(context: &Context<'_>) -> Result<Vec<Finding>> {
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
    let tables_exist = context.history.read(context.session).await?.is_some();
    if tables_exist {
        let needed = NEEDED.map(|(table, privilege)| {
            (format!("{}.{}", quote_ident(schema), quote_ident(table)), privilege.to_owned())
        });
        let (tables, privileges): (Vec<String>, Vec<String>) = needed.into_iter().unzip();
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

/// `pg_dump` locks and reads every table, sequence and large object; it fails at the first that it may not.
async fn backup_privileges(context: &Context<'_>) -> Result<Vec<Finding>> {
    let sql = "SELECT count(*), coalesce(string_agg(name, ', ') FILTER (WHERE n <= 3), '')
               FROM (SELECT format('%I.%I', n.nspname, c.relname) AS name, row_number() OVER (ORDER BY n.nspname, c.relname) AS n
                     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                     WHERE c.relkind IN ('r', 'p', 'S') AND c.relpersistence <> 't'
                       AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
                       AND NOT (has_schema_privilege(n.oid, 'USAGE') AND CASE WHEN c.relkind = 'S'
                                THEN has_sequence_privilege(c.oid, 'SELECT') ELSE has_table_privilege(c.oid, 'SELECT') END)) t";
    let row = context.session.client().query_one(sql, &[]).await;
    let row = row.map_err(|e| Error::database("checking privileges", db_error(&e)))?;
    let (count, names): (i64, String) = (row.get(0), row.get(1));
    if count == 0 {
        return Ok(vec![]);
    }
    let user = quote_ident(&context.session.server.user);
    let more = if count > 3 { format!(" and {} more", count - 3) } else { String::new() };
    Ok(vec![missing(
        format!("role {user} may not read {names}{more}, so it cannot take a backup"),
        format!("GRANT pg_read_all_data TO {user}"),
    )])
}

fn missing(message: String, grant: String) -> Finding {
    Finding::new(Severity::Block, "missing-privilege", message).hint(format!("run `{grant}` as the owner"))
}
