//! The questions about the catalog.
//!
//! Each answers with rows of the same eleven columns:
//! 1. the kind of the object;
//! 2. its name; NULL where it is only said about another object, and named after that;
//! 3. how DDL speaks of it: `TABLE public.users`;
//! 4. its address, for others to belong to it: catalog, number, and number of the column;
//! 5. the address of what it belongs to, and 6. of something else that it comes and goes with;
//! 7. its owner, quoted, if it has one of its own;
//! 8. what comes before its DDL where it is told by itself, in which `{}` stands for what the object it is said about is called in DDL,
//!    9. the DDL that stands within that of what it belongs to, and 10. what follows;
//! 11. the last part of its name, where it has a place in an order.

mod foreign;
mod marks;
mod others;
mod relations;
mod routines;
mod types;

use crate::postgres::{OWN_FUNCTIONS, OWN_TABLES, quote_literal};

/// All of them, for a server of this major version, without the own tables in this schema.
pub(super) fn questions(schema: &str, major: u32) -> Vec<String> {
    let common = common(schema);
    let groups = [relations::SQL, routines::SQL, types::SQL, others::SQL, foreign::SQL, marks::SQL];
    let questions = groups.into_iter().flatten().map(|sql| format!("{common} {}", of_version(sql, major)));
    questions.collect()
}

/// With what is called otherwise in older versions, and what several of them share.
fn of_version(sql: &str, major: u32) -> String {
    let locale = if major < 17 { "colliculocale" } else { "colllocale" };
    let rules = if major < 16 { "NULL::text" } else { "c.collicurules" };
    let sql = sql.replace("{locale}", locale).replace("{rules}", rules);
    sql.replace("{changed privileges}", marks::CHANGED_PRIVILEGES)
}

/// What several questions need: the schemas, the relations, the members of extensions, and Lockgate's own tables.
fn common(schema: &str) -> String {
    let listed = |names: &[&str]| names.iter().map(|name| quote_literal(name)).collect::<Vec<_>>().join(", ");
    let (schema, tables, functions) = (quote_literal(schema), listed(&OWN_TABLES), listed(&OWN_FUNCTIONS));
    format!(
        "WITH own_tables AS MATERIALIZED (
             SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = {schema} AND c.relname IN ({tables})),
         own AS MATERIALIZED (
             SELECT oid FROM own_tables UNION ALL
             SELECT objid FROM pg_depend WHERE classid = 'pg_class'::regclass AND refclassid = 'pg_class'::regclass
                 AND refobjid IN (SELECT oid FROM own_tables) AND deptype IN ('a', 'i')),
         own_functions AS MATERIALIZED (
             SELECT p.oid FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = {schema} AND p.proname IN ({functions})),
         member AS MATERIALIZED (SELECT classid, objid FROM pg_depend WHERE deptype = 'e'),
         ns AS MATERIALIZED (
             SELECT oid, nspname, quote_ident(nspname) || '.' AS q, CASE nspname WHEN 'public' THEN '' ELSE quote_ident(nspname) || '.' END AS p
             FROM pg_namespace WHERE nspname <> 'information_schema' AND nspname !~ '^pg_'),
         rel AS MATERIALIZED (
             SELECT c.oid, c.relkind, c.relname, c.relnamespace, c.relowner, c.reloptions, c.relpersistence, c.reltablespace, c.relam,
                 c.relrowsecurity, c.relforcerowsecurity, c.relreplident, c.relispopulated, c.reloftype, c.reltoastrelid,
                 c.relispartition, c.relpartbound, ns.q, ns.p, ns.q || quote_ident(c.relname) AS full, ns.p || quote_ident(c.relname) AS name,
                 CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table'
                     WHEN 'S' THEN 'sequence' ELSE 'table' END AS kind
             FROM pg_class c JOIN ns ON ns.oid = c.relnamespace
             WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relpersistence <> 't' AND c.oid NOT IN (SELECT oid FROM own)
                 AND c.oid NOT IN (SELECT objid FROM member WHERE classid = 'pg_class'::regclass))"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_encoding_has_what_the_server_is_asked() {
        for major in [15, 18] {
            let questions = questions("public", major);
            assert!(questions.len() > 40, "{}", questions.len());
            for question in questions {
                assert!(question.is_ascii(), "{question}");
            }
        }
    }
}
