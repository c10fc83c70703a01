//! What belongs to a server and not to one of its databases: a copy of a database has none of it, so a rehearsal can name what happens to it,
//! and claim nothing.

use std::collections::BTreeSet;

use squawk_syntax::{
    SyntaxKind, SyntaxNode,
    ast::{AstNode, Stmt},
};

use super::Place;
use crate::{
    error::{Error, Result},
    locks,
    postgres::{Session, quote_literal},
    printable::printable_in,
    runner::{Awaiting, Pending},
};

/// What a server has beside its databases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Globals {
    lines: BTreeSet<String>,
    /// `DROP … ` of each thing that can be dropped by its name, in an order in which that works.
    drops: BTreeSet<String>,
}

/// What would drop what is there. Databases come before the roles that own them.
const DROPS: &str = "
SELECT format('DROP DATABASE %I', datname) FROM pg_catalog.pg_database WHERE datname <> {database} AND datname !~ '_(scratch|restoring)_[0-9a-f]{8}$'
UNION ALL SELECT format('DROP ROLE %I', rolname) FROM pg_catalog.pg_roles WHERE rolname !~ '^pg_'
UNION ALL SELECT format('DROP TABLESPACE %I', spcname) FROM pg_catalog.pg_tablespace";

/// Every line begins with what it is about. Copies of the rehearsal's own and what the server itself writes are left out.
const SQL: &str = "
SELECT concat_ws(' ', 'role', quote_ident(rolname), concat_ws(', ', CASE WHEN rolsuper THEN 'superuser' END,
        CASE WHEN rolcreaterole THEN 'may create roles' END, CASE WHEN rolcreatedb THEN 'may create databases' END,
        CASE WHEN rolcanlogin THEN 'may log in' END, CASE WHEN rolreplication THEN 'may replicate' END,
        CASE WHEN rolbypassrls THEN 'bypasses row security' END, 'at most ' || nullif(rolconnlimit, -1) || ' connections'))
    FROM pg_catalog.pg_roles
UNION ALL SELECT format('membership of %I in %I', m.rolname, r.rolname) FROM pg_catalog.pg_auth_members a
    JOIN pg_catalog.pg_roles r ON r.oid = a.roleid JOIN pg_catalog.pg_roles m ON m.oid = a.member
UNION ALL SELECT format('setting of role %I: %s', r.rolname, split_part(c, '=', 1) || ' ' || md5(c))
    FROM pg_catalog.pg_db_role_setting s JOIN pg_catalog.pg_roles r ON r.oid = s.setrole, unnest(s.setconfig) c WHERE s.setdatabase = 0
UNION ALL SELECT format('database %I', datname) FROM pg_catalog.pg_database WHERE datname <> {database} AND datname !~ '_(scratch|restoring)_[0-9a-f]{8}$'
UNION ALL SELECT format('tablespace %I', spcname) FROM pg_catalog.pg_tablespace
UNION ALL SELECT format('replication slot %I', slot_name) FROM pg_catalog.pg_replication_slots WHERE NOT temporary
UNION ALL SELECT format('setting of the server: %s', name || ' ' || md5(concat(setting, sourcefile)))
    FROM pg_catalog.pg_settings WHERE sourcefile LIKE '%postgresql.auto.conf'";

impl Globals {
    /// Reads them, but for the database of this name, which is rehearsed on or for.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub(super) async fn read(session: &Session, database: &str) -> Result<Self> {
        const DOING: &str = "looking at roles, databases and tablespaces";
        let read = async |sql: &str| {
            let sql = sql.replace("{database}", &quote_literal(database));
            Ok::<_, Error>(session.texts(DOING, &sql).await?.into_iter().flatten().flatten().collect())
        };
        Ok(Self { lines: read(SQL).await?, drops: read(DROPS).await? })
    }

    /// Drops what is there since, on a server that nobody else uses: what a migration makes must not be in its own way the next time.
    ///
    /// # Errors
    /// When something of it cannot be dropped.
    pub(super) async fn reset(&self, session: &Session, database: &str) -> Result<()> {
        for drop in Self::read(session, database).await?.drops.difference(&self.drops) {
            session.batch("taking back what a migration has made beside its database", drop).await?;
        }
        Ok(())
    }

    /// What has changed since, a sentence each.
    pub(super) fn until(&self, later: &Self) -> Vec<String> {
        let told = |line: &String, how: &str| format!("{} {how}", told(line));
        let gone = self.lines.difference(&later.lines).map(|line| told(line, "was there before, and is not any more"));
        let new = later.lines.difference(&self.lines).map(|line| told(line, "is there since"));
        gone.chain(new).collect()
    }
}

/// Without the digest of a value.
fn told(line: &str) -> String {
    match line.rsplit_once(' ') {
        Some((name, digest)) if line.starts_with("setting ") && digest.len() == 32 => name.to_owned(),
        _ => line.to_owned(),
    }
}

/// The statements of what is pending that do something to the server: the migration, and the first words of the statement.
fn statements<'a>(awaiting: &'a Awaiting) -> impl Iterator<Item = (&'a Pending, String)> {
    let scripts = |item: &'a Pending| {
        let files = awaiting.folder.find(&item.version).and_then(|migration| migration.scripts());
        files.into_iter().flat_map(|files| [&files.up, &files.down]).flatten()
    };
    awaiting.pending.iter().flat_map(move |item| {
        let statements = scripts(item).flat_map(|script| script.statements()).map(|(_, sql)| sql);
        statements.filter(|sql| is_global(sql)).map(move |sql| (item, first_words(sql)))
    })
}

fn first_words(sql: &str) -> String {
    printable_in(80, &sql.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Whether a statement does something to the server that a copy of a database would not keep to itself.
pub(super) fn is_global(sql: &str) -> bool {
    let Ok(statement) = locks::parse(sql) else { return false };
    match &statement {
        // A membership, where it is on no object.
        Stmt::Grant(grant) => on(grant.syntax()).is_none_or(is_of_server),
        Stmt::Revoke(revoke) => on(revoke.syntax()).is_none_or(is_of_server),
        Stmt::CommentOn(comment) => on(comment.syntax()).is_some_and(is_of_server),
        Stmt::CreateRole(_)
            | Stmt::AlterRole(_)
            | Stmt::DropRole(_)
            | Stmt::CreateUser(_)
            | Stmt::AlterUser(_)
            | Stmt::DropUser(_)
            | Stmt::CreateGroup(_)
            | Stmt::AlterGroup(_)
            | Stmt::DropGroup(_)
            | Stmt::CreateDatabase(_)
            | Stmt::AlterDatabase(_)
            | Stmt::DropDatabase(_)
            | Stmt::CreateTablespace(_)
            | Stmt::AlterTablespace(_)
            | Stmt::DropTablespace(_)
            | Stmt::AlterSystem(_)
            // Its other end is a slot of another server.
            | Stmt::CreateSubscription(_)
            | Stmt::AlterSubscription(_)
            | Stmt::DropSubscription(_) => true,
        _ => false,
    }
}

/// The word after the first `ON`.
fn on(statement: &SyntaxNode) -> Option<SyntaxKind> {
    let tokens = statement.descendants_with_tokens().filter_map(|element| element.into_token());
    let mut kinds = tokens.map(|token| token.kind()).filter(|kind| !kind.is_trivia());
    kinds.find(|kind| *kind == SyntaxKind::ON_KW)?;
    kinds.next()
}

fn is_of_server(kind: SyntaxKind) -> bool {
    matches!(kind, SyntaxKind::DATABASE_KW | SyntaxKind::ROLE_KW | SyntaxKind::TABLESPACE_KW | SyntaxKind::PARAMETER_KW)
}

/// On a server that others use, such a statement would be no rehearsal.
///
/// # Errors
/// [`Error::Refused`], naming all of them.
pub(super) fn refuse_on_shared(awaiting: &Awaiting, place: Place) -> Result<()> {
    if matches!(place, Place::Embedded | Place::Container) {
        return Ok(());
    }
    let found: Vec<String> = statements(awaiting).map(|(item, sql)| format!("`{}`: {sql}", item.name)).collect();
    if found.is_empty() {
        return Ok(());
    }
    Err(Error::Refused {
        what: format!(
            "what is pending changes more than one database, and would really do so on a server that others use: {}",
            found.join("; ")
        ),
        next: "rehearse on a server of its own: `--on embedded` or `--on container`".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reaches_beyond_the_database_is_known_by_its_statement() {
        for sql in [
            "CREATE ROLE app",
            "ALTER USER app SET search_path TO x",
            "DROP ROLE IF EXISTS app",
            "CREATE DATABASE other",
            "ALTER SYSTEM SET work_mem = '1GB'",
            "CREATE TABLESPACE fast LOCATION '/x'",
            "GRANT readers TO app",
            "REVOKE readers FROM app",
            "REVOKE ALL ON DATABASE prod FROM PUBLIC",
            "GRANT SET ON PARAMETER work_mem TO app",
            "COMMENT ON ROLE app IS 'x'",
        ] {
            assert!(is_global(sql), "{sql}");
        }
        for sql in [
            "CREATE TABLE role (id int)",
            "GRANT SELECT ON t TO app",
            "COMMENT ON TABLE t IS 'on database x'",
            "SET ROLE app",
            "ALTER TABLE t OWNER TO app",
        ] {
            assert!(!is_global(sql), "{sql}");
        }
    }

    #[test]
    fn changes_are_told_without_values() {
        let globals = |lines: &[&str]| Globals {
            lines: lines.iter().map(|line| (*line).to_owned()).collect(),
            drops: BTreeSet::new(),
        };
        let before = globals(&["role a may log in", "setting of role a: work_mem 0123456789abcdef0123456789abcdef"]);
        let after = globals(&["role a may log in", "role b"]);
        assert_eq!(
            before.until(&after),
            ["setting of role a: work_mem was there before, and is not any more", "role b is there since"]
        );
        assert!(before.until(&before).is_empty());
    }
}
